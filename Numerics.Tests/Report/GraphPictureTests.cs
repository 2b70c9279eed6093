using System.Globalization;
using System.Xml.Linq;
using Microsoft.FSharp.Collections;
using OnnxLeNet.Onnx;
using OnnxLeNet.Scripts.Report;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>The drawn graph: every node is there with its figures, cards do not overlap, edges go down.</summary>
[TestClass]
public sealed class GraphPictureTests
{
    private sealed record Card(double X, double Y, double Width, double Height);

    private static double Number(XElement element, string name) =>
        double.Parse(element.Attribute(name)!.Value, CultureInfo.InvariantCulture);

    private static (XElement Svg, List<Card> Cards) Draw(Module network, Shape sample, GraphPicture.Figures? figures = null)
    {
        var svg = XDocument.Parse(GraphPicture.svg(figures ?? GraphPicture.noFigures, Graph.Trace(network, sample))).Root!;
        var cards = svg.Descendants().Where(e => (string?)e.Attribute("class") == "graph-card").Select(rect =>
        {
            double[] at = [.. rect.Parent!.Attribute("transform")!.Value["translate(".Length..^1].Split(' ')
                .Select(x => double.Parse(x, CultureInfo.InvariantCulture))];
            return new Card(at[0], at[1], Number(rect, "width"), Number(rect, "height"));
        }).ToList();
        return (svg, cards);
    }

    [TestMethod]
    [DataRow("lenet5")]
    [DataRow("resnet20")]
    [DataRow("small-squeezenet")]
    [DataRow("small-mobilenet")]
    public void EveryNodeIsDrawnInItsPlace(string name)
    {
        var model = Scripts.Models.get(name);
        var network = model.Build.Invoke(new Generator(1));
        var graph = Graph.Trace(network, model.Sample);
        var (svg, cards) = Draw(network, model.Sample);
        string[] titles = [.. svg.Descendants().Where(e => e.Name.LocalName == "title").Select(e => e.Value)];
        foreach (var node in graph.Nodes) CollectionAssert.Contains(titles,
            (node.Name.Length > 0 ? node.Name + ": " : "") + $"{node.Layer} → {node.Output.Sample}");
        for (int i = 0; i < cards.Count; i++)
        {
            var a = cards[i];
            Assert.IsTrue(a.X >= -0.01 && a.X + a.Width <= Number(svg, "width") && a.Y + a.Height <= Number(svg, "height"));
            foreach (var b in cards.Skip(i + 1))
                Assert.IsTrue(a.X + a.Width <= b.X + 0.01 || b.X + b.Width <= a.X + 0.01 || a.Y + a.Height <= b.Y
                    || b.Y + b.Height <= a.Y,
                    $"{a} and {b} overlap");
        }
    }

    [TestMethod]
    public void EdgesGoDownAndLongOnesPassBesideTheBoxes()
    {
        // A residual block: 0 → 1 → 2 → 3, and 0 → 3 around it.
        var size = new GraphLayout.Size(200, 50);
        Tuple<int, int>[] edges = [new(0, 1), new(1, 2), new(2, 3), new(0, 3)];
        var layout = GraphLayout.place([size, size, size, size], ListModule.OfSeq(edges));
        CollectionAssert.AreEqual(new[] { 0.0, 86, 172, 258 }, layout.Y);
        foreach (double x in layout.X) Assert.AreEqual(layout.X[0], x, 0.5, "the main way is straight");
        foreach (var route in layout.Routes)
        {
            var stops = route.Value.ToList();
            for (int i = 1; i < stops.Count; i++) Assert.IsTrue(stops[i].From > stops[i - 1].To, "an edge goes up");
        }
        var around = layout.Routes[new(0, 3)].ToList();
        Assert.HasCount(4, around);
        foreach (var stop in around.Skip(1).Take(2)) Assert.IsGreaterThan(100, Math.Abs(stop.X - layout.X[1]), "through a box");
    }

    [TestMethod]
    public void FiguresStandAtTheirNodes()
    {
        var net = OnnxImporter.Import(Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx"));
        var figures = new GraphPicture.Figures(
            new FSharpMap<int, double>([new(0, 12.34), new(3, 2345)]),
            new FSharpMap<int, GraphPicture.NodeParity>([new(0, new(2.5e-7, true)), new(3, new(0.25, false))]));
        var (svg, _) = Draw(net.Network, net.Sample, figures);
        string text = svg.Value;
        foreach (string part in new[] { "12 µs", "2.3 ms", "✓ 2.5e-7", "✗ 2.5e-1",
            "156 parameters: 6×1×5×5 + 6", "6×28×28", "1→6, 5×5" })
            Assert.Contains(part, text);
        Assert.HasCount(2, svg.Descendants().Where(e => (string?)e.Attribute("class") == "graph-time").ToArray());
        Assert.AreEqual("The graph: 12 nodes, 61,706 parameters, from [1, 32, 32] to [10]", svg.Attribute("aria-label")!.Value);
    }

    /// <summary>Names come from files, and may hold anything.</summary>
    [TestMethod]
    public void StrangeNamesStayText()
    {
        var net = new GraphModule("Net");
        net.Return(net.Call("a<b>&\"\u0001 and a very long name that no card has room for at all, whatever its font", new Linear(3, 2), 0));
        var (svg, cards) = Draw(net, new Shape(3));
        Assert.Contains("a<b>&\"\uFFFD", svg.Descendants().Where(e => e.Name.LocalName == "title").Select(e => e.Value).ElementAt(2));
        Assert.IsTrue(cards.All(card => card.Width <= 320));
    }
}
