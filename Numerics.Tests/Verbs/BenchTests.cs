using System.Text.Json.Nodes;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>The benchmarks at their smallest: that they run, agree with one another, and say what they measured. How fast is no test's
/// affair.</summary>
[TestClass]
[DoNotParallelize]
public sealed class BenchTests
{
    [TestMethod]
    public void PeakProductsAndMemory()
    {
        using var folder = new TemporaryFolder();
        var run = Program.Run("bench", "--quick", "--only", "products,memory,fma,vectors", "--threads", "2", "--json",
            folder["bench.json"]).MustExit(0);
        var json = folder.Json("bench.json");
        Assert.AreEqual(2, (int)json["threads"]!);
        Assert.AreEqual(SimdWidth.Bits, (int)json["machine"]!["widthBits"]!);
        foreach (string type in new[] { "float", "double" })
            foreach (string threads in new[] { "1", "2" }) Assert.IsGreaterThan(0, (double)json["fma"]![type]![threads]!);

        var products = json["products"]!.AsArray();
        CollectionAssert.IsSubsetOf(new[] { "conv1", "conv1 dW", "conv1 dX", "conv2", "conv2 dW", "conv2 dX", "fc1", "fc1 dW", "fc1 dX",
            "128²" },
            products.Select(row => (string)row!["name"]!).ToArray());
        bool cblas = run.Output.Contains("cblas is ", StringComparison.Ordinal);
        Assert.AreNotEqual(cblas, run.Output.Contains("cblas is left out: ", StringComparison.Ordinal));
        foreach (var row in products)
        {
            Assert.IsGreaterThan(0, (double)row!["gflops"]!["simd"]!);
            Assert.IsGreaterThan(0, (double)row["gflops"]!["managed"]!);
            Assert.AreEqual(cblas, row["gflops"]!["cblas"] is not null);
            IsAShareOfThePeak(row["fractionOfPeak"], (int)row["threads"]!);
        }
        foreach (var row in json["vectors"]!.AsArray()) Assert.IsGreaterThan(0, (double)row!["simdMicroseconds"]!);
        CollectionAssert.Contains(json["vectors"]!.AsArray().Select(row => (string)row!["operation"]!).ToArray(), "DotProduct");
        foreach (var row in json["memory"]!["perStep"]!.AsArray())
        {
            Assert.IsGreaterThanOrEqualTo(0, (double)row!["bytesOfTrainingThread"]!);
            Assert.IsGreaterThanOrEqualTo((double)row["bytesOfTrainingThread"]!, (double)row["bytesOfAllThreads"]!);
        }
        Assert.IsGreaterThan(50_000_000, (long)json["memory"]!["peakMemoryBytes"]!);
        Assert.IsNull(json["epoch"], "what was not asked for");
    }

    /// <summary>The model of several processes: without messages' cost 16 shares are at most 16 times as fast, and more processes add
    /// nothing but messages.</summary>
    [TestMethod]
    public void Processes()
    {
        using var folder = new TemporaryFolder();
        Program.Run("bench", "--quick", "--only", "processes", "--json", folder["bench.json"]).MustExit(0);
        var json = folder.Json("bench.json")["processes"]!;
        var rows = json["model"]!.AsArray();
        Assert.HasCount(6, rows, "two networks, three kinds of link");
        foreach (var row in rows)
        {
            double At(int processes) => (double)row!["speedup"]![$"{processes}"]!;
            Assert.IsInRange(0, 2, At(2), $"{row}");
            Assert.IsGreaterThan(At(512), At(64), $"{row}"); // neither has a share for each
        }
        double Of(string link) => (double)rows.First(row => (string)row!["network"]! == "resnet20" && (string)row["link"]! == link)!
            ["speedup"]!["2"]!;
        Assert.IsGreaterThan(Of("1 Gb/s Ethernet"), Of("200 Gb/s InfiniBand"));
        Assert.IsEmpty(json["measured"]!.AsArray());
    }

    [TestMethod]
    public void EpochInferenceScalingAndLayers()
    {
        using var folder = new TemporaryFolder();
        var run = Program.Run("bench", "--quick", "--only", "epoch,inference,scaling,layers", "--threads", "2", "--json",
            folder["bench.json"]).MustExit(0);
        var json = folder.Json("bench.json");
        bool torch = json["pytorch"]!["torch"] is not null;
        Assert.AreNotEqual(torch, run.Output.Contains("PyTorch is left out: ", StringComparison.Ordinal));
        var epoch = json["epoch"]![0]!;
        Assert.Contains("2.26 MFLOP an image", run.Output, StringComparison.Ordinal);
        foreach (string threads in new[] { "1", "2" })
        {
            double seconds = (double)epoch["engineSeconds"]![threads]!;
            Assert.AreEqual(2.264e-3 * (int)epoch["images"]! / seconds, (double)epoch["gflops"]![threads]!,
                0.01 * (double)epoch["gflops"]![threads]!);
            IsAShareOfThePeak(epoch["fractionOfPeak"]![threads], threads == "1" ? 1 : 2);
            Assert.AreEqual(torch, epoch["pytorchSeconds"]![threads] is not null);
        }
        CollectionAssert.AreEqual(new[] { 1, 1, 32, 32, 64, 64 },
            json["inference"]!.AsArray().Select(row => (int)row!["batch"]!).ToArray());
        foreach (var row in json["inference"]!.AsArray())
        {
            Assert.IsGreaterThan(0, (double)row!["engineMicroseconds"]!);
            Assert.IsGreaterThan(0, (double)row["onnxRuntimeMicroseconds"]!);
            Assert.AreEqual(1e6 * (int)row["batch"]! / (double)row["engineMicroseconds"]!, (double)row["engineImagesPerSecond"]!,
                1e-6 * (double)row["engineImagesPerSecond"]!);
        }
        CollectionAssert.AreEqual(new[] { 1, 2 }, json["scaling"]!["threads"]!.AsArray().Select(row => (int)row!["threads"]!).ToArray());
        Assert.HasCount(3, json["scaling"]!["batch"]!.AsArray());
        CollectionAssert.AreEqual(new[] { 1, 2 }, json["layers"]!.AsArray().Select(row => (int)row!["threads"]!).ToArray());
        foreach (var step in json["layers"]!.AsArray())
        {
            string[] parts = [.. step!["parts"]!.AsArray().Select(part => (string)part!["layer"]!)];
            foreach (string word in new[] { "conv1", "conv2", "fc1", "fc2", "fc3" }) Assert.IsTrue(parts.Any(part =>
                part.Contains(word, StringComparison.Ordinal)), word);
            double sum = step["parts"]!.AsArray().Sum(part =>
                (double)part!["forwardMicroseconds"]! + (double)part["backwardMicroseconds"]!), whole = (double)step["stepMicroseconds"]!;
            Assert.IsTrue(sum > 0.3 * whole && sum < 1.1 * (int)step["threads"]! * whole,
                $"parts of {sum} µs in a step of {whole} on {step["threads"]} thread(s)");
        }
    }

