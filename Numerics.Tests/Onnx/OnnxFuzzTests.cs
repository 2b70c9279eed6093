using System.Diagnostics;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Damaged files: either they still are a model, or an error of this library says no; nothing else comes out, in bounded time and
/// memory.</summary>
[TestClass]
[DoNotParallelize]
public sealed class OnnxFuzzTests
{
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(20);

    /// <summary>What an import may allocate beside what its file holds: far more than any of these needs, far less than a size in a damaged
    /// file could ask for.</summary>
    private const long MostBytes = 4 << 20;

    [TestMethod]
    public void DamagedModelsAreImportedOrRefused() => Import(seed: 1, count: 600);

    [TestMethod]
    [TestCategory("Slow")]
    public void ManyDamagedModelsAreImportedOrRefused() => Import(seed: 3, count: 20_000);

    /// <summary>Fewer of these: the code underneath is native.</summary>
    [TestMethod]
    public void DamagedModelsAreLoadedOrRefusedByOnnxRuntime()
    {
        int refused = Damage(seed: 2, count: 60, bytes => OrtModel.Load(bytes).Dispose());
        Assert.IsGreaterThan(15, refused, "damage that is never noticed tests nothing");
    }

    [TestMethod]
    [TestCategory("Slow")]
    public void ManyDamagedModelsAreLoadedOrRefusedByOnnxRuntime() =>
        Damage(seed: 4, count: 2_000, bytes => OrtModel.Load(bytes).Dispose());

    /// <summary>A file cut short anywhere is refused, or is one that ends with a whole field and says the same network.</summary>
    [TestMethod]
    [DynamicData(nameof(Bases))]
    public void AModelCutAtAnyByteIsRefused(string name)
    {
        byte[] whole = Bytes(name);
        var layers = OnnxImporter.Import(OnnxFile.Parse(whole, name)).Network.ToString();
        int refused = 0;
        for (int length = 0; length < whole.Length; length++)
        {
            try { Assert.AreEqual(layers, OnnxImporter.Import(OnnxFile.Parse(whole[..length], name)).Network.ToString(),
                $"cut at {length}"); }
            catch (OnnxException) { refused++; }
        }
        Assert.IsGreaterThan(whole.Length - 100, refused);
    }

    public static IEnumerable<object[]> Bases => [["small"], ["pytorch-144"], ["pytorch-86"]];

    private static byte[] Bytes(string name) => name == "small"
        ? OnnxExporter.Export(OnnxNetworks.Small(), OnnxNetworks.SmallSample, "small", [new("key", "value")]).ToByteArray()
        : File.ReadAllBytes(Path.Combine(Repository.Root, "Numerics.Tests", "Reference", "pytorch_exports", name, "model.onnx"));

    private static void Import(long seed, int count)
    {
        int refused = Damage(seed, count, bytes =>
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            try { OnnxImporter.Import(OnnxFile.Parse(bytes, "damaged")); }
            finally { Assert.IsLessThan(MostBytes, GC.GetAllocatedBytesForCurrentThread() - before); }
        });
        Assert.IsGreaterThan(count / 4, refused, "damage that is never noticed tests nothing");
    }

    /// <summary>
    /// Feeds models with one to three bits flipped, or cut short, or with a field of the graph set to something else; returns how many were
    /// refused.
    /// </summary>
    private static int Damage(long seed, int count, Action<byte[]> read)
    {
        byte[][] wholes = [.. Bases.Select(b => Bytes((string)b[0]))];
        var generator = new Generator(seed);
        int refused = 0;
        var watch = Stopwatch.StartNew();
        for (int i = 0; i < count; i++)
        {
            byte[] bytes = (byte[])wholes[generator.Next(wholes.Length)].Clone();
            switch (i % 4)
            {
                case 0 or 1:
                    for (int flips = generator.Next(3); flips >= 0; flips--)
                        bytes[generator.Next(bytes.Length)] ^= (byte)(1 << generator.Next(8));
                    break;
                case 2: bytes = bytes[..generator.Next(bytes.Length)]; break;
                default: bytes = Change(ModelProto.Parser.ParseFrom(bytes), generator).ToByteArray(); break;
            }
            try { read(bytes); }
            catch (OnnxLeNetException) { refused++; }
            catch (Exception error) { Assert.Fail($"number {i} of seed {seed}: {error}"); }
        }
        // Twenty seconds for a thousand is a thousand times what they need.
        Assert.IsLessThan(Bound * Math.Max(count / 1000.0, 1), watch.Elapsed);
        return refused;
    }

    /// <summary>Sets one field somewhere in the model to another value of its type, or takes an element out, or puts it in twice.</summary>
    private static ModelProto Change(ModelProto model, Generator generator)
    {
        var places = new List<(IMessage Message, FieldDescriptor Field)>();
        void Walk(IMessage message)
        {
            foreach (var field in message.Descriptor.Fields.InFieldNumberOrder())
            {
                if (field.IsRepeated)
                {
                    var list = (System.Collections.IList)field.Accessor.GetValue(message);
                    if (list.Count > 0) places.Add((message, field));
                    if (field.FieldType == FieldType.Message) foreach (IMessage inner in list) Walk(inner);
                }
                else if (field.Accessor.HasValue(message))
                {
                    places.Add((message, field));
                    if (field.FieldType == FieldType.Message) Walk((IMessage)field.Accessor.GetValue(message));
                }
            }
        }
        Walk(model);
        var (target, chosen) = places[generator.Next(places.Count)];
        if (!chosen.IsRepeated)
        {
            if (chosen.FieldType == FieldType.Message) chosen.Accessor.Clear(target);
            else chosen.Accessor.SetValue(target, Other(chosen, chosen.Accessor.GetValue(target), generator));
            return model;
        }
        var elements = (System.Collections.IList)chosen.Accessor.GetValue(target);
        int at = generator.Next(elements.Count);
        switch (generator.Next(3))
        {
            case 0: elements.RemoveAt(at); break;
            case 1: elements.Add(elements[at]); break;
            default:
                if (chosen.FieldType == FieldType.Message) elements.Insert(0, elements[at]);
                else elements[at] = Other(chosen, elements[at]!, generator);
                break;
        }
        return model;
    }

    private static object Other(FieldDescriptor field, object value, Generator generator)
    {
        long[] numbers = [0, 1, -1, 2, 3, 7, -7, 1000, int.MaxValue, int.MinValue, 1L << 31, 1L << 40, long.MaxValue, long.MinValue];
        string[] texts = ["", "input", "logits", "conv1", "conv1.weight", "Relu", "Reshape", "Softmax", "MaxPool", "SAME_LOWER", "…",
            new string('x', 1000)];
        return field.FieldType switch
        {
            FieldType.Int64 => numbers[generator.Next(numbers.Length)],
            FieldType.Int32 => (int)Math.Clamp(numbers[generator.Next(numbers.Length)], int.MinValue, int.MaxValue),
            FieldType.UInt64 => (ulong)Math.Abs(numbers[generator.Next(5)]),
            FieldType.Float => (float)numbers[generator.Next(numbers.Length)],
            FieldType.Double => (double)numbers[generator.Next(numbers.Length)],
            FieldType.String => texts[generator.Next(texts.Length)],
            FieldType.Bytes => generator.Next(2) == 0 ? ByteString.Empty : ByteString.CopyFromUtf8(texts[generator.Next(texts.Length)]),
            _ => value,
        };
    }
}
