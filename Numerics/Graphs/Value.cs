namespace OnnxLeNet.Numerics;

/// <summary>
/// What a module's <see cref="Module.Forward(Value)"/> computes with: a value of a graph that is being traced. It has the shape of a sample
/// and no numbers, so that a forward cannot depend on data or on the size of the batch.
/// </summary>
public sealed class Value
{
    internal Value(Graph graph, int index, Node? producer, Shape sample) =>
        (Graph, Index, Producer, Sample) = (graph, index, producer, sample);

    /// <summary>The graph it belongs to.</summary>
    public Graph Graph { get; }

    /// <summary>Its number in <see cref="Graph.Values"/>.</summary>
    public int Index { get; internal set; }

    /// <summary>The node that computes it; null for an input of the graph.</summary>
    public Node? Producer { get; }

    /// <summary>The shape of one sample.</summary>
    public Shape Sample { get; }

    /// <summary>The sum, element by element; an axis of size 1 is broadcast.</summary>
    public static Value operator +(Value left, Value right) => F.Add(left, right);

    /// <summary>The difference, element by element; an axis of size 1 is broadcast.</summary>
    public static Value operator -(Value left, Value right) => F.Sub(left, right);

    /// <summary>The product, element by element; an axis of size 1 is broadcast.</summary>
    public static Value operator *(Value left, Value right) => F.Mul(left, right);

    /// <summary>The quotient, element by element; an axis of size 1 is broadcast.</summary>
    public static Value operator /(Value left, Value right) => F.Div(left, right);

    /// <summary>A part of an axis, as <see cref="Slice"/>: <c>x[1, 3..]</c> are the channels from the fourth on.</summary>
    public Value this[int dim, Range range]
    {
        get
        {
            var (start, length) = range.GetOffsetAndLength(F.SizeOf(this, dim));
            return F.Slice(this, dim, start, start + length);
        }
    }

    /// <summary>As <c>%3 [16, 8, 8]</c>.</summary>
    public override string ToString() => $"%{Index} {Sample}";
}

/// <summary>One call of a layer or join in a graph.</summary>
public sealed class Node
{
    internal Node(Leaf layer, string name, Value[] inputs) => (Layer, Name, Inputs) = (layer, name, inputs);

    /// <summary>Its number in <see cref="Graph.Nodes"/>.</summary>
    public int Index { get; internal set; }

    /// <summary>What computes it. A module that is called twice is in two nodes.</summary>
    public Leaf Layer { get; }

    /// <summary>The layer's full name in the traced module, such as <c>layer1.0.conv1</c>; empty for one without a name.</summary>
    public string Name { get; }

    /// <summary>What it takes.</summary>
    public IReadOnlyList<Value> Inputs { get; }

    /// <summary>What it returns.</summary>
    public Value Output { get; internal set; } = null!;

    /// <summary>As <c>%5 [8, 4, 4] = conv1: Conv2d(…)(%3 [3, 6, 6])</c>.</summary>
    public override string ToString() => $"{Output} = {(Name.Length > 0 ? $"{Name}: " : "")}{Layer}({string.Join(", ", Inputs)})";
}
