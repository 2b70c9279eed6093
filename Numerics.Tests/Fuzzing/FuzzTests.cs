using System.Globalization;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Every format that is read, damaged: a few files always, many in the category Soak.</summary>
[TestClass]
[DoNotParallelize]
public sealed class FuzzTests(TestContext context)
{
    // What the long run reads: so many files, of a seed, of some of the formats.
    private const int Many = 1_000_000;
    private const string FilesVariable = "ONNXLENET_FUZZ_FILES", SeedVariable = "ONNXLENET_FUZZ_SEED",
        FormatsVariable = "ONNXLENET_FUZZ_FORMATS";

    private static readonly FuzzFormat[] All = [OnnxFuzz.Format, .. StateFuzz.Formats, .. DataFuzz.Formats];

    public static IEnumerable<object[]> Formats => All.Select(format => new object[] { format.Name });

    public static IEnumerable<object[]> ChosenFormats => Environment.GetEnvironmentVariable(FormatsVariable) is { } chosen
        ? chosen.Split(' ').Select(format => new object[] { format }) : Formats;

    [TestMethod]
    [DynamicData(nameof(Formats))]
    public void AFewDamagedFilesAreReadOrRefused(string format)
    {
        const int Few = 500;
        var report = Fuzzer.Run(Of(format), seed: 1, Few);
        context.WriteLine($"{report}");
        Assert.IsTrue(report.Refused is > Few / 10 and < Few, $"{report}: damage that is never noticed, or always at once, tests nothing");
    }

    [TestMethod]
    [TestCategory("Soak")]
    [DynamicData(nameof(ChosenFormats))]
    public void ManyDamagedFilesAreReadOrRefused(string format) =>
        context.WriteLine($"{Fuzzer.Run(Of(format), Number(SeedVariable, 2), (int)Number(FilesVariable, Many))}");

    /// <summary>Reads the file again that a failure names, and writes it where it can be looked at.</summary>
    [TestMethod]
    [TestCategory("Soak")]
    public void OneFile()
    {
        if (Environment.GetEnvironmentVariable(Fuzzer.Variable)?.Split(' ') is not [var format, var seed, var number])
        {
            Assert.Inconclusive($"{Fuzzer.Variable} names no file: it is like 'onnx 1 4711', a format, a seed and a number");
            return;
        }
        var (bytes, error) = Fuzzer.One(Of(format), long.Parse(seed, CultureInfo.InvariantCulture), int.Parse(number,
            CultureInfo.InvariantCulture));
        string path = Path.Combine(Path.GetTempPath(), $"{format}-{seed}-{number}");
        File.WriteAllBytes(path, bytes);
        context.WriteLine($"{path}: {(error is null ? "is read" : $"is refused: {error.Message}")}");
    }

    private static FuzzFormat Of(string name) => All.Single(format => format.Name == name);

    private static long Number(string variable, long usual) =>
        Environment.GetEnvironmentVariable(variable) is { } text ? long.Parse(text, CultureInfo.InvariantCulture) : usual;
}
