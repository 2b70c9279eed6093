using System.Globalization;
using System.Text.Json;
using Google.Protobuf;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;
using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>
/// Trains a network in ONNX Runtime, by a training step that <see cref="TrainingExporter"/> wrote. The weights and the optimizer's state
/// stay on the device in two sets: a step reads one and writes the other, and the next goes the other way. Nothing is copied but the batch,
/// its labels and the loss; a step allocates nothing. <see cref="Load()"/> takes weights and state from the network and the optimizer,
/// <see cref="Store"/> gives them back, so that checkpoints, state dicts and exports are the engine's. For one thread at a
/// time: a second one is refused.
/// </summary>
public sealed partial class OrtTrainer : ITrainingSteps, IDisposable
{
    private readonly Module network;
    private readonly Optimizer optimizer;
    private readonly TrainingLayout layout;
    private readonly ModelProto model;
    private readonly InferenceSession session;
    private readonly OrtOptions options;
    private readonly string source;
    private readonly Generator random;
    private readonly Dictionary<string, string> updates;
    private readonly TrainingState[] sets;
    private readonly DeviceTensor<float>[] rates;
    private readonly (string Name, Dropout Layer)[] dropouts;
    private readonly bool normalizes;
    private readonly Dictionary<int, BoundBatch> batches = [];
    private BoundBatch? last;
    private int current, cudaGraphs;
    private OneUse use;

    private OrtTrainer(ModelProto model, string source, Module network, Optimizer optimizer, OrtOptions options, Generator? random)
    {
        (this.model, this.source, this.network, this.optimizer, this.options, this.random) = (model, source, network, optimizer, options,
            random ?? Generator.Default);
        layout = TrainingLayout.Of(network, optimizer);
        var metadata = OnnxFile.Metadata(model);
        updates = RequireFit(metadata);
        var input = model.Graph.Input[0];
        Sample = new Shape([.. input.Type.TensorType.Shape.Dim.Skip(1).Select(dim => (int)dim.DimValue)]);
        BatchSize = input.Type.TensorType.Shape.Dim[0] is { HasDimValue: true } fixedSize ? (int)fixedSize.DimValue : null;
        Loss = metadata[TrainingNames.LossKind] == nameof(CrossEntropyLoss) ? TrainingLoss.CrossEntropy : TrainingLoss.MeanSquaredError;
        OutputSample = new Shape([.. model.Graph.Output.Single(o => o.Name == OnnxExporter.Output).Type.TensorType.Shape.Dim.Skip(1)
            .Select(dim => (int)dim.DimValue)]);
        if (options.CudaGraph && BatchSize is null)
            throw new OnnxException($"{source} takes batches of any size, and a CUDA graph needs a fixed one: write the training step for "
                + "one size, or set CudaGraph to false");
        var layers = Graph.Trace(network, Sample).Nodes.Select(node => node.Layer).ToList();
        dropouts = [.. model.Graph.Input.Select(i => i.Name).Where(name => name.EndsWith(TrainingNames.Mask, StringComparison.Ordinal))
            .Zip(layers.OfType<Dropout>(), (mask, dropout) => (mask, dropout))];
        normalizes = layers.Any(layer => layer is BatchNorm { IsFrozen: false });
        // Its sizes are the network's, and the batch the caller's.
        RuntimeOperators.Check(model.Graph);
        (session, DeviceName) = OrtSession.Open(model, source, options with { Trusted = true },
            settings => new InferenceSession(model.ToByteArray(), settings));
        rates = [];
        sets = [];
        try
        {
            rates = [.. layout.LearningRates.Select(_ => new DeviceTensor<float>(Device, TensorElementType.Float, []))];
            sets = [new TrainingState(layout, Device), new TrainingState(layout, Device)];
            Load();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>A trainer by a training step that is written for it here.</summary>
    /// <param name="network">The network, from which weights and buffers come.</param>
    /// <param name="sample">The shape of one input sample.</param>
    /// <param name="optimizer">The optimizer of the network's parameters, from which groups, rates and state come.</param>
    /// <param name="graph">How the step is written.</param>
    /// <param name="options">Device and threads.</param>
    /// <param name="random">Where dropout draws from; <see cref="Generator.Default"/> if left out.</param>
    /// <exception cref="OnnxException">The step cannot be written or run.</exception>
    /// <exception cref="MissingDeviceException">The device, or a part that it needs, is not there.</exception>
    public static OrtTrainer Create(Module network, Shape sample, Optimizer optimizer, TrainingGraphOptions? graph = null,
        OrtOptions? options = null, Generator? random = null) =>
        Load(TrainingExporter.Export(network, sample, "training", optimizer, graph), network, optimizer,
            (options ?? new OrtOptions()) with { Trusted = true }, random);

    /// <summary>A trainer by a training step in a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="network">The network it was written for, from which weights and buffers come.</param>
    /// <param name="optimizer">An optimizer made like the one it was written for.</param>
    /// <param name="options">Device and threads.</param>
    /// <param name="random">Where dropout draws from; <see cref="Generator.Default"/> if left out.</param>
    /// <exception cref="OnnxException">The file is no training step, one of another network or optimizer, or cannot be run.</exception>
    /// <exception cref="MissingDeviceException">The device, or a part that it needs, is not there.</exception>
    public static OrtTrainer Load(string path, Module network, Optimizer optimizer, OrtOptions? options = null, Generator? random = null)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(optimizer);
        return Load(OnnxFile.Read(path), network, optimizer, options, random, path);
    }

    /// <summary>A trainer by a training step in memory.</summary>
    /// <param name="model">The step.</param>
    /// <param name="network">The network it was written for, from which weights and buffers come.</param>
    /// <param name="optimizer">An optimizer made like the one it was written for.</param>
    /// <param name="options">Device and threads.</param>
    /// <param name="random">Where dropout draws from; <see cref="Generator.Default"/> if left out.</param>
    /// <param name="source">What to call the step in messages.</param>
    /// <inheritdoc cref="Load(string, Module, Optimizer, OrtOptions, Generator)"/>
    public static OrtTrainer Load(ModelProto model, Module network, Optimizer optimizer, OrtOptions? options = null,
        Generator? random = null, string source = "the training step")
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(optimizer);
        OnnxChecker.CheckStructure(model);
        return new OrtTrainer(model, source, network, optimizer, options ?? new OrtOptions(), random);
    }