    [TestMethod]
    public void FourNetworksAreTrainedAndRun()
    {
        using var folder = new TemporaryFolder();
        // Without TorchSharp: nothing is built in the cache of a user whose folder this is.
        FourNetworks(folder, ("XDG_DATA_HOME", folder.Path));
    }

    [TestMethod]
    [TestCategory("Soak")]
    public void FourNetworksAreComparedWithTorchSharp()
    {
        using var folder = new TemporaryFolder();
        FourNetworks(folder);
    }

    private static void FourNetworks(TemporaryFolder folder, params (string, string)[] environment)
    {
        var run = Program.Run(environment, "bench", "--quick", "--only", "networks", "--threads", "2", "--json",
            folder["bench.json"]).MustExit(0)
            .MustSay("training vgg, 2 thread(s), round 1 of 1"); // piped, it says what it is doing
        string[] names = ["lenet", "vgg", "resnet20", "mobilenet"];
        var networks = folder.Json("bench.json")["networks"]!;
        foreach (var (part, rows) in new[] { ("training", 2), ("inference", 4) })
        {
            var found = networks[part]!.AsArray();
            CollectionAssert.AreEqual(names.SelectMany(name => Enumerable.Repeat(name, rows)).ToArray(),
                found.Select(row => (string)row!["network"]!).ToArray());
            foreach (var row in found) Assert.Contains((string)row!["network"]!, run.Output);
        }
        foreach (var row in networks["training"]!.AsArray())
        {
            IsAShareOfThePeak(row!["shareOfPeak"], (int)row["threads"]!);
            Assert.IsGreaterThan(0, (double)row["imagesPerSecond"]!);
        }
        foreach (var row in networks["inference"]!.AsArray())
            Assert.AreEqual((double)row!["onnxRuntimeMicroseconds"]! / (double)row["engineMicroseconds"]!,
                (double)row["timesOnnxRuntime"]!, 1e-9 * (double)row["timesOnnxRuntime"]!);
        // TorchSharp is there where the user had it built; then it is in every row, and must have computed the same.
        bool torch = networks["torchSharp"]!["missing"] is null;
        Assert.AreNotEqual(torch, run.Output.Contains("TorchSharp is left out: ", StringComparison.Ordinal));
        foreach (var row in networks["training"]!.AsArray()) Assert.AreEqual(torch, row!["torchSharpImagesPerSecond"] is not null);
        foreach (var row in networks["inference"]!.AsArray())
        {
            Assert.AreEqual(torch, row!["torchSharpMicroseconds"] is not null);
            IsAShareOfThePeak(row["shareOfPeak"], (int)row["threads"]!);
        }
        Assert.AreEqual(torch, networks["stepMemory"]!["torchSharp"] is not null);
    }

    /// <summary>A row for each node of any model, joins with what they take, and a sum; every node's time is once in it.</summary>
    [TestMethod]
    public void LayersOfAModelFileAreTimed()
    {
        using var folder = new TemporaryFolder();
        var (network, sample) = GraphNetworks.All["residual"]();
        OnnxLeNet.Onnx.OnnxFile.Write(OnnxLeNet.Onnx.OnnxExporter.Export(network, sample, "residual"), folder["residual.onnx"]);
        var run = Program.Run("bench", "--quick", "--only", "layers", "--threads", "1", "--model", folder["residual.onnx"], "--json",
            folder["bench.json"]).MustExit(0);
        Assert.Contains("takes", run.Output);
        var layers = folder.Json("bench.json")["layers"]![0]!;
        var parts = layers["parts"]!.AsArray();
        Assert.IsTrue(parts.Any(part => part!["inputs"]!.AsArray().Count == 2));
        double sum = parts.Sum(part => (double)part!["forwardMicroseconds"]! + (double)part["backwardMicroseconds"]!);
        Assert.IsInRange(0.3 * (double)layers["stepMicroseconds"]!, (double)layers["stepMicroseconds"]!, sum);
    }

    /// <summary>
    /// More than a thread's peak would be a mistake in counting. A busy machine makes a share very low, or lowers the peak itself: that of
    /// several threads down to that of one.
    /// </summary>
    private static void IsAShareOfThePeak(JsonNode? node, int threads)
    {
        double share = (double)node!;
        Assert.IsTrue(share > 0 && share < 1.4 * threads, $"{share} of the peak of {threads} thread(s)");
    }
}
