using System.Globalization;
using Google.Protobuf;
using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx;

/// <summary>What a validation goes through.</summary>
public sealed record ValidationOptions
{
    /// <summary>
    /// Samples of each batch of random input; for a file that fixes the number, that is taken instead. Null leaves the choice to the cost
    /// of the network: of <see cref="Parity.BatchSizes"/> those that take about a minute, and so with the ways to compute.
    /// </summary>
    public IReadOnlyList<int>? BatchSizes { get; init; }

    /// <summary>Goes through all batch sizes and all ways to compute, however long it takes.</summary>
    public bool All { get; init; }

    /// <summary>Seed of the random input.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>The engine's providers, by <see cref="Products.Use"/>'s names; none for all of <see cref="Products.Names"/> that run
    /// here.</summary>
    public IReadOnlyList<string> Providers { get; init; } = [];

    /// <summary>Where ONNX Runtime runs: a GPU is compared beside the processor, apart and with its own tolerance.</summary>
    public OrtDevice Device { get; init; }
}

/// <summary>The network as a whole, one way to compute it in the engine against one in ONNX Runtime.</summary>
/// <param name="Engine">How the engine computed.</param>
/// <param name="Runtime">How ONNX Runtime did.</param>
/// <param name="Row">The comparison of a batch of random input.</param>
public sealed record PathParity(string Engine, string Runtime, ParityRow Row)
{
    /// <summary>The output that was compared, where the network has several; else empty.</summary>
    public string Output { get; init; } = "";
}

/// <summary>What ran in ONNX Runtime, and how it compares, on one device.</summary>
/// <param name="Device">The device with its name.</param>
/// <param name="Runtimes">The ways ONNX Runtime computed there.</param>
/// <param name="Placement">Each node of the optimized graph with the provider that ran it.</param>
/// <param name="Layers">Every layer's output, in the order they run.</param>
/// <param name="Paths">The network as a whole: every way of the engine, every way of ONNX Runtime, every batch, every output.</param>
public sealed record DeviceValidation(
    string Device, IReadOnlyList<string> Runtimes, IReadOnlyList<OrtPlacement> Placement, IReadOnlyList<LayerParity> Layers,
        IReadOnlyList<PathParity> Paths)
{
    /// <summary>The first layer that does not agree: where the fault is. Null if all do.</summary>
    public LayerParity? FirstFailing => Layers.FirstOrDefault(layer => !layer.Passed);

    /// <summary>Whether everything agrees, and there was something.</summary>
    public bool Passed => Layers.Count > 0 && Paths.Count > 0 && FirstFailing is null && Paths.All(path => path.Row.Passed);
}

/// <summary>The engine against ONNX Runtime, layer by layer and as a whole.</summary>
/// <param name="BatchSizes">Samples of each batch.</param>
/// <param name="Engines">The ways the engine computed.</param>
/// <param name="LeftOut">Providers and widths that were not compared, each with the reason: they do not run here, or cost too much.</param>
/// <param name="Devices">A part for each device of ONNX Runtime.</param>
public sealed record ValidationReport(
    IReadOnlyList<int> BatchSizes, IReadOnlyList<string> Engines, IReadOnlyList<string> LeftOut, IReadOnlyList<DeviceValidation> Devices)
{
    /// <summary>What was chosen by the network's cost, in words; null where everything was gone through.</summary>
    public string? Choice { get; init; }

    /// <summary>Whether everything agrees, on every device.</summary>
    public bool Passed => Devices.Count > 0 && Devices.All(device => device.Passed);
}

/// <summary>
/// Compares the engine with ONNX Runtime on a model: every layer's output, the engine running one layer at a time on what ONNX Runtime has
/// before it; and the network as a whole, on every provider and vector width against ONNX Runtime with one thread and with all, on the
/// graph as written and as ONNX Runtime rewrites it.
/// </summary>
public static class ParityValidation
{
    /// <summary>Bytes of the values that ONNX Runtime's four ways return for a batch, all at once.</summary>
    private const double MostValues = 2e9;

