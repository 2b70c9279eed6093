using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Operators;
using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx;

/// <summary>
/// Computes what is known before the graph runs: constants of every kind, weights seen another way, and the arithmetic on shapes that
/// exporters write, such as PyTorch's <c>x.view(-1, num_flat_features(x))</c>. Integers only, and the number of samples stays open
/// where the file leaves it so.
/// </summary>
internal static class ConstantFolder
{
    /// <summary>More numbers than any shape has: what computes more is no shape.</summary>
    private const int MostNumbers = 64;

    private static readonly Dictionary<string, Func<NodeReader, string, Constant>> Operators = new()
    {
        ["Constant"] = Constant,
        ["Identity"] = (node, name) => Input(node, 0).Named(name),
        ["Cast"] = Cast,
        ["Transpose"] = Transpose,
        ["Reshape"] = Reshape,
        ["Squeeze"] = Squeeze,
        ["Unsqueeze"] = Unsqueeze,
        ["Shape"] = (node, name) => Part(node, name, [.. Input(node, 0).Dims.Select(d => (long)d)]),
        ["ConstantOfShape"] = ConstantOfShape,
        ["Gather"] = Gather,
        ["Slice"] = Slice,
        ["Concat"] = Concat,
        ["ReduceProd"] = ReduceProd,
        ["Add"] = (node, name) => Arithmetic(node, name, (a, b) => checked(a + b)),
        ["Sub"] = (node, name) => Arithmetic(node, name, (a, b) => checked(a - b)),
        ["Mul"] = (node, name) => Arithmetic(node, name, (a, b) => checked(a * b)),
        ["Div"] = (node, name) => Arithmetic(node, name, (a, b) => a / b),
    };

    /// <summary>The operators of which results are computed.</summary>
    public static IEnumerable<string> Known => Operators.Keys;

    /// <summary>Whether an operator's result is known where its inputs are.</summary>
    public static bool Knows(string opType) => Operators.ContainsKey(opType);

    /// <summary>A node's result, all its inputs being constants.</summary>
    /// <exception cref="OnnxException">An operator, type or size that is not computed.</exception>
    public static Constant Fold(NodeReader node)
    {
        node.RequireArity(int.MaxValue);
        if (!Operators.TryGetValue(node.Node.OpType, out var fold))
            throw node.Refuse("all its inputs are constants, and this operator is not computed");
        try { return fold(node, node.Node.Output[0]); }
        catch (Exception error) when (error is OverflowException or DivideByZeroException) { throw node.Refuse(error.Message); }
    }

    /// <summary>The shape of a value that is computed when the graph runs.</summary>
    public static Constant Shape(NodeReader node) =>
        Part(node, node.Node.Output[0], [node.Batch ?? Onnx.Constant.AnyBatch, .. node.Sample.Sizes.ToArray().Select(s => (long)s)]);

    /// <summary>A shape, or since operator set 15 the part of it that is asked for.</summary>
    private static Constant Part(NodeReader node, string name, long[] sizes)
    {
        int Clamp(long at) => (int)Math.Clamp(at < 0 ? at + sizes.Length : at, 0, sizes.Length);
        int start = Clamp(node.Int("start", 0)), end = Math.Max(Clamp(node.Int("end", sizes.Length)), start);
        return new Constant(name, sizes[start..end], end - start);
    }

