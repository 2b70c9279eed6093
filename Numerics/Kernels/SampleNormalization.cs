using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// What layers do that normalize each sample on its own. A feature is a run of N values, and so are the samples' statistics: every lane of
/// a vector is a sample.
/// </summary>
internal static unsafe class SampleNormalization
{
    /// <summary>sum ← sum + (x − mean)².</summary>
    public static void AddSquares(ReadOnlySpan<float> x, ReadOnlySpan<float> mean, Span<float> sum)
    {
        fixed (float* px = x, pm = mean, ps = sum)
            VectorKernel.Run(new AddSquaresKernel { X = px, Mean = pm, Sum = ps, Count = sum.Length });
    }

    /// <summary>y ← (x − mean)·scale·weight + bias.</summary>
    public static void Forward(ReadOnlySpan<float> x, ReadOnlySpan<float> mean, ReadOnlySpan<float> scale, float weight, float bias,
        Span<float> y)
    {
        fixed (float* px = x, pm = mean, ps = scale, py = y)
            VectorKernel.Run(new ForwardKernel { X = px, Mean = pm, Scale = ps, Y = py, Weight = weight, Bias = bias, Count = y.Length });
    }

    /// <summary>
    /// With x̂ = (x − mean)·scale: dySum ← dySum + weight·dy and hatSum ← hatSum + weight·dy·x̂, sample by sample; returns Σ dy and
    /// Σ dy·x̂ over the samples.
    /// </summary>
    public static (float Sum, float SumHat) AddGradientSums(ReadOnlySpan<float> x, ReadOnlySpan<float> dy, ReadOnlySpan<float> mean,
        ReadOnlySpan<float> scale, float weight, Span<float> dySum, Span<float> hatSum)
    {
        float* result = stackalloc float[2];
        fixed (float* px = x, pdy = dy, pm = mean, ps = scale, pds = dySum, phs = hatSum)
            VectorKernel.RunInLanes(new GradientSumsKernel
            {
                X = px, Dy = pdy, Mean = pm, Scale = ps, DySum = pds, HatSum = phs, Weight = weight, Count = x.Length, Result = result,
            });
        return (result[0], result[1]);
    }

    /// <summary>dx ← scale·(weight·dy − dyMean − x̂·hatMean).</summary>
    public static void Backward(ReadOnlySpan<float> x, ReadOnlySpan<float> dy, ReadOnlySpan<float> mean, ReadOnlySpan<float> scale,
        float weight, ReadOnlySpan<float> dyMean, ReadOnlySpan<float> hatMean, Span<float> dx)
    {
        fixed (float* px = x, pdy = dy, pm = mean, ps = scale, pdm = dyMean, phm = hatMean, pdx = dx)
            VectorKernel.Run(new BackwardKernel
            {
                X = px, Dy = pdy, Mean = pm, Scale = ps, DyMean = pdm, HatMean = phm, Dx = pdx, Weight = weight, Count = dx.Length,
            });
    }

    private struct AddSquaresKernel : IVectorKernel
    {
        public float* X, Mean, Sum;
        public int Count;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count)
            {
                V x = S.Subtract(S.Load(X + i), S.Load(Mean + i));
                S.Store(Sum + i, S.MultiplyAdd(x, x, S.Load(Sum + i)));
            }
            for (; i < Count; i++)
            {
                float x = X[i] - Mean[i];
                Sum[i] = MathF.FusedMultiplyAdd(x, x, Sum[i]);
            }
        }
    }

    private struct ForwardKernel : IVectorKernel
    {
        public float* X, Mean, Scale, Y;
        public float Weight, Bias;
        public int Count;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            V weight = S.Create(Weight), bias = S.Create(Bias);
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count)
            {
                V hat = S.Multiply(S.Subtract(S.Load(X + i), S.Load(Mean + i)), S.Load(Scale + i));
                S.Store(Y + i, S.MultiplyAdd(hat, weight, bias));
            }
            for (; i < Count; i++) Y[i] = MathF.FusedMultiplyAdd((X[i] - Mean[i]) * Scale[i], Weight, Bias);
        }
    }

    private struct GradientSumsKernel : IVectorKernel
    {
        public float* X, Dy, Mean, Scale, DySum, HatSum, Result;
        public float Weight;
        public int Count;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            V sum = default, sumHat = default;
            if (Count < S.Count) (sum, sumHat) = OfFew<S, V>();
            V weight = S.Create(Weight);
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count) Add<S, V, Whole>(i, weight, ref sum, ref sumHat);
            if (i > 0 && i < Count) Add<S, V, Ending>(i, weight, ref sum, ref sumHat);
            (Result[0], Result[1]) = (S.Sum(sum), S.Sum(sumHat));
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private readonly (V Sum, V SumHat) OfFew<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            V sum = default, sumHat = default;
            Add<S, V, Few>(0, S.Create(Weight), ref sum, ref sumHat);
            return (sum, sumHat);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private readonly void Add<S, V, P>(int i, V weight, ref V sum, ref V sumHat) where S : struct, ISimd<V, float> where V : struct
            where P : IPart
        {
            int count = Count - i;
            V dy = P.Load<S, V>(Dy + i, count), centred = S.Subtract(P.Load<S, V>(X + i, count), P.Load<S, V>(Mean + i, count));
            V hat = S.Multiply(centred, P.Load<S, V>(Scale + i, count)), weighted = S.Multiply(weight, dy);
            (sum, sumHat) = (S.Add(sum, dy), S.MultiplyAdd(dy, hat, sumHat));
            P.Store<S, V>(DySum + i, S.Add(P.Load<S, V>(DySum + i, count), weighted), count);
            P.Store<S, V>(HatSum + i, S.MultiplyAdd(weighted, hat, P.Load<S, V>(HatSum + i, count)), count);
        }
    }

    private struct BackwardKernel : IVectorKernel
    {
        public float* X, Dy, Mean, Scale, DyMean, HatMean, Dx;
        public float Weight;
        public int Count;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            V weight = S.Create(Weight);
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count)
            {
                V scale = S.Load(Scale + i), hat = S.Multiply(S.Subtract(S.Load(X + i), S.Load(Mean + i)), scale);
                V along = S.MultiplyAdd(hat, S.Load(HatMean + i), S.Load(DyMean + i));
                S.Store(Dx + i, S.Multiply(scale, S.Subtract(S.Multiply(weight, S.Load(Dy + i)), along)));
            }
            for (; i < Count; i++)
            {
                float along = MathF.FusedMultiplyAdd((X[i] - Mean[i]) * Scale[i], HatMean[i], DyMean[i]);
                Dx[i] = Scale[i] * (Weight * Dy[i] - along);
            }
        }
    }
}
