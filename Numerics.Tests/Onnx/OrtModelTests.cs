using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>A model in ONNX Runtime: what it says of itself, its runs, and that every misuse is an error with a message.</summary>
[TestClass]
public sealed class OrtModelTests
{
    private static byte[] Small => OnnxExporter.Export(OnnxNetworks.Small(), OnnxNetworks.SmallSample, "small",
        [new("key", "value")]).ToByteArray();

    [TestMethod]
    public void SaysWhatItIs()
    {
        using var folder = new ModelFolder();
        File.WriteAllBytes(folder["small.onnx"], Small);
        using var model = OrtModel.Load(folder["small.onnx"]);
        Assert.AreEqual("input float[batch, 1, 6, 9]", $"{model.Input}");
        Assert.AreEqual("logits float[batch, 3]", $"{model.Outputs.Single()}");
        Assert.AreEqual(folder["small.onnx"], model.Source);
        Assert.AreEqual(OrtDevice.Cpu, model.Device);
        Assert.AreEqual("cpu", model.DeviceName);
        Assert.AreEqual(17, model.Metadata.Opset);
        Assert.AreEqual(8, model.Metadata.IrVersion);
        Assert.StartsWith("OnnxLeNet ", model.Metadata.Producer);
        Assert.AreEqual("value", model.Metadata.Properties["key"]);
    }

    [TestMethod]
    public void FilesThatAreNoModelAreRefused()
    {
        using var folder = new ModelFolder();
        File.WriteAllBytes(folder["empty.onnx"], []);
        File.WriteAllText(folder["text.onnx"], "name,value\nthis,is no model\n");
        foreach (string path in (string[])[folder["missing.onnx"], folder["empty.onnx"], folder["text.onnx"], folder.Path])
            Assert.Contains(path, Assert.ThrowsExactly<OnnxException>(() => OrtModel.Load(path)).Message);
    }

    [TestMethod]
    public void TruncatedFilesAreRefused()
    {
        using var folder = new ModelFolder();
        byte[] whole = OnnxExporter.Export(OnnxNetworks.Small(), OnnxNetworks.SmallSample, "small").ToByteArray();
        for (int length = 0; length < whole.Length; length += 13)
        {
            File.WriteAllBytes(folder["cut.onnx"], whole[..length]);
            Assert.ThrowsExactly<OnnxException>(() => OrtModel.Load(folder["cut.onnx"]), $"{length} of {whole.Length} bytes");
        }
    }

    [TestMethod]
    public void AModelThatOnnxRuntimeRefusesIsAnErrorOfOneLine()
    {
        var proto = ModelProto.Parser.ParseFrom(Small);
        proto.Graph.Node[1].OpType = "NoSuchOperator";
        var error = Assert.ThrowsExactly<OnnxException>(() => OrtModel.Load(proto.ToByteArray(), source: "mine"));
        Assert.Contains("mine", error.Message);
        Assert.Contains("NoSuchOperator", error.Message);
        Assert.DoesNotContain("\n", error.Message);
    }

    [TestMethod]
    public void InputsOfAnotherTypeAreRefused()
    {
        var typed = ModelProto.Parser.ParseFrom(Small);
        typed.Graph.Input.Add(new ValueInfoProto { Name = "second", Type = typed.Graph.Input[0].Type.Clone() });
        typed.Graph.Input[1].Type.TensorType.ElemType = (int)TensorProto.Types.DataType.Int64;
        var error = Assert.ThrowsExactly<OnnxException>(() => OrtModel.Load(typed.ToByteArray()));
        Assert.Contains("second", error.Message);
    }

    [TestMethod]
    public void ARunOfATensorHasItsShape()
    {
        using var model = OrtModel.Load(Small);
        var x = OnnxNetworks.Random(OnnxNetworks.SmallSample.Prepend(5), 1);
        var y = model.Run(x);
        Assert.AreEqual(new Shape(5, 3), y.Shape);
        CollectionAssert.AreEqual(y.Data, model.Run(x.Data, 5));
        var into = new float[15];
        model.Run(x.Data, [5, 1, 6, 9], into);
        CollectionAssert.AreEqual(y.Data, into);
        CollectionAssert.AreEqual(y.Data, model.RunOutputs(x.Data, [5, 1, 6, 9])["logits"]);
    }

