using System.Text;

namespace OnnxLeNet.Numerics;

/// <summary>What the readers and writers of state dicts share: texts as strict UTF-8, quoted texts, shapes.</summary>
internal static class StateFile
{
    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Text out of UTF-8, or null where the bytes are none.</summary>
    public static string? Decode(ReadOnlySpan<byte> bytes)
    {
        try
        {
            return StrictUtf8.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            return null;
        }
    }

    /// <summary>Text as UTF-8.</summary>
    /// <exception cref="DataException">It holds half a surrogate pair.</exception>
    public static byte[] Encode(string text)
    {
        try
        {
            return StrictUtf8.GetBytes(text);
        }
        catch (EncoderFallbackException error)
        {
            throw new DataException($"{Quote(text)} cannot be written: it is no valid Unicode", error);
        }
    }

    /// <summary>A text from a file as it stands in an error: on one line and not long.</summary>
    public static string Quote(string text)
    {
        string shown = DisplayText.OneLine(text.Length > 100 ? text[..100] : text);
        return text.Length > 100 ? $"'{shown}…'" : $"'{shown}'";
    }

    /// <summary>A shape out of a file's sizes.</summary>
    /// <exception cref="DataException">Too many axes, a size out of range, or more elements than an array holds.</exception>
    public static Shape Shape(ReadOnlySpan<long> sizes, string where)
    {
        if (sizes.Length > StoredElements.MostAxes) throw new DataException($"{where} has {sizes.Length} axes, at most "
            + $"{StoredElements.MostAxes} are read");
        var narrow = new int[sizes.Length];
        for (int axis = 0; axis < narrow.Length; axis++)
        {
            if (sizes[axis] < 0 || sizes[axis] > Array.MaxLength)
                throw new DataException($"{where} has size {sizes[axis]} at axis {axis}, expected 0 to {Array.MaxLength}");
            narrow[axis] = (int)sizes[axis];
        }
        try
        {
            return new Shape(narrow);
        }
        catch (ShapeException error)
        {
            throw new DataException($"{where}: {error.Message}", error);
        }
    }
}
