using System.Net;
using System.Text.RegularExpressions;
using Microsoft.FSharp.Core;
using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// The documents' programs in other languages, taken from them and run: each prints the classes that this project finds for the first ten
/// test images. Inconclusive where a tool is not installed.
/// </summary>
[TestClass]
public sealed partial class OtherAppsTests
{
    /// <summary>What the project itself says of the ten images, the engine and ONNX Runtime alike.</summary>
    private static readonly Lazy<string> Classes = new(() =>
    {
        string file = Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx");
        var (images, _) = Repository.Mnist.Test.Take([.. Enumerable.Range(0, 10)]);
        using var model = OrtModel.Load(file);
        int[] own = Inference.ArgMax(Inference.Run(OnnxImporter.Import(file).Network, images).ToTensor());
        CollectionAssert.AreEqual(own, Inference.ArgMax(model.Run(images.ToTensor())));
        return string.Join(' ', own);
    });

    internal static PackedProgram CSharpProgram => new("App", Block("cs"),
        $"Microsoft.ML.OnnxRuntime {PackedFixture.CentralVersion("Microsoft.ML.OnnxRuntime")}");

    [TestMethod]
    public void ACSharpProgramThatRefersToOnnxRuntimeAlone() =>
        AssertPrintsTheClasses(Tool.Run("dotnet", Repository.Root, PackedFixture.Shared.Built(CSharpProgram.Name).Assembly));

    /// <summary>A folder with Node's packages.</summary>
    private static readonly Lazy<TemporaryFolder> Installed = new(() =>
    {
        var folder = new TemporaryFolder();
        Install("Numerics.Tests/Node", folder);
        return folder;
    });

    [ClassCleanup]
    public static void DeleteWhatWasInstalled()
    {
        if (Installed.IsValueCreated) Installed.Value.Dispose();
    }

    [TestMethod]
    public void ANodeProgram()
    {
        string node = Tool.Require("node");
        var folder = Installed.Value;
        File.WriteAllText(folder["app.mjs"], Block("js"));
        AssertPrintsTheClasses(Tool.Run(node, Repository.Root, folder["app.mjs"]));
    }

