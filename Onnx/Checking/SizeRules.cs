using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx;

/// <summary>The sizes of operators' results; of an operator without a rule here nothing is known.</summary>
internal static class SizeRules
{
    private delegate ValueSize Rule(SizeCall call);

    private static readonly Dictionary<string, Rule> Rules = All();

    /// <summary>What is known of each of a node's outputs.</summary>
    public static IEnumerable<ValueSize> Results(SizeCall call)
    {
        var first = call.Node.Domain is "" or "ai.onnx" && Rules.TryGetValue(call.Node.OpType, out var rule) ? rule(call) : Unknown(call);
        if (first.Dims is { } dims && (dims.Length > OnnxChecker.MostAxes || dims.Any(size => size < -1))) first = Unknown(call);
        if (first.Numbers is { } numbers && (first.Dims is null || numbers.Length != first.Count)) first = first with { Numbers = null };
        yield return first;
        for (int i = 1; i < call.Node.Output.Count; i++)
        {
            yield return call.Node.OpType switch
            {
                "MaxPool" or "TopK" => first with { Type = DataType.Int64, Numbers = null },
                "Dropout" => first with { Type = DataType.Bool, Numbers = null },
                _ => Unknown(call),
            };
        }
    }

    private static ValueSize Unknown(SizeCall call) => new(null, call.In(0)?.Type ?? DataType.Float);

