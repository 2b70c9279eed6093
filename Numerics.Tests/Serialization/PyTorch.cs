using System.Diagnostics;
using System.Text.Json;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>The PyTorch of this machine, if there is one: runs state_torch.py.</summary>
internal static class PyTorch
{
    private const string Python = "/usr/bin/python3";

    /// <summary>Inconclusive where it is missing.</summary>
    public static void Require()
    {
        if (!File.Exists(Python) || Run(["-c", "import importlib.util, sys; "
            + "sys.exit(importlib.util.find_spec('torch') is None)"]).Code != 0)
            Assert.Inconclusive($"{Python} has no module torch: Debian's package python3-torch has it");
    }

    /// <summary>What state_torch.py prints when it is given these arguments.</summary>
    public static JsonElement State(params string[] arguments)
    {
        var (code, output, error) = Run([Path.Combine(Repository.Root, "Numerics.Tests", "Reference", "state_torch.py"), .. arguments]);
        Assert.AreEqual(0, code, error);
        return JsonDocument.Parse(output).RootElement;
    }

    private static (int Code, string Output, string Error) Run(string[] arguments)
    {
        var start = new ProcessStartInfo(Python, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["OMP_NUM_THREADS"] = "1";
        start.Environment["PYTHONDONTWRITEBYTECODE"] = "1";
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output, error.GetAwaiter().GetResult());
    }
}
