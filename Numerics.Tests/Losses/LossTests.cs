namespace OnnxLeNet.Numerics.Tests;

/// <summary>Every loss against its formula in double, whose derivative is taken by finite differences, and what all of them
/// promise.</summary>
[TestClass]
public sealed class LossTests
{
    private const double Step = 1e-5;
    private const int Features = 3;

    private static readonly float[] PositiveWeight = [0.5f, 2, 1.25f], ClassWeight = [0.5f, 2, 1.25f];

    /// <summary>What an element-wise loss is, over the elements in row-major order with their feature.</summary>
    private static readonly Dictionary<string, (Func<Reduction, ElementwiseLoss> Make, Func<double, double, int, double> Each,
        bool OfProbabilities)> Elementwise = new()
    {
        ["mse"] = (r => new MSELoss(r), (x, t, _) => (x - t) * (x - t), false),
        ["l1"] = (r => new L1Loss(r), (x, t, _) => Math.Abs(x - t), false),
        ["smooth l1"] = (r => new SmoothL1Loss(r), (x, t, _) => Smooth(x - t, 1), false),
        ["smooth l1 to 0.4"] = (r => new SmoothL1Loss(r, 0.4), (x, t, _) => Smooth(x - t, 0.4), false),
        ["bce with logits"] = (r => new BCEWithLogitsLoss(r), (x, t, _) => -t * Math.Log(Sigmoid(x)) - (1 - t) * Math.Log(Sigmoid(-x)),
            false),
        ["bce with logits, weighted"] = (r => new BCEWithLogitsLoss(r, PositiveWeight),
            (x, t, f) => -PositiveWeight[f] * t * Math.Log(Sigmoid(x)) - (1 - t) * Math.Log(Sigmoid(-x)), false),
        ["bce"] = (r => new BCELoss(r), (x, t, _) => -t * Math.Log(x) - (1 - t) * Math.Log(1 - x), true),
    };

    private static readonly Dictionary<string, (Func<Reduction, ClassLoss> Make, Func<double[], int, double> Each,
        double[] Weight)> Classes = new()
    {
        ["nll"] = (r => new NLLLoss(reduction: r), (row, y) => -row[y], [1, 1, 1]),
        ["nll, weighted"] = (r => new NLLLoss(ClassWeight, reduction: r), (row, y) => -ClassWeight[y] * row[y], ClassWeight.ToDouble()),
        ["cross-entropy"] = (r => new CrossEntropyLoss(reduction: r), (row, y) => Entropy(row, y), [1, 1, 1]),
        ["cross-entropy, weighted"] = (r => new CrossEntropyLoss(ClassWeight, reduction: r), (row, y) => ClassWeight[y] * Entropy(row, y),
            ClassWeight.ToDouble()),
        ["cross-entropy, smoothed"] = (r => new CrossEntropyLoss(reduction: r, labelSmoothing: 0.2),
            (row, y) => 0.8 * Entropy(row, y) + 0.2 / 3 * Enumerable.Range(0, 3).Sum(c => Entropy(row, c)), [1, 1, 1]),
        ["cross-entropy, weighted and smoothed"] = (r => new CrossEntropyLoss(ClassWeight, reduction: r, labelSmoothing: 0.2),
            (row, y) => 0.8 * ClassWeight[y] * Entropy(row, y) + 0.2 / 3 * Enumerable.Range(0, 3)
                .Sum(c => ClassWeight[c] * Entropy(row, c)), ClassWeight.ToDouble()),
    };

    public static IEnumerable<string> ElementwiseNames => Elementwise.Keys;

    public static IEnumerable<string> ClassNames => Classes.Keys;

