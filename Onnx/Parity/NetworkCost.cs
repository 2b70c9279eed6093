using System.Globalization;
using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx;

/// <summary>
/// What it costs to run a network: by this, not by a clock, the proofs choose how much they go through, so that a network is judged alike
/// on every machine. Seconds are those of a small one: two cores that make 20 GFLOP/s each.
/// </summary>
/// <param name="MultiplyAdds">Of a sample's forward: those of convolutions and products.</param>
/// <param name="Elements">Numbers of a sample in all of the network's values.</param>
/// <param name="Parameters">Trainable numbers.</param>
internal sealed record NetworkCost(double MultiplyAdds, double Elements, double Parameters)
{
    /// <summary>Seconds that a proof may take by this count, and about as many in truth.</summary>
    public const double Budget = 60;

    private const double FlopsPerSecond = 40e9, ElementsPerSecond = 1e9;

    /// <summary>The cost of a network.</summary>
    public static NetworkCost Of(Graph graph)
    {
        double multiplyAdds = 0;
        foreach (var node in graph.Nodes)
        {
            // A weight of two axes or more is used once at each place of the result.
            multiplyAdds += (double)node.Output.Sample.Count / node.Output.Sample[0] * node.Layer.Parameters()
                .Where(parameter => parameter.Value.Shape.Rank > 1).Sum(parameter => (double)parameter.Value.Shape.Count);
        }
        return new NetworkCost(multiplyAdds, graph.Values.Sum(value => (double)value.Sample.Count),
            graph.Nodes.SelectMany(node => node.Layer.Parameters()).Distinct().Sum(parameter => (double)parameter.Value.Shape.Count));
    }

    /// <summary>Whether all values of so many samples fit a model's memory budget.</summary>
    public bool Fits(int samples) => sizeof(float) * Elements * samples <= OnnxImporter.MemoryBudget;

    /// <summary>Seconds of a forward of so many samples.</summary>
    public double Forward(double samples) => samples * (2 * MultiplyAdds / FlopsPerSecond + Elements / ElementsPerSecond);

    /// <summary>Seconds of a training step: forward, two products for each of backward, an update.</summary>
    public double Step(double samples) => 3 * Forward(samples) + 4 * Parameters / ElementsPerSecond;

    /// <summary>As "4.1 billion multiply-adds a sample".</summary>
    public override string ToString()
    {
        var (number, unit) = MultiplyAdds >= 1e9 ? (MultiplyAdds / 1e9, "billion") : MultiplyAdds >= 1e6 ? (MultiplyAdds / 1e6, "million")
            : (MultiplyAdds / 1e3, "thousand");
        return string.Create(CultureInfo.InvariantCulture, $"{number:0.#} {unit} multiply-adds a sample");
    }
}
