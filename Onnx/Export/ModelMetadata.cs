using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx;

/// <summary>Keys under which a model file says what its input wants, what its output means, and what its weights are.</summary>
public static class ModelMetadata
{
    /// <summary>
    /// The classes' names, separated by commas, in the order of the outputs; before a comma or a backslash inside a name stands a backslash
    /// (<see cref="JoinClasses"/>).
    /// </summary>
    public const string Classes = "classes";

    /// <summary>Zero pixels around an image.</summary>
    public const string Padding = "input.padding";

    /// <summary>Mean of the pixels as 0 to 1, of each channel separated by commas or one for all; taken off each, those around
    /// included.</summary>
    public const string Mean = "input.mean";

    /// <summary>Their standard deviation, by which each is then divided.</summary>
    public const string Std = "input.std";

    /// <summary>What the pixels' bytes are divided by first; 255 where the file does not say it, which makes them 0 to 1.</summary>
    public const string Range = "input.range";

    /// <summary>The name of the data set.</summary>
    public const string Data = "data";

    /// <summary>The share of the test images that the model classifies right, 0 to 1.</summary>
    public const string TestAccuracy = "test.accuracy";

    /// <summary>How activations became 8-bit integers.</summary>
    public const string Quantization = "quantization";

    /// <summary>
    /// SHA-256 over the weights as float32, of an int8 model those it was made of: for each initializer in order its name in UTF-8, a zero
    /// byte, its sizes as 64-bit and its elements as 32-bit numbers, all little-endian; what are no floats as they are stored.
    /// </summary>
    public const string WeightsHash = "weights.sha256";

    /// <summary>Names of classes as <see cref="Classes"/> holds them.</summary>
    public static string JoinClasses(IEnumerable<string> names)
    {
        ArgumentNullException.ThrowIfNull(names);
        return string.Join(',', names.Select(name =>
            name.Replace(@"\", @"\\", StringComparison.Ordinal).Replace(",", @"\,", StringComparison.Ordinal)));
    }

    /// <summary>The names that <see cref="Classes"/> holds.</summary>
    public static IReadOnlyList<string> SplitClasses(string classes)
    {
        ArgumentNullException.ThrowIfNull(classes);
        var names = new List<string>();
        var name = new StringBuilder();
        for (int i = 0; i < classes.Length; i++)
        {
            if (classes[i] == ',')
            {
                names.Add(name.ToString());
                name.Clear();
            }
            else
            {
                if (classes[i] == '\\' && i + 1 < classes.Length) i++;
                name.Append(classes[i]);
            }
        }
        names.Add(name.ToString());
        return names;
    }

    internal static string HashWeights(GraphProto graph)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> number = stackalloc byte[sizeof(long)];
        foreach (var tensor in graph.Initializer)
        {
            hash.AppendData(Encoding.UTF8.GetBytes(tensor.Name));
            hash.AppendData([0]);
            foreach (long size in tensor.Dims)
            {
                BinaryPrimitives.WriteInt64LittleEndian(number, size);
                hash.AppendData(number);
            }
            if (tensor.DataType == (int)DataType.Float16)
            {
                for (int i = 0; i < tensor.RawData.Length; i += 2)
                {
                    BinaryPrimitives.WriteSingleLittleEndian(number,
                        (float)BinaryPrimitives.ReadHalfLittleEndian(tensor.RawData.Span[i..]));
                    hash.AppendData(number[..sizeof(float)]);
                }
            }
            else hash.AppendData(tensor.RawData.Span);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
