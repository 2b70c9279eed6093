using System.Globalization;
using System.Text.RegularExpressions;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// The scripts that one is meant to change and run again: <c>dotnet fsi</c> runs them, one after another in one process, and each reaches
/// an accuracy that it prints; those that train on all of MNIST, on a third of it. Inconclusive where the SDK has no F# Interactive.
/// </summary>
[TestClass]
public sealed partial class ExamplesTests
{
    [TestMethod]
    [DataRow("first-network", 0.94)]
    [DataRow("custom-layer", 0.93)]
    [DataRow("learning-rates", 0.92)]
    [DataRow("train-on", 0.93)]
    [DataRow("export-and-compare", 0.99)]
    public void AScriptReachesItsAccuracy(string name, double least)
    {
        string printed = PrintedBy(name);
        Assert.DoesNotContain($"{Ends} 1", printed, printed);
        double[] reached = [.. Accuracy().Matches(printed)
            .Select(match => double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture))];
        Assert.IsNotEmpty(reached, printed);
        Assert.IsGreaterThanOrEqualTo(least, reached[^1], printed);
        Assert.DoesNotContain("DIFFERS", printed);
    }

    /// <summary>The scripts of the tests' rows.</summary>
    private static string[] Names => [.. typeof(ExamplesTests).GetMethod(nameof(AScriptReachesItsAccuracy))!.GetCustomAttributesData()
        .Where(attribute => attribute.AttributeType == typeof(DataRowAttribute))
        .Select(attribute => (string)((IReadOnlyList<System.Reflection.CustomAttributeTypedArgument>)
            attribute.ConstructorArguments[0].Value!)[0].Value!)];

    /// <summary>All scripts of the folder are tried, here or with pictures of its own.</summary>
    [TestMethod]
    public void NoScriptIsLeftOut() => CollectionAssert.AreEquivalent(Names.Append("own-network").ToArray(),
        Directory.GetFiles(Path.Combine(Repository.Root, "Scripts", "Examples"), "*.fsx").Select(Path.GetFileNameWithoutExtension)
            .ToArray());

    /// <summary>A walkthrough as a script prints what the verb prints, but for the devices.</summary>
    [TestMethod]
    public void AWalkthroughPrintsWhatTheVerbPrints()
    {
        string printed = PrintedBy(Walkthrough);
        Assert.Contains($"{Ends} 0", printed);
        Assert.Contains("checks, all hold\n", printed);
        string verb = Program.Run("walkthrough", Walkthrough).MustExit(0).Output.ReplaceLineEndings("\n");
        Assert.AreEqual(verb.Split("\n## cuda()")[0], printed.Split("\n## cuda()")[0]);
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

    private const string Walkthrough = "layers", Begins = "-- begins", Ends = "-- ends with";

    /// <summary>
    /// What the scripts of the tests' rows and a walkthrough printed, run as if they were in their folders, with the assemblies that are
    /// under test. An exit is printed too, and does not end the others.
    /// </summary>
    private static readonly Lazy<string> Printed = new(() =>
    {
        using var folder = new TemporaryFolder();
        WriteHead(folder);
        foreach (string name in Names) WriteScript(folder, "Examples", name, "#load \"../onnxlenet.fsx\"");
        WriteScript(folder, "Walkthroughs", Walkthrough, "#r \"../bin/Release/net10.0/OnnxLeNet.Scripts.dll\"");
        File.WriteAllText(folder["all.fsx"], $"#load {string.Join(' ', Directory.GetFiles(folder.Path, "*.fsx", SearchOption.AllDirectories)
            .Where(file => file != folder["onnxlenet.fsx"]).Select(file => $"@\"{file}\""))}\n");
        var (code, output, errors) = Tool.Run("dotnet", Repository.Root, "fsi", folder["all.fsx"]);
        RequireInteractive(output + errors);
        Assert.AreEqual(0, code, $"{output}\n{errors}");
        return output.ReplaceLineEndings("\n");
    });

    private static string PrintedBy(string script)
    {
        string begin = $"{Begins} {script}\n";
        Assert.Contains(begin, Printed.Value);
        return Printed.Value.Split(begin)[1].Split(Begins)[0];
    }

    // Those whose training would take long.
    private static readonly string[] OfAThird = ["first-network", "custom-layer", "learning-rates"];

    /// <summary>A script that says where it begins and ends, by a name that is a module's too.</summary>
    private static void WriteScript(TemporaryFolder folder, string within, string name, string lastDirective)
    {
        string script = File.ReadAllText(Path.Combine(Repository.Root, "Scripts", within, $"{name}.fsx"));
        Assert.Contains($"\n{lastDirective}\n", script);
        string whole = script;
        script = script.Replace("First 20000", "First 7000", StringComparison.Ordinal)
            .Replace("DataLoader(data.Train,", "DataLoader(data.Train.First 20000,", StringComparison.Ordinal);
        if (OfAThird.Contains(name)) Assert.AreNotEqual(whole, script, $"{name} trains on all of its images, which takes long");
        Directory.CreateDirectory(folder[within]);
        File.WriteAllText(folder[$"{within}/{name.Replace('-', '_')}.fsx"], script
            .Replace($"\n{lastDirective}\n", $"\n{ToBuilt(lastDirective)}\nprintfn \"{Begins} {name}\"\n", StringComparison.Ordinal)
            .Replace("\nexit (", $"\nprintfn \"{Ends} %d\" (", StringComparison.Ordinal));
    }

    /// <summary>The assemblies that are under test, which may be of another build than those that the scripts name.</summary>
    private static string ToBuilt(string script) =>
        BuiltFolder().Replace(script, AppContext.BaseDirectory.Replace('\\', '/').Replace("$", "$$", StringComparison.Ordinal));

    private static void WriteHead(TemporaryFolder folder) => File.WriteAllText(folder["onnxlenet.fsx"],
        ToBuilt(File.ReadAllText(Path.Combine(Repository.Root, "Scripts", "onnxlenet.fsx"))));

    private static void RequireInteractive(string printed)
    {
        if (printed.Contains("fsi does not exist", StringComparison.Ordinal)) Assert.Inconclusive("this SDK has no F# Interactive");
    }

    [GeneratedRegex(@"(\.\./)?bin/Release/net10\.0/")]
    private static partial Regex BuiltFolder();

    [GeneratedRegex(@"\baccuracy (\d\.\d+)")]
    private static partial Regex Accuracy();
}
