using System.Globalization;
using System.IO.Compression;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using System.Text;
using System.Text.Json.Nodes;
using System.Xml.Linq;
using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// The packages as a .NET developer meets them: packed, installed into new projects outside the repository, and used there.
/// </summary>
[TestClass]
public sealed class PackageTests
{
    private readonly PackedFixture packed = PackedFixture.Shared;

    [TestMethod]
    [DataRow("OnnxLeNet.Numerics")]
    [DataRow("OnnxLeNet.Onnx")]
    [DataRow("OnnxLeNet")]
    public void APackageSaysWhatItIs(string id)
    {
        using var package = ZipFile.OpenRead(Path.Combine(packed.Source, $"{id}.{packed.Version}.nupkg"));
        var metadata = XDocument.Load(package.Entries.Single(entry => entry.Name == $"{id}.nuspec").Open()).Root!.Elements().Single();
        XElement Element(string name) => metadata.Elements().Single(element => element.Name.LocalName == name);
        Assert.AreEqual("MIT", Element("license").Value);
        Assert.AreEqual("README.md", Element("readme").Value);
        Assert.StartsWith("https://", Element("projectUrl").Value);
        Assert.IsGreaterThan(4, Element("tags").Value.Split(' ').Length);
        Assert.IsGreaterThan(40, Element("description").Value.Length);
        Assert.AreEqual(40, Element("repository").Attribute("commit")!.Value.Length);
        using (var readme = new StreamReader(package.GetEntry("README.md")!.Open())) Assert.StartsWith($"# {id}\n", readme.ReadToEnd());
        using (var bill = new StreamReader(package.GetEntry(BillOfMaterials.FileName)!.Open()))
            Assert.AreEqual(packed.Version, (string)JsonNode.Parse(bill.ReadToEnd())!["metadata"]!["component"]!["version"]!);
        if (id == "OnnxLeNet") return;
        Assert.IsNotNull(package.GetEntry($"lib/net10.0/{id}.xml"), "the documentation");
        Assert.IsFalse(package.Entries.Any(entry => entry.FullName.StartsWith("runtimes/", StringComparison.Ordinal)), "native libraries");
        using var image = new PEReader(new MemoryStream(Bytes(package.GetEntry($"lib/net10.0/{id}.dll")!)));
        Assert.IsTrue(image.ReadDebugDirectory().Any(entry => entry.Type == DebugDirectoryEntryType.Reproducible),
            "the build is deterministic");
    }

    [TestMethod]
    public void TheLibrariesAreSmall()
    {
        long Size(string id) => new FileInfo(Path.Combine(packed.Source, $"{id}.{packed.Version}.nupkg")).Length;
        Assert.IsLessThan(1_000_000, Size("OnnxLeNet.Numerics"));
        Assert.IsLessThan(1_000_000, Size("OnnxLeNet.Onnx"));
        Assert.IsLessThan(100_000_000, Size("OnnxLeNet"));
    }

    /// <summary>The symbols say where each source file of this commit is, and no path of the machine that built them.</summary>
    [TestMethod]
    [DataRow("OnnxLeNet.Numerics")]
    [DataRow("OnnxLeNet.Onnx")]
    public void SymbolsHaveSourceLinks(string id)
    {
        var sourceLink = new Guid("CC110556-A091-4D38-9FEC-25AB9A351A6A");
        using var package = ZipFile.OpenRead(Path.Combine(packed.Source, $"{id}.{packed.Version}.snupkg"));
        using var provider = MetadataReaderProvider.FromPortablePdbStream(
            new MemoryStream(Bytes(package.GetEntry($"lib/net10.0/{id}.pdb")!)));
        var reader = provider.GetMetadataReader();
        var links = reader.CustomDebugInformation.Select(reader.GetCustomDebugInformation)
            .Where(information => reader.GetGuid(information.Kind) == sourceLink)
            .Select(information => JsonNode.Parse(reader.GetBlobBytes(information.Value))!["documents"]!.AsObject()).Single();
        var (from, to) = (links.Single().Key.TrimEnd('*'), (string)links.Single().Value!);
        Assert.StartsWith("https://raw.githubusercontent.com/", to);
        string[] documents = [.. reader.Documents.Select(handle => reader.GetString(reader.GetDocument(handle).Name))
            .Where(name => !name.Contains("/obj/", StringComparison.Ordinal))];
        Assert.IsGreaterThan(20, documents.Length);
        foreach (string document in documents) Assert.StartsWith(from, document);
    }

