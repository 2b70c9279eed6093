using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Mul, Add, Sub and Div by constants: a bias by a node of its own, and scales and shifts anywhere in a chain.</summary>
[TestClass]
public sealed class ImportedArithmeticTests
{
    private static readonly Shape Image = new(2, 5, 6);

    /// <summary>
    /// Every shape that is broadcast to one number for each of four channels, on either side, behind [4, 4, 4]: the sizes alone do not tell
    /// the axis.
    /// </summary>
    [TestMethod]
    [DataRow("Add c b", new[] { 4, 1, 1 })]
    [DataRow("Add b c", new[] { 4, 1, 1 })]
    [DataRow("Add c b", new[] { 1, 4, 1, 1 })]
    [DataRow("Add b c", new[] { 1, 4, 1, 1 })]
    [DataRow("Sub c b", new[] { 1, 4, 1, 1 })]
    [DataRow("Add c b", new int[0])]
    [DataRow("Add c b", new[] { 1 })]
    [DataRow("Sub c b", new[] { 1, 1, 1, 1 })]
    public void ABiasBehindAConvolutionIsIts(string node, int[] shape)
    {
        var imported = Graphs.AssertImports(Graphs.Of(13, Image, $"Conv x w -> c\n{node} -> y", ("w", [4, 2, 2, 3]), ("b", shape)));
        var conv = (Conv2d)imported.Layers.Single().Layer;
        Assert.IsNotNull(conv.Bias);
        Assert.AreEqual("y", imported.Layers.Single().Value, "the layer returns what the Add does");
        Assert.IsEmpty(imported.Notes);
    }

    [TestMethod]
    [DataRow("Gemm x w -> m transB=1", "Add m b", new[] { 4 })]
    [DataRow("Gemm x w -> m transB=1", "Add b m", new[] { 1, 4 })]
    [DataRow("Gemm x w -> m transB=1", "Sub m b", new[] { 1, 4 })]
    [DataRow("MatMul x v -> m", "Add m b", new[] { 4 })]
    [DataRow("MatMul x v -> m", "Sub m b", new[] { 1, 4 })]
    [DataRow("MatMul x v -> m", "Add m b", new int[0])]
    public void ABiasBehindAProductIsIts(string product, string node, int[] shape)
    {
        var imported = Graphs.AssertImports(Graphs.Of(13, new Shape(5), $"{product}\n{node} -> y", ("w", [4, 5]), ("v", [5, 4]),
            ("b", shape)));
        Assert.IsNotNull(((Linear)imported.Layers.Single().Layer).Bias);
    }

    /// <summary>What only looks like a bias, and what comes behind one.</summary>
    [TestMethod]
    [DataRow("Conv x w -> c\nAdd c b -> y", new[] { 4 }, "Conv2d ScaleShift")]
    [DataRow("Conv x w -> c\nAdd c b -> y", new[] { 4, 4 }, "Conv2d ScaleShift")]
    [DataRow("Conv x w -> c\nAdd c b -> y", new[] { 4, 4, 4 }, "Conv2d ScaleShift")]
    [DataRow("Conv x w -> c\nSub b c -> y", new[] { 4, 1, 1 }, "Conv2d ScaleShift")]
    [DataRow("Conv x w -> c\nMul c b -> y", new[] { 4, 1, 1 }, "Conv2d ScaleShift")]
    [DataRow("Conv x w -> c\nAdd c b -> d\nAdd d b -> y", new[] { 4, 1, 1 }, "Conv2d ScaleShift")]
    [DataRow("Conv x w four -> c\nAdd c b -> y", new[] { 4, 1, 1 }, "Conv2d ScaleShift")]
    [DataRow("Conv x w -> c\nRelu c -> r\nAdd r b -> y", new[] { 4, 1, 1 }, "Conv2d ReLU ScaleShift")]
    public void WhatIsNoBiasIsALayerOfItsOwn(string nodes, int[] shape, string layers)
    {
        var imported = Graphs.AssertImports(Graphs.Of(13, Image, nodes, ("w", [4, 2, 2, 3]), ("b", shape), ("four", [4])));
        Assert.AreEqual(layers, string.Join(' ', imported.Layers.Select(layer => layer.Layer.GetType().Name)));
    }

