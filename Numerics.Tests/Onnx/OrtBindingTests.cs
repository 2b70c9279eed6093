using System.Diagnostics;
using Google.Protobuf;
using Microsoft.ML.OnnxRuntime;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>A model bound to memory of its own: the same numbers as any other run, and nothing added to ONNX Runtime's own time and
/// memory.</summary>
[TestClass]
[DoNotParallelize]
public sealed class OrtBindingTests
{
    private static byte[] Small => OnnxExporter.Export(OnnxNetworks.Small(), OnnxNetworks.SmallSample, "small").ToByteArray();

    [TestMethod]
    [DataRow(1)]
    [DataRow(5)]
    public void ABindingComputesWhatARunDoes(int batch)
    {
        using var model = OrtModel.Load(Small);
        using var bound = model.Bind(batch);
        CollectionAssert.AreEqual((long[])[batch, 1, 6, 9], bound.InputShape.ToArray());
        CollectionAssert.AreEqual((long[])[batch, 3], bound.OutputShape.ToArray());
        CollectionAssert.AreEqual(model.Run(new float[54 * batch], batch), bound.Output.ToArray(), "the first run, on zeros");
        for (int run = 1; run <= 3; run++)
        {
            var x = OnnxNetworks.Random(OnnxNetworks.SmallSample.Prepend(batch), run);
            x.Data.CopyTo(bound.Input);
            bound.Run();
            CollectionAssert.AreEqual(model.Run(x).Data, bound.Output.ToArray(), $"run {run}");
            CollectionAssert.AreEqual(x.Data, bound.Input.ToArray(), "the input stays");
        }
    }

