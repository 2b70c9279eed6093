using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Every mistake gets one clear message and the exit code for it, and nothing is written.</summary>
[TestClass]
public sealed class BadInputTests
{
    [TestMethod]
    [DataRow(2, "fly", "there is no verb 'fly'", "--help")]
    [DataRow(2, "train --nope", "train has no option --nope")]
    [DataRow(2, "--model lenet99", "there is no model 'lenet99'", "lenet5")]
    [DataRow(2, "--epochs 0", "--epochs must be 1 or more, got 0")]
    [DataRow(2, "--epochs=0", "--epochs must be 1 or more, got 0")]
    [DataRow(2, "--batch-size 0", "--batch-size must be 1 or more, got 0")]
    [DataRow(2, "--lr -1", "--lr must be a finite number of 0 or more, got -1")]
    [DataRow(2, "--lr NaN", "--lr must be a finite number of 0 or more, got NaN")]
    [DataRow(2, "--lr fast", "--lr must be a number, got fast")]
    [DataRow(2, "--threads 0", "--threads must be 1 to 256, got 0")]
    [DataRow(2, "--threads 10000", "--threads must be 1 to 256, got 10000")]
    [DataRow(2, "--width 100", "--width must be 128, 256 or 512, and at most", "got 100")]
    [DataRow(2, "--width 0", "--width must be 128, 256 or 512, and at most", "got 0")]
    [DataRow(2, "--width wide", "--width must be an integer, got wide")]
    [DataRow(2, "evaluate {0}/model.onnx --width 100", "--width must be 128, 256 or 512, and at most", "got 100")]
    [DataRow(2, "evaluate {0}/model.onnx --threads 0", "--threads must be 1 to 256, got 0")]
    [DataRow(2, "validate {0}/model.onnx --width 100", "--width must be 128, 256 or 512, and at most", "got 100")]
    [DataRow(2, "validate {0}/model.onnx --threads 10000", "--threads must be 1 to 256, got 10000")]
    [DataRow(2, "export {0}/model.onnx --to {0}/to.onnx --width 100", "--width must be 128, 256 or 512, and at most", "got 100")]
    [DataRow(2, "export {0}/model.onnx --to {0}/to.onnx --training --width 1", "--width must be 128, 256 or 512, and at most", "got 1")]
    [DataRow(2, "walkthrough lenet5 --width 100", "--width must be 128, 256 or 512, and at most", "got 100")]
    [DataRow(2, "conformance {0} --width 100", "--width must be 128, 256 or 512, and at most", "got 100")]
    [DataRow(2, "gpu-check --width 100", "--width must be 128, 256 or 512, and at most", "got 100")]
    [DataRow(2, "bench --threads 0", "--threads must be 1 to 256, got 0")]
    [DataRow(2, "--min-accuracy 99", "--min-accuracy must be a share from 0 to 1, got 99")]
    [DataRow(2, "--provider abacus", "--provider must be one of simd", "abacus")]
    [DataRow(2, "--provider simd:512", "there is no provider 'simd:512'", "cblas:LIBRARY")]
    [DataRow(2, "--provider cblas:", "needs the name or the path of a library")]
    [DataRow(3, "--provider cblas:no-such-blas", "no-such-blas: not found", "To get one")]
    [DataRow(3, "--provider cblas:{0}/file", "no library that can be loaded here")]
    [DataRow(3, "--provider mathnet-cuda", "MathNet.Numerics.Providers.CUDA")]
    [DataRow(2, "--device tpu", "device 'tpu'", "cpu, cuda")]
    [DataRow(2, "--data {0}/nowhere", "there is no folder", "nowhere")]
    [DataRow(2, "--out {0}/file/inside", "--out: cannot write in")]
    [DataRow(2, "--out {0}/nowhere/inside", "--out: cannot write in", "there is no folder", "nowhere")]
    [DataRow(2, "--out {0}/file", "--out: cannot write in", "is a file")]
    [DataRow(2, "--out -", "--out needs the name of a folder, got -", "--json")]
    [DataRow(2, "--json {0}/nowhere/inside/run.json", "--json: cannot write in", "there is no folder", "nowhere")]
    [DataRow(2, "--json {0}", "--json:", "is a folder, expected a file name")]
    [DataRow(2, "--json {0}/file/run.json", "--json: cannot write in")]
    [DataRow(2, "evaluate", "evaluate needs MODEL", "evaluate MODEL [options]")]
    [DataRow(2, "evaluate {0}/nowhere.onnx", "there is no file", "nowhere.onnx")]
    [DataRow(2, "evaluate {0}", "is a folder, expected an ONNX file")]
    [DataRow(2, "evaluate {0}/file", "is a text file, not an ONNX model")]
    [DataRow(2, "validate {0}/file --data none", "is a text file, not an ONNX model")]
    [DataRow(2, "validate {0}/cut.onnx --data none", "is not an ONNX model, or not all of one")]
    [DataRow(2, "evaluate {0}/model.onnx --engine abacus", "--engine must be own or onnxruntime, got abacus")]
    [DataRow(2, "evaluate {0}/model.onnx --engine own --device cuda", "--device must be cpu with --engine own")]
    [DataRow(2, "evaluate {0}/small.onnx", "takes images of 5×4", "28×28", "--data")]
    [DataRow(2, "validate {0}/small.onnx --data {0}/small", "takes images of 5×4", "28×28", "--data")]
    public void IsToldAndRefused(int code, string command, params string[] said)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["file"], "no model");
        var network = Networks.LeNet5(seed: 1);
        OnnxFile.Write(OnnxExporter.Export(network, new Shape(1, 32, 32), "lenet5"), folder["model.onnx"]);
        File.WriteAllBytes(folder["cut.onnx"], File.ReadAllBytes(folder["model.onnx"])[..100_000]);
        var tiny = new Sequential { new Flatten(), new Linear(20, 10) };
        OnnxFile.Write(OnnxExporter.Export(tiny, new Shape(1, 5, 4), "tiny"), folder["small.onnx"]);
        SmallMnist.Write(folder, train: 20, test: 20);
        string[] before = folder.Files;

        string[] words = [.. command.Split(' ').Select(word => word.Replace("{0}", folder.Path, StringComparison.Ordinal))];
        var run = Program.RunHere(words).MustExit(code).MustSay(said);

        Assert.StartsWith("error: ", run.Errors, StringComparison.Ordinal);
        Assert.AreEqual("", run.Output);
        CollectionAssert.AreEqual(before, folder.Files);
    }

    [TestMethod]
    [DataRow(2, "ONNXLENET_SIMD_WIDTH", "1024", "ONNXLENET_SIMD_WIDTH is 1024", "128, 256 or 512")]
    [DataRow(2, "ONNXLENET_SIMD_WIDTH", "0", "ONNXLENET_SIMD_WIDTH is 0", "128, 256 or 512")]
    [DataRow(2, "ONNXLENET_SIMD_WIDTH", "wide", "ONNXLENET_SIMD_WIDTH is 'wide'", "128, 256 or 512")]
    [DataRow(3, "ONNXLENET_CBLAS", "/nowhere/libblas.so", "'/nowhere/libblas.so' (from ONNXLENET_CBLAS)", "not found")]
    public void BadEnvironmentVariablesAreTold(int code, string variable, string value, params string[] said)
    {
        using var folder = new TemporaryFolder();
        Program.Run([(variable, value)], "--out", folder.Path, "--provider", code == 3 ? "cblas" : "simd").MustExit(code).MustSay(said);
        Assert.IsEmpty(folder.Files);
    }

    /// <summary>A processor without fused multiply-add is told of, and computes the same bytes.</summary>
    [TestMethod]
    public void AProcessorWithoutFusedMultiplyAddIsToldAndGivesTheSameBytes()
    {
        using var folder = new TemporaryFolder();
        string[] train = ["--data", SmallMnist.Write(folder, train: 64, test: 20), "--epochs", "1", "--out"];
        Assert.DoesNotContain("fused multiply-add", Program.Run([.. train, folder["with"]]).MustExit(0).Errors);
        Program.Run([("DOTNET_EnableAVX2", "0")], [.. train, folder["without"]]).MustExit(0).MustSay("no fused multiply-add");
        Assert.Contains("missing  fused multiply-add", Program.Run([("DOTNET_EnableAVX2", "0")], "doctor").MustExit(0).Output);
        CollectionAssert.AreEqual(File.ReadAllBytes(folder["with/lenet5-small.onnx"]),
            File.ReadAllBytes(folder["without/lenet5-small.onnx"]));
    }

    /// <summary>A width that exists, forced on a processor without it: .NET is told to use no vector instructions beyond the
    /// first.</summary>
    [TestMethod]
    public void AWidthTheProcessorLacksIsToldAndRefused()
    {
        using var folder = new TemporaryFolder();
        Program.Run([("DOTNET_EnableHWIntrinsic", "0"), ("ONNXLENET_SIMD_WIDTH", "256")], "--out", folder.Path)
            .MustExit(2).MustSay("ONNXLENET_SIMD_WIDTH is 256", "at most 128 on this processor");
        Program.Run([("DOTNET_EnableHWIntrinsic", "0")], "--width", "256", "--out", folder.Path)
            .MustExit(2).MustSay("--width must be 128, 256 or 512, and at most 128 on this processor, got 256");
        Assert.IsEmpty(folder.Files);
    }

    [TestMethod]
    [DataRow("missing", "has neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz")]
    [DataRow("truncated", "is cut short")]
    [DataRow("labels for images", "holds [20], expected [count, height, width]")]
    [DataRow("magic", "is not an IDX file")]
    [DataRow("counts", "20 images and 19 labels")]
    [DataRow("flipped bit", "is not the file it should be")]
    public void DamagedDataIsToldAndNotTrainedOn(string damage, string said)
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder, train: 20, test: 20), images = Path.Combine(data, "train-images-idx3-ubyte");
        byte[] bytes = File.ReadAllBytes(images);
        switch (damage)
        {
            case "missing": File.Delete(images); break;
            case "truncated": File.WriteAllBytes(images, bytes[..^1]); break;
            case "labels for images": File.Copy(Path.Combine(data, "train-labels-idx1-ubyte"), images, overwrite: true); break;
            case "magic": File.WriteAllBytes(images, [1, .. bytes[1..]]); break;
            case "counts": SmallMnist.WriteIdx(Path.Combine(data, "train-labels-idx1-ubyte"), [19], new byte[19]); break;
            default:
                using (var sums = File.CreateText(Path.Combine(data, "SHA256SUMS")))
                {
                    foreach (string file in Directory.GetFiles(data, "*ubyte"))
                    {
                        string sum = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(file)));
                        sums.WriteLine($"{sum}  {Path.GetFileName(file)}");
                    }
                }
                bytes[1000] ^= 1;
                File.WriteAllBytes(images, bytes);
                break;
        }
        Program.Run("--data", data, "--out", folder["out"]).MustExit(2).MustSay(said);
        Assert.IsFalse(Directory.Exists(folder["out"]));
    }

    [TestMethod]
    public void CudaIsUsedOrItsMissingPartsAreNamed()
    {
        using var folder = new TemporaryFolder();
        var run = Program.Run("--data", SmallMnist.Write(folder), "--epochs", "1", "--out", folder["out"], "--device", "cuda", "--json",
            folder["run.json"]);
        if (run.ExitCode == 0) // a machine with a GPU and all its libraries
        {
            Assert.StartsWith("cuda:0", (string)folder.Json("run.json")["parity"]!["device"]!, StringComparison.Ordinal);
            return;
        }
        run.MustExit(3).MustSay("device cuda:0 cannot be used", "missing");
        Assert.IsFalse(Directory.Exists(folder["out"]));
    }
}
