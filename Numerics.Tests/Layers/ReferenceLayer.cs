namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// The meaning of each layer: plain loops in double over arrays in row-major order [N, …], written without regard to speed or layout.
/// Finite differences check these backwards; the engine is checked against these.
/// </summary>
internal abstract class ReferenceLayer
{
    /// <summary>The reference of an engine's module, with copies of its parameters.</summary>
    public static ReferenceLayer Of(Module module) => module switch
    {
        Conv1d or MaxPool1d or AvgPool1d or AdaptiveAvgPool1d => new Row(module switch
        {
            Conv1d conv => new Conv(conv),
            MaxPool1d pool => new Pool(pool.Geometry),
            AvgPool1d pool => new Average(pool.Geometry, pool.CountIncludePad),
            _ => new Adaptive((1, ((AdaptiveAvgPool1d)module).OutputSize)),
        }),
        Conv2d conv => new Conv(conv),
        ConvTranspose2d conv => new Transposed(conv),
        Linear linear => new Dense(linear),
        MaxPool2d pool => new Pool(pool.Geometry),
        AvgPool2d pool => new Average(pool.Geometry, pool.CountIncludePad),
        AdaptiveAvgPool2d pool => new Adaptive(pool.OutputSize),
        AdaptiveMaxPool2d pool => new AdaptiveMax(pool.OutputSize),
        Resize resize => new Moved((input, output) => Resized(resize, input, output), resize.OutputShape),
        Pad2d pad => new Moved((input, output) => Padded(pad, input, output), pad.OutputShape, pad is ConstantPadNd c ? c.Value : 0),
        Slice slice => new Moved((input, output) => Sliced(slice, input, output), slice.OutputShape),
        IndexSelect select => new Moved((input, output) => Selected(select.Dim, [.. select.Indices], input, output), select.OutputShape),
        ChannelShuffle shuffle => new Moved((input, _) => Shuffled(shuffle.Groups, input), sample => sample),
        BatchNorm norm => new Norm(norm),
        LocalResponseNorm norm => new ResponseNorm(norm),
        Reduce reduce => new Reduced(reduce),
        GroupNorm norm => new GroupedNorm(norm, _ => norm.NumGroups, (feature, sample) => feature / (sample.Count / norm.NumChannels)),
        InstanceNorm norm =>
            new GroupedNorm(norm, _ => norm.NumFeatures, (feature, sample) => feature / (sample.Count / norm.NumFeatures)),
        LayerNorm norm => new GroupedNorm(norm, sample => sample.Count / norm.NormalizedShape.Count,
            (feature, _) => feature % norm.NormalizedShape.Count),
        ReLU => new Each(x => Math.Max(x, 0), x => x > 0 ? 1 : 0),
        LeakyReLU leaky => new Each(x => x > 0 ? x : leaky.NegativeSlope * x, x => x > 0 ? 1 : leaky.NegativeSlope),
        Sigmoid => new Each(x => 1 / (1 + Math.Exp(-x)), x => 1 / ((1 + Math.Exp(-x)) * (1 + Math.Exp(x)))),
        Tanh => new Each(Math.Tanh, x => 1 / (Math.Cosh(x) * Math.Cosh(x))),
        GELU => new Each(x => x * Phi(x), x => Phi(x) + x * Math.Exp(-x * x / 2) / Math.Sqrt(2 * Math.PI)),
        Hardtanh h => new Each(x => Math.Clamp(x, h.MinVal, h.MaxVal), x => x > h.MinVal && x < h.MaxVal ? 1 : 0),
        Hardsigmoid h => new Each(x => Math.Clamp(h.Alpha * x + h.Beta, 0, 1), x => h.Alpha * x + h.Beta is > 0 and < 1 ? h.Alpha : 0),
        Hardswish => new Each(x => x * Math.Clamp(x + 3, 0, 6) / 6, x => x < -3 ? 0 : x > 3 ? 1 : x / 3 + 0.5),
        SiLU => new Each(x => x * Logistic(x), x => Logistic(x) + x * Logistic(x) * Logistic(-x)),
        Mish => new Each(x => x * Math.Tanh(Math.Log(1 + Math.Exp(x))), x => Math.Tanh(Math.Log(1 + Math.Exp(x)))
            + x * (1 - Math.Pow(Math.Tanh(Math.Log(1 + Math.Exp(x))), 2)) * Logistic(x)),
        ELU elu => new Each(x => x > 0 ? x : elu.Alpha * (Math.Exp(x) - 1), x => x > 0 ? 1 : elu.Alpha * Math.Exp(x)),
        SELU => new Each(x => SELU.Scale * (x > 0 ? x : SELU.Alpha * (Math.Exp(x) - 1)),
            x => SELU.Scale * (x > 0 ? 1 : SELU.Alpha * Math.Exp(x))),
        Softplus s => new Each(x => s.Beta * x > s.Threshold ? x : Math.Log(1 + Math.Exp(s.Beta * x)) / s.Beta,
            x => s.Beta * x > s.Threshold ? 1 : Logistic(s.Beta * x)),
        PReLU prelu => new LearnedSlope(prelu),
        ChannelNormalization softmax => new Channels(softmax.Dim, log: softmax is LogSoftmax),
        Dropout { Training: false } => new Each(x => x, _ => 1),
        Flatten => new View(sample => new Shape(sample.Count)),
        Reshape reshape => new View(_ => reshape.Sample),
        Permute permute => new Order([.. permute.Dims]),
        ScaleShift layer => new Affine(layer),
        Sequential sequential => new Chain([.. sequential.Chain.Select(Of)]),
        _ => throw new ArgumentException($"no reference for {module}", nameof(module)),
    };

