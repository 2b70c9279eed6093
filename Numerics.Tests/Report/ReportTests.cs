using System.Globalization;
using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>The report's page: what it says is true, it needs nothing beside itself, and who cannot see its pictures is told.</summary>
[TestClass]
public sealed partial class ReportTests
{
    private static readonly string LeNet = Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx");

    /// <summary>The page as XML, with the checks that every page must pass.</summary>
    private static XElement Page(string path)
    {
        string html = File.ReadAllText(path);
        Assert.StartsWith("<!doctype html>", html);
        var page = XDocument.Parse(html["<!doctype html>".Length..].TrimStart()).Root!;
        Assert.IsEmpty(page.Descendants().Where(e => e.Name.LocalName is "script" or "link" or "iframe" or "object"));
        foreach (var attribute in page.Descendants().Attributes().Where(a => a.Name.LocalName is "src" or "href" or "data"))
            Assert.IsTrue(attribute.Value.StartsWith('#') || attribute.Value.StartsWith("data:image/png;base64,", StringComparison.Ordinal),
                attribute.Value);
        Assert.DoesNotContain("url(", html);
        Assert.DoesNotContain("@import", html);
        Assert.DoesNotContain("onload", html);
        foreach (var image in Named(page, "img")) Assert.IsFalse(string.IsNullOrWhiteSpace((string?)image.Attribute("alt")));
        foreach (var svg in Named(page, "svg"))
            Assert.IsTrue((string?)svg.Attribute("role") == "img" && ((string?)svg.Attribute("aria-label"))!.Length > 8);
        string[] ids = [.. page.Descendants().Attributes("id").Select(id => id.Value)];
        CollectionAssert.AllItemsAreUnique(ids);
        foreach (var link in Named(page, "a")) CollectionAssert.Contains(ids, link.Attribute("href")!.Value[1..]);
        return page;
    }

    private static IEnumerable<XElement> Named(XElement page, string name) => page.Descendants().Where(e => e.Name.LocalName == name);

    private static List<string[]> Table(XElement page, string caption) =>
        [.. Named(page, "table").Single(t => Named(t, "caption").Single().Value.StartsWith(caption, StringComparison.Ordinal))
            .Descendants("tbody").Elements().Select(row => row.Elements().Select(cell => cell.Value).ToArray())];

    private static string Percent(double share) => (100 * share).ToString("F2", CultureInfo.InvariantCulture) + "%";

    private static void FiguresAreEvaluates(XElement page, System.Text.Json.Nodes.JsonNode evaluated)
    {
        string key = Named(page, "dl").Single().Value;
        Assert.Contains(Percent((double)evaluated["accuracy"]!), key);
        Assert.Contains(((double)evaluated["loss"]!).ToString("F4", CultureInfo.InvariantCulture), key);
        var rows = Table(page, "Each class");
        var classes = evaluated["classes"]!.AsArray();
        for (int c = 0; c < 10; c++)
        {
            CollectionAssert.AreEqual(new[] { $"{c}", $"{(int)classes[c]!["images"]!:N0}", Percent((double)classes[c]!["precision"]!),
                Percent((double)classes[c]!["recall"]!), Percent((double)classes[c]!["f1"]!) }, rows[c]);
        }
        var confusion = Named(page, "svg").Single(svg =>
            svg.Attribute("aria-label")!.Value.StartsWith("Confusion", StringComparison.Ordinal));
        int[] counts = [.. confusion.Descendants().Where(e => ((string?)e.Attribute("class"))?.StartsWith("middle ",
            StringComparison.Ordinal) == true).Select(e => e.Value).SkipLast(10).Select(int.Parse)];
        int[] expected = [.. evaluated["confusion"]!.AsArray().SelectMany(row => row!.AsArray().Select(x => (int)x!)).Where(x => x > 0)];
        CollectionAssert.AreEquivalent(expected, counts);
        string[] mistakes = [.. evaluated["mistakes"]!.AsArray().Take(24).Select(m => $"Image {m!["index"]}: {m["label"]} taken for "
            + $"{m["predicted"]}")];
        CollectionAssert.AreEqual(mistakes, Named(page, "ul").Single(ul => (string?)ul.Attribute("class") == "mistakes").Descendants("img")
            .Select(image => image.Attribute("alt")!.Value).ToArray());
    }

