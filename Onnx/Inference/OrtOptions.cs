using System.Collections.Frozen;
using System.Globalization;

namespace OnnxLeNet.Onnx;

/// <summary>The kind of device a model runs on.</summary>
public enum OrtDeviceType
{
    /// <summary>The processor.</summary>
    Cpu,

    /// <summary>An NVIDIA GPU, through ONNX Runtime's CUDA provider.</summary>
    Cuda,
}

/// <summary>A device to run a model on: the processor, or one of the machine's GPUs. The default value is the processor.</summary>
/// <param name="Type">Processor or GPU.</param>
/// <param name="Index">Which GPU, from 0, in CUDA's order; 0 for the processor.</param>
public readonly record struct OrtDevice(OrtDeviceType Type, int Index)
{
    /// <summary>The processor.</summary>
    public static OrtDevice Cpu => default;

    /// <summary>An NVIDIA GPU.</summary>
    /// <param name="index">Which one, from 0, in CUDA's order.</param>
    public static OrtDevice Cuda(int index = 0) => new(OrtDeviceType.Cuda, index);

    /// <summary>Reads "cpu", "cuda" or "cuda:1", in any case.</summary>
    /// <param name="text">A device as a person types it.</param>
    /// <exception cref="OnnxException">It is none of these.</exception>
    public static OrtDevice Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return text.Trim().ToUpperInvariant() switch
        {
            "CPU" => Cpu,
            "CUDA" => Cuda(),
            ['C', 'U', 'D', 'A', ':', .. var index] when int.TryParse(index, NumberStyles.None, CultureInfo.InvariantCulture, out var n) =>
                Cuda(n),
            _ => throw new OnnxException($"device '{text}' is not known: expected cpu, cuda, or cuda:N for the GPU numbered N."),
        };
    }

    /// <summary>"cpu" or "cuda:0": what <see cref="Parse"/> reads.</summary>
    public override string ToString() => Type == OrtDeviceType.Cpu ? "cpu" : $"cuda:{Index}";
}

/// <summary>How cuDNN chooses the algorithm of a convolution, at the first run of each input shape.</summary>
public enum CudnnSearch
{
    /// <summary>Times all of them: ONNX Runtime's own default; the choice, and so the last bits, may differ from process to
    /// process.</summary>
    Exhaustive,

    /// <summary>By rules of thumb: a quick first run.</summary>
    Heuristic,

    /// <summary>Always the same one.</summary>
    Default,
}

/// <summary>How a model is run. The defaults are right for comparing with another engine: the processor, full float32 precision.</summary>
public sealed record OrtOptions
{
    /// <summary>Where the model runs: the processor unless set. Never quietly another device than this one.</summary>
    public OrtDevice Device { get; init; }

    /// <summary>Threads inside one operator; 0 leaves it to ONNX Runtime (all cores). For a tiny model at batch 1, 1 is fastest.</summary>
    public int IntraOpThreads { get; init; }

    /// <summary>Whether ONNX Runtime may rewrite the graph, as a convolution and the ReLU behind it into one node. Without, each node runs
    /// as it is written.</summary>
    public bool Optimize { get; init; } = true;

    /// <summary>Whether a GPU may round the factors of products to TF32 (10 bits of mantissa): faster, and no longer comparable at
    /// 1e-4.</summary>
    public bool UseTf32 { get; init; }

    /// <summary>
    /// Whether the model comes from a source you trust. Then operators that are not ONNX's own, loops and branches are let through, and
    /// tensors of any size; without, such a model is refused before ONNX Runtime sees it.
    /// </summary>
    public bool Trusted { get; init; }

    /// <summary>
    /// Bytes that the model's values may take at once beyond what its file holds, for one sample or as many as its inputs state; followed
    /// as far as sizes are known before the model runs.
    /// </summary>
    public long MemoryBudget { get; init; } = OnnxImporter.MemoryBudget;

    /// <summary>
    /// How long ONNX Runtime may take to load the model, and for each run but those of a binding; null for any time. It is told to end
    /// then, which it does between two nodes. Values that depend on constants alone are then computed in every run, where without a limit
    /// they are while it loads.
    /// </summary>
    public TimeSpan? Timeout { get; init; }

    /// <summary>Bytes that the model may take of a GPU's memory for its tensors; 0 for no limit.</summary>
    public long GpuMemoryLimit { get; init; }

    /// <summary>How cuDNN chooses the algorithms of convolutions.</summary>
    public CudnnSearch CudnnSearch { get; init; }

