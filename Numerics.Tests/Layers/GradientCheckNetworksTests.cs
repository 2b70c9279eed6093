namespace OnnxLeNet.Numerics.Tests;

/// <summary>Right gradients pass, whatever the network and wherever it stands: behind images of one colour all is ties, and batch norm
/// divides by next to nothing.</summary>
[TestClass]
public sealed class GradientCheckNetworksTests
{
    private static readonly Dictionary<string, Func<int, float>> Images = new()
    {
        ["random"] = i => (float)new Generator(i).NextNormal(),
        ["of one colour"] = _ => -0.4242f,
        ["of a colour each"] = i => 0.3f * (i % 3), // three samples side by side
        ["of zeros"] = _ => 0,
        ["0 to 255"] = i => 255 * (float)new Generator(i).NextDouble(),
    };

    private static readonly Dictionary<string, Func<Module>> Activations = new()
    {
        ["relu"] = () => new ReLU(),
        ["tanh"] = () => new Tanh(),
        ["sigmoid"] = () => new Sigmoid(),
        ["gelu"] = () => new GELU(),
        ["leaky relu"] = () => new LeakyReLU(0.1),
    };

    public static IEnumerable<object[]> Cases =>
        from activation in Activations.Keys from images in Images.Keys select new object[] { activation, images };

    private static readonly (bool Norm, bool Dropout, bool Average)[] Kinds =
        [(false, false, false), (true, false, false), (true, true, true), (false, true, false)];

    /// <summary>Every kind of network with every activation and with every kind of image: a quarter of all combinations.</summary>
    [TestMethod]
    [DynamicData(nameof(Cases))]
    public void LeNets(string activation, string images)
    {
        int turn = Activations.Keys.ToList().IndexOf(activation) + Images.Keys.ToList().IndexOf(images);
        Passes(activation, images, Kinds[turn % Kinds.Length]);
    }

    [TestMethod]
    [TestCategory("Soak")]
    [DynamicData(nameof(Cases))]
    public void LeNetsOfEveryKind(string activation, string images)
    {
        foreach (var kind in Kinds) Passes(activation, images, kind);
    }

    private static void Passes(string activation, string images, (bool Norm, bool Dropout, bool Average) kind) => AllPass($"{kind}",
        () => LeNet(Activations[activation], kind.Norm, kind.Dropout, kind.Average), Batch(new Shape(1, 32, 32), images));

    public static IEnumerable<object[]> ModelCases => CasesOf("random", "of one colour");

    /// <summary>Those that the networks above, which are alike, are checked with.</summary>
    public static IEnumerable<object[]> MoreModelCases => CasesOf("of a colour each", "of zeros", "0 to 255");

    private static IEnumerable<object[]> CasesOf(params string[] kinds) =>
        from model in ModelsTests.All from images in kinds select new object[] { model.Name, images };

    [TestMethod]
    [TestCategory("Soak")]
    [DynamicData(nameof(MoreModelCases))]
    public void EveryNamedModelOnOtherImages(string name, string images) => EveryNamedModel(name, images);

    [TestMethod]
    [DynamicData(nameof(ModelCases))]
    public void EveryNamedModel(string name, string images)
    {
        var sample = ModelsTests.All.Single(model => model.Name == name).Sample;
        AllPass(name, () => ModelsTests.All.Single(model => model.Name == name).Network, Batch(sample, images));
    }

    public static IEnumerable<object[]> ZooCases =>
        from model in Scripts.Models.zoo from images in new[] { "random", "of zeros" } select new object[] { model.Name, images };

    /// <summary>Larger networks: a few elements of each tensor, on small images where they take images of any size.</summary>
    [TestMethod]
    [DynamicData(nameof(ZooCases))]
    public void TheZoo(string name, string images)
    {
        var model = Scripts.Models.zoo.Single(model => model.Name == name);
        var network = model.Build.Invoke(new Generator(1)).Train();
        var x = new Batch(2, name == "lenet5-1998" ? model.Sample : new Shape(1, 12, 12));
        for (int i = 0; i < x.Values.Length; i++) x.Values[i] = Images[images](i);
        foreach (var row in GradientCheck.Run(network, x, most: 4)) Assert.IsTrue(row.Passed && row.Checked > 0, $"{name}: {row}");
    }

