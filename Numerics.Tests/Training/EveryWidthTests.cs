using OnnxLeNet.Scripts;
using SmallNetworks = OnnxLeNet.Scripts.Bench.SmallNetworks;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>One seed gives the same bytes of weights and of the optimizer's state at every vector width of this processor.</summary>
[TestClass]
[DoNotParallelize]
public sealed class EveryWidthTests
{
    /// <summary>The models that can learn.</summary>
    public static IEnumerable<object[]> Networks =>
        Models.all.Where(model => model.Build.Invoke(new Generator(1)).Parameters().Any()).Select(model => new object[] { model.Name });

    public static IEnumerable<object[]> Runs => FewSteps.Runs.Keys.Select(name => new object[] { name });

    private static readonly Dictionary<string, Func<IEnumerable<Parameter>, Optimizer>> Optimizers = new()
    {
        ["SGD"] = parameters => new SGD(parameters, 0.03),
        ["SGD, Nesterov"] = parameters => new SGD(parameters, 0.03, 0.9, weightDecay: 1e-3, nesterov: true),
        ["Adam, AMSGrad"] = parameters => new Adam(parameters, 1e-3, weightDecay: 1e-3, amsgrad: true),
        ["AdamW"] = parameters => new AdamW(parameters),
        ["RMSprop, centred"] = parameters => new RMSprop(parameters, 1e-3, momentum: 0.9, centered: true),
    };

    public static IEnumerable<object[]> OptimizerNames => Optimizers.Keys.Select(name => new object[] { name });

    [TestMethod]
    [DynamicData(nameof(Networks))]
    public void EveryNetwork(string name)
    {
        var model = Models.all.Single(model => model.Name == name);
        // The filter takes images of any size.
        AssertSameAtEveryWidth(name == "sharpen" ? new Shape(1, 40, 50) : model.Sample, model.Build.Invoke,
            Models.zoo.Contains(model) ? Few : null);
    }

    /// <summary>Those of the bench, of colour: their kinds of layers are the models' too.</summary>
    [TestMethod]
    [TestCategory("Soak")]
    [DataRow("vgg")]
    [DataRow("mobilenet")]
    public void NetworksOfTheBench(string name)
    {
        var network = SmallNetworks.all.Single(network => network.Name == name);
        AssertSameAtEveryWidth(network.Sample, network.Build.Invoke, Few);
    }

    /// <summary>Samples of the batches of large networks: they fill no vector, some and all.</summary>
    private static readonly int[] Few = [1, 7, 32];

    private static void AssertSameAtEveryWidth(Shape sample, Func<Generator, Module> build, int[]? batches) => AssertSameAtEveryWidth(() =>
        FewSteps.Train(build(new Generator(1)), sample, p => new SGD(p, 0.03, 0.9, weightDecay: 1e-3), batches));

    [TestMethod]
    [DynamicData(nameof(OptimizerNames))]
    public void EveryOptimizer(string name) => AssertSameAtEveryWidth(() =>
        FewSteps.Train(Models.lenet5.Build.Invoke(new Generator(1)), Models.lenet5.Sample, Optimizers[name]));

    /// <summary>What other processors are asked for, too.</summary>
    [TestMethod]
    [DynamicData(nameof(Runs))]
    public void EveryRun(string name) => AssertSameAtEveryWidth(FewSteps.Runs[name]);

    private static void AssertSameAtEveryWidth(Func<IEnumerable<string>> run)
    {
        int[] widths = [.. Implementations.Widths];
        if (widths.Length < 2) Assert.Inconclusive($"this processor has one vector width, {widths[0]} bits");
        string[][] left = [.. widths.Select(bits =>
        {
            using var _ = new Settings(bits);
            return run().ToArray();
        })];
        Close.AssertSameLines(left[0], [.. widths.Zip(left).Skip(1).Select(width => ($"{width.First} bits", width.Second))]);
    }
}
