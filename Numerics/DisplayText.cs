using System.Globalization;
using System.Text;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Makes text fit to be shown. A name or message from a file may hold anything: commands to a terminal, marks that turn the direction of
/// writing, half characters. Messages of errors, lines in a terminal, cards and pages all take their text from here.
/// </summary>
internal static class DisplayText
{
    /// <summary>The most characters of a message.</summary>
    public const int MostCharacters = 2000;

    private const char Replacement = '\uFFFD';

    /// <summary>
    /// The text with U+FFFD for each character that is not shown but does something: control and format characters, line and paragraph
    /// separators, halves of a surrogate pair. Line ends stay, and the joiners that some scripts are written with.
    /// </summary>
    public static string Clean(string text) => Clean(text, keepsLines: true);

    /// <summary>The same without line ends: a name in a line must not end that.</summary>
    public static string OneLine(string text) => Clean(text, keepsLines: false);

    /// <summary>An error's message: clean, its further lines indented, and not long.</summary>
    public static string Message(string text) => Cut(Lines(text), MostCharacters);

    /// <summary>Clean text of several lines: those after the first are indented, or end a list of indented ones, so that none passes for
    /// a message of its own.</summary>
    public static string Lines(string text)
    {
        string clean = Clean(text);
        if (!clean.Contains('\n', StringComparison.Ordinal)) return clean;
        string[] lines = clean.Split('\n');
        for (int i = 1; i < lines.Length; i++)
        {
            if (lines[i].Length > 0 && lines[i][0] is not (' ' or ')')) lines[i] = "  " + lines[i];
        }
        return string.Join('\n', lines);
    }

    /// <summary>About so many characters of the text: its beginning, how many are left out, and its end, which says what to do.</summary>
    public static string Cut(string text, int most)
    {
        if (text.Length <= most) return text;
        int head = most / 4 * 3, tail = text.Length - most / 4;
        if (char.IsLowSurrogate(text[head])) head--;
        if (char.IsLowSurrogate(text[tail])) tail++;
        return string.Create(CultureInfo.InvariantCulture,
            $"{text.AsSpan(0, head)}… ({tail - head} characters left out) …{text.AsSpan(tail)}");
    }

    private static string Clean(string text, bool keepsLines)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (!text.AsSpan().ContainsAnyExceptInRange(' ', '~')) return text;
        var clean = new StringBuilder(text.Length);
        foreach (var rune in text.Replace("\r\n", "\n", StringComparison.Ordinal).EnumerateRunes()) // a half is U+FFFD there
        {
            if (rune.Value == '\n' && keepsLines || IsShown(rune)) clean.Append(rune);
            else clean.Append(rune.Value == '\t' ? ' ' : Replacement);
        }
        return clean.ToString();
    }

    private static bool IsShown(Rune rune) => Rune.GetUnicodeCategory(rune) switch
    {
        UnicodeCategory.Control or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator => false,
        UnicodeCategory.Format => rune.Value is 0x200C or 0x200D,
        UnicodeCategory.OtherNotAssigned => (rune.Value & 0xFFFE) != 0xFFFE, // noncharacters, which XML cannot hold
        _ => true,
    };
}
