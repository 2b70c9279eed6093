using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// An exponential moving average of a network's weights over its updates (PyTorch's <c>AveragedModel</c> with <c>get_ema_avg_fn</c>;
/// Polyak and Juditsky 1992): a ← β·a + (1 − β)·w, where the first update's weights are taken as they are. The buffers, such as batch
/// norm's running estimates, are the network's own. A <see cref="Trainer"/> that is given one updates it, and leaves the averages in the
/// network.
/// </summary>
public sealed class WeightAveraging : IStateful
{
    private const int PieceLength = 2048;

    private readonly (string Name, Parameter Parameter)[] parameters;
    private readonly (int Parameter, int From, int Count)[] pieces;
    private readonly Action<int> updatePiece;
    private readonly float rest; // 1 − β
    private float[][] averages; // of each parameter; its weights while the averages are applied
    private long updates;

    /// <summary>The averages of a network's parameters, which begin where these are.</summary>
    /// <param name="network">The network.</param>
    /// <param name="decay">β, at least 0 and less than 1: of the average, what an update leaves.</param>
    /// <exception cref="ArgumentOutOfRangeException">A decay outside its range.</exception>
    public WeightAveraging(Module network, double decay)
    {
        ArgumentNullException.ThrowIfNull(network);
        if (decay is not (>= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(decay), decay,
            "the decay of an average is at least 0 and less than 1");
        (Network, Decay, rest, parameters) = (network, decay, (float)(1 - decay), [.. network.NamedParameters()]);
        pieces = [.. parameters.SelectMany((named, p) => named.Parameter.Value.Data.Length is var length
            ? Enumerable.Range(0, (length + PieceLength - 1) / PieceLength)
                .Select(i => (p, i * PieceLength, Math.Min(PieceLength, length - i * PieceLength))) : [])];
        updatePiece = UpdatePiece;
        averages = Array.ConvertAll(parameters, named => (float[])named.Parameter.Value.Data.Clone());
    }

    /// <summary>The network.</summary>
    public Module Network { get; }

    /// <summary>β.</summary>
    public double Decay { get; }

    /// <summary>Whether the network has the averages now, and this its weights.</summary>
    public bool IsApplied { get; private set; }

    /// <summary>Takes the network's weights into the averages, after an update.</summary>
    /// <exception cref="InvalidOperationException">The network has the averages.</exception>
    public void Update()
    {
        RequireWeights();
        if (updates++ > 0) Workers.Run(pieces.Length, updatePiece);
        else Copy();
    }

    /// <summary>Exchanges the network's weights and the averages; a second time puts them back.</summary>
    public void Swap()
    {
        for (int p = 0; p < averages.Length; p++)
        {
            float[] w = parameters[p].Parameter.Value.Data, a = averages[p];
            for (int i = 0; i < a.Length; i++) (w[i], a[i]) = (a[i], w[i]);
        }
        IsApplied = !IsApplied;
    }

    /// <summary>Begins anew where the network is.</summary>
    internal void Begin()
    {
        (IsApplied, updates) = (false, 0);
        Copy();
    }

    /// <inheritdoc/>
    public OptimizerState State()
    {
        RequireWeights();
        return StateField.Save(nameof(WeightAveraging), Fields());
    }

    /// <inheritdoc/>
    public void LoadState(OptimizerState state)
    {
        RequireWeights();
        StateField.Load(nameof(WeightAveraging), Fields(), state);
    }

    private IEnumerable<StateField> Fields() =>
    [
        StateField.Number("decay", () => Decay, _ => { }, value => value == Decay, FormattableString.Invariant($"{Decay} here")),
        StateField.Count("n_averaged", () => updates, value => updates = value),
        .. parameters.Select((named, p) => StateField.Tensor($"module.{named.Name}", named.Parameter.Value.Shape, () => averages[p],
            value => averages[p] = value ?? averages[p])),
    ];

    private void Copy()
    {
        for (int p = 0; p < averages.Length; p++) parameters[p].Parameter.Value.Data.CopyTo(averages[p], 0);
    }

    private void RequireWeights()
    {
        if (IsApplied) throw new InvalidOperationException("the network has the averages: swap them with its weights first");
    }

    private unsafe void UpdatePiece(int index)
    {
        var (p, from, count) = pieces[index];
        fixed (float* w = parameters[p].Parameter.Value.Data, a = averages[p])
            VectorKernel.Run(new Kernel { W = w + from, A = a + from, Count = count, Rest = rest });
    }

    /// <summary>a ← a + (1 − β)·(w − a).</summary>
    private unsafe struct Kernel : IVectorKernel
    {
        public float* W, A;
        public int Count;
        public float Rest;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            V rest = S.Create(Rest);
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count)
            {
                V a = S.Load(A + i);
                S.Store(A + i, S.MultiplyAdd(rest, S.Subtract(S.Load(W + i), a), a));
            }
            for (; i < Count; i++) A[i] = MathF.FusedMultiplyAdd(Rest, W[i] - A[i], A[i]);
        }
    }
}
