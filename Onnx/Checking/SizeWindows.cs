using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx;

/// <summary>The sizes of what convolutions, pools, products, reductions and resizing return.</summary>
internal static class SizeWindows
{
    /// <summary>Adds these operators' rules.</summary>
    public static void AddTo(Action<string, Func<SizeCall, ValueSize>> add)
    {
        add("Conv", call => Convolution(call, 1));
        add("ConvInteger", call => Convolution(call, 1) with { Type = DataType.Int32 });
        add("QLinearConv", call => Convolution(call, 3));
        add("ConvTranspose", Transposed);
        foreach (string op in new[] { "MaxPool", "AveragePool", "LpPool" }) add(op, call => Windows(call, call.Ints("kernel_shape"),
            call.Dims(0) is [_, var channels, ..] ? channels : -1));
        foreach (string op in new[] { "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool" }) add(op, call =>
            SizeRules.Of(call, call.Dims(0)?.Select((size, axis) => axis < 2 ? size : 1).ToArray()));
        add("Gemm", Gemm);
        add("MatMul", call => Product(call, 0, 1));
        add("MatMulInteger", call => Product(call, 0, 1) with { Type = DataType.Int32 });
        add("QLinearMatMul", call => Product(call, 0, 3));
        foreach (string op in new[] { "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMean", "ReduceSumSquare" })
            add(op, call => Reduce(call, null));
        foreach (string op in new[] { "ArgMax", "ArgMin" }) add(op, call =>
            Reduced(call, [call.Int("axis", 0)], call.Int("keepdims", 1) != 0) with { Type = DataType.Int64 });
        add("DepthToSpace", call => Blocks(call, call.Int("blocksize", 1)));
        add("Upsample", call => Scaled(call, call.Opset < 9 ? call.Attribute("scales")?.Floats.Select(f => (double)f).ToArray()
            : call.Numbers(1)));
        add("Resize", Resize);
        add("GatherElements", call => SizeRules.Of(call, call.Dims(1)));
        add("TopK", TopK);
        foreach (string op in new[] { "BlackmanWindow", "HammingWindow", "HannWindow" }) add(op, call =>
            new(call.Numbers(0) is [var size] ? [(long)Math.Clamp(size, 0, 1e18)] : null, DataType.Float));
        add("MelWeightMatrix", call => new(call.Numbers(0) is [var bins] && call.Numbers(1) is [var length]
            ? [(long)Math.Clamp(length / 2 + 1, 0, 1e18), (long)Math.Clamp(bins, 0, 1e18)] : null, DataType.Float));
        add("Multinomial", call => new([call.Dims(0)?.FirstOrDefault(-1) ?? -1, call.Int("sample_size", 1)], DataType.Int64));
        add("MaxUnpool", call => SizeRules.Of(call, call.Numbers(2)?.Select(size => (long)Math.Clamp(size, 0, 1e18)).ToArray()));
        add("AffineGrid", call => SizeRules.Of(call, call.Numbers(1) is [var n, _, .. var space]
            ? [(long)Math.Clamp(n, 0, 1e18), .. space.Select(size => (long)Math.Clamp(size, 0, 1e18)), space.Length] : null));
        add("RoiAlign", call => SizeRules.Of(call, [call.Dims(1)?.FirstOrDefault(-1) ?? -1, call.Dims(0) is [_, var c, ..] ? c : -1,
            call.Int("output_height", 1), call.Int("output_width", 1)]));
        add("MaxRoiPool", call => SizeRules.Of(call, [call.Dims(1)?.FirstOrDefault(-1) ?? -1, call.Dims(0) is [_, var c, ..] ? c : -1,
            .. call.Ints("pooled_shape") ?? []]));
    }

