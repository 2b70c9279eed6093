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
        Conv2d conv => new Conv(conv),
        Linear linear => new Dense(linear),
        MaxPool2d pool => new Pool(pool.Geometry),
        ReLU => new Relu(),
        Flatten => new Flat(),
        Sequential sequential => new Chain([.. sequential.Chain.Select(Of)]),
        _ => throw new ArgumentException($"no reference for {module}", nameof(module)),
    };

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
        ((h + 2 * g.Padding.H - g.Dilation.H * (g.Kernel.H - 1) - 1) / g.Stride.H + 1, (w + 2 * g.Padding.W - g.Dilation.W * (g.Kernel.W - 1) - 1) / g.Stride.W + 1);

    private sealed class Conv(Conv2d layer) : ReferenceLayer
    {
        private readonly double[] weight = layer.Weight.Value.Data.ToDouble();
        private readonly double[]? bias = layer.Bias?.Value.Data.ToDouble();
        private readonly WindowGeometry g = layer.Geometry;
        private readonly int inputs = layer.InChannels, filters = layer.OutChannels;
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
            for (int m = 0; m < filters; m++) term(place, (m * inputs + c) * g.Taps + tap, (n * filters + m) * size.Positions + p);
        });
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

    private sealed class Relu : ReferenceLayer
    {
        private double[] x = [];

        public override (double[], Shape) Forward(double[] x, int samples, Shape sample)
        {
            this.x = x;
            return (Array.ConvertAll(x, value => value > 0 ? value : 0), sample);
        }

        public override double[] Backward(double[] dy) => [.. dy.Select((gradient, i) => x[i] > 0 ? gradient : 0)];
    }

    private sealed class Flat : ReferenceLayer
    {
        public override (double[], Shape) Forward(double[] x, int samples, Shape sample) => (x, new Shape(sample.Count));

        public override double[] Backward(double[] dy) => dy;
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
            for (int j = 0; j < classes; j++) gradient[n * classes + j] = (Math.Exp(row[j] - max) / sum - (j == labels[n] ? 1 : 0)) / counted;
        }
        return (loss, gradient);
    }
}
