using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>Inner products of vectors, for the weight's gradient and products of a transposed A; and the input's gradient.</summary>
internal static unsafe partial class Tiles<S, V, T>
    where S : struct, ISimd<V, T> where V : struct where T : unmanaged, System.Numerics.INumber<T>
{
    /// <summary>A stretch of output positions, row by row, as the weight's gradient runs along it.</summary>
    /// <param name="Rows">Output rows.</param>
    /// <param name="XRow">From one output row's inputs to the next's, in elements.</param>
    /// <param name="DyRow">From one output row to the next.</param>
    /// <param name="Positions">Runs in a row: the output positions, or one where neighbours lie side by side.</param>
    /// <param name="XPosition">From one run's inputs to the next's.</param>
    /// <param name="Run">Elements of a run, a multiple of the lanes.</param>
    /// <param name="Lanes">From one vector of a run to the next: as many elements as a sum has lanes.</param>
    public readonly record struct Stretch(int Rows, nint XRow, nint DyRow, int Positions, nint XPosition, nint Run, nint Lanes);

    /// <summary>sums[r·C + c] ← (sums, or 0) + Σ over the stretch of x[taps[r]]·dy_c, a vector of lanes each.</summary>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Dot<R, C>(T* x, nint* taps, T* dy, nint stepDy, in Stretch along, T* sums, bool fresh)
        where R : struct, ICount where C : struct, ICount
    {
        V c00 = default, c01 = default, c02 = default, c03 = default, c04 = default, c05 = default;
        V c10 = default, c11 = default, c12 = default, c13 = default, c14 = default, c15 = default;
        V c20 = default, c21 = default, c22 = default, c23 = default, c24 = default, c25 = default;
        V c30 = default, c31 = default, c32 = default, c33 = default, c34 = default, c35 = default;
        T* x0 = x + taps[0], x1 = x0, x2 = x0, x3 = x0;
        if (R.Value > 1) x1 = x + taps[1];
        if (R.Value > 2) x2 = x + taps[2];
        if (R.Value > 3) x3 = x + taps[3];
        T* dy3 = dy + 3 * stepDy;
        nint run = along.Run, position = along.XPosition, lanes = along.Lanes;
        int positions = along.Positions;
        for (int row = 0; row < along.Rows; row++)
        {
            nint atX = row * along.XRow, atDy = row * along.DyRow;
            for (int p = 0; p < positions; p++, atX += position)
            {
                nint i = atX;
                for (nint end = atDy + run; atDy < end; atDy += lanes, i += lanes)
                {
                    V b0 = S.Load(dy + atDy), b1 = default, b2 = default, b3 = default, b4 = default, b5 = default;
                    if (C.Value > 1) b1 = S.Load(dy + stepDy + atDy);
                    if (C.Value > 2) b2 = S.Load(dy + 2 * stepDy + atDy);
                    if (C.Value > 3) b3 = S.Load(dy3 + atDy);
                    if (C.Value > 4) b4 = S.Load(dy3 + stepDy + atDy);
                    if (C.Value > 5) b5 = S.Load(dy3 + 2 * stepDy + atDy);
                    V a = S.Load(x0 + i);
                    c00 = S.MultiplyAdd(a, b0, c00);
                    if (C.Value > 1) c01 = S.MultiplyAdd(a, b1, c01);
                    if (C.Value > 2) c02 = S.MultiplyAdd(a, b2, c02);
                    if (C.Value > 3) c03 = S.MultiplyAdd(a, b3, c03);
                    if (C.Value > 4) c04 = S.MultiplyAdd(a, b4, c04);
                    if (C.Value > 5) c05 = S.MultiplyAdd(a, b5, c05);
                    if (R.Value > 1)
                    {
                        a = S.Load(x1 + i);
                        c10 = S.MultiplyAdd(a, b0, c10);
                        if (C.Value > 1) c11 = S.MultiplyAdd(a, b1, c11);
                        if (C.Value > 2) c12 = S.MultiplyAdd(a, b2, c12);
                        if (C.Value > 3) c13 = S.MultiplyAdd(a, b3, c13);
                        if (C.Value > 4) c14 = S.MultiplyAdd(a, b4, c14);
                        if (C.Value > 5) c15 = S.MultiplyAdd(a, b5, c15);
                    }
                    if (R.Value > 2)
                    {
                        a = S.Load(x2 + i);
                        c20 = S.MultiplyAdd(a, b0, c20);
                        if (C.Value > 1) c21 = S.MultiplyAdd(a, b1, c21);
                        if (C.Value > 2) c22 = S.MultiplyAdd(a, b2, c22);
                        if (C.Value > 3) c23 = S.MultiplyAdd(a, b3, c23);
                        if (C.Value > 4) c24 = S.MultiplyAdd(a, b4, c24);
                        if (C.Value > 5) c25 = S.MultiplyAdd(a, b5, c25);
                    }
                    if (R.Value > 3)
                    {
                        a = S.Load(x3 + i);
                        c30 = S.MultiplyAdd(a, b0, c30);
                        if (C.Value > 1) c31 = S.MultiplyAdd(a, b1, c31);
                        if (C.Value > 2) c32 = S.MultiplyAdd(a, b2, c32);
                        if (C.Value > 3) c33 = S.MultiplyAdd(a, b3, c33);
                        if (C.Value > 4) c34 = S.MultiplyAdd(a, b4, c34);
                        if (C.Value > 5) c35 = S.MultiplyAdd(a, b5, c35);
                    }
                }
            }
        }
        StoreRow<C>(sums, fresh, c00, c01, c02, c03, c04, c05);
        if (R.Value > 1) StoreRow<C>(sums + C.Value * S.Count, fresh, c10, c11, c12, c13, c14, c15);
        if (R.Value > 2) StoreRow<C>(sums + 2 * C.Value * S.Count, fresh, c20, c21, c22, c23, c24, c25);
        if (R.Value > 3) StoreRow<C>(sums + 3 * C.Value * S.Count, fresh, c30, c31, c32, c33, c34, c35);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreRow<C>(T* sums, bool fresh, V c0, V c1, V c2, V c3, V c4, V c5) where C : struct, ICount
    {
        StoreSum(sums, fresh, c0);
        if (C.Value > 1) StoreSum(sums + S.Count, fresh, c1);
        if (C.Value > 2) StoreSum(sums + 2 * S.Count, fresh, c2);
        if (C.Value > 3) StoreSum(sums + 3 * S.Count, fresh, c3);
        if (C.Value > 4) StoreSum(sums + 4 * S.Count, fresh, c4);
        if (C.Value > 5) StoreSum(sums + 5 * S.Count, fresh, c5);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreSum(T* sum, bool fresh, V value) => S.Store(sum, fresh ? value : S.Add(S.Load(sum), value));

    /// <summary>
    /// dx of R vectors of neighbouring input positions and C channels ← Σ over the output rows whose windows have it, and over
    /// the terms of its column, one for each such output column and filter, of dy·w.
    /// </summary>
    /// <param name="dy">The gradient, at the first of the vectors.</param>
    /// <param name="rows">For each output row its offset in dy and that of its taps' weights.</param>
    /// <param name="rowCount">How many.</param>
    /// <param name="terms">For each term its offsets in dy and in the weights.</param>
    /// <param name="termCount">How many.</param>
    /// <param name="w">Weights with the channels innermost, at the first of the channels.</param>
    /// <param name="dx">The first channel's gradient.</param>
    /// <param name="stepDx">From one channel to the next.</param>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Terms<R, C>(T* dy, (nint Dy, nint W)* rows, int rowCount, (nint Dy, nint W)* terms, int termCount,
        T* w, T* dx, nint stepDx) where R : struct, ICount where C : struct, ICount
    {
        V c00 = default, c01 = default, c02 = default, c03 = default, c04 = default, c05 = default;
        V c10 = default, c11 = default, c12 = default, c13 = default, c14 = default, c15 = default;
        V c20 = default, c21 = default, c22 = default, c23 = default, c24 = default, c25 = default;
        V c30 = default, c31 = default, c32 = default, c33 = default, c34 = default, c35 = default;
        for (int row = 0; row < rowCount; row++)
        {
            T* dyRow = dy + rows[row].Dy, wRow = w + rows[row].W;
            for (nint i = 0; i < termCount; i++)
            {
                T* d = dyRow + terms[i].Dy, v = wRow + terms[i].W;
                V b0 = S.Create(v[0]), b1 = default, b2 = default, b3 = default, b4 = default, b5 = default;
                if (C.Value > 1) b1 = S.Create(v[1]);
                if (C.Value > 2) b2 = S.Create(v[2]);
                if (C.Value > 3) b3 = S.Create(v[3]);
                if (C.Value > 4) b4 = S.Create(v[4]);
                if (C.Value > 5) b5 = S.Create(v[5]);
                V a = S.Load(d);
                c00 = S.MultiplyAdd(a, b0, c00);
                if (C.Value > 1) c01 = S.MultiplyAdd(a, b1, c01);
                if (C.Value > 2) c02 = S.MultiplyAdd(a, b2, c02);
                if (C.Value > 3) c03 = S.MultiplyAdd(a, b3, c03);
                if (C.Value > 4) c04 = S.MultiplyAdd(a, b4, c04);
                if (C.Value > 5) c05 = S.MultiplyAdd(a, b5, c05);
                if (R.Value > 1)
                {
                    a = S.Load(d + S.Count);
                    c10 = S.MultiplyAdd(a, b0, c10);
                    if (C.Value > 1) c11 = S.MultiplyAdd(a, b1, c11);
                    if (C.Value > 2) c12 = S.MultiplyAdd(a, b2, c12);
                    if (C.Value > 3) c13 = S.MultiplyAdd(a, b3, c13);
                    if (C.Value > 4) c14 = S.MultiplyAdd(a, b4, c14);
                    if (C.Value > 5) c15 = S.MultiplyAdd(a, b5, c15);
                }
                if (R.Value > 2)
                {
                    a = S.Load(d + 2 * S.Count);
                    c20 = S.MultiplyAdd(a, b0, c20);
                    if (C.Value > 1) c21 = S.MultiplyAdd(a, b1, c21);
                    if (C.Value > 2) c22 = S.MultiplyAdd(a, b2, c22);
                    if (C.Value > 3) c23 = S.MultiplyAdd(a, b3, c23);
                    if (C.Value > 4) c24 = S.MultiplyAdd(a, b4, c24);
                    if (C.Value > 5) c25 = S.MultiplyAdd(a, b5, c25);
                }
                if (R.Value > 3)
                {
                    a = S.Load(d + 3 * S.Count);
                    c30 = S.MultiplyAdd(a, b0, c30);
                    if (C.Value > 1) c31 = S.MultiplyAdd(a, b1, c31);
                    if (C.Value > 2) c32 = S.MultiplyAdd(a, b2, c32);
                    if (C.Value > 3) c33 = S.MultiplyAdd(a, b3, c33);
                    if (C.Value > 4) c34 = S.MultiplyAdd(a, b4, c34);
                    if (C.Value > 5) c35 = S.MultiplyAdd(a, b5, c35);
                }
            }
        }
        StoreVectors<R>(dx, c00, c10, c20, c30);
        if (C.Value > 1) StoreVectors<R>(dx + stepDx, c01, c11, c21, c31);
        if (C.Value > 2) StoreVectors<R>(dx + 2 * stepDx, c02, c12, c22, c32);
        if (C.Value > 3) StoreVectors<R>(dx + 3 * stepDx, c03, c13, c23, c33);
        if (C.Value > 4) StoreVectors<R>(dx + 4 * stepDx, c04, c14, c24, c34);
        if (C.Value > 5) StoreVectors<R>(dx + 5 * stepDx, c05, c15, c25, c35);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreVectors<R>(T* to, V c0, V c1, V c2, V c3) where R : struct, ICount
    {
        S.Store(to, c0);
        if (R.Value > 1) S.Store(to + S.Count, c1);
        if (R.Value > 2) S.Store(to + 2 * S.Count, c2);
        if (R.Value > 3) S.Store(to + 3 * S.Count, c3);
    }
}
