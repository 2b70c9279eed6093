using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// Arrays that end where memory ends: reading one element past them is an access violation, which ends the test process. Values in guard
/// zones cannot show such reads where the lanes they fill are thrown away.
/// </summary>
[TestClass]
[DoNotParallelize]
public sealed unsafe partial class EndOfMemoryTests
{
    public static IEnumerable<int> Widths => Implementations.Widths;

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void ProductsReadNothingPastTheirArrays(int bits)
    {
        if (!OperatingSystem.IsLinux()) Assert.Inconclusive("mmap's constants are Linux's");
        using Pages a = new(), b = new(), c = new();
        foreach (int m in new[] { 1, 2, 3, 5, 7, 9, 15, 17, 31, 33, 65 })
            foreach (int n in new[] { 1, 2, 5, 6, 7, 13 })
                foreach (int k in new[] { 1, 3, 17, 130, 300 })
                    for (int transposes = 0; transposes < 4; transposes++)
                    {
                        bool ta = (transposes & 1) != 0, tb = (transposes & 2) != 0;
                        Multiply(bits, ta, tb, m, n, k, a.Last(m * k), b.Last(k * n), c.Last(m * n));
                        Multiply(bits, ta, tb, m, n, k, (double*)a.Last(2 * m * k), (double*)b.Last(2 * k * n), (double*)c.Last(2 * m * n));
                    }
    }

    private static void Multiply<T>(int bits, bool ta, bool tb, int m, int n, int k, T* a, T* b, T* c) where T : unmanaged, INumber<T>
    {
        int lda = ta ? k : m, ldb = tb ? n : k;
        switch (bits)
        {
            case 512: Gemm<Simd512<T>, Vector512<T>, T>.Multiply(ta, tb, m, n, k, T.One, a, lda, b, ldb, T.One, c, m); break;
            case 256: Gemm<Simd256<T>, Vector256<T>, T>.Multiply(ta, tb, m, n, k, T.One, a, lda, b, ldb, T.One, c, m); break;
            default: Gemm<Simd128<T>, Vector128<T>, T>.Multiply(ta, tb, m, n, k, T.One, a, lda, b, ldb, T.One, c, m); break;
        }
    }

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void KernelsReadNothingPastTheirArrays(int bits)
    {
        if (!OperatingSystem.IsLinux()) Assert.Inconclusive("mmap's constants are Linux's");
        using var _ = new Settings(bits);
        using Pages a = new(), b = new(), c = new(), d = new();
        var g = new WindowGeometry((2, 3), (2, 1), (1, 1), 1);
        var input = new Shape(2, 5, 4);
        var output = g.Output(5, 4);
        for (int n = 1; n <= 40; n++)
        {
            Span<float> x = new(a.Last(n), n), y = new(b.Last(n), n), z = new(c.Last(n), n);
            Elementwise.Add(x, y);
            Elementwise.Sum(x);
            Elementwise.ReluForward(x, y);
            Elementwise.ReluBackward(x, y, z);
            int results = n * 2 * output.H * output.W;
            Span<float> images = new(a.Last(n * input.Count), n * input.Count), maxima = new(b.Last(results), results),
                argmax = new(c.Last(results), results);
            MaxPooling.Forward(g, n, input, output, images, maxima, argmax);
            MaxPooling.Backward(g, n, input, output, maxima, argmax, images);
            Span<float> logits = new(a.Last(3 * n), 3 * n), gradient = new(b.Last(3 * n), 3 * n), losses = new(c.Last(n), n),
                largest = new(d.Last(n), n);
            SoftmaxCrossEntropy.ForwardBackward(n, 3, logits, new int[n], ClassLoss.DefaultIgnoreIndex, 1, losses, largest, gradient);
            ChannelSoftmax.Forward(false, 3, logits, gradient);
            ChannelSoftmax.Backward(true, 3, logits, gradient, new(c.Last(3 * n), 3 * n));
            Normalization.Moments(x);
            Normalization.GradientSums(x, y, z, 0.1, 2);
            SampleNormalization.AddGradientSums(x, y, z, z, 0.3f, losses, largest);
            Elementwise.TimesPower(x, y, 0.5, z);
            var windows = new RegularWindows(g, true, input, output);
            Pooling.AverageForward(windows, n, images, maxima);
            Pooling.AverageBackward(windows, n, maxima, images);
            AdaptivePooling.MaxForward(new AdaptiveWindows(output, input), n, images, maxima, argmax);
            AdaptivePooling.MaxBackward(new AdaptiveWindows(output, input), n, maxima, argmax, images);
        }
    }

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void VectorOperationsReadNothingPastTheirArrays(int bits)
    {
        if (!OperatingSystem.IsLinux()) Assert.Inconclusive("mmap's constants are Linux's");
        using var _ = new Settings(bits);
        using Pages a = new(), b = new(), c = new();
        for (int n = 0; n <= 150; n++)
        {
            RunVectorOperations<float>(a.Last(n), b.Last(n), c.Last(n), n);
            RunVectorOperations<double>((double*)a.Last(2 * n), (double*)b.Last(2 * n), (double*)c.Last(2 * n), n);
        }
    }

