using System.Text.RegularExpressions;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// What stands in a document between <c>&lt;!-- figures: NAME --&gt;</c> and <c>&lt;!-- end --&gt;</c> comes from a run. A test makes it
/// anew and compares; with ONNXLENET_WRITE_FIGURES=1 in the environment it writes it.
/// </summary>
internal static partial class Figures
{
    /// <summary>Compares a section of a document with what a run gave, but for what differs between machines; or writes it.</summary>
    /// <param name="folder">The document's folder.</param>
    /// <param name="name">The section's name.</param>
    /// <param name="made">What the section should be, without a line end.</param>
    public static void AssertCurrent(string folder, string name, string made)
    {
        string document = Markdown.Readme(folder), begin = $"<!-- figures: {name} -->\n";
        int from = document.IndexOf(begin, StringComparison.Ordinal) + begin.Length;
        Assert.IsGreaterThanOrEqualTo(begin.Length, from, $"{folder}/README.md has no section '{name}'");
        int to = document.IndexOf("<!-- end -->", from, StringComparison.Ordinal);
        if (Environment.GetEnvironmentVariable("ONNXLENET_WRITE_FIGURES") == "1")
            File.WriteAllText(Path.Combine(Repository.Root, folder, "README.md"), $"{document[..from]}{made}\n{document[to..]}");
        else
            Assert.AreEqual(Timeless(made), Timeless(document[from..to].TrimEnd('\n')),
                $"{folder}/README.md, section '{name}', is not what a run gives; write it anew by ONNXLENET_WRITE_FIGURES=1");
    }

    /// <summary>A text without what differs between two machines: times, memory, and how far ONNX Runtime's rounding is off.</summary>
    private static string Timeless(string text) => Varying().Replace(text, "…");

    // 0.75 s, 75,075 images/s, 332 MB, 3.58e-7, the layer that is worst, and how wide the columns are
    [GeneratedRegex(@"[\d.,]+ (s|ms|images/s|MB)\b|\d\.\d\de-\d+( in \S+)?| {2,}")]
    private static partial Regex Varying();
}
