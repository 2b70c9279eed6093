namespace OnnxLeNet.Numerics;

/// <summary>How a picture comes to a size of other proportions.</summary>
public enum Fit
{
    /// <summary>The largest part in the middle that has the size's proportions.</summary>
    Crop,

    /// <summary>The whole picture in the middle, the rest filled with the background.</summary>
    Pad,

    /// <summary>The whole picture, its proportions changed.</summary>
    Stretch,
}
