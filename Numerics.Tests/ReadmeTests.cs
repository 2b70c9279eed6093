using MathNet.Numerics.LinearAlgebra.Single;
using MathNet.Numerics.Providers.LinearAlgebra;
using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>The README's C# stands here, word for word, and runs; a test compares the two.</summary>
[TestClass]
[DoNotParallelize]
public sealed class ReadmeTests
{
    [TestMethod]
    public void TrainExportProve()
    {
        using var folder = new TemporaryFolder();
        string mnist = SmallMnist.Write(folder), file = folder["lenet5.onnx"];

        // README: train, export, prove
        var data = ImageFolder.Load(mnist, ImageTransform.Mnist);

        var g = new Generator(seed: 1);
        var net = new Sequential("Net");
        net.Add("conv1", new Conv2d(1, 6, kernelSize: 5, generator: g));
        net.AddFunction(new ReLU());
        net.AddFunction(new MaxPool2d(2));
        net.Add("conv2", new Conv2d(6, 16, kernelSize: 5, generator: g));
        net.AddFunction(new ReLU());
        net.AddFunction(new MaxPool2d((2, 2)));
        net.AddFunction(new Flatten());
        net.Add("fc1", new Linear(400, 120, generator: g));
        net.AddFunction(new ReLU());
        net.Add("fc2", new Linear(120, 84, generator: g));
        net.AddFunction(new ReLU());
        net.Add("fc3", new Linear(84, 10, generator: g));

        var optimizer = new SGD(net.Parameters(), lr: 0.05, momentum: 0.9);
        var trainer = new Trainer(net, new CrossEntropyLoss(), optimizer);
        trainer.Fit(new DataLoader(data.Train, batchSize: 64, shuffle: true, generator: g), epochs: 2);
        var logits = Inference.Logits(net.Eval(), data.Test);

        OnnxFile.Write(OnnxExporter.Export(net, data.Test.Sample, "lenet"), file);
        using var model = OrtModel.Load(file);
        var (parity, _) = Parity.OnData("test images", logits, data.Test, model);
        Console.WriteLine($"{parity.Samples} images, largest difference {parity.MaxAbs}, agree: {parity.Passed}");
        // end

        Assert.IsTrue(parity.Passed);
        Assert.AreEqual(200, parity.Samples);
    }

    [TestMethod]
    public void TellWhatAPictureShows()
    {
        using var folder = new TemporaryFolder();
        string file = Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx"), picture = folder["digit.png"];
        Repository.Mnist.Test.PictureAt(0).WritePng(picture);

        // README: what a picture shows
        using var classifier = Classifier.Load(file);
        var shown = classifier.Classify(picture);
        Console.WriteLine($"{shown.Class}: {shown.Probability}");
        // end

        Assert.AreEqual("7", shown.Class);
    }

    [TestMethod]
    public void TrainOnAnImport()
    {
        using var folder = new TemporaryFolder();
        string file = folder["lenet5.onnx"], tuned = folder["tuned.onnx"];
        var data = ImageFolder.Load(SmallMnist.Write(folder), ImageTransform.Mnist);
        OnnxFile.Write(OnnxExporter.Export(Networks.LeNet5(seed: 1), data.Test.Sample, "lenet5"), file);

        // README: train on a model from elsewhere
        var imported = OnnxImporter.Import(file);
        Console.WriteLine(imported.Network);
        var sgd = new SGD(imported.Network.Parameters(), lr: 0.01, momentum: 0.9);
        new Trainer(imported.Network, new CrossEntropyLoss(), sgd).Fit(new DataLoader(data.Train, batchSize: 64, shuffle: true), epochs: 1);
        OnnxFile.Write(OnnxExporter.Export(imported.Network, imported.Sample, "tuned", imported.Metadata), tuned);
        // end

        using var model = OrtModel.Load(tuned);
        var (parity, _) = Parity.OnData("test images", Inference.Logits(imported.Network, data.Test), data.Test, model);
        Assert.IsTrue(parity.Passed);
    }

