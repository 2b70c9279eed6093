using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>Slice, Split and Gather of an axis behind the samples' ↔ <see cref="Numerics.Slice"/> and <see cref="IndexSelect"/>.</summary>
internal static class Indexing
{
    public static string Export(GraphWriter graph, string name, string x, Numerics.Slice layer, Shape sample)
    {
        int axis = Axes.OfSample(layer.Dim, sample)!.Value, size = sample[axis];
        var (first, count) = layer.Places(size);
        long last = first + (count - 1L) * layer.Step, end = layer.Step > 0 ? last + 1 : last - 1;
        if (end < 0) end -= size; // before the first place: as a number it would count from the end
        return graph.Node("Slice", name, [x, graph.Integers($"{name}.starts", first), graph.Integers($"{name}.ends", end),
            graph.Integers($"{name}.axes", axis + 1), graph.Integers($"{name}.steps", layer.Step)]);
    }

    /// <summary>dx: dy with zeros around it. With a step, each place is taken from dy, or from a zero put behind it.</summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, Numerics.Slice layer)
    {
        int axis = Axes.OfSample(layer.Dim, at.XSample)!.Value, size = at.XSample[axis], rank = at.XSample.Rank + 1;
        var (first, count) = layer.Places(size);
        if (layer.Step == 1) return Pad.Zeros(graph, $"{at.Name}.dx", dy, rank, axis + 1, first, size - first - count);
        var places = new int[size];
        for (int i = 0; i < size; i++)
        {
            int taken = (i - first) / layer.Step;
            places[i] = (i - first) % layer.Step == 0 && taken >= 0 && taken < count ? taken : count;
        }
        return Gather(graph.Graph, $"{at.Name}.dx", Pad.Zeros(graph, $"{at.Name}.dx_padded", dy, rank, axis + 1, 0, 1), axis + 1, places);
    }

    /// <summary>Places of an axis by their numbers.</summary>
    public static string Gather(GraphWriter graph, string name, string x, int axis, ReadOnlySpan<int> places)
    {
        var indices = new long[places.Length];
        for (int i = 0; i < places.Length; i++) indices[i] = places[i];
        return graph.Node("Gather", name, [x, graph.Integers($"{name}.indices", indices)], GraphWriter.Int("axis", axis));
    }

    public static string Export(GraphWriter graph, string name, string x, IndexSelect layer, Shape sample) =>
        Gather(graph, name, x, Axes.OfSample(layer.Dim, sample)!.Value + 1, [.. layer.Indices]);

    /// <summary>dx: for every place the sum of what was taken from it, by a product with a matrix of zeros and ones.</summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, IndexSelect layer)
    {
        var (x, y) = (at.XSample, at.YSample);
        int axis = Axes.OfSample(layer.Dim, x)!.Value, size = x[axis], count = y[axis];
        var matrix = new Tensor(new Shape(size, count));
        for (int i = 0; i < count; i++) matrix[layer.Indices[i] < 0 ? layer.Indices[i] + size : layer.Indices[i], i] = 1;
        string left = graph.Graph.Initializer($"{at.Name}.dx_places", matrix);
        // The axes behind become one, those before stay where they are.
        long[] before = [.. x.Sizes[..axis].ToArray().Select(s => (long)s)];
        long behind = x.Sizes[(axis + 1)..].ToArray().Aggregate(1L, (product, s) => product * s);
        string flat = graph.Reshape($"{at.Name}.dy_flat", dy, [-1, .. before, count, behind]);
        return graph.Reshape($"{at.Name}.dx", graph.Node("MatMul", $"{at.Name}.dx_flat", [left, flat]), TrainingWriter.Sizes(x));
    }

