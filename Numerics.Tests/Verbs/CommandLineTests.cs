using System.Diagnostics;
using OnnxLeNet.Scripts;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Help, versions, mistyped words and completion: what the table of options gives.</summary>
[TestClass]
public sealed class CommandLineTests
{
    public static IEnumerable<object[]> Verbs =>
        typeof(Commands).GetProperties().Where(property => property.PropertyType == typeof(Scripts.Cli.Verb))
            .Select(property => new object[] { ((Scripts.Cli.Verb)property.GetValue(null)!).Name });

    private static Scripts.Cli.Verb Verb(string name) => typeof(Commands).GetProperties()
        .Where(property => property.PropertyType == typeof(Scripts.Cli.Verb)).Select(property => (Scripts.Cli.Verb)property.GetValue(null)!)
        .Single(verb => verb.Name == name);

    /// <summary>Every option with its default and its choices, in groups, on 80 columns; the same however it is asked for.</summary>
    [TestMethod]
    [DynamicData(nameof(Verbs))]
    public void HelpOfAVerb(string name)
    {
        string help = Program.RunHere(name, "--help").MustExit(0).Output;
        foreach (string[] asked in new string[][] { [name, "-h"], ["help", name], [name, "help"], [name, "--quiet", "--help"] })
            Assert.AreEqual(help, Program.RunHere(asked).MustExit(0).Output, string.Join(' ', asked));
        string[] lines = help.ReplaceLineEndings("\n").Split('\n');
        Assert.StartsWith("Usage: ", lines[0]);
        Assert.Contains("Examples", help);
        foreach (string line in lines) Assert.IsLessThan(81, line.Length, line);
        string words = string.Join(' ', help.Split((char[])[' ', '\n', '\r'], StringSplitOptions.RemoveEmptyEntries));
        foreach (var entry in Verb(name).Options.Where(option => option.Group.Length > 0))
        {
            Assert.IsTrue(lines.Any(line => line.StartsWith($"  {entry.Name}", StringComparison.Ordinal)), entry.Name);
            foreach (string choice in entry.Choices) Assert.Contains(choice, words);
            if (entry.Default.Length > 0) Assert.Contains($"(default: {entry.Default})", words);
        }
        Assert.DoesNotContain("--step-memory", help, "hidden");
    }

    [TestMethod]
    public void HelpOfTheProgramListsEveryVerb()
    {
        string help = Program.Run("--help").MustExit(0).Output;
        Assert.AreEqual(help, Program.Run("-h").MustExit(0).Output);
        Assert.AreEqual(help, Program.Run("help").MustExit(0).Output);
        foreach (object[] verb in Verbs) Assert.Contains($"\n  {verb[0]} ", help.ReplaceLineEndings("\n"));
        foreach (string line in help.Split('\n')) Assert.IsLessThan(82, line.Length, line);
        Assert.Contains("lenet-rect", Program.Run("--epochs", "2", "--help").MustExit(0).Output, "options alone are train's");
    }

    [TestMethod]
    [DataRow("--version")]
    [DataRow("train --version")]
    [DataRow("inspect --version")]
    public void TheVersionIsEverywhere(string command) =>
        Assert.StartsWith("onnxlenet ", Program.Run(command.Split(' ')).MustExit(0).Output);