    [TestMethod]
    [DataRow("Mul x k -> y", new int[0], "weight=[1]")]
    [DataRow("Mul k x -> y", new[] { 1, 2, 1, 1 }, "weight=[2, 1, 1]")]
    [DataRow("Div x k -> y", new[] { 1 }, "weight=[1]")]
    [DataRow("Div x k -> y", new[] { 2, 5, 6 }, "weight=[2, 5, 6]")]
    [DataRow("Add x k -> y", new[] { 5, 1 }, "bias=[5, 1]")]
    [DataRow("Sub x k -> y", new[] { 1, 1, 1, 6 }, "bias=[6]")]
    [DataRow("Sub k x -> y", new[] { 2, 1, 1 }, "weight=[1], bias=[2, 1, 1]")]
    [DataRow("Mul x k -> m\nAdd m k -> y", new[] { 2, 1, 1 }, "weight=[2, 1, 1], bias=[2, 1, 1]")]
    [DataRow("Div x k -> m\nSub m k -> y", new[] { 2, 1, 1 }, "weight=[2, 1, 1], bias=[2, 1, 1]")]
    [DataRow("Sub x k -> m\nDiv m k -> y", new[] { 2, 1, 1 }, "bias=[2, 1, 1] weight=[2, 1, 1]")]
    [DataRow("Mul x k -> m\nSub k m -> y", new[] { 6 }, "weight=[6] weight=[1], bias=[6]")]
    public void ScalesAndShiftsAreLayers(string nodes, int[] shape, string expected)
    {
        var imported = Graphs.AssertImports(Graphs.Of(13, Image, nodes, ("k", shape)));
        Assert.AreEqual(expected, string.Join(' ', imported.Layers.Select(layer => layer.Layer.ToString()!["ScaleShift(".Length..^1])));
        // A constant is no weight that was learned: training leaves it alone, and that is said.
        Assert.IsTrue(imported.Network.Parameters().All(parameter => !parameter.RequiresGrad));
        Assert.HasCount(imported.Layers.Count, imported.Notes);
        Assert.Contains("training leaves it as it is", imported.Notes[0]);
    }

    /// <summary>A sample may be one number, of no axes or of one.</summary>
    [TestMethod]
    [DataRow(new int[0])]
    [DataRow(new[] { 1 })]
    public void ASampleMayBeOneNumber(int[] sample)
    {
        foreach (int[] shape in (int[][])[[], [1]])
            Assert.HasCount(1, Graphs.AssertImports(Graphs.Of(13, new Shape(sample), "Mul x k -> m\nAdd m k -> y", ("k", shape))).Layers);
    }

    /// <summary>At the start, between layers and at the end, of images and of features.</summary>
    [TestMethod]
    public void TheyStandAnywhere()
    {
        const string Nodes = """
            Sub x mean -> centred
            Div centred std -> normal
            Conv normal w -> c
            Mul c gamma -> scaled
            Add scaled beta -> shifted
            Relu shifted -> r
            Flatten r -> f
            Div f each -> d
            MatMul d v -> m
            Add m b -> logits
            Mul logits temperature -> y
            """;
        var imported = Graphs.AssertImports(Graphs.Of(13, Image, Nodes, ("mean", [1, 2, 1, 1]), ("std", [2, 1, 1]), ("w", [3, 2, 3, 2]),
            ("gamma", [3, 1, 1]), ("beta", [1, 3, 1, 1]),
            ("each", [45]), ("v", [45, 4]), ("b", [4]), ("temperature", [])));
        Assert.AreEqual("ScaleShift ScaleShift Conv2d ScaleShift ReLU Flatten ScaleShift Linear ScaleShift",
            string.Join(' ', imported.Layers.Select(layer => layer.Layer.GetType().Name)));
        // All of them as the file has them in the proof by layers.
        var report = ParityValidation.Run(imported,
            OnnxFile.Parse(Google.Protobuf.MessageExtensions.ToByteArray(Graphs.Of(13, Image, Nodes, ("mean", [1, 2, 1, 1]),
            ("std", [2, 1, 1]),
            ("w", [3, 2, 3, 2]), ("gamma", [3, 1, 1]), ("beta", [1, 3, 1, 1]), ("each", [45]), ("v", [45, 4]), ("b", [4]),
                ("temperature", []))), "model"),
            new ValidationOptions { BatchSizes = [1, 7], Providers = ["simd"] });
        Assert.HasCount(9, report.Devices.Single().Layers);
        Assert.IsTrue(report.Passed, report.Devices.Single().FirstFailing?.ToString());
    }

