using System.Text.Json.Nodes;
using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>From a folder of pictures to a proved model, as a person does it.</summary>
[TestClass]
public sealed class PicturesTests
{
    [TestMethod]
    public void AFolderOfPicturesBecomesAModel()
    {
        using var folder = new TemporaryFolder();
        string photos = Pictures.Write(folder["photos"], ("left, a", 60), ("right", 60), ("up|\"", 60));
        string[] train = ["--data", photos, "--epochs", "6", "--min-accuracy", "0.9", "--out", folder["out"], "--json", folder["run.json"]];
        var run = Program.Run(train).MustExit(0).MustSay("lenet5 takes images of [3, 32, 32] here, in place of [1, 32, 32]",
            "fc3 has 3 outputs here, one for each class of photos");
        Assert.Contains("(conv1): Conv2d(3, 6, kernel_size=(5, 5)", run.Output);
        Assert.Contains("144 training images, 18 held out", run.Output);
        Assert.Contains("validation loss", run.Output);
        string[] names = ["left, a", "right", "up|\""];
        var json = folder.Json("run.json");
        CollectionAssert.AreEqual(names, json["classes"]!.AsArray().Select(name => (string)name!).ToArray());
        Assert.AreEqual(18, (int)json["parity"]!["samples"]!, "a tenth is for the test");
        string file = folder["out/lenet5-photos.onnx"], card = File.ReadAllText(folder["out/lenet5-photos.md"]);
        Assert.Contains("| data | photos, pictures cropped to [3, 32, 32], then (x/255 − [0.", card);
        Assert.Contains("| classes | left, a, right, up\\|\" |", card);
        using (var model = OrtModel.Load(file))
        {
            var said = model.Metadata.Properties;
            CollectionAssert.AreEqual(names, ModelMetadata.SplitClasses(said["classes"]).ToArray());
            Assert.AreEqual(("crop", "#FFFFFF", "1"), (said["input.fit"], said["input.background"], said["data.seed"]));
        }

        // The others take the pictures as the file says, and those that it was not trained on.
        double accuracy = (double)json["testAccuracy"]!;
        foreach (string engine in new[] { "own", "onnxruntime" })
        {
            var evaluated = Program.Run("evaluate", file, "--data", photos, "--engine", engine, "--json", folder["e.json"]).MustExit(0)
                .MustSay("18 of 180 are taken, held out by the seed 1");
            Assert.Contains("18 test images of photos", evaluated.Output);
            Assert.AreEqual(accuracy, (double)folder.Json("e.json")["accuracy"]!);
            Assert.AreEqual("right", (string)folder.Json("e.json")["classes"]![1]!["class"]!);
        }
        Assert.Contains("photos test images",
            Program.Run("validate", file, "--data", photos, "--provider", "simd", "--batches", "1").MustExit(0).Output);
        Program.Run("export", file, "--to", folder["small.onnx"], "--int8", "--data", photos, "--min-accuracy", "0.5").MustExit(0);
        Program.Run("export", file, "--to", folder["w.pth"]).MustExit(0);
        Program.Run("export", folder["w.pth"], "--model", "lenet5", "--to", folder["again.onnx"], "--data", "none").MustExit(0);
        Directory.Move(photos, folder["elsewhere"]);
        Program.Run("evaluate", file, "--data", folder["elsewhere"]).MustExit(0)
            .MustSay("names no pictures for the test: all 180 are taken");

        // Its classes are others, or in another order.
        Pictures.Write(folder["odd"], ("right", 4), ("wolf", 4));
        Program.Run("evaluate", file, "--data", folder["odd"]).MustExit(2).MustSay("wolf/000.png has the label wolf",
            "those expected: left, a, right");
        Directory.Delete(folder["odd/wolf"], recursive: true);
        Program.Run("evaluate", file, "--data", folder["odd"], "--json", folder["e.json"]).MustExit(0);
        Assert.AreEqual(4, (int)folder.Json("e.json")["classes"]![1]!["images"]!, "a class has the number that the model gives it");
    }

