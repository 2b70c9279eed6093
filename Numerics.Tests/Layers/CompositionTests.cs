namespace OnnxLeNet.Numerics.Tests;

/// <summary>Whether a network's gradients are those of its nodes one after the other: on layers that give others in the whole.</summary>
[TestClass]
public sealed class CompositionTests
{
    /// <summary>A difference counts by the largest gradient of the tensor, and its place is told.</summary>
    [TestMethod]
    public void ADifferenceCountsByTheLargestGradient()
    {
        Assert.AreEqual(0, Compare([-1.5f, 1], [-1.5f, 1], 1).MaxRel);
        Assert.AreEqual(0, Compare([-2f, 1.003f], [-2, 1], 1).MaxRel, "0.0015: the row stays as it was");
        var row = Compare([-2f, 1.005f], [-2, 1], 1);
        Assert.AreEqual(0.0025, row.MaxRel, 1e-6);
        Assert.AreEqual((1, 1.005f, 1f), row.Worst);
        row = Compare([-2f, float.NaN], [-2, 1], 1);
        Assert.AreEqual((false, double.NaN, 1), (row.Passed, row.MaxRel, row.Worst.Offset));
    }

    /// <summary>A tensor whose gradient is zero but for rounding is measured by a ten-thousandth of what the others have, in the whole or
    /// in its parts.</summary>
    [TestMethod]
    [DataRow(-4f, -1f)]
    [DataRow(-1f, -4f)]
    public void RoundingAroundZeroIsNoDifference(float whole, float parts)
    {
        Assert.IsTrue(Compare([3e-7f, -2e-7f], [-3e-7f, 0], whole, parts).Passed);
        var row = Compare([6e-7f, -2e-7f], [-6e-7f, 0], whole, parts);
        Assert.IsFalse(row.Passed);
        Assert.AreEqual(1.2e-6 / 4e-4, row.MaxRel, 1e-6);
    }

    /// <summary>As in training: a layer that leaves its backward where nobody wants the gradient of the input learns nothing.</summary>
    [TestMethod]
    [DataRow(true)]
    [DataRow(false)]
    public void TheGradientOfAWeightDoesNotDependOnWhetherThatOfTheInputIsWanted(bool honest)
    {
        var layer = new Leaving(honest);
        foreach (Module module in new Module[] { layer, new Sequential { new Flatten(), layer, new Tanh() } })
        {
            var rows = GradientCheck.Run(module, Values.Batch(1, 2, new Shape(3)));
            Assert.IsTrue(rows[0].Passed);
            Assert.AreEqual(honest, rows[1].Passed, $"{rows[1]}");
        }
    }

    /// <summary>A forward that counts how often it has run counts the same in every part of the check.</summary>
    [TestMethod]
    public void BuffersAreTheSameForTheWholeAndItsParts()
    {
        var x = Values.Batch(1, 2, new Shape(3));
        var counting = new Counting(isInteger: true);
        foreach (var row in Composition.Compare(new Sequential { new Flatten(), counting }, x, new Generator(1), Rows("input"), 1e-6))
            Assert.AreEqual(0, row.MaxRel, $"{row}");
        Assert.AreEqual(0, counting.Count);
    }

    /// <summary>As a training step does, the whole retains nothing: a layer may then use up what it saved.</summary>
    [TestMethod]
    public void NothingIsRetained()
    {
        foreach (var row in Composition.Compare(new Sequential { new Flatten(), new Retaining() }, Values.Batch(1, 2, new Shape(3)),
            new Generator(1), Rows("input"), 1e-6))
            Assert.AreEqual(0, row.MaxRel, $"{row}");
    }

    /// <summary>
    /// Layers that are right, and a whole that does not put them together: a layer whose backward reads what it does not name finds it
    /// overwritten there. Each row that differs has that error.
    /// </summary>
    [TestMethod]
    public void TheWholeMustBeItsLayersOneAfterTheOther()
    {
        foreach (bool honest in new[] { true, false })
        {
            var g = new Generator(1);
            var net = new Sequential { new Flatten(), new Linear(60, 4, generator: g), new Square(honest), new Linear(4, 4, generator: g),
                new Tanh(), new Linear(4, 2, generator: g) };
            List<GradientCheckRow> rows = [.. net.NamedParameters().Select(p => p.Name).Prepend("input")
                .Select(name => new GradientCheckRow(name, 1, 0, default, GradientCheck.Tolerance))];
            foreach (var row in Composition.Compare(net, Values.Batch(1, 3, new Shape(2, 5, 6)), new Generator(2), rows))
            {
                bool behind = row.Name[0] is '3' or '5';
                Assert.AreEqual(honest || behind, row.Passed, $"{row}");
                if (honest) Assert.IsLessThan(1e-6, row.MaxRel);
            }
            Assert.AreEqual(honest, GradientCheck.Run(net, Values.Batch(1, 3, new Shape(2, 5, 6))).All(row => row.Passed));
        }
    }

