using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// Models that are valid by the standard, of random operators, attributes and shapes: what the engine makes of one is what ONNX Runtime
/// makes of
/// it.
/// </summary>
internal sealed class ValidModels(Generator g)
{
    private readonly List<string> nodes = [];
    private readonly List<(string Name, int[] Dims)> weights = [];
    private readonly List<(string Name, long[] Values)> integers = [];
    private readonly List<(string Name, Shape Sample)> values = [];
    private int opset;

    private static readonly string[] Activations = ["Relu", "Sigmoid", "Tanh", "Elu", "Selu", "Softplus", "LeakyRelu", "HardSigmoid",
        "Identity"];

    /// <summary>A model of one input, x.</summary>
    public ModelProto Next()
    {
        opset = 7 + g.Next(15);
        var sample = g.OneIn(4) ? new Shape(1 + g.Next(9)) : g.OneIn(5) ? new Shape(1 + g.Next(4), 3 + g.Next(8))
            : new Shape(1 + g.Next(6), 3 + g.Next(8), 3 + g.Next(8));
        values.Add(("x", sample));
        for (int steps = 1 + g.Next(8); steps > 0; steps--) Step();
        if (nodes.Count == 0) Node("Relu x", sample);
        var model = Graphs.Of(opset, sample, string.Join('\n', nodes), [.. weights]);
        foreach (var (name, row) in integers) model.WithIntegers(name, row);
        foreach (var tensor in model.Graph.Initializer.Where(tensor => tensor.Name.StartsWith('m')))
            for (int i = 0; i < tensor.FloatData.Count; i++) tensor.FloatData[i] -= 1; // weights of both signs, variances above 0
        return model;
    }

    private void Step()
    {
        // Mostly on from the last value, now and then from an earlier one.
        var (x, sample) = g.OneIn(5) ? g.Pick(values) : values[^1];
        int c = sample[0], rank = sample.Rank;
        switch (g.Next(14))
        {
            case 0 or 1: Node($"{g.Pick(Activations)} {x}", sample); break;
            case 2 or 3 when rank > 1: Conv(x, sample); break;
            case 4 when rank > 1: Pool(x, sample); break;
            case 5 when rank > 1:
                Node($"BatchNormalization {x} {Weight(c)} {Weight(c)} {Weight(c)} {Weight([c], positive: true)}", sample);
                break;
            case 6: Node($"{g.Pick(["Add", "Sub", "Mul", "Div"])} {x} {Weight([c, .. Enumerable.Repeat(1, rank - 1)], positive: true)}",
                sample); break;
            case 7 when rank > 1: Node($"Flatten {x}", new Shape(sample.Count), "axis=1"); break;
            case 8 when rank == 1 && c <= 512: Product(x, c); break;
            case 9: Join(x, sample); break;
            case 10 when rank > 1: Node($"{g.Pick(["GlobalAveragePool", "GlobalMaxPool"])} {x}", new Shape([c, .. Enumerable.Repeat(1,
                rank - 1)])); break;
            case 11: Node($"{g.Pick(["Softmax", "LogSoftmax"])} {x}", sample, $"axis={(opset < 13 ? 1 : 1 + g.Next(rank))}"); break;
            case 12 when rank == 3:
                Node($"Transpose {x}", new Shape(sample[2], c, sample[1]), "perm=0,3,1,2");
                break;
            case 13:
                integers.Add(($"i{integers.Count}", [0, -1, .. rank > 1 ? new long[] { sample[rank - 1] } : []]));
                Node($"Reshape {x} {integers[^1].Name}", rank > 1 ? new Shape(sample.Count / sample[rank - 1], sample[rank - 1]) : sample);
                break;
        }
    }

    private void Product(string x, int c)
    {
        int features = 1 + g.Next(7);
        switch (g.Next(3))
        {
            case 0: Node($"MatMul {x} {Weight(c, features)}", new Shape(features)); break;
            case 1: Node($"Gemm {x} {Weight(c, features)} {Weight(features)}", new Shape(features), "alpha=0.5 beta=1.5"); break;
            default: Node($"Gemm {x} {Weight(features, c)} {Weight(features)}", new Shape(features), "transB=1"); break;
        }
    }

