using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>onnx.proto is the published format: models go through it unchanged.</summary>
[TestClass]
public sealed class OnnxSchemaTests
{
    private const string NodeTests = "/usr/share/libonnx-testdata/data/node";

    [TestMethod]
    public void AnExportedModelComesBackByteForByte()
    {
        byte[] bytes = OnnxExporter.Export(Networks.LeNet5(1), new Shape(1, 32, 32), "lenet5", [new("key", "value")]).ToByteArray();
        CollectionAssert.AreEqual(bytes, Known.ParseFrom(bytes).ToByteArray());
    }

    /// <summary>With presence lost (proto3), an INT attribute of zero vanishes and the operator's default takes its place.</summary>
    [TestMethod]
    public void AnAttributeOfZeroStays()
    {
        var attribute = new AttributeProto { Name = "axis", Type = AttributeProto.Types.AttributeType.Int, I = 0 };
        byte[] bytes = attribute.ToByteArray();
        CollectionAssert.Contains(bytes, (byte)(3 << 3), "field 3, a varint");
        Assert.IsTrue(AttributeProto.Parser.ParseFrom(bytes).HasI);
    }

    /// <summary>Fields the schema does not know would be dropped here, and the bytes would differ.</summary>
    [TestMethod]
    public void OnnxNodeTestsComeBackByteForByte()
    {
        if (!Directory.Exists(NodeTests)) Assert.Inconclusive($"{NodeTests} is not there: Debian's package libonnx-testdata has it");
        string[] files = [.. Directory.EnumerateFiles(NodeTests, "model.onnx", SearchOption.AllDirectories).Order()];
        Assert.IsGreaterThan(500, files.Length);
        foreach (string file in files)
        {
            byte[] bytes = File.ReadAllBytes(file);
            Assert.IsTrue(bytes.AsSpan().SequenceEqual(Known.ParseFrom(bytes).ToByteArray()), file);
        }
    }

    private static MessageParser<ModelProto> Known => ModelProto.Parser.WithDiscardUnknownFields(true);
}
