using System.Globalization;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Finds the state dict in what torch.save wrote: the file's whole content, or a dict inside it beside an epoch, an optimizer's state and
/// whatever else a training program keeps.
/// </summary>
internal sealed class CheckpointContent(object root, string file)
{
    // A checkpoint holds its state dicts near its top; and what is walked must not grow with what refers to itself.
    private const int MostDepth = 6, MostVisited = 100_000;

    // A dict that has other things beside its many tensors, for the error where there is no better.
    private string? nearly;

    private sealed record Candidate(string Path, PickleDict Items);

    /// <summary>The pairs of names and tensors, and what is said of where they were found.</summary>
    /// <exception cref="DataException">There is none, or it is not clear which is meant: the message lists what there is.</exception>
    public (PickleDict Items, IReadOnlyList<string> Notes) Find(StateReadOptions options)
    {
        if (options.Key is { } key) return (Named(key), []);
        if (DictOf(root) is not { } top)
        {
            if (root is PickleOpaque opaque) throw new DataException($"{file} is no state dict: {StatePickle.WhyNot(opaque)}");
            if (root is not (PickleList or PickleTuple))
                throw new DataException($"{file} is no state dict but {PickleValue.Describe(root)}");
            top = new PickleDict();
        }
        else if (top.Items.All(item => item is { Key: string, Value: TensorReference }))
        {
            return (top, []);
        }
        var candidates = Candidates();
        var fitting = options.Network is { } network ? candidates.FindAll(new Fitting(network, file).Fits) : [];
        if (fitting.Count == 0) fitting = candidates;
        if (fitting.Count == 1) return (fitting[0].Items, [$"{file}: the state dict is the one under {StateFile.Quote(fitting[0].Path)}"]);
        if (fitting.Count == 0) throw NoStateDict(top);
        throw new DataException($"{file} holds {fitting.Count} state dicts{(fitting == candidates ? "" : " that fit")}: "
            + $"{Listed(fitting)}. Choose one by its key: --key, or Key in code");
    }