    [TestMethod]
    [DataRow("trian", "there is no verb 'trian' (did you mean train?)")]
    [DataRow("help valdate", "did you mean validate?")]
    [DataRow("train --epohcs 3", "train has no option --epohcs (did you mean --epochs?)")]
    [DataRow("--batchsize=3", "train has no option --batchsize (did you mean --batch-size?)")]
    [DataRow("inspect m.onnx --jsn x", "inspect has no option --jsn (did you mean --json?)")]
    [DataRow("--optimizer sdg", "--optimizer must be sgd, adam, adamw or rmsprop, got sdg (did you mean sgd?)")]
    [DataRow("--model lenet-rgbb", "there is no model 'lenet-rgbb' (did you mean lenet-rgb?)")]
    [DataRow("completion bsh", "SHELL must be bash, zsh or powershell, got bsh (did you mean bash?)")]
    [DataRow("--epochs 1 --epochs 2", "--epochs is given twice")]
    [DataRow("--quiet --quiet", "--quiet is given twice")]
    [DataRow("--epochs", "--epochs needs a value: --epochs N")]
    [DataRow("--epochs --lr 1", "--epochs needs a value")]
    [DataRow("--model --epohcs", "--model needs a value: --model NAME, got the option --epohcs")]
    [DataRow("--quiet=yes", "train takes no argument, got yes")]
    [DataRow("doctor all", "doctor takes no argument, got all")]
    [DataRow("predict m.onnx", "predict needs FILE", "predict MODEL FILE… [options]")]
    [DataRow("inspect a b", "inspect does not take a further argument, got b")]
    [DataRow("frobnicate", "there is no verb 'frobnicate'. See")]
    public void AMistypedWordGetsTheNearest(string command, params string[] said)
    {
        var run = Program.Run(command.Split(' ')).MustExit(2).MustSay(said);
        Assert.AreEqual("", run.Output);
        Assert.HasCount(1, run.Errors.Trim().Split('\n'));
    }

    [TestMethod]
    [DataRow("epohcs", "epochs", 1)]
    [DataRow("train", "train", 0)]
    [DataRow("", "abc", 3)]
    [DataRow("kitten", "sitting", 3)]
    public void DistancesAreCounted(string a, string b, int expected)
    {
        Assert.AreEqual(expected, Scripts.Cli.Nearest.distance(a, b));
        Assert.AreEqual(expected, Scripts.Cli.Nearest.distance(b, a));
    }

    /// <summary>--opt=value, --opt value, options between arguments, and what follows -- whatever it looks like.</summary>
    [TestMethod]
    public void ValuesAreRead()
    {
        var args = Scripts.Cli.Parser.parse(Commands.predict, ["m.onnx", "--top=5", "a.png", "--json", "-", "b.png", "--as-is"]);
        Assert.AreEqual("m.onnx", args.Require(Options.model));
        CollectionAssert.AreEqual(new[] { "a.png", "b.png" }, args.All(Options.pictures).ToArray());
        Assert.AreEqual((5, "-", true, false), (args.Get(Options.top, 3), args.Get(Options.json, ""), args.Has(Options.asIs),
            args.Has(Options.quiet)));
        args = Scripts.Cli.Parser.parse(Commands.predict, ["m.onnx", "--", "--top", "predict"]);
        CollectionAssert.AreEqual(new[] { "--top", "predict" }, args.All(Options.pictures).ToArray());
        Assert.Throws<InvalidOperationException>(() => args.Has(Options.epochs), "an option that the verb does not list");
    }