    /// <summary>The device.</summary>
    public OrtDevice Device => options.Device;

    /// <summary>The device with its name: "cpu", "cuda:0 (NVIDIA H200)".</summary>
    public string DeviceName { get; }

    /// <summary>The shape of one input sample.</summary>
    public Shape Sample { get; }

    /// <summary>The shape of one sample of the network's output.</summary>
    public Shape OutputSample { get; }

    /// <summary>The only size of a batch that the step takes, or null where any will do.</summary>
    public int? BatchSize { get; }

    /// <summary>What is made small.</summary>
    public TrainingLoss Loss { get; }

    /// <summary>Updates that the weights have behind them.</summary>
    public long Steps { get; private set; }

    /// <summary>The last step's logits, [N, …] row-major.</summary>
    public ReadOnlySpan<float> Logits => Read(Last().Logits);

    /// <summary>A step on samples of classes: forward, backward, and the update with the optimizer's learning rates of this
    /// moment.</summary>
    /// <param name="x">N samples, row-major.</param>
    /// <param name="labels">Their classes; <see cref="ClassLoss.DefaultIgnoreIndex"/> for samples to leave out.</param>
    /// <returns>
    /// The mean loss. Where it is not finite, or a weight would not be (looked at on the processor only), no number is returned and the
    /// update is not made:
    /// the weights and the state are the last good ones.
    /// </returns>
    /// <exception cref="OnnxException">A batch of another size than the step takes, a label that is no class, or ONNX Runtime
    /// fails.</exception>
    /// <exception cref="InvalidOperationException">Another thread is in a step.</exception>
    public double Step(ReadOnlySpan<float> x, ReadOnlySpan<int> labels)
    {
        Begin();
        try
        {
            RequireLoss(TrainingLoss.CrossEntropy);
            var batch = Batch(labels.Length);
            Fill(batch.Input.Elements, x, "input");
            for (int n = 0; n < labels.Length; n++) batch.Labels!.Elements[n] = labels[n];
            return StepAlone(batch);
        }
        finally { End(); }
    }

