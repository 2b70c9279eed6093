using System.Globalization;

namespace OnnxLeNet.Numerics;

/// <summary>A colour of three bytes.</summary>
/// <param name="R">Red.</param>
/// <param name="G">Green.</param>
/// <param name="B">Blue.</param>
public readonly record struct Rgb(byte R, byte G, byte B)
{
    /// <summary>255, 255, 255.</summary>
    public static Rgb White => new(255, 255, 255);

    /// <summary>0, 0, 0.</summary>
    public static Rgb Black => new(0, 0, 0);

    /// <summary>The luma of ITU-R BT.601, 0.299·R + 0.587·G + 0.114·B, rounded, in sixteen binary places.</summary>
    public byte Luma => (byte)((R * 19595 + G * 38470 + B * 7471 + 0x8000) >> 16);

    /// <summary>A colour from its text: <c>white</c>, <c>black</c>, <c>grey</c> (128 of each), or <c>#RRGGBB</c>.</summary>
    /// <exception cref="DataException">It is none of these.</exception>
    public static Rgb Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return text.ToUpperInvariant() switch
        {
            "WHITE" => White,
            "BLACK" => Black,
            "GREY" or "GRAY" => new Rgb(128, 128, 128),
            ['#', .. { Length: 6 } digits] when
                int.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out int value) =>
                new Rgb((byte)(value >> 16), (byte)(value >> 8), (byte)value),
            _ => throw new DataException($"{text} is no colour: white, black, grey, or #RRGGBB such as #FF8000"),
        };
    }

    /// <summary>As <c>#FF8000</c>.</summary>
    public override string ToString() => $"#{R:X2}{G:X2}{B:X2}";
}
