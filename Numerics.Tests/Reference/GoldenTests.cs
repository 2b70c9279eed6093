using System.Text.Json;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Against values that PyTorch computed once: golden.json, which golden.py beside it writes.</summary>
[TestClass]
[DoNotParallelize]
public sealed class GoldenTests
{
    private static readonly JsonElement Golden = Load();

    public static IEnumerable<string> Names => Implementations.Names;

    [TestMethod]
    [DynamicData(nameof(Names))]
    public void Layers(string implementation)
    {
        using var _ = Implementations.Use(implementation);
        foreach (var item in Golden.GetProperty("layers").EnumerateArray())
        {
            string name = item.GetProperty("name").GetString()!;
            Module module = name switch
            {
                "conv" => new Conv2d(Int(item, "in"), Int(item, "out"), Pair(item, "kernel"), Pair(item, "stride"), Pair(item, "padding"),
                    Pair(item, "dilation"), bias: Bool(item, "bias")),
                "pool" => new MaxPool2d(Pair(item, "kernel"), Pair(item, "stride"), Pair(item, "padding"), Pair(item, "dilation")),
                _ => new Linear(Int(item, "in"), Int(item, "out"), Bool(item, "bias")),
            };
            foreach (var (parameter, values) in module.Parameters().Zip(item.GetProperty("parameters").EnumerateArray()))
                Numbers(values).ToFloat().CopyTo(parameter.Value.Data, 0);
            var y = module.Forward(Batch(item, "x", "xShape"));
            Assert.AreEqual(Shape(item, "yShape"), y.Sample.Prepend(y.Count));
            Close.AssertRelative($"{module}: y", Numbers(item, "y"), y.ToTensor().Data, 1e-5);
            var dx = module.Backward(Batch(item, "dy", "yShape"))!;
            Close.AssertRelative($"{module}: dx", Numbers(item, "dx"), dx.ToTensor().Data, 1e-5);
            var gradients = item.GetProperty("gradients").EnumerateArray().Select(Numbers).ToArray();
            Assert.AreEqual(gradients.Length, module.Parameters().Count());
            foreach (var ((parameterName, parameter), values) in module.NamedParameters().Zip(gradients))
                Close.AssertRelative($"{module}: {parameterName}'s gradient", values, parameter.Grad!.Data, 1e-5);
        }
    }

    [TestMethod]
    public void CrossEntropy()
    {
        foreach (var item in Golden.GetProperty("crossEntropy").EnumerateArray())
        {
            var loss = new CrossEntropyLoss();
            int[] labels = [.. item.GetProperty("labels").EnumerateArray().Select(label => label.GetInt32())];
            double value = loss.Forward(Batch(item, "x", "xShape"), labels);
            Close.Assert("loss", [item.GetProperty("loss").GetDouble()], [value], 1e-6, 1e-6);
            Close.Assert("gradient", Numbers(item, "dx"), loss.Backward().ToTensor().Data, 0, 1e-6);
        }
    }

    [TestMethod]
    [DynamicData(nameof(Names))]
    public void SgdTraces(string implementation)
    {
        using var _ = Implementations.Use(implementation);
        foreach (var item in Golden.GetProperty("sgd").EnumerateArray())
        {
            float[] start = Numbers(item, "start").ToFloat();
            var parameter = new Parameter(new Tensor(new Shape(start.Length), start));
            var optimizer = new SGD([parameter], 0.1, Double(item, "momentum"), Double(item, "dampening"), Double(item, "weightDecay"),
                Bool(item, "nesterov"));
            foreach (var (gradient, expected) in item.GetProperty("gradients").EnumerateArray()
                .Zip(item.GetProperty("trace").EnumerateArray()))
            {
                optimizer.ZeroGrad();
                SGDTests.Give(parameter, Numbers(gradient).ToFloat());
                optimizer.Step();
                Close.Assert($"momentum {optimizer.Momentum}, dampening {optimizer.Dampening}", Numbers(expected), parameter.Value.Data,
                    1e-5, 1e-6);
            }
        }
    }

    [TestMethod]
    public void CosineRates()
    {
        foreach (var item in Golden.GetProperty("cosine").EnumerateArray())
        {
            var optimizer = new SGD([new Parameter(1)], Double(item, "lr"));
            var schedule = new CosineAnnealingLR(optimizer, Int(item, "steps"), Double(item, "last"));
            foreach (double rate in Numbers(item, "rates"))
            {
                schedule.Step();
                Close.Assert("rate", [rate], [optimizer.LearningRate], 1e-12, 1e-15);
            }
        }
    }

    private static JsonElement Load()
    {
        using var document = JsonDocument.Parse(File.ReadAllText(Path.Combine(Repository.Root, "Numerics.Tests", "Reference",
            "golden.json")));
        return document.RootElement.Clone();
    }

    private static double[] Numbers(JsonElement array) => [.. array.EnumerateArray().Select(number => number.GetDouble())];

    private static double[] Numbers(JsonElement item, string name) => Numbers(item.GetProperty(name));

    private static int Int(JsonElement item, string name) => item.GetProperty(name).GetInt32();

    private static double Double(JsonElement item, string name) => item.GetProperty(name).GetDouble();

    private static bool Bool(JsonElement item, string name) => item.GetProperty(name).GetBoolean();

    private static Size2 Pair(JsonElement item, string name) =>
        (item.GetProperty(name)[0].GetInt32(), item.GetProperty(name)[1].GetInt32());

    private static Shape Shape(JsonElement item, string name) => new([.. Numbers(item, name).Select(size => (int)size)]);

    private static Batch Batch(JsonElement item, string values, string shape) =>
        Numerics.Batch.FromTensor(new Tensor(Shape(item, shape), Numbers(item, values).ToFloat()));
}
