namespace OnnxLeNet.Numerics.Tests;

/// <summary>A prover is itself tested by lies: every layer's gradients pass as they are, and fail with an error of 1%, a sign, one element
/// or a term.</summary>
[TestClass]
public sealed class GradientCheckLiesTests
{
    public static IEnumerable<string> Layers => LayerCases.Names;

    [TestMethod]
    [DynamicData(nameof(Layers))]
    public void RightGradientsPassAndWrongOnesFail(string name)
    {
        var x = Values.Batch(3, 5, LayerCases.Sample(name));
        string[] tensors = ["input", .. LayerCases.Make(name).NamedParameters().Select(p => p.Name)];
        var rows = GradientCheck.Run(LayerCases.Make(name), x);
        CollectionAssert.AreEqual(tensors, rows.Select(row => row.Name).ToArray());
        foreach (var row in rows)
        {
            Assert.IsTrue(row.Passed && row.Checked > 0, $"{row}");
            Assert.IsLessThan(GradientCheck.Tolerance / 4, row.MaxRel, $"{row}: the tolerance leaves no room for rounding");
        }
        if (LayerCases.Make(name) is Sequential) return; // its layers are those of the other cases
        foreach (string tensor in tensors)
            foreach (var nudge in Enum.GetValues<Nudge>()[1..])
            {
                foreach (var row in GradientCheck.Run(new Nudged(LayerCases.Make(name), tensor, nudge), x, most: nudge == Nudge.Element
                    ? int.MaxValue : 100))
                    Assert.AreEqual(row.Name != tensor && row.Name != $"inner.{tensor}", row.Passed, $"{nudge} of {tensor}: {row}");
            }
    }

    /// <summary>In the middle of a network, at the default number of elements: what comes before fails, what comes behind passes.</summary>
    [TestMethod]
    [DataRow(Nudge.Percent)]
    [DataRow(Nudge.Sign)]
    [DataRow(Nudge.Zero)]
    public void InANetworkToo(Nudge nudge)
    {
        var g = new Generator(2);
        var net = new Sequential
        {
            new Conv2d(1, 4, 3, generator: g), new BatchNorm2d(4), new ReLU(), new MaxPool2d(2),
                new Nudged(new Conv2d(4, 5, (2, 3), generator: g), "weight", nudge),
            new Nudged(new ReLU(), "input", nudge), new Flatten(), new Linear(45, 3, generator: g),
        };
        foreach (var row in GradientCheck.Run(net, Values.Batch(1, 6, new Shape(1, 10, 12))))
            Assert.AreEqual(row.Name.StartsWith("6.", StringComparison.Ordinal)
                || row.Name.StartsWith("7.", StringComparison.Ordinal), row.Passed, $"{row}");
    }

    /// <summary>The row of a parameter that the backward forgets is there, and fails.</summary>
    [TestMethod]
    public void AGradientThatIsForgottenFails()
    {
        foreach (bool honest in new[] { true, false })
        {
            var row = GradientCheck.Run(new Sequential { new Factor(honest) }, Input()).Single(row => row.Name == "0.w");
            Assert.AreEqual(honest, row.Passed, $"{row}");
            Assert.IsGreaterThan(0, row.Checked);
        }
    }

    /// <summary>Two calls of one layer, of which one alone is wrong: the row of their parameter fails, whichever it is.</summary>
    [TestMethod]
    [DataRow(0)]
    [DataRow(1)]
    public void OfASharedParameterTheWrongCallCounts(int wrong)
    {
        var net = new GraphModule("Net");
        var shared = new Factor(true) { WrongCall = wrong };
        net.Return(net.Call(shared, net.Call("w", shared, 0)));
        Assert.IsFalse(GradientCheck.Run(net, Input()).Single(row => row.Name == "w.w").Passed);
    }

    /// <summary>y = x·w with one weight, of whose gradient the backward may say nothing.</summary>
    private sealed class Factor : Layer
    {
        private readonly bool honest;
        private readonly Parameter w;

        public Factor(bool honest)
        {
            this.honest = honest;
            w = Register("w", new Parameter(1));
            w.Value.Data[0] = 0.8f;
        }

