using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>Forward of samples that fill no vectors, a single one above all: neighbouring positions fill the lanes.</summary>
internal sealed unsafe partial class DirectConv<S, V>
{
    /// <summary>
    /// Where the outputs of a row fill whole vectors, each row stands on its own; otherwise the inputs of a tile are gathered from several
    /// rows. Depthwise, and before a pool, one unbroken run of vectors then reaches from the first output to the last, and what it computes
    /// between the rows is left behind. With a stride s the inputs of neighbours are
    /// neighbours once each channel is laid out as its s·s phases, the pixels whose place leaves the same remainders. Threads share the
    /// rows, each with an input of its own: what one core has written is far from another.
    /// </summary>
    private sealed partial class Positions
    {
        /// <summary>With fewer multiply-adds than this for each of two threads, one is done before the other has begun.</summary>
        private const long WorthSharing = 1 << 19;

        /// <summary>How long a depthwise multiply-add takes against another.</summary>
        private const int Depthwise = 6;

        private readonly DirectConv<S, V> conv;
        private readonly Sizes s;
        private readonly Size2 phases;
        private readonly int phaseW, mostParts;
        private readonly bool copies, byRow;
        private readonly nint[] sideTaps; // of a tile's inputs side by side
        private readonly Action<int> runPart;

        // How the rows are shared, and where the taps of a part's inputs lie.
        private Part[] parts = [];
        private int phaseH;
        private nint planeStep;
        private nint[] taps = [], rowPlaces = [];
        private (int First, nint Place)[] columnPlaces = [];

        // The run in progress.
        private float* input, weights, output;
        private Epilogue epilogue;

        public Positions(DirectConv<S, V> conv)
        {
            (this.conv, s) = (conv, conv.s);
            phases = s.Geometry.Stride;
            phaseW = (int)Phase(s.W, phases.W);
            copies = s.IsPadded || phases != 1;
            byRow = RowLength % S.Count == 0;
            sideTaps = [.. Enumerable.Range(0, Math.Min(s.K, DepthBlock)).Select(k => (nint)k * TileRows * S.Count)];
            int fewest = 1;
            while (fewest < s.oH && fewest * RowLength < S.Count) fewest++;
            mostParts = s.oH / fewest;
            runPart = RunPart;
        }

        /// <summary>Columns of a row of the unbroken run.</summary>
        public int RunWidth => phaseW;

        /// <summary>From one filter to the next in what <see cref="RunWide"/> returns; the pool reads two vectors from the start of its
        /// last row at most.</summary>
        public nint WideStep => Flat(s.oH) + 2 * S.Count;

        /// <summary>Elements of a row of outputs.</summary>
        private int RowLength => s.oW * s.N;

        /// <summary>Elements from the first output of so many rows to the last.</summary>
        private int Flat(int rows) => ((rows - 1) * phaseW + s.oW) * s.N;

        /// <summary>y ← the convolution, and what comes after it.</summary>
        public void Run(float* x, float* w, float* y, in Epilogue after)
        {
            input = x;
            weights = w;
            output = y;
            epilogue = after;
            long work = (long)s.Groups * s.M * s.K * s.oH * RowLength * (conv.IsDepthwise ? Depthwise : 1);
            Share((int)Math.Clamp(work / WorthSharing, 1, Math.Min(Workers.Threads, mostParts)));
            Workers.Split(parts.Length, runPart);
        }

        /// <summary>The convolution plus its bias, as the unbroken run has it.</summary>
        public float* RunWide(float* x, float* w, float* bias)
        {
            input = x;
            weights = w;
            Share(1);
            float* wide = parts[0].Wide.Of(s.Groups * s.M * WideStep);
            var after = new Epilogue { Bias = bias };
            if (!conv.IsDepthwise) RunTiles(Input(parts[0], 0, s.Input[0]), parts[0], wide, WideStep, after, run: true);
            else
                for (int g = 0; g < s.Groups; g++) RunDepthwise(parts[0], g, wide + g * WideStep, after);
            return wide;
        }

        private void Share(int count)
        {
            if (parts.Length == count) return;
            // New buffers: where there were inputs of other rows must be zeros.
            parts = new Part[count];
            for (int part = 0, first = 0; part < count; part++)
            {
                int end = (int)((part + 1L) * s.oH / count);
                parts[part] = new Part(first, end - first);
                first = end;
            }
            int rows = InputRows(parts.Max(part => part.Rows));
            phaseH = (int)Phase(rows, phases.H);
            planeStep = copies ? (nint)phases.H * phases.W * phaseH * phaseW * s.N : (nint)s.H * s.W * s.N;
            (taps, rowPlaces, columnPlaces) = (Taps(), RowPlaces(rows), ColumnPlaces());
        }