    /// <summary>Runs both sides on the same random input.</summary>
    /// <param name="own">The engine's side: a network as it was imported.</param>
    /// <param name="file">ONNX Runtime's side: the model it was imported from, or one that should be the same.</param>
    /// <param name="options">What to go through; everything that runs here on the processor if left out.</param>
    /// <param name="source">What to call the file in messages.</param>
    /// <returns>Every comparison. Differences, values that are missing and numbers that are none are in it, not thrown.</returns>
    /// <exception cref="OnnxException">ONNX Runtime cannot run the file.</exception>
    /// <exception cref="MissingPartException">The device, or a provider that was asked for by name, is not there.</exception>
    public static ValidationReport Run(ImportedModel own, ModelProto file, ValidationOptions? options = null, string source = "the model")
    {
        ArgumentNullException.ThrowIfNull(own);
        ArgumentNullException.ThrowIfNull(file);
        options ??= new ValidationOptions();
        own.Network.Eval();
        var (engines, leftOut) = Engines(options.Providers);
        OrtDevice[] devices = options.Device == OrtDevice.Cpu ? [OrtDevice.Cpu] : [OrtDevice.Cpu, options.Device];
        var sides = devices.Select(device => new RuntimeSide(own, file, device, source)).ToList();
        try
        {
            var graph = Numerics.Graph.Trace(own.Network, [.. own.Samples]);
            IReadOnlyList<int> batchSizes = sides[0].FixedBatch is { } batch ? [batch] : options.BatchSizes ?? Parity.BatchSizes;
            string? choice = Choose(NetworkCost.Of(graph), options, ref batchSizes, engines, leftOut);
            var bytes = own.Inputs.Select(name => InputOf(file, name, source).Type.TensorType.ElemType == (int)DataType.Uint8).ToList();
            foreach (var x in Parity.RandomInputs(own.Samples, batchSizes, options.Seed, bytes)) Compare(own, graph, x, engines, sides);
            return new ValidationReport(batchSizes, [.. engines.Select(e => e.ToString())], leftOut,
                [.. sides.Select(side => side.Result(batchSizes[0]))])
            {
                Choice = choice,
            };
        }
        finally
        {
            foreach (var side in sides) side.Dispose();
        }
    }

    /// <summary>
    /// Loads a file so that it returns what the engine's network does: as it is, unless it ends in something that is no logits, such as the
    /// class's number; then the last layer's values take its place.
    /// </summary>
    /// <param name="own">The network as it was imported.</param>
    /// <param name="file">The model it was imported from.</param>
    /// <param name="options">Device and threads.</param>
    /// <param name="source">What to call the model in messages.</param>
    /// <exception cref="OnnxException">ONNX Runtime refuses the file.</exception>
    /// <exception cref="MissingDeviceException">The device, or a part that it needs, is not there.</exception>
    public static OrtModel Load(ImportedModel own, ModelProto file, OrtOptions? options = null, string source = "the model in memory")
    {
        ArgumentNullException.ThrowIfNull(own);
        ArgumentNullException.ThrowIfNull(file);
        return OrtModel.Load(WithFloatOutputs(own, file, source).ToByteArray(), options, source);
    }

    private static ValueInfoProto InputOf(ModelProto file, string name, string source) =>
        file.Graph.Input.FirstOrDefault(input => input.Name == name) ?? throw new OnnxException(
            $"{source} has no input '{name}', which the network takes; its inputs are {string.Join(", ", file.Graph.Input.Select(i => i.Name))}");

    private static ModelProto WithFloatOutputs(ImportedModel own, ModelProto file, string source)
    {
        if (own.Ending.Count == 0 || file.Graph.Output.Select(output => output.Name).SequenceEqual(own.Outputs)) return file;
        var copy = file.Clone();
        string batch = InputOf(file, own.Inputs[0], source).Type.TensorType.Shape.Dim[0].DimParam;
        copy.Graph.Output.Clear();
        foreach (var (name, value) in own.Outputs.Zip(Numerics.Graph.Trace(own.Network, [.. own.Samples]).Outputs))
            copy.Graph.Output.Add(GraphWriter.FloatValue(name, batch, value.Sample));
        return copy;
    }