    private static double Logistic(double x) => 1 / (1 + Math.Exp(-x));

    /// <summary>Parameters in the order of the engine's, changed in place by finite differences.</summary>
    public virtual IReadOnlyList<double[]> Parameters => [];

    /// <summary>Their gradients, of the last backward alone.</summary>
    public virtual IReadOnlyList<double[]> Gradients => [];

    public abstract (double[] Y, Shape Shape) Forward(double[] x, int samples, Shape sample);

    public abstract double[] Backward(double[] dy);

    /// <summary>Every pair of an output position's tap and the input place under it, for all samples and channels.</summary>
    private static void ForEachTap(WindowGeometry g, int samples, int channels, int h, int w, Action<int, int, int, int, int> visit)
    {
        var (oH, oW) = Output(g, h, w);
        for (int n = 0; n < samples; n++)
            for (int c = 0; c < channels; c++)
                for (int p = 0; p < oH * oW; p++)
                    for (int tap = 0; tap < g.Kernel.H * g.Kernel.W; tap++)
                    {
                        int ih = p / oW * g.Stride.H - g.Padding.H + tap / g.Kernel.W * g.Dilation.H;
                        int iw = p % oW * g.Stride.W - g.Padding.W + tap % g.Kernel.W * g.Dilation.W;
                        if (ih >= 0 && ih < h && iw >= 0 && iw < w) visit(n, c, p, tap, ((n * channels + c) * h + ih) * w + iw);
                    }
    }

    private static (int H, int W) Output(WindowGeometry g, int h, int w) =>
        (Windows(h, g.Kernel.H, g.Stride.H, g.Padding.H, g.PaddingEnd.H, g.Dilation.H, g.CeilMode),
            Windows(w, g.Kernel.W, g.Stride.W, g.Padding.W, g.PaddingEnd.W, g.Dilation.W, g.CeilMode));

    /// <summary>
    /// Windows are counted while they fit; in ceil mode one more, if something is left for it and it begins before the right-hand padding.
    /// </summary>
    private static int Windows(int size, int kernel, int stride, int padding, int paddingEnd, int dilation, bool ceilMode)
    {
        int extent = dilation * (kernel - 1) + 1, padded = size + padding + paddingEnd, count = 0;
        while (count * stride + extent <= padded) count++;
        bool left = (count - 1) * stride + extent < padded, begins = count * stride - padding < size;
        return ceilMode && left && begins ? count + 1 : count;
    }

    /// <summary>The standard normal distribution, by its Taylor series: ½ + φ(x)·(x + x³/3 + x⁵/(3·5) + …).</summary>
    private static double Phi(double x)
    {
        double sum = 0, term = x;
        for (int k = 3; Math.Abs(term) > 1e-18; k += 2)
        {
            sum += term;
            term *= x * x / k;
        }
        return 0.5 + sum * Math.Exp(-x * x / 2) / Math.Sqrt(2 * Math.PI);
    }

    private sealed class Conv(ConvNd layer) : ReferenceLayer
    {
        private readonly double[] weight = layer.Weight.Value.Data.ToDouble();
        private readonly double[]? bias = layer.Bias?.Value.Data.ToDouble();
        private readonly WindowGeometry g = layer.Geometry;
        private readonly int inputs = layer.InChannels, filters = layer.OutChannels, groups = layer.Groups;
        private double[] x = [], dWeight = [], dBias = [];
        private (int N, int H, int W, int Positions) size;

        public override IReadOnlyList<double[]> Parameters => bias is null ? [weight] : [weight, bias];

        public override IReadOnlyList<double[]> Gradients => bias is null ? [dWeight] : [dWeight, dBias];

        public override (double[], Shape) Forward(double[] x, int samples, Shape sample)
        {
            var (oH, oW) = Output(g, sample[1], sample[2]);
            (this.x, size) = (x, (samples, sample[1], sample[2], oH * oW));
            var y = new double[samples * filters * oH * oW];
            for (int i = 0; bias is not null && i < y.Length; i++) y[i] = bias[i / (oH * oW) % filters];
            ForEach((xi, wi, yi) => y[yi] += x[xi] * weight[wi]);
            return (y, new Shape(filters, oH, oW));
        }

        public override double[] Backward(double[] dy)
        {
            var dx = new double[x.Length];
            (dWeight, dBias) = (new double[weight.Length], new double[filters]);
            ForEach((xi, wi, yi) =>
            {
                dx[xi] += dy[yi] * weight[wi];
                dWeight[wi] += dy[yi] * x[xi];
            });
            for (int i = 0; i < dy.Length; i++) dBias[i / size.Positions % filters] += dy[i];
            return dx;
        }

        private void ForEach(Action<int, int, int> term) => ForEachTap(g, size.N, inputs, size.H, size.W, (n, c, p, tap, place) =>
        {
            int ofGroup = inputs / groups;
            for (int m = 0; m < filters; m++)
            {
                if (m / (filters / groups) == c / ofGroup) term(place, (m * ofGroup + c % ofGroup) * g.Taps + tap,
                    (n * filters + m) * size.Positions + p);
            }
        });
    }