    [TestMethod]
    [DynamicData(nameof(ElementwiseNames))]
    public void OfElements(string name)
    {
        var (make, each, ofProbabilities) = Elementwise[name];
        foreach (int samples in new[] { 1, 2, 7, 33, 100 })
            foreach (var reduction in Enum.GetValues<Reduction>())
            {
                var x = Values.Batch(samples, samples, new Shape(Features));
                var target = Values.Gradient(samples + 1, x);
                for (int i = 0; i < target.Values.Length; i++) target.Values[i] = (target.Values[i] + 1) / 2; // 0 to 1
                for (int i = 0; ofProbabilities && i < x.Values.Length; i++) x.Values[i] = (x.Values[i] + 2.1f) / 4.2f;
                double[] xs = x.ToTensor().Data.ToDouble(), ts = target.ToTensor().Data.ToDouble();
                double[] losses = [.. xs.Select((v, i) => each(v, ts[i], i % Features))];
                double[] dLosses = [.. losses.Select((_, i) => reduction switch { Reduction.Mean => 1.0 / losses.Length, Reduction.Sum => 1,
                    _ => Math.Sin(i) })];
                double[] gradient = [.. xs.Select((v, i) => dLosses[i] * (each(v + Step, ts[i], i % Features) - each(v - Step, ts[i],
                    i % Features)) / (2 * Step))];
                var loss = make(reduction);
                Batch dx;
                if (reduction == Reduction.None)
                {
                    Close.AssertRelative("losses", losses, loss.ForwardEach(x, target).ToTensor().Data, 1e-6);
                    dx = loss.Backward(Batch.FromTensor(new Tensor(new Shape(samples, Features), dLosses.ToFloat())));
                }
                else
                {
                    Close.Assert("loss", [reduction == Reduction.Mean ? losses.Average() : losses.Sum()], [loss.Forward(x, target)], 1e-6,
                        1e-9);
                    dx = loss.Backward();
                }
                Close.AssertRelative($"{reduction} of {samples}", gradient, dx.ToTensor().Data, 1e-6);
            }
    }

    [TestMethod]
    [DynamicData(nameof(ClassNames))]
    public void OfClasses(string name)
    {
        var (make, each, weight) = Classes[name];
        foreach (int samples in new[] { 1, 2, 7, 33, 100 })
            foreach (var reduction in Enum.GetValues<Reduction>())
            {
                var x = Values.Batch(samples, samples, new Shape(3));
                int[] labels = Values.Labels(samples, samples, 3);
                for (int n = 1; n < samples; n += 5) labels[n] = ClassLoss.DefaultIgnoreIndex;
                double[] xs = x.ToTensor().Data.ToDouble();
                double Each(int n) => labels[n] < 0 ? 0 : each(xs[(3 * n)..(3 * n + 3)], labels[n]);
                double[] losses = [.. labels.Select((_, n) => Each(n))];
                double divisor = reduction == Reduction.Mean ? labels.Sum(y => y < 0 ? 0 : weight[y]) : 1;
                double[] dLosses = [.. losses.Select((_, n) => reduction == Reduction.None ? Math.Sin(n + 1) : 1 / divisor)];
                var gradient = new double[xs.Length];
                for (int i = 0; i < xs.Length; i++)
                {
                    double value = xs[i];
                    xs[i] = value + Step;
                    double above = Each(i / 3);
                    xs[i] = value - Step;
                    gradient[i] = dLosses[i / 3] * (above - Each(i / 3)) / (2 * Step);
                    xs[i] = value;
                }
                var loss = make(reduction);
                Batch dx;
                if (reduction == Reduction.None)
                {
                    Close.AssertRelative("losses", losses, loss.ForwardEach(x, labels), 1e-6);
                    dx = loss.Backward(dLosses.ToFloat());
                }
                else
                {
                    Close.Assert("loss", [losses.Sum() / divisor], [loss.Forward(x, labels)], 1e-6, 1e-9);
                    dx = loss.Backward();
                }
                Close.AssertRelative($"{reduction} of {samples}", gradient, dx.ToTensor().Data, 2e-6);
            }
    }

    [TestMethod]
    [DynamicData(nameof(ElementwiseNames))]
    public void OfElementsKeepsToTheRules(string name)
    {
        Batch x = Half(4, new Shape(Features)), other = Half(4, new Shape(1, Features));
        var loss = Elementwise[name].Make(Reduction.Mean);
        Failure.Of<InvalidOperationException>(() => loss.Backward(), loss.GetType().Name, "Forward");
        loss.Forward(x, Half(4, new Shape(Features)));
        loss.Backward();
        Failure.Of<InvalidOperationException>(() => loss.Backward(), "a second time");
        Failure.Of<ShapeException>(() => loss.Forward(x, other), loss.GetType().Name, "[4, 3]", "[4, 1, 3]");
        Failure.Of<ShapeException>(() => loss.Forward(x, Half(1, new Shape(Features))), "[4, 3]", "[1, 3]"); // PyTorch would broadcast
        Failure.Of<InvalidOperationException>(() => loss.ForwardEach(x, x), "Forward");

        var each = Elementwise[name].Make(Reduction.None);
        Failure.Of<InvalidOperationException>(() => each.Forward(x, x), "ForwardEach");
        each.ForwardEach(x, x);
        Failure.Of<InvalidOperationException>(() => each.Backward(), "gradient");
        each.Backward(x);
        Failure.Of<InvalidOperationException>(() => each.Backward(x), "a second time");
    }

