namespace OnnxLeNet.Numerics.Tests;

/// <summary>Networks to take through ONNX: LeNet-5, and others whose every size differs from its neighbour.</summary>
internal static class OnnxNetworks
{
    private static readonly Dictionary<string, (Func<Sequential> Build, Shape Sample)> All = new()
    {
        ["lenet5"] = (() => Networks.LeNet5(1), new Shape(1, 32, 32)),
        ["uneven"] = (Uneven, new Shape(2, 17, 13)),
        ["nested"] = (Nested, new Shape(3, 14, 11)),
        ["deep"] = (Deep, new Shape(2, 7, 9)),
        ["pool"] = (Pool, new Shape(3, 9, 8)),
        ["dense"] = (Dense, new Shape(5)),
        ["image"] = (Image, new Shape(3, 6, 10)),
        ["grouped"] = (Grouped, new Shape(4, 10, 7)),
    };

    /// <summary>Every network's name.</summary>
    public static IEnumerable<string> Names => All.Keys;

    public static (Sequential Network, Shape Sample) Get(string name) => (All[name].Build(), All[name].Sample);

    /// <summary>The network that tests change node by node: [1, 6, 9] → conv [2, 4, 4] → pool [2, 2, 2] → 3.</summary>
    public static Sequential Small(long seed = 2)
    {
        var g = new Generator(seed);
        var net = new Sequential("Net");
        net.Add("conv1", new Conv2d(1, 2, (3, 2), stride: (1, 2), generator: g));
        net.AddFunction(new ReLU());
        net.AddFunction(new MaxPool2d((2, 3), stride: (2, 1)));
        net.AddFunction(new Flatten());
        net.Add("fc1", new Linear(8, 3, generator: g));
        return net;
    }

    public static Shape SmallSample => new(1, 6, 9);

    /// <summary>Standard normal numbers.</summary>
    public static Tensor Random(Shape shape, long seed)
    {
        var generator = new Generator(seed);
        var x = new Tensor(shape);
        foreach (ref float element in x.Data.AsSpan()) element = (float)generator.NextNormal();
        return x;
    }

    /// <summary>Shapes first; then no difference over <paramref name="tolerance"/> times the largest absolute value expected.</summary>
    public static void AssertAgree(string what, Tensor expected, Tensor actual, double tolerance)
    {
        Assert.AreEqual(expected.Shape, actual.Shape, what);
        double scale = expected.Data.Max(v => Math.Abs((double)v));
        Close.Assert(what, expected.Data, actual.Data, 0, tolerance * scale);
    }

    /// <summary>Strides, paddings and dilations that differ by direction, windows that overlap, no biases.</summary>
    private static Sequential Uneven()
    {
        var g = new Generator(11);
        var net = new Sequential("Net");
        net.Add("conv1", new Conv2d(2, 5, (3, 4), stride: (2, 1), padding: (1, 2), bias: false, generator: g)); // [5, 9, 14]
        net.AddFunction(new ReLU());
        net.AddFunction(new MaxPool2d((3, 2), stride: (2, 1), padding: (1, 1)));                                // [5, 5, 15]
        net.Add("conv2", new Conv2d(5, 3, (2, 3), stride: (1, 2), padding: (0, 1), dilation: (2, 1), generator: g)); // [3, 3, 8]
        net.AddFunction(new MaxPool2d(2, stride: 1, dilation: (1, 3)));                                         // [3, 2, 5]
        net.AddFunction(new Flatten());
        net.Add("fc1", new Linear(30, 11, bias: false, generator: g));
        net.AddFunction(new ReLU());
        net.Add("fc2", new Linear(11, 7, generator: g));
        return net;
    }

    /// <summary>Groups, the second time one for each channel.</summary>
    private static Sequential Grouped()
    {
        var g = new Generator(17);
        var net = new Sequential("Net");
        net.Add("conv1", new Conv2d(4, 6, (3, 2), groups: 2, generator: g));                             // [6, 8, 6]
        net.AddFunction(new ReLU());
        net.AddFunction(new MaxPool2d((3, 2), stride: (2, 3)));                                          // [6, 3, 2]
        net.Add("conv2", new Conv2d(6, 12, (2, 3), padding: (0, 1), groups: 6, bias: false, generator: g)); // [12, 2, 2]
        net.AddFunction(new Flatten());
        net.Add("fc1", new Linear(48, 5, generator: g));
        return net;
    }

    /// <summary>Two nested Sequentials; in the first, layers with weights and functions take turns.</summary>
    private static Sequential Nested()
    {
        var g = new Generator(12);
        var features = new Sequential();
        features.Add(new Conv2d(3, 4, (5, 3), padding: (0, 1), generator: g)); // [4, 10, 11]
        features.Add(new ReLU());
        features.Add(new MaxPool2d((2, 3), stride: (2, 2)));                   // [4, 5, 5]
        features.Add(new Conv2d(4, 7, (2, 3), generator: g));                  // [7, 4, 3]
        features.AddFunction(new ReLU());
        var classifier = new Sequential { new Flatten(), new Linear(84, 9, generator: g), new ReLU(), new Linear(9, 5, generator: g) };
        var net = new Sequential("Net");
        net.Add("features", features);
        net.Add("classifier", classifier);
        return net;
    }

    /// <summary>Names three deep, and a layer with weights right behind the inner chain.</summary>
    private static Sequential Deep()
    {
        var g = new Generator(13);
        var block = new Sequential();
        block.Add("conv", new Conv2d(2, 3, (1, 4), stride: (3, 1), generator: g)); // [3, 3, 6]
        block.Add("act", new ReLU());
        var stem = new Sequential();
        stem.Add("block", block);
        stem.Add("conv", new Conv2d(3, 2, (2, 2), padding: 1, generator: g)); // [2, 4, 7]
        stem.Add("act", new ReLU());
        var net = new Sequential("Net");
        net.Add("stem", stem);
        net.Add("flat", new Flatten());
        net.Add("head", new Linear(56, 6, generator: g));
        return net;
    }

    private static Sequential Pool() => [new MaxPool2d((2, 3), stride: (1, 2), padding: (1, 0), dilation: (3, 1)), new Flatten()];

    private static Sequential Dense()
    {
        var g = new Generator(14);
        return [new Linear(5, 8, generator: g), new ReLU(), new Linear(8, 3, bias: false, generator: g)];
    }

    private static Sequential Image() => [new Conv2d(3, 2, (3, 5), padding: (2, 1), dilation: (1, 2), generator: new Generator(15)),
        new ReLU()];
}
