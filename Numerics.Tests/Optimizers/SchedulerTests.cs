namespace OnnxLeNet.Numerics.Tests;

/// <summary>States and errors of the schedules; their rates are in PyTorchTraceTests.</summary>
[TestClass]
public sealed class SchedulerTests
{
    private static readonly (string Name, Func<Optimizer, LRScheduler> Make)[] All =
    [
        ("StepLR", o => new StepLR(o, 3, 0.5)),
        ("MultiStepLR", o => new MultiStepLR(o, [2, 9, 12], 0.5)),
        ("ExponentialLR", o => new ExponentialLR(o, 0.9)),
        ("LinearLR", o => new LinearLR(o, 0.1, totalIters: 12)),
        ("CosineAnnealingLR", o => new CosineAnnealingLR(o, 11, 0.001)),
        ("OneCycleLR", o => new OneCycleLR(o, new[] { 0.3, 0.2 }, 20)),
        ("SequentialLR", o => new SequentialLR(o, [new LinearLR(o, 0.1, totalIters: 4), new StepLR(o, 2), new CosineAnnealingLR(o, 10)],
            [4, 9])),
    ];

    public static IEnumerable<string> Names => All.Select(one => one.Name);

    private static SGD New(params double[] rates) => new(rates.Select(rate => new ParameterGroup([new Parameter(1)], rate)), momentum: 0.9);

    [TestMethod]
    [DynamicData(nameof(Names))]
    public void RestoredItGoesOnToTheBit(string name)
    {
        var make = All.Single(one => one.Name == name).Make;
        for (int at = 0; at < 15; at++)
        {
            SGD optimizer = New(0.1, 0.02), other = New(0.5, 0.6);
            LRScheduler schedule = make(optimizer), resumed = make(other);
            for (int step = 0; step < at; step++) schedule.Step();
            other.LoadState(optimizer.State());
            resumed.LoadState(schedule.State());
            CollectionAssert.AreEqual(schedule.LastLearningRates.ToArray(), resumed.LastLearningRates.ToArray());
            for (int step = at; step < 20; step++)
            {
                schedule.Step();
                resumed.Step();
                for (int g = 0; g < 2; g++)
                {
                    Assert.AreEqual(optimizer.ParameterGroups[g].LearningRate, other.ParameterGroups[g].LearningRate);
                    Assert.AreEqual(optimizer.ParameterGroups[g].Momentum, other.ParameterGroups[g].Momentum);
                }
            }
        }
    }

    [TestMethod]
    [DynamicData(nameof(Names))]
    public void AStateThatDoesNotFitIsRefused(string name)
    {
        var make = All.Single(one => one.Name == name).Make;
        var schedule = make(New(0.1, 0.02));
        schedule.Step();
        var state = schedule.State();
        var entries = state.Entries;
        Failure.Of<OnnxLeNetException>(() => schedule.LoadState(state with { Kind = "LambdaLR" }), "LambdaLR", name);
        Failure.Of<OnnxLeNetException>(() => schedule.LoadState(state with { Entries = [.. entries.SkipLast(1)] }), entries[^1].Name);
        Failure.Of<OnnxLeNetException>(() => schedule.LoadState(state with { Entries = [new CountEntry("last_epoch", -2),
            .. entries.Skip(1)] }), "'last_epoch'", "-2");
        Failure.Of<OnnxLeNetException>(() => schedule.LoadState(state with { Entries = [new NumberEntry("last_epoch", 1),
            .. entries.Skip(1)] }), "a count, got a number");
        Assert.AreEqual(1, schedule.LastEpoch);
        if (name != "OneCycleLR") Failure.Of<OnnxLeNetException>(() => make(New(0.1)).LoadState(state), "'base_lrs'");
    }

    [TestMethod]
    public void APlateauGoesOnToTheBit()
    {
        double[] metrics = [1, 0.9, 0.95, 0.9, 0.91, 0.9, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9];
        for (int at = 0; at < metrics.Length; at++)
        {
            SGD optimizer = New(0.1, 0.02), other = New(0.5, 0.6);
            ReduceLROnPlateau schedule = new(optimizer, patience: 1, cooldown: 2), resumed = new(other, factor: 0.5);
            foreach (double metric in metrics[..at]) schedule.Step(metric);
            other.LoadState(optimizer.State());
            resumed.LoadState(schedule.State());
            foreach (double metric in metrics[at..])
            {
                schedule.Step(metric);
                resumed.Step(metric);
                Assert.AreEqual(optimizer.ParameterGroups[1].LearningRate, other.ParameterGroups[1].LearningRate);
            }
            Assert.IsLessThan(0.02, other.ParameterGroups[1].LearningRate);
        }
    }

