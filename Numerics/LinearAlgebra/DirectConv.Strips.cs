using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// A convolution of one group, a row of outputs at a time. The rows of the input that it needs are copied, padded, to where a window's taps
/// lie side by side, as [row, column, channel, sample]: a tile of neighbouring outputs then reads a few streams from beginning to end.
/// </summary>
internal sealed unsafe partial class DirectConv<S, V>
{
    /// <summary>A stretch of a row's inputs, or of a column's if those do not follow each other, that a sum runs along.</summary>
    /// <param name="Row">Of the kernel.</param>
    /// <param name="Offset">Of the first input from the row's start, in elements.</param>
    /// <param name="Count">Taps.</param>
    /// <param name="EndsSum">Whether a sum ends with it: a long sum is one of shorter ones.</param>
    private readonly record struct Stretch(int Row, nint Offset, int Count, bool EndsSum);

    /// <summary>Its sizes, and what it works with.</summary>
    private sealed class Strips : GroupConvolution
    {
        /// <summary>Taps that one sum runs over: those of 32 channels by a kernel of 3×3, and a few more.</summary>
        private const int LongestSum = 320;

        private readonly int samples, channels, filters, height, width, outputHeight, outputWidth;
        private readonly Size2 kernel, stride, padding, dilation;

        // The buffer: rows, which take turns, of columns, a step apart, of channels.
        private readonly int rows, columns, columnStride;
        private readonly nint rowStep, columnStep;
        private readonly Stretch[] stretches;
        private readonly int[] filterTiles;
        private readonly int sumCount;
        private readonly AlignedBuffer strip = new(), weights = new(), sums = new();
        private readonly Tiles<S, V, float>.Run[] runs;

        /// <param name="samples">N, whole vectors.</param>
        /// <param name="channels">C.</param>
        /// <param name="input">H and W.</param>
        /// <param name="filters">M.</param>
        /// <param name="output">oH and oW.</param>
        /// <param name="kernel">Taps in height and width.</param>
        /// <param name="stride">From one output's window to the next's.</param>
        /// <param name="padding">Zeros above and on the left; negative, so many rows and columns are left out.</param>
        /// <param name="dilation">Distance between taps.</param>
        public Strips(int samples, int channels, Size2 input, int filters, Size2 output, Size2 kernel, Size2 stride, Size2 padding,
            Size2 dilation)
        {
            (this.samples, this.channels, this.filters) = (samples, channels, filters);
            (height, width, outputHeight, outputWidth) = (input.H, input.W, output.H, output.W);
            (this.kernel, this.stride, this.padding, this.dilation) = (kernel, stride, padding, dilation);
            rows = (kernel.H - 1) * dilation.H + 1;
            // With one column of taps, columns between the outputs are nobody's.
            columnStride = kernel.W == 1 ? stride.W : 1;
            columns = kernel.W == 1 ? outputWidth : (outputWidth - 1) * stride.W + (kernel.W - 1) * dilation.W + 1;
            // Columns a multiple of many lines apart would fall into a few sets of the cache.
            bool apart = kernel.W * channels > 1 && (long)channels * samples % 128 == 0;
            columnStep = (nint)channels * samples + (apart ? 16 : 0);
            rowStep = columns * columnStep;
            stretches = Cut(apart || dilation.W != 1);
            sumCount = stretches.Count(stretch => stretch.EndsSum);
            filterTiles = Starts(filters, S.TileColumns);
            runs = new Tiles<S, V, float>.Run[stretches.Length];
        }

        /// <summary>Taps of a filter.</summary>
        private int K => kernel.H * kernel.W * channels;

