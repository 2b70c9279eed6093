using Microsoft.FSharp.Core;
using OnnxLeNet.Scripts.Verbs;
using System.Globalization;
using System.Text.RegularExpressions;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Pictures for the terminal: what is written is decoded again.</summary>
[TestClass]
public sealed class TerminalPictureTests
{
    private static readonly Picture Grey = new(5, 7, 1, [.. Enumerable.Range(0, 35).Select(i => (byte)(7 * i))]);
    private static readonly Picture Colour = new(4, 3, 3, [.. Enumerable.Range(0, 36).Select(i => (byte)(51 * (i % 6)))]);

    [TestMethod]
    [DataRow("TERM=xterm-kitty", "", "Kitty")]
    [DataRow("TERM=xterm-256color,KITTY_WINDOW_ID=1", "", "Kitty")]
    [DataRow("TERM=xterm-256color,TERM_PROGRAM=WezTerm", "", "Kitty")]
    [DataRow("TERM=tmux-256color,KITTY_WINDOW_ID=1,TMUX=/tmp/x,COLORTERM=truecolor", "\u001b[?1;2c", "HalfBlocks")]
    [DataRow("TERM=tmux-256color,KITTY_WINDOW_ID=1,TMUX=/tmp/x", "\u001b[?1;2;4c", "Sixel")]
    [DataRow("TERM=xterm-256color,COLORTERM=truecolor", "\u001b[?62;4;22c", "Sixel")]
    [DataRow("TERM=xterm-256color,COLORTERM=truecolor", "\u001b[?64;1;2;6;22c", "HalfBlocks")]
    [DataRow("TERM=xterm-256color,COLORTERM=24bit", "", "HalfBlocks")]
    [DataRow("TERM=xterm-256color", "\u001b[?62;22c", "NoGraphics")]
    [DataRow("TERM=dumb,COLORTERM=truecolor", "\u001b[?4c", "NoGraphics")]
    [DataRow("", "", "NoGraphics")]
    public void TheTerminalDecides(string environment, string answer, string expected)
    {
        var variables = environment.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(pair => pair.Split('='))
            .ToDictionary(pair => pair[0], pair => pair[1]);
        bool asked = false;
        var chosen = TerminalPicture.choose(
            FSharpFunc<string, FSharpOption<string>?>.FromConverter(name =>
                variables.TryGetValue(name, out string? value) ? FSharpOption<string>.Some(value) : FSharpOption<string>.None),
            FSharpFunc<Unit, string>.FromConverter(_ =>
            {
                asked = true;
                return answer;
            }));
        Assert.AreEqual(expected, $"{chosen}");
        if (expected == "Kitty" || environment.Contains("dumb", StringComparison.Ordinal)) Assert.IsFalse(asked, "no question was needed");
    }

    [TestMethod]
    public void KittysPictureIsAPng()
    {
        // Noise does not fit one piece.
        var large = new Picture(100, 90, 3, [.. Enumerable.Range(0, 27000).Select(i => (byte)new Generator(i).Next(256))]);
        foreach (var picture in new[] { Grey, Colour, large })
        {
            string text = TerminalPicture.kitty(picture);
            var pieces = Regex.Matches(text, "\u001b_G(?<keys>[^;]*);(?<data>[^\u001b]*)\u001b\\\\").ToList();
            Assert.AreEqual(text, string.Concat(pieces.Select(piece => piece.Value)) + "\n");
            Assert.StartsWith("a=T,f=100,q=2,m=", pieces[0].Groups["keys"].Value);
            for (int i = 0; i < pieces.Count; i++)
            {
                Assert.IsLessThanOrEqualTo(4096, pieces[i].Groups["data"].Length);
                Assert.EndsWith(i == pieces.Count - 1 ? "m=0" : "m=1", pieces[i].Groups["keys"].Value);
            }
            Assert.AreEqual(picture == large, pieces.Count > 1);
            byte[] png = Convert.FromBase64String(string.Concat(pieces.Select(piece => piece.Groups["data"].Value)));
            AssertEnlarged(picture, Picture.Load(new MemoryStream(png), "kitty"), 0);
        }
    }

