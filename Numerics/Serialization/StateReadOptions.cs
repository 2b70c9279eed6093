namespace OnnxLeNet.Numerics;

/// <summary>How a state dict is read from a file. What the reader then assumed stands in <see cref="StateDict.Notes"/>.</summary>
public sealed record StateReadOptions
{
    /// <summary>
    /// Where the state dict lies in a file that holds more, such as <c>state_dict</c> or <c>ema.model</c>: keys of nested dicts, indices of
    /// lists, then what the names begin with, with dots between. Without it, the one dict of tensors that there is, or of several the one
    /// that fits <see cref="Network"/>.
    /// </summary>
    public string? Key { get; init; }

    /// <summary>Whether weights may be NaN or infinite; no trained network's are, so they are refused unless this says otherwise.</summary>
    public bool AllowNonFinite { get; init; }

    /// <summary>
    /// The network that the weights are for. Where its names are others, <c>module.</c> (DataParallel), <c>_orig_mod.</c> (torch.compile)
    /// and what wraps the whole network, such as Lightning's <c>model.</c>, are taken off the file's. Null leaves the names as they are.
    /// </summary>
    public Module? Network { get; init; }
}
