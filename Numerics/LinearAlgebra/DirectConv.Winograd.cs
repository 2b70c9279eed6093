using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// A 3×3 convolution of one group with stride 1 by Winograd's F(2×2, 3×3) (Lavin and Gray 2015, section 4.1). Of each filter g and each
/// tile d of 4×4 inputs, two apart, Y = Aᵀ·[Σ over the channels of (G·g·Gᵀ) ⊙ (Bᵀ·d·B)]·A are the 2×2 outputs:
/// <code>
///      ⎡1  0 −1  0⎤        ⎡ 1   0   0 ⎤
/// Bᵀ = ⎢0  1  1  0⎥    G = ⎢ ½   ½   ½ ⎥    Aᵀ = ⎡1  1  1  0⎤
///      ⎢0 −1  1  0⎥        ⎢ ½  −½   ½ ⎥         ⎣0  1 −1 −1⎦
///      ⎣0  1  0 −1⎦        ⎣ 0   0   1 ⎦
/// </code>
/// The sums over the channels are 16 products of matrices, one for each of the tile's frequencies: [tiles and samples × C]·[C × M].
/// A vector's lanes are samples, so that transforms are sums of vectors, and the bits the same at any width.
/// <para>
/// Of the error: Σ|Aᵀ|·(|G|·|g|·|Gᵀ| ⊙ |Bᵀ|·|d|·|B|)·|A| is at most 64·C·max|d|·max|g|, where the direct sum has 9·C. Each term is rounded
/// n + 12 times, n being the steps of a sum over channels, C where it is in one go: a ninth of the direct sum's 9·C, until both are cut at
/// 320. So the bound, (n + 12)·2⁻²⁴·64·C·max|d|·max|g|, is near the direct sum's for few channels, and at most some 64/9 of it for many.
/// Measured forward on random numbers, 16 to 256 channels differ from the direct sums by less than 1e-6 of the largest value.
/// </para>
/// </summary>
internal sealed unsafe partial class DirectConv<S, V>
{
    /// <summary>Its sizes, and what it works with.</summary>
    private sealed class WinogradConvolution : GroupConvolution
    {
        /// <summary>Channels that one sum runs over.</summary>
        private const int LongestSum = 320;

        private const int Frequencies = 16, Taps = 9;

        /// <summary>Filters whose products wait for their transform in the second-level cache.</summary>
        private const int FilterBlock = 64;

        /// <summary>From one channel's transformed inputs to the next's, or one filter's products: as many as a register tile is
        /// high.</summary>
        private static readonly int row = TileRows * S.Count;

        private readonly int samples, channels, filters, height, width, outputHeight, outputWidth;
        private readonly Size2 padding;
        private readonly int tilesWide, vectors, count; // of a row, a tile, and all
        private readonly int depth; // the channels, and zeros up to whole vectors of any width
        private readonly int[] filterTiles, sums;
        // From one frequency to the next: sixteen that are a multiple of a page apart would fall into a few sets of the cache.
        private readonly nint inputStep, productStep, weightStep;
        private readonly AlignedBuffer taps = new(), weights = new(), inputs = new(), products = new();

        /// <param name="samples">N, whole vectors.</param>
        /// <param name="channels">C.</param>
        /// <param name="input">H and W.</param>
        /// <param name="filters">M.</param>
        /// <param name="output">oH and oW.</param>
        /// <param name="padding">Zeros above and on the left; negative, so many rows and columns are left out.</param>
        public WinogradConvolution(int samples, int channels, Size2 input, int filters, Size2 output, Size2 padding)
        {
            (this.samples, this.channels, this.filters, this.padding) = (samples, channels, filters, padding);
            (height, width, outputHeight, outputWidth) = (input.H, input.W, output.H, output.W);
            tilesWide = (outputWidth + 1) / 2;
            vectors = samples / S.Count;
            count = checked((outputHeight + 1) / 2 * tilesWide * vectors);
            depth = (channels + 15) / 16 * 16;
            filterTiles = Starts(filters, S.TileColumns);
            sums = Starts(channels, LongestSum);
            inputStep = (nint)(channels + 1) * row;
            productStep = (nint)(Math.Min(filters, FilterBlock) + 1) * row;
            weightStep = (nint)filters * depth;
        }

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public override void Pack(float* from, nint stepFilter, nint stepChannel, bool turned, float* scale)
        {
            float* to = weights.Of(Frequencies * (long)weightStep), g = taps.Of(Taps * depth);
            for (int m = 0; m < filters; m++, to += depth)
            {
                float* w = from + m * stepFilter;
                for (int c = 0; c < channels; c++, w += stepChannel)
                    for (int tap = 0; tap < Taps; tap++) g[tap * depth + c] = w[turned ? Taps - 1 - tap : tap];
                V factor = S.Create(scale is null ? 1 : scale[m]);
                for (int c = 0; c < depth; c += S.Count)
                {
                    FilterColumn(g + c, 3 * depth, factor, out V t00, out V t10, out V t20, out V t30);
                    FilterColumn(g + depth + c, 3 * depth, factor, out V t01, out V t11, out V t21, out V t31);
                    FilterColumn(g + 2 * depth + c, 3 * depth, factor, out V t02, out V t12, out V t22, out V t32);
                    FilterRow(t00, t01, t02, to + c);
                    FilterRow(t10, t11, t12, to + 4 * weightStep + c);
                    FilterRow(t20, t21, t22, to + 8 * weightStep + c);
                    FilterRow(t30, t31, t32, to + 12 * weightStep + c);
                }
            }
        }