    [TestMethod]
    public void ARunsReportTellsWhatTheRunDid()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder);
        Program.Run("--data", data, "--epochs", "3", "--out", folder["out"]).MustExit(0);
        Program.Run("report", "lenet5-small-1", "--out", folder["out"], "--plots", folder["plots"]).MustExit(0);
        Program.Run("evaluate", folder["out/runs/lenet5-small-1/last.onnx"], "--data", data, "--json", folder["e.json"]).MustExit(0);
        var page = Page(folder["out/runs/lenet5-small-1/report.html"]);
        FiguresAreEvaluates(page, folder.Json("e.json"));
        CollectionAssert.AreEqual(new[] { "training", "images", "learned", "weights", "graph", "agreement", "settings" },
            Named(page, "section").Select(s => s.Attribute("id")!.Value).ToArray());
        var epochs = File.ReadAllLines(folder["out/runs/lenet5-small-1/epochs.jsonl"])
            .Select(line => System.Text.Json.Nodes.JsonNode.Parse(line)!).ToList();
        var rows = Table(page, "Every epoch");
        for (int e = 0; e < 3; e++)
        {
            Assert.AreEqual(((double)epochs[e]["trainLoss"]!).ToString("F4", CultureInfo.InvariantCulture), rows[e][1]);
            Assert.AreEqual(Percent((double)epochs[e]["testAccuracy"]!), rows[e][3]);
        }
        var loss = Named(page, "svg").Single(svg => svg.Attribute("aria-label")!.Value.StartsWith("Loss over", StringComparison.Ordinal));
        Assert.Contains(((double)epochs[2]["testLoss"]!).ToString("F4", CultureInfo.InvariantCulture),
            loss.Attribute("aria-label")!.Value);
        Assert.HasCount(3, Named(loss, "polyline").ToArray());
        Assert.HasCount(10, Named(page, "svg").Where(svg => svg.Attribute("aria-label")!.Value.StartsWith("Histograms",
            StringComparison.Ordinal)).ToArray());
        Assert.Contains("✓ The engine and ONNX Runtime give the same results: 12 layers, 200 test images and every gradient.",
            page.Value);
        Assert.HasCount(12, Table(page, "Every node"));
        Assert.IsTrue(Table(page, "Every node").All(row => row[^1].StartsWith('✓')));
        Assert.Contains("train --model lenet5 --data small --epochs 3", Named(page, "pre").Single().Value);
        foreach (string plot in Directory.GetFiles(folder["plots"], "*.svg"))
        {
            var svg = XDocument.Load(plot).Root!;
            Assert.AreEqual("svg", svg.Name.LocalName);
            if (!plot.EndsWith("graph.svg", StringComparison.Ordinal)) Assert.DoesNotContain("var(", svg.ToString(), plot);
        }
        foreach (string name in new[] { "loss.svg", "accuracy.svg", "learning-rate.svg", "confusion.svg", "graph.svg",
            "weights-conv1.weight.svg", "gradients-fc3.weight.svg", "mistake-1.png", "filter-conv1-5.png" })
            Assert.IsTrue(File.Exists(Path.Combine(folder["plots"], name)), name);
        Assert.HasCount(6, Directory.GetFiles(folder["plots"], "filter-*.png"));
    }

    [TestMethod]
    public void AModelsReportTellsWhatTheFileAndTheDataSay()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder, train: 20, test: 1000);
        File.Copy(LeNet, folder["a.onnx"]);
        Program.Run("report", folder["a.onnx"], "--data", data).MustExit(0);
        Program.Run("evaluate", folder["a.onnx"], "--data", data, "--json", folder["e.json"]).MustExit(0);
        var page = Page(folder["a.html"]);
        FiguresAreEvaluates(page, folder.Json("e.json"));
        CollectionAssert.AreEqual(new[] { "images", "learned", "graph", "agreement", "settings" },
            Named(page, "section").Select(s => s.Attribute("id")!.Value).ToArray());
        Program.Run("report", folder["a.onnx"], "--data", data).MustExit(0); // over the report before
        File.WriteAllText(folder["mine.html"], "<p>mine</p>");
        Program.Run("report", folder["a.onnx"], "--data", data, "--to", folder["mine.html"]).MustExit(2).MustSay("is no report", "--force");
        Assert.AreEqual("<p>mine</p>", File.ReadAllText(folder["mine.html"]));
    }

    /// <summary>Where there is less, the rest is told and what is missing named.</summary>
    [TestMethod]
    public void WhatCannotBeToldIsNamed()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder);
        var net = new Sequential { new Conv2d(1, 2, 3), new ReLU() };
        Onnx.OnnxFile.Write(Onnx.OnnxExporter.Export(net, new Shape(1, 9, 7), "maps"), folder["maps.onnx"]);
        Program.Run("report", folder["maps.onnx"]).MustExit(0);
        var page = Page(folder["maps.html"]);
        Assert.Contains("There are no figures about images", page.Value);
        Assert.HasCount(2, Table(page, "Every node"));
        Program.Run("report", folder["maps.onnx"], "--data", data).MustExit(2);
        Program.Run("--data", data, "--epochs", "2", "--lr", "1e9", "--out", folder["out"]).MustExit(1);
        Program.Run("report", "lenet5-small-1", "--out", folder["out"]).MustExit(0);
        page = Page(folder["out/runs/lenet5-small-1/report.html"]);
        Assert.Contains("no epoch was complete", page.Value);
        Assert.Contains("failed: the loss or a weight was not finite", page.Value);
        File.WriteAllBytes(folder["cut.onnx"], File.ReadAllBytes(LeNet)[..5000]);
        Program.Run("report", folder["cut.onnx"]).MustExit(2).MustSay("cut.onnx");
        Assert.IsFalse(File.Exists(folder["cut.html"]));
    }

    /// <summary>AA: 4.5 between the text's colours and what is behind them, in both themes.</summary>
    [TestMethod]
    public void TextIsReadableInBothThemes()
    {
        string css = File.ReadAllText(Path.Combine(Repository.Root, "Scripts", "Web", "theme.css"));
        var colours = Colours().Matches(css).ToDictionary(m => m.Groups[1].Value, m => (m.Groups[2].Value, m.Groups[3].Value));
        foreach (string text in new[] { "ink", "muted", "accent", "second", "good", "bad" })
        {
            foreach (string ground in new[] { "page", "surface", "sunken" })
            {
                Assert.IsGreaterThanOrEqualTo(4.5, Contrast(colours[text].Item1, colours[ground].Item1), $"{text} on {ground}, light");
                Assert.IsGreaterThanOrEqualTo(4.5, Contrast(colours[text].Item2, colours[ground].Item2), $"{text} on {ground}, dark");
            }
        }
    }

    [GeneratedRegex(@"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)")]
    private static partial Regex Colours();

    private static double Contrast(string a, string b)
    {
        double Luminance(string colour)
        {
            double Channel(int at)
            {
                double c = Convert.ToInt32(colour.Substring(at, 2), 16) / 255.0;
                return c <= 0.04045 ? c / 12.92 : Math.Pow((c + 0.055) / 1.055, 2.4);
            }
            return 0.2126 * Channel(1) + 0.7152 * Channel(3) + 0.0722 * Channel(5);
        }
        double[] both = [Luminance(a), Luminance(b)];
        return (both.Max() + 0.05) / (both.Min() + 0.05);
    }
}
