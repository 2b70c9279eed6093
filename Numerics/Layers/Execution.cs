namespace OnnxLeNet.Numerics;

/// <summary>A module's whole-batch forward and backward: the blocks' trips, side by side on all threads.</summary>
internal sealed class Execution(Module module, Func<int, BlockPlan>? plans = null)
{
    private BlockPlan plan;
    private Slot[] slots = [];
    private Batch? input, output;
    private bool kept;
    private bool everKept;

    private sealed class Slot(int lane, int block)
    {
        public readonly Pass Pass = new(lane, block);
        public Batch? X, Dy; // this block's rows of the whole batch's
        public Batch? Result; // what its trip returned, on the pass's buffers
    }

    public Batch Forward(Batch x)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (x.Count == 0) throw new ShapeException($"{module.Label}: a batch needs at least one sample");
        kept = false;
        var blocks = PlanFor(x.Count);
        if (blocks != plan)
        {
            plan = blocks;
            slots = new Slot[plan.Blocks];
            for (int lane = 0; lane < plan.Lanes; lane++)
                for (int block = plan.FirstBlock(lane); block < plan.FirstBlock(lane + 1); block++)
                    slots[block] = new Slot(lane, block);
        }
        // Every block draws from a stream of its own, whichever thread does it.
        var random = new Generator((long)Generator.Default.NextBits());
        ForEachBlock((block, slot) =>
        {
            slot.Pass.Random.State = random.ForkState(block);
            slot.Result = module.Forward(Rows(x, block, ref slot.X), slot.Pass);
        });
        input = x;
        var first = slots[0].Result!;
        output = new Batch(plan.Blocks == 1 ? first.Count : x.Count, first.Sample, first.RequiresGrad)
        {
            GradFn = first.RequiresGrad ? module.GradFnFor(x.GradFn ?? (x.RequiresGrad ? GradFn.Input : null)) : null,
        };
        CopyResultsTo(output);
        kept = everKept = true;
        return output;
    }

    public Batch? Backward(Batch dy, bool retainGraph)
    {
        ArgumentNullException.ThrowIfNull(dy);
        if (!kept)
        {
            throw new InvalidOperationException(everKept
                ? $"{module.GetType().Name}: trying to go backward a second time, but what the forward kept is released: retain the graph at the first, or run Forward again"
                : $"{module.GetType().Name}: Backward needs a Forward before it");
        }
        if (dy.GradientOf is { } of && of != output)
        {
            throw new InvalidOperationException($"{module.GetType().Name}: this gradient is of an earlier forward's result, and a later forward has replaced what was kept: "
                + "go backward before the next Forward");
        }
        if (dy.Count != output!.Count || dy.Sample != output.Sample)
            throw new ShapeException($"{module.GetType().Name}: Forward returned {output.Sample.Prepend(output.Count)}, its gradient has shape {dy.Sample.Prepend(dy.Count)}");
        kept = retainGraph;
        foreach (var parameter in module.Parameters()) parameter.Settle();
        try
        {
            ForEachBlock((block, slot) =>
            {
                slot.Pass.RetainGraph = retainGraph;
                slot.Result = module.Backward(Rows(dy, block, ref slot.Dy), slot.Pass);
            });
        }
        catch
        {
            kept = false;
            foreach (var parameter in module.Parameters()) parameter.DropPartials();
            throw;
        }
        foreach (var parameter in module.Parameters())
        {
            parameter.AddPartials();
            parameter.Settle();
        }
        if (!input!.RequiresGrad) return null;
        var dx = new Batch(input.Count, input.Sample);
        CopyResultsTo(dx);
        return dx;
    }

    private BlockPlan PlanFor(int samples) => plans?.Invoke(samples) ?? BlockPlan.For(module, samples);

    private void ForEachBlock(Action<int, Slot> body) => Workers.Run(plan.Lanes, lane =>
    {
        for (int block = plan.FirstBlock(lane); block < plan.FirstBlock(lane + 1); block++) body(block, slots[block]);
    });

    private void CopyResultsTo(Batch whole)
    {
        for (int block = 0; block < slots.Length; block++) slots[block].Result!.CopyRowsTo(whole, plan.Block(block).Start);
    }

    /// <summary>The rows of one block, copied; a batch of a single block is taken as it is.</summary>
    private Batch Rows(Batch whole, int block, ref Batch? rows)
    {
        var (start, count) = plan.Block(block);
        if (plan.Blocks == 1 || count == whole.Count) return whole; // the rows of a lone block may be other than samples
        Scratch.Reuse(ref rows, count, whole.Sample, whole.RequiresGrad).CopyRowsFrom(whole, start);
        return rows!;
    }
}