    [TestMethod]
    public void SamplesDoNotDependOnTheirBatch()
    {
        using var model = OrtModel.Load(Small);
        var x = OnnxNetworks.Random(OnnxNetworks.SmallSample.Prepend(4), 1);
        float[] together = model.Run(x).Data;
        for (int n = 0; n < 4; n++)
            Close.Assert($"sample {n}", together.AsSpan(3 * n, 3), model.Run(x.Data[(54 * n)..(54 * (n + 1))], 1), 0, 1e-5);
    }

    [TestMethod]
    public void InnerOutputsComeByName()
    {
        var proto = ModelProto.Parser.ParseFrom(Small);
        proto.Graph.Output.Add(new ValueInfoProto { Name = "maxpool1",
            Type = new TypeProto { TensorType = new() { ElemType = (int)TensorProto.Types.DataType.Float } } });
        using var model = OrtModel.Load(proto.ToByteArray());
        float[] x = OnnxNetworks.Random(OnnxNetworks.SmallSample.Prepend(2), 1).Data;
        var all = model.RunOutputs(x, [2, 1, 6, 9]);
        CollectionAssert.AreEquivalent((string[])["logits", "maxpool1"], all.Keys.ToArray());
        Assert.HasCount(6, all["logits"]);
        Assert.HasCount(16, all["maxpool1"]);
        var one = model.RunOutputs(x, [2, 1, 6, 9], ["maxpool1", "maxpool1"]);
        CollectionAssert.AreEqual(all["maxpool1"], one.Single().Value);
        var error = Assert.ThrowsExactly<OnnxException>(() => model.RunOutputs(x, [2, 1, 6, 9], ["conv1"]));
        Assert.Contains("'conv1'", error.Message);
    }

    [TestMethod]
    [DynamicData(nameof(WrongRuns))]
    public void InputsThatDoNotFitAreRefused(long[] shape, int values)
    {
        using var model = OrtModel.Load(Small, source: "mine");
        var x = new float[values];
        Assert.Contains("mine", Assert.ThrowsExactly<OnnxException>(() => model.Run(x, shape, new float[6])).Message);
        Assert.Contains("mine", Assert.ThrowsExactly<OnnxException>(() => model.RunOutputs(x, shape)).Message);
        model.Run(new Tensor(OnnxNetworks.SmallSample.Prepend(2))); // and it still runs
    }

    [TestMethod]
    public void BatchesThatDoNotFitAreRefused()
    {
        using var model = OrtModel.Load(Small);
        foreach (int batch in (int[])[-1, 0, 1, 3, int.MaxValue]) Assert.ThrowsExactly<OnnxException>(() =>
            model.Run(new float[108], batch), $"{batch}");
        Assert.ThrowsExactly<OnnxException>(() => model.Run(new Tensor(new Shape(2, 1, 9, 6))));
        Assert.ThrowsExactly<OnnxException>(() => model.Run(new Tensor(new Shape(1, 6, 9))));
        Assert.ThrowsExactly<OnnxException>(() => model.Run(new Tensor(new Shape(0, 1, 6, 9))));
        Assert.HasCount(6, model.Run(new float[108], 2));
    }

    [TestMethod]
    [DataRow(0)]
    [DataRow(5)]
    [DataRow(7)]
    public void OutputMemoryOfAnotherLengthIsRefusedAndUntouched(int length)
    {
        using var model = OrtModel.Load(Small);
        var output = new float[length];
        output.AsSpan().Fill(-123);
        var error = Assert.ThrowsExactly<OnnxException>(() => model.Run(new float[108], [2, 1, 6, 9], output));
        Assert.Contains("[2, 3]", error.Message);
        Assert.IsTrue(output.All(v => v == -123));
    }

