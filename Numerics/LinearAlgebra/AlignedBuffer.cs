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
            nint first = (nint)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(array));
            start = (float*)((first + Line - 1) / Line * Line);
        }
        return start;
    }
}
