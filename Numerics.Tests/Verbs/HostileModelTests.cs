using System.Diagnostics;
using System.Globalization;
using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// Small files that ONNX Runtime ends with, hangs on or swells by, and the engine too. Each verb ends soon, in little memory, with an error
/// or a result.
/// </summary>
[TestClass]
public sealed class HostileModelTests
{
    /// <summary>Of a free machine 10 s; others may be at work while this is tested.</summary>
    private static readonly TimeSpan MostTime = TimeSpan.FromSeconds(30);

    private const long MostBytes = 1L << 30;

    private static readonly Dictionary<string, Func<ModelProto>> Files = new()
    {
        // Sizes that the checker knows, and such that only ONNX Runtime computes.
        ["tile"] = () => Of("Tile q s -> r").WithIntegers("s", 60_000_000),
        ["square"] = () => Of("Mul s s -> t\nConstantOfShape t -> r").WithIntegers("s", 25_000),
        ["behind-top-k"] = () => Of("TopK p k -> t i\nConcat i c -> u axis=0\nReduceMax u -> n\nTile q n -> r")
            .WithIntegers("k", 1).WithIntegers("c", 60_000_000),
        ["of-the-input"] = () => Of("Shape x -> s\nNonZero s -> z\nReduceSum z -> n keepdims=0\nMul n c -> t\nReshape t flat -> u\n"
            + "ConstantOfShape u -> r").WithIntegers("c", 200_000_000).WithIntegers("flat", 1),
        // Time.
        ["minutes"] = Minutes,
        // Kernels of ONNX Runtime's own, and what is none.
        ["nchwc"] = () =>
        {
            var model = Of("Conv x w4 -> r");
            (model.Graph.Node[0].Domain, model.Graph.Node[0].Name) = ("com.microsoft.nchwc", "own");
            model.OpsetImport.Add(new OperatorSetIdProto { Domain = "com.microsoft.nchwc", Version = 1 });
            return model;
        },
        ["missing-input"] = () => Of("LeakyRelu x -> l\nCast _ -> r to=1"),
        // The engine's own way to grow.
        ["padding"] = () => Padded(1_048_576),
        ["some-padding"] = () => Padded(65_536),
    };

    private static ModelProto Of(string nodes)
    {
        var model = Graphs.Of(17, new Shape(1, 32, 32), $"{nodes}\nReduceMax r -> m keepdims=0\nAdd x m -> h\nFlatten h -> f\n"
            + "MatMul f w -> logits", ("w", [1024, 10]), ("q", [10]), ("p", [3]), ("w4", [1, 1, 3, 3]), ("one", [1]));
        return Sized(model);
    }

    private static ModelProto Minutes() => Of("Expand one n -> a\nReduceMax x -> x0 keepdims=0\nAdd a x0 -> a1\nSin a1 -> b0\n"
        + string.Join('\n', Enumerable.Range(0, 1000).Select(i => $"MatMul b{i} a1 -> b{i + 1}")) + "\nIdentity b1000 -> r")
        .WithIntegers("n", 3000, 3000);

    private static ModelProto Padded(long by) => Sized(Graphs.Of(17, new Shape(1, 32, 32),
        "Pad x p -> a\nRelu a -> b\nGlobalAveragePool b -> h\nFlatten h -> f\nMatMul f w -> logits", ("w", [1, 10]))
        .WithIntegers("p", 0, 0, 0, 0, 0, 0, 0, by));

    /// <summary>With the output that a classifier declares.</summary>
    private static ModelProto Sized(ModelProto model)
    {
        model.Graph.Output[0] = GraphWriter.FloatValue("logits", "N", new Shape(10));
        return model;
    }

    public static IEnumerable<object[]> EachOnce => Files.Keys.Select(file => new object[] { file, "predict" })
        .Concat([["padding", "export"], ["padding", "export --training"], ["behind-top-k", "serve"], ["tile", "inspect"]]);

    private static readonly string[] Verbs =
        ["inspect", "predict", "evaluate", "validate", "export", "export --training", "export --int8", "report", "serve"];

    public static IEnumerable<object[]> All => from file in Files.Keys
        from verb in Verbs
        select new object[] { file, verb };

    [TestMethod]
    [DynamicData(nameof(EachOnce))]
    public void EndsInTimeAndMemory(string file, string verb) => Ends(file, verb);

    [TestMethod]
    [TestCategory("Soak")]
    [DynamicData(nameof(All))]
    public void EveryVerbEndsInTimeAndMemory(string file, string verb) => Ends(file, verb);

