namespace OnnxLeNet.Numerics;

/// <summary>What a picture is for.</summary>
internal enum PicturePart
{
    Train,
    Validation,
    Test,
}

/// <summary>A picture of a data set, not yet read.</summary>
/// <param name="Path">Where it is opened.</param>
/// <param name="Name">As seen from the data set's folder, with slashes: by this it is sorted, held out and told of.</param>
/// <param name="Class">The name of its class.</param>
/// <param name="Part">What it is for.</param>
/// <param name="Line">Its line in a list; 0 where it was found in a folder.</param>
internal sealed record PictureEntry(string Path, string Name, string Class, PicturePart Part, int Line = 0)
{
    /// <summary>How an error calls it.</summary>
    public string Shown(string source) => Line == 0 ? Name : $"{source}, line {Line}: {Name}";

    /// <summary>The part that a folder's or a cell's name stands for; null where it is none.</summary>
    public static PicturePart? PartOf(string name) => name.ToLowerInvariant() switch
    {
        "train" or "training" => PicturePart.Train,
        "val" or "valid" or "validation" => PicturePart.Validation,
        "test" or "testing" => PicturePart.Test,
        _ => null,
    };
}
