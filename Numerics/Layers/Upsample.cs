namespace OnnxLeNet.Numerics;

/// <summary>How <see cref="Upsample"/> fills the places of its result.</summary>
public enum UpsampleMode
{
    /// <summary>From place ⌊i/s⌋ at a scale s.</summary>
    Nearest,

    /// <summary>From the place whose centre is nearest: ⌊(i + ½)/s⌋.</summary>
    NearestExact,

    /// <summary>Linearly in height and in width.</summary>
    Bilinear,
}

/// <summary>Images in another size, larger or smaller: <see cref="Resize"/> in the modes that PyTorch has.</summary>
public sealed class Upsample : Resize
{
    /// <summary>Images of a size, or of a multiple of theirs.</summary>
    /// <param name="size">Height and width of the result.</param>
    /// <param name="scaleFactor">Factors of height and width, in place of the size; the result's size is rounded down.</param>
    /// <param name="mode">How places are filled.</param>
    /// <param name="alignCorners">For bilinear, whether the corners' centres lie on each other, rather than their outer edges.</param>
    /// <exception cref="ArgumentException">Both size and factors, or neither; corners to align in another mode than bilinear.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A size below 1, or a factor that is not above 0.</exception>
    public Upsample(Size2? size = null, Scale2? scaleFactor = null, UpsampleMode mode = UpsampleMode.Nearest, bool alignCorners = false)
        : base(size, scaleFactor,
            mode switch { UpsampleMode.Nearest => NearestMode.Floor, UpsampleMode.NearestExact => NearestMode.RoundPreferCeil, _ => null },
            mode == UpsampleMode.Nearest ? CoordinateMode.Asymmetric
                : alignCorners ? CoordinateMode.AlignCorners : CoordinateMode.HalfPixel)
    {
        if (alignCorners && mode != UpsampleMode.Bilinear)
            throw new ArgumentException($"corners are aligned in bilinear mode alone, got {mode}", nameof(alignCorners));
        (Mode, AlignCorners) = (mode, alignCorners);
    }

    /// <summary>How places are filled.</summary>
    public UpsampleMode Mode { get; }

    /// <summary>Whether the corners' centres lie on each other.</summary>
    public bool AlignCorners { get; }

    /// <inheritdoc/>
    protected override string Describe()
    {
        string mode = Mode switch { UpsampleMode.Nearest => "nearest", UpsampleMode.NearestExact => "nearest-exact", _ => "bilinear" };
        return $"{SizeText}, mode={mode}";
    }

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new($"Upsample{Mode}2DBackward1", this, [input]);
}
