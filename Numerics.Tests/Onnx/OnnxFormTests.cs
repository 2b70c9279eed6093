using Google.Protobuf;
using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// Layers and joins of a user's own with what they are in ONNX, each in one place: trained, exported and proved like the others.
/// </summary>
[TestClass]
public sealed class OnnxFormTests
{
    /// <summary>y = x·σ(βx) with a learned β.</summary>
    private sealed class Swish : Layer, IOnnxForm
    {
        public Swish() => Beta.Value.Data[0] = 1.5f;

        public Parameter Beta => beta ??= Register("beta", new Parameter(1));

        private Parameter? beta;

        public override Shape OutputShape(Shape sample) => sample;

        public override void Forward(Batch x, Batch y, Context context)
        {
            for (int i = 0; i < y.Values.Length; i++) y.Values[i] = x.Values[i] * Gate(x.Values[i]);
        }

        public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
        {
            float sum = 0;
            for (int i = 0; i < y.Values.Length; i++)
            {
                float gate = Gate(x.Values[i]), slope = gate * (1 - gate);
                sum += dy.Values[i] * x.Values[i] * x.Values[i] * slope;
                if (dx is not null) dx.Values[i] = dy.Values[i] * (gate + x.Values[i] * Beta.Value.Data[0] * slope);
            }
            Beta.AddGrad(context, [sum]);
        }

        public string ToOnnx(OnnxNodes nodes) => nodes.Node("Mul", [nodes.Inputs[0], Gate(nodes)]);

        public IReadOnlyList<string> BackwardToOnnx(OnnxNodes nodes, string dy)
        {
            string x = nodes.Inputs[0], gate = Gate(nodes);
            string slope = nodes.Inner("slope", "Mul", [gate, nodes.Inner("rest", "Sub", [nodes.Number(1), gate])]);
            string rise = nodes.Inner("rise", "Mul", [x, slope]), scaled = nodes.Inner("scaled", "Mul", [rise, nodes.Weight(Beta)]);
            string terms = nodes.Inner("terms", "Mul", [dy, nodes.Inner("square", "Mul", [x, rise])]);
            nodes.Gradient(Beta, "Reshape", [nodes.Inner("sum", "ReduceSum", [terms], ("keepdims", 0)), nodes.Integers(1)]);
            return [nodes.Node("Mul", [dy, nodes.Inner("all", "Add", [gate, scaled])])];
        }

        private string Gate(OnnxNodes nodes) =>
            nodes.Inner("gate", "Sigmoid", [nodes.Inner("product", "Mul", [nodes.Inputs[0], nodes.Weight(Beta)])]);

        private float Gate(float x) => 1 / (1 + MathF.Exp(-Beta.Value.Data[0] * x));
    }

    /// <summary>The larger of two values, element by element.</summary>
    private sealed class Larger : Join, IOnnxForm
    {
        public override Shape OutputShape(IReadOnlyList<Shape> samples) => samples[0] == samples[1] ? samples[0]
            : throw new ShapeException($"{Label} takes two of a shape, got {samples[0]} and {samples[1]}");

        public override void Forward(Batch[] x, Batch y, Context context)
        {
            for (int i = 0; i < y.Values.Length; i++) y.Values[i] = Math.Max(x[0].Values[i], x[1].Values[i]);
        }

        public override void Backward(Batch[] x, Batch y, Batch dy, Batch?[] dx, Context context)
        {
            for (int i = 0; i < y.Values.Length; i++)
            {
                bool first = x[0].Values[i] > x[1].Values[i];
                if (dx[0] is { } a) a.Values[i] = first ? dy.Values[i] : 0;
                if (dx[1] is { } b) b.Values[i] = first ? 0 : dy.Values[i];
            }
        }

        public string ToOnnx(OnnxNodes nodes) => nodes.Node("Max", [.. nodes.Inputs]);