        /// <summary>Rows of the padded input that so many output rows take.</summary>
        private int InputRows(int outputs) => (outputs - 1) * s.Geometry.Stride.H + (s.Geometry.Kernel.H - 1) * s.Geometry.Dilation.H + 1;

        private void RunPart(int number)
        {
            var part = parts[number];
            nint place = (nint)part.First * RowLength;
            if (!conv.IsDepthwise)
            {
                RunTiles(Input(part, 0, s.Input[0]), part, output + place, conv.OutputStep, epilogue.At(0, place));
                return;
            }
            // The sum with a skip, and a ReLU behind it, come where rows have left the gaps.
            var after = epilogue;
            after.Skip = null;
            after.Rectified &= epilogue.Skip is null;
            float* one = byRow ? null : part.Wide.Of(Flat(part.Rows) + 2 * S.Count);
            for (int g = 0; g < s.Groups; g++)
            {
                nint at = g * conv.OutputStep + place;
                if (!byRow)
                {
                    RunDepthwise(part, g, one, after);
                    Finish(part, g, one);
                    continue;
                }
                fixed (nint* pt = taps)
                    conv.DepthwiseRows(Input(part, g, 1), (nint)phaseW * s.N, part.Rows, pt, weights + (nint)g * s.K,
                        epilogue.At(g, at), output + at);
            }
        }

        private void RunDepthwise(Part part, int group, float* to, in Epilogue after)
        {
            fixed (nint* pt = taps)
                conv.DepthwiseFlat(Input(part, group, 1), pt, weights + (nint)group * s.K, after.At(group, 0), to, Flat(part.Rows));
        }

        /// <summary>A filter's rows from the unbroken run to their place.</summary>
        private void Finish(Part part, int filter, float* run)
        {
            nint at = filter * conv.OutputStep + (nint)part.First * RowLength;
            for (int row = 0; row < part.Rows; row++, run += (nint)phaseW * s.N, at += RowLength)
                CopyRow(run, output + at, epilogue.Skip is null ? null : epilogue.Skip + at, RowLength, (part.Rows - row) * RowLength);
        }

        /// <summary>All filters of some rows, or of the unbroken run. Of rows that do not fill vectors a tile's inputs are gathered side by
        /// side.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void RunTiles(float* x, Part part, float* y, nint step, in Epilogue after, bool run = false)
        {
            float** places = stackalloc float*[TileRows], side = stackalloc float*[TileRows];
            bool rows = byRow && !run, gathers = !byRow && !run && phaseW != s.oW, packs = s.Geometry.Taps == 1 && conv.FilterTiles > 1;
            int length = run ? Flat(part.Rows) : part.Rows * RowLength, perRow = Math.Max(1, RowLength / S.Count),
                vectors = (length + S.Count - 1) / S.Count, tiles = (vectors + TileRows - 1) / TileRows, sumStep = SumOutput.Size;
            float* copy = gathers || packs ? part.Tile.Of((long)sideTaps.Length * TileRows * S.Count) : null,
                sums = s.K <= DepthBlock ? null : part.Sums.Of((long)conv.FilterTiles * sumStep);
            fixed (nint* pt = taps, ps = sideTaps)
            {
                for (int g = 0; g < s.Groups; g++, x += s.C * planeStep)
                    for (int tile = 0, first = 0, height; tile < tiles; tile++, first += height)
                    {
                        height = (int)((tile + 1L) * vectors / tiles) - first;
                        // The last vector reaches back, so that it ends where the inputs do.
                        nint start = (nint)first * S.Count, last = Math.Min(start + height * S.Count, length) - S.Count,
                            begin = Math.Min(start, last);
                        for (int i = 0; i < height; i++)
                        {
                            nint at = i == height - 1 ? last : start + i * S.Count;
                            places[i] = x + (rows ? (first + i) / perRow * (nint)phaseW * s.N + (first + i) % perRow * S.Count : at);
                            side[i] = copy + (gathers ? at - begin : i * S.Count);
                        }
                        // A long sum is one of shorter ones: the error of a float's sum grows with its length.
                        for (int k = 0, depth; k < s.K; k += depth)
                        {
                            depth = Math.Min(DepthBlock, s.K - k);
                            if (gathers) Gather(x, pt + k, depth, begin, last + S.Count, copy);
                            else if (packs) Pack(places, height, pt + k, depth, copy);
                            float** from = copy is null ? places : side;
                            nint* own = copy is null ? pt + k : ps;
                            for (int f = 0; f < conv.FilterTiles; f++)
                            {
                                var (m, count) = conv.FilterTile(f);
                                m += g * s.M;
                                float* w = weights + (nint)m * s.K + k, sum = sums + f * sumStep,
                                    bias = k > 0 || after.Scale is not null || after.Bias is null ? null : after.Bias + m;
                                nint to = m * step + start;
                                var output = new EpilogueOutput { Y = y + to, Step = step, Last = last - start, After = after.At(m, to) };
                                if (k + depth < s.K)
                                    conv.RunTaps(height, count, from, own, w, depth, bias, new SumOutput { Sums = sum, First = k == 0 });
                                else if (k == 0) conv.RunTaps(height, count, from, own, w, depth, bias, output);
                                else
                                {
                                    conv.RunTaps(height, count, from, own, w, depth, null,
                                        new LastOutput<EpilogueOutput> { Sums = sum, Output = output });
                                }
                            }
                        }
                    }
            }
        }

