using Google.Protobuf;
using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// Random valid models: what the checker passes and the engine computes is what ONNX Runtime computes. These alone are given to native code
/// here.
/// </summary>
[TestClass]
public sealed class DifferentialTests(TestContext context)
{
    /// <summary>Of the output's largest value, or of 1 where that is less.</summary>
    private const double Tolerance = 1e-4;

    [TestMethod]
    public void TheEngineComputesWhatOnnxRuntimeComputes() => Compare(seed: 1, count: 150);

    [TestMethod]
    [TestCategory("Soak")]
    public void TheEngineComputesWhatOnnxRuntimeComputesOfManyModels() => Compare(seed: 2, count: 100_000);

    private void Compare(long seed, int count)
    {
        int compared = 0, refused = 0;
        for (int number = 0; number < count; number++)
        {
            var generator = new Generator(seed).Fork(number);
            var models = new ValidModels(generator);
            byte[] bytes = models.Next().ToByteArray();
            string what = $"model {number} of seed {seed}, {models}";
            ImportedModel imported;
            try { imported = OnnxImporter.Import(OnnxFile.Parse(bytes, "valid.onnx")); }
            catch (OnnxException error)
            {
                // The engine need not have every layer, but what it says no to is a model all the same.
                Assert.Contains("'v", error.Message, $"{what}\n{error}");
                refused++;
                continue;
            }
            using var runtime = OrtModel.Load(bytes, source: what);
            var x = OnnxNetworks.Random(imported.Sample.Prepend(1 + generator.Next(4)), number);
            var y = Inference.Run(imported.Network, Batch.FromTensor(x)).ToTensor();
            float[] expected = runtime.RunOutputs(x.Data, [.. x.Shape.Sizes.ToArray().Select(size => (long)size)]).Values.Single();
            Assert.AreEqual(expected.Length, y.Data.Length, what);
            Close.Assert(what, expected, y.Data, 0, Tolerance * Math.Max(1, expected.Max(Math.Abs)));
            compared++;
        }
        context.WriteLine($"seed {seed}: {compared:N0} models compared, {refused:N0} refused by the engine");
        Assert.IsGreaterThan(count * 3 / 4, compared, "what is refused is not compared");
    }
}