    /// <summary>
    /// Takes off what costs more than the budget: the large batches, then ways that take many times as long as the others, then the rest
    /// from the slowest and largest on. One batch and one way stay. Returns what was chosen, in words; null where all is.
    /// </summary>
    internal static string? Choose(NetworkCost cost, ValidationOptions options, ref IReadOnlyList<int> batchSizes, List<EngineSide> engines,
        List<string> leftOut)
    {
        if (options.All) return null;
        var sizes = batchSizes.Order().ToList();
        string asked = string.Join(", ", batchSizes);
        int ways = engines.Count;
        // ONNX Runtime's four ways run twice. The engine runs three times as a whole, and layer by layer beside each of the four.
        double Seconds() => sizes.Sum(n => 8 * cost.Forward(n)
            + engines.Sum(engine => 7 * cost.Forward(n) * engine.Slowness + 4 * n * cost.Elements / 3e7));
        bool Fits() => Seconds() <= NetworkCost.Budget && 4 * sizeof(float) * cost.Elements * sizes[^1] <= MostValues;
        bool DropBatch(int above)
        {
            if (options.BatchSizes is not null || sizes.Count == 1 || sizes[^1] <= above) return false;
            sizes.RemoveAt(sizes.Count - 1);
            return true;
        }
        bool DropWay(double above)
        {
            var slowest = engines.MaxBy(engine => engine.Slowness)!;
            if (options.Providers.Count > 0 || engines.Count == 1 || slowest.Slowness <= above) return false;
            engines.Remove(slowest);
            leftOut.Add($"{slowest}: it takes too long for a network of {cost}; --all goes through it");
            return true;
        }
        while (!Fits() && (DropBatch(7) || DropWay(4) || DropBatch(0) || DropWay(0))) { }
        if (sizes.Count == batchSizes.Count && engines.Count == ways) return null;
        string batches = sizes.Count < batchSizes.Count ? $"batch sizes {string.Join(", ", sizes)} of {asked}" : "";
        string engineWays = engines.Count < ways ? $"{engines.Count} of {ways} ways of the engine" : "";
        batchSizes = sizes;
        return $"{cost}: {string.Join(", ", new[] { batches, engineWays }.Where(part => part.Length > 0))}";
    }

    private static void Compare(ImportedModel own, Numerics.Graph graph, Tensor[] x, List<EngineSide> engines, List<RuntimeSide> sides)
    {
        var references = sides.Select(side => side.Compute(x)).ToList();
        var batches = Array.ConvertAll(x, input => Batch.FromTensor(input, requiresGrad: false));
        int[] lastUse = [.. graph.Values.Select(value => graph.Nodes.LastOrDefault(node => node.Inputs.Contains(value))?.Index ?? -1)];
        foreach (var engine in engines)
        {
            using var settings = engine.Use();
            foreach (var (side, computed) in sides.Zip(references))
                foreach (var (way, outputs, _) in computed.Ways)
                {
                    // Each layer takes what ONNX Runtime has there, so that it is judged alone, and not the rounding of all before it.
                    var values = new Batch?[graph.Values.Count];
                    batches.CopyTo(values, 0);
                    foreach (var node in graph.Nodes)
                    {
                        var y = Inference.Run(own.Layers[node.Index].Layer, [.. node.Inputs.Select(value => values[value.Index]!)])[0];
                        var reference = side.AddLayer(node.Index, y.ToTensor(), outputs, $"{engine}", way, engine.Error);
                        values[node.Output.Index] = reference is null ? y : Batch.FromTensor(reference, requiresGrad: false);
                        foreach (var value in node.Inputs)
                            if (lastUse[value.Index] == node.Index) values[value.Index] = null; // large networks have many
                    }
                }
            foreach (var (way, tensors) in Whole(own, graph, x, batches))
                foreach (var (side, computed) in sides.Zip(references)) side.AddPaths(tensors, computed, $"{engine} {way}");
        }
    }

    /// <summary>
    /// The network as a whole, each way there is to run it: the first two put layers together where they can. A predictor has one input and
    /// one output.
    /// </summary>
    private static IEnumerable<(string Way, Tensor[] Results)> Whole(ImportedModel own, Numerics.Graph graph, Tensor[] x, Batch[] batches)
    {
        static Tensor[] Tensors(Batch[] results) => Array.ConvertAll(results, result => result.ToTensor());
        yield return ("Inference", Tensors(Inference.Run(own.Network, batches)));
        if (graph is { Inputs.Count: 1, Outputs.Count: 1 })
        {
            var predictor = new Predictor(own.Network, own.Sample);
            var result = new Tensor(predictor.Output.Prepend(batches[0].Count));
            predictor.Run(x[0].Data, result.Data);
            yield return ("Predictor", [result]);
        }
        yield return ("Forward", Tensors(own.Network.Forward(batches)));
    }

