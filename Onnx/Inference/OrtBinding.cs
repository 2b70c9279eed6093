using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

namespace OnnxLeNet.Onnx;

/// <summary>
/// A model bound to memory of its own for batches of one size: fill <see cref="Input"/>, <see cref="Run"/>, read <see cref="Output"/>. A
/// run allocates nothing and adds well under a microsecond to ONNX Runtime's own time. One thread at a time; each thread binds one for
/// itself.
/// </summary>
public sealed class OrtBinding : IDisposable
{
    private readonly OrtModel model;
    private readonly OrtIoBinding binding;
    private readonly RunOptions runOptions;
    private readonly List<IDisposable> parts = [];
    private readonly float[] input, output;
    private readonly CudaMemory? deviceInput, deviceOutput;
    private OneUse use;

    /// <summary>Binds, and runs once on zeros: what only a first run costs is paid here.</summary>
    /// <param name="model">The model, in use until this is disposed.</param>
    /// <param name="inputShape">The input's shape.</param>
    /// <param name="outputShape">The first output's shape.</param>
    /// <param name="inputLength">Values of the input.</param>
    /// <param name="outputLength">Values of the output.</param>
    /// <param name="cudaGraph">The number of the CUDA graph that the runs become; null for none.</param>
    internal OrtBinding(OrtModel model, long[] inputShape, long[] outputShape, int inputLength, int outputLength, int? cudaGraph)
    {
        this.model = model;
        (InputShape, OutputShape) = (inputShape, outputShape);
        // Where the collector does not move them: ONNX Runtime keeps their addresses.
        input = GC.AllocateArray<float>(inputLength, pinned: true);
        output = GC.AllocateArray<float>(outputLength, pinned: true);
        try
        {
            parts.Add(runOptions = new RunOptions { LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL });
            if (cudaGraph is { } number) runOptions.AddRunConfigEntry("gpu_graph_id", number.ToString(CultureInfo.InvariantCulture));
            parts.Add(binding = model.Session.CreateIoBinding());
            OrtValue x, y;
            if (model.Device.Type == OrtDeviceType.Cpu)
            {
                parts.Add(x = OrtValue.CreateTensorValueFromMemory(input, inputShape));
                parts.Add(y = OrtValue.CreateTensorValueFromMemory(output, outputShape));
            }
            else
            {
                using var memory = new OrtMemoryInfo(OrtMemoryInfo.allocatorCUDA, OrtAllocatorType.DeviceAllocator, model.Device.Index,
                    OrtMemType.Default);
                parts.Add(deviceInput = new CudaMemory(model.Device.Index, sizeof(float) * (long)inputLength));
                parts.Add(deviceOutput = new CudaMemory(model.Device.Index, sizeof(float) * (long)outputLength));
                parts.Add(x = OnDevice(deviceInput, inputShape, inputLength));
                parts.Add(y = OnDevice(deviceOutput, outputShape, outputLength));

                OrtValue OnDevice(CudaMemory at, long[] shape, int length) =>
                    OrtValue.CreateTensorValueWithData(memory, TensorElementType.Float, shape, at.Address, sizeof(float) * (long)length);
            }
            binding.BindInput(model.Input.Name, x);
            binding.BindOutput(model.Output.Name, y);
            Run();
        }
        catch
        {
            DisposeParts();
            throw;
        }
    }

    /// <summary>The input's shape, as [N, C, H, W].</summary>
    public IReadOnlyList<long> InputShape { get; }

    /// <summary>The output's shape, as [N, classes].</summary>
    public IReadOnlyList<long> OutputShape { get; }

    /// <summary>The input, row-major, to be filled; a run leaves it as it is.</summary>
    public Span<float> Input => input;

    /// <summary>The first output, row-major: the last run's.</summary>
    public ReadOnlySpan<float> Output => output;

    /// <summary>Runs the model from <see cref="Input"/> to <see cref="Output"/>.</summary>
    /// <exception cref="InvalidOperationException">Another thread is in a run of this binding.</exception>
    /// <exception cref="OnnxException">ONNX Runtime fails.</exception>
    /// <exception cref="ObjectDisposedException">This, or the model, has been disposed.</exception>
    public void Run()
    {
        if (!use.TryBegin(this)) throw new InvalidOperationException($"{model.Source}: two threads run one binding, which has memory for "
            + "one run: let each thread bind one.");
        try
        {
            using var modelUse = model.Enter();
            deviceInput?.CopyFrom(Marshal.UnsafeAddrOfPinnedArrayElement(input, 0));
            model.Session.RunWithBinding(runOptions, binding);
            deviceOutput?.CopyTo(Marshal.UnsafeAddrOfPinnedArrayElement(output, 0));
        }
        catch (Exception e) when (OnnxException.IsForeign(e))
        {
            throw model.Failed(e);
        }
        finally
        {
            if (use.End()) Release();
        }
    }

    /// <summary>Releases the memory, and the model for its own disposal; while a run is under way, as soon as that ends. A second call does
    /// nothing.</summary>
    public void Dispose()
    {
        if (use.Dispose()) Release();
    }

    private void Release()
    {
        DisposeParts();
        model.Release();
    }

    private void DisposeParts()
    {
        for (var i = parts.Count - 1; i >= 0; i--) parts[i].Dispose();
    }
}
