namespace OnnxLeNet.Numerics.Tests;

/// <summary>Forward and every gradient of each layer in the engine against the references, for all that is implemented more than
/// once.</summary>
[TestClass]
[DoNotParallelize]
public sealed class LayerTests
{
    /// <summary>Blocks of 16 and of 32 samples, whole and partial ones.</summary>
    private static readonly int[] Batches = [1, 2, 7, 16, 17, 33, 64, 65, 100];

    /// <summary>Relative to the tensor's largest element.</summary>
    private const double Tolerance = 1e-5;

    public static IEnumerable<object[]> LayersAndImplementations =>
        from layer in LayerCases.Names from implementation in Implementations.Names select new object[] { layer, implementation };

    public static IEnumerable<object[]> LayersAndWidths =>
        from layer in LayerCases.Names from bits in Implementations.Widths select new object[] { layer, bits };

    public static IEnumerable<string> Layers => LayerCases.Names;

    /// <summary>Those whose samples do not see each other.</summary>
    public static IEnumerable<string> LayersOfSamples =>
        LayerCases.Names.Where(name => !Graph.Trace(LayerCases.Make(name),
        LayerCases.Sample(name)).Nodes.Any(node => node.Layer.BatchDependent));

    [TestMethod]
    [DynamicData(nameof(LayersAndImplementations))]
    public void AgainstTheReference(string name, string implementation)
    {
        using var _ = Implementations.Use(implementation);
        foreach (int samples in Batches) AgainstTheReference(name, samples);
    }

    /// <summary>One shard then does several blocks and adds up their gradients itself.</summary>
    [TestMethod]
    [DynamicData(nameof(Layers))]
    public void MoreBlocksThanShards(string name) => AgainstTheReference(name, 32 * BlockPlan.MostShards + 18);

    private static void AgainstTheReference(string name, int samples)
    {
        var module = LayerCases.Make(name);
        var reference = ReferenceLayer.Of(module);
        var x = Values.Batch(samples, samples, LayerCases.Sample(name));
        var (y, shape) = reference.Forward(x.ToTensor().Data.ToDouble(), samples, x.Sample);
        var actual = module.Forward(x);
        Assert.AreEqual(shape, actual.Sample);
        Close.AssertRelative($"y of {samples}", y, actual.ToTensor().Data, Tolerance);

        var dy = Values.Gradient(samples + 1, actual);
        double[] dx = reference.Backward(dy.ToTensor().Data.ToDouble());
        var actualDx = module.Backward(dy)!;
        Assert.AreEqual(x.Sample, actualDx.Sample);
        Close.AssertRelative($"dx of {samples}", dx, actualDx.ToTensor().Data, Tolerance);
        foreach (var ((parameterName, parameter), expected) in module.NamedParameters().Zip(reference.Gradients))
            Close.AssertRelative($"{parameterName}'s gradient of {samples}", expected, parameter.Grad!.Data, Tolerance);
    }

    [TestMethod]
    [DynamicData(nameof(LayersAndWidths))]
    public void SameBitsForAnyThreads(string name, int bits)
    {
        foreach (int samples in new[] { 33, 100, 600 })
        {
            float[][] single = Run(1);
            for (int threads = 2; threads <= 4; threads++)
            {
                float[][] several = Run(threads);
                for (int i = 0; i < single.Length; i++) Close.AssertSameBits($"{samples} samples, {threads} threads, result {i}", single[i],
                    several[i]);
            }

            float[][] Run(int threads)
            {
                using var _ = new Settings(bits, threads);
                var module = LayerCases.Make(name);
                var y = module.Forward(Values.Batch(1, samples, LayerCases.Sample(name)));
                var dx = module.Backward(Values.Gradient(2, y))!;
                return [y.Values, dx.Values, .. module.Parameters().Select(p => p.Grad!.Data)];
            }
        }
    }

    /// <summary>Nothing of one batch shows in the next, whatever the sizes before.</summary>
    [TestMethod]
    [DynamicData(nameof(Layers))]
    public void ARepeatedBatchGivesTheSameBits(string name)
    {
        var module = LayerCases.Make(name);
        var first = Run(40);
        Run(7);
        Run(100);
        var again = Run(40);
        for (int i = 0; i < first.Length; i++) Close.AssertSameBits($"result {i}", first[i], again[i]);

        float[][] Run(int samples)
        {
            module.ZeroGrad();
            var y = module.Forward(Values.Batch(samples, samples, LayerCases.Sample(name)));
            var dx = module.Backward(Values.Gradient(samples + 1, y))!;
            return [y.Values, dx.Values, .. module.Parameters().Select(p => (float[])p.Grad!.Data.Clone())];
        }
    }

    [TestMethod]
    [DynamicData(nameof(LayersOfSamples))]
    public void GradientsOfHalfBatchesAddUpToThatOfTheWhole(string name)
    {
        const int Samples = 48;
        Module whole = LayerCases.Make(name), halves = LayerCases.Make(name);
        var x = Values.Batch(1, Samples, LayerCases.Sample(name));
        var y = whole.Forward(x);
        var dy = Values.Gradient(2, y);
        var dx = whole.Backward(dy)!;
        foreach (var (start, count) in new[] { (0, 20), (20, 28) })
        {
            var part = halves.Forward(Rows(x, start, count));
            Close.Assert($"y from {start}", Rows(y, start, count).Values, part.Values, 1e-5, 1e-5);
            Close.Assert($"dx from {start}", Rows(dx, start, count).Values, halves.Backward(Rows(dy, start, count))!.Values, 1e-5, 1e-5);
        }
        foreach (var ((parameterName, expected), parameter) in whole.NamedParameters().Zip(halves.Parameters()))
            Close.AssertRelative(parameterName, expected.Grad!.Data.ToDouble(), parameter.Grad!.Data, Tolerance);
    }

    [TestMethod]
    [DynamicData(nameof(Layers))]
    public void InputThatWantsNoGradientGetsNone(string name)
    {
        Module with = LayerCases.Make(name), without = LayerCases.Make(name);
        foreach (int samples in new[] { 5, 50 })
        {
            var dy = Values.Gradient(2, with.Forward(Values.Batch(1, samples, LayerCases.Sample(name))));
            Assert.IsNotNull(with.Backward(dy));
            without.Forward(Values.Batch(1, samples, LayerCases.Sample(name), requiresGrad: false));
            Assert.IsNull(without.Backward(dy));
            foreach (var (expected, parameter) in with.Parameters().Zip(without.Parameters()))
                Close.AssertSameBits("the parameters' gradients are the same", expected.Grad!.Data, parameter.Grad!.Data);
        }
    }

    private static Batch Rows(Batch batch, int start, int count)
    {
        var rows = new Batch(count, batch.Sample);
        for (int f = 0; f < batch.Sample.Count; f++)
            for (int n = 0; n < count; n++) rows.Values[f * count + n] = batch.Values[f * batch.Count + start + n];
        return rows;
    }
}