    /// <summary>The ways the engine can compute here: every provider, ours at every vector width.</summary>
    private static (List<EngineSide> Engines, List<string> LeftOut) Engines(IReadOnlyList<string> providers)
    {
        var (engines, leftOut) = (new List<EngineSide>(), new List<string>());
        foreach (string name in providers.Count > 0 ? providers : Products.Names)
        {
            try
            {
                // The width is that of all vector kernels; for the products it is simd's own.
                foreach (int bits in name == "simd" ? (int[])[512, 256, 128] : [SimdWidth.Widest])
                {
                    if (bits > SimdWidth.Widest) continue;
                    var engine = new EngineSide(name, bits);
                    engine.Use().Dispose();
                    engines.Add(engine);
                }
            }
            catch (MissingPartException error) when (providers.Count == 0)
            {
                leftOut.Add($"{name}: {error.Message}");
            }
        }
        return (engines, leftOut);
    }

    /// <summary>Products that each number of a layer's result is a sum of.</summary>
    internal static int Terms(Module layer) => layer switch
    {
        Conv2d conv => conv.Weight.Value.Shape.Count / conv.OutChannels,
        Linear linear => linear.InFeatures,
        _ => 1,
    };

    /// <summary>A way the engine computes: its provider and vector width.</summary>
    internal sealed record EngineSide(string Provider, int Bits)
    {
        /// <summary>About how many times as long it takes as the fastest.</summary>
        public double Slowness => Provider switch
        {
            "simd" => (double)SimdWidth.Widest / Bits,
            "managed" => 30, // scalar loops
            _ => 2, // products through a library, by way of columns
        };

        /// <summary>
        /// Relative error that each term of a sum may add: Math.NET's managed product adds all one after the other, half a unit in the last
        /// place each. Sums of the others are made of short ones.
        /// </summary>
        public double Error => Provider == "managed" ? 1.0 / (1 << 24) : 0;

        public override string ToString() => Provider == "simd" ? string.Create(CultureInfo.InvariantCulture, $"simd {Bits}") : Provider;

        /// <summary>Sets both for what this thread runs, until what it returns is disposed.</summary>
        public IDisposable Use() =>
            new ComputeSettings(Products.ByName(Provider), Provider, Bits, Workers.Threads, Winograd.Enabled).Use();
    }

    /// <summary>ONNX Runtime's side on one device: its ways to compute, each with a session for the layers and one for the whole, and what
    /// was compared.</summary>
    private sealed class RuntimeSide : IDisposable
    {
        private readonly ImportedModel own;
        private readonly ModelProto whole;
        private readonly OrtDevice device;
        private readonly string source;
        private readonly List<(string Name, OrtModel Layers, OrtModel Whole)> ways = [];
        private readonly string?[] values; // of each layer; null where the file has none
        private readonly LayerComparison?[] layers;
        private readonly List<PathParity> paths = [];

        /// <summary>What each way returned for one batch: every layer's value, and the whole's outputs.</summary>
        public sealed record Computed(IReadOnlyList<(string Way, IReadOnlyDictionary<string, Tensor> Values, Tensor[] Whole)> Ways);

        public RuntimeSide(ImportedModel own, ModelProto file, OrtDevice device, string source)
        {
            (this.own, this.device, this.source) = (own, device, source);
            whole = WithFloatOutputs(own, file, source);
            var computed = file.Graph.Node.SelectMany(node => node.Output).ToHashSet();
            values = [.. own.Layers.Select(layer => layer.Value is { } value && computed.Contains(value) ? value : null)];
            layers = new LayerComparison?[own.Layers.Count];
            byte[] inner = WithEveryValue(whole).ToByteArray(), plain = whole.ToByteArray();
            try
            {
                foreach (bool optimize in (bool[])[true, false])
                {
                    foreach (int threads in device == OrtDevice.Cpu ? (int[])[1, 0] : [0])
                    {
                        var options = new OrtOptions { Device = device, IntraOpThreads = threads, Optimize = optimize };
                        var layersModel = OrtModel.Load(inner, options, source);
                        string name = $"{device}{(threads == 1 ? " 1 thread" : "")}{(optimize ? "" : " as written")}"
                            + (layersModel.DoubleAsFloat ? " in float32" : "");
                        try { ways.Add((name, layersModel, OrtModel.Load(plain, options, source))); }
                        catch
                        {
                            layersModel.Dispose();
                            throw;
                        }
                    }
                }
            }
            catch
            {
                Dispose();
                throw;
            }
        }

