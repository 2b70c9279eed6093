using MathNet.Numerics.Providers.LinearAlgebra;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Who computes products, how wide the vectors are, how many threads work, and whether convolutions may be Winograd's. The program's own
/// settings are <see cref="Products"/>, <see cref="SimdWidth"/>, <see cref="Workers"/> and <see cref="Numerics.Winograd"/>;
/// <see cref="Use"/> sets others for what the calling thread runs, and for nobody else.
/// </summary>
/// <param name="Provider">Who computes products.</param>
/// <param name="ProviderName">By what name it was chosen.</param>
/// <param name="SimdBits">Width of the vectors in bits.</param>
/// <param name="Threads">How many threads work on a run.</param>
/// <param name="Winograd">Whether 3×3 convolutions may be Winograd's.</param>
internal sealed record ComputeSettings(ILinearAlgebraProvider Provider, string ProviderName, int SimdBits, int Threads, bool Winograd)
{
    [ThreadStatic] private static ComputeSettings? own;

    /// <summary>The settings of the calling thread: those it was given by <see cref="Use"/>, else the program's.</summary>
    public static ComputeSettings Current => own ?? Program;

    private static ComputeSettings? program;

    /// <summary>The program's, made again when one of them has changed.</summary>
    private static ComputeSettings Program
    {
        get
        {
            var known = program;
            if (known is not null && ReferenceEquals(known.Provider, Products.ProgramProvider) && known.SimdBits == SimdWidth.ProgramBits
                && known.Threads == Workers.ProgramThreads && known.Winograd == Numerics.Winograd.ProgramEnabled) return known;
            return program = new ComputeSettings(Products.ProgramProvider, Products.ProgramName, SimdWidth.ProgramBits,
                Workers.ProgramThreads, Numerics.Winograd.ProgramEnabled);
        }
    }

    internal static ComputeSettings? Own => own;

    /// <summary>Sets them for the calling thread until the result is disposed. What it starts from there runs by them, on whatever
    /// threads.</summary>
    public IDisposable Use()
    {
        var scope = new Scope(own);
        own = this;
        return scope;
    }

    /// <summary>Sets them for the calling thread; returns what was set before.</summary>
    internal static ComputeSettings? Exchange(ComputeSettings? settings)
    {
        var before = own;
        own = settings;
        return before;
    }

    private sealed class Scope(ComputeSettings? before) : IDisposable
    {
        public void Dispose() => own = before;
    }
}