    /// <summary>Typed in a real bash: words of the script that completion prints.</summary>
    [TestMethod]
    [DataRow("onnxlenet tr", "train")]
    [DataRow("onnxlenet train --ep", "--epochs")]
    [DataRow("onnxlenet --opt", "--optimizer")]
    [DataRow("onnxlenet train --model lenet5-", "lenet5-1998")]
    [DataRow("onnxlenet train --model = small-v", "small-vgg")]
    [DataRow("onnxlenet help gpu", "gpu-check")]
    [DataRow("onnxlenet completion z", "zsh")]
    [DataRow("onnxlenet inspect uniq", "unique name.onnx")]
    [DataRow("onnxlenet train --out uniq", "unique name.onnx")]
    public void BashCompletes(string typed, string expected)
    {
        string bash = Tool.Require("bash");
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["completion"], Program.Run("completion", "bash").MustExit(0).Output);
        File.WriteAllText(folder["unique name.onnx"], "");
        File.WriteAllText(folder["try"], $"source ./completion; COMP_WORDS=({typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _onnxlenet; "
            + "printf '%s\\n' \"${COMPREPLY[@]}\"");
        var (code, output, errors) = Tool.Run(bash, folder.Path, "--norc", "./try");
        Assert.AreEqual(0, code, errors);
        Assert.AreEqual(expected, output.Trim());
    }

    /// <summary>Typed in a real PowerShell, all in one, for it starts slowly.</summary>
    [TestMethod]
    public void PowerShellCompletes()
    {
        string pwsh = Tool.Require("pwsh", "powershell");
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["completion.ps1"], Program.Run("completion", "powershell").MustExit(0).Output);
        (string Typed, string Expected)[] lines =
        [
            ("onnxlenet tr", "train"), ("onnxlenet train --mo", "--model --momentum"), ("onnxlenet --opt", "--optimizer"),
            ("onnxlenet train --model small-v", "small-vgg"), ("onnxlenet help gpu", "gpu-check"), ("onnxlenet completion z", "zsh"),
        ];
        File.WriteAllText(folder["try.ps1"], ". ./completion.ps1\n" + string.Concat(lines.Select(line =>
            $"$r = [System.Management.Automation.CommandCompletion]::CompleteInput('{line.Typed}', {line.Typed.Length}, $null)\n"
            + "($r.CompletionMatches | ForEach-Object CompletionText) -join ' '\n")));
        var (code, output, errors) = Tool.Run([("HOME", folder.Path), ("POWERSHELL_TELEMETRY_OPTOUT", "1")], pwsh, folder.Path,
            "-NoProfile", "-ExecutionPolicy", "Bypass", "-File", folder["try.ps1"]);
        Assert.AreEqual(0, code, errors);
        Assert.AreEqual(string.Join('\n', lines.Select(line => line.Expected)), output.ReplaceLineEndings("\n").Trim());
    }

    [TestMethod]
    [DataRow("zsh", "-n", "zsh")]
    [DataRow("bash", "-n", "bash")]
    public void AShellReadsItsScript(string shell, string check, string program)
    {
        string found = Tool.Require(program);
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["completion"], Program.Run("completion", shell).MustExit(0).Output);
        Assert.AreEqual((0, "", ""), Tool.Run(found, folder.Path, check, folder["completion"]));
    }

    [TestMethod]
    [DataRow("bash")]
    [DataRow("zsh")]
    [DataRow("powershell")]
    public void EveryOptionIsInTheScript(string shell)
    {
        string script = Program.Run("completion", shell).MustExit(0).Output;
        foreach (object[] row in Verbs)
            foreach (var option in Verb((string)row[0]).Options.Where(option => option.Group.Length > 0))
                Assert.Contains(option.Name, script);
        Assert.DoesNotContain("--step-memory", script);
    }

    /// <summary>A training ends with what was written and what can be typed next, and that works.</summary>
    [TestMethod]
    public void TrainingSaysWhatIsNext()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder, train: 64, test: 20);
        var run = Program.Run("--data", data, "--epochs", "1", "--out", folder["out"]).MustExit(0);
        string end = run.Output[run.Output.IndexOf("\nwritten", StringComparison.Ordinal)..];
        foreach (string file in new[] { "lenet5-small.onnx  the model", "lenet5-small.md    its card" }) Assert.Contains(file, end);
        string next = end.Split('\n').Single(line => line.Contains(" evaluate ", StringComparison.Ordinal)).Trim();
        Assert.Contains("verdict: the engine and ONNX Runtime agree", Program.Run("validate", folder["out/lenet5-small.onnx"], "--data",
            "none", "--batches", "1").MustExit(0).Output);
        string[] words = next[next.IndexOf("evaluate", StringComparison.Ordinal)..].Split(' ');
        Assert.Contains("accuracy", Program.Run(words).MustExit(0).Output);
    }

    /// <summary>Help needs none of the libraries that verbs do.</summary>
    [TestMethod]
    public void HelpStartsWithoutTheVerbsLibraries()
    {
        using var folder = new TemporaryFolder();
        string[] files = ["OnnxLeNet.Scripts.dll", "OnnxLeNet.Scripts.runtimeconfig.json", "OnnxLeNet.Numerics.dll", "OnnxLeNet.Onnx.dll",
            "FSharp.Core.dll"];
        foreach (string file in files) File.Copy(Path.Combine(AppContext.BaseDirectory, file), folder[file]);
        using var process = Process.Start(new ProcessStartInfo("dotnet", [folder["OnnxLeNet.Scripts.dll"], "train", "--help"])
        {
            RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true,
        })!;
        Assert.Contains("--epochs N", Program.Finish(process).MustExit(0).Output);
    }
}
