using System.Buffers.Binary;

namespace OnnxLeNet.Numerics;

/// <summary>What a pickle's names, calls and references mean; <see cref="PickleReader"/> knows nothing of that.</summary>
internal interface IPickleMeaning
{
    /// <summary>The class or function of a name such as <c>collections.OrderedDict</c>; throws for one that is not allowed.</summary>
    object Global(string name);

    /// <summary>What a call of that class or function is.</summary>
    object Call(object callable, PickleTuple arguments);

    /// <summary>What lies outside the pickle under that reference.</summary>
    object Persistent(object reference);

    /// <summary>Sets an object's attributes.</summary>
    void SetState(object target, object state);
}

/// <summary>
/// Walks a pickle of protocol 2 to 5 as data. A pickle is a program for a machine with a stack; of its operations those that torch.save's
/// files have are known, all others are refused by their name. Nothing is ever called: what a name or a call stands for is
/// <see cref="IPickleMeaning"/>'s to say.
/// </summary>
/// <remarks>
/// Memory and time are linear in the pickle: a value used again is the same object, and operations, stack and marks are counted.
/// There is no recursion.
/// </remarks>
internal sealed class PickleReader(ReadOnlyMemory<byte> pickle, IPickleMeaning meaning, string file)
{
    /// <summary>Operations; a tensor takes about 30, a network has some hundred tensors.</summary>
    public const int MostOperations = 2_000_000;

    /// <summary>Values on the stack; Python's pickler sets a dict's items by the thousand.</summary>
    public const int MostDepth = 10_000;

    /// <summary>Characters of a class's name.</summary>
    public const int MostNameLength = 200;

    private readonly List<object> stack = [];
    private readonly List<int> marks = []; // heights of the stack
    private readonly Dictionary<uint, object> memo = [];
    private int at;

    /// <summary>Walks it to its end and returns what it made.</summary>
    /// <exception cref="DataException">It is damaged, or asks for something that is not allowed.</exception>
    public object Read()
    {
        object result = ReadNext();
        if (at != pickle.Length) throw Error($"{pickle.Length - at} bytes follow its end");
        return result;
    }

    /// <summary>Where the next byte lies: after <see cref="ReadNext"/>, behind the pickle's end.</summary>
    public int Position => at;

    /// <summary>Walks a pickle that others may follow.</summary>
    /// <inheritdoc cref="Read"/>
    public object ReadNext()
    {
        memo.Clear();
        if (pickle.Length < 2 || (PickleOpcode)Byte() != PickleOpcode.Proto) throw Error("it does not begin with its protocol");
        if (Byte() is var protocol and not (>= 2 and <= 5)) throw Error($"it has protocol {protocol}, 2 to 5 are read");
        for (int operations = 0; operations < MostOperations; operations++)
        {
            var operation = (PickleOpcode)Byte();
            if (operation != PickleOpcode.Stop)
            {
                Do(operation);
                continue;
            }
            object result = Pop();
            if (stack.Count != 0 || marks.Count != 0) throw Error("values are left over at its end");
            return result;
        }
        throw Error($"it has more than {MostOperations} operations");
    }

