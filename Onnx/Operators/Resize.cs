using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>
/// Resize and Upsample ↔ <see cref="Numerics.Resize"/>, read as <see cref="Upsample"/> where PyTorch has the mode. Only height and width
/// change, or of rows the length.
/// </summary>
internal static class Resize
{
    private static readonly Dictionary<CoordinateMode, string> Coordinates = new()
    {
        [CoordinateMode.HalfPixel] = "half_pixel",
        [CoordinateMode.HalfPixelSymmetric] = "half_pixel_symmetric",
        [CoordinateMode.PytorchHalfPixel] = "pytorch_half_pixel",
        [CoordinateMode.AlignCorners] = "align_corners",
        [CoordinateMode.Asymmetric] = "asymmetric",
    };

    private static readonly Dictionary<NearestMode, string> Nearest = new()
    {
        [NearestMode.RoundPreferFloor] = "round_prefer_floor",
        [NearestMode.RoundPreferCeil] = "round_prefer_ceil",
        [NearestMode.Floor] = "floor",
        [NearestMode.Ceil] = "ceil",
    };

    /// <summary>
    /// The factors, or the size. Operator sets before 18 want the size of every axis, that of the samples as well, which a GPU does not
    /// compute: where a factor says it exactly, it is that.
    /// </summary>
    public static string Export(GraphWriter graph, string name, string x, Numerics.Resize layer, Shape sample)
    {
        var coordinates = OfSize(layer.Size, layer.Coordinates);
        if (coordinates == CoordinateMode.HalfPixelSymmetric && graph.Opset < 19)
            throw new OnnxException($"{layer} cannot be exported for opset {graph.Opset}: half_pixel_symmetric came with 19");
        string scales = "", sizes = "";
        var output = layer.OutputShape(sample);
        if (layer.ScaleFactor is { } factor)
        {
            float h = (float)factor.H, w = (float)factor.W;
            if (MathF.Floor(sample[1] * h) != output[1] || MathF.Floor(sample[2] * w) != output[2])
                throw new OnnxException($"{layer} cannot be exported for samples of shape {sample}: readers of ONNX compute the size with "
                    + $"floats, and come to {MathF.Floor(sample[1] * h)}×{MathF.Floor(sample[2] * w)}, "
                    + $"not {output[1]}×{output[2]}: give the size itself");
            scales = graph.Constant($"{name}.scales", new Tensor(new Shape(4), [1, 1, h, w]));
        }
        else if (graph.Opset < 18 && FactorOf(sample[1], output[1]) is { } high && FactorOf(sample[2], output[2]) is { } wide)
            scales = graph.Constant($"{name}.scales", new Tensor(new Shape(4), [1, 1, high, wide]));
        else if (graph.Opset >= 18) sizes = graph.Integers($"{name}.sizes", output[1], output[2]);
        else
        {
            string samples = graph.Node("Slice", $"{name}.samples", [graph.Node("Shape", $"{name}.shape", [x]),
                graph.Integers($"{name}.first", 0), graph.Integers($"{name}.second", 1)]);
            sizes = graph.Node("Concat", $"{name}.sizes", [samples, graph.Integers($"{name}.image", sample[0], output[1], output[2])],
                GraphWriter.Int("axis", 0));
        }
        List<AttributeProto> attributes =
        [
            GraphWriter.Text("coordinate_transformation_mode", Coordinates[coordinates]), GraphWriter.Float("cubic_coeff_a", -0.75f),
            GraphWriter.Int("exclude_outside", 0), GraphWriter.Float("extrapolation_value", 0),
            GraphWriter.Text("mode", layer.Nearest is null ? "linear" : "nearest"),
            GraphWriter.Text("nearest_mode", Nearest[layer.Nearest ?? NearestMode.RoundPreferFloor]),
        ];
        if (graph.Opset >= 18)
        {
            attributes.AddRange([GraphWriter.Int("antialias", 0), GraphWriter.Text("keep_aspect_ratio_policy", "stretch")]);
            if (sizes.Length > 0) attributes.Add(GraphWriter.Ints("axes", 2, 3));
        }
        return graph.Node("Resize", name, sizes.Length > 0 ? [x, "", "", sizes] : [x, "", scales], [.. attributes]);
    }

    /// <summary>The factor from one size to another, where a float is it exactly: readers compute with one, and others with
    /// doubles.</summary>
    private static float? FactorOf(int from, int to) => (float)to / from is var factor && (double)factor * from == to ? factor : null;

    /// <summary>dx: each gradient by the weights of the places it came from, along rows and columns.</summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, Numerics.Resize layer)
    {
        var (rows, columns) = layer.Taps(at.XSample, at.YSample);
        float[,] Weights(Numerics.Resize.Tap[] taps, int size) =>
            SpatialMatrices.Matrix(taps.Length, size, i => [(taps[i].Low, 1 - taps[i].Weight), (taps[i].High, taps[i].Weight)]);
        return SpatialMatrices.Backward(graph, at, dy, Weights(rows, at.XSample[1]), Weights(columns, at.XSample[2]));
    }

