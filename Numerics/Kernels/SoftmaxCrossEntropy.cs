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
            for (; n <= Samples - S.Count; n += S.Count) Strip<S, V>(X + n, Samples, Losses + n, Maxima + n, Dx + n, Samples);
            if (n == Samples) return;

            // The last samples, fewer than a vector: the same arithmetic on copies as wide as one.
            int rest = Samples - n;
            float[] rented = System.Buffers.ArrayPool<float>.Shared.Rent(2 * (Classes + 1) * S.Count);
            fixed (float* copy = rented)
            {
                float* copyDx = copy + Classes * S.Count, copyLosses = copyDx + Classes * S.Count, copyMaxima = copyLosses + S.Count;
                for (int j = 0; j < Classes; j++)
                    for (int lane = 0; lane < S.Count; lane++) copy[j * S.Count + lane] = lane < rest ? X[(nint)j * Samples + n + lane] : 0;
                Strip<S, V>(copy, S.Count, copyLosses, copyMaxima, copyDx, S.Count);
                for (int lane = 0; lane < rest; lane++)
                {
                    (Losses[n + lane], Maxima[n + lane]) = (copyLosses[lane], copyMaxima[lane]);
                    for (int j = 0; j < Classes; j++) Dx[(nint)j * Samples + n + lane] = copyDx[j * S.Count + lane];
                }
            }
            System.Buffers.ArrayPool<float>.Shared.Return(rented);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private readonly void Strip<S, V>(float* x, nint step, float* losses, float* maxima, float* dx, nint stepDx) where S
            : struct, ISimd<V, float> where V : struct
        {
            V max = S.Load(x);
            for (int j = 1; j < Classes; j++) max = S.Max(max, S.Load(x + j * step));
            V sum = default;
            for (int j = 0; j < Classes; j++)
            {
                V e = S.Exp(S.Subtract(S.Load(x + j * step), max));
                sum = S.Add(sum, e);
                S.Store(dx + j * stepDx, e);
            }
            S.Store(maxima, max);
            S.Store(losses, S.Log(sum));
            V factor = S.Divide(S.Create(Scale), sum);
            for (int j = 0; j < Classes; j++) S.Store(dx + j * stepDx, S.Multiply(S.Load(dx + j * stepDx), factor));
        }
    }
}