    /// <summary>Rows [C, L] as images of height 1.</summary>
    private sealed class Row(ReferenceLayer layer) : ReferenceLayer
    {
        public override IReadOnlyList<double[]> Parameters => layer.Parameters;

        public override IReadOnlyList<double[]> Gradients => layer.Gradients;

        public override (double[], Shape) Forward(double[] x, int samples, Shape sample)
        {
            var (y, shape) = layer.Forward(x, samples, new Shape(sample[0], 1, sample[1]));
            return (y, new Shape(shape[0], shape[2]));
        }

        public override double[] Backward(double[] dy) => layer.Backward(dy);
    }

    /// <summary>Every input place, times every tap of every filter, at the output place that the tap falls on.</summary>
    private sealed class Transposed(ConvTranspose2d layer) : ReferenceLayer
    {
        private readonly double[] weight = layer.Weight.Value.Data.ToDouble();
        private readonly double[]? bias = layer.Bias?.Value.Data.ToDouble();
        private readonly WindowGeometry g = layer.Geometry;
        private double[] x = [], dWeight = [], dBias = [];
        private Shape input, output;

        public override IReadOnlyList<double[]> Parameters => bias is null ? [weight] : [weight, bias];

        public override IReadOnlyList<double[]> Gradients => bias is null ? [dWeight] : [dWeight, dBias];

        public override (double[], Shape) Forward(double[] x, int samples, Shape sample)
        {
            (this.x, input, output) = (x, sample, layer.OutputShape(sample));
            var y = new double[samples * output.Count];
            for (int i = 0; bias is not null && i < y.Length; i++) y[i] = bias[i / (output[1] * output[2]) % output[0]];
            ForEach((xi, wi, yi) => y[yi] += x[xi] * weight[wi]);
            return (y, output);
        }

        public override double[] Backward(double[] dy)
        {
            var dx = new double[x.Length];
            (dWeight, dBias) = (new double[weight.Length], new double[output[0]]);
            ForEach((xi, wi, yi) =>
            {
                dx[xi] += dy[yi] * weight[wi];
                dWeight[wi] += dy[yi] * x[xi];
            });
            for (int i = 0; i < dy.Length; i++) dBias[i / (output[1] * output[2]) % output[0]] += dy[i];
            return dx;
        }

        private void ForEach(Action<int, int, int> term)
        {
            int ofGroup = output[0] / layer.Groups;
            for (int xi = 0; xi < x.Length; xi++)
                for (int m = 0; m < ofGroup; m++)
                    for (int tap = 0; tap < g.Taps; tap++)
                    {
                        int w = xi % input[2], h = xi / input[2] % input[1], c = xi / (input[1] * input[2]) % input[0];
                        int n = xi / input.Count;
                        int oh = h * g.Stride.H - g.Padding.H + tap / g.Kernel.W * g.Dilation.H;
                        int ow = w * g.Stride.W - g.Padding.W + tap % g.Kernel.W * g.Dilation.W;
                        if (oh < 0 || oh >= output[1] || ow < 0 || ow >= output[2]) continue;
                        int filter = c / (input[0] / layer.Groups) * ofGroup + m;
                        term(xi, (c * ofGroup + m) * g.Taps + tap, ((n * output[0] + filter) * output[1] + oh) * output[2] + ow);
                    }
        }
    }

    /// <summary>Every element of the result is a number, or a weighted sum of the input's: of each its terms.</summary>
    private sealed class Moved(
        Func<Shape, Shape, IEnumerable<(int Y, int X, double Weight)>> terms, Func<Shape, Shape> shape, double rest = 0)
        : ReferenceLayer
    {
        private (int Y, int X, double Weight)[] weights = [];
        private int samples, inputs, outputs;

        public override (double[], Shape) Forward(double[] x, int samples, Shape sample)
        {
            var output = shape(sample);
            (weights, this.samples, inputs, outputs) = ([.. terms(sample, output)], samples, sample.Count, output.Count);
            var y = new double[samples * outputs];
            bool[] made = new bool[outputs];
            foreach (var (yi, _, _) in weights) made[yi] = true;
            for (int i = 0; i < y.Length; i++) y[i] = made[i % outputs] ? 0 : rest;
            for (int n = 0; n < samples; n++)
                foreach (var (yi, xi, weight) in weights) y[n * outputs + yi] += weight * x[n * inputs + xi];
            return (y, output);
        }

        public override double[] Backward(double[] dy)
        {
            var dx = new double[samples * inputs];
            for (int n = 0; n < samples; n++)
                foreach (var (yi, xi, weight) in weights) dx[n * inputs + xi] += weight * dy[n * outputs + yi];
            return dx;
        }
    }

    /// <summary>Terms of a function that works along height and width, each on its own.</summary>
    private static IEnumerable<(int Y, int X, double Weight)> Separable(Shape input, Shape output,
        Func<int, IEnumerable<(int From, double Weight)>> rows, Func<int, IEnumerable<(int From, double Weight)>> columns) =>
        from yi in Enumerable.Range(0, output.Count)
        from row in rows(yi / output[2] % output[1])
        from column in columns(yi % output[2])
        select (yi, (yi / (output[1] * output[2]) * input[1] + row.From) * input[2] + column.From, row.Weight * column.Weight);

