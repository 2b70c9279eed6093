using System.Diagnostics;
using MathNet.Numerics.LinearAlgebra.Single;

namespace OnnxLeNet.Numerics;

/// <summary>What one block works with: the plan's buffers for its number of samples, and a context for each step.</summary>
internal sealed class BlockBuffers
{
    private readonly DenseMatrix[] buffers;
    private readonly Batch[][] inputs; // of each step
    private readonly Batch[] outputs; // of each step
    private readonly Batch?[] dys;
    private readonly Batch?[][] dxs;
    private readonly Context[] contexts;
    private readonly BlockRun run = new();

    public BlockBuffers(Plan plan)
    {
        Plan = plan;
        int count = plan.Key.Count;
        foreach (int size in plan.BufferSizes)
        {
            if ((long)size * count > Array.MaxLength)
                throw new ShapeException($"{plan.Graph.Module.Label}: {count} samples of {size} elements have more than an array "
                    + "holds: use "
                    + "a smaller batch");
        }
        buffers = Array.ConvertAll(plan.BufferSizes, size =>
            plan.Key.Saves ? new DenseMatrix(count, size) : new DenseMatrix(count, size, AlignedBuffer.NewArray(count * size)));
        var values = new Batch?[plan.Graph.Values.Count];
        Batch Value(int v) => values[v] ??= View(plan.Buffers[v], plan.Graph.Values[v].Sample, plan.NeedsGradient(v));
        inputs = Array.ConvertAll(plan.Steps, step => Array.ConvertAll(step.Inputs, Value));
        outputs = Array.ConvertAll(plan.Steps, step => Value(step.Output));
        Inputs = [.. plan.Graph.Inputs.Select(value => Value(value.Index))];
        Outputs = [.. plan.Graph.Outputs.Select(value => Value(value.Index))];
        contexts = Array.ConvertAll(plan.Steps, step => new Context(step.Leaf.ModeOf, run));
        Values = values;
        (dys, dxs) = (new Batch?[plan.Gradients.Length], new Batch?[plan.Gradients.Length][]);
        for (int i = 0; i < plan.Gradients.Length; i++)
        {
            var (step, gradient) = (plan.Steps[i], plan.Gradients[i]);
            dys[i] = gradient.Dy < 0 ? null : View(gradient.Dy, plan.Graph.Values[step.Output].Sample);
            dxs[i] = [.. gradient.Targets.Select((target, k) => target < 0 ? null
                : View(target, plan.Graph.Values[step.Inputs[k]].Sample))];
        }
        OutputGradients = [.. plan.OutputGradients.Select((buffer, i) => View(buffer, plan.Graph.Outputs[i].Sample))];
        InputGradients = [.. plan.InputGradients.Select((buffer, i) => buffer < 0 ? null : View(buffer, plan.Graph.Inputs[i].Sample))];
    }

    public Plan Plan { get; }

    /// <summary>The graph's inputs, to be filled before the first stage.</summary>
    public Batch[] Inputs { get; }

    /// <summary>The graph's outputs, after the last stage.</summary>
    public Batch[] Outputs { get; }

    /// <summary>The gradients of the outputs, to be filled before the backward.</summary>
    public Batch[] OutputGradients { get; }

    /// <summary>Those of the inputs, after the backward; null where nobody wants them.</summary>
    public Batch?[] InputGradients { get; }

    /// <summary>Every value by its number; null for one inside a fused step.</summary>
    public Batch?[] Values { get; }

    /// <summary>What a loss compares with, and works with.</summary>
    public LossBuffers Loss { get; } = new();

    /// <summary>Where the time of each step is noted; mostly nowhere.</summary>
    public StepClock? Clock { get; set; }

    /// <summary>Prepares the contexts for a run.</summary>
    public void Begin(int shard, ulong random, bool saves)
    {
        (run.Shard, run.Random.State, run.Saves, run.Evaluating, run.RetainGraph) = (shard, random, saves, Plan.Key.Evaluating, false);
        foreach (var context in contexts) context.Begin();
    }

    public void RetainGraph(bool retain) => run.RetainGraph = retain;

    public Context Context(int step) => contexts[step];

    /// <summary>The context of the step that a stage begins with.</summary>
    public Context StageContext(int stage) => contexts[Plan.StageStarts[stage]];

    /// <summary>Runs steps forward.</summary>
    public void Forward(int from, int to)
    {
        var clock = Clock;
        for (int i = from; i < to; i++)
        {
            var step = Plan.Steps[i];
            if (Plan.Views[i]) continue;
            long start = clock is null ? 0 : Stopwatch.GetTimestamp();
            step.Leaf.Run(inputs[i], outputs[i], contexts[i]);
            clock?.Add(step, start, backward: false);
        }
    }

    /// <summary>Runs steps backward, from the one before <paramref name="to"/> to <paramref name="from"/>.</summary>
    public void Backward(int from, int to)
    {
        var clock = Clock;
        for (int i = to - 1; i >= from; i--)
        {
            var gradient = Plan.Gradients[i];
            long start = clock is null ? 0 : Stopwatch.GetTimestamp();
            if (gradient.Runs) Plan.Steps[i].Leaf.RunBackward(inputs[i], outputs[i], dys[i]!, dxs[i], contexts[i]);
            foreach (var (source, into) in gradient.Adds)
            {
                if (source < 0) buffers[~source].Values.CopyTo(buffers[into].Values, 0);
                else Elementwise.Add(buffers[source].Values, buffers[into].Values);
            }
            if (gradient.Runs || gradient.Adds.Length > 0) clock?.Add(Plan.Steps[i], start, backward: true);
        }
    }

    /// <summary>The statistics of this block at a step that needs those of the whole batch.</summary>
    public void Measure(int step, Span<double> statistics)
    {
        long start = Clock is null ? 0 : Stopwatch.GetTimestamp();
        ((IBatchStatistics)Plan.Steps[step].Leaf).Measure(inputs[step], statistics, contexts[step]);
        Clock?.Add(Plan.Steps[step], start, backward: false);
    }

    /// <summary>The same of the gradient.</summary>
    public void MeasureGradient(int step, Span<double> statistics)
    {
        long start = Clock is null ? 0 : Stopwatch.GetTimestamp();
        ((IBatchStatistics)Plan.Steps[step].Leaf).MeasureGradient(inputs[step], outputs[step], dys[step]!, statistics, contexts[step]);
        Clock?.Add(Plan.Steps[step], start, backward: true);
    }

    private Batch View(int buffer, Shape sample, bool requiresGrad = true) =>
        buffer < 0 ? null! : new Batch(buffers[buffer], sample, requiresGrad);
}
