using System.Globalization;
using System.IO.Compression;
using System.Text.RegularExpressions;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// A newcomer's way with real pictures, as the README goes it: the letters A to J in twenty free fonts, of uneven sizes, in colours, as PNG
/// and JPEG, and in ten other fonts for the test (<c>Reference/letters.py</c> drew them).
/// </summary>
[TestClass]
public sealed partial class LettersTests
{
    private static readonly Lazy<(TemporaryFolder Folder, List<(string Command, string[] Lines)> Runs)> Trained = new(Train);

    [ClassCleanup]
    public static void DeleteWhatWasTrained()
    {
        if (Trained.IsValueCreated) Trained.Value.Folder.Dispose();
    }

    /// <summary>Runs the commands of the README, with letters for photos.</summary>
    private static (TemporaryFolder, List<(string, string[])>) Train()
    {
        var folder = new TemporaryFolder();
        Directory.Move(Unpack(folder), folder["photos"]);
        File.Copy(Directory.GetFiles(folder["photos/test/C"]).Order(StringComparer.Ordinal).First(), folder["holiday.jpg"]);
        const string Start = "dotnet run --project Scripts -c Release -- ";
        string[] commands = Markdown.Blocks(Markdown.Readme())
            .Single(block => block.Language == "sh" && block.Heading == "Your own pictures").Text
            .Split('\n', StringSplitOptions.RemoveEmptyEntries);
        var runs = new List<(string, string[])>();
        foreach (string command in commands)
        {
            Assert.StartsWith(Start, command);
            string[] words = command[Start.Length..].Split(' ');
            if (words[0] == "train") words = [.. words, "--json", "run.json"];
            runs.Add((command.Replace(Start, "… ", StringComparison.Ordinal),
                FiguresTests.Lines(Program.RunIn(folder.Path, words).MustExit(0).Output)));
        }
        return (folder, runs);
    }

    /// <summary>The README shows what these commands print, and the name of the class is right.</summary>
    [TestMethod]
    public void TheReadmeShowsWhatIsPrinted()
    {
        var shown = new List<string>();
        foreach (var (command, lines) in Trained.Value.Runs)
        {
            if (shown.Count > 0) shown.Add("");
            shown.Add($"$ {command}");
            shown.AddRange(command.Contains(" train ", StringComparison.Ordinal)
                ? lines.Where(line => line.StartsWith("  epoch 20", StringComparison.Ordinal))
                    .Concat(FiguresTests.Section(lines, "test accuracy"))
                : command.Contains(" validate ", StringComparison.Ordinal) ? lines[^1..] : lines);
        }
        StringAssert.Contains(shown[^4] + shown[^3] + shown[^2] + shown[^1], " C ");
        Figures.AssertCurrent("", "letters", FiguresTests.Block(shown));
    }

