using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// The matrix product C[M×N] ← α·op(A)[M×K]·op(B)[K×N] + β·C on column-major arrays, one thread, at one vector width: the loops around two
/// of the <see cref="Tiles{S,V,T}"/>. The <b>outer</b> tile adds a column of A times a row of B to a piece of C per step of k; the
/// <b>dot</b> tile runs down k, for a transposed A, whose columns are contiguous in k. Within one of the two ways every element is the same
/// chain of operations wherever in the matrix it lies. A product cut into pieces of rows or columns therefore has the bits of the whole, as
/// long as no piece has so few rows or columns that it alone goes another way.
/// </summary>
internal static unsafe class Gemm<S, V, T> where S : struct, ISimd<V, T> where V : struct where T : unmanaged, System.Numerics.INumber<T>
{
    /// <summary>Steps of k in one go where A is read in place.</summary>
    private const int DepthBlock = 256;

    /// <summary>Steps of k in one go where a tile of A is copied: 32 KiB, which stay in the first-level cache while B passes by.</summary>
    private const int PackedDepth = 128;

    /// <summary>With fewer columns than this a tile of A is used too seldom to be worth a copy.</summary>
    private const int ColumnsWorthPacking = 32;

    /// <summary>B is copied too where it is larger than this, and so many tiles of rows use the copy.</summary>
    private const int BytesWorthPackingB = 2 << 20, RowsWorthPackingB = 4;

    /// <summary>Columns of B in a copy: 252 KiB of a block of depth, and blocks of depth in it.</summary>
    private static int PackedColumns => (504 << 9) / (PackedDepth * sizeof(T));
    private const int PackedBlocks = 16;

    /// <summary>Tiles of rows whose results stay in the second-level cache, beside the copy of B, from one block of depth to the
    /// next.</summary>
    private const int PackedRows = 4;

    /// <summary>Inner products shorter than this many times the lanes spend their time on the final sum across lanes: transpose A
    /// instead.</summary>
    private const int ShortestDot = 8;

    /// <summary>Rows and steps of k of the inner products in one go: the columns of B stay in the first-level cache meanwhile.</summary>
    private const int DotRows = 64, DotDepth = 1024;

    private const int TileColumns = 6;

    /// <summary>Lanes of an inner product, as many at any width: what is done how, and how long a sum is, depends on them, and on no
    /// vector's length.</summary>
    private static int Lanes => Numerics.Lanes.Count<T>();