    private static Constant ConstantOfShape(NodeReader node, string name)
    {
        long[] dims = Row(node, 0);
        var value = node.Node.Attribute.FirstOrDefault(a => a.Name == "value")?.T;
        node.Skip("value");
        value ??= new TensorProto { DataType = (int)DataType.Float, FloatData = { 0 } };
        if ((DataType)value.DataType is DataType.String or DataType.Bool || OnnxChecker.Count(value, "value") != 1)
            throw node.Refuse("it repeats a value that is no number");
        var repeated = new Constant(value);
        // Models of the zoo that were made small have their weights so.
        if (repeated.IsFloat && dims.All(d => d is >= 0 and <= int.MaxValue)
            && dims.Aggregate(1.0, (n, d) => n * d) * sizeof(float) <= node.Budget)
            return Onnx.Constant.Repeated(name, value, [.. dims.Select(d => (int)d)]);
        if (repeated.Integers() is not [var number])
            throw node.Refuse($"it makes the shape [{string.Join(", ", dims)}] of a value that is neither float nor integer, or too "
                + "many of it");
        if (dims.Any(d => d is < 0 or > MostNumbers) || dims.Aggregate(1L, (n, d) => Math.Min(n * d, MostNumbers + 1)) > MostNumbers)
            throw node.Refuse($"it makes the shape [{string.Join(", ", dims)}]; at most {MostNumbers} numbers are computed");
        int[] sizes = [.. dims.Select(d => (int)d)];
        return new Constant(name, [.. Enumerable.Repeat(number, sizes.Aggregate(1, (n, d) => n * d))], sizes);
    }

    private static Constant Constant(NodeReader node, string name)
    {
        var attributes = node.Node.Attribute;
        if (attributes.Count != 1) throw node.Refuse($"it has {attributes.Count} values, expected one");
        var attribute = attributes[0];
        switch (attribute.Name)
        {
            case "value":
                if (attribute.T is null) throw node.Refuse("its value is no tensor");
                node.Skip("value");
                return new Constant(attribute.T).Named(name);
            case "value_int": return new Constant(name, [node.Int("value_int", 0)]);
            case "value_ints":
                long[] values = node.Longs("value_ints")!;
                return new Constant(name, values, values.Length);
            case "value_float":
                return Floats(name, [], [node.Float("value_float", 0)]);
            case "value_floats":
                float[] floats = node.Floats("value_floats");
                return Floats(name, [floats.Length], floats);
            default: throw node.Refuse($"its value is of the kind '{attribute.Name}', which is not read");
        }
    }

    /// <summary>Weights stay what they are, since a layer reads any float type; integers stay integers.</summary>
    private static Constant Cast(NodeReader node, string name)
    {
        var to = node.Type("to");
        if (node.Opset >= 19) node.Int("saturate", 1);
        if (node.Opset >= 24) node.Text("round_mode", "up");
        var x = Input(node, 0);
        bool toFloat = to is DataType.Float or DataType.Double;
        // A size that something is divided by.
        if (toFloat && x.Count <= MostNumbers && x.Integers() is { } sizes && !sizes.Contains(Onnx.Constant.AnyBatch))
            return Floats(name, x.Dims, sizes.Select(size => (float)size));
        bool fits = x.IsFloat
            ? toFloat
            : x.Integers() is not null && to is DataType.Int64 or DataType.Int32;
        return fits ? x.Named(name) : throw node.Refuse($"it makes {to} of the constant {x} of type {x.Type}, which is not computed");
    }

    private static Constant Transpose(NodeReader node, string name)
    {
        var x = Input(node, 0);
        if (!x.IsFloat && x.Count > MostNumbers) throw node.Refuse($"it turns the constant {x} of type {x.Type}; at most {MostNumbers} "
            + "numbers are computed, and weights are floats");
        long[] perm = node.Longs("perm") ?? [.. Enumerable.Range(0, x.Dims.Length).Reverse().Select(i => (long)i)];
        if (!perm.Order().SequenceEqual(Enumerable.Range(0, x.Dims.Length).Select(i => (long)i)))
            throw node.Refuse($"attribute 'perm' is [{string.Join(", ", perm)}] for the constant {x}");
        return x.Transpose(name, [.. perm.Select(p => (int)p)]);
    }

