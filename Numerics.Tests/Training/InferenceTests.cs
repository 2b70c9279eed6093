namespace OnnxLeNet.Numerics.Tests;

[TestClass]
[DoNotParallelize]
public sealed class InferenceTests
{
    [TestMethod]
    public void LogitsAreTheForwardOfEveryImageForAnyThreads()
    {
        var network = LayerCases.Chain();
        foreach (int count in new[] { 1, 15, 64, 77, 1000 })
        {
            var data = TrainingStepsTests.Images(count);
            float[] expected = network.Forward(data.Take([.. Enumerable.Range(0, count)]).Images).ToTensor().Data;
            float[]? first = null;
            for (int threads = 1; threads <= 4; threads++)
            {
                using var _ = new Settings(threads: threads);
                var logits = Inference.Logits(network, data);
                Assert.AreEqual(new Shape(count, 4), logits.Shape);
                // What keeps nothing for a backward sums in another order where the samples fill no vectors.
                Close.Assert($"{count} images on {threads} threads", Array.ConvertAll(expected, v => (double)v), logits.Data, 1e-5, 1e-6);
                Close.AssertSameBits($"{count} images on {threads} threads", first ??= logits.Data, logits.Data);
            }
        }
    }

    /// <summary>Inference between a forward and its backward does not disturb them.</summary>
    [TestMethod]
    public void LogitsLeaveTheNetworksOwnTripAlone()
    {
        Module network = LayerCases.Chain(), undisturbed = LayerCases.Chain();
        var x = Values.Batch(1, 40, new Shape(1, 14, 17));
        var dy = Values.Gradient(2, network.Forward(x));
        undisturbed.Forward(x);
        Inference.Logits(network, TrainingStepsTests.Images(100));
        Close.AssertSameBits("dx", undisturbed.Backward(dy)!.Values, network.Backward(dy)!.Values);
    }

    [TestMethod]
    public void ArgMaxTakesTheFirstOfEquals()
    {
        var logits = new Tensor(new Shape(4, 3), [1, 2, 0, 5, 5, 5, -3, -2, -2, 0, 0, 1]);
        int[] expected = [1, 0, 1, 2];
        CollectionAssert.AreEqual(expected, Inference.ArgMax(logits));
    }

    [TestMethod]
    public void CancellationAndMisfitsEndInErrors()
    {
        using var cancellation = new CancellationTokenSource();
        cancellation.Cancel();
        Assert.Throws<OperationCanceledException>(
            () => Inference.Logits(LayerCases.Chain(), TrainingStepsTests.Images(100), cancellation.Token));
        Failure.Of<ShapeException>(() => Inference.Logits(Networks.LeNet5(1), TrainingStepsTests.Images(100)), "MaxPool2d");
    }
}
