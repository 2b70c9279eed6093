using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// The C# of each README compiles as it stands, its blocks in order as one program, in a new project that installs the packages; and what
/// the program prints holds the lines that the README shows.
/// </summary>
[TestClass]
public sealed partial class CSharpBlocksTests
{
    private static readonly string OnnxRuntime = $"Microsoft.ML.OnnxRuntime {PackedFixture.CentralVersion("Microsoft.ML.OnnxRuntime")}";

    private static readonly string[] Folders = ["Numerics", "Onnx", ""];

    private static readonly ConcurrentDictionary<string, Lazy<string>> Printed = [];

    /// <summary>The name of a README's program.</summary>
    internal static string NameOf(string folder) => $"Readme{folder}";

    /// <summary>What a README's program prints, which is run once.</summary>
    internal static string PrintedBy(string folder) => Printed.GetOrAdd(folder, _ => new(() =>
    {
        WriteWhatTheyRead(PackedFixture.Shared.Built(NameOf(folder)).Folder);
        return PackedFixture.Shared.RunBuilt(NameOf(folder));
    })).Value;

    /// <summary>One for each README, and the web application of the repository's.</summary>
    internal static IEnumerable<PackedProgram> Programs => Folders.Select(ProgramOf).Append(
        new("Web", Markdown.Blocks(Markdown.Readme()).Single(block => block.Language == "cs").Text, "OnnxLeNet.Onnx", OnnxRuntime)
        {
            Sdk = "Microsoft.NET.Sdk.Web",
        });

    private static PackedProgram ProgramOf(string folder)
    {
        var code = Markdown.Blocks(Markdown.Readme(folder)).Where(block => block.Language == "csharp").ToArray();
        string statements = string.Concat(code.Where(block => !IsType(block)).Select(block => block.Text));
        return new(NameOf(folder), statements, folder == "Numerics" ? ["OnnxLeNet.Numerics"] : ["OnnxLeNet.Onnx", OnnxRuntime])
        {
            More = code.Where(IsType).ToDictionary(block => $"Line{block.Line}.cs", block => Usings(code[0]) + block.Text),
        };
    }

    [TestMethod]
    [DataRow("Numerics", 10)]
    [DataRow("Onnx", 5)]
    [DataRow("", 2)]
    public void TheyAreOneProgram(string folder, int least)
    {
        var blocks = Markdown.Blocks(Markdown.Readme(folder));
        Assert.IsGreaterThanOrEqualTo(least, blocks.Count(block => block.Language == "csharp"));
        string printed = PrintedBy(folder);
        foreach (var (block, next) in blocks.Zip(blocks.Skip(1)))
        {
            if (block.Language != "csharp" || next.Language != "text") continue;
            foreach (string line in next.Text.Split('\n').Where(line => line.Trim() is not ("" or "…")))
                Assert.Contains(line, printed, $"README line {next.Line} and on");
        }
    }

    /// <summary>The web application of the repository's README, built and started, tells what a picture shows.</summary>
    [TestMethod]
    public async Task TheWebApplicationAnswers()
    {
        var (project, assembly) = PackedFixture.Shared.Built("Web");
        WriteWhatTheyRead(project);
        using var application = Process.Start(new ProcessStartInfo("dotnet", [assembly, "--urls", "http://127.0.0.1:0"])
        {
            WorkingDirectory = project, RedirectStandardOutput = true,
        })!;
        try
        {
            string? line;
            do line = await application.StandardOutput.ReadLineAsync(CancellationToken.None);
            while (line is not null && !line.Contains("Now listening on: ", StringComparison.Ordinal));
            Assert.IsNotNull(line, "it ended before it listened");
            using var client = new HttpClient { Timeout = TimeSpan.FromMinutes(1) };
            using var picture = new ByteArrayContent(await File.ReadAllBytesAsync(Path.Combine(project, "digit.png")));
            using var response = await client.PostAsync(new Uri(line.Split("Now listening on: ")[1].Trim() + "/predict"), picture);
            var shown = JsonNode.Parse(await response.EnsureSuccessStatusCode().Content.ReadAsStringAsync())!;
            Assert.AreEqual("7", (string)shown["class"]!);
            Assert.IsGreaterThan(0.9, (double)shown["probability"]!);
        }
        finally { application.Kill(entireProcessTree: true); }
    }

    /// <summary>The models of the repository, some of MNIST, and a picture.</summary>
    private static void WriteWhatTheyRead(string project)
    {
        using var folder = new TemporaryFolder();
        Directory.Move(SmallMnist.Write(folder), Path.Combine(project, "mnist"));
        string models = Directory.CreateDirectory(Path.Combine(project, "models")).FullName;
        File.Copy(Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx"), Path.Combine(models, "lenet5-mnist.onnx"));
        Repository.Mnist.Test.PictureAt(0).WritePng(Path.Combine(project, "digit.png"));
    }

    /// <summary>Whether a block is a type, which C# wants in a file of its own or behind all statements.</summary>
    private static bool IsType(CodeBlock block) => TypeDeclaration().IsMatch(block.Text);

    /// <summary>The using directives that stand at a program's beginning.</summary>
    private static string Usings(CodeBlock block) =>
        string.Concat(block.Text.Split('\n').TakeWhile(line => line.StartsWith("using ", StringComparison.Ordinal))
            .Select(line => line + "\n"));

    [GeneratedRegex(@"\A(///.*\n)*(internal|public) (sealed |static |abstract )*(class|record|struct|interface) ")]
    private static partial Regex TypeDeclaration();
}
