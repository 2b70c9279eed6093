namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// Convolutions that read their taps in place, and with a pool as one step, against the readable form: im2col and one product by Math.NET's
/// managed provider, then each layer on its own.
/// </summary>
[TestClass]
public sealed class DirectConvTests
{
    public static IEnumerable<int> Widths => Implementations.Widths;

    /// <summary>Whole vectors of every width, several of them, and what fills none.</summary>
    private static readonly int[] Counts = [1, 2, 3, 4, 5, 8, 12, 16, 32, 48, 64];

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void AgreesWithTheColumns(int bits)
    {
        var random = new Random(bits);
        for (int i = 0; i < 120; i++)
        {
            var (layer, sample, text) = RandomConv(random, i);
            int count = Counts[i % Counts.Length];
            var x = Values.Batch(i, count, sample);
            var expected = Run(layer, x, bits, "managed");
            var actual = Run(layer, x, bits, "simd");
            Agree($"{count} × {sample} through {text}", expected, actual);
        }
    }

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void WithAPoolAgreesWithTheLayers(int bits)
    {
        (int H, int W)[] pools = [(2, 2), (1, 2), (4, 2), (2, 1), (3, 3), (1, 1), (2, 3)];
        var random = new Random(bits + 1);
        for (int i = 0; i < 120; i++)
        {
            var (conv, sample, text) = RandomConv(random, i);
            var pool = new MaxPool2d(pools[i % pools.Length]);
            var (oH, oW) = conv.Geometry.Output(sample[1], sample[2]);
            if (oH < pool.Geometry.Kernel.H || oW < pool.Geometry.Kernel.W) continue;
            var net = new Sequential { conv };
            if (i % 3 != 0) net.AddFunction(new ReLU());
            net.AddFunction(pool);
            int count = Counts[(i + 3) % Counts.Length];
            var x = Values.Batch(i, count, sample, requiresGrad: i % 4 != 0);
            var expected = Run(net, x, bits, "managed");
            var actual = Run(net, x, bits, "simd");
            Agree($"{count} × {sample} through {text} and {pool}", expected, actual);
        }
    }

    /// <summary>Alone and with a pool, of whole vectors and others: the same bits at any width.</summary>
    [TestMethod]
    public void TheWidthsAgreeToTheBit()
    {
        var random = new Random(5);
        for (int i = 0; i < 200; i++)
        {
            var (layer, sample, text) = RandomConv(random, i);
            if (i % 5 == 1)
                layer = new Conv2d(6, 6, layer.Geometry.Kernel, layer.Geometry.Stride, 2, groups: 6, bias: false,
                    generator: new Generator(i));
            var net = new Sequential { layer };
            if (i % 5 == 1) sample = new Shape(6, sample[1], sample[2]);
            if (i % 2 == 0 && layer.Geometry.Output(sample[1], sample[2]) is { H: > 1, W: > 1 }) net.AddFunction(new MaxPool2d(2));
            var x = Values.Batch(i, Counts[i % Counts.Length], sample);
            List<(string Name, float[] Values)>? first = null;
            foreach (int bits in Implementations.Widths)
            {
                var results = Run(net, x, bits, "simd");
                first ??= results;
                foreach (var ((name, expected), (_, actual)) in first.Zip(results))
                    Assert.IsTrue(expected.AsSpan().SequenceEqual(actual), $"{x.Count} × {sample} through {net}, {bits} bits: {name}");
            }
        }
    }

    /// <summary>1×1 convolutions, whose inputs are copied for many filters, and depthwise ones, which have a kernel of their own.</summary>
    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void PointwiseAndDepthwiseAgreeWithTheColumns(int bits)
    {
        foreach (int count in (int[])[1, 4, 16, 32, 48])
        {
            foreach (var (channels, filters, groups, stride) in new[] { (1, 13, 1, 1), (7, 40, 1, 2), (300, 20, 1, 1), (14, 60, 2, 1) })
            {
                var layer = new Conv2d(channels, filters, 1, stride, groups: groups, generator: new Generator(count));
                var x = Values.Batch(channels, count, new Shape(channels, 5, 7));
                Agree($"{count} samples through {layer}", Run(layer, x, bits, "managed"), Run(layer, x, bits, "simd"));
            }
            foreach (var (kernel, stride, padding, width) in new[] { (3, 1, 1, 4), (3, 1, 0, 3), (3, 1, 1, 11), (3, 2, 1, 11), (5, 1, 2, 9),
                (2, 3, 0, 8), (1, 1, 0, 5) })
            {
                var layer = new Conv2d(6, 6, kernel, stride, padding, groups: 6, bias: kernel != 5, generator: new Generator(count));
                var x = Values.Batch(kernel, count, new Shape(6, 7, width));
                Agree($"{count} samples of width {width} through {layer}", Run(layer, x, bits, "managed"), Run(layer, x, bits, "simd"));
            }
        }
    }

