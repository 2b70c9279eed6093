using System.Text.Json;
using OnnxLeNet.Scripts.Verbs;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// Whole small trainings of the parts that the train verb makes, against what PyTorch did once: Reference/training.json, which training.py
/// beside it writes. Every optimizer with every schedule, with accumulation, a limit of the gradients, smoothing and averages.
/// </summary>
[TestClass]
[DoNotParallelize]
public sealed class TrainingTraceTests
{
    private static readonly JsonElement Golden = Load();

    public static IEnumerable<object[]> Cases => Golden.GetProperty("cases").EnumerateArray().Select((item, i) => new object[]
    {
        i, $"{item.GetProperty("optimizer")} {item.GetProperty("schedule")} {item.GetProperty("warmup")}",
    });

    [TestMethod]
    [DynamicData(nameof(Cases))]
    public void TwelveUpdates(int index, string label)
    {
        var item = Golden.GetProperty("cases")[index];
        var (network, data) = (Network(), Data());
        var loader = new DataLoader(data, batchSize: 4);
        var options = Options(item);
        var optimizer = TrainParts.optimizerOf(options, [new ParameterGroup(network.Parameters())]);
        var schedule = TrainParts.scheduleOf(options, optimizer, 2);
        var averaging = new WeightAveraging(network, 0.8);
        var rates = new List<double> { optimizer.LearningRate };
        float[] weights = [];
        var trainer = new Trainer(network, new CrossEntropyLoss(labelSmoothing: 0.1), optimizer)
        {
            Schedule = schedule?.Value,
            ScheduleInterval = ScheduleInterval.Step,
            Accumulate = 4,
            ClipNorm = 0.8,
            Averaging = averaging,
            Observers = [new Watch { Step = run =>
            {
                rates.Add(optimizer.LearningRate);
                weights = [.. network.StateDict().Where(entry => !entry.Value.IsInteger).SelectMany(entry => entry.Value.AsTensor().Data)];
            } }],
        };
        var result = trainer.Fit(loader, 6);
        Assert.AreEqual(TrainingOutcome.Completed, result.Outcome);
        Close.Assert($"{label}: rates", Numbers(item, "rates"), [.. rates.SkipLast(1)], 1e-10, 0);
        Close.Assert($"{label}: losses", Numbers(item, "losses"), [.. result.Losses], 1e-5, 0);
        Close.Assert($"{label}: weights", Numbers(item, "weights"), weights, 1e-4, 2e-5);
        Close.Assert($"{label}: averages", Numbers(item, "averages"), [.. network.Parameters().SelectMany(p => p.Value.Data)], 1e-4, 2e-5);
    }

    /// <summary>The optimizers of training.py, as they are typed.</summary>
    private static TrainingOptions Options(JsonElement item)
    {
        string numbers = item.GetProperty("optimizer").GetString() switch
        {
            "sgd" => "--lr 0.05 --weight-decay 0.001",
            "adam" => "--lr 0.01 --weight-decay 0.001",
            "adamw" => "--lr 0.01 --weight-decay 0.1",
            _ => "--lr 0.005 --weight-decay 0.001",
        };
        double warmup = item.GetProperty("warmup").GetInt32() / 2.0; // epochs of two updates
        var (optimizer, schedule) = (item.GetProperty("optimizer"), item.GetProperty("schedule"));
        return TrainingOptionsModule.read(FormattableString.Invariant(
            $"--epochs 6 --optimizer {optimizer} {numbers} --schedule {schedule} --warmup {warmup}"));
    }

    private static Sequential Network()
    {
        Sequential network = [new Conv2d(1, 2, 3, bias: false), new BatchNorm2d(2), new ReLU(), new Flatten(), new Linear(18, 3)];
        foreach (var (parameter, start) in network.Parameters().Zip(Golden.GetProperty("start").EnumerateArray()))
            start.EnumerateArray().Select(number => number.GetSingle()).ToArray().CopyTo(parameter.Value.Data, 0);
        return network;
    }

    private static TensorDataset Data()
    {
        int[] labels = [.. Golden.GetProperty("labels").EnumerateArray().Select(label => label.GetInt32())];
        return new TensorDataset(new Tensor(new Shape(labels.Length, 1, 5, 5), [.. Numbers(Golden, "x").Select(x => (float)x)]), labels);
    }

    private static double[] Numbers(JsonElement item, string name) =>
        [.. item.GetProperty(name).EnumerateArray().Select(number => number.GetDouble())];

    private static JsonElement Load()
    {
        using var document = JsonDocument.Parse(File.ReadAllText(Path.Combine(Repository.Root, "Numerics.Tests", "Reference",
            "training.json")));
        return document.RootElement.Clone();
    }
}
