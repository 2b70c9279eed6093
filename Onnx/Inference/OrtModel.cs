using Google.Protobuf;
using Microsoft.ML.OnnxRuntime;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>
/// A model in ONNX Runtime, with one or more float inputs (such as images, N·C·H·W) and outputs. Tensors are row-major and stay the
/// caller's memory: on the processor nothing is copied, unless the model takes or gives float16 or double, which are converted, or takes
/// uint8, pixels as they are stored: it is then given whole numbers of 0 to 255. Runs may overlap, on one model from several threads.
/// For many runs of one size, <see cref="Bind"/>: such a run allocates nothing. All of a model runs on the device asked for, or
/// <see cref="Load(string, OrtOptions)"/> fails; <see cref="OrtPlacement"/> lists the nodes.
/// </summary>
public sealed partial class OrtModel : IDisposable
{
    private readonly InferenceSession session;
    private readonly RunOptions runOptions;
    private readonly TimeSpan? timeout;
    private readonly double runBytes; // that values take while it runs on one sample, or on BatchSize; 0 where that is not known
    private readonly string[] inputNames;
    private readonly string[] outputNames;
    private readonly UseCount uses;
    private readonly bool cudaGraph;
    private int cudaGraphs;
    private Plan? lastPlan;

    private OrtModel(InferenceSession session, ModelProto proto, string source, OrtOptions options, string deviceName)
    {
        OrtTensorInfo[] inputs = [.. session.InputNames.Select(name => OrtTensorInfo.From(name, session.InputMetadata[name]))];
        OrtTensorInfo[] outputs = [.. session.OutputNames.Select(name => OrtTensorInfo.From(name, session.OutputMetadata[name]))];
        if (inputs.Length == 0 || !inputs.All(input => OrtElements.IsTaken(input.ElementType)) || outputs.Length == 0)
        {
            throw new OnnxException(
                $"{source} takes {List(inputs)} and gives {List(outputs)}: expected inputs of float, float16, double or uint8, and an "
                    + "output.");
        }
        (this.session, cudaGraph) = (session, options.CudaGraph);
        (Metadata, Source, Device, DeviceName) = (OrtModelMetadata.From(proto), source, options.Device, deviceName);
        (Inputs, Outputs) = (inputs, outputs);
        ReturnsProbabilities = OutputForm.IsProbabilities(proto.Graph);
        BatchSize = inputs.Select(input => FixedBatch.Of(proto, input, Output)).FirstOrDefault(size => size is not null);
        inputNames = [.. inputs.Select(input => input.Name)];
        outputNames = [Output.Name];
        (runOptions, timeout) = (NewRunOptions(cudaGraph), options.Timeout);
        if (!options.Trusted) runBytes = ValueSizes.Check(proto.Graph, OnnxChecker.Opset(proto), long.MaxValue);
        uses = new UseCount(source, () =>
        {
            runOptions.Dispose();
            session.Dispose();
        });

        static string List(OrtTensorInfo[] tensors) => tensors.Length == 0 ? "nothing" : string.Join(" and ", tensors.AsEnumerable());
    }

    /// <summary>
    /// Loads a model file, and the weights beside it where it has any. The file is read once: what has been checked is what ONNX Runtime
    /// gets, which opens no file itself.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <param name="options">Device and threads; the processor and all cores if left out.</param>
    /// <exception cref="OnnxException">The file is not there, holds no whole model, or ONNX Runtime refuses it; or an option is
    /// wrong.</exception>
    /// <exception cref="MissingDeviceException">The device, or a part that it needs, is not there.</exception>
    public static OrtModel Load(string path, OrtOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        var (model, bytes) = OnnxFile.ReadWithBytes(path);
        return Load(model, bytes, options, path);
    }

    /// <summary>Loads a model from memory.</summary>
    /// <param name="model">The bytes of a model file, weights included.</param>
    /// <param name="options">Device and threads; the processor and all cores if left out.</param>
    /// <param name="source">What to call the model in messages.</param>
    /// <exception cref="OnnxException">The bytes are no whole model, or ONNX Runtime refuses it; or an option is wrong.</exception>
    /// <exception cref="MissingDeviceException">The device, or a part that it needs, is not there.</exception>
    public static OrtModel Load(byte[] model, OrtOptions? options = null, string source = "the model in memory")
    {
        ArgumentNullException.ThrowIfNull(model);
        return Create(OnnxFile.Parse(model, source), model, source, options);
    }

    /// <summary>The same of somebody's file that has been parsed and checked, with its bytes.</summary>
    internal static OrtModel Load(ModelProto model, byte[] bytes, OrtOptions? options, string source)
    {
        if (options?.Trusted is not true) OwnProcess.Require(model, source, options ?? new OrtOptions());
        return Create(model, bytes, source, options);
    }

    /// <summary>The file, or what else the model is called in messages.</summary>
    public string Source { get; }

    /// <summary>The device every node runs on.</summary>
    public OrtDevice Device { get; }

    /// <summary>The device with its name: "cpu", "cuda:0 (NVIDIA H200)".</summary>
    public string DeviceName { get; }

