using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>--trust does what the refusals say that it does, in each verb that knows it.</summary>
[TestClass]
public sealed class TrustTests
{
    private const string Refusal = "com.microsoft.Gelu is not an operator of ONNX";

    /// <summary>A classifier with an operator of ONNX Runtime's own.</summary>
    private static string Model(TemporaryFolder folder)
    {
        var model = Graphs.Of(17, new Shape(1, 32, 32), "Gelu x -> g\nFlatten g -> f\nMatMul f w -> logits", ("w", [1024, 10]));
        model.Graph.Node[0].Domain = "com.microsoft";
        model.Graph.Output[0] = GraphWriter.FloatValue("logits", "N", new Shape(10));
        model.OpsetImport.Add(new OperatorSetIdProto { Domain = "com.microsoft", Version = 1 });
        File.WriteAllBytes(folder["model.onnx"], model.ToByteArray());
        return folder["model.onnx"];
    }

    [TestMethod]
    public void WhatIsRefusedIsRunWhenItIsTrusted()
    {
        using var folder = new TemporaryFolder();
        string model = Model(folder), data = SmallMnist.Write(folder), picture = Path.Combine(data, "t10k-images-idx3-ubyte");
        string[] input = ["--mean", "0", "--std", "1", "--padding", "2"];
        foreach (string[] verb in (string[][])[["predict", model, picture, "--index", "0", .. input],
            ["evaluate", model, "--data", data, .. input], ["report", model, "--data", data, "--to", folder["page.html"], .. input]])
        {
            Program.Run(verb).MustExit(2).MustSay(Refusal, "--trust");
            Program.Run([.. verb, "--trust"]).MustExit(0);
        }
        Assert.Contains("com.microsoft", File.ReadAllText(folder["page.html"]), StringComparison.Ordinal);
    }

    /// <summary>Only ONNX Runtime knows what the operator returns.</summary>
    [TestMethod]
    public void TypesAreInferredOfWhatIsTrusted()
    {
        using var folder = new TemporaryFolder();
        string model = Model(folder), known = "[N, 1, 32, 32]";
        Assert.AreEqual(1, Program.Run("inspect", model).MustExit(0).Output.Split(known).Length - 1, "the input's");
        Assert.IsGreaterThan(1, Program.Run("inspect", model, "--trust").MustExit(0).Output.Split(known).Length - 1);
    }
}
