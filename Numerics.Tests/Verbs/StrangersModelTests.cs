using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// The committed LeNet-5 as a stranger's tool would have written it: without this project's metadata, for a batch of one, in another range
/// of pixels. Each goes through the verbs, with the accuracy that it has.
/// </summary>
[TestClass]
public sealed class StrangersModelTests
{
    private static string LeNet5 => Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx");

    [TestMethod]
    public void WithoutMetadataWhatIsAssumedIsSaidAndTheOptionsSayOtherwise()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder), model = Write(folder, proto => proto.MetadataProps.Clear());
        double expected = Accuracy(folder, "evaluate", LeNet5, "--data", data);
        Assert.IsGreaterThan(0.9, expected);
        Assert.AreEqual(expected, Accuracy(folder, out var run, "evaluate", model, "--data", data));
        run.MustSay("assuming (x/255 − 0.1307)/0.3081", "padding of 2", "--mean", "--std", "--scale", "--padding");
        // Told, nothing is assumed; and what is told counts.
        Assert.AreEqual(expected, Accuracy(folder, out run, "evaluate", model, "--data", data, "--mean", "0.1307", "--std", "0.3081"));
        Assert.DoesNotContain("assumed", run.Errors);
        double other = Accuracy(folder, out run, "evaluate", model, "--data", data, "--mean", "0.5", "--std", "100");
        Assert.AreNotEqual(expected, other);
        // Against the file's own metadata the options win, and it is said.
        Assert.AreEqual(other, Accuracy(folder, out run, "evaluate", LeNet5, "--data", data, "--mean", "0.5", "--std", "100"));
        run.MustSay("(x/255 − 0.5)/100", "as the options say");
        Accuracy(folder, out run, "validate", model, "--data", data, "--provider", "simd");
        run.MustSay("assuming (x/255 − 0.1307)/0.3081");
    }

    /// <summary>The same function of raw bytes: the first layer's weights take the range in.</summary>
    [TestMethod]
    public void AModelOfRawPixelsNeedsItsScale()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder), model = Write(folder, proto =>
        {
            proto.MetadataProps.Clear();
            var weight = proto.Graph.Initializer.Single(tensor => tensor.Name == "conv1.weight");
            var bias = proto.Graph.Initializer.Single(tensor => tensor.Name == "conv1.bias");
            float[] w = Floats(weight), b = Floats(bias);
            for (int c = 0; c < 6; c++)
            {
                for (int i = 25 * c; i < 25 * (c + 1); i++)
                {
                    b[c] -= (float)(w[i] * 0.1307 / 0.3081);
                    w[i] = (float)(w[i] / 255 / 0.3081);
                }
            }
            weight.RawData = ByteString.CopyFrom(System.Runtime.InteropServices.MemoryMarshal.AsBytes(w.AsSpan()));
            bias.RawData = ByteString.CopyFrom(System.Runtime.InteropServices.MemoryMarshal.AsBytes(b.AsSpan()));
        });
        double expected = Accuracy(folder, "evaluate", LeNet5, "--data", data);
        Assert.AreEqual(expected, Accuracy(folder, "evaluate", model, "--data", data, "--scale", "1"));
        Assert.AreEqual(expected, Accuracy(folder, "evaluate", model, "--data", data, "--scale", "1", "--engine", "own"));
        Assert.AreNotEqual(expected, Accuracy(folder, "evaluate", model, "--data", data));
    }

    [TestMethod]
    public void AFixedBatchGoesThroughEveryVerb()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder), model = Write(folder, proto =>
        {
            foreach (var value in proto.Graph.Input.Concat(proto.Graph.Output)) value.Type.TensorType.Shape.Dim[0] =
                new TensorShapeProto.Types.Dimension { DimValue = 3 };
        });
        Assert.AreEqual(Accuracy(folder, "evaluate", LeNet5, "--data", data), Accuracy(folder, "evaluate", model, "--data", data));
        Program.Run("validate", model, "--data", data, "--provider", "simd", "--gradients").MustExit(0);
        Program.Run("export", model, "--to", folder["int8.onnx"], "--int8", "--calibration", "64", "--data", data).MustExit(0);
    }

    [TestMethod]
    public void Int8IsNotCalibratedOnAnAssumption()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder), model = Write(folder, proto => proto.MetadataProps.Clear()), to = folder["int8.onnx"];
        Program.Run("export", model, "--to", to, "--int8", "--data", data).MustExit(2).MustSay("--mean", "--std", "--assume");
        Assert.IsFalse(File.Exists(to));
        Program.Run("export", model, "--to", to, "--int8", "--data", data, "--assume").MustExit(0);
        Program.Run("export", model, "--to", folder["told.onnx"], "--int8", "--data", data, "--mean", "0.1307", "--std",
            "0.3081").MustExit(0);
        // The told one says from here on what its input wants; the numbers are the same.
        var (assumed, told) = (OnnxFile.Read(to), OnnxFile.Read(folder["told.onnx"]));
        Assert.IsTrue(assumed.Graph.Initializer.Equals(told.Graph.Initializer));
        Assert.Contains("(x/255 − 0.1307)/0.3081", told.Graph.Input[0].DocString);
        Assert.AreEqual("0.1307", OnnxFile.Metadata(told)["input.mean"]);
        Assert.IsFalse(OnnxFile.Metadata(assumed).ContainsKey("input.mean"));
    }

    [TestMethod]
    [DataRow("--mean", "a", "--mean is 'a'")]
    [DataRow("--std", "0", "a standard deviation is more than 0")]
    [DataRow("--scale", "-1", "--scale must be")]
    [DataRow("--padding", "-1", "--padding must be")]
    [DataRow("--padding", "3", "[1, 34, 34]")]
    [DataRow("--size", "30", "32×32")]
    [DataRow("--mean", "0.1,0.2,0.3", "1 channels")]
    public void OptionsThatCannotBeAreRefused(string option, string value, string part)
    {
        using var folder = new TemporaryFolder();
        Program.Run("evaluate", LeNet5, "--data", SmallMnist.Write(folder), "--engine", "own", option, value).MustExit(2).MustSay(part);
        // MNIST, which validate takes by itself, is not quietly left out for an option that cannot be.
        Program.Run("validate", LeNet5, "--provider", "simd", option, value).MustExit(2).MustSay(part);
        Program.Run("export", LeNet5, "--to", folder["out.onnx"], option, value).MustExit(2).MustSay(part);
        Assert.IsFalse(File.Exists(folder["out.onnx"]));
    }

    /// <summary>What is no classifier has no accuracy: it is told before anything is computed, with what can be done; validate does that by
    /// itself.</summary>
    [TestMethod]
    public void ANetworkThatIsNoClassifierIsRefusedByEvaluateAndComparedByValidate()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder), images = folder["sharpen.onnx"], two = folder["two.onnx"], three = folder["three.onnx"];
        OnnxFile.Write(OnnxExporter.Export(new Sequential { new Conv2d(1, 1, 3, padding: 1) }, new Shape(1, 32, 32), "sharpen"), images);
        OnnxFile.Write(OnnxExporter.Export(new Sequential { new Flatten(), new Linear(1024, 3) }, new Shape(1, 32, 32), "three"), three);
        var proto = OnnxFile.Read(three);
        proto.Graph.Output.Insert(0, new ValueInfoProto { Name = proto.Graph.Node[0].Output[0],
            Type = proto.Graph.Output[0].Type.Clone() });
        proto.Graph.Output[0].Type.TensorType.Shape.Dim[1].DimValue = 1024;
        OnnxFile.Write(proto, two);
        foreach (string engine in new[] { "own", "onnxruntime" })
        {
            Program.Run("evaluate", images, "--data", data, "--engine",
                engine).MustExit(2).MustSay("a classifier gives one output [N, classes]", "validate", "--data none");
            Program.Run("evaluate", three, "--data", data, "--engine", engine).MustExit(2).MustSay("labels 0 to 9", "3 outputs");
        }
        Program.Run("evaluate", two, "--data", data).MustExit(2).MustSay("a classifier gives one output",
            "Keep the output of the classes alone");
        Program.Run("validate", images, "--provider", "simd").MustExit(0).MustSay("random input is compared");
        Program.Run("validate", three, "--provider", "simd").MustExit(0).MustSay("labels 0 to 9", "random input is compared");
        Program.Run("validate", three, "--provider", "simd", "--data", data).MustExit(2).MustSay("labels 0 to 9");
    }

    [TestMethod]
    public void WeightsAreToldToBeExportedFirst()
    {
        using var folder = new TemporaryFolder();
        var state = Networks.LeNet5(1).StateDict();
        PyTorchFile.Write(state, folder["x.pth"]);
        SafeTensors.Write(state, folder["x.safetensors"]);
        File.WriteAllText(folder["page.onnx"], "<!DOCTYPE html><html>404</html>");
        File.WriteAllText(folder["pointer.onnx"], "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
        File.WriteAllBytes(folder["empty.onnx"], []);
        foreach (string verb in new[] { "evaluate", "validate" })
        {
            Program.Run(verb, folder["x.pth"]).MustExit(2).MustSay("a state dict of PyTorch", "export", "--to x.onnx");
            Program.Run(verb, folder["x.safetensors"]).MustExit(2).MustSay("safetensors", "export", "--to x.onnx");
            Program.Run(verb, folder["page.onnx"]).MustExit(2).MustSay("web page");
            Program.Run(verb, folder["pointer.onnx"]).MustExit(2).MustSay("git lfs pull");
            Program.Run(verb, folder["empty.onnx"]).MustExit(2).MustSay("is empty");
        }
    }

    /// <summary>Under any of its names.</summary>
    [TestMethod]
    public void TheSourceIsWrittenOverOnlyWhenAsked()
    {
        using var folder = new TemporaryFolder();
        string model = Write(folder, _ => { });
        File.CreateSymbolicLink(folder["link.onnx"], model);
        Directory.CreateDirectory(folder["sub"]);
        byte[] before = File.ReadAllBytes(model);
        foreach (string to in new[] { model, Path.Combine(folder["sub"], "..", "model.onnx") })
        {
            Program.Run("export", model, "--to", to, "--softmax", "--data", "none").MustExit(2).MustSay("is the source itself", "--force");
            Program.Run("export", model, "--to", to, "--training").MustExit(2).MustSay("is the source itself");
        }
        Directory.CreateSymbolicLink(folder["linked"], folder.Path);
        Program.Run("export", model, "--to", Path.Combine(folder["linked"], "sub", "..", "model.onnx"), "--softmax", "--data",
            "none").MustExit(2).MustSay("is the source itself");
        Program.Run("export", folder["link.onnx"], "--to", model, "--softmax", "--data",
            "none").MustExit(2).MustSay("is the source itself");
        CollectionAssert.AreEqual(before, File.ReadAllBytes(model));
        Program.Run("export", model, "--to", model, "--softmax", "--data", "none", "--force").MustExit(0);
        CollectionAssert.AreNotEqual(before, File.ReadAllBytes(model));
        Program.Run("export", model, "--to", Path.Combine(folder["new"], "a.onnx"), "--data", "none").MustExit(0).MustSay("folder",
            "is new");
        Program.Run("export", model, "--to", Path.Combine(folder["no"], "where", "a.onnx"), "--data",
            "none").MustExit(2).MustSay("there is no folder");
    }

    private static string Write(TemporaryFolder folder, Action<ModelProto> change)
    {
        var proto = OnnxFile.Read(LeNet5);
        change(proto);
        OnnxFile.Write(proto, folder["model.onnx"]);
        return folder["model.onnx"];
    }

    private static double Accuracy(TemporaryFolder folder, params string[] arguments) => Accuracy(folder, out _, arguments);

    private static double Accuracy(TemporaryFolder folder, out Program run, params string[] arguments)
    {
        run = Program.Run([.. arguments, "--json", folder["out.json"]]).MustExit(0);
        return folder.Json("out.json")["accuracy"] is { } accuracy ? (double)accuracy : double.NaN;
    }

    private static float[] Floats(TensorProto tensor) =>
        System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(tensor.RawData.Span).ToArray();
}