    /// <summary>A step on samples and what they should give, for the mean squared error.</summary>
    /// <param name="x">N samples, row-major.</param>
    /// <param name="target">N targets of the output's shape, row-major.</param>
    /// <inheritdoc cref="Step(ReadOnlySpan{float}, ReadOnlySpan{int})"/>
    public double Step(ReadOnlySpan<float> x, ReadOnlySpan<float> target)
    {
        Begin();
        try
        {
            RequireLoss(TrainingLoss.MeanSquaredError);
            int samples = target.Length / OutputSample.Count;
            var batch = Batch(samples);
            Fill(batch.Input.Elements, x, "input");
            Fill(batch.Target!.Elements, target, "target");
            return StepAlone(batch);
        }
        finally { End(); }
    }

    /// <summary>
    /// A step on samples of a data set of classes. Where the step takes one size of batch only and fewer samples come, as at the end of an
    /// epoch, the rest is filled with samples that take no part; not with a batch normalization, which would see them.
    /// </summary>
    /// <inheritdoc cref="Step(ReadOnlySpan{float}, ReadOnlySpan{int})"/>
    public double Step(Dataset data, ReadOnlySpan<int> batch)
    {
        ArgumentNullException.ThrowIfNull(data);
        RequireLoss(TrainingLoss.CrossEntropy);
        if (data.Mixes) throw new OnnxException($"{source} takes one class for a sample, and this data set mixes samples of two");
        Begin();
        try
        {
            int size = BatchSize is { } most && batch.Length < most && batch.Length > 0 && !normalizes ? most : batch.Length;
            var bound = Batch(size);
            if (data.Sample != Sample) throw new OnnxException($"{source} takes samples of shape {Sample}, the data's are {data.Sample}");
            data.Gather(batch, bound.Input.Elements[..(batch.Length * Sample.Count)], bound.Labels!.Elements[..batch.Length]);
            bound.Input.Elements[(batch.Length * Sample.Count)..].Clear();
            bound.Labels.Elements[batch.Length..].Fill(ClassLoss.DefaultIgnoreIndex);
            return StepAlone(bound);
        }
        finally { End(); }
    }

    /// <summary>The memory of a batch's input, row-major, to be filled for <see cref="Step(int)"/>.</summary>
    /// <param name="samples">The size of the batch.</param>
    /// <exception cref="OnnxException">The step takes another size.</exception>
    public Span<float> InputOf(int samples)
    {
        Begin();
        try { return Batch(samples).Input.Elements; }
        finally { End(); }
    }

    /// <summary>The memory of a batch's labels, to be filled for <see cref="Step(int)"/>.</summary>
    /// <param name="samples">The size of the batch.</param>
    /// <exception cref="OnnxException">The step takes another size, or no labels.</exception>
    public Span<long> LabelsOf(int samples)
    {
        RequireLoss(TrainingLoss.CrossEntropy);
        Begin();
        try { return Batch(samples).Labels!.Elements; }
        finally { End(); }
    }

    /// <summary>A step on what was filled in: <see cref="InputOf"/> and <see cref="LabelsOf"/>.</summary>
    /// <inheritdoc cref="Step(ReadOnlySpan{float}, ReadOnlySpan{int})"/>
    public double Step(int samples)
    {
        Begin();
        try { return StepAlone(Batch(samples)); }
        finally { End(); }
    }