    private static IEnumerable<(int, int, double)> Resized(Resize layer, Shape input, Shape output)
    {
        return Separable(input, output, i => Along(i, input[1], output[1], layer.ScaleFactor?.H),
            i => Along(i, input[2], output[2], layer.ScaleFactor?.W));

        IEnumerable<(int, double)> Along(int i, int size, int sizeOut, double? factor)
        {
            decimal scale = (decimal?)factor ?? (decimal)sizeOut / size;
            double x = (double)Math.Round(layer.Coordinates switch
            {
                CoordinateMode.Asymmetric => i / scale,
                CoordinateMode.AlignCorners => sizeOut == 1 ? 0 : (decimal)i * (size - 1) / (sizeOut - 1),
                CoordinateMode.PytorchHalfPixel when sizeOut == 1 => 0,
                _ => (i + 0.5m) / scale - 0.5m,
            }, 20);
            int Inside(double place) => (int)Math.Max(0, Math.Min(size - 1, place));
            if (layer.Nearest is not { } nearest)
                // As if the outermost places went on for ever.
                return [(Inside(Math.Floor(x)), 1 - (x - Math.Floor(x))), (Inside(Math.Floor(x) + 1), x - Math.Floor(x))];
            bool half = x - Math.Floor(x) == 0.5;
            return [(Inside(nearest switch
            {
                NearestMode.Floor => Math.Floor(x),
                NearestMode.Ceil => Math.Ceiling(x),
                NearestMode.RoundPreferFloor when half => Math.Floor(x),
                NearestMode.RoundPreferCeil when half => Math.Ceiling(x),
                _ => Math.Round(x),
            }), 1)];
        }
    }

    private static IEnumerable<(int, int, double)> Padded(Pad2d layer, Shape input, Shape output)
    {
        return Separable(input, output, i => Along(i - layer.Padding.Top, input[1]), i => Along(i - layer.Padding.Left, input[2]));

        IEnumerable<(int, double)> Along(int i, int size) => (layer, i >= 0 && i < size) switch
        {
            (_, true) => [(i, 1)],
            (ConstantPadNd, _) => [],
            (ReflectionPad2d, _) => [(i < 0 ? -i : size - 1 - (i - (size - 1)), 1)],
            _ => [(Math.Clamp(i, 0, size - 1), 1)],
        };
    }

    private static IEnumerable<(int, int, double)> Sliced(Slice layer, Shape input, Shape output)
    {
        int axis = layer.Dim < 0 ? input.Rank - 1 : layer.Dim - 1, size = input[axis];
        int From(int? place, int missing) => place is not { } p ? missing : p < 0 ? p + size : p;
        var taken = new List<int>();
        if (layer.Step > 0) for (int i = From(layer.Start, 0); i < Math.Min(size, From(layer.End, size)); i += layer.Step) taken.Add(i);
        else for (int i = From(layer.Start, size - 1); i > From(layer.End, -1); i += layer.Step) taken.Add(i);
        return Selected(axis + 1, [.. taken], input, output);
    }

    private static IEnumerable<(int, int, double)> Selected(int dim, int[] taken, Shape input, Shape output)
    {
        int axis = dim - 1, size = input[axis], y = 0;
        int later = input.Sizes[(axis + 1)..].ToArray().Aggregate(1, (product, s) => product * s);
        for (int before = 0; before < output.Count / (taken.Length * later); before++)
            foreach (int place in taken)
                for (int behind = 0; behind < later; behind++)
                    yield return (y++, (before * size + (place + size) % size) * later + behind, 1);
    }

    private static IEnumerable<(int, int, double)> Shuffled(int groups, Shape input)
    {
        int ofGroup = input[0] / groups, places = input.Count / input[0], y = 0;
        for (int channel = 0; channel < ofGroup; channel++)
            for (int group = 0; group < groups; group++)
                for (int place = 0; place < places; place++)
                    yield return (y++, (group * ofGroup + channel) * places + place, 1);
    }

    private sealed class Dense(Linear layer) : ReferenceLayer
    {
        private readonly double[] weight = layer.Weight.Value.Data.ToDouble();
        private readonly double[]? bias = layer.Bias?.Value.Data.ToDouble();
        private readonly int inputs = layer.InFeatures, outputs = layer.OutFeatures;
        private double[] x = [], dWeight = [], dBias = [];

        public override IReadOnlyList<double[]> Parameters => bias is null ? [weight] : [weight, bias];

        public override IReadOnlyList<double[]> Gradients => bias is null ? [dWeight] : [dWeight, dBias];

        public override (double[], Shape) Forward(double[] x, int samples, Shape sample)
        {
            this.x = x;
            var y = new double[samples * outputs];
            for (int n = 0; n < samples; n++)
                for (int o = 0; o < outputs; o++)
                {
                    y[n * outputs + o] = bias is null ? 0 : bias[o];
                    for (int i = 0; i < inputs; i++) y[n * outputs + o] += x[n * inputs + i] * weight[o * inputs + i];
                }
            return (y, new Shape(outputs));
        }

        public override double[] Backward(double[] dy)
        {
            var dx = new double[x.Length];
            (dWeight, dBias) = (new double[weight.Length], new double[outputs]);
            for (int n = 0; n < dy.Length / outputs; n++)
                for (int o = 0; o < outputs; o++)
                {
                    dBias[o] += dy[n * outputs + o];
                    for (int i = 0; i < inputs; i++)
                    {
                        dx[n * inputs + i] += dy[n * outputs + o] * weight[o * inputs + i];
                        dWeight[o * inputs + i] += dy[n * outputs + o] * x[n * inputs + i];
                    }
                }
            return dx;
        }
    }

