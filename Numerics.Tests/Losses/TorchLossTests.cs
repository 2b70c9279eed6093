namespace OnnxLeNet.Numerics.Tests;

/// <summary>Every loss against what PyTorch computed: torch_nn.json, by torch_nn.py.</summary>
[TestClass]
[DoNotParallelize]
public sealed class TorchLossTests
{
    public static IEnumerable<string> Cases => TorchNn.Names("losses");

    public static IEnumerable<object[]> CasesAndWidths =>
        from name in Cases from bits in Implementations.Widths select new object[] { name, bits };

    [TestMethod]
    [DynamicData(nameof(CasesAndWidths))]
    public void LossAndGradient(string name, int bits)
    {
        using var _ = new Settings(bits);
        var item = TorchNn.Case("losses", name);
        var x = TorchNn.Batch(item, "x", "xShape");
        var (losses, dx) = TorchNn.Loss(item) switch
        {
            ClassLoss loss => Run(loss, x, item),
            ElementwiseLoss loss => Run(loss, x, item),
            var other => throw new InvalidOperationException($"{other}"),
        };
        double[] expected = TorchNn.Numbers(item, "loss"), gradient = TorchNn.Numbers(item, "dx");
        Close.Assert("loss", expected, losses, 1e-5, 1e-6 * Math.Max(1, expected.Max(Math.Abs)));
        Assert.AreEqual(x.Sample, dx.Sample);
        TorchNn.AssertClose("gradient", gradient, dx.ToTensor().Data);
    }

    [TestMethod]
    [DynamicData(nameof(Cases))]
    public void PrintedFormAndBackwardStep(string name)
    {
        var item = TorchNn.Case("losses", name);
        var loss = TorchNn.Loss(item);
        Assert.AreEqual(item.GetProperty("text").GetString(), loss.ToString());
        var x = TorchNn.Batch(item, "x", "xShape");
        _ = loss is ClassLoss classes ? Run(classes, x, item) : Run((ElementwiseLoss)loss, x, item);
        Assert.AreEqual(item.GetProperty("gradFn").GetString(), loss.GradFn!.Name);
    }

    private static (double[] Losses, Batch Dx) Run(ClassLoss loss, Batch x, System.Text.Json.JsonElement item)
    {
        int[] labels = TorchNn.Integers(item, "target");
        if (loss.Reduction != Reduction.None) return ([loss.Forward(x, labels)], loss.Backward());
        float[] losses = loss.ForwardEach(x, labels);
        return (losses.ToDouble(), loss.Backward(TorchNn.Numbers(item, "dLoss").ToFloat()));
    }

    private static (double[] Losses, Batch Dx) Run(ElementwiseLoss loss, Batch x, System.Text.Json.JsonElement item)
    {
        var target = TorchNn.Batch(item, "target", "xShape");
        if (loss.Reduction != Reduction.None) return ([loss.Forward(x, target)], loss.Backward());
        var losses = loss.ForwardEach(x, target);
        return (losses.ToTensor().Data.ToDouble(), loss.Backward(TorchNn.Batch(item, "dLoss", "xShape")));
    }
}