    [TestMethod]
    [DataRow(13, "Mul x k -> y", new[] { 3, 2, 5, 6 }, "each of 3 samples")]
    [DataRow(13, "Mul x k -> y", new[] { 1, 1, 2, 5, 6 }, "more axes")]
    [DataRow(13, "Mul x k -> y", new[] { 4, 5, 6 }, "4 and 2 along axis 1")]
    [DataRow(13, "GlobalAveragePool x -> g\nAdd g k -> y", new[] { 2, 3, 1 }, "makes larger ones of them")]
    [DataRow(13, "Div k x -> y", new[] { 6 }, "divides the constant 'k' [6] by the samples")]
    [DataRow(6, "Add x k -> y", new[] { 6 }, "'broadcast' is 0")]
    [DataRow(6, "Add k x -> y broadcast=1", new[] { 6 }, "broadcasts the samples")]
    [DataRow(6, "Add x k -> y broadcast=1 axis=1", new[] { 6 }, "6 and 2 along axis 1")]
    [DataRow(13, "Div x k -> d\nErf d -> y", new[] { 1 }, "Erf")]
    public void WhatWouldChangeTheSamplesIsRefusedByName(int opset, string nodes, int[] shape, string part)
    {
        var error = Assert.ThrowsExactly<OnnxException>(() => OnnxImporter.Import(Graphs.Of(opset, Image, nodes, ("k", shape))));
        Assert.Contains("'y'", error.Message);
        Assert.Contains(part, error.Message);
    }

    [TestMethod]
    [DataRow(0f)]
    [DataRow(-0f)]
    [DataRow(1e-40f)]
    [DataRow(float.NaN)]
    public void ADivisionByZeroIsRefused(float divisor)
    {
        var model = Graphs.Of(13, Image, "Div x k -> y", ("k", [6]));
        model.Graph.Initializer[0].FloatData[2] = divisor;
        Failure.Of<OnnxException>(() => OnnxImporter.Import(model), "'y'", "holds a 0");
    }

    /// <summary>The constants come through training as they were, and the layers around them learn.</summary>
    [TestMethod]
    public void TrainingLeavesConstantsAlone()
    {
        var imported = OnnxImporter.Import(Graphs.Of(13, Image, "Mul x k -> s\nConv s w -> c\nAdd c b -> r\nMul r g -> m\nFlatten m -> y",
            ("k", []), ("w", [3, 2, 5, 6]), ("b", [3, 1, 1]), ("g", [3, 1, 1])));
        var before = imported.Network.NamedParameters().ToDictionary(named => named.Name,
            named => (float[])named.Parameter.Value.Data.Clone());
        var optimizer = new SGD(imported.Network.Parameters(), 0.1, momentum: 0.9);
        var loss = new CrossEntropyLoss();
        for (int step = 0; step < 3; step++)
        {
            optimizer.ZeroGrad();
            loss.Forward(imported.Network.Forward(Batch.FromTensor(OnnxNetworks.Random(Image.Prepend(4), step))), [0, 1, 2, 1]);
            imported.Network.Backward(loss.Backward());
            optimizer.Step();
        }
        foreach (var (name, parameter) in imported.Network.NamedParameters())
            Assert.AreEqual(parameter.RequiresGrad, !before[name].AsSpan().SequenceEqual(parameter.Value.Data), name);
        CollectionAssert.AreEqual(new[] { "s.weight", "m.weight" }, imported.Network.NamedParameters()
            .Where(named => !named.Parameter.RequiresGrad).Select(named => named.Name).ToArray());
        // Whoever wants them trained says so.
        imported.Network.RequiresGrad();
        imported.Network.Backward(imported.Network.Forward(Batch.FromTensor(OnnxNetworks.Random(Image.Prepend(4), 1))));
        Assert.IsTrue(imported.Network.Parameters().All(parameter => parameter.Grad!.Data.Any(value => value != 0)));
    }
}