    [TestMethod]
    public void AResidualNetwork()
    {
        using var folder = new TemporaryFolder();
        string mnist = SmallMnist.Write(folder), residualFile = folder["residual.onnx"];
        var data = ImageFolder.Load(mnist, ImageTransform.Mnist);
        var g = new Generator(seed: 1);

        // README: a residual network
        var residual = new Sequential("Net")
        {
            new Conv2d(1, 8, 3, padding: 1, generator: g), new ResidualBlock(8, g), new MaxPool2d(4), new ResidualBlock(8, g),
            new AdaptiveAvgPool2d(1), new Flatten(), new Linear(8, 10, generator: g),
        };
        var sgd = new SGD(residual.Parameters(), lr: 0.05, momentum: 0.9);
        new Trainer(residual, new CrossEntropyLoss(), sgd).Fit(new DataLoader(data.Train, batchSize: 64, shuffle: true), epochs: 1);
        OnnxFile.Write(OnnxExporter.Export(residual, data.Train.Sample, "residual"), residualFile);
        using var skips = OrtModel.Load(residualFile);
        Console.WriteLine(Parity.OnRandomInput(residual, data.Train.Sample, skips).All(row => row.Passed));
        // end
        Assert.IsTrue(Parity.OnRandomInput(residual, data.Train.Sample, skips).All(row => row.Passed));
    }

    [TestMethod]
    public void SeveralInputsAndOutputs()
    {
        using var folder = new TemporaryFolder();
        string twinsFile = folder["twins.onnx"];
        var data = ImageFolder.Load(SmallMnist.Write(folder), ImageTransform.Mnist);
        var g = new Generator(seed: 1);

        // README: several inputs and outputs
        var twins = new Twins(g);
        Batch[] pair = [data.Test.Take([0, 1]).Images, data.Test.Take([2, 3]).Images];
        var named = new ExportOptions { InputNames = ["left", "right"], OutputNames = ["difference", "code"] };
        OnnxFile.Write(OnnxExporter.Export(twins, [pair[0].Sample, pair[1].Sample], "twins", options: named), twinsFile);
        using var inOnnx = OrtModel.Load(twinsFile);
        Tensor[] results = inOnnx.Run([pair[0].ToTensor(), pair[1].ToTensor()]);
        Batch[] own = twins.Forward(pair);
        // end

        for (int i = 0; i < own.Length; i++) OnnxNetworks.AssertAgree($"output {i}", own[i].ToTensor(), results[i], 1e-5);
        CollectionAssert.AreEqual(new[] { "difference", "code" }, inOnnx.Outputs.Select(output => output.Name).ToArray());
    }

    [TestMethod]
    public void TrainingIsMadeOfParts()
    {
        using var folder = new TemporaryFolder();
        string checkpoint = folder["checkpoint"];
        var data = ImageFolder.Load(SmallMnist.Write(folder), ImageTransform.Mnist);
        var net = Networks.LeNet5(seed: 1);

        // README: a training of parts
        var accuracies = new AccuracyRecorder(data.Test);
        var (train, heldOut) = StratifiedSplit.Of(data.Train, share: 0.1, seed: 1);
        var validation = new Validation(data.Train.Select(heldOut));
        var adamW = new AdamW(net.Parameters(), lr: 2e-3);
        var trainer = new Trainer(net, new CrossEntropyLoss(labelSmoothing: 0.1), adamW)
        {
            Schedule = new StepLR(adamW, stepSize: 2, gamma: 0.5),
            ClipNorm = 1,
            Averaging = new WeightAveraging(net, decay: 0.9),
            Observers =
            [
                accuracies, validation, new BestWeights(net, _ => validation.Loss), new EarlyStopping(patience: 3, _ => validation.Loss),
                new CheckpointWriter(checkpoint),
            ],
        };
        var result = trainer.Fit(new DataLoader(data.Train.Select(train), batchSize: 64, shuffle: true), epochs: 4);
        Console.WriteLine($"{result.Outcome}: loss {validation.Loss}, accuracy {validation.Accuracy}");
        // end

        Assert.AreEqual(TrainingOutcome.Completed, result.Outcome);
        Assert.IsLessThan(result.Losses[0], result.Losses[^1]);
        Assert.HasCount(4, accuracies.Values);
        Assert.IsGreaterThan(0.5, accuracies.Values[^1]);
        Assert.AreEqual(5e-4, adamW.LearningRate, 1e-12);
        Assert.AreEqual(4, Checkpoint.Load(checkpoint).Epoch);
    }