    /// <summary>A step at exact zeros is none of denormal numbers, in which a product has no digits.</summary>
    [TestMethod]
    public void ALinearLayerAtZeros()
    {
        var x = new Batch(2, new Shape(32, 6, 6));
        foreach (var row in GradientCheck.Run(new Conv2d(32, 32, 3, padding: 1, bias: false, generator: new Generator(1)), x))
        {
            Assert.IsTrue(row.Passed, $"{row}");
            Assert.AreEqual(row.Name == "input" ? GradientCheck.Tolerance : row.Tolerance, row.Tolerance, "nothing across kinks");
            if (row.Name == "input") Assert.IsLessThan(1e-4, row.MaxRel, $"{row}");
        }
    }

    [TestMethod]
    public void LinearAlone()
    {
        foreach (string images in Images.Keys)
        {
            AllPass(images, new Linear(20, 7, generator: new Generator(1)), Batch(new Shape(20), images));
            AllPass(images, new Sequential { new Linear(20, 7, generator: new Generator(1)),
                new Linear(7, 2, generator: new Generator(2)) }, Batch(new Shape(20), images));
        }
    }

    /// <summary>A module that calls its layers in a forward of its own is taken apart like any other.</summary>
    [TestMethod]
    [DataRow("random")]
    [DataRow("of one colour")]
    [DataRow("of a colour each")]
    [DataRow("of zeros")]
    [DataRow("0 to 255")]
    public void AModuleThatCallsItsLayersItself(string images)
    {
        var x = Batch(new Shape(1, 12, 10), images);
        AllPass("right", new Whole(null), x);
        foreach (var nudge in new[] { Nudge.Sign, Nudge.Zero, Nudge.Percent })
        {
            var row = GradientCheck.Run(new Whole(nudge), x, most: 30).Single(row => row.Name == "conv.inner.weight");
            Assert.IsFalse(row.Passed, $"{nudge}: {row}");
        }
    }

    private sealed class Whole : Module
    {
        private readonly Module[] layers;

        public Whole(Nudge? nudge)
        {
            var g = new Generator(6);
            Module conv = new Conv2d(1, 4, 3, generator: g);
            layers =
            [
                Register("conv", nudge is null ? conv : new Nudged(conv, "weight", nudge.Value)), Register("norm", new BatchNorm2d(4)),
                    new ReLU(), new MaxPool2d(2), new Flatten(),
                Register("fc", new Linear(80, 3, generator: g)),
            ];
        }

        public override Value Forward(Value x) => layers.Aggregate(x, (value, layer) => layer.Forward(value));
    }

    /// <summary>In training, and where a layer is another one then, in evaluation too.</summary>
    private static void AllPass(string what, Func<Module> make, Batch x)
    {
        var network = make().Train();
        AllPass($"{what}, training", network, x);
        bool differs = false;
        network.Apply(module => differs |= module is BatchNorm or Dropout);
        if (differs) AllPass($"{what}, evaluation", make().Eval(), x);
    }

    private static void AllPass(string what, Module network, Batch x)
    {
        foreach (var row in GradientCheck.Run(network, x, most: 16))
            Assert.IsTrue(row.Passed && row.Checked > 0, $"{what}: {row}");
    }

    private static Batch Batch(Shape sample, string images)
    {
        var x = new Batch(3, sample);
        for (int i = 0; i < x.Values.Length; i++) x.Values[i] = Images[images](i);
        return x;
    }

    private static Sequential LeNet(Func<Module> activation, bool norm, bool dropout, bool average)
    {
        var g = new Generator(3);
        var net = new Sequential();
        foreach (var (channels, filters) in new[] { (1, 6), (6, 16) })
        {
            net.Add(new Conv2d(channels, filters, 5, generator: g));
            if (norm) net.Add(new BatchNorm2d(filters));
            net.Add(activation());
            net.Add(average ? new AvgPool2d(2) : new MaxPool2d(2));
        }
        net.Add(new Flatten());
        net.Add(new Linear(400, 30, generator: g));
        if (norm) net.Add(new BatchNorm1d(30));
        net.Add(activation());
        if (dropout) net.Add(new Dropout());
        net.Add(new Linear(30, 10, generator: g));
        return net;
    }
}
