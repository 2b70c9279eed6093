using System.Runtime.InteropServices;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

namespace OnnxLeNet.Onnx;

/// <summary>Floats to and from the element type that a model takes or gives: float as it is, float16 and double converted.</summary>
internal static class OrtElements
{
    /// <summary>The types that are converted, by ONNX's names.</summary>
    public static bool IsFloating(string type) => type is "float" or "float16" or "double";

    /// <summary>The types of inputs that are made of floats: those, and bytes of whole numbers.</summary>
    public static bool IsTaken(string type) => IsFloating(type) || type == Bytes;

    /// <summary>The type of pixels as they are stored.</summary>
    public const string Bytes = "uint8";

    /// <summary>A tensor of a model's type: of float over the caller's memory, which ONNX Runtime only reads; of others over a
    /// copy.</summary>
    public static OrtValue Create(ReadOnlyMemory<float> values, long[] shape, string type)
    {
        switch (type)
        {
            case "float16":
                var halves = new Float16[values.Length];
                var bits = MemoryMarshal.Cast<Float16, Half>(halves.AsSpan());
                for (int i = 0; i < bits.Length; i++) bits[i] = (Half)values.Span[i];
                return OrtValue.CreateTensorValueFromMemory(halves, shape);
            case "double":
                var doubles = new double[values.Length];
                for (int i = 0; i < doubles.Length; i++) doubles[i] = values.Span[i];
                return OrtValue.CreateTensorValueFromMemory(doubles, shape);
            case Bytes:
                var bytes = new byte[values.Length];
                for (int i = 0; i < bytes.Length; i++)
                {
                    float value = values.Span[i];
                    bytes[i] = (byte)Math.Clamp(value, 0, 255);
                    if (bytes[i] != value)
                        throw new OnnxException($"the model takes bytes, pixels as they are stored: {value:R} is no integer of 0 to 255");
                }
                return OrtValue.CreateTensorValueFromMemory(bytes, shape);
            default:
                return OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, MemoryMarshal.AsMemory(values), shape);
        }
    }

    /// <summary>The values of a tensor as floats.</summary>
    public static float[] Read(OrtValue tensor)
    {
        switch (tensor.GetTensorTypeAndShape().ElementDataType)
        {
            case TensorElementType.Float16:
                return Converted<Float16, Half>(tensor, static half => (float)half);
            case TensorElementType.Double:
                return Converted<double, double>(tensor, static number => (float)number);
            default:
                return tensor.GetTensorDataAsSpan<float>().ToArray();
        }
    }

    private static float[] Converted<TStored, TRead>(OrtValue tensor, Func<TRead, float> convert) where TStored : unmanaged where TRead
        : unmanaged
    {
        var stored = MemoryMarshal.Cast<TStored, TRead>(tensor.GetTensorDataAsSpan<TStored>());
        var values = new float[stored.Length];
        for (int i = 0; i < values.Length; i++) values[i] = convert(stored[i]);
        return values;
    }
}