    private static void Ends(string file, string verb)
    {
        using var folder = new TemporaryFolder();
        string model = folder["model.onnx"];
        File.WriteAllBytes(model, Files[file]().ToByteArray());
        string[] input = ["--mean", "0", "--std", "1"], to = ["--to", folder["out.onnx"], "--data", "none"];
        string[] arguments = verb switch
        {
            "predict" => ["predict", model, .. input, Picture(folder)],
            "evaluate" => ["evaluate", model, .. input, "--padding", "2", "--data", SmallMnist.Write(folder)],
            "validate" => ["validate", model, "--data", "none"],
            "export" => ["export", model, .. to],
            "export --training" => ["export", model, "--training", "--to", folder["out.onnx"]],
            "export --int8" => ["export", model, "--int8", "--assume", "--to", folder["out.onnx"], "--data", SmallMnist.Write(folder)],
            "report" => ["report", model, "--to", folder["out.html"], "--data", SmallMnist.Write(folder)],
            "serve" => ["serve", model, "--port", "0", .. input],
            _ => ["inspect", model],
        };
        var watch = Stopwatch.StartNew();
        using var process = Program.Start(arguments);
        long most = 0;
        using var look = new Timer(_ => most = Math.Max(most, MemoryOf(process.Id)), null, 0, 50);
        if (verb == "serve")
        {
            // It serves, or says why not.
            if (process.StandardOutput.ReadLine() is { } line)
            {
                Assert.Contains("http://", line);
                process.Kill(entireProcessTree: true);
                return;
            }
        }
        var run = Program.Finish(process);
        Assert.IsLessThan(MostTime, watch.Elapsed);
        Assert.IsLessThan(MostBytes, most);
        Assert.IsTrue(run.ExitCode is >= 0 and <= 3, $"exit code {run.ExitCode}: {run.Errors}");
        var errors = run.Errors.Split('\n').Where(said => said.StartsWith("error:", StringComparison.Ordinal));
        if (run.ExitCode == 2) Assert.HasCount(1, errors);
        Assert.DoesNotContain("terminate called", run.Errors);
        Assert.DoesNotContain("[E:onnxruntime", run.Errors);
        run.MustExit(run.ExitCode);
    }

    /// <summary>A process that is ended from outside, is one message (a SIGSEGV from outside .NET takes for its own).</summary>
    [TestMethod]
    public void AnEndByASignalIsOneMessage()
    {
        if (!OperatingSystem.IsLinux()) Assert.Inconclusive("how a process is found by its parent is Linux's");
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["model.onnx"], Files["minutes"]().ToByteArray());
        using var process = Program.Start("evaluate", folder["model.onnx"], "--mean", "0", "--std", "1", "--data",
            SmallMnist.Write(folder));
        int child = 0;
        Assert.IsTrue(SpinWait.SpinUntil(() => (child = Children(process.Id).FirstOrDefault()) != 0 || process.HasExited,
            TimeSpan.FromSeconds(30)));
        Assert.AreNotEqual(0, child, "it runs in a process of its own");
        Thread.Sleep(500);
        using (var kill = Process.Start("kill", ["-KILL", child.ToString(CultureInfo.InvariantCulture)])) kill.WaitForExit();
        var run = Program.Finish(process).MustExit(2).MustSay("model.onnx ended ONNX Runtime (signal 9)");
        Assert.HasCount(1, run.Errors.Trim().Split('\n'));
    }

    /// <summary>What the engine imports runs in the process that was started, and so does what is trusted.</summary>
    [TestMethod]
    public void AModelThatTheEngineImportsNeedsNoProcessOfItsOwn()
    {
        if (!OperatingSystem.IsLinux()) Assert.Inconclusive("how a process is found by its parent is Linux's");
        using var folder = new TemporaryFolder();
        string trusted = folder["model.onnx"];
        File.WriteAllBytes(trusted, Files["minutes"]().ToByteArray());
        foreach (string[] arguments in new[] { ["predict", Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx"), Picture(folder)],
            new[] { "predict", trusted, "--mean", "0", "--std", "1", "--trust", Picture(folder) } })
        {
            using var process = Program.Start(arguments);
            var watch = Stopwatch.StartNew();
            while (!process.WaitForExit(50) && watch.Elapsed < TimeSpan.FromSeconds(3))
                Assert.IsEmpty(Children(process.Id), arguments[1]);
            if (!process.HasExited) process.Kill();
        }
    }

    private static string Picture(TemporaryFolder folder)
    {
        string path = folder["digit.pgm"];
        File.WriteAllBytes(path, [.. "P5\n32 32\n255\n"u8, .. Enumerable.Range(0, 1024).Select(i => (byte)(i % 32 == 9 ? 255 : 0))]);
        return path;
    }

    private static IEnumerable<int> Children(int parent)
    {
        foreach (string folder in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(folder), CultureInfo.InvariantCulture, out int id)) continue;
            string status;
            try { status = File.ReadAllText(Path.Combine(folder, "status")); }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException) { continue; } // it has just ended
            if (status.Contains($"\nPPid:\t{parent}\n", StringComparison.Ordinal)) yield return id;
        }
    }

    /// <summary>The most memory that a process or a child of it has had, where it can be told.</summary>
    private static long MemoryOf(int process)
    {
        if (!OperatingSystem.IsLinux()) return 0;
        long most = 0;
        foreach (int id in Children(process).Append(process))
        {
            try
            {
                string line = File.ReadLines($"/proc/{id}/status")
                    .FirstOrDefault(line => line.StartsWith("VmHWM:", StringComparison.Ordinal), "");
                if (line.Split(' ', StringSplitOptions.RemoveEmptyEntries) is [_, var number, ..])
                    most = Math.Max(most, long.Parse(number, CultureInfo.InvariantCulture) << 10);
            }
            catch (IOException) { } // it has just ended
        }
        return most;
    }
}
