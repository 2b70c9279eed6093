namespace OnnxLeNet.Numerics.Tests;

/// <summary>A fenced block of a Markdown file.</summary>
/// <param name="Language">What stands behind the fence.</param>
/// <param name="Text">Its lines, as they stand.</param>
/// <param name="Heading">The last heading above it.</param>
/// <param name="Line">Its first line's number.</param>
internal sealed record CodeBlock(string Language, string Text, string Heading, int Line);

/// <summary>The project's documents, and the blocks of code in them.</summary>
internal static class Markdown
{
    /// <summary>The document of a folder of the repository.</summary>
    /// <param name="folder">Empty for the repository's own.</param>
    public static string Readme(string folder = "") => File.ReadAllText(Path.Combine(Repository.Root, folder, "README.md"));

    /// <summary>The fenced blocks of a document, in order.</summary>
    public static IReadOnlyList<CodeBlock> Blocks(string document)
    {
        var blocks = new List<CodeBlock>();
        string heading = "";
        string[] lines = document.Split('\n');
        for (int i = 0; i < lines.Length; i++)
        {
            if (lines[i].StartsWith('#')) heading = lines[i].TrimStart('#', ' ');
            if (!lines[i].StartsWith("```", StringComparison.Ordinal)) continue;
            int start = i + 1;
            for (i++; lines[i] != "```";) i++;
            blocks.Add(new(lines[start - 1][3..], string.Join('\n', lines[start..i]) + "\n", heading, start + 1));
        }
        return blocks;
    }
}