    private static readonly string OnnxRuntime =
        $"Microsoft.ML.OnnxRuntime {PackedFixture.CentralVersion("Microsoft.ML.OnnxRuntime")}";

    /// <summary>The first program of the exporter's README without the native half; with it, it is the beginning of the README's.</summary>
    internal static IEnumerable<PackedProgram> Programs =>
    [
        new("WithoutNative", $$"""
            try { Run(); }
            catch (OnnxLeNet.Onnx.MissingDeviceException e) { Console.WriteLine($"refused: {e.Message}"); }
            Console.WriteLine(File.Exists("net.onnx") ? "exported" : "not exported");
            static void Run() => Parts.Run();
            static class Parts { public static void Run() { {{Body(Code("Onnx"))}} } }
            """, "OnnxLeNet.Onnx")
        {
            More = new Dictionary<string, string>
            {
                ["Usings.cs"] = "global using OnnxLeNet.Numerics; global using OnnxLeNet.Onnx;",
            },
        },
    ];

    /// <summary>What came along with the README's program is Math.NET and the decoder of pictures alone.</summary>
    [TestMethod]
    public void AProjectThatTrains()
    {
        Assert.StartsWith("64 of 64 right", CSharpBlocksTests.PrintedBy("Numerics"));
        CollectionAssert.AreEquivalent(new[] { "MathNet.Numerics", "OnnxLeNet.Numerics", "StbImageSharp" },
            Restored(packed.Built(CSharpBlocksTests.NameOf("Numerics")).Folder));
    }

    /// <summary>
    /// Without the native half all but ONNX Runtime works, and the error names the package to add; with it everything does.
    /// </summary>
    [TestMethod]
    public void AProjectThatExportsWithAndWithoutTheNativeHalf()
    {
        string said = packed.RunBuilt("WithoutNative");
        Assert.Contains("refused: ", said);
        Assert.Contains("dotnet add package Microsoft.ML.OnnxRuntime", said);
        Assert.Contains("exported", said);
        Assert.DoesNotContain("not exported", said);
        string without = packed.Built("WithoutNative").Folder;
        string[] restored = Restored(without);
        CollectionAssert.Contains(restored, "Microsoft.ML.OnnxRuntime.Managed");
        CollectionAssert.DoesNotContain(restored, "Microsoft.ML.OnnxRuntime");
        CollectionAssert.DoesNotContain(restored, "Grpc.Tools");
        Assert.IsLessThan(60_000_000, Size(without), string.Join(", ", restored));

        said = CSharpBlocksTests.PrintedBy("Onnx");
        Assert.IsTrue(said.Split('\n').Take(4).All(line => line.TrimEnd().EndsWith("agrees", StringComparison.Ordinal)), said);
    }

    /// <summary>The tool, installed and run where there is no repository: the finished model lies in the folder one stands in.</summary>
    [TestMethod]
    public void TheToolTrainsOutsideTheRepository()
    {
        string tools = packed.NewFolder("tools"), here = packed.NewFolder("somewhere");
        packed.DotNet(here, "tool", "install", "OnnxLeNet", "--tool-path", tools, "--version", packed.Version);
        string tool = Path.Combine(tools, OperatingSystem.IsWindows() ? "onnxlenet.exe" : "onnxlenet");
        Assert.AreEqual($"onnxlenet {packed.Version}", Tool.Run(tool, here, "--version").Output.Trim());
        var (code, output, errors) = Tool.Run(tool, here, "train", "--epochs", "1");
        Assert.AreEqual(0, code, $"{output}\n{errors}");
        CollectionAssert.AreEquivalent(new[] { "lenet5-mnist.md", "lenet5-mnist.onnx" }, Directory.GetFiles(Path.Combine(here, "models"))
            .Select(Path.GetFileName).ToArray());
        Assert.Contains("models/lenet5-mnist.onnx", output.Replace('\\', '/'));
        (code, output, errors) = Tool.Run(tool, here, "--help");
        Assert.AreEqual(0, code, $"{output}\n{errors}");
        Assert.Contains("onnxlenet", output);
        Assert.DoesNotContain("--project", output);
    }