    [TestMethod]
    public void FromAFolderOfPicturesToThePredictionOfAPhoto()
    {
        var folder = Trained.Value.Folder;
        var run = folder.Json("run.json");
        Assert.AreEqual(100, (int)run["parity"]!["samples"]!);
        Assert.IsGreaterThan(0.9, (double)run["testAccuracy"]!);
        string letters = folder["photos"], file = folder["models/small-vgg-photos.onnx"];

        // A photo that is in no folder of the data: larger, wide, with the letter somewhere in its middle.
        var letter = Picture.Load(Path.Combine(letters, "test", "C", "cabin-0.jpg"));
        letter = letter.Resize((4 * letter.Height, 4 * letter.Width));
        var (wide, pixels) = (letter.Width + 300, new byte[3 * (letter.Width + 300) * letter.Height]);
        for (int i = 0; i < pixels.Length; i++)
        {
            int column = i / 3 % wide - 150, row = i / 3 / wide;
            pixels[i] = letter.Pixels[column < 0 || column >= letter.Width ? i % 3 : 3 * (row * letter.Width + column) + i % 3];
        }
        new Picture(wide, letter.Height, 3, pixels).WritePng(folder["my photo.png"]);
        foreach (string photo in new[] { folder["my photo.png"], Path.Combine(letters, "test", "C", "cabin-0.jpg") })
        {
            var answer = Program.Run("predict", file, photo, "--json", folder["photo.json"]).MustExit(0);
            Assert.StartsWith($"{photo}   C   engine and ONNX Runtime agree\n  C ", answer.Output);
            Assert.AreEqual("C", (string)folder.Json("photo.json")["predictions"]![0]!["class"]!);
        }

        Program.Run("evaluate", file, "--data", letters, "--mistakes", folder["mistakes.png"], "--json", folder["e.json"]).MustExit(0);
        Assert.AreEqual((double)run["testAccuracy"]!, (double)folder.Json("e.json")["accuracy"]!);

        // Picture by picture, a class and its probability; as many are right as evaluate says.
        Program.Run("predict", file, Path.Combine(letters, "test"), "--json", folder["p.json"]).MustExit(0);
        var predictions = folder.Json("p.json")["predictions"]!.AsArray();
        Assert.HasCount(100, predictions);
        int right = predictions.Count(row => Path.GetFileName(Path.GetDirectoryName((string)row!["file"]!)) == (string)row["class"]!);
        Assert.AreEqual((double)run["testAccuracy"]!, right / 100.0, 1e-9);
        foreach (var row in predictions) Assert.IsTrue((bool)row!["agree"]!);
    }

    /// <summary>The README's F# as it is pasted; the example of the same network is the same script.</summary>
    [TestMethod]
    public void TheScriptOfAnOwnNetworkRuns()
    {
        using var folder = new TemporaryFolder();
        string letters = Unpack(folder), built = AppContext.BaseDirectory.Replace('\\', '/');
        Directory.Move(letters, folder["photos"]);
        string scripts = Path.Combine(Repository.Root, "Scripts");
        Directory.CreateDirectory(folder["Scripts"]);
        // What is under test here may be another build than the one that the scripts name.
        File.WriteAllText(folder["Scripts/onnxlenet.fsx"], File.ReadAllText(Path.Combine(scripts, "onnxlenet.fsx"))
            .Replace("bin/Release/net10.0/", built, StringComparison.Ordinal));
        string script = Markdown.Blocks(Markdown.Readme()).Single(block => block.Language == "fsharp").Text;
        File.WriteAllText(folder["my.fsx"], script);
        string example = File.ReadAllText(Path.Combine(scripts, "Examples", "own-network.fsx"));
        Assert.EndsWith(script.Replace("Scripts/onnxlenet.fsx", "../onnxlenet.fsx", StringComparison.Ordinal), example);

        var (code, output, errors) = Tool.Run("dotnet", folder.Path, "fsi", "my.fsx");
        if (code != 0 && (output + errors).Contains("fsi does not exist", StringComparison.Ordinal))
            Assert.Inconclusive("this SDK has no fsi");
        Assert.AreEqual(0, code, $"{output}\n{errors}");
        Assert.Contains("(body): Sequential(", output);
        var accuracy = Accuracy().Match(output);
        Assert.IsGreaterThan(85, double.Parse(accuracy.Groups[1].Value, CultureInfo.InvariantCulture), output);
        // The command line cannot repeat it, and the card does not say that it could.
        string card = File.ReadAllText(folder["models/Mine-photos.md"]);
        Assert.Contains("| a script's | network, with `train --model Mine --data photos", card);
        Assert.Contains("the same script gives the same bytes", card);
        Assert.DoesNotContain("dotnet run", card);
        Program.Run("predict", folder["models/Mine-photos.onnx"], Directory.GetFiles(folder["photos/test/A"])[0]).MustExit(0);
    }

    internal static string Unpack(TemporaryFolder folder)
    {
        ZipFile.ExtractToDirectory(Path.Combine(Repository.Root, "Numerics.Tests", "Reference", "letters.zip"), folder.Path);
        return folder["letters"];
    }

    [GeneratedRegex(@"test accuracy +engine (\d+\.\d+)%")]
    private static partial Regex Accuracy();
}
