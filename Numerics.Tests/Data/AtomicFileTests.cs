namespace OnnxLeNet.Numerics.Tests;

[TestClass]
public sealed class AtomicFileTests
{
    [TestMethod]
    public void WritesOverAndMakesFolders()
    {
        using var folder = new TemporaryFolder();
        string path = Path.Combine(folder["a"], "b", "file.txt");
        AtomicFile.Write(path, "first, and longer");
        AtomicFile.Write(path, "zweites ✓");
        Assert.AreEqual("zweites ✓", File.ReadAllText(path));
        AtomicFile.Write(path, [1, 2, 3]);
        CollectionAssert.AreEqual(new byte[] { 1, 2, 3 }, File.ReadAllBytes(path));
        Assert.HasCount(1, Directory.GetFileSystemEntries(Path.GetDirectoryName(path)!), "nothing is left aside");
    }

    [TestMethod]
    public void AFailureLeavesTheOldAndNothingAside()
    {
        using var folder = new TemporaryFolder();
        // A folder in the file's place: the last step, the renaming, fails.
        Directory.CreateDirectory(folder["taken"]);
        File.WriteAllText(Path.Combine(folder["taken"], "old"), "old");
        bool failed = false;
        try { AtomicFile.Write(folder["taken"], "new"); }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException) { failed = true; }
        Assert.IsTrue(failed);
        Assert.AreEqual("old", File.ReadAllText(Path.Combine(folder["taken"], "old")));
        Assert.HasCount(1, Directory.GetFileSystemEntries(folder.Path), "nothing is left aside");

        // A file where the folder should be: the first step fails.
        File.WriteAllText(folder["file"], "old");
        Assert.Throws<IOException>(() => AtomicFile.Write(Path.Combine(folder["file"], "inside"), "new"));
        Assert.AreEqual("old", File.ReadAllText(folder["file"]));
    }

    /// <summary>A reader at any moment finds the old or the new, whole.</summary>
    [TestMethod]
    public void ReadersNeverSeeHalf()
    {
        using var folder = new TemporaryFolder();
        string path = folder["file"];
        byte[][] contents = [.. Enumerable.Range(0, 2).Select(i => Enumerable.Repeat((byte)i, 200_000).ToArray())];
        AtomicFile.Write(path, contents[0]);
        var writer = Task.Run(() => { for (int i = 0; i < 20; i++) AtomicFile.Write(path, contents[i % 2]); });
        do
        {
            byte[] read = File.ReadAllBytes(path);
            Assert.HasCount(200_000, read);
            Assert.AreEqual(read[0], read[^1]);
        }
        while (!writer.IsCompleted);
        writer.GetAwaiter().GetResult();
    }
}
