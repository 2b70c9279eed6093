namespace OnnxLeNet.Numerics.Tests;

[TestClass]
[DoNotParallelize]
public sealed class SGDTests
{
    public static IEnumerable<object[]> Cases =>
        from bits in Implementations.Widths
        from momentum in new[] { 0, 0.5, 0.9 }
        from dampening in new[] { 0, 0.3 }
        from weightDecay in new[] { 0, 0.01 }
        from nesterov in new[] { false, true }
        where !nesterov || (momentum > 0 && dampening == 0)
        select new object[] { bits, momentum, dampening, weightDecay, nesterov };

    /// <summary>20 steps with gradients that differ at every step and a rate that changes, against the formulas in double.</summary>
    [TestMethod]
    [DynamicData(nameof(Cases))]
    public void FollowsPyTorchsOrder(int bits, double momentum, double dampening, double weightDecay, bool nesterov)
    {
        using var _ = new Settings(bits);
        int[] lengths = [1, 4, 37];
        var parameters = lengths.Select((length, i) => new Parameter(new Tensor(new Shape(length), Values.Uniform(i, length)))).ToArray();
        double[][] w = [.. parameters.Select(p => p.Value.Data.ToDouble())], v = new double[lengths.Length][];
        var optimizer = new SGD(parameters, 0.1, momentum, dampening, weightDecay, nesterov);
        for (int step = 0; step < 20; step++)
        {
            double rate = optimizer.LearningRate = 0.1 / (1 + step);
            optimizer.ZeroGrad();
            for (int i = 0; i < parameters.Length; i++)
            {
                if (i == 1 && step < 3) continue; // a parameter that gets its first gradient later has its first step then
                float[] gradient = Values.Uniform(100 * step + i, lengths[i]);
                Give(parameters[i], gradient);
                bool first = v[i] is null;
                v[i] ??= new double[lengths[i]];
                for (int j = 0; j < lengths[i]; j++)
                {
                    double g = gradient[j] + weightDecay * w[i][j];
                    if (momentum != 0)
                    {
                        v[i][j] = first ? g : momentum * v[i][j] + (1 - dampening) * g;
                        g = nesterov ? g + momentum * v[i][j] : v[i][j];
                    }
                    w[i][j] -= rate * g;
                }
            }
            optimizer.Step();
            for (int i = 0; i < parameters.Length; i++) Close.Assert($"parameter {i} after step {step + 1}", w[i], parameters[i].Value.Data,
                1e-5, 1e-6);
        }
    }

    [TestMethod]
    public void AParameterWithoutGradientStays()
    {
        var parameter = new Parameter(new Tensor(new Shape(3), [1, 2, 3]));
        new SGD([parameter], 0.1, momentum: 0.9, weightDecay: 0.1).Step();
        CollectionAssert.AreEqual(new float[] { 1, 2, 3 }, parameter.Value.Data);
    }

    [TestMethod]
    public void BadArgumentsAreRefused()
    {
        Parameter[] parameters = [new Parameter(3)];
        foreach (double bad in new[] { -1, double.NaN, double.PositiveInfinity, double.NegativeInfinity })
        {
            Failure.Of<ArgumentOutOfRangeException>(() => _ = new SGD(parameters, bad), "LearningRate");
            Failure.Of<ArgumentOutOfRangeException>(() => _ = new SGD(parameters, 0.1, momentum: bad), "momentum");
            Failure.Of<ArgumentOutOfRangeException>(() => _ = new SGD(parameters, 0.1, weightDecay: bad), "weightDecay");
            var optimizer = new SGD(parameters, 0.1);
            Failure.Of<ArgumentOutOfRangeException>(() => optimizer.LearningRate = bad, "LearningRate");
            Assert.AreEqual(0.1, optimizer.LearningRate);
        }
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new SGD(parameters, 0.1, 0.9, dampening: double.NaN), "dampening");
        Failure.Of<ArgumentException>(() => _ = new SGD(parameters, 0.1, nesterov: true), "Nesterov");
        Failure.Of<ArgumentException>(() => _ = new SGD(parameters, 0.1, 0.9, 0.1, nesterov: true), "Nesterov");
        Failure.Of<ArgumentException>(() => _ = new SGD([], 0.1), "at least one parameter");
        _ = new SGD(parameters, 0);
    }

    /// <summary>A gradient comes about by a backward: here of one sample, which is copied.</summary>
    internal static void Give(Parameter parameter, float[] gradient)
    {
        gradient.CopyTo(parameter.Partial(new Context(new Sequential(), new BlockRun()), out float _), 0);
        parameter.AddPartials();
    }
}
