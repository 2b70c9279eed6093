using System.Diagnostics;
using System.Globalization;
using System.IO.MemoryMappedFiles;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>A format that is fuzzed.</summary>
/// <param name="Name">What it is called in <see cref="Fuzzer.Variable"/>.</param>
/// <param name="Make">Makes a damaged file: of equal draws the same bytes.</param>
/// <param name="Read">Does with it what the library does with such a file.</param>
internal sealed record FuzzFormat(string Name, Func<Generator, byte[]> Make, Action<FuzzInput> Read)
{
    public override string ToString() => Name;
}

/// <summary>A damaged file, an empty folder to put it in, and numbers to draw what it is read with.</summary>
internal sealed record FuzzInput(byte[] Bytes, TemporaryFolder Folder, Generator Generator);

/// <summary>What came of many files.</summary>
internal sealed record FuzzReport(string Format, long Seed, int Files, int Refused, TimeSpan Slowest, long MostBytes)
{
    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"{Format}, seed {Seed}: {Files:N0} files, {Refused:N0} refused, slowest {Slowest.TotalSeconds:F2} s, most memory "
        + $"{MostBytes / 1048576.0:F0} MiB");
}

/// <summary>
/// Reads damaged files. Each is read, or refused with an error of this library, within two seconds and 512 MiB. Where other programs are at
/// work, the seconds are those that the processors gave to this one. A file depends on the seed and its number alone, so that one line
/// repeats a failure.
/// </summary>
internal static class Fuzzer
{
    /// <summary>The environment variable that names one file: <c>onnx 1 4711</c> is the 4711th of seed 1.</summary>
    public const string Variable = "ONNXLENET_FUZZ";

    private const long MostBytes = 512L << 20;
    private const int MostMessage = DisplayText.MostCharacters + 100, MostFailures = 10, Attempts = 3;
    private static readonly TimeSpan MostTime = TimeSpan.FromSeconds(2), Endless = TimeSpan.FromMinutes(1);

    // What reading never throws by intent. Behind an error of this library it is a mistake all the same.
    private static readonly Type[] Mistakes = [typeof(IndexOutOfRangeException), typeof(NullReferenceException),
        typeof(InvalidCastException), typeof(ArgumentNullException)];

    // Libraries whose mistakes are not ours to mend: to catch them is.
    private static readonly string[] Foreign = ["Google.Protobuf", "StbImageSharp"];

    /// <summary>Reads the files of a seed from a number on; fails with every kind of failure once.</summary>
    public static FuzzReport Run(FuzzFormat format, long seed, int count, int first = 0)
    {
        using var folder = new TemporaryFolder();
        using var current = new Current(format, seed);
        var failures = new Dictionary<string, string>();
        int refused = 0;
        var slowest = TimeSpan.Zero;
        long most = 0;
        for (int number = first; number < first + count && failures.Count < MostFailures; number++)
        {
            current.Set(number);
            var (error, time, bytes) = Read(format, seed, number, folder);
            if (error is OnnxLeNetException) refused++;
            if (time > slowest) slowest = time;
            most = Math.Max(most, bytes);
            if (Wrong(error, time, bytes) is { } wrong) failures.TryAdd(Kind(error, wrong), Text(format, seed, number, wrong, error));
        }
        if (failures.Count > 0) Assert.Fail(string.Join("\n\n", failures.Values));
        return new FuzzReport(format.Name, seed, count, refused, slowest, most);
    }

    /// <summary>Makes a file again and reads it.</summary>
    public static (byte[] Bytes, Exception? Error) One(FuzzFormat format, long seed, int number)
    {
        using var folder = new TemporaryFolder();
        var (error, time, bytes) = Read(format, seed, number, folder);
        if (Wrong(error, time, bytes) is { } wrong) Assert.Fail(Text(format, seed, number, wrong, error));
        return (format.Make(new Generator(seed).Fork(number)), error);
    }

