using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using OnnxLeNet.Numerics;
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

    /// <summary>The order of the pixels of an input that takes them as they are stored: NCHW or NHWC; NCHW where the file does not say
    /// it.</summary>
    public const string Layout = "input.layout";

    /// <summary>
    /// Where the graph does the preprocessing itself (<see cref="PixelInput"/>), what it does stands under this and <c>padding</c>,
    /// <c>mean</c>, <c>std</c> and <c>range</c>; the keys of the input then say that nothing is left to do.
    /// </summary>
    public const string InGraph = "graph.";

    /// <summary>What the keys of the input begin with.</summary>
    internal const string Input = "input.";

    /// <summary>How pictures of other proportions came to the size of the input: crop, pad or stretch (<see cref="Fit"/>).</summary>
    public const string PictureFit = "input.fit";

    /// <summary>What lies behind transparent pictures and around padded ones, as #RRGGBB.</summary>
    public const string Background = "input.background";

    /// <summary>The seed by which pictures were held out of training, where the data set does not say itself which are for what.</summary>
    public const string HeldOutBy = "data.seed";

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

    /// <summary>What a transform is in metadata.</summary>
    /// <param name="transform">The transform.</param>
    /// <param name="prefix">What the keys begin with: <c>input.</c> unless given, or <see cref="InGraph"/>.</param>
    public static IReadOnlyList<KeyValuePair<string, string>> Of(ImageTransform transform, string prefix = Input)
    {
        ArgumentNullException.ThrowIfNull(transform);
        static string Numbers(IEnumerable<double> numbers) =>
            string.Join(',', numbers.Select(number => number.ToString("R", CultureInfo.InvariantCulture)));
        var entries = new List<KeyValuePair<string, string>>
        {
            new(Key(prefix, Padding), transform.Padding.ToString(CultureInfo.InvariantCulture)),
            new(Key(prefix, Mean), Numbers(transform.Mean)),
            new(Key(prefix, Std), Numbers(transform.Std)),
        };
        if (transform.Range != 255) entries.Add(new(Key(prefix, Range), Numbers([transform.Range])));
        return entries;
    }

    /// <summary>The transform that metadata state; null where they state neither mean nor deviation nor range. What is left open beside
    /// one of these changes nothing.</summary>
    /// <param name="metadata">A model's metadata.</param>
    /// <param name="prefix">What the keys begin with: <c>input.</c> unless given, or <see cref="InGraph"/>.</param>
    /// <exception cref="OnnxException">What they state is no transform.</exception>
    public static ImageTransform? TransformOf(IReadOnlyDictionary<string, string> metadata, string prefix = Input)
    {
        ArgumentNullException.ThrowIfNull(metadata);
        double[]? Numbers(string key)
        {
            key = Key(prefix, key);
            if (!metadata.TryGetValue(key, out string? text)) return null;
            return [.. text.Split(',').Select(part =>
                double.TryParse(part, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) && double.IsFinite(number)
                    ? number : throw new OnnxException($"the model's metadata says {key} = '{text}', expected a number, or one for each "
                        + "channel separated by commas"))];
        }
        double[]? mean = Numbers(Mean), std = Numbers(Std), range = Numbers(Range), padding = Numbers(Padding);
        if (mean is null && std is null && range is null) return null;
        if (range is { Length: > 1 } or [<= 0] || padding is { Length: > 1 } or [< 0 or > 1024]
            || (padding is [var pixels] && pixels != Math.Floor(pixels)))
        {
            throw new OnnxException($"the model's metadata says {Key(prefix, Range)} = '{metadata.GetValueOrDefault(Key(prefix, Range))}', "
                + $"{Key(prefix, Padding)} = '{metadata.GetValueOrDefault(Key(prefix, Padding))}': expected a number above 0 and an "
                + "integer from 0 to 1024");
        }
        mean ??= [0];
        std ??= [1];
        int channels = Math.Max(mean.Length, std.Length);
        double[] Spread(double[] numbers) => numbers.Length == 1 ? [.. Enumerable.Repeat(numbers[0], channels)] : numbers;
        try { return new ImageTransform((int)(padding?[0] ?? 0), Spread(mean), Spread(std)) { Range = range?[0] ?? 255 }; }
        catch (DataException error) { throw new OnnxException($"the model's metadata cannot be: {error.Message}", error); }
    }

    /// <summary>The order of the pixels that metadata state; <see cref="PixelLayout.Nchw"/> where they state none.</summary>
    /// <exception cref="OnnxException">They state another.</exception>
    public static PixelLayout LayoutOf(IReadOnlyDictionary<string, string> metadata)
    {
        ArgumentNullException.ThrowIfNull(metadata);
        if (!metadata.TryGetValue(Layout, out string? text)) return PixelLayout.Nchw;
        return Enum.GetValues<PixelLayout>().Where(layout => Name(layout) == text).Select(layout => (PixelLayout?)layout).FirstOrDefault()
            ?? throw new OnnxException($"the model's metadata says {Layout} = '{text}', expected NCHW or NHWC");
    }

    internal static Fit? FitOf(IReadOnlyDictionary<string, string> metadata) => metadata.GetValueOrDefault(PictureFit) switch
    {
        null => null,
        "crop" => Fit.Crop,
        "pad" => Fit.Pad,
        "stretch" => Fit.Stretch,
        var other => throw new OnnxException($"the model's metadata says {PictureFit} = '{other}', expected crop, pad or stretch"),
    };

    internal static Rgb? BackgroundOf(IReadOnlyDictionary<string, string> metadata)
    {
        if (metadata.GetValueOrDefault(Background) is not { } text) return null;
        try { return Rgb.Parse(text); }
        catch (DataException error) { throw new OnnxException($"the model's metadata says {Background}: {error.Message}", error); }
    }

    internal static string Name(PixelLayout layout) => layout == PixelLayout.Nhwc ? "NHWC" : "NCHW";

    private static string Key(string prefix, string key) => prefix + key[Input.Length..];

    /// <summary>Whether a key says what becomes of pixels before the graph, or in it.</summary>
    internal static bool IsTransform(string key) => key is Padding or Mean or Std or Range or Layout
        || key.StartsWith(InGraph, StringComparison.Ordinal);

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