    private sealed class Pool(WindowGeometry g) : ReferenceLayer
    {
        private int inputs;
        private int[] winners = [];

        public override (double[], Shape) Forward(double[] x, int samples, Shape sample)
        {
            var (oH, oW) = Output(g, sample[1], sample[2]);
            var y = new double[samples * sample[0] * oH * oW];
            (inputs, winners) = (x.Length, new int[y.Length]);
            winners.AsSpan().Fill(-1);
            ForEachTap(g, samples, sample[0], sample[1], sample[2], (n, c, p, _, place) =>
            {
                int i = (n * sample[0] + c) * oH * oW + p;
                if (winners[i] >= 0 && !(x[place] > y[i])) return;
                (winners[i], y[i]) = (place, x[place]);
            });
            return (y, new Shape(sample[0], oH, oW));
        }

        public override double[] Backward(double[] dy)
        {
            var dx = new double[inputs];
            for (int i = 0; i < dy.Length; i++) dx[winners[i]] += dy[i];
            return dx;
        }
    }

    private sealed class Average(WindowGeometry g, bool countIncludePad) : ReferenceLayer
    {
        private (int N, int C, int H, int W) size;

        public override (double[], Shape) Forward(double[] x, int samples, Shape sample)
        {
            size = (samples, sample[0], sample[1], sample[2]);
            var (oH, oW) = Output(g, size.H, size.W);
            var y = new double[samples * size.C * oH * oW];
            ForEach((xi, yi, count) => y[yi] += x[xi] / count);
            return (y, new Shape(size.C, oH, oW));
        }

        public override double[] Backward(double[] dy)
        {
            var dx = new double[size.N * size.C * size.H * size.W];
            ForEach((xi, yi, count) => dx[xi] += dy[yi] / count);
            return dx;
        }

        private void ForEach(Action<int, int, int> term)
        {
            var (oH, oW) = Output(g, size.H, size.W);
            ForEachTap(g, size.N, size.C, size.H, size.W, (n, c, p, _, place) =>
            {
                // Places that count: inside the image, or inside its padding too, but never beyond that.
                int counted = countIncludePad ? 1 : 0, count = 0;
                for (int tap = 0; tap < g.Taps; tap++)
                {
                    int h = p / oW * g.Stride.H - g.Padding.H + tap / g.Kernel.W, w = p % oW * g.Stride.W - g.Padding.W + tap % g.Kernel.W;
                    bool inH = h >= -counted * g.Padding.H && h < size.H + counted * g.PaddingEnd.H, inW = w >= -counted * g.Padding.W
                        && w < size.W + counted * g.PaddingEnd.W;
                    if (inH && inW) count++;
                }
                term(place, (n * size.C + c) * oH * oW + p, count);
            });
        }
    }

    private sealed class AdaptiveMax(Size2 output) : ReferenceLayer
    {
        private int inputs;
        private int[] winners = [];

        public override (double[], Shape) Forward(double[] x, int samples, Shape sample)
        {
            var y = new double[samples * sample[0] * output.H * output.W];
            (inputs, winners) = (x.Length, new int[y.Length]);
            winners.AsSpan().Fill(-1);
            Adaptive.ForEach(output, (samples * sample[0], sample[1], sample[2]), (xi, yi, _) =>
            {
                if (winners[yi] >= 0 && !(x[xi] > y[yi])) return;
                (winners[yi], y[yi]) = (xi, x[xi]);
            });
            return (y, new Shape(sample[0], output.H, output.W));
        }

        public override double[] Backward(double[] dy)
        {
            var dx = new double[inputs];
            for (int i = 0; i < dy.Length; i++) dx[winners[i]] += dy[i];
            return dx;
        }
    }

    private sealed class Adaptive(Size2 output) : ReferenceLayer
    {
        private (int Planes, int H, int W) size;

        public override (double[], Shape) Forward(double[] x, int samples, Shape sample)
        {
            size = (samples * sample[0], sample[1], sample[2]);
            var y = new double[size.Planes * output.H * output.W];
            ForEach(output, size, (xi, yi, factor) => y[yi] += x[xi] * factor);
            return (y, new Shape(sample[0], output.H, output.W));
        }

        public override double[] Backward(double[] dy)
        {
            var dx = new double[size.Planes * size.H * size.W];
            ForEach(output, size, (xi, yi, factor) => dx[xi] += dy[yi] * factor);
            return dx;
        }

        /// <summary>Every place of every window, with one over the window's number of places.</summary>
        public static void ForEach(Size2 output, (int Planes, int H, int W) size, Action<int, int, double> term)
        {
            for (int plane = 0; plane < size.Planes; plane++)
                for (int p = 0; p < output.H * output.W; p++)
                {
                    int[] rows = Places(p / output.W, output.H, size.H), columns = Places(p % output.W, output.W, size.W);
                    foreach (int h in rows)
                        foreach (int w in columns)
                            term((plane * size.H + h) * size.W + w, plane * output.H * output.W + p, 1.0 / (rows.Length * columns.Length));
                }
        }

        /// <summary>
        /// The input's places i that lie, as intervals [i, i + 1), at least partly in the output place's part of the whole.
        /// </summary>
        private static int[] Places(int place, int places, int size) =>
            [.. Enumerable.Range(0, size).Where(i => (i + 1) * places > place * size && i * places < (place + 1) * size)];
    }

