namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// The same bits at every vector width, of whatever is computed outside products and convolutions: layers, losses, optimizers, and the sums
/// they are made of. Sizes are around every number of lanes.
/// </summary>
[TestClass]
[DoNotParallelize]
public sealed class WidthTests
{
    private static readonly int[] Counts = [.. Enumerable.Range(1, 40), 63, 100, 517];

    private static readonly Type[] OfProducts = [typeof(Conv2d), typeof(Conv1d), typeof(ConvTranspose2d), typeof(Linear)];

    public static IEnumerable<string> Layers => LayerCases.Names.Where(name =>
        !Graph.Trace(LayerCases.Make(name), LayerCases.Sample(name)).Nodes.Any(node => OfProducts.Contains(node.Layer.GetType())));

    public static IEnumerable<string> Joins => ["add", "add, broadcast", "sub", "mul", "mul, broadcast", "div", "concat"];

    public static IEnumerable<Type> Losses => typeof(Loss).Assembly.GetTypes().Where(type => type.IsSubclassOf(typeof(Loss))
        && !type.IsAbstract);

    public static IEnumerable<string> Optimizers => OptimizerTests.Names;

    /// <summary>A new kind of layer has a case in the table that these tests go by.</summary>
    [TestMethod]
    public void EveryLayerHasACase()
    {
        var all = LayerCases.Names.SelectMany(name => Graph.Trace(LayerCases.Make(name), LayerCases.Sample(name)).Nodes)
            .Select(node => node.Layer.GetType()).ToHashSet();
        foreach (var type in typeof(Layer).Assembly.GetTypes().Where(type => type.IsSubclassOf(typeof(Layer)) && type.IsPublic
            && !type.IsAbstract))
            Assert.Contains(type, all, $"{type.Name} is in no case of {nameof(LayerCases)}");
    }

    [TestMethod]
    [DynamicData(nameof(Layers))]
    public void OfALayer(string name) => Same(Counts, samples =>
    {
        var module = LayerCases.Make(name);
        var x = Values.Batch(samples, samples, LayerCases.Sample(name));
        for (int i = 0; i < x.Values.Length; i += 5) x.Values[i] *= 40; // and some that lead far out
        var y = module.Forward(x);
        var dx = module.Backward(Values.Gradient(samples + 1, y))!;
        return [y.Values, dx.Values, .. module.Parameters().Select(p => p.Grad!.Data), .. module.NamedBuffers()
            .Where(buffer => buffer.Buffer.Type != ElementType.Int64).Select(buffer => buffer.Buffer.AsTensor().Data)];
    });

    [TestMethod]
    [DynamicData(nameof(Joins))]
    public void OfAJoin(string name) => Same(Counts, samples =>
    {
        var module = new Joined(name);
        var y = module.Forward(Values.Batch(samples, samples, new Shape(6, 2, 3)));
        return [y.Values, module.Backward(Values.Gradient(samples + 1, y))!.Values];
    });

    [TestMethod]
    [DynamicData(nameof(Losses))]
    public void OfALoss(Type type) => Same(Counts, samples =>
    {
        var parameters = type.GetConstructors().Single().GetParameters();
        var loss = (Loss)Activator.CreateInstance(type, [.. parameters.Select(parameter => parameter.DefaultValue)])!;
        var x = new Batch(samples, new Shape(7));
        Values.Uniform(samples, x.Values.Length).CopyTo(x.Values, 0);
        for (int i = 0; i < x.Values.Length; i++) x.Values[i] = (x.Values[i] + 1) / 2; // 0 to 1, as some ask for
        double value = loss is ClassLoss classes ? classes.Forward(x, Values.Labels(1, samples, 7))
            : ((ElementwiseLoss)loss).Forward(x, new Tensor(new Shape(samples, 7), [.. x.Values.Reverse()]));
        return [[(float)value, (float)(value - (float)value)], loss.Backward().Values];
    });

    [TestMethod]
    [DynamicData(nameof(Optimizers))]
    public void OfAnOptimizer(string name) => Same(Counts, length =>
    {
        var parameter = new Parameter(new Tensor(new Shape(length), Values.Uniform(length, length)));
        var optimizer = OptimizerTests.Make(name, [new ParameterGroup([parameter])]);
        for (int step = 0; step < 4; step++)
        {
            optimizer.ZeroGrad();
            SGDTests.Give(parameter, Values.Uniform(step, length));
            optimizer.Step();
        }
        return [parameter.Value.Data, .. optimizer.State().Entries.OfType<TensorEntry>().Select(entry => entry.Value.Data)];
    });

    [TestMethod]
    [DataRow(1.0)]
    [DataRow(2.0)]
    [DataRow(3.5)]
    [DataRow(double.PositiveInfinity)]
    public void OfClippedGradients(double normType) => Same(Counts, length =>
    {
        var parameter = new Parameter(length);
        SGDTests.Give(parameter, Values.Uniform(length, length));
        double norm = GradientClipping.ByNorm([parameter], 0.5, normType);
        GradientClipping.ByValue([parameter], 0.1);
        return [[(float)norm, (float)(norm - (float)norm)], parameter.Grad!.Data];
    });

    [TestMethod]
    public void OfSums() => Same([.. Enumerable.Range(1, 300), 1023, 1024, 1025, 5000], length =>
    {
        float[] x = Values.Uniform(1, length), dy = Values.Uniform(2, length), y = Values.Uniform(3, length),
            part = Values.Uniform(4, length), sum = Values.Uniform(5, length);
        var (mean, squares) = Normalization.Moments(x);
        var (all, along) = Normalization.GradientSums(x, dy, default, 0.1, 1.2);
        var (some, someAlong) = Normalization.GradientSums(x, dy, y, 0.1, 1.2);
        var (anew, anewAlong) = Normalization.GradientSums(x, dy, default, 0.1, 1.2, Normalization.Rectifier.Of(0.1, 1.2, 0.05));
        var (each, hat) = SampleNormalization.AddGradientSums(x, dy, y, y, 0.3f, part, sum);
        return [[Elementwise.Sum(x), each, hat, .. new[] { mean, squares, all, along, some, someAlong, anew, anewAlong }
            .SelectMany(value => new[] { (float)value, (float)(value - (float)value) })], part, sum];
    });

    /// <summary>What the widest vectors give at each size is what the others give.</summary>
    private static void Same(int[] sizes, Func<int, float[][]> results)
    {
        foreach (int size in sizes)
        {
            float[][]? first = null;
            foreach (int bits in Implementations.Widths.Reverse())
            {
                using var _ = new Settings(bits);
                float[][] own = results(size);
                if (first is null)
                {
                    first = own;
                    continue;
                }
                Assert.HasCount(first.Length, own);
                for (int i = 0; i < own.Length; i++) Close.AssertSameBits($"size {size}, {bits} bits, result {i}", first[i], own[i]);
            }
        }
    }

    /// <summary>A value with itself, or with a part of itself that is broadcast to it.</summary>
    private sealed class Joined(string name) : Module
    {
        public override Value Forward(Value x) => name switch
        {
            "add" => x + F.Sigmoid(x),
            "add, broadcast" => x + F.Mean(x, [2, 3], keepdim: true),
            "sub" => x - F.Sigmoid(x),
            "mul" => x * F.Sigmoid(x),
            "mul, broadcast" => x * F.Mean(x, [2, 3], keepdim: true),
            "div" => x / F.Sigmoid(x),
            _ => F.Concat([x, F.Tanh(x)]),
        };
    }
}
