using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>What is not so in the engine.</summary>
public enum Lie
{
    None,
    Forward,
    InputGradient,
    WeightGradient,
    NoWeightGradient,
    Weight,
}

/// <summary>y = x·w with one weight.</summary>
internal sealed class LyingScale : Layer, IOnnxForm
{
    private readonly Lie lie;

    public LyingScale(Lie lie)
    {
        this.lie = lie;
        W = Register("w", new Parameter(1));
        W.Value.Data[0] = 0.8f;
    }

    public Parameter W { get; }

    public override Shape OutputShape(Shape sample) => sample;

    public override void Forward(Batch x, Batch y, Context context)
    {
        if (lie == Lie.Weight) W.Value.Data[0] *= 0.9999f; // whatever the optimizer does
        float w = W.Value.Data[0] * (lie == Lie.Forward ? 1.001f : 1);
        for (int i = 0; i < y.Values.Length; i++) y.Values[i] = x.Values[i] * w;
    }

    public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        double sum = 0;
        for (int i = 0; i < y.Values.Length; i++) sum += (double)dy.Values[i] * x.Values[i];
        if (lie != Lie.NoWeightGradient) W.AddGrad(context, [(float)(sum * (lie == Lie.WeightGradient ? 1.001 : 1))]);
        if (dx is null) return;
        float w = W.Value.Data[0] * (lie == Lie.InputGradient ? 1.001f : 1);
        for (int i = 0; i < y.Values.Length; i++) dx.Values[i] = dy.Values[i] * w;
    }

    public string ToOnnx(OnnxNodes nodes) => nodes.Node("Mul", [nodes.Inputs[0], nodes.Weight(W)]);

    public IReadOnlyList<string> BackwardToOnnx(OnnxNodes nodes, string dy)
    {
        string terms = nodes.Inner("terms", "Mul", [dy, nodes.Inputs[0]]);
        nodes.Gradient(W, "Reshape", [nodes.Inner("sum", "ReduceSum", [terms], ("keepdims", 0)), nodes.Integers(1)]);
        return [nodes.Node("Mul", [dy, nodes.Weight(W)])];
    }
}
