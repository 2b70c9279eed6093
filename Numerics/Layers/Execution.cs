namespace OnnxLeNet.Numerics;

/// <summary>A module's whole-batch forward and backward: the blocks' trips, side by side on all threads.</summary>
internal sealed class Execution(Module module)
{
    private BlockPlan plan;
    private Slot[] slots = [];
    private Batch? input, output;
    private bool kept;

    private sealed class Slot(int lane)
    {
        public readonly Pass Pass = new(lane);
        public Batch? X, Dy; // this block's rows of the whole batch's
        public Batch? Result; // what its trip returned, on the pass's buffers
    }

    public Batch Forward(Batch x)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (x.Count == 0) throw new ShapeException($"{module.Label}: a batch needs at least one sample");
        kept = false;
        var blocks = new BlockPlan(x.Count);
        if (blocks != plan)
        {
            plan = blocks;
            slots = new Slot[plan.Blocks];
            for (int lane = 0; lane < plan.Lanes; lane++)
                for (int block = plan.FirstBlock(lane); block < plan.FirstBlock(lane + 1); block++)
                    slots[block] = new Slot(lane);
        }
        ForEachBlock((block, slot) => slot.Result = module.Forward(Rows(x, block, ref slot.X), slot.Pass));
        input = x;
        output = new Batch(x.Count, slots[0].Result!.Sample, slots[0].Result!.RequiresGrad);
        CopyResultsTo(output);
        kept = true;
        return output;
    }

    public Batch? Backward(Batch dy)
    {
        ArgumentNullException.ThrowIfNull(dy);
        if (!kept)
            throw new InvalidOperationException($"{module.GetType().Name}: trying to go backward a second time; what the forward kept is released: run Forward again");
        if (dy.Count != output!.Count || dy.Sample != output.Sample)
            throw new ShapeException($"{module.GetType().Name}: Forward returned {output.Sample.Prepend(output.Count)}, its gradient has shape {dy.Sample.Prepend(dy.Count)}");
        kept = false;
        try
        {
            ForEachBlock((block, slot) => slot.Result = module.Backward(Rows(dy, block, ref slot.Dy), slot.Pass));
        }
        catch
        {
            foreach (var parameter in module.Parameters()) parameter.DropPartials();
            throw;
        }
        foreach (var parameter in module.Parameters()) parameter.AddPartials();
        if (!input!.RequiresGrad) return null;
        var dx = new Batch(input.Count, input.Sample);
        CopyResultsTo(dx);
        return dx;
    }

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
        if (count == whole.Count) return whole;
        Buffer.Reuse(ref rows, count, whole.Sample, whole.RequiresGrad).CopyRowsFrom(whole, start);
        return rows!;
    }
}