    [TestMethod]
    public void OneStepByHand()
    {
        using var folder = new TemporaryFolder();
        var data = ImageFolder.Load(SmallMnist.Write(folder), ImageTransform.Mnist);
        var net = Networks.LeNet5(seed: 1);

        // README: one step by hand
        var loss = new CrossEntropyLoss();
        var optimizer = new SGD(net.Parameters(), lr: 0.05, momentum: 0.9);

        var (images, labels) = data.Train.Take([0, 1, 2, 3]);
        optimizer.ZeroGrad();
        double before = loss.Forward(net.Forward(images), labels);
        net.Backward(loss.Backward());
        optimizer.Step();
        // end

        Assert.IsLessThan(before, loss.Forward(net.Forward(images), labels));
    }

    [TestMethod]
    public void ThePredictor()
    {
        using var folder = new TemporaryFolder();
        var data = ImageFolder.Load(SmallMnist.Write(folder), ImageTransform.Mnist);
        var net = Networks.LeNet5(seed: 1);
        var (images, _) = data.Test.Take([0, 1, 2, 3]);

        // README: the predictor
        var predictor = new Predictor(net, data.Test.Sample);
        var scores = new float[4 * predictor.Outputs];
        predictor.Run(images.ToTensor().Data, scores);
        // end

        Close.AssertRelative("scores", Inference.Run(net, images).ToTensor().Data.ToDouble(), scores, 1e-6);
    }

    [TestMethod]
    public void TrainInOnnxRuntime()
    {
        using var folder = new TemporaryFolder();
        var data = ImageFolder.Load(SmallMnist.Write(folder), ImageTransform.Mnist);
        var net = Networks.LeNet5(seed: 1);
        var optimizer = new SGD(net.Parameters(), lr: 0.05, momentum: 0.9);
        var loader = new DataLoader(data.Train, batchSize: 64, shuffle: true, generator: new Generator(1));
        loader.Shuffle(1);
        // README: train in ONNX Runtime
        using var trainer = OrtTrainer.Create(net, data.Train.Sample, optimizer, new TrainingGraphOptions { ClipNorm = 1 });
        for (int step = 0; step < loader.Steps; step++) trainer.Step(data.Train, loader.Indices(step));
        trainer.Store();
        // end
        Assert.AreEqual(10, trainer.Steps);
        Assert.AreEqual(10, ((CountEntry)optimizer.State().Entries.Single(entry => entry.Name == "state.0.step")).Value);
    }

    [TestMethod]
    public void StateAndGradientCheck()
    {
        using var folder = new TemporaryFolder();
        string pth = folder["net.pth"];
        var net = new Sequential { new Conv2d(1, 2, 5, stride: 3), new Tanh(), new Flatten(), new Linear(200, 3) };
        var (images, _) = Repository.Mnist.Train.Take([0, 1]);

        // README: state and gradient check
        PyTorchFile.Write(net.StateDict(), pth);
        net.LoadStateDict(PyTorchFile.Read(pth));
        foreach (var row in GradientCheck.Run(net, images))
            Console.WriteLine($"{row.Name}: {row.Passed}, {row.Note}");
        // end

        Assert.IsTrue(GradientCheck.Run(net, images).All(row => row.Passed));
    }

    [TestMethod]
    public void AStateDictAsPeopleHaveIt()
    {
        string file = Path.Combine(Repository.Root, "Numerics.Tests", "Reference", "state_kinds", "lightning.ckpt");
        var net = Networks.BnSequential();

        // README: a state dict as people have it
        var weights = StateDictFile.Read(file, new StateReadOptions { Key = "state_dict", Network = net });
        foreach (string note in weights.Notes) Console.WriteLine(note);
        net.LoadStateDict(weights);
        // end

        Assert.IsNotEmpty(weights.Notes);
    }

    [TestMethod]
    public void AModelInOnnxRuntime()
    {
        string file = Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx");
        float[] pixels = Repository.Mnist.Test.Take([0, 1, 2, 3]).Images.ToTensor().Data;

        // README: a model in ONNX Runtime
        using var model = OrtModel.Load(file, new OrtOptions { Device = OrtDevice.Cpu, IntraOpThreads = 1 });
        model.WarmUp(4);
        float[] four = model.Run(pixels, batch: 4);

        using var bound = model.Bind(batch: 1);
        pixels.AsSpan(0, 1024).CopyTo(bound.Input);
        bound.Run();
        ReadOnlySpan<float> one = bound.Output;

        foreach (var (node, opType, provider) in OrtPlacement.Of(File.ReadAllBytes(file)))
            Console.WriteLine($"{opType} {node} ran on {provider}");
        // end

        Close.Assert("the first of four, and alone", four.AsSpan(0, 10), one, 0, 1e-4);
    }

