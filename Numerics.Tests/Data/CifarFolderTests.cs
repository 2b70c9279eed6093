namespace OnnxLeNet.Numerics.Tests;

[TestClass]
public sealed class CifarFolderTests
{
    private const int Record = 3073;

    [TestMethod]
    public void ReadsRecordsOfAllBatches()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["data_batch_1.bin"], Records(1, 3));
        File.WriteAllBytes(folder["data_batch_2.bin"], Records(2, 2));
        File.WriteAllBytes(folder["test_batch.bin"], Records(3, 4));
        var data = ImageFolder.Load(folder.Path, ImageTransform.Cifar10);
        Assert.AreEqual((5, 4), (data.Train.Count, data.Test.Count));
        Assert.AreEqual(new Shape(3, 32, 32), data.Train.Sample);
        byte[] second = Records(2, 2);
        Assert.AreEqual(second[Record], data.Train.Label(4));
        var (images, _) = data.Train.Take([4]);
        var tensor = images.ToTensor();
        foreach (var (c, h, w) in new[] { (0, 0, 0), (1, 5, 30), (2, 31, 31) })
            Assert.AreEqual((second[Record + 1 + (c * 32 + h) * 32 + w] / 255.0 - 0.4734) / 0.2516, tensor[0, c, h, w], 1e-6);
    }

    [TestMethod]
    public void DamagedFilesAreRefused()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["data_batch_1.bin"], Records(1, 3)[..^1]);
        Failure.Of<DataException>(() => ImageFolder.Load(folder.Path, ImageTransform.Cifar10), "data_batch_1.bin", "3073");
        File.WriteAllBytes(folder["data_batch_1.bin"], []);
        Failure.Of<DataException>(() => ImageFolder.Load(folder.Path, ImageTransform.Cifar10), "data_batch_1.bin");
        byte[] wrong = Records(1, 3);
        wrong[Record] = 10;
        File.WriteAllBytes(folder["data_batch_1.bin"], wrong);
        Failure.Of<DataException>(() => ImageFolder.Load(folder.Path, ImageTransform.Cifar10), "record 1", "label 10");
        File.WriteAllBytes(folder["data_batch_1.bin"], Records(1, 3));
        Failure.Of<DataException>(() => ImageFolder.Load(folder.Path, ImageTransform.Cifar10), "test_batch.bin");
        File.WriteAllBytes(folder["test_batch.bin"], Records(1, 3));
        File.WriteAllBytes(folder["data_batch_3.bin"], Records(1, 3));
        Failure.Of<DataException>(() => ImageFolder.Load(folder.Path, ImageTransform.Cifar10),
            "has data_batch_3.bin but no data_batch_2.bin");
    }

    /// <summary>The document's network on images of the CIFAR form: it trains, is exported, and both paths agree.</summary>
    [TestMethod]
    public void LeNetRgbTrains()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["cifar"]);
        File.WriteAllBytes(folder["cifar/data_batch_1.bin"], Records(1, 200));
        File.WriteAllBytes(folder["cifar/test_batch.bin"], Records(2, 50));
        Program.Run("--model", "lenet-rgb", "--data", folder["cifar"], "--epochs", "2", "--out", folder["out"], "--json",
            folder["run.json"]).MustExit(0);
        Assert.IsTrue((bool)folder.Json("run.json")["parity"]!["passed"]!);
        Program.Run("evaluate", folder["out/lenet-rgb-cifar.onnx"], "--data", folder["cifar"], "--engine", "own").MustExit(0);
        Program.Run("--model", "lenet-rgb", "--out", folder["out"]).MustExit(2).MustSay("lenet-rgb takes images of [3, 32, 32]");
        Directory.CreateDirectory(folder["letters"]);
        File.WriteAllText(folder["letters/dear.txt"], "reader");
        Program.Run("--model", "lenet-rgb", "--data", folder["letters"], "--out", folder["out"])
            .MustExit(2).MustSay("three channels, [3, 32, 32]", "data_batch_1.bin", "a folder of pictures for each class", "dear.txt");
        Program.Run("--data", folder["letters"], "--out", folder["out"]).MustExit(2).MustSay("one channel, [1, 32, 32]",
            "train-images-idx3-ubyte", "a folder of pictures for each class");
    }

    private static byte[] Records(int seed, int count) => Cifar.Records(seed, count, labels: 1);
}
