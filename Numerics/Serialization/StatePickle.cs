namespace OnnxLeNet.Numerics;

/// <summary>
/// The few names that the pickle of a state dict has, and what they mean: OrderedDict, the functions that put a tensor over a storage, and the
/// storages. A name that is not here is refused and the message says which; none is ever looked up or called.
/// </summary>
internal sealed class StatePickle(string file) : IPickleMeaning
{
    private const string OrderedDict = "collections.OrderedDict", RebuildTensor = "torch._utils._rebuild_tensor_v2",
        RebuildParameter = "torch._utils._rebuild_parameter";

    private static readonly Dictionary<string, StoredType> Storages = new(StringComparer.Ordinal)
    {
        ["torch.FloatStorage"] = StoredType.F32,
        ["torch.DoubleStorage"] = StoredType.F64,
        ["torch.HalfStorage"] = StoredType.F16,
        ["torch.BFloat16Storage"] = StoredType.BF16,
        ["torch.LongStorage"] = StoredType.I64,
    };

    public object Global(string name)
    {
        if (name is OrderedDict or RebuildTensor or RebuildParameter || Storages.ContainsKey(name)) return new PickleGlobal(name);
        if (name.StartsWith("torch.", StringComparison.Ordinal) && name.EndsWith("Storage", StringComparison.Ordinal))
            throw Error($"it holds a tensor of {StateFile.Quote(name)}; read are {string.Join(", ", Storages.Keys)}");
        throw Error($"it asks for {StateFile.Quote(name)}, which a state dict does not need; nothing of it was run. "
            + "If the file is one you trust, load it in Python and save the state dict alone: torch.save(net.state_dict(), path)");
    }

    public object Call(object callable, PickleTuple arguments) => (callable as PickleGlobal)?.Name switch
    {
        OrderedDict when arguments.Items.Length == 0 => new PickleDict { Ordered = true },
        RebuildTensor => Tensor(arguments.Items),
        RebuildParameter when arguments.Items is [TensorReference tensor, bool, PickleDict { Items.Count: 0 }] => tensor,
        _ => throw Error($"it calls {PickleValue.Describe(callable)} with {PickleValue.Describe(arguments)}, which a state dict does not need"),
    };

    public object Persistent(object reference)
    {
        if (reference is not PickleTuple { Items: ["storage", PickleGlobal type, string key, string, long count] } || !Storages.TryGetValue(type.Name, out var stored))
            throw Error($"it refers to {PickleValue.Describe(reference)}, expected ('storage', type, key, place, length)");
        // Where it lay, the fourth, is no matter: its bytes are in the file. The length is checked against them when they are read.
        if (key.Length is 0 or > 20 || !key.All(char.IsAsciiDigit)) throw Error($"a storage has the key {StateFile.Quote(key)}, expected a number");
        return new StorageReference(stored, key, count);
    }

    // state_dict() hangs the versions of the layers' formats on its OrderedDict, as _metadata; nothing here depends on them.
    public void SetState(object target, object state)
    {
        if (target is not PickleDict { Ordered: true } || state is not PickleDict)
            throw Error($"it sets attributes of {PickleValue.Describe(target)}, expected those of an OrderedDict");
    }

    private TensorReference Tensor(object[] arguments)
    {
        // The seventh, metadata, came with PyTorch 2; it marks lazily conjugated or negated tensors, whose elements are not what they seem.
        if (arguments is not [StorageReference storage, long offset, PickleTuple sizes, PickleTuple strides, bool, PickleDict { Items.Count: 0 }, .. var rest]
            || rest.Length > 1 || (rest.Length == 1 && rest[0] != PickleValue.None && rest[0] is not PickleDict { Items.Count: 0 }))
            throw Error($"a tensor is put together from ({string.Join(", ", arguments.Take(8).Select(PickleValue.Describe))}), "
                + "expected a storage, an offset, sizes, strides, a truth value and no hooks");
        return new TensorReference(storage, offset, Integers(sizes), Integers(strides));
    }

    private long[] Integers(PickleTuple tuple)
    {
        if (tuple.Items.Length > StoredElements.MostAxes) throw Error($"a tensor has {tuple.Items.Length} axes, at most {StoredElements.MostAxes} are read");
        return Array.ConvertAll(tuple.Items, item =>
            item is long value ? value : throw Error($"a tensor's size or stride is {PickleValue.Describe(item)}, expected an integer"));
    }

    private DataException Error(string message) => new($"{file}: {message}");
}
