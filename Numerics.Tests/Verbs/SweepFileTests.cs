using System.Globalization;
using System.Text.Json;
using OnnxLeNet.Scripts.Sweeps;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>A sweep's file gives the trainings it says, and each mistake in it is told before anything is trained.</summary>
[TestClass]
public sealed class SweepFileTests
{
    private static Sweep Read(string json)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["sweep.json"], json);
        return SweepFile.read(folder["sweep.json"]);
    }

    private static string[] Values(Sweep sweep, string name) =>
        [.. sweep.Trials.Select(trial => trial.Varied.Single(value => value.Item1 == name).Item2.ToString())];

    private static double[] Numbers(Sweep sweep, string name) =>
        [.. Values(sweep, name).Select(value => double.Parse(value, CultureInfo.InvariantCulture))];

    private static string[] Ids(Sweep sweep) => [.. sweep.Trials.Select(trial => trial.Id)];

    [TestMethod]
    public void AGridHasAllCombinations()
    {
        var sweep = Read("""
            {
              // Written by hand.
              "method": "grid", "fixed": { "epochs": 3 },
              "parameters": { "lr": [1e-2, 0.05], "optimizer": ["sgd", "adam"], "balance": [true, false], "ema": [null, 0.99], }
            }
            """);
        string[] typed = [.. sweep.Trials.Select(trial => string.Join(' ', trial.Arguments))];
        Assert.HasCount(16, typed);
        Assert.AreEqual("--epochs 3 --lr 1e-2 --optimizer sgd --balance", typed[0]);
        Assert.AreEqual("--epochs 3 --lr 1e-2 --optimizer sgd --balance --ema 0.99", typed[1]);
        Assert.AreEqual("--epochs 3 --lr 1e-2 --optimizer sgd", typed[2]);
        Assert.AreEqual("--epochs 3 --lr 0.05 --optimizer adam --ema 0.99", typed[^1]);
        CollectionAssert.AllItemsAreUnique(Ids(sweep));
    }

    /// <summary>A training's folder is found again in whatever order its options stand, and those of other options are not.</summary>
    [TestMethod]
    public void TheSameOptionsHaveTheSameFolder()
    {
        var sweep = Read("""{ "method": "grid", "fixed": { "epochs": 3, "seed": 2 }, "parameters": { "lr": [1, 2] } }""");
        CollectionAssert.AreEqual(Ids(sweep), Ids(Read(
            """{ "parameters": { "lr": [1, 2] }, "fixed": { "seed": 2, "epochs": 3 }, "method": "grid" }""")));
        var longer = Read("""{ "method": "grid", "fixed": { "epochs": 3, "seed": 2 }, "parameters": { "lr": [3, 2] } }""");
        CollectionAssert.AreEqual(Ids(sweep)[1..], Ids(longer)[1..]);
        Assert.AreNotEqual(Ids(sweep)[0], Ids(longer)[0]);
        Assert.IsFalse(Ids(sweep).Intersect(Ids(Read(
            """{ "method": "grid", "fixed": { "epochs": 4, "seed": 2 }, "parameters": { "lr": [1, 2] } }"""))).Any());
    }

    private static string Random(int count, int seed) => $$"""
        { "method": "random", "count": {{count}}, "seed": {{seed}},
          "parameters": { "lr": { "min": 1e-5, "max": 0.1, "distribution": "log-uniform" }, "label-smoothing": { "min": 0, "max": 0.5 },
            "epochs": { "min": 1, "max": 6 }, "batch-size": { "min": 1, "max": 256, "distribution": "log-uniform" },
            "schedule": ["cosine", "constant"] } }
        """;

    [TestMethod]
    public void OneSeedGivesTheSameDraws()
    {
        var sweep = Read(Random(20, 5));
        CollectionAssert.AreEqual(Ids(sweep), Ids(Read(Random(20, 5))));
        CollectionAssert.AreEqual(Ids(sweep), Ids(Read(Random(30, 5)))[..20], "a greater count begins with the same");
        Assert.IsFalse(Ids(sweep).Intersect(Ids(Read(Random(20, 6)))).Any());
        // Computed apart from this code, by the formulas of SplitMix64: the draws are the same on every machine.
        Assert.AreEqual("--lr 0.002627 --label-smoothing 0.332 --epochs 3 --batch-size 2 --schedule constant",
            string.Join(' ', sweep.Trials[0].Arguments));
    }

    [TestMethod]
    public void DrawsAreDistributedAsTheFileSays()
    {
        var sweep = Read(Random(600, 1));
        double[] rates = Numbers(sweep, "lr"), smoothing = Numbers(sweep, "label-smoothing"), epochs = Numbers(sweep, "epochs");
        double[] sizes = Numbers(sweep, "batch-size");
        // Half of each, with five standard deviations of a fair coin.
        void IsHalf(int count) => Assert.IsTrue(Math.Abs(count - 300) < 5 * Math.Sqrt(600) / 2, $"{count} of 600");
        IsHalf(rates.Count(rate => rate < 1e-3));
        IsHalf(smoothing.Count(share => share < 0.25));
        IsHalf(epochs.Count(epoch => epoch <= 3));
        IsHalf(sizes.Count(size => size <= 15)); // log2 of 1 to 257
        IsHalf(Values(sweep, "schedule").Count(name => name == "cosine"));
        Assert.IsTrue(rates.Min() >= 1e-5 && rates.Max() <= 0.1 && smoothing.Min() >= 0 && smoothing.Max() <= 0.5);
        CollectionAssert.AreEquivalent(new double[] { 1, 2, 3, 4, 5, 6 }, epochs.Distinct().ToArray());
        Assert.AreEqual((1, 256, true), (sizes.Min(), sizes.Max(), sizes.All(double.IsInteger)));
        foreach (string rate in Values(sweep, "lr"))
            Assert.IsLessThanOrEqualTo(4, rate.Split('e')[0].Replace(".", "", StringComparison.Ordinal).TrimStart('0').Length, rate);
    }

    [TestMethod]
    [DataRow("""{ "method": "grid", "parameters": { "lr": [0.1], } """, "sweep.json is not JSON", "LineNumber")]
    [DataRow("[]", "sweep.json: must hold a JSON object")]
    [DataRow("""{ "parameters": { "lr": [0.1] } }""", "sweep.json: method: is missing")]
    [DataRow("""{ "method": "bayes", "parameters": { "lr": [0.1] } }""", "method: must be grid or random, got bayes")]
    [DataRow("""{ "method": "grid" }""", "parameters: must name the options")]
    [DataRow("""{ "method": "grid", "parameter": { "lr": [0.1] } }""", "'parameter' is not known (did you mean parameters?)")]
    [DataRow("""{ "method": "grid", "parameters": { "lr": [0.1], "lr": [1] } }""", "is not JSON", "'lr'")]
    [DataRow("""{ "method": "grid", "parameters": { "weigth-decay": [0] } }""",
        "parameters.weigth-decay: train has no option --weigth-decay (did you mean weight-decay?)")]
    [DataRow("""{ "method": "grid", "parameters": { "lr": [0.1, "fast"] } }""", "parameters.lr[1]: --lr must be a number, got fast")]
    [DataRow("""{ "method": "grid", "parameters": { "optimizer": ["sdg"] } }""",
        "parameters.optimizer[0]: --optimizer must be sgd, adam", "did you mean sgd?")]
    [DataRow("""{ "method": "grid", "parameters": { "lr": [[1]] } }""", "parameters.lr[0]: --lr must be a number or a text", "got [1]")]
    [DataRow("""{ "method": "grid", "parameters": { "lr": ["\ud800"] } }""", "sweep.json is not JSON")]
    [DataRow("""{ "method": "grid", "parameters": { "lr": 0.1 } }""", "parameters.lr: expected a list of values", "goes into fixed")]
    [DataRow("""{ "method": "grid", "parameters": { "lr": [] } }""", "parameters.lr: the list is empty")]
    [DataRow("""{ "method": "grid", "parameters": { "lr": [0.1, 0.1] } }""", "parameters.lr: 0.1 stands there twice")]
    [DataRow("""{ "method": "grid", "parameters": { "balance": ["yes"] } }""", "--balance must be true or false, got \"yes\"")]
    [DataRow("""{ "method": "grid", "parameters": { "lr": { "min": 1, "max": 2 } } }""", "parameters.lr: a grid needs a list of values")]
    [DataRow("""{ "method": "grid", "count": 3, "parameters": { "lr": [1] } }""", "count: is for the method random")]
    [DataRow("""{ "method": "grid", "fixed": { "lr": 1 }, "parameters": { "lr": [1] } }""", "parameters.lr: stands in fixed too")]
    [DataRow("""{ "method": "grid", "fixed": { "threads": 1 }, "parameters": { "lr": [1] } }""", "fixed.threads: --threads is not for")]
    [DataRow("""{ "method": "grid", "fixed": { "data": "nowhere" }, "parameters": { "lr": [1] } }""",
        "fixed.data: there is no file or folder nowhere")]
    [DataRow("""{ "method": "grid", "fixed": { "model": "lenet55" }, "parameters": { "lr": [1] } }""",
        "fixed.model: there is no model 'lenet55'")]
    [DataRow("""{ "method": "grid", "parameters": { "validation": [0.1, 0.2] } }""", "parameters.validation: trainings are compared by")]
    [DataRow("""{ "method": "grid", "parameters": { "optimizer": ["sgd", "adam"], "momentum": [0.9] } }""",
        "the training with optimizer adam, momentum 0.9: adam has no --momentum")]
    [DataRow("""{ "method": "grid", "fixed": { "epochs": 0 }, "parameters": { "lr": [1] } }""", "--epochs must be 1 or more, got 0")]
    [DataRow("""{ "method": "random", "parameters": { "lr": [1] } }""", "count: is missing")]
    [DataRow("""{ "method": "random", "count": 0, "parameters": { "lr": [1] } }""", "count: must be 1 to 1000, got 0")]
    [DataRow("""{ "method": "random", "count": 3, "parameters": { "lr": [1, 2] } }""", "count: must be at most 2", "got 3")]
    [DataRow("""{ "method": "random", "count": 2.5, "parameters": { "lr": [1] } }""", "count: must be an integer, got 2.5")]
    [DataRow("""{ "method": "random", "count": "2", "parameters": { "lr": [1] } }""", "count: must be an integer, got \"2\"")]
    [DataRow("""{ "method": "random", "count": 1, "parameters": { "lr": { "min": 2, "max": 1 } } }""", "min must be less than max")]
    [DataRow("""{ "method": "random", "count": 1, "parameters": { "lr": { "min": 1 } } }""", "a range needs max")]
    [DataRow("""{ "method": "random", "count": 1, "parameters": { "lr": { "min": 0, "max": 1, "distribution": "log-uniform" } } }""",
        "min must be more than 0 with log-uniform")]
    [DataRow("""{ "method": "random", "count": 1, "parameters": { "lr": { "min": 0, "max": 1, "distribution": "normal" } } }""",
        "distribution must be uniform or log-uniform, got \"normal\"")]
    [DataRow("""{ "method": "random", "count": 1, "parameters": { "epochs": { "min": 0.5, "max": 3 } } }""",
        "parameters.epochs: --epochs must be an integer, got 0.5")]
    [DataRow("""{ "method": "random", "count": 1, "parameters": { "optimizer": { "min": 0, "max": 3 } } }""",
        "parameters.optimizer: --optimizer takes no numbers to draw")]
    public void AMistakeIsToldWithItsPlace(string json, params string[] said)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["sweep.json"], json);
        var run = Program.Run("sweep", folder["sweep.json"], "--out", folder["out"]).MustExit(2).MustSay(said);
        Assert.AreEqual("", run.Output);
        Assert.HasCount(1, run.Errors.Trim().Split('\n'));
        CollectionAssert.AreEqual(new[] { "sweep.json" }, folder.Files);
    }

    [TestMethod]
    public void TheDocumentsFileIsRead()
    {
        var block = Markdown.Blocks(Markdown.Readme("Scripts")).Single(block => block is { Language: "json", Heading: "sweep" });
        Assert.HasCount(20, Read(block.Text).Trials);
    }

    [TestMethod]
    public void AGridTooLargeIsRefused()
    {
        string list = JsonSerializer.Serialize(Enumerable.Range(1, 40));
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["s"], $$"""{ "method": "grid", "parameters": { "seed": {{list}}, "epochs": {{list}} } }""");
        Program.Run("sweep", folder["s"]).MustExit(2).MustSay("at most 1000 trainings, and this grid has 1600");
    }

    [TestMethod]
    public void ADryRunListsTheTrainings()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["s"], """{ "method": "grid", "parameters": { "lr": [0.1, 0.2], "seed": [1, 2] } }""");
        string output = Program.Run("sweep", folder["s"], "--out", folder["out"], "--dry-run").MustExit(0).Output;
        foreach (string part in new[] { "lr 0.1, seed 1   not run", "lr 0.2, seed 2   not run", "4 trainings", "nothing was trained" })
            Assert.Contains(part, output);
        CollectionAssert.AreEqual(new[] { "s" }, folder.Files);
    }
}