    [TestMethod]
    [DynamicData(nameof(ClassNames))]
    public void OfClassesKeepsToTheRules(string name)
    {
        var x = Half(4, new Shape(3));
        int[] labels = [0, 2, 1, 1];
        var loss = Classes[name].Make(Reduction.Sum);
        Failure.Of<InvalidOperationException>(() => loss.Backward(), loss.GetType().Name, "Forward");
        loss.Forward(x, labels);
        loss.Backward();
        Failure.Of<InvalidOperationException>(() => loss.Backward(), "a second time");
        Failure.Of<DataException>(() => loss.Forward(x, new Tensor(new Shape(4))), "integers", "floating-point", "[4]");
        Failure.Of<DataException>(() => loss.Forward(x, [0, 1, 3, 2]), "label 2 is 3", "0 to 2");
        Failure.Of<DataException>(() => loss.Forward(x, [0, -1, 2, 2]), "label 1 is -1");
        Failure.Of<ShapeException>(() => loss.Forward(x, [0, 1]), "4 rows", "2 labels");
        Failure.Of<ShapeException>(() => loss.Forward(Half(4, new Shape(3, 1, 1)), labels), "[4, 3, 1, 1]");
        Failure.Of<InvalidOperationException>(() => loss.ForwardEach(x, labels), "Forward");

        var each = Classes[name].Make(Reduction.None);
        Failure.Of<InvalidOperationException>(() => each.Forward(x, labels), "ForwardEach");
        Failure.Of<DataException>(() => each.ForwardEach(x, [0, 1, 3, 2]), "label 2 is 3", "0 to 2");
        Failure.Of<ShapeException>(() => each.ForwardEach(x, [0, 1]), "4 rows", "2 labels");
        Failure.Of<InvalidOperationException>(() => loss.Backward(new float[4]), "reduction");
        each.ForwardEach(x, labels);
        each.Backward(new float[4]);
        Failure.Of<InvalidOperationException>(() => each.Backward(new float[4]), "a second time");
    }

    /// <summary>As with layers.</summary>
    [TestMethod]
    public void AGradientOfAnotherShapeIsRefusedAndTheRightOneStillTaken()
    {
        Batch x = Half(4, new Shape(3)), other = Half(4, new Shape(1, 3));
        var mse = new MSELoss(Reduction.None);
        mse.ForwardEach(x, x);
        Failure.Of<ShapeException>(() => mse.Backward(other), "MSELoss", "[4, 3]", "[4, 1, 3]");
        Assert.IsNotNull(mse.Backward(x));
        var nll = new NLLLoss(reduction: Reduction.None);
        nll.ForwardEach(x, [0, 2, 1, 1]);
        Failure.Of<ShapeException>(() => nll.Backward(new float[3]), "4 losses", "3 gradients");
        Assert.IsNotNull(nll.Backward(new float[4]));
    }

    /// <summary>A refused forward leaves nothing of the one before it, as with layers.</summary>
    [TestMethod]
    public void AFailedForwardLeavesNoGradient()
    {
        var mse = new MSELoss();
        mse.Forward(Half(4, new Shape(3)), Half(4, new Shape(3)));
        Failure.Of<ShapeException>(() => mse.Forward(Half(4, new Shape(3)), Half(4, new Shape(2))));
        Failure.Of<InvalidOperationException>(() => mse.Backward(), "Forward");
        var entropy = new CrossEntropyLoss();
        entropy.Forward(Half(2, new Shape(3)), [0, 1]);
        Failure.Of<DataException>(() => entropy.Forward(Half(2, new Shape(3)), [0, 3]));
        Failure.Of<InvalidOperationException>(() => entropy.Backward(), "Forward");
    }

    [TestMethod]
    public void ProbabilitiesAreFromZeroToOne()
    {
        Batch fine = Half(2, new Shape(1)), none = Half(2, new Shape(1));
        foreach (float wrong in new[] { -0.01f, 1.01f, float.NaN, float.PositiveInfinity })
        {
            none.Values[1] = wrong;
            Failure.Of<ArgumentOutOfRangeException>(() => new BCELoss().Forward(none, fine), "BCELoss", "0 to 1");
            Failure.Of<ArgumentOutOfRangeException>(() => new BCELoss().Forward(fine, none), "BCELoss", "0 to 1");
            Failure.Of<ArgumentOutOfRangeException>(() => new BCEWithLogitsLoss().Forward(fine, none), "BCEWithLogitsLoss", "0 to 1");
        }
    }