    /// <summary>
    /// Whether a binding (<see cref="OrtModel.Bind"/>) records its run as one CUDA graph and replays it: one launch instead of one for each
    /// node. The other ways to run bring buffers of their own each time and are not recorded.
    /// </summary>
    public bool CudaGraph { get; init; }

    /// <summary>
    /// More options of the CUDA provider, by ONNX Runtime's names; not used on the processor. Only known names and values are let through:
    /// an option that the provider does not know ends the process.
    /// </summary>
    public IReadOnlyDictionary<string, string> CudaOptions { get; init; } = FrozenDictionary<string, string>.Empty;

    /// <summary>Where ONNX Runtime writes its profile, the start of a file name; null for none.</summary>
    internal string? ProfilePrefix { get; init; }

    /// <summary>Whether nodes that the device has no kernel for may run on the processor: to find out which they are.</summary>
    internal bool ProcessorToo { get; init; }

    private static readonly FrozenDictionary<string, string[]> AllowedCudaOptions = new Dictionary<string, string[]>
    {
        ["arena_extend_strategy"] = ["kNextPowerOfTwo", "kSameAsRequested"],
        ["cudnn_conv_use_max_workspace"] = ["0", "1"],
        ["cudnn_conv1d_pad_to_nc1d"] = ["0", "1"],
        ["do_copy_in_default_stream"] = ["0", "1"],
        ["prefer_nhwc"] = ["0", "1"],
    }.ToFrozenDictionary();

    /// <exception cref="OnnxException">An option is not known, or has a value that it does not take.</exception>
    internal void Validate()
    {
        if (Device.Index < 0)
        {
            throw new OnnxException($"device {Device}: expected a number of 0 or more.");
        }
        if (IntraOpThreads < 0)
        {
            throw new OnnxException($"IntraOpThreads is {IntraOpThreads}: expected 0 (ONNX Runtime decides) or a number of threads.");
        }
        if (MemoryBudget < 1)
        {
            throw new OnnxException($"MemoryBudget is {MemoryBudget}: expected a count of bytes.");
        }
        if (Timeout is { } time && (time <= TimeSpan.Zero || time.TotalMilliseconds > int.MaxValue))
        {
            throw new OnnxException($"Timeout is {time}: expected a time of more than zero and at most 24 days.");
        }
        if (GpuMemoryLimit < 0)
        {
            throw new OnnxException($"GpuMemoryLimit is {GpuMemoryLimit}: expected 0 (no limit) or a count of bytes.");
        }
        if (!Enum.IsDefined(CudnnSearch))
        {
            throw new OnnxException($"CudnnSearch is {CudnnSearch}: expected {string.Join(" or ", Enum.GetNames<CudnnSearch>())}.");
        }
        if (Device.Type == OrtDeviceType.Cpu && CudaGraph)
        {
            throw new OnnxException("CudaGraph is set and the device is cpu: a CUDA graph runs on a GPU. Set Device to it.");
        }
        foreach (var (key, value) in CudaOptions)
        {
            if (!AllowedCudaOptions.TryGetValue(key, out var allowed))
            {
                var property = key switch
                {
                    "device_id" => nameof(Device),
                    "use_tf32" => nameof(UseTf32),
                    "gpu_mem_limit" => nameof(GpuMemoryLimit),
                    "cudnn_conv_algo_search" => nameof(CudnnSearch),
                    "enable_cuda_graph" => nameof(CudaGraph),
                    _ => null,
                };
                var instead = property is null ? "" : $" Set {property} for it.";
                throw new OnnxException($"CUDA option '{key}' is not one of: "
                    + $"{string.Join(", ", AllowedCudaOptions.Keys.Order())}.{instead}");
            }
            if (!allowed.Contains(value))
            {
                throw new OnnxException($"CUDA option {key} is '{value}': expected {string.Join(" or ", allowed)}.");
            }
        }
    }

    /// <summary>The options for the CUDA provider, all but the device.</summary>
    internal Dictionary<string, string> CudaProviderOptions()
    {
        var options = new Dictionary<string, string>(CudaOptions)
        {
            ["use_tf32"] = UseTf32 ? "1" : "0",
            ["cudnn_conv_algo_search"] = CudnnSearch.ToString().ToUpperInvariant(),
            ["enable_cuda_graph"] = CudaGraph ? "1" : "0",
        };
        if (GpuMemoryLimit > 0)
        {
            options["gpu_mem_limit"] = GpuMemoryLimit.ToString(CultureInfo.InvariantCulture);
        }
        return options;
    }
}