    private sealed class Norm(BatchNorm layer) : ReferenceLayer
    {
        private readonly double[]? weight = layer.Weight?.Value.Data.ToDouble(), bias = layer.Bias?.Value.Data.ToDouble();
        private readonly double[]? means = layer.Training ? null : layer.RunningMean!.ToDouble(), variances = layer.Training ? null
            : layer.RunningVar!.ToDouble();
        private readonly int channels = layer.NumFeatures;
        private readonly double eps = layer.Eps;
        private double[] xHat = [], scale = [], dWeight = [], dBias = [];
        private int places;

        public override IReadOnlyList<double[]> Parameters => weight is null ? [] : [weight, bias!];

        public override IReadOnlyList<double[]> Gradients => weight is null ? [] : [dWeight, dBias];

        public override (double[], Shape) Forward(double[] x, int samples, Shape sample)
        {
            places = sample.Count / channels;
            (xHat, scale) = (new double[x.Length], new double[channels]);
            var y = new double[x.Length];
            for (int c = 0; c < channels; c++)
            {
                int[] own = Own(c, x.Length);
                double mean = means?[c] ?? own.Average(i => x[i]), variance = variances?[c]
                    ?? own.Average(i => (x[i] - mean) * (x[i] - mean));
                scale[c] = 1 / Math.Sqrt(variance + eps);
                foreach (int i in own)
                {
                    xHat[i] = (x[i] - mean) * scale[c];
                    y[i] = xHat[i] * (weight?[c] ?? 1) + (bias?[c] ?? 0);
                }
            }
            return (y, sample);
        }

        public override double[] Backward(double[] dy)
        {
            var dx = new double[dy.Length];
            (dWeight, dBias) = (new double[channels], new double[channels]);
            for (int c = 0; c < channels; c++)
            {
                int[] own = Own(c, dy.Length);
                (dWeight[c], dBias[c]) = (own.Sum(i => dy[i] * xHat[i]), own.Sum(i => dy[i]));
                double factor = (weight?[c] ?? 1) * scale[c];
                foreach (int i in own) dx[i] = factor * (means is null ? dy[i] - (dBias[c] + xHat[i] * dWeight[c]) / own.Length : dy[i]);
            }
            return dx;
        }

        private int[] Own(int c, int length) => [.. Enumerable.Range(0, length).Where(i => i / places % channels == c)];
    }

    /// <summary>Equal groups of neighbouring features of a sample, and for each feature its element of weight and bias.</summary>
    private sealed class GroupedNorm(SampleNorm layer, Func<Shape, int> groups, Func<int, Shape, int> element) : ReferenceLayer
    {
        private readonly double[]? weight = layer.Weight?.Value.Data.ToDouble(), bias = layer.Bias?.Value.Data.ToDouble();
        private double[] xHat = [], scale = [], dWeight = [], dBias = [];
        private int each;
        private Shape sample;

        public override IReadOnlyList<double[]> Parameters => weight is null ? [] : [weight, bias!];

        public override IReadOnlyList<double[]> Gradients => weight is null ? [] : [dWeight, dBias];

        public override (double[], Shape) Forward(double[] x, int samples, Shape sample)
        {
            (this.sample, each) = (sample, sample.Count / groups(sample));
            (xHat, scale) = (new double[x.Length], new double[x.Length / each]);
            for (int g = 0; g < scale.Length; g++)
            {
                double[] own = x[(g * each)..((g + 1) * each)];
                double mean = own.Average();
                scale[g] = 1 / Math.Sqrt(own.Average(value => (value - mean) * (value - mean)) + layer.Eps);
                for (int i = 0; i < each; i++) xHat[g * each + i] = (own[i] - mean) * scale[g];
            }
            return ([.. xHat.Select((hat, i) => hat * Of(weight, i, 1) + Of(bias, i, 0))], sample);
        }

        public override double[] Backward(double[] dy)
        {
            (dWeight, dBias) = (new double[weight?.Length ?? 0], new double[weight?.Length ?? 0]);
            for (int i = 0; i < dy.Length && weight is not null; i++)
            {
                dWeight[element(i % sample.Count, sample)] += dy[i] * xHat[i];
                dBias[element(i % sample.Count, sample)] += dy[i];
            }
            var dx = new double[dy.Length];
            for (int g = 0; g < scale.Length; g++)
            {
                int[] own = [.. Enumerable.Range(g * each, each)];
                double all = own.Sum(i => dy[i] * Of(weight, i, 1)), along = own.Sum(i => dy[i] * Of(weight, i, 1) * xHat[i]);
                foreach (int i in own) dx[i] = scale[g] * (dy[i] * Of(weight, i, 1) - (all + xHat[i] * along) / each);
            }
            return dx;
        }

        private double Of(double[]? parameter, int i, double missing) =>
            parameter is null ? missing : parameter[element(i % sample.Count, sample)];
    }

    private sealed class ResponseNorm(LocalResponseNorm layer) : ReferenceLayer
    {
        private double[] x = [], divisors = [];
        private int channels, places;

        public override (double[], Shape) Forward(double[] x, int samples, Shape sample)
        {
            (this.x, channels, places) = (x, sample[0], sample.Count / sample[0]);
            divisors = [.. x.Select((_, i) => layer.K + layer.Alpha / layer.Size * Window(i).Sum(j => x[j] * x[j]))];
            return ([.. x.Select((value, i) => value / Math.Pow(divisors[i], layer.Beta))], sample);
        }

