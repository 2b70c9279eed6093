namespace OnnxLeNet.Numerics;

/// <summary>
/// What a pickle can make here, beside texts, <see cref="long"/>, <see cref="double"/> and <see cref="bool"/>: plain records, none of which
/// does anything.
/// </summary>
internal static class PickleValue
{
    /// <summary>Python's None.</summary>
    public static readonly object None = new();

    /// <summary>A value as an error calls it.</summary>
    public static string Describe(object value) => value switch
    {
        string => "a text",
        long => "an integer",
        double => "a number",
        bool => "a truth value",
        PickleTuple tuple => $"a tuple of {tuple.Items.Length}",
        PickleList list => $"a list of {list.Items.Count}",
        PickleDict dict => $"a dict of {dict.Items.Count}",
        PickleGlobal global => global.Name,
        PickleOpaque { Class: { } made } => $"a value of {StateFile.Quote(made.Name)}",
        PickleOpaque opaque => opaque.What ?? "a value",
        StorageReference storage => $"a storage of {storage.Count} {storage.Type}",
        TensorReference => "a tensor",
        _ => "None",
    };
}

/// <summary>A tuple.</summary>
internal sealed record PickleTuple(object[] Items)
{
    public static readonly PickleTuple Empty = new(Array.Empty<object>());
}

/// <summary>A list.</summary>
internal sealed class PickleList
{
    public List<object> Items { get; } = [];
}

/// <summary>A dict or, which a state dict is, an OrderedDict; the pairs in the order they were set, a key set twice is there
/// twice.</summary>
internal sealed class PickleDict
{
    private static readonly List<KeyValuePair<object, object>> Nothing = [];
    private List<KeyValuePair<object, object>>? items; // an empty dict costs the file one byte, so it must not cost much here

    public bool Ordered { get; init; }

    public IReadOnlyList<KeyValuePair<object, object>> Items => items ?? Nothing;

    public void Add(object key, object value) => (items ??= []).Add(new(key, value));
}

/// <summary>The name of a Python class or function, which is all that is known of it here.</summary>
internal sealed record PickleGlobal(string Name);

/// <summary>
/// A value that a state dict does not have: an object of some class, what a function would have returned, bytes. Nothing was run to make
/// it, and nothing of it is kept but the items of what acts as a dict.
/// </summary>
/// <param name="Class">The class or function, or null.</param>
/// <param name="Arguments">What it would have been called with, where that tells why it is not read.</param>
/// <param name="What">What it is, for a value without a class.</param>
internal sealed record PickleOpaque(PickleGlobal? Class, PickleTuple? Arguments = null, string? What = null)
{
    /// <summary>The items, where it acts as a dict; null where none were set.</summary>
    public PickleDict? Dict { get; set; }

    /// <summary>Whether its attributes are those of a <c>torch.nn.Module</c>.</summary>
    public bool IsModule { get; set; }
}

/// <summary>A storage: the entry <c>data/key</c> of the archive, of so many elements.</summary>
internal sealed record StorageReference(StoredType Type, string Key, long Count);

/// <summary>A tensor: a view of a storage, whose element [i, j, …] lies at offset + i·stride₀ + j·stride₁ + ….</summary>
internal sealed record TensorReference(StorageReference Storage, long Offset, long[] Sizes, long[] Strides);