    /// <summary>Constant images, in whose windows all values are equal: the first has the gradient, as by the columns.</summary>
    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void OfEqualValuesTheFirstHasTheGradient(int bits)
    {
        foreach (bool rectified in new[] { false, true })
            foreach (float value in new[] { 1f, 0f, -1f })
            {
                var sample = new Shape(2, 9, 8);
                var net = new Sequential { new Conv2d(2, 5, 3, generator: new Generator(4)) };
                if (rectified) net.AddFunction(new ReLU());
                net.AddFunction(new MaxPool2d(2));
                var x = new Batch(32, sample);
                x.Values.AsSpan().Fill(value);
                var expected = Run(net, x, bits, "managed");
                Agree($"images of {value}, rectified {rectified}", expected, Run(net, x, bits, "simd"));
                Assert.IsTrue(expected.Single(e => e.Name == "dx, time 1").Values.Any(gradient => gradient != 0), $"{value}");
            }
    }

    /// <summary>So many channels or filters that a tile's number times theirs is beyond 32 bits.</summary>
    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void VeryWideLayersAgreeWithTheColumns(int bits)
    {
        foreach (var (channels, filters) in new[] { (120_000, 1), (1, 120_000) })
        {
            var layer = new Conv2d(channels, filters, 1, generator: new Generator(3));
            var x = Values.Batch(4, 16, new Shape(channels, 1, 1));
            var expected = Run(layer, x, bits, "managed");
            // The managed product adds 120,000 terms one after the other, and is farther off than what is tested.
            if (filters == 1) expected = expected.ConvertAll(e => e.Name.StartsWith('y') ? (e.Name, InDouble(layer, x)) : e);
            else
                expected = expected.ConvertAll(e =>
                    e.Name.StartsWith("dx", StringComparison.Ordinal) ? (e.Name, GradientInDouble(layer, x)) : e);
            Agree($"{channels} to {filters} channels", expected, Run(layer, x, bits, "simd"));
        }
    }

    /// <summary>A 1×1 convolution with one filter.</summary>
    private static float[] InDouble(Conv2d layer, Batch x) => [.. Enumerable.Range(0, x.Count).Select(n =>
        (float)(layer.Bias!.Value.Data[0] + layer.Weight.Value.Data.Select((w, c) => (double)w * x.Values[c * x.Count + n]).Sum()))];

    /// <summary>dx of one with one channel.</summary>
    private static float[] GradientInDouble(Conv2d layer, Batch x)
    {
        var dy = Values.Gradient(7, new Batch(x.Count, layer.OutputShape(x.Sample)));
        return [.. Enumerable.Range(0, x.Count).Select(n =>
            (float)layer.Weight.Value.Data.Select((w, m) => (double)w * dy.Values[m * x.Count + n]).Sum())];
    }

    /// <summary>
    /// Of equal terms a sum in one go is off by half a unit in the last place for each: here 4,608 times, 3e-4 of it at worst. Sums of
    /// short sums stay within a few units.
    /// </summary>
    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void ALongSumOfEqualTermsIsExactToAFewUnits(int bits)
    {
        using var _ = Settings.OfThisThread(bits, provider: "simd");
        foreach (var (channels, kernel, count) in new[] { (512, 3, 16), (512, 3, 1), (4608, 1, 16) })
        {
            var layer = new Conv2d(channels, 5, kernel, bias: false, generator: new Generator(3));
            layer.Weight.Value.Data.AsSpan().Fill(0.02f);
            var x = new Batch(count, new Shape(channels, kernel + 4, kernel + 4));
            x.Values.AsSpan().Fill(0.7f);
            double exact = 4608 * (double)0.02f * 0.7f;
            foreach (float y in Inference.Run(layer, x).Values) Assert.AreEqual(exact, y, 3e-6 * exact, $"{layer}, {count} samples");
            var net = new Sequential { layer };
            net.AddFunction(new MaxPool2d(2));
            foreach (float y in Inference.Run(net, x).Values) Assert.AreEqual(exact, y, 3e-6 * exact,
                $"{layer} and a pool, {count} samples");
        }
    }

