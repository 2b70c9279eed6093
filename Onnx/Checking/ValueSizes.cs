using System.Buffers.Binary;
using System.Globalization;
using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx;

/// <summary>What is known of a value before the graph runs.</summary>
/// <param name="Dims">Its sizes, −1 for one that is open; null where not even their number is known.</param>
/// <param name="Type">The type of its elements.</param>
/// <param name="Numbers">The elements themselves where they are few and known, as sizes are; a NaN for one that is not.</param>
internal sealed record ValueSize(long[]? Dims, DataType Type, double[]? Numbers = null)
{
    /// <summary>More numbers than sizes, scales or paddings have.</summary>
    public const int MostNumbers = 1024;

    /// <summary>The elements, those of open axes counted once.</summary>
    public double Count => Dims is null || Dims.Contains(0) ? 0 : Dims.Aggregate(1.0, (count, size) => count * (size < 0 ? 1 : size));

    /// <summary>The bytes that it takes, open axes counted once.</summary>
    public double Bytes => Count * Type switch
    {
        DataType.Double or DataType.Int64 or DataType.Uint64 or DataType.Complex64 => 8,
        DataType.Complex128 => 16,
        DataType.Float16 or DataType.Bfloat16 or DataType.Int16 or DataType.Uint16 => 2,
        DataType.Int8 or DataType.Uint8 or DataType.Bool => 1,
        DataType.String => 32, // an empty one, in C++
        _ => 4,
    };

    /// <summary>Of a tensor in the file.</summary>
    public static ValueSize Of(TensorProto tensor) =>
        new([.. tensor.Dims], (DataType)tensor.DataType, OnnxChecker.Count(tensor, tensor.Name) <= MostNumbers ? Elements(tensor) : null);

    private static double[]? Elements(TensorProto tensor)
    {
        var raw = tensor.RawData.Span;
        double[] Raw(int size, Func<byte[], double> read)
        {
            var bytes = tensor.RawData.ToByteArray();
            var values = new double[bytes.Length / size];
            for (int i = 0; i < values.Length; i++) values[i] = read(bytes[(i * size)..((i + 1) * size)]);
            return values;
        }
        return (DataType)tensor.DataType switch
        {
            DataType.Int64 => raw.Length == 0 ? [.. tensor.Int64Data.Select(i => (double)i)]
                : Raw(8, bytes => BinaryPrimitives.ReadInt64LittleEndian(bytes)),
            DataType.Int32 => raw.Length == 0 ? [.. tensor.Int32Data.Select(i => (double)i)]
                : Raw(4, bytes => BinaryPrimitives.ReadInt32LittleEndian(bytes)),
            DataType.Float => raw.Length == 0 ? [.. tensor.FloatData.Select(i => (double)i)]
                : Raw(4, bytes => BinaryPrimitives.ReadSingleLittleEndian(bytes)),
            DataType.Double => raw.Length == 0 ? [.. tensor.DoubleData] : Raw(8, bytes => BinaryPrimitives.ReadDoubleLittleEndian(bytes)),
            _ => null,
        };
    }
}

/// <summary>
/// Follows the sizes of a graph's values, as far as they are known before it runs, with the arithmetic that makes sizes: a few bytes in a
/// file can ask for a tensor of any size. What stays open (an operator without a rule, a size that depends on the input) counts nothing.
/// </summary>
internal static class ValueSizes
{
    /// <summary>Operators of which every node has a copy of its weights, laid out for its product.</summary>
    private static readonly HashSet<string> Packing = ["Attention", "Conv", "ConvInteger", "ConvTranspose", "GRU", "Gemm", "LSTM", "MatMul",
        "MatMulInteger", "QLinearConv", "QLinearMatMul", "RNN"];

    /// <summary>Checks what the graph's values take while it runs on one sample, or on as many as its inputs state.</summary>
    /// <param name="graph">A checked graph.</param>
    /// <param name="opset">The version of ONNX's operators.</param>
    /// <param name="budget">The bytes that the values alive at once may take; the file's own tensors are not counted.</param>
    /// <returns>The most bytes that the values alive at once take.</returns>
    /// <exception cref="OnnxException">They take more; or an operator is given nothing where it reads a number.</exception>
    public static double Check(GraphProto graph, long opset, long budget) => Walk(graph, opset, budget, []);

