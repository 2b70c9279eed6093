using System.Globalization;

namespace OnnxLeNet.Numerics;

/// <summary>Values as Python writes them, for the printed forms that are PyTorch's.</summary>
internal static class Python
{
    public static string Bool(bool value) => value ? "True" : "False";

    public static string Integer(int? value) => value is { } number ? number.ToString(CultureInfo.InvariantCulture) : "None";

    /// <summary>The shortest digits that read back the same: 0.5, 1.0, 1e-05, inf.</summary>
    public static string Float(double value)
    {
        if (!double.IsFinite(value)) return double.IsNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
        double size = Math.Abs(value);
        if (size != 0 && (size < 1e-4 || size >= 1e16))
            return value.ToString("0.################e-00", CultureInfo.InvariantCulture).Replace("e", size < 1 ? "e" : "e+",
            StringComparison.Ordinal);
        string text = value.ToString("R", CultureInfo.InvariantCulture);
        return text.Contains('.', StringComparison.Ordinal) ? text : text + ".0";
    }

    /// <summary>The same, but an integer as one that was given so: 20, not 20.0.</summary>
    public static string Number(double value) =>
        Float(value) is var text && text.EndsWith(".0", StringComparison.Ordinal) ? text[..^2] : text;
}
