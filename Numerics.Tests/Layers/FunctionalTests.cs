namespace OnnxLeNet.Numerics.Tests;

[TestClass]
[DoNotParallelize]
public sealed class FunctionalTests
{
    [TestMethod]
    public void EachGivesWhatItsLayerGives()
    {
        var x = new Batch(37, new Shape(3, 6, 5));
        var g = new Generator(1);
        for (int i = 0; i < x.Values.Length; i++) x.Values[i] = (float)g.NextNormal();
        foreach (var (module, result) in new (Module, Batch)[]
        {
            (new ReLU(), F.Relu(x)), (new LeakyReLU(0.2), F.LeakyRelu(x, 0.2)), (new GELU(), F.Gelu(x)), (new Sigmoid(), F.Sigmoid(x)),
                (new Tanh(), F.Tanh(x)),
            (new Softmax(), F.Softmax(x)), (new LogSoftmax(), F.LogSoftmax(x)),
                (new MaxPool2d((2, 3), stride: (2, 1), ceilMode: true), F.MaxPool2d(x, (2, 3), stride: (2, 1), ceilMode: true)),
            (new AvgPool2d(2, padding: 1, countIncludePad: false), F.AvgPool2d(x, 2, padding: 1, countIncludePad: false)),
            (new AdaptiveAvgPool2d((2, 3)), F.AdaptiveAvgPool2d(x, (2, 3))), (new Flatten(), F.Flatten(x)),
                (new Dropout().Eval(), F.Dropout(x, training: false)),
        })
        {
            var expected = module.Forward(x);
            Assert.AreEqual(expected.Sample, result.Sample, $"{module}");
            Close.AssertSameBits($"{module}", expected.Values, result.Values);
        }
        Generator.ManualSeed(5);
        float[] dropped = F.Dropout(x).Values;
        Assert.AreEqual(0.5, dropped.Count(v => v == 0) / (double)dropped.Length, 0.02);
        Assert.IsTrue(dropped.Zip(x.Values).All(pair => pair.First == 0 || pair.First == 2 * pair.Second));
    }
}