    private static Constant Reshape(NodeReader node, string name)
    {
        var x = Input(node, 0);
        long[] target = node.Opset < 5 ? node.Longs("shape")
            ?? throw node.Refuse("attribute 'shape' is missing") : (long[])Integers(node, 1).Clone();
        bool zeroIsZero = node.Flag("allowzero");
        long known = 1;
        for (int i = 0; i < target.Length; i++)
        {
            if (target[i] == 0 && !zeroIsZero) target[i] = i < x.Dims.Length ? x.Dims[i] : 0;
            if (target[i] != -1) known = target[i] is >= 0 and <= int.MaxValue ? Math.Min(known * target[i], 1L << 32) : -1;
            if (known < 0) break;
        }
        if (target.Count(d => d == -1) is var open && open == 1 && known > 0) target[Array.IndexOf(target, -1L)] = x.Count / known;
        if (open > 1 || known < 0 || target.Any(d => d is < 0 or > int.MaxValue)
            || target.Aggregate(1L, (count, d) => Math.Min(count * d, 1L << 32)) != x.Count)
            throw node.Refuse($"the constant {x} cannot be given the shape [{string.Join(", ", target)}]");
        return x.Reshape(name, [.. target.Select(d => (int)d)]);
    }

    private static Constant Squeeze(NodeReader node, string name)
    {
        var x = Input(node, 0);
        int[] axes = Shapes.Axes(node, x.Dims.Length) ?? [.. Enumerable.Range(0, x.Dims.Length).Where(i => x.Dims[i] == 1)];
        if (axes.Any(i => x.Dims[i] != 1)) throw node.Refuse($"it takes axes {string.Join(", ", axes)} off the constant {x}");
        return x.Reshape(name, [.. x.Dims.Where((_, i) => !axes.Contains(i))]);
    }

    private static Constant Unsqueeze(NodeReader node, string name)
    {
        var x = Input(node, 0);
        int count = Shapes.AxesGiven(node);
        var dims = x.Dims.ToList();
        foreach (int axis in Shapes.Axes(node, dims.Count + count)!.Order()) dims.Insert(axis, 1);
        return x.Reshape(name, [.. dims]);
    }

    private static Constant Gather(NodeReader node, string name)
    {
        long[] data = Row(node, 0), indices = Integers(node, 1);
        if (node.Int("axis", 0) is not (0 or -1)) throw node.Refuse("it gathers along another axis than the only one");
        if (indices.Any(i => i < -data.Length || i >= data.Length))
            throw node.Refuse($"it takes numbers [{string.Join(", ", indices)}] of {data.Length}");
        return new Constant(name, [.. indices.Select(i => data[i < 0 ? i + data.Length : i])], Input(node, 1).Dims);
    }

    /// <summary>Cuts along the first axis, also backwards.</summary>
    private static Constant Slice(NodeReader node, string name)
    {
        var x = Input(node, 0);
        long[] data = Integers(node, 0);
        long[]? starts, ends, axes, steps;
        if (node.Opset < 10) (starts, ends, axes, steps) = (node.Longs("starts"), node.Longs("ends"), node.Longs("axes"), null);
        else (starts, ends, axes, steps) = (Integers(node, 1), Integers(node, 2), node.Has(3) ? Integers(node, 3) : null,
            node.Has(4) ? Integers(node, 4) : null);
        if (x.Dims.Length == 0 || x.Dims[0] > MostNumbers || starts?.Length != 1 || ends?.Length != 1
            || (axes is not null && !axes.SequenceEqual([0L]) && !axes.SequenceEqual([-(long)x.Dims.Length]))
            || steps is not (null or [not 0]))
            throw node.Refuse("only numbers along the first axis are cut out");
        // A step beyond the end cuts out one, however long it is.
        long size = x.Dims[0], step = Math.Clamp(steps?[0] ?? 1, -MostNumbers, MostNumbers), low = step > 0 ? 0 : -1, high = step > 0 ? size
            : size - 1;
        long At(long at) => Math.Clamp(at < 0 ? at + size : at, low, high);
        int row = size == 0 ? 0 : data.Length / (int)size;
        var cut = new List<long>();
        for (long at = At(starts[0]), end = At(ends[0]); step > 0 ? at < end : at > end; at += step) cut.AddRange(data.AsSpan((int)at * row,
            row));
        int[] dims = [.. x.Dims];
        dims[0] = row == 0 ? 0 : cut.Count / row;
        return new Constant(name, [.. cut], dims);
    }

