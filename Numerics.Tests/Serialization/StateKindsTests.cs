using System.Runtime.InteropServices;
using System.Text.Json;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Weights as people have them, in files by PyTorch 1.13 that Reference/state_kinds.py wrote.</summary>
[TestClass]
public sealed class StateKindsTests
{
    private static readonly string Folder = Path.Combine(Repository.Root, "Numerics.Tests", "Reference", "state_kinds");
    private static readonly JsonElement Values = JsonDocument.Parse(File.ReadAllText(Path.Combine(Folder, "values.json"))).RootElement;

    /// <summary>
    /// Each is read for the network, whose weights must then be the ones PyTorch had, and everything that was assumed is said.
    /// </summary>
    [TestMethod]
    [DataRow("lightning.ckpt", null, "lightning", "under 'state_dict'", "'_orig_mod.' (torch.compile), 'model.' before all")]
    [DataRow("legacy.ckpt", null, "lightning", "under 'state_dict'", "'_orig_mod.' (torch.compile), 'model.' before all")]
    [DataRow("lightning.ckpt", "state_dict", "lightning", "'model.' before all")]
    [DataRow("lightning.ckpt", "state_dict.model", "lightning", "'_orig_mod.' (torch.compile)")]
    [DataRow("lightning.ckpt", "state_dict.model._orig_mod", "lightning")]
    [DataRow("parallel.pth", null, "plain", "'module.' (DataParallel)")]
    [DataRow("wrapped.pth", null, "plain", "'module.' (DataParallel), '_orig_mod.' (torch.compile)")]
    [DataRow("inner.pth", null, "plain", "'module.' (DataParallel), '_orig_mod.' (torch.compile)")]
    [DataRow("net.pth", null, "plain", "'net.' before all")]
    [DataRow("backbone.pth", null, "plain", "'backbone.body.' before all")]
    [DataRow("several.pth", "ema", "plain")]
    [DataRow("several.pth", "model", "other")]
    [DataRow("gan.pth", null, "plain", "under 'critic.net'")]
    [DataRow("parts.pth", "state_dict.student", "plain")]
    [DataRow("parts.pth", "state_dict.teacher", "other")]
    [DataRow("half.pth", null, "half", "6 of the tensors are stored as float16")]
    public void TheNetworkGetsItsWeights(string file, string? key, string values, params string[] said)
    {
        var net = Network();
        var state = StateDictFile.Read(Path.Combine(Folder, file), new StateReadOptions { Key = key, Network = net });
        net.LoadStateDict(state);
        AssertHolds(values, net.StateDict());
        string notes = string.Join("\n", state.Notes);
        if (said.Length == 0) Assert.AreEqual("", notes);
        foreach (string part in said) Assert.Contains(part, notes);
    }

    [TestMethod]
    [DataRow("protocol2.pth", "protocols")]
    [DataRow("protocol3.pth", "protocols")]
    [DataRow("protocol4.pth", "protocols")]
    [DataRow("protocol5.pth", "protocols")]
    [DataRow("types.pth", "types")]
    [DataRow("types_legacy.pth", "types")]
    public void EveryTensorIsRead(string file, string values)
    {
        var state = PyTorchFile.Read(Path.Combine(Folder, file));
        AssertHolds(values, state);
        Assert.HasCount(Values.GetProperty(values).EnumerateObject().Count(), state);
    }

    [TestMethod]
    [DataRow("legacy2.pth")]
    [DataRow("legacy4.pth")]
    public void TheOldFormatIsReadInItsProtocols(string file)
    {
        var state = PyTorchFile.Read(Path.Combine(Folder, file));
        AssertHolds("plain", state);
        Assert.AreSequenceEqual(new[] { 0.25f, -1.5f }, state["parameter"].AsTensor().Data);
    }

    /// <summary>What was uint8 or bool in the file is so again in both formats, and PyTorch reads the same type.</summary>
    [TestMethod]
    public void IntegersKeepTheirTypeWhenTheyAreWritten()
    {
        var state = PyTorchFile.Read(Path.Combine(Folder, "types.pth"));
        foreach (var (name, tensor) in state.Where(entry => entry.Value.IsInteger))
            Assert.AreEqual(StoredType(name), tensor.Type.ToString().ToLowerInvariant());
        States.AssertSame(state, PyTorchFile.Read(PyTorchFile.ToBytes(state)));
        States.AssertSame(state, SafeTensors.Read(SafeTensors.ToBytes(state)));
        States.AssertSame(state, state.Clone());
        var unsigned = new StateDict
        {
            { "a", StateTensor.Of(new Shape(2), [0, 65535], ElementType.UInt16) },
            { "b", StateTensor.Of(new Shape(2), [1, uint.MaxValue], ElementType.UInt32) },
            { "c", StateTensor.Of(new Shape(1), [long.MaxValue], ElementType.UInt64) },
        };
        States.AssertSame(unsigned, SafeTensors.Read(SafeTensors.ToBytes(unsigned)));
        Failure.Of<DataException>(() => PyTorchFile.ToBytes(unsigned), "'a'", "UInt16", "safetensors");
        var tooLarge = new StateDict { { "m", StateTensor.Of(new Shape(1), [256], ElementType.UInt8) } };
        Failure.Of<DataException>(() => SafeTensors.ToBytes(tooLarge), "256", "0 to 255");
        Failure.Of<DataException>(() => StateTensor.Of(new Shape(1), [1], ElementType.Float32), "Float32");
    }

