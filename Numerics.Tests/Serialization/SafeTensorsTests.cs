using System.Buffers.Binary;
using System.Text;
using System.Text.Json;

namespace OnnxLeNet.Numerics.Tests;

[TestClass]
public sealed class SafeTensorsTests
{
    [TestMethod]
    public void RoundTripsBitForBit()
    {
        using var folder = new ModelFolder();
        States.AssertSame(States.Varied(), SafeTensors.Read(SafeTensors.ToBytes(States.Varied())));
        States.AssertSame(new StateDict(), SafeTensors.Read(SafeTensors.ToBytes(new StateDict())));
        SafeTensors.Write(States.Varied(), folder["new/a.safetensors"],
            new Dictionary<string, string> { ["format"] = "pt", ["Ünï"] = "c\"d\n" });
        States.AssertSame(States.Varied(), SafeTensors.Read(folder["new/a.safetensors"]));
        var metadata = SafeTensors.ReadMetadata(folder["new/a.safetensors"]);
        Assert.HasCount(2, metadata);
        Assert.AreEqual("pt", metadata["format"]);
        Assert.AreEqual("c\"d\n", metadata["Ünï"]);
    }

    [TestMethod]
    public void TheBytesAreTheFormats()
    {
        var state = new StateDict { { "w", new Tensor(new Shape(1, 2), [1, -2]) }, { "n", StateTensor.Of(3) } };
        byte[] bytes = SafeTensors.ToBytes(state, new Dictionary<string, string> { ["b"] = "2", ["a"] = "1" });
        const string json = """{"__metadata__":{"a":"1","b":"2"},"w":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]},"n":"""
            + """{"dtype":"I64","shape":[],"data_offsets":[0,8]}}""";
        string padded = json + new string(' ', (8 - json.Length % 8) % 8);
        byte[] expected = [(byte)padded.Length, 0, 0, 0, 0, 0, 0, 0, .. Encoding.UTF8.GetBytes(padded), 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80,
            0x3F, 0, 0, 0, 0xC0];
        Assert.AreSequenceEqual(expected, bytes);
    }

    /// <summary>A file put together here, with every type that is read and spaces around its JSON as other writers have them.</summary>
    [TestMethod]
    public void ReadsEveryType()
    {
        var state = SafeTensors.Read(File("""
            {"f32": {"dtype": "F32", "shape": [2], "data_offsets": [16, 24]},
             "f64": {"data_offsets": [0, 16], "shape": [1, 2], "dtype": "F64"},
             "f16":{"dtype":"F16","shape":[3],"data_offsets":[24,30]},"bf16":{"dtype":"BF16","shape":[2],"data_offsets":[30,34]},
             "\u0069":{"dtype":"I64","shape":[],"data_offsets":[34,42]}, "none":{"dtype":"F16","shape":[4,0],"data_offsets":[42,42]}}
            """, [.. BitConverter.GetBytes(1 / 3.0), .. BitConverter.GetBytes(16777217.0), .. BitConverter.GetBytes(0.1f),
                .. BitConverter.GetBytes(-0f), 0x00, 0x3C, 0xFF, 0xFB, 0x01, 0x00, 0x80, 0x3F, 0x49, 0xC0, .. BitConverter.GetBytes(-5L)]));
        var expected = new StateDict
        {
            { "f32", new Tensor(new Shape(2), [0.1f, -0f]) },
            { "f64", new Tensor(new Shape(1, 2), [1 / 3f, 16777216f]) },
            { "f16", new Tensor(new Shape(3), [1f, -65504f, MathF.Pow(2, -24)]) },
            { "bf16", new Tensor(new Shape(2), [1f, -3.140625f]) },
            { "i", StateTensor.Of(-5) },
            { "none", new Tensor(new Shape(4, 0)) },
        };
        States.AssertSame(expected, state);
    }

    [TestMethod]
    public void NonFiniteWeightsAreReadOnlyWhenAllowed()
    {
        byte[] bytes = SafeTensors.ToBytes(States.NonFinite());
        Failure.Of<DataException>(() => SafeTensors.Read(bytes), "'w'", "NaN", "[1] of [4]", "AllowNonFinite", "--allow-non-finite");
        States.AssertSame(States.NonFinite(), SafeTensors.Read(bytes, new StateReadOptions { AllowNonFinite = true }));
        Failure.Of<DataException>(() =>
            SafeTensors.Read(File("""{"h":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}""", [0, 0xFC])), "'h'", "-infinity");
        byte[] large = File("""{"d":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}""", BitConverter.GetBytes(1e39));
        Failure.Of<DataException>(() => SafeTensors.Read(large, new StateReadOptions { AllowNonFinite = true }), "'d'", "1E+39",
            "too large");
    }

    [TestMethod]
    public void PythonReadsWhatIsWritten()
    {
        PyTorch.Require();
        using var folder = new ModelFolder();
        SafeTensors.Write(States.Varied(), folder["a.safetensors"], new Dictionary<string, string> { ["format"] = "pt" });
        var found = PyTorch.State("tensors", folder["a.safetensors"]);
        Assert.IsTrue(found.GetProperty("aligned").GetBoolean());
        Assert.AreEqual("pt", found.GetProperty("metadata").GetProperty("format").GetString());
        Assert.AreSequenceEqual(
            States.Varied().Select(e => $"{e.Key} {(e.Value.Type == ElementType.Int64 ? "I64" : "F32")} {e.Value.Shape} "
                + $"{States.Hex(e.Value)}").ToArray(),
            found.GetProperty("tensors").EnumerateArray().Select(t =>
                $"{t.GetProperty("name")} {t.GetProperty("dtype")} {t.GetProperty("shape")} {t.GetProperty("bytes")}"
                .Replace(",", ", ", StringComparison.Ordinal).Replace(",  ", ", ", StringComparison.Ordinal)).ToArray());
    }

    [TestMethod]
    public void NamesThatTheFormatCannotHoldAreRefused()
    {
        Failure.Of<DataException>(() => SafeTensors.ToBytes(new StateDict { { "__metadata__", StateTensor.Of(1) } }), "__metadata__");
        Failure.Of<DataException>(() => SafeTensors.ToBytes(new StateDict { { "half \uD83D", StateTensor.Of(1) } }), "Unicode");
        Failure.Of<DataException>(() => SafeTensors.ToBytes(new StateDict(), new Dictionary<string, string> { ["a"] = "\uDC00" }),
            "Unicode");
    }

    [TestMethod]
    public void AMissingFileIsNamed()
    {
        Failure.Of<DataException>(() => SafeTensors.Read("/no/such.safetensors"), "/no/such.safetensors");
        Failure.Of<DataException>(() => SafeTensors.ReadMetadata("/no/such.safetensors"), "/no/such.safetensors");
    }

    /// <summary>A file of a header and data as they are given.</summary>
    internal static byte[] File(string json, byte[] data)
    {
        byte[] header = Encoding.UTF8.GetBytes(json), length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
        return [.. length, .. header, .. data];
    }
}
