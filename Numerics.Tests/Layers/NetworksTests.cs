namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// The documents' networks whole: the double reference's gradients against central differences at places drawn from every variable, and the
/// engine's against the reference's.
/// </summary>
[TestClass]
public sealed class NetworksTests
{
    private const double Step = 1e-5;
    private const int Places = 4;

    private static readonly Dictionary<string, (Func<Sequential> Build, Shape Sample)> All = new()
    {
        ["lenet5"] = (() => Networks.LeNet5(1), new Shape(1, 32, 32)),
        ["lenet3"] = (() => LeNet(1, 3, 2, 2, 576), new Shape(1, 32, 32)),
        ["lenet-rect"] = (() => LeNet(1, 5, (1, 2), (4, 2), 480), new Shape(1, 32, 32)),
        ["lenet-rgb"] = (() => LeNet(3, 5, 2, 2, 400), new Shape(3, 32, 32)),
        ["perceptron"] = (Perceptron, new Shape(3)),
    };

    public static IEnumerable<string> Names => All.Keys;

    [TestMethod]
    [DynamicData(nameof(Names))]
    public void GradientsAreTheDerivatives(string name)
    {
        const int Samples = 2;
        var (build, sample) = All[name];
        var network = build();
        var reference = ReferenceLayer.Of(network);
        float[] input = Values.Distinct(21, Samples * sample.Count);
        double[] x = input.ToDouble();
        double[] dy = Values.Uniform(22, reference.Forward(x, Samples, sample).Y.Length).ToDouble();
        double[] dx = reference.Backward(dy);
        double[][] gradients = [dx, .. reference.Gradients], variables = [x, .. reference.Parameters];
        double Loss() => reference.Forward(x, Samples, sample).Y.Zip(dy, (a, b) => a * b).Sum();
        var random = new Generator(23);
        for (int i = 0; i < variables.Length; i++)
        {
            double largest = gradients[i].Max(Math.Abs);
            for (int k = 0; k < Places; k++)
            {
                int place = random.Next(variables[i].Length);
                double value = variables[i][place];
                variables[i][place] = value + Step;
                double above = Loss();
                variables[i][place] = value - Step;
                double below = Loss();
                variables[i][place] = value;
                Assert.AreEqual((above - below) / (2 * Step), gradients[i][place], 1e-6 * largest, $"variable {i} at {place}");
            }
        }

        // Float sums of up to 576 products lie within about 1e-6 of the largest; five layers of them within 1e-5.
        network.Forward(new Tensor(sample.Prepend(Samples), input));
        var actual = network.Backward(new Tensor(new Shape(Samples, dy.Length / Samples), [.. dy.Select(d => (float)d)]));
        float[][] engine = [actual!.Data, .. network.Parameters().Select(p => p.Grad!.Data)];
        for (int i = 0; i < engine.Length; i++)
            Close.Assert($"{name}, variable {i}", gradients[i], engine[i].ToDouble(), 0, 1e-5 * gradients[i].Max(Math.Abs));
    }

    private static Sequential LeNet(int channels, int kernel, Size2 pool1, Size2 pool2, int flat)
    {
        var g = new Generator(2);
        var features = new Sequential { new Conv2d(channels, 6, kernel, generator: g), new ReLU(), new MaxPool2d(pool1),
            new Conv2d(6, 16, kernel, generator: g), new ReLU(), new MaxPool2d(pool2) };
        var classifier = new Sequential { new Linear(flat, 120, generator: g), new ReLU(), new Linear(120, 84, generator: g), new ReLU(),
            new Linear(84, 10, generator: g) };
        var network = new Sequential("Net");
        network.Add("features", features);
        network.AddFunction(new Flatten());
        network.Add("classifier", classifier);
        return network;
    }

    private static Sequential Perceptron()
    {
        var g = new Generator(3);
        return new Sequential { new Linear(3, 4, generator: g), new Sigmoid(), new Linear(4, 1, generator: g) };
    }
}
