using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>How a model takes pictures, by its graph and its metadata, or by what options say instead.</summary>
internal sealed class PictureInput
{
    private readonly ImageTransform transform;
    private readonly PixelInput? pixels;
    private readonly Fit fit;
    private readonly Rgb background;
    private readonly bool isMnist;

    public PictureInput(ModelProto model, string source, IReadOnlyList<string> classes, ClassifierOptions options)
    {
        var metadata = OnnxFile.Metadata(model);
        pixels = PixelInput.Of(metadata);
        if (pixels is not null && options.Transform is not null)
            throw new OnnxException($"{source} takes pixels as they are stored and does the preprocessing in its graph: no transform can "
                + "be added to it");
        transform = options.Transform ?? ModelMetadata.TransformOf(metadata)
            ?? throw new OnnxException($"{source} does not say what its input wants: give {nameof(ClassifierOptions)}."
                + $"{nameof(ClassifierOptions.Transform)}");
        fit = options.Fit ?? ModelMetadata.FitOf(metadata) ?? Fit.Crop;
        background = ModelMetadata.BackgroundOf(metadata) ?? Rgb.White;
        isMnist = !options.AsIs && MnistForm.Applies(metadata.GetValueOrDefault(ModelMetadata.Data), classes);
        Stored = StoredOf(model, source, options.Size);
        if (transform.Mean.Count > 1 && transform.Mean.Count != Stored[0])
            throw new OnnxException($"{source} takes pictures of {Stored[0]} channels, and there are {transform.Mean.Count} means and "
                + "deviations");
        int height = Stored[1] + 2 * transform.Padding, width = Stored[2] + 2 * transform.Padding;
        Sample = pixels?.Layout == PixelLayout.Nhwc ? new Shape(height, width, Stored[0]) : new Shape(Stored[0], height, width);
    }

    /// <summary>A picture before the preprocessing, [C, H, W].</summary>
    public Shape Stored { get; }

    /// <summary>The sample that it becomes, as the model's input has it.</summary>
    public Shape Sample { get; }

    /// <summary>What transparent pixels are put over.</summary>
    public Rgb Background => background;

    /// <summary>The picture as the model sees it, before the preprocessing; null where there is nothing on it.</summary>
    public Picture? See(Picture picture)
    {
        bool isBlank = !picture.Pixels.AsSpan().ContainsAnyExcept(picture.Pixels[0])
            || (picture.Channels == 3 && OfOneColour(picture.Pixels));
        if (isBlank) return null;
        if (isMnist && (Stored[0], Stored[1], Stored[2]) == (1, 28, 28)) return MnistForm.Of(picture);
        return Fitted(picture);
    }

    /// <summary>The picture in the model's size and channels.</summary>
    public Picture Fitted(Picture picture) =>
        (Stored[0] == 1 ? picture.ToGrey() : picture.ToColour()).Resize((Stored[1], Stored[2]), fit, background);

    /// <summary>The numbers that the model takes.</summary>
    public float[] Numbers(Picture seen)
    {
        var x = new float[Sample.Count];
        if (pixels?.Layout == PixelLayout.Nhwc)
        {
            for (int i = 0; i < x.Length; i++) x[i] = seen.Pixels[i];
            return x;
        }
        new ImageDataset(Stored, seen.Planes(), new byte[1], transform).Gather([0], x, stackalloc long[1]);
        return x;
    }

    private static bool OfOneColour(byte[] pixels)
    {
        for (int i = 3; i < pixels.Length; i++)
            if (pixels[i] != pixels[i - 3]) return false;
        return true;
    }

    private Shape StoredOf(ModelProto model, string source, Size2? given)
    {
        var weights = model.Graph.Initializer.Select(tensor => tensor.Name).ToHashSet();
        var inputs = model.Graph.Input.Where(input => !weights.Contains(input.Name)).ToList();
        var dims = inputs is [var only] ? only.Type?.TensorType?.Shape?.Dim : null;
        if (dims is not { Count: 4 })
            throw new OnnxException($"{source} takes {string.Join(" and ", inputs.Select(input => $"'{input.Name}'"))}: a picture is one "
                + "input of four axes");
        long[] sizes = [.. dims.Skip(1).Select(dim => dim.DimValue)];
        if (pixels?.Layout == PixelLayout.Nhwc) sizes = [sizes[2], sizes[0], sizes[1]];
        if (sizes[0] is not (1 or 3)) throw new OnnxException($"{source} takes {sizes[0]} channels: a picture has 1, grey, or 3");
        for (int axis = 1; axis <= 2; axis++)
        {
            int? size = axis == 1 ? given?.H : given?.W;
            if (sizes[axis] == 0)
                sizes[axis] = size ?? throw new OnnxException($"{source} leaves the size of its pictures open: give "
                    + $"{nameof(ClassifierOptions)}.{nameof(ClassifierOptions.Size)}");
            else if (size is { } other && other != sizes[axis])
                throw new OnnxException($"{source} takes pictures of {sizes[1]}×{sizes[2]}, not of {given}");
            sizes[axis] -= 2 * transform.Padding;
            if (sizes[axis] is < 1 or > 1 << 15)
                throw new OnnxException($"{source} takes pictures of {sizes[1]}×{sizes[2]} with a padding of {transform.Padding}");
        }
        return new Shape((int)sizes[0], (int)sizes[1], (int)sizes[2]);
    }
}
