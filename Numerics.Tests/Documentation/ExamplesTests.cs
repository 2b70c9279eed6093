using System.Globalization;
using System.Text.RegularExpressions;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// The scripts that one is meant to change and run again: each runs by <c>dotnet fsi</c>, and reaches an accuracy that it prints.
/// Inconclusive where the SDK has no F# Interactive.
/// </summary>
[TestClass]
public sealed partial class ExamplesTests
{
    [TestMethod]
    [DataRow("first-network", 0.96)]
    [DataRow("custom-layer", 0.95)]
    [DataRow("learning-rates", 0.95)]
    [DataRow("train-on", 0.93)]
    [DataRow("export-and-compare", 0.99)]
    public void AScriptReachesItsAccuracy(string name, double least)
    {
        using var folder = new TemporaryFolder();
        string printed = Run(folder, File.ReadAllText(Path.Combine(Repository.Root, "Scripts", "Examples", $"{name}.fsx")));
        double[] reached = [.. Accuracy().Matches(printed)
            .Select(match => double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture))];
        Assert.IsNotEmpty(reached, printed);
        Assert.IsGreaterThanOrEqualTo(least, reached[^1], printed);
        Assert.DoesNotContain("DIFFERS", printed);
    }

    /// <summary>All scripts of the folder are tried, here or with pictures of its own.</summary>
    [TestMethod]
    public void NoScriptIsLeftOut()
    {
        string[] tried = [.. typeof(ExamplesTests).GetMethod(nameof(AScriptReachesItsAccuracy))!.GetCustomAttributesData()
            .Where(attribute => attribute.AttributeType == typeof(DataRowAttribute))
            .Select(attribute => (string)((IReadOnlyList<System.Reflection.CustomAttributeTypedArgument>)
                attribute.ConstructorArguments[0].Value!)[0].Value!), "own-network"];
        CollectionAssert.AreEquivalent(tried, Directory.GetFiles(Path.Combine(Repository.Root, "Scripts", "Examples"), "*.fsx")
            .Select(Path.GetFileNameWithoutExtension).ToArray());
    }

    [TestMethod]
    public void InteractiveFSharpPrintsTensorsNetworksAndComparisons()
    {
        using var folder = new TemporaryFolder();
        WriteHead(folder);
        var (code, output, errors) = Tool.RunOn("""
            #load "onnxlenet.fsx";;
            open OnnxLeNet.Numerics;;
            open OnnxLeNet.Onnx;;
            open OnnxLeNet.Scripts.Network;;
            let net = network "Tiny" [ linear 2 ] |> create (Shape 3) (Generator 1L);;
            Tensor(Shape(1, 2));;
            let file = OnnxLeNet.Scripts.Script.scratch "tiny.onnx";;
            OnnxFile.Write(OnnxExporter.Export(net, Shape 3, "tiny"), file);;
            Parity.OnRandomInput(net, Shape 3, OrtModel.Load file) |> Seq.head;;
            #quit;;
            """, "dotnet", folder.Path, "fsi", "--nologo");
        RequireInteractive(output + errors);
        Assert.AreEqual(0, code, $"{output}\n{errors}");
        Assert.Contains("(0): Linear(in_features=3, out_features=2, bias=True)", output);
        Assert.Contains("val it: Tensor = tensor([[0., 0.]])", output);
        Assert.Contains("same class 100.00%: agrees", output);
    }

    /// <summary>Runs a script as if it were in the folder of the examples, with the assemblies that are under test.</summary>
    /// <returns>What it printed.</returns>
    private static string Run(TemporaryFolder folder, string script)
    {
        WriteHead(folder);
        Directory.CreateDirectory(folder["Examples"]);
        File.WriteAllText(folder["Examples/script.fsx"], script);
        var (code, output, errors) = Tool.Run("dotnet", Repository.Root, "fsi", folder["Examples/script.fsx"]);
        RequireInteractive(output + errors);
        Assert.AreEqual(0, code, $"{output}\n{errors}");
        return output;
    }

    private static void WriteHead(TemporaryFolder folder) => File.WriteAllText(folder["onnxlenet.fsx"],
        File.ReadAllText(Path.Combine(Repository.Root, "Scripts", "onnxlenet.fsx"))
            .Replace("bin/Release/net10.0/", AppContext.BaseDirectory.Replace('\\', '/'), StringComparison.Ordinal));

    private static void RequireInteractive(string printed)
    {
        if (printed.Contains("fsi does not exist", StringComparison.Ordinal)) Assert.Inconclusive("this SDK has no F# Interactive");
    }

    [GeneratedRegex(@"\baccuracy (\d\.\d+)")]
    private static partial Regex Accuracy();
}