    [TestMethod]
    public void PyTorchReadsTheTypesBack()
    {
        PyTorch.Require();
        using var folder = new ModelFolder();
        PyTorchFile.Write(PyTorchFile.Read(Path.Combine(Folder, "types.pth")), folder["types.pth"]);
        var read = PyTorch.State("read", folder["types.pth"]).GetProperty("True").GetProperty("tensors").EnumerateArray();
        var types = read.ToDictionary(tensor => tensor.GetProperty("name").GetString()!,
            tensor => tensor.GetProperty("dtype").GetString()!);
        foreach (var entry in Values.GetProperty("types").EnumerateObject())
        {
            string stored = entry.Value.GetProperty("stored").GetString()!;
            Assert.AreEqual(stored.Contains("float", StringComparison.Ordinal) ? "torch.float32" : $"torch.{stored}", types[entry.Name],
                entry.Name);
        }
    }

    [TestMethod]
    public void ValuesThatNoTypeHasAreRefused()
    {
        byte[] file = SafeTensorsTests.File("""{"m":{"dtype":"BOOL","shape":[1,2],"data_offsets":[0,2]}}""", [1, 2]);
        Failure.Of<DataException>(() => SafeTensors.Read(file), "'m'", "byte 2 at [0, 1] of [1, 2]");
        file = SafeTensorsTests.File("""{"m":{"dtype":"U64","shape":[1],"data_offsets":[0,8]}}""", [0, 0, 0, 0, 0, 0, 0, 0x80]);
        Failure.Of<DataException>(() => SafeTensors.Read(file), "'m'", "9223372036854775808 at [0]");
    }

    /// <summary>PyTorch 2.3's later types name themselves beside a storage of bytes; 1.13 cannot write them.</summary>
    [TestMethod]
    public void LaterTypesAreRead()
    {
        string tensor = Pth.OneTensor("FloatStorage", 16, 1, "3", "2")
            .Replace("_rebuild_tensor_v2", "_rebuild_tensor_v3", StringComparison.Ordinal)
            .Replace("ctorch\nFloatStorage\n", "ctorch.storage\nUntypedStorage\n", StringComparison.Ordinal);
        byte[] bytes = [.. Enumerable.Range(0, 16).Select(i => (byte)(i + 200))];
        var state = PyTorchFile.Read(Pth.Of(Pth.Pickle(tensor.Replace(")RtR", ")Rctorch\nuint16\ntR", StringComparison.Ordinal)),
            ("data/0", bytes)));
        var elements = MemoryMarshal.Cast<byte, ushort>(bytes);
        Assert.AreSequenceEqual(new long[] { elements[1], elements[3], elements[5] }, state["w"].AsInt64());
        Assert.AreEqual(ElementType.UInt16, state["w"].Type);
        string float8 = tensor.Replace(")RtR", ")Rctorch\nfloat8_e5m2\ntR", StringComparison.Ordinal);
        Failure.Of<DataException>(() => PyTorchFile.Read(Pth.Of(Pth.Pickle(float8), ("data/0", bytes))), "'w'",
            "a tensor is put together from");
    }

    [TestMethod]
    [DataRow("several.pth", null, "2 state dicts that fit: 'ema' of 7 tensors, 'model' of 7 tensors", "--key")]
    [DataRow("several.pth", "step", "'step' is an integer", "under 'ema' of 7 tensors, 'model'")]
    [DataRow("several.pth", "net", "has no 'net'", "under 'ema' of 7 tensors")]
    [DataRow("nan.pth", null, "'conv.weight' holds NaN at [1, 0, 2, 1] of [3, 3, 3, 3]", "--allow-non-finite")]
    [DataRow("whole.pth", null, "whole network of the class '__main__.Net'", "torch.save(torch.load(path).state_dict(), other)")]
    [DataRow("whole_legacy.pth", null, "whole network of the class '__main__.Net'", "weights_only=False")]
    [DataRow("whole_inside.pth", null, "'model'", "whole network of the class '__main__.Net'")]
    [DataRow("whole_inside.pth", "model", "'model'", "whole network of the class '__main__.Net'")]
    [DataRow("script.pt", null, "TorchScript", "torch.save(torch.jit.load(path).state_dict(), other)")]
    [DataRow("arrays.npz", null, "NumPy archive", "torch.from_numpy")]
    [DataRow("complex.pth", null, "'w'", "'torch.ComplexFloatStorage'")]
    [DataRow("lightning.ckpt", "hyper_parameters.args", "'argparse.Namespace'", "nothing of it was run")]
    [DataRow("lightning.ckpt", "hyper_parameters", "'lr' is", "numpy.core.multiarray.scalar")]
    public void WhatIsWrongIsNamed(string file, string? key, params string[] said)
    {
        var error = Failure.Of<DataException>(() => StateDictFile.Read(Path.Combine(Folder, file),
            new StateReadOptions { Key = key, Network = Network() }), said);
        Assert.Contains(file, error.Message);
    }

