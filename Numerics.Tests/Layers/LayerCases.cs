namespace OnnxLeNet.Numerics.Tests;

/// <summary>The layers that the gradient tests run, by name. In no convolution or pool are two sizes equal that could be swapped.</summary>
internal static class LayerCases
{
    private static readonly Dictionary<string, (Func<Module> Make, Shape Sample)> All = new()
    {
        ["conv 3×2"] = (() => new Conv2d(3, 5, (3, 2), generator: new Generator(1)), new Shape(3, 7, 9)),
        ["conv, everything uneven"] = (() => new Conv2d(2, 3, (3, 2), (2, 1), (1, 2), (1, 3), generator: new Generator(2)),
            new Shape(2, 9, 8)),
        ["conv, stride (1, 3), no bias"] = (() => new Conv2d(1, 4, (2, 5), (1, 3), (0, 2), bias: false, generator: new Generator(3)),
            new Shape(1, 6, 11)),
        ["conv, stride 2, dilation (2, 1)"] = (() => new Conv2d(3, 2, (2, 3), 2, (1, 0), (2, 1), generator: new Generator(4)),
            new Shape(3, 8, 7)),
        ["conv 1×1"] = (() => new Conv2d(4, 3, 1, generator: new Generator(5)), new Shape(4, 3, 5)),
        ["conv as large as the image"] = (() => new Conv2d(2, 7, (4, 3), generator: new Generator(6)), new Shape(2, 4, 3)),
        ["conv 5×5 of one channel"] = (() => new Conv2d(1, 6, 5, generator: new Generator(7)), new Shape(1, 9, 12)),
        ["conv, padding beyond the image"] = (() => new Conv2d(2, 3, (3, 2), 1, (3, 2), generator: new Generator(8)), new Shape(2, 2, 1)),
        ["conv, padding of different ends"] = (() => new Conv2d(2, 3, (3, 2), (2, 1), (0, 2), (1, 2), paddingEnd: (2, 1),
            generator: new Generator(18)), new Shape(2, 6, 5)),
        ["conv, padding on one side alone"] = (() => new Conv2d(3, 4, (2, 3), paddingEnd: (1, 2), generator: new Generator(19)),
            new Shape(3, 5, 7)),
        ["linear"] = (() => new Linear(13, 7, generator: new Generator(9)), new Shape(13)),
        ["linear, no bias"] = (() => new Linear(40, 11, bias: false, generator: new Generator(10)), new Shape(40)),
        ["linear, long"] = (() => new Linear(300, 3, generator: new Generator(11)), new Shape(300)),
        ["linear 1 to 1"] = (() => new Linear(1, 1, generator: new Generator(12)), new Shape(1)),
        ["pool 2"] = (() => new MaxPool2d(2), new Shape(3, 6, 9)),
        ["pool (1, 2)"] = (() => new MaxPool2d((1, 2)), new Shape(2, 3, 8)),
        ["pool, overlapping"] = (() => new MaxPool2d((3, 2), (1, 1), (1, 1)), new Shape(2, 5, 4)),
        ["pool, everything uneven"] = (() => new MaxPool2d((2, 3), (3, 2), (1, 0), (1, 2)), new Shape(2, 7, 9)),
        ["conv, 2 groups"] = (() => new Conv2d(4, 6, (3, 2), (1, 2), (1, 0), groups: 2, generator: new Generator(15)), new Shape(4, 6, 5)),
        ["conv, depthwise, uneven"] = (() => new Conv2d(3, 6, (2, 3), (2, 1), (0, 2), (3, 1), groups: 3, bias: false,
            generator: new Generator(16)), new Shape(3, 7, 4)),
        ["pool, ceil mode"] = (() => new MaxPool2d((3, 2), (2, 3), (1, 0), ceilMode: true), new Shape(2, 6, 7)),
        ["pool, ceil mode, a window left out"] = (() => new MaxPool2d((2, 3), (3, 4), 1, ceilMode: true), new Shape(2, 3, 5)),
        ["pool, padding of different ends"] = (() => new MaxPool2d((3, 4), (2, 1), (0, 3), paddingEnd: (2, 1)), new Shape(2, 6, 5)),
        ["average pool, padding of different ends"] = (() => new AvgPool2d((3, 4), (2, 1), (0, 3), paddingEnd: (2, 1)), new Shape(2, 6, 5)),
        ["average pool, ends not counted, ceil mode"] = (() => new AvgPool2d((3, 4), (2, 3), (1, 0), ceilMode: true, countIncludePad: false,
            paddingEnd: (0, 2)), new Shape(2, 6, 8)),
        ["average pool"] = (() => new AvgPool2d((3, 2), (1, 2), (1, 0)), new Shape(2, 5, 7)),
        ["average pool, ceil mode"] = (() => new AvgPool2d((3, 2), (2, 3), 1, ceilMode: true), new Shape(3, 6, 8)),
        ["average pool, without its padding"] = (() => new AvgPool2d((3, 2), (2, 3), 1, ceilMode: true, countIncludePad: false),
            new Shape(3, 6, 8)),
        ["average pool to 1"] = (() => new AdaptiveAvgPool2d(1), new Shape(3, 4, 5)),
        ["average pool to (3, 2)"] = (() => new AdaptiveAvgPool2d((3, 2)), new Shape(2, 5, 7)),
        ["batch norm of images"] = (() => Uneven(new BatchNorm2d(3)), new Shape(3, 4, 5)),
        ["batch norm, not affine"] = (() => new BatchNorm2d(2, affine: false), new Shape(2, 3, 4)),
        ["batch norm of rows"] = (() => Uneven(new BatchNorm1d(4, eps: 0.01)), new Shape(4, 3)),
        ["batch norm, evaluation"] = (() => Uneven(new BatchNorm2d(3)).Eval(), new Shape(3, 2, 4)),
        ["sigmoid"] = (() => new Sigmoid(), new Shape(3, 4, 5)),
        ["tanh"] = (() => new Tanh(), new Shape(3, 4, 5)),
        ["gelu"] = (() => new GELU(), new Shape(3, 4, 5)),
        ["leaky relu"] = (() => new LeakyReLU(0.2), new Shape(3, 4, 5)),
        ["softmax"] = (() => new Softmax(dim: -1), new Shape(7)),
        ["softmax of images"] = (() => new Softmax(), new Shape(4, 3, 2)),
        ["softmax of the last axis"] = (() => new Softmax(dim: -1), new Shape(3, 2, 4)),
        ["log softmax of the middle axis"] = (() => new LogSoftmax(dim: 2), new Shape(3, 2, 4)),
        ["reshape"] = (() => new Reshape(new Shape(2, 3, 5)), new Shape(5, 6)),
        ["scale by one number"] = (() => Uneven(new ScaleShift(new Shape(1), null)), new Shape(3, 2, 4)),
        ["shift by channel"] = (() => Uneven(new ScaleShift(null, new Shape(3, 1, 1))), new Shape(3, 2, 4)),
        ["scale by element, shift by row"] = (() => Uneven(new ScaleShift(new Shape(3, 2, 4), new Shape(2, 1))), new Shape(3, 2, 4)),
        ["scale and shift of features"] = (() => Uneven(new ScaleShift(new Shape(7), new Shape(7))), new Shape(7)),
        ["permute"] = (() => new Permute(0, 2, 3, 1), new Shape(2, 3, 5)),
        ["log softmax"] = (() => new LogSoftmax(), new Shape(7)),
        ["log softmax of images"] = (() => new LogSoftmax(), new Shape(4, 3, 2)),
        ["conv of rows"] = (() => new Conv1d(4, 6, 3, 2, 2, 2, groups: 2, generator: new Generator(20)), new Shape(4, 11)),
        ["conv of rows, padding on one side alone"] =
            (() => new Conv1d(3, 5, 4, bias: false, paddingEnd: 3, generator: new Generator(21)), new Shape(3, 7)),
        ["pool of rows"] = (() => new MaxPool1d(3, 2, 1, 2, ceilMode: true), new Shape(2, 10)),
        ["average pool of rows"] = (() => new AvgPool1d(3, 2, 1), new Shape(2, 8)),
        ["average pool of rows, ends not counted"] = (() => new AvgPool1d(4, 3, 2, countIncludePad: false), new Shape(3, 9)),
        ["average pool of rows to 3"] = (() => new AdaptiveAvgPool1d(3), new Shape(2, 7)),
        ["average pool of rows to 1"] = (() => new AdaptiveAvgPool1d(1), new Shape(3, 4)),
        ["max pool to (3, 2)"] = (() => new AdaptiveMaxPool2d((3, 2)), new Shape(2, 5, 7)),
        ["max pool to 1"] = (() => new AdaptiveMaxPool2d(1), new Shape(3, 4, 5)),
        ["transposed conv"] = (() => new ConvTranspose2d(3, 5, (3, 2), generator: new Generator(22)), new Shape(3, 4, 6)),
        ["transposed conv, everything uneven"] = (() => new ConvTranspose2d(4, 6, (3, 2), (2, 3), (1, 2), (1, 2), groups: 2,
            dilation: (1, 2), generator: new Generator(23)), new Shape(4, 3, 5)),
        ["transposed conv, padding of different ends, no bias"] = (() => new ConvTranspose2d(2, 3, (4, 3), (1, 2), (0, 1), bias: false,
            paddingEnd: (2, 0), generator: new Generator(24)), new Shape(2, 5, 4)),
        ["upsample by (2, 3)"] = (() => new Upsample(scaleFactor: (2, 3)), new Shape(2, 3, 4)),
        ["upsample to (7, 3)"] = (() => new Upsample((7, 3)), new Shape(2, 4, 5)),
        ["upsample, the exact nearest"] = (() => new Upsample((7, 4), mode: UpsampleMode.NearestExact), new Shape(2, 3, 9)),
        ["upsample, bilinear"] = (() => new Upsample(scaleFactor: (2, 1.5), mode: UpsampleMode.Bilinear), new Shape(2, 3, 4)),
        ["upsample, bilinear, smaller"] = (() => new Upsample((2, 3), mode: UpsampleMode.Bilinear), new Shape(2, 5, 7)),
        ["upsample, corners aligned"] = (() => new Upsample((5, 6), mode: UpsampleMode.Bilinear, alignCorners: true), new Shape(2, 3, 4)),
        ["resize, nearest, the lower of two"] = (() => new Resize((7, 3), null, NearestMode.RoundPreferFloor), new Shape(2, 4, 6)),
        ["resize, ceil on aligned corners"] =
            (() => new Resize((5, 7), null, NearestMode.Ceil, CoordinateMode.AlignCorners), new Shape(2, 3, 4)),
        ["resize, linear, asymmetric"] = (() => new Resize(null, (1.5, 2), null, CoordinateMode.Asymmetric), new Shape(2, 4, 3)),
        ["resize, linear, PyTorch's half pixels"] =
            (() => new Resize((1, 5), null, null, CoordinateMode.PytorchHalfPixel), new Shape(2, 4, 3)),
        ["zero pad"] = (() => new ZeroPad2d((1, 2, 0, 3)), new Shape(2, 3, 4)),
        ["constant pad that crops"] = (() => new ConstantPad2d((2, -1, -1, 1), 1.5), new Shape(2, 3, 4)),
        ["reflection pad"] = (() => new ReflectionPad2d((2, 3, 1, 0)), new Shape(2, 3, 4)),
        ["replication pad"] = (() => new ReplicationPad2d((3, 1, 0, 4)), new Shape(2, 3, 2)),
        ["replication pad that crops"] = (() => new ReplicationPad2d((-1, 2, 1, -1)), new Shape(2, 3, 4)),
        ["slice of channels"] = (() => new Slice(1, 1, 3), new Shape(4, 3, 2)),
        ["slice with a step, from the end"] = (() => new Slice(-1, -6, null, 2), new Shape(2, 3, 7)),
        ["slice in reverse"] = (() => new Slice(2, null, 0, -2), new Shape(2, 6, 3)),
        ["index select"] = (() => new IndexSelect(2, 3, 0, -1, 0), new Shape(2, 4, 3)),
        ["channel shuffle"] = (() => new ChannelShuffle(3), new Shape(6, 2, 3)),
        ["local response norm"] = (() => new LocalResponseNorm(3, 0.5, 0.75, 1.5), new Shape(5, 3, 2)),
        ["local response norm, a window of all"] = (() => new LocalResponseNorm(9, 2, 0.6, 0.5), new Shape(4, 2, 3)),
        ["local response norm of rows"] = (() => new LocalResponseNorm(5, 1, 1), new Shape(6, 4)),
        ["mean over channels"] = (() => new ReduceMean([1]), new Shape(4, 3, 2)),
        ["mean over channels and width, kept"] = (() => new ReduceMean([-1, 1], keepdim: true), new Shape(4, 3, 2)),
        ["sum over height, kept"] = (() => new ReduceSum([2], keepdim: true), new Shape(2, 5, 3)),
        ["sum over channels and height"] = (() => new ReduceSum([1, 2]), new Shape(2, 5, 3)),
        ["sum of many"] = (() => new ReduceSum([2, 3]), new Shape(2, 10, 13)),
        ["max over places"] = (() => new ReduceMax([-2, -1]), new Shape(3, 2, 4)),
        ["max over channels, kept"] = (() => new ReduceMax([1], keepdim: true), new Shape(3, 2, 4)),
        ["group norm"] = (() => Uneven(new GroupNorm(2, 6)), new Shape(6, 2, 3)),
        ["group norm of features"] = (() => Uneven(new GroupNorm(3, 12, eps: 0.01)), new Shape(12)),
        ["group norm, not affine"] = (() => new GroupNorm(1, 4, affine: false), new Shape(4, 5, 6)),
        ["layer norm of the last axis"] = (() => Uneven(new LayerNorm(new Shape(5))), new Shape(3, 2, 5)),
        ["layer norm of images"] = (() => Uneven(new LayerNorm(new Shape(3, 2, 4))), new Shape(3, 2, 4)),
        ["layer norm, not affine"] = (() => new LayerNorm(new Shape(2, 5), 0.01, elementwiseAffine: false), new Shape(3, 2, 5)),
        ["instance norm of images"] = (() => new InstanceNorm2d(3), new Shape(3, 2, 4)),
        ["instance norm of images, affine"] = (() => Uneven(new InstanceNorm2d(4, 0.01, affine: true)), new Shape(4, 3, 5)),
        ["instance norm of rows, affine"] = (() => Uneven(new InstanceNorm1d(3, affine: true)), new Shape(3, 7)),
        ["hardtanh"] = (() => new Hardtanh(-49.0 / 64, 33.0 / 64), new Shape(3, 4, 5)),
        ["hardtanh, open above"] = (() => new Hardtanh(-0.5, double.PositiveInfinity), new Shape(3, 4, 5)),
        ["hardtanh, open below"] = (() => new Hardtanh(double.NegativeInfinity, 0.3), new Shape(3, 4, 5)),
        ["relu6"] = (() => new ReLU6(), new Shape(3, 4, 5)),
        ["hardsigmoid"] = (() => new Hardsigmoid(), new Shape(3, 4, 5)),
        ["hardsigmoid, steep"] = (() => new Hardsigmoid(0.8, 0.4), new Shape(3, 4, 5)),
        ["hardswish"] = (() => new Hardswish(), new Shape(3, 4, 5)),
        ["silu"] = (() => new SiLU(), new Shape(3, 4, 5)),
        ["mish"] = (() => new Mish(), new Shape(3, 4, 5)),
        ["elu"] = (() => new ELU(), new Shape(3, 4, 5)),
        ["elu, alpha 0.6"] = (() => new ELU(0.6), new Shape(3, 4, 5)),
        ["selu"] = (() => new SELU(), new Shape(3, 4, 5)),
        ["softplus"] = (() => new Softplus(), new Shape(3, 4, 5)),
        ["softplus, beta 2"] = (() => new Softplus(2), new Shape(3, 4, 5)),
        ["prelu"] = (() => new PReLU(init: 0.2), new Shape(3, 4, 5)),
        ["prelu of channels"] = (() => Uneven(new PReLU(3)), new Shape(3, 4, 5)),
        ["prelu of features"] = (() => Uneven(new PReLU(7)), new Shape(7)),
        ["dropout, evaluation"] = (() => new Dropout().Eval(), new Shape(3, 4, 5)),
        ["relu"] = (() => new ReLU(), new Shape(3, 4, 5)),
        ["flatten"] = (() => new Flatten(), new Shape(3, 4, 5)),
        ["chain"] = (Chain, new Shape(1, 14, 17)),
        ["nested chain"] = (Nested, new Shape(2, 6, 8)),
        ["normalized chain"] = (Normalized, new Shape(2, 7, 9)),
    };