    private void Do(PickleOpcode operation)
    {
        switch (operation)
        {
            case PickleOpcode.Mark:
                if (marks.Count >= MostDepth) throw Error($"more than {MostDepth} marks are open");
                marks.Add(stack.Count);
                break;
            case PickleOpcode.Pop: Pop(); break;
            case PickleOpcode.PopMark: PopToMark(); break;
            case PickleOpcode.Dup: Push(Top()); break;
            case PickleOpcode.EmptyTuple: Push(PickleTuple.Empty); break;
            case PickleOpcode.EmptyList: Push(new PickleList()); break;
            case PickleOpcode.EmptyDict: Push(new PickleDict()); break;
            case PickleOpcode.EmptySet: Push(new PickleOpaque(null, What: "a set")); break;
            case PickleOpcode.None: Push(PickleValue.None); break;
            case PickleOpcode.NewTrue: Push(true); break;
            case PickleOpcode.NewFalse: Push(false); break;
            case PickleOpcode.BinInt: Push((long)BinaryPrimitives.ReadInt32LittleEndian(Bytes(4))); break;
            case PickleOpcode.BinInt1: Push((long)Byte()); break;
            case PickleOpcode.BinInt2: Push((long)BinaryPrimitives.ReadUInt16LittleEndian(Bytes(2))); break;
            case PickleOpcode.Long1: Push(Long(Byte())); break;
            case PickleOpcode.Long4: Push(Long(U32())); break;
            case PickleOpcode.BinFloat: Push(BinaryPrimitives.ReadDoubleBigEndian(Bytes(8))); break;
            case PickleOpcode.BinUnicode: Push(Text(U32())); break;
            case PickleOpcode.ShortBinUnicode: Push(Text(Byte())); break;
            case PickleOpcode.BinUnicode8: Push(Text(U64())); break;
            case PickleOpcode.BinString: Push(OldText(U32())); break;
            case PickleOpcode.ShortBinString: Push(OldText(Byte())); break;
            case PickleOpcode.BinBytes: Push(Binary(U32())); break;
            case PickleOpcode.ShortBinBytes: Push(Binary(Byte())); break;
            case PickleOpcode.BinBytes8 or PickleOpcode.ByteArray8: Push(Binary(U64())); break;
            case PickleOpcode.Frame: Skip(U64()); break;
            case PickleOpcode.Memoize: memo[(uint)memo.Count] = Top(); break;
            case PickleOpcode.BinPut: memo[Byte()] = Top(); break;
            case PickleOpcode.LongBinPut: memo[U32()] = Top(); break;
            case PickleOpcode.BinGet: Push(Recall(Byte())); break;
            case PickleOpcode.LongBinGet: Push(Recall(U32())); break;
            case PickleOpcode.Tuple: Push(new PickleTuple(PopToMark())); break;
            case PickleOpcode.Tuple1: Push(new PickleTuple(PopMany(1))); break;
            case PickleOpcode.Tuple2: Push(new PickleTuple(PopMany(2))); break;
            case PickleOpcode.Tuple3: Push(new PickleTuple(PopMany(3))); break;
            case PickleOpcode.Append: Append(PopMany(1)); break;
            case PickleOpcode.Appends: Append(PopToMark()); break;
            case PickleOpcode.SetItem: SetItems(PopMany(2)); break;
            case PickleOpcode.SetItems: SetItems(PopToMark()); break;
            case PickleOpcode.AddItems: AddItems(PopToMark()); break;
            case PickleOpcode.FrozenSet:
                PopToMark();
                Push(new PickleOpaque(null, What: "a set"));
                break;
            case PickleOpcode.Global: Push(meaning.Global($"{Line()}.{Line()}")); break;
            case PickleOpcode.StackGlobal: Push(StackGlobal()); break;
            case PickleOpcode.BinPersId: Push(meaning.Persistent(Pop())); break;
            case PickleOpcode.Reduce or PickleOpcode.NewObj: Call(Pop()); break;
            case PickleOpcode.NewObjEx:
                Pop(); // arguments by name
                Call(Pop());
                break;
            case PickleOpcode.Build:
                object state = Pop();
                meaning.SetState(Top(), state);
                break;
            default:
                string known = Enum.IsDefined(operation) ? $" ({operation})" : "";
                throw Error($"it has the operation 0x{(byte)operation:X2}{known}, which a state dict does not need");
        }
    }

    private object StackGlobal()
    {
        object name = Pop(), module = Pop();
        if (name is not string { Length: <= MostNameLength } || module is not string { Length: <= MostNameLength })
            throw Error($"a name is {PickleValue.Describe(module)} and {PickleValue.Describe(name)}, expected texts of at most "
                + $"{MostNameLength} characters");
        return meaning.Global($"{module}.{name}");
    }

    private void Call(object arguments)
    {
        object callable = Pop();
        if (arguments is not PickleTuple tuple)
            throw Error($"{PickleValue.Describe(callable)} is called with {PickleValue.Describe(arguments)}, expected a tuple");
        Push(meaning.Call(callable, tuple));
    }

    private void Append(object[] items)
    {
        if (Top() is PickleOpaque) return;
        if (Top() is not PickleList list) throw Error($"items are added to {PickleValue.Describe(Top())}, expected a list");
        list.Items.AddRange(items);
    }

