namespace OnnxLeNet.Numerics.Tests;

/// <summary>Parts, paddings and sizes of images, and what they refuse: the layers whose numbers LayerCases.cs and torch_nn.py
/// hold.</summary>
[TestClass]
public sealed class SelectionTests
{
    private static readonly Shape Sample = new(5, 3, 4);

    /// <summary>The values that a function makes of one of samples of shape [5, 3, 4], by the shapes.</summary>
    private static Shape[] Shapes(Func<Value, IEnumerable<Value>> function)
    {
        Shape[] shapes = [];
        Graph.Trace(new Custom(x =>
        {
            var values = function(x).ToList();
            shapes = [.. values.Select(value => value.Sample)];
            return values[0];
        }), Sample);
        return shapes;
    }

    private sealed class Custom(Func<Value, Value> forward) : Module
    {
        public override Value Forward(Value x) => forward(x);
    }

    [TestMethod]
    public void PartsAreTorchs()
    {
        CollectionAssert.AreEqual(new[] { new Shape(1, 3, 4), new Shape(4, 3, 4) }, Shapes(x => F.Split(x, [1, 4])));
        CollectionAssert.AreEqual(new[] { new Shape(5, 3, 3), new Shape(5, 3, 1) }, Shapes(x => F.Split(x, 3, dim: -1)));
        // torch.chunk: 5 in 4 are 2, 2, 1, and 3 in 2 are 2, 1.
        CollectionAssert.AreEqual(new[] { new Shape(2, 3, 4), new Shape(2, 3, 4), new Shape(1, 3, 4) }, Shapes(x => F.Chunk(x, 4)));
        CollectionAssert.AreEqual(new[] { new Shape(5, 2, 4), new Shape(5, 1, 4) }, Shapes(x => F.Chunk(x, 2, dim: 2)));
        Shape[] ranges = Shapes(x => [x[1, 1..3], x[2, ^1..], x[3, ..], x[3, 1..^1]]);
        CollectionAssert.AreEqual(new[] { new Shape(2, 3, 4), new Shape(5, 1, 4), Sample, new Shape(5, 3, 2) }, ranges);
        foreach (var (start, end, step, expected) in new (int?, int?, int, int[])[]
        {
            (null, null, 1, [0, 1, 2, 3, 4]), (-2, null, 1, [3, 4]), (1, 100, 3, [1, 4]), (-100, 2, 1, [0, 1]),
            (null, null, -1, [4, 3, 2, 1, 0]),
            (3, 0, -2, [3, 1]), (100, null, -4, [4, 0]), (int.MinValue, int.MaxValue, int.MaxValue, [0]),
        })
        {
            var y = new Slice(1, start, end, step).Forward(Batch.FromTensor(new Tensor(new Shape(1, 5), [0, 1, 2, 3, 4])));
            CollectionAssert.AreEqual(expected, y.ToTensor().Data.Select(v => (int)v).ToArray(), $"{start}:{end}:{step}");
        }
    }

