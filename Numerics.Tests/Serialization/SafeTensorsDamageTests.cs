using System.Buffers.Binary;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Files that are no safetensors files, each in one way.</summary>
[TestClass]
public sealed class SafeTensorsDamageTests
{
    [TestMethod]
    [DataRow("""[]""", 0, "does not begin with '{'")]
    [DataRow("""  {}""", 0, "does not begin with '{'")]
    [DataRow("""{""", 0, "no JSON")]
    [DataRow("""{} x""", 0, "no JSON")]
    [DataRow("""{"a":1}""", 0, "'a' is Number")]
    [DataRow("""{"a":{}}""", 0, "needs a dtype")]
    [DataRow("""{"a":{"dtype":"F32","shape":[1]}}""", 4, "needs a dtype")]
    [DataRow("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}""", 4, "needs a dtype")]
    [DataRow("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}""", 4, "'x'")]
    [DataRow("""{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 4, "dtype")]
    [DataRow("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\u0061":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""",
        8, "no JSON")]
    [DataRow("""{"__metadata__":{"k":"1","k":"2"}}""", 0, "k")]
    [DataRow("""{"__metadata__":{"k":1}}""", 0, "'k' is Number")]
    [DataRow("""{"__metadata__":null}""", 0, "__metadata__ is Null")]
    [DataRow("""{"__metadata__":{"k":"\ud800"}}""", 0, "no JSON")]
    [DataRow("""{"\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 4, "no JSON")]
    [DataRow("""{"a":{"dtype":"F8_E5M2","shape":[4],"data_offsets":[0,4]}}""", 4, "'F8_E5M2'; read are F32, F64, F16, BF16, I64, I32")]
    [DataRow("""{"a":{"dtype":0,"shape":[1],"data_offsets":[0,4]}}""", 4, "'Number'")]
    [DataRow("""{"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}}""", 4, "shape is Number")]
    [DataRow("""{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}""", 4, "'1.0'")]
    [DataRow("""{"a":{"dtype":"F32","shape":[1e0],"data_offsets":[0,4]}}""", 4, "'1e0'")]
    [DataRow("""{"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}}""", 4, "expected an integer")]
    [DataRow("""{"a":{"dtype":"F32","shape":[[1]],"data_offsets":[0,4]}}""", 4, "no JSON")]
    [DataRow("""{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}""", 4, "size -1")]
    [DataRow("""{"a":{"dtype":"F32","shape":[4294967297],"data_offsets":[0,4]}}""", 4, "size 4294967297")]
    [DataRow("""{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]}}""", 4, "expected an integer")]
    [DataRow("""{"a":{"dtype":"F32","shape":[65536,65536,65536,65536],"data_offsets":[0,0]}}""", 0, "more elements than an array holds")]
    [DataRow("""{"a":{"dtype":"F32","shape":[2000000000],"data_offsets":[0,8000000000]}}""", 4, "cut short")]
    [DataRow("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}""", 4, "takes 8 bytes")]
    [DataRow("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}""", 4, "[4, 0]")]
    [DataRow("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}""", 4, "[-4, 0]")]
    [DataRow("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8, "hole")]
    [DataRow("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}""",
        12, "hole")]
    [DataRow("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""",
        8, "overlap")]
    [DataRow("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 5, "1 bytes behind")]
    [DataRow("""{}""", 1, "1 bytes behind")]
    public void IsRefused(string json, int dataLength, string part)
    {
        byte[] file = SafeTensorsTests.File(json, new byte[dataLength]);
        Assert.IsTrue(States.Refuses(() => SafeTensors.Read(file)));
        Failure.Of<DataException>(() => SafeTensors.Read(file), part);
    }

    [TestMethod]
    public void AHeaderLongerThanTheFileOrTheFormatAllows()
    {
        byte[] file = SafeTensorsTests.File("{}", []);
        BinaryPrimitives.WriteInt64LittleEndian(file, 3);
        Failure.Of<DataException>(() => SafeTensors.Read(file), "cut short", "3 bytes");
        BinaryPrimitives.WriteInt64LittleEndian(file, 100_000_001);
        Failure.Of<DataException>(() => SafeTensors.Read(file), "100000001", "limit");
        BinaryPrimitives.WriteInt64LittleEndian(file, -1);
        Failure.Of<DataException>(() => SafeTensors.Read(file), "18446744073709551615");
    }

    [TestMethod]
    public void ManyAxesAndLongNamesAreNotRepeated()
    {
        string axes = string.Join(',', Enumerable.Repeat("1", 100_000));
        Failure.Of<DataException>(() => SafeTensors.Read(SafeTensorsTests.File(
            $$$"""{"a":{"dtype":"F32","shape":[{{{axes}}}],"data_offsets":[0,4]}}""", new byte[4])), "100000 axes");
        var error = Failure.Of<DataException>(() =>
            SafeTensors.Read(SafeTensorsTests.File($"{{\"{new string('n', 100_000)}\":1}}", [])), "nnn…'");
        Assert.IsLessThan(300, error.Message.Length);
    }

    [TestMethod]
    public void EveryCutAndSeededFlipsAreReadOrRefused()
    {
        byte[] file = SafeTensors.ToBytes(States.Small(), new Dictionary<string, string> { ["format"] = "pt" });
        Assert.IsGreaterThan(100, States.Damage(file, bytes => SafeTensors.Read(bytes), flips: 1000));
    }
}