    [TestMethod]
    public void WithoutANetworkTheOnlyStateDictIsTakenAsItIs()
    {
        var state = StateDictFile.Read(Path.Combine(Folder, "lightning.ckpt"));
        Assert.Contains("model._orig_mod.conv.weight", state.Names);
        Assert.Contains("'_orig_mod.' in them (torch.compile)", state.Notes[1]);
        Failure.Of<DataException>(() => StateDictFile.Read(Path.Combine(Folder, "gan.pth")),
            "'generator' of 2 tensors, 'critic.net' of 7 tensors");
        Failure.Of<DataException>(() => Network().LoadStateDict(state), "StateReadOptions.Network");
    }

    /// <summary>
    /// A prefix of the network's own is not taken off; one that does not lead to a fit leaves the error about the layers.
    /// </summary>
    [TestMethod]
    public void ANetworksOwnNamesStay()
    {
        var inner = Network();
        var outer = new Sequential("Net");
        outer.Add("module", inner);
        var state = SafeTensors.Read(SafeTensors.ToBytes(outer.StateDict()), new StateReadOptions { Network = outer });
        Assert.AreSequenceEqual(outer.StateDict().Names.ToArray(), state.Names.ToArray());
        Assert.IsEmpty(state.Notes);
        inner.LoadStateDict(SafeTensors.Read(SafeTensors.ToBytes(outer.StateDict()), new StateReadOptions { Network = inner }));
        inner.LoadStateDict(SafeTensors.Read(SafeTensors.ToBytes(outer.StateDict()), new StateReadOptions { Key = "module" }));
        Failure.Of<DataException>(() => SafeTensors.Read(SafeTensors.ToBytes(outer.StateDict()), new StateReadOptions { Key = "net" }),
            "no tensors under 'net'", "'module'");
        var other = new Sequential("Net");
        other.Add("fc", new Linear(2, 3));
        var error = Failure.Of<DataException>(() => other.LoadStateDict(PyTorchFile.Read(Path.Combine(Folder, "net.pth"),
            new StateReadOptions { Network = other })), "unexpected: conv.weight");
        Assert.DoesNotContain("net.conv", error.Message);
    }

    /// <summary>The folder in the archive has the name of the file that was saved, with whatever is in it.</summary>
    [TestMethod]
    [DataRow("a b.c")]
    [DataRow("C:x")]
    [DataRow("..")]
    [DataRow("名前")]
    [DataRow("tab\tand\\slash")]
    public void TheArchivesFolderHasAnyName(string name)
    {
        using var zip = new StoredZipWriter();
        zip.Add($"{name}/data.pkl", Pth.Pickle(Pth.OneTensor()));
        zip.Add($"{name}/data/0", new byte[16]);
        Assert.AreEqual(new Shape(2, 2), PyTorchFile.Read(zip.ToBytes())["w"].Shape);
    }

