using System.Runtime.InteropServices;
using Microsoft.ML.OnnxRuntime;
using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>
/// A model in ONNX Runtime, with one float input (such as images, N·C·H·W) and one or more outputs. Tensors are row-major and stay the
/// caller's memory: on the processor nothing is copied. Runs may overlap, on one model from several threads. For many runs of one size,
/// <see cref="Bind"/>: such a run allocates nothing. All of a model runs on the device asked for, or <see cref="Load(string, OrtOptions)"/> fails;
/// <see cref="OrtPlacement"/> lists the nodes.
/// </summary>
public sealed class OrtModel : IDisposable
{
    private readonly InferenceSession session;
    private readonly RunOptions runOptions;
    private readonly string[] inputNames;
    private readonly string[] outputNames;
    private readonly UseCount uses;
    private readonly bool cudaGraph;
    private int cudaGraphs;
    private Plan? lastPlan;

    /// <summary>Shapes of one run, checked; kept for the next one, which mostly has the same.</summary>
    private sealed record Plan(long[] Input, long[]? Output, long InputLength, long OutputLength);

    private OrtModel(InferenceSession session, OrtModelMetadata metadata, string source, OrtOptions options, string deviceName)
    {
        OrtTensorInfo[] inputs = [.. session.InputNames.Select(name => OrtTensorInfo.From(name, session.InputMetadata[name]))];
        OrtTensorInfo[] outputs = [.. session.OutputNames.Select(name => OrtTensorInfo.From(name, session.OutputMetadata[name]))];
        if (inputs is not [{ IsFloat: true }] || outputs.Length == 0)
        {
            throw new OnnxException($"{source} takes {List(inputs)} and gives {List(outputs)}: expected one float input, and an output.");
        }
        (this.session, cudaGraph) = (session, options.CudaGraph);
        (Metadata, Source, Device, DeviceName, Input, Outputs) = (metadata, source, options.Device, deviceName, inputs[0], outputs);
        inputNames = [Input.Name];
        outputNames = [Output.Name];
        runOptions = new RunOptions { LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR };
        if (cudaGraph)
        {
            runOptions.AddRunConfigEntry("gpu_graph_id", "-1");  // runs with buffers of their own are not recorded
        }
        uses = new UseCount(source, () =>
        {
            runOptions.Dispose();
            session.Dispose();
        });

        static string List(OrtTensorInfo[] tensors) => tensors.Length == 0 ? "nothing" : string.Join(" and ", tensors.AsEnumerable());
    }

    /// <summary>
    /// Loads a model file, and the weights beside it where it has any. The file is read once: what has been checked is what ONNX Runtime gets, which opens no
    /// file itself.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <param name="options">Device and threads; the processor and all cores if left out.</param>
    /// <exception cref="OnnxException">The file is not there, holds no whole model, or ONNX Runtime refuses it; or an option is wrong.</exception>
    /// <exception cref="MissingDeviceException">The device, or a part that it needs, is not there.</exception>
    public static OrtModel Load(string path, OrtOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        var (model, bytes) = OnnxFile.ReadWithBytes(path);
        return Create(model, path, options, settings => new InferenceSession(bytes, settings));
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
        return Create(OnnxFile.Parse(model, source), source, options, settings => new InferenceSession(model, settings));
    }

    /// <summary>The file, or what else the model is called in messages.</summary>
    public string Source { get; }

    /// <summary>The device every node runs on.</summary>
    public OrtDevice Device { get; }

    /// <summary>The device with its name: "cpu", "cuda:0 (NVIDIA H200)".</summary>
    public string DeviceName { get; }

    /// <summary>The model's only input.</summary>
    public OrtTensorInfo Input { get; }

    /// <summary>The model's first output: the one that a run without names gives.</summary>
    public OrtTensorInfo Output => Outputs[0];

    /// <summary>All outputs, in the model's order.</summary>
    public IReadOnlyList<OrtTensorInfo> Outputs { get; }

    /// <summary>Who made the model, and what is written in it.</summary>
    public OrtModelMetadata Metadata { get; }