        public override double[] Backward(double[] dy)
        {
            var dx = new double[dy.Length];
            for (int i = 0; i < dy.Length; i++)
            {
                dx[i] += dy[i] / Math.Pow(divisors[i], layer.Beta);
                foreach (int j in Window(i)) // d y_i/d d_i · d d_i/d x_j
                    dx[j] -= dy[i] * layer.Beta * x[i] * Math.Pow(divisors[i], -layer.Beta - 1) * layer.Alpha / layer.Size * 2 * x[j];
            }
            return dx;
        }

        /// <summary>The same place of the channels in an element's window.</summary>
        private IEnumerable<int> Window(int i)
        {
            int channel = i / places % channels;
            return from offset in Enumerable.Range(-(layer.Size / 2), layer.Size)
                   where channel + offset >= 0 && channel + offset < channels
                   select i + offset * places;
        }
    }

    private sealed class Reduced(Reduce layer) : ReferenceLayer
    {
        private double[] x = [];
        private int[][] sources = []; // of each element of y those of x that it is made of

        public override (double[], Shape) Forward(double[] x, int samples, Shape sample)
        {
            this.x = x;
            int[] sizes = [samples, .. sample.Sizes], axes = [.. layer.Dim.Select(axis => axis < 0 ? axis + sizes.Length : axis)];
            sources = [.. Enumerable.Range(0, x.Length).GroupBy(i => Enumerable.Range(0, sizes.Length).Where(axis => !axes.Contains(axis))
                .Aggregate(0, (place, axis) => place * sizes[axis] + i / Behind(axis) % sizes[axis])).Select(group => group.ToArray())];
            return ([.. sources.Select(own => layer switch
            {
                ReduceSum => own.Sum(i => x[i]), ReduceMean => own.Average(i => x[i]), _ => own.Max(i => x[i]),
            })], layer.OutputShape(sample));

            int Behind(int axis) => sizes[(axis + 1)..].Aggregate(1, (count, size) => count * size);
        }

        public override double[] Backward(double[] dy)
        {
            var dx = new double[x.Length];
            for (int y = 0; y < dy.Length; y++)
            {
                int[] own = sources[y];
                int[] taken = layer is ReduceMax ? [.. own.Where(i => x[i] == own.Max(j => x[j]))] : own;
                foreach (int i in taken) dx[i] = dy[y] / (layer is ReduceSum ? 1 : taken.Length);
            }
            return dx;
        }
    }

    private sealed class Channels(int dim, bool log) : ReferenceLayer
    {
        private double[] p = [];
        private int channels, places;

        public override (double[], Shape) Forward(double[] x, int samples, Shape sample)
        {
            int axis = dim < 0 ? sample.Rank + dim : dim - 1;
            channels = sample[axis];
            places = sample.Sizes[(axis + 1)..].ToArray().Aggregate(1, (count, size) => count * size);
            p = new double[x.Length];
            foreach (int[] row in Rows())
            {
                double sum = row.Sum(i => Math.Exp(x[i]));
                foreach (int i in row) p[i] = Math.Exp(x[i]) / sum;
            }
            return (log ? Array.ConvertAll(p, Math.Log) : (double[])p.Clone(), sample);
        }

        public override double[] Backward(double[] dy)
        {
            var dx = new double[dy.Length];
            foreach (int[] row in Rows())
            {
                // dp_i/dx_j = p_i·([i = j] − p_j), and d log p_i/dx_j = [i = j] − p_j
                foreach (int j in row) dx[j] = row.Sum(i => dy[i] * (log ? 1 : p[i]) * ((i == j ? 1 : 0) - p[j]));
            }
            return dx;
        }

        private IEnumerable<int[]> Rows() =>
            from n in Enumerable.Range(0, p.Length / (channels * places))
            from place in Enumerable.Range(0, places)
            select Enumerable.Range(0, channels).Select(c => (n * channels + c) * places + place).ToArray();
    }

    private sealed class Each(Func<double, double> f, Func<double, double> derivative) : ReferenceLayer
    {
        private double[] x = [];

        public override (double[], Shape) Forward(double[] x, int samples, Shape sample)
        {
            this.x = x;
            return ([.. x.Select(f)], sample);
        }

        public override double[] Backward(double[] dy) => [.. dy.Select((gradient, i) => gradient * derivative(x[i]))];
    }

    private sealed class LearnedSlope(PReLU layer) : ReferenceLayer
    {
        private readonly double[] slopes = layer.Weight.Value.Data.ToDouble();
        private double[] x = [], dSlopes = [];
        private int places; // of a sample that share a slope

        public override IReadOnlyList<double[]> Parameters => [slopes];

        public override IReadOnlyList<double[]> Gradients => [dSlopes];

        public override (double[], Shape) Forward(double[] x, int samples, Shape sample)
        {
            (this.x, places) = (x, sample.Count / slopes.Length);
            return ([.. x.Select((value, i) => value > 0 ? value : slopes[At(i)] * value)], sample);
        }

        public override double[] Backward(double[] dy)
        {
            dSlopes = new double[slopes.Length];
            for (int i = 0; i < x.Length; i++) dSlopes[At(i)] += x[i] > 0 ? 0 : dy[i] * x[i];
            return [.. dy.Select((gradient, i) => x[i] > 0 ? gradient : slopes[At(i)] * gradient)];
        }