    /// <summary>
    /// Compiled ahead of time, without a warning: a program that loads a model with the engine, predicts, and runs it in ONNX Runtime too.
    /// It is one file of a few megabytes (and ONNX Runtime's library), and needs no .NET.
    /// </summary>
    [TestMethod]
    [TestCategory("Soak")]
    public void AProgramCompiledAheadOfTime()
    {
        if (!OperatingSystem.IsWindows()) Tool.Require("clang", "gcc");
        string project = packed.NewProject(new("Ahead", """
            using OnnxLeNet.Numerics;
            using OnnxLeNet.Onnx;
            var imported = OnnxImporter.Import(args[0]);
            var predictor = new Predictor(imported.Network, imported.Sample);
            var scores = new float[predictor.Outputs];
            predictor.Run(new float[imported.Sample.Count], scores);
            Print(scores);
            using var model = OrtModel.Load(args[0]);
            Print(model.Run(new float[1024], batch: 1));
            static void Print(IEnumerable<float> scores) =>
                Console.WriteLine(string.Join(' ', scores.Select(score => score.ToString("F3"))));
            """, "OnnxLeNet.Onnx", OnnxRuntime), "<PublishAot>true</PublishAot><InvariantGlobalization>true</InvariantGlobalization>");
        packed.DotNet(project, "publish", "-c", "Release", "-o", "published");
        string file = Path.Combine(project, "published", OperatingSystem.IsWindows() ? "Ahead.exe" : "Ahead");
        Assert.IsLessThan(16_000_000, new FileInfo(file).Length);
        string model = Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx");
        var (code, output, errors) = Tool.Run([("DOTNET_ROOT", "/nowhere")], file, project, model);
        Assert.AreEqual(0, code, $"{output}\n{errors}");
        var imported = OnnxImporter.Import(model);
        double[] expected = Inference.Run(imported.Network, new Batch(1, imported.Sample, requiresGrad: false)).ToTensor().Data.ToDouble();
        string[] lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        Assert.HasCount(2, lines);
        foreach (string line in lines)
        {
            double[] scores = [.. line.Split(' ').Select(number => double.Parse(number, CultureInfo.InvariantCulture))];
            Close.Assert(line, expected, scores, 0, 2e-3);
        }
    }

    private static byte[] Bytes(ZipArchiveEntry entry)
    {
        using var stream = entry.Open();
        using var copy = new MemoryStream();
        stream.CopyTo(copy);
        return copy.ToArray();
    }

    /// <summary>The program of a package's README: its first block of C#.</summary>
    private static string Code(string project) =>
        Markdown.Blocks(Markdown.Readme(project)).First(block => block.Language == "csharp").Text;

    /// <summary>A program's statements, without its using directives.</summary>
    private static string Body(string code) =>
        string.Join('\n', code.Split('\n').Where(line => !line.StartsWith("using OnnxLeNet", StringComparison.Ordinal)));

    private static JsonObject Libraries(string project) =>
        JsonNode.Parse(File.ReadAllText(Path.Combine(project, "obj", "project.assets.json"), Encoding.UTF8))!["libraries"]!.AsObject();

    private static string[] Restored(string project) => [.. Libraries(project).Select(library => library.Key.Split('/')[0])];

    /// <summary>Bytes of the packages that a project restored, unpacked.</summary>
    private static long Size(string project)
    {
        string[] folders = [.. JsonNode.Parse(File.ReadAllText(Path.Combine(project, "obj",
            "project.assets.json")))!["packageFolders"]!.AsObject().Select(folder => folder.Key)];
        return Libraries(project).Sum(library => folders.Select(folder => Path.Combine(folder, (string)library.Value!["path"]!))
            .Where(Directory.Exists).Take(1)
            .Sum(folder => Directory.GetFiles(folder, "*", SearchOption.AllDirectories).Sum(file => new FileInfo(file).Length)));
    }
}
