using System.Globalization;
using System.Text;

namespace OnnxLeNet.Numerics;

/// <summary>
/// PyTorch's text forms of tensors, parameters and shapes: four digits, lines of at most 80 characters, columns aligned; integers as
/// <c>3.</c>, and exponents where the numbers are very large, very small or more than a factor of 1000 apart. Above 1000 elements the
/// middle of every long axis is left out. The rules are those of torch/_tensor_str.py (PyTorch 1.13).
/// </summary>
public static class TensorText
{
    private const int LineWidth = 80, Threshold = 1000, EdgeItems = 3;
    private const string Prefix = "tensor(";

    /// <summary><c>tensor([[ 0.0222, -0.1411]], grad_fn=&lt;AddmmBackward0&gt;)</c></summary>
    /// <param name="tensor">Of any shape; without axes it is a scalar.</param>
    /// <param name="gradFn">The step of the backward chain that made it, or null.</param>
    /// <param name="requiresGrad">Whether to add <c>requires_grad=True</c>; a step of the chain takes its place.</param>
    public static string Format(Tensor tensor, GradFn? gradFn = null, bool requiresGrad = false)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        var text = new StringBuilder(Prefix);
        if (tensor.Data.Length == 0) text.Append("[]");
        else
        {
            bool summarize = tensor.Data.Length > Threshold;
            var column = Column.For(summarize ? Shown(tensor) : tensor.Data);
            Append(text, tensor.Shape.Sizes, tensor.Data, Prefix.Length, summarize, column);
        }
        int lastLine = text.Length - text.ToString().LastIndexOf('\n') + 1;
        foreach (string suffix in Suffixes(tensor.Shape, gradFn, requiresGrad))
        {
            bool fits = lastLine + suffix.Length + 2 <= LineWidth;
            text.Append(fits ? ", " : ",\n" + new string(' ', Prefix.Length)).Append(suffix);
            lastLine = fits ? lastLine + suffix.Length + 2 : Prefix.Length + suffix.Length;
        }
        return text.Append(')').ToString();
    }

    /// <summary>A batch as the tensor [N, …] it stands for, with the step that made it.</summary>
    public static string ToTorchString(this Batch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        return Format(batch.ToTensor(), batch.GradFn);
    }

    /// <summary><c>Parameter containing:</c> and the tensor.</summary>
    public static string ToTorchString(this Parameter parameter)
    {
        ArgumentNullException.ThrowIfNull(parameter);
        return "Parameter containing:\n" + Format(parameter.Value, requiresGrad: parameter.RequiresGrad);
    }

    /// <summary><c>torch.Size([6, 1, 5, 5])</c></summary>
    public static string ToTorchString(this Shape shape) => $"torch.Size({shape})";

    /// <summary>A loss: <c>tensor(1.0269, grad_fn=&lt;MseLossBackward0&gt;)</c></summary>
    public static string Scalar(double value, GradFn? gradFn = null) => Format(new Tensor(new Shape(), [(float)value]), gradFn);

    private static IEnumerable<string> Suffixes(Shape shape, GradFn? gradFn, bool requiresGrad)
    {
        if (shape.Count == 0 && shape.Rank != 1) yield return $"size=({string.Join(", ", shape.Sizes.ToArray())})";
        if (gradFn is not null) yield return $"grad_fn={gradFn}";
        else if (requiresGrad) yield return "requires_grad=True";
    }

    private static void Append(StringBuilder text, ReadOnlySpan<int> sizes, ReadOnlySpan<float> values, int indent, bool summarize,
        Column column)
    {
        if (sizes.IsEmpty)
        {
            text.Append(column.Format(values[0]));
            return;
        }
        bool vector = sizes.Length == 1, cut = summarize && sizes[0] > 2 * EdgeItems;
        int perLine = Math.Max(1, (LineWidth - indent) / (column.Width + 2)), inner = values.Length / sizes[0], items = cut
            ? 2 * EdgeItems + 1 : sizes[0];
        string newLine = new string('\n', vector ? 1 : sizes.Length - 1) + new string(' ', indent + 1);
        text.Append('[');
        for (int item = 0; item < items; item++)
        {
            if (item > 0) text.Append(vector && item % perLine != 0 ? ", " : "," + newLine);
            int i = cut && item > EdgeItems ? sizes[0] - items + item : item;
            if (cut && item == EdgeItems) text.Append(vector ? " ..." : "...");
            else if (vector) text.Append(column.Format(values[i]));
            else Append(text, sizes[1..], values.Slice(i * inner, inner), indent + 1, summarize, column);
        }
        text.Append(']');
    }

    /// <summary>The elements that are not left out.</summary>
    private static float[] Shown(Tensor tensor)
    {
        var shown = new List<float>();
        Add(tensor.Shape.Sizes, tensor.Data);
        return [.. shown];

        void Add(ReadOnlySpan<int> sizes, ReadOnlySpan<float> values)
        {
            if (sizes.IsEmpty)
            {
                shown.Add(values[0]);
                return;
            }
            int inner = values.Length / sizes[0];
            for (int i = 0; i < sizes[0]; i++)
            {
                if (sizes[0] <= 2 * EdgeItems || i < EdgeItems
                    || i >= sizes[0] - EdgeItems) Add(sizes[1..], values.Slice(i * inner, inner));
            }
        }
    }

    private enum Notation
    {
        Whole,
        Fixed,
        Exponent,
    }

    /// <summary>How all numbers of a tensor are written, and how wide.</summary>
    private readonly record struct Column(Notation Notation, int Width)
    {
        public static Column For(ReadOnlySpan<float> values)
        {
            double least = double.PositiveInfinity, most = 0;
            bool whole = true;
            foreach (float value in values)
            {
                if (value == 0 || !float.IsFinite(value)) continue;
                least = Math.Min(least, Math.Abs((double)value));
                most = Math.Max(most, Math.Abs((double)value));
                whole &= value == MathF.Ceiling(value);
            }
            if (most == 0) return new Column(Notation.Whole, 1);
            bool exponent = most / least > 1000 || most > 1e8 || (!whole && least < 1e-4);
            var column = new Column(exponent ? Notation.Exponent : whole ? Notation.Whole : Notation.Fixed, 0);
            int width = 1;
            foreach (float value in values)
            {
                if (value != 0 && float.IsFinite(value)) width = Math.Max(width, column.Write(value).Length);
            }
            return column with { Width = width };
        }

        public string Format(float value) => Write(value).PadLeft(Width);

        private string Write(float value)
        {
            if (float.IsNaN(value)) return "nan";
            if (float.IsInfinity(value)) return value > 0 ? "inf" : "-inf";
            string sign = float.IsNegative(value) ? "-" : "";
            double size = Math.Abs((double)value);
            return sign + Notation switch
            {
                Notation.Whole => size.ToString("F0", CultureInfo.InvariantCulture) + ".",
                Notation.Fixed => FixedPoint(size),
                _ => Exponential(size),
            };
        }

        /// <summary>Four digits, ties to even as in Python; a float times 10⁴ is exact in double, so a tie is one.</summary>
        private static string FixedPoint(double size)
        {
            double scaled = Math.Round(size * 10_000, MidpointRounding.ToEven);
            return (scaled / 10_000).ToString("F4", CultureInfo.InvariantCulture);
        }

        /// <summary>1.2346e-05, ties to even as in Python. The digits before rounding are exact: no float has more than 112.</summary>
        private static string Exponential(double size)
        {
            const int Digits = 5;
            string exact = size.ToString("E112", CultureInfo.InvariantCulture);
            int e = exact.IndexOf('E', StringComparison.Ordinal);
            int exponent = int.Parse(exact.AsSpan(e + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
            string digits = exact[..1] + exact[2..e];
            int kept = int.Parse(digits.AsSpan(0, Digits), CultureInfo.InvariantCulture);
            int half = string.CompareOrdinal(digits[Digits..], "5".PadRight(digits.Length - Digits, '0'));
            if (half > 0 || (half == 0 && kept % 2 == 1)) kept++;
            if (kept == 100_000) (kept, exponent) = (10_000, exponent + 1);
            string rounded = kept.ToString("D5", CultureInfo.InvariantCulture);
            string power = Math.Abs(exponent).ToString("D2", CultureInfo.InvariantCulture);
            return $"{rounded[..1]}.{rounded[1..]}e{(exponent < 0 ? '-' : '+')}{power}";
        }
    }
}
