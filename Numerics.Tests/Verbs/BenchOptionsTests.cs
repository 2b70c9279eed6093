using Measure = OnnxLeNet.Scripts.Bench.Measure;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>The benchmarks' options and peers: nothing here depends on what else the machine does.</summary>
[TestClass]
public sealed class BenchOptionsTests
{
    /// <summary>A NaN anywhere, and not at the end alone, is a disagreement; arrays of two lengths are none at all.</summary>
    [TestMethod]
    public void WhatIsTimedMustAgree()
    {
        Assert.AreEqual(0, Measure.disagreement([0, 0], [0, 0]));
        Assert.AreEqual(0.25, Measure.disagreement([1, -4, 2], [1, -3, 2]));
        foreach (int at in (int[])[0, 1, 2])
        {
            double[] numbers = [1, -4, 2], broken = [1, -4, 2];
            broken[at] = double.NaN;
            Assert.IsTrue(double.IsNaN(Measure.disagreement(numbers, broken)), $"{at}");
            Assert.IsTrue(double.IsNaN(Measure.disagreement(broken, numbers)), $"{at}");
        }
        Measure.requireAgreement("it", "a peer", [1, 2], [1, 2]);
        Failure.Of<OnnxLeNetException>(() => Measure.requireAgreement("it", "a peer", [1, float.NaN, 2], [1, 2, 2]), "it",
            "a peer differ by NaN");
        Failure.Of<OnnxLeNetException>(() => Measure.requireAgreement("it", "a peer", [1, 2], [1, 2.001f]), "differ by");
        Failure.Of<ArgumentException>(() => Measure.disagreement([1, 2], [1]), "different lengths");
    }

    /// <summary>No python and no library: both are named as missing, the rest is measured.</summary>
    [TestMethod]
    public void PeersThatAreMissingAreNamedAndLeftOut()
    {
        using var folder = new TemporaryFolder();
        Program.Run("bench", "--quick", "--only", "epoch", "--python", folder["nowhere"]).MustExit(3).MustSay("nowhere", "--python",
            "apt install python3-torch");
        var run = Program.Run([("ONNXLENET_CBLAS", "/nowhere/libblas.so")], "bench", "--quick", "--only", "products", "--json",
            folder["bench.json"]).MustExit(0);
        Assert.Contains("cblas is left out: ", run.Output, StringComparison.Ordinal);
        Assert.IsTrue(folder.Json("bench.json")["products"]!.AsArray().All(row =>
            row!["gflops"]!["cblas"] is null && row["gflops"]!["simd"] is not null));
    }

    [TestMethod]
    public void APythonWithoutPyTorchIsTold()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Inconclusive("the stand-in is a shell script");
            return;
        }
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["python3"], "#!/bin/sh\necho '{\"error\": \"this python has no PyTorch\"}'\n");
        File.SetUnixFileMode(folder["python3"], UnixFileMode.UserRead | UnixFileMode.UserExecute);
        Program.Run("bench", "--quick", "--only", "inference", "--python",
            folder["python3"]).MustExit(3).MustSay("this python has no PyTorch", "apt install python3-torch");
    }

    [TestMethod]
    public void APythonThatFailsIsQuoted()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Inconclusive("the stand-in is a shell script");
            return;
        }
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["python3"], "#!/bin/sh\necho 'first' >&2\necho 'cannot go on' >&2\nexit 5\n");
        File.SetUnixFileMode(folder["python3"], UnixFileMode.UserRead | UnixFileMode.UserExecute);
        Program.Run("bench", "--quick", "--only", "epoch", "--python",
            folder["python3"]).MustExit(3).MustSay("ended with exit code 5: cannot go on");
    }

    [TestMethod]
    public void KernelsRunUnderBenchmarkDotNet()
    {
        using var folder = new TemporaryFolder();
        Program.Run("bench", "--quick", "--only", "fma", "--kernels", "--json", folder["bench.json"]).MustExit(0);
        var rows = folder.Json("bench.json")["kernels"]!.AsArray();
        foreach (string type in new[] { "float", "double" })
            Assert.IsTrue(rows.Any(row => (string?)row!["type"] == type && (string?)row["name"] == "conv1"
                && (string?)row["provider"] == "simd"), type);
        foreach (var row in rows)
        {
            Assert.IsGreaterThan(0, (double)row!["gflops"]!);
            Assert.IsGreaterThanOrEqualTo(0, (long)row["allocatedBytes"]!);
        }
    }

    [TestMethod]
    public void ANarrowerWidthIsUsed()
    {
        using var folder = new TemporaryFolder();
        Program.Run("bench", "--quick", "--only", "fma", "--width", "128", "--json", folder["bench.json"]).MustExit(0);
        Assert.AreEqual(128, (int)folder.Json("bench.json")["machine"]!["widthBits"]!);
    }

    [TestMethod]
    [DataRow("--only fma --model lenet5", "--model is the network that layers times")]
    [DataRow("--only layers --model lenet99", "there is no model 'lenet99'")]
    [DataRow("--only layers --model {0}/nowhere.onnx", "there is no file", "nowhere.onnx")]
    [DataRow("--only fma --torchsharp", "--torchsharp is for the networks")]
    [DataRow("--only speed", "--only must be one or more of memory,fma,products", "speed")]
    [DataRow("--only ,", "--only must be one or more of")]
    [DataRow("--rounds 0", "--rounds must be 1 or more, got 0")]
    [DataRow("--threads 0", "--threads must be 1 to 256, got 0")]
    [DataRow("--threads 10000", "--threads must be 1 to 256, got 10000")]
    [DataRow("--width 300", "--width must be 128, 256 or 512", "300")]
    [DataRow("--json {0}", "is a folder, expected a file name")]
    public void BadOptionsAreTold(string options, params string[] said)
    {
        using var folder = new TemporaryFolder();
        var run = Program.RunHere(["bench", "--quick",
            .. options.Split(' ').Select(word => word.Replace("{0}", folder.Path, StringComparison.Ordinal))]).MustExit(2).MustSay(said);
        Assert.AreEqual("", run.Output);
        Assert.IsEmpty(folder.Files);
    }
}
