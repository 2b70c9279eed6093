using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>The training step through the verbs: export --training, train --engine onnxruntime, validate --gradients.</summary>
[TestClass]
public sealed class TrainingVerbTests
{
    private static readonly string Model = Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx");

    [TestMethod]
    public void ATrainingStepIsWritten()
    {
        using var folder = new TemporaryFolder();
        var run = Program.Run("export", Model, "--training", "--to", folder["x-train.onnx"], "--optimizer", "adam", "--gradients",
            "--clip-norm", "1", "--json", folder["x.json"]).MustExit(0);
        Assert.Contains("nodes, opset 17, Adam", run.Output, StringComparison.Ordinal);
        CollectionAssert.AreEqual(new[] { "x-train-init.onnx", "x-train.onnx", "x.json" }, folder.Files);
        Assert.AreEqual(22, folder.Json("x.json")["gradients"]!.AsArray().Count);
        Assert.AreEqual("Adam", (string)folder.Json("x.json")["optimizer"]!);
        var network = OnnxImporter.Import(Model).Network;
        using var trainer = OrtTrainer.Load(folder["x-train.onnx"], network, new Adam(network.Parameters()));
        double loss = trainer.Step(Repository.Mnist.Train, [.. Enumerable.Range(0, 64)]);
        Assert.IsLessThan(0.5, loss, "the trained network's");

        foreach (var (arguments, said) in new (string[], string)[]
        {
            (["--optimizer", "adagrad"], "sgd, adam, adamw or rmsprop"),
            (["--optimizer", "adam", "--momentum", "0.5"], "adam has no --momentum"),
            (["--lr", "-1"], "--lr"),
            (["--loss", "hinge"], "cross-entropy or mse"),
            (["--opset", "22"], "13 to 21"),
            (["--batch-size", "0"], "--batch-size"),
            (["--nesterov", "--momentum", "0"], "Nesterov"),
            (["--int8"], "--int8"),
            (["--clip-value", "-3"], "ClipValue"),
        })
            Program.Run(["export", Model, "--training", "--to", folder["y.onnx"], .. arguments]).MustExit(2).MustSay(said);
        Program.Run("export", Model, "--training", "--to", folder["y.pth"]).MustExit(2).MustSay(".onnx");
        Assert.IsFalse(File.Exists(folder["y.onnx"]));
    }