        private int At(int i) => i / places % slopes.Length;
    }

    private sealed class View(Func<Shape, Shape> shape) : ReferenceLayer
    {
        public override (double[], Shape) Forward(double[] x, int samples, Shape sample) => (x, shape(sample));

        public override double[] Backward(double[] dy) => dy;
    }

    private sealed class Order(int[] dims) : ReferenceLayer
    {
        private int[] sources = []; // of each element of y the element of x

        public override (double[], Shape) Forward(double[] x, int samples, Shape sample)
        {
            int[] from = [samples, .. sample.Sizes], to = [.. dims.Select(d => from[d])];
            sources = new int[x.Length];
            for (int i = 0; i < x.Length; i++)
            {
                // The coordinates in x, from the last axis on, then the same in the order of y.
                var at = new int[from.Length];
                for (int axis = from.Length - 1, rest = i; axis >= 0; rest /= from[axis], axis--) at[axis] = rest % from[axis];
                sources[dims.Select((d, axis) => (At: at[d], Size: to[axis])).Aggregate(0, (place, step) => place * step.Size
                    + step.At)] = i;
            }
            return ([.. sources.Select(i => x[i])], new Shape(to[1..]));
        }

        public override double[] Backward(double[] dy)
        {
            var dx = new double[dy.Length];
            for (int i = 0; i < dy.Length; i++) dx[sources[i]] = dy[i];
            return dx;
        }
    }

    private sealed class Affine(ScaleShift layer) : ReferenceLayer
    {
        private readonly double[]? weight = layer.Weight?.Value.Data.ToDouble(), bias = layer.Bias?.Value.Data.ToDouble();
        private double[] x = [];
        private double[]? dWeight, dBias;
        private Shape sample;

        public override IReadOnlyList<double[]> Parameters => [.. new[] { weight, bias }.OfType<double[]>()];

        public override IReadOnlyList<double[]> Gradients => [.. new[] { dWeight, dBias }.OfType<double[]>()];

        public override (double[], Shape) Forward(double[] x, int samples, Shape sample)
        {
            (this.x, this.sample) = (x, sample);
            return ([.. x.Select((value, i) => (weight is null ? value : value * weight[At(i, layer.Weight!)])
                + (bias is null ? 0 : bias[At(i, layer.Bias!)]))], sample);
        }

        public override double[] Backward(double[] dy)
        {
            (dWeight, dBias) = (weight is null ? null : new double[weight.Length], bias is null ? null : new double[bias.Length]);
            var dx = new double[dy.Length];
            for (int i = 0; i < dy.Length; i++)
            {
                dx[i] = dy[i] * (weight is null ? 1 : weight[At(i, layer.Weight!)]);
                if (dWeight is not null) dWeight[At(i, layer.Weight!)] += dy[i] * x[i];
                if (dBias is not null) dBias[At(i, layer.Bias!)] += dy[i];
            }
            return dx;
        }

        /// <summary>
        /// The element that is broadcast to element i of the batch: the coordinates from the last axis on, 0 along an axis of size 1.
        /// </summary>
        private int At(int i, Parameter parameter)
        {
            int[] own = [.. Enumerable.Repeat(1, sample.Rank - parameter.Value.Shape.Rank), .. parameter.Value.Shape.Sizes],
                at = new int[sample.Rank];
            for (int axis = sample.Rank - 1, rest = i % sample.Count; axis >= 0; rest /= sample[axis], axis--) at[axis] = own[axis] == 1 ? 0
                : rest % sample[axis];
            return own.Zip(at).Aggregate(0, (place, step) => place * step.First + step.Second);
        }
    }

    private sealed class Chain(ReferenceLayer[] layers) : ReferenceLayer
    {
        public override IReadOnlyList<double[]> Parameters => [.. layers.SelectMany(layer => layer.Parameters)];

        public override IReadOnlyList<double[]> Gradients => [.. layers.SelectMany(layer => layer.Gradients)];

        public override (double[], Shape) Forward(double[] x, int samples, Shape sample)
        {
            foreach (var layer in layers) (x, sample) = layer.Forward(x, samples, sample);
            return (x, sample);
        }

        public override double[] Backward(double[] dy) => layers.Reverse().Aggregate(dy, (gradient, layer) => layer.Backward(gradient));
    }
}

/// <summary>The mean over the labels that count of −log softmax(x)[label], in double, and its gradient.</summary>
internal static class ReferenceLoss
{
    public static (double Loss, double[] Gradient) CrossEntropy(double[] x, ReadOnlySpan<int> labels)
    {
        int classes = x.Length / labels.Length, counted = 0;
        double loss = 0;
        var gradient = new double[x.Length];
        foreach (int label in labels) counted += label == ClassLoss.DefaultIgnoreIndex ? 0 : 1;
        for (int n = 0; n < labels.Length; n++)
        {
            if (labels[n] == ClassLoss.DefaultIgnoreIndex) continue;
            double[] row = x[(n * classes)..((n + 1) * classes)];
            double max = row.Max(), sum = row.Sum(value => Math.Exp(value - max));
            loss += (Math.Log(sum) + max - row[labels[n]]) / counted;
            for (int j = 0; j < classes; j++) gradient[n * classes
                + j] = (Math.Exp(row[j] - max) / sum - (j == labels[n] ? 1 : 0)) / counted;
        }
        return (loss, gradient);
    }
}
