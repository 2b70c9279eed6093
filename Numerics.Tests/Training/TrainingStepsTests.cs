namespace OnnxLeNet.Numerics.Tests;

/// <summary>One step of training: its gradients, that threads do not show in it, and that it allocates nothing.</summary>
[TestClass]
[DoNotParallelize]
public sealed class TrainingStepsTests
{
    public static IEnumerable<int> Widths => Implementations.Widths;

    /// <summary>The blocks of a step and the layer by layer way's are the same, so are the gradients, bit for bit.</summary>
    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void BackwardIsForwardLossAndBackward(int bits)
    {
        using var _ = new Settings(bits);
        var data = Images(120);
        foreach (int samples in new[] { 1, 2, 7, 16, 17, 33, 64, 65, 100 })
        {
            int[] batch = [.. Enumerable.Range(0, samples).Select(n => n * 7 % 120)];
            Module trained = LayerCases.Chain(), plain = LayerCases.Chain();
            double loss = Of(trained).Backward(data, batch);

            var (x, labels) = data.Take(batch);
            var criterion = new CrossEntropyLoss();
            double expected = criterion.Forward(plain.Forward(x), labels);
            plain.Backward(criterion.Backward());
            Close.Assert($"loss of {samples}", [expected], [loss], 1e-12, 0);
            foreach (var ((name, parameter), actual) in plain.NamedParameters().Zip(trained.Parameters()))
                Close.AssertSameBits($"{name}'s gradient of {samples}", parameter.Grad!.Data, actual.Grad!.Data);
        }
    }

    /// <summary>A gradient is added up when it is first read; by several threads at once it is added up once.</summary>
    [TestMethod]
    public void SeveralThreadsMayReadAGradient()
    {
        var parameter = new Parameter(4_000_000);
        float[] share = new float[4_000_000];
        share.AsSpan().Fill(1);
        using var together = new Barrier(3);
        var wrong = new int[3];
        void Read(int reader)
        {
            for (int step = 1; step <= 10; step++)
            {
                if (reader == 0)
                {
                    for (int shard = 0; shard < 2; shard++)
                        parameter.AddGrad(new Context(new Sequential(), new BlockRun { Shard = shard }), share);
                    parameter.AddPartials();
                }
                together.SignalAndWait();
                float[] gradient = parameter.Grad!.Data;
                for (int i = 0; i < gradient.Length; i += 9999)
                    if (gradient[i] != 2 * step) wrong[reader]++;
                together.SignalAndWait();
            }
        }
        Thread[] readers = [.. Enumerable.Range(0, 3).Select(reader => new Thread(() => Read(reader)))];
        foreach (var reader in readers) reader.Start();
        foreach (var reader in readers) reader.Join();
        Assert.AreEqual(0, wrong.Sum(), "numbers that are not twice the step's");
    }

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void GradientsAreTheReferences(int bits)
    {
        using var _ = new Settings(bits);
        var data = Images(50);
        var network = LayerCases.Chain();
        var reference = ReferenceLayer.Of(network);
        int[] batch = [.. Enumerable.Range(0, 50)];
        double loss = Of(network).Backward(data, batch);
        var (x, labels) = data.Take(batch);
        var (expected, gradient) = ReferenceLoss.CrossEntropy(reference.Forward(x.ToTensor().Data.ToDouble(), 50, x.Sample).Y, labels);
        reference.Backward(gradient);
        Close.Assert("loss", [expected], [loss], 1e-6, 0);
        foreach (var ((name, parameter), values) in network.NamedParameters().Zip(reference.Gradients))
            Close.AssertRelative(name, values, parameter.Grad!.Data, 1e-5);
    }

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void StepsHaveTheSameBitsForAnyThreads(int bits)
    {
        var data = Images(300);
        foreach (int samples in new[] { 20, 64, 100, 600 })
        {
            float[] single = Run(1);
            foreach (int threads in new[] { 2, 3, 4 })
                Close.AssertSameBits($"batches of {samples}, {threads} threads", single, Run(threads));

            float[] Run(int threads)
            {
                using var _ = new Settings(bits, threads);
                var network = LayerCases.Chain();
                var optimizer = new SGD(network.Parameters(), 0.05, 0.9, weightDecay: 1e-3);
                var steps = new TrainingSteps(network, new CrossEntropyLoss(), optimizer);
                for (int step = 0; step < 4; step++)
                    steps.Step(data, [.. Enumerable.Range(0, samples - step).Select(n => (n * 11 + step) % 300)]);
                return [.. network.Parameters().SelectMany(p => p.Value.Data)];
            }
        }
    }

    [TestMethod]
    public void ASteadyStepAllocatesNothing()
    {
        var data = Images(256, new Shape(1, 28, 28), pad: 2, classes: 10);
        foreach (int threads in new[] { 1, 2 })
            foreach (int samples in new[] { 64, 100 })
            {
                using var _ = new Settings(threads: threads);
                var network = Networks.LeNet5(1);
                var optimizer = new SGD(network.Parameters(), 0.01, 0.9);
                var schedule = new CosineAnnealingLR(optimizer, 1000);
                var steps = new TrainingSteps(network, new CrossEntropyLoss(), optimizer);
                int[] batch = [.. Enumerable.Range(0, samples)];
                for (int warm = 0; warm < 5; warm++) Step();
                Allocations.AssertNone($"a step of {samples} images", threads, Step);

                void Step()
                {
                    steps.Step(data, batch);
                    schedule.Step();
                }
            }
    }