        /// <summary>The call whose gradient is 2% too large: by its input, 1 for what the first has made smaller.</summary>
        public int WrongCall { get; init; } = -1;

        public override Shape OutputShape(Shape sample) => sample;

        public override void Forward(Batch x, Batch y, Context context)
        {
            for (int i = 0; i < y.Values.Length; i++) y.Values[i] = x.Values[i] * w.Value.Data[0];
        }

        public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
        {
            double sum = 0;
            for (int i = 0; i < y.Values.Length; i++) sum += (double)dy.Values[i] * x.Values[i];
            int call = x.Values[0] == Input().Values[0] ? 0 : 1;
            if (honest) w.AddGrad(context, [(float)(sum * (call == WrongCall ? 1.02 : 1))]);
            for (int i = 0; dx is not null && i < y.Values.Length; i++) dx.Values[i] = dy.Values[i] * w.Value.Data[0];
        }
    }

    private static Batch Input() => Values.Batch(2, 3, new Shape(2, 5, 6));

    /// <summary>A weight is moved aside for an input of zeros, and back again: for another call of its layer, and for the whole.</summary>
    [TestMethod]
    public void AWeightThatWasMovedAsideIsPutBack()
    {
        var scale = new Scale();
        var net = new GraphModule("Net");
        int zero = net.Call("zero", new ScaleShift(new Shape(1), null), 0);
        net.Return(net.Call(new Add(), net.Call("scale", scale, 0), net.Call(scale, zero)));
        foreach (var parameter in net.Parameters().Where(p => p != scale.Weight)) parameter.Value.Data[0] = 0;
        Assert.IsTrue(GradientCheck.Run(net, Input(), most: 4).Single(row => row.Name == "scale.weight").Passed);
        Assert.Contains(weight => weight != 1, scale.Seen, "moved");
        Assert.IsTrue(scale.Seen.TakeLast(6).All(weight => weight == 1), "two calls in the whole, in its parts, and as in training");
        scale.ForgetsAtOne = true;
        Assert.IsFalse(GradientCheck.Run(net, Input(), most: 4).Single(row => row.Name == "scale.weight").Passed);
    }

    /// <summary>A layer that writes to its input spoils what the layer before has saved, and its own backward never tells.</summary>
    [TestMethod]
    [DataRow("forward")]
    [DataRow("backward")]
    public void ALayerThatChangesItsInputIsRefused(string when) =>
        Failure.Of<OnnxLeNetException>(() => GradientCheck.Run(new Sequential { new Flatten(), new Tanh(), new Halving(when) }, Input()),
            "Halving", $"its {when} changes its input, from ", "at element 0", "write to the result alone");

    /// <summary>A backward that adds to what it should overwrite is right only the first time.</summary>
    [TestMethod]
    public void ABackwardThatAddsInsteadOfOverwritingFails() =>
        Assert.IsFalse(GradientCheck.Run(new Halving("adding"), Input()).Single().Passed);

    /// <summary>The check runs as training does, where a layer may use up what it saved.</summary>
    [TestMethod]
    public void AGradientThatIsRightOnlyIfRetainedFails() =>
        Assert.IsFalse(GradientCheck.Run(new Retaining(), Input()).Single().Passed);

    /// <summary>dx = γ·s·(dy − (Σ dy + x̂·Σ dy·x̂)/M) in training: each sum left out, both, and γ and s.</summary>
    [TestMethod]
    [DataRow("")]
    [DataRow("sum")]
    [DataRow("sum hat")]
    [DataRow("sum, sum hat")]
    [DataRow("gamma")]
    [DataRow("s")]
    public void ABatchNormWithoutATermFails(string missing)
    {
        var rows = GradientCheck.Run(new PartialBatchNorm(new BatchNorm2d(3), missing), Values.Batch(4, 4, new Shape(3, 4, 5)));
        Assert.AreEqual(missing == "", rows.Single(row => row.Name == "input").Passed, $"{rows[0]}");
        Assert.IsTrue(rows.Skip(1).All(row => row.Passed));
    }

