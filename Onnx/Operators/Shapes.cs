using OnnxLeNet.Numerics;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>
/// Flatten, Reshape, Squeeze and Unsqueeze ↔ <see cref="Numerics.Flatten"/> and <see cref="Numerics.Reshape"/>, Transpose ↔
/// <see cref="Permute"/>: all that changes how a sample's elements are seen. The samples' axis stays where it is.
/// </summary>
internal static class Shapes
{
    public static string Export(GraphWriter graph, string name, string x, Numerics.Flatten _) =>
        graph.Node("Flatten", name, [x], GraphWriter.Int("axis", 1));

    /// <summary>Flatten and Reshape: dx is dy in x's shape.</summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, View _) =>
        graph.Reshape($"{at.Name}.dx", dy, TrainingWriter.Sizes(at.XSample));

    public static ImportedLayer ImportFlatten(NodeReader node)
    {
        node.RequireArity(1);
        var x = node.Sample;
        int axis = node.Axis("axis", 1, x.Rank + 1);
        // Axes of size 1 belong to either side.
        int before = 1;
        for (int i = 0; i < axis - 1; i++) before *= x[i];
        if (axis != 0 && before == 1) return new ImportedLayer(new Shape(x.Count), new Numerics.Flatten());
        throw node.Refuse($"attribute 'axis' is {axis}: only the samples' axis may stay in front, 1");
    }

    /// <summary>0 stands for the samples' number, whatever it is.</summary>
    public static string Export(GraphWriter graph, string name, string x, Numerics.Reshape layer)
    {
        string shape = graph.Integers($"{name}.shape", [0, .. layer.Sample.Sizes.ToArray().Select(size => (long)size)]);
        return graph.Opset >= 14 ? graph.Node("Reshape", name, [x, shape], GraphWriter.Int("allowzero", 0))
            : graph.Node("Reshape", name, [x, shape]);
    }

    public static ImportedLayer ImportReshape(NodeReader node)
    {
        if (SampleNormalization.ImportGroups(node) is { } norm) return norm;
        node.RequireArity(node.Opset < 5 ? 1 : 2);
        bool zeroIsZero = node.Flag("allowzero");
        long[] target = node.Opset < 5 ? node.Longs("shape")
            ?? throw node.Refuse("attribute 'shape' is missing") : node.Constant(1)?.Integers()
            ?? throw node.Refuse($"its shape '{(node.Has(1) ? node.Node.Input[1] : "")}' is no constant and does not follow from "
                + "the input's");
        var x = node.Sample;
        if (target.Length == 0) throw node.Refuse("its shape has no axes");
        if (target.Count(d => d == -1) > 1 || target.Any(d => d < -1 && d != Constant.AnyBatch))
            throw node.Refuse($"its shape is {Text(target)}");
        // What 0 stands for, then what the rest of the samples' elements must be.
        long[] sizes = [.. target];
        for (int i = 0; i < sizes.Length; i++)
            if (sizes[i] == 0 && !zeroIsZero) sizes[i] = i == 0 ? Constant.AnyBatch : i <= x.Rank ? x[i - 1]
                : throw node.Refuse($"its shape is {Text(target)}, the input has {x.Rank + 1} axes");
        bool keepsBatch = sizes[0] == Constant.AnyBatch || sizes[0] == node.Batch;
        long known = 1;
        foreach (long size in sizes.Skip(1).Where(s => s != -1))
        {
            if (size is < 1 or > int.MaxValue || (known *= size) > int.MaxValue) throw node.Refuse($"its shape is {Text(target)}");
        }
        int open = Array.IndexOf(sizes, -1L);
        if (open == 0) keepsBatch = known == x.Count;
        else if (open > 0 && keepsBatch && x.Count % known == 0) sizes[open] = x.Count / known;
        if (!keepsBatch || (open > 0 && sizes[open] == -1) || sizes.Skip(1).Aggregate(1L, (count, size) => count * size) != x.Count)
            throw node.Refuse($"its shape {Text(target)} does not keep samples of shape {x} apart: the first axis must stay the samples'");
        return Viewed(x, new Shape([.. sizes.Skip(1).Select(s => (int)s)]));
    }

    public static ImportedLayer ImportSqueeze(NodeReader node)
    {
        var x = node.Sample;
        var axes = Axes(node, x.Rank + 1) ?? [.. Enumerable.Range(1, x.Rank).Where(axis => x[axis - 1] == 1)];
        if (axes.Any(axis => axis == 0 || x[axis - 1] != 1))
            throw node.Refuse($"it takes axes {string.Join(", ", axes)} off samples of shape {x}; only axes of size 1 behind the "
                + "samples' can go");
        return Viewed(x, new Shape([.. Enumerable.Range(1, x.Rank).Where(axis => !axes.Contains(axis)).Select(axis => x[axis - 1])]));
    }