    /// <summary>Upsample, and Resize of operator set 10: places lie at i/s, and of linear mode these are interpolated.</summary>
    public static ImportedLayer ImportUpsample(NodeReader node)
    {
        if (node.Node.OpType == "Upsample" && node.Opset > 9)
            throw node.Refuse($"operator set {node.Opset} has none: Resize has taken its place");
        string mode = node.Text("mode", "nearest");
        if (mode is not ("nearest" or "linear" or "bilinear"))
            throw node.Refuse($"attribute 'mode' is {mode}; nearest and linear are read");
        double[] scales;
        if (node.Node.OpType == "Upsample" && node.Opset < 7)
            scales = [1, 1, NodeReader.Shortest(node.Float("height_scale", 0)), NodeReader.Shortest(node.Float("width_scale", 0))];
        else if (node.Node.OpType == "Upsample" && node.Opset < 9)
            scales = [.. node.Floats("scales").Select(scale => NodeReader.Shortest(scale))];
        else scales = Scales(node, 1) ?? throw node.Refuse("its scales are missing, or no constants");
        node.RequireArity(node.Node.OpType == "Upsample" && node.Opset < 9 ? 1 : 2);
        if (node.Node.OpType == "Upsample" && scales.Any(scale => !(scale >= 1)))
            throw node.Refuse($"its scales are [{string.Join(", ", scales)}]: they are 1 or more");
        // ONNX Runtime takes the next place where images get smaller, and so did everybody until operator set 11 said what is meant.
        bool smaller = scales.Any(scale => scale < 1);
        if (smaller && mode == "nearest" && scales.Any(scale => scale > 1))
            throw node.Refuse("it makes images larger along one axis and smaller along another");
        NearestMode? nearest = mode != "nearest" ? null : smaller ? NearestMode.Ceil : NearestMode.Floor;
        return Layer(node, scales, null, nearest, CoordinateMode.Asymmetric);
    }

    public static ImportedLayer Import(NodeReader node)
    {
        if (node.Opset < 11) return ImportUpsample(node);
        node.RequireArity(4);
        string mode = node.Text("mode", "nearest"), said = node.Text("coordinate_transformation_mode", "half_pixel");
        string nearest = node.Text("nearest_mode", "round_prefer_floor");
        if (mode is not ("nearest" or "linear")) throw node.Refuse($"attribute 'mode' is {mode}; nearest and linear are read");
        if (!Coordinates.ContainsValue(said))
            throw node.Refuse($"attribute 'coordinate_transformation_mode' is {said}; {string.Join(", ", Coordinates.Values)} are read");
        if (!Nearest.ContainsValue(nearest))
            throw node.Refuse($"attribute 'nearest_mode' is {nearest}; {string.Join(", ", Nearest.Values)} are read");
        var coordinates = Coordinates.First(pair => pair.Value == said).Key;
        node.Float("cubic_coeff_a", -0.75f); // of a mode that is not read
        node.Float("extrapolation_value", 0); // of tf_crop_and_resize
        if (node.Flag("exclude_outside") && mode == "linear")
            throw node.Refuse("attribute 'exclude_outside' is 1, which is for cubic mode");
        if (node.Opset >= 18 && node.Flag("antialias")) throw node.Refuse("attribute 'antialias' is 1; images are resized without");
        int rank = node.Sample.Rank + 1;
        long[] axes = (node.Opset >= 18 ? node.Longs("axes") : null) ?? [.. Enumerable.Range(0, rank).Select(axis => (long)axis)];
        if (axes.Any(a => a < -rank || a >= rank))
            throw node.Refuse($"attribute 'axes' is [{string.Join(", ", axes)}], the input has {rank} axes");
        int[] places = [.. axes.Select(a => (int)(a < 0 ? a + rank : a))];
        string policy = node.Opset >= 18 ? node.Text("keep_aspect_ratio_policy", "stretch") : "stretch";
        double[]? scales = Scales(node, 2);
        long[]? sizes = !node.Has(3) ? null
            : node.Constant(3)?.Integers() ?? throw node.Refuse($"its sizes '{node.Node.Input[3]}' are no constants");
        if (scales is null == sizes is null)
            throw node.Refuse("it has scales and sizes, or neither of both, or scales that are no constants");
        if ((scales?.Length ?? sizes!.Length) != places.Length)
            throw node.Refuse($"it has {scales?.Length ?? sizes!.Length} scales or sizes for {places.Length} axes");
        if (sizes is not null && policy != "stretch")
        {
            scales = Policy(node, policy, places, sizes);
            sizes = null;
        }
        T[] OfAll<T>(T[] values, Func<int, T> missing) =>
            [.. Enumerable.Range(0, rank).Select(axis => Array.IndexOf(places, axis) is >= 0 and var i ? values[i] : missing(axis))];
        return Layer(node, scales is null ? null : OfAll(scales, _ => 1),
            sizes is null ? null : OfAll(sizes, axis => axis == 0 ? Constant.AnyBatch : node.Sample[axis - 1]),
            mode == "linear" ? null : Nearest.First(pair => pair.Value == nearest).Key, coordinates);
    }