    /// <summary>Thirty-seven samples are three blocks; the sums of a batch norm come from all of them.</summary>
    [TestMethod]
    public void ABatchOfSeveralBlocks()
    {
        var g = new Generator(1);
        var net = new Sequential { new Conv2d(2, 3, (2, 3), generator: g), new BatchNorm2d(3), new Tanh(), new Flatten(),
            new Linear(48, 2, generator: g) };
        var x = Values.Batch(1, 37, new Shape(2, 5, 6));
        foreach (var row in GradientCheck.Run(net, x, most: 8)) Assert.IsTrue(row.Passed, $"{row}");
        List<GradientCheckRow> rows = [.. net.NamedParameters().Select(p => p.Name).Prepend("input")
            .Select(name => new GradientCheckRow(name, 1, 0, default, GradientCheck.Tolerance))];
        foreach (var row in Composition.Compare(net, x, new Generator(2), rows, tolerance: 0))
            Assert.IsLessThan(1e-5, row.MaxRel, $"{row}");
    }

    /// <summary>A row that has failed already, or that is of nothing the whole has, stays as it is.</summary>
    [TestMethod]
    public void TheWholeChangesOnlyRowsThatPassed()
    {
        var net = new Sequential { new Flatten(), new Linear(60, 2, generator: new Generator(1)), new Tanh() };
        var failed = new GradientCheckRow("1.weight", 1, 1, default, GradientCheck.Tolerance);
        var unknown = new GradientCheckRow("nowhere", 1, 0, default, GradientCheck.Tolerance);
        CollectionAssert.AreEqual(new[] { failed, unknown },
            Composition.Compare(net, Values.Batch(1, 3, new Shape(2, 5, 6)), new Generator(2), [failed, unknown], 0));
    }

    /// <summary>Every layer gives its gradient itself, also one that says that it hands its result's on, and does not.</summary>
    [TestMethod]
    public void ThePartsAskEveryLayer() =>
        Assert.IsFalse(Composition.Compare(new Sequential { new Twice() }, Values.Batch(1, 2, new Shape(3)), new Generator(1),
            Rows("input"))[0].Passed);

    /// <summary>A layer that says that it runs in place, and reads its neighbours, hands other values on in the whole than alone.</summary>
    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public void ALayerThatCannotRunInPlaceSpoilsWhatIsBehind(bool inPlace)
    {
        var g = new Generator(1);
        var net = new Sequential { new Flatten(), new Linear(3, 4, generator: g), new Neighbours(inPlace), new Linear(4, 2, generator: g) };
        var rows = GradientCheck.Run(net, Values.Batch(1, 2, new Shape(3)));
        Assert.AreEqual(!inPlace, rows.Single(row => row.Name == "3.weight").Passed);
        Assert.IsTrue(rows.Where(row => row.Name != "3.weight").All(row => row.Passed));
    }

    private static List<GradientCheckRow> Rows(params string[] names) =>
        [.. names.Select(name => new GradientCheckRow(name, 1, 0, default, GradientCheck.Tolerance))];

    /// <summary>The row of a weight whose gradients are given, as is that of the input.</summary>
    private static GradientCheckRow Compare(float[] whole, float[] parts, float input, float? inputOfParts = null) =>
        Composition.Compare(new Told([(whole, input), (parts, inputOfParts ?? input)]), new Batch(1, new Shape(1)), new Generator(1),
            Rows("w"))[0];

    /// <summary>y = x², which reads x backward.</summary>
    private sealed class Square(bool honest) : Layer
    {
        protected internal override BackwardReads BackwardReads => honest ? BackwardReads.Input : BackwardReads.None;

        public override Shape OutputShape(Shape sample) => sample;

        public override void Forward(Batch x, Batch y, Context context)
        {
            for (int i = 0; i < y.Values.Length; i++) y.Values[i] = x.Values[i] * x.Values[i];
        }

        public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
        {
            for (int i = 0; i < dx!.Values.Length; i++) dx.Values[i] = 2 * x.Values[i] * dy.Values[i];
        }
    }

