namespace OnnxLeNet.Numerics.Tests;

/// <summary>What is wrong with a gradient.</summary>
public enum Nudge
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>All of it is 1% too large.</summary>
    Percent,

    /// <summary>Its sign.</summary>
    Sign,

    /// <summary>One element, by 1% of the largest.</summary>
    Element,

    /// <summary>It is left out.</summary>
    Zero,
}

/// <summary>A module whose gradient, of its input or of one parameter, is off. For one block of samples.</summary>
internal sealed class Nudged : Module
{
    private readonly Module inner;
    private readonly string tensor;
    private readonly Nudge nudge;

    public Nudged(Module inner, string tensor, Nudge nudge) => (this.inner, this.tensor, this.nudge) = (Register("inner", inner), tensor, nudge);

    public override Batch Forward(Batch x, Pass pass) => inner.Forward(x, pass);

    public override Batch? Backward(Batch dy, Pass pass)
    {
        var dx = inner.Backward(dy, pass)!;
        if (tensor == "input")
        {
            var result = new Batch(dx.Count, dx.Sample);
            dx.Values.CopyTo(result.Values, 0);
            Spoil(result.Values);
            return result;
        }
        Spoil(inner.NamedParameters().Single(p => p.Name == tensor).Parameter.Partial(pass, out _));
        return dx;
    }

    private void Spoil(float[] gradient)
    {
        if (nudge == Nudge.None) return;
        if (nudge == Nudge.Element)
        {
            gradient[gradient.Length / 2] += 0.01f * gradient.Max(Math.Abs);
            return;
        }
        float factor = nudge switch { Nudge.Percent => 1.01f, Nudge.Sign => -1, _ => 0 };
        for (int i = 0; i < gradient.Length; i++) gradient[i] *= factor;
    }
}
