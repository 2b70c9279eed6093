namespace OnnxLeNet.Numerics;

/// <summary>
/// The base of layers of whose result each feature is one of the input's, or one number. In the CHWN layout a feature is a run of N values,
/// and features that stay neighbours are copied together. Backward, each feature's gradient is added where the feature came from.
/// </summary>
public abstract class Selection : Layer
{
    private protected Selection() { }

    /// <summary>Neighbouring features of the result that are neighbours in the input too; from −1 on where they are the constant.</summary>
    private readonly record struct Stretch(int From, int To, int Length);

    private sealed class State
    {
        public Shape Sample;
        public Stretch[]? Stretches;
    }

    /// <summary>What stands where no feature comes from.</summary>
    private protected virtual float Constant => 0;

    /// <summary>For each feature of the result the one of the input that it is; −1 for the constant.</summary>
    private protected abstract int[] Sources(Shape input, Shape output);

    /// <inheritdoc/>
    protected internal sealed override BackwardReads BackwardReads => BackwardReads.None;

    /// <inheritdoc/>
    public sealed override void Forward(Batch x, Batch y, Context context)
    {
        int n = x.Count;
        foreach (var stretch in Stretches(x.Sample, y.Sample, context))
        {
            var to = y.Values.AsSpan(stretch.To * n, stretch.Length * n);
            if (stretch.From < 0) to.Fill(Constant);
            else x.Values.AsSpan(stretch.From * n, stretch.Length * n).CopyTo(to);
        }
    }

    /// <inheritdoc/>
    public sealed override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        if (dx is null) return;
        int n = dx.Count;
        dx.Values.AsSpan().Clear();
        foreach (var stretch in Stretches(dx.Sample, dy.Sample, context))
        {
            if (stretch.From < 0) continue;
            Elementwise.Add(dy.Values.AsSpan(stretch.To * n, stretch.Length * n), dx.Values.AsSpan(stretch.From * n, stretch.Length * n));
        }
    }

    /// <summary>The sources where along one axis of a sample certain places are taken; those below zero count from the end.</summary>
    private protected static int[] Along(int axis, int[] places, Shape input, Shape output)
    {
        int run = 1, size = input[axis];
        foreach (int later in input.Sizes[(axis + 1)..]) run *= later;
        var sources = new int[output.Count];
        for (int f = 0; f < sources.Length; f++)
        {
            int place = places[f / run % places.Length];
            sources[f] = (f / (run * places.Length) * size + (place < 0 ? place + size : place)) * run + f % run;
        }
        return sources;
    }

    private Stretch[] Stretches(Shape input, Shape output, Context context)
    {
        var state = context.State<State>();
        if (state.Stretches is null || state.Sample != input) (state.Sample, state.Stretches) = (input, Join(Sources(input, output)));
        return state.Stretches;
    }

    private static Stretch[] Join(int[] sources)
    {
        var stretches = new List<Stretch>();
        for (int f = 0, start = 0; f < sources.Length; f++)
        {
            int next = sources[f] < 0 ? -1 : sources[f] + 1;
            if (f + 1 < sources.Length && sources[f + 1] == next) continue;
            stretches.Add(new Stretch(sources[start], start, f + 1 - start));
            start = f + 1;
        }
        return [.. stretches];
    }
}