    /// <summary>The one factor of all sizes that keeps the image's proportions, with none larger or none smaller than asked for.</summary>
    private static double[] Policy(NodeReader node, string policy, int[] axes, long[] sizes)
    {
        if (policy is not ("not_larger" or "not_smaller") || axes.Contains(0))
            throw node.Refuse(
                $"attribute 'keep_aspect_ratio_policy' is {policy}; stretch, and of images not_larger and not_smaller are read");
        var scales = axes.Select((axis, i) => (double)sizes[i] / node.Sample[axis - 1]);
        double scale = policy == "not_larger" ? scales.Min() : scales.Max();
        // It rounds sizes to the nearest, a layer down.
        if (axes.Any(axis => Math.Floor(scale * node.Sample[axis - 1] + 0.5) != Math.Floor(scale * node.Sample[axis - 1])))
            throw node.Refuse(
                $"attribute 'keep_aspect_ratio_policy' is {policy}, by a factor of {scale}: it rounds a size up, which a layer does not");
        return [.. axes.Select(_ => scale)];
    }

    /// <summary>An input of factors, as the numbers that a person wrote; null for one without elements, or that is missing or no
    /// constant.</summary>
    private static double[]? Scales(NodeReader node, int index)
    {
        return node.Constant(index) is { IsFloat: true, Count: > 0 } constant
            ? Array.ConvertAll(constant.Floats(), value => NodeReader.Shortest(value)) : null;
    }

    /// <summary>The layer of factors or sizes of all axes.</summary>
    private static ImportedLayer Layer(NodeReader node, double[]? scales, long[]? sizes, NearestMode? nearest, CoordinateMode coordinates)
    {
        int axes = Window.SpatialAxes(node), rank = axes + 2;
        if ((scales?.Length ?? sizes!.Length) != rank)
            throw node.Refuse($"it has {scales?.Length ?? sizes!.Length} scales or sizes, its input {rank} axes");
        bool keeps = scales is null
            ? (sizes![0] == Constant.AnyBatch || sizes[0] == node.Batch) && sizes[1] == node.Sample[0]
            : scales[0] == 1 && scales[1] == 1;
        if (!keeps) throw node.Refuse("it changes the number of samples or channels; only images are resized");
        if (sizes is not null && sizes.Skip(2).Any(size => size is < 1 or > int.MaxValue))
            throw node.Refuse($"its sizes are [{string.Join(", ", sizes.Skip(2))}]");
        Size2? size = sizes is null ? null : axes == 1 ? (1, (int)sizes[2])
            : sizes[2] == sizes[3] ? (int)sizes[2] : ((int)sizes[2], (int)sizes[3]);
        Scale2? factor = scales is null ? null : axes == 1 ? (1, scales[2]) : scales[2] == scales[3] ? scales[2] : (scales[2], scales[3]);
        try { return Window.OfImages(node, Make(size, factor, nearest, coordinates)); }
        catch (ArgumentOutOfRangeException error) { throw node.Refuse(error.Message); }
    }

    /// <summary>Where the sizes say the scale, the image's middle stays where it is by itself.</summary>
    private static CoordinateMode OfSize(Size2? size, CoordinateMode coordinates) =>
        size is not null && coordinates == CoordinateMode.HalfPixelSymmetric ? CoordinateMode.HalfPixel : coordinates;

    /// <summary>PyTorch's layer where it has one that computes the same.</summary>
    private static Numerics.Resize Make(Size2? size, Scale2? factor, NearestMode? nearest, CoordinateMode coordinates) =>
        (nearest, OfSize(size, coordinates)) switch
    {
        (NearestMode.Floor, CoordinateMode.Asymmetric) => new Upsample(size, factor),
        (NearestMode.RoundPreferCeil, CoordinateMode.HalfPixel) => new Upsample(size, factor, UpsampleMode.NearestExact),
        (null, CoordinateMode.HalfPixel) => new Upsample(size, factor, UpsampleMode.Bilinear),
        (null, CoordinateMode.AlignCorners) => new Upsample(size, factor, UpsampleMode.Bilinear, alignCorners: true),
        _ => new Numerics.Resize(size, factor, nearest, coordinates),
    };
}
