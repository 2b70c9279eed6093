namespace OnnxLeNet.Numerics.Tests;

[TestClass]
[DoNotParallelize]
public sealed class GradientCheckTests
{
    /// <summary>A module of several results is refused before anything is computed.</summary>
    [TestMethod]
    public void OneResultIsChecked()
    {
        var network = new GraphModule("Two");
        network.Return(network.Call("a", new Linear(3, 2), 0), network.Call("b", new Linear(3, 2), 0));
        Failure.Of<ShapeException>(() => GradientCheck.Run(network, Values.Batch(1, 2, new Shape(3))), "returns 2 values", "one");
    }

    /// <summary>In training nobody wants the gradient of the first layer's input: one that writes it all the same is told so.</summary>
    [TestMethod]
    public void ALayerThatWritesAGradientNobodyWantsIsTold()
    {
        var error = Failure.Of<OnnxLeNetException>(() => GradientCheck.Run(new Sequential { new Eager(), new Linear(3, 2) },
            Values.Batch(1, 2, new Shape(3))), "write to dx only if it is there");
        Assert.IsInstanceOfType<NullReferenceException>(error.InnerException);
    }

    /// <summary>y = w·x, whose backward takes it for granted that dx is there.</summary>
    private sealed class Eager : Layer
    {
        private readonly Parameter w;

        public Eager()
        {
            w = Register("w", new Parameter(1));
            w.Value.Data[0] = 0.5f;
        }

        public override Shape OutputShape(Shape sample) => sample;

        public override void Forward(Batch x, Batch y, Context context)
        {
            for (int i = 0; i < x.Values.Length; i++) y.Values[i] = w.Value.Data[0] * x.Values[i];
        }

        public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
        {
            float sum = 0;
            for (int i = 0; i < x.Values.Length; i++)
            {
                sum += dy.Values[i] * x.Values[i];
                dx!.Values[i] = w.Value.Data[0] * dy.Values[i];
            }
            w.AddGrad(context, [sum]);
        }
    }

    [TestMethod]
    public void PassesOnEveryLayerOfOurs()
    {
        var g = new Generator(1);
        var net = new Sequential
        {
            new Conv2d(2, 4, (2, 3), padding: (1, 0), groups: 2, generator: g), new BatchNorm2d(4), new Tanh(), new AvgPool2d(2),
                new Flatten(),
            new Linear(24, 6, generator: g), new Sigmoid(), new Linear(6, 3, generator: g), new LogSoftmax(),
        };
        var rows = GradientCheck.Run(net, Input());
        Assert.HasCount(1 + net.Parameters().Count(), rows);
        foreach (var row in rows) Assert.IsTrue(row.Passed, $"{row}");
    }

    [TestMethod]
    public void FailsOnAWrongFormula()
    {
        foreach (float factor in new[] { 1.01f, 0.99f, -1f, 0f, float.NaN })
        {
            var rows = GradientCheck.Run(new Sequential { new Flatten(), new Wrong(factor), new Linear(60, 2) }, Input());
            Assert.IsFalse(rows.Single(r => r.Name == "input").Passed, $"factor {factor}");
        }
        Assert.IsTrue(GradientCheck.Run(new Sequential { new Flatten(), new Wrong(1), new Linear(60, 2) }, Input()).All(r => r.Passed));
    }

    [TestMethod]
    public void LeavesEverythingAsItWas()
    {
        var net = new Sequential { new Flatten(), new Linear(60, 3) };
        var norm = new BatchNorm1d(3);
        net.Add("norm", norm);
        float[] weights = [.. net.Parameters().First().Value.Data];
        GradientCheck.Run(net, Input());
        CollectionAssert.AreEqual(weights, net.Parameters().First().Value.Data);
        Assert.AreEqual(0, norm.NumBatchesTracked);
        CollectionAssert.AreEqual(new float[3], norm.RunningMean);
        Assert.IsTrue(net.Parameters().All(p => p.Grad is null));
    }