        public IReadOnlyList<string> BackwardToOnnx(OnnxNodes nodes, string dy)
        {
            string first = nodes.Inner("first", "Greater", [.. nodes.Inputs]), zero = nodes.Number(0);
            return [nodes.Inner("a", "Where", [first, dy, zero]), nodes.Inner("b", "Where", [first, zero, dy])];
        }
    }

    private sealed class Net : Module
    {
        private readonly Conv2d conv1 = new(2, 3, 3, generator: new Generator(1)), conv2 = new(2, 3, 3, generator: new Generator(2));
        private readonly Swish swish = new();
        private readonly Leaf join;
        private readonly Linear fc = new(3 * 4 * 4, 4, generator: new Generator(3));

        public Net(Leaf join)
        {
            (conv1, conv2, swish, fc) = (Register("conv1", conv1), Register("conv2", conv2), Register("swish", swish), Register("fc", fc));
            this.join = Register("join", join);
        }

        public override Value Forward(Value x) =>
            fc.Forward(F.Flatten(join.Forward([swish.Forward(conv1.Forward(x)), conv2.Forward(x)])[0]));
    }

    private static readonly Shape Sample = new(2, 6, 6);

    [TestMethod]
    [DataRow(13)]
    [DataRow(17)]
    [DataRow(21)]
    public void TheyAreExported(int opset)
    {
        var network = new Net(new Larger());
        var file = OnnxExporter.Export(network, Sample, "net", options: new ExportOptions { Opset = opset });
        OnnxChecker.Check(file);
        CollectionAssert.IsSubsetOf(new[] { "swish.product", "swish.gate", "swish", "join" }, file.Graph.Node.Select(node => node.Name)
            .ToArray());
        Assert.IsTrue(file.Graph.Initializer.Any(weight => weight.Name == "swish.beta"));
        using var model = OrtModel.Load(file.ToByteArray());
        foreach (var row in Parity.OnRandomInput(network, Sample, model)) Assert.IsTrue(row.Passed, $"{row}");
    }

    [TestMethod]
    public void TheirGradientsAgree()
    {
        var network = new Net(new Larger());
        var rows = GradientParity.Gradients(network, Sample);
        Assert.IsTrue(GradientParity.Passed(rows), $"{rows.FirstOrDefault(row => !row.Passed)}");
        Assert.IsTrue(rows.Any(row => row.Name == "swish.beta" && row.Largest > 0));
        foreach (var row in GradientCheck.Run(network, Values.Batch(1, 5, Sample))) Assert.IsTrue(row.Passed, $"{row}");
    }

    private sealed class Mean : Join
    {
        public override Shape OutputShape(IReadOnlyList<Shape> samples) => samples[0];

        public override void Forward(Batch[] x, Batch y, Context context)
        {
            for (int i = 0; i < y.Values.Length; i++) y.Values[i] = (x[0].Values[i] + x[1].Values[i]) / 2;
        }
    }

    private sealed class ForwardOnly : Join, IOnnxForm
    {
        public override Shape OutputShape(IReadOnlyList<Shape> samples) => samples[0];

        public override void Forward(Batch[] x, Batch y, Context context) => x[0].Values.CopyTo(y.Values, 0);

        public override void Backward(Batch[] x, Batch y, Batch dy, Batch?[] dx, Context context)
        {
            if (dx[0] is { } d) dy.Values.CopyTo(d.Values, 0);
            dx[1]?.Values.AsSpan().Clear();
        }

        public string ToOnnx(OnnxNodes nodes) => nodes.Node("Identity", [nodes.Inputs[0]]);
    }

    [TestMethod]
    public void WithoutAFormTheyAreRefusedByName()
    {
        Failure.Of<OnnxException>(() => OnnxExporter.Export(new Net(new Mean()), Sample, "net"), "join", "Mean", "no form in ONNX");
        Failure.Of<OnnxException>(() => GradientParity.Gradients(new Net(new ForwardOnly()), Sample), "ForwardOnly", "no backward in ONNX",
            "BackwardToOnnx");
    }
}
