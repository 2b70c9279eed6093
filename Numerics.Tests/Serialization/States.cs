using System.Globalization;
using System.Runtime.InteropServices;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>State dicts to write and read, and what is done to their files.</summary>
internal static class States
{
    /// <summary>Three tensors, not in the names' order.</summary>
    public static StateDict Small() => new()
    {
        { "z.weight", new Tensor(new Shape(2, 3), [1, -2, 0.5f, 0, -0f, 3]) },
        { "a.bias", new Tensor(new Shape(2), [float.Epsilon, float.MaxValue]) },
        { "bn.num_batches_tracked", StateTensor.Of(long.MaxValue - 1) },
    };

    /// <summary>Shapes and names of every kind, integers between floats, and every bit pattern that a round trip could lose.</summary>
    public static StateDict Varied()
    {
        var state = Small();
        state.Add("", new Tensor(new Shape(), [1.5f]));
        state.Add("empty", new Tensor(new Shape(3, 0, 2)));
        state.Add("long", StateTensor.Of(new Shape(2, 1, 2), [long.MinValue, -1, 0, long.MaxValue]));
        state.Add("\"quoted\\\" \u0001 名前 😀", new Tensor(new Shape(1, 1, 1, 1, 1), [1e-40f]));
        state.Add("big", new Tensor(new Shape(7, 11, 5), Values.Uniform(5, 385)));
        return state;
    }

    /// <summary>NaNs of unusual bits, and infinities.</summary>
    public static StateDict NonFinite() => new()
    {
        { "w", new Tensor(new Shape(4), [1f, BitConverter.UInt32BitsToSingle(0x7FC12345), float.NegativeInfinity,
            BitConverter.UInt32BitsToSingle(0xFF800001)]) },
    };

    /// <summary>Fails unless names, order, types, shapes and bits are the same.</summary>
    public static void AssertSame(StateDict expected, StateDict actual)
    {
        Assert.AreSequenceEqual(expected.Names.ToArray(), actual.Names.ToArray());
        foreach (var (name, tensor) in expected)
        {
            Assert.AreEqual(tensor.ToString(), actual[name].ToString(), name);
            Assert.AreEqual(Hex(tensor), Hex(actual[name]), name);
        }
    }

    /// <summary>The elements' bytes as hexadecimal text.</summary>
    public static string Hex(StateTensor tensor) => Convert.ToHexStringLower(tensor.IsInteger
        ? MemoryMarshal.AsBytes(tensor.AsInt64().AsSpan())
        : MemoryMarshal.AsBytes(tensor.AsTensor().Data.AsSpan()));

    /// <summary>
    /// Cuts a file at every length and flips bits of it: it must be read, or refused with a <see cref="DataException"/>, in little memory.
    /// Returns how many of the flips were refused.
    /// </summary>
    public static int Damage(byte[] file, Action<byte[]> read, int flips)
    {
        for (int length = 0; length < file.Length; length++)
            Assert.IsTrue(Refuses(() => read(file[..length])),
                string.Create(CultureInfo.InvariantCulture, $"cut to {length} of {file.Length} bytes"));
        var random = new Random(17);
        int refused = 0;
        for (int i = 0; i < flips; i++)
        {
            byte[] flipped = [.. file];
            for (int bits = random.Next(1, 4); bits > 0; bits--) flipped[random.Next(file.Length)] ^= (byte)(1 << random.Next(8));
            if (Refuses(() => read(flipped))) refused++;
        }
        return refused;
    }

    /// <summary>Whether it throws a <see cref="DataException"/>; any other exception passes on, and so does taking more than 64
    /// MiB.</summary>
    public static bool Refuses(Action action)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        try
        {
            action();
            return false;
        }
        catch (DataException)
        {
            return true;
        }
        finally
        {
            Assert.IsLessThan(64L << 20, GC.GetAllocatedBytesForCurrentThread() - before);
        }
    }
}