    /// <summary>A NaN comes out as one, in the loss and in its gradient, and is not covered up.</summary>
    [TestMethod]
    [DataRow("mse")]
    [DataRow("l1")]
    [DataRow("smooth l1")]
    [DataRow("bce with logits")]
    public void ANaNStaysOne(string name)
    {
        var x = Half(3, new Shape(2));
        x.Values[4] = float.NaN;
        var loss = Elementwise[name].Make(Reduction.Mean);
        Assert.IsTrue(double.IsNaN(loss.Forward(x, Half(3, new Shape(2)))));
        var dx = loss.Backward();
        for (int i = 0; i < 6; i++) Assert.AreEqual(i == 4, float.IsNaN(dx.Values[i]), $"{i}");
    }

    [TestMethod]
    public void ANaNAmongLogitsStaysOne()
    {
        var x = Half(3, new Shape(2));
        x.Values[4] = float.NaN;
        foreach (var loss in new[] { new CrossEntropyLoss(), new CrossEntropyLoss(labelSmoothing: 0.1) })
        {
            Assert.IsTrue(double.IsNaN(loss.Forward(x, [0, 1, 0])));
            Assert.IsTrue(float.IsNaN(loss.Backward().Values[4]));
        }
    }

    [TestMethod]
    public void ImpossibleOptionsAreRefused()
    {
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new CrossEntropyLoss(labelSmoothing: 1.1), "smoothing");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new CrossEntropyLoss([1, -1]), "weight");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new NLLLoss([float.NaN]), "weight");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new SmoothL1Loss(beta: -1), "beta");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new MSELoss((Reduction)7), "Mean, Sum or None");
        Failure.Of<ShapeException>(() => new CrossEntropyLoss([1, 1]).Forward(Half(1, new Shape(3)), [0]), "2 class weights", "3 classes");
        Failure.Of<ShapeException>(() => new BCEWithLogitsLoss(positiveWeight: [1, 1]).Forward(Half(1, new Shape(3)),
            Half(1, new Shape(3))), "2 positive weights", "3 features");
    }

    /// <summary>The first way there: a tensor in, a tensor's loss out, and its gradient back through the network.</summary>
    [TestMethod]
    public void ThroughANetworkTheGradientIsTheLosss()
    {
        var network = LayerCases.Chain();
        var x = Values.Batch(1, 40, LayerCases.Sample("chain"));
        var y = network.Forward(x);
        var target = Values.Gradient(2, y);
        var mse = new MSELoss();
        Assert.AreEqual(mse.Forward(y, target), new MSELoss().Forward(y.ToTensor(), target.ToTensor()));
        var dx = network.Backward(mse.Backward())!;
        var plain = LayerCases.Chain();
        plain.Forward(x);
        var dy = new Batch(y.Count, y.Sample);
        for (int i = 0; i < dy.Values.Length; i++) dy.Values[i] = 2 * (y.Values[i] - target.Values[i]) / dy.Values.Length;
        Close.AssertRelative("dx", plain.Backward(dy)!.Values.ToDouble(), dx.Values, 1e-5);
    }

    private static Batch Half(int samples, Shape sample)
    {
        var batch = new Batch(samples, sample);
        batch.Values.AsSpan().Fill(0.5f);
        return batch;
    }

    private static double Smooth(double d, double beta) => Math.Abs(d) < beta ? d * d / (2 * beta) : Math.Abs(d) - beta / 2;

    private static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));

    private static double Entropy(double[] row, int y) => Math.Log(row.Sum(Math.Exp)) - row[y];

    /// <summary>As in PyTorch they print, are switched between modes and are registered; a network's graph has no place for them.</summary>
    [TestMethod]
    public void LossesAreModules()
    {
        Module[] losses =
        [
            new MSELoss(), new L1Loss(), new SmoothL1Loss(), new BCELoss(), new BCEWithLogitsLoss(), new NLLLoss(), new CrossEntropyLoss(),
        ];
        var x = Values.Batch(1, 2, new Shape(3));
        foreach (var loss in losses)
        {
            Assert.AreEqual($"{loss.GetType().Name}()", loss.ToString());
            Assert.IsFalse(loss.Eval().Training);
            Assert.IsEmpty(loss.Parameters().ToArray());
            Failure.Of<OnnxLeNetException>(() => loss.Forward(x), loss.ToString(), "Forward(input, target)");
        }
        Failure.Of<OnnxLeNetException>(() => new Sequential { new Linear(3, 3), losses[0] }.Forward(x), "1: MSELoss()");
    }
}