    private static (Exception? Error, TimeSpan Time, long Bytes) Read(FuzzFormat format, long seed, int number, TemporaryFolder folder)
    {
        for (int attempt = 1; ; attempt++)
        {
            var generator = new Generator(seed).Fork(number);
            byte[] file = format.Make(generator);
            Exception? error = null;
            long before = GC.GetTotalAllocatedBytes(), start = Stopwatch.GetTimestamp();
            var worked = Environment.CpuUsage.TotalTime;
            try { format.Read(new FuzzInput(file, folder, generator)); }
            catch (Exception thrown) { error = thrown; }
            var (time, work) = (Stopwatch.GetElapsedTime(start), Environment.CpuUsage.TotalTime - worked);
            if (work < time) time = work;
            // What this process does beside it, compiling for one, takes time as well, but not with the same file three times.
            if (time < MostTime || attempt == Attempts) return (error, time, GC.GetTotalAllocatedBytes() - before);
        }
    }

    /// <summary>What is wrong about the way a file was read; null for nothing.</summary>
    internal static string? Wrong(Exception? error, TimeSpan time, long bytes)
    {
        if (error is not (null or OnnxLeNetException)) return $"a {error.GetType().Name}, expected an error of this library";
        for (var inner = error; inner is not null; inner = inner.InnerException)
        {
            if (Mistakes.Contains(inner.GetType()) && !Foreign.Contains(inner.TargetSite?.Module.Assembly.GetName().Name))
                return $"a {inner.GetType().Name} behind the error, which is a mistake of the reader's";
        }
        if (error is { Message.Length: > MostMessage }) return $"a message of {error.Message.Length} characters, at most {MostMessage}";
        if (time > MostTime) return string.Create(CultureInfo.InvariantCulture,
            $"{time.TotalSeconds:F1} s, at most {MostTime.TotalSeconds}");
        return bytes > MostBytes ? $"{bytes >> 20} MiB of memory, at most {MostBytes >> 20}" : null;
    }

    // Failures of one kind come from one place.
    private static string Kind(Exception? error, string wrong)
    {
        var deepest = error?.GetBaseException();
        return deepest is null || error is OnnxLeNetException ? wrong.Split(',')[0] + deepest?.TargetSite
            : deepest.GetType() + deepest.StackTrace?.Split('\n').FirstOrDefault();
    }

    // What a file holds may be no text for a terminal.
    private static string Text(FuzzFormat format, long seed, int number, string wrong, Exception? error) => string.Concat(
        $"{Repeat(format, seed, number)}: {wrong}\n{error}".Select(c => char.IsControl(c) && c != '\n' ? '\uFFFD' : c));

    private static string Repeat(FuzzFormat format, long seed, int number) => $"file {number} of seed {seed}; to repeat: "
        + $"{Variable}='{format.Name} {seed} {number}' dotnet test -c Release -p:Soak=true --filter Name=OneFile";

    /// <summary>
    /// Remembers which file is being read. Where a file never ends, the process does, with its number; where one ends the process, its
    /// number
    /// stands in a file that the next run finds.
    /// </summary>
    private sealed class Current : IDisposable
    {
        private readonly string path;
        private readonly MemoryMappedFile file;
        private readonly MemoryMappedViewAccessor view;
        private readonly Timer timer;
        private long since;

        public Current(FuzzFormat format, long seed)
        {
            path = Path.Combine(Path.GetTempPath(), $"onnxlenet-fuzz-{format.Name}-{seed}");
            if (File.Exists(path))
            {
                int last = BitConverter.ToInt32(File.ReadAllBytes(path));
                File.Delete(path);
                Assert.Fail($"the run before ended the process: {Repeat(format, seed, last)}");
            }
            file = MemoryMappedFile.CreateFromFile(path, FileMode.CreateNew, null, sizeof(int));
            view = file.CreateViewAccessor();
            timer = new Timer(_ =>
            {
                if (Stopwatch.GetElapsedTime(Volatile.Read(ref since)) > Endless)
                    Environment.FailFast($"never ends: {Repeat(format, seed, view.ReadInt32(0))}");
            }, null, Endless, TimeSpan.FromSeconds(5));
        }

        public void Set(int number)
        {
            view.Write(0, number);
            Volatile.Write(ref since, Stopwatch.GetTimestamp());
        }

        public void Dispose()
        {
            timer.Dispose();
            view.Dispose();
            file.Dispose();
            File.Delete(path);
        }
    }
}