    /// <summary>y = x·w for one w, 1 at first, where its gradient may be forgotten.</summary>
    private sealed class Scale : Layer
    {
        public Scale()
        {
            Weight = Register("weight", new Parameter(1));
            Weight.Value.Data[0] = 1;
        }

        public Parameter Weight { get; }

        public bool ForgetsAtOne { get; set; }

        /// <summary>The weights that forwards saw.</summary>
        public List<float> Seen { get; } = [];

        public override Shape OutputShape(Shape sample) => sample;

        public override void Forward(Batch x, Batch y, Context context)
        {
            float w = Weight.Value.Data[0];
            Seen.Add(w);
            for (int i = 0; i < y.Values.Length; i++) y.Values[i] = x.Values[i] * w;
        }

        public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
        {
            float w = Weight.Value.Data[0];
            if (w != 1 || !ForgetsAtOne) Weight.AddGrad(context, [(float)x.Values.Zip(dy.Values, (a, b) => (double)a * b).Sum()]);
            for (int i = 0; dx is not null && i < dx.Values.Length; i++) dx.Values[i] = dy.Values[i] * w;
        }
    }

    /// <summary>y = x/2, which in its forward or backward halves x too, or adds to dx.</summary>
    private sealed class Halving(string wrong) : Layer
    {
        public override Shape OutputShape(Shape sample) => sample;

        public override void Forward(Batch x, Batch y, Context context)
        {
            for (int i = 0; i < y.Values.Length; i++) y.Values[i] = x.Values[i] / 2;
            if (wrong == "forward") y.Values.CopyTo(x.Values, 0);
        }

        public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
        {
            for (int i = 0; i < dy.Values.Length; i++) dx!.Values[i] = dy.Values[i] / 2 + (wrong == "adding" ? dx.Values[i] : 0);
            if (wrong == "backward") y.Values.CopyTo(x.Values, 0);
        }
    }

    /// <summary>The forward of a batch norm, and its input's gradient written out, or most of it: for a batch that is one block.</summary>
    private sealed class PartialBatchNorm : Layer
    {
        private readonly BatchNorm2d inner;
        private readonly string[] missing;

        public PartialBatchNorm(BatchNorm2d inner, string missing)
        {
            (this.inner, this.missing) = (Register("inner", inner), missing.Split(", "));
            new float[] { 0.7f, 1.2f, 1.7f }.CopyTo(inner.Weight!.Value.Data, 0);
        }

        protected internal override bool BatchDependent => true;

        public override Shape OutputShape(Shape sample) => sample;

        public override void Forward(Batch x, Batch y, Context context)
        {
            var statistics = (IBatchStatistics)inner;
            context.Statistics = new double[statistics.StatisticsLength];
            statistics.Measure([x], context.Statistics, context);
            statistics.Complete(context.Statistics, training: true, updates: false);
            inner.Forward(x, y, context);
        }

        public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
        {
            var statistics = (IBatchStatistics)inner;
            double[] sums = new double[statistics.GradientStatisticsLength];
            statistics.MeasureGradient([x], y, dy, sums, context);
            statistics.CompleteGradient(sums, context);
            if (dx is null) return;
            int count = dy.Values.Length / 3;
            for (int c = 0; c < 3; c++)
            {
                double[] xc = x.Values.AsSpan(c * count, count).ToArray().ToDouble(),
                    dyc = dy.Values.AsSpan(c * count, count).ToArray().ToDouble();
                double mean = xc.Average(), s = 1 / Math.Sqrt(xc.Average(v => (v - mean) * (v - mean)) + inner.Eps);
                double sum = missing.Contains("sum") ? 0 : dyc.Sum(), sumHat = missing.Contains("sum hat") ? 0
                    : dyc.Zip(xc, (d, v) => d * (v - mean) * s).Sum();
                double factor = (missing.Contains("gamma") ? 1 : inner.Weight!.Value.Data[c]) * (missing.Contains("s") ? 1 : s);
                for (int i = 0; i < count; i++)
                    dx.Values[c * count + i] = (float)(factor * (dyc[i] - (sum + (xc[i] - mean) * s * sumHat) / count));
            }
        }
    }
}
