namespace OnnxLeNet.Numerics;

/// <summary>
/// The few names that the pickle of a state dict has, and what they mean: OrderedDict, the functions that put a tensor over a storage, and
/// the storages. What any other name makes is a <see cref="PickleOpaque"/>, which stands in no state dict; none is ever looked up or
/// called.
/// </summary>
internal sealed class StatePickle(string file) : IPickleMeaning
{
    private const string OrderedDict = "collections.OrderedDict", DefaultDict = "collections.defaultdict",
        UntypedStorage = "torch.storage.UntypedStorage",
        RebuildFirstTensor = "torch._utils._rebuild_tensor", RebuildTensor = "torch._utils._rebuild_tensor_v2",
        RebuildTypedTensor = "torch._utils._rebuild_tensor_v3",
        RebuildParameter = "torch._utils._rebuild_parameter", RebuildParameterWithState = "torch._utils._rebuild_parameter_with_state",
        RebuildFromType = "torch._tensor._rebuild_from_type_v2";

    private static readonly Dictionary<string, StoredType> Storages = new(StringComparer.Ordinal)
    {
        ["torch.FloatStorage"] = StoredType.F32,
        ["torch.DoubleStorage"] = StoredType.F64,
        ["torch.HalfStorage"] = StoredType.F16,
        ["torch.BFloat16Storage"] = StoredType.BF16,
        ["torch.LongStorage"] = StoredType.I64,
        ["torch.IntStorage"] = StoredType.I32,
        ["torch.ShortStorage"] = StoredType.I16,
        ["torch.CharStorage"] = StoredType.I8,
        ["torch.ByteStorage"] = StoredType.U8,
        ["torch.BoolStorage"] = StoredType.BOOL,
    };

    // PyTorch 2.3 gave its later types no storages of their own: the tensor names its type over a storage of bytes.
    private static readonly Dictionary<string, StoredType> Types = new(StringComparer.Ordinal)
    {
        ["torch.uint16"] = StoredType.U16,
        ["torch.uint32"] = StoredType.U32,
        ["torch.uint64"] = StoredType.U64,
    };

    private static readonly HashSet<string> Known = new(StringComparer.Ordinal)
    {
        OrderedDict, DefaultDict, UntypedStorage, RebuildFirstTensor, RebuildTensor, RebuildTypedTensor, RebuildParameter,
        RebuildParameterWithState, RebuildFromType,
    };

    /// <summary>The classes of the storages that were referred to, by their keys.</summary>
    public Dictionary<string, string> StorageClasses { get; } = new(StringComparer.Ordinal);

    /// <summary>Bytes of an element of a storage class, also of those that are not read into tensors; 0 for an unknown one.</summary>
    public static int SizeOf(string storageClass) => storageClass switch
    {
        _ when Storages.TryGetValue(storageClass, out var type) => StoredElements.SizeOf(type),
        UntypedStorage or "torch.QInt8Storage" or "torch.QUInt8Storage" or "torch.QUInt4x2Storage" or "torch.QUInt2x4Storage" => 1,
        "torch.QInt32Storage" => 4,
        "torch.ComplexFloatStorage" => 8,
        "torch.ComplexDoubleStorage" => 16,
        _ => 0,
    };

    /// <summary>The storage class that torch.save names for a type of elements; none for those that came after PyTorch 2.2.</summary>
    public static string? ClassOf(StoredType type) => Storages.FirstOrDefault(entry => entry.Value == type).Key;

    public object Global(string name) => new PickleGlobal(name);

    public object Call(object callable, PickleTuple arguments)
    {
        if (callable is PickleOpaque opaque) return new PickleOpaque(opaque.Class, What: opaque.What);
        if (callable is not PickleGlobal called)
            throw Error($"it calls {PickleValue.Describe(callable)} with {PickleValue.Describe(arguments)}, which a state "
                + "dict does not need");
        return (called.Name, arguments.Items) switch
        {
            (OrderedDict, []) => new PickleDict { Ordered = true },
            (OrderedDict, [PickleList pairs]) when pairs.Items.TrueForAll(IsPair) => OfPairs(pairs), // Python 2
            (DefaultDict, _) => new PickleDict(),
            (RebuildFirstTensor or RebuildTensor or RebuildTypedTensor, _) => Tensor(called, arguments),
            (RebuildParameter, [TensorReference or PickleOpaque, bool, PickleDict { Items.Count: 0 }]) => arguments.Items[0],
            (RebuildParameterWithState, [TensorReference or PickleOpaque, bool, PickleDict { Items.Count: 0 }, _]) => arguments.Items[0],
            // A tensor with attributes in Python, which are no matter. A class of somebody's own may mean its elements otherwise.
            (RebuildFromType, [PickleGlobal { Name: not RebuildFromType } function, PickleGlobal { Name: var type }, PickleTuple inner, _])
                when type is "torch.Tensor" or "torch.nn.parameter.Parameter" or "torch.nn.parameter.Buffer" => Call(function, inner),
            _ => new PickleOpaque(called, arguments),
        };
    }

