using MathNet.Numerics.Providers.LinearAlgebra;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Sets what is global to the process, and puts it back.</summary>
internal sealed class Settings : IDisposable
{
    private readonly int bits = SimdWidth.Bits, threads = Workers.Threads;
    private readonly bool winograd = Winograd.Enabled;
    private readonly string name = Products.Name;
    private readonly ILinearAlgebraProvider provider = Products.Provider, mathNet = LinearAlgebraControl.Provider;

    public Settings(int? bits = null, int? threads = null, string? provider = null, bool? winograd = null)
    {
        if (bits is not null) SimdWidth.Bits = bits.Value;
        if (threads is not null) Workers.Threads = threads.Value;
        if (provider is not null) Products.Use(provider);
        if (winograd is not null) Winograd.Enabled = winograd.Value;
    }

    public Settings(ILinearAlgebraProvider provider) => Products.Provider = provider;

    /// <summary>Sets it for what the calling thread runs, and for nobody else: for tests that run beside others.</summary>
    public static IDisposable OfThisThread(int? bits = null, string? provider = null, bool? winograd = null)
    {
        var current = ComputeSettings.Current;
        return (current with
        {
            SimdBits = bits ?? current.SimdBits,
            Provider = provider is null ? current.Provider : Products.ByName(provider),
            ProviderName = provider ?? current.ProviderName,
            Winograd = winograd ?? current.Winograd,
        }).Use();
    }

    public void Dispose()
    {
        (SimdWidth.Bits, Workers.Threads, LinearAlgebraControl.Provider, Winograd.Enabled) = (bits, threads, mathNet, winograd);
        if (Products.Names.Contains(name.Split(':')[0])) Products.Use(name);
        else Products.Provider = provider;
    }
}

/// <summary>Everything that is implemented more than once, in one list each: the same tests run for every entry.</summary>
internal static class Implementations
{
    /// <summary>The vector widths of this processor.</summary>
    public static IEnumerable<int> Widths { get; } = [.. new[] { 128, 256, 512 }.Where(bits => bits <= SimdWidth.Widest)];

    /// <summary>Providers of products, ours at every width.</summary>
    public static IEnumerable<string> Names { get; } = [.. Widths.Select(bits => $"simd {bits}"), "managed", "cblas"];

    /// <summary>All of them for single products: a GPU's too, with every product on the GPU, and the same code on libraries that compute by
    /// plain loops.</summary>
    public static IEnumerable<string> ProductNames { get; } = [.. Names, "cuda", "cuda-stub"];

    /// <summary>Runs on one of <see cref="ProductNames"/> until disposed; inconclusive, with the reason, where the provider's library is
    /// not on this machine.</summary>
    public static Settings Use(string name)
    {
        try
        {
            if (name == "cuda") return new Settings(CudaLinearAlgebraProvider.Load(crossover: CudaCrossover.Always));
            if (name == "cuda-stub") return new Settings(CudaLinearAlgebraProvider.On(CudaStub.Require().Library, CudaCrossover.Always));
            return name.Split(' ') is [var provider, var bits]
                ? new Settings(bits: int.Parse(bits, System.Globalization.CultureInfo.InvariantCulture), provider: provider)
                : new Settings(provider: name);
        }
        catch (MissingPartException missing) { throw new AssertInconclusiveException(missing.Message); }
    }
}
