using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// The register tiles that the products and the convolutions are made of, at one vector width: up to 4 vectors by 6 numbers (by 3 where
/// there are only 16 registers) of the result stay in registers while a tile runs down the inner dimension. R and C, its height in vectors
/// and its width, are constants to the JIT: the branches on them vanish.
/// </summary>
internal static unsafe class Tiles<S, V, T> where S : struct, ISimd<V, T> where V : struct where T : unmanaged, System.Numerics.INumber<T>
{
    // ---- a product: rows in vectors, numbers of B one by one ----

    /// <summary>c ← β·c + α·Σ_k a[:,k]·b[k,:], for R neighbouring vectors of rows and C columns; with β = 0 c is not read.</summary>
    /// <param name="a">The first column's vectors.</param>
    /// <param name="stepA">From one column of a to the next.</param>
    /// <param name="b">The first row's numbers.</param>
    /// <param name="stepK">From one row of b to the next.</param>
    /// <param name="stepN">From one column of b to the next.</param>
    /// <param name="depth">K.</param>
    /// <param name="alpha">α.</param>
    /// <param name="beta">β.</param>
    /// <param name="c">The first column.</param>
    /// <param name="ldc">From one column of c to the next.</param>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Outer<R, C>(T* a, nint stepA, T* b, nint stepK, nint stepN, int depth, T alpha, T beta, T* c, nint ldc)
        where R : struct, ICount where C : struct, ICount
    {
        V c00 = default, c10 = default, c20 = default, c30 = default;
        V c01 = default, c11 = default, c21 = default, c31 = default;
        V c02 = default, c12 = default, c22 = default, c32 = default;
        V c03 = default, c13 = default, c23 = default, c33 = default;
        V c04 = default, c14 = default, c24 = default, c34 = default;
        V c05 = default, c15 = default, c25 = default, c35 = default;
        T* b3 = b + 3 * stepN;
        for (int kk = 0; kk < depth; kk++)
        {
            V a0 = S.Load(a), a1 = default, a2 = default, a3 = default;
            if (R.Value > 1) a1 = S.Load(a + S.Count);
            if (R.Value > 2) a2 = S.Load(a + 2 * S.Count);
            if (R.Value > 3) a3 = S.Load(a + 3 * S.Count);
            V w = S.Create(b[0]);
            c00 = S.MultiplyAdd(a0, w, c00);
            if (R.Value > 1) c10 = S.MultiplyAdd(a1, w, c10);
            if (R.Value > 2) c20 = S.MultiplyAdd(a2, w, c20);
            if (R.Value > 3) c30 = S.MultiplyAdd(a3, w, c30);
            if (C.Value > 1)
            {
                w = S.Create(b[stepN]);
                c01 = S.MultiplyAdd(a0, w, c01);
                if (R.Value > 1) c11 = S.MultiplyAdd(a1, w, c11);
                if (R.Value > 2) c21 = S.MultiplyAdd(a2, w, c21);
                if (R.Value > 3) c31 = S.MultiplyAdd(a3, w, c31);
            }
            if (C.Value > 2)
            {
                w = S.Create(b[2 * stepN]);
                c02 = S.MultiplyAdd(a0, w, c02);
                if (R.Value > 1) c12 = S.MultiplyAdd(a1, w, c12);
                if (R.Value > 2) c22 = S.MultiplyAdd(a2, w, c22);
                if (R.Value > 3) c32 = S.MultiplyAdd(a3, w, c32);
            }
            if (C.Value > 3)
            {
                w = S.Create(b3[0]);
                c03 = S.MultiplyAdd(a0, w, c03);
                if (R.Value > 1) c13 = S.MultiplyAdd(a1, w, c13);
                if (R.Value > 2) c23 = S.MultiplyAdd(a2, w, c23);
                if (R.Value > 3) c33 = S.MultiplyAdd(a3, w, c33);
            }
            if (C.Value > 4)
            {
                w = S.Create(b3[stepN]);
                c04 = S.MultiplyAdd(a0, w, c04);
                if (R.Value > 1) c14 = S.MultiplyAdd(a1, w, c14);
                if (R.Value > 2) c24 = S.MultiplyAdd(a2, w, c24);
                if (R.Value > 3) c34 = S.MultiplyAdd(a3, w, c34);
            }
            if (C.Value > 5)
            {
                w = S.Create(b3[2 * stepN]);
                c05 = S.MultiplyAdd(a0, w, c05);
                if (R.Value > 1) c15 = S.MultiplyAdd(a1, w, c15);
                if (R.Value > 2) c25 = S.MultiplyAdd(a2, w, c25);
                if (R.Value > 3) c35 = S.MultiplyAdd(a3, w, c35);
            }
            a += stepA;
            b += stepK;
            b3 += stepK;
        }
        V va = S.Create(alpha), vb = S.Create(beta);
        bool update = beta != T.Zero;
        StoreColumn<R>(c, va, vb, update, c00, c10, c20, c30);
        if (C.Value > 1) StoreColumn<R>(c + ldc, va, vb, update, c01, c11, c21, c31);
        if (C.Value > 2) StoreColumn<R>(c + 2 * ldc, va, vb, update, c02, c12, c22, c32);
        if (C.Value > 3) StoreColumn<R>(c + 3 * ldc, va, vb, update, c03, c13, c23, c33);
        if (C.Value > 4) StoreColumn<R>(c + 4 * ldc, va, vb, update, c04, c14, c24, c34);
        if (C.Value > 5) StoreColumn<R>(c + 5 * ldc, va, vb, update, c05, c15, c25, c35);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreColumn<R>(T* c, V alpha, V beta, bool update, V c0, V c1, V c2, V c3) where R : struct, ICount
    {
        StoreVector(c, alpha, beta, update, c0);
        if (R.Value > 1) StoreVector(c + S.Count, alpha, beta, update, c1);
        if (R.Value > 2) StoreVector(c + 2 * S.Count, alpha, beta, update, c2);
        if (R.Value > 3) StoreVector(c + 3 * S.Count, alpha, beta, update, c3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreVector(T* c, V alpha, V beta, bool update, V value)
    {
        V scaled = S.Multiply(alpha, value);
        S.Store(c, update ? S.Add(S.Multiply(beta, S.Load(c)), scaled) : scaled);
    }

    // ---- a convolution forward: taps in place of columns of A ----

    /// <summary>What becomes of a filter's finished vectors.</summary>
    public interface IOutput
    {
        /// <summary>Takes the vectors of one filter; those past the tile's height are repetitions of the last.</summary>
        void Column<R>(int filter, V c0, V c1, V c2, V c3) where R : struct, ICount;
    }

    /// <summary>acc[r, c] ← bias[c] + Σ_k x_r[taps[k]]·w[k + c·stepW], handed to the output filter by filter.</summary>
    /// <param name="x0">Where the first vector's taps are counted from.</param>
    /// <param name="x1">The second's.</param>
    /// <param name="x2">The third's.</param>
    /// <param name="x3">The fourth's.</param>
    /// <param name="taps">Offsets of the taps, in elements.</param>
    /// <param name="depth">K.</param>
    /// <param name="w">The first filter's weights.</param>
    /// <param name="stepW">From one filter's weights to the next's.</param>
    /// <param name="bias">A number for each filter, or null.</param>
    /// <param name="output">Where the results go.</param>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Taps<R, C, O>(T* x0, T* x1, T* x2, T* x3, nint* taps, int depth, T* w, nint stepW, T* bias, O output)
        where R : struct, ICount where C : struct, ICount where O : struct, IOutput
    {
        V c00 = default, c01 = default, c02 = default, c03 = default, c04 = default, c05 = default;
        if (bias is not null)
        {
            c00 = S.Create(bias[0]);
            if (C.Value > 1) c01 = S.Create(bias[1]);
            if (C.Value > 2) c02 = S.Create(bias[2]);
            if (C.Value > 3) c03 = S.Create(bias[3]);
            if (C.Value > 4) c04 = S.Create(bias[4]);
            if (C.Value > 5) c05 = S.Create(bias[5]);
        }
        V c10 = c00, c11 = c01, c12 = c02, c13 = c03, c14 = c04, c15 = c05;
        V c20 = c00, c21 = c01, c22 = c02, c23 = c03, c24 = c04, c25 = c05;
        V c30 = c00, c31 = c01, c32 = c02, c33 = c03, c34 = c04, c35 = c05;
        T* w3 = w + 3 * stepW;
        for (nint k = 0; k < depth; k++)
        {
            nint tap = taps[k];
            V b0 = S.Create(w[k]), b1 = default, b2 = default, b3 = default, b4 = default, b5 = default;
            if (C.Value > 1) b1 = S.Create(w[k + stepW]);
            if (C.Value > 2) b2 = S.Create(w[k + 2 * stepW]);
            if (C.Value > 3) b3 = S.Create(w3[k]);
            if (C.Value > 4) b4 = S.Create(w3[k + stepW]);
            if (C.Value > 5) b5 = S.Create(w3[k + 2 * stepW]);
            V x = S.Load(x0 + tap);
            c00 = S.MultiplyAdd(x, b0, c00);
            if (C.Value > 1) c01 = S.MultiplyAdd(x, b1, c01);
            if (C.Value > 2) c02 = S.MultiplyAdd(x, b2, c02);
            if (C.Value > 3) c03 = S.MultiplyAdd(x, b3, c03);
            if (C.Value > 4) c04 = S.MultiplyAdd(x, b4, c04);
            if (C.Value > 5) c05 = S.MultiplyAdd(x, b5, c05);
            if (R.Value > 1)
            {
                x = S.Load(x1 + tap);
                c10 = S.MultiplyAdd(x, b0, c10);
                if (C.Value > 1) c11 = S.MultiplyAdd(x, b1, c11);
                if (C.Value > 2) c12 = S.MultiplyAdd(x, b2, c12);
                if (C.Value > 3) c13 = S.MultiplyAdd(x, b3, c13);
                if (C.Value > 4) c14 = S.MultiplyAdd(x, b4, c14);
                if (C.Value > 5) c15 = S.MultiplyAdd(x, b5, c15);
            }
            if (R.Value > 2)
            {
                x = S.Load(x2 + tap);
                c20 = S.MultiplyAdd(x, b0, c20);
                if (C.Value > 1) c21 = S.MultiplyAdd(x, b1, c21);
                if (C.Value > 2) c22 = S.MultiplyAdd(x, b2, c22);
                if (C.Value > 3) c23 = S.MultiplyAdd(x, b3, c23);
                if (C.Value > 4) c24 = S.MultiplyAdd(x, b4, c24);
                if (C.Value > 5) c25 = S.MultiplyAdd(x, b5, c25);
            }
            if (R.Value > 3)
            {
                x = S.Load(x3 + tap);
                c30 = S.MultiplyAdd(x, b0, c30);
                if (C.Value > 1) c31 = S.MultiplyAdd(x, b1, c31);
                if (C.Value > 2) c32 = S.MultiplyAdd(x, b2, c32);
                if (C.Value > 3) c33 = S.MultiplyAdd(x, b3, c33);
                if (C.Value > 4) c34 = S.MultiplyAdd(x, b4, c34);
                if (C.Value > 5) c35 = S.MultiplyAdd(x, b5, c35);
            }
        }
        output.Column<R>(0, c00, c10, c20, c30);
        if (C.Value > 1) output.Column<R>(1, c01, c11, c21, c31);
        if (C.Value > 2) output.Column<R>(2, c02, c12, c22, c32);
        if (C.Value > 3) output.Column<R>(3, c03, c13, c23, c33);
        if (C.Value > 4) output.Column<R>(4, c04, c14, c24, c34);
        if (C.Value > 5) output.Column<R>(5, c05, c15, c25, c35);
    }

    /// <summary>Inputs that a sum runs along, a step apart.</summary>
    /// <param name="Offset">Of the first.</param>
    /// <param name="Count">How many.</param>
    public readonly record struct Run(nint Offset, int Count);

    /// <summary>acc[r, c] ← bias[c] + Σ over the runs of x_r·w, handed to the output filter by filter.</summary>
    /// <param name="x">Where the first vector's runs are counted from.</param>
    /// <param name="stepX">From one of the R vectors to the next.</param>
    /// <param name="runs">The runs.</param>
    /// <param name="runCount">How many.</param>
    /// <param name="stepK">From one input of a run to the next.</param>
    /// <param name="w">The filters' weights, input by input side by side.</param>
    /// <param name="bias">A number for each filter, or null.</param>
    /// <param name="output">Where the results go.</param>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Along<R, C, O>(T* x, nint stepX, Run* runs, int runCount, nint stepK, T* w, T* bias, ref O output)
        where R : struct, ICount where C : struct, ICount where O : struct, IOutput
    {
        V c00 = default, c01 = default, c02 = default, c03 = default, c04 = default, c05 = default;
        if (bias is not null)
        {
            c00 = S.Create(bias[0]);
            if (C.Value > 1) c01 = S.Create(bias[1]);
            if (C.Value > 2) c02 = S.Create(bias[2]);
            if (C.Value > 3) c03 = S.Create(bias[3]);
            if (C.Value > 4) c04 = S.Create(bias[4]);
            if (C.Value > 5) c05 = S.Create(bias[5]);
        }
        V c10 = c00, c11 = c01, c12 = c02, c13 = c03, c14 = c04, c15 = c05;
        V c20 = c00, c21 = c01, c22 = c02, c23 = c03, c24 = c04, c25 = c05;
        V c30 = c00, c31 = c01, c32 = c02, c33 = c03, c34 = c04, c35 = c05;
        for (int run = 0; run < runCount; run++)
        {
            T* a = x + runs[run].Offset;
            for (int k = runs[run].Count; k > 0; k--)
            {
                V b0 = S.Create(w[0]), b1 = default, b2 = default, b3 = default, b4 = default, b5 = default;
                if (C.Value > 1) b1 = S.Create(w[1]);
                if (C.Value > 2) b2 = S.Create(w[2]);
                if (C.Value > 3) b3 = S.Create(w[3]);
                if (C.Value > 4) b4 = S.Create(w[4]);
                if (C.Value > 5) b5 = S.Create(w[5]);
                V v = S.Load(a);
                c00 = S.MultiplyAdd(v, b0, c00);
                if (C.Value > 1) c01 = S.MultiplyAdd(v, b1, c01);
                if (C.Value > 2) c02 = S.MultiplyAdd(v, b2, c02);
                if (C.Value > 3) c03 = S.MultiplyAdd(v, b3, c03);
                if (C.Value > 4) c04 = S.MultiplyAdd(v, b4, c04);
                if (C.Value > 5) c05 = S.MultiplyAdd(v, b5, c05);
                if (R.Value > 1)
                {
                    v = S.Load(a + stepX);
                    c10 = S.MultiplyAdd(v, b0, c10);
                    if (C.Value > 1) c11 = S.MultiplyAdd(v, b1, c11);
                    if (C.Value > 2) c12 = S.MultiplyAdd(v, b2, c12);
                    if (C.Value > 3) c13 = S.MultiplyAdd(v, b3, c13);
                    if (C.Value > 4) c14 = S.MultiplyAdd(v, b4, c14);
                    if (C.Value > 5) c15 = S.MultiplyAdd(v, b5, c15);
                }
                if (R.Value > 2)
                {
                    v = S.Load(a + 2 * stepX);
                    c20 = S.MultiplyAdd(v, b0, c20);
                    if (C.Value > 1) c21 = S.MultiplyAdd(v, b1, c21);
                    if (C.Value > 2) c22 = S.MultiplyAdd(v, b2, c22);
                    if (C.Value > 3) c23 = S.MultiplyAdd(v, b3, c23);
                    if (C.Value > 4) c24 = S.MultiplyAdd(v, b4, c24);
                    if (C.Value > 5) c25 = S.MultiplyAdd(v, b5, c25);
                }
                if (R.Value > 3)
                {
                    v = S.Load(a + 3 * stepX);
                    c30 = S.MultiplyAdd(v, b0, c30);
                    if (C.Value > 1) c31 = S.MultiplyAdd(v, b1, c31);
                    if (C.Value > 2) c32 = S.MultiplyAdd(v, b2, c32);
                    if (C.Value > 3) c33 = S.MultiplyAdd(v, b3, c33);
                    if (C.Value > 4) c34 = S.MultiplyAdd(v, b4, c34);
                    if (C.Value > 5) c35 = S.MultiplyAdd(v, b5, c35);
                }
                a += stepK;
                w += C.Value;
            }
        }
        output.Column<R>(0, c00, c10, c20, c30);
        if (C.Value > 1) output.Column<R>(1, c01, c11, c21, c31);
        if (C.Value > 2) output.Column<R>(2, c02, c12, c22, c32);
        if (C.Value > 3) output.Column<R>(3, c03, c13, c23, c33);
        if (C.Value > 4) output.Column<R>(4, c04, c14, c24, c34);
        if (C.Value > 5) output.Column<R>(5, c05, c15, c25, c35);
    }

    // ---- inner products of vectors: the weight's gradient, and products of a transposed A ----

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