    private double StepAlone(BoundBatch batch)
    {
        if (batch.Labels is { } labels)
        {
            RequireLabels(labels.Elements);
            labels.ToDevice();
        }
        batch.Target?.ToDevice();
        batch.Input.ToDevice();
        for (int i = 0; i < batch.Masks.Length; i++)
        {
            Draw(dropouts[i].Layer.Training ? dropouts[i].Layer.P : 0, batch.Masks[i].Elements);
            batch.Masks[i].ToDevice();
        }
        for (int g = 0; g < rates.Length; g++)
        {
            float rate = (float)optimizer.ParameterGroups[g].LearningRate;
            if (rates[g].Elements[0] == rate) continue;
            rates[g].Elements[0] = rate;
            rates[g].ToDevice();
        }
        try { session.RunWithBinding(batch.RunOptions[current], batch.Bindings[current]); }
        catch (OnnxRuntimeException error) { throw new OnnxException($"{source} failed on device {DeviceName}: "
            + $"{OnnxException.OneLine(error)}", error); }
        last = batch;
        batch.Loss.FromDevice();
        double loss = batch.Loss.Elements[0];
        // What the update wrote is left where it is, and the next one writes over it.
        if (!double.IsFinite(loss) || (Device.Type == OrtDeviceType.Cpu && !sets[1 - current].IsFinite)) return double.NaN;
        current = 1 - current;
        Steps++;
        return loss;
    }

    /// <summary>Takes the last step back: weights, buffers and state are still there as they were before it.</summary>
    internal void TakeBack()
    {
        current = 1 - current;
        Steps--;
    }

    /// <summary>A gradient of the last step, where the step was written with them: a parameter's by its name, or that of
    /// <see cref="OnnxExporter.Input"/>.</summary>
    /// <exception cref="OnnxException">The step does not return it.</exception>
    public ReadOnlySpan<float> Gradient(string name)
    {
        if (!Last().Returned.TryGetValue(name + TrainingNames.Gradient, out var gradient))
            throw new OnnxException($"{source} does not return the gradient of '{name}': write it with gradients");
        return Read(gradient);
    }

    /// <summary>An output of the last step, by its name.</summary>
    internal ReadOnlySpan<float> Value(string output) => Read(Last().Returned[output]);

    /// <summary>Takes weights and buffers from the network, and state and rates from the optimizer.</summary>
    /// <exception cref="OnnxException">The optimizer's parameters have different numbers of steps behind them, which one count cannot
    /// tell.</exception>
    public void Load()
    {
        Begin();
        try { LoadAlone(); }
        finally { End(); }
    }

    private void LoadAlone()
    {
        var state = optimizer.State().Entries.ToDictionary(entry => entry.Name);
        long[] steps = [.. layout.Indices.Select(i => ((CountEntry)state[$"state.{i}.step"]).Value).Distinct()];
        if (steps.Length > 1) throw new OnnxException($"the optimizer's parameters have {string.Join(" and ", steps.Order())} steps "
            + "behind them: a training step counts them together");
        var set = sets[current];
        foreach (var tensor in layout.Tensors)
        {
            if (tensor.Type == ElementType.Int64)
            {
                var to = set.Integers(tensor.Name).Elements;
                if (tensor.Buffer is null) to[0] = steps[0];
                else tensor.Buffer.AsInt64().CopyTo(to);
                continue;
            }
            var elements = set.Floats(tensor.Name).Elements;
            // A state that is not there yet begins at zero.
            float[] from = tensor.Parameter?.Value.Data ?? tensor.Buffer?.AsTensor().Data ?? ((TensorEntry)state[tensor.StateEntry!])
                .Value.Data;
            if (from.Length == 0) elements.Clear();
            else from.CopyTo(elements);
        }
        set.ToDevice();
        Steps = steps[0];
        // Nothing replaces what is frozen, and either set is read.
        foreach (var tensor in layout.Tensors.Where(tensor => tensor.IsFrozen))
        {
            if (tensor.Type == ElementType.Int64)
            {
                set.Integers(tensor.Name).Elements.CopyTo(sets[1 - current].Integers(tensor.Name).Elements);
                sets[1 - current].Integers(tensor.Name).ToDevice();
                continue;
            }
            set.Floats(tensor.Name).Elements.CopyTo(sets[1 - current].Floats(tensor.Name).Elements);
            sets[1 - current].Floats(tensor.Name).ToDevice();
        }
    }

