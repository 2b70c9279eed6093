using System.Globalization;
using System.Text.Json;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Files by PyTorch 1.13, which state_torch.py wrote, and files for PyTorch.</summary>
[TestClass]
public sealed class PyTorchFileTests
{
    [TestMethod]
    [DataRow("state_lenet", null)]
    [DataRow("state_views", null)]
    [DataRow("state_checkpoint", "state_dict")]
    public void ReadsWhatPyTorchWrote(string name, string? key)
    {
        var state = PyTorchFile.Read(Reference($"{name}.pth"), new StateReadOptions { Key = key });
        using var values = JsonDocument.Parse(File.ReadAllText(Reference("state_values.json")));
        Assert.AreSequenceEqual(Lines(values.RootElement.GetProperty(name)), Lines(state));
    }

    [TestMethod]
    public void ReadsABatchNormsCounter()
    {
        var state = PyTorchFile.Read(Reference("state_lenet.pth"));
        Assert.AreEqual("Int64 []", state["features.1.num_batches_tracked"].ToString());
        Assert.AreEqual(1L, state["features.1.num_batches_tracked"].AsInt64()[0]);
        Assert.AreEqual(new Shape(3, 1, 3, 5), state["features.0.weight"].Shape);
    }

    /// <summary>A storage that two tensors share is not shared here: to change one must not change the other.</summary>
    [TestMethod]
    public void TensorsHaveElementsOfTheirOwn()
    {
        var state = PyTorchFile.Read(Reference("state_views.pth"));
        state["shared"].AsTensor().Data[6] = 99;
        Assert.AreEqual(-0.25f, state["transposed"].AsTensor()[0, 1]);
        Assert.AreEqual(-0.25f, state["offset"].AsTensor()[0, 1]);
    }

    [TestMethod]
    public void ACheckpointIsReadByTheNameOfItsStateDict()
    {
        string file = Reference("state_checkpoint.pth");
        var found = PyTorchFile.Read(file);
        States.AssertSame(PyTorchFile.Read(file, Under("state_dict")), found);
        Assert.AreEqual($"{file}: the state dict is the one under 'state_dict'", found.Notes.Single());
        Assert.IsEmpty(PyTorchFile.Read(file, Under("state_dict")).Notes);
        Failure.Of<DataException>(() => PyTorchFile.Read(file, Under("model")), "no 'model'", "under 'state_dict'");
        Failure.Of<DataException>(() => PyTorchFile.Read(file, Under("epoch")), "'epoch' is an integer", "under 'state_dict'");
        Failure.Of<DataException>(() => PyTorchFile.Read(file, Under("optimizer")), "'state' is a dict of 2, expected a tensor");
        Assert.AreEqual(new Shape(1, 2), PyTorchFile.Read(file, Under("optimizer.state.0"))["momentum_buffer"].Shape);
    }

    private static StateReadOptions Under(string key) => new() { Key = key };

    [TestMethod]
    public void OtherFilesAreNamedForWhatTheyAre()
    {
        Assert.AreSequenceEqual(new float[] { 1, 1 }, PyTorchFile.Read(Reference("state_legacy.pth"))["weight"].AsTensor().Data);
        Failure.Of<DataException>(() => PyTorchFile.Read(Reference("state_values.json")), "a JSON text, not a model");
        Failure.Of<DataException>(() => PyTorchFile.Read("/no/such.pth"), "/no/such.pth");
        byte[] tar = new byte[512];
        "ustar"u8.CopyTo(tar.AsSpan(257));
        Failure.Of<DataException>(() => PyTorchFile.Read(tar), "tar");
        Failure.Of<DataException>(() => PyTorchFile.Read(Pth.Of(Pth.Empty, ("constants.pkl", [1]))), "TorchScript");
        Failure.Of<DataException>(() => PyTorchFile.Read(Pth.Of(Pth.Empty, ("byteorder", "big"u8.ToArray()))), "little-endian");
    }

    [TestMethod]
    public void RoundTripsBitForBit()
    {
        using var folder = new ModelFolder();
        States.AssertSame(States.Varied(), PyTorchFile.Read(PyTorchFile.ToBytes(States.Varied())));
        States.AssertSame(new StateDict(), PyTorchFile.Read(PyTorchFile.ToBytes(new StateDict())));
        PyTorchFile.Write(States.Varied(), folder["new/a.pth"]);
        States.AssertSame(States.Varied(), PyTorchFile.Read(folder["new/a.pth"]));
        PyTorchFile.Write(States.Varied(), folder["other name.pth"]);
        Assert.AreSequenceEqual(File.ReadAllBytes(folder["new/a.pth"]), File.ReadAllBytes(folder["other name.pth"]));
        Failure.Of<DataException>(() => PyTorchFile.ToBytes(new StateDict { { "half \uD83D", StateTensor.Of(1) } }), "Unicode");
    }

    /// <summary>What later versions add: entries beside the tensors, and a seventh argument, which is refused when it says
    /// something.</summary>
    [TestMethod]
    public void ReadsLaterVersions()
    {
        byte[] data = new byte[16];
        (string, byte[])[] entries = [(".format_version", "1"u8.ToArray()), ("byteorder", "little"u8.ToArray()), ("data/0", data),
            (".data/serialization_id", "12"u8.ToArray())];
        string pickle = Pth.OneTensor();
        Assert.AreEqual(new Shape(2, 2), PyTorchFile.Read(Pth.Of(Pth.Pickle(pickle), entries))["w"].Shape);
        Assert.AreEqual(new Shape(2, 2), PyTorchFile.Read(Pth.Of(Pth.Pickle(pickle.Replace(")RtR", ")RNtR", StringComparison.Ordinal)),
            entries))["w"].Shape);
        string conjugate = pickle.Replace(")RtR", $")R}}{Pth.Text("conj")}\u0088stR", StringComparison.Ordinal);
        Failure.Of<DataException>(() => PyTorchFile.Read(Pth.Of(Pth.Pickle(conjugate), entries)), "a tensor is put together from",
            "a dict of 1");
    }

