using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>
/// Nodes in an order that they can run in. The format wants them so; exporters that join graphs do not always keep to it, and ONNX Runtime
/// does not mind.
/// </summary>
internal static class NodeOrder
{
    /// <summary>The nodes, each behind all whose results it or a graph inside it takes; otherwise in the order they came in.</summary>
    /// <exception cref="OnnxException">A cycle: its nodes by name.</exception>
    public static IReadOnlyList<NodeProto> Sort(IReadOnlyList<NodeProto> nodes)
    {
        var makers = new Dictionary<string, int>();
        for (int i = 0; i < nodes.Count; i++)
            foreach (string output in nodes[i].Output.Where(o => o.Length > 0)) makers.TryAdd(output, i);
        var before = new int[nodes.Count][]; // of each node those that it waits for
        bool sorted = true;
        for (int i = 0; i < nodes.Count; i++)
        {
            before[i] = [.. Taken(nodes[i]).Where(makers.ContainsKey).Select(name => makers[name]).Distinct()];
            sorted &= before[i].All(maker => maker < i);
        }
        if (sorted) return nodes;
        var behind = new List<int>[nodes.Count];
        var waits = new int[nodes.Count];
        var ready = new PriorityQueue<int, int>();
        for (int i = 0; i < nodes.Count; i++) behind[i] = [];
        for (int i = 0; i < nodes.Count; i++)
        {
            foreach (int maker in before[i]) behind[maker].Add(i);
            if ((waits[i] = before[i].Length) == 0) ready.Enqueue(i, i);
        }
        var order = new List<NodeProto>(nodes.Count);
        while (ready.TryDequeue(out int i, out _))
        {
            order.Add(nodes[i]);
            foreach (int next in behind[i])
                if (--waits[next] == 0) ready.Enqueue(next, next);
        }
        if (order.Count < nodes.Count)
            throw new OnnxException($"{Cycle(nodes, before, waits)} are in a cycle: each takes what the one before it returns");
        return order;
    }

    /// <summary>Brings a graph's nodes into such an order, and those of the graphs inside it.</summary>
    public static void Sort(GraphProto graph)
    {
        var order = Sort(graph.Node);
        if (!ReferenceEquals(order, graph.Node))
        {
            graph.Node.Clear();
            graph.Node.Add(order);
        }
        foreach (var inner in graph.Node.SelectMany(Graphs)) Sort(inner);
    }

    /// <summary>The graphs that a node has for attributes.</summary>
    public static IEnumerable<GraphProto> Graphs(NodeProto node) =>
        node.Attribute.SelectMany(attribute => attribute.G is { } graph ? attribute.Graphs.Prepend(graph) : attribute.Graphs);

    /// <summary>What a node takes, with what the graphs inside it take from outside.</summary>
    public static IEnumerable<string> Taken(NodeProto node) => node.Input.Concat(Graphs(node).SelectMany(Taken));

    private static IEnumerable<string> Taken(GraphProto graph)
    {
        HashSet<string> own = [.. graph.Input.Select(i => i.Name), .. graph.Initializer.Select(t => t.Name),
            .. graph.Node.SelectMany(n => n.Output)];
        return graph.Node.SelectMany(Taken).Concat(graph.Output.Select(o => o.Name)).Where(name => !own.Contains(name));
    }

    /// <summary>From any node that still waits, backwards along what it waits for, until one comes again.</summary>
    private static string Cycle(IReadOnlyList<NodeProto> nodes, int[][] before, int[] waits)
    {
        var path = new List<int>();
        var places = new Dictionary<int, int>();
        int at = Array.FindIndex(waits, count => count > 0);
        for (; places.TryAdd(at, path.Count); at = before[at].First(maker => waits[maker] > 0)) path.Add(at);
        var cycle = path.Skip(places[at]).Reverse().Select(i => NodeReader.Label(nodes[i])).ToList();
        return cycle.Count <= 8 ? string.Join(", ", cycle) : $"{string.Join(", ", cycle.Take(8))} and {cycle.Count - 8} more";
    }
}
