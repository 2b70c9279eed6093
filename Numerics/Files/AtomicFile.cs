namespace OnnxLeNet.Numerics;

/// <summary>Files that are written aside and then renamed: nobody sees half of one, and a failure leaves the old one.</summary>
internal static class AtomicFile
{
    /// <summary>Writes a file, and its folder if that is missing.</summary>
    /// <exception cref="IOException">It cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written.</exception>
    public static void Write(string path, ReadOnlySpan<byte> bytes)
    {
        using var file = new PendingFile(path);
        try
        {
            file.Stream.Write(bytes);
            PendingFile.Commit(file);
        }
        catch (IOException error) { throw file.Named(error); }
    }

    /// <summary>Writes a text file in UTF-8.</summary>
    /// <inheritdoc cref="Write(string, ReadOnlySpan{byte})"/>
    public static void Write(string path, string text) => Write(path, System.Text.Encoding.UTF8.GetBytes(text));

    /// <summary>Writes files that belong together: they get their names when all of them are on the disk.</summary>
    /// <inheritdoc cref="Write(string, ReadOnlySpan{byte})"/>
    public static void WriteTogether(IEnumerable<KeyValuePair<string, byte[]>> files)
    {
        var pending = new List<PendingFile>();
        try
        {
            foreach (var (path, bytes) in files)
            {
                pending.Add(new PendingFile(path));
                pending[^1].Stream.Write(bytes);
            }
            PendingFile.Commit([.. pending]);
        }
        catch (IOException error) when (pending.Count > 0) { throw pending[^1].Named(error); }
        finally
        {
            foreach (var file in pending) file.Dispose();
        }
    }

    /// <summary>Fails now as <see cref="Write(string, ReadOnlySpan{byte})"/> would later: where the folder cannot be written in, or the
    /// file's name is too long.</summary>
    /// <param name="path">The file; its folder is there.</param>
    /// <inheritdoc cref="Write(string, ReadOnlySpan{byte})" path="/exception"/>
    public static void Try(string path)
    {
        new PendingFile(path).Dispose();
        try { File.GetAttributes(path); }
        catch (Exception error) when (error is FileNotFoundException or DirectoryNotFoundException) { }
    }
}
