namespace OnnxLeNet.Numerics;

/// <summary>
/// A seeded stream of random numbers: SplitMix64 (Steele, Lea, Flood 2014). Its whole state is one number, so that a checkpoint holds it,
/// and its numbers have the same bits on every machine and runtime.
/// </summary>
public sealed class Generator
{
    private const ulong GoldenGamma = 0x9E3779B97F4A7C15;

    private readonly bool shared; // by all threads, which change the state atomically
    private ulong state;

    /// <summary>
    /// What layers draw from when they are given no generator: one of the whole process, beginning at seed 0. Threads may draw from it at
    /// once, and no two get the same number; for numbers that do not depend on which thread comes first, give each a generator of its own.
    /// </summary>
    public static Generator Default { get; } = new(0, shared: true);

    /// <summary>Begins <see cref="Default"/> anew: <c>torch.manual_seed</c>.</summary>
    public static void ManualSeed(long seed) => Default.State = (ulong)seed;

    /// <summary>A stream that begins at the given seed, for one thread at a time.</summary>
    public Generator(long seed) : this(seed, shared: false) { }

    private Generator(long seed, bool shared) => (state, this.shared) = ((ulong)seed, shared);

    /// <summary>For a layer whose parameters are filled right after: it leaves them zeros that nobody has asked for.</summary>
    internal static Generator None { get; } = new(0);

    /// <summary>Where the stream stands; set it to continue from there.</summary>
    public ulong State
    {
        get => Volatile.Read(ref state);
        set => Volatile.Write(ref state, value);
    }

    /// <summary>64 random bits.</summary>
    public ulong NextBits() => Mix(shared ? Interlocked.Add(ref state, GoldenGamma) : state += GoldenGamma);

    /// <summary>Uniform in [0, 1), on a grid of 2⁻⁵³.</summary>
    public double NextDouble() => (NextBits() >> 11) * (1.0 / (1L << 53));

    /// <summary>Uniform in [0, below).</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="below"/> is not positive.</exception>
    public int Next(int below)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(below);
        return (int)Math.BigMul(NextBits(), (ulong)below, out _); // off uniform by less than 2⁻³³
    }

    /// <summary>Normal with mean 0 and standard deviation 1 (Box and Muller 1958).</summary>
    public double NextNormal() =>
        Math.Sqrt(-2 * DoubleMath.Log(1 - NextDouble())) * DoubleMath.Cos(2 * Math.PI * NextDouble());

    /// <summary>Puts the elements in a random order, every order equally likely (Fisher and Yates).</summary>
    public void Shuffle(Span<int> elements)
    {
        for (int i = elements.Length - 1; i > 0; i--)
        {
            int j = Next(i + 1);
            (elements[i], elements[j]) = (elements[j], elements[i]);
        }
    }

    /// <summary>A stream of its own for item <paramref name="index"/> of something, the same whoever computes it and when.</summary>
    internal Generator Fork(long index) => new((long)ForkState(index));

    /// <summary>Where the stream of <see cref="Fork"/> begins.</summary>
    internal ulong ForkState(long index) => Mix(Mix(State + GoldenGamma) ^ ((ulong)index * GoldenGamma));

    private static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
