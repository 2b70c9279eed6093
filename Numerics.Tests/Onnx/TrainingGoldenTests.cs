using System.Text.Json;
using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>The layers' backward in ONNX against gradients that PyTorch computed: torch_nn.json.</summary>
[TestClass]
public sealed class TrainingGoldenTests
{
    /// <summary>All layers in training; a dropout's mask is PyTorch's own.</summary>
    public static IEnumerable<string> Names => TorchNn.Names("layers").Where(name => TorchNn.Case("layers", name) is var item
        && item.GetProperty("type").GetString() != "Dropout" && (!item.TryGetProperty("train", out var train) || train.GetBoolean()));

    [TestMethod]
    [DynamicData(nameof(Names))]
    public void GradientsAgree(string name)
    {
        var item = TorchNn.Case("layers", name);
        var steps = item.GetProperty("steps").EnumerateArray().ToArray();
        var layer = TorchNn.Module(item);
        if (item.TryGetProperty("state", out var state)) layer.LoadStateDict(TorchNn.State(state));
        var graph = new TrainingGraphOptions { Loss = TrainingLoss.MeanSquaredError, Gradients = true, InputGradient = true };
        // Steps of one case may have images of other sizes: each is a graph of its own, the layer's buffers go on.
        foreach (var step in steps)
        {
            var sample = TorchNn.Shape(step, "xShape").WithoutFirst();
            var network = new Sequential();
            // A step needs something to train: without parameters of its own, the layer stands behind one that changes nothing.
            if (!layer.Parameters().Any()) AddIdentity(network, sample);
            network.Add("layer", layer);
            using var trainer = OrtTrainer.Create(network, sample, new SGD(network.Parameters(), 0), graph);
            double[] y = TorchNn.Numbers(step, "y"), dy = TorchNn.Numbers(step, "dy");
            // 2·(y − t)/n is the given gradient for this target.
            float[] target = [.. y.Zip(dy, (value, gradient) => (float)(value - gradient * y.Length / 2))];
            trainer.Step(TorchNn.Numbers(step, "x").ToFloat(), target);
            Close.AssertRelative("y", y, trainer.Logits, 1e-5);
            // Two samples' batch normalization has a dx of almost nothing, where terms of dy's size cancel.
            double[] dx = TorchNn.Numbers(step, "dx");
            double scale = Math.Max(dx.Max(Math.Abs), 0.01 * dy.Max(Math.Abs));
            Close.Assert("dx", dx, trainer.Gradient("input"), 0, 1e-5 * scale);
            foreach (var ((parameter, _), expected) in layer.NamedParameters().Zip(step.GetProperty("gradients").EnumerateArray()))
                Close.AssertRelative(parameter, [.. expected.EnumerateArray().Select(number => number.GetDouble())],
                    trainer.Gradient($"layer.{parameter}"), 1e-5);
            trainer.Store();
            foreach (var (buffer, expected) in TorchNn.State(step.GetProperty("buffers")))
            {
                var actual = network.StateDict()[$"layer.{buffer}"];
                if (actual.Type == ElementType.Int64) CollectionAssert.AreEqual(expected.AsInt64(), actual.AsInt64());
                else Close.AssertRelative(buffer, expected.AsTensor().Data.ToDouble(), actual.AsTensor().Data, 1e-5);
            }
        }
    }

    private static void AddIdentity(Sequential network, Shape sample)
    {
        if (sample.Rank == 1)
        {
            var linear = new Linear(sample[0], sample[0], bias: false);
            linear.Weight.Value.Data.AsSpan().Clear();
            for (int i = 0; i < sample[0]; i++) linear.Weight.Value[i, i] = 1;
            network.Add("identity", linear);
            return;
        }
        var image = new Shape(sample[0], sample.Count / sample[0] / sample[sample.Rank - 1], sample[sample.Rank - 1]);
        var conv = new Conv2d(sample[0], sample[0], 1, groups: sample[0], bias: false);
        conv.Weight.Value.Data.AsSpan().Fill(1);
        if (image != sample) network.AddFunction(new Reshape(image));
        network.Add("identity", conv);
        if (image != sample) network.AddFunction(new Reshape(sample));
    }
}
