using System.Diagnostics;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Programs that are killed at any moment: what they were asked for comes out the same when they are asked again, and nothing is
/// left over.</summary>
[TestClass]
public sealed class KillTests
{
    [TestMethod]
    public void ATrainingThatIsKilledComesOutTheSame() => Train(kills: 3, epochs: 120, within: 100);

    /// <summary>Most of these hit the export, the proof, and the placing of the model and its card.</summary>
    [TestMethod]
    public void ATrainingThatIsKilledAtItsEndComesOutTheSame() => Train(kills: 3, epochs: 3, within: 1200);

    [TestMethod]
    [TestCategory("Soak")]
    public void TrainingsThatAreKilledComeOutTheSame()
    {
        Train(kills: 60, epochs: 2000, within: 400);
        Train(kills: 60, epochs: 3, within: 1200);
    }

    [TestMethod]
    [TestCategory("Soak")]
    public void ExportsThatAreKilledComeOutTheSame() => Write(40, "export", "--to", "made.onnx", "--softmax", "--card", "--data", "none");

    [TestMethod]
    [TestCategory("Soak")]
    public void ReportsThatAreKilledComeOutTheSame() => Write(40, "report", "--to", "made.html", "--plots", "plots");

    private static void Train(int kills, int epochs, int within)
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder);
        string[] run = ["--data", data, "--epochs", $"{epochs}", "--seed", "4", "--quiet"];
        Program.Run([.. run, "--out", folder["whole"]]).MustExit(0);

        var random = new Random(7);
        int resumed = 0, finished = 0;
        for (int killed = 0; killed < kills;)
        {
            string? checkpoint = Checkpoints(folder).SingleOrDefault();
            var before = checkpoint is null ? default : File.GetLastWriteTimeUtc(checkpoint);
            using var process = Program.Start([.. checkpoint is null ? run : ["--resume", checkpoint, "--data", data, "--quiet"],
                "--out", folder["killed"]]);
            // Once it has saved it is on its way, however slow the machine; then at any moment.
            while (!process.WaitForExit(2) && Checkpoints(folder).All(file => File.GetLastWriteTimeUtc(file) == before)) { }
            if (process.WaitForExit(random.Next(1, within)))
            {
                finished++;
                MustBeWhole();
                Directory.Delete(folder["killed"], recursive: true);
                continue;
            }
            process.Kill();
            process.WaitForExit();
            killed++;
            if (checkpoint is not null) resumed++;
        }
        Assert.IsGreaterThan(0, resumed, "no kill hit a resumed run");
        string[] last = Checkpoints(folder);
        if (last.Length > 0) Program.Run("--resume", last[0], "--data", data, "--out", folder["killed"]).MustExit(0);
        else if (!File.Exists(folder["killed/lenet5-small.onnx"])) Program.Run([.. run, "--out", folder["killed"]]).MustExit(0);
        MustBeWhole();
        Console.WriteLine($"{kills} kills, {resumed} of resumed runs, {finished} runs came to their end before");

        void MustBeWhole()
        {
            CollectionAssert.AreEqual(File.ReadAllBytes(folder["whole/lenet5-small.onnx"]),
                File.ReadAllBytes(folder["killed/lenet5-small.onnx"]));
            Assert.AreEqual(Hash(folder["whole/lenet5-small.md"]), Hash(folder["killed/lenet5-small.md"]));
            CollectionAssert.AreEqual(new[] { "lenet5-small.md", "lenet5-small.onnx" }, Files(folder["killed"]));
            string[] whole = Files(folder["whole/runs/lenet5-small-1"]);
            var runs = Directory.GetDirectories(folder["killed/runs"]).Select(Files).ToArray();
            Assert.IsTrue(runs.Any(files => files.SequenceEqual(whole)), string.Join("\n", runs.Select(files => string.Join(" ", files))));
            foreach (string[] files in runs) Assert.IsEmpty(files.Except(whole), "left over");
        }
    }

    /// <summary>A verb that writes files is killed at any moment of its own time; the files are not there or whole.</summary>
    private static void Write(int kills, string verb, params string[] options)
    {
        using var folder = new TemporaryFolder();
        string model = Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx");
        string[] In(string name) => [verb, model, .. options.Select(option => option.StartsWith("made", StringComparison.Ordinal)
            || option == "plots" ? Path.Combine(folder[name], option) : option)];
        Directory.CreateDirectory(folder["whole"]);
        var clock = Stopwatch.StartNew();
        Program.Spawn(In("whole")).MustExit(0);
        int most = (int)clock.ElapsedMilliseconds;

        var random = new Random(3);
        for (int killed = 0; killed < kills;)
        {
            Directory.CreateDirectory(folder["killed"]);
            using (var process = Program.Start(In("killed")))
            {
                if (process.WaitForExit(random.Next(most / 4, most))) continue;
                process.Kill();
                process.WaitForExit();
            }
            killed++;
            foreach (string file in Files(folder["killed"]).Where(file => !file.StartsWith('.')))
                Assert.AreEqual(new FileInfo(Path.Combine(folder["whole"], file)).Length,
                    new FileInfo(Path.Combine(folder["killed"], file)).Length, 2000, file); // what states times differs a little
            Program.Spawn([.. In("killed"), "--force"]).MustExit(0);
            CollectionAssert.AreEqual(Files(folder["whole"]), Files(folder["killed"]), "left over");
            Directory.Delete(folder["killed"], recursive: true);
        }
    }

    private static string[] Checkpoints(TemporaryFolder folder) => Directory.Exists(folder["killed/runs"])
        ? Directory.GetFiles(folder["killed/runs"], "run.checkpoint", SearchOption.AllDirectories) : [];

    private static string[] Files(string folder) => [.. Directory.GetFiles(folder).Select(file => Path.GetFileName(file))
        .Select(name => name.StartsWith("events.", StringComparison.Ordinal) ? "events" : name).Order()];

    private static string Hash(string card) => File.ReadLines(card).Single(line => line.Contains("SHA-256", StringComparison.Ordinal));
}