    /// <summary>By their first or last bytes, whatever their endings.</summary>
    [TestMethod]
    [DataRow("x.h5", "iUhERg0KGgoAAAAA", "HDF5", "--keras x.h5")]
    [DataRow("x.pth", "iUhERg0KGgoAAAAAAAgIAA==", "HDF5", "tf2onnx")]
    [DataRow("x.npy", "k05VTVBZAQB2AA==", "NumPy array", "torch.from_numpy")]
    [DataRow("x.index", "AAAAAAAAAAAAV/uAiyR1R9s=", "TensorFlow checkpoint", "tf2onnx")]
    [DataRow("checkpoint", "bW9kZWxfY2hlY2twb2ludF9wYXRoOiAieCI=", "TensorFlow checkpoint", "tf2onnx")]
    [DataRow("x.data-00000-of-00001", "AAAAAAAAAAAAAAAAAA==", "TensorFlow checkpoint", "tf2onnx")]
    [DataRow("x.pkl", "gASVCgAAAAAAAAB9lIwBYZRLAXMu", "pickle that torch.save did not write", "pickle.load")]
    [DataRow("x.pth", "dmVyc2lvbiBodHRwczovL2dpdC1sZnMuZ2l0aHViLmNvbS9zcGVjL3YxCg==", "Git LFS", "git lfs pull")]
    [DataRow("x.pth", "PGh0bWw+", "web page", "download")]
    [DataRow("model.safetensors.index.json", "ewogICJ3ZWlnaHRfbWFwIjoge319", "the parts of a large model", "name a part")]
    [DataRow("config.json", "eyJhcmNoaXRlY3R1cmVzIjogW119", "JSON", "not a model")]
    [DataRow("x.pth", "H4sIAAAAAAAAAw==", "gzip", "unpack it")]
    [DataRow("x.pth", "CAgSB3B5dG9yY2g=", "ONNX", "OnnxImporter")]
    [DataRow("x.pth", "", "is empty", "a state dict (.pth, .safetensors)")]
    public void ForeignFormatsAreNamedWithTheirCure(string name, string base64, string what, string cure)
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write(name, Convert.FromBase64String(base64));
        Failure.Of<DataException>(() => StateDictFile.Read(path), path, what, cure);
    }

    [TestMethod]
    public void EveryCutOfTheOldFormatAndSeededFlipsAreReadOrRefused() =>
        Assert.IsGreaterThan(200, States.Damage(File.ReadAllBytes(Path.Combine(Folder, "types_legacy.pth")),
            bytes => PyTorchFile.Read(bytes), flips: 2000));

    [TestMethod]
    public void SeededFlipsInACheckpointAreReadOrRefused()
    {
        byte[] file = File.ReadAllBytes(Path.Combine(Folder, "legacy.ckpt"));
        var random = new Random(3);
        for (int i = 0; i < 2000; i++)
        {
            byte[] flipped = [.. file];
            for (int bits = random.Next(1, 4); bits > 0; bits--) flipped[random.Next(file.Length)] ^= (byte)(1 << random.Next(8));
            States.Refuses(() => PyTorchFile.Read(flipped));
        }
    }

    [TestMethod]
    public void AStateDictWithSomethingElseInItIsNamed()
    {
        string tensor = Pth.Tensor("FloatStorage", 4, 0, "2,2", "2,1", "0");
        string inner = $"}}({Pth.Text("w")}{tensor}{Pth.Text("v")}{tensor}{Pth.Text("fc._extra_state")}Nu";
        byte[] file = Pth.Of(Pth.Pickle($"}}({Pth.Text("epoch")}K\u0001{Pth.Text("net")}{inner}u."), ("data/0", new byte[16]));
        Failure.Of<DataException>(() => PyTorchFile.Read(file),
            "'net' holds tensors, but 'fc._extra_state' in it is None, expected a tensor");
        // torch.save((state, 5), path)
        byte[] pair = Pth.Of(Pth.Pickle($"}}({Pth.Text("w")}{tensor}uK\u0005\u0086."), ("data/0", new byte[16]));
        Assert.Contains("under '0'", PyTorchFile.Read(pair).Notes.Single());
        Assert.HasCount(1, PyTorchFile.Read(pair, new StateReadOptions { Key = "0" }));
    }

    /// <summary>A dict inside itself, and one nested without end.</summary>
    [TestMethod]
    public void WhatRefersToItselfIsWalkedOnce()
    {
        string self = $"}}q\u0001{Pth.Text("a")}h\u0001s{Pth.Text("b")}h\u0001s.";
        Failure.Of<DataException>(() => PyTorchFile.Read(Pth.Of(Pth.Pickle(self))), "no dict of tensors");
        Failure.Of<DataException>(() => PyTorchFile.Read(Pth.Of(Pth.Pickle(self)), new StateReadOptions { Key = "a.b.a.b.a.c" }),
            "no 'a.b.a.b.a.c'");
        string deep = string.Concat(Enumerable.Repeat($"}}{Pth.Text("a")}", 3000)) + "}" + new string('s', 3000) + ".";
        Failure.Of<DataException>(() => PyTorchFile.Read(Pth.Of(Pth.Pickle(deep))), "no dict of tensors");
    }

    private static Sequential Network() => Networks.BnSequential();

    private static string StoredType(string name) => Values.GetProperty("types").GetProperty(name).GetProperty("stored").GetString()!;

    private static void AssertHolds(string values, StateDict state)
    {
        foreach (var entry in Values.GetProperty(values).EnumerateObject())
        {
            var tensor = state[entry.Name];
            Assert.AreSequenceEqual(entry.Value.GetProperty("shape").EnumerateArray().Select(size => size.GetInt32()).ToArray(),
                tensor.Shape.Sizes.ToArray(), entry.Name);
            Assert.AreEqual(entry.Value.GetProperty("bytes").GetString(), States.Hex(tensor), entry.Name);
        }
    }
}
