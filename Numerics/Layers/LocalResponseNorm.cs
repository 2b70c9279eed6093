namespace OnnxLeNet.Numerics;

/// <summary>
/// Local response normalization across channels (Krizhevsky et al. 2012): y_c = x_c/d_c^β with d_c = k + α/n·Σ x_i² over the n channels
/// from c − ⌊n/2⌋ to c + ⌊(n − 1)/2⌋, those outside left out, at each place on its own. Backward:
/// dx_c = dy_c/d_c^β − 2·α·β/n·x_c·Σ dy_i·x_i/d_i^(β+1) over the channels i whose windows hold c.
/// </summary>
public sealed class LocalResponseNorm : Layer
{
    /// <summary>A layer with PyTorch's default numbers.</summary>
    /// <param name="size">n, the channels of a window.</param>
    /// <param name="alpha">α, the factor of the mean square.</param>
    /// <param name="beta">β, the exponent.</param>
    /// <param name="k">What is added to the mean square.</param>
    /// <exception cref="ArgumentOutOfRangeException">A window of no channels, or a number that is not finite.</exception>
    public LocalResponseNorm(int size, double alpha = 1e-4, double beta = 0.75, double k = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(size);
        (Size, Alpha, Beta, K) = (size, Finite(alpha, nameof(alpha)), Finite(beta, nameof(beta)), Finite(k, nameof(k)));

        static double Finite(double value, string name) => double.IsFinite(value) ? value
            : throw new ArgumentOutOfRangeException(name, value, $"{name} is a finite number");
    }

    /// <summary>n, the channels of a window.</summary>
    public int Size { get; }

    /// <summary>α, the factor of the mean square.</summary>
    public double Alpha { get; }

    /// <summary>β, the exponent.</summary>
    public double Beta { get; }

    /// <summary>What is added to the mean square.</summary>
    public double K { get; }

    private sealed class State
    {
        public float[]? Divisors, Terms, Sums; // d; dy·x/d^(β+1); its sums over the windows that hold a channel
    }

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Input;

    /// <summary>All sums over channels are made before the first element is written.</summary>
    protected internal override bool BackwardRunsInPlace => true;

    /// <inheritdoc/>
    public override Shape OutputShape(Shape sample) => sample.Rank >= 2 ? sample
        : throw new ShapeException($"{Label} takes a batch [N, C, L], [N, C, H, W] or of more axes, got {sample.Batched}");

    /// <inheritdoc/>
    public override void Forward(Batch x, Batch y, Context context)
    {
        float[] divisors = Scratch.Reuse(ref context.State<State>().Divisors, x.Values.Length);
        divisors.AsSpan().Fill((float)K);
        int channels = x.Sample[0], run = x.Values.Length / channels;
        for (int c = 0; c < channels; c++)
        {
            var d = divisors.AsSpan(c * run, run);
            for (int i = Math.Max(c - Size / 2, 0); i <= Math.Min(c + (Size - 1) / 2, channels - 1); i++)
            {
                var other = x.Values.AsSpan(i * run, run);
                Elementwise.AddProduct((float)(Alpha / Size), other, other, d);
            }
        }
        Elementwise.TimesPower(x.Values, divisors, -Beta, y.Values);
    }

    /// <inheritdoc/>
    public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        if (dx is null) return;
        var state = context.State<State>();
        float[] terms = Scratch.Reuse(ref state.Terms, x.Values.Length), sums = Scratch.Reuse(ref state.Sums, x.Values.Length);
        Elementwise.TimesPower(x.Values, state.Divisors, -Beta - 1, terms);
        Elementwise.Multiply(terms, dy.Values, terms);
        sums.AsSpan().Clear();
        int channels = x.Sample[0], run = x.Values.Length / channels;
        for (int c = 0; c < channels; c++)
            for (int i = Math.Max(c - (Size - 1) / 2, 0); i <= Math.Min(c + Size / 2, channels - 1); i++)
                Elementwise.Add(terms.AsSpan(i * run, run), sums.AsSpan(c * run, run));
        Elementwise.TimesPower(dy.Values, state.Divisors, -Beta, dx.Values);
        Elementwise.AddProduct((float)(-2 * Alpha * Beta / Size), x.Values, sums, dx.Values);
    }

    /// <inheritdoc/>
    protected override string Describe() =>
        $"{Size}, alpha={Python.Float(Alpha)}, beta={Python.Float(Beta)}, k={Python.Float(K)}";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("DivBackward0", this, [input]);
}