    public static IEnumerable<string> Names => All.Keys;

    public static Module Make(string name) => All[name].Make();

    public static Shape Sample(string name) => All[name].Sample;

    /// <summary>LeNet's order of layers on an image that is not square: 1×14×17 to 4 classes.</summary>
    public static Sequential Chain()
    {
        var generator = new Generator(13);
        var network = new Sequential();
        network.Add("conv1", new Conv2d(1, 3, (3, 4), generator: generator));
        network.AddFunction(new ReLU());
        network.AddFunction(new MaxPool2d(2));
        network.Add("conv2", new Conv2d(3, 5, (3, 2), generator: generator));
        network.AddFunction(new ReLU());
        network.AddFunction(new MaxPool2d((2, 3)));
        network.AddFunction(new Flatten());
        network.Add("fc1", new Linear(20, 9, generator: generator));
        network.AddFunction(new ReLU());
        network.Add("fc2", new Linear(9, 4, generator: generator));
        return network;
    }

    private static Sequential Nested()
    {
        var generator = new Generator(14);
        return new Sequential
        {
            new Sequential { new MaxPool2d((2, 1)), new Conv2d(2, 4, (1, 3), generator: generator), new Sequential { new ReLU() } },
            new Flatten(),
            new Sequential { new Linear(72, 5, generator: generator) },
        };
    }