    /// <summary>Gradients that are there are not added to, and not lost.</summary>
    [TestMethod]
    public void LeavesGradientsAsTheyWere()
    {
        var net = new Sequential { new Flatten(), new Linear(60, 3, generator: new Generator(4)) };
        net.Backward(net.Forward(Input()));
        float[][] before = [.. net.Parameters().Select(parameter => (float[])parameter.Grad!.Data.Clone())];
        Assert.IsTrue(GradientCheck.Run(net, Input(), most: 5).All(row => row.Passed));
        foreach (var (parameter, grad) in net.Parameters().Zip(before)) CollectionAssert.AreEqual(grad, parameter.Grad!.Data);
    }

    [TestMethod]
    public void ChecksNoMoreThanAsked()
    {
        var net = new Sequential { new Flatten(), new Linear(60, 3, generator: new Generator(4)) };
        foreach (int most in new[] { 1, 2, 7 })
            foreach (var row in GradientCheck.Run(net, Input(), most: most))
                Assert.AreEqual(Math.Min(most, row.Name == "1.bias" ? 3 : most), row.Checked, $"{row}");
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => GradientCheck.Run(net, Input(), most: 0));
    }

    [TestMethod]
    public void ARowSaysWhatItIsWorth()
    {
        var row = new GradientCheckRow("w", 9, 1e-3, default, 2e-3);
        Assert.IsTrue(row.Passed);
        Assert.IsFalse((row with { MaxRel = 2e-3 }).Passed, "the tolerance is a bound itself not within");
        Assert.IsFalse((row with { MaxRel = double.NaN }).Passed);
        Assert.AreEqual("9 checked", row.Note);
        row = row with { AtKinks = 2, Unsteady = 3, Aside = 4, Across = 5, WrongBehind = "fc" };
        Assert.AreEqual(5, row.LeftOut);
        Assert.AreEqual("9 checked, 4 of them a little aside of the given point, 5 of them across kinks, 2 left out at kinks or ties, "
            + "3 left out since two steps gave two slopes; the input of fc failed, through which this one comes", row.Note);
    }

    /// <summary>Also what the module's own last forward kept, and where the random numbers stand.</summary>
    [TestMethod]
    public void LeavesAForwardInProgressAndTheRandomNumbersAsTheyWere()
    {
        var net = new Sequential { new Flatten(), new Linear(60, 3, generator: new Generator(4)), new Dropout() };
        var y = net.Forward(Input());
        ulong state = Generator.Default.State;
        GradientCheck.Run(net, Input(), most: 5);
        Assert.AreEqual(state, Generator.Default.State);
        net.Backward(y);
    }

    /// <summary>Dropout keeps its mask for the check, layers of it in a row too.</summary>
    [TestMethod]
    public void DropoutMayBeOn()
    {
        var g = new Generator(5);
        var net = new Sequential { new Flatten(), new Dropout(0.3), new Linear(60, 8, generator: g), new Tanh(), new Dropout(),
            new Linear(8, 3, generator: g) };
        foreach (var row in GradientCheck.Run(net, Input())) Assert.IsTrue(row.Passed, $"{row}");
        foreach (var row in GradientCheck.Run(new Sequential { new Flatten(), new Dropout(), new Wrong(1.01f), new Linear(60, 2) },
            Input()))
            Assert.AreEqual(row.Name != "input", row.Passed, $"{row}");
    }

    [TestMethod]
    public void AForwardThatDiffersEachTimeIsRefused() =>
        Failure.Of<OnnxLeNetException>(() => GradientCheck.Run(new Sequential { new Flatten(), new Noisy() }, Input()), "Noisy",
            "two forwards of the same batch", "context's Random");

    /// <summary>A ReLU at 0 and a pool of equal values have no slope: the row says how many such elements there were, and where others were
    /// looked at.</summary>
    [TestMethod]
    public void KinksAndTiesAreLeftOutAndSaid()
    {
        var x = Values.Batch(1, 3, new Shape(2, 5, 6));
        for (int i = 0; i < 30; i++) x.Values[i] = 0;
        var row = GradientCheck.Run(new ReLU(), x, most: 1000).Single();
        Assert.AreEqual((150, 30, 30, 0, true), (row.Checked, row.AtKinks, row.LeftOut, row.Aside, row.Passed));
        Assert.AreEqual("150 checked, 30 left out at kinks or ties", row.Note);

        row = GradientCheck.Run(new MaxPool2d((1, 2)), new Batch(3, new Shape(2, 5, 6)), most: 1000).Single();
        Assert.AreEqual((20, 20, 0, 160, true), (row.Checked, row.Across, row.Aside, row.AtKinks, row.Passed));
        Assert.AreEqual("20 checked, 20 of them across kinks, 160 left out at kinks or ties", row.Note);
        Assert.IsFalse(GradientCheck.Run(new Nudged(new MaxPool2d((1, 2)), "input", Nudge.Percent),
            new Batch(3, new Shape(2, 5, 6))).Single().Passed, "aside too");

        // A function of steps is flat, or jumps.
        row = GradientCheck.Run(new Sequential { new Steps() }, Input()).Single();
        Assert.IsFalse(row.Passed, $"{row}");
    }

    [TestMethod]
    public void WhatIsMissingIsNamed()
    {
        Assert.AreEqual("module", Assert.ThrowsExactly<ArgumentNullException>(() => GradientCheck.Run(null!, Input())).ParamName);
        Assert.AreEqual("x", Assert.ThrowsExactly<ArgumentNullException>(() => GradientCheck.Run(new ReLU(), null!)).ParamName);
    }

    /// <summary>A check that ends with an error leaves no trace: not the running estimates of the forwards before it.</summary>
    [TestMethod]
    public void AnErrorLeavesEverythingAsItWas()
    {
        var norm = new BatchNorm1d(60);
        Failure.Of<OnnxLeNetException>(() => GradientCheck.Run(new Sequential { new Flatten(), norm, new Noisy() }, Input()), "Noisy");
        Assert.AreEqual(0, norm.NumBatchesTracked);
        CollectionAssert.AreEqual(new float[60], norm.RunningMean);
    }

    /// <summary>Before anything is computed.</summary>
    [TestMethod]
    public void ALayerWithoutABackwardIsRefused()
    {
        var rounding = new Rounding();
        Failure.Of<OnnxLeNetException>(() => GradientCheck.Run(new Sequential { new Flatten(), new Linear(60, 2), rounding }, Input()),
            "Rounding", "no backward", "the gradient goes through it");
        Assert.AreEqual(0, rounding.Forwards);
    }

    /// <summary>Of a value that two layers take, the gradient is wrong if it is for one of them, whichever runs first.</summary>
    [TestMethod]
    [DataRow(true)]
    [DataRow(false)]
    public void OneWrongBranchOfTwoIsEnough(bool wrongFirst)
    {
        var net = new GraphModule("Net");
        int y = net.Call("fc", new Linear(60, 4, generator: new Generator(1)), net.Call(new Flatten(), 0));
        int first = net.Call("first", wrongFirst ? new Wrong(1.02f) : new Tanh(), y);
        int second = net.Call("second", wrongFirst ? new Tanh() : new Wrong(1.02f), y);
        net.Return(net.Call(new Add(), first, second));
        foreach (var row in GradientCheck.Run(net, Input()))
            Assert.AreEqual((false, wrongFirst ? "first: Wrong()" : "second: Wrong()"), (row.Passed, row.WrongBehind), $"{row}");
    }

    [TestMethod]
    public void TheRowOfWhatAWrongLayerSpoilsNamesIt()
    {
        var net = new Sequential { new Flatten(), new Linear(60, 4, generator: new Generator(1)) };
        net.Add("odd", new Wrong(1.02f));
        net.Add("last", new Linear(4, 2, generator: new Generator(2)));
        foreach (var row in GradientCheck.Run(net, Input()))
        {
            bool behind = row.Name.StartsWith("last", StringComparison.Ordinal);
            Assert.AreEqual(behind, row.Passed, $"{row}");
            Assert.AreEqual(behind ? null : "odd: Wrong()", row.WrongBehind);
            if (!behind) Assert.Contains("odd: Wrong()", row.Note);
        }
    }

    [TestMethod]
    public void AFrozenParameterHasNoRow()
    {
        var net = new Sequential { new Flatten(), new Linear(60, 2, generator: new Generator(1)) };
        net.Parameters().First().RequiresGrad = false;
        CollectionAssert.AreEqual(new[] { "input", "1.bias" }, GradientCheck.Run(net, Input(), most: 5).Select(row => row.Name).ToArray());
    }

    /// <summary>x² of zeros: nothing rounds, and every slope is 0. What lies aside of them tells the lie.</summary>
    [TestMethod]
    [DataRow(1f, true)]
    [DataRow(1.01f, false)]
    public void ABatchOfZerosIsNoNoise(float factor, bool passes)
    {
        var row = GradientCheck.Run(new Wrong(factor), new Batch(3, new Shape(2, 5))).Single();
        Assert.AreEqual(passes, row.Passed, $"{row}");
        Assert.IsGreaterThan(0, row.Checked);
    }

    /// <summary>A Sequential with a forward of its own is what that says, not what its chain does.</summary>
    [TestMethod]
    public void ASequentialWithASkip()
    {
        var network = new Skipping { new Conv2d(2, 2, 3, padding: 1, generator: new Generator(1)), new BatchNorm2d(2), new ReLU() };
        foreach (var row in GradientCheck.Run(network, Input())) Assert.IsTrue(row.Passed, $"{row}");
        Assert.IsInstanceOfType<Add>(Graph.Trace(network, new Shape(2, 5, 6)).Output.Producer!.Layer);
    }

    private sealed class Skipping : Sequential
    {
        public override Value Forward(Value x) => base.Forward(x) + x;
    }

    private static Batch Input()
    {
        var x = new Batch(3, new Shape(2, 5, 6));
        var g = new Generator(2);
        for (int i = 0; i < x.Values.Length; i++) x.Values[i] = (float)g.NextNormal();
        return x;
    }

    /// <summary>A module of a user's own: y = x², whose backward is off by a factor.</summary>
    private sealed class Wrong(float factor) : Activation
    {
        protected override void Apply(ReadOnlySpan<float> x, Span<float> y)
        {
            for (int i = 0; i < y.Length; i++) y[i] = x[i] * x[i];
        }

        protected override void ApplyBackward(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx)
        {
            for (int i = 0; i < dx.Length; i++) dx[i] = factor * 2 * x[i] * dy[i];
        }
    }

    private sealed class Rounding : Layer
    {
        public int Forwards { get; private set; }

        public override Shape OutputShape(Shape sample) => sample;

        public override void Forward(Batch x, Batch y, Context context)
        {
            Forwards++;
            for (int i = 0; i < y.Values.Length; i++) y.Values[i] = MathF.Round(x.Values[i]);
        }
    }

    private sealed class Noisy : Activation
    {
        private readonly Random random = new(1);

        protected override void Apply(ReadOnlySpan<float> x, Span<float> y)
        {
            for (int i = 0; i < y.Length; i++) y[i] = x[i] * random.NextSingle();
        }

        protected override void ApplyBackward(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx) =>
            dy.CopyTo(dx);
    }

    /// <summary>y = ⌊x⌋, with the slope of its trend, which it has nowhere.</summary>
    private sealed class Steps : Activation
    {
        protected override void Apply(ReadOnlySpan<float> x, Span<float> y)
        {
            for (int i = 0; i < y.Length; i++) y[i] = MathF.Floor(x[i]);
        }

        protected override void ApplyBackward(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx) =>
            dy.CopyTo(dx);
    }
}
