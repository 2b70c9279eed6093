using System.Globalization;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Names out of files and folders that a terminal would obey, or a person take for the program's own words.</summary>
[TestClass]
public sealed class HostileNamesTests
{
    private const string Title = "\u001b]0;PWNED\u0007", Red = "\u009b31m\u001b[2J", Around = "\u202Etxt", Line = "\nerror: forged\n";
    private const string All = Title + Red + Around + Line;

    private static string LeNet5 => Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx");

    /// <summary>Fails if a character of a text does something in a terminal, or a line of a name begins as the program's do.</summary>
    private static void MustBeClean(string text, string what)
    {
        foreach (char c in text)
        {
            bool shown = c == '\n' || char.GetUnicodeCategory(c) is not (UnicodeCategory.Control or UnicodeCategory.Format);
            Assert.IsTrue(shown, $"{what}: U+{(int)c:X4} in {text}");
        }
        Assert.DoesNotContain("\nerror: forged", "\n" + text, what);
    }

    private static void MustBeClean(Program run, string what)
    {
        MustBeClean(run.Output, what);
        MustBeClean(run.Errors, what);
    }

    /// <summary>The committed LeNet-5 with such names wherever a name may stand.</summary>
    private static string Model(TemporaryFolder folder, bool broken)
    {
        var model = OnnxFile.Read(LeNet5);
        (model.ProducerName, model.DocString, model.Graph.Name) = (All, All, All);
        var renamed = model.Graph.Node.SelectMany(node => node.Output).Except(model.Graph.Output.Select(output => output.Name))
            .Concat(model.Graph.Initializer.Select(tensor => tensor.Name)).ToDictionary(name => name, name => name + All);
        foreach (var node in model.Graph.Node)
        {
            node.Name += All;
            for (int i = 0; i < node.Input.Count; i++) node.Input[i] = renamed.GetValueOrDefault(node.Input[i], node.Input[i]);
            for (int i = 0; i < node.Output.Count; i++) node.Output[i] = renamed.GetValueOrDefault(node.Output[i], node.Output[i]);
        }
        foreach (var tensor in model.Graph.Initializer) tensor.Name = renamed[tensor.Name];
        foreach (var entry in model.MetadataProps)
            if (entry.Key == ModelMetadata.Classes)
                entry.Value = ModelMetadata.JoinClasses(Enumerable.Range(0, 10).Select(i => $"{i}{Title}{Around}"));
        model.MetadataProps.Add(new StringStringEntryProto { Key = "key" + All, Value = All });
        // The weights' own hash is of other names then.
        model.MetadataProps.Remove(model.MetadataProps.Single(entry => entry.Key == "weights.sha256"));
        if (broken) model.Graph.Node[3].Input[1] = "missing" + All;
        string path = folder[broken ? "broken.onnx" : "model.onnx"];
        File.WriteAllBytes(path, Google.Protobuf.MessageExtensions.ToByteArray(model));
        return path;
    }

    [TestMethod]
    public void VerbsShowThemAsText()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder), model = Model(folder, broken: false), broken = Model(folder, broken: true);
        Repository.Mnist.Test.PictureAt(0).WritePng(folder["seven.png"]);
        string[][] commands =
        [
            ["inspect", model], ["validate", model, "--provider", "simd", "--batches", "2"], ["evaluate", model, "--data", data],
            ["predict", model, folder["seven.png"]], ["export", model, "--to", folder["to.onnx"], "--card", "--data", data],
            ["export", model, "--to", folder["to.safetensors"]], ["report", model, "--data", data, "--to", folder["report.html"]],
        ];
        foreach (string[] command in commands)
        {
            var run = Program.Run(command);
            Assert.AreEqual(0, run.ExitCode, $"{command[0]}: {run.Output}{run.Errors}");
            MustBeClean(run, command[0]);
        }
        MustBeClean(File.ReadAllText(folder["to.md"]), "card");
        MustBeClean(File.ReadAllText(folder["report.html"]), "report");
        foreach (string verb in new[] { "inspect", "validate", "evaluate", "predict" })
        {
            var run = Program.Run(verb == "predict" ? [verb, broken, folder["seven.png"]] : [verb, broken]);
            Assert.AreEqual(2, run.ExitCode, run.Output);
            Assert.Contains("missing", run.Errors);
            MustBeClean(run, verb);
            Assert.StartsWith("error: ", run.Errors);
            Assert.HasCount(2, run.Errors.Split("error: "), "one message");
        }
        // What a caller of the library gets may be shown as it is.
        MustBeClean(Assert.ThrowsExactly<OnnxException>(() => OrtModel.Load(broken)).Message, "the message");
    }

    [TestMethod]
    public void AFolderOfDataIsNamedInCardsAsText()
    {
        if (OperatingSystem.IsWindows()) Assert.Inconclusive("there such characters are not in file names");
        using var folder = new TemporaryFolder();
        string name = $"a{Title}{Around}\nb|`$(c)`<b>";
        Directory.Move(SmallMnist.Write(folder), folder[name]);
        var run = Program.Run("--data", folder[name], "--epochs", "1", "--out", folder["out"]).MustExit(0);
        MustBeClean(run, "train");
        string[] cards = Directory.GetFiles(folder["out"], "*.md");
        Assert.HasCount(1, cards);
        string card = File.ReadAllText(cards[0]);
        MustBeClean(card, "card");
        Assert.DoesNotContain(" <b>", card.Replace(@"\<b\>", "", StringComparison.Ordinal));
        // Each row has the two cells that the table has: a bar in a name is none of its own.
        foreach (string row in card.Split('\n').Where(line => line.StartsWith('|')))
            Assert.HasCount(4, row.Replace(@"\|", "", StringComparison.Ordinal).Split('|'), row);
    }
}
