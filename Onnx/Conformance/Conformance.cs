using Google.Protobuf;
using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>How a test ended.</summary>
internal enum ConformanceOutcome
{
    /// <summary>Every output is the expected one.</summary>
    Passed,

    /// <summary>An output is another, or the engine gave up.</summary>
    Failed,

    /// <summary>The import refused the model.</summary>
    NotSupported,
}

/// <summary>One test of the suite.</summary>
/// <param name="Test">Its folder's name.</param>
/// <param name="Operators">The model's operators, each once, joined by +.</param>
/// <param name="Claimed">Whether the engine claims all of them.</param>
/// <param name="Outcome">How it ended.</param>
/// <param name="Reason">Why it did not pass; empty where it did.</param>
/// <param name="Exception">Why it need not pass, from the list of exceptions; null where it is not there.</param>
internal sealed record ConformanceRow(string Test, string Operators, bool Claimed, ConformanceOutcome Outcome, string Reason,
    string? Exception)
{
    /// <summary>
    /// Whether this is an error: a test of claimed operators that does not pass and is no exception, or an exception that passes and so is
    /// none.
    /// </summary>
    public bool Unexpected => Outcome == ConformanceOutcome.Passed ? Exception is not null : Claimed && Exception is null;
}

/// <summary>
/// Runs ONNX's backend node tests through the engine by import: a folder for each test, with a model, and input and output tensors beside
/// it. Weights that come as inputs are made the model's own. Compared as the suite does: |y − expected| ≤ 1e-7 + 1e-3·|expected|.
/// </summary>
internal static class Conformance
{
    /// <summary>The suite's absolute tolerance.</summary>
    public const double Absolute = 1e-7;

    /// <summary>The suite's relative tolerance.</summary>
    public const double Relative = 1e-3;

    /// <summary>
    /// The operators that the engine claims whole. Others (Reshape, Transpose, Pad, Cast and so on) are read where they leave a chain of
    /// layers, which a test of theirs alone seldom does.
    /// </summary>
    public static IReadOnlySet<string> Claimed { get; } = new HashSet<string>
    {
        "Conv", "ConvTranspose", "Gemm", "MatMul", "Relu", "LeakyRelu", "Sigmoid", "Tanh", "Gelu", "Softmax", "LogSoftmax", "MaxPool",
        "Clip", "HardSigmoid", "HardSwish", "Elu", "Selu", "Softplus", "Mish", "Swish", "PRelu",
        "AveragePool", "GlobalAveragePool", "GlobalMaxPool",
        "BatchNormalization", "InstanceNormalization", "LayerNormalization", "GroupNormalization", "LRN", "ReduceMean", "ReduceSum",
        "ReduceMax", "Dropout", "Flatten", "Identity", "Add", "Sub", "Mul", "Div", "Sum", "Concat",
    };

    /// <summary>The tests that need not pass, each with its reason: the lines of conformance-exceptions.txt.</summary>
    public static IReadOnlyDictionary<string, string> Exceptions { get; } = ReadExceptions();

    /// <summary>Runs every test in a folder, or in the folders inside it.</summary>
    /// <exception cref="OnnxException">There is no such folder, or no test in it.</exception>
    public static IEnumerable<ConformanceRow> Run(string folder)
    {
        if (!Directory.Exists(folder)) throw new OnnxException($"there is no folder {folder}");
        string[] tests = [.. Directory.EnumerateFiles(folder, "model.onnx", SearchOption.AllDirectories)
            .Select(f => Path.GetDirectoryName(f)!).Order(StringComparer.Ordinal)];
        if (tests.Length == 0) throw new OnnxException($"{folder} holds no tests: a test is a folder with model.onnx and test_data_set_0");
        return tests.Select(RunTest);
    }

    private static ConformanceRow RunTest(string folder)
    {
        string test = Path.GetFileName(folder);
        var exception = Exceptions.GetValueOrDefault(test);
        string operators = "";
        bool claimed = false;
        try
        {
            var model = OnnxFile.Read(Path.Combine(folder, "model.onnx"));
            string[] types = [.. model.Graph.Node.Select(n => n.OpType).Distinct()];
            operators = types.Length <= 4 ? string.Join("+", types) : $"{string.Join("+", types[..3])}+{types.Length - 3} more";
            claimed = types.All(Claimed.Contains);
            string[] sets = [.. Directory.EnumerateDirectories(folder, "test_data_set_*").Order(StringComparer.Ordinal)];
            if (sets.Length == 0) throw new OnnxException("there is no test_data_set_0 beside the model");
            foreach (string set in sets)
                if (Differs(model.Clone(), set) is { } difference)
                    return new(test, operators, claimed, ConformanceOutcome.Failed, difference, exception);
            return new(test, operators, claimed, ConformanceOutcome.Passed, "", exception);
        }
        catch (OnnxException error) { return new(test, operators, claimed, ConformanceOutcome.NotSupported, error.Message, exception); }
        catch (OnnxLeNetException error) { return new(test, operators, claimed, ConformanceOutcome.Failed, error.Message, exception); }
    }

