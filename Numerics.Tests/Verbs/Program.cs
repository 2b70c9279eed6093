using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json.Nodes;
using OnnxLeNet.Numerics;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// Runs the verbs as a person does: arguments, an exit code and two streams. <see cref="Spawn(string[])"/> gives each a process of its own;
/// <see cref="Run(string[])"/> saves its start, which takes longer than most verbs, and runs in this process what leaves nothing behind
/// there; <see cref="RunHere"/> runs anything there: what is refused or only prints, or in a class that has the process to itself.
/// </summary>
internal sealed record Program(int ExitCode, string Output, string Errors)
{
    /// <summary>The program's file.</summary>
    public static readonly string Assembly = Path.Combine(AppContext.BaseDirectory, "OnnxLeNet.Scripts.dll");

    /// <summary>Verbs and options that measure the process or set what belongs to it.</summary>
    private static readonly string[] Own =
        ["bench", "doctor", "gpu-check", "serve", "walkthrough", "--threads", "--width", "--device", "-", "--json=-"];

    public static Program Run(params string[] arguments)
    {
        int provider = Array.IndexOf(arguments, "--provider") + 1;
        if (arguments.Select(argument => argument.StartsWith("--json", StringComparison.Ordinal) ? argument : argument.Split('=')[0])
            .Intersect(Own).Any() || (provider > 0 && arguments.ElementAtOrDefault(provider) != "simd")) return Spawn(arguments);
        return RunHere(arguments);
    }

    public static Program RunHere(params string[] arguments)
    {
        using var streams = new CapturedConsole();
        int code = Scripts.Program.main(arguments);
        return new Program(code, streams.Output, streams.Errors);
    }

    public static Program Spawn(params string[] arguments)
    {
        using var process = Start(arguments);
        return Finish(process);
    }

    /// <summary>In a process with environment variables set.</summary>
    public static Program Run(IEnumerable<(string Name, string Value)> environment, params string[] arguments)
    {
        using var process = Start(environment, arguments);
        return Finish(process);
    }

    /// <summary>In a process that starts in a folder one stands in.</summary>
    public static Program RunIn(string folder, params string[] arguments)
    {
        using var process = Start([], arguments, folder);
        return Finish(process);
    }

    public static Process Start(params string[] arguments) => Start([], arguments);

    private static Process Start(IEnumerable<(string Name, string Value)> environment, string[] arguments, string? folder = null)
    {
        var info = new ProcessStartInfo("dotnet", [Assembly, .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true,
            RedirectStandardInput = true, WorkingDirectory = folder ?? "" };
        foreach (var (name, value) in environment) info.Environment[name] = value;
        return Process.Start(info)!;
    }

    public static Program Finish(Process process)
    {
        var errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        if (!process.WaitForExit(TimeSpan.FromMinutes(3)))
        {
            process.Kill();
            Assert.Fail("the program did not end");
        }
        return new Program(process.ExitCode, output, errors.Result);
    }

    /// <summary>Fails unless the exit code is this, with both streams in the message, and unless a person could read what was
    /// said.</summary>
    public Program MustExit(int code)
    {
        Assert.AreEqual(code, ExitCode, $"\noutput: {Output}\nerrors: {Errors}");
        Assert.DoesNotContain("   at ", Errors, "a stack trace reached the user");
        Assert.DoesNotContain("\u001b[", Output, "terminal codes in piped output");
        return this;
    }

    public Program MustSay(params string[] parts)
    {
        foreach (string part in parts) Assert.Contains(part, Errors, StringComparison.Ordinal);
        return this;
    }
}

/// <summary>A folder for one test, deleted after it.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("onnxlenet-").FullName;

    public string this[string name] => System.IO.Path.Combine(Path, name);

    public JsonNode Json(string name) => JsonNode.Parse(File.ReadAllText(this[name]))!;

    public string[] Files => [.. Directory.GetFileSystemEntries(Path).Select(f => System.IO.Path.GetFileName(f)).Order()];

    public void Dispose() => Directory.Delete(Path, recursive: true);
}

/// <summary>A small data set in MNIST's files: the first images of the real one.</summary>
internal static class SmallMnist
{
    private static readonly string Real = System.IO.Path.Combine(AppContext.BaseDirectory, "data", "mnist");
    private static readonly ConcurrentDictionary<string, IdxFile> Read = [];

    public static string Write(TemporaryFolder folder, int train = 640, int test = 200)
    {
        string to = folder["small"];
        Directory.CreateDirectory(to);
        foreach (var (part, count) in new[] { ("train", train), ("t10k", test) })
        {
            foreach (string kind in new[] { "images-idx3-ubyte", "labels-idx1-ubyte" })
            {
                var idx = Read.GetOrAdd($"{part}-{kind}", name => IdxFile.Read(System.IO.Path.Combine(Real, $"{name}.gz")));
                WriteIdx(System.IO.Path.Combine(to, $"{part}-{kind}"), [count, .. idx.Shape.Sizes[1..]],
                    idx.Data.Span[..(count * idx.Shape.WithoutFirst().Count)]);
            }
        }
        return to;
    }

    public static void WriteIdx(string path, int[] sizes, ReadOnlySpan<byte> data)
    {
        using var file = File.Create(path);
        file.Write([0, 0, 8, (byte)sizes.Length]);
        foreach (int size in sizes) file.Write([(byte)(size >> 24), (byte)(size >> 16), (byte)(size >> 8), (byte)size]);
        file.Write(data);
    }
}
