using System.Globalization;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Everything a training run needs to go on as if it had never stopped: weights and buffers, the optimizer's and the schedule's state, the
/// place in the shuffled epoch, and how far the random streams are. In a file it is a safetensors state dict with a checksum of all of it;
/// doubles are stored as their bits.
/// </summary>
/// <param name="Epochs">Epochs of the whole run.</param>
/// <param name="BatchSize">Samples per step.</param>
/// <param name="Seed">Where the loader's generator stands, from which the orders of the samples and dropout's draws come.</param>
/// <param name="Model">The network's parameters and buffers.</param>
/// <param name="Good">The same as they were after the last complete epoch, or at the start: what divergence goes back to.</param>
/// <param name="Optimizer">The optimizer's state.</param>
/// <param name="Schedule">The schedule's state; null where there is none.</param>
/// <param name="Epoch">The epoch in progress, from 1.</param>
/// <param name="Step">Updates done in it.</param>
/// <param name="TotalSteps">Batches that have gone through the network; dropout draws by their number.</param>
/// <param name="LossSum">Sum of the losses of the epoch's samples so far.</param>
/// <param name="EpochSeconds">Time the epoch has taken so far.</param>
/// <param name="Losses">Mean loss of each complete epoch.</param>
/// <param name="Seconds">Time of each complete epoch.</param>
/// <param name="DataFingerprint">Of the data it was trained on.</param>
public sealed record Checkpoint(
    int Epochs, int BatchSize, long Seed, StateDict Model, StateDict Good, OptimizerState Optimizer, OptimizerState? Schedule, int Epoch,
    int Step, long TotalSteps, double LossSum, double EpochSeconds, IReadOnlyList<double> Losses, IReadOnlyList<double> Seconds,
    string DataFingerprint)
{
    private const string Format = "OnnxLeNet checkpoint 2", FormatWithoutChecksum = "OnnxLeNet checkpoint 1";
    private const string OptimizerName = "optimizer", ScheduleName = "schedule",
        AveragingName = "averaging", AccumulateName = "accumulate", ClipNormName = "clip_norm", ClipValueName = "clip_value";

    /// <summary>Batches in an update.</summary>
    public int Accumulate { get; init; } = 1;

    /// <summary>The limit of the gradients' norm, or null.</summary>
    public double? ClipNorm { get; init; }

    /// <summary>The limit of the gradients' elements, or null.</summary>
    public double? ClipValue { get; init; }

    /// <summary>The weight averaging's state; null where there is none.</summary>
    public OptimizerState? Averaging { get; init; }

    /// <summary>The states of the observers that have one, in the observers' order.</summary>
    public IReadOnlyList<OptimizerState> Observers { get; init; } = [];

    /// <summary>What else the run is to remember, such as the name of its model.</summary>
    public IReadOnlyDictionary<string, string> Notes { get; init; } = new Dictionary<string, string>();

    /// <summary>Whether damage would have been found: the file that it was read from has a checksum. Those of earlier versions have
    /// none.</summary>
    public bool HasChecksum { get; init; } = true;

    /// <summary>Writes the checkpoint; whoever looks sees the old file or the whole new one.</summary>
    /// <exception cref="IOException">It cannot be written; the old file is untouched.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written; the old file is untouched.</exception>
    public void Save(string path) => AtomicFile.Write(path, ToBytes());

    /// <summary>The bytes of the file.</summary>
    internal byte[] ToBytes()
    {
        var state = new StateDict();
        foreach (var (name, tensor) in Model) state.Add($"model.{name}", tensor);
        foreach (var (name, tensor) in Good) state.Add($"good.{name}", tensor);
        state.Add("progress", StateTensor.Of(new Shape(3), [Epoch, Step, TotalSteps]));
        state.Add("progress.numbers", Bits([LossSum, EpochSeconds, .. Losses, .. Seconds]));
        var metadata = new Dictionary<string, string>
        {
            ["format"] = Format,
            [FileChecksum.Name] = FileChecksum.Unknown,
            ["data"] = DataFingerprint,
            ["options"] = string.Create(CultureInfo.InvariantCulture, $"{Epochs} {BatchSize} {Seed}"),
        };
        if (Accumulate != 1) metadata.Add(AccumulateName, Accumulate.ToString(CultureInfo.InvariantCulture));
        foreach (var (name, limit) in new[] { (ClipNormName, ClipNorm), (ClipValueName, ClipValue) })
            if (limit is { } number) metadata.Add(name, number.ToString("R", CultureInfo.InvariantCulture));
        foreach (var (name, part) in Parts())
        {
            AddState(state, name, part);
            metadata.Add(name, part.Kind);
        }
        foreach (var (key, value) in Notes) metadata.Add($"note.{key}", value);
        byte[] bytes = SafeTensors.ToBytes(state, metadata);
        FileChecksum.Write(bytes);
        return bytes;
    }

    /// <summary>Reads a checkpoint, and checks it: its checksum, and that it says what a run can be.</summary>
    /// <exception cref="DataException">The file is missing, damaged or no checkpoint.</exception>
    public static Checkpoint Load(string path) =>
        Load(RegularFile.ReadAll(path, head => SafeTensorsHeader.IsOne(head)), path);

    /// <summary>The same of a file's bytes.</summary>
    internal static Checkpoint Load(byte[] bytes, string path)
    {
        const string Expected = "a checkpoint of a training run";
        if (!SafeTensorsHeader.IsOne(bytes) && FileKind.Mistaken(bytes, path, Expected) is { } mistaken) throw new DataException(mistaken);
        var metadata = SafeTensorsHeader.Parse(bytes, path).Metadata;
        if (!metadata.TryGetValue("format", out string? format) || format is not (Format or FormatWithoutChecksum))
            throw new DataException(format?.StartsWith("OnnxLeNet checkpoint", StringComparison.Ordinal) == true
                ? $"{path} is a checkpoint of another version: its format is '{format}', expected '{Format}'"
                : $"{path} is a safetensors file (a state dict), not {Expected}");
        if (format == Format ? !FileChecksum.Holds(bytes) : metadata.ContainsKey(FileChecksum.Name))
            throw new DataException($"{path} is damaged: its checksum does not hold. Go on from another checkpoint, or begin anew");
        var state = SafeTensors.Read(bytes, path, new StateReadOptions { AllowNonFinite = true });
        try
        {
            // Earlier files have the learning rate, the momentum and the weight decay between: the optimizer's state has them.
            string[] options = metadata["options"].Split(' ');
            if (options.Length < 3) throw new DataException($"{path}: its options are '{metadata["options"]}', expected epochs, batch size "
                + "and seed");
            int epochs = int.Parse(options[0], CultureInfo.InvariantCulture);
            int batchSize = int.Parse(options[1], CultureInfo.InvariantCulture);
            long seed = long.Parse(options[^1], CultureInfo.InvariantCulture);
            long[] progress = state["progress"].AsInt64();
            double[] numbers = [.. state["progress.numbers"].AsInt64().Select(BitConverter.Int64BitsToDouble)];
            int complete = (numbers.Length - 2) / 2;
            if (progress.Length != 3 || complete < 0 || numbers.Length != 2 * complete + 2 || progress[0] != complete + 1
                || complete >= epochs || progress[1] is < 0 or > int.MaxValue || progress[2] < 0
                || !Array.TrueForAll(numbers, double.IsFinite) || numbers[1] < 0
                || Array.Exists(numbers[(complete + 2)..], seconds => seconds < 0))
                throw new DataException($"{path}: its progress does not add up");
            OptimizerState Read(string name) => ReadState(state, name, metadata[name], path);
            OptimizerState? ReadAny(string name) => metadata.ContainsKey(name) ? Read(name) : null;
            double? Limit(string name) => metadata.TryGetValue(name, out string? text) ? double.Parse(text, CultureInfo.InvariantCulture)
                : null;
            var checkpoint = new Checkpoint(epochs, batchSize, seed, Part(state, "model."), Part(state, "good."), Read(OptimizerName),
                ReadAny(ScheduleName), (int)progress[0], (int)progress[1], progress[2], numbers[0],
                numbers[1], numbers[2..(complete + 2)], numbers[(complete + 2)..], metadata["data"])
            {
                Accumulate = int.Parse(metadata.GetValueOrDefault(AccumulateName, "1"), CultureInfo.InvariantCulture),
                ClipNorm = Limit(ClipNormName),
                ClipValue = Limit(ClipValueName),
                Averaging = ReadAny(AveragingName),
                Observers = [.. Enumerable.Range(0, metadata.Count).Select(ObserverName).TakeWhile(metadata.ContainsKey).Select(Read)],
                Notes = metadata.Where(m => m.Key.StartsWith("note.", StringComparison.Ordinal))
                    .ToDictionary(m => m.Key["note.".Length..], m => m.Value),
                HasChecksum = format == Format,
            };
            return checkpoint.Fault() is { } fault ? throw new DataException($"{path} {fault}") : checkpoint;
        }
        catch (Exception error) when (error is FormatException or OverflowException or KeyNotFoundException or ArgumentException
            or InvalidOperationException)
        {
            throw new DataException($"{path} is a damaged checkpoint: {error.Message}", error);
        }
    }

    /// <summary>The states in it, by the names that they have in a file.</summary>
    internal IEnumerable<(string Name, OptimizerState State)> Parts()
    {
        yield return (OptimizerName, Optimizer);
        if (Schedule is not null) yield return (ScheduleName, Schedule);
        if (Averaging is not null) yield return (AveragingName, Averaging);
        for (int i = 0; i < Observers.Count; i++) yield return (ObserverName(i), Observers[i]);
    }

    /// <summary>What no run can have, or null. That the parts fit those of a run is asked when it goes on.</summary>
    private string? Fault()
    {
        if (BatchSize < 1) return $"states batches of {BatchSize} samples, expected 1 or more";
        if (Accumulate < 1) return $"states {Accumulate} batches in an update, expected 1 or more";
        foreach (var (name, limit) in new[] { ("norm", ClipNorm), ("value", ClipValue) })
            if (limit is { } number && !(double.IsFinite(number) && number >= 0))
                return string.Create(CultureInfo.InvariantCulture, $"limits the gradients' {name} by {number}, expected 0 or more");
        foreach (var (part, state) in Parts())
        {
            foreach (var entry in state.Entries)
                if (StateField.FaultOf(state.Kind, entry) is { } fault) return $"states, of {part}, that {entry.Name} {fault}";
        }
        return null;
    }

    private static string ObserverName(int i) => string.Create(CultureInfo.InvariantCulture, $"observer{i}");

    private static StateDict Part(StateDict state, string prefix)
    {
        var part = new StateDict();
        foreach (var (name, tensor) in state)
        {
            if (name.StartsWith(prefix, StringComparison.Ordinal)) part.Add(name[prefix.Length..], tensor);
        }
        return part;
    }

    private static void AddState(StateDict state, string prefix, OptimizerState owner)
    {
        foreach (var entry in owner.Entries)
        {
            (string kind, StateTensor value) = entry switch
            {
                TensorEntry tensor => ("tensor", StateTensor.Of(tensor.Value)),
                CountEntry count => ("count", StateTensor.Of(count.Value)),
                NumberEntry number => ("number", Bits([number.Value])),
                _ => throw new InvalidOperationException($"a state entry of an unknown kind: {entry}"),
            };
            state.Add($"{prefix}.{kind}.{entry.Name}", value);
        }
    }

    private static OptimizerState ReadState(StateDict state, string prefix, string kind, string path)
    {
        var entries = new List<StateEntry>();
        foreach (var (name, value) in state)
        {
            string[] parts = name.Split('.', 3);
            if (parts[0] != prefix || parts.Length < 3) continue;
            entries.Add(parts[1] switch
            {
                "tensor" => new TensorEntry(parts[2], value.AsTensor()),
                "count" => new CountEntry(parts[2], Single(value, name, path)),
                "number" => new NumberEntry(parts[2], BitConverter.Int64BitsToDouble(Single(value, name, path))),
                _ => throw new DataException($"{path}: its entry '{name}' is of an unknown kind"),
            });
        }
        return new OptimizerState(kind, entries);
    }

    private static long Single(StateTensor value, string name, string path) => value.AsInt64() is [var number] ? number
        : throw new DataException($"{path}: its entry '{name}' is of shape {value.Shape}, expected a single number");

    private static StateTensor Bits(double[] values) =>
        StateTensor.Of(new Shape(values.Length), [.. values.Select(BitConverter.DoubleToInt64Bits)]);
}