        /// <summary>Copies the inputs of some outputs that follow each other, of some taps, side by side.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Gather(float* x, nint* pt, int depth, nint begin, nint end, float* to)
        {
            // The pieces of rows that make them up.
            int pieces = 0;
            nint* places = stackalloc nint[TileRows * S.Count];
            int* lengths = stackalloc int[TileRows * S.Count];
            for (nint at = begin; at < end; at += lengths[pieces++])
            {
                var (row, column) = Math.DivRem(at, RowLength);
                places[pieces] = row * phaseW * s.N + column;
                lengths[pieces] = (int)Math.Min(RowLength - column, end - at);
            }
            for (int k = 0; k < depth; k++)
            {
                float* from = x + pt[k], write = to + (nint)k * TileRows * S.Count;
                for (int piece = 0; piece < pieces; write += lengths[piece++]) CopyRun(from + places[piece], write, lengths[piece]);
            }
        }

        /// <summary>
        /// Copies a tile's inputs side by side: those of a 1×1 convolution lie a channel apart, often in the same few lines of the cache,
        /// and every tile of filters reads them again.
        /// </summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Pack(float** at, int height, nint* pt, int depth, float* to)
        {
            for (int k = 0; k < depth; k++)
                for (int i = 0; i < height; i++) S.Store(to + (k * TileRows + i) * S.Count, S.Load(at[i] + pt[k]));
        }

        /// <summary>Outputs from the unbroken run to their place, with what comes after them. A last vector may reach into rows that
        /// follow, as far as there is room.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void CopyRow(float* from, float* to, float* skip, int length, int room)
        {
            bool rectifies = skip is not null && epilogue.Rectified;
            V zero = default;
            int i = 0;
            for (; i <= length - S.Count || (i < length && i <= room - S.Count); i += S.Count)
            {
                V value = S.Load(from + i);
                if (skip is not null) value = S.Add(value, S.Load(skip + i));
                S.Store(to + i, rectifies ? S.Max(value, zero) : value);
            }
            for (; i < length; i++)
            {
                float value = from[i];
                if (skip is not null) value += skip[i];
                to[i] = rectifies ? MathF.Max(value, 0) : value;
            }
        }

        /// <summary>Rows of the output, and what one thread works with for them.</summary>
        private sealed record Part(int First, int Rows)
        {
            public AlignedBuffer Input { get; } = new();
            public AlignedBuffer Tile { get; } = new();
            public AlignedBuffer Sums { get; } = new();
            public AlignedBuffer Wide { get; } = new();
        }
    }

    /// <summary>Pools one sample, whose positions fill the lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void PoolFlat(float* flat, nint step, int row, Size2 pool, int pH, int pW, bool rectified, float* y)
    {
        V zero = default;
        float* end = y + (nint)s.Groups * s.M * pH * pW, spare = stackalloc float[S.Count];
        for (int m = 0; m < s.Groups * s.M; m++)
            for (int ph = 0; ph < pH; ph++, y += pW)
            {
                float* from = flat + m * step + ph * pool.H * row;
                if (pool.W != 2)
                {
                    for (int pw = 0; pw < pW; pw++)
                    {
                        float best = rectified ? 0 : float.NegativeInfinity;
                        for (int kh = 0; kh < pool.H; kh++)
                            for (int kw = 0; kw < pool.W; kw++) best = MathF.Max(best, from[kh * row + pw * pool.W + kw]);
                        y[pw] = best;
                    }
                    continue;
                }
                for (int pw = 0; pw < pW; pw += S.Count)
                {
                    V a = S.Load(from + 2 * pw), b = S.Load(from + 2 * pw + S.Count);
                    for (int kh = 1; kh < pool.H; kh++)
                    {
                        a = S.Max(a, S.Load(from + kh * row + 2 * pw));
                        b = S.Max(b, S.Load(from + kh * row + 2 * pw + S.Count));
                    }
                    V best = S.Max(S.Evens(a, b), S.Odds(a, b));
                    if (rectified) best = S.Max(best, zero);
                    // What a row's last vector writes past it, the next row overwrites; the last rows have no next.
                    if (y + pw + S.Count <= end)
                    {
                        S.Store(y + pw, best);
                        continue;
                    }
                    S.Store(spare, best);
                    for (int i = pw; i < pW && i < pw + S.Count; i++) y[i] = spare[i - pw];
                }
            }
    }
}
