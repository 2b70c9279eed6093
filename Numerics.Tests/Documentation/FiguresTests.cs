using System.Globalization;
using System.Text.Json.Nodes;
using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>The figures that the documents show are those of this state of the project.</summary>
[TestClass]
public sealed class FiguresTests
{
    [TestMethod]
    public void TheTableOfModels()
    {
        var rows = Directory.GetFiles(Path.Combine(Repository.Root, "models"), "*.onnx").Order(StringComparer.Ordinal).Select(file =>
        {
            var model = ModelSummary.Read(file);
            string name = Path.GetFileNameWithoutExtension(file);
            double accuracy = 100 * double.Parse(model.Metadata["test.accuracy"], CultureInfo.InvariantCulture);
            return $"| [`{name}.onnx`]({name}.md) | {model.Graph} | {model.Metadata["data"]} | {accuracy:F2}% "
                + $"| {model.Bytes / 1000:N0} kB |";
        });
        Figures.AssertCurrent("models", "models", string.Join('\n',
            ["| file | network | data | test accuracy | size |", "|---|---|---|---|---|", .. rows]));
    }

    /// <summary>
    /// The table of speeds, from <c>Reference/speed.json</c>: rows of <c>bench --only networks --torchsharp --json</c>, of several runs.
    /// Shown are ratios, each of two contenders in one run.
    /// </summary>
    [TestMethod]
    public void TheSpeeds()
    {
        var bench = JsonNode.Parse(File.ReadAllText(Path.Combine(Repository.Root, "Numerics.Tests", "Reference", "speed.json")))!;
        var training = bench["networks"]!["training"]!.AsArray();
        var inference = bench["networks"]!["inference"]!.AsArray();
        static JsonNode Row(JsonArray rows, string network, int threads, int? batch = null) => rows.Single(row =>
            (string)row!["network"]! == network && (int)row["threads"]! == threads && (batch is null || (int)row["batch"]! == batch))!;
        static string Number(JsonNode row, string field, string format) =>
            ((double)row[field]!).ToString(format, CultureInfo.InvariantCulture);
        var rows = new[] { ("LeNet-5", "lenet"), ("small VGG", "vgg"), ("ResNet-20", "resnet20"), ("depthwise", "mobilenet") }.Select(row =>
        {
            var (name, network) = row;
            var trained = Row(training, network, threads: 2);
            var inferred = new[] { (1, 1), (32, 2), (256, 2) }.Select(batch =>
                Number(Row(inference, network, threads: batch.Item2, batch: batch.Item1), "timesOnnxRuntime", "0.00×"));
            return $"| {name} | **{Number(trained, "timesTorchSharpAtItsBest", "0.0×")}** | {string.Join(" | ", inferred)} |";
        });
        Figures.AssertCurrent("", "speed", string.Join('\n',
        [
            "| | training against TorchSharp, 2 threads | inference against ONNX Runtime: 1 image, 1 thread | 32 images, 2 threads "
                + "| 256 images, 2 threads |",
            "|---|---|---|---|---|", .. rows,
        ]));
    }

    /// <summary>The main job, whole: what the README shows of it is what it prints.</summary>
    [TestMethod]
    public void TheMainJob()
    {
        using var folder = new TemporaryFolder();
        string printed = Program.Run("train", "--out", folder["models"]).MustExit(0).Output;
        string[] lines = Lines(printed.Replace(folder["models"], "models", StringComparison.Ordinal));
        Figures.AssertCurrent("", "main job", Block(
        [
            .. lines.Where(line => line.StartsWith("  epoch 12", StringComparison.Ordinal)), "",
            .. Section(lines, "test accuracy"), "", .. Section(lines, "engine against ONNX Runtime"),
        ]));
    }

    internal static string[] Lines(string printed) => [.. printed.TrimEnd().Split('\n').Select(line => line.TrimEnd())];

    /// <summary>A line that begins so, and those up to the next empty one.</summary>
    internal static IEnumerable<string> Section(string[] lines, string beginning) =>
        lines.SkipWhile(line => !line.StartsWith(beginning, StringComparison.Ordinal)).TakeWhile(line => line.Length > 0);

    internal static string Block(IEnumerable<string> lines) => $"```text\n{string.Join('\n', lines)}\n```";
}
