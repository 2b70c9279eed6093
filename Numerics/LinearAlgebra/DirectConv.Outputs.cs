using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>What becomes of a tile's sums when they leave the registers.</summary>
internal sealed unsafe partial class DirectConv<S, V>
{
    /// <summary>Adds up what a stretch of the taps gives, filter by filter.</summary>
    private struct SumOutput : Tiles<S, V, float>.IOutput
    {
        public const int Rows = 4;

        /// <summary>Numbers of a tile.</summary>
        public static int Size => MostFilters * Rows * S.Count;

        public float* Sums;
        public bool First;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Column<R>(int filter, V c0, V c1, V c2, V c3) where R : struct, ICount
        {
            float* sums = Sums + filter * Rows * S.Count;
            Add(sums, c0);
            if (R.Value > 1) Add(sums + S.Count, c1);
            if (R.Value > 2) Add(sums + 2 * S.Count, c2);
            if (R.Value > 3) Add(sums + 3 * S.Count, c3);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private readonly void Add(float* sum, V value) => S.Store(sum, First ? value : S.Add(S.Load(sum), value));
    }

    /// <summary>Adds the last stretch, and hands the whole sum on.</summary>
    private struct LastOutput<O> : Tiles<S, V, float>.IOutput where O : struct, Tiles<S, V, float>.IOutput
    {
        public float* Sums;
        public O Output;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Column<R>(int filter, V c0, V c1, V c2, V c3) where R : struct, ICount
        {
            float* sums = Sums + filter * SumOutput.Rows * S.Count;
            c0 = S.Add(S.Load(sums), c0);
            if (R.Value > 1) c1 = S.Add(S.Load(sums + S.Count), c1);
            if (R.Value > 2) c2 = S.Add(S.Load(sums + 2 * S.Count), c2);
            if (R.Value > 3) c3 = S.Add(S.Load(sums + 3 * S.Count), c3);
            Output.Column<R>(filter, c0, c1, c2, c3);
        }
    }

    /// <summary>What is done to a filter's sums: y = scale·sum + bias + skip, not less than 0 if rectified. What is null is left out; a
    /// bias without a scale is in the sums already.</summary>
    private struct Epilogue
    {
        public float* Bias, Scale, Skip;
        public bool Rectified;

        public readonly bool IsPlain => Scale is null && Skip is null && !Rectified;

        /// <summary>That of the filters from one on, at a place of their outputs.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly Epilogue At(int filter, nint place) => new()
        {
            Bias = Bias is null ? null : Bias + filter,
            Scale = Scale is null ? null : Scale + filter,
            Skip = Skip is null ? null : Skip + place,
            Rectified = Rectified,
        };

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly V Of(V sum, int filter, nint at)
        {
            V zero = default;
            if (Scale is not null) sum = S.MultiplyAdd(sum, S.Create(Scale[filter]), Bias is null ? zero : S.Create(Bias[filter]));
            if (Skip is not null) sum = S.Add(sum, S.Load(Skip + at));
            return Rectified ? S.Max(sum, zero) : sum;
        }

        /// <summary>The same of some vectors of a filter, side by side but for the last one.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Column<R>(int filter, nint at, nint last, ref V c0, ref V c1, ref V c2, ref V c3) where R : struct, ICount
        {
            V zero = default;
            if (Scale is not null)
            {
                V scale = S.Create(Scale[filter]), bias = Bias is null ? zero : S.Create(Bias[filter]);
                c0 = S.MultiplyAdd(c0, scale, bias);
                if (R.Value > 1) c1 = S.MultiplyAdd(c1, scale, bias);
                if (R.Value > 2) c2 = S.MultiplyAdd(c2, scale, bias);
                if (R.Value > 3) c3 = S.MultiplyAdd(c3, scale, bias);
            }
            if (Skip is not null)
            {
                float* skip = Skip + at;
                c0 = S.Add(c0, S.Load(R.Value == 1 ? skip + last : skip));
                if (R.Value > 1) c1 = S.Add(c1, S.Load(R.Value == 2 ? skip + last : skip + S.Count));
                if (R.Value > 2) c2 = S.Add(c2, S.Load(R.Value == 3 ? skip + last : skip + 2 * S.Count));
                if (R.Value > 3) c3 = S.Add(c3, S.Load(skip + last));
            }
            if (!Rectified) return;
            c0 = S.Max(c0, zero);
            if (R.Value > 1) c1 = S.Max(c1, zero);
            if (R.Value > 2) c2 = S.Max(c2, zero);
            if (R.Value > 3) c3 = S.Max(c3, zero);
        }
    }

    /// <summary>Vectors side by side, with an epilogue, and a last vector that may overlap the one before it.</summary>
    private struct EpilogueOutput : Tiles<S, V, float>.IOutput
    {
        public float* Y;
        public nint Step, Last;
        public Epilogue After;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Column<R>(int filter, V c0, V c1, V c2, V c3) where R : struct, ICount
        {
            nint at = filter * Step;
            float* y = Y + at;
            After.Column<R>(filter, at, Last, ref c0, ref c1, ref c2, ref c3);
            if (R.Value > 1) S.Store(y, c0);
            if (R.Value > 2) S.Store(y + S.Count, c1);
            if (R.Value > 3) S.Store(y + 2 * S.Count, c2);
            S.Store(y + Last, R.Value == 1 ? c0 : R.Value == 2 ? c1 : R.Value == 3 ? c2 : c3);
        }
    }

    /// <summary>The largest of a window's vectors, in its taps' order: of equal ones the first wins, and a NaN over all.</summary>
    private struct PoolOutput : Tiles<S, V, float>.IOutput
    {
        public float* Y, Argmax;
        public nint Step;
        public int Tap;
        public bool First, Rectified;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Column<R>(int filter, V c0, V c1, V c2, V c3) where R : struct, ICount
        {
            V best = c0, zero = default;
            float* y = Y + filter * Step;
            if (Argmax is null)
            {
                if (R.Value > 1) best = S.Max(best, c1);
                if (R.Value > 2) best = S.Max(best, c2);
                if (R.Value > 3) best = S.Max(best, c3);
                if (!First) best = S.Max(S.Load(y), best);
            }
            else
            {
                float* argmax = Argmax + filter * Step;
                V winner = S.Create((float)Tap);
                if (!First)
                {
                    (best, winner) = (S.Load(y), S.Load(argmax));
                    Compare(ref best, ref winner, c0, Tap);
                }
                if (R.Value > 1) Compare(ref best, ref winner, c1, Tap + 1);
                if (R.Value > 2) Compare(ref best, ref winner, c2, Tap + 2);
                if (R.Value > 3) Compare(ref best, ref winner, c3, Tap + 3);
                if (Rectified) winner = S.Select(S.GreaterThan(best, zero), winner, S.Create(-1f));
                S.Store(argmax, winner);
            }
            S.Store(y, Rectified ? S.Max(best, zero) : best);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Compare(ref V best, ref V winner, V value, int tap)
        {
            V wins = S.Or(S.GreaterThan(value, best), S.IsNaN(value));
            best = S.Select(wins, value, best);
            winner = S.Select(wins, S.Create((float)tap), winner);
        }
    }
}