    /// <summary>Every feature and the one before it.</summary>
    private sealed class Neighbours(bool inPlace) : Layer
    {
        protected internal override BackwardReads BackwardReads => BackwardReads.None;

        protected internal override bool RunsInPlace => inPlace;

        public override Shape OutputShape(Shape sample) => sample;

        public override void Forward(Batch x, Batch y, Context context)
        {
            for (int i = 0; i < y.Values.Length; i++) y.Values[i] = x.Values[i] + (i < x.Count ? 0 : x.Values[i - x.Count]);
        }

        public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
        {
            int n = dy.Count, length = dy.Values.Length;
            for (int i = 0; i < length; i++) dx!.Values[i] = dy.Values[i] + (i + n < length ? dy.Values[i + n] : 0);
        }
    }

    /// <summary>y = 2x.</summary>
    private sealed class Twice : Layer
    {
        public override Shape OutputShape(Shape sample) => sample;

        internal override bool PassesGradient(int input, Shape[] inputs, Shape output) => true;

        public override void Forward(Batch x, Batch y, Context context)
        {
            for (int i = 0; i < y.Values.Length; i++) y.Values[i] = 2 * x.Values[i];
        }

        public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
        {
            for (int i = 0; dx is not null && i < dx.Values.Length; i++) dx.Values[i] = 2 * dy.Values[i];
        }
    }

    /// <summary>A layer whose gradients are given call by call: first comes the whole, then its parts.</summary>
    private sealed class Told : Layer
    {
        private readonly (float[] W, float X)[] gradients;
        private readonly Parameter w;
        private int call;

        public Told((float[] W, float X)[] gradients) =>
            (this.gradients, w) = (gradients, Register("w", new Parameter(gradients[0].W.Length)));

        public override Shape OutputShape(Shape sample) => sample;

        public override void Forward(Batch x, Batch y, Context context) => y.Values[0] = 0;

        public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
        {
            var (gradient, ofInput) = gradients[Math.Min(call++, 1)];
            w.AddGrad(context, gradient);
            if (dx is not null) dx.Values[0] = ofInput;
        }
    }

    /// <summary>y = x·w for one w.</summary>
    private sealed class Leaving : Layer
    {
        private readonly bool honest;
        private readonly Parameter w;

        public Leaving(bool honest)
        {
            (this.honest, w) = (honest, Register("w", new Parameter(1)));
            w.Value.Data[0] = 0.8f;
        }

        public override Shape OutputShape(Shape sample) => sample;

        public override void Forward(Batch x, Batch y, Context context)
        {
            for (int i = 0; i < y.Values.Length; i++) y.Values[i] = x.Values[i] * w.Value.Data[0];
        }

        public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
        {
            if (!honest && dx is null) return;
            w.AddGrad(context, [(float)x.Values.Zip(dy.Values, (a, b) => (double)a * b).Sum()]);
            for (int i = 0; dx is not null && i < dx.Values.Length; i++) dx.Values[i] = dy.Values[i] * w.Value.Data[0];
        }
    }
}

/// <summary>y = (n + 1)·x, where the buffer n counts forwards.</summary>
internal sealed class Counting : Layer
{
    private readonly StateTensor count;

    public Counting(bool isInteger) =>
        count = Register("count", isInteger ? StateTensor.Of(new Shape(1), new long[1], ElementType.Int64)
            : StateTensor.Of(new Tensor(new Shape(1))));

    public double Count => count.IsInteger ? count.AsInt64()[0] : count.AsTensor().Data[0];

    public override Shape OutputShape(Shape sample) => sample;

    public override void Forward(Batch x, Batch y, Context context)
    {
        if (count.IsInteger) count.AsInt64()[0]++;
        else count.AsTensor().Data[0]++;
        for (int i = 0; i < y.Values.Length; i++) y.Values[i] = (float)Count * x.Values[i];
    }

    public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        for (int i = 0; i < dy.Values.Length; i++) dx!.Values[i] = (float)Count * dy.Values[i];
    }
}

/// <summary>y = x, whose gradient is right only where another backward may follow.</summary>
internal sealed class Retaining : Layer
{
    public override Shape OutputShape(Shape sample) => sample;

    public override void Forward(Batch x, Batch y, Context context) => x.Values.CopyTo(y.Values, 0);

    public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        for (int i = 0; i < dy.Values.Length; i++) dx!.Values[i] = context.RetainGraph ? dy.Values[i] : 2 * dy.Values[i];
    }
}