    /// <summary>The model's first input: the one that a run on one tensor takes, where there is no other.</summary>
    public OrtTensorInfo Input => Inputs[0];

    /// <summary>All inputs, in the model's order.</summary>
    public IReadOnlyList<OrtTensorInfo> Inputs { get; }

    /// <summary>The model's first output: the one that a run without names gives.</summary>
    public OrtTensorInfo Output => Outputs[0];

    /// <summary>All outputs, in the model's order.</summary>
    public IReadOnlyList<OrtTensorInfo> Outputs { get; }

    /// <summary>Whether the first output is a softmax's: probabilities, and no logits.</summary>
    internal bool ReturnsProbabilities { get; }

    /// <summary>
    /// Whether the file is of double and runs as float32, since ONNX Runtime has no kernel in double for one of its operators (a
    /// convolution, a pool). <see cref="Inputs"/> and <see cref="Outputs"/> are then those of the converted model.
    /// </summary>
    public bool DoubleAsFloat { get; private init; }

    /// <summary>Who made the model, and what is written in it.</summary>
    public OrtModelMetadata Metadata { get; }

    /// <summary>
    /// Binds the model to memory of its own for batches of one size, so that runs allocate nothing; with
    /// <see cref="OrtOptions.CudaGraph"/>, they are one launch each. Runs once, on zeros.
    /// </summary>
    /// <param name="batch">How many samples: the size of the input's first axis. Its other axes must be fixed.</param>
    /// <exception cref="OnnxException">The model has several inputs, a size does not fit it, the memory is not there, or ONNX Runtime
    /// fails.</exception>
    /// <exception cref="ObjectDisposedException">The model has been disposed.</exception>
    public OrtBinding Bind(int batch = 1)
    {
        RequireOneInput();
        if (!Input.IsFloat || !Output.IsFloat)
        {
            throw new OnnxException($"{Source} takes {Input} and gives {Output}: a binding is of float to float. Use Run, which converts.");
        }
        if (BatchSize is { } size && size != batch)
        {
            throw new OnnxException(
                $"{Source} runs on {size} samples at once: a binding of {batch} cannot be. Bind {size}, or use Run, which makes pieces.");
        }
        var plan = PlanFor(null, ShapeOf(Input, batch));
        RequireOutput(plan);
        if (Math.Max(plan.InputLength, plan.OutputLength) > Array.MaxLength)
        {
            throw new OnnxException($"{Source}: a batch of {batch} has more values than an array holds.");
        }
        uses.Begin();  // until the binding is disposed
        try
        {
            return new OrtBinding(this, plan.Input, plan.Output!, (int)plan.InputLength, (int)plan.OutputLength, cudaGraph
                ? Interlocked.Increment(ref cudaGraphs) : null);
        }
        catch (Exception e)
        {
            uses.End();
            if (OnnxException.IsForeign(e)) throw Failed(e);
            throw;
        }
    }

    /// <summary>Releases the session, once the runs under way and the bindings are done. A later run is an error; a second call does
    /// nothing.</summary>
    public void Dispose() => uses.Dispose();

    internal InferenceSession Session => session;

    /// <summary>As many samples as fit the memory budget, of those wanted.</summary>
    internal int SamplesAtOnce(int wanted) => BatchSize is not null || runBytes == 0 ? wanted
        : (int)Math.Clamp(OnnxImporter.MemoryBudget / runBytes, 1, wanted);

    internal static RunOptions NewRunOptions(bool cudaGraph)
    {
        var options = new RunOptions { LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL };  // an error is thrown
        if (cudaGraph)
        {
            options.AddRunConfigEntry("gpu_graph_id", "-1");  // runs with buffers of their own are not recorded
        }
        return options;
    }

    internal UseCount.Use Enter() => uses.Enter();

    internal void Release() => uses.End();

    private static OrtModel Create(ModelProto proto, byte[] bytes, string source, OrtOptions? options)
    {
        options ??= new OrtOptions();
        if (proto.Functions.Count > 0)
        {
            proto = FunctionInliner.Inlined(proto);
            bytes = proto.ToByteArray();
        }
        InferenceSession session;
        string deviceName;
        var asFloat = false;
        try
        {
            (session, deviceName) = OrtSession.Open(proto, source, options, settings => new InferenceSession(bytes, settings));
        }
        catch (OnnxException e) when (e.Message.Contains("Could not find an implementation", StringComparison.Ordinal)
            && DoubleModel.IsOne(proto))
        {
            (proto, asFloat) = (DoubleModel.AsFloat(proto), true);
            bytes = proto.ToByteArray();
            (session, deviceName) = OrtSession.Open(proto, source, options, settings => new InferenceSession(bytes, settings));
        }
        try
        {
            return new OrtModel(session, proto, source, options, deviceName) { DoubleAsFloat = asFloat };
        }
        catch
        {
            session.Dispose();
            throw;
        }
    }

    internal OnnxException Failed(Exception e) => OnnxException.Of($"{Source} failed on device {DeviceName}", e);
}
