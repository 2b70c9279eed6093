using System.Diagnostics;
using Google.Protobuf;
using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Damaged files: either they still are a model, or an error of this library says no; nothing else comes out, and it ends soon.</summary>
[TestClass]
public sealed class OnnxFuzzTests
{
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(20);

    [TestMethod]
    public void DamagedModelsAreImportedOrRefused()
    {
        int refused = Damage(seed: 1, count: 400, bytes => OnnxImporter.Import(OnnxFile.Parse(bytes, "damaged")));
        Assert.IsGreaterThan(100, refused, "damage that is never noticed tests nothing");
    }

    /// <summary>Fewer of these: the code underneath is native.</summary>
    [TestMethod]
    public void DamagedModelsAreLoadedOrRefusedByOnnxRuntime()
    {
        int refused = Damage(seed: 2, count: 60, bytes => OrtModel.Load(bytes).Dispose());
        Assert.IsGreaterThan(15, refused, "damage that is never noticed tests nothing");
    }

    /// <summary>Feeds a model with one to three bits flipped, and every fourth time cut short; returns how many were refused.</summary>
    private static int Damage(long seed, int count, Action<byte[]> read)
    {
        byte[] whole = OnnxExporter.Export(OnnxNetworks.Small(), OnnxNetworks.SmallSample, "small", [new("key", "value")]).ToByteArray();
        var generator = new Generator(seed);
        int refused = 0;
        var watch = Stopwatch.StartNew();
        for (int i = 0; i < count; i++)
        {
            byte[] bytes = (byte[])whole.Clone();
            for (int flips = generator.Next(3); flips >= 0; flips--) bytes[generator.Next(bytes.Length)] ^= (byte)(1 << generator.Next(8));
            if (i % 4 == 3) bytes = bytes[..generator.Next(bytes.Length)];
            try { read(bytes); }
            catch (OnnxLeNetException) { refused++; }
            catch (Exception error) { Assert.Fail($"number {i} of seed {seed}: {error}"); }
        }
        Assert.IsLessThan(Bound, watch.Elapsed);
        return refused;
    }
}
