namespace OnnxLeNet.Numerics.Tests;

/// <summary>The references' backwards against central finite differences of their forwards, in double: random x and dy, every
/// sample.</summary>
[TestClass]
public sealed class ReferenceLayerTests
{
    private const double Step = 1e-5;

    public static IEnumerable<string> Layers => LayerCases.Names;

    [TestMethod]
    [DynamicData(nameof(Layers))]
    public void BackwardIsTheDerivative(string name)
    {
        const int Samples = 3;
        var layer = ReferenceLayer.Of(LayerCases.Make(name));
        var sample = LayerCases.Sample(name);
        double[] x = Values.Distinct(1, Samples * sample.Count).ToDouble();
        double[] dy = Values.Uniform(2, layer.Forward(x, Samples, sample).Y.Length).ToDouble();
        double[] dx = layer.Backward(dy);
        double[][] gradients = [dx, .. layer.Gradients], variables = [x, .. layer.Parameters];
        for (int i = 0; i < variables.Length; i++)
            AssertDerivative($"{name}, variable {i}", gradients[i], variables[i], () => Dot(layer.Forward(x, Samples, sample).Y, dy));
    }

    [TestMethod]
    public void GradientOfTheLossIsItsDerivative()
    {
        double[] x = Values.Uniform(3, 7 * 4).ToDouble();
        for (int i = 0; i < x.Length; i++) x[i] *= 5;
        int[] labels = [0, 3, 1, 1, ClassLoss.DefaultIgnoreIndex, 2, 0];
        AssertDerivative("loss", ReferenceLoss.CrossEntropy(x, labels).Gradient, x, () => ReferenceLoss.CrossEntropy(x, labels).Loss);
    }

    /// <summary>The whole way: from the loss of a chain of layers to its input and every parameter.</summary>
    [TestMethod]
    public void GradientThroughChainAndLossIsTheDerivative()
    {
        const int Samples = 2;
        var layer = ReferenceLayer.Of(LayerCases.Chain());
        var sample = LayerCases.Sample("chain");
        double[] x = Values.Distinct(4, Samples * sample.Count).ToDouble();
        int[] labels = [2, 0];
        double Loss() => ReferenceLoss.CrossEntropy(layer.Forward(x, Samples, sample).Y, labels).Loss;
        double[] dx = layer.Backward(ReferenceLoss.CrossEntropy(layer.Forward(x, Samples, sample).Y, labels).Gradient);
        double[][] gradients = [dx, .. layer.Gradients], variables = [x, .. layer.Parameters];
        for (int i = 0; i < variables.Length; i++) AssertDerivative($"variable {i}", gradients[i], variables[i], Loss);
    }

    private static void AssertDerivative(string what, double[] gradient, double[] variable, Func<double> f)
    {
        var differences = new double[variable.Length];
        for (int i = 0; i < variable.Length; i++)
        {
            double value = variable[i];
            variable[i] = value + Step;
            double above = f();
            variable[i] = value - Step;
            double below = f();
            variable[i] = value;
            differences[i] = (above - below) / (2 * Step);
        }
        double largest = gradient.Max(Math.Abs);
        Assert.IsGreaterThan(0, largest, $"{what}: no gradient at all");
        Close.Assert(what, differences, gradient, 0, 1e-6 * largest);
    }

    private static double Dot(double[] a, double[] b) => a.Zip(b, (p, q) => p * q).Sum();
}