    /// <summary>The tensors of a state dict, each under its name.</summary>
    /// <exception cref="DataException">A value is no tensor, or a name is there twice.</exception>
    public List<(string Name, TensorReference Tensor)> Tensors(PickleDict dict)
    {
        var tensors = new List<(string, TensorReference)>();
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (name, value) in dict.Items)
        {
            string quoted = StateFile.Quote(NameOf(name));
            if (value is PickleOpaque { Class: not null } opaque)
                throw new DataException($"{file}: {quoted} is {PickleValue.Describe(value)}: {StatePickle.WhyNot(opaque)}");
            if (name is not string text || value is not TensorReference tensor)
                throw new DataException($"{file} is no state dict: {quoted} is {PickleValue.Describe(value)}, expected a tensor");
            if (!names.Add(text)) throw new DataException($"{file}: {quoted} is there twice");
            tensors.Add((text, tensor));
        }
        return tensors;
    }

    private PickleDict Named(string key)
    {
        object? found = Descend(root, key);
        if (found is null) throw new DataException($"{file} has no {StateFile.Quote(key)}. {Hint()}");
        if (DictOf(found) is { } dict) return dict;
        string why = found is PickleOpaque { Class: not null } opaque
            ? $": {StatePickle.WhyNot(opaque)}"
            : $", expected a state dict. {Hint()}";
        throw new DataException($"{file}: {StateFile.Quote(key)} is {PickleValue.Describe(found)}{why}");
    }

    // Keys may have dots of their own: the longest that is there is taken. What no key is may be what names begin with.
    private static object? Descend(object at, string rest)
    {
        for (int end = rest.Length; end > 0; end = rest.LastIndexOf('.', end - 1))
        {
            if (Child(at, rest[..end]) is { } child && (end == rest.Length ? child : Descend(child, rest[(end + 1)..])) is { } found)
                return found;
        }
        string prefix = rest + ".";
        var part = new PickleDict();
        foreach (var (name, value) in DictOf(at)?.Items ?? [])
            if (name is string text && text.StartsWith(prefix, StringComparison.Ordinal)) part.Add(text[prefix.Length..], value);
        return part.Items.Count == 0 ? null : part;
    }

    private static object? Child(object at, string key)
    {
        IReadOnlyList<object>? list = at is PickleList plain ? plain.Items : at is PickleTuple tuple ? tuple.Items : null;
        if (list is not null)
            return int.TryParse(key, NumberStyles.None, CultureInfo.InvariantCulture, out int index) && index < list.Count
                ? list[index]
                : null;
        foreach (var (name, value) in DictOf(at)?.Items ?? [])
            if (NameOf(name) == key) return value;
        return null;
    }

    // An optimizer keeps its tensors under the numbers of the parameters: what lies under a number is no network's state.
    private List<Candidate> Candidates()
    {
        var candidates = new List<Candidate>();
        var seen = new HashSet<object>(ReferenceEqualityComparer.Instance) { root };
        var open = new Queue<(object Value, string Path, int Depth)>([(root, "", 0)]);
        while (open.TryDequeue(out var at))
        {
            if (DictOf(at.Value) is { Items.Count: > 0 } dict)
            {
                if (at.Depth > 0 && IsState(dict))
                {
                    candidates.Add(new Candidate(at.Path, dict));
                    continue;
                }
                if (at.Depth == 1 && 2 * dict.Items.Count(item => item.Value is TensorReference) > dict.Items.Count) nearly ??= at.Path;
                foreach (var (name, value) in dict.Items)
                    if (name is string text) Open(value, text, at.Path, at.Depth);
            }
            IReadOnlyList<object> list = at.Value is PickleList plain ? plain.Items : at.Value is PickleTuple tuple ? tuple.Items : [];
            for (int i = 0; i < list.Count; i++) Open(list[i], i.ToString(CultureInfo.InvariantCulture), at.Path, at.Depth);
        }
        return candidates;

        void Open(object value, string name, string path, int depth)
        {
            bool holds = value is PickleDict or PickleList or PickleTuple or PickleOpaque { Dict: not null };
            if (holds && depth < MostDepth && seen.Count < MostVisited && name.Length <= 1000 && seen.Add(value))
                open.Enqueue((value, path.Length == 0 ? name : $"{path}.{name}", depth + 1));
        }
    }

    // Scores are kept as tensors without axes; a network has more.
    private static bool IsState(PickleDict dict) => dict.Items.All(item => item is { Key: string, Value: TensorReference })
        && dict.Items.Any(item => ((TensorReference)item.Value).Sizes.Length > 0);

    private DataException NoStateDict(PickleDict top)
    {
        foreach (var (name, value) in top.Items)
            if (value is PickleOpaque { IsModule: true } network)
                return new DataException($"{file}: {StateFile.Quote(NameOf(name))}: {StatePickle.WhyNot(network)}");
        if (nearly is { } path && Child(root, path) is { } found && DictOf(found) is { } inner
            && inner.Items.FirstOrDefault(item => item is not { Key: string, Value: TensorReference }) is
                { Key: { } among, Value: var other })
        {
            return new DataException($"{file}: {StateFile.Quote(path)} holds tensors, but {StateFile.Quote(NameOf(among))} in it is "
                + $"{PickleValue.Describe(other)}, expected a tensor"
                + (other is PickleOpaque { Class: not null } made ? $": {StatePickle.WhyNot(made)}" : ""));
        }
        if (DictOf(root) is null)
            return new DataException($"{file} is no state dict but {PickleValue.Describe(root)}, and no dict of tensors lies inside it");
        var (key, odd) = top.Items.FirstOrDefault(item => item is not { Key: string, Value: TensorReference });
        string what = key is null
            ? "it has no dict of tensors"
            : $"{StateFile.Quote(NameOf(key))} is {PickleValue.Describe(odd)}, expected a tensor";
        return new DataException($"{file} is no state dict, and no dict of tensors lies inside it: "
            + $"{what}{(odd is PickleOpaque { Class: not null } opaque ? $": {StatePickle.WhyNot(opaque)}" : "")}");
    }

    // Which of a checkpoint's entries could be the state dict.
    private string Hint()
    {
        var candidates = Candidates();
        if (candidates.Count > 0) return $"State dicts are under {Listed(candidates)}";
        return DictOf(root) is { } top
            ? $"It has {string.Join(", ", top.Items.Take(8).Select(item => StateFile.Quote(NameOf(item.Key))))}"
            : $"It is {PickleValue.Describe(root)}";
    }

    private static string Listed(List<Candidate> candidates) =>
        string.Join(", ", candidates.Take(8).Select(c => $"{StateFile.Quote(c.Path)} of {c.Items.Items.Count} "
            + "tensors")) + (candidates.Count > 8 ? $" and {candidates.Count - 8} more" : "");

    private static PickleDict? DictOf(object value) => value as PickleDict ?? (value as PickleOpaque)?.Dict;

    private static string NameOf(object key) => key switch
    {
        string text => text,
        long number => number.ToString(CultureInfo.InvariantCulture),
        _ => PickleValue.Describe(key),
    };

    /// <summary>Whether a state dict has exactly a network's names and shapes, once what wraps the names is taken off.</summary>
    private sealed class Fitting(Module network, string file)
    {
        private readonly StateDict own = network.StateDict();

        public bool Fits(Candidate candidate)
        {
            if (candidate.Items.Items.Count != own.Count) return false;
            var (map, _) = StateNames.Fit([.. candidate.Items.Items.Select(item => (string)item.Key)], network, file);
            return candidate.Items.Items.All(item => own.TryGetValue(map((string)item.Key), out var mine)
                && mine.Shape.Sizes.Length == ((TensorReference)item.Value).Sizes.Length
                && mine.Shape.Sizes.ToArray().Select(size => (long)size).SequenceEqual(((TensorReference)item.Value).Sizes));
        }
    }
}
