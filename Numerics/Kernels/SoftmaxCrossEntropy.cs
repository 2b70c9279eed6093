using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Cross-entropy of logits and class labels, and its gradient, in one pass down the classes with a sample in every vector lane:
/// loss = log Σ_j exp(x_j) − x_label, computed from x − max so that nothing overflows; d loss / dx = softmax(x) − onehot(label).
/// </summary>
internal static unsafe class SoftmaxCrossEntropy
{
    /// <summary>Writes the loss of every sample, and the gradient of their sum times <paramref name="scale"/>. Overwrites.</summary>
    /// <param name="samples">N.</param>
    /// <param name="classes">C.</param>
    /// <param name="x">Logits [N × C].</param>
    /// <param name="labels">N classes, each 0 to C − 1, or the one to ignore.</param>
    /// <param name="ignoreIndex">The label of samples to leave out.</param>
    /// <param name="scale">Factor of the gradient: 1/N of the whole batch for its mean.</param>
    /// <param name="losses">[N].</param>
    /// <param name="maxima">[N], the largest logit of each sample.</param>
    /// <param name="dx">[N × C].</param>
    public static void ForwardBackward(int samples, int classes, ReadOnlySpan<float> x, ReadOnlySpan<int> labels, int ignoreIndex,
        float scale,
        Span<float> losses, Span<float> maxima, Span<float> dx)
    {
        if (x.Length != (long)samples * classes || dx.Length != x.Length || labels.Length != samples || losses.Length != samples
            || maxima.Length != samples)
            throw new ArgumentException($"cross-entropy of {samples}×{classes}: arrays of {x.Length}, {labels.Length}, {losses.Length} "
                + $"and {dx.Length} elements do not fit");
        fixed (float* px = x, pl = losses, pm = maxima, pdx = dx)
            VectorKernel.Run(new Kernel { Samples = samples, Classes = classes, X = px, Scale = scale, Losses = pl, Maxima = pm,
                Dx = pdx });
        for (int n = 0; n < samples; n++)
        {
            if (labels[n] == ignoreIndex)
            {
                losses[n] = 0;
                for (int j = 0; j < classes; j++) dx[j * samples + n] = 0;
                continue;
            }
            int label = labels[n] * samples + n;
            losses[n] += maxima[n] - x[label]; // the difference first: a confident sample's small loss keeps its digits
            dx[label] -= scale;
        }
    }

    /// <summary>maxima ← max x, losses ← log Σ exp(x − max), dx ← scale·softmax(x): what does not depend on the labels.</summary>
    private struct Kernel : IVectorKernel
    {
        public int Samples, Classes;
        public float* X, Losses, Maxima, Dx;
        public float Scale;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            int n = 0;
            for (; n <= Samples - S.Count; n += S.Count) Strip<S, V, Whole>(n);
            if (n == Samples) return;
            if (n > 0) Strip<S, V, Ending>(n);
            else Strip<S, V, Few>(n);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private readonly void Strip<S, V, P>(int n) where S : struct, ISimd<V, float> where V : struct where P : IPart
        {
            float* x = X + n, dx = Dx + n;
            int count = Samples - n;
            nint step = Samples, end = step * Classes;
            V max = P.Load<S, V>(x, count), sum = default;
            for (nint j = step; j < end; j += step) max = S.Max(max, P.Load<S, V>(x + j, count));
            for (nint j = 0; j < end; j += step)
            {
                V power = VectorMath.Exp<S, V>(S.Subtract(P.Load<S, V>(x + j, count), max));
                sum = S.Add(sum, power);
                P.Store<S, V>(dx + j, power, count);
            }
            P.Store<S, V>(Maxima + n, max, count);
            P.Store<S, V>(Losses + n, VectorMath.Log<S, V>(sum), count);
            V factor = S.Divide(S.Create(Scale), sum);
            for (nint j = 0; j < end; j += step) P.Store<S, V>(dx + j, S.Multiply(P.Load<S, V>(dx + j, count), factor), count);
        }
    }
}