    public static ImportedLayer ImportUnsqueeze(NodeReader node)
    {
        var x = node.Sample;
        var axes = Axes(node, x.Rank + 1 + AxesGiven(node))!;
        if (axes.Contains(0)) throw node.Refuse("it puts an axis before the samples'");
        var sizes = x.Sizes.ToArray().ToList();
        foreach (int axis in axes.Order()) sizes.Insert(axis - 1, 1);
        return Viewed(x, new Shape([.. sizes]));
    }

    public static string Export(GraphWriter graph, string name, string x, Permute layer) =>
        graph.Node("Transpose", name, [x], GraphWriter.Ints("perm", [.. layer.Dims.Select(d => (long)d)]));

    /// <summary>dx is dy with its axes back in their order.</summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, Permute layer) =>
        graph.Transpose($"{at.Name}.dx", dy, [.. Enumerable.Range(0, layer.Dims.Count)
            .Select(axis => (long)layer.Dims.ToList().IndexOf(axis))]);

    public static ImportedLayer ImportTranspose(NodeReader node)
    {
        node.RequireArity(1);
        var x = node.Sample;
        long[] perm = node.Longs("perm") ?? [.. Enumerable.Range(0, x.Rank + 1).Reverse().Select(i => (long)i)];
        if (perm.Length != x.Rank + 1 || !perm.Order().SequenceEqual(Enumerable.Range(0, perm.Length).Select(i => (long)i)) || perm[0] != 0)
            throw node.Refuse($"attribute 'perm' is [{string.Join(", ", perm)}], expected the {x.Rank + 1} axes of the input with the "
                + "samples' axis 0 in front");
        if (perm.SequenceEqual(perm.Order())) return new ImportedLayer(x);
        var layer = new Permute([.. perm.Select(p => (int)p)]);
        return new ImportedLayer(layer.OutputShape(x), layer);
    }

    /// <summary>How many axes an Unsqueeze adds.</summary>
    internal static int AxesGiven(NodeReader node)
    {
        int count = (node.Opset < 13 ? node.Node.Attribute.FirstOrDefault(a => a.Name == "axes")?.Ints.Count : node.Constant(1)?.Count)
            ?? 0;
        return count is > 0 and <= 8 ? count : throw node.Refuse("its axes are no constants, or too many");
    }

    /// <summary>The axes of a Squeeze or Unsqueeze, an input since operator set 13, counted from the front; null where none are
    /// given.</summary>
    internal static int[]? Axes(NodeReader node, int rank)
    {
        node.RequireArity(node.Opset < 13 ? 1 : 2);
        if (rank > OnnxChecker.MostAxes) throw node.Refuse($"its result or input has {rank} axes, at most {OnnxChecker.MostAxes} are read");
        long[]? axes = node.Opset < 13 ? node.Longs("axes") : node.Has(1) ? node.Constant(1)?.Integers()
            ?? throw node.Refuse($"its axes '{node.Node.Input[1]}' are no constants") : null;
        if (axes is null) return null;
        if (axes.Any(a => a < -rank || a >= rank)) throw node.Refuse($"its axes are [{string.Join(", ", axes)}] of {rank}");
        int[] result = [.. axes.Select(a => (int)(a < 0 ? a + rank : a))];
        return result.Distinct().Count() == result.Length ? result
            : throw node.Refuse($"its axes are [{string.Join(", ", axes)}], one of them twice");
    }

    public static ImportedLayer ImportIdentity(NodeReader node)
    {
        node.RequireArity(1);
        return new ImportedLayer(node.Sample);
    }

    /// <summary>The engine computes in float32, whatever float type the file passes on.</summary>
    public static ImportedLayer ImportCast(NodeReader node)
    {
        var to = node.Type("to");
        if (to is not (DataType.Float or DataType.Float16 or DataType.Double))
            throw node.Refuse($"it makes {to} of the samples in the middle of the network; layers compute with floats");
        // What they say is of floats of 8 bits.
        if (node.Opset >= 19) node.Int("saturate", 1);
        if (node.Opset >= 24) node.Text("round_mode", "up");
        return ImportIdentity(node);
    }

    private static ImportedLayer Viewed(Shape from, Shape to) =>
        from == to ? new ImportedLayer(to) : new ImportedLayer(to, to.Rank == 1 ? new Numerics.Flatten() : new Numerics.Reshape(to));

    private static string Text(long[] shape) => $"[{string.Join(", ", shape.Select(d => d == Constant.AnyBatch ? "N" : $"{d}"))}]";
}