    private void AddItems(object[] items)
    {
        if (Top() is not PickleOpaque) throw Error($"{items.Length} items are added to {PickleValue.Describe(Top())}, expected a set");
    }

    private void SetItems(object[] items)
    {
        var dict = Top() switch
        {
            PickleDict plain => plain,
            PickleOpaque opaque => opaque.Dict ??= new PickleDict(),
            var other => throw Error($"items are set in {PickleValue.Describe(other)}, expected a dict"),
        };
        if (items.Length % 2 != 0) throw Error("a dict's items are no pairs");
        for (int i = 0; i < items.Length; i += 2)
        {
            if (items[i] is PickleDict or PickleList)
                throw Error($"a dict's key is {PickleValue.Describe(items[i])}, which Python does not allow");
            dict.Add(items[i], items[i + 1]);
        }
    }

    private void Push(object value)
    {
        if (stack.Count >= MostDepth) throw Error($"its stack is more than {MostDepth} deep");
        stack.Add(value);
    }

    private int Floor => marks.Count == 0 ? 0 : marks[^1];

    private object Top() => stack.Count > Floor ? stack[^1] : throw Error("its stack is empty where a value is needed");

    private object Pop()
    {
        object value = Top();
        stack.RemoveAt(stack.Count - 1);
        return value;
    }

    private object[] PopMany(int count)
    {
        if (stack.Count - Floor < count) throw Error($"its stack has too few values where {count} are needed");
        object[] values = [.. stack[^count..]];
        stack.RemoveRange(stack.Count - count, count);
        return values;
    }

    private object[] PopToMark()
    {
        if (marks.Count == 0) throw Error("a mark is missing");
        object[] values = PopMany(stack.Count - Floor);
        marks.RemoveAt(marks.Count - 1);
        return values;
    }

    private object Recall(uint index) => memo.TryGetValue(index, out object? value) ? value : throw Error($"nothing is kept at {index}");

    private byte Byte() => Bytes(1)[0];

    private uint U32() => BinaryPrimitives.ReadUInt32LittleEndian(Bytes(4));

    private long U64() =>
        BinaryPrimitives.ReadUInt64LittleEndian(Bytes(8)) is var value && value <= int.MaxValue ? (long)value : int.MaxValue;

    private object Long(long length)
    {
        var bytes = Bytes(length);
        if (length > 8) return new PickleOpaque(null, What: $"an integer of {length} bytes");
        long value = 0;
        for (int i = 0; i < length; i++) value |= (long)bytes[i] << 8 * i;
        int unused = 64 - 8 * (int)length; // the sign is the highest bit that is there
        return length == 0 ? 0L : value << unused >> unused;
    }

    private string Text(long length) => StateFile.Decode(Bytes(length)) ?? throw Error("a text is no UTF-8");

    // Python 2 has one type for texts and bytes.
    private object OldText(long length)
    {
        var bytes = Bytes(length);
        return StateFile.Decode(bytes) is { } text ? text : new PickleOpaque(null, What: "bytes");
    }

    private PickleOpaque Binary(long length)
    {
        Bytes(length);
        return new PickleOpaque(null, What: "bytes");
    }

    // A frame says that so many bytes belong together; they are walked one operation after another all the same.
    private void Skip(long frame)
    {
        if (frame > pickle.Length - at) throw Error($"it is cut short at {at} of {pickle.Length}");
    }

    private string Line()
    {
        int length = pickle.Span[at..].IndexOf((byte)'\n');
        if (length < 0 || length > MostNameLength) throw Error($"a name has no end, or more than {MostNameLength} characters");
        var name = Bytes(length);
        at++;
        return StateFile.Decode(name) ?? throw Error("a name is no UTF-8");
    }

    private ReadOnlySpan<byte> Bytes(long count)
    {
        if (count > pickle.Length - at) throw Error($"it is cut short at {at} of {pickle.Length}");
        var bytes = pickle.Span.Slice(at, (int)count);
        at += (int)count;
        return bytes;
    }

    private DataException Error(string message) => new($"{file}: its pickle is damaged or no state dict: {message}");
}
