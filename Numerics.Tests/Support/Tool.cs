using System.ComponentModel;
using System.Diagnostics;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Programs of others that tests run where they are installed.</summary>
internal static class Tool
{
    /// <summary>The first of these programs that the PATH has; the test is inconclusive if there is none.</summary>
    public static string Require(params string[] names)
    {
        string[] folders = (Environment.GetEnvironmentVariable("PATH")
            ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries);
        string[] endings = OperatingSystem.IsWindows() ? [".exe", ".cmd"] : [""];
        var found = from name in names from folder in folders from ending in endings let file =
            Path.Combine(folder, name + ending) where File.Exists(file) select file;
        if (found.FirstOrDefault() is { } first) return first;
        Assert.Inconclusive($"no {string.Join(" or ", names)} on the PATH");
        return "";
    }

    /// <inheritdoc cref="Run(IEnumerable{ValueTuple{string, string}}, string, string, string[])"/>
    public static (int Code, string Output, string Errors) Run(string program, string folder, params string[] arguments) =>
        Run([], program, folder, arguments);

    /// <summary>Runs a program that reads these lines.</summary>
    public static (int Code, string Output, string Errors) RunOn(string input, string program, string folder, params string[] arguments) =>
        Run([], program, folder, arguments, input);

    /// <summary>Runs a program to its end, for ten minutes at most.</summary>
    /// <param name="environment">Variables that it is given beside this process's own.</param>
    /// <param name="program">Its name, or its file.</param>
    /// <param name="folder">The folder it runs in.</param>
    /// <param name="arguments">Its arguments.</param>
    public static (int Code, string Output, string Errors) Run(IEnumerable<(string Name, string Value)> environment, string program,
        string folder, params string[] arguments) => Run(environment, program, folder, arguments, input: null);

    private static (int Code, string Output, string Errors) Run(IEnumerable<(string Name, string Value)> environment, string program,
        string folder, string[] arguments, string? input)
    {
        var start = new ProcessStartInfo(program, arguments) { WorkingDirectory = folder, RedirectStandardOutput = true,
            RedirectStandardError = true, RedirectStandardInput = input is not null };
        start.Environment["PYTHONDONTWRITEBYTECODE"] = "1";
        foreach (var (name, value) in environment) start.Environment[name] = value;
        try
        {
            using var process = Process.Start(start)!;
            var (output, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
            if (input is not null)
            {
                process.StandardInput.Write(input);
                process.StandardInput.Close();
            }
            if (!process.WaitForExit(TimeSpan.FromMinutes(10)))
            {
                process.Kill(entireProcessTree: true);
                Assert.Fail($"{program} did not end");
            }
            return (process.ExitCode, output.Result, errors.Result);
        }
        catch (Win32Exception error)
        {
            Assert.Fail($"{program} cannot be started: {error.Message}");
            throw;
        }
    }
}
