namespace OnnxLeNet.Numerics;

/// <summary>Where in the input a place of the result lies, at a scale s = size of the result / size of the input.</summary>
public enum CoordinateMode
{
    /// <summary>Places are unit squares, centre on centre: (i + ½)/s − ½.</summary>
    HalfPixel,

    /// <summary>The same about the image's middle, where s is not exactly the ratio of the sizes.</summary>
    HalfPixelSymmetric,

    /// <summary>As <see cref="HalfPixel"/>, but 0 where the result has a single place.</summary>
    PytorchHalfPixel,

    /// <summary>First on first and last on last: i·(input − 1)/(result − 1).</summary>
    AlignCorners,

    /// <summary>i/s.</summary>
    Asymmetric,
}

/// <summary>Which place of the input is the nearest.</summary>
public enum NearestMode
{
    /// <summary>The nearer, of two equally near the lower.</summary>
    RoundPreferFloor,

    /// <summary>The nearer, of two equally near the higher.</summary>
    RoundPreferCeil,

    /// <summary>The one at or before it.</summary>
    Floor,

    /// <summary>The one at or behind it.</summary>
    Ceil,
}

/// <summary>
/// Images in another size, as ONNX's Resize defines it. Every place of the result lies at a place x of the input, along each axis on its
/// own (<see cref="CoordinateMode"/>). It shows the nearest of the input's places, or interpolates linearly between the two around it:
/// y = (1 − t)·x₀ + t·x₁ with t = x − ⌊x⌋, in height and in width. Outside the image its outermost places go on. Backward, each gradient
/// goes back to the places it came from, by the same weights.
/// </summary>
public class Resize : Layer
{
    /// <summary>Images in another size.</summary>
    /// <param name="size">Height and width of the result; null where the factors say them.</param>
    /// <param name="scaleFactor">Factors of height and width, the result's size rounded down; null where the sizes say them.</param>
    /// <param name="nearest">How the nearest place is found; null to interpolate linearly.</param>
    /// <param name="coordinates">Where a place of the result lies in the input.</param>
    /// <exception cref="ArgumentException">Both size and factors, or neither.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A size below 1, or a factor that is not above 0.</exception>
    public Resize(Size2? size, Scale2? scaleFactor, NearestMode? nearest, CoordinateMode coordinates = CoordinateMode.HalfPixel)
    {
        if (size is null == scaleFactor is null)
            throw new ArgumentException(
                $"either the size of the result or the factors are given, got {(size is null ? "neither" : "both")}", nameof(size));
        if (size is { H: < 1 } or { W: < 1 })
            throw new ArgumentOutOfRangeException(nameof(size), size, "the size of the result is at least 1 in both directions");
        if (scaleFactor is { } s && !(s.H > 0 && s.W > 0 && double.IsFinite(s.H) && double.IsFinite(s.W)))
            throw new ArgumentOutOfRangeException(nameof(scaleFactor), scaleFactor, "the factors are finite numbers above 0");
        (Size, ScaleFactor, Nearest, Coordinates) = (size, scaleFactor, nearest, coordinates);
    }

    /// <summary>Height and width of the result; null where the factors say them.</summary>
    public Size2? Size { get; }

    /// <summary>Factors of height and width; null where the sizes say them.</summary>
    public Scale2? ScaleFactor { get; }

    /// <summary>How the nearest place is found; null where it interpolates linearly.</summary>
    public NearestMode? Nearest { get; }

    /// <summary>Where a place of the result lies in the input.</summary>
    public CoordinateMode Coordinates { get; }

    /// <summary>What a place of the result is along one axis: (1 − <paramref name="Weight"/>)·x[<paramref name="Low"/>] +
    /// <paramref name="Weight"/>·x[<paramref name="High"/>].</summary>
    internal readonly record struct Tap(int Low, int High, float Weight);

    private sealed class State
    {
        public Shape Sample;
        public Tap[]? Rows, Columns;
    }

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.None;

    /// <inheritdoc/>
    public override Shape OutputShape(Shape sample)
    {
        if (sample.Rank != 3) throw new ShapeException($"{Label} takes a batch [N, C, H, W], got {sample.Batched}");
        if (Size is { } size) return new Shape(sample[0], size.H, size.W);
        double h = Math.Floor(sample[1] * ScaleFactor!.Value.H), w = Math.Floor(sample[2] * ScaleFactor.Value.W);
        if (h < 1 || w < 1 || h > int.MaxValue || w > int.MaxValue)
            throw new ShapeException($"{Label} makes images of {h:0}×{w:0} of samples of shape {sample}: both sizes are at least 1");
        return new Shape(sample[0], (int)h, (int)w);
    }

