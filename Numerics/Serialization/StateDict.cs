using System.Collections;
using System.Diagnostics.CodeAnalysis;

namespace OnnxLeNet.Numerics;

/// <summary>
/// A network's state as PyTorch's <c>state_dict</c>: names such as <c>features.0.weight</c> and their tensors, in order. Names are compared
/// by their characters.
/// </summary>
public sealed class StateDict : IReadOnlyCollection<KeyValuePair<string, StateTensor>>
{
    private readonly List<KeyValuePair<string, StateTensor>> entries = [];
    private readonly Dictionary<string, StateTensor> byName = new(StringComparer.Ordinal);

    /// <summary>Number of tensors.</summary>
    public int Count => entries.Count;

    /// <summary>
    /// What reading it from a file assumed, a sentence each: where in a checkpoint it lay, what was taken off the names. Mostly none.
    /// </summary>
    public IReadOnlyList<string> Notes { get; internal init; } = [];

    /// <summary>The names in order.</summary>
    public IEnumerable<string> Names => entries.Select(entry => entry.Key);

    /// <summary>The tensor of a name.</summary>
    /// <exception cref="DataException">There is none of that name.</exception>
    public StateTensor this[string name] => TryGetValue(name, out var tensor)
        ? tensor
        : throw new DataException($"the state dict has no '{name}'; it has {List()}");

    /// <summary>Appends a tensor.</summary>
    /// <exception cref="DataException">The name is taken.</exception>
    public void Add(string name, StateTensor tensor)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(tensor);
        if (!byName.TryAdd(name, tensor)) throw new DataException($"the state dict already has '{name}': {byName[name]}, got {tensor}");
        entries.Add(new(name, tensor));
    }

    /// <summary>Appends a tensor of floats, whose elements are not copied.</summary>
    /// <inheritdoc cref="Add(string, StateTensor)"/>
    public void Add(string name, Tensor tensor) => Add(name, StateTensor.Of(tensor));

    /// <summary>The same names with copies of the tensors.</summary>
    public StateDict Clone()
    {
        var copy = new StateDict();
        foreach (var (name, tensor) in entries)
            copy.Add(name, tensor.IsInteger
                ? StateTensor.Of(tensor.Shape, (long[])tensor.AsInt64().Clone(), tensor.Type)
                : StateTensor.Of(tensor.AsTensor().Clone()));
        return copy;
    }

    /// <summary>Finds the tensor of a name.</summary>
    public bool TryGetValue(string name, [MaybeNullWhen(false)] out StateTensor tensor) => byName.TryGetValue(name, out tensor);

    /// <inheritdoc/>
    public IEnumerator<KeyValuePair<string, StateTensor>> GetEnumerator() => entries.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    // At most a few names: an error is to be read.
    private string List() => Count == 0 ? "no tensors" : string.Join(", ", Names.Take(8)) + (Count > 8 ? $" and {Count - 8} more" : "");
}
