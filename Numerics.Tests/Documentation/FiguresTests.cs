using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>The figures that the documents show are those of this state of the project.</summary>
[TestClass]
public sealed class FiguresTests
{
    [TestMethod]
    public void TheTableOfModels()
    {
        var rows = Directory.GetFiles(Path.Combine(Repository.Root, "models"), "*.onnx").Order(StringComparer.Ordinal).Select(file =>
        {
            var model = ModelSummary.Read(file);
            string name = Path.GetFileNameWithoutExtension(file);
            double accuracy = 100 * double.Parse(model.Metadata["test.accuracy"], System.Globalization.CultureInfo.InvariantCulture);
            return $"| [`{name}.onnx`]({name}.md) | {model.Graph} | {model.Metadata["data"]} | {accuracy:F2}% | {model.Bytes / 1000:N0} kB |";
        });
        Figures.AssertCurrent("models", "models", string.Join('\n',
            ["| file | network | data | test accuracy | size |", "|---|---|---|---|---|", .. rows]));
    }
}