    private static Constant Concat(NodeReader node, string name)
    {
        if (node.Int("axis", 0) is not (0 or -1)) throw node.Refuse("it joins along another axis than the only one");
        Constant[] parts = [.. Enumerable.Range(0, node.Node.Input.Count).Select(i => Input(node, i))];
        if (parts.All(part => part is { IsFloat: true, Dims.Length: 1, Count: <= MostNumbers }))
            return Floats(name, [parts.Sum(part => part.Count)],
                [.. parts.SelectMany(part => part.Floats())]); // such as the scales of a Resize
        long[] all = [.. Enumerable.Range(0, node.Node.Input.Count).SelectMany(i => Row(node, i))];
        return all.Length <= MostNumbers ? new Constant(name, all, all.Length)
            : throw node.Refuse($"it joins {all.Length} numbers; a shape has fewer");
    }

    private static Constant ReduceProd(NodeReader node, string name)
    {
        long[] data = Row(node, 0);
        bool keep = node.Int("keepdims", 1) == 1;
        long[]? axes = node.Opset < 18 ? node.Longs("axes") : node.Has(1) ? Integers(node, 1) : null;
        if (axes is not (null or [0] or [-1]) || data.Contains(Onnx.Constant.AnyBatch))
            throw node.Refuse("its result depends on the number of samples, or goes along another axis than the only one");
        return new Constant(name, [data.Aggregate(1L, (a, b) => checked(a * b))], keep ? [1] : []);
    }

    private static Constant Arithmetic(NodeReader node, string name, Func<long, long, long> f)
    {
        long[] a = Integers(node, 0), b = Integers(node, 1);
        if (a.Length == 0 || b.Length == 0 || (a.Length != b.Length && a.Length != 1 && b.Length != 1))
            throw node.Refuse($"it computes with {a.Length} and {b.Length} numbers");
        if (a.Contains(Onnx.Constant.AnyBatch) || b.Contains(Onnx.Constant.AnyBatch))
            throw node.Refuse("it computes with the number of samples, which is open");
        var dims = a.Length >= b.Length && Input(node, 0).Dims.Length >= Input(node, 1).Dims.Length ? Input(node, 0).Dims
            : Input(node, 1).Dims;
        int count = Math.Max(a.Length, b.Length);
        if (dims.Aggregate(1, (n, d) => n * d) != count)
            throw node.Refuse($"it computes with numbers of shapes {Input(node, 0).Shape} and {Input(node, 1).Shape}");
        return new Constant(name, [.. Enumerable.Range(0, count).Select(i => f(a[a.Length == 1 ? 0 : i], b[b.Length == 1 ? 0 : i]))], dims);
    }

    private static Constant Floats(string name, int[] dims, IEnumerable<float> values) =>
        new(new TensorProto { Name = name, DataType = (int)DataType.Float, Dims = { dims.Select(d => (long)d) }, FloatData = { values } });

    private static Constant Input(NodeReader node, int index) => node.Constant(index)
        ?? throw node.Refuse($"input {index} is missing or no constant");

    private static long[] Integers(NodeReader node, int index)
    {
        var x = Input(node, index);
        if (x.Count > MostNumbers) throw node.Refuse($"it computes with the constant {x}; a shape has at most {MostNumbers} numbers");
        return x.Integers() ?? throw node.Refuse($"it computes with the constant {x} of type {x.Type}; only integers are computed");
    }

    private static long[] Row(NodeReader node, int index)
    {
        long[] values = Integers(node, index);
        return Input(node, index).Dims.Length == 1 ? values
            : throw node.Refuse($"it takes the constant {Input(node, index)}, expected a row of numbers");
    }
}