    /// <summary>How the engine's output differs from the expected one; null where it does not.</summary>
    private static string? Differs(ModelProto model, string set)
    {
        var stored = model.Graph.Initializer.Select(t => t.Name).ToHashSet();
        var inputs = model.Graph.Input.Where(i => !stored.Contains(i.Name)).ToList();
        if (inputs.Count == 0) throw new OnnxException("the model takes no input; a layer takes one");
        foreach (var value in inputs.Concat(model.Graph.Output))
            if (value.Type?.ValueCase != TypeProto.ValueOneofCase.TensorType)
                throw new OnnxException($"'{value.Name}' is no tensor; layers take and return tensors");
        var tensors = inputs.Select((input, i) => ReadTensor(set, $"input_{i}.pb")).ToList();
        var (network, taken) = Import(model, inputs, tensors);
        if (model.Graph.Output.Count != 1)
            throw new OnnxException($"the model returns {model.Graph.Output.Count} values; a layer returns one");
        if (network.Ending.Count > 0) throw new OnnxException($"{network.Ending[0]} is left off the network");
        var expected = Floats(ReadTensor(set, "output_0.pb"), "the output");
        var x = tensors.Take(taken).Select(tensor => Floats(tensor, "the input")).ToList();
        for (int i = 0; i < taken; i++)
        {
            if (x[i].Shape.Rank == 0 || x[i].Shape.WithoutFirst() != network.Samples[i])
                throw new OnnxException($"the input has the shape {x[i].Shape}, the model takes samples of {network.Samples[i]}");
        }
        if (x.Select(tensor => tensor.Shape[0]).Distinct().Count() > 1)
            throw new OnnxException("its inputs have different numbers of samples");
        var y = Inference.Run(network.Network, [.. x.Select(tensor => Batch.FromTensor(tensor))])[0].ToTensor();
        if (y.Shape != expected.Shape) return $"the output has the shape {y.Shape}, expected {expected.Shape}";
        for (int i = 0; i < y.Data.Length; i++)
        {
            double own = y.Data[i], wanted = expected.Data[i];
            // Around an infinity the tolerance would be infinite too.
            bool equal = own.Equals(wanted)
                || (double.IsFinite(wanted) && Math.Abs(own - wanted) <= Absolute + Relative * Math.Abs(wanted));
            if (!equal) return FormattableString.Invariant($"element {i} of {y.Shape} is {own}, expected {wanted}");
        }
        return null;
    }

    /// <summary>
    /// The network, and how many of the inputs are its own. The first is the samples; what else comes in is weights, and the model's own
    /// from here on; or, where a network cannot be made so, samples too, as a sum of two values takes them.
    /// </summary>
    private static (ImportedModel Network, int Inputs) Import(ModelProto model, List<ValueInfoProto> inputs, List<TensorProto> tensors)
    {
        var whole = model.Clone();
        foreach (var (input, tensor) in inputs.Zip(tensors).Skip(1))
        {
            var weight = tensor.Clone();
            weight.Name = input.Name;
            model.Graph.Initializer.Add(weight);
        }
        // What the importer says of a node is nearer to the cause than what does not go with a network as a whole.
        try { return (OnnxImporter.Import(model), 1); }
        catch (OnnxException) when (model.Graph.Node.All(node => Joins.Contains(node.OpType)))
        {
            return (OnnxImporter.Import(whole), inputs.Count);
        }
    }

    private static readonly HashSet<string> Joins = ["Add", "Sub", "Mul", "Div", "Sum", "Concat"];

    private static TensorProto ReadTensor(string set, string name)
    {
        string path = Path.Combine(set, name);
        try
        {
            var tensor = TensorProto.Parser.ParseFrom(OnnxFile.ReadBytes(path));
            OnnxChecker.Check(tensor, name);
            return tensor;
        }
        catch (InvalidProtocolBufferException error) { throw new OnnxException($"{path} is no tensor: {error.Message}", error); }
    }

    private static Tensor Floats(TensorProto tensor, string what)
    {
        var constant = new Constant(tensor);
        if (!constant.IsFloat) throw new OnnxException($"{what} is of type {constant.Type}; layers compute with float32");
        var result = new Tensor(new Shape(constant.Dims));
        constant.CopyTo(result.Data);
        return result;
    }

    private static Dictionary<string, string> ReadExceptions()
    {
        using var stream = typeof(Conformance).Assembly.GetManifestResourceStream("conformance-exceptions.txt")!;
        using var reader = new StreamReader(stream);
        var exceptions = new Dictionary<string, string>();
        while (reader.ReadLine() is { } line)
        {
            if (line.Length == 0 || line.StartsWith('#')) continue;
            int cut = line.IndexOf(' ', StringComparison.Ordinal);
            exceptions.Add(line[..cut], line[cut..].Trim());
        }
        return exceptions;
    }
}