    [TestMethod]
    public void APageInABrowser()
    {
        string browser = Tool.Require("chromium", "chromium-browser", "google-chrome");
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["page.html"], Block("html"));
        using var server = new FileServer(folder.Path, OnnxRuntimeForTheWeb(), Repository.Root);
        var (_, page, errors) = Tool.Run(browser, folder.Path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", $"--user-data-dir={folder["profile"]}",
                "--enable-logging=stderr",
            "--virtual-time-budget=60000", "--dump-dom", $"{server.Address}page.html");
        string classes = string.Join(' ', Caption().Matches(page).Select(match => match.Groups[1].Value));
        Assert.AreEqual(Classes.Value, classes, $"{page}\n{errors}");
    }

    [TestMethod]
    public void APythonProgramWithOnnxRuntime()
    {
        string python = RequirePython("numpy", "onnxruntime");
        AssertPrintsTheClasses(Tool.Run(python, Repository.Root, "-c", Block("python", with: "onnxruntime.InferenceSession")));
    }

    [TestMethod]
    public void APythonProgramWithPyTorch()
    {
        string python = RequirePython("onnx", "torch");
        AssertPrintsTheClasses(Tool.Run(python, Repository.Root, "-c", Block("python", with: "load_state_dict")));
    }

    [TestMethod]
    public void ANodeProgramThatTrains()
    {
        string node = Tool.Require("node");
        var folder = Installed.Value;
        WriteTrainingStep(folder);
        File.WriteAllText(folder["train.mjs"], Block("javascript").Replace("\"lenet5-train", $"\"{folder.Path}/lenet5-train",
            StringComparison.Ordinal));
        AssertPrintsTheLosses(Tool.Run(node, Repository.Root, folder["train.mjs"]));
    }

    [TestMethod]
    public void APythonProgramThatTrains()
    {
        string python = RequirePython("numpy", "onnxruntime");
        using var folder = new TemporaryFolder();
        WriteTrainingStep(folder);
        AssertPrintsTheLosses(Tool.Run(python, Repository.Root, "-c",
            Block("py").Replace("f\"lenet5-train", $"f\"{folder.Path}/lenet5-train", StringComparison.Ordinal)));
    }

    /// <summary>A new network's, as the documents' programs take it.</summary>
    private static void WriteTrainingStep(TemporaryFolder folder)
    {
        var network = Networks.LeNet5(1);
        var optimizer = new SGD(network.Parameters(), 0.03, 0.9);
        OnnxFile.Write(TrainingExporter.Export(network, new Shape(1, 32, 32), "lenet5", optimizer), folder["lenet5-train.onnx"]);
        OnnxFile.Write(TrainingExporter.ExportInitial(network, optimizer, "lenet5"), folder["lenet5-train-init.onnx"]);
    }

    /// <summary>The losses are those of the engine, trained alike.</summary>
    private static void AssertPrintsTheLosses((int Code, string Output, string Errors) run)
    {
        Assert.AreEqual(0, run.Code, $"{run.Output}\n{run.Errors}");
        var network = Networks.LeNet5(1).Train();
        var optimizer = new SGD(network.Parameters(), 0.03, 0.9);
        var steps = new TrainingSteps(network, new CrossEntropyLoss(), optimizer);
        var images = Repository.Mnist.Train;
        double[] losses = [.. Enumerable.Range(0, 100).Select(step => steps.Step(images, [.. Enumerable.Range(64 * step, 64)]))];
        string[] lines = run.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        Assert.HasCount(4, lines, run.Output);
        foreach (var (line, i) in lines.Select((line, i) => (line, 33 * i)))
        {
            Assert.StartsWith($"step {i}: loss ", line);
            double loss = double.Parse(line.Split(' ')[^1], System.Globalization.CultureInfo.InvariantCulture);
            // Rounding lets a pool choose otherwise now and then, and from there on the steps go another way, as well as this one.
            if (i <= 33) Close.Assert(line, [losses[i]], [loss], 0, i == 0 ? 1e-4 : 0.02);
            else Assert.IsLessThan(0.3 * losses[0], loss, line);
        }
    }

    /// <summary>The only block in a language, or the only one with a text in it, of the programs that run a model or the training
    /// step.</summary>
    private static string Block(string language, string with = "") =>
        Markdown.Blocks(Markdown.Readme("models") + Markdown.Readme("Onnx"))
            .Single(block => block.Language == language && block.Text.Contains(with, StringComparison.Ordinal)).Text;

    private static void AssertPrintsTheClasses((int Code, string Output, string Errors) run)
    {
        Assert.AreEqual(0, run.Code, $"{run.Output}\n{run.Errors}");
        Assert.AreEqual(Classes.Value, run.Output.Trim(), run.Errors);
    }

    /// <summary>A folder whose node_modules has it, as <c>serve</c> has fetched it.</summary>
    private static string OnnxRuntimeForTheWeb()
    {
        Tool.Require("npm");
        try
        {
            string dist = Scripts.Web.OnnxRuntimeWeb.fetch(FuncConvert.FromAction<string>(_ => { }));
            return Path.GetFullPath(Path.Combine(dist, "..", "..", ".."));
        }
        catch (MissingPartException error) when (Unreachable().IsMatch(error.Message))
        {
            Assert.Inconclusive($"npm's registry cannot be reached: {error.Message}");
            throw;
        }
    }

    /// <summary>The npm packages of a lock file; their own scripts, which fetch parts for GPUs, are not run.</summary>
    private static void Install(string locked, TemporaryFolder folder)
    {
        string npm = Tool.Require("npm");
        foreach (string file in new[] { "package.json", "package-lock.json" }) File.Copy(Path.Combine(Repository.Root, locked, file),
            folder[file]);
        var (code, output, errors) = Tool.Run(npm, folder.Path, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline",
            "--loglevel=error");
        if (code != 0 && Unreachable().IsMatch(errors)) Assert.Inconclusive($"npm's registry cannot be reached: {errors}");
        Assert.AreEqual(0, code, $"{output}\n{errors}");
    }

    private static string RequirePython(params string[] modules)
    {
        string python = File.Exists("/usr/bin/python3") ? "/usr/bin/python3" : Tool.Require("python3", "python");
        foreach (string module in modules)
        {
            if (Tool.Run(python, Repository.Root, "-c",
                $"import importlib.util, sys; sys.exit(importlib.util.find_spec('{module}') is None)").Code != 0)
                Assert.Inconclusive($"{python} has no module {module}");
        }
        return python;
    }

    [GeneratedRegex("<figcaption>([^<]*)</figcaption>")]
    private static partial Regex Caption();

    [GeneratedRegex("ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH")]
    private static partial Regex Unreachable();

    /// <summary>Serves the files of some folders on this machine; of two with the same path, the first folder's.</summary>
    private sealed class FileServer : IDisposable
    {
        private readonly HttpListener listener;
        private readonly string[] folders;

        public FileServer(params string[] folders)
        {
            this.folders = folders;
            for (int attempt = 0; ; attempt++)
            {
                Address = $"http://localhost:{Random.Shared.Next(20000, 60000)}/";
                listener = new HttpListener { Prefixes = { Address } };
                try
                {
                    listener.Start();
                    break;
                }
                catch (HttpListenerException) when (attempt < 20) { } // the port is taken
            }
            _ = Serve();
        }

        public string Address { get; }

        public void Dispose() => listener.Close();

        private async Task Serve()
        {
            while (listener.IsListening)
            {
                HttpListenerContext context;
                try { context = await listener.GetContextAsync(); }
                catch (Exception e) when (e is HttpListenerException or ObjectDisposedException) { return; }
                string path = context.Request.Url!.AbsolutePath.TrimStart('/');
                string? file = folders.Select(folder => Path.Combine(folder, path)).FirstOrDefault(File.Exists);
                using var response = context.Response;
                response.StatusCode = file is null ? 404 : 200;
                response.ContentType = Path.GetExtension(path) switch { ".html" => "text/html", ".mjs" => "text/javascript",
                    ".wasm" => "application/wasm", _ => "application/octet-stream" };
                try
                {
                    if (file is not null) await response.OutputStream.WriteAsync(await File.ReadAllBytesAsync(file));
                }
                catch (HttpListenerException) { } // the browser has gone
            }
        }
    }
}