    /// <summary>Gives weights and buffers to the network, and the state to the optimizer.</summary>
    public void Store()
    {
        Begin();
        try { StoreAlone(); }
        finally { End(); }
    }

    private void StoreAlone()
    {
        var set = sets[current];
        set.FromDevice();
        foreach (var tensor in layout.Tensors)
        {
            if (tensor.Parameter is { } parameter) set.Floats(tensor.Name).Elements.CopyTo(parameter.Value.Data);
            else if (tensor.Buffer is { Type: ElementType.Int64 } count) set.Integers(tensor.Name).Elements.CopyTo(count.AsInt64());
            else if (tensor.Buffer is { } buffer) set.Floats(tensor.Name).Elements.CopyTo(buffer.AsTensor().Data);
        }
        var kept = layout.Tensors.Where(tensor => tensor.StateEntry is not null).ToDictionary(tensor => tensor.StateEntry!);
        var counts = layout.Indices.Select(i => $"state.{i}.step").ToHashSet();
        var before = optimizer.State();
        optimizer.LoadState(before with
        {
            Entries = [.. before.Entries.Select(entry => counts.Contains(entry.Name) ? new CountEntry(entry.Name, Steps)
                : Steps > 0 && kept.TryGetValue(entry.Name, out var tensor)
                    ? new TensorEntry(entry.Name, new Numerics.Tensor(tensor.Shape, set.Floats(tensor.Name).Elements.ToArray()))
                : entry)],
        });
    }

    /// <summary>Releases the session and all memory; while a step is under way, as soon as that ends. A second call does nothing.</summary>
    public void Dispose()
    {
        if (use.Dispose()) Release();
    }

    private void Begin()
    {
        if (!use.TryBegin(this)) throw new InvalidOperationException($"{source}: two threads train with it at once, and it has memory for "
            + "one: make a trainer, a network and an optimizer for each thread");
    }

    private void End()
    {
        if (use.End()) Release();
    }

    private ReadOnlySpan<float> Read(DeviceTensor<float> tensor)
    {
        Begin();
        try
        {
            tensor.FromDevice();
            return tensor.Elements;
        }
        finally { End(); }
    }

    private void Release()
    {
        foreach (var batch in batches.Values) batch.Dispose();
        foreach (var set in sets) set.Dispose();
        foreach (var rate in rates) rate.Dispose();
        session.Dispose();
    }

    private void Draw(double p, Span<float> mask)
    {
        float scale = p < 1 ? (float)(1 / (1 - p)) : 0;
        foreach (ref float element in mask) element = random.NextDouble() < p ? 0 : scale;
    }

    private static void Fill(Span<float> memory, ReadOnlySpan<float> values, string what)
    {
        if (values.Length != memory.Length) throw new OnnxException($"the {what} has {values.Length} values, expected {memory.Length}");
        values.CopyTo(memory);
    }

    private BoundBatch Last() => last ?? throw new InvalidOperationException("there was no step yet");

    private BoundBatch Batch(int samples)
    {
        if (samples < 1 || (BatchSize is { } only && samples != only))
            throw new OnnxException($"{source}: a batch of {samples} samples came, expected " + (BatchSize is { } size
                ? $"{size}: the step is written for this size alone; write it without one for any" : "1 or more"));
        if (!batches.TryGetValue(samples, out var batch)) batches.Add(samples, batch = new BoundBatch(this, samples));
        return batch;
    }

