using System.Diagnostics;
using System.Globalization;
using MathNet.Numerics.Providers.LinearAlgebra;

namespace OnnxLeNet.Numerics;

/// <summary>
/// When a product is worth sending to a GPU. Its operands lie in ordinary memory, are copied there, and the result is copied back: a
/// product costs a fixed time, a time for each byte copied, and a time for each multiply-add; on the processor the last alone. Products
/// that would take longer on the GPU are the processor's.
/// </summary>
/// <param name="Fixed">Seconds of a product of next to nothing on the GPU.</param>
/// <param name="PerByte">Seconds for each byte copied, either way.</param>
/// <param name="PerMultiplyAdd">Seconds for each multiply-add on the GPU.</param>
/// <param name="PerMultiplyAddOnProcessor">The same for the SIMD provider, on all threads.</param>
public sealed record CudaCrossover(double Fixed, double PerByte, double PerMultiplyAdd, double PerMultiplyAddOnProcessor)
{
    /// <summary>Every product goes to the GPU: for comparing results, not for speed.</summary>
    public static CudaCrossover Always { get; } = new(0, 0, 0, 1);

    /// <summary>Whether the GPU is the faster one.</summary>
    /// <param name="multiplyAdds">M·N·K.</param>
    /// <param name="bytes">What is copied both ways together.</param>
    public bool Wins(double multiplyAdds, double bytes) =>
        Fixed + PerByte * bytes + PerMultiplyAdd * multiplyAdds < PerMultiplyAddOnProcessor * multiplyAdds;

    /// <summary>The smallest n, to a few percent, from which products of two n×n matrices are the GPU's; null if it never wins up to
    /// 65,536.</summary>
    /// <param name="elementSize">Bytes of an element: 4 for float, 8 for double.</param>
    public int? Square(int elementSize)
    {
        for (double n = 1; n <= 65536; n = Math.Max(n + 1, Math.Floor(n * 1.03)))
            if (Wins(n * n * n, 3 * n * n * elementSize)) return (int)n;
        return null;
    }

    /// <summary>Where the crossover lies on square products of an element size, in words.</summary>
    public string Describe(int elementSize) => this == Always ? "every product"
        : Square(elementSize) is { } n ? string.Create(CultureInfo.InvariantCulture, $"{n}×{n} and more")
        : "none: copying costs more than it saves";

    /// <summary>Measures, in a fraction of a second: a tiny product, one of many bytes and some of much arithmetic on the GPU, and one on
    /// the processor.</summary>
    /// <param name="gpu">Products on the GPU, copies included.</param>
    internal static CudaCrossover Measure<T>(ILinearAlgebraProvider<T> gpu) where T : unmanaged
    {
        const int Long = 1024, Short = 4, ProcessorSquare = 384;
        int size = System.Runtime.CompilerServices.Unsafe.SizeOf<T>();
        var processor = (ILinearAlgebraProvider<T>)(object)SimdLinearAlgebraProvider.Instance;
        double tiny = Seconds(gpu, Short, Short, Short);
        double copying = Seconds(gpu, Long, Short, Long); // a million elements in, next to no arithmetic for a GPU
        double perByte = Math.Max(0, copying - tiny) / (size * ((double)Long * Long + 2 * Short * Long));
        double perMultiplyAdd = 0;
        // The larger, the less the rest disturbs; as large as takes a moment.
        for (int n = 128; n <= 2048; n *= 2)
        {
            double computing = Seconds(gpu, n, n, n), cube = (double)n * n * n;
            perMultiplyAdd = Math.Max(0, computing - tiny - perByte * 3 * n * n * size) / cube;
            if (computing > 0.01) break;
        }
        double perMultiplyAddOnProcessor = Seconds(processor, ProcessorSquare, ProcessorSquare,
            ProcessorSquare) / ((double)ProcessorSquare * ProcessorSquare * ProcessorSquare);
        return new CudaCrossover(tiny, perByte, perMultiplyAdd, perMultiplyAddOnProcessor);
    }

    /// <summary>The median of five products, or of as many as a moment is enough for, after one that warms up.</summary>
    private static double Seconds<T>(ILinearAlgebraProvider<T> provider, int m, int n, int k) where T : struct
    {
        T[] a = new T[m * k], b = new T[k * n], c = new T[m * n];
        var seconds = new List<double>();
        provider.MatrixMultiply(a, m, k, b, k, n, c);
        while (seconds.Count == 0 || (seconds.Count < 5 && seconds.Sum() < 0.05))
        {
            long began = Stopwatch.GetTimestamp();
            provider.MatrixMultiply(a, m, k, b, k, n, c);
            seconds.Add(Stopwatch.GetElapsedTime(began).TotalSeconds);
        }
        seconds.Sort();
        return seconds[seconds.Count / 2];
    }
}
