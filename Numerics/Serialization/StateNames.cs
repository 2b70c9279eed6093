namespace OnnxLeNet.Numerics;

/// <summary>
/// Names that a wrapper changed: DataParallel puts <c>module.</c> before them, torch.compile <c>_orig_mod.</c>, a LightningModule the name
/// of its attribute, any of them at any depth. They are taken off where the network has other names.
/// </summary>
internal static class StateNames
{
    /// <summary>The wrappers whose part of a name is never a layer's own, and who puts it there.</summary>
    private static readonly Dictionary<string, string> Wrappers = new(StringComparer.Ordinal)
    {
        ["module"] = "DataParallel",
        ["_orig_mod"] = "torch.compile",
        ["_fsdp_wrapped_module"] = "FSDP",
        ["_checkpoint_wrapped_module"] = "activation checkpointing",
    };

    /// <summary>What the names of a file become in a network, and what is said of it.</summary>
    /// <param name="names">The file's names.</param>
    /// <param name="network">The network, or null, for which names stay as they are.</param>
    /// <param name="file">The file, for what is said.</param>
    public static (Func<string, string> Map, IReadOnlyList<string> Notes) Fit(
        IReadOnlyCollection<string> names, Module? network, string file)
    {
        Func<string, string> same = name => name;
        if (network is null)
        {
            string[] seen = [.. Wrappers.Keys.Where(part => names.Count > 0 && names.All(name => IsInside(part, name)))];
            return (same, [.. seen.Select(part => $"{file}: the names have '{part}.' in them ({Wrappers[part]}), which is taken off "
                + "where they are read for a network")]);
        }
        var own = network.StateDict().Names.ToHashSet(StringComparer.Ordinal);
        if (names.Count == 0 || names.All(own.Contains)) return (same, []);

        var ownParts = own.SelectMany(name => name.Split('.')).ToHashSet(StringComparer.Ordinal);
        string[] wrappers = [.. Wrappers.Keys.Where(part => !ownParts.Contains(part) && names.Any(name => IsInside(part, name)))];
        string[] plain = [.. names.Select(name => Without(name, wrappers))];
        string prefix = OuterPrefix(plain, own);
        string Map(string name) => Without(name, wrappers)[prefix.Length..];
        if ((wrappers.Length == 0 && prefix.Length == 0) || names.Select(Map).Distinct(StringComparer.Ordinal).Count() < names.Count)
            return (same, []);
        var taken = wrappers.Select(part => $"'{part}.' ({Wrappers[part]})").ToList();
        if (prefix.Length > 0) taken.Add($"{StateFile.Quote(prefix)} before all of them");
        return (Map, [$"{file}: taken off the names: {string.Join(", ", taken)}"]);
    }

    /// <summary>The first parts of names, a few of them, for an error.</summary>
    public static string FirstParts(IEnumerable<string> names)
    {
        string[] parts = [.. names.Select(name => name.Split('.')[0]).Distinct(StringComparer.Ordinal).Take(9)];
        return parts.Length == 0
            ? "nothing: there are none"
            : string.Join(", ", parts.Take(8).Select(StateFile.Quote)) + (parts.Length > 8 ? ", …" : "");
    }

    // What stands before all names and before none of the network's: any that leaves exactly the network's, else model. and net.,
    // Lightning's usual ones, so that the error which follows is about the layers and not about the prefix.
    private static string OuterPrefix(string[] names, HashSet<string> own)
    {
        string usual = "";
        bool onlyUsual = true;
        for (int dot = names[0].IndexOf('.', StringComparison.Ordinal); dot >= 0; dot = names[0].IndexOf('.', dot + 1))
        {
            string longer = names[0][..(dot + 1)];
            if (!names.All(name => name.StartsWith(longer, StringComparison.Ordinal))) break;
            if (names.Length == own.Count && names.All(name => own.Contains(name[longer.Length..]))) return longer;
            onlyUsual &= (longer[usual.Length..] is "model." or "net.")
                && !own.Any(name => name.StartsWith(longer[usual.Length..], StringComparison.Ordinal));
            if (onlyUsual) usual = longer;
        }
        return usual;
    }

    // The last part is the parameter's own name.
    private static bool IsInside(string part, string name) => Array.IndexOf(name.Split('.')[..^1], part) >= 0;

    private static string Without(string name, string[] wrappers)
    {
        if (wrappers.Length == 0) return name;
        string[] parts = name.Split('.');
        return string.Join('.', parts.Where((part, i) => i == parts.Length - 1 || Array.IndexOf(wrappers, part) < 0));
    }
}
