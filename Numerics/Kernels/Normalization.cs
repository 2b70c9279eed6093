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

    /// <summary>Which elements of a gradient a ReLU lets through: all, those where y &gt; 0, or where the sum before it is, which is
    /// computed anew from x.</summary>
    public readonly struct Rectifier
    {
        /// <summary>Whether the sum is computed anew.</summary>
        public bool Anew { get; private init; }

        /// <summary>What <see cref="Normalization.Forward"/> multiplied by.</summary>
        public float Factor { get; private init; }

        /// <summary>What it added.</summary>
        public float Offset { get; private init; }

        /// <summary>That of a forward with these numbers, without a skip.</summary>
        public static Rectifier Of(double mean, double factor, double offset) =>
            new() { Anew = true, Factor = (float)factor, Offset = (float)Rounded(mean, factor, offset) };
    }

    /// <summary>Σ dy and Σ dy·(x − mean)·scale; with y, of the dy where y &gt; 0.</summary>
    public static (double Sum, double SumHat) GradientSums(ReadOnlySpan<float> x, ReadOnlySpan<float> dy, ReadOnlySpan<float> y,
        double mean, double scale, Rectifier rectifier = default)
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
                    Count = Math.Min(Run, x.Length - start), Result = result, Rectifier = rectifier,
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
        fixed (float* px = x, ps = skip, py = y)
            VectorKernel.Run(new ForwardKernel { X = px, Skip = ps, Y = py, Count = y.Length, Mean = (float)mean, Factor = (float)factor,
                Offset = (float)Rounded(mean, factor, offset), Rectified = rectified });
    }

    /// <summary>The offset that makes good what rounding takes from the mean.</summary>
    private static double Rounded(double mean, double factor, double offset) => offset + ((float)mean - mean) * factor;

    /// <summary>
    /// dx ← factor·(dy − meanDy + slope·(x − mean)); with y, for the dy where y &gt; 0, which are the skip's gradient if it is wanted.
    /// Gradients may be written over dy.
    /// </summary>
    public static void Backward(ReadOnlySpan<float> x, ReadOnlySpan<float> dy, ReadOnlySpan<float> y, Span<float> dx, Span<float> dSkip,
        double mean, double factor, double meanDy, double slope, Rectifier rectifier = default)
    {
        // What rounding takes from the means comes back with the low part: of the sum over a channel, which is zero, little else is left.
        double shift = meanDy - ((float)mean - mean) * slope;
        fixed (float* px = x, pdy = dy, py = y, pdx = dx, ps = dSkip)
            VectorKernel.Run(new BackwardKernel { X = px, Dy = pdy, Y = py, Dx = pdx, DSkip = ps, Count = dx.Length, Mean = (float)mean,
                Factor = (float)factor, High = (float)shift, Low = (float)(shift - (float)shift), Slope = (float)slope,
                Rectifier = rectifier });
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
        public Rectifier Rectifier;

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
            V dy = P.Load<S, V>(Dy + i, Count - i), x = S.Subtract(P.Load<S, V>(X + i, Count - i), mean);
            if (Y is not null) dy = S.And(S.GreaterThan(P.Load<S, V>(Y + i, Count - i), default), dy);
            else if (Rectifier.Anew)
                dy = S.And(S.GreaterThan(S.MultiplyAdd(x, S.Create(Rectifier.Factor), S.Create(Rectifier.Offset)), default), dy);
            sum = S.Add(sum, dy);
            along = S.MultiplyAdd(dy, x, along);
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
        public float* X, Dy, Y, Dx, DSkip;
        public float Mean, Factor, High, Low, Slope;
        public int Count;
        public Rectifier Rectifier;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            V mean = S.Create(Mean), factor = S.Create(Factor), high = S.Create(High), low = S.Create(Low), slope = S.Create(Slope);
            V forward = S.Create(Rectifier.Factor), offset = S.Create(Rectifier.Offset);
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count)
            {
                V dy = S.Load(Dy + i), x = S.Subtract(S.Load(X + i), mean);
                if (Y is not null) dy = S.And(S.GreaterThan(S.Load(Y + i), default), dy);
                else if (Rectifier.Anew) dy = S.And(S.GreaterThan(S.MultiplyAdd(x, forward, offset), default), dy);
                if (DSkip is not null) S.Store(DSkip + i, dy);
                V centred = S.Subtract(S.Subtract(dy, high), low);
                S.Store(Dx + i, S.Multiply(S.MultiplyAdd(x, slope, centred), factor));
            }
            for (; i < Count; i++)
            {
                float dy = Dy[i], x = X[i] - Mean;
                if (Y is not null) dy = Y[i] > 0 ? dy : 0;
                else if (Rectifier.Anew) dy = MathF.FusedMultiplyAdd(x, Rectifier.Factor, Rectifier.Offset) > 0 ? dy : 0;
                if (DSkip is not null) DSkip[i] = dy;
                Dx[i] = MathF.FusedMultiplyAdd(x, Slope, dy - High - Low) * Factor;
            }
        }
    }
}
