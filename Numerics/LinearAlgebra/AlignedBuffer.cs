using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Memory that begins at the start of a line of the cache, where an array begins anywhere: a vector as long as a line that lies across two
/// costs two loads. It does not move, and lives as long as this does.
/// </summary>
internal sealed unsafe class AlignedBuffer
{
    private const int Line = 64;

    private float[]? array;
    private float* start;

    /// <summary>So many numbers; what was there before only if there were as many. New ones are zero.</summary>
    public float* Of(long length)
    {
        long room = checked(length + Line / sizeof(float));
        if (array is null || array.Length != room)
        {
            array = GC.AllocateArray<float>(checked((int)room), pinned: true);
            start = (float*)((AddressOf(array) + Line - 1) / Line * Line);
        }
        return start;
    }

    /// <summary>
    /// An array of zeros that mostly begins at the start of a line itself. The runtime lays pinned arrays side by side: where one begins
    /// elsewhere, a filler before the next try moves that to a line's start.
    /// </summary>
    public static float[] NewArray(int length)
    {
        const int Tries = 3, Before = 24; // bytes from the end of an array to where the next begins
        for (int tries = 1; ; tries++)
        {
            float[] array = GC.AllocateArray<float>(length, pinned: true);
            if (AddressOf(array) % Line == 0 || tries == Tries) return array;
            long end = AddressOf(array) + ((long)length * sizeof(float) + 7) / 8 * 8;
            _ = GC.AllocateUninitializedArray<byte>((int)((Line - (end + 2 * Before) % Line) % Line), pinned: true);
        }
    }

    private static nint AddressOf(float[] pinned) => (nint)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(pinned));
}