    /// <summary>
    /// y = scale·(x ⋆ weight) + bias + skip, rectified or not, of whole vectors of samples and of single ones, with and without strides:
    /// each part against the same in double, on arrays that end where a number stands that must stay.
    /// </summary>
    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void AnEpilogueScalesAddsAndRectifies(int bits)
    {
        const float Guard = 12345;
        using var _ = Settings.OfThisThread(bits, provider: "simd");
        var random = new Random(bits + 2);
        for (int i = 0; i < 96; i++)
        {
            var (layer, sample, text) = RandomConv(random, i);
            int count = new[] { 1, 3, 16, 32 }[i / 5 % 4];
            var direct = DirectConv.For(null, layer.Geometry, count, sample, layer.OutChannels, layer.Groups, forwardOnly: true);
            if (direct is null) continue; // a run too short for a vector
            var x = Values.Batch(i, count, sample);
            var y = new Batch(count, layer.OutputShape(sample));
            int filter = y.Values.Length / layer.OutChannels;
            float[] Random(int length) => [.. Enumerable.Range(0, length).Select(_ => (float)(2 * random.NextDouble() - 1))];
            float[] bias = i % 3 == 0 ? [] : Random(layer.OutChannels), scale = i % 2 == 0 ? [] : Random(layer.OutChannels),
                skip = i % 5 < 2 ? Random(y.Values.Length) : [], guarded = new float[y.Values.Length + 1];
            bool rectified = i % 4 < 2;
            guarded[^1] = Guard;
            direct.Forward(x.Values, layer.Weight.Value.Data, bias, guarded.AsSpan(0, y.Values.Length), skip, rectified, scale);
            Assert.AreEqual(Guard, guarded[^1], text);

            using var __ = Settings.OfThisThread(bits, provider: "managed");
            if (layer.Bias is not null) Array.Clear(layer.Bias.Value.Data);
            float[] plain = Inference.Run(layer, x).Values;
            double[] expected = [.. plain.Select((value, at) =>
            {
                double sum = (scale.Length == 0 ? 1 : scale[at / filter]) * value + (bias.Length == 0 ? 0 : bias[at / filter])
                    + (skip.Length == 0 ? 0 : skip[at]);
                return rectified ? Math.Max(sum, 0) : sum;
            })];
            double tolerance = 2e-6 * Math.Max(1, plain.Max(Math.Abs));
            Close.Assert($"{count} × {sample} through {text}", expected, guarded.AsSpan(0, y.Values.Length), 0, tolerance);
        }
    }

    /// <summary>
    /// On arrays of the exact size, wherever they begin, with NaN before and behind them: a read outside would be seen in what is computed,
    /// and a write in what stands around. As one step with a pool too, and backward.
    /// </summary>
    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void NothingOutsideTheArraysIsReadOrWritten(int bits)
    {
        using var _ = Settings.OfThisThread(bits, provider: "simd");
        var random = new Random(bits + 3);
        for (int i = 0; i < 150; i++)
        {
            var (layer, sample, text) = RandomConv(random, i);
            if (i % 6 == 5)
                (layer, sample) = (new Conv2d(4, 4, 3, random.Next(1, 3), 1, groups: 4, generator: new Generator(i)),
                    new Shape(4, random.Next(3, 9), random.Next(3, 40)));
            int count = Counts[i % Counts.Length], offset = i % 17;
            bool whole = count % 4 == 0;
            var direct = DirectConv.For(null, layer.Geometry, count, sample, layer.OutChannels, layer.Groups, forwardOnly: !whole);
            if (direct is null) continue;
            var x = Values.Batch(i, count, sample);
            var y = new Batch(count, layer.OutputShape(sample));
            var input = new Guarded(x.Values, offset);
            var weight = new Guarded(layer.Weight.Value.Data, offset + 1);
            var bias = new Guarded(layer.Bias?.Value.Data ?? new float[layer.OutChannels], offset + 2);
            var scale = new Guarded(bias.Span.ToArray(), offset + 3);
            var output = new Guarded(y.Values, offset + 4);
            var skip = new Guarded(Values.Gradient(3, y).Values, offset + 5);
            direct.Forward(input.Span, weight.Span, bias.Span, output.Span);
            direct.Forward(input.Span, weight.Span, bias.Span, output.Span, skip.Span, rectified: true, scale.Span);
            var pool = new Size2(Math.Min(2, y.Sample[1]), Math.Min(2, y.Sample[2]));
            int pooled = y.Values.Length / (y.Sample[1] * y.Sample[2]) * (y.Sample[1] / pool.H) * (y.Sample[2] / pool.W);
            var largest = new Guarded(new float[pooled], offset + 6);
            var argmax = new Guarded(new float[pooled], offset + 7);
            if (whole || count == 1) direct.ForwardPool(input.Span, weight.Span, bias.Span, pool, true, largest.Span, default);
            var dx = new Guarded(new float[x.Values.Length], offset + 8);
            var dWeight = new Guarded(new float[weight.Span.Length], offset + 9);
            var dBias = new Guarded(new float[bias.Span.Length], offset + 10);
            if (whole)
            {
                direct.Backward(input.Span, weight.Span, skip.Span, dx.Span, dWeight.Span, beta: 0);
                direct.ForwardPool(input.Span, weight.Span, bias.Span, pool, true, largest.Span, argmax.Span);
                direct.BackwardPool(input.Span, weight.Span, pool, largest.Span, argmax.Span, dx.Span, dWeight.Span, 1, dBias.Span, 0);
            }
            foreach (var array in new[] { input, weight, bias, scale, output, skip, largest, argmax, dx, dWeight, dBias })
                array.Check($"{count} × {sample} through {text}");
        }
    }