        private Stretch[] Cut(bool byColumn)
        {
            // Sums as equal as can be, none longer than a block of depth.
            int sumsOf = (K + LongestSum - 1) / LongestSum, done = 0, sum = 0;
            var cut = new List<Stretch>();
            for (int kh = 0; kh < kernel.H; kh++)
                for (int kw = 0; kw < (byColumn ? kernel.W : 1); kw++)
                {
                    int length = byColumn ? channels : kernel.W * channels;
                    for (int at = 0, count; at < length; at += count, done += count)
                    {
                        int end = (int)((sum + 1L) * K / sumsOf);
                        count = Math.Min(length - at, end - done);
                        bool ends = done + count == end;
                        cut.Add(new Stretch(kh, kw * dilation.W * columnStep + (nint)at * samples, count, ends));
                        if (ends) sum++;
                    }
                }
            return [.. cut];
        }

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public override void Pack(float* from, nint stepFilter, nint stepChannel, bool turned, float* scale)
        {
            float* to = weights.Of((long)filters * K);
            int taps = kernel.H * kernel.W;
            for (int f = 0; f + 1 < filterTiles.Length; f++)
            {
                int first = filterTiles[f], count = filterTiles[f + 1] - first;
                for (int tap = 0; tap < taps; tap++)
                {
                    float* w = from + first * stepFilter + (turned ? taps - 1 - tap : tap);
                    for (int c = 0; c < channels; c++, w += stepChannel)
                    {
                        if (scale is null)
                            for (int m = 0; m < count; m++) *to++ = w[m * stepFilter];
                        else
                            for (int m = 0; m < count; m++) *to++ = w[m * stepFilter] * scale[first + m];
                    }
                }
            }
        }

        /// <inheritdoc/>
        public override void Run(float* x, float* y, in Epilogue after)
        {
            if (after.IsPlain) Run(x, new PlainStrip { Y = y, StepFilter = OutputStep, StepRow = samples }, after.Bias);
            else
            {
                var output = new EpilogueStrip { Y = y, StepFilter = OutputStep, StepRow = samples, After = after };
                Run(x, output, after.Bias);
            }
        }

        private nint OutputStep => (nint)outputHeight * outputWidth * samples;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Run<O>(float* x, O output, float* bias) where O : struct, IStripOutput
        {
            float* buffer = strip.Of(rows * rowStep);
            nint stepX = stride.W / columnStride * columnStep;
            int tiles = (outputWidth + TileRows - 1) / TileRows;
            for (int oh = 0, copied = 0; oh < outputHeight; oh++)
            {
                int top = oh * stride.H;
                for (int row = Math.Max(top, copied); row < top + rows; row++) CopyRow(x, row, buffer + row % rows * rowStep);
                copied = top + rows;
                for (int i = 0; i < runs.Length; i++)
                {
                    var stretch = stretches[i];
                    runs[i] = new((top + stretch.Row * dilation.H) % rows * rowStep + stretch.Offset, stretch.Count);
                }
                for (int v = 0; v < samples; v += S.Count)
                    for (int tile = 0, ow = 0, count; tile < tiles; tile++, ow += count)
                    {
                        count = (int)((tile + 1L) * outputWidth / tiles) - ow;
                        output.At = ((nint)oh * outputWidth + ow) * samples + v;
                        RunTile(buffer + ow * stepX + v, stepX, count, bias, output);
                    }
            }
        }

        /// <summary>A few neighbouring outputs of all filters.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void RunTile<O>(float* x, nint stepX, int count, float* bias, O output) where O : struct, IStripOutput
        {
            float* w = weights.Of((long)filters * K),
                partial = sumCount == 1 ? null : sums.Of((filterTiles.Length - 1) * SumOutput.Size);
            fixed (Tiles<S, V, float>.Run* first = runs)
            {
                var tile = new StripTile<O> { X = x, StepX = stepX, StepK = samples, Output = output };
                var part = new StripTile<SumOutput> { X = x, StepX = stepX, StepK = samples };
                var last = new StripTile<LastOutput<O>> { X = x, StepX = stepX, StepK = samples };
                last.Output.Output = output;
                for (int from = 0, to, before = 0, depth = 0; from < runs.Length; from = to, before += depth)
                {
                    (to, depth) = (from, 0);
                    do depth += stretches[to].Count; while (!stretches[to++].EndsSum);
                    part.Output.First = from == 0;
                    for (int f = 0; f + 1 < filterTiles.Length; f++)
                    {
                        int m = filterTiles[f], filtersHere = filterTiles[f + 1] - m;
                        float* own = partial + f * SumOutput.Size,
                            here = w + (nint)m * K + (nint)before * filtersHere,
                            start = from > 0 || bias is null ? null : bias + m;
                        if (sumCount == 1)
                        {
                            tile.Output.Filter = m;
                            tile.Sum(first, runs.Length, here, start);
                            TileSize.Run(count, filtersHere, ref tile);
                        }
                        else if (to < runs.Length)
                        {
                            part.Output.Sums = own;
                            part.Sum(first + from, to - from, here, start);
                            TileSize.Run(count, filtersHere, ref part);
                        }
                        else
                        {
                            last.Output.Sums = own;
                            last.Output.Output.Filter = m;
                            last.Sum(first + from, to - from, here, start);
                            TileSize.Run(count, filtersHere, ref last);
                        }
                    }
                }
            }
        }

