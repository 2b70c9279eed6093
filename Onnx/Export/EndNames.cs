using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx;

/// <summary>The names of a graph's inputs and outputs: what a user gives, in order, and the usual ones for the rest.</summary>
/// <param name="Inputs">The inputs' names.</param>
/// <param name="Outputs">The outputs' names.</param>
internal sealed record EndNames(IReadOnlyList<string> Inputs, IReadOnlyList<string> Outputs)
{
    /// <summary>The names of a traced network's.</summary>
    /// <exception cref="OnnxException">More names than there are values, an empty one, or one that stands twice.</exception>
    public static EndNames Of(Graph graph, ExportOptions options)
    {
        string output = options.Softmax ? OnnxExporter.Probabilities : OnnxExporter.Output;
        var names = new EndNames(Fill(options.InputNames, graph.Inputs, OnnxExporter.Input, "input", graph.Module),
            Fill(options.OutputNames, graph.Outputs, output, "output", graph.Module));
        if (names.All.GroupBy(name => name).FirstOrDefault(group => group.Count() > 1) is { } twice)
        {
            throw new OnnxException(
                $"two inputs or outputs are named '{twice.Key}', of {string.Join(", ", names.All)}: each needs a name of its own");
        }
        return names;
    }

    /// <summary>All of them, the inputs' first.</summary>
    public IEnumerable<string> All => Inputs.Concat(Outputs);

    private static string[] Fill(IReadOnlyList<string> given, IReadOnlyList<Value> values, string one, string stem, Module network)
    {
        if (given.Count > values.Count)
        {
            throw new OnnxException($"{given.Count} names of {stem}s were given, '{string.Join("', '", given)}': {network.Title} has "
                + $"{values.Count}, samples of {string.Join(", ", values.Select(value => value.Sample))}");
        }
        if (given.Any(string.IsNullOrEmpty)) throw new OnnxException($"a name of an {stem} is empty, of '{string.Join("', '", given)}'");
        return [.. values.Select((_, i) => i < given.Count ? given[i] : values.Count == 1 ? one : $"{stem}{i + 1}")];
    }
}