    [TestMethod]
    public void ANaNMetricIsNoImprovement()
    {
        var optimizer = New(0.1);
        var schedule = new ReduceLROnPlateau(optimizer, patience: 1);
        for (int step = 0; step < 2; step++) schedule.Step(double.NaN);
        Close.Assert("after patience", [0.01], [optimizer.LearningRate], 1e-15, 0);
    }

    [TestMethod]
    public void AGroupAddedLaterIsScheduledFromItsOwnRate()
    {
        var optimizer = New(0.1);
        var schedule = new CosineAnnealingLR(optimizer, 4);
        schedule.Step();
        optimizer.AddParameterGroup(new ParameterGroup([new Parameter(1)], 0.3));
        schedule.Step();
        double expected = 0.3 * (1 + Math.Cos(Math.PI / 2)) / (1 + Math.Cos(Math.PI / 4));
        Close.Assert("rates", [0.05, expected], [.. schedule.LastLearningRates], 1e-14, 0);
        var cycle = new OneCycleLR(New(0.1), 0.5, 10);
        cycle.Optimizer.AddParameterGroup(new ParameterGroup([new Parameter(1)], 0.3));
        Failure.Of<InvalidOperationException>(cycle.Step, "1 groups", "2");
        var plateau = new ReduceLROnPlateau(optimizer);
        optimizer.AddParameterGroup(new ParameterGroup([new Parameter(1)], 0.3));
        Failure.Of<InvalidOperationException>(() => plateau.Step(1), "2 groups", "3");
    }

    [TestMethod]
    [DataRow(AnnealStrategy.Cos, 0.3)]
    [DataRow(AnnealStrategy.Linear, 0.5)]
    [DataRow(AnnealStrategy.Linear, 1.0)]
    public void ACycleStaysAtItsEndAndIsThenOver(AnnealStrategy strategy, double pctStart)
    {
        var optimizer = New(0.1);
        var cycle = new OneCycleLR(optimizer, 0.5, 4, annealStrategy: strategy, pctStart: pctStart);
        for (int step = 0; step < 3; step++) cycle.Step();
        double rate = optimizer.LearningRate;
        Close.Assert("at the end", [pctStart == 1 ? 0.5 : 0.5 / 25 / 1e4], [rate], 1e-9, 0);
        cycle.Step();
        Assert.AreEqual(rate, optimizer.LearningRate);
        Failure.Of<InvalidOperationException>(cycle.Step, "step 5 of a cycle of 4");
        Assert.AreEqual((4, rate), (cycle.LastEpoch, optimizer.LearningRate));
    }

    /// <summary>A metric that reaches the threshold is no improvement; one beyond it is. Numbers that floats hold exactly.</summary>
    [TestMethod]
    [DataRow(PlateauMode.Min, ThresholdMode.Rel, 1.5, 1.375)]
    [DataRow(PlateauMode.Min, ThresholdMode.Abs, 1.75, 1.625)]
    [DataRow(PlateauMode.Max, ThresholdMode.Rel, 2.5, 2.625)]
    [DataRow(PlateauMode.Max, ThresholdMode.Abs, 2.25, 2.375)]
    public void APlateauIsLeftBeyondTheThreshold(PlateauMode mode, ThresholdMode thresholdMode, double at, double beyond)
    {
        foreach (var (metric, rate) in new[] { (at, 0.25), (beyond, 0.5) })
        {
            var optimizer = New(0.5);
            var plateau = new ReduceLROnPlateau(optimizer, mode, 0.5, patience: 0, threshold: 0.25, thresholdMode);
            plateau.Step(2);
            plateau.Step(metric);
            Assert.AreEqual(rate, optimizer.LearningRate, $"{metric}");
        }
        // A rate that would move by no more than eps stays.
        foreach (var (eps, rate) in new[] { (0.25, 0.5), (0.125, 0.25) })
        {
            var optimizer = New(0.5);
            var plateau = new ReduceLROnPlateau(optimizer, factor: 0.5, patience: 0, eps: eps);
            plateau.Step(2);
            plateau.Step(2);
            Assert.AreEqual(rate, optimizer.LearningRate, $"{eps}");
        }
    }

