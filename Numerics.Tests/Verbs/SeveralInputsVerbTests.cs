using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>The verbs on a model of several inputs and outputs: all are shown, compared and kept, or what is for one says so.</summary>
[TestClass]
public sealed class SeveralInputsVerbTests
{
    private static string Write(TemporaryFolder folder)
    {
        var options = new ExportOptions { InputNames = ["image", "row", "unused"], OutputNames = ["features", "scores", "again"] };
        OnnxFile.Write(OnnxExporter.Export(new SeveralInputsTests.Ends(), SeveralInputsTests.Ends.Samples, "ends", options: options),
            folder["ends.onnx"]);
        return folder["ends.onnx"];
    }

    [TestMethod]
    public void AllAreShown()
    {
        using var folder = new TemporaryFolder();
        var run = Program.Run("inspect", Write(folder), "--json", folder["run.json"]).MustExit(0);
        string facts = string.Join('\n', run.Output.Split('\n')
            .Select(line => string.Join(' ', line.Split(' ', StringSplitOptions.RemoveEmptyEntries))));
        Assert.Contains("""
            input image float[batch, 2, 6, 5]
            input row float[batch, 4]
            input unused float[batch, 1, 3, 2]
            output features float[batch, 3, 6, 5]
            output scores float[batch, 3]
            output again float[batch, 3, 6, 5]
            output output4 float[batch, 4]
            output output5 float[batch, 3]
            """.ReplaceLineEndings("\n"), facts);
        Assert.HasCount(3, folder.Json("run.json")["inputs"]!.AsArray());
        Assert.HasCount(5, folder.Json("run.json")["outputs"]!.AsArray());
    }

    [TestMethod]
    public void AllOutputsAreValidated()
    {
        using var folder = new TemporaryFolder();
        string file = Write(folder);
        var run = Program.Run("validate", file, "--provider", "simd", "--batches", "1,5", "--json", folder["run.json"]).MustExit(0)
            .MustSay("compared on random input only");
        foreach (string row in new[] { "Inference, features", "Forward, scores", "output5" }) Assert.Contains(row, run.Output);
        Assert.DoesNotContain("Predictor", run.Output);
        var outputs = folder.Json("run.json")["devices"]![0]!["paths"]!.AsArray().Select(path => (string)path!["output"]!).Distinct();
        CollectionAssert.AreEqual(new[] { "features", "scores", "again", "output4", "output5" }, outputs.ToArray());
    }

    [TestMethod]
    public void AnotherFormKeepsTheNames()
    {
        using var folder = new TemporaryFolder();
        string file = Write(folder);
        var run = Program.Run("export", file, "--to", folder["other.onnx"], "--opset", "21", "--fold-batch-norm", "--float16", "--card")
            .MustExit(0);
        Assert.Contains("random, batch 257, scores", run.Output);
        var other = OnnxImporter.Import(folder["other.onnx"]);
        CollectionAssert.AreEqual(new[] { "image", "row", "unused" }, other.Inputs.ToArray());
        CollectionAssert.AreEqual(new[] { "features", "scores", "again", "output4", "output5" }, other.Outputs.ToArray());
        Assert.Contains("`unused float[batch, 1, 3, 2]`, `features float[batch, 3, 6, 5]`", File.ReadAllText(folder["other.md"]));
        Program.Run("export", file, "--to", folder["named.onnx"], "--input-names", "a,b", "--output-names=x, y").MustExit(0);
        var named = OnnxImporter.Import(folder["named.onnx"]);
        CollectionAssert.AreEqual(new[] { "a", "b", "input3" }, named.Inputs.ToArray());
        CollectionAssert.AreEqual(new[] { "x", "y", "output3", "output4", "output5" }, named.Outputs.ToArray());
        Program.Run("export", file, "--to", folder["ends.safetensors"]).MustExit(0);
        Assert.AreEqual(9, SafeTensors.Read(folder["ends.safetensors"]).Count);
    }

    [TestMethod]
    [DataRow("validate {0} --gradients", "takes 3 inputs", "'image' of samples [2, 6, 5]")]
    [DataRow("validate {0} --data {1}", "takes 3 inputs", "'row' of samples [4]")]
    [DataRow("evaluate {0} --data {1}", "image float[batch, 2, 6, 5] and row float[batch, 4]", "images are one input")]
    [DataRow("evaluate {0} --data {1} --engine own", "takes 3 inputs", "'unused' of samples [1, 3, 2]")]
    [DataRow("export {0} --to {1}/x.onnx --int8", "takes 3 inputs")]
    [DataRow("export {0} --to {1}/x.onnx --data {1}", "takes 3 inputs")]
    [DataRow("export {0} --to {1}/x.onnx --softmax", "returns 5", "F.Softmax")]
    [DataRow("export {0} --to {1}/x.onnx --training", "takes 3 inputs")]
    [DataRow("export {0} --to {1}/x.onnx --input-names a,a", "'a'", "a name of its own")]
    [DataRow("export {0} --to {1}/x.pth --input-names a,b,c", "--input-names is for ONNX files")]
    public void WhatIsForOneSaysSo(string command, params string[] said)
    {
        using var folder = new TemporaryFolder();
        string file = Write(folder);
        SmallMnist.Write(folder, train: 20, test: 20);
        string[] before = folder.Files;
        Program.Run([.. command.Split(' ').Select(word => word.Replace("{0}", file, StringComparison.Ordinal)
            .Replace("{1}", folder.Path, StringComparison.Ordinal))]).MustExit(2).MustSay(said);
        CollectionAssert.AreEqual(before, folder.Files);
    }
}
