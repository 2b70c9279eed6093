using OnnxLeNet.Onnx;
using OnnxLeNet.Scripts;
using OnnxLeNet.Scripts.Report;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Text from files on its way to a terminal, a message, a card or a page.</summary>
[TestClass]
public sealed class DisplayTextTests
{
    [TestMethod]
    [DataRow("plain text, as it is", "plain text, as it is")]
    [DataRow("größer × 3 → π, 数字, 👩‍🔬, नमस्ते", "größer × 3 → π, 数字, 👩‍🔬, नमस्ते")]
    [DataRow("\u001b[31mred\u001b]0;title\u0007", "\uFFFD[31mred\uFFFD]0;title\uFFFD")]
    [DataRow("\u009b31m", "\uFFFD31m")] // the one-byte form of ESC [
    [DataRow("a\rb\bc\0d\u007f", "a\uFFFDb\uFFFDc\uFFFDd\uFFFD")]
    [DataRow("tab\tstop", "tab stop")]
    [DataRow("user\u202Etxt.exe", "user\uFFFDtxt.exe")] // turns what follows around
    [DataRow("\u2066a\u2069\u200Fb\u200Bc\uFEFF\u00AD", "\uFFFDa\uFFFD\uFFFDb\uFFFDc\uFFFD\uFFFD")]
    [DataRow("a\u2028b\u2029c", "a\uFFFDb\uFFFDc")]
    [DataRow("half \uD83D and \uDE00 one", "half \uFFFD and \uFFFD one")]
    [DataRow("none \uFFFE\uFFFF", "none \uFFFD\uFFFD")]
    [DataRow("one\r\ntwo\nthree", "one\ntwo\nthree")]
    public void WhatIsNoTextIsReplaced(string text, string expected)
    {
        Assert.AreEqual(expected, DisplayText.Clean(text));
        Assert.AreEqual(expected.Replace('\n', '\uFFFD'), DisplayText.OneLine(text));
    }

    /// <summary>No line of a name passes for one of the program's; the printed form of a network stays as it is.</summary>
    [TestMethod]
    public void FurtherLinesAreIndented()
    {
        Assert.AreEqual("node 'a\n  error: forged'", DisplayText.Lines("node 'a\nerror: forged'"));
        string network = $"{Networks.BnSequential()}";
        Assert.AreEqual(network, DisplayText.Lines(network));
        Assert.AreEqual(DisplayText.Lines("a\nb"), DisplayText.Lines(DisplayText.Lines("a\nb")));
    }

    [TestMethod]
    public void ALongMessageKeepsItsBeginningAndItsEnd()
    {
        string names = string.Join(", ", Enumerable.Range(0, 5000).Select(i => $"layer{i}.weight"));
        string message = new DataException($"missing: {names}; take the names of the file").Message;
        Assert.IsLessThanOrEqualTo(DisplayText.MostCharacters + 50, message.Length);
        Assert.StartsWith("missing: layer0.weight, ", message);
        Assert.Contains("characters left out", message);
        Assert.EndsWith("take the names of the file", message);
        // No pair is cut in two.
        foreach (int before in new[] { 0, 1 })
            Assert.DoesNotContain("\uFFFD", DisplayText.Clean(DisplayText.Cut(new string('x', before)
                + string.Concat(Enumerable.Repeat("😀", 3000)), 400)));
    }

    [TestMethod]
    public void EveryErrorOfTheLibrariesIsClean()
    {
        const string Name = "\u001b]0;PWNED\u0007\u202E";
        Exception inner = new InvalidOperationException(Name);
        Exception[] errors =
        [
            new OnnxLeNetException(Name), new OnnxLeNetException(Name, inner), new ShapeException(Name), new DataException(Name, inner),
            new MissingPartException(Name), new OnnxException(Name, inner), new MissingDeviceException(Name),
        ];
        foreach (var error in errors) Assert.AreEqual("\uFFFD]0;PWNED\uFFFD\uFFFD", error.Message, $"{error.GetType()}");
    }

    [TestMethod]
    public void MarkupInACardOrAPageIsText()
    {
        Assert.AreEqual(@"a\|b \<script\> \`c\` \[d\](e) \*f\* g_h", Scripts.Markdown.cell("a|b <script> `c` [d](e) *f* g_h"));
        Assert.AreEqual("`train --data x`", Scripts.Markdown.code("train --data x"));
        Assert.AreEqual(@"``` a``b\|c ```", Scripts.Markdown.code("a``b|c"));
        Assert.AreEqual("&lt;b&gt;\uFFFD&quot;&amp;😀", Svg.escape("<b>\u0007\"&😀"));
    }

    [TestMethod]
    [DataRow("mnist", "mnist")]
    [DataRow("my photos", "\"my photos\"")]
    [DataRow("$(touch x)", "'$(touch x)'")]
    [DataRow("it's; `x`", @"'it'\''s; `x`'")]
    [DataRow("-\u001b[2J", "'-\uFFFD[2J'")]
    [DataRow("", "''")]
    public void ANameInACommandIsAWord(string name, string typed) => Assert.AreEqual(typed, Terminal.argument(name));
}
