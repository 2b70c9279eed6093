namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// Networks with every layer that a training step can have, beside those of <see cref="OnnxNetworks"/>: no size is its neighbour's.
/// </summary>
internal static class TrainingNetworks
{
    private static readonly Dictionary<string, (Func<Generator, Module[]> Build, Shape Sample)> All = new()
    {
        ["paddings of different width"] = (g => [new Conv2d(2, 3, (3, 2), (2, 1), (2, 0), generator: g, paddingEnd: (1, 2)), new ReLU(),
            new Flatten(), new Linear(3 * 5 * 9, 4, generator: g)], new Shape(2, 8, 8)),
        ["strides that leave a rest"] = (g => [new Conv2d(1, 2, (2, 3), (3, 4), (1, 0), generator: g), new Tanh(),
            new Conv2d(2, 3, 2, 2, dilation: (1, 2), bias: false, generator: g), new Flatten(), new Linear(3 * 2 * 1, 3, generator: g)],
            new Shape(1, 12, 17)),
        ["groups with strides and dilation"] = (g => [new Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (1, 3), groups: 2, generator: g),
            new Sigmoid(), new Conv2d(6, 6, (2, 3), (1, 2), groups: 6, generator: g), new Flatten(),
            new Linear(6 * 4 * 4, 5, generator: g)], new Shape(4, 9, 8)),
        ["average pools"] = (g => [new Conv2d(1, 3, 3, padding: 1, generator: g), new AvgPool2d((3, 2), (2, 1), (1, 1)),
            new AvgPool2d((2, 3), (1, 2), (0, 1), countIncludePad: false), new Flatten(), new Linear(3 * 3 * 4, 3, generator: g)],
            new Shape(1, 7, 6)),
        ["average pools rounded up"] = (g => [new Conv2d(1, 2, 2, generator: g), new AvgPool2d((3, 2), (2, 2), ceilMode: true),
            new AvgPool2d(2, 2, 1, ceilMode: true), new Flatten(), new Linear(2 * 3 * 3, 3, generator: g)], new Shape(1, 9, 10)),
        ["adaptive pools"] = (g => [new Conv2d(1, 4, 2, generator: g), new AdaptiveAvgPool2d((3, 4)), new LeakyReLU(0.2),
            new AdaptiveAvgPool2d(1), new Flatten(), new Linear(4, 3, generator: g)], new Shape(1, 7, 9)),
        ["max pools that overlap"] = (g => [new Conv2d(2, 3, 2, generator: g), new MaxPool2d((3, 2), (1, 2), (1, 0)),
            new MaxPool2d(2, 1, dilation: (2, 1)), new Flatten(), new Linear(3 * 4 * 3, 4, generator: g)], new Shape(2, 7, 9)),
        ["max pools rounded up"] = (g => [new Conv2d(2, 3, 2, generator: g), new ReLU(), new MaxPool2d((2, 3), (2, 3), ceilMode: true),
            new Flatten(), new Linear(3 * 4 * 3, 4, generator: g)], new Shape(2, 8, 10)),
        ["batch normalization"] = (g => [new Conv2d(2, 3, 2, generator: g), new BatchNorm2d(3, momentum: 0.3), new ReLU(), new Flatten(),
            new Linear(3 * 4 * 5, 6, generator: g), new BatchNorm1d(6, 1e-3, momentum: null), new Tanh(), new BatchNorm1d(6, affine: false),
            new Linear(6, 3, generator: g)], new Shape(2, 5, 6)),
        ["gelu and softmax"] = (g => [new Linear(5, 7, generator: g), new GELU(), new Linear(7, 4, generator: g), new Softmax(-1),
            new Linear(4, 3, generator: g), new LogSoftmax(1)], new Shape(5)),
        ["softmax over channels"] = (g => [new Conv2d(2, 3, 2, generator: g), new Softmax(1), new Permute(0, 3, 1, 2),
            new Reshape(new Shape(4, 12)), new LogSoftmax(2), new Flatten(), new Linear(48, 3, generator: g)], new Shape(2, 5, 5)),
        ["scales and shifts"] = (g => [new ScaleShift(new Shape(1), null), new Conv2d(2, 3, 2, generator: g),
            new ScaleShift(new Shape(3, 1, 1), new Shape(3, 1, 1)), new Tanh(), new ScaleShift(null, new Shape(3, 4, 4)),
            new ScaleShift(new Shape(4, 1), new Shape(4)), new Flatten(), new Linear(48, 3, generator: g),
            new ScaleShift(new Shape(3), null)], new Shape(2, 5, 5)),
        ["transposed convolutions"] = (g =>
        [
            new ConvTranspose2d(2, 4, (3, 2), (2, 1), (1, 0), (1, 0), groups: 2, generator: g), new Tanh(),
            new ConvTranspose2d(4, 3, (2, 3), (1, 3), outputPadding: (0, 2), dilation: (2, 1), bias: false, generator: g,
                paddingEnd: (1, 0)),
            new Flatten(), new Linear(3 * 7 * 17, 4, generator: g),
        ], new Shape(2, 3, 4)),
        ["images in other sizes"] = (g =>
        [
            new Conv2d(2, 3, 2, generator: g), new Upsample(scaleFactor: (2, 3)), new AvgPool2d(2),
            new Upsample((5, 6), mode: UpsampleMode.Bilinear), new Tanh(),
            new Upsample((3, 9), mode: UpsampleMode.Bilinear, alignCorners: true), new Resize((4, 5), null, NearestMode.Ceil),
            new Flatten(), new Linear(60, 3, generator: g),
        ], new Shape(2, 4, 5)),
        ["paddings"] = (g =>
        [
            new Conv2d(2, 3, 2, generator: g), new ZeroPad2d((1, 2, 0, 1)), new ReflectionPad2d((2, 1, 0, 3)), new Tanh(),
            new ReplicationPad2d((3, -1, 1, 2)), new ConstantPad2d((-2, 1, -1, -3), 0.5), new Flatten(), new Linear(198, 3, generator: g),
        ], new Shape(2, 4, 5)),
        ["parts"] = (g =>
        [
            new Conv2d(2, 6, 2, generator: g), new ChannelShuffle(3), new Slice(1, 1, 5), new Tanh(), new Slice(3, step: -2),
            new IndexSelect(2, 1, 0, 1, 2), new Slice(2, 1, step: 2), new Flatten(), new Linear(4 * 2 * 3, 3, generator: g),
        ], new Shape(2, 4, 6)),
        ["uneven adaptive pools"] = (g =>
        [
            new Conv2d(1, 3, 2, generator: g), new AdaptiveAvgPool2d((5, 4)), new Tanh(), new AdaptiveMaxPool2d((3, 3)), new Flatten(),
            new Linear(27, 3, generator: g),
        ], new Shape(1, 8, 10)),
        ["adaptive max pools"] = (g =>
        [
            new Conv2d(1, 4, 2, generator: g), new AdaptiveMaxPool2d((3, 4)), new Tanh(), new AdaptiveMaxPool2d(1), new Flatten(),
            new Linear(4, 3, generator: g),
        ], new Shape(1, 7, 10)),
        ["rows"] = (g =>
        [
            new Conv1d(2, 4, 3, 2, 1, groups: 2, generator: g), new BatchNorm1d(4), new MaxPool1d(3, 1, 1),
            new AvgPool1d(2, 1, 1, countIncludePad: false), new Tanh(),
            new Conv1d(4, 3, 2, dilation: 2, bias: false, generator: g, paddingEnd: 1), new AdaptiveAvgPool1d(4), new AvgPool1d(3, 2, 1),
            new AdaptiveAvgPool1d(1), new Flatten(), new Linear(3, 3, generator: g),
        ], new Shape(2, 19)),
        ["response normalization"] = (g =>
        [
            new Conv2d(2, 6, 2, generator: g), new LocalResponseNorm(3, 0.5, 0.75, 1.5), new Tanh(), new LocalResponseNorm(4, 2, 0.5),
            new Flatten(), new Linear(72, 3, generator: g),
        ], new Shape(2, 4, 5)),
        ["normalized samples"] = (g =>
        [
            new Conv2d(2, 6, 2, generator: g), new GroupNorm(2, 6), new Tanh(), new InstanceNorm2d(6, affine: true), new Tanh(),
            new LayerNorm(new Shape(5)), new ReLU(), new GroupNorm(3, 6, affine: false), new LayerNorm(new Shape(4, 5), 1e-3),
            new Flatten(), new Linear(120, 8, generator: g), new GroupNorm(2, 8),
            new LayerNorm(new Shape(8), elementwiseAffine: false), new Linear(8, 3, generator: g),
        ], new Shape(2, 5, 6)),
        ["normalized rows"] = (g =>
        [
            new Conv1d(2, 4, 2, bias: false, generator: g), new InstanceNorm1d(4), new Tanh(), new InstanceNorm1d(4, 1e-3, affine: true),
            new ReLU(), new LayerNorm(new Shape(4, 6)), new Flatten(), new Linear(24, 3, generator: g),
        ], new Shape(2, 7)),
        ["reductions"] = (g =>
        [
            new Conv2d(2, 6, 2, generator: g), new ReduceMean([2], keepdim: true), new Tanh(), new Conv2d(6, 5, 1, generator: g),
            new ReduceSum([-2]), new Conv1d(5, 4, 2, generator: g), new ReduceMax([1]), new Linear(4, 3, generator: g),
        ], new Shape(2, 5, 6)),
        ["reductions over channels"] = (g =>
        [
            new Conv2d(2, 6, 2, generator: g), new ReduceMax([1], keepdim: true), new Conv2d(1, 4, 2, generator: g),
            new ReduceMean([1, -1]), new Linear(4, 3, generator: g),
        ], new Shape(2, 6, 5)),
        ["activations of straight pieces"] = (g =>
        [
            new Conv2d(2, 4, 2, generator: g), new Hardtanh(-0.4, 0.3), new Conv2d(4, 3, 2, generator: g), new Hardswish(), new Flatten(),
            new Linear(18, 7, generator: g), new Hardsigmoid(0.8, 0.4), new Linear(7, 6, generator: g), new ReLU6(),
            new Linear(6, 5, generator: g), new Hardtanh(-0.1, double.PositiveInfinity), new Linear(5, 3, generator: g),
        ], new Shape(2, 4, 5)),
        ["exponential units"] = (g =>
        [
            new Conv2d(2, 4, 2, generator: g), new ELU(0.7), new Conv2d(4, 3, 2, generator: g), new SELU(), new Flatten(),
            new Linear(18, 7, generator: g), new Softplus(2), new Linear(7, 6, generator: g), new SiLU(), new Linear(6, 5, generator: g),
            new Mish(), new Linear(5, 4, generator: g), new Softplus(1.5, 0.2), new Linear(4, 3, generator: g),
        ], new Shape(2, 4, 5)),
        ["learned slopes"] = (g =>
        [
            new Conv2d(2, 4, 2, generator: g), new PReLU(4, 0.1), new Conv2d(4, 3, 2, generator: g), new PReLU(init: 0.3), new Flatten(),
            new Linear(18, 7, generator: g), new PReLU(7), new Linear(7, 3, generator: g),
        ], new Shape(2, 4, 5)),
        ["an image out"] = (g => [new Conv2d(3, 2, (2, 3), padding: (1, 1), generator: g), new ReLU(), new Conv2d(2, 3, 2, generator: g)],
            new Shape(3, 6, 5)),
        ["one number out"] = (g => [new Linear(3, 4, generator: g), new Sigmoid(), new Linear(4, 1, generator: g)], new Shape(3)),
    };

    /// <summary>The networks of <see cref="OnnxNetworks"/> that have weights, then those of this list.</summary>
    public static IEnumerable<string> Names => OnnxNetworks.Names.Where(name => name != "pool").Concat(All.Keys);

    public static (Sequential Network, Shape Sample) Get(string name)
    {
        if (!All.TryGetValue(name, out var entry)) return OnnxNetworks.Get(name);
        var network = new Sequential("Net");
        foreach (var layer in entry.Build(new Generator(21))) network.Add(layer);
        // Estimates and scales that are neither 0 nor 1.
        var random = new Generator(22);
        var scaled = network.Select(layer => layer switch
        {
            BatchNorm norm => norm.Weight, SampleNorm norm => norm.Weight, ScaleShift scale => scale.Weight, _ => null,
        });
        foreach (float[] weights in scaled.OfType<Parameter>().Select(weight => weight.Value.Data))
            foreach (ref float weight in weights.AsSpan()) weight = (float)(1 + 0.3 * random.NextNormal());
        return (network, entry.Sample);
    }
}