    [TestMethod]
    public void BadArgumentsAreRefusedAndLeaveNoTrace()
    {
        var optimizer = New(0.1, 0.02);
        foreach (double bad in new[] { -1, double.NaN, double.PositiveInfinity })
        {
            Out(() => _ = new StepLR(optimizer, 3, bad), "gamma");
            Out(() => _ = new MultiStepLR(optimizer, [3], bad), "gamma");
            Out(() => _ = new ExponentialLR(optimizer, bad), "gamma");
            Out(() => _ = new LinearLR(optimizer, bad), "startFactor");
            Out(() => _ = new LinearLR(optimizer, 0.5, bad), "endFactor");
            Out(() => _ = new CosineAnnealingLR(optimizer, 3, bad), "last");
            Out(() => _ = new OneCycleLR(optimizer, bad, 10), "maxLr");
            Out(() => _ = new OneCycleLR(optimizer, 0.1, 10, pctStart: bad), "pctStart");
            Out(() => _ = new OneCycleLR(optimizer, 0.1, 10, divFactor: bad), "divFactor");
            Out(() => _ = new OneCycleLR(optimizer, 0.1, 10, baseMomentum: bad), "baseMomentum");
            Out(() => _ = new ReduceLROnPlateau(optimizer, factor: bad), "factor");
            Out(() => _ = new ReduceLROnPlateau(optimizer, threshold: bad), "threshold");
            Out(() => _ = new ReduceLROnPlateau(optimizer, minLr: bad), "minLr");
        }
        Out(() => _ = new StepLR(optimizer, 0), "stepSize");
        Out(() => _ = new MultiStepLR(optimizer, [3, -1]), "milestones");
        Out(() => _ = new LinearLR(optimizer, 0), "more than 0");
        Out(() => _ = new LinearLR(optimizer, totalIters: 0), "totalIters");
        Out(() => _ = new OneCycleLR(optimizer, 0.1, 0), "totalSteps");
        Out(() => _ = new OneCycleLR(optimizer, 0.1, epochs: 0, stepsPerEpoch: 3), "epochs");
        Out(() => _ = new OneCycleLR(optimizer, 0.1, 10, pctStart: 0.1), "pctStart");
        Out(() => _ = new OneCycleLR(optimizer, 0.1, 10, annealStrategy: (AnnealStrategy)7), "annealStrategy");
        Out(() => _ = new OneCycleLR(optimizer, 0.1, 10, divFactor: 0), "divFactor");
        Out(() => _ = new OneCycleLR(optimizer, 0.1, 10, finalDivFactor: 0), "finalDivFactor");
        Failure.Of<ArgumentNullException>(() => _ = new OneCycleLR(optimizer, null!, 10), "maxLr");
        Failure.Of<ArgumentNullException>(() => _ = new MultiStepLR(optimizer, null!), "milestones");
        Failure.Of<ArgumentNullException>(() => _ = new ReduceLROnPlateau(null!), "optimizer");
        Out(() => _ = new ReduceLROnPlateau(optimizer, (PlateauMode)7), "Min or Max");
        Out(() => _ = new ReduceLROnPlateau(optimizer, thresholdMode: (ThresholdMode)7), "Rel or Abs");
        Out(() => _ = new ReduceLROnPlateau(optimizer, patience: -1), "patience");
        Out(() => _ = new ReduceLROnPlateau(optimizer, cooldown: -1), "cooldown");
        Out(() => _ = new ReduceLROnPlateau(optimizer, factor: 1), "factor");
        Failure.Of<ArgumentException>(() => _ = new OneCycleLR(optimizer, 0.1, epochs: 3), "stepsPerEpoch");
        Failure.Of<ArgumentException>(() => _ = new OneCycleLR(optimizer, new[] { 0.1, 0.2, 0.3 }, 10), "2 groups, got 3");
        Out(() => _ = new OneCycleLR(new Adam([new Parameter(1)]), 0.1, 10, maxMomentum: 1.0), "betas[0]");
        foreach (var group in optimizer.ParameterGroups) Assert.IsNull(group.InitialLearningRate);
        Failure.Of<ArgumentNullException>(() => _ = new StepLR(null!, 3));

        Failure.Of<ArgumentException>(() => _ = new SequentialLR(optimizer, [], []), "at least one");
        var first = new StepLR(optimizer, 3);
        Failure.Of<ArgumentException>(() => _ = new SequentialLR(optimizer, [first, new StepLR(New(1), 3)], [2]), "schedule 1",
            "another optimizer");
        Failure.Of<ArgumentException>(() => _ = new SequentialLR(optimizer, [first], [2]), "0 milestones", "got 1");
        Failure.Of<ArgumentException>(() => _ = new SequentialLR(optimizer, [new SequentialLR(optimizer, [first], [])], []),
            "sequence itself");
        Out(() => _ = new SequentialLR(optimizer, [first, first, first], [4, 4]), "milestone 1");
        Out(() => _ = new SequentialLR(optimizer, [first, first], [0]), "milestone 0");

        static void Out(Action action, string part) => Failure.Of<ArgumentOutOfRangeException>(action, part);
    }
}
