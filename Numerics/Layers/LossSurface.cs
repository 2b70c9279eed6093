using System.Runtime.InteropServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// A module's outputs, weighted by a random gradient and added up in double, as a function of its input and its parameters: L = Σ dy·y,
/// with the gradients that the backward gives for it. Every forward begins with the same buffers and draws the same random numbers.
/// </summary>
internal sealed class LossSurface
{
    private readonly Module module;
    private readonly Execution execution; // the module's own saves what its last forward left
    private readonly Batch[] inputs;
    private readonly float[] dy;
    private readonly StateDict state;
    private readonly ulong draws;

    /// <summary>The input or one parameter: its values, which may be changed, and their gradients.</summary>
    /// <param name="Name"><c>input</c>, or the parameter's name.</param>
    /// <param name="Parameter">The parameter, or null for an input.</param>
    /// <param name="Input">The number of the input, or −1 for a parameter.</param>
    /// <param name="Values">What the module reads.</param>
    /// <param name="Backward">As many gradients.</param>
    public sealed record Tensor(string Name, Parameter? Parameter, int Input, float[] Values, float[] Backward)
    {
        /// <summary>The power of two at or below its largest value, and 1 at least: what a long step is measured by.</summary>
        public double Span { get; } = Math.ScaleB(1, Math.ILogB(Math.Max(1, LargestOf(Values))));
    }

    /// <summary>The surface around a batch.</summary>
    /// <param name="module">In the mode it is in.</param>
    /// <param name="x">The inputs, [N × features] each; copied.</param>
    /// <param name="generator">Where dy and dropout draw from.</param>
    /// <exception cref="OnnxLeNetException">Two forwards of the same batch differ, or one changes its input.</exception>
    public LossSurface(Module module, Batch[] x, Generator generator)
    {
        (this.module, execution, state, draws) = (module, new Execution(module) { Random = new Generator(0) }, module.StateDict().Clone(),
            generator.NextBits());
        inputs = Array.ConvertAll(x, given =>
        {
            var copy = new Batch(given.Count, given.Sample);
            given.Values.CopyTo(copy.Values, 0);
            return copy;
        });
        var y = Forward();
        RequireInputsAsGiven("forward");
        dy = new float[y.Values.Length];
        for (int i = 0; i < dy.Length; i++) dy[i] = (float)generator.NextNormal();
        float[] again = Forward().Values;
        for (int i = 0; i < dy.Length; i++)
        {
            if (BitConverter.SingleToInt32Bits(y.Values[i]) != BitConverter.SingleToInt32Bits(again[i]))
                throw new OnnxLeNetException($"{module.GetType().Name}: two forwards of the same batch return {y.Values[i]:R} and "
                    + $"{again[i]:R} "
                    + $"at element {i}, so that no difference is its slope: a module that draws random numbers draws them from its "
                        + "context's Random");
        }
        Output = y;
    }

    /// <summary>What the module returned for the batch.</summary>
    public Batch Output { get; }

    /// <summary>The inputs, and every parameter that is trained.</summary>
    public List<Tensor> Tensors { get; } = [];

    /// <summary>L at the point itself.</summary>
    public double Loss { get; private set; }

    /// <summary>η, how far L moves by rounding alone: root mean square.</summary>
    public double Noise { get; private set; }

    /// <summary>The slopes of L along one element over a step: to the one side, to the other, and over both.</summary>
    public (double Below, double Above, double Central) Slopes(float[] values, int place, float step)
    {
        float value = values[place], above = value + step, below = value - step;
        values[place] = above;
        double up = Evaluate();
        values[place] = below;
        double down = Evaluate();
        values[place] = value;
        return ((Loss - down) / ((double)value - below), (up - Loss) / ((double)above - value), (up - down) / ((double)above - below));
    }

    /// <summary>
    /// The mean of an element's gradient over a step to both sides, and how far the means of every other point lie apart. The difference
    /// over the step is just that mean, also where kinks lie within it.
    /// </summary>
    public (double Mean, double Error) MeanBackward(Tensor tensor, int place, float step)
    {
        const int Points = 64;
        float value = tensor.Values[place];
        double even = 0, odd = 0;
        for (int i = 0; i < Points; i++)
        {
            tensor.Values[place] = value + step * ((2 * i + 1f) / Points - 1);
            var (_, dx) = ForwardBackward();
            float gradient = tensor.Parameter is null ? dx[tensor.Input]!.Values[place] : tensor.Parameter.Grad?.Data[place] ?? 0;
            if (i % 2 == 0) even += gradient;
            else odd += gradient;
        }
        tensor.Values[place] = value;
        return ((even + odd) / Points, Math.Abs(even - odd) / Points);
    }