    [TestMethod]
    public void ARunAllocatesNothing()
    {
        using var model = OrtModel.Load(LeNet5, new OrtOptions { IntraOpThreads = 1 });
        using var bound = model.Bind();
        for (int run = 0; run < 50; run++) bound.Run();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int run = 0; run < 1000; run++)
        {
            bound.Input[run] = run;
            bound.Run();
        }
        Assert.AreEqual(before, GC.GetAllocatedBytesForCurrentThread());
    }

    /// <summary>Against a session of ONNX Runtime alone with a binding of its own, in turn; the least of many rounds, which other programs
    /// disturb least.</summary>
    [TestMethod]
    public void ARunAddsLessThanTwoMicroseconds()
    {
        using var model = OrtModel.Load(LeNet5, new OrtOptions { IntraOpThreads = 1 });
        using var bound = model.Bind();
        using var settings = new SessionOptions { IntraOpNumThreads = 1 };
        using var session = new InferenceSession(LeNet5, settings);
        using var options = new RunOptions();
        using var binding = session.CreateIoBinding();
        float[] input = GC.AllocateArray<float>(1024, pinned: true), output = GC.AllocateArray<float>(10, pinned: true);
        using OrtValue x = OrtValue.CreateTensorValueFromMemory(input, [1, 1, 32, 32]),
            y = OrtValue.CreateTensorValueFromMemory(output, [1, 10]);
        binding.BindInput("input", x);
        binding.BindOutput("logits", y);

        double alone = double.MaxValue, ours = double.MaxValue;
        for (int round = 0; round < 60; round++)
        {
            alone = Math.Min(alone, Microseconds(() => session.RunWithBinding(options, binding)));
            ours = Math.Min(ours, Microseconds(bound.Run));
        }
        CollectionAssert.AreEqual(output, bound.Output.ToArray());
        Console.WriteLine($"ONNX Runtime alone {alone:F2} µs, bound {ours:F2} µs");
        Assert.IsLessThan(2.0, ours - alone, $"ONNX Runtime alone {alone:F2} µs, bound {ours:F2} µs");

        static double Microseconds(Action run)
        {
            const int Runs = 50;
            long began = Stopwatch.GetTimestamp();
            for (int i = 0; i < Runs; i++) run();
            return Stopwatch.GetElapsedTime(began).TotalMicroseconds / Runs;
        }
    }

    [TestMethod]
    public void EachThreadBindsForItself()
    {
        using var model = OrtModel.Load(LeNet5, new OrtOptions { IntraOpThreads = 1 });
        Tensor[] inputs = [.. Enumerable.Range(0, 3).Select(i => OnnxNetworks.Random(new Shape(2, 1, 32, 32), i))];
        float[][] expected = [.. inputs.Select(x => model.Run(x).Data)];
        var errors = new System.Collections.Concurrent.ConcurrentQueue<Exception>();
        Thread[] threads = [.. Enumerable.Range(0, 3).Select(first => new Thread(() =>
        {
            try
            {
                using var bound = model.Bind(2);
                for (int run = 0; run < 60; run++)
                {
                    int which = (first + run) % 3;
                    inputs[which].Data.CopyTo(bound.Input);
                    bound.Run();
                    CollectionAssert.AreEqual(expected[which], bound.Output.ToArray());
                }
            }
            catch (Exception error) { errors.Enqueue(error); }
        }))];
        foreach (var thread in threads) thread.Start();
        foreach (var thread in threads) thread.Join();
        Assert.IsEmpty(errors, $"{errors.FirstOrDefault()}");
    }

    /// <summary>Two runs of one binding at once would write over each other: told, and the one under way ends well.</summary>
    [TestMethod]
    public void TwoThreadsInOneBindingAreToldSo()
    {
        using var model = OrtModel.Load(LeNet5, new OrtOptions { IntraOpThreads = 1 });
        using var bound = model.Bind(256);
        int refused = 0;
        using var barrier = new Barrier(2);
        Thread[] threads = [.. Enumerable.Range(0, 2).Select(_ => new Thread(() =>
        {
            for (int run = 0; run < 200 && Volatile.Read(ref refused) == 0; run++)
            {
                barrier.SignalAndWait(TimeSpan.FromSeconds(20));
                try { bound.Run(); }
                catch (InvalidOperationException) { Interlocked.Increment(ref refused); }
                barrier.SignalAndWait(TimeSpan.FromSeconds(20));
            }
        }))];
        foreach (var thread in threads) thread.Start();
        foreach (var thread in threads) Assert.IsTrue(thread.Join(TimeSpan.FromSeconds(60)));
        Assert.AreEqual(1, refused);
        bound.Run();
    }

    /// <summary>The memory of a run under way is released by its end, not under it; no run begins afterwards.</summary>
    [TestMethod]
    public void ADisposalDuringARunWaitsForIt()
    {
        var model = OrtModel.Load(LeNet5, new OrtOptions { IntraOpThreads = 1 });
        int ended = 0;
        for (int round = 0; round < 40; round++)
        {
            var bound = model.Bind(256);
            using var started = new ManualResetEventSlim();
            Exception? error = null;
            var thread = new Thread(() =>
            {
                try
                {
                    while (true)
                    {
                        started.Set();
                        bound.Run();
                        Interlocked.Increment(ref ended);
                    }
                }
                catch (Exception caught) { error = caught; }
            });
            thread.Start();
            Assert.IsTrue(started.Wait(TimeSpan.FromSeconds(60)));
            Thread.SpinWait(1000 * round);
            bound.Dispose();
            bound.Dispose();
            Assert.IsTrue(thread.Join(TimeSpan.FromSeconds(60)));
            Assert.IsInstanceOfType<ObjectDisposedException>(error);
        }
        Assert.IsGreaterThan(0, ended);
        // Every binding has let go of the model: it is released now.
        model.Dispose();
        Assert.ThrowsExactly<ObjectDisposedException>(() => model.Bind());
    }

    [TestMethod]
    public void ABindingKeepsItsModelUntilItIsDisposed()
    {
        var model = OrtModel.Load(Small);
        var bound = model.Bind();
        model.Dispose();
        Assert.ThrowsExactly<ObjectDisposedException>(bound.Run);
        Assert.ThrowsExactly<ObjectDisposedException>(() => model.Bind());
        Assert.AreEqual(3, bound.Output.Length);
        bound.Dispose();
        bound.Dispose();
        Assert.ThrowsExactly<ObjectDisposedException>(bound.Run);
    }

    [TestMethod]
    public void SizesThatCannotBeBoundAreRefused()
    {
        using var model = OrtModel.Load(Small, source: "mine");
        foreach (int batch in (int[])[-1, 0]) Failure.Of<OnnxException>(() => model.Bind(batch), "mine", $"[{batch}, 1, 6, 9]");
        Failure.Of<OnnxException>(() => model.Bind(int.MaxValue), "mine", "more values than an array holds");
        var open = ModelProto.Parser.ParseFrom(Small);
        open.Graph.Input[0].Type.TensorType.Shape.Dim[2].DimParam = "height";
        using var height = OrtModel.Load(open.ToByteArray(), source: "open");
        Failure.Of<OnnxException>(() => height.Bind(), "open", "height");
        model.Bind(3).Dispose(); // and it still binds
    }

    [TestMethod]
    public void WarmUpRunsTheSizesAskedFor()
    {
        using var model = OrtModel.Load(Small, source: "mine");
        model.WarmUp(1, 7, 64);
        Failure.Of<OnnxException>(() => model.WarmUp(1, 0), "mine", "[0, 1, 6, 9]");
        model.Dispose();
        Assert.ThrowsExactly<ObjectDisposedException>(() => model.WarmUp(1));
    }

    [TestMethod]
    public void TheProfileSaysWhatRanWhere()
    {
        var plain = OrtPlacement.Of(Small, new OrtOptions { Optimize = false });
        CollectionAssert.AreEqual((string[])["Conv", "Relu", "MaxPool", "Flatten", "Gemm"], plain.Select(p => p.OpType).ToArray());
        CollectionAssert.AreEqual(ModelProto.Parser.ParseFrom(Small).Graph.Node.Select(n => n.Name).ToArray(),
            plain.Select(p => p.Node).ToArray());
        Assert.IsTrue(plain.All(p => p.Provider == "CPUExecutionProvider"));
        var optimized = OrtPlacement.Of(Small);
        Assert.IsNotEmpty(optimized);
        Assert.DoesNotContain("Relu", optimized.Select(p => p.OpType),
            $"convolution and ReLU are one node then: {string.Join(", ", optimized)}");
    }

    /// <summary>Names are the file's, and ONNX Runtime writes them into its profile.</summary>
    [TestMethod]
    public void TheProfileOfANodeWithAnyName()
    {
        var model = Graphs.Of(13, new Shape(2), "Relu x -> y");
        model.Graph.Node[0].Name = "a\"b\\\n";
        var placed = OrtPlacement.Of(model.ToByteArray());
        Assert.HasCount(1, placed);
        Assert.AreEqual("Relu", placed[0].OpType);
    }

    private static byte[] LeNet5 => OnnxExporter.Export(Networks.LeNet5(1), new Shape(1, 32, 32), "lenet5").ToByteArray();
}