    /// <summary>A reduction, of numbers too where all of them become one.</summary>
    internal static ValueSize Reduce(SizeCall call, Func<double[], double>? f)
    {
        double[]? axes = call.AttributeOrInput("axes", 1, since: call.Node.OpType == "ReduceSum" ? 13 : 18);
        bool keep = call.Int("keepdims", 1) != 0;
        if (call.Has(1) && axes is null) return SizeRules.Of(call, call.Dims(0)); // no larger
        if (axes is not { Length: > 0 } && call.Int("noop_with_empty_axes", 0) != 0) return SizeRules.Same(call) with { Numbers = null };
        var reduced = Reduced(call, axes is { Length: > 0 } ? [.. axes.Select(axis => (long)axis)] : null, keep);
        return f is not null && reduced is { Dims: not null, Count: 1 } && call.Numbers(0) is { Length: > 0 } numbers
            ? reduced with { Numbers = [f(numbers)] } : reduced;
    }

    private static ValueSize Reduced(SizeCall call, long[]? axes, bool keep)
    {
        if (call.Dims(0) is not { } dims) return SizeRules.Of(call, null);
        bool Taken(int axis) => axes is null || axes.Contains(axis) || axes.Contains(axis - dims.Length);
        return SizeRules.Of(call, keep ? [.. dims.Select((size, axis) => Taken(axis) ? 1 : size)]
            : [.. dims.Where((_, axis) => !Taken(axis))]);
    }

    private static ValueSize Convolution(SizeCall call, int weight) =>
        call.Dims(weight) is { Length: > 2 } w ? Windows(call, call.Ints("kernel_shape") ?? w[2..], w[0]) : SizeRules.Of(call, null);

    private static ValueSize Windows(SizeCall call, long[]? kernel, long channels)
    {
        if (call.Dims(0) is not { Length: > 2 } x || kernel is null || kernel.Length != x.Length - 2) return SizeRules.Of(call, null);
        var dims = new long[x.Length];
        (dims[0], dims[1]) = (x[0], channels);
        for (int i = 0; i < kernel.Length; i++)
        {
            double stride = At("strides", i, 1), pads = Pads(call, i, kernel.Length), reach = At("dilations", i, 1) * (kernel[i] - 1.0) + 1;
            dims[i + 2] = x[i + 2] < 0 ? -1 : Whole(call.Text("auto_pad", "NOTSET").StartsWith("SAME", StringComparison.Ordinal)
                ? Math.Ceiling(x[i + 2] / stride)
                : (call.Int("ceil_mode", 0) != 0 ? Math.Ceiling((x[i + 2] + pads - reach) / stride)
                    : Math.Floor((x[i + 2] + pads - reach) / stride)) + 1);
        }
        return SizeRules.Of(call, dims);

        double At(string name, int axis, long otherwise) => call.Ints(name)?.ElementAtOrDefault(axis) ?? otherwise;
    }

    private static double Pads(SizeCall call, int axis, int axes) => call.Ints("pads") is { } pads && pads.Length == 2 * axes
        ? (double)pads[axis] + pads[axis + axes] : 0;

    private static long Whole(double size) => double.IsNaN(size) ? -1 : (long)Math.Clamp(size, 0, 1e18);

    private static ValueSize Transposed(SizeCall call)
    {
        if (call.Dims(0) is not { Length: > 2 } x || call.Dims(1) is not { } w || w.Length != x.Length) return SizeRules.Of(call, null);
        var dims = new long[x.Length];
        (dims[0], dims[1]) = (x[0], SizeRules.Times(w[1], Math.Max(call.Int("group", 1), 0)));
        for (int i = 0; i < x.Length - 2; i++)
        {
            double At(string name, double otherwise) => call.Ints(name) is { } list && i < list.Length ? list[i] : otherwise;
            double kernel = At("kernel_shape", w[i + 2]), stride = At("strides", 1), reach = At("dilations", 1) * (kernel - 1) + 1;
            dims[i + 2] = At("output_shape", -1) is >= 0 and var given ? Whole(given) : x[i + 2] < 0 ? -1
                : call.Text("auto_pad", "NOTSET").StartsWith("SAME", StringComparison.Ordinal) ? Whole(x[i + 2] * stride)
                : Whole(stride * (x[i + 2] - 1) + At("output_padding", 0) + reach - Pads(call, i, x.Length - 2));
        }
        return SizeRules.Of(call, dims);
    }