    [TestMethod]
    public void Validation()
    {
        string file = Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx");

        // README: validation
        var report = ParityValidation.Run(OnnxImporter.Import(file), OnnxFile.Read(file));
        foreach (var layer in report.Devices[0].Layers)
            Console.WriteLine($"{layer.Name}: {layer.MaxRel}, {(layer.Passed ? "agrees" : layer.Worst)}");
        // end

        Assert.IsTrue(report.Passed);
        Assert.HasCount(12, report.Devices[0].Layers);
    }

    [TestMethod]
    public void AnyMathNetProgram()
    {
        var before = LinearAlgebraControl.Provider;
        try
        {
            // README: any Math.NET program
            LinearAlgebraControl.Provider = SimdLinearAlgebraProvider.Instance;
            var product = DenseMatrix.CreateRandom(512, 512, new MathNet.Numerics.Distributions.Normal())
                * DenseMatrix.CreateIdentity(512);
            // end
            Assert.AreEqual(512, product.RowCount);
        }
        finally { LinearAlgebraControl.Provider = before; }
    }

    [TestMethod]
    public void TheReadmeSaysWhatTheSourcesSay()
    {
        string readme = File.ReadAllText(Path.Combine(Repository.Root, "README.md"));
        string here = Lines(File.ReadAllText(Path.Combine(Repository.Root, "Numerics.Tests", "ReadmeTests.cs")));
        string scripts = Path.Combine(Repository.Root, "Scripts");
        string models = Lines(File.ReadAllText(Path.Combine(scripts, "Models.fs"))) + "\n"
            + Lines(File.ReadAllText(Path.Combine(scripts, "Examples", "own-network.fsx")));
        int blocks = 0;
        foreach (var (language, source) in new[] { ("csharp", here), ("fsharp", models) })
        {
            foreach (string block in readme.Split($"```{language}\n").Skip(1)
                .Select(rest => rest[..rest.IndexOf("```", StringComparison.Ordinal)]))
            {
                blocks++;
                Assert.Contains(Lines(block), source, StringComparison.Ordinal, $"this block of the README stands in no source:\n{block}");
            }
        }
        Assert.IsGreaterThanOrEqualTo(4, blocks);
    }

    /// <summary>Without indentation, empty lines and <c>using</c> lines.</summary>
    private static string Lines(string text) => string.Join('\n', text.Split('\n').Select(line => line.Trim())
        .Where(line => line.Length > 0 && !line.StartsWith("using OnnxLeNet", StringComparison.Ordinal)
            && !line.StartsWith("using MathNet", StringComparison.Ordinal)));
}

/// <summary>The README's observer.</summary>
internal sealed class AccuracyRecorder(ImageDataset data) : TrainingObserver
{
    public List<double> Values { get; } = [];

    public override void OnEpochEnd(TrainingRun run)
    {
        int[] classes = Inference.ArgMax(Inference.Logits(run.Network, data));
        Values.Add(classes.Where((c, n) => c == data.Label(n)).Count() / (double)data.Count);
    }
}

/// <summary>The README's network of two inputs and outputs.</summary>
internal sealed class Twins : Module
{
    private readonly Module tower;

    public Twins(Generator g) => tower = Register("tower", new Conv2d(1, 4, 5, generator: g));

    public override IReadOnlyList<Value> Forward(IReadOnlyList<Value> inputs)
    {
        Value left = tower.Forward(inputs[0]), right = tower.Forward(inputs[1]);
        return [left - right, left];
    }
}

/// <summary>The README's block with a skip.</summary>
internal sealed class ResidualBlock : Module
{
    private readonly Module conv1, bn1, conv2, bn2;

    public ResidualBlock(int channels, Generator g)
    {
        conv1 = Register("conv1", new Conv2d(channels, channels, 3, padding: 1, bias: false, generator: g));
        bn1 = Register("bn1", new BatchNorm2d(channels));
        conv2 = Register("conv2", new Conv2d(channels, channels, 3, padding: 1, bias: false, generator: g));
        bn2 = Register("bn2", new BatchNorm2d(channels));
    }

    public override Value Forward(Value x)
    {
        var y = F.Relu(bn1.Forward(conv1.Forward(x)));
        return F.Relu(bn2.Forward(conv2.Forward(y)) + x);
    }
}
