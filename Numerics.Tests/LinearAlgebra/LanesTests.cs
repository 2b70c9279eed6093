using System.Numerics;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>The order in which lanes are added up, on which all widths agree.</summary>
[TestClass]
public sealed class LanesTests
{
    public static IEnumerable<int> Widths => Implementations.Widths;

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void NeighboursAreAddedFirst(int bits)
    {
        var random = new Random(1);
        for (int i = 0; i < 200; i++)
        {
            Check(bits, Array.ConvertAll(new float[16], _ => (float)(random.NextDouble() - 0.5)));
            Check(bits, Array.ConvertAll(new double[8], _ => random.NextDouble() - 0.5));
        }
    }

    private static unsafe void Check<T>(int bits, T[] values) where T : unmanaged, INumber<T>
    {
        using var _ = new Settings(bits);
        // Fewer lanes, where fewer samples fill them, down to one vector of this width.
        for (int count = values.Length; count >= bits / 8 / sizeof(T); count /= 2)
        {
            T sum = default;
            fixed (T* lanes = values) VectorKernel.Run<SumKernel<T>, T>(new SumKernel<T> { Values = lanes, Count = count, Sum = &sum });
            Assert.AreEqual(Tree<T>(values.AsSpan(0, count)), sum, $"{count} lanes");
        }
    }

    private static T Tree<T>(ReadOnlySpan<T> values) where T : INumber<T> =>
        values.Length == 1 ? values[0] : Tree(values[..(values.Length / 2)]) + Tree(values[(values.Length / 2)..]);

    private unsafe struct SumKernel<T> : IVectorKernel<T> where T : unmanaged, INumber<T>
    {
        public T* Values, Sum;
        public int Count;

        public readonly void Run<S, V>() where S : struct, ISimd<V, T> where V : struct => *Sum = Lanes.Sum<S, V, T>(Values, Count);
    }
}