    private static Dictionary<string, Rule> All()
    {
        var rules = new Dictionary<string, Rule>
        {
            ["Constant"] = Constant,
            ["ConstantOfShape"] = call => Made(call, call.Numbers(0), call.Attribute("value")?.T is { } value ? (DataType)value.DataType
                : DataType.Float),
            ["RandomNormal"] = call => Made(call, Shape(call), call.Type("dtype", DataType.Float)),
            ["RandomUniform"] = call => Made(call, Shape(call), call.Type("dtype", DataType.Float)),
            ["Expand"] = call => call.Numbers(1) is { } to ? Broadcast(call, call.In(0)?.Type ?? DataType.Float, [call.Dims(0), Sizes(to)])
                : Unknown(call),
            ["Tile"] = Tile,
            ["Pad"] = Pad,
            ["Range"] = Range,
            ["OneHot"] = OneHot,
            ["EyeLike"] = call => Same(call) with { Type = call.Type("dtype", call.In(0)?.Type ?? DataType.Float), Numbers = null },
            ["Shape"] = call => call.Dims(0) is { } dims ? Row(DataType.Int64, Part(call, dims)) : new(null, DataType.Int64),
            ["Size"] = call => new([], DataType.Int64, [call.Dims(0) is { } dims && !dims.Contains(-1) ? call.In(0)!.Count : double.NaN]),
            ["Cast"] = call => Cast(call, call.Type("to", DataType.Float)),
            ["CastLike"] = call => Cast(call, call.In(1)?.Type ?? DataType.Float),
            ["QuantizeLinear"] = call => Same(call) with { Type = DataType.Uint8, Numbers = null },
            ["DequantizeLinear"] = call => Same(call) with { Type = DataType.Float, Numbers = null },
            ["Reshape"] = Reshape,
            ["Flatten"] = Flatten,
            ["Squeeze"] = Squeeze,
            ["Unsqueeze"] = Unsqueeze,
            ["Transpose"] = Transpose,
            ["Concat"] = Concat,
            ["Gather"] = Gather,
            ["Slice"] = Slice,
            ["Split"] = call => Same(call) with { Numbers = null }, // no part is larger
            ["ReduceProd"] = call => SizeWindows.Reduce(call, numbers => numbers.Aggregate(1.0, (a, b) => a * b)),
            ["ReduceSum"] = call => SizeWindows.Reduce(call, Enumerable.Sum),
            ["ReduceMax"] = call => SizeWindows.Reduce(call, Enumerable.Max),
            ["ReduceMin"] = call => SizeWindows.Reduce(call, Enumerable.Min),
            ["Add"] = Arithmetic((a, b) => a + b),
            ["Sub"] = Arithmetic((a, b) => a - b),
            ["Mul"] = Arithmetic((a, b) => a * b),
            ["Div"] = Arithmetic((a, b) => a / b),
            ["Pow"] = Arithmetic(Math.Pow),
            ["Max"] = Arithmetic(Math.Max),
            ["Min"] = Arithmetic(Math.Min),
            ["Neg"] = Function(x => -x),
            ["Abs"] = Function(Math.Abs),
            ["Sqrt"] = Function(Math.Sqrt),
            ["Exp"] = Function(Math.Exp),
            ["Floor"] = Function(Math.Floor),
            ["Ceil"] = Function(Math.Ceiling),
            ["Round"] = Function(Math.Round),
            ["Identity"] = Same,
            ["Where"] = call => Broadcast(call, call.In(1)?.Type ?? DataType.Float, [call.Dims(0), call.Dims(1), call.Dims(2)]),
        };
        foreach (string op in new[] { "Sum", "Mean", "PRelu", "And", "Or", "Xor", "Equal", "Greater", "GreaterOrEqual", "Less",
            "LessOrEqual", "Mod", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor" })
        {
            var type = op is "Equal" or "Greater" or "GreaterOrEqual" or "Less" or "LessOrEqual" ? DataType.Bool : (DataType?)null;
            rules[op] = call => Broadcast(call, type ?? call.In(0)?.Type ?? DataType.Float,
                [.. Enumerable.Range(0, call.Node.Input.Count).Select(call.Dims)]);
        }
        foreach (string op in new[] { "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BatchNormalization", "Bernoulli", "Celu", "Clip",
            "Cos", "Cosh", "CumSum", "Dropout", "Elu", "Erf", "Gelu", "GroupNormalization", "HardSigmoid", "HardSwish", "Hardmax",
            "InstanceNormalization", "LRN", "LayerNormalization", "LeakyRelu", "Log", "LogSoftmax", "LpNormalization",
            "MeanVarianceNormalization", "Mish", "Not", "RandomNormalLike", "RandomUniformLike", "Reciprocal", "Relu", "ScatterElements",
            "ScatterND", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softmax", "Softplus", "Softsign", "Swish", "Tan", "Tanh",
            "ThresholdedRelu", "Trilu" })
            rules[op] = call => Same(call) with { Numbers = null };
        SizeWindows.AddTo((op, rule) => rules[op] = call => rule(call));
        return rules;
    }

    internal static ValueSize Same(SizeCall call) => call.In(0) ?? Unknown(call);

    internal static ValueSize Of(SizeCall call, long[]? dims) => new(dims, call.In(0)?.Type ?? DataType.Float);

    private static long[] Sizes(double[] numbers) =>
        Array.ConvertAll(numbers, number => double.IsNaN(number) ? -1 : (long)Math.Clamp(number, -2, 1e18));

    private static double[]? Shape(SizeCall call) => call.Ints("shape")?.Select(size => (double)size).ToArray();

    /// <summary>A tensor of these sizes; its elements are not known, and few sizes have a use for them.</summary>
    private static ValueSize Made(SizeCall call, double[]? sizes, DataType type)
    {
        if (sizes is null) return new(null, type);
        var made = new ValueSize(Sizes(sizes), type);
        if (call.Node.OpType != "ConstantOfShape" || made.Count > ValueSize.MostNumbers || made.Dims!.Any(size => size < 0)) return made;
        double number = call.Attribute("value")?.T is { } value ? ValueSize.Of(value).Numbers?.FirstOrDefault(double.NaN) ?? double.NaN : 0;
        return made with { Numbers = [.. Enumerable.Repeat(number, (int)made.Count)] };
    }

    private static ValueSize Constant(SizeCall call)
    {
        var attribute = call.Node.Attribute.FirstOrDefault();
        return attribute?.Name switch
        {
            "value" when attribute.T is { } tensor => ValueSize.Of(tensor),
            "value_int" => new([], DataType.Int64, [attribute.I]),
            "value_ints" => Row(DataType.Int64, [.. attribute.Ints.Select(i => (double)i)]),
            "value_float" => new([], DataType.Float, [attribute.F]),
            "value_floats" => Row(DataType.Float, [.. attribute.Floats.Select(f => (double)f)]),
            _ => new(null, DataType.Float),
        };
    }

    private static ValueSize Row(DataType type, double[] numbers) =>
        new([numbers.Length], type, numbers.Length <= ValueSize.MostNumbers ? numbers : null);

    private static double[] Part(SizeCall call, long[] dims)
    {
        long At(string name, long otherwise) => call.Int(name, otherwise) is var at && at < 0 ? at + dims.Length : at;
        int start = (int)Math.Clamp(At("start", 0), 0, dims.Length), end = (int)Math.Clamp(At("end", dims.Length), start, dims.Length);
        return [.. dims[start..end].Select(size => size < 0 ? double.NaN : size)];
    }

    private static ValueSize Cast(SizeCall call, DataType to)
    {
        bool whole = to is not (DataType.Float or DataType.Double or DataType.Float16 or DataType.Bfloat16);
        return Same(call) with { Type = to, Numbers = call.In(0)?.Numbers?.Select(x => whole ? Math.Truncate(x) : x).ToArray() };
    }

    /// <summary>The sizes that operands are brought to; null where one has an unknown number of axes, or they do not fit.</summary>
    private static ValueSize Broadcast(SizeCall call, DataType type, long[]?[] operands)
    {
        if (operands.Contains(null)) return new(null, type);
        var dims = new long[operands.Max(operand => operand!.Length)];
        Array.Fill(dims, 1);
        foreach (long[]? operand in operands)
            for (int i = 0; i < operand!.Length; i++)
            {
                ref long size = ref dims[dims.Length - operand.Length + i];
                size = size == 1 ? operand[i] : operand[i] == 1 ? size : Math.Max(size, operand[i]);
            }
        return new(dims, type);
    }

    private static Rule Arithmetic(Func<double, double, double> f) => call =>
    {
        var result = Broadcast(call, call.In(0)?.Type ?? DataType.Float, [.. Enumerable.Range(0, call.Node.Input.Count).Select(call.Dims)]);
        double[]? a = call.In(0)?.Numbers, b = call.In(1)?.Numbers;
        if (call.Node.Input.Count != 2 || a is not { Length: > 0 } || b is not { Length: > 0 } || result.Dims is null
            || (a.Length != b.Length && a.Length != 1 && b.Length != 1) || result.Count != Math.Max(a.Length, b.Length)) return result;
        bool whole = result.Type is DataType.Int64 or DataType.Int32;
        return result with
        {
            Numbers = [.. Enumerable.Range(0, Math.Max(a.Length, b.Length))
                .Select(i => f(a[a.Length == 1 ? 0 : i], b[b.Length == 1 ? 0 : i])).Select(y => whole ? Math.Truncate(y) : y)],
        };
    };

    private static Rule Function(Func<double, double> f) => call => Same(call) with { Numbers = call.In(0)?.Numbers?.Select(f).ToArray() };

    private static ValueSize Tile(SizeCall call)
    {
        if (call.Dims(0) is not { } dims || call.Numbers(1) is not { } repeats || repeats.Length != dims.Length) return Unknown(call);
        return Of(call, [.. dims.Zip(Sizes(repeats), (size, repeat) => Times(size, repeat))]);
    }

    /// <summary>A product of sizes that does not overflow; −1 where one is open.</summary>
    internal static long Times(long a, long b) => a < 0 || b < 0 ? Math.Min(a, b) : (long)Math.Min((double)a * b, 1e18);

    private static ValueSize Pad(SizeCall call)
    {
        if (call.Dims(0) is not { } dims) return Unknown(call);
        double[]? pads = call.AttributeOrInput(call.Opset < 2 ? "paddings" : "pads", 1, since: 11);
        int[] axes = call.Numbers(3) is { } given ? [.. given.Select(axis => (int)(axis < 0 ? axis + dims.Length : axis))]
            : [.. Enumerable.Range(0, dims.Length)];
        if (pads is null || pads.Length != 2 * axes.Length || (call.Has(3) && call.Numbers(3) is null)
            || axes.Any(axis => axis < 0 || axis >= dims.Length)) return Unknown(call);
        long[] result = [.. dims];
        for (int i = 0; i < axes.Length; i++)
            if (result[axes[i]] >= 0) result[axes[i]] = (long)Math.Clamp(result[axes[i]] + pads[i] + pads[i + axes.Length], 0, 1e18);
        return Of(call, result);
    }

    private static ValueSize Range(SizeCall call)
    {
        var type = call.In(0)?.Type ?? DataType.Int64;
        if (call.Numbers(0) is not [var start] || call.Numbers(1) is not [var limit] || call.Numbers(2) is not [var delta] || delta == 0)
            return new(null, type);
        long count = (long)Math.Clamp(Math.Ceiling((limit - start) / delta), 0, 1e18);
        return new([count], type, count > ValueSize.MostNumbers ? null
            : [.. Enumerable.Range(0, (int)count).Select(i => start + i * delta)]);
    }

    private static ValueSize OneHot(SizeCall call)
    {
        var type = call.In(2)?.Type ?? DataType.Float;
        if (call.Dims(0) is not { } dims) return new(null, type);
        long depth = call.Numbers(1) is [var number, ..] ? (long)Math.Clamp(number, 0, 1e18) : -1, axis = call.Int("axis", -1);
        var result = dims.ToList();
        result.Insert((int)Math.Clamp(axis < 0 ? axis + dims.Length + 1 : axis, 0, dims.Length), depth);
        return new([.. result], type);
    }

    private static ValueSize Reshape(SizeCall call)
    {
        double[]? to = call.AttributeOrInput("shape", 1, since: 5);
        if (to is null || call.In(0) is not { } x) return Unknown(call);
        long[] target = Sizes(to);
        for (int i = 0; i < target.Length; i++)
            if (target[i] == 0 && call.Int("allowzero", 0) == 0) target[i] = x.Dims is { } dims && i < dims.Length ? dims[i] : -1;
        int open = Array.IndexOf(target, -1);
        double known = target.Where(size => size >= 0).Aggregate(1.0, (a, b) => a * b);
        if (open >= 0 && Array.LastIndexOf(target, -1) == open && x.Dims is { } all && !all.Contains(-1) && known > 0)
            target[open] = (long)Math.Min(x.Count / known, 1e18);
        return new(target, x.Type, x.Numbers);
    }

    private static ValueSize Flatten(SizeCall call)
    {
        if (call.Dims(0) is not { } dims) return Unknown(call);
        int axis = (int)Math.Clamp(call.Int("axis", 1) is var at && at < 0 ? at + dims.Length : at, 0, dims.Length);
        return new([dims[..axis].Aggregate(1L, Times), dims[axis..].Aggregate(1L, Times)], call.In(0)!.Type, call.In(0)!.Numbers);
    }

    private static ValueSize Squeeze(SizeCall call)
    {
        double[]? axes = call.AttributeOrInput("axes", 1, since: 13);
        if (call.In(0) is not { Dims: { } dims } x || (call.Has(1) && axes is null)) return Unknown(call);
        int[]? taken = axes?.Select(axis => (int)(axis < 0 ? axis + dims.Length : axis)).ToArray();
        return new([.. dims.Where((size, i) => taken is null ? size != 1 : !taken.Contains(i))], x.Type, x.Numbers);
    }

    private static ValueSize Unsqueeze(SizeCall call)
    {
        double[]? axes = call.AttributeOrInput("axes", 1, since: 13);
        if (call.In(0) is not { Dims: { } dims } x || axes is null || axes.Length > OnnxChecker.MostAxes) return Unknown(call);
        var result = dims.ToList();
        int rank = dims.Length + axes.Length;
        foreach (double axis in axes.Select(axis => axis < 0 ? axis + rank : axis).Order())
            result.Insert((int)Math.Clamp(axis, 0, result.Count), 1);
        return new([.. result], x.Type, x.Numbers);
    }

    private static ValueSize Transpose(SizeCall call)
    {
        if (call.In(0) is not { Dims: { } dims } x) return Unknown(call);
        long[] order = call.Ints("perm") ?? [.. Enumerable.Range(0, dims.Length).Reverse().Select(i => (long)i)];
        if (order.Length != dims.Length || order.Any(axis => axis < 0 || axis >= dims.Length)) return Unknown(call);
        return new([.. order.Select(axis => dims[axis])], x.Type, dims.Length <= 1 ? x.Numbers : null);
    }

    private static ValueSize Concat(SizeCall call)
    {
        var parts = Enumerable.Range(0, call.Node.Input.Count).Select(call.In).ToList();
        if (parts.Count == 0 || parts.Exists(part => part?.Dims is null || part.Dims.Length != parts[0]!.Dims!.Length))
            return Unknown(call);
        long[] dims = [.. parts[0]!.Dims!];
        long axis = call.Int("axis", 1) is var at && at < 0 ? at + dims.Length : at;
        if (axis < 0 || axis >= dims.Length) return Unknown(call);
        dims[axis] = parts.Aggregate(0L, (sum, part) => sum < 0 || part!.Dims![axis] < 0 ? -1 : Math.Min(sum + part.Dims[axis], 1L << 60));
        bool known = dims is [>= 0 and <= ValueSize.MostNumbers] && parts.TrueForAll(part => part!.Numbers is not null);
        return new(dims, parts[0]!.Type, known ? [.. parts.SelectMany(part => part!.Numbers!)] : null);
    }

    private static ValueSize Gather(SizeCall call)
    {
        if (call.Dims(0) is not { Length: > 0 } dims || call.Dims(1) is not { } indices) return Unknown(call);
        long axis = call.Int("axis", 0) is var at && at < 0 ? at + dims.Length : at;
        if (axis < 0 || axis >= dims.Length) return Unknown(call);
        double[]? data = dims.Length == 1 ? call.In(0)!.Numbers : null, places = call.Numbers(1);
        double[]? numbers = data is null || places is null ? null : [.. places.Select(place => place < 0 ? place + data.Length : place)
            .Select(place => place >= 0 && place < data.Length ? data[(int)place] : double.NaN)];
        return new([.. dims[..(int)axis], .. indices, .. dims[((int)axis + 1)..]], call.In(0)!.Type, numbers);
    }

    private static ValueSize Slice(SizeCall call)
    {
        if (call.In(0) is not { Dims: { } dims } x) return Unknown(call);
        double[]? starts = call.AttributeOrInput("starts", 1, since: 10), ends = call.AttributeOrInput("ends", 2, since: 10);
        double[]? axes = call.AttributeOrInput("axes", 3, since: 10), steps = call.Opset < 10 ? null : call.Numbers(4);
        if (starts is null || ends is null || starts.Length != ends.Length || (call.Has(3) && axes is null)
            || (call.Has(4) && steps is null)
            || (axes ?? starts).Length != starts.Length || (steps ?? starts).Length != starts.Length) return Of(call, dims); // no larger
        long[] result = [.. dims];
        double[]? numbers = dims.Length == 1 ? x.Numbers : null;
        for (int i = 0; i < starts.Length; i++)
        {
            long axis = (long)(axes?[i] ?? i);
            if (axis < 0) axis += dims.Length;
            double step = steps?[i] ?? 1;
            if (axis < 0 || axis >= dims.Length || step == 0 || step != Math.Floor(step)) return Unknown(call);
            long size = dims[axis];
            if (size < 0) continue;
            if (double.IsNaN(starts[i]) || double.IsNaN(ends[i])) // no larger
            {
                numbers = null;
                continue;
            }
            double At(double at) => Math.Clamp(at < 0 ? at + size : at, step > 0 ? 0 : -1, step > 0 ? size : size - 1);
            double start = At(starts[i]), count = Math.Max(0, Math.Ceiling((At(ends[i]) - start) / step));
            result[axis] = (long)count;
            numbers = numbers is null ? null : [.. Enumerable.Range(0, (int)count).Select(n => x.Numbers![(int)(start + n * step)])];
        }
        return new(result, x.Type, numbers);
    }
}
