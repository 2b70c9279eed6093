using System.Globalization;
using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>predict as a person runs it.</summary>
[TestClass]
public sealed class PredictTests
{
    private static readonly string LeNet = Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx");

    private static string WriteDigit(TemporaryFolder folder, int index)
    {
        string file = folder[$"{index:D3}.png"];
        Repository.Mnist.Test.PictureAt(index).WritePng(file);
        return file;
    }

    /// <summary>The same images as pictures and as an IDX file: what evaluate has wrong, predict has wrong.</summary>
    [TestMethod]
    public void ItSaysWhatEvaluateCounts()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder, train: 20, test: 250), pictures = folder["pictures"];
        Program.Run("evaluate", LeNet, "--data", data, "--json", folder["evaluate.json"]).MustExit(0);
        Directory.CreateDirectory(pictures);
        for (int i = 0; i < 250; i++) Repository.Mnist.Test.PictureAt(i).WritePng(Path.Combine(pictures, $"{i:D3}.png"));
        Program.Run("predict", LeNet, pictures, "--json", folder["pictures.json"]).MustExit(0);
        Program.Run("predict", LeNet, Path.Combine(data, "t10k-images-idx3-ubyte"), "--index", "0-199,200,201-249", "--json",
            folder["idx.json"]).MustExit(0);
        foreach (string name in new[] { "pictures.json", "idx.json" })
        {
            var predictions = folder.Json(name)["predictions"]!.AsArray();
            Assert.HasCount(250, predictions);
            var confusion = new int[10, 10];
            for (int i = 0; i < 250; i++)
            {
                Assert.IsTrue((bool)predictions[i]!["agree"]!);
                confusion[Repository.Mnist.Test.Label(i), int.Parse((string)predictions[i]!["class"]!, CultureInfo.InvariantCulture)]++;
            }
            var expected = folder.Json("evaluate.json")["confusion"]!;
            for (int l = 0; l < 10; l++)
                for (int p = 0; p < 10; p++) Assert.AreEqual((int)expected[l]![p]!, confusion[l, p], $"{name}: {l} as {p}");
        }
        Assert.AreEqual(249, (int)folder.Json("idx.json")["predictions"]![249]!["index"]!);
    }

    [TestMethod]
    public void OnePictureAsTextJsonAndCsv()
    {
        using var folder = new TemporaryFolder();
        string file = WriteDigit(folder, 0), odd = folder["a \"7\", inverted.png"];
        var picture = Repository.Mnist.Test.PictureAt(0);
        new Picture(28, 28, 1, Array.ConvertAll(picture.Pixels, pixel => (byte)(255 - pixel))).WritePng(odd);
        var run = Program.Run("predict", LeNet, file, odd, "--top", "2", "--json", folder["out.json"], "--csv", folder["out.csv"])
            .MustExit(0);
        Assert.Contains($"{file}   7   engine and ONNX Runtime agree\n  7  100.00%  ██████████████████████████████\n", run.Output);
        var json = folder.Json("out.json");
        Assert.AreEqual(LeNet.Replace('\\', '/').Split('/')[^1], ((string)json["model"]!).Split('/')[^1]);
        var first = json["predictions"]![0]!;
        Assert.AreEqual((file, "7"), ((string)first["file"]!, (string)first["class"]!));
        Assert.IsGreaterThan(0.99, (double)first["probability"]!);
        Assert.HasCount(2, first["top"]!.AsArray());
        Assert.AreEqual((double)first["probability"]!, (double)first["top"]![0]!["probability"]!);
        Assert.IsTrue((bool)first["agree"]!);
        string[] lines = File.ReadAllLines(folder["out.csv"]);
        Assert.AreEqual("file,class,probability,agree", lines[0]);
        Assert.StartsWith($"{file},7,0.99", lines[1]);
        Assert.StartsWith($"\"{odd.Replace("\"", "\"\"")}\",7,0.99", lines[2]);
        Assert.EndsWith(",true", lines[2]);
        // One path alone does not agree with anything.
        foreach (string engine in new[] { "own", "onnxruntime" })
        {
            Program.Run("predict", LeNet, file, "--engine", engine, "--json", folder["out.json"]).MustExit(0);
            Assert.IsNull(folder.Json("out.json")["predictions"]![0]!["agree"]);
        }
    }

    [TestMethod]
    public void WhatIsWrongWithOneIsNamedAndTheOthersGoOn()
    {
        using var folder = new TemporaryFolder();
        string good = WriteDigit(folder, 1), text = folder["text.png"], empty = folder["empty"];
        File.WriteAllText(text, "hello");
        Directory.CreateDirectory(empty);
        var run = Program.Run("predict", LeNet, folder["none.png"], text, good, empty, "--json", folder["out.json"]).MustExit(2)
            .MustSay("none.png", "text.png", "holds no pictures");
        Assert.Contains($"{good}   2   ", run.Output);
        Assert.HasCount(1, folder.Json("out.json")["predictions"]!.AsArray());
        CollectionAssert.AreEqual(new[] { empty, folder["none.png"], text },
            folder.Json("out.json")["errors"]!.AsArray().Select(e => (string)e!["file"]!).ToArray());
        string idx = Path.Combine(SmallMnist.Write(folder, test: 20), "t10k-images-idx3-ubyte");
        Program.Run("predict", LeNet, idx).MustExit(2).MustSay("--index");
        Program.Run("predict", LeNet, idx, "--index", "19,20").MustExit(2).MustSay("has no image 20", "0 to 19");
        Program.Run("predict", LeNet, good, "--index", "0").MustExit(2).MustSay("is no IDX file");
        Program.Run("predict", LeNet, idx, "--index", "5-2").MustExit(2).MustSay("--index must be");
        Program.Run("predict", LeNet, idx, "--top", "0").MustExit(2).MustSay("--top must be 1 or more");
        Program.Run("predict", LeNet).MustExit(2).MustSay("predict MODEL FILE");
        Program.Run("predict", good, LeNet).MustExit(2);
        Program.Run("predict", LeNet, good, "--csv", folder["no/where/out.csv"]).MustExit(2).MustSay("--csv");
    }

    [TestMethod]
    public void AModelThatSaysNothingIsAskedAboutByTheOptionsNames()
    {
        using var folder = new TemporaryFolder();
        string file = WriteDigit(folder, 0), model = folder["silent.onnx"];
        var proto = OnnxFile.Read(LeNet);
        proto.MetadataProps.Clear();
        OnnxFile.Write(proto, model);
        Program.Run("predict", model, file).MustExit(2).MustSay("silent.onnx", "--mean", "--std", "--scale", "--padding");
        Program.Run("predict", model, file, "--mean", "0.1307", "--std", "0.3081", "--padding", "2", "--json",
            folder["out.json"]).MustExit(0);
        Assert.AreEqual("7", (string)folder.Json("out.json")["predictions"]![0]!["class"]!);
        Program.Run("predict", model, file, "--mean", "0.1307", "--std", "0.3081", "--size", "30").MustExit(2).MustSay("32×32");
        // ONNX Runtime alone for what the engine cannot import.
        var int8 = Program.Run("predict", Path.Combine(Repository.Root, "models", "lenet5-mnist-int8.onnx"), file).MustExit(0)
            .MustSay("ONNX Runtime answers alone");
        Assert.Contains("7   by ONNX Runtime", int8.Output);
    }

    [TestMethod]
    public void StandardInputAndBlankPictures()
    {
        using var folder = new TemporaryFolder();
        string file = WriteDigit(folder, 2);
        using var process = Program.Start("predict", LeNet, "-", "--json", folder["out.json"]);
        process.StandardInput.BaseStream.Write(File.ReadAllBytes(file));
        process.StandardInput.Close();
        Program.Finish(process).MustExit(0);
        Assert.AreEqual(("-", "1"), ((string)folder.Json("out.json")["predictions"]![0]!["file"]!,
            (string)folder.Json("out.json")["predictions"]![0]!["class"]!));
        new Picture(30, 20, 1, [.. Enumerable.Repeat((byte)200, 600)]).WritePng(folder["blank.png"]);
        var run = Program.Run("predict", LeNet, folder["blank.png"], "--json", folder["out.json"]).MustExit(0);
        Assert.Contains("there is nothing on this picture", run.Output);
        Assert.IsTrue((bool)folder.Json("out.json")["predictions"]![0]!["blank"]!);
    }
}