    /// <summary>Runs the model: the first output of <paramref name="input"/>, into the caller's memory.</summary>
    /// <param name="input">The input, row-major, as long as its shape says.</param>
    /// <param name="shape">The input's shape, as [N, C, H, W].</param>
    /// <param name="output">Where the first output goes; overwritten; as long as that output is.</param>
    /// <exception cref="OnnxException">A shape or a length does not fit the model, or ONNX Runtime fails.</exception>
    /// <exception cref="ObjectDisposedException">The model has been disposed.</exception>
    public void Run(ReadOnlyMemory<float> input, ReadOnlySpan<long> shape, Memory<float> output)
    {
        var plan = PlanFor(input.Length, shape);
        RequireFloatOutput(plan);
        if (plan.OutputLength != output.Length)
        {
            throw new OnnxException(
                $"{Source}: the memory for output {Output} holds {output.Length} values: "
                + $"expected {plan.OutputLength}, for the shape [{string.Join(", ", plan.Output!)}].");
        }
        using var use = uses.Enter();
        try
        {
            using var x = CreateInput(input, plan);
            using var y = OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, output, plan.Output);
            session.Run(runOptions, inputNames, [x], outputNames, [y]);
        }
        catch (OnnxRuntimeException e)
        {
            throw Failed(e);
        }
    }

    /// <summary>Runs the model on a batch: the first output, one row per sample.</summary>
    /// <param name="input">The batch, row-major: <paramref name="batch"/> samples of the model's own size.</param>
    /// <param name="batch">How many samples: the size of the input's first axis. Its other axes must be fixed.</param>
    /// <exception cref="OnnxException">A length does not fit the model, or ONNX Runtime fails.</exception>
    /// <exception cref="ObjectDisposedException">The model has been disposed.</exception>
    public float[] Run(float[] input, int batch)
    {
        ArgumentNullException.ThrowIfNull(input);
        var shape = ShapeOf(batch);
        var output = new float[PlanFor(input.Length, shape).OutputLength];
        Run(input, shape, output);
        return output;
    }

    /// <summary>Runs the model on a tensor whose first axis is the batch: the first output, with one row per sample.</summary>
    /// <inheritdoc cref="Run(float[], int)"/>
    public Tensor Run(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        long[] shape = [.. input.Shape.Sizes.ToArray().Select(size => (long)size)];
        var plan = PlanFor(input.Data.Length, shape);
        if (plan.Output is null)
        {
            throw new OnnxException($"{Source}: output {Output} has no known size. Use RunOutputs instead.");
        }
        var output = new Tensor(new Shape([.. plan.Output.Select(size => checked((int)size))]));
        Run(input.Data, shape, output.Data);
        return output;
    }

    /// <summary>Runs the model and gives several outputs, as for comparing layer by layer.</summary>
    /// <param name="input">The input, row-major, as long as its shape says.</param>
    /// <param name="shape">The input's shape, as [N, C, H, W].</param>
    /// <param name="outputs">The names of the outputs wanted, each of them float; every output of the model if left out.</param>
    /// <returns>Each output, row-major, by its name.</returns>
    /// <exception cref="OnnxException">A shape or a name does not fit the model, or ONNX Runtime fails.</exception>
    /// <exception cref="ObjectDisposedException">The model has been disposed.</exception>
    public IReadOnlyDictionary<string, float[]> RunOutputs(ReadOnlyMemory<float> input, ReadOnlySpan<long> shape, IEnumerable<string>? outputs = null)
    {
        string[] names = [.. (outputs ?? Outputs.Select(output => output.Name)).Distinct()];
        if (names.FirstOrDefault(name => !Outputs.Any(o => o.Name == name && o.IsFloat)) is { } unknown)
        {
            throw new OnnxException($"{Source} has no float output '{unknown}': its outputs are {string.Join(" and ", Outputs)}.");
        }
        var plan = PlanFor(input.Length, shape);
        using var use = uses.Enter();
        try
        {
            using var x = CreateInput(input, plan);
            using var values = session.Run(runOptions, inputNames, [x], names);
            return names.Zip(values).ToDictionary(pair => pair.First, pair => pair.Second.GetTensorDataAsSpan<float>().ToArray());
        }
        catch (OnnxRuntimeException e)
        {
            throw Failed(e);
        }
    }

    /// <summary>
    /// Binds the model to memory of its own for batches of one size, so that runs allocate nothing; with <see cref="OrtOptions.CudaGraph"/>, they
    /// are one launch each. Runs once, on zeros.
    /// </summary>
    /// <param name="batch">How many samples: the size of the input's first axis. Its other axes must be fixed.</param>
    /// <exception cref="OnnxException">A size does not fit the model, the memory is not there, or ONNX Runtime fails.</exception>
    /// <exception cref="ObjectDisposedException">The model has been disposed.</exception>
    public OrtBinding Bind(int batch = 1)
    {
        var plan = PlanFor(null, ShapeOf(batch));
        RequireFloatOutput(plan);
        if (Math.Max(plan.InputLength, plan.OutputLength) > Array.MaxLength)
        {
            throw new OnnxException($"{Source}: a batch of {batch} has more values than an array holds.");
        }
        uses.Begin();  // until the binding is disposed
        try
        {
            return new OrtBinding(this, plan.Input, plan.Output!, (int)plan.InputLength, (int)plan.OutputLength, cudaGraph ? Interlocked.Increment(ref cudaGraphs) : null);
        }
        catch (OnnxRuntimeException e)
        {
            uses.End();
            throw Failed(e);
        }
        catch
        {
            uses.End();
            throw;
        }
    }

    /// <summary>Runs batches of these sizes once each, on zeros: what only a first run of a size costs (on a GPU, cuDNN's search) is then paid.</summary>
    /// <param name="batches">Sizes of the input's first axis. Its other axes must be fixed.</param>
    /// <exception cref="OnnxException">A size does not fit the model, or ONNX Runtime fails.</exception>
    /// <exception cref="ObjectDisposedException">The model has been disposed.</exception>
    public void WarmUp(params ReadOnlySpan<int> batches)
    {
        foreach (var batch in batches)
        {
            var plan = PlanFor(null, ShapeOf(batch));
            using var use = uses.Enter();
            try
            {
                using var x = CreateInput(new float[plan.InputLength], plan);
                session.Run(runOptions, inputNames, [x], outputNames).Dispose();
            }
            catch (OnnxRuntimeException e)
            {
                throw Failed(e);
            }
        }
    }

    /// <summary>Releases the session, once the runs under way and the bindings are done. A later run is an error; a second call does nothing.</summary>
    public void Dispose() => uses.Dispose();

    internal InferenceSession Session => session;

    internal UseCount.Use Enter() => uses.Enter();

    internal void Release() => uses.End();

    private static OrtModel Create(ModelProto proto, string source, OrtOptions? options, Func<SessionOptions, InferenceSession> open)
    {
        options ??= new OrtOptions();
        var (session, deviceName) = OrtSession.Open(proto, source, options, open);
        try
        {
            return new OrtModel(session, OrtModelMetadata.From(proto), source, options, deviceName);
        }
        catch
        {
            session.Dispose();
            throw;
        }
    }

    private long[] ShapeOf(int batch)
    {
        var shape = Input.Shape.ToArray();
        if (shape.Length > 0)
        {
            shape[0] = batch;
        }
        return shape;
    }

    private void RequireFloatOutput(Plan plan)
    {
        if (!Output.IsFloat || plan.Output is null)
        {
            var why = Output.IsFloat ? "has no known size" : "is not float";
            throw new OnnxException($"{Source}: output {Output} {why}, so it cannot go into given memory. Use RunOutputs instead.");
        }
    }

    /// <summary>The shapes of a run; <paramref name="length"/> values of input have come, or none yet.</summary>
    private Plan PlanFor(int? length, ReadOnlySpan<long> shape)
    {
        var plan = Volatile.Read(ref lastPlan);
        if (plan is null || !shape.SequenceEqual(plan.Input))
        {
            if (!Input.Fits(shape))
            {
                throw new OnnxException($"{Source}: input of shape [{string.Join(", ", shape.ToArray())}] came: expected {Input}, each size at least 1.");
            }
            var output = Output.Resolve(Input, shape);
            try
            {
                plan = new Plan(shape.ToArray(), output, Product(shape), Product(output));
            }
            catch (OverflowException e)
            {
                throw new OnnxException($"{Source}: input of shape [{string.Join(", ", shape.ToArray())}] has more values than can be counted.", e);
            }
            Volatile.Write(ref lastPlan, plan);
        }
        return length is null || length == plan.InputLength
            ? plan
            : throw new OnnxException(
                $"{Source}: {length} input values came: expected {plan.InputLength}, for the shape [{string.Join(", ", plan.Input)}].");
    }

    private static long Product(ReadOnlySpan<long> sizes)
    {
        var product = 1L;
        foreach (var size in sizes)
        {
            product = checked(product * size);
        }
        return product;
    }

    // ONNX Runtime takes writable memory for an input too; it only reads it.
    private static OrtValue CreateInput(ReadOnlyMemory<float> input, Plan plan) =>
        OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, MemoryMarshal.AsMemory(input), plan.Input);

    internal OnnxException Failed(OnnxRuntimeException e) => new($"{Source} failed on device {DeviceName}: {OnnxException.OneLine(e)}", e);
}