    [TestMethod]
    public void BothEnginesTrainTheSameModel()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder);
        string[] train = ["--data", data, "--epochs", "3", "--seed", "2"];
        Program.Run([.. train, "--out", folder["own"], "--json", folder["own.json"]]).MustExit(0);
        var run = Program.Run([.. train, "--engine", "onnxruntime", "--out", folder["ort"], "--json", folder["ort.json"]]).MustExit(0);
        Assert.Contains("ONNX Runtime on cpu", run.Output, StringComparison.Ordinal);
        Assert.AreEqual("onnxruntime", (string)folder.Json("ort.json")["engine"]!);
        Assert.AreEqual((double)folder.Json("own.json")["testAccuracy"]!, (double)folder.Json("ort.json")["testAccuracy"]!);
        Assert.Contains("--engine onnxruntime", File.ReadAllText(folder["ort/lenet5-small.md"]), StringComparison.Ordinal);
        var own = OnnxImporter.Import(folder["own/lenet5-small.onnx"]).Network.StateDict();
        var other = OnnxImporter.Import(folder["ort/lenet5-small.onnx"]).Network.StateDict();
        foreach (var (name, tensor) in own) Close.Assert(name, tensor.AsTensor().Data, other[name].AsTensor().Data, 0, 2e-6);
        foreach (string file in new[] { "own.json", "ort.json" })
        {
            var gradients = folder.Json(file)["gradients"]!.AsArray();
            Assert.AreEqual(33, gradients.Count);
            foreach (var row in gradients) Assert.IsTrue((bool)row!["passed"]!, row.ToString());
        }
        if (!OrtRuntime.Describe().Cuda.IsComplete)
            Program.Run([.. train, "--engine", "onnxruntime", "--device", "cuda", "--out", folder["cuda"]]).MustExit(3).MustSay("cuda:0");
    }

    [TestMethod]
    public void ACheckpointOfTheEngineGoesOnInOnnxRuntime()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder), checkpoint = folder["checkpoint"];
        Program.Run("--data", data, "--epochs", "2", "--seed", "1", "--out", folder["whole"], "--quiet").MustExit(0);
        var images = ImageFolder.Load(data, ImageFolder.UsualTransform(data)).Train;
        var notes = new Dictionary<string, string> { ["model"] = "lenet5", ["engine"] = "the engine, simd" };
        var writer = new CheckpointWriter(checkpoint) { Notes = notes };
        new Recipe { Epochs = 2 }.Fit(Networks.LeNet5(1), images, writer);
        var run = Program.Run("--resume", checkpoint, "--engine", "onnxruntime", "--data", data, "--out", folder["resumed"]).MustExit(0)
            .MustSay("the checkpoint was made with engine");
        Assert.Contains("epoch  2/2", run.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("epoch  1/2", run.Output, StringComparison.Ordinal);
        var whole = OnnxImporter.Import(folder["whole/lenet5-small.onnx"]).Network.StateDict();
        var resumed = OnnxImporter.Import(folder["resumed/lenet5-small.onnx"]).Network.StateDict();
        foreach (var (name, tensor) in whole) Close.Assert(name, tensor.AsTensor().Data, resumed[name].AsTensor().Data, 0, 2e-6);
    }

    [TestMethod]
    public void ValidateComparesGradientsAndOptimizers()
    {
        using var folder = new TemporaryFolder();
        var run = Program.Run("validate", Model, "--gradients", "--provider", "simd", "--batches", "1", "--data", SmallMnist.Write(folder),
            "--json", folder["v.json"]).MustExit(0);
        Assert.Contains("SGD, Nesterov, weight decay", run.Output, StringComparison.Ordinal);
        Assert.AreEqual(33, folder.Json("v.json")["gradients"]!.AsArray().Count);
        var optimizers = folder.Json("v.json")["optimizers"]!.AsArray();
        Assert.AreEqual(12, optimizers.Count);
        foreach (var row in optimizers) Assert.IsTrue((bool)row!["passed"]!, row.ToString());
        Sequential pool = [new AvgPool2d(2)];
        OnnxFile.Write(OnnxExporter.Export(pool, new Shape(1, 4, 4), "pool"), folder["pool.onnx"]);
        Program.Run("validate", folder["pool.onnx"], "--gradients", "--data", "none").MustExit(2).MustSay("no parameters");
    }

    /// <summary>Every network of the documents that has something to learn.</summary>
    [TestMethod]
    public void EveryModelsGradientsAgree()
    {
        int compared = 0;
        foreach (var model in OnnxLeNet.Scripts.Models.all)
        {
            var network = model.Build.Invoke(new Generator(3));
            if (!GradientParity.Applies(network)) continue;
            bool zoo = OnnxLeNet.Scripts.Models.zoo.Contains(model);
            // These take images of any size; at their own, ONNX Runtime takes half a minute for them.
            var sample = model.Name switch
            {
                "sharpen" => new Shape(1, 40, 50),
                "lenet5-1998" => model.Sample,
                _ => zoo ? new Shape(1, 24, 24) : model.Sample,
            };
            var data = sample == new Shape(1, 32, 32) ? Repository.Mnist.Train : null;
            Assert.IsTrue(GradientParity.Passed(GradientParity.Gradients(network, sample, data, "MNIST")), model.Name);
            compared++;
        }
        Assert.AreEqual(14, compared);
    }

    /// <summary>Optimizers do not depend on the network: <c>validate --gradients</c> above compares them for LeNet-5.</summary>
    [TestMethod]
    [TestCategory("Soak")]
    public void EveryModelsOptimizersAgree()
    {
        foreach (var model in OnnxLeNet.Scripts.Models.all.Except(OnnxLeNet.Scripts.Models.zoo))
        {
            var network = model.Build.Invoke(new Generator(3));
            if (!GradientParity.Applies(network)) continue;
            var sample = model.Name == "sharpen" ? new Shape(1, 40, 50) : model.Sample;
            var data = sample == new Shape(1, 32, 32) ? Repository.Mnist.Train : null;
            Assert.IsTrue(GradientParity.Passed(GradientParity.Optimizers(network, sample, data)), model.Name);
        }
    }
}
