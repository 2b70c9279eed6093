namespace OnnxLeNet.Numerics;

/// <summary>y = min(max(x, 0), 6); dx = dy where 0 &lt; y &lt; 6, elsewhere 0. A NaN stays one.</summary>
/// <param name="inplace">Printed as PyTorch does; the engine reuses its buffers either way, and the result is the same.</param>
public sealed class ReLU6(bool inplace = false) : Hardtanh(0, 6, inplace)
{
    /// <inheritdoc/>
    protected override string Describe() => Inplace;
}
