using Google.Protobuf;
using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>The engine and ONNX Runtime compute the same function.</summary>
[TestClass]
public sealed class OrtAgreementTests
{
    [TestMethod]
    [DynamicData(nameof(Cases))]
    public void ExportedNetworksAgree(string name, int batch)
    {
        var (network, sample) = OnnxNetworks.Get(name);
        using var model = OrtModel.Load(OnnxExporter.Export(network, sample, name).ToByteArray(), source: name);
        var x = OnnxNetworks.Random(sample.Prepend(batch), batch);
        var own = network.Forward(x);
        Assert.IsTrue(own.Data.Any(v => v != 0), "a network that returns zeros proves nothing");
        OnnxNetworks.AssertAgree($"{name}, batch {batch}", model.Run(x), own, 1e-5);
    }

    /// <summary>One session takes batches of every size in turn.</summary>
    [TestMethod]
    public void BatchSizesMayAlternate()
    {
        var (network, sample) = OnnxNetworks.Get("uneven");
        using var model = OrtModel.Load(OnnxExporter.Export(network, sample, "uneven").ToByteArray());
        foreach (int batch in (int[])[64, 1, 7, 33, 1, 64])
        {
            var x = OnnxNetworks.Random(sample.Prepend(batch), 100 + batch);
            OnnxNetworks.AssertAgree($"batch {batch}", model.Run(x), network.Forward(x), 1e-5);
        }
    }

    public static IEnumerable<object[]> Cases =>
        from name in OnnxNetworks.Names
        from batch in (int[])[1, 7, 64]
        select new object[] { name, batch };
}