    [TestMethod]
    public void WhatCannotBeIsRefusedAndSaid()
    {
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new Slice(0), "axis 0 holds the samples");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new Slice(1, step: 0), "step");
        Failure.Of<ShapeException>(() => new Slice(4).OutputShape(Sample), "axis 4", "[5, 3, 4]");
        Failure.Of<ShapeException>(() => new Slice(1, 3, 3).OutputShape(Sample), "leaves nothing", "[5, 3, 4]");
        Failure.Of<ArgumentException>(() => _ = new IndexSelect(1), "at least one");
        Failure.Of<ShapeException>(() => new IndexSelect(1, 0, 5).OutputShape(Sample), "place 5 of axis 1", "[5, 3, 4]");
        Failure.Of<ShapeException>(() => Shapes(x => F.Split(x, [2, 2])), "axis of 5", "[2, 2]");
        Failure.Of<ShapeException>(() => Shapes(x => F.Split(x, [6, -1])), "[6, -1]");
        Failure.Of<ShapeException>(() => Shapes(x => F.Chunk(x, 2, dim: 5)), "no axis 5");
        Failure.Of<ArgumentOutOfRangeException>(() => Shapes(x => F.Chunk(x, 0)), "chunks");
        Failure.Of<ArgumentOutOfRangeException>(() => Shapes(x => F.Split(x, 0)), "size");
        Failure.Of<ArgumentOutOfRangeException>(() => Shapes(x => [x[1, 4..7]]), "length");
        Failure.Of<ShapeException>(() => new ReflectionPad2d(3).OutputShape(Sample), "at most 2 high and 3 wide", "[5, 3, 4]");
        Failure.Of<ShapeException>(() => new ZeroPad2d((-2, -2, 0, 0)).OutputShape(Sample), "3×0");
        Failure.Of<ShapeException>(() => new ZeroPad2d(1).OutputShape(new Shape(5, 3)), "[N, C, H, W]", "[N, 5, 3]");
        Failure.Of<ShapeException>(() => new ChannelShuffle(2).OutputShape(Sample), "2 equal groups", "[N, 5, 3, 4]");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new ChannelShuffle(0), "groups");
        Failure.Of<ArgumentException>(() => _ = new Upsample(), "neither");
        Failure.Of<ArgumentException>(() => _ = new Upsample(2, 2), "both");
        Failure.Of<ArgumentException>(() => _ = new Upsample(2, alignCorners: true), "bilinear", "Nearest");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new Upsample((0, 2)), "at least 1");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new Upsample(scaleFactor: (2, -1)), "above 0");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new Upsample(scaleFactor: double.NaN), "finite");
        Failure.Of<ShapeException>(() => new Upsample(scaleFactor: 0.25).OutputShape(Sample), "0×1", "[5, 3, 4]");
        Failure.Of<ShapeException>(() => new Upsample(2).OutputShape(new Shape(5)), "[N, C, H, W]", "[N, 5]");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new ConvTranspose2d(3, 4, 2, groups: 2), "cut into 2 equal groups");
        Failure.Of<ArgumentOutOfRangeException>(
            () => _ = new ConvTranspose2d(3, 4, 2, 2, outputPadding: (1, 2)), "smaller than stride or dilation");
        Failure.Of<ShapeException>(() => new ConvTranspose2d(3, 4, 2).OutputShape(Sample), "takes 3 input channel(s)", "[5, 3, 4]");
        Failure.Of<ShapeException>(() => new ConvTranspose2d(5, 4, 1, padding: 2).OutputShape(Sample), "-1×0");
        Failure.Of<ShapeException>(() => new Conv1d(5, 4, 2).OutputShape(Sample), "[N, 5, L]", "[N, 5, 3, 4]");
        Failure.Of<ShapeException>(() => new Conv1d(5, 4, 4).OutputShape(new Shape(5, 3)), "window covers 1×4");
        Failure.Of<ShapeException>(() => new MaxPool1d(2).OutputShape(Sample), "[N, C, L]");
        Failure.Of<ShapeException>(() => new AvgPool1d(2).OutputShape(Sample), "[N, C, L]");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new AvgPool1d(2, padding: 2), "at most half the kernel");
        Failure.Of<ShapeException>(() => new AdaptiveAvgPool1d(2).OutputShape(Sample), "[N, C, L]");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new AdaptiveMaxPool2d(0), "at least 1");
        Failure.Of<ShapeException>(() => new AdaptiveMaxPool2d(1).OutputShape(new Shape(3)), "[N, C, H, W]");
    }

    /// <summary>Of equal elements the first is the largest, and a NaN wins over all, at every vector width.</summary>
    [TestMethod]
    public void TiesAndNotANumberInAnAdaptiveMaxPool()
    {
        foreach (int samples in new[] { 1, 37 })
        {
            var x = new Batch(samples, new Shape(1, 1, 4));
            var pool = new AdaptiveMaxPool2d((1, 2));
            float[] row = [5, 5, float.NaN, 9];
            for (int i = 0; i < x.Values.Length; i++) x.Values[i] = row[i / samples];
            var y = pool.Forward(x);
            Assert.IsTrue(Enumerable.Range(0, samples).All(n => y.Values[n] == 5 && float.IsNaN(y.Values[samples + n])));
            var dy = new Batch(samples, y.Sample);
            for (int i = 0; i < dy.Values.Length; i++) dy.Values[i] = 1 + i;
            float[] dx = pool.Backward(dy)!.Values;
            for (int n = 0; n < samples; n++)
                CollectionAssert.AreEqual(new float[] { 1 + n, 0, 1 + samples + n, 0 },
                    Enumerable.Range(0, 4).Select(i => dx[i * samples + n]).ToArray());
        }
    }

    /// <summary>The state of layers of one spatial axis and of transposed ones, as PyTorch names and shapes it.</summary>
    [TestMethod]
    public void StatesArePyTorchs()
    {
        Assert.AreEqual("weight [6, 2, 3], bias [6]", State(new Conv1d(4, 6, 3, groups: 2)));
        Assert.AreEqual("weight [4, 3, 2, 5]", State(new ConvTranspose2d(4, 6, (2, 5), groups: 2, bias: false)));

        static string State(Module module) =>
            string.Join(", ", module.NamedParameters().Select(p => $"{p.Name} {p.Parameter.Value.Shape}"));
    }
}