    private static bool Takes(MaxPool2d pool) =>
        ConvPool.Takes(new Conv2d(1, 2, 3), pool, new Shape(1, 40, 40),
            new PlanKey(32, false, true, false, false, ComputeSettings.Current));

    /// <summary>The fused step takes what it says it does: these networks would pass the test above unfused too.</summary>
    [TestMethod]
    public void TheUsualPoolsAreFused()
    {
        Assert.IsTrue(Takes(new MaxPool2d(2)));
        Assert.IsTrue(Takes(new MaxPool2d((4, 2))));
        Assert.IsFalse(Takes(new MaxPool2d(3, 2)), "windows overlap");
        Assert.IsFalse(Takes(new MaxPool2d(2, padding: 1)));
        Assert.IsFalse(Takes(new MaxPool2d(2, dilation: 2)));
        Assert.IsFalse(Takes(new MaxPool2d(2, ceilMode: true)));
        Assert.IsFalse(Takes(new MaxPool2d(9)), "windows of many taps");
    }

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void ANaNInAWindowWins(int bits)
    {
        using var _ = Settings.OfThisThread(bits);
        var net = new Sequential { new Conv2d(1, 2, 1, generator: new Generator(1)) };
        net.AddFunction(new ReLU());
        net.AddFunction(new MaxPool2d(2));
        for (int place = 0; place < 4; place++)
        {
            var x = Values.Batch(1, 16, new Shape(1, 2, 2));
            x.Values[place * 16 + 5] = float.NaN;
            foreach (var y in new[] { net.Forward(x), Inference.Run(net, x) })
            {
                Assert.IsTrue(float.IsNaN(y.Values[5]) && float.IsNaN(y.Values[16 + 5]), $"place {place}");
                Assert.AreEqual(2, y.Values.Count(float.IsNaN));
            }
        }
    }

    /// <summary>Phases of next to nothing, and many of them: the columns serve.</summary>
    [TestMethod]
    public void AStrideLargerThanTheImageIsLeftToTheColumns()
    {
        var layer = new Conv2d(1, 2, 1, stride: 100_000, generator: new Generator(1));
        var x = Values.Batch(1, 6, new Shape(1, 10, 10));
        Assert.IsNull(DirectConv.For(null, layer.Geometry, 6, x.Sample, 2, 1, forwardOnly: true));
        float[] y = Inference.Run(layer, x).Values;
        for (int n = 0; n < 6; n++) Assert.AreEqual(layer.Weight.Value.Data[1] * x.Values[n] + layer.Bias!.Value.Data[1], y[6 + n], 1e-6f);
    }