    /// <inheritdoc/>
    public override void Forward(Batch x, Batch y, Context context)
    {
        var state = context.State<State>();
        if (state.Rows is null || state.Sample != x.Sample)
            (state.Sample, (state.Rows, state.Columns)) = (x.Sample, Taps(x.Sample, y.Sample));
        bool copies = Nearest is not null;
        if (!copies) y.Values.AsSpan().Clear();
        int n = x.Count, at = 0;
        for (int c = 0; c < x.Sample[0]; c++)
            foreach (var row in state.Rows)
                foreach (var column in state.Columns!)
                {
                    var to = y.Values.AsSpan(at++ * n, n);
                    if (copies) Place(x, c, row.Low, column.Low).CopyTo(to);
                    else
                        for (int corner = 0; corner < 4; corner++)
                        {
                            var (h, w, weight) = Corner(row, column, corner);
                            if (weight != 0) Elementwise.AddScaled(weight, Place(x, c, h, w), to);
                        }
                }
    }

    /// <inheritdoc/>
    public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        if (dx is null) return;
        var state = context.State<State>();
        dx.Values.AsSpan().Clear();
        int n = dx.Count, at = 0;
        for (int c = 0; c < dx.Sample[0]; c++)
            foreach (var row in state.Rows!)
                foreach (var column in state.Columns!)
                {
                    var from = dy.Values.AsSpan(at++ * n, n);
                    for (int corner = 0; corner < 4; corner++)
                    {
                        var (h, w, weight) = Corner(row, column, corner);
                        if (weight != 0) Elementwise.AddScaled(weight, from, Place(dx, c, h, w));
                    }
                }
    }

    /// <summary>For each row and column of the result what it is made of.</summary>
    internal (Tap[] Rows, Tap[] Columns) Taps(Shape input, Shape output) =>
        (Taps(input[1], output[1], ScaleFactor?.H), Taps(input[2], output[2], ScaleFactor?.W));

    private Tap[] Taps(int input, int output, double? factor)
    {
        double scale = factor ?? (double)output / input, exact = input * scale;
        var taps = new Tap[output];
        for (int i = 0; i < output; i++)
        {
            double x = Coordinates switch
            {
                CoordinateMode.AlignCorners => output == 1 ? 0 : (double)i * (input - 1) / (output - 1),
                CoordinateMode.Asymmetric => factor is null ? (double)i * input / output : i / scale,
                CoordinateMode.PytorchHalfPixel when output == 1 => 0,
                CoordinateMode.HalfPixelSymmetric => input / 2.0 * (1 - output / exact) + (i + 0.5) / scale - 0.5,
                _ => factor is null ? ((2.0 * i + 1) * input - output) / (2.0 * output) : (i + 0.5) / scale - 0.5,
            };
            taps[i] = Nearest is { } mode ? NearestTo(x, mode, input) : Between(x, input);
        }
        return taps;
    }

    private static Tap NearestTo(double x, NearestMode mode, int size)
    {
        double nearest = mode switch
        {
            NearestMode.Floor => Math.Floor(x),
            NearestMode.Ceil => Math.Ceiling(x),
            NearestMode.RoundPreferCeil => Math.Floor(x + 0.5),
            _ => Math.Ceiling(x - 0.5),
        };
        int place = (int)Math.Clamp(nearest, 0, size - 1);
        return new Tap(place, place, 0);
    }

    private static Tap Between(double x, int size)
    {
        x = Math.Clamp(x, 0, size - 1);
        int low = (int)x;
        return new Tap(low, Math.Min(low + 1, size - 1), (float)(x - low));
    }

    /// <summary>One of the four places between which a place of the result lies, and its weight.</summary>
    private static (int H, int W, float Weight) Corner(Tap row, Tap column, int corner)
    {
        var (h, a) = corner < 2 ? (row.Low, 1 - row.Weight) : (row.High, row.Weight);
        var (w, b) = corner % 2 == 0 ? (column.Low, 1 - column.Weight) : (column.High, column.Weight);
        return (h, w, a * b);
    }

    private static Span<float> Place(Batch batch, int c, int h, int w) =>
        batch.Values.AsSpan(((c * batch.Sample[1] + h) * batch.Sample[2] + w) * batch.Count, batch.Count);

    /// <inheritdoc/>
    protected override string Describe() =>
        $"{SizeText}, mode={(Nearest is { } nearest ? $"nearest, nearest_mode={nearest}" : "linear")}, coordinate_mode={Coordinates}";

    private protected string SizeText => Size is { } size ? $"size={size}" : $"scale_factor={ScaleFactor}";
}