    public static ImportedLayer ImportSlice(NodeReader node)
    {
        node.RequireArity(node.Opset < 10 ? 1 : 5);
        long[] Input(int index, string what) =>
            node.Constant(index)?.Integers() ?? throw node.Refuse($"its {what} are missing, or no constants");
        bool given = node.Opset >= 10;
        long[] starts = given ? Input(1, "starts") : node.Longs("starts") ?? throw node.Refuse("attribute 'starts' is missing");
        long[] ends = given ? Input(2, "ends") : node.Longs("ends") ?? throw node.Refuse("attribute 'ends' is missing");
        long[] axes = (given ? node.Has(3) ? Input(3, "axes") : null : node.Longs("axes"))
            ?? [.. Enumerable.Range(0, starts.Length).Select(i => (long)i)];
        long[] steps = given && node.Has(4) ? Input(4, "steps") : [.. starts.Select(_ => 1L)];
        var shape = node.Sample;
        int rank = shape.Rank + 1;
        if (ends.Length != starts.Length || axes.Length != starts.Length || steps.Length != starts.Length
            || axes.Any(a => a < -rank || a >= rank))
            throw node.Refuse($"it has {starts.Length} starts, {ends.Length} ends and {steps.Length} steps "
                + $"for the axes [{string.Join(", ", axes)}] of {rank}");
        var layers = new List<Module>();
        for (int i = 0; i < starts.Length; i++)
        {
            int axis = (int)(axes[i] < 0 ? axes[i] + rank : axes[i]);
            if (axis == 0)
            {
                bool whole = starts[i] == 0 && steps[i] == 1 && (ends[i] >= (node.Batch ?? int.MaxValue) || ends[i] == Constant.AnyBatch);
                if (!whole) throw node.Refuse("it takes some of the samples; a layer takes all");
                continue;
            }
            if (steps[i] == 0) throw node.Refuse("a step is 0");
            static int Int(long value) => (int)Math.Clamp(value, int.MinValue, int.MaxValue);
            var layer = new Numerics.Slice(axis, Int(starts[i]), Int(ends[i]), Int(steps[i]));
            var part = layer.OutputShape(shape);
            if (part != shape || layer.Step < 0) layers.Add(layer);
            shape = part;
        }
        return new ImportedLayer(shape, [.. layers]);
    }

    /// <summary>Each output is a part of its own. Their sizes are an attribute, or since operator set 13 an input; else all are equal, and
    /// since 18 the last may be smaller.</summary>
    public static ImportedLayer ImportSplit(NodeReader node)
    {
        int axis = node.Axis("axis", 0, node.Sample.Rank + 1), outputs = node.Node.Output.Count;
        node.RequireInputs(node.Opset is < 2 or >= 13 ? 2 : 1);
        if (axis == 0) throw node.Refuse("it parts the samples; a layer takes all");
        if (axis > node.Sample.Rank) throw node.Refuse($"attribute 'axis' is {axis}, the input has {node.Sample.Rank + 1} axes");
        int size = node.Sample[axis - 1];
        if (node.Opset >= 18) node.Require("num_outputs", node.Int("num_outputs", outputs), outputs);
        long[]? sizes = node.Opset < 13 ? node.Longs("split") : null;
        if (node.Has(1)) sizes = node.Constant(1)?.Integers() ?? throw node.Refuse($"its sizes '{node.Node.Input[1]}' are no constants");
        if (sizes is null)
        {
            int equal = (size - 1) / outputs + 1;
            if (node.Opset < 18 && equal * outputs != size) throw node.Refuse($"it makes {outputs} equal parts of axis {axis} of {size}");
            sizes = [.. Enumerable.Range(0, outputs).Select(i => (long)Math.Min(equal, size - i * equal))];
        }
        if (sizes.Length != outputs || sizes.Any(part => part < 1) || sizes.Sum() != size)
            throw node.Refuse($"its {outputs} parts of the sizes [{string.Join(", ", sizes)}] do not make up axis {axis} of {size}");
        var parts = new List<ImportedLayer>();
        int start = 0;
        foreach (int part in sizes)
        {
            var layer = new Numerics.Slice(axis, start, start + part);
            parts.Add(new ImportedLayer(layer.OutputShape(node.Sample), layer));
            start += part;
        }
        return parts[0] with { Others = parts[1..] };
    }

    /// <summary>Places by constant numbers; a single number takes the axis away.</summary>
    public static ImportedLayer ImportGather(NodeReader node)
    {
        node.RequireArity(2);
        var x = node.Sample;
        if (node.Constant(1) is not { Dims.Length: <= 1 } constant || constant.Integers() is not { Length: > 0 } indices)
            throw node.Refuse("its indices are no constant row of integers, nor a single one");
        int axis = node.Axis("axis", 0, x.Rank + 1);
        if (axis == 0 || axis > x.Rank)
            throw node.Refuse(axis == 0 ? "it picks samples; a layer takes all"
                : $"attribute 'axis' is {axis}, the input has {x.Rank + 1} axes");
        var layer = new IndexSelect(axis, [.. indices.Select(i => (int)Math.Clamp(i, int.MinValue, int.MaxValue))]);
        var output = layer.OutputShape(x);
        if (constant.Dims.Length == 1) return new ImportedLayer(output, layer);
        var view = new Shape([.. output.Sizes[..(axis - 1)], .. output.Sizes[axis..]]);
        return new ImportedLayer(view, layer, new Numerics.Reshape(view));
    }
}
