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

    /// <summary>A tensor whose gradient is zero but for rounding is measured by a ten-thousandth of what the others have, in the whole or in
    /// its parts.</summary>
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

    /// <summary>As in training: a layer that leaves its backward where nobody wants the gradient of the input learns nothing there.</summary>
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
        var counting = new Counting(integer: true);
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

    private static List<GradientCheckRow> Rows(params string[] names) =>
        [.. names.Select(name => new GradientCheckRow(name, 1, 0, default, GradientCheck.Tolerance))];

    /// <summary>The row of a weight whose gradients are given, as is that of the input.</summary>
    private static GradientCheckRow Compare(float[] whole, float[] parts, float input, float? inputOfParts = null) =>
        Composition.Compare(new Told([(whole, input), (parts, inputOfParts ?? input)]), new Batch(1, new Shape(1)), new Generator(1),
            Rows("w"))[0];

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

    public Counting(bool integer) =>
        count = Register("count", integer ? StateTensor.Of(new Shape(1), new long[1], ElementType.Int64)
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