    /// <summary>What is known of every value, whatever it takes.</summary>
    internal static IReadOnlyDictionary<string, ValueSize> Of(GraphProto graph, long opset)
    {
        var values = new Dictionary<string, ValueSize>();
        Walk(graph, opset, long.MaxValue, values);
        return values;
    }

    private static double Walk(GraphProto graph, long opset, long budget, Dictionary<string, ValueSize> values)
    {
        var nodes = NodeOrder.Sort(graph.Node);
        foreach (var tensor in graph.Initializer) values[tensor.Name] = ValueSize.Of(tensor);
        double alive = 0, most = 0;
        foreach (var input in graph.Input)
        {
            if (values.ContainsKey(input.Name) || input.Type?.TensorType is not { Shape: { } shape } type) continue;
            values[input.Name] = new([.. shape.Dim.Select(dim => dim.HasDimValue ? dim.DimValue : -1)], (DataType)type.ElemType);
            alive += values[input.Name].Bytes;
            Require($"input '{input.Name}'", values[input.Name]);
        }
        var lastUse = new Dictionary<string, int>();
        for (int i = 0; i < nodes.Count; i++)
            foreach (string name in nodes[i].Input) lastUse[name] = i;
        foreach (var output in graph.Output) lastUse[output.Name] = nodes.Count;
        // ONNX Runtime computes what depends on constants alone while it loads the model, and keeps all of it for a while. That much beside
        // weights is usual: they are turned, and made larger types of.
        var constants = graph.Initializer.Select(tensor => tensor.Name).ToHashSet();
        double made = 0, usual = 4 * constants.Sum(name => values[name].Bytes);
        var (kept, packed) = (constants.ToHashSet(), new HashSet<string>());
        for (int i = 0; i < nodes.Count; i++)
        {
            var call = new SizeCall(nodes[i], opset, values);
            call.RequireNumbers();
            if (Packing.Contains(nodes[i].OpType))
                made += nodes[i].Input.Where(name => constants.Contains(name) && !packed.Add(name)).Sum(name => values[name].Bytes);
            bool constant = nodes[i].Input.All(name => name.Length == 0 || constants.Contains(name));
            foreach (var (name, value) in nodes[i].Output.Zip(SizeRules.Results(call)))
            {
                if (name.Length == 0) continue;
                values[name] = value;
                if (constant && constants.Add(name)) made += value.Bytes;
                else alive += value.Bytes;
                Require(NodeReader.Label(nodes[i]), value);
            }
            most = Math.Max(most, alive);
            double all = alive + Math.Max(made - usual, 0);
            if (all > budget) throw new OnnxException($"at {NodeReader.Label(nodes[i])} the values in use and the constants that were made "
                + $"take {Text(all)}: more than {OnnxImporter.InWords(budget)}");
            foreach (string name in nodes[i].Input.Concat(nodes[i].Output).Distinct())
                if (lastUse.GetValueOrDefault(name, i) <= i && values.TryGetValue(name, out var done)
                    && !constants.Contains(name) && kept.Add(name)) alive -= done.Bytes;
        }
        return most;

        void Require(string what, ValueSize value)
        {
            if (value.Bytes > budget) throw new OnnxException($"{what} makes a tensor of {Count(value.Count)} elements: more than "
                + OnnxImporter.InWords(budget));
        }
    }

    private static string Count(double count) => count < 1e15 ? count.ToString("N0", CultureInfo.InvariantCulture) : "over 10¹⁵";

    /// <summary>Bytes as a person reads them.</summary>
    internal static string Text(double bytes) => bytes switch
    {
        >= 1e15 => "over 10¹⁵ bytes",
        >= 1L << 30 => string.Create(CultureInfo.InvariantCulture, $"{bytes / (1L << 30):0.#} GiB"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{bytes / (1L << 20):0.#} MiB"),
    };
}
