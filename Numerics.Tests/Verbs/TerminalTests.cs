using Microsoft.FSharp.Collections;
using Microsoft.FSharp.Core;
using OnnxLeNet.Scripts;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>What a terminal of some width shows: tables, long lines, the training's live view.</summary>
[TestClass]
public sealed class TerminalTests
{
    private static FSharpList<T> List<T>(params IEnumerable<T> items) => ListModule.OfSeq(items);

    private static (string[] Head, string[][] Rows) Table(int? width, string[] headings, params string[][] rows)
    {
        var (head, body) = Terminal.tableLines(width is { } columns ? FSharpOption<int>.Some(columns) : FSharpOption<int>.None,
            List(headings), List(rows.Select(row => List(row))));
        return ([.. head], [.. body.Select(lines => lines.ToArray())]);
    }

    private static readonly string[] Headings = ["layer", "kind", "max abs", "worst"];
    private static readonly string[][] Rows =
    [
        ["conv1", "Conv2d", "9.54e-7", "sample 0 at [2, 8, 17], batch 7, managed, cpu 1 thread"],
        ["a/very/long/name/of/a/layer", "ReLU", "0.00e+0", "-"],
    ];

    [TestMethod]
    [DataRow(200)]
    [DataRow(120)]
    [DataRow(80)]
    [DataRow(64)]
    [DataRow(50)]
    public void ATableFitsAndBreaksNoName(int width)
    {
        var (head, rows) = Table(width, Headings, Rows);
        string[] all = [.. head, .. rows.SelectMany(lines => lines)];
        foreach (string line in all) Assert.IsLessThanOrEqualTo(width, line.Length, line);
        Assert.Contains("a/very/long/name/of/a/layer", rows[1][0]);
        string[] shown = string.Join(' ', rows[0]).Split(' ', StringSplitOptions.RemoveEmptyEntries);
        foreach (string word in Rows[0].SelectMany(cell => cell.Split(' '))) CollectionAssert.Contains(shown, word);
        // The cells of a column begin at one place.
        int second = rows[0][0].IndexOf("Conv2d", StringComparison.Ordinal);
        Assert.AreEqual(second, rows[1][0].IndexOf("ReLU", StringComparison.Ordinal));
        Assert.AreEqual(second, head[0].IndexOf("kind", StringComparison.Ordinal));
    }

    [TestMethod]
    public void APipeHasARowPerLine()
    {
        var (head, rows) = Table(null, Headings, Rows);
        Assert.HasCount(1, head);
        foreach (string[] lines in rows) Assert.HasCount(1, lines);
        Assert.EndsWith("cpu 1 thread", rows[0][0]);
    }

    [TestMethod]
    public void NumbersStandToTheRight()
    {
        var (head, rows) = Table(80, ["name", "count"], ["a", "7"], ["b", "1,234"]);
        Assert.AreEqual("  name  count", head[0]);
        Assert.AreEqual("  a         7", rows[0][0]);
        Assert.AreEqual("  b     1,234", rows[1][0]);
    }

    [TestMethod]
    public void ALongLineIsBrokenBetweenWords()
    {
        string text = "  left out: the provider that needs /a/path/that/is/rather/long/to/a/library.so and its driver";
        string[] lines = [.. Terminal.fitted(40, text)];
        Assert.IsGreaterThan(2, lines.Length);
        Assert.IsTrue(lines.Any(line => line.Trim() == "/a/path/that/is/rather/long/to/a/library.so"), string.Join('|', lines));
        Assert.AreEqual(text.Replace(" ", ""), string.Concat(lines).Replace(" ", ""));
        foreach (string line in lines.Skip(1)) Assert.StartsWith("    ", line, "what follows is indented");
        CollectionAssert.AreEqual(new[] { "short" }, Terminal.fitted(40, "short").ToArray());
    }

    private static TrainingView.Progress Progress(double done, FSharpOption<double> left) =>
        new(3, 12, done, 52_340.4, left, 0.08321, 0.0213, FSharpOption<string>.Some("test accuracy 98.31%"),
            List(2.3, 0.9, 0.5, 0.2, 0.1));

    [TestMethod]
    [DataRow(120, true)]
    [DataRow(80, true)]
    [DataRow(40, true)]
    [DataRow(40, false)]
    [DataRow(20, false)]
    public void TheLiveViewFits(int width, bool unicode)
    {
        string[] lines = [.. TrainingView.lines(width, unicode, Progress(0.25, FSharpOption<double>.Some(65)))];
        foreach (string line in lines) Assert.IsLessThanOrEqualTo(width, line.Length, line);
        string all = string.Join('\n', lines);
        foreach (string part in new[] { "epoch 3/12", "25%", "loss 0.0832", "test accuracy 98.31%", "lr 0.0213", "52,340 images/s" })
            Assert.Contains(part, all);
        if (width >= 40) Assert.Contains("1:05 left", all);
        if (!unicode) Assert.IsTrue(all.All(c => c < 128), all);
    }

    [TestMethod]
    public void TheCurveFallsAsTheLossDoes()
    {
        Assert.AreEqual("█▆▅▃▁", TrainingView.curve(true, 60, List(16.0, 8.0, 4.0, 2.0, 1.0)));
        Assert.AreEqual("▁▁", TrainingView.curve(true, 60, List(1.0, 1.0)));
        Assert.AreEqual("#_", TrainingView.curve(false, 2, List(9.0, double.NaN, 2.0, 1.0)));
        Assert.AreEqual("", TrainingView.curve(true, 60, FSharpList<double>.Empty));
    }

    [TestMethod]
    [DataRow(0.2, "0:01")]
    [DataRow(65, "1:05")]
    [DataRow(7384.0, "2:03:04")]
    public void DurationsAreShort(double seconds, string expected) => Assert.AreEqual(expected, TrainingView.duration(seconds));

    /// <summary>In a terminal an error is coloured, unless the terminal or the person does not want it.</summary>
    [TestMethod]
    [DataRow("TERM=xterm-256color", "\u001b[1;38;5;9merror:\u001b[0m there is no file none.onnx")]
    [DataRow("TERM=xterm-256color NO_COLOR=1", "\u001b[1merror:\u001b[0m there is no file none.onnx")]
    [DataRow("TERM=dumb", "error: there is no file none.onnx")]
    public void AnErrorHasTheColoursThatATerminalTakes(string environment, string expected)
    {
        if (!OperatingSystem.IsLinux()) Assert.Inconclusive("a terminal is made by Linux's script");
        string script = Tool.Require("script");
        var variables = environment.Split(' ').Select(pair => (pair.Split('=')[0], pair.Split('=')[1]));
        var (code, output, _) = Tool.Run(variables, script, AppContext.BaseDirectory, "-qec",
            "dotnet OnnxLeNet.Scripts.dll inspect none.onnx", "/dev/null");
        Assert.AreEqual(2, code, output);
        Assert.EndsWith(expected, output.TrimEnd());
        if (environment == "TERM=dumb") Assert.DoesNotContain("\u001b", output);
    }
}
