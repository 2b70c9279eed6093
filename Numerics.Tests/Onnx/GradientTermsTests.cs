using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// What differences are compared with where terms cancel, against the definition in plain loops: a bound too large would hide an error, one
/// too small would call rounding one.
/// </summary>
[TestClass]
public sealed class GradientTermsTests
{
    private const int N = 4;

    /// <summary>Signs that alternate cancel: the norm counts. Others add up: the sum on its way counts, wherever it stands.</summary>
    [TestMethod]
    [DataRow(new float[] { 1, -1, 1, -1 }, 2.0)]
    [DataRow(new float[] { 1, 1, 1, -2 }, 3.0)]
    [DataRow(new float[] { -1, -1, -1.5f, 0.5f }, 3.5)]
    [DataRow(new float[] { 0, 0, 0, -5 }, 5.0)]
    public void ABiasIsComparedWithItsSumOnTheWay(float[] terms, double size)
    {
        var dy = new Tensor(new Shape(N, 3));
        for (int n = 0; n < N; n++) dy.Data[3 * n + 1] = terms[n]; // the other two are zero
        var (parameters, input) = GradientTerms.Of(new Linear(5, 3), Random(new Shape(5), 1), Batch.FromTensor(dy));
        Assert.AreEqual(size, parameters.Single().Size, 1e-6);
        Assert.IsNull(input);
    }

    [TestMethod]
    public void AConvolutionsWeightIsComparedWithTheTermsOfDyTimesX()
    {
        var conv = new Conv2d(2, 3, (2, 3));
        Batch x = Random(new Shape(2, 6, 5), 1), dy = Random(new Shape(3, 5, 3), 2);
        double reach = Reach(dy, f => f / 15, 3), square = x.Values.ToDouble().Average(value => value * value);
        var parameters = GradientTerms.Of(conv, x, dy).Parameters;
        Assert.AreSame(conv.Bias, parameters[0].Parameter);
        Assert.AreEqual(reach, parameters[0].Size, 1e-9 * reach);
        Assert.AreSame(conv.Weight, parameters[1].Parameter);
        Assert.AreEqual(reach * Math.Sqrt(square), parameters[1].Size, 1e-9 * reach);
    }

    /// <summary>γ and β of each channel, over samples and places; dx of each channel by its own mean and deviation.</summary>
    [TestMethod]
    [DataRow(true)]
    [DataRow(false)]
    public void ABatchNormalization(bool affine) => AssertNormalization(
        new BatchNorm2d(3, affine: affine), new Shape(3, 2, 5), (_, f) => f / 10, 3, f => f / 10);

    /// <summary>γ and β of each channel; dx of each sample's groups of two channels.</summary>
    [TestMethod]
    public void AGroupNormalization() => AssertNormalization(
        new GroupNorm(2, 4), new Shape(4, 2, 5), (n, f) => 2 * n + f / 20, 2 * N, f => f / 10);

    /// <summary>γ and β of each element of a line; dx of each line.</summary>
    [TestMethod]
    public void ALayerNormalization() => AssertNormalization(
        new LayerNorm(new Shape(5)), new Shape(3, 5), (n, f) => 3 * n + f / 5, 3 * N, f => f % 5);

    /// <param name="layer">The layer.</param>
    /// <param name="sample">The shape of a sample.</param>
    /// <param name="setOf">The set of elements that a sample's feature is normalized with.</param>
    /// <param name="sets">How many sets there are.</param>
    /// <param name="elementOf">The element of γ and β that a feature is scaled by.</param>
    private static void AssertNormalization(Leaf layer, Shape sample, Func<int, int, int> setOf, int sets, Func<int, int> elementOf)
    {
        var weights = layer.Parameters().ToList();
        if (weights.Count > 0) for (int i = 0; i < weights[0].Value.Data.Length; i++) weights[0].Value.Data[i] = 0.7f - 0.5f * i;
        Batch x = Random(sample, 1), dy = Random(sample, 2);
        double hat = 0, term = 0, gamma = weights.Count > 0 ? weights[0].Value.Data.Max(value => Math.Abs((double)value)) : 1;
        for (int set = 0; set < sets; set++)
        {
            var members = (from n in Enumerable.Range(0, N) from f in Enumerable.Range(0, sample.Count) where setOf(n, f) == set
                select f * N + n).ToList();
            double mean = members.Average(i => (double)x.Values[i]);
            double deviation = Math.Sqrt(members.Average(i => Math.Pow(x.Values[i] - mean, 2)) + 1e-5);
            double far = members.Max(i => Math.Abs(x.Values[i] - mean)), steepest = members.Max(i => Math.Abs((double)dy.Values[i]));
            hat = Math.Max(hat, far / deviation);
            term = Math.Max(term, far / deviation * gamma * steepest / deviation);
        }
        var (parameters, input) = GradientTerms.Of(layer, x, dy);
        Assert.AreEqual(term, input!.Value, 1e-9 * term);
        CollectionAssert.AreEqual(weights, parameters.Select(of => of.Parameter).ToList());
        double reach = weights.Count > 0 ? Reach(dy, elementOf, weights[0].Value.Data.Length) : 0;
        foreach (var (_, size) in parameters) Assert.AreEqual(reach * hat, size, 1e-9 * size);
    }

    /// <summary>The largest, of all elements, of the norm of its terms and of the sums on the way, sample by sample.</summary>
    private static double Reach(Batch dy, Func<int, int> elementOf, int elements)
    {
        double reach = 0;
        for (int element = 0; element < elements; element++)
        {
            double sum = 0, squares = 0;
            for (int n = 0; n < N; n++)
                foreach (int f in Enumerable.Range(0, dy.Sample.Count).Where(f => elementOf(f) == element))
                {
                    sum += dy.Values[f * N + n];
                    squares += Math.Pow(dy.Values[f * N + n], 2);
                    reach = Math.Max(reach, Math.Abs(sum));
                }
            reach = Math.Max(reach, Math.Sqrt(squares));
        }
        return reach;
    }

    private static Batch Random(Shape sample, long seed) => Batch.FromTensor(OnnxNetworks.Random(sample.Prepend(N), seed));
}