    [TestMethod]
    public void SixelsAreDecoded()
    {
        // Hundred shades of grey, and six of each colour, which these pictures have.
        AssertEnlarged(Grey, DecodeSixel(TerminalPicture.sixel(Grey)), 2);
        AssertEnlarged(Colour, DecodeSixel(TerminalPicture.sixel(Colour)), 0);
        var large = new Picture(400, 200, 1, new byte[80000]);
        Assert.AreEqual((256, 128), Size(DecodeSixel(TerminalPicture.sixel(large))));
        static (int, int) Size(Picture picture) => (picture.Width, picture.Height);
    }

    private static void AssertEnlarged(Picture picture, Picture shown, int tolerance)
    {
        int factor = 168 / Math.Max(picture.Width, picture.Height);
        Assert.AreEqual((factor * picture.Width, factor * picture.Height), (shown.Width, shown.Height));
        var (expected, actual) = (picture.ToColour(), shown.ToColour());
        for (int i = 0; i < actual.Pixels.Length; i++)
        {
            int pixel = i / 3, row = pixel / shown.Width / factor, column = pixel % shown.Width / factor;
            Assert.AreEqual(expected.Pixels[3 * (row * picture.Width + column) + i % 3], actual.Pixels[i], tolerance, $"byte {i}");
        }
    }

    /// <summary>What a VT340 does: raster attributes, colours, repeats, returns and new lines. Every pixel must be set, and once.</summary>
    private static Picture DecodeSixel(string text)
    {
        var parts = Regex.Match(text, "^\u001bP0;1;0q\"1;1;(?<width>\\d+);(?<height>\\d+)(?<data>[^\u001b]*)\u001b\\\\\n$");
        Assert.IsTrue(parts.Success, text[..Math.Min(60, text.Length)]);
        int Number(string group) => int.Parse(parts.Groups[group].Value, CultureInfo.InvariantCulture);
        int width = Number("width"), height = Number("height"), x = 0, top = 0, colour = 0;
        var (pixels, isSet) = (new byte[3 * width * height], new bool[width * height]);
        var palette = new Dictionary<int, byte[]>();
        foreach (Match token in Regex.Matches(parts.Groups["data"].Value,
            @"#(?<set>\d+);2;(?<r>\d+);(?<g>\d+);(?<b>\d+)|#(?<use>\d+)|(!(?<count>\d+))?(?<sixel>[?-~])|(?<back>\$)|(?<next>-)|."))
        {
            int Of(string group) => int.Parse(token.Groups[group].Value, CultureInfo.InvariantCulture);
            if (token.Groups["set"].Success) palette[Of("set")] = [Level(Of("r")), Level(Of("g")), Level(Of("b"))];
            else if (token.Groups["use"].Success) colour = Of("use");
            else if (token.Groups["back"].Success) x = 0;
            else if (token.Groups["next"].Success) (x, top) = (0, top + 6);
            else if (token.Groups["sixel"].Success)
            {
                int bits = token.Groups["sixel"].Value[0] - '?', count = token.Groups["count"].Success ? Of("count") : 1;
                for (int n = 0; n < count; n++, x++)
                    for (int row = 0; row < 6; row++)
                    {
                        if ((bits >> row & 1) == 0) continue;
                        int at = (top + row) * width + x;
                        Assert.IsFalse(isSet[at], $"pixel {at} is set twice");
                        isSet[at] = true;
                        palette[colour].CopyTo(pixels, 3 * at);
                    }
            }
            else Assert.Fail($"'{token.Value}' is no part of a sixel picture");
        }
        Assert.IsTrue(isSet.All(set => set));
        return new Picture(width, height, 3, pixels);
        static byte Level(int percent) => (byte)Math.Round(percent * 2.55);
    }
}
