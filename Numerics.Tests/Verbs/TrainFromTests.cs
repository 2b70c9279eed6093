using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>train that goes on from a file: its weights, a head for the data's classes, layers that stay.</summary>
[TestClass]
public sealed class TrainFromTests
{
    private static readonly string LeNet5 = Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx");

    /// <summary>A rate of zero leaves what the run began with.</summary>
    private static readonly string[] Still = ["--epochs", "1", "--lr", "0"];

    [TestMethod]
    public void ItBeginsWithTheFilesWeights()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder);
        var own = OnnxImporter.Import(LeNet5).Network.StateDict();
        Same(own, Train(folder, data, "onnx", LeNet5, Still), []);
        Program.Run("export", LeNet5, "--to", folder["w.pth"]).MustExit(0);
        Program.Run("export", LeNet5, "--to", folder["w.safetensors"]).MustExit(0);
        Same(own, Train(folder, data, "pth", folder["w.pth"], [.. Still, "--model", "lenet5"], "lenet5-small"), []);
        Same(own, Train(folder, data, "safetensors", folder["w.safetensors"], [.. Still, "--model", "lenet5"], "lenet5-small"), []);
        Same(own, Train(folder, data, "named", LeNet5, [.. Still, "--model", "lenet5"], "lenet5-small"), []);

        // What its graph does to pixels before the first layer is done outside of it.
        Program.Run("export", LeNet5, "--to", folder["pixels.onnx"], "--in-graph", "--data", "none").MustExit(0);
        Same(own, Train(folder, data, "pixels", folder["pixels.onnx"], Still, "pixels-small"), []);
        Program.Run("evaluate", folder["pixels/pixels-small.onnx"], "--data", data, "--min-accuracy", "0.98").MustExit(0);

        // New weights are those that the network by its name begins with.
        Program.Run(["train", "--data", data, "--seed", "3", "--out", folder["new"], .. Still]).MustExit(0);
        Same(OnnxImporter.Import(folder["new/lenet5-small.onnx"]).Network.StateDict(),
            Train(folder, data, "fresh", LeNet5, [.. Still, "--fresh", "--seed", "3"]), []);
        string card = File.ReadAllText(folder["onnx/lenet5-mnist-small.md"]);
        Assert.Contains("train --from lenet5-mnist.onnx --data small", card);
        Assert.Contains("| begins from | lenet5-mnist.onnx, SHA-256 `", card);
    }

    [TestMethod]
    public void AHeadForOtherClassesBeginsAnew()
    {
        using var folder = new TemporaryFolder();
        var own = OnnxImporter.Import(LeNet5).Network.StateDict();
        string data = Labelled(folder, "three", label => label % 3);
        var run = Program.Run(["train", "--data", data, "--from", LeNet5, "--out", folder["out"], .. Still]).MustExit(0);
        run.MustSay("fc3 has 3 outputs here, one for each class of three, in place of 10");
        var three = OnnxImporter.Import(folder["out/lenet5-mnist-three.onnx"]).Network.StateDict();
        Assert.AreEqual(new Shape(3, 84), three["fc3.weight"].Shape);
        Same(own, three, ["fc3.weight", "fc3.bias"]);

        // As many classes of other names.
        var model = OnnxFile.Read(LeNet5);
        model.MetadataProps.Single(entry => entry.Key == ModelMetadata.Classes).Value = "A,B,C,D,E,F,G,H,I,J";
        OnnxFile.Write(model, folder["letters.onnx"]);
        data = SmallMnist.Write(folder);
        Program.Run(["train", "--data", data, "--from", folder["letters.onnx"], "--out", folder["out"], .. Still]).MustExit(0)
            .MustSay("fc3 is initialized again: its outputs were A, B, C, D, E, …, the classes of small are 0, 1, 2, 3, 4, …");
        Same(own, OnnxImporter.Import(folder["out/letters-small.onnx"]).Network.StateDict(), ["fc3.weight", "fc3.bias"]);
    }

    [TestMethod]
    [DataRow("all-but-head", "fc3")]
    [DataRow("2", "fc1,fc2,fc3")]
    [DataRow("conv1, fc?", "conv2")]
    public void FrozenLayersKeepTheirBits(string layers, string trained)
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder);
        string[] changed = [.. trained.Split(',').SelectMany(layer => new[] { $"{layer}.weight", $"{layer}.bias" })];
        var own = OnnxImporter.Import(LeNet5).Network.StateDict();
        string[] options = ["--epochs", "2", "--freeze", layers, "--ema", "0.9"];
        Same(own, Train(folder, data, "out", LeNet5, options), changed);
        Same(own, Train(folder, data, "ort", LeNet5, [.. options[..4], "--engine", "onnxruntime"]), changed);
    }

    /// <summary>To the bit the training that is written out here; the head moves most.</summary>
    [TestMethod]
    public void LayersLearnAtRatesOfTheirOwn()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder);
        var run = Program.Run("train", "--data", data, "--from", LeNet5, "--epochs", "2", "--schedule", "constant", "--lr", "0.01",
            "--freeze", "conv1", "--lr-mult", "head=10, conv2=0.1", "--seed", "3", "--out", folder["out"]).MustExit(0);
        run.MustSay("learning rates: 0.01 for fc1, fc2; 0.1 for fc3; 0.001 for conv2");
        Assert.Contains("--lr-mult head=10,conv2=0.1", File.ReadAllText(folder["out/lenet5-mnist-small.md"]));

        var net = OnnxImporter.Import(LeNet5).Network;
        var layers = net.NamedModules().ToDictionary(named => named.Name, named => named.Module);
        layers["conv1"].Freeze();
        var rest = new ParameterGroup([.. layers["conv1"].Parameters(), .. layers["fc1"].Parameters(), .. layers["fc2"].Parameters()]);
        var sgd = new SGD([rest, new ParameterGroup(layers["fc3"].Parameters(), 0.1),
            new ParameterGroup(layers["conv2"].Parameters(), 0.001)],
            0.01, 0.9, weightDecay: 1e-3);
        var loader = new DataLoader(ImageFolder.Load(data, ImageTransform.Mnist).Train, 64, shuffle: true, generator: new Generator(3));
        new Trainer(net, new CrossEntropyLoss(), sgd).Fit(loader, 2);
        Same(net.StateDict(), OnnxImporter.Import(folder["out/lenet5-mnist-small.onnx"]).Network.StateDict(), []);

        Program Refused(params string[] options) =>
            Program.Run(["train", "--data", data, "--from", LeNet5, "--out", folder["no"], .. options]).MustExit(2);
        Refused("--lr-mult", "conv9=2").MustSay("'conv9'", "conv1, conv2, fc1, fc2, fc3");
        Refused("--lr-mult", "head=2,fc*=3").MustSay("'head' and 'fc*' both name fc3");
        Refused("--lr-mult", "conv1=2", "--freeze", "conv*").MustSay("'conv1' is frozen");
    }

    /// <summary>A network with batch norms and a skip: the running estimates of what is frozen stay too.</summary>
    [TestMethod]
    public void BatchNormsOfFrozenPartsAreLeft()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder);
        var g = new Generator(1);
        var net = new GraphModule("Net");
        int x = net.Call("stem", new Conv2d(1, 4, 3, stride: 2, generator: g), 0);
        x = net.Call(new ReLU(), net.Call("bn1", new BatchNorm2d(4), x));
        int y = net.Call("bn2", new BatchNorm2d(4), net.Call("conv", new Conv2d(4, 4, 3, padding: 1, generator: g), x));
        y = net.Call(new Flatten(), net.Call(new AdaptiveAvgPool2d(3), net.Call(new ReLU(), net.Call(new Add(), x, y))));
        net.Return(net.Call("fc", new Linear(36, 10, generator: g), y));
        new Recipe { Epochs = 1 }.Fit(net, Repository.Mnist.Train.First(256));
        OnnxFile.Write(OnnxExporter.Export(net, new Shape(1, 32, 32), "net"), folder["net.onnx"]);

        var own = OnnxImporter.Import(folder["net.onnx"]).Network.StateDict();
        var after = Train(folder, data, "out", folder["net.onnx"], ["--epochs", "1", "--freeze", "1"], "net-small");
        Same(own, after, [.. own.Names.Where(name => !name.StartsWith("stem", StringComparison.Ordinal)
            && !name.StartsWith("bn1", StringComparison.Ordinal) && !name.EndsWith("tracked", StringComparison.Ordinal))]);
    }

    [TestMethod]
    public void ARunFromAFileIsResumed()
    {
        if (OperatingSystem.IsWindows()) Assert.Inconclusive("Windows has no signals to send to another process");
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder), file = folder["begin.onnx"], checkpoint = folder["out/runs/begin-small-1/run.checkpoint"];
        File.Copy(LeNet5, file);
        string[] run = ["train", "--data", data, "--from", file, "--freeze", "conv1", "--lr-mult", "head=3,conv2=0.3", "--epochs", "60"];
        Program.Run([.. run, "--out", folder["whole"]]).MustExit(0);
        using (var process = Program.Start([.. run, "--out", folder["out"]]))
        {
            while (process.StandardOutput.ReadLine() is { } line && !line.Contains("epoch  2/", StringComparison.Ordinal)) { }
            using (var kill = System.Diagnostics.Process.Start("kill", ["-INT", $"{process.Id}"])) kill.WaitForExit();
            Program.Finish(process).MustExit(130);
        }
        string[] resume = ["train", "--resume", checkpoint, "--data", data, "--out", folder["out"]];
        Program.Run([.. resume, "--from", LeNet5]).MustExit(2).MustSay("--from", "begin.onnx", "the checkpoint's");
        Program.Run([.. resume, "--model", "lenet5"]).MustExit(2).MustSay("--model");
        Program.Run([.. resume, "--lr-mult", "head=2"]).MustExit(2).MustSay("--lr-mult head=3,conv2=0.3", "leave out what differs");
        Program.Run([.. resume, "--freeze", "conv2"]).MustExit(2).MustSay("--freeze conv1", "leave out what differs");
        byte[] bytes = File.ReadAllBytes(file);
        File.Copy(folder["whole/begin-small.onnx"], file, overwrite: true);
        Program.Run(resume).MustExit(2).MustSay("begin.onnx has changed");
        File.WriteAllBytes(file, bytes);
        Program.Run(resume).MustExit(0);
        CollectionAssert.AreEqual(File.ReadAllBytes(folder["whole/begin-small.onnx"]), File.ReadAllBytes(folder["out/begin-small.onnx"]));
    }

    /// <summary>On mirrored digits one epoch from the file does better than three of training anew.</summary>
    [TestMethod]
    public void GoingOnIsFasterThanBeginning()
    {
        using var folder = new TemporaryFolder();
        string data = Labelled(folder, "mirrored", label => label, mirrored: true);
        double Accuracy(params string[] options)
        {
            Program.Run(["train", "--data", data, "--out", folder["out"], "--force", "--json", folder["run.json"], .. options]).MustExit(0);
            return (double)folder.Json("run.json")["testAccuracy"]!;
        }
        double anew = Accuracy("--epochs", "3"), on = Accuracy("--epochs", "1", "--from", LeNet5);
        Assert.IsGreaterThan(anew + 0.05, on, $"anew {anew}, from the file {on}");
    }

    [TestMethod]
    public void WhatCannotBeIsRefused()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder);
        Program Refused(params string[] options) =>
            Program.Run(["train", "--data", data, "--out", folder["out"], "--epochs", "1", .. options]).MustExit(2);
        Refused("--fresh").MustSay("--fresh", "name one by --from");
        Refused("--freeze", "1").MustSay("--freeze", "name one by --from");
        Refused("--from", LeNet5, "--fresh", "--freeze", "1").MustSay("leave one of them out");
        Refused("--from", LeNet5, "--freeze", "conv9").MustSay("'conv9'", "conv1, conv2, fc1, fc2, fc3");
        Refused("--from", LeNet5, "--freeze", "5").MustSay("freezes all");
        Refused("--from", folder["nothing.onnx"]).MustSay("nothing.onnx");
        Refused("--from", LeNet5, "--model", "lenet3").MustSay("fc1.weight");
        Program.Run("export", LeNet5, "--to", folder["w.pth"]).MustExit(0);
        Refused("--from", folder["w.pth"]).MustSay("name it by --model");
        Assert.IsFalse(Directory.Exists(folder["out"]));

        // A softmax at the end is not trained through.
        Program.Run("export", LeNet5, "--to", folder["soft.onnx"], "--softmax").MustExit(0);
        Program.Run(["train", "--data", data, "--from", folder["soft.onnx"], "--out", folder["out"], .. Still]).MustExit(0)
            .MustSay("ends in a softmax");
        Same(OnnxImporter.Import(LeNet5).Network.StateDict(), OnnxImporter.Import(folder["out/soft-small.onnx"]).Network.StateDict(), []);
    }

    private static StateDict Train(TemporaryFolder folder, string data, string name, string from, string[] options,
        string made = "lenet5-mnist-small")
    {
        Program.Run(["train", "--data", data, "--from", from, "--out", folder[name], .. options]).MustExit(0);
        return OnnxImporter.Import(folder[$"{name}/{made}.onnx"]).Network.StateDict();
    }

    /// <summary>All tensors but those have the same bits, and those have not.</summary>
    private static void Same(StateDict expected, StateDict actual, string[] changed)
    {
        CollectionAssert.AreEqual(expected.Names.ToArray(), actual.Names.ToArray());
        foreach (var (name, tensor) in expected)
        {
            if (tensor.IsInteger) continue; // counts of batches are not in the file
            bool same = tensor.AsTensor().Data.SequenceEqual(actual[name].AsTensor().Data);
            Assert.AreEqual(!changed.Contains(name), same, name);
        }
    }

    /// <summary>The small MNIST with other labels, and mirrored if asked for.</summary>
    private static string Labelled(TemporaryFolder folder, string name, Func<int, int> labelOf, bool mirrored = false)
    {
        string from = SmallMnist.Write(folder);
        Directory.CreateDirectory(folder[name]);
        foreach (string part in new[] { "train", "t10k" })
        {
            var images = IdxFile.Read(Path.Combine(from, $"{part}-images-idx3-ubyte"));
            byte[] pixels = images.Data.ToArray();
            for (int at = 0; mirrored && at < pixels.Length; at += 28) Array.Reverse(pixels, at, 28);
            SmallMnist.WriteIdx(Path.Combine(folder[name], $"{part}-images-idx3-ubyte"), [.. images.Shape.Sizes], pixels);
            byte[] labels = [.. IdxFile.Read(Path.Combine(from, $"{part}-labels-idx1-ubyte")).Data.ToArray()
                .Select(label => (byte)labelOf(label))];
            SmallMnist.WriteIdx(Path.Combine(folder[name], $"{part}-labels-idx1-ubyte"), [labels.Length], labels);
        }
        return folder[name];
    }
}
