using System.Globalization;
using System.Text;

namespace OnnxLeNet.Numerics;

/// <summary>What a <see cref="LearningRateFinder"/> saw.</summary>
/// <param name="Rates">The rate of each step, rising.</param>
/// <param name="Losses">The loss before each step's update.</param>
/// <param name="Smoothed">The losses, smoothed.</param>
/// <param name="Lag">Steps by which the smoothed losses come after the losses.</param>
public sealed record LearningRateCurve(IReadOnlyList<double> Rates, IReadOnlyList<double> Losses, IReadOnlyList<double> Smoothed, int Lag)
{
    /// <summary>Below this share of the first loss the smoothed loss has fallen: those of untrained networks differ by less.</summary>
    private const double Fallen = 0.98;

    private const int Width = 640, Height = 400, Left = 60, Right = 20, Top = 20, Bottom = 50;

    /// <summary>
    /// A rate to train with: where the loss falls fastest over the rate's logarithm, of the rates before its least value; null where it
    /// never falls by a fiftieth. The smoothed loss tells it, which falls fastest <see cref="Lag"/> steps later.
    /// </summary>
    public double? Suggestion => SuggestionIndex is { } i ? Rates[i] : null;

    private int? SuggestionIndex
    {
        get
        {
            int least = 0, steepest = -1;
            for (int i = 1; i < Smoothed.Count; i++)
                if (Smoothed[i] < Smoothed[least]) least = i;
            if (least < 2 || Smoothed[least] > Fallen * Smoothed[0]) return null;
            for (int i = 1; i < least; i++)
                if (steepest < 0 || Fall(i) > Fall(steepest)) steepest = i;
            return Math.Max(steepest - Lag, 0);

            double Fall(int i) => Smoothed[i - 1] - Smoothed[i + 1]; // the rates' logarithms are evenly spaced
        }
    }

    /// <summary>The curve as a picture: the smoothed loss over the rate, on a logarithmic axis, the single losses as points, and the
    /// suggestion.</summary>
    /// <exception cref="InvalidOperationException">There are fewer than two points.</exception>
    public string ToSvg()
    {
        if (Rates.Count < 2) throw new InvalidOperationException($"a curve has two points or more, got {Rates.Count}: the loss blew up at "
            + "once, begin with a smaller rate");
        double from = Math.Log10(Rates[0]), to = Math.Log10(Rates[^1]);
        // What is far above the first loss would press the rest flat.
        double low = Smoothed.Min(), high = Math.Min(Smoothed.Max(), Smoothed[0] + (Smoothed[0] - low));
        if (!(high > low)) high = low + 1;
        double margin = (high - low) / 20;
        (low, high) = (low - margin, high + margin);
        double X(double rate) => Left + (Math.Log10(rate) - from) / (to - from) * (Width - Left - Right);
        double Y(double loss) => Top + (high - Math.Clamp(loss, low, high)) / (high - low) * (Height - Top - Bottom);

        var svg = new StringBuilder();
        void Line(FormattableString text) => svg.Append(text.ToString(CultureInfo.InvariantCulture)).Append('\n');
        Line($"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {Height}\" font-family=\"sans-serif\" font-size=\"12\">");
        Line($"<rect width=\"{Width}\" height=\"{Height}\" fill=\"white\"/>");
        for (int power = (int)Math.Ceiling(from - 1e-9); power <= to + 1e-9; power++)
        {
            double x = X(DoubleMath.Pow(10, power));
            Line($"<line x1=\"{x:F1}\" y1=\"{Top}\" x2=\"{x:F1}\" y2=\"{Height - Bottom}\" stroke=\"#ddd\"/>");
            Line($"<text x=\"{x:F1}\" y=\"{Height - Bottom + 18}\" text-anchor=\"middle\">1e{power}</text>");
        }
        for (int tick = 0; tick <= 4; tick++)
        {
            double loss = low + (high - low) * tick / 4;
            Line($"<line x1=\"{Left}\" y1=\"{Y(loss):F1}\" x2=\"{Width - Right}\" y2=\"{Y(loss):F1}\" stroke=\"#ddd\"/>");
            Line($"<text x=\"{Left - 6}\" y=\"{Y(loss) + 4:F1}\" text-anchor=\"end\">{loss:G3}</text>");
        }
        for (int i = 0; i < Rates.Count; i++)
            if (Losses[i] <= high) Line($"<circle cx=\"{X(Rates[i]):F1}\" cy=\"{Y(Losses[i]):F1}\" r=\"1.5\" fill=\"#9bd\"/>");
        string points = string.Join(' ', Rates.Select((rate, i) => FormattableString.Invariant($"{X(rate):F1},{Y(Smoothed[i]):F1}")));
        Line($"<polyline points=\"{points}\" fill=\"none\" stroke=\"#06c\" stroke-width=\"2\"/>");
        if (SuggestionIndex is { } at)
        {
            double x = X(Rates[at]);
            Line($"<line x1=\"{x:F1}\" y1=\"{Top}\" x2=\"{x:F1}\" y2=\"{Height - Bottom}\" stroke=\"#c30\" stroke-dasharray=\"4\"/>");
            Line($"<text x=\"{x - 6:F1}\" y=\"{Height - Bottom - 8}\" text-anchor=\"end\" fill=\"#c30\">{Rates[at]:G3}</text>");
        }
        Line($"<text x=\"{(Width + Left - Right) / 2}\" y=\"{Height - 12}\" text-anchor=\"middle\">learning rate</text>");
        Line($"<text x=\"{Left}\" y=\"{Top - 6}\" text-anchor=\"middle\">loss</text>");
        Line($"</svg>");
        return svg.ToString();
    }
}
