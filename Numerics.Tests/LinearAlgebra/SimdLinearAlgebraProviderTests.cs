using System.Numerics;
using MathNet.Numerics;
using MathNet.Numerics.LinearAlgebra;
using MathNet.Numerics.Providers.LinearAlgebra;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>The provider as a Math.NET program meets it: what it refuses, and that everything else is Math.NET's own.</summary>
[TestClass]
[DoNotParallelize]
public sealed class SimdLinearAlgebraProviderTests
{
    [TestMethod]
    public void WrongSizesAreRefusedBeforeMemoryIsTouched()
    {
        float[] a = Values.Uniform(1, 6), b = Values.Uniform(2, 12), c = new float[8];
        Failure.Of<ArgumentException>(() => Multiply(a, 2, 4, b, 3, 4, c), "array a has 6 elements", "2×4");
        Failure.Of<ArgumentException>(() => Multiply(a, 2, 3, b, 3, 5, c), "array b has 12 elements", "3×5");
        Failure.Of<ArgumentException>(() => Multiply(a, 2, 3, b, 3, 4, new float[7]), "array c has 7 elements", "2×4");
        Failure.Of<ArgumentException>(() => Multiply(a, -2, -3, b, 3, 4, c), "array a");
        Failure.Of<ArgumentOutOfRangeException>(() => Multiply(a, 2, 3, b, 4, 3, new float[6]), "[2×3]", "[4×3]", "inner dimensions");
        Failure.Of<ArgumentNullException>(() => Multiply(null!, 2, 3, b, 3, 4, c));
        Failure.Of<ArgumentNullException>(() => Multiply(a, 2, 3, b, 3, 4, null!));
        // 65536·65536 overflows an int to 0.
        Failure.Of<ArgumentException>(() => Multiply([], 65536, 65536, [], 65536, 65536, []), "array a");
        CollectionAssert.AreEqual(new float[8], c);
    }

    [TestMethod]
    public void AProductOverItsOwnOperandIsRefused()
    {
        float[] square = Values.Uniform(1, 9), other = Values.Uniform(2, 9), before = (float[])square.Clone();
        Failure.Of<ArgumentException>(() => Multiply(square, 3, 3, other, 3, 3, square), "over one of its operands");
        Failure.Of<ArgumentException>(() => Multiply(other, 3, 3, square, 3, 3, square), "over one of its operands");
        CollectionAssert.AreEqual(before, square);
    }

    [TestMethod]
    public void MatricesUseItForTheirProducts()
    {
        using var _ = new Settings();
        foreach (var (m, n, k) in new[] { (5, 4, 3), (33, 17, 65), (1, 9, 200) })
        {
            var (a, b) = (Matrix<double>.Build.Random(m, k, 1), Matrix<double>.Build.Random(k, n, 2));
            LinearAlgebraControl.Provider = ManagedLinearAlgebraProvider.Instance;
            var expected = new[] { a * b, a.TransposeThisAndMultiply(a), b.TransposeAndMultiply(b) };
            LinearAlgebraControl.Provider = SimdLinearAlgebraProvider.Instance;
            var actual = new[] { a * b, a.TransposeThisAndMultiply(a), b.TransposeAndMultiply(b) };
            for (int i = 0; i < expected.Length; i++)
                Close.Assert($"product {i} of {m}, {n}, {k}", expected[i].AsColumnMajorArray()
                    ?? expected[i].ToColumnMajorArray(), actual[i].ToColumnMajorArray(), 1e-13, 1e-13);
        }
    }

    [TestMethod]
    public void DecompositionsAndComplexNumbersAreMathNets()
    {
        using var _ = new Settings();
        var results = new List<double[]>();
        foreach (ILinearAlgebraProvider provider in new ILinearAlgebraProvider[] { ManagedLinearAlgebraProvider.Instance,
            SimdLinearAlgebraProvider.Instance })
        {
            LinearAlgebraControl.Provider = provider;
            var a = Matrix<double>.Build.Random(9, 9, 3);
            var tall = Matrix<double>.Build.Random(12, 7, 4);
            var right = Matrix<double>.Build.Random(9, 2, 5);
            var complex = Matrix<Complex>.Build.Random(6, 6, 6);
            var single = Matrix<float>.Build.Random(8, 8, 7);
            var complex32 = Matrix<Complex32>.Build.Random(5, 5, 8);
            var symmetric = a + a.Transpose();
            Matrix<double>[] parts =
            [
                a.LU().L, a.LU().Solve(right), a.Inverse(), tall.QR().R,
                    tall.QR(MathNet.Numerics.LinearAlgebra.Factorization.QRMethod.Thin).Q,
                tall.Svd().W, tall.Svd().VT, symmetric.Evd().EigenVectors,
                    (symmetric + 20 * Matrix<double>.Build.DenseIdentity(9)).Cholesky().Factor,
                (complex * complex).Map(z => z.Real), complex.Inverse().Map(z => z.Imaginary), single.Svd().W.Map(v => (double)v),
                single.LU().U.Map(v => (double)v), (complex32 * complex32).Map(z => (double)z.Real), (2.5 * a).PointwiseMultiply(a) - a,
            ];
            results.Add([.. parts.SelectMany(part => part.ToColumnMajorArray())]);
        }
        Close.Assert("decompositions", results[0], results[1], 0, 0);
    }

    [TestMethod]
    public void TheEnginesProviderIsChosenByName()
    {
        using var _ = new Settings();
        var before = LinearAlgebraControl.Provider;
        Products.Use("managed");
        Assert.AreEqual("managed", Products.Name);
        Assert.IsInstanceOfType<ManagedLinearAlgebraProvider>(Products.Provider);
        Products.Use("simd");
        Assert.AreSame(SimdLinearAlgebraProvider.Instance, Products.Provider);
        Failure.Of<ArgumentException>(() => Products.Use("magic"), "magic", "simd", "managed");
        Assert.AreEqual("simd", Products.Name);
        Assert.AreSame(before, LinearAlgebraControl.Provider, "the program's own provider is left alone");
        Failure.Of<ArgumentNullException>(() => Products.Provider = null!);
    }

    [TestMethod]
    public void WidthsOtherThanTheProcessorsAreRefused()
    {
        using var _ = new Settings();
        foreach (int bits in new[] { 0, -128, 64, 300, 1024 }) Failure.Of<ArgumentOutOfRangeException>(() =>
            SimdWidth.Bits = bits, "128, 256 or 512");
        if (SimdWidth.Widest < 512) Failure.Of<ArgumentOutOfRangeException>(() => SimdWidth.Bits = 512, $"at most {SimdWidth.Widest}");
        foreach (int bits in Implementations.Widths)
        {
            SimdWidth.Bits = bits;
            StringAssert.Contains(SimdLinearAlgebraProvider.Instance.ToString(), $"{bits}-bit", StringComparison.Ordinal);
        }
    }

    private static void Multiply(float[] a, int rowsA, int columnsA, float[] b, int rowsB, int columnsB, float[] c)
    {
        ILinearAlgebraProvider<float> provider = SimdLinearAlgebraProvider.Instance;
        provider.MatrixMultiply(a, rowsA, columnsA, b, rowsB, columnsB, c);
    }
}