    public object Persistent(object reference)
    {
        // A class with its source, which old files carry.
        if (reference is PickleTuple { Items: ["module", PickleGlobal module, ..] }) return module;
        // Where it lay, the fourth, is no matter: its bytes are in the file. The length is checked against them when they are read.
        if (reference is not PickleTuple { Items: ["storage", PickleGlobal type, string key, _, long count, .. { Length: <= 1 } view] })
            throw Error($"it refers to {PickleValue.Describe(reference)}, expected ('storage', type, key, place, length)");
        if (key.Length is 0 or > 20 || !key.All(char.IsAsciiDigit)) throw Error($"a storage has the key {StateFile.Quote(key)}, "
            + "expected a number");
        StorageClasses.TryAdd(key, type.Name);
        if (view is [var part] && part != PickleValue.None)
            return new PickleOpaque(null, What: "a tensor over a part of another storage, as before PyTorch 0.4");
        if (Storages.TryGetValue(type.Name, out var stored)) return new StorageReference(stored, key, count);
        return type.Name == UntypedStorage ? new StorageReference(StoredType.U8, key, count) : new PickleOpaque(type);
    }

    // state_dict() hangs the versions of the layers' formats on its OrderedDict, as _metadata; nothing here depends on them.
    public void SetState(object target, object state)
    {
        if (target is PickleOpaque opaque)
        {
            opaque.IsModule |= state is PickleDict { Items: var items }
                && items.Take(16).Count(item => item.Key is "_parameters" or "_modules") == 2;
            return;
        }
        if (target is not (TensorReference or PickleGlobal) && (target is not PickleDict { Ordered: true } || state is not PickleDict))
            throw Error($"it sets attributes of {PickleValue.Describe(target)}, expected those of an object");
    }

    /// <summary>Why a value that stands in a state dict's or a tensor's place is not read.</summary>
    public static string WhyNot(PickleOpaque value)
    {
        if (value.Class is not { } made) return $"it is {value.What}";
        if (value.IsModule)
        {
            return $"it is a whole network of the class {StateFile.Quote(made.Name)}, whose code is not in the file and would have to run: "
                + "in Python, where that class can be imported, torch.save(torch.load(path).state_dict(), other), from PyTorch 2.6 on "
                + "torch.load(path, weights_only=False)";
        }
        if (made.Name is RebuildTensor or RebuildFirstTensor or RebuildTypedTensor)
        {
            string[] given = [.. (value.Arguments?.Items ?? []).Take(8).Select(PickleValue.Describe)];
            return $"a tensor is put together from ({string.Join(", ", given)}), "
                + "expected a storage, an offset, sizes, strides, a truth value and no hooks";
        }
        if (value.Arguments is { } arguments && (Known.Contains(made.Name) || Storages.ContainsKey(made.Name)))
            return $"it calls {made.Name} with {PickleValue.Describe(arguments)}, which a state dict does not need";
        if (made.Name.StartsWith("torch.", StringComparison.Ordinal) && made.Name.EndsWith("Storage", StringComparison.Ordinal))
            return $"it holds a tensor of {StateFile.Quote(made.Name)}; read are {string.Join(", ", Storages.Keys)}";
        return $"it asks for {StateFile.Quote(made.Name)}, which a state dict does not need; nothing of it was run. "
            + "If the file is one you trust, load it in Python and save the state dict alone: torch.save(net.state_dict(), path)";
    }

    // The last argument, metadata, came with PyTorch 2; it marks lazily conjugated or negated tensors, whose elements are not what they
    // seem.
    private static bool IsPlain(object[] metadata) =>
        metadata is [] or [PickleDict { Items.Count: 0 }] || (metadata is [var only] && only == PickleValue.None);

    private static bool IsPair(object value) => value is PickleList { Items: [string, _] } or PickleTuple { Items: [string, _] };

    private static PickleDict OfPairs(PickleList pairs)
    {
        var dict = new PickleDict { Ordered = true };
        foreach (object pair in pairs.Items)
        {
            object[] items = pair is PickleTuple tuple ? tuple.Items : [.. ((PickleList)pair).Items];
            dict.Add(items[0], items[1]);
        }
        return dict;
    }

    // A view of a storage; what stands over a storage that is not read, or in another way, is told by WhyNot where it is needed.
    private object Tensor(PickleGlobal called, PickleTuple arguments)
    {
        if (arguments.Items is [PickleOpaque unread, ..]) return unread;
        if (arguments.Items is not [StorageReference storage, long offset, PickleTuple sizes, PickleTuple strides, .. var rest])
            return new PickleOpaque(called, arguments);
        switch (called.Name, rest)
        {
            case (RebuildFirstTensor, []):
            case (RebuildTensor, [bool, PickleDict { Items.Count: 0 }, .. var metadata]) when IsPlain(metadata):
                return new TensorReference(storage, offset, Integers(sizes), Integers(strides));
            case (RebuildTypedTensor, [bool, PickleDict { Items.Count: 0 }, PickleGlobal type, .. var metadata])
                when IsPlain(metadata) && Types.TryGetValue(type.Name, out var stored):
                storage = new StorageReference(stored, storage.Key, storage.Count / StoredElements.SizeOf(stored));
                return new TensorReference(storage, offset, Integers(sizes), Integers(strides));
            default:
                return new PickleOpaque(called, arguments);
        }
    }

    private long[] Integers(PickleTuple tuple)
    {
        if (tuple.Items.Length > StoredElements.MostAxes) throw Error($"a tensor has {tuple.Items.Length} axes, at most "
            + $"{StoredElements.MostAxes} are read");
        return Array.ConvertAll(tuple.Items, item =>
            item is long value ? value : throw Error($"a tensor's size or stride is {PickleValue.Describe(item)}, expected an integer"));
    }

    private DataException Error(string message) => new($"{file}: {message}");
}
