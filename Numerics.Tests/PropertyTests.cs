using FsCheck;
using FsCheck.Fluent;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>What holds for any geometry, any network and any state dict, on ones that FsCheck draws and, where something fails, makes
/// small.</summary>
[TestClass]
public sealed class PropertyTests
{
    private static readonly Config Runs = Config.QuickThrowOnFailure.WithMaxTest(150);

    public sealed record Case(int Samples, int C, int H, int W, (int H, int W) Kernel, (int H, int W) Stride, (int H, int W) Padding,
        (int H, int W) Dilation, int Seed)
    {
        public Shape Input => new(C, H, W);

        public WindowGeometry Geometry => new(Kernel, Stride, Padding, Dilation);

        public bool Fits => Extent(Kernel.H, Dilation.H) <= H + 2 * Padding.H && Extent(Kernel.W, Dilation.W) <= W + 2 * Padding.W;

        private static int Extent(int kernel, int dilation) => dilation * (kernel - 1) + 1;
    }

    private static Gen<(int, int)> Pair(int least, int most) =>
        from a in Gen.Choose(least, most) from b in Gen.Choose(least, most) select (a, b);

    private static Arbitrary<Case> Cases => (from samples in Gen.Choose(1, 35)
                                             from c in Gen.Choose(1, 4)
                                             from size in Pair(1, 9)
                                             from kernel in Pair(1, 4)
                                             from stride in Pair(1, 3)
                                             from padding in Pair(0, 3)
                                             from dilation in Pair(1, 3)
                                             from seed in Gen.Choose(0, 1000)
                                             select new Case(samples, c, size.Item1, size.Item2, kernel, stride, padding, dilation,
                                                 seed)).Where(c => c.Fits).ToArbitrary();

    private static float[] Normal(int count, long seed)
    {
        var g = new Generator(seed);
        var values = new float[count];
        foreach (ref float value in values.AsSpan()) value = (float)g.NextNormal();
        return values;
    }

    [TestMethod]
    public void ColumnsAndTheirTransposeAreAdjoint() => Prop.ForAll(Cases, c =>
    {
        var output = c.Geometry.Output(c.H, c.W);
        float[] x = Normal(c.Samples * c.Input.Count, c.Seed),
            d = Normal(c.Samples * output.H * output.W * c.C * c.Geometry.Taps, c.Seed + 1);
        float[] columns = new float[d.Length], dx = new float[x.Length];
        Im2Col.Forward(c.Geometry, c.Samples, c.Input, output, x, columns);
        Im2Col.Backward(c.Geometry, c.Samples, c.Input, output, d, dx);
        double left = columns.Zip(d, (a, b) => (double)a * b).Sum(), right = x.Zip(dx, (a, b) => (double)a * b).Sum();
        double scale = columns.Zip(d, (a, b) => Math.Abs((double)a * b)).Sum();
        return Math.Abs(left - right) <= 1e-6 * scale;
    }).Check(Runs);

    /// <summary>A convolution, a pool where it fits, and a linear layer, of any geometry.</summary>
    private static Sequential Network(Case c, long seed)
    {
        var g = new Generator(seed);
        var net = new Sequential("Net");
        var (h, w) = c.Geometry.Output(c.H, c.W);
        net.Add("conv", new Conv2d(c.C, 3, c.Kernel, c.Stride, c.Padding, c.Dilation, generator: g));
        net.Add("norm", new BatchNorm2d(3));
        net.AddFunction(new ReLU());
        if (h > 1 && w > 1)
        {
            net.AddFunction(new MaxPool2d(2, stride: 1));
            (h, w) = (h - 1, w - 1);
        }
        net.AddFunction(new Flatten());
        net.Add("fc", new Linear(3 * h * w, 4, generator: g));
        return net;
    }

    [TestMethod]
    public void AnyNetworkIsItsReference() => Prop.ForAll(Cases, c =>
    {
        var net = Network(c, c.Seed);
        net.Eval();
        float[] x = Normal(c.Samples * c.Input.Count, c.Seed + 2);
        double[] expected = ReferenceLayer.Of(net).Forward(x.ToDouble(), c.Samples, c.Input).Y;
        float[] actual = net.Forward(new Tensor(c.Input.Prepend(c.Samples), x)).Data;
        double scale = expected.Max(Math.Abs);
        return expected.Length == actual.Length && expected.Zip(actual, (a, b) => Math.Abs(a - b)).Max() <= 1e-5 * scale;
    }).Check(Runs);

    [TestMethod]
    public void AnyNetworksStateComesBackFromBothFormats() => Prop.ForAll(Cases, c =>
    {
        var net = Network(c, c.Seed);
        if (c.Samples > 1) net.Forward(new Tensor(c.Input.Prepend(c.Samples), Normal(c.Samples * c.Input.Count, 3)));
        foreach (var state in new[] { SafeTensors.Read(SafeTensors.ToBytes(net.StateDict())),
            PyTorchFile.Read(PyTorchFile.ToBytes(net.StateDict())) })
        {
            var other = Network(c, c.Seed + 1);
            other.LoadStateDict(state);
            foreach (var (name, tensor) in net.StateDict())
            {
                bool same = tensor.Type == ElementType.Int64 ? tensor.AsInt64().SequenceEqual(other.StateDict()[name].AsInt64())
                    : tensor.AsTensor().Data.SequenceEqual(other.StateDict()[name].AsTensor().Data);
                if (!same) return false;
            }
        }
        return true;
    }).Check(Runs);

    [TestMethod]
    public void AnyStateDictComesBackFromBothFormats()
    {
        var name = Gen.Elements("a", "weight", "features.0.bias", "größe", "x y", "0", "名").Two().Select(two => $"{two.Item1}.{two.Item2}");
        var shape = Gen.Choose(0, 3).SelectMany(rank => Gen.Choose(1, 4).ArrayOf(rank)).Select(sizes => new Shape(sizes));
        var entry = from n in name from s in shape from floats in Gen.Elements(true, false) from seed in Gen.Choose(0, 1000) select (n, s,
            floats, seed);
        Prop.ForAll(entry.ListOf().ToArbitrary(), entries =>
        {
            var state = new StateDict();
            foreach (var (n, s, floats, seed) in entries.DistinctBy(e => e.n))
                state.Add(n, floats ? StateTensor.Of(new Tensor(s, Normal(s.Count, seed)))
                    : StateTensor.Of(s, [.. Enumerable.Range(0, s.Count).Select(i => (long)i * seed - 7)]));
            return new[] { SafeTensors.Read(SafeTensors.ToBytes(state)), PyTorchFile.Read(PyTorchFile.ToBytes(state)) }.All(read =>
                Same(state, read));
        }).Check(Runs);
    }

    private static bool Same(StateDict a, StateDict b) =>
        a.Names.SequenceEqual(b.Names) && a.Names.All(n => a[n].Type == b[n].Type && a[n].Shape == b[n].Shape
        && (a[n].Type == ElementType.Int64 ? a[n].AsInt64().SequenceEqual(b[n].AsInt64())
            : a[n].AsTensor().Data.SequenceEqual(b[n].AsTensor().Data)));
}