    [TestMethod]
    public void ArraysOfOtherLengthsAreRefused()
    {
        var direct = DirectConv.For(null, new WindowGeometry(3, 1, 0, 1), 16, new Shape(2, 5, 6), 3, 1, forwardOnly: false)!;
        float[] x = new float[16 * 60], w = new float[54], b = new float[3], y = new float[16 * 36];
        direct.Forward(x, w, b, y);
        Failure.Of<ArgumentException>(() => direct.Forward(x.AsSpan(1), w, b, y), "x has 959 elements", "960");
        Failure.Of<ArgumentException>(() => direct.Forward(x, w.AsSpan(1), b, y), "weight has 53");
        Failure.Of<ArgumentException>(() => direct.Forward(x, w, b.AsSpan(1), y), "bias has 2");
        Failure.Of<ArgumentException>(() => direct.Forward(x, w, b, y.AsSpan(1)), "y has 575");
        Failure.Of<ArgumentException>(() => direct.Backward(x, w, y.AsSpan(1), x, w, 0), "dy has 575");
        Failure.Of<ArgumentException>(() => direct.Backward(x, w, y, x.AsSpan(1), w, 0), "dx has 959");
        Failure.Of<ArgumentException>(() => direct.ForwardPool(x, w, b, 2, true, y, default), "y has 576", "96");
        Failure.Of<ArgumentException>(() => direct.BackwardPool(x, w, 2, y.AsSpan(0, 96), y.AsSpan(0, 95), default, w, 0, b, 0),
            "argmax has 95");
        var single = DirectConv.For(null, new WindowGeometry(3, 1, 0, 1), 1, new Shape(2, 5, 9), 3, 1, forwardOnly: true)!;
        Assert.IsFalse(single.IsWhole);
        Failure.Of<InvalidOperationException>(() => single.Backward(new float[90], w, new float[63], default, w, 0), "forward only");
    }

    /// <summary>A layer of random sizes in which everything that could be swapped differs, more often than not.</summary>
    private static (Conv2d Layer, Shape Sample, string Text) RandomConv(Random random, int seed)
    {
        int groups = random.Next(4) == 0 ? random.Next(2, 4) : 1;
        Size2 kernel = (random.Next(1, 6), random.Next(1, 6)), stride = random.Next(3) == 0 ? (random.Next(1, 4), random.Next(1, 4)) : 1;
        Size2 padding = random.Next(2) == 0 ? (random.Next(3), random.Next(3)) : 0, end = random.Next(3) == 0
            ? (random.Next(4), random.Next(4)) : padding;
        Size2 dilation = random.Next(4) == 0 ? (random.Next(1, 3), random.Next(1, 3)) : 1;
        int h = dilation.H * (kernel.H - 1) + 1 + random.Next(9), w = dilation.W * (kernel.W - 1) + 1 + random.Next(9);
        var layer = new Conv2d(groups * random.Next(1, 8), groups * random.Next(1, 14), kernel, stride, padding, dilation, groups,
            bias: random.Next(4) != 0,
            generator: new Generator(seed), paddingEnd: end);
        return (layer, new Shape(layer.InChannels, h, w), layer.ToString());
    }

    /// <summary>The outputs in training and without, and every gradient.</summary>
    private static List<(string Name, float[] Values)> Run(Module module, Batch x, int bits, string provider)
    {
        using var _ = Settings.OfThisThread(bits, provider: provider);
        foreach (var parameter in module.Parameters()) parameter.RestoreGrad(null);
        var y = module.Forward(x);
        List<(string, float[])> results = [("y", y.Values), ("y, inference", Inference.Run(module, x).Values)];
        for (int times = 1; times <= 2; times++) // the second adds
        {
            var dx = module.Backward(Values.Gradient(7, y), retainGraph: times == 1);
            if (dx is not null) results.Add(($"dx, time {times}", dx.Values));
        }
        foreach (var (name, parameter) in module.NamedParameters()) results.Add(($"d{name}", (float[])parameter.Grad!.Data.Clone()));
        return results;
    }

    private static void Agree(string what, List<(string Name, float[] Values)> expected, List<(string Name, float[] Values)> actual)
    {
        CollectionAssert.AreEqual(expected.ConvertAll(e => e.Name), actual.ConvertAll(a => a.Name), what);
        foreach (var ((name, values), (_, got)) in expected.Zip(actual))
        {
            double scale = values.Max(Math.Abs);
            Close.Assert($"{what}: {name}", values.ToDouble(), got, 0, 2e-6 * Math.Max(scale, 1e-3));
        }
    }
}
