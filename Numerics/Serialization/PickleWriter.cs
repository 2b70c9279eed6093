using System.Buffers.Binary;
using System.Text;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Writes the pickle of a state dict as torch.save does, protocol 2: an OrderedDict of names to tensors, each over a storage of its own
/// that holds just its elements. What occurs in every tensor is written once and recalled.
/// </summary>
internal sealed class PickleWriter : IDisposable
{
    private const int ItemsAtOnce = 1000; // as Python's pickler, so that no reader's stack grows with the dict
    private readonly MemoryStream stream = new();
    private readonly Dictionary<string, byte> memo = new(StringComparer.Ordinal);

    /// <summary>The pickle; storage i is the i-th tensor's.</summary>
    public byte[] Write(StateDict state)
    {
        Op(PickleOpcode.Proto);
        stream.WriteByte(2);
        EmptyOrderedDict();
        int key = 0;
        foreach (var items in state.Chunk(ItemsAtOnce))
        {
            Op(PickleOpcode.Mark);
            foreach (var (name, tensor) in items)
            {
                Text(name);
                Tensor(tensor, key++);
            }
            Op(PickleOpcode.SetItems);
        }
        Op(PickleOpcode.Stop);
        return stream.ToArray();
    }

    /// <inheritdoc/>
    public void Dispose() => stream.Dispose();

    // _rebuild_tensor_v2(storage, 0, sizes, strides, requires_grad=False, backward_hooks=OrderedDict())
    private void Tensor(StateTensor tensor, int key)
    {
        Global("torch._utils", "_rebuild_tensor_v2");
        Op(PickleOpcode.Mark);

        Op(PickleOpcode.Mark);
        Text("storage", keep: true);
        Global("torch", StatePickle.ClassOf(StoredElements.TypeOf(tensor))!["torch.".Length..]);
        Text($"{key}");
        Text("cpu", keep: true);
        Integer(tensor.Shape.Count);
        Op(PickleOpcode.Tuple);
        Op(PickleOpcode.BinPersId);

        Integer(0);
        var strides = new long[tensor.Shape.Rank];
        for (long axis = strides.Length - 1, stride = 1; axis >= 0; stride *= Math.Max(1, tensor.Shape[(int)axis]), axis--) strides[axis] =
            stride;
        Integers(Array.ConvertAll(tensor.Shape.Sizes.ToArray(), size => (long)size));
        Integers(strides);
        Op(PickleOpcode.NewFalse);
        EmptyOrderedDict();
        Op(PickleOpcode.Tuple);
        Op(PickleOpcode.Reduce);
    }

    private void EmptyOrderedDict()
    {
        Global("collections", "OrderedDict");
        Op(PickleOpcode.EmptyTuple);
        Op(PickleOpcode.Reduce);
    }

    private void Integers(long[] values)
    {
        Op(PickleOpcode.Mark);
        foreach (long value in values) Integer(value);
        Op(PickleOpcode.Tuple);
    }

    private void Integer(long value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        var (operation, length) = value switch
        {
            >= 0 and <= byte.MaxValue => (PickleOpcode.BinInt1, 1),
            >= 0 and <= ushort.MaxValue => (PickleOpcode.BinInt2, 2),
            >= int.MinValue and <= int.MaxValue => (PickleOpcode.BinInt, 4),
            _ => (PickleOpcode.Long1, 8),
        };
        Op(operation);
        if (operation == PickleOpcode.Long1) stream.WriteByte(8);
        stream.Write(bytes[..length]);
    }

    private void Global(string module, string name)
    {
        if (Recall($"{module}.{name}")) return;
        Op(PickleOpcode.Global);
        stream.Write(Encoding.ASCII.GetBytes($"{module}\n{name}\n"));
        Keep($"{module}.{name}");
    }

    private void Text(string text, bool keep = false)
    {
        if (keep && Recall(text)) return;
        byte[] bytes = StateFile.Encode(text);
        Span<byte> length = stackalloc byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(length, bytes.Length);
        Op(PickleOpcode.BinUnicode);
        stream.Write(length);
        stream.Write(bytes);
        if (keep) Keep(text);
    }

    private bool Recall(string what)
    {
        if (!memo.TryGetValue(what, out byte index)) return false;
        Op(PickleOpcode.BinGet);
        stream.WriteByte(index);
        return true;
    }

    private void Keep(string what)
    {
        memo.Add(what, (byte)memo.Count);
        Op(PickleOpcode.BinPut);
        stream.WriteByte(memo[what]);
    }

    private void Op(PickleOpcode operation) => stream.WriteByte((byte)operation);
}