    private void Conv(string x, Shape sample)
    {
        int axes = sample.Rank - 1, c = sample[0], groups = g.OneIn(4) ? c : c % 2 == 0 && g.OneIn(3) ? 2 : 1;
        int filters = groups * (1 + g.Next(3));
        var (k, s, p, q, d) = Window(sample, dilated: true, mostPadding: 3);
        int[] output = [.. Enumerable.Range(0, axes).Select(i => (sample[i + 1] + p[i] + q[i] - (d[i] * (k[i] - 1) + 1)) / s[i] + 1)];
        string bias = g.OneIn(2) ? $" {Weight(filters)}" : "";
        Node($"Conv {x} {Weight([filters, c / groups, .. k])}{bias}", new Shape([filters, .. output]),
            $"{Ints("kernel_shape", k)} {Ints("strides", s)} {Ints("pads", [.. p, .. q])} {Ints("dilations", d)} group={groups}");
    }

    private void Pool(string x, Shape sample)
    {
        bool max = g.OneIn(2), dilated = max && opset >= 10;
        var (k, s, p, q, d) = Window(sample, dilated, mostPadding: 1);
        // No window lies in the padding alone, where readers differ.
        for (int i = 0; i < k.Length; i++) (p[i], q[i]) = (Math.Min(p[i], k[i] - 1), Math.Min(q[i], k[i] - 1));
        int[] output = [.. k.Select((_, i) => (sample[i + 1] + p[i] + q[i] - (d[i] * (k[i] - 1) + 1)) / s[i] + 1)];
        Node($"{(max ? "MaxPool" : "AveragePool")} {x}", new Shape([sample[0], .. output]),
            $"{Ints("kernel_shape", k)} {Ints("strides", s)} {Ints("pads", [.. p, .. q])}{(dilated ? $" {Ints("dilations", d)}" : "")}"
            + (max ? "" : $" count_include_pad={g.Next(2)}"));
    }

    /// <summary>Kernel, strides, padding before and behind, and dilations that fit a sample.</summary>
    private (int[] K, int[] S, int[] P, int[] Q, int[] D) Window(Shape sample, bool dilated, int mostPadding)
    {
        int axes = sample.Rank - 1;
        int[] Draw(int least, int most) => [.. Enumerable.Range(0, axes).Select(_ => least + g.Next(most - least + 1))];
        var (k, s, p, q, d) = (Draw(1, 4), Draw(1, 3), Draw(0, mostPadding), Draw(0, mostPadding), dilated ? Draw(1, 2) : Draw(1, 1));
        for (int i = 0; i < axes; i++)
        {
            (k[i], d[i]) = (Math.Min(k[i], sample[i + 1]), d[i] * (k[i] - 1) + 1 > sample[i + 1] ? 1 : d[i]);
        }
        return (k, s, p, q, d);
    }

    private void Join(string x, Shape sample)
    {
        var others = values.FindAll(value => value.Sample.Rank == sample.Rank);
        var (other, theirs) = g.Pick(others);
        bool concat = sample.Rank == 1 || Enumerable.Range(1, sample.Rank - 1).All(i => sample[i] == theirs[i]);
        if (concat && g.OneIn(2))
            Node($"Concat {x} {other}", new Shape([sample[0] + theirs[0], .. sample.Sizes[1..]]), "axis=1");
        else if (theirs == sample) Node($"{g.Pick(["Add", "Mul", "Sub"])} {x} {other}", sample);
    }

    private string Weight(params int[] dims) => Weight(dims, positive: false);

    // Named p for numbers from 0.5 to 1.5, m for ones around 0.
    private string Weight(int[] dims, bool positive)
    {
        weights.Add(($"{(positive ? 'p' : 'm')}{weights.Count}", dims));
        return weights[^1].Name;
    }

    private void Node(string left, Shape output, string attributes = "")
    {
        string name = $"v{nodes.Count}";
        nodes.Add($"{left} -> {name} {attributes}".TrimEnd());
        values.Add((name, output));
    }

    // One number with a comma behind it would be read as a list of two.
    private static string Ints(string name, int[] numbers) => $"{name}={string.Join(',', numbers)}{(numbers.Length == 1 ? "," : "")}";

    public override string ToString() => $"opset {opset}\n{string.Join('\n', nodes)}";
}