    /// <summary>C ← α·op(A)·op(B) + β·C. With β = 0, C is not read.</summary>
    public static void Multiply(bool transposeA, bool transposeB, int m, int n, int k, T alpha, T* a, int lda, T* b, int ldb, T beta, T* c,
        int ldc)
    {
        if (m == 0 || n == 0) return;
        if (k == 0 || alpha == T.Zero) Scale(m, n, beta, c, ldc);
        else if (!transposeB && transposeA && k >= ShortestDot * Lanes
            && n < ColumnsWorthPacking) Dot(m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
        else if (!transposeB && !transposeA && m < Lanes / 2) DotOfFewRows(m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
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

    /// <summary>Part number <paramref name="part"/> of a length cut into so many parts, as equal as integers allow.</summary>
    private static int Start(int part, int parts, int length) => (int)((long)part * length / parts);

    // ---- outer: C += A[:,k] · B[k,:] ----

    private static void Outer(bool transposeA, bool transposeB, int m, int n, int k, T alpha, T* a, int lda, T* b, int ldb, T beta, T* c,
        int ldc)
    {
        int tileHeight = S.TileRows * S.Count;
        bool packsA = transposeA || (n >= ColumnsWorthPacking && m > 2 * Lanes);
        nint stepK = transposeB ? ldb : 1, stepN = transposeB ? 1 : ldb;
        if (!packsA || m < RowsWorthPackingB * tileHeight || (long)n * k * sizeof(T) < BytesWorthPackingB)
        {
            for (int i0 = 0; i0 < m; i0 += tileHeight)
                OuterRows(transposeA, packsA, m, n, k, alpha, a, lda, b, stepK, stepN, beta, c, ldc, i0, Math.Min(i0 + tileHeight, m));
            return;
        }
        // Pieces of B are copied, tile by tile in the order they are read.
        int packedColumns = Math.Min(PackedColumns, n), rows = PackedRows * 4 * Lanes;
        T[] rented = System.Buffers.ArrayPool<T>.Shared.Rent(packedColumns * Math.Min(k, PackedBlocks * PackedDepth));
        fixed (T* packed = rented)
        {
            for (int j0 = 0; j0 < n; j0 += packedColumns)
                for (int blocks = 0; blocks < k; blocks += PackedBlocks * PackedDepth)
                {
                    int columns = Math.Min(packedColumns, n - j0), end = Math.Min(k, blocks + PackedBlocks * PackedDepth);
                    for (int k0 = blocks; k0 < end; k0 += PackedDepth)
                        PackB(b + k0 * stepK + j0 * stepN, stepK, stepN, columns, Math.Min(PackedDepth, k - k0),
                            packed + (nint)(k0 - blocks) * columns);
                    for (int i0 = 0; i0 < m; i0 += rows)
                        for (int k0 = blocks; k0 < end; k0 += PackedDepth)
                            OuterRows(transposeA, packsA, m, columns, Math.Min(PackedDepth, k - k0), alpha, transposeA ? a + k0
                                : a + (nint)k0 * lda, lda, packed + (nint)(k0 - blocks) * columns, 0, 0, k0 == 0 ? beta : T.One,
                                c + (nint)j0 * ldc, ldc, i0, Math.Min(i0 + rows, m));
                }
        }
        System.Buffers.ArrayPool<T>.Shared.Return(rented);
    }

    /// <summary>Some of the rows, a multiple of the tiles or the last ones. With a <paramref name="stepK"/> of 0, B is packed.</summary>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void OuterRows(bool transposeA, bool packsA, int m, int n, int k, T alpha, T* a, int lda, T* b, nint stepK, nint stepN,
        T beta, T* c, int ldc,
        int from, int to)
    {
        int tileHeight = S.TileRows * S.Count, columnTiles = (n + TileColumns - 1) / TileColumns, depthBlock = packsA ? PackedDepth
            : DepthBlock;
        // A panel begins at a line of the cache: a vector across two costs two loads.
        const int Line = 64;
        T* room = stackalloc T[tileHeight * DepthBlock + Line / sizeof(T)], panel = (T*)(((nint)room + Line - 1) / Line * Line);
        T* edge = stackalloc T[S.Count * TileColumns];
        // Rows that fill no vector are the last lanes of one that reaches back over rows already done, if there are enough.
        int rest = m % S.Count, back = m < S.Count || rest == 0 ? 0 : S.Count - rest;
        for (int i0 = from; i0 < to; i0 += tileHeight)
        {
            int height = Math.Min(tileHeight, m - i0), vectors = height / S.Count, top = vectors * S.Count, restHere = height - top;
            for (int k0 = 0; k0 < k; k0 += depthBlock)
            {
                int depth = Math.Min(depthBlock, k - k0);
                T blockBeta = k0 == 0 ? beta : T.One;
                // A tile of A is read where it lies, unless it is transposed or used often, or has not one whole vector.
                T* tile = a + i0 + (nint)k0 * lda, last = tile + top - back;
                nint stepA = lda, stepLast = lda;
                if (transposeA) Transposition.Run(a + k0 + (nint)i0 * lda, lda, top, depth, panel, tileHeight);
                else if (packsA) Pack(tile, lda, top, depth, panel, tileHeight);
                if (packsA)
                {
                    tile = panel;
                    stepA = tileHeight;
                }
                if (restHere > 0 && (packsA || m < S.Count))
                {
                    if (transposeA) Transposition.Run(a + k0 + (nint)(i0 + top - back) * lda, lda, restHere + back, depth, panel
                        + top, tileHeight);
                    else Pack(last, lda, restHere + back, depth, panel + top, tileHeight);
                    last = panel + top;
                    stepLast = tileHeight;
                }
                for (int t = 0; t < columnTiles; t++)
                {
                    int j = Start(t, columnTiles, n), columns = Start(t + 1, columnTiles, n) - j;
                    bool packedB = stepK == 0;
                    T* bTile = packedB ? b + j * depth : b + k0 * stepK + j * stepN;
                    nint tileK = packedB ? columns : stepK, tileN = packedB ? 1 : stepN;
                    T* cTile = c + i0 + (nint)j * ldc;
                    for (int done = 0, count; done < vectors; done += count)
                    {
                        count = Math.Min(S.TileRows, vectors - done);
                        OuterTile(count, columns, tile + done * S.Count, stepA, bTile, tileK, tileN, depth, alpha, blockBeta, cTile
                            + done * S.Count, ldc);
                    }
                    if (restHere == 0) continue;
                    OuterTile(1, columns, last, stepLast, bTile, tileK, tileN, depth, T.One, T.Zero, edge, S.Count);
                    StoreEdge(edge, restHere, back, columns, alpha, blockBeta, cTile + top, ldc);
                }
            }
        }
    }

    /// <summary>Columns of B, tile after tile, each tile's rows one after the other.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackB(T* b, nint stepK, nint stepN, int columns, int depth, T* packed)
    {
        int tiles = (columns + TileColumns - 1) / TileColumns;
        for (int t = 0; t < tiles; t++)
        {
            int j = Start(t, tiles, columns), width = Start(t + 1, tiles, columns) - j;
            T* from = b + j * stepN, to = packed + j * depth;
            if (stepK == 1) Transposition.Run(from, stepN, width, depth, to, width);
            else
            {
                for (int kk = 0; kk < depth; kk++, to += width, from += stepK)
                    for (int q = 0; q < width; q++) to[q] = from[q];
            }
        }
    }

    /// <summary>Rows of A side by side. Lanes past them keep what lies there: nobody uses their results.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Pack(T* a, nint lda, int height, int depth, T* panel, int step)
    {
        int whole = height - height % S.Count;
        for (int kk = 0; kk < depth; kk++, a += lda, panel += step)
        {
            for (int r = 0; r < whole; r += S.Count) S.Store(panel + r, S.Load(a + r));
            for (int r = whole; r < height; r++) panel[r] = a[r];
        }
    }

    /// <summary>The rows of an edge tile behind the first <paramref name="back"/> to their place; those rows stay as they are.</summary>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void StoreEdge(T* edge, int rows, int back, int columns, T alpha, T beta, T* c, nint ldc)
    {
        if (rows + back < S.Count)
        {
            for (int j = 0; j < columns; j++)
                for (int r = 0; r < rows; r++)
                {
                    T* element = c + r + j * ldc;
                    *element = Update(alpha, edge[r + j * S.Count], beta, element);
                }
            return;
        }
        T* lanes = stackalloc T[2 * S.Count];
        S.Store(lanes, default);
        S.Store(lanes + S.Count, S.AreEqual(default, default));
        V mine = S.Load(lanes + rows), va = S.Create(alpha), vb = S.Create(beta);
        for (int j = 0; j < columns; j++, c += ldc)
        {
            V before = S.Load(c - back), value = S.Multiply(va, S.Load(edge + j * S.Count));
            if (beta != T.Zero) value = S.Add(S.Multiply(vb, before), value);
            S.Store(c - back, S.Select(mine, value, before));
        }
    }

    private static T Update(T alpha, T value, T beta, T* element) =>
        beta == T.Zero ? alpha * value : beta * *element + alpha * value;

    private static void OuterTile(int vectors, int columns, T* a, nint stepA, T* b, nint stepK, nint stepN, int depth, T alpha, T beta,
        T* c, nint ldc)
    {
        var tile = new OuterAction { A = a, StepA = stepA, B = b, StepK = stepK, StepN = stepN, Depth = depth, Alpha = alpha, Beta = beta,
            C = c, Ldc = ldc };
        TileSize.Run(vectors, columns, ref tile);
    }

    private struct OuterAction : ITileAction
    {
        public T* A, B, C;
        public nint StepA, StepK, StepN, Ldc;
        public int Depth;
        public T Alpha, Beta;

        public readonly void Run<TR, TC>() where TR : struct, ICount where TC : struct, ICount =>
            Tiles<S, V, T>.Outer<TR, TC>(A, StepA, B, StepK, StepN, Depth, Alpha, Beta, C, Ldc);
    }

    // ---- dot: C[i,j] = Σ_k A[k,i]·B[k,j], both contiguous in k ----

    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Dot(int m, int n, int k, T alpha, T* a, nint lda, T* b, nint ldb, T beta, T* c, nint ldc)
    {
        int columnTiles = (n + S.TileColumns - 1) / S.TileColumns, lanes = Lanes, whole = k - k % lanes,
            part = DotRows * TileColumns * S.Count; // from the sums of some lanes to those of the next
        T* sums = stackalloc T[DotRows * TileColumns * lanes], endsA = stackalloc T[DotRows * lanes],
            endsB = stackalloc T[TileColumns * lanes];
        nint* starts = stackalloc nint[4];
        // Steps of k that fill no lanes are copied out and made up with zeros.
        int tail = k - whole;
        var end = new Tiles<S, V, T>.Stretch(1, 0, 0, 1, 0, lanes, lanes);
        for (int i0 = 0; i0 < m; i0 += DotRows)
        {
            int height = Math.Min(DotRows, m - i0), rowTiles = (height + 3) / 4;
            if (tail > 0) CopyEnds(a + i0 * lda + whole, lda, height, tail, endsA);
            for (int t = 0; t < columnTiles; t++)
            {
                int j = Start(t, columnTiles, n), columns = Start(t + 1, columnTiles, n) - j;
                if (tail > 0) CopyEnds(b + j * ldb + whole, ldb, columns, tail, endsB);
                for (int k0 = 0; k0 == 0 || k0 < whole; k0 += DotDepth)
                {
                    var along = new Tiles<S, V, T>.Stretch(1, 0, 0, 1, 0, Math.Min(DotDepth, whole - k0), lanes);
                    bool isLast = tail > 0 && k0 + DotDepth >= whole;
                    for (int u = 0; u < rowTiles; u++)
                    {
                        int i = Start(u, rowTiles, height), rows = Start(u + 1, rowTiles, height) - i;
                        T* to = sums + i * columns * S.Count;
                        for (int lane = 0; lane < lanes; lane += S.Count, to += part)
                        {
                            for (int r = 0; r < rows; r++) starts[r] = (i0 + i + r) * lda;
                            DotTile(rows, columns, a + k0 + lane, starts, b + j * ldb + k0 + lane, ldb, along, to, fresh: k0 == 0);
                            if (!isLast) continue;
                            for (int r = 0; r < rows; r++) starts[r] = r * lanes;
                            DotTile(rows, columns, endsA + i * lanes + lane, starts, endsB + lane, lanes, end, to, fresh: false);
                        }
                    }
                }
                for (int i = 0; i < height; i++)
                    for (int q = 0; q < columns; q++)
                    {
                        T sum = Numerics.Lanes.Sum<S, V, T>(sums + (i * columns + q) * S.Count, lanes, part);
                        T* element = c + i0 + i + (j + q) * ldc;
                        *element = Update(alpha, sum, beta, element);
                    }
            }
        }
    }

    /// <summary>The last steps of k of some rows or columns, each made up to as many as there are lanes.</summary>
    private static void CopyEnds(T* from, nint step, int count, int tail, T* to)
    {
        for (int i = 0; i < count; i++)
        {
            for (int lane = 0; lane < Lanes; lane += S.Count) S.Store(to + i * Lanes + lane, default);
            for (int lane = 0; lane < tail; lane++) to[i * Lanes + lane] = from[i * step + lane];
        }
    }

    private static void DotTile(int rows, int columns, T* a, nint* starts, T* b, nint ldb, in Tiles<S, V, T>.Stretch along, T* sums,
        bool fresh)
    {
        var tile = new DotAction { A = a, Starts = starts, B = b, Ldb = ldb, Along = along, Sums = sums, Fresh = fresh };
        TileSize.Run(rows, columns, ref tile);
    }

    private struct DotAction : ITileAction
    {
        public T* A, B, Sums;
        public nint* Starts;
        public nint Ldb;
        public Tiles<S, V, T>.Stretch Along;
        public bool Fresh;

        public readonly void Run<TR, TC>() where TR : struct, ICount where TC : struct, ICount =>
            Tiles<S, V, T>.Dot<TR, TC>(A, Starts, B, Ldb, Along, Sums, Fresh);
    }

    /// <summary>A few rows of A, one sample say: copied out they are contiguous in k, as the columns of B are.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
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
}
