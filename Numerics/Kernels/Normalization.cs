using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// What normalizing layers do with the values of one channel, which lie side by side: each in one pass over memory. Sums go over runs that
/// stay in the first-level cache, in the lanes of vectors, and from run to run in double.
/// </summary>
internal static unsafe class Normalization
{
    /// <summary>Elements whose sum is taken in float lanes: a few for each lane.</summary>
    private const int Run = 1024;

    /// <summary>The mean, and Σ (x − mean)².</summary>
    public static (double Mean, double Squares) Moments(ReadOnlySpan<float> x)
    {
        double mean = 0, squares = 0;
        float* result = stackalloc float[2];
        fixed (float* px = x)
        {
            for (int start = 0; start < x.Length; start += Run)
            {
                int count = Math.Min(Run, x.Length - start);
                // About a mean of float sums: what that lacks is in the sum of the differences.
                float about = Elementwise.Sum(x.Slice(start, count)) / count;
                VectorKernel.RunInLanes(new MomentsKernel { X = px + start, Count = count, About = about, Result = result });
                double own = about + (double)result[0] / count, ownSquares = result[1] - (double)result[0] * result[0] / count;
                // Chan, Golub and LeVeque 1983.
                double difference = own - mean, all = start + count;
                mean += difference * (count / all);
                squares += ownSquares + difference * difference * (start * (double)count / all);
            }
        }
        return (mean, squares);
    }

    /// <summary>Σ dy and Σ dy·(x − mean)·scale; with y, of the dy where y &gt; 0.</summary>
    public static (double Sum, double SumHat) GradientSums(ReadOnlySpan<float> x, ReadOnlySpan<float> dy, ReadOnlySpan<float> y,
        double mean, double scale)
    {
        double sum = 0, sumHat = 0;
        float* result = stackalloc float[2];
        fixed (float* px = x, pdy = dy, py = y)
        {
            for (int start = 0; start < x.Length; start += Run)
            {
                VectorKernel.RunInLanes(new GradientSumsKernel
                {
                    X = px + start, Dy = pdy + start, Y = py is null ? null : py + start, Mean = (float)mean,
                        Count = Math.Min(Run, x.Length - start), Result = result,
                });
                sum += result[0];
                sumHat += result[1];
            }
        }
        return (sum, (sumHat + sum * ((float)mean - mean)) * scale);
    }

    /// <summary>y ← (x − mean)·factor + offset, plus the skip if there is one, and not less than 0 if rectified.</summary>
    public static void Forward(ReadOnlySpan<float> x, ReadOnlySpan<float> skip, Span<float> y, double mean, double factor, double offset,
        bool rectified)
    {
        // What rounding takes from the mean, the offset makes good.
        offset += ((float)mean - mean) * factor;
        fixed (float* px = x, ps = skip, py = y)
            VectorKernel.Run(new ForwardKernel { X = px, Skip = ps, Y = py, Count = y.Length, Mean = (float)mean, Factor = (float)factor,
                Offset = (float)offset, Rectified = rectified });
    }

    /// <summary>dx ← factor·(dy − meanDy + slope·(x − mean)); with y, for the dy where y &gt; 0.</summary>
    public static void Backward(ReadOnlySpan<float> x, ReadOnlySpan<float> dy, ReadOnlySpan<float> y, Span<float> dx, double mean,
        double factor, double meanDy, double slope)
    {
        // What rounding takes from the means comes back with the low part: of the sum over a channel, which is zero, little else is left.
        double shift = meanDy - ((float)mean - mean) * slope;
        fixed (float* px = x, pdy = dy, py = y, pdx = dx)
            VectorKernel.Run(new BackwardKernel { X = px, Dy = pdy, Y = py, Dx = pdx, Count = dx.Length, Mean = (float)mean,
                Factor = (float)factor, High = (float)shift, Low = (float)(shift - (float)shift), Slope = (float)slope });
    }