        /// <summary>A row of the input, with zeros around it.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void CopyRow(float* x, int row, float* to)
        {
            int h = row - padding.H;
            if (h < 0 || h >= height)
            {
                new Span<float>(to, checked((int)rowStep)).Clear();
                return;
            }
            // The columns of the image that are wanted, and where the first of them goes.
            int first = Math.Max(0, (padding.W + columnStride - 1) / columnStride), last = first;
            while (last < columns && last * columnStride - padding.W < width) last++;
            for (int c = 0; c < first; c++) new Span<float>(to + c * columnStep, channels * samples).Clear();
            for (int c = last; c < columns; c++) new Span<float>(to + c * columnStep, channels * samples).Clear();
            nint plane = (nint)height * width * samples, stepFrom = (nint)columnStride * samples;
            float* line = x + ((nint)h * width + (first * columnStride - padding.W)) * samples;
            const int Wide = 4;
            for (int c = first; c < last; c += Wide)
            {
                int count = Math.Min(Wide, last - c);
                float* from = line + (c - first) * stepFrom, here = to + c * columnStep;
                for (int channel = 0; channel < channels; channel++, from += plane, here += samples)
                    for (int i = 0; i < count; i++)
                    {
                        float* read = from + i * stepFrom, write = here + i * columnStep;
                        for (int n = 0; n < samples; n += S.Count) S.Store(write + n, S.Load(read + n));
                    }
            }
        }
    }

    /// <summary>Where a tile's sums go: vectors that lie a step apart.</summary>
    private interface IStripOutput : Tiles<S, V, float>.IOutput
    {
        /// <summary>The tile's first filter.</summary>
        int Filter { set; }

        /// <summary>Where its first output lies in its channel.</summary>
        nint At { set; }
    }

    private struct PlainStrip : IStripOutput
    {
        public float* Y;
        public nint StepFilter, StepRow;

        public int Filter { get; set; }
        public nint At { get; set; }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Column<R>(int filter, V c0, V c1, V c2, V c3) where R : struct, ICount
        {
            float* y = Y + (Filter + filter) * StepFilter + At;
            S.Store(y, c0);
            if (R.Value > 1) S.Store(y + StepRow, c1);
            if (R.Value > 2) S.Store(y + 2 * StepRow, c2);
            if (R.Value > 3) S.Store(y + 3 * StepRow, c3);
        }
    }

    private struct EpilogueStrip : IStripOutput
    {
        public float* Y;
        public nint StepFilter, StepRow;
        public Epilogue After;

        public int Filter { get; set; }
        public nint At { get; set; }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Column<R>(int filter, V c0, V c1, V c2, V c3) where R : struct, ICount
        {
            int m = Filter + filter;
            nint at = m * StepFilter + At;
            S.Store(Y + at, After.Of(c0, m, at));
            if (R.Value > 1) S.Store(Y + at + StepRow, After.Of(c1, m, at + StepRow));
            if (R.Value > 2) S.Store(Y + at + 2 * StepRow, After.Of(c2, m, at + 2 * StepRow));
            if (R.Value > 3) S.Store(Y + at + 3 * StepRow, After.Of(c3, m, at + 3 * StepRow));
        }
    }

    private struct StripTile<O> : ITileAction where O : struct, Tiles<S, V, float>.IOutput
    {
        public float* X;
        public nint StepX, StepK;
        public O Output;
        private float* w, bias;
        private Tiles<S, V, float>.Run* runs;
        private int count;

        public void Sum(Tiles<S, V, float>.Run* first, int runCount, float* weights, float* start)
        {
            count = runCount;
            w = weights;
            bias = start;
            runs = first;
        }

        public void Run<R, C>() where R : struct, ICount where C : struct, ICount =>
            Tiles<S, V, float>.Along<R, C, O>(X, StepX, runs, count, StepK, w, bias, ref Output);
    }
}