    [TestMethod]
    [DataRow("lenet3", 20, "fc1): Linear(in_features=144")]
    [DataRow("lenet-rgb", 40, "0): Linear(in_features=784")]
    [DataRow("lenet-rect", 36, "fc1): Linear(in_features=")]
    public void NetworksAreFittedToOtherSizes(string model, int size, string layer)
    {
        using var folder = new TemporaryFolder();
        string photos = Pictures.Write(folder["photos"], ("a", 20), ("b", 20));
        string[] options = ["--size", $"{size}", "--grey", "--fit", "pad", "--background", "#102030"];
        var run = Program.Run(["--model", model, "--data", photos, "--epochs", "1", "--out", folder["out"], .. options]).MustExit(0)
            .MustSay($"{model} takes images of [1, {size}, {size}] here");
        Assert.Contains(layer, run.Output);
        string file = folder[$"out/{model}-photos.onnx"], card = File.ReadAllText(folder[$"out/{model}-photos.md"]);
        Assert.Contains($"--size {size} --grey --fit pad --background #102030", card);
        Assert.Contains($"pictures padded to [1, {size}, {size}]", card);
        using (var loaded = OrtModel.Load(file)) Assert.AreEqual("pad", loaded.Metadata.Properties["input.fit"]);
        Program.Run("evaluate", file, "--data", photos).MustExit(0);
        Program.Run("--model", model, "--data", photos, "--size", "3", "--out", folder["out"]).MustExit(2)
            .MustSay($"{model} cannot take images of [3, 3, 3]", "--size");
    }

    /// <summary>The same bytes again, from the cache, with another number of threads, and after a stop.</summary>
    [TestMethod]
    public void TheSameCommandGivesTheSameBytes()
    {
        using var folder = new TemporaryFolder();
        string photos = Pictures.Write(folder["photos"], ("a", 30), ("b", 50));
        string[] train = ["--data", photos, "--epochs", "3", "--balance", "--grey", "--size", "28"];
        Program.Run([.. train, "--out", folder["one"]]).MustExit(0);
        Program.Run([.. train, "--out", folder["two"], "--threads", "3"]).MustExit(0);
        byte[] first = File.ReadAllBytes(folder["one/lenet5-photos.onnx"]);
        CollectionAssert.AreEqual(first, File.ReadAllBytes(folder["two/lenet5-photos.onnx"]));
        Assert.IsTrue(Directory.GetFiles(CacheFolder.Pictures).Length > 0);
        Assert.IsEmpty(Directory.GetFiles(photos, "*", SearchOption.AllDirectories).Where(file => !file.EndsWith(".png",
            StringComparison.Ordinal)));
        Program.Run([.. train, "--out", folder["one"]]).MustExit(0).MustSay("has these very bytes already");
        Program.Run([.. train, "--out", folder["one"], "--seed", "2"]).MustExit(0).MustSay("cannot be compared",
            "other pictures were held out of its training");
    }

    /// <summary>A checkpoint knows what was done to the pictures: the command that goes on need not say it again.</summary>
    [TestMethod]
    public void ATrainingOnPicturesIsResumed()
    {
        if (OperatingSystem.IsWindows()) Assert.Inconclusive("Windows has no signals to send to another process");
        using var folder = new TemporaryFolder();
        string photos = Pictures.Write(folder["photos"], ("a", 40), ("b", 70));
        string[] train = ["--data", photos, "--epochs", "150", "--size", "20", "--grey", "--fit", "pad", "--background", "black",
            "--balance"];
        Program.Run([.. train, "--out", folder["whole"]]).MustExit(0);
        using (var process = Program.Start([.. train, "--out", folder["out"]]))
        {
            while (process.StandardOutput.ReadLine() is { } line && !line.Contains("epoch  2/", StringComparison.Ordinal)) { }
            using (var kill = System.Diagnostics.Process.Start("kill", ["-INT", $"{process.Id}"])) kill.WaitForExit();
            Program.Finish(process).MustExit(130);
        }
        Program.Run("--resume", folder["out/runs/lenet5-photos-1/run.checkpoint"], "--data", photos, "--out", folder["out"]).MustExit(0);
        CollectionAssert.AreEqual(File.ReadAllBytes(folder["whole/lenet5-photos.onnx"]),
            File.ReadAllBytes(folder["out/lenet5-photos.onnx"]));
    }

    /// <summary>A graph that does the preprocessing takes the pictures as they are.</summary>
    [TestMethod]
    public void AGraphWithThePreprocessingTakesPictures()
    {
        using var folder = new TemporaryFolder();
        string photos = Pictures.Write(folder["photos"], ("a", 40), ("b", 40));
        Program.Run("--data", photos, "--epochs", "4", "--out", folder["out"], "--json", folder["run.json"]).MustExit(0);
        foreach (string layout in new[] { "nchw", "nhwc" })
        {
            string file = folder[$"{layout}.onnx"];
            Program.Run("export", folder["out/lenet5-photos.onnx"], "--to", file, "--in-graph", layout, "--data", photos).MustExit(0);
            Program.Run("evaluate", file, "--data", photos, "--json", folder["e.json"]).MustExit(0);
            Assert.AreEqual((double)folder.Json("run.json")["testAccuracy"]!, (double)folder.Json("e.json")["accuracy"]!, layout);
        }
    }