    private void RequireLoss(TrainingLoss loss)
    {
        if (Loss != loss) throw new OnnxException($"{source} makes the {Loss} small: give it "
            + $"{(Loss == TrainingLoss.CrossEntropy ? "labels" : "targets")}");
    }

    private void RequireLabels(ReadOnlySpan<long> labels)
    {
        int classes = OutputSample[0];
        for (int n = 0; n < labels.Length; n++)
        {
            if ((ulong)labels[n] >= (ulong)classes && labels[n] != ClassLoss.DefaultIgnoreIndex)
                throw new OnnxException($"label {n} is {labels[n]}, the classes are 0 to {classes - 1} ({ClassLoss.DefaultIgnoreIndex} "
                    + "leaves a sample out)");
        }
    }

    /// <summary>The file must be a training step, and one of this network and such an optimizer.</summary>
    private Dictionary<string, string> RequireFit(IReadOnlyDictionary<string, string> metadata)
    {
        if (!metadata.TryGetValue(TrainingNames.Updates, out string? updated)
            || !metadata.TryGetValue(TrainingNames.Optimizer, out string? kind)
            || !metadata.TryGetValue(TrainingNames.Groups, out string? groups)
            || !metadata.ContainsKey(TrainingNames.LossKind))
            throw new OnnxException($"{source} is no training step: export one with --training");
        if (kind != layout.Optimizer) throw new OnnxException($"{source} is a training step of {kind}, the optimizer is "
            + $"{layout.Optimizer}");
        var inputs = model.Graph.Input.ToDictionary(input => input.Name, Shape);
        foreach (var tensor in layout.Tensors)
        {
            string expected = tensor.Shape.ToString();
            if (!inputs.TryGetValue(tensor.Name, out string? shape))
                throw new OnnxException($"{source} is a training step of another network: it has no '{tensor.Name}' {expected}");
            if (shape != expected) throw new OnnxException($"{source} is a training step of another network: its '{tensor.Name}' is "
                + $"{shape}, the network's {expected}");
        }
        var known = layout.Tensors.Select(tensor => tensor.Name).Concat(layout.LearningRates.Select(rate => rate.Name)).ToHashSet();
        if (inputs.Keys.FirstOrDefault(name => !known.Contains(name)
            && name is not (OnnxExporter.Input or TrainingNames.Labels or TrainingNames.Target)
            && !name.EndsWith(TrainingNames.Mask, StringComparison.Ordinal)) is { } extra)
            throw new OnnxException($"{source} is a training step of another network or optimizer: it takes '{extra}', which "
                + "these have not");
        if (groups != layout.Groups) throw new OnnxException($"{source} is a training step of {kind} with {groups}, the optimizer has "
            + $"{layout.Groups}");
        Dictionary<string, string>? result;
        try { result = JsonSerializer.Deserialize(updated, TrainingJson.Default.DictionaryStringString); }
        catch (JsonException error) { throw new OnnxException($"{source} is damaged: its '{TrainingNames.Updates}' is no JSON object: "
            + $"{error.Message}", error); }
        var replaced = layout.Tensors.Where(tensor => !tensor.IsFrozen).Select(tensor => tensor.Name).ToHashSet();
        var outputs = model.Graph.Output.Select(output => output.Name).ToHashSet();
        if (result is null || !replaced.SetEquals(result.Values)
            || result.Keys.FirstOrDefault(output => !outputs.Contains(output)) is not null)
            throw new OnnxException($"{source} is a training step of another network: it replaces "
                + $"{(result is null ? "nothing" : string.Join(", ", result.Values))}, expected {string.Join(", ", replaced)}");
        return result;

        static string Shape(ValueInfoProto value) =>
            $"[{string.Join(", ", value.Type.TensorType.Shape.Dim.Select(dim => dim.HasDimValue ? $"{dim.DimValue}" : dim.DimParam))}]";
    }
}