    [TestMethod]
    public void RunsOverlapFromSeveralThreads()
    {
        var (network, sample) = OnnxNetworks.Get("uneven");
        using var model = OrtModel.Load(OnnxExporter.Export(network, sample, "uneven").ToByteArray(),
            new OrtOptions { IntraOpThreads = 1 });
        Tensor[] inputs = [.. Enumerable.Range(1, 4).Select(i => OnnxNetworks.Random(sample.Prepend(3 * i), i))];
        float[][] expected = [.. inputs.Select(x => model.Run(x).Data)];
        var errors = new System.Collections.Concurrent.ConcurrentQueue<Exception>();
        Thread[] threads = [.. Enumerable.Range(0, 4).Select(i => new Thread(() =>
        {
            try
            {
                for (int run = 0; run < 50; run++)
                {
                    int which = (i + run) % 4;
                    CollectionAssert.AreEqual(expected[which], model.Run(inputs[which]).Data);
                }
            }
            catch (Exception error) { errors.Enqueue(error); }
        }))];
        foreach (var thread in threads) thread.Start();
        foreach (var thread in threads) thread.Join();
        Assert.IsEmpty(errors, $"{errors.FirstOrDefault()}");
    }

    [TestMethod]
    public void DisposingTwiceIsNothingAndUseAfterItAnError()
    {
        var model = OrtModel.Load(Small);
        model.Run(new float[54], 1);
        model.Dispose();
        model.Dispose();
        Assert.ThrowsExactly<ObjectDisposedException>(() => model.Run(new float[54], 1));
        Assert.ThrowsExactly<ObjectDisposedException>(() => model.Run(new Tensor(OnnxNetworks.SmallSample.Prepend(1))));
        Assert.ThrowsExactly<ObjectDisposedException>(() => model.RunOutputs(new float[54], [1, 1, 6, 9]));
    }

    /// <summary>A model disposed while others run it: each run ends well or says that the model is gone.</summary>
    [TestMethod]
    public void DisposingWaitsForTheRunsUnderWay()
    {
        for (int round = 0; round < 5; round++)
        {
            var model = OrtModel.Load(Small, new OrtOptions { IntraOpThreads = 1 });
            var errors = new System.Collections.Concurrent.ConcurrentQueue<Exception>();
            using var started = new CountdownEvent(3);
            Thread[] threads = [.. Enumerable.Range(0, 3).Select(_ => new Thread(() =>
            {
                try
                {
                    model.Run(new float[54], 1);
                    started.Signal();
                    while (true) model.Run(new float[54], 1);
                }
                catch (ObjectDisposedException) { }
                catch (Exception error) { errors.Enqueue(error); }
            }))];
            foreach (var thread in threads) thread.Start();
            Assert.IsTrue(started.Wait(TimeSpan.FromSeconds(20), CancellationToken.None));
            model.Dispose();
            foreach (var thread in threads) Assert.IsTrue(thread.Join(TimeSpan.FromSeconds(20)));
            Assert.IsEmpty(errors, $"{errors.FirstOrDefault()}");
        }
    }

    public static IEnumerable<object[]> WrongRuns =>
    [
        [new long[] { 2, 1, 6, 9 }, 107],
        [new long[] { 2, 1, 6, 9 }, 109],
        [new long[] { 2, 1, 6, 9 }, 0],
        [new long[] { 2, 1, 9, 6 }, 108],
        [new long[] { 2, 2, 6, 9 }, 216],
        [new long[] { 1, 6, 9 }, 54],
        [new long[] { 1, 2, 1, 6, 9 }, 108],
        [Array.Empty<long>(), 1],
        [new long[] { 0, 1, 6, 9 }, 0],
        [new long[] { -1, 1, 6, 9 }, 54],
        [new[] { long.MaxValue, 1, 6, 9 }, 54],
    ];
}
