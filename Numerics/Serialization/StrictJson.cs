using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Reads JSON from anywhere. .NET looks at a text or a key only when it is asked for, and fails there with other exceptions; here all of
/// them are read at once. What comes out has no key twice, and every text in it is Unicode.
/// </summary>
internal static class StrictJson
{
    private static readonly JsonDocumentOptions Options = new() { AllowDuplicateProperties = false };

    /// <summary>The value that a text holds; null for <c>null</c>.</summary>
    /// <exception cref="JsonException">It is no such JSON.</exception>
    public static JsonNode? Parse(string text)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        RequireUnicode(utf8);
        return JsonNode.Parse(utf8, documentOptions: Options);
    }

    /// <summary>The document that UTF-8 holds.</summary>
    /// <inheritdoc cref="Parse"/>
    public static JsonDocument ParseDocument(byte[] utf8)
    {
        RequireUnicode(utf8);
        return JsonDocument.Parse(utf8, Options);
    }

    // Half a surrogate pair, "\ud800", is JSON and no text.
    private static void RequireUnicode(byte[] utf8)
    {
        var reader = new Utf8JsonReader(utf8);
        try
        {
            while (reader.Read())
                if (reader.TokenType is JsonTokenType.String or JsonTokenType.PropertyName) reader.GetString();
        }
        catch (InvalidOperationException error)
        {
            throw new JsonException($"the text at byte {reader.TokenStartIndex} is no Unicode: {error.Message}", error);
        }
    }
}
