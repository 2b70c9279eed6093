namespace OnnxLeNet.Numerics.Tests;

[TestClass]
public sealed class CosineAnnealingLRTests
{
    [TestMethod]
    [DataRow(0.1, 0.0, 10)]
    [DataRow(0.05, 0.001, 7)]
    [DataRow(0.3, 0.0, 1)]
    public void FollowsItsClosedForm(double first, double last, int steps)
    {
        var optimizer = new SGD([new Parameter(1)], first);
        var schedule = new CosineAnnealingLR(optimizer, steps, last);
        Assert.AreEqual(first, optimizer.LearningRate, "the first step has the optimizer's own rate");
        for (int t = 1; t <= steps; t++)
        {
            schedule.Step();
            Close.Assert($"after {t}", [last + 0.5 * (first - last) * (1 + Math.Cos(Math.PI * t / steps))], [optimizer.LearningRate], 1e-12,
                1e-15);
        }
        Close.Assert("at the end", [last], [optimizer.LearningRate], 0, 1e-15);
        schedule.Step();
        double risen = last + 0.5 * (first - last) * (1 + Math.Cos(Math.PI * (steps + 1) / steps));
        Close.Assert("past the end it rises again", [risen], [optimizer.LearningRate], 1e-12, 1e-15);
    }

    [TestMethod]
    public void BadArgumentsAreRefused()
    {
        var optimizer = new SGD([new Parameter(1)], 0.1);
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new CosineAnnealingLR(optimizer, 0));
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new CosineAnnealingLR(optimizer, 5, -0.1));
        Failure.Of<ArgumentNullException>(() => _ = new CosineAnnealingLR(null!, 5));
    }
}