        /// <summary>The number of samples, where the file fixes it.</summary>
        public int? FixedBatch => ways[0].Whole.BatchSize;

        public Computed Compute(Tensor[] x)
        {
            string[] wanted = [.. values.OfType<string>().Distinct()];
            return new Computed([.. ways.Select(way => (way.Name, wanted.Length == 0 ? new Dictionary<string, Tensor>()
                : way.Layers.RunOutputs(x, wanted), way.Whole.Run(x)))]);
        }

        /// <summary>Compares a layer's output with ONNX Runtime's; returns that, or null where it has none of this shape.</summary>
        public Tensor? AddLayer(int i, Tensor tensor, IReadOnlyDictionary<string, Tensor> outputs, string engine, string way, double error)
        {
            if (own.Layers[i] is not (var layer, { } value)) return null; // inside a node
            var comparison = layers[i] ??= new LayerComparison(
                own.Network.NamedModules().FirstOrDefault(named => named.Module == layer).Name ?? value, layer.ToString(), value,
                    tensor.Shape.WithoutFirst(), Parity.Tolerance(ways[0].Whole));
            float[]? reference = values[i] is null ? null : outputs[value].Data;
            comparison.Add(tensor, reference, engine, way, error * Terms(layer));
            return reference?.Length == tensor.Data.Length ? new Tensor(tensor.Shape, reference) : null;
        }

        public void AddPaths(Tensor[] tensors, Computed computed, string engine)
        {
            foreach (var (way, _, references) in computed.Ways)
                for (int i = 0; i < tensors.Length; i++)
                {
                    var row = Row(tensors[i], references.ElementAtOrDefault(i)?.Data ?? []);
                    paths.Add(new PathParity(engine, way, row) { Output = tensors.Length > 1 ? own.Outputs[i] : "" });
                }
        }

        private ParityRow Row(Tensor tensor, float[] reference)
        {
            int samples = tensor.Shape[0];
            // An image has no class: each of its elements is then a row of one.
            int classes = tensor.Shape.Rank == 2 ? tensor.Shape[1] : 1;
            string input = $"random, batch {samples}";
            var row = reference.Length != tensor.Data.Length
                ? new ParityRow(input, samples, double.NaN, double.NaN, 0, Parity.Tolerance(ways[0].Whole))
                : Parity.Compare(input, tensor.Reshape(reference.Length / classes, classes),
                    new Tensor(new Shape(reference.Length / classes, classes), reference), Parity.Tolerance(ways[0].Whole));
            return Parity.Judged(row, ways[0].Whole) with { Samples = samples };
        }

        public DeviceValidation Result(int batch) => new(
            ways[0].Whole.DeviceName, [.. ways.Select(way => way.Name)],
            OrtPlacement.Of(whole.ToByteArray(), new OrtOptions { Device = device }, source, batch),
            [.. layers.OfType<LayerComparison>().Select(layer => layer.Result())], paths);

        public void Dispose()
        {
            foreach (var (_, layersModel, wholeModel) in ways)
            {
                layersModel.Dispose();
                wholeModel.Dispose();
            }
        }

        /// <summary>The file with each layer's value as an output of its own.</summary>
        private ModelProto WithEveryValue(ModelProto file)
        {
            var copy = file.Clone();
            var outputs = file.Graph.Output.Select(output => output.Name).ToHashSet();
            foreach (string value in values.OfType<string>())
                if (outputs.Add(value)) copy.Graph.Output.Add(new ValueInfoProto { Name = value }); // its type is inferred
            return copy;
        }
    }
}
