namespace OnnxLeNet.Onnx;

/// <summary>How a network becomes one of 8-bit integers.</summary>
public sealed record QuantizationOptions
{
    /// <summary>How many images the ranges of activations are taken from, the first of the training images.</summary>
    public int CalibrationImages { get; init; } = 1024;

    /// <summary>
    /// Whether weights use −64 to 64 alone. Two products with an 8-bit activation then fit the 16 bits in which x86 processors before VNNI
    /// add them; with all of int8 such a sum can be cut off, and the same file would classify differently there.
    /// </summary>
    public bool ReduceRange { get; init; } = true;

    /// <exception cref="OnnxException">No images.</exception>
    internal void Validate()
    {
        if (CalibrationImages < 1) throw new OnnxException($"calibration takes at least one image, got {CalibrationImages}");
    }
}
