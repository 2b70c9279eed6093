namespace OnnxLeNet.Numerics.Tests;

[TestClass]
public sealed class ParameterGroupTests
{
    private static Parameter New() => new(3);

    [TestMethod]
    public void AGroupTakesTheDefaultsForWhatItHasNotGot()
    {
        ParameterGroup plain = new([New()]), own = new([New()], lr: 1e-2) { WeightDecay = 0.5, Nesterov = false };
        var optimizer = new SGD([plain, own], lr: 1e-3, momentum: 0.9, weightDecay: 0.1, nesterov: true);
        Assert.AreEqual((1e-3, 0.9, 0.0, 0.1, true),
            (plain.LearningRate, plain.Momentum, plain.Dampening, plain.WeightDecay, plain.Nesterov));
        Assert.AreEqual((1e-2, 0.9, 0.0, 0.5, false), (own.LearningRate, own.Momentum, own.Dampening, own.WeightDecay, own.Nesterov));
        var later = new ParameterGroup([New()]);
        optimizer.LearningRate = 0.7;
        optimizer.AddParameterGroup(later);
        double[] rates = [.. optimizer.ParameterGroups.Select(group => group.LearningRate)];
        CollectionAssert.AreEqual(new[] { 0.7, 0.7, 1e-3 }, rates, "the optimizer's rate sets every group's; its default stays");
        Assert.HasCount(3, optimizer.Parameters);
    }

    [TestMethod]
    public void DefaultsArePyTorchs()
    {
        var adam = new Adam([New()]).ParameterGroups[0];
        Assert.AreEqual((1e-3, (0.9, 0.999), 1e-8, 0.0, false), (adam.LearningRate, adam.Betas, adam.Eps, adam.WeightDecay, adam.Amsgrad));
        var adamW = new AdamW([New()]).ParameterGroups[0];
        Assert.AreEqual((1e-3, (0.9, 0.999), 1e-8, 1e-2, false),
            (adamW.LearningRate, adamW.Betas, adamW.Eps, adamW.WeightDecay, adamW.Amsgrad));
        var rms = new RMSprop([New()]).ParameterGroups[0];
        Assert.AreEqual((1e-2, 0.99, 1e-8, 0.0, 0.0, false),
            (rms.LearningRate, rms.Alpha, rms.Eps, rms.WeightDecay, rms.Momentum, rms.Centered));
    }

    [TestMethod]
    public void TheRateOfAGroupActsOnThatGroupAlone()
    {
        Parameter a = New(), b = New();
        var optimizer = new SGD([new ParameterGroup([a]), new ParameterGroup([b], lr: 0.5)], lr: 0.1);
        SGDTests.Give(a, [1, 1, 1]);
        SGDTests.Give(b, [1, 1, 1]);
        optimizer.Step();
        Assert.AreEqual((-0.1f, -0.5f), (a.Value.Data[0], b.Value.Data[0]));
        optimizer.ParameterGroups[0].LearningRate = 1;
        optimizer.Step();
        Assert.AreEqual((-1.1f, -1f), (a.Value.Data[0], b.Value.Data[0]));
        new SGD([a, b], lr: 2).Step();
        Assert.AreEqual((-3.1f, -3f), (a.Value.Data[0], b.Value.Data[0]));
    }

    [TestMethod]
    public void GroupsGivenAsTextAreRefused()
    {
        const string Text = "net.features.parameters()";
        Refused(() => ParameterGroup.From([new("params", Text), new("lr", 1e-2)]));
        Refused(() => ParameterGroup.From([new("params", new[] { Text })]));
        Refused(() => ParameterGroup.From(new Dictionary<string, object> { ["params"] = new object[] { New(), Text } }));
        var constructor = typeof(ParameterGroup).GetConstructor([typeof(string), typeof(double?)])!; // the compiler refuses to call it
        var error = Assert.ThrowsExactly<System.Reflection.TargetInvocationException>(() => constructor.Invoke([Text, null]));
        StringAssert.Contains(error.InnerException!.Message, Text, StringComparison.Ordinal);

        static void Refused(Action action) => Failure.Of<ArgumentException>(action, "the text 'net.features.parameters()'",
            "without quotes");
    }

    [TestMethod]
    public void PyTorchsDictionaryMakesAGroup()
    {
        Parameter[] parameters = [New(), New()];
        var group = ParameterGroup.From(new Dictionary<string, object>
        {
            ["params"] = parameters,
            ["lr"] = 1e-2,
            ["betas"] = (0.8, 0.9),
            ["amsgrad"] = true,
            ["weight_decay"] = 1,
            ["eps"] = 1e-3f,
        });
        CollectionAssert.AreEqual(parameters, group.Parameters.ToArray());
        Assert.AreEqual((1e-2, (0.8, 0.9), true, 1.0, (double)1e-3f),
            (group.LearningRate, group.Betas, group.Amsgrad, group.WeightDecay, group.Eps));
        Assert.HasCount(1, ParameterGroup.From([new("params", New())]).Parameters);
        Assert.AreEqual((0.5, 0.6), ParameterGroup.From([new("params", New()), new("betas", Tuple.Create(0.5, 0.6))]).Betas, "F#'s pair");
        Failure.Of<ArgumentException>(() => ParameterGroup.From([new("lr", 1.0)]), "no 'params'");
        Failure.Of<ArgumentException>(() => ParameterGroup.From([new("params", parameters), new("params", parameters)]), "2 times");
        Failure.Of<ArgumentException>(() => ParameterGroup.From([new("params", parameters), new("learning_rate", 1.0)]),
            "no 'learning_rate'", "lr");
        Failure.Of<ArgumentException>(() => ParameterGroup.From([new("params", parameters), new("lr", "1e-2")]), "'lr' is a number",
            "1e-2");
        Failure.Of<ArgumentException>(() => ParameterGroup.From([new("params", parameters), new("betas", 0.9)]), "pair");
        Failure.Of<ArgumentException>(() => ParameterGroup.From([new("params", 7)]), "Int32");
        Failure.Of<ArgumentOutOfRangeException>(() => ParameterGroup.From([new("params", parameters), new("lr", -1.0)]), "lr");
    }

