namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// Kernels on arrays that lie within others: at every number of samples, in whole vectors, the rest after them, and where there is no whole
/// one, nothing beside the arrays is written, and nothing read there shows in the results.
/// </summary>
[TestClass]
[DoNotParallelize]
public sealed class PartTests
{
    /// <summary>The arrays' lengths for one sample, and what runs on them.</summary>
    private static readonly Dictionary<string, (int[] Lengths, Action<int, float[][], int> Run)> All = new()
    {
        ["pointwise"] = ([1, 1], (n, a, at) => Pointwise.Forward(default(Cube), Of(a[0], at, n), Of(a[1], at, n))),
        ["pointwise, backward"] = ([1, 1, 1], (n, a, at) =>
            Pointwise.Backward(default(Cube), Of(a[0], at, n), Of(a[1], at, n), Of(a[2], at, n))),
        ["power"] = ([1, 1, 1], (n, a, at) => Elementwise.TimesPower(Of(a[0], at, n), Of(a[1], at, n), -0.7, Of(a[2], at, n))),
        ["sum"] = ([1, 0], (n, a, at) => a[1][0] = Elementwise.Sum(Of(a[0], at, n))),
        ["moments"] = ([1, 0], (n, a, at) => a[1][0] = (float)Normalization.Moments(Of(a[0], at, n)).Squares),
        ["gradient sums"] = ([1, 1, 1, 0], (n, a, at) =>
            a[3][0] = (float)Normalization.GradientSums(Of(a[0], at, n), Of(a[1], at, n), Of(a[2], at, n), 0.1, 2).SumHat),
        ["sample gradient sums"] = ([1, 1, 1, 1, 1, 1], (n, a, at) => SampleNormalization.AddGradientSums(Of(a[0], at, n), Of(a[1], at, n),
            Of(a[2], at, n), Of(a[3], at, n), 0.3f, Of(a[4], at, n), Of(a[5], at, n))),
        ["softmax"] = ([6, 6], (n, a, at) => ChannelSoftmax.Forward(false, 3, Of(a[0], at, 6 * n), Of(a[1], at, 6 * n))),
        ["softmax, backward"] = ([6, 6, 6], (n, a, at) =>
            ChannelSoftmax.Backward(false, 3, Of(a[0], at, 6 * n), Of(a[1], at, 6 * n), Of(a[2], at, 6 * n))),
        ["log softmax"] = ([3, 3], (n, a, at) => ChannelSoftmax.Forward(true, 3, Of(a[0], at, 3 * n), Of(a[1], at, 3 * n))),
        ["log softmax, backward"] = ([3, 3, 3], (n, a, at) =>
            ChannelSoftmax.Backward(true, 3, Of(a[0], at, 3 * n), Of(a[1], at, 3 * n), Of(a[2], at, 3 * n))),
        ["cross-entropy"] = ([3, 1, 1, 3], (n, a, at) => SoftmaxCrossEntropy.ForwardBackward(n, 3, Of(a[0], at, 3 * n), new int[n], -1,
            0.5f, Of(a[1], at, n), Of(a[2], at, n), Of(a[3], at, 3 * n))),
        ["average pool"] = ([40, 24], (n, a, at) => Pooling.AverageForward(Regular, n, Of(a[0], at, 40 * n), Of(a[1], at, 24 * n))),
        ["average pool, backward"] = ([24, 40], (n, a, at) =>
            Pooling.AverageBackward(Regular, n, Of(a[0], at, 24 * n), Of(a[1], at, 40 * n))),
        ["adaptive average pool"] = ([40, 12], (n, a, at) =>
            Pooling.AverageForward(Adaptive, n, Of(a[0], at, 40 * n), Of(a[1], at, 12 * n))),
        ["adaptive average pool, backward"] =
            ([12, 40], (n, a, at) => Pooling.AverageBackward(Adaptive, n, Of(a[0], at, 12 * n), Of(a[1], at, 40 * n))),
        ["adaptive max pool"] = ([40, 12, 12], (n, a, at) =>
            AdaptivePooling.MaxForward(Adaptive, n, Of(a[0], at, 40 * n), Of(a[1], at, 12 * n), Of(a[2], at, 12 * n))),
        ["adaptive max pool, backward"] = ([12, 12, 40], (n, a, at) =>
            AdaptivePooling.MaxBackward(Adaptive, n, Of(a[0], at, 12 * n), Of(a[1], at, 12 * n), Of(a[2], at, 40 * n))),
    };

    public static IEnumerable<object[]> KernelsAndWidths =>
        from name in All.Keys from bits in Implementations.Widths select new object[] { name, bits };

    private static RegularWindows Regular => new(new WindowGeometry((2, 3), (2, 1), (1, 1), 1), true, new Shape(2, 5, 4), (3, 4));

    private static AdaptiveWindows Adaptive => new((3, 2), new Shape(2, 5, 4));

    [TestMethod]
    [DynamicData(nameof(KernelsAndWidths))]
    public void NothingBesideTheArraysCounts(string name, int bits)
    {
        using var _ = new Settings(bits);
        var (lengths, run) = All[name];
        for (int samples = 1; samples <= 70; samples++)
        {
            float[][]? first = null;
            foreach (var (guard, at) in new[] { (777f, 1), (float.NaN, 3) })
            {
                float[][] arrays = [.. lengths.Select((length, i) => length == 0 ? new float[1] : Guarded(i, length * samples, at, guard))];
                run(samples, arrays, at);
                float[][] results = [.. arrays.Select((array, i) => lengths[i] == 0 ? array
                    : Of(array, at, lengths[i] * samples).ToArray())];
                for (int i = 0; i < arrays.Length; i++)
                {
                    if (lengths[i] == 0) continue;
                    string place = $"{samples} samples, beside array {i}";
                    Close.AssertSameBits(place, [.. Enumerable.Repeat(guard, at)], Of(arrays[i], 0, at));
                    Close.AssertSameBits(place, [.. Enumerable.Repeat(guard, at)], arrays[i].AsSpan()[^at..]);
                }
                first ??= results;
                for (int i = 0; i < results.Length; i++) Close.AssertSameBits($"{samples} samples, array {i}", first[i], results[i]);
                Assert.IsTrue(results.All(array => array.All(float.IsFinite)), "a NaN from beside the arrays");
            }
        }
    }

    private static Span<float> Of(float[] array, int at, int length) => array.AsSpan(at, length);

    private static float[] Guarded(int seed, int length, int at, float guard)
    {
        float[] guards = [.. Enumerable.Repeat(guard, at)];
        return [.. guards, .. Values.Uniform(seed, length).Select(value => 1.5f + value), .. guards];
    }

    private readonly struct Cube : IPointwise
    {
        public V Forward<S, V>(V x) where S : struct, ISimd<V, float> where V : struct => S.Multiply(x, S.Multiply(x, x));

        public V Backward<S, V>(V at, V dy) where S : struct, ISimd<V, float> where V : struct => S.Multiply(dy, S.Multiply(at, at));
    }
}
