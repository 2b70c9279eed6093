using System.Diagnostics;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>The verbs under mpirun, by Open MPI and by MPICH: the files of one process, at any number of processes.</summary>
[TestClass]
public sealed class MpiTests
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(10);

    public static IEnumerable<object[]> Counts => [["openmpi", 1], ["openmpi", 4], ["mpich", 3]];

    public static IEnumerable<object[]> MoreCounts => [["openmpi", 2], ["openmpi", 3], ["mpich", 1], ["mpich", 2], ["mpich", 4]];

    [TestMethod]
    [TestCategory("Soak")]
    [DynamicData(nameof(MoreCounts))]
    public void TrainsTheFileOfOneProcessAtOtherNumbersToo(string library, int size) => TrainsTheFileOfOneProcess(library, size);

    [TestMethod]
    [DynamicData(nameof(Counts))]
    public void TrainsTheFileOfOneProcess(string library, int size)
    {
        var mpi = MpiRun.Of(library);
        using var folder = new TemporaryFolder();
        string[] train = ["--data", SmallMnist.Write(folder), "--epochs", "2", "--batch-size", "100", "--accumulate", "2", "--clip", "1",
            "--validation", "0.2", "--keep", "best"];
        Program.Run([.. train, "--out", folder["alone"], "--quiet"]).MustExit(0);
        var several = mpi.Run(size, [.. train, "--out", folder["several"], "--json", folder["run.json"]]).MustExit(0);
        MustBeTheSame(folder, "lenet5-small");
        Assert.AreEqual("", several.Errors.Replace($"made the folder {folder["several"]}\n", "", StringComparison.Ordinal));
        Assert.AreEqual(size > 1, several.Output.Contains($"in each of {size} processes by ", StringComparison.Ordinal));
        Assert.AreEqual(1, several.Output.Split("  epoch  1/2 ").Length - 1, "one process tells of it");
        Assert.AreEqual(size, folder.Json("several/runs/lenet5-small-1/environment.json")["processes"]!.GetValue<int>());
        Assert.AreEqual("completed", (string)folder.Json("run.json")["outcome"]!);
    }

    /// <summary>Batch norm, pictures that each process decodes a part of, and shares that are not even.</summary>
    [TestMethod]
    [DataRow("openmpi", 3)]
    public void TrainsBatchNormOnPictures(string library, int size) => TrainPictures(library, size);

    [TestMethod]
    [TestCategory("Soak")]
    [DataRow("mpich", 2)]
    public void TrainsBatchNormOnPicturesByTheOther(string library, int size) => TrainPictures(library, size);

    private static void TrainPictures(string library, int size)
    {
        var mpi = MpiRun.Of(library);
        using var folder = new TemporaryFolder();
        string[] train = ["--model", "resnet20", "--data", Pictures.Write(folder["photos"], ("a", 30), ("b", 31), ("c", 32)), "--size", "8",
            "--epochs", "2", "--batch-size", "70", "--augment", "crop"];
        Program.Run([.. train, "--out", folder["alone"], "--quiet"]).MustExit(0);
        mpi.Run(size, [.. train, "--out", folder["several"], "--quiet"]).MustExit(0);
        MustBeTheSame(folder, "resnet20-photos");
    }

    [TestMethod]
    [DataRow("openmpi")]
    public void EvaluatesTogether(string library) => Evaluate(library);

    [TestMethod]
    [TestCategory("Soak")]
    [DataRow("mpich")]
    public void EvaluatesTogetherByTheOther(string library) => Evaluate(library);

    private static void Evaluate(string library)
    {
        var mpi = MpiRun.Of(library);
        using var folder = new TemporaryFolder();
        string[] evaluate = ["evaluate", Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx"), "--data", SmallMnist.Write(folder,
            test: 2000), "--engine", "own"];
        string alone = Program.Run(evaluate).MustExit(0).Output;
        Assert.AreEqual(alone, mpi.Run(3, evaluate).MustExit(0).Output);
        Assert.AreEqual(1, mpi.Run(2, [.. evaluate, "--min-accuracy", "1"]).ExitCode);
        var refused = mpi.Run(2, evaluate[..^2]);
        Assert.AreEqual(2, refused.ExitCode);
        refused.MustSay("error: evaluate by ONNX Runtime does not share its work among processes: start it without mpirun");
    }

    /// <summary>What travels in a step, batch norm's statistics included: hardly more than a reduce and a broadcast of the gradients
    /// must.</summary>
    [TestMethod]
    [DataRow("mpich", 3)]
    public void TheBenchmarkMeasuresThem(string library, int size) => Measure(library, size);

    [TestMethod]
    [TestCategory("Soak")]
    [DataRow("openmpi", 2)]
    public void TheBenchmarkMeasuresThemByTheOther(string library, int size) => Measure(library, size);

    private static void Measure(string library, int size)
    {
        var mpi = MpiRun.Of(library);
        using var folder = new TemporaryFolder();
        mpi.Run(size, "bench", "--quick", "--only", "processes", "--json", folder["bench.json"]).MustExit(0);
        var measured = folder.Json("bench.json")["processes"]!["measured"]!.AsArray();
        Assert.HasCount(2, measured);
        foreach (var row in measured)
        {
            Assert.AreEqual(size, (int)row!["processes"]!);
            double bytes = (double)row["bytesPerStep"]!, least = (double)row["leastBytesPerStep"]!;
            Assert.IsInRange(least, 1.1 * least, bytes, $"{row}");
            Assert.IsGreaterThan(0, (double)row["togetherSeconds"]!);
        }
    }

    [TestMethod]
    [DataRow("mpich")]
    public void WhoDiffersIsNamed(string library) => Differ(library);

    [TestMethod]
    [TestCategory("Soak")]
    [DataRow("openmpi")]
    public void WhoDiffersIsNamedByTheOther(string library) => Differ(library);

    private static void Differ(string library)
    {
        var mpi = MpiRun.Of(library);
        using var folder = new TemporaryFolder();
        string[] train = ["train", "--data", SmallMnist.Write(folder), "--epochs", "1", "--out", folder["out"]];
        var differs = mpi.Run([(2, train), (1, [.. train, "--width", "128"])]);
        Assert.AreEqual(2, differs.ExitCode);
        differs.MustSay($"error: rank 2 on {Environment.MachineName} has vector width 128 bits", "all processes must have the same");
        differs = mpi.Run([(1, train), (1, [.. train, "--lr", "0.1"])]);
        Assert.AreEqual(2, differs.ExitCode);
        differs.MustSay($"error: rank 1 on {Environment.MachineName} has options ");
        Assert.IsFalse(Directory.Exists(folder["out/runs"]), "nothing was begun");
    }

    [TestMethod]
    [DataRow("openmpi")]
    [DataRow("mpich")]
    public void AnErrorOfOneEndsAll(string library)
    {
        var mpi = MpiRun.Of(library);
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder);
        string[] train = ["train", "--epochs", "1", "--out", folder["out"], "--data"];
        var clock = Stopwatch.StartNew();
        var ended = mpi.Run([(2, [.. train, data]), (1, [.. train, folder["nowhere"]])]);
        Assert.AreNotEqual(0, ended.ExitCode);
        ended.MustSay($"error: rank 2 on {Environment.MachineName}: ", folder["nowhere"]);
        Assert.IsLessThan(Soon, clock.Elapsed);

        // Of an error that all have, one speaks.
        ended = mpi.Run(3, "train", "--epochs", "none");
        Assert.AreEqual(2, ended.ExitCode);
        Assert.AreEqual(1, ended.Errors.Split("error: --epochs").Length - 1, ended.Errors);
        ended = mpi.Run(2, "predict", "model.onnx");
        Assert.AreEqual(2, ended.ExitCode);
        ended.MustSay("error: predict does not share its work among processes");
    }

    /// <summary>Ctrl-C saves and stops; the run goes on with other numbers of processes, and ends with the file of one.</summary>
    [TestMethod]
    [DataRow("openmpi", 3)]
    [DataRow("mpich", 1)]
    public void IsInterruptedAndGoesOn(string library, int resumed) => Interrupt(library, resumed);

    [TestMethod]
    [TestCategory("Soak")]
    [DataRow("openmpi", 1)]
    [DataRow("mpich", 3)]
    public void IsInterruptedAndGoesOnWithMoreOrFewer(string library, int resumed) => Interrupt(library, resumed);

    private static void Interrupt(string library, int resumed)
    {
        var mpi = MpiRun.Of(library);
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder);
        string[] train = Train(100, data);
        using (var job = mpi.Start((2, ["train", .. train, "--out", folder["several"]])))
        {
            WaitForACheckpoint(folder, job);
            var clock = Stopwatch.StartNew();
            Tool.Run("kill", folder.Path, "-INT", $"{job.Id}");
            var ended = Program.Finish(job);
            Assert.IsLessThan(Soon, clock.Elapsed);
            Assert.AreEqual("interrupted", (string)folder.Json("several/runs/lenet5-small-1/state.json")["state"]!, ended.Errors);
        }
        string[] resume = ["train", "--resume", "lenet5-small-1", "--data", data, "--out", folder["several"], "--quiet"];
        (resumed > 1 ? mpi.Run(resumed, resume) : Program.Run(resume)).MustExit(0);
        CollectionAssert.AreEqual(Alone.Value, File.ReadAllBytes(folder["several/lenet5-small.onnx"]));
    }

    private static string[] Train(int epochs, string data) => ["--data", data, "--epochs", $"{epochs}", "--batch-size", "100", "--quiet"];

    private static byte[] ModelOf(int epochs)
    {
        using var folder = new TemporaryFolder();
        Program.Run([.. Train(epochs, SmallMnist.Write(folder)), "--out", folder["alone"]]).MustExit(0);
        return File.ReadAllBytes(folder["alone/lenet5-small.onnx"]);
    }

    /// <summary>The model of one process that nobody disturbs.</summary>
    private static readonly Lazy<byte[]> Alone = new(() => ModelOf(100));

    [TestMethod]
    [DataRow("openmpi")]
    [DataRow("mpich")]
    public void AKilledRankEndsTheJob(string library) => Kill(library, kills: 1, epochs: 100);

    [TestMethod]
    [TestCategory("Soak")]
    [DataRow("openmpi")]
    [DataRow("mpich")]
    public void FiftyKilledRanksEndTheirJobs(string library) => Kill(library, kills: 25, epochs: 3000);

    /// <summary>Any rank is killed at any moment: the job ends soon, and goes on to the file of one process.</summary>
    private static void Kill(string library, int kills, int epochs)
    {
        var mpi = MpiRun.Of(library);
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder);
        string[] train = Train(epochs, data);
        byte[] alone = epochs == 100 ? Alone.Value : ModelOf(epochs);
        var random = new Random(11);
        var slowest = TimeSpan.Zero;
        int finished = 0;
        for (int killed = 0; killed < kills;)
        {
            bool goesOn = Checkpoint(folder) is not null;
            using var job = mpi.Start((2 + killed % 3, goesOn
                ? ["train", "--resume", "lenet5-small-1", "--data", data, "--quiet", "--out", folder["several"]]
                : ["train", .. train, "--out", folder["several"]]));
            WaitForACheckpoint(folder, job);
            if (job.WaitForExit(random.Next(1, 300)))
            {
                finished++;
                MustBeAsAlone();
                Directory.Delete(folder["several"], recursive: true);
                continue;
            }
            var ranks = MpiRun.Processes(folder["several"]);
            if (ranks.Length == 0) continue; // it ends just now
            ranks[random.Next(ranks.Length)].Kill();
            var clock = Stopwatch.StartNew();
            var ended = Program.Finish(job);
            if (clock.Elapsed > slowest) slowest = clock.Elapsed;
            Assert.IsLessThan(Soon, clock.Elapsed, ended.Errors);
            if (ended.ExitCode != 0) killed++;
        }
        if (Checkpoint(folder) is not null)
            Program.Run("train", "--resume", "lenet5-small-1", "--data", data, "--out", folder["several"], "--quiet").MustExit(0);
        else if (!File.Exists(folder["several/lenet5-small.onnx"])) mpi.Run(2, ["train", .. train, "--out", folder["several"]]).MustExit(0);
        MustBeAsAlone();
        Console.WriteLine($"{kills} kills, the slowest job ended after {slowest.TotalSeconds:F1} s, {finished} runs were done before");

        void MustBeAsAlone() => CollectionAssert.AreEqual(alone, File.ReadAllBytes(folder["several/lenet5-small.onnx"]));
    }

    private static void MustBeTheSame(TemporaryFolder folder, string model) => CollectionAssert.AreEqual(
        File.ReadAllBytes(folder[$"alone/{model}.onnx"]), File.ReadAllBytes(folder[$"several/{model}.onnx"]));

    private static string? Checkpoint(TemporaryFolder folder) =>
        File.Exists(folder["several/runs/lenet5-small-1/run.checkpoint"]) ? folder["several/runs/lenet5-small-1/run.checkpoint"] : null;

    /// <summary>Waits until a job that was started has written a checkpoint.</summary>
    private static void WaitForACheckpoint(TemporaryFolder folder, Process job)
    {
        var before = Checkpoint(folder) is { } file ? File.GetLastWriteTimeUtc(file) : default;
        while (!job.WaitForExit(5) && (Checkpoint(folder) is not { } now || File.GetLastWriteTimeUtc(now) == before)) { }
    }
}