    /// <summary>Moves every number at random by about a tenth of its tensor's largest, or by about 0.1 where all are zero.</summary>
    public void MoveAside(Generator generator)
    {
        foreach (float[] values in Tensors.Select(t => t.Values))
        {
            double largest = LargestOf(values), by = 0.1 * (largest > 0 && double.IsFinite(largest) ? largest : 1);
            for (int i = 0; i < values.Length; i++) values[i] += (float)(by * generator.NextNormal());
        }
    }

    /// <summary>Forward and backward at the point, and how far rounding goes there.</summary>
    /// <exception cref="OnnxLeNetException">The backward changes the input.</exception>
    public void Measure()
    {
        ForwardBackward(); // so that no array that the backward writes to is new and full of zeros
        var (y, dx) = ForwardBackward();
        RequireInputsAsGiven("backward");
        Loss = Sum(y.Values);
        Tensors.Clear();
        for (int i = 0; i < dx.Length; i++) Tensors.Add(new Tensor("input", null, i, inputs[i].Values, dx[i]!.Values));
        foreach (var (name, parameter) in module.NamedParameters())
        {
            if (!parameter.RequiresGrad) continue;
            // One that the backward says nothing of counts as zero: it may have been forgotten.
            float[] gradient = new float[parameter.Value.Data.Length];
            parameter.Grad?.Data.CopyTo(gradient, 0);
            Tensors.Add(new Tensor(name, parameter, -1, parameter.Value.Data, gradient));
        }
        Noise = MeasureNoise(y.Values);
    }

    /// <summary>
    /// By how much L(x + δ) + L(x − δ) misses 2·L(x), where δ is the last bit of everything that goes in, at random: the slope cancels out.
    /// No less than what rounding the outputs makes.
    /// </summary>
    private double MeasureNoise(float[] y)
    {
        const int Times = 8;
        const float LastBit = 1.1920929e-7f, Half = LastBit / 2;
        double squares = 0, outputs = 0;
        for (int i = 0; i < y.Length; i++) outputs += (double)dy[i] * y[i] * dy[i] * y[i];
        float[][] before = [.. Tensors.Select(t => (float[])t.Values.Clone())];
        var generator = new Generator((long)draws);
        for (int time = 0; time < Times; time++)
        {
            ulong bits = generator.State;
            double miss = Change(bits, 1) + Change(bits, -1);
            squares += miss * miss / 6; // of three terms, one of them twice
        }
        for (int t = 0; t < before.Length; t++) before[t].CopyTo(Tensors[t].Values, 0);
        return Math.Max(Math.Sqrt(squares / Times), Half * Math.Sqrt(outputs));

        double Change(ulong bits, int sign)
        {
            generator.State = bits;
            for (int t = 0; t < before.Length; t++)
            {
                float[] values = Tensors[t].Values;
                for (int i = 0; i < values.Length; i++)
                    values[i] = before[t][i] * (1 + sign * (generator.NextBits() >> 62) switch { 0 => -LastBit, 1 => LastBit, _ => 0 });
            }
            return Evaluate() - Loss;
        }
    }

    private (Batch Y, Batch?[] Dx) ForwardBackward()
    {
        module.ZeroGrad();
        var y = Forward();
        var gradient = new Batch(y.Count, y.Sample);
        dy.CopyTo(gradient.Values, 0);
        return (y, execution.Backward([gradient], retainGraph: false));
    }

    private void RequireInputsAsGiven(string what)
    {
        var executor = execution.Executor;
        foreach (var (i, input) in inputs.Index())
        {
            var left = new Batch(input.Count, input.Sample);
            for (int b = 0; b < executor.Blocks.Count; b++) executor.Blocks[b]!.Inputs[i].CopyRowsTo(left, executor.Cut.Block(b).Start);
            int at = MemoryMarshal.Cast<float, int>(input.Values).CommonPrefixLength(MemoryMarshal.Cast<float, int>(left.Values));
            if (at < left.Values.Length)
                throw new OnnxLeNetException($"{module.GetType().Name}: its {what} changes its input, from {input.Values[at]:R} to "
                    + $"{left.Values[at]:R} at element {at}: write to the result alone, since other layers may read the input");
        }
    }

    private double Evaluate() => Sum(Forward().Values);

    private Batch Forward()
    {
        foreach (var (name, buffer) in module.NamedBuffers())
        {
            if (buffer.Type == ElementType.Int64) state[name].AsInt64().CopyTo(buffer.AsInt64(), 0);
            else state[name].AsTensor().Data.CopyTo(buffer.AsTensor().Data, 0);
        }
        execution.Random.State = draws;
        return execution.Forward(inputs)[0];
    }

    private double Sum(float[] y)
    {
        double sum = 0;
        for (int i = 0; i < y.Length; i++) sum += (double)dy[i] * y[i];
        return sum;
    }

    private static double LargestOf(float[] values)
    {
        double largest = 0;
        foreach (float value in values) largest = Math.Max(largest, Math.Abs((double)value));
        return largest;
    }
}
