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
/// Walks a pickle of protocol 2, what torch.save writes, as data. A pickle is a program for a machine with a stack; of its operations only the
/// few that put plain values together are known, all others are refused by their name. Nothing is ever called: what a name or a call
/// stands for is <see cref="IPickleMeaning"/>'s to say.
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
        if (pickle.Length < 2 || (PickleOpcode)Byte() != PickleOpcode.Proto) throw Error("it does not begin with its protocol");
        if (Byte() is var protocol and not 2) throw Error($"it has protocol {protocol}; torch.save's own, 2, is read");
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
            if (at != pickle.Length) throw Error($"{pickle.Length - at} bytes follow its end");
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
            case PickleOpcode.EmptyTuple: Push(PickleTuple.Empty); break;
            case PickleOpcode.EmptyList: Push(new PickleList()); break;
            case PickleOpcode.EmptyDict: Push(new PickleDict()); break;
            case PickleOpcode.None: Push(PickleValue.None); break;
            case PickleOpcode.NewTrue: Push(true); break;
            case PickleOpcode.NewFalse: Push(false); break;
            case PickleOpcode.BinInt: Push((long)BinaryPrimitives.ReadInt32LittleEndian(Bytes(4))); break;
            case PickleOpcode.BinInt1: Push((long)Byte()); break;
            case PickleOpcode.BinInt2: Push((long)BinaryPrimitives.ReadUInt16LittleEndian(Bytes(2))); break;
            case PickleOpcode.Long1: Push(Long()); break;
            case PickleOpcode.BinFloat: Push(BinaryPrimitives.ReadDoubleBigEndian(Bytes(8))); break;
            case PickleOpcode.BinUnicode: Push(Text()); break;
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
            case PickleOpcode.Global: Push(meaning.Global($"{Line()}.{Line()}")); break;
            case PickleOpcode.BinPersId: Push(meaning.Persistent(Pop())); break;
            case PickleOpcode.Reduce:
                object arguments = Pop(), callable = Pop();
                if (arguments is not PickleTuple tuple)
                    throw Error($"{PickleValue.Describe(callable)} is called with {PickleValue.Describe(arguments)}, expected a tuple");
                Push(meaning.Call(callable, tuple));
                break;
            case PickleOpcode.Build:
                object state = Pop();
                meaning.SetState(Top(), state);
                break;
            default:
                string name = Enum.IsDefined(operation) ? $" ({operation})" : "";
                throw Error($"it has the operation 0x{(byte)operation:X2}{name}, which a state dict does not need");
        }
    }

    private void Append(object[] items)
    {
        if (Top() is not PickleList list) throw Error($"items are added to {PickleValue.Describe(Top())}, expected a list");
        list.Items.AddRange(items);
    }

    private void SetItems(object[] items)
    {
        if (Top() is not PickleDict dict) throw Error($"items are set in {PickleValue.Describe(Top())}, expected a dict");
        if (items.Length % 2 != 0) throw Error("a dict's items are no pairs");
        for (int i = 0; i < items.Length; i += 2)
        {
            if (items[i] is not (string or long)) throw Error($"a dict's key is {PickleValue.Describe(items[i])}, expected a text or an integer");
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

    private long Long()
    {
        int length = Byte();
        if (length > 8) throw Error($"an integer has {length} bytes, at most 8 are read");
        long value = 0;
        var bytes = Bytes(length);
        for (int i = 0; i < length; i++) value |= (long)bytes[i] << 8 * i;
        int unused = 64 - 8 * length; // the sign is the highest bit that is there
        return length == 0 ? 0 : value << unused >> unused;
    }

    private string Text()
    {
        uint length = U32();
        return StateFile.Decode(Bytes(length)) ?? throw Error("a text is no UTF-8");
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
