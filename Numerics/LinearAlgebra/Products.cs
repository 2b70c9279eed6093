using MathNet.Numerics.Providers.LinearAlgebra;

namespace OnnxLeNet.Numerics;

/// <summary>
/// The one place from which the engine calls matrix products, through Math.NET's provider interface. The provider is the engine's own
/// choice and leaves <see cref="LinearAlgebraControl.Provider"/>, the whole program's, alone.
/// </summary>
public static class Products
{
    private static ILinearAlgebraProvider provider = SimdLinearAlgebraProvider.Instance;

    /// <summary>The names <see cref="Use"/> takes; "cblas" may be followed by a colon and the name or path of a library, "cuda" by one and
    /// the folder of CUDA's libraries.</summary>
    public static IReadOnlyList<string> Names { get; } = ["simd", "managed", "cblas", "cuda", "mathnet-cuda"];

    /// <summary>The name of the provider in use, or its own text if it was not set by name.</summary>
    public static string Name => ComputeSettings.Own?.ProviderName ?? ProgramName;

    /// <summary>The program's own setting.</summary>
    internal static ILinearAlgebraProvider ProgramProvider => provider;

    /// <summary>The program's own setting.</summary>
    internal static string ProgramName { get; private set; } = "simd";

    /// <summary>Who computes the products. Set it between computations.</summary>
    public static ILinearAlgebraProvider Provider
    {
        get => ComputeSettings.Own?.Provider ?? provider;
        set
        {
            ArgumentNullException.ThrowIfNull(value);
            (provider, ProgramName) = (value, value.ToString() ?? value.GetType().Name);
        }
    }

    /// <summary>Sets the provider by name.</summary>
    /// <exception cref="ArgumentException">An unknown name, or no name after <c>cblas:</c> or <c>cuda:</c>.</exception>
    /// <exception cref="MissingPartException">A provider that cannot run here.</exception>
    public static void Use(string name)
    {
        Provider = ByName(name);
        ProgramName = name;
    }

    /// <summary>The provider of a name.</summary>
    internal static ILinearAlgebraProvider ByName(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return name switch
        {
            "simd" => SimdLinearAlgebraProvider.Instance,
            "managed" => ManagedLinearAlgebraProvider.Instance,
            "cblas" => CblasLinearAlgebraProvider.Load(),
            "cuda" => CudaLinearAlgebraProvider.Load(),
            "mathnet-cuda" => MathNetCuda(),
            _ when name.StartsWith("cuda:", StringComparison.Ordinal) => CudaLinearAlgebraProvider.Load(name["cuda:".Length..]),
            _ when name.StartsWith("cblas:", StringComparison.Ordinal) => CblasLinearAlgebraProvider.Load(name["cblas:".Length..]),
            _ => throw new ArgumentException($"there is no provider '{name}': choose one of {string.Join(", ", Names)}, cblas:LIBRARY, "
                + "cuda:FOLDER", nameof(name)),
        };
    }

    /// <summary>C[M×N] ← op(A)[M×K]·op(B)[K×N] + β·C, all column-major; rows and columns are those of the arrays as stored.</summary>
    internal static void Multiply(bool transposeA, bool transposeB, float[] a, int rowsA, int columnsA, float[] b, int rowsB, int columnsB,
        float beta, float[] c) =>
        Provider.MatrixMultiplyWithUpdate(
            transposeA ? Transpose.Transpose : Transpose.DontTranspose, transposeB ? Transpose.Transpose : Transpose.DontTranspose,
            1f, a, rowsA, columnsA, b, rowsB, columnsB, beta, c);

    private static ILinearAlgebraProvider MathNetCuda()
    {
        var before = LinearAlgebraControl.Provider;
        try
        {
            if (LinearAlgebraControl.TryUseNativeCUDA()) return LinearAlgebraControl.Provider;
        }
        finally { LinearAlgebraControl.Provider = before; }
        throw new MissingPartException("Math.NET's CUDA provider cannot run: it needs the package MathNet.Numerics.Providers.CUDA "
            + "(build with -p:MathNetCuda=true) and its native library, which exists for Windows with CUDA 7 only");
    }
}