    [TestMethod]
    public void GroupsThatDoNotFitAreRefused()
    {
        Parameter shared = New(), other = New();
        Failure.Of<ArgumentException>(() => _ = new SGD([new ParameterGroup([shared]), new ParameterGroup([other, shared])], 0.1),
            "parameter 1 of group 1", "group 0 too");
        Failure.Of<ArgumentException>(() => _ = new ParameterGroup([shared, other, shared]), "parameter 2", "twice");
        Failure.Of<ArgumentException>(() => _ = new ParameterGroup([null!]), "null");
        Failure.Of<ArgumentException>(() => _ = new SGD(Array.Empty<ParameterGroup>(), 0.1), "at least one parameter group");
        Failure.Of<ArgumentException>(() => _ = new SGD([new ParameterGroup([])], 0.1), "at least one parameter");
        Failure.Of<ArgumentException>(() => _ = new SGD([new ParameterGroup([shared], 0.1), new ParameterGroup([other])]), "no lr");
        Failure.Of<ArgumentException>(() => _ = new SGD([new ParameterGroup([shared]) { Alpha = 0.9 }], 0.1), "SGD has no alpha");
        Failure.Of<ArgumentException>(() => _ = new SGD([new ParameterGroup([shared]) { Momentum = 0 }], 0.1, 0.9, nesterov: true),
            "Nesterov");
        Failure.Of<ArgumentNullException>(() => _ = new SGD((IEnumerable<ParameterGroup>)null!, 0.1));
        Failure.Of<ArgumentNullException>(() => _ = new SGD([null!, new ParameterGroup([shared])], 0.1));

        ParameterGroup group = new([shared]);
        Failure.Of<ArgumentException>(() => _ = new SGD([group, new ParameterGroup([shared])], 0.1));
        var optimizer = new SGD([group, new ParameterGroup([])], 0.1); // what was refused before left the group free
        Failure.Of<ArgumentException>(() => _ = new Adam([group]), "belongs to an optimizer", "SGD");
        Failure.Of<ArgumentException>(() => optimizer.AddParameterGroup(new ParameterGroup([other, shared])), "group 0 too");
        Failure.Of<ArgumentException>(() => optimizer.AddParameterGroup(group), "belongs");
        Assert.HasCount(2, optimizer.ParameterGroups);
        Assert.HasCount(1, optimizer.Parameters);
    }

    [TestMethod]
    public void ValuesOutOfRangeAreRefused()
    {
        var group = new ParameterGroup([New()]);
        Failure.Of<InvalidOperationException>(() => _ = group.LearningRate, "no lr", "yet");
        new RMSprop([group]).Step();
        foreach (double bad in new[] { -1, double.NaN, double.PositiveInfinity })
        {
            Failure.Of<ArgumentOutOfRangeException>(() => _ = new ParameterGroup([New()], bad), "lr");
            Failure.Of<ArgumentOutOfRangeException>(() => group.LearningRate = bad, "LearningRate");
            Failure.Of<ArgumentOutOfRangeException>(() => group.Eps = bad, "eps");
            Failure.Of<ArgumentOutOfRangeException>(() => group.Alpha = bad, "alpha");
            Failure.Of<ArgumentOutOfRangeException>(() => _ = new Adam([New()], bad), "lr");
            Failure.Of<ArgumentOutOfRangeException>(() => _ = new Adam([New()], betas: (bad, 0.9)), "betas[0]");
            Failure.Of<ArgumentOutOfRangeException>(() => _ = new Adam([New()], betas: (0.9, bad)), "betas[1]");
            Failure.Of<ArgumentOutOfRangeException>(() => _ = new AdamW([New()], eps: bad), "eps");
            Failure.Of<ArgumentOutOfRangeException>(() => _ = new AdamW([New()], weightDecay: bad), "weightDecay");
            Failure.Of<ArgumentOutOfRangeException>(() => _ = new RMSprop([New()], alpha: bad), "alpha");
            Failure.Of<ArgumentOutOfRangeException>(() => _ = new RMSprop([New()], momentum: bad), "momentum");
        }
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new Adam([New()], betas: (1, 0.9)), "less than 1");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new RMSprop([New()], alpha: 1.01), "alpha");
        Failure.Of<InvalidOperationException>(() => _ = group.Betas, "RMSprop has no betas");
        Failure.Of<InvalidOperationException>(() => group.Nesterov = true, "RMSprop has no nesterov");
        var free = new ParameterGroup([New()]);
        Failure.Of<ArgumentOutOfRangeException>(() => free.Betas = (0.5, 1));
        Failure.Of<InvalidOperationException>(() => _ = free.Betas, "yet");
        Assert.AreEqual((1e-2, 1e-8, 0.99), (group.LearningRate, group.Eps, group.Alpha));
    }
}