    /// <summary>What came with batch norm, in training, with groups and smooth activations: 2×7×9 to 5 log-probabilities.</summary>
    public static Sequential Normalized()
    {
        var generator = new Generator(17);
        return new Sequential
        {
            new Conv2d(2, 4, (3, 2), bias: false, generator: generator), Uneven(new BatchNorm2d(4)), new GELU(),
                new AvgPool2d((2, 1), (1, 2)),
            new Conv2d(4, 6, (2, 3), groups: 2, generator: generator), new Tanh(), new AdaptiveAvgPool2d((2, 1)), new Flatten(),
            new Linear(12, 5, generator: generator), new LogSoftmax(),
        };
    }

    private static Module Uneven(Module layer)
    {
        foreach (var parameter in layer.Parameters())
            for (int i = 0; i < parameter.Value.Data.Length; i++) parameter.Value.Data[i] = 0.6f - 0.35f * i + 0.01f * i * i;
        return layer;
    }

    /// <summary>No channel with the factor, the offset or the running estimates of another.</summary>
    private static BatchNorm Uneven(BatchNorm norm)
    {
        for (int c = 0; c < norm.NumFeatures; c++)
            (norm.Weight!.Value.Data[c], norm.Bias!.Value.Data[c], norm.RunningMean![c], norm.RunningVar![c]) = (0.7f + 0.5f * c,
                0.3f - 0.2f * c, 0.4f * c - 0.3f, 0.5f + 0.6f * c);
        return norm;
    }
}
