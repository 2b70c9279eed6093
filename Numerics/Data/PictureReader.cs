namespace OnnxLeNet.Numerics;

/// <summary>
/// Reads many pictures on all threads, or from the cache where they have not changed; each into its own place. Of several processes each
/// decodes a part, and gives it to the others.
/// </summary>
internal static class PictureReader
{
    private const int MostNamed = 20;

    /// <summary>The images of the pictures, one after the other. Those that cannot be read are taken out of the list, or are an
    /// error.</summary>
    /// <param name="source">The data set's folder or list.</param>
    /// <param name="entries">The pictures; afterwards those that were read.</param>
    /// <param name="options">How they become images.</param>
    /// <param name="isWhole">Whether they are all of the data set, so that the cache is of these.</param>
    /// <param name="notes">Is told what was left out.</param>
    /// <exception cref="DataException">Some cannot be read, and are not to be left out; or all are more than an array holds.</exception>
    public static ReadOnlyMemory<byte> Read(string source, List<PictureEntry> entries, PictureOptions options, bool isWhole,
        List<string> notes)
    {
        int count = entries.Count, size = options.Image.Count;
        if ((long)count * size > Array.MaxLength)
            throw new DataException($"{source}: {count:#,0} pictures of {options.Image} are {(long)count * size:#,0} bytes, more than an "
                + "array holds: make them smaller");
        var shared = options.Group is { Size: > 1 } several ? new SharedPictures(several, entries) : null;
        var (from, to) = shared?.Own ?? (0, count);
        var pixels = new byte[count * size];
        var problems = new string?[count];
        var cache = PictureCache.Of(source, options);
        var stamps = new PictureCache.Stamp[count];
        var restored = new bool[count];
        bool others = false;
        if (cache is not null)
        {
            Workers.Run(count, i => stamps[i] = PictureCache.Stamp.Of(entries[i].Path));
            restored = cache.Restore(entries, stamps, pixels, out others);
        }
        int[] missing = [.. Enumerable.Range(from, to - from).Where(i => !restored[i])];
        int done = 0;
        Workers.Run(missing.Length, k =>
        {
            int i = missing[k];
            try { options.Read(entries[i].Path, pixels.AsSpan(i * size, size)); }
            catch (DataException error)
            {
                problems[i] = error.Message.Replace(entries[i].Path, entries[i].Shown(source), StringComparison.Ordinal);
            }
            options.Progress?.Invoke(Interlocked.Increment(ref done), missing.Length);
        });
        bool isNew = missing.Length > 0;
        shared?.Exchange(pixels, problems, ref isNew);
        bool keeps = isNew && shared is null or { IsFirst: true } && (isWhole || !others);
        if (keeps && cache?.Save(entries, stamps, pixels, i => problems[i] is null) is { } problem) notes.Add(problem);
        int damaged = problems.Count(text => text is not null);
        if (damaged == 0) return pixels;
        string named = string.Join("\n  ", problems.OfType<string>().Take(MostNamed))
            + (damaged > MostNamed ? $"\n  and {damaged - MostNamed} more" : "");
        string said = $"{source}: {damaged} of {count} pictures cannot be read";
        if (!options.SkipDamaged)
            throw new DataException($"{said}. Repair or remove them, or leave them out (SkipDamaged, --skip-damaged):\n  {named}");
        notes.Add($"{said} and are left out:\n  {named}");
        int kept = 0;
        for (int i = 0; i < count; i++)
        {
            if (problems[i] is not null) continue;
            if (kept < i) pixels.AsSpan(i * size, size).CopyTo(pixels.AsSpan(kept * size));
            entries[kept++] = entries[i];
        }
        entries.RemoveRange(kept, count - kept);
        return pixels.AsMemory(0, kept * size);
    }
}