    /// <summary>Σ (x − about), and Σ (x − about)².</summary>
    private struct MomentsKernel : IVectorKernel
    {
        public float* X, Result;
        public float About;
        public int Count;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            V sum = default, squares = default;
            if (Count < S.Count) (sum, squares) = OfFew<S, V>();
            V about = S.Create(About), x;
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count)
            {
                x = S.Subtract(S.Load(X + i), about);
                (sum, squares) = (S.Add(sum, x), S.MultiplyAdd(x, x, squares));
            }
            if (i > 0 && i < Count)
            {
                x = S.And(Ending.Mask<S, V>(Count - i), S.Subtract(Ending.Load<S, V>(X + i, Count - i), about));
                (sum, squares) = (S.Add(sum, x), S.MultiplyAdd(x, x, squares));
            }
            (Result[0], Result[1]) = (S.Sum(sum), S.Sum(squares));
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private readonly (V Sum, V Squares) OfFew<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            V x = default;
            float* elements = (float*)Unsafe.AsPointer(ref x);
            for (int i = 0; i < Count; i++) elements[i] = X[i] - About;
            return (x, S.Multiply(x, x));
        }
    }

    private struct GradientSumsKernel : IVectorKernel
    {
        public float* X, Dy, Y, Result;
        public float Mean;
        public int Count;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            V sum = default, along = default;
            if (Count < S.Count) (sum, along) = OfFew<S, V>();
            V mean = S.Create(Mean);
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count) Add<S, V, Whole>(i, mean, ref sum, ref along);
            if (i > 0 && i < Count) Add<S, V, Ending>(i, mean, ref sum, ref along);
            (Result[0], Result[1]) = (S.Sum(sum), S.Sum(along));
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private readonly (V Sum, V Along) OfFew<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            V sum = default, along = default;
            Add<S, V, Few>(0, S.Create(Mean), ref sum, ref along);
            return (sum, along);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private readonly void Add<S, V, P>(int i, V mean, ref V sum, ref V along) where S : struct, ISimd<V, float> where V : struct
            where P : IPart
        {
            V dy = P.Load<S, V>(Dy + i, Count - i);
            if (Y is not null) dy = S.And(S.GreaterThan(P.Load<S, V>(Y + i, Count - i), default), dy);
            sum = S.Add(sum, dy);
            along = S.MultiplyAdd(dy, S.Subtract(P.Load<S, V>(X + i, Count - i), mean), along);
        }
    }

    private struct ForwardKernel : IVectorKernel
    {
        public float* X, Skip, Y;
        public float Mean, Factor, Offset;
        public int Count;
        public bool Rectified;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            V mean = S.Create(Mean), factor = S.Create(Factor), offset = S.Create(Offset);
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count)
            {
                V y = S.MultiplyAdd(S.Subtract(S.Load(X + i), mean), factor, offset);
                if (Skip is not null) y = S.Add(y, S.Load(Skip + i));
                S.Store(Y + i, Rectified ? S.Max(y, default) : y);
            }
            for (; i < Count; i++)
            {
                float y = MathF.FusedMultiplyAdd(X[i] - Mean, Factor, Offset);
                if (Skip is not null) y += Skip[i];
                Y[i] = Rectified ? MathF.Max(y, 0) : y;
            }
        }
    }

    private struct BackwardKernel : IVectorKernel
    {
        public float* X, Dy, Y, Dx;
        public float Mean, Factor, High, Low, Slope;
        public int Count;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            V mean = S.Create(Mean), factor = S.Create(Factor), high = S.Create(High), low = S.Create(Low), slope = S.Create(Slope);
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count)
            {
                V dy = S.Load(Dy + i);
                if (Y is not null) dy = S.And(S.GreaterThan(S.Load(Y + i), default), dy);
                V centred = S.Subtract(S.Subtract(dy, high), low);
                S.Store(Dx + i, S.Multiply(S.MultiplyAdd(S.Subtract(S.Load(X + i), mean), slope, centred), factor));
            }
            for (; i < Count; i++)
            {
                float dy = Y is null || Y[i] > 0 ? Dy[i] : 0;
                Dx[i] = MathF.FusedMultiplyAdd(X[i] - Mean, Slope, dy - High - Low) * Factor;
            }
        }
    }
}
