namespace OnnxLeNet.Numerics;

/// <summary>Rewrites of a graph into fewer steps that compute the same: values between them, which nothing else takes, never reach
/// memory.</summary>
internal static class Fusion
{
    /// <summary>A step for each node.</summary>
    public static Step[] None(Graph graph) => [.. graph.Nodes.Select(Of)];

    /// <summary>The steps with everything put together that can be.</summary>
    public static Step[] Apply(Graph graph, Plan plan)
    {
        var uses = new int[graph.Values.Count];
        foreach (var node in graph.Nodes)
            foreach (var input in node.Inputs) uses[input.Index]++;
        foreach (var output in graph.Outputs) uses[output.Index] += 2; // nobody may take it away
        var consumer = new Node?[graph.Values.Count];
        foreach (var node in graph.Nodes)
            foreach (var input in node.Inputs) consumer[input.Index] = node;
        // The only node that takes a value, if it is of one input.
        Node? Next(Node node) => uses[node.Output.Index] == 1 && consumer[node.Output.Index] is { Inputs.Count: 1 } next ? next : null;

        var done = new HashSet<Node>(ReferenceEqualityComparer.Instance);
        var later = new Dictionary<Node, Step>(ReferenceEqualityComparer.Instance); // what takes a node's place
        var steps = new List<Step>(graph.Nodes.Count);
        foreach (var node in graph.Nodes)
        {
            if (later.TryGetValue(node, out var fused)) steps.Add(fused);
            if (fused is not null || done.Contains(node)) continue;
            if (node.Layer is Conv2d conv)
            {
                var behind = Next(node);
                var relu = behind?.Layer as ReLU;
                var last = relu is null ? behind : Next(behind!);
                if (last?.Layer is MaxPool2d pool && ConvPool.Takes(conv, pool, node.Inputs[0].Sample, plan.Key))
                {
                    if (relu is not null) done.Add(behind!);
                    done.Add(last);
                    steps.Add(new Step(new ConvPool(conv, relu, pool), [node.Inputs[0].Index], last.Output.Index));
                    continue;
                }
            }
            if (node.Layer is Conv2d first && FoldedConv.Takes(first, node.Inputs[0].Sample, plan.Key) && Fold(node, first)) continue;
            if (node.Layer is BatchNorm norm && uses[node.Output.Index] == 1 && consumer[node.Output.Index] is { } after
                && !later.ContainsKey(after))
            {
                var add = after.Layer as Add;
                var last = add is null ? after : Next(after);
                var skip = add is null ? null : after.Inputs[after.Inputs[0] == node.Output ? 1 : 0];
                if (last?.Layer is ReLU rectifier && (skip is null || (skip.Sample == node.Output.Sample && skip != node.Output)))
                {
                    done.Add(last);
                    int[] inputs = skip is null ? [node.Inputs[0].Index] : [node.Inputs[0].Index, skip.Index];
                    // In the sum's place, where its other side is there as well.
                    later.Add(after, new Step(new NormRelu(norm, add, rectifier), inputs, last.Output.Index));
                    continue;
                }
            }
            steps.Add(Of(node));
        }
        return [.. steps];

        // A convolution with the batch norm, the sum and the ReLU behind it, if there is one of them.
        bool Fold(Node node, Conv2d conv)
        {
            var last = node;
            var norm = Next(last)?.Layer as BatchNorm;
            if (norm is not null) done.Add(last = Next(last)!);
            var (end, sum) = (last, (Node?)null);
            if (uses[last.Output.Index] == 1 && consumer[last.Output.Index] is { Layer: Add } after && !later.ContainsKey(after)
                && after.Inputs.All(input => input.Sample == after.Output.Sample)) sum = last = after;
            var relu = Next(last)?.Layer as ReLU;
            if (relu is not null) done.Add(last = Next(last)!);
            if (last == node) return false;
            var skip = sum?.Inputs.Single(input => input != end.Output);
            int[] inputs = skip is null ? [node.Inputs[0].Index] : [node.Inputs[0].Index, skip.Index];
            var step = new Step(new FoldedConv(conv, norm, sum?.Layer as Add, relu), inputs, last.Output.Index);
            // In the sum's place, where its other side is there as well.
            if (sum is null) steps.Add(step);
            else later.Add(sum, step);
            return true;
        }
    }

    private static Step Of(Node node) => new(node.Layer, [.. node.Inputs.Select(value => value.Index)], node.Output.Index);
}
