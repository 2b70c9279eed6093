using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;
using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx;

/// <summary>One set of all that a training step takes and replaces, on the device: parameters, buffers, the optimizer's state.</summary>
internal sealed class TrainingState : IDisposable
{
    private readonly Dictionary<string, DeviceTensor<float>> floats = [];
    private readonly Dictionary<string, DeviceTensor<long>> integers = [];

    public TrainingState(TrainingLayout layout, OrtDevice device)
    {
        try
        {
            foreach (var tensor in layout.Tensors)
            {
                long[] shape = [.. tensor.Shape.Sizes.ToArray().Select(size => (long)size)];
                if (tensor.Type == ElementType.Int64) integers.Add(tensor.Name,
                    new DeviceTensor<long>(device, TensorElementType.Int64, shape));
                else floats.Add(tensor.Name, new DeviceTensor<float>(device, TensorElementType.Float, shape));
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public OrtValue Value(string name) => floats.TryGetValue(name, out var tensor) ? tensor.Value : integers[name].Value;

    public DeviceTensor<float> Floats(string name) => floats[name];

    public DeviceTensor<long> Integers(string name) => integers[name];

    /// <summary>Whether no element is infinite or no number. Of a GPU's set, as it was when it was last brought back.</summary>
    public bool IsFinite
    {
        get
        {
            foreach (var tensor in floats.Values)
                if (tensor.Elements.ContainsAnyExceptInRange(float.MinValue, float.MaxValue)) return false;
            return true;
        }
    }

    public void ToDevice()
    {
        foreach (var tensor in floats.Values) tensor.ToDevice();
        foreach (var tensor in integers.Values) tensor.ToDevice();
    }

    public void FromDevice()
    {
        foreach (var tensor in floats.Values) tensor.FromDevice();
        foreach (var tensor in integers.Values) tensor.FromDevice();
    }

    public void Dispose()
    {
        foreach (var tensor in floats.Values) tensor.Dispose();
        foreach (var tensor in integers.Values) tensor.Dispose();
    }
}
