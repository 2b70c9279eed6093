using System.Runtime.InteropServices;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

namespace OnnxLeNet.Onnx;

/// <summary>
/// Memory for one input or output that stays where it is. On the processor ONNX Runtime reads and writes the elements themselves; on a GPU
/// they are a copy, which is brought there and back when asked.
/// </summary>
internal sealed class DeviceTensor<T> : IDisposable where T : unmanaged
{
    private readonly T[] elements;
    private readonly CudaMemory? memory;

    public DeviceTensor(OrtDevice device, TensorElementType type, long[] shape)
    {
        long count = shape.Aggregate(1L, (product, size) => checked(product * size));
        if (count > Array.MaxLength) throw new OnnxException($"a tensor of shape [{string.Join(", ", shape)}] has more elements than an "
            + "array holds");
        elements = GC.AllocateArray<T>((int)count, pinned: true);
        if (device.Type == OrtDeviceType.Cpu)
        {
            Value = OrtValue.CreateTensorValueFromMemory(elements, shape);
            return;
        }
        long bytes = count * Marshal.SizeOf<T>();
        memory = new CudaMemory(device.Index, bytes);
        using var where = new OrtMemoryInfo(OrtMemoryInfo.allocatorCUDA, OrtAllocatorType.DeviceAllocator, device.Index,
            OrtMemType.Default);
        Value = OrtValue.CreateTensorValueWithData(where, type, shape, memory.Address, bytes);
        ToDevice();
    }

    public OrtValue Value { get; }

    public Span<T> Elements => elements;

    /// <summary>Brings the elements to the device.</summary>
    public void ToDevice() => memory?.CopyFrom(Marshal.UnsafeAddrOfPinnedArrayElement(elements, 0));

    /// <summary>Brings back what the device has.</summary>
    public void FromDevice() => memory?.CopyTo(Marshal.UnsafeAddrOfPinnedArrayElement(elements, 0));

    public void Dispose()
    {
        Value.Dispose();
        memory?.Dispose();
    }
}
