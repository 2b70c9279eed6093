using System.Diagnostics;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Starts the verbs by the launchers of MPI that are installed here.</summary>
internal sealed record MpiRun(string Launcher, string[] Options)
{
    private static readonly string[] Names = ["mpirun.openmpi", "mpirun.mpich", "mpiexec.hydra", "mpirun", "mpiexec"];
    private static readonly Dictionary<string, MpiRun> Found = Find();

    /// <summary>The launcher of a library; the test is inconclusive where it is not installed.</summary>
    /// <param name="library">openmpi or mpich.</param>
    public static MpiRun Of(string library)
    {
        if (Found.TryGetValue(library, out var run)) return run;
        Assert.Inconclusive($"{library} is not installed: no mpirun of it on the PATH");
        return run!;
    }

    /// <summary>Runs a verb in so many processes.</summary>
    public Program Run(int processes, params string[] arguments) => Run([(processes, arguments)]);

    /// <summary>Runs commands side by side, each in so many processes.</summary>
    public Program Run((int Processes, string[] Arguments)[] commands)
    {
        using var process = Start(commands);
        return Program.Finish(process);
    }

    /// <summary>Starts a verb in so many processes.</summary>
    public Process Start(params (int Processes, string[] Arguments)[] commands)
    {
        var all = commands.SelectMany((command, i) => (string[])[.. i > 0 ? [":"] : Array.Empty<string>(), "-n", $"{command.Processes}",
            "dotnet", Program.Assembly, .. command.Arguments]);
        var info = new ProcessStartInfo(Launcher, [.. Options, .. all]) { RedirectStandardOutput = true, RedirectStandardError = true,
            RedirectStandardInput = true };
        // Containers run as root, and tests have more processes than this machine has cores.
        foreach (string name in new[] { "OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM" }) info.Environment[name] = "1";
        return Process.Start(info)!;
    }

    /// <summary>The processes of a job, by a word that their commands have.</summary>
    public static Process[] Processes(string word) => [.. Process.GetProcessesByName("dotnet").Where(process =>
    {
        try { return File.ReadAllText($"/proc/{process.Id}/cmdline").Contains(word, StringComparison.Ordinal); }
        catch (IOException) { return false; } // it has just ended
    })];

    private static Dictionary<string, MpiRun> Find()
    {
        var found = new Dictionary<string, MpiRun>();
        var files = from name in Names
                    from folder in (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
                    let file = Path.Combine(folder, name)
                    where File.Exists(file)
                    select file;
        foreach (string file in files)
        {
            var (_, version, errors) = Tool.Run(file, Path.GetTempPath(), "--version");
            if ((version + errors).Contains("Open MPI", StringComparison.OrdinalIgnoreCase)
                || (version + errors).Contains("OpenRTE", StringComparison.OrdinalIgnoreCase))
                found.TryAdd("openmpi", new MpiRun(file, ["--oversubscribe"]));
            else if ((version + errors).Contains("HYDRA", StringComparison.OrdinalIgnoreCase)) found.TryAdd("mpich", new MpiRun(file, []));
        }
        return found;
    }
}
