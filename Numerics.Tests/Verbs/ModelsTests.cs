using System.Collections;
using System.Reflection;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// The named networks: what goes in, what comes out, and what of them can be trained. They are F#, which <c>dotnet format</c> cannot see
/// from here, so they are found by their names.
/// </summary>
[TestClass]
public sealed class ModelsTests
{
    [TestMethod]
    [DataRow("lenet5", "[1, 32, 32]", "[10]", 61706)]
    [DataRow("lenet3", "[1, 32, 32]", "[10]", 81194)]
    [DataRow("lenet-rect", "[1, 32, 32]", "[10]", 71306)]
    [DataRow("lenet-rgb", "[3, 32, 32]", "[10]", 62006)]
    [DataRow("perceptron", "[3]", "[1]", 21)]
    [DataRow("linear1", "[1]", "[1]", 2)]
    [DataRow("sharpen", "[1, 200, 200]", "[1, 198, 198]", 9)]
    [DataRow("avgpool", "[1, 200, 200]", "[1, 100, 100]", 0)]
    [DataRow("bn-sequential", "[3, 4, 4]", "[3, 2, 2]", 90)]
    [DataRow("lenet5-1998", "[1, 32, 32]", "[10]", 61706)]
    [DataRow("small-vgg", "[1, 32, 32]", "[10]", 288170)]
    [DataRow("resnet20", "[1, 32, 32]", "[10]", 272186)] // 269,722 of the paper's for three channels and skips without weights
    [DataRow("small-mobilenet", "[1, 32, 32]", "[10]", 136202)]
    [DataRow("small-squeezenet", "[1, 32, 32]", "[10]", 61482)]
    [DataRow("all-cnn", "[1, 32, 32]", "[10]", 157098)]
    public void TakesReturnsAndHasSoManyParameters(string name, string sample, string result, int parameters)
    {
        var model = Named("get", name);
        var net = model.Build();
        Assert.AreEqual(sample, model.Sample.ToString());
        Assert.AreEqual(parameters, net.ParameterCount);
        Assert.AreEqual(result, net.Forward(new Batch(3, model.Sample)).Sample.ToString());
        Assert.AreEqual(model.Sample.Rank == 3 && model.Sample[1] == 32, model.Trains);
        if (model.Trains) Assert.AreEqual(name, Named("find", name).Name);
        else Failure.Of<ArgumentException>(() => Named("find", name), name, "lenet5, lenet3, lenet-rect, lenet-rgb");
    }

    [TestMethod]
    public void TheRowsAboveAreAllThereAre()
    {
        var all = Rows("all");
        CollectionAssert.AreEqual(
            new[] { "lenet5", "lenet3", "lenet-rect", "lenet-rgb", "lenet5-1998", "small-vgg", "resnet20", "small-mobilenet",
                "small-squeezenet", "all-cnn", "perceptron", "linear1", "sharpen", "avgpool", "bn-sequential" },
            all.Select(model => model.Name).ToArray());
        CollectionAssert.AreEqual(all.Where(model => model.Trains).Select(model => model.Name).ToArray(),
            Rows("classifiers").Select(model => model.Name).ToArray(), "the names that help lists");
        static Model[] Rows(string name) => [.. ((IEnumerable)Module.GetProperty(name)!.GetValue(null)!).Cast<object>()
            .Select(model => new Model(model))];
        Failure.Of<ArgumentException>(() => Named("get", "lenet99"), "there is no model 'lenet99'", "bn-sequential");
    }

    [TestMethod]
    [DataRow(1)]
    [DataRow(2)]
    [DataRow(25)]
    public void TheKernelOf6IsRefusedAtAnyBatchSize(int batch)
    {
        var net = (Sequential)Call("lenetRgbWithKernel", 6, new Generator(1));
        Failure.Of<ShapeException>(() => net.Forward(new Batch(batch, new Shape(3, 32, 32))),
            "Linear(in_features=400, out_features=120, bias=True)", "[400]", "[256]");
    }

    [TestMethod]
    public void BothWaysOfBuildingABatchNormAreTheSameNetwork()
    {
        var names = Named("get", "bn-sequential").Build();
        var positions = (Sequential)Call("bnByPosition", new BatchNorm2d(3), new Generator(1));
        CollectionAssert.AreEqual(new[] { "conv.weight", "conv.bias", "bn.weight", "bn.bias" },
            names.NamedParameters().Select(p => p.Name).ToArray());
        CollectionAssert.AreEqual(new[] { "0.weight", "0.bias", "1.weight", "1.bias" },
            positions.NamedParameters().Select(p => p.Name).ToArray());
        var x = Values.Batch(1, 2, new Shape(3, 4, 5));
        CollectionAssert.AreEqual(names.Forward(x).Values, positions.Forward(x).Values);
        var wrong = (Sequential)Call("bnByPosition", new BatchNorm1d(3), new Generator(1));
        Failure.Of<ShapeException>(() => wrong.Forward(x), "1: BatchNorm1d(3", "[2, 3, 2, 3]");
    }

    /// <summary>Every network of the documents, with its starting weights and in evaluation mode.</summary>
    internal static IEnumerable<(string Name, Sequential Network, Shape Sample)> All =>
        ((IEnumerable)Module.GetProperty("all")!.GetValue(null)!).Cast<object>()
        .Select(record => new Model(record)).Where(model => OnnxLeNet.Scripts.Models.zoo.All(other => other.Name != model.Name))
        .Select(model => (model.Name, (Sequential)model.Build().Eval(), model.Sample));

    private static readonly Type Module = Assembly.Load("OnnxLeNet.Scripts").GetType("OnnxLeNet.Scripts.Models", throwOnError: true)!;

    private static object Call(string function, params object[] arguments) =>
        Module.GetMethod(function)!.Invoke(null, BindingFlags.DoNotWrapExceptions, null, arguments, null)!;

    private static Model Named(string function, string name) => new(Call(function, name));

    private sealed class Model(object record)
    {
        public string Name => (string)Get("Name");

        public Shape Sample => (Shape)Get("Sample");

        public bool Trains => (bool)Get("Trains");

        public Sequential Build()
        {
            object build = Get("Build");
            return (Sequential)build.GetType().GetMethod("Invoke", [typeof(Generator)])!.Invoke(build, [new Generator(1)])!;
        }

        private object Get(string property) => record.GetType().GetProperty(property)!.GetValue(record)!;
    }
}
