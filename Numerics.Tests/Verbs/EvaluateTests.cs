using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>evaluate as a person runs it.</summary>
[TestClass]
public sealed class EvaluateTests
{
    private static readonly string LeNet = Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx");

    [TestMethod]
    public void TheFiguresAreThoseOfTheMetrics()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder, train: 20, test: 1500);
        var images = Repository.Mnist.Test.First(1500);
        var expected = ClassificationMetrics.Of(Inference.Logits(OnnxImporter.Import(LeNet).Network, images), images);
        var run = Program.Run("evaluate", LeNet, "--data", data, "--json", folder["run.json"], "--mistakes", folder["worst.png"])
            .MustExit(0);
        var json = folder.Json("run.json");
        Assert.AreEqual(expected.Accuracy, (double)json["accuracy"]!, 1e-12);
        Assert.AreEqual(expected.Loss, (double)json["loss"]!, 1e-6);
        Assert.AreEqual(expected.TopAccuracy(5), (double)json["top5Accuracy"]!, 1e-12);
        Assert.AreEqual(expected.CalibrationError, (double)json["calibrationError"]!, 1e-5);
        Assert.AreEqual(expected.MacroF1, (double)json["mean"]!["f1"]!, 1e-12);
        for (int c = 0; c < 10; c++)
        {
            var row = json["classes"]![c]!;
            Assert.AreEqual($"{c}", (string)row["class"]!);
            Assert.AreEqual(expected.Support(c), (int)row["images"]!);
            Assert.AreEqual(expected.Precision(c), (double)row["precision"]!, 1e-12);
            Assert.AreEqual(expected.Recall(c), (double)row["recall"]!, 1e-12);
        }
        CollectionAssert.AreEqual(expected.Mistakes.Select(m => m.Index).ToArray(),
            json["mistakes"]!.AsArray().Select(m => (int)m!["index"]!).ToArray());
        foreach (string line in run.Output.Split('\n').Skip(1).Where(line => !line.Contains(folder.Path, StringComparison.Ordinal)))
            Assert.IsLessThanOrEqualTo(80, line.Length, line);
        // The sheet: the first picture is the worst one's, each pixel twice as wide and high, two of grey around it.
        var sheet = Picture.Load(folder["worst.png"]);
        var worst = images.PictureAt(expected.Mistakes[0].Index);
        for (int i = 0; i < 784; i++)
            Assert.AreEqual(worst.Pixels[i], sheet.Pixels[3 * ((2 + 2 * (i / 28)) * sheet.Width + 2 + 2 * (i % 28))]);
    }

    /// <summary>Pictures in files: the list and the JSON name them, and the SVG has each with its two classes, in any script.</summary>
    [TestMethod]
    public void TheMistakesOfPicturesAreNamed()
    {
        using var folder = new TemporaryFolder();
        string[] names = ["猫 <&>\n", "собака с очень длинным именем"];
        for (int i = 0; i < 12; i++)
        {
            string of = folder[$"photos/{names[i % 2]}"];
            Directory.CreateDirectory(of);
            new Picture(9, 8, 3, [.. Enumerable.Range(0, 216).Select(p => (byte)new Generator(i + p).Next(256))])
                .WritePng($"{of}/p {i}.png");
        }
        var network = new Sequential { new Flatten(), new Linear(3 * 8 * 8, 2, generator: new Generator(3)) };
        var metadata = new Dictionary<string, string> { [ModelMetadata.Classes] = ModelMetadata.JoinClasses(names) };
        foreach (var entry in ModelMetadata.Of(new ImageTransform(0, 0.5, 0.5))) metadata.Add(entry.Key, entry.Value);
        OnnxFile.Write(OnnxExporter.Export(network, new Shape(3, 8, 8), "two", metadata), folder["two.onnx"]);
        var run = Program.Run("evaluate", folder["two.onnx"], "--data", folder["photos"], "--json", folder["run.json"], "--mistakes",
            folder["worst.svg"]).MustExit(0);
        var mistakes = folder.Json("run.json")["mistakes"]!.AsArray();
        Assert.IsGreaterThan(2, mistakes.Count, "of twelve random pictures");
        var svg = System.Xml.Linq.XDocument.Load(folder["worst.svg"]);
        string ns = "{http://www.w3.org/2000/svg}";
        var cells = svg.Root!.Elements($"{ns}g").ToList();
        Assert.HasCount(mistakes.Count, cells);
        for (int i = 0; i < cells.Count; i++)
        {
            string file = (string)mistakes[i]!["file"]!, label = (string)mistakes[i]!["label"]!, taken = (string)mistakes[i]!["predicted"]!;
            Assert.AreEqual(label, file.Split('/')[^2]);
            Assert.Contains(file.Replace('\n', '\uFFFD'), run.Output);
            string probability = $"{100 * (double)mistakes[i]!["probability"]!:F2}%";
            string title = $"{file}: {label}, taken for {taken} with {probability}".Replace('\n', '\uFFFD');
            Assert.AreEqual(title, cells[i].Element($"{ns}title")!.Value);
            taken = (taken.Length > 12 ? taken[..11] + "…" : taken).Replace('\n', '\uFFFD');
            Assert.AreEqual($"{taken} {probability}", cells[i].Elements($"{ns}text").First().Value);
            byte[] png = Convert.FromBase64String(((string)cells[i].Element($"{ns}image")!.Attribute("href")!).Split(',')[1]);
            var seen = Picture.Load(Path.Combine(folder["photos"], file)).Resize((8, 8));
            CollectionAssert.AreEqual(seen.Pixels, Picture.Load(new MemoryStream(png), "image").Pixels);
        }
        Program.Run("evaluate", folder["two.onnx"], "--data", folder["photos"], "--mistakes", folder["worst.jpg"]).MustExit(2)
            .MustSay("--mistakes", ".svg", "worst.jpg");
    }

    [TestMethod]
    public void ASoftmaxInTheFileChangesNoFigure()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder, train: 20, test: 400);
        Program.Run("export", LeNet, "--to", folder["softmax.onnx"], "--softmax", "--data", "none").MustExit(0);
        double Loss(string engine, string file)
        {
            Program.Run("evaluate", file, "--data", data, "--engine", engine, "--json", folder["run.json"]).MustExit(0);
            return (double)folder.Json("run.json")["loss"]!;
        }
        double expected = Loss("own", LeNet);
        foreach (string engine in new[] { "own", "onnxruntime" }) Assert.AreEqual(expected, Loss(engine, folder["softmax.onnx"]), 1e-5);
    }

    [TestMethod]
    public void ClassesAreNamedAndManyAreListedByTheirConfusions()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder, train: 20, test: 300);
        var network = new Sequential { new Flatten(), new Linear(1024, 40, generator: new Generator(5)) };
        string[] names = [.. Enumerable.Range(0, 40).Select(c => $"a class, number {c}")];
        var metadata = new Dictionary<string, string> { [ModelMetadata.Classes] = ModelMetadata.JoinClasses(names) };
        foreach (var entry in ModelMetadata.Of(ImageTransform.Mnist)) metadata.Add(entry.Key, entry.Value);
        OnnxFile.Write(OnnxExporter.Export(network, new Shape(1, 32, 32), "many", metadata), folder["many.onnx"]);
        var run = Program.Run("evaluate", folder["many.onnx"], "--data", data, "--json", folder["run.json"]).MustExit(0);
        Assert.Contains("40 classes are too many for a matrix", run.Output);
        Assert.Contains("a class, number 7", run.Output);
        Assert.Contains("no image is of a class, number 10,", run.Output);
        var json = folder.Json("run.json");
        Assert.AreEqual("a class, number 39", (string)json["classes"]![39]!["class"]!);
        Assert.AreEqual(0, (double)json["classes"]![39]!["recall"]!);
        // A name too few is no name.
        metadata[ModelMetadata.Classes] = "a,b";
        OnnxFile.Write(OnnxExporter.Export(network, new Shape(1, 32, 32), "many", metadata), folder["many.onnx"]);
        Program.Run("evaluate", folder["many.onnx"], "--data", data).MustExit(0).MustSay("names 2 classes, its output has 40");
    }

    /// <summary>A file that does its preprocessing itself, through every verb that reads one.</summary>
    [TestMethod]
    [DataRow("nhwc")]
    [DataRow("nchw")]
    public void PreprocessingInTheGraphIsNotDoneTwice(string layout)
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder, train: 20, test: 300), file = folder["in.onnx"];
        Program.Run("export", LeNet, "--to", file, "--in-graph", layout, "--data", data).MustExit(0);
        double Accuracy(params string[] arguments)
        {
            Program.Run(["evaluate", .. arguments, "--data", data, "--json", folder["run.json"]]).MustExit(0);
            return (double)folder.Json("run.json")["loss"]!;
        }
        double expected = Accuracy(LeNet);
        Assert.AreEqual(expected, Accuracy(file), 1e-6);
        Assert.AreEqual(expected, Accuracy(file, "--engine", "own"), 1e-6);
        Program.Run("validate", file, "--data", data, "--provider", "simd", "--batches", "1,7").MustExit(0);
        Program.Run("evaluate", file, "--data", data, "--mean", "0.1").MustExit(2)
            .MustSay("--mean", "its graph makes (x/255 − 0.1307)/0.3081");
        // From such a file come plain ones, int8 ones, and weights under the names that they had.
        Program.Run("export", file, "--to", folder["plain.onnx"], "--data", data).MustExit(0);
        Assert.AreEqual(expected, Accuracy(folder["plain.onnx"]), 1e-6);
        Assert.AreEqual("0.1307", OnnxFile.Metadata(OnnxFile.Read(folder["plain.onnx"]))["input.mean"]);
        Program.Run("export", file, "--to", folder["a.pth"]).MustExit(0);
        CollectionAssert.AreEqual(OnnxImporter.Import(LeNet).Network.StateDict().Names.ToArray(),
            PyTorchFile.Read(folder["a.pth"]).Names.ToArray());
        Program.Run("export", file, "--to", folder["int8.onnx"], "--int8", "--calibration", "20", "--in-graph", layout, "--min-accuracy",
            "0.9", "--data", data).MustExit(0);
        Assert.AreEqual(expected, Accuracy(folder["int8.onnx"]), 0.05);
    }

    [TestMethod]
    public void InGraphAsksForWhatNothingSays()
    {
        using var folder = new TemporaryFolder();
        OnnxFile.Write(OnnxExporter.Export(Networks.LeNet5(3), new Shape(1, 32, 32), "lenet5"), folder["silent.onnx"]);
        string data = SmallMnist.Write(folder, train: 20, test: 50), to = folder["in.onnx"];
        Program.Run("export", folder["silent.onnx"], "--to", to, "--in-graph", "--data", data).MustExit(2)
            .MustSay("--in-graph", "--mean", "--assume");
        Program.Run("export", folder["silent.onnx"], "--to", to, "--in-graph", "--data", "none").MustExit(2)
            .MustSay("--in-graph", "--mean");
        Program.Run("export", folder["silent.onnx"], "--to", to, "--in-graph", "nwhc", "--data", data).MustExit(2).MustSay("nhwc or nchw");
        Program.Run("export", folder["silent.onnx"], "--to", to, "--training", "--in-graph").MustExit(2).MustSay("--in-graph");
        Program.Run("export", folder["silent.onnx"], "--to", folder["a.pth"], "--in-graph").MustExit(2)
            .MustSay("--in-graph is for ONNX files");
        Assert.IsFalse(File.Exists(to));
        Program.Run("export", folder["silent.onnx"], "--to", to, "--in-graph", "--mean", "0", "--std", "1", "--padding", "2", "--data",
            "none").MustExit(0);
        Assert.AreEqual(new PixelInput(new ImageTransform(2, 0, 1)), PixelInput.Of(OnnxFile.Metadata(OnnxFile.Read(to))));
    }
}
