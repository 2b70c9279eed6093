namespace OnnxLeNet.Numerics.Tests;

/// <summary>Nothing that can be known before training fails during it.</summary>
[TestClass]
public sealed class CheckTests
{
    /// <summary>The last batch of an epoch has one image, and a batch norm sees one value of each channel in it: told before the first
    /// step, with a cure that works.</summary>
    [TestMethod]
    [DataRow(65, 64, "65 images in batches of 64, the last of 1", 63)]
    [DataRow(33, 32, "33 images in batches of 32, the last of 1", 31)]
    [DataRow(7, 3, "7 images in batches of 3, the last of 1", 4)]
    [DataRow(7, 2, "7 images in batches of 2, the last of 1", 4)]
    [DataRow(10, 1, "batches of 1 image", 2)]
    [DataRow(3, 2, "3 images in batches of 2, the last of 1", 3)]
    public void ABatchNormWithOneValueLeft(int images, int batchSize, string said, int cure)
    {
        foreach (Func<Sequential> make in new[] { Rows, Maps, Nested })
        {
            var data = TrainingStepsTests.Images(images);
            var network = make();
            var before = network.StateDict().Clone();
            int steps = 0;
            var error = Failure.Of<ShapeException>(() => Fit(network, data, batchSize, () => steps++), "norm",
                "more than one value per channel", said, $"use a batch size of {cure}");
            Assert.AreEqual(0, steps);
            Assert.AreEqual(images > 2 && batchSize > 1, error.Message.EndsWith(", or leave an image out", StringComparison.Ordinal));
            foreach (var (name, tensor) in network.StateDict())
            {
                if (tensor.Type == ElementType.Int64) Assert.AreEqual(0, tensor.AsInt64()[0], name);
                else Close.AssertSameBits(name, before[name].AsTensor().Data, tensor.AsTensor().Data);
            }
            Assert.AreEqual(TrainingOutcome.Completed, Fit(make(), data, cure, () => steps++).Outcome);
            if (images > 2 && batchSize > 1) Assert.AreEqual(TrainingOutcome.Completed,
                Fit(make(), data.First(images - 1), batchSize, () => steps++).Outcome);
        }
    }

    /// <summary>The sizes around it train, as do maps of more than one place, and networks without batch norm.</summary>
    [TestMethod]
    public void WhatFitsIsTrained()
    {
        for (int images = 2; images < 12; images++)
            for (int batchSize = 2; batchSize < 14; batchSize++)
            {
                bool single = images % batchSize == 1;
                var data = TrainingStepsTests.Images(images);
                if (single) Failure.Of<ShapeException>(() => Check(Rows(), data, batchSize), "one value per channel");
                else Fit(Rows(), data, batchSize, () => { });
                Fit(Wide(), data, batchSize, () => { });
                Check(LayerCases.Chain(), data, batchSize);
            }
        Failure.Of<ShapeException>(() => Fit(Rows(), TrainingStepsTests.Images(1), 64, () => { }), "use more images");
        Fit(Wide(), TrainingStepsTests.Images(1), 64, () => { });
    }

    [TestMethod]
    public void ImagesOfAnotherSizeNameTheLayerAndBothSizes()
    {
        var data = new ImageDataset(new Shape(1, 20, 20), new byte[800], new byte[] { 0, 1 }, ImageTransform.Mnist);
        Failure.Of<ShapeException>(() => new Recipe().Fit(Networks.LeNet5(1), data), "fc1: Linear(in_features=400", "[400]", "[144]");
        var tiny = new ImageDataset(new Shape(1, 2, 2), new byte[8], new byte[] { 0, 1 }, ImageTransform.Mnist);
        Failure.Of<ShapeException>(() => new Recipe().Fit(Networks.LeNet5(1), tiny), "conv2: Conv2d(6, 16");
        var colour = new ImageDataset(new Shape(3, 32, 32), new byte[6144], new byte[] { 0, 1 }, ImageTransform.Cifar10);
        Failure.Of<ShapeException>(() => new Recipe().Fit(Networks.LeNet5(1), colour),
            "conv1: Conv2d(1, 6", "1 input channel", "[3, 32, 32]");
    }

    [TestMethod]
    public void MoreClassesThanOutputsAreRefusedAndFewerTrained()
    {
        static ImageDataset Data(params byte[] labels) => new(new Shape(1, 14, 17), new byte[labels.Length * 14 * 17], labels,
            new ImageTransform(0, 0.5, 0.5));
        Failure.Of<ShapeException>(() => new Recipe().Fit(LayerCases.Chain(), Data(0, 4)), "labels 0 to 4", "[4]");
        Assert.AreEqual(TrainingOutcome.Completed, new Recipe { Epochs = 1 }.Fit(LayerCases.Chain(), Data(0, 2)).Outcome);
    }

    [TestMethod]
    public void ALayerIsReplacedAsInPyTorch()
    {
        var net = Networks.LeNet5(1);
        var old = (Linear)net.Children[^1].Module;
        net.Replace("fc3", new Linear(84, 3, generator: new Generator(9)));
        Assert.AreEqual("[3]", net.Forward(new Batch(2, new Shape(1, 32, 32))).Sample.ToString());
        CollectionAssert.AreEqual(Networks.LeNet5(1).NamedParameters().Select(p => p.Name).ToArray(),
            net.NamedParameters().Select(p => p.Name).ToArray());
        Assert.AreEqual("fc3", net.Children[^1].Module.Name);
        Assert.IsNull(old.Name);
        new Sequential().Add("again", old); // free
        net.Replace("conv1", new Conv2d(1, 6, 5));
        net.Forward(new Batch(2, new Shape(1, 32, 32))); // and not the convolution that was taken as one with its pool
        Failure.Of<ArgumentException>(() => net.Replace("fc4", new Linear(1, 1)), "fc4", "conv1, conv2, fc1, fc2, fc3");
        Failure.Of<ArgumentException>(() => net.Replace("fc3", net.Children[^2].Module), "already in this network");
    }

    private static TrainingResult Fit(Sequential network, ImageDataset data, int batchSize, Action step) =>
        new Recipe { Epochs = 1, BatchSize = batchSize }.Fit(network, data, new Watch { Step = _ => step() });

    private static void Check(Module network, Dataset data, int batchSize) =>
        Trainer.Check(network, new CrossEntropyLoss(), new DataLoader(data, batchSize));

    private static Sequential Rows()
    {
        var net = new Sequential { new Flatten(), new Linear(14 * 17, 5) };
        net.Add("norm", new BatchNorm1d(5));
        net.Add("fc", new Linear(5, 4));
        return net;
    }

    private static Sequential Maps()
    {
        var net = new Sequential { new Conv2d(1, 3, 5), new AdaptiveAvgPool2d(1) };
        net.Add("norm", new BatchNorm2d(3));
        net.AddFunction(new Flatten());
        net.Add("fc", new Linear(3, 4));
        return net;
    }

    private static Sequential Nested()
    {
        var inner = new Sequential();
        inner.Add("norm", new BatchNorm1d(5));
        return new Sequential { new Flatten(), new Linear(14 * 17, 5), inner, new Linear(5, 4) };
    }

    private static Sequential Wide() => new() { new Conv2d(1, 3, 5), new BatchNorm2d(3), new Flatten(), new Linear(390, 4) };
}
