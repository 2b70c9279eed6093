namespace OnnxLeNet.Numerics;

/// <summary>A module's whole-batch forward and backward: the blocks' trips, side by side on all threads.</summary>
internal sealed class Execution(Module module)
{
    private readonly List<Pass> passes = [];
    private BlockPlan plan;
    private Batch[] blocks = [];
    private Batch? input, output;
    private bool kept;

    public Batch Forward(Batch x)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (x.Count == 0) throw new ShapeException($"{module.Label}: a batch needs at least one sample");
        kept = false;
        plan = new BlockPlan(x.Count);
        passes.Clear();
        for (int lane = 0; lane < plan.Lanes; lane++)
            for (int block = plan.FirstBlock(lane); block < plan.FirstBlock(lane + 1); block++)
                passes.Add(new Pass(lane));
        blocks = new Batch[plan.Blocks];
        ForEachBlock(block =>
        {
            var (start, count) = plan.Block(block);
            blocks[block] = module.Forward(Rows(x, start, count), passes[block]);
        });
        input = x;
        output = new Batch(x.Count, blocks[0].Sample, blocks[0].RequiresGrad);
        for (int block = 0; block < plan.Blocks; block++) blocks[block].CopyRowsTo(output, plan.Block(block).Start);
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
            ForEachBlock(block =>
            {
                var (start, count) = plan.Block(block);
                blocks[block] = module.Backward(Rows(dy, start, count), passes[block])!;
            });
        }
        catch
        {
            foreach (var parameter in module.Parameters()) parameter.DropPartials();
            throw;
        }
        foreach (var parameter in module.Parameters()) parameter.AddPartials();
        if (!input!.RequiresGrad) return null;
        var dx = new Batch(input.Count, input.Sample);
        for (int block = 0; block < plan.Blocks; block++) blocks[block].CopyRowsTo(dx, plan.Block(block).Start);
        return dx;
    }

    private void ForEachBlock(Action<int> body) => Workers.Run(plan.Lanes, lane =>
    {
        for (int block = plan.FirstBlock(lane); block < plan.FirstBlock(lane + 1); block++) body(block);
    });

    private static Batch Rows(Batch batch, int start, int count)
    {
        if (count == batch.Count) return batch;
        var rows = new Batch(count, batch.Sample, batch.RequiresGrad);
        rows.CopyRowsFrom(batch, start);
        return rows;
    }
}