    private static void RunVectorOperations<T>(T* x, T* y, T* result, int n) where T : unmanaged, INumber<T>
    {
        Pointwise<VectorOperations.Add>();
        Pointwise<VectorOperations.Subtract>();
        Pointwise<VectorOperations.Multiply>();
        Pointwise<VectorOperations.Divide>();
        Pointwise<VectorOperations.Scale>();
        Pointwise<VectorOperations.AddScaled>();
        Pointwise<VectorOperations.AddAbsolute>();
        Reduction<VectorOperations.SumOfProducts>();
        Reduction<VectorOperations.SumOfAbsolutes>();
        Reduction<VectorOperations.LargestAbsolute>();

        void Pointwise<O>() where O : struct, VectorOperations.IPointwise =>
            VectorKernel.Run<VectorOperations.PointwiseKernel<O, T>, T>(new VectorOperations.PointwiseKernel<O, T> { X = x, Y = y,
                Result = result, Alpha = T.One, Count = n });

        void Reduction<O>() where O : struct, VectorOperations.IReduction
        {
            T sum;
            VectorKernel.Run<VectorOperations.ReductionKernel<O, T>, T>(new VectorOperations.ReductionKernel<O, T> { X = x, Y = y,
                Result = &sum, Count = n });
        }
    }

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void DirectConvolutionsReadNothingPastTheirArrays(int bits)
    {
        if (!OperatingSystem.IsLinux()) Assert.Inconclusive("mmap's constants are Linux's");
        using var _ = new Settings(bits);
        using Pages a = new(), b = new(), c = new(), d = new(), e = new();
        foreach (int n in new[] { 1, 2, 3, 4, 8, 16, 32, 48 })
            foreach (var (c0, h, w, m, kernel) in new[] { (1, 7, 9, 3, 3), (3, 6, 11, 7, 2), (2, 9, 5, 6, 5), (1, 4, 20, 1, 1) })
            {
                var g = new WindowGeometry(kernel, 1, 0, 1);
                var (oH, oW) = g.Output(h, w);
                bool whole = n % (bits / 32) == 0;
                if (DirectConv.For(null, g, n, new Shape(c0, h, w), m, 1, forwardOnly: !whole) is not { } direct) continue;
                Span<float> x = a.Span(n * c0 * h * w), weight = b.Span(m * c0 * kernel * kernel), y = c.Span(n * m * oH * oW),
                    bias = d.Span(m);
                direct.Forward(x, weight, bias, y);
                if (n == 1 && oH > 1 && oW > 1) direct.ForwardPool(x, weight, bias, 2, true, c.Span(m * (oH / 2) * (oW / 2)), default);
                if (!direct.IsWhole) continue;
                Span<float> dx = e.Span(x.Length), dWeight = d.Span(weight.Length);
                direct.Backward(x, weight, y, dx, dWeight, 1);
                int pooled = n * m * (oH / 2) * (oW / 2);
                Span<float> p = c.Span(pooled), argmax = e.Span(pooled);
                direct.ForwardPool(x, weight, d.Span(m), 2, true, p, argmax);
                direct.BackwardPool(x, weight, 2, p, argmax, default, dWeight, 1, default, 0);
            }
    }

    /// <summary>Memory with a page behind it that may not be touched.</summary>
    private sealed partial class Pages : IDisposable
    {
        private const nint Size = 1 << 20;
        private readonly byte* start;

        public Pages()
        {
            start = (byte*)Map(0, Size + Environment.SystemPageSize, ReadWrite, PrivateAnonymous, -1, 0);
            Assert.AreNotEqual(-1, (nint)start);
            Assert.AreEqual(0, Protect((nint)start + Size, Environment.SystemPageSize, None));
        }

        public float* Last(int count) => (float*)(start + Size) - count;

        public Span<float> Span(int count) => new(Last(count), count);

        public void Dispose() => _ = Unmap((nint)start, Size + Environment.SystemPageSize);

        private const int None = 0, ReadWrite = 3, PrivateAnonymous = 0x22;

        [LibraryImport("libc", EntryPoint = "mmap")]
        private static partial nint Map(nint address, nint length, int protection, int flags, int file, nint offset);

        [LibraryImport("libc", EntryPoint = "mprotect")]
        private static partial int Protect(nint address, nint length, int protection);

        [LibraryImport("libc", EntryPoint = "munmap")]
        private static partial int Unmap(nint address, nint length);
    }
}