    [TestMethod]
    public void WhatCouldNotBeReadIsNotWritten()
    {
        var state = new StateDict();
        for (int i = 0; i <= 10_000; i++) state.Add(string.Create(CultureInfo.InvariantCulture, $"{i}"), StateTensor.Of(i));
        Failure.Of<DataException>(() => PyTorchFile.ToBytes(state), "10001 tensors");
        Failure.Of<DataException>(() => PyTorchFile.ToBytes(new StateDict { { new string('n', 17 << 20), StateTensor.Of(1) } }), "at most");
        var axes = new StateDict();
        for (int i = 0; i < 10_000; i++) axes.Add(string.Create(CultureInfo.InvariantCulture, $"{i}"),
            new Tensor(new Shape([.. Enumerable.Repeat(1, 64)])));
        Assert.HasCount(10_000, PyTorchFile.Read(PyTorchFile.ToBytes(axes)));
    }

    /// <summary>More names than the pickler sets at once, integers of every length.</summary>
    [TestMethod]
    public void RoundTripsManyTensors()
    {
        var state = new StateDict();
        for (int i = 0; i < 2500; i++) state.Add(string.Create(CultureInfo.InvariantCulture, $"layer.{i}"),
            new Tensor(new Shape(i % 7), Values.Uniform(i, i % 7)));
        state.Add("long", new Tensor(new Shape(300, 301), Values.Uniform(1, 300 * 301)));
        state.Add("no elements", new Tensor(new Shape(0, 70_000, 1, 70_000)));
        States.AssertSame(state, PyTorchFile.Read(PyTorchFile.ToBytes(state)));
    }

    [TestMethod]
    public void NonFiniteWeightsAreReadOnlyWhenAllowed()
    {
        byte[] bytes = PyTorchFile.ToBytes(States.NonFinite());
        Failure.Of<DataException>(() => PyTorchFile.Read(bytes), "'w'", "NaN", "[1] of [4]", "AllowNonFinite", "--allow-non-finite");
        States.AssertSame(States.NonFinite(), PyTorchFile.Read(bytes, new StateReadOptions { AllowNonFinite = true }));
    }

    /// <summary>The data begin at multiples of 64, so that PyTorch can map them.</summary>
    [TestMethod]
    public void DataAreAligned()
    {
        byte[] bytes = PyTorchFile.ToBytes(new StateDict { { "w", new Tensor(new Shape(3), [1.25f, 2.5f, 3.75f]) },
            { "v", new Tensor(new Shape(1), [1.125f]) } });
        Assert.AreEqual(0, bytes.AsSpan().IndexOf((ReadOnlySpan<byte>)[0, 0, 0xA0, 0x3F, 0, 0, 0x20, 0x40]) % StoredZipWriter.Alignment);
        Assert.AreEqual(0, bytes.AsSpan().IndexOf((ReadOnlySpan<byte>)[0, 0, 0x90, 0x3F]) % StoredZipWriter.Alignment);
    }

    /// <summary>With weights_only off and on: an OrderedDict of the same names in the same order, types, shapes and bits, plain tensors
    /// all.</summary>
    [TestMethod]
    public void PyTorchLoadsWhatIsWritten()
    {
        PyTorch.Require();
        using var folder = new ModelFolder();
        var state = States.Varied();
        state.Add("no elements", new Tensor(new Shape(0, 70_000, 1, 70_000)));
        for (int i = 0; i < 1500; i++) state.Add(string.Create(CultureInfo.InvariantCulture, $"layer.{i}"),
            new Tensor(new Shape(1, 2), [i, -i]));
        PyTorchFile.Write(state, folder["written.pth"]);
        var loads = PyTorch.State("read", folder["written.pth"]);
        foreach (string weightsOnly in new[] { "False", "True" })
        {
            var loaded = loads.GetProperty(weightsOnly);
            Assert.AreEqual("OrderedDict", loaded.GetProperty("class").GetString());
            Assert.AreSequenceEqual(Lines(state), Lines(loaded.GetProperty("tensors")));
            foreach (var tensor in loaded.GetProperty("tensors").EnumerateArray())
            {
                Assert.AreEqual(tensor.GetProperty("type").GetString() == "Int64" ? "torch.int64"
                    : "torch.float32", tensor.GetProperty("dtype").GetString());
                Assert.IsTrue(tensor.GetProperty("plain").GetBoolean(), tensor.GetProperty("name").GetString());
            }
        }
    }

    private static string Reference(string file) => Path.Combine(Repository.Root, "Numerics.Tests", "Reference", file);

    private static string[] Lines(StateDict state) => [.. state.Select(e => $"{e.Key}: {e.Value} {States.Hex(e.Value)}")];

    private static string[] Lines(JsonElement tensors) =>
        [.. tensors.EnumerateArray().Select(t => $"{t.GetProperty("name")}: {t.GetProperty("type")} "
        + $"[{string.Join(", ", t.GetProperty("shape").EnumerateArray())}] {t.GetProperty("bytes")}")];
}