    /// <summary>Backwards add up, also where nobody has read the gradient between them; what ZeroGrad makes zero stays so for who holds the
    /// tensor.</summary>
    [TestMethod]
    public void GradientsOfSeveralBatchesAddUp()
    {
        var data = Images(80);
        Module once = LayerCases.Chain(), twice = LayerCases.Chain();
        int[] first = [.. Enumerable.Range(0, 40)], second = [.. Enumerable.Range(40, 40)];
        var a = Gradients(once, first);
        var b = Gradients(LayerCases.Chain(), second);
        var steps = Of(twice);
        steps.Backward(data, first);
        steps.Backward(data, second);
        var sum = twice.Parameters().SelectMany(p => p.Grad!.Data).ToArray();
        Close.AssertRelative("the sum of two", [.. a.Zip(b, (x, y) => (double)x + y)], sum, 1e-6);

        steps.Backward(data, first);
        var held = twice.Parameters().Select(p => p.Grad!).ToArray();
        steps.Backward(data, second);
        twice.ZeroGrad();
        foreach (var tensor in held) Assert.IsTrue(Array.TrueForAll(tensor.Data, v => v == 0));
        steps.Backward(data, first);
        Close.AssertSameBits("after ZeroGrad", a, [.. twice.Parameters().SelectMany(p => p.Grad!.Data)]);

        float[] Gradients(Module network, int[] batch)
        {
            Of(network).Backward(data, batch);
            return [.. network.Parameters().SelectMany(p => p.Grad!.Data)];
        }
    }

    [TestMethod]
    public void ALossThatIsNotFiniteLeavesTheGradients()
    {
        var data = Images(40);
        var network = LayerCases.Chain();
        var steps = Of(network);
        int[] batch = [.. Enumerable.Range(0, 40)];
        steps.Backward(data, batch);
        float[] before = Gradients();
        float weight = network.Parameters().First().Value.Data[0];
        network.Parameters().First().Value.Data[0] = float.NaN;
        Assert.IsFalse(double.IsFinite(steps.Backward(data, batch)));
        Close.AssertSameBits("gradients", before, Gradients());
        network.Parameters().First().Value.Data[0] = weight;
        network.ZeroGrad();
        steps.Backward(data, batch);
        Close.AssertSameBits("gradients of the same batch afterwards", before, Gradients());

        float[] Gradients() => [.. network.Parameters().SelectMany(p => p.Grad!.Data)];
    }

    [TestMethod]
    public void ANetworkThatDoesNotFitTheDataIsRefused()
    {
        var data = Images(10);
        int[] batch = [.. Enumerable.Range(0, 8)];
        Failure.Of<ShapeException>(() => Of(Networks.LeNet5(1)).Backward(data, batch), "MaxPool2d", "1×2");
        Sequential narrow = new() { new Flatten(), new Linear(238, 3) }, maps = new() { new Conv2d(1, 4, 2) };
        Failure.Of<ShapeException>(() => Of(narrow).Backward(data, batch), "labels 0 to 3", "[3]");
        Failure.Of<ShapeException>(() => Of(maps).Backward(data, batch), "labels 0 to 3", "[4, 13, 16]");
        Failure.Of<ArgumentException>(() => Of(LayerCases.Chain()).Backward(data, []), "one sample or more");
    }

    [TestMethod]
    public void ANetworkThatChangesUnderItsStepsIsRefused()
    {
        var data = Images(20);
        int[] batch = [.. Enumerable.Range(0, 20)];
        var network = LayerCases.Chain();
        var steps = Of(network);
        steps.Backward(data, batch);
        network.Add("more", new Linear(4, 4));
        Failure.Of<InvalidOperationException>(() => steps.Backward(data, batch), "has 10 parameters", "the 8 that", "make new steps");
        var narrowed = LayerCases.Chain();
        steps = Of(narrowed);
        narrowed.AddFunction(new FirstTwo());
        Failure.Of<ShapeException>(() => steps.Backward(data, batch), "labels 0 to 3", "[2]");
    }

    /// <summary>Data of another size makes another graph, and the first one's is right again afterwards.</summary>
    [TestMethod]
    public void TheDataMayChangeFromStepToStep()
    {
        var network = new Sequential { new Conv2d(1, 4, 3, generator: new Generator(2)), new AdaptiveAvgPool2d(1), new Flatten() };
        ImageDataset wide = Images(20), small = Images(20, new Shape(1, 9, 8));
        int[] batch = [.. Enumerable.Range(0, 20)];
        var steps = Of(network);
        double first = steps.Backward(wide, batch);
        Assert.AreNotEqual(first, steps.Backward(small, batch));
        Assert.AreEqual(first, steps.Backward(wide, batch));
    }

    /// <summary>A function that leaves the first two of its features.</summary>
    private sealed class FirstTwo : Layer
    {
        public override Shape OutputShape(Shape sample) => new(2);

        public override void Forward(Batch x, Batch y, Context context) => x.Values.AsSpan(0, y.Values.Length).CopyTo(y.Values);

        public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context) => throw new NotSupportedException();
    }

    /// <summary>Steps whose gradients are looked at.</summary>
    private static TrainingSteps Of(Module network) => new(network, new CrossEntropyLoss(), new SGD(network.Parameters(), 0.1));

    /// <summary>Images of noise for <see cref="LayerCases.Chain"/>, 1×14×17 in 4 classes, unless told otherwise.</summary>
    internal static ImageDataset Images(int count, Shape? stored = null, int pad = 0, int classes = 4)
    {
        var shape = stored ?? new Shape(1, 14, 17);
        byte[] labels = [.. Enumerable.Range(0, count).Select(n => (byte)(n * 5 % classes))];
        return new ImageDataset(shape, Idx.Bytes(1, count * shape.Count), labels, new ImageTransform(pad, 0.5, 0.3));
    }
}