        /// <summary>A column of G·g, scaled.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void FilterColumn(float* g, nint step, V factor, out V t0, out V t1, out V t2, out V t3)
        {
            t0 = S.Multiply(S.Load(g), factor);
            t3 = S.Multiply(S.Load(g + 2 * step), factor);
            Halves(t0, S.Multiply(S.Load(g + step), factor), t3, out t1, out t2);
        }

        /// <summary>A row of that by Gᵀ.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void FilterRow(V t0, V t1, V t2, float* to)
        {
            Halves(t0, t1, t2, out V u1, out V u2);
            S.Store(to, t0);
            S.Store(to + weightStep, u1);
            S.Store(to + 2 * weightStep, u2);
            S.Store(to + 3 * weightStep, t2);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Halves(V a, V b, V c, out V sum, out V difference)
        {
            V half = S.Create(0.5f), outer = S.Multiply(half, S.Add(a, c)), inner = S.Multiply(half, b);
            sum = S.Add(outer, inner);
            difference = S.Subtract(outer, inner);
        }

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public override void Run(float* x, float* y, in Epilogue after)
        {
            float* u = weights.Of(Frequencies * (long)weightStep), v = inputs.Of(Frequencies * (long)inputStep),
                p = products.Of(Frequencies * (long)productStep);
            for (int at = 0, rows; at < count; at += rows)
            {
                rows = Math.Min(TileRows, count - at);
                TransformInputs(x, at, rows, v);
                for (int tile = 0, end; tile + 1 < filterTiles.Length; tile = end)
                {
                    int first = filterTiles[tile];
                    for (end = tile + 1; end + 1 < filterTiles.Length && filterTiles[end + 1] - first <= FilterBlock;) end++;
                    for (int frequency = 0; frequency < Frequencies; frequency++)
                        Multiply(v + frequency * inputStep, u + frequency * weightStep, rows, tile, end, p + frequency * productStep);
                    TransformOutputs(p, first, filterTiles[end] - first, at, rows, y, after);
                }
            }
        }

        /// <summary>The products of one frequency, of some tiles of filters.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Multiply(float* v, float* u, int rows, int fromTile, int endTile, float* p)
        {
            var product = new ProductTile { StepN = depth };
            for (int sum = 0; sum + 1 < sums.Length; sum++)
            {
                product.A = v + sums[sum] * row;
                product.Depth = sums[sum + 1] - sums[sum];
                product.Beta = sum == 0 ? 0 : 1;
                for (int tile = fromTile; tile < endTile; tile++)
                {
                    int m = filterTiles[tile];
                    product.B = u + (nint)m * depth + sums[sum];
                    product.C = p + (m - filterTiles[fromTile]) * row;
                    TileSize.Run(rows, filterTiles[tile + 1] - m, ref product);
                }
            }
        }

        /// <summary>The row and the column of a tile's first output, and the vector of its samples.</summary>
        private (int H, int W, int Sample) Place(int at) =>
            (at / vectors / tilesWide * 2, at / vectors % tilesWide * 2, at % vectors * S.Count);

        /// <summary>Bᵀ·d·B of all channels, for some vectors of tiles.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void TransformInputs(float* x, int at, int rows, float* to)
        {
            const int Inside = 0xffff;
            float** corners = stackalloc float*[TileRows];
            int* inside = stackalloc int[TileRows]; // a bit for each of the tile's inputs
            for (int r = 0; r < rows; r++)
            {
                var (h, w, sample) = Place(at + r);
                (h, w) = (h - padding.H, w - padding.W);
                inside[r] = 0;
                for (int i = 0; i < 16; i++)
                    if ((uint)(h + i / 4) < (uint)height && (uint)(w + i % 4) < (uint)width) inside[r] |= 1 << i;
                corners[r] = x + ((nint)h * width + w) * samples + sample;
            }
            nint plane = (nint)height * width * samples;
            for (int c = 0; c < channels; c++, to += row)
                for (int r = 0; r < rows; r++)
                {
                    float* d = corners[r] + c * plane, here = to + r * S.Count;
                    if (inside[r] == Inside) TransformInput<All>(d, Inside, here);
                    else TransformInput<Some>(d, inside[r], here);
                }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void TransformInput<L>(float* d, int inside, float* to) where L : struct, ILoad
        {
            nint line = (nint)width * samples, n = samples, step = inputStep;
            InputColumn<L>(d, line, inside, out V t00, out V t10, out V t20, out V t30);
            InputColumn<L>(d + n, line, inside >> 1, out V t01, out V t11, out V t21, out V t31);
            InputColumn<L>(d + 2 * n, line, inside >> 2, out V t02, out V t12, out V t22, out V t32);
            InputColumn<L>(d + 3 * n, line, inside >> 3, out V t03, out V t13, out V t23, out V t33);
            InputRow(t00, t01, t02, t03, to, step);
            InputRow(t10, t11, t12, t13, to + 4 * step, step);
            InputRow(t20, t21, t22, t23, to + 8 * step, step);
            InputRow(t30, t31, t32, t33, to + 12 * step, step);
        }

        /// <summary>A column of Bᵀ·d; every fourth bit says whether an input is one of the image.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void InputColumn<L>(float* d, nint line, int inside, out V t0, out V t1, out V t2, out V t3) where L : struct, ILoad
        {
            V d0 = L.Load(d, inside & 1), d1 = L.Load(d + line, inside & 1 << 4), d2 = L.Load(d + 2 * line, inside & 1 << 8),
                d3 = L.Load(d + 3 * line, inside & 1 << 12);
            t0 = S.Subtract(d0, d2);
            t1 = S.Add(d1, d2);
            t2 = S.Subtract(d2, d1);
            t3 = S.Subtract(d1, d3);
        }

        /// <summary>A row of that by B.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void InputRow(V t0, V t1, V t2, V t3, float* to, nint step)
        {
            S.Store(to, S.Subtract(t0, t2));
            S.Store(to + step, S.Add(t1, t2));
            S.Store(to + 2 * step, S.Subtract(t2, t1));
            S.Store(to + 3 * step, S.Subtract(t1, t3));
        }

        /// <summary>Aᵀ·p·A of some filters, for some vectors of tiles, and what comes after it.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void TransformOutputs(float* p, int first, int filterCount, int at, int rows, float* y, in Epilogue after)
        {
            nint* places = stackalloc nint[TileRows];
            bool* right = stackalloc bool[TileRows], below = stackalloc bool[TileRows]; // whether there is an output
            for (int r = 0; r < rows; r++)
            {
                var (h, w, sample) = Place(at + r);
                places[r] = ((nint)h * outputWidth + w) * samples + sample;
                (right[r], below[r]) = (w + 1 < outputWidth, h + 1 < outputHeight);
            }
            nint line = (nint)outputWidth * samples, plane = outputHeight * line, step = productStep;
            var own = after;
            for (int m = first; m < first + filterCount; m++, p += row)
            {
                // With a scale the epilogue adds the bias.
                V bias = own.Bias is null || own.Scale is not null ? default : S.Create(own.Bias[m]);
                for (int r = 0; r < rows; r++)
                {
                    float* q = p + r * S.Count;
                    OutputColumn(q, step, out V s00, out V s10);
                    OutputColumn(q + step, step, out V s01, out V s11);
                    OutputColumn(q + 2 * step, step, out V s02, out V s12);
                    OutputColumn(q + 3 * step, step, out V s03, out V s13);
                    nint to = m * plane + places[r];
                    Store(y, to, S.Add(Low(s00, s01, s02), bias), own, m);
                    if (right[r]) Store(y, to + samples, S.Add(High(s01, s02, s03), bias), own, m);
                    if (!below[r]) continue;
                    Store(y, to + line, S.Add(Low(s10, s11, s12), bias), own, m);
                    if (right[r]) Store(y, to + line + samples, S.Add(High(s11, s12, s13), bias), own, m);
                }
            }
        }

        /// <summary>A column of Aᵀ·p.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void OutputColumn(float* p, nint step, out V s0, out V s1)
        {
            V p1 = S.Load(p + 4 * step), p2 = S.Load(p + 8 * step);
            s0 = Low(S.Load(p), p1, p2);
            s1 = High(p1, p2, S.Load(p + 12 * step));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static V Low(V a, V b, V c) => S.Add(S.Add(a, b), c);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static V High(V a, V b, V c) => S.Subtract(S.Subtract(a, b), c);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Store(float* y, nint at, V sum, in Epilogue after, int m) => S.Store(y + at, after.Of(sum, m, at));

        /// <summary>How a tile's inputs are read.</summary>
        private interface ILoad
        {
            static abstract V Load(float* d, int inside);
        }

        /// <summary>All are in the image.</summary>
        private readonly struct All : ILoad
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            public static V Load(float* d, int inside) => S.Load(d);
        }

        /// <summary>Some are, and the others 0.</summary>
        private readonly struct Some : ILoad
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            public static V Load(float* d, int inside) => inside != 0 ? S.Load(d) : default;
        }

        private struct ProductTile : ITileAction
        {
            public float* A, B, C;
            public nint StepN;
            public int Depth;
            public float Beta;

            public readonly void Run<R, M>() where R : struct, ICount where M : struct, ICount =>
                Tiles<S, V, float>.Outer<R, M>(A, row, B, 1, StepN, Depth, 1, Beta, C, row);
        }
    }
}
