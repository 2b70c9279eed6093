using System.Globalization;

namespace OnnxLeNet.Numerics;

/// <summary>One value of a state: how to read it, what it may be, and how to put it back.</summary>
/// <param name="Name">The entry's name.</param>
/// <param name="Get">The value at present.</param>
/// <param name="Fault">What is wrong with a value, or null.</param>
/// <param name="Set">Puts back a value that has no fault.</param>
internal sealed record StateField(string Name, Func<StateEntry> Get, Func<StateEntry, string?> Fault, Action<StateEntry> Set)
{
    /// <summary>A number, finite and not negative unless something else is allowed.</summary>
    public static StateField Number(string name, Func<double> get, Action<double> set, Func<double, bool>? allows = null,
        string range = "a finite number of 0 or more")
    {
        allows ??= value => double.IsFinite(value) && value >= 0;
        return new(name,
            () => new NumberEntry(name, get()),
            entry => entry is not NumberEntry number ? Type(entry, "a number") : allows(number.Value) ? null
                : Text($"is {range}, got {number.Value}"),
            entry => set(((NumberEntry)entry).Value));
    }

    /// <summary>A count, from <paramref name="least"/> to <paramref name="most"/>.</summary>
    public static StateField Count(string name, Func<long> get, Action<long> set, long least = 0, long most = long.MaxValue) => new(name,
        () => new CountEntry(name, get()),
        entry => entry is not CountEntry count ? Type(entry, "a count")
            : count.Value < least || count.Value > most
                ? Text($"is {(most == long.MaxValue ? $"at least {least}" : $"{least} to {most}")}, got {count.Value}") : null,
        entry => set(((CountEntry)entry).Value));

    /// <summary>A count that tells the owner's make-up, and must agree.</summary>
    public static StateField Fixed(string name, long value) => new(name,
        () => new CountEntry(name, value),
        entry => entry is not CountEntry count ? Type(entry, "a count") : count.Value == value ? null
            : Text($"is {value} here, got {count.Value}"),
        _ => { });

    /// <summary>A buffer of a parameter, which may not be there yet.</summary>
    public static StateField Tensor(string name, Shape shape, Func<float[]?> get, Action<float[]?> set) => new(name,
        () => new TensorEntry(name, get() is { } data ? new Tensor(shape, (float[])data.Clone()) : new Tensor(new Shape(0))),
        entry => entry is not TensorEntry tensor ? Type(entry, "a tensor")
            : tensor.Value.Shape == shape || tensor.Value.Shape == new Shape(0) ? null
                : Text($"has the parameter's shape {shape}, or [0] for none, got {tensor.Value.Shape}"),
        entry => set(((TensorEntry)entry).Value is var value && value.Shape == shape ? (float[])value.Data.Clone() : null));

    /// <summary>What is wrong with an entry whoever its owner is, or null: a range that a hyper-parameter has everywhere.</summary>
    public static string? FaultOf(string kind, StateEntry entry)
    {
        // Of other counts their owner knows the range: one may be any bits.
        if (entry is CountEntry { Name: "last_epoch", Value: < -1 } count) return Text($"is a count, got {count.Value}");
        if (entry is not NumberEntry number) return null;
        if (kind == nameof(WeightAveraging) && number.Name == "decay" && number.Value is not (>= 0 and < 1))
            return Text($"is at least 0 and less than 1, got {number.Value}");
        string[] parts = number.Name.Split('.', 3);
        if (parts is not ["param_groups", _, var key]) return null;
        if (double.IsNaN(number.Value)) return "is a number, got NaN";
        foreach (var hyper in Enum.GetValues<Hyper>())
            if (hyper.Key() == key && !hyper.Allows(number.Value)) return Text($"is {hyper.Range()}, got {number.Value}");
        return null;
    }

    /// <summary>The state that the fields make up.</summary>
    public static OptimizerState Save(string kind, IEnumerable<StateField> fields) => new(kind, [.. fields.Select(field => field.Get())]);

    /// <summary>Checks every entry, then puts all of them back.</summary>
    /// <exception cref="OnnxLeNetException">An entry that does not fit; nothing has changed.</exception>
    public static void Load(string kind, IEnumerable<StateField> fields, OptimizerState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        if (state.Kind != kind) throw new OnnxLeNetException($"a state of {state.Kind} was given to {kind}: load it into a {state.Kind}");
        var wanted = fields.ToArray();
        for (int i = 0; i < wanted.Length; i++)
        {
            if (i >= state.Entries.Count) throw Wrong($"it ends after {i} entries, before '{wanted[i].Name}'");
            if (state.Entries[i].Name != wanted[i].Name) throw Wrong($"entry {i} is '{state.Entries[i].Name}' where "
                + $"'{wanted[i].Name}' belongs");
            if (wanted[i].Fault(state.Entries[i]) is { } fault) throw Wrong($"'{wanted[i].Name}' {fault}");
        }
        if (state.Entries.Count > wanted.Length) throw Wrong($"it goes on with '{state.Entries[wanted.Length].Name}' after its "
            + $"{wanted.Length} entries");
        for (int i = 0; i < wanted.Length; i++) wanted[i].Set(state.Entries[i]);

        OnnxLeNetException Wrong(string what) =>
            new($"a state of {kind} does not fit: {what}; make the groups and schedules as they were when it was taken, then load it");
    }

    private static string Type(StateEntry entry, string wanted) =>
        $"is {wanted}, got {(entry is TensorEntry ? "a tensor" : entry is CountEntry ? "a count" : "a number")}";

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