    private static ValueSize Gemm(SizeCall call)
    {
        if (call.Dims(0) is not [var a0, var a1] || call.Dims(1) is not [var b0, var b1]) return SizeRules.Of(call, null);
        return SizeRules.Of(call, [call.Int("transA", 0) != 0 ? a1 : a0, call.Int("transB", 0) != 0 ? b0 : b1]);
    }

    private static ValueSize Product(SizeCall call, int left, int right)
    {
        if (call.Dims(left) is not { Length: > 0 } a || call.Dims(right) is not { Length: > 0 } b) return SizeRules.Of(call, null);
        int batch = Math.Max(Math.Max(a.Length, b.Length) - 2, 0);
        var dims = new List<long>();
        for (int i = 0; i < batch; i++)
        {
            long Of(long[] operand) => operand.Length - 2 - batch + i is >= 0 and var at && operand.Length > 2 ? operand[at] : 1;
            dims.Add(Of(a) == 1 ? Of(b) : Of(b) == 1 ? Of(a) : Math.Max(Of(a), Of(b)));
        }
        if (a.Length > 1) dims.Add(a[^2]);
        if (b.Length > 1) dims.Add(b[^1]);
        return SizeRules.Of(call, [.. dims]);
    }

    private static ValueSize Blocks(SizeCall call, long block) => call.Dims(0) is [var n, var c, var h, var w] && block > 0
        ? SizeRules.Of(call, [n, c < 0 ? -1 : c / Math.Max(block * block, 1), SizeRules.Times(h, block), SizeRules.Times(w, block)])
        : SizeRules.Of(call, null);

    private static ValueSize Scaled(SizeCall call, double[]? scales) => call.Dims(0) is { } dims && scales?.Length == dims.Length
        ? SizeRules.Of(call, [.. dims.Zip(scales, (size, scale) => size < 0 ? -1 : Whole(Math.Floor(size * scale)))])
        : SizeRules.Of(call, null);

    private static ValueSize Resize(SizeCall call)
    {
        if (call.Dims(0) is not { } dims) return SizeRules.Of(call, null);
        bool stretched = call.Opset > 10, bySizes = stretched && call.Has(3);
        double[]? numbers = call.Numbers(bySizes ? 3 : stretched ? 2 : 1);
        long[] axes = call.Ints("axes") ?? [.. Enumerable.Range(0, dims.Length).Select(i => (long)i)];
        if (numbers is null || numbers.Length != axes.Length || axes.Any(axis => axis < -dims.Length || axis >= dims.Length))
            return SizeRules.Of(call, null);
        int[] places = [.. axes.Select(axis => (int)(axis < 0 ? axis + dims.Length : axis))];
        string policy = bySizes ? call.Text("keep_aspect_ratio_policy", "stretch") : "";
        // By these all axes get one scale, and a size that is not stated can come of it.
        double? shared = policy is not ("not_larger" or "not_smaller") || axes.Length == 0 ? null
            : places.Any(axis => dims[axis] <= 0) ? double.NaN
            : policy == "not_larger" ? places.Select((axis, i) => numbers[i] / dims[axis]).Min()
            : places.Select((axis, i) => numbers[i] / dims[axis]).Max();
        long[] result = [.. dims];
        for (int i = 0; i < places.Length; i++)
        {
            long size = dims[places[i]];
            result[places[i]] = shared is { } scale ? double.IsNaN(scale) ? -1 : Whole(Math.Floor(size * scale + 0.5))
                : bySizes ? Whole(numbers[i]) : size < 0 ? -1 : Whole(Math.Floor(size * numbers[i]));
        }
        return SizeRules.Of(call, result);
    }

    private static ValueSize TopK(SizeCall call)
    {
        if (call.Dims(0) is not { } dims) return SizeRules.Of(call, null);
        long axis = call.Int("axis", -1) is var at && at < 0 ? at + dims.Length : at;
        double[]? k = call.Opset < 10 ? [call.Int("k", 1)] : call.Numbers(1);
        if (axis < 0 || axis >= dims.Length || k is not [var most]) return SizeRules.Of(call, dims); // no larger
        return SizeRules.Of(call, [.. dims.Select((size, i) => i == axis ? Whole(most) : size)]);
    }
}