    [TestMethod]
    public void UnevenClassesAreToldAndWeighed()
    {
        using var folder = new TemporaryFolder();
        string photos = Pictures.Write(folder["photos"], ("many", 100), ("few", 10));
        string[] train = ["--data", photos, "--epochs", "1", "--out", folder["out"], "--json", folder["run.json"]];
        Program.Run(train).MustExit(0).MustSay("the classes are uneven, from 8 training images of few to 80 of many: --balance would");
        double plain = (double)folder.Json("run.json")["loss"]![0]!;
        Program.Run([.. train, "--balance"]).MustExit(0).MustSay("--balance weighs them");
        double weighed = (double)folder.Json("run.json")["loss"]![0]!;
        Assert.IsGreaterThan(1e-3, Math.Abs(weighed - plain));
        Program.Run([.. train, "--balance", "--engine", "onnxruntime"]).MustExit(0);
        Assert.AreEqual(weighed, (double)folder.Json("run.json")["loss"]![0]!, 1e-4);
        var labels = new ImageDataset(new Shape(1, 1, 1), new byte[7], new[] { 0, 0, 0, 0, 2, 2, 3 }, ImageTransform.Mnist);
        // 1/4, 1/2 and 1 over their mean, 7/12.
        float[] weights = ClassWeights.Balanced(labels, 5);
        CollectionAssert.AreEqual(new[] { 3 / 7f, 0, 6 / 7f, 12 / 7f, 0 }, weights);
        Failure.Of<DataException>(() => ClassWeights.Balanced(labels, 3), "labels 0 to 3", "3 classes");
    }

    [TestMethod]
    public void ListsTrainAndNothingIsHalfWritten()
    {
        using var folder = new TemporaryFolder();
        Pictures.Write(folder["p"], ("a", 12), ("b", 12));
        File.WriteAllLines(folder["my list.csv"], ["path,label", .. Enumerable.Range(0, 24).Select(i =>
            $"p/{"ab"[i % 2]}/{i / 2:000}.png,{(i % 2 == 0 ? "eins" : "zwei")}")]);
        Program.Run("--data", folder["my list.csv"], "--epochs", "1", "--out", folder["out"]).MustExit(0);
        Assert.Contains("--data \"my list.csv\"", File.ReadAllText(folder["out/lenet5-my list.md"]));
        Program.Run("evaluate", folder["out/lenet5-my list.onnx"], "--data", folder["my list.csv"]).MustExit(0);
        File.WriteAllText(folder["p/a/003.png"], "text");
        string[] train = ["--data", folder["p"], "--epochs", "1", "--out", folder["new"]];
        Program.Run(train).MustExit(2).MustSay("1 of 24 pictures cannot be read", "a/003.png is not a picture", "--skip-damaged");
        Assert.IsFalse(Directory.Exists(folder["new"]));
        Program.Run([.. train, "--skip-damaged"]).MustExit(0).MustSay("1 of 24 pictures cannot be read and are left out:\n  a/003.png");
        Program.Run("evaluate", folder["new/lenet5-p.onnx"], "--data", folder["p"], "--skip-damaged").MustExit(0);
    }

    [TestMethod]
    public void OptionsThatDoNotFitAreRefused()
    {
        using var folder = new TemporaryFolder();
        string photos = Pictures.Write(folder["photos"], ("train/a", 9), ("train/b", 9), ("val/a", 3));
        void Refused(string said, params string[] options) =>
            Program.Run(["--out", folder["out"], .. options]).MustExit(2).MustSay(said);
        Refused("--grey is for pictures", "--grey");
        Refused("--size must be 1 or more", "--data", photos, "--size", "0");
        Refused("--fit must be crop, pad or stretch", "--data", photos, "--fit", "zoom");
        Refused("blue is no colour", "--data", photos, "--background", "blue");
        Refused("--hold-out must be left out with pictures", "--data", photos, "--hold-out", "3");
        Refused("names its validation pictures", "--data", photos, "--validation", "0.2");
        Refused("has one class, a", "--data", Pictures.Write(folder["one"], ("a", 5)));
        Assert.IsFalse(Directory.Exists(folder["out"]));
        Pictures.Write(folder["grey"], ("a", 5), ("b", 5));
        foreach (string file in Directory.GetFiles(folder["grey"], "*", SearchOption.AllDirectories))
            Picture.Load(file).ToGrey().WritePng(file);
        Program.Run("--out", folder["out"], "--data", folder["grey"], "--epochs", "1").MustExit(0)
            .MustSay("every training picture is grey: --grey makes one channel");
    }
}
