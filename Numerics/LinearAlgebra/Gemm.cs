using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// The matrix product C[M×N] ← α·op(A)[M×K]·op(B)[K×N] + β·C on column-major arrays, one thread, at one vector width.
/// It is two register tiles and the loops around them:
/// the <b>outer</b> tile keeps 6 columns of up to 4 vectors of C in registers and adds a column of A times a row of B to it per step of k;
/// the <b>dot</b> tile keeps 4×6 inner products and runs down k, for a transposed A, whose columns are contiguous in k.
/// Within one of the two ways every element is the same chain of operations wherever in the matrix it lies. A product cut into pieces of rows
/// or columns therefore has the bits of the whole, as long as no piece has so few rows that it alone goes the other way.
/// </summary>
internal static unsafe class Gemm<S, V, T> where S : struct, ISimd<V, T> where V : struct where T : unmanaged, System.Numerics.INumber<T>
{
    /// <summary>Steps of k in one go: a 64-row float tile of A is then 64 KiB, and streams from the second-level cache.</summary>
    private const int DepthBlock = 256;

    /// <summary>Inner products shorter than this many vectors spend their time on the final sum across lanes: transpose A instead.</summary>
    private const int ShortestDot = 8;

    private const int TileColumns = 6;

    /// <summary>C ← α·op(A)·op(B) + β·C. With β = 0, C is not read.</summary>
    public static void Multiply(bool transposeA, bool transposeB, int m, int n, int k, T alpha, T* a, int lda, T* b, int ldb, T beta, T* c, int ldc)
    {
        if (m == 0 || n == 0) return;
        if (k == 0 || alpha == T.Zero) Scale(m, n, beta, c, ldc);
        else if (!transposeB && transposeA && k >= ShortestDot * S.Count) Dot(m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
        else if (!transposeB && !transposeA && m < S.Count / 2) DotOfFewRows(m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
        else Outer(transposeA, transposeB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    }

    private static void Scale(int m, int n, T beta, T* c, int ldc)
    {
        for (int j = 0; j < n; j++)
        {
            var column = new Span<T>(c + (nint)j * ldc, m);
            if (beta == T.Zero) column.Clear();
            else for (int i = 0; i < m; i++) column[i] *= beta;
        }
    }

    // ---- outer: C += A[:,k] · B[k,:] ----

    [SkipLocalsInit]
    private static void Outer(bool transposeA, bool transposeB, int m, int n, int k, T alpha, T* a, int lda, T* b, int ldb, T beta, T* c, int ldc)
    {
        int tileHeight = S.TileRows * S.Count;
        nint stepK = transposeB ? ldb : 1, stepN = transposeB ? 1 : ldb;
        T* panel = stackalloc T[tileHeight * DepthBlock];
        T* edge = stackalloc T[S.Count * TileColumns];
        for (int k0 = 0; k0 < k; k0 += DepthBlock)
        {
            int depth = Math.Min(DepthBlock, k - k0);
            T* bBlock = b + k0 * stepK;
            T blockBeta = k0 == 0 ? beta : T.One;
            for (int i0 = 0; i0 < m; i0 += tileHeight)
            {
                int height = Math.Min(tileHeight, m - i0);
                int vectors = height / S.Count, rest = height % S.Count;
                // A tile of A is read where it lies, unless it is transposed or its last vector would reach past the rows.
                T* tile = a + i0 + (nint)k0 * lda;
                nint stepA = lda;
                if (transposeA)
                {
                    PackTransposed(a + k0 + (nint)i0 * lda, lda, height, depth, panel, tileHeight);
                    tile = panel;
                    stepA = tileHeight;
                }
                else if (rest > 0)
                {
                    PackRows(tile + vectors * S.Count, lda, rest, depth, panel + vectors * S.Count, tileHeight);
                }
                for (int j = 0; j < n; j += TileColumns)
                {
                    int columns = Math.Min(TileColumns, n - j);
                    T* bTile = bBlock + j * stepN;
                    T* cTile = c + i0 + (nint)j * ldc;
                    int done = 0;
                    if (vectors == 4) { OuterTile<N4>(columns, tile, stepA, bTile, stepK, stepN, depth, alpha, blockBeta, cTile, ldc); done = 4; }
                    for (; done + 2 <= vectors; done += 2)
                        OuterTile<N2>(columns, tile + done * S.Count, stepA, bTile, stepK, stepN, depth, alpha, blockBeta, cTile + done * S.Count, ldc);
                    if (done < vectors)
                        OuterTile<N1>(columns, tile + done * S.Count, stepA, bTile, stepK, stepN, depth, alpha, blockBeta, cTile + done * S.Count, ldc);
                    if (rest > 0)
                    {
                        int top = vectors * S.Count;
                        OuterTile<N1>(columns, panel + top, tileHeight, bTile, stepK, stepN, depth, T.One, T.Zero, edge, S.Count);
                        StoreEdge(edge, rest, columns, alpha, blockBeta, cTile + top, ldc);
                    }
                }
            }
        }
    }

    /// <summary>Rows of Aᵀ from columns of A: panel[r + step·kk] ← a[kk + lda·r]; rows past the height are zero.</summary>
    private static void PackTransposed(T* a, nint lda, int height, int depth, T* panel, int step)
    {
        int padded = (height + S.Count - 1) / S.Count * S.Count;
        for (int r = 0; r < height; r++)
        {
            T* source = a + r * lda;
            for (int kk = 0; kk < depth; kk++) panel[r + (nint)kk * step] = source[kk];
        }
        for (int r = height; r < padded; r++)
            for (int kk = 0; kk < depth; kk++) panel[r + (nint)kk * step] = T.Zero;
    }

    /// <summary>The last rows of A, fewer than a vector, padded with zeros to one.</summary>
    private static void PackRows(T* a, nint lda, int rows, int depth, T* panel, int step)
    {
        for (int kk = 0; kk < depth; kk++)
            for (int r = 0; r < S.Count; r++)
                panel[r + (nint)kk * step] = r < rows ? a[r + kk * lda] : T.Zero;
    }

    private static void StoreEdge(T* edge, int rows, int columns, T alpha, T beta, T* c, nint ldc)
    {
        for (int j = 0; j < columns; j++)
            for (int r = 0; r < rows; r++)
            {
                T* element = c + r + j * ldc;
                *element = Update(alpha, edge[r + j * S.Count], beta, element);
            }
    }

    private static void OuterTile<R>(int columns, T* a, nint stepA, T* b, nint stepK, nint stepN, int depth, T alpha, T beta, T* c, nint ldc) where R : struct, ICount
    {
        switch (columns)
        {
            case 6: OuterTile<R, N6>(a, stepA, b, stepK, stepN, depth, alpha, beta, c, ldc); break;
            case 5: OuterTile<R, N5>(a, stepA, b, stepK, stepN, depth, alpha, beta, c, ldc); break;
            case 4: OuterTile<R, N4>(a, stepA, b, stepK, stepN, depth, alpha, beta, c, ldc); break;
            case 3: OuterTile<R, N3>(a, stepA, b, stepK, stepN, depth, alpha, beta, c, ldc); break;
            case 2: OuterTile<R, N2>(a, stepA, b, stepK, stepN, depth, alpha, beta, c, ldc); break;
            default: OuterTile<R, N1>(a, stepA, b, stepK, stepN, depth, alpha, beta, c, ldc); break;
        }
    }

    /// <summary>R vectors by C columns of C in registers. R and C are constants to the JIT: the branches on them vanish.</summary>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void OuterTile<R, C>(T* a, nint stepA, T* b, nint stepK, nint stepN, int depth, T alpha, T beta, T* c, nint ldc)
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
            if (R.Value > 2) { a2 = S.Load(a + 2 * S.Count); a3 = S.Load(a + 3 * S.Count); }
            V w = S.Create(b[0]);
            c00 = S.MultiplyAdd(a0, w, c00);
            if (R.Value > 1) c10 = S.MultiplyAdd(a1, w, c10);
            if (R.Value > 2) { c20 = S.MultiplyAdd(a2, w, c20); c30 = S.MultiplyAdd(a3, w, c30); }
            if (C.Value > 1)
            {
                w = S.Create(b[stepN]);
                c01 = S.MultiplyAdd(a0, w, c01);
                if (R.Value > 1) c11 = S.MultiplyAdd(a1, w, c11);
                if (R.Value > 2) { c21 = S.MultiplyAdd(a2, w, c21); c31 = S.MultiplyAdd(a3, w, c31); }
            }
            if (C.Value > 2)
            {
                w = S.Create(b[2 * stepN]);
                c02 = S.MultiplyAdd(a0, w, c02);
                if (R.Value > 1) c12 = S.MultiplyAdd(a1, w, c12);
                if (R.Value > 2) { c22 = S.MultiplyAdd(a2, w, c22); c32 = S.MultiplyAdd(a3, w, c32); }
            }
            if (C.Value > 3)
            {
                w = S.Create(b3[0]);
                c03 = S.MultiplyAdd(a0, w, c03);
                if (R.Value > 1) c13 = S.MultiplyAdd(a1, w, c13);
                if (R.Value > 2) { c23 = S.MultiplyAdd(a2, w, c23); c33 = S.MultiplyAdd(a3, w, c33); }
            }
            if (C.Value > 4)
            {
                w = S.Create(b3[stepN]);
                c04 = S.MultiplyAdd(a0, w, c04);
                if (R.Value > 1) c14 = S.MultiplyAdd(a1, w, c14);
                if (R.Value > 2) { c24 = S.MultiplyAdd(a2, w, c24); c34 = S.MultiplyAdd(a3, w, c34); }
            }
            if (C.Value > 5)
            {
                w = S.Create(b3[2 * stepN]);
                c05 = S.MultiplyAdd(a0, w, c05);
                if (R.Value > 1) c15 = S.MultiplyAdd(a1, w, c15);
                if (R.Value > 2) { c25 = S.MultiplyAdd(a2, w, c25); c35 = S.MultiplyAdd(a3, w, c35); }
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
        if (R.Value > 2)
        {
            StoreVector(c + 2 * S.Count, alpha, beta, update, c2);
            StoreVector(c + 3 * S.Count, alpha, beta, update, c3);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreVector(T* c, V alpha, V beta, bool update, V value)
    {
        V scaled = S.Multiply(alpha, value);
        S.Store(c, update ? S.Add(S.Multiply(beta, S.Load(c)), scaled) : scaled);
    }

    private static T Update(T alpha, T value, T beta, T* element) =>
        beta == T.Zero ? alpha * value : beta * *element + alpha * value;

    // ---- dot: C[i,j] = Σ_k A[k,i]·B[k,j], both contiguous in k ----

    private static void Dot(int m, int n, int k, T alpha, T* a, nint lda, T* b, nint ldb, T beta, T* c, nint ldc)
    {
        T* sums = stackalloc T[4 * TileColumns];
        for (int j = 0; j < n; j += TileColumns)
        {
            int columns = Math.Min(TileColumns, n - j);
            for (int i = 0; i < m; i += 4)
            {
                int rows = Math.Min(4, m - i);
                T* aTile = a + i * lda;
                T* bTile = b + j * ldb;
                if (rows == 4 && columns == TileColumns) DotTile<N4, N6>(aTile, lda, bTile, ldb, k, sums);
                else if (rows == 4 && columns == 4) DotTile<N4, N4>(aTile, lda, bTile, ldb, k, sums);
                else if (rows == 1 && columns == TileColumns) DotTile<N1, N6>(aTile, lda, bTile, ldb, k, sums);
                else
                {
                    for (int jj = 0; jj < columns; jj++)
                        for (int ii = 0; ii < rows; ii++)
                            DotTile<N1, N1>(aTile + ii * lda, lda, bTile + jj * ldb, ldb, k, sums + ii + 4 * jj);
                }
                for (int jj = 0; jj < columns; jj++)
                    for (int ii = 0; ii < rows; ii++)
                    {
                        T* element = c + i + ii + (j + jj) * ldc;
                        *element = Update(alpha, sums[ii + 4 * jj], beta, element);
                    }
            }
        }
    }

    /// <summary>A few rows of A, one sample say: copied out they are contiguous in k, as the columns of B are.</summary>
    private static void DotOfFewRows(int m, int n, int k, T alpha, T* a, nint lda, T* b, nint ldb, T beta, T* c, nint ldc)
    {
        if (m == 1 && lda == 1) { Dot(1, n, k, alpha, a, k, b, ldb, beta, c, ldc); return; }
        T[] rented = System.Buffers.ArrayPool<T>.Shared.Rent(checked(m * k));
        fixed (T* rows = rented)
        {
            for (int i = 0; i < m; i++)
                for (int kk = 0; kk < k; kk++) rows[kk + (nint)i * k] = a[i + kk * lda];
            Dot(m, n, k, alpha, rows, k, b, ldb, beta, c, ldc);
        }
        System.Buffers.ArrayPool<T>.Shared.Return(rented);
    }

    /// <summary>R by C inner products of length k into sums[i + 4·j].</summary>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void DotTile<R, C>(T* a, nint lda, T* b, nint ldb, int k, T* sums) where R : struct, ICount where C : struct, ICount
    {
        V c00 = default, c10 = default, c20 = default, c30 = default;
        V c01 = default, c11 = default, c21 = default, c31 = default;
        V c02 = default, c12 = default, c22 = default, c32 = default;
        V c03 = default, c13 = default, c23 = default, c33 = default;
        V c04 = default, c14 = default, c24 = default, c34 = default;
        V c05 = default, c15 = default, c25 = default, c35 = default;
        T* a2 = a + 2 * lda;
        T* b3 = b + 3 * ldb;
        int whole = k - k % S.Count;
        for (nint kk = 0; kk < whole; kk += S.Count)
        {
            V a0 = S.Load(a + kk), a1 = default, v2 = default, v3 = default;
            if (R.Value > 1) { a1 = S.Load(a + lda + kk); v2 = S.Load(a2 + kk); v3 = S.Load(a2 + lda + kk); }
            V w = S.Load(b + kk);
            c00 = S.MultiplyAdd(a0, w, c00);
            if (R.Value > 1) { c10 = S.MultiplyAdd(a1, w, c10); c20 = S.MultiplyAdd(v2, w, c20); c30 = S.MultiplyAdd(v3, w, c30); }
            if (C.Value > 1)
            {
                w = S.Load(b + ldb + kk);
                c01 = S.MultiplyAdd(a0, w, c01);
                if (R.Value > 1) { c11 = S.MultiplyAdd(a1, w, c11); c21 = S.MultiplyAdd(v2, w, c21); c31 = S.MultiplyAdd(v3, w, c31); }
                w = S.Load(b + 2 * ldb + kk);
                c02 = S.MultiplyAdd(a0, w, c02);
                if (R.Value > 1) { c12 = S.MultiplyAdd(a1, w, c12); c22 = S.MultiplyAdd(v2, w, c22); c32 = S.MultiplyAdd(v3, w, c32); }
                w = S.Load(b3 + kk);
                c03 = S.MultiplyAdd(a0, w, c03);
                if (R.Value > 1) { c13 = S.MultiplyAdd(a1, w, c13); c23 = S.MultiplyAdd(v2, w, c23); c33 = S.MultiplyAdd(v3, w, c33); }
            }
            if (C.Value > 4)
            {
                w = S.Load(b3 + ldb + kk);
                c04 = S.MultiplyAdd(a0, w, c04);
                if (R.Value > 1) { c14 = S.MultiplyAdd(a1, w, c14); c24 = S.MultiplyAdd(v2, w, c24); c34 = S.MultiplyAdd(v3, w, c34); }
                w = S.Load(b3 + 2 * ldb + kk);
                c05 = S.MultiplyAdd(a0, w, c05);
                if (R.Value > 1) { c15 = S.MultiplyAdd(a1, w, c15); c25 = S.MultiplyAdd(v2, w, c25); c35 = S.MultiplyAdd(v3, w, c35); }
            }
        }
        SumColumn<R>(sums, c00, c10, c20, c30);
        if (C.Value > 1)
        {
            SumColumn<R>(sums + 4, c01, c11, c21, c31);
            SumColumn<R>(sums + 8, c02, c12, c22, c32);
            SumColumn<R>(sums + 12, c03, c13, c23, c33);
        }
        if (C.Value > 4)
        {
            SumColumn<R>(sums + 16, c04, c14, c24, c34);
            SumColumn<R>(sums + 20, c05, c15, c25, c35);
        }
        for (int j = 0; j < C.Value; j++)
            for (int i = 0; i < R.Value; i++)
                for (nint kk = whole; kk < k; kk++) sums[i + 4 * j] += a[i * lda + kk] * b[j * ldb + kk];
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SumColumn<R>(T* sums, V c0, V c1, V c2, V c3) where R : struct, ICount
    {
        sums[0] = S.Sum(c0);
        if (R.Value > 1) { sums[1] = S.Sum(c1); sums[2] = S.Sum(c2); sums[3] = S.Sum(c3); }
    }
}

/// <summary>A number that is a type, and so a constant to the JIT.</summary>
internal interface ICount
{
    static abstract int Value { get; }
}

internal readonly struct N1 : ICount { public static int Value => 1; }
internal readonly struct N2 : ICount { public static int Value => 2; }
internal readonly struct N3 : ICount { public static int Value => 3; }
internal readonly struct N4 : ICount { public static int Value => 4; }
internal readonly struct N5 : ICount { public static int Value => 5; }
internal readonly struct N6 : ICount { public static int Value => 6; }
