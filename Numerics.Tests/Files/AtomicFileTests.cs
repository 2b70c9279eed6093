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

    /// <summary>The names that files are written under are not to be guessed, and what is planted there is left alone.</summary>
    [TestMethod]
    public void APlantedLinkIsNotFollowed()
    {
        if (OperatingSystem.IsWindows()) Assert.Inconclusive("links need a right on Windows");
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["victim"], "mine");
        File.CreateSymbolicLink(folder["file"], folder["victim"]);
        File.CreateSymbolicLink(folder[$".file.{Environment.ProcessId}.tmp"], folder["victim"]);
        File.CreateSymbolicLink(folder[".onnxlenet-1.tmp"], folder["victim"]);
        AtomicFile.Write(folder["file"], "new");
        Assert.AreEqual("mine", File.ReadAllText(folder["victim"]));
        Assert.AreEqual("new", File.ReadAllText(folder["file"]));
        Assert.IsNull(new FileInfo(folder["file"]).LinkTarget, "the link itself is replaced");
        Assert.HasCount(4, folder.Files);
    }

    /// <summary>What nobody writes any more goes, what somebody writes stays.</summary>
    [TestMethod]
    public void WhatKilledProcessesLeftIsRemoved()
    {
        using var folder = new TemporaryFolder();
        using var gone = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("dotnet", ["--version"])
        {
            RedirectStandardOutput = true,
        })!;
        gone.WaitForExit();
        string left = folder[$".onnxlenet-{gone.Id}-0123.tmp"];
        File.WriteAllText(left, "half");
        File.WriteAllText(folder[".onnxlenet-notes"], "another's");
        using (var pending = new PendingFile(folder["file"]))
        {
            Assert.IsFalse(File.Exists(left));
            PendingFile.RemoveLeftovers(folder.Path);
            Assert.HasCount(2, folder.Files, "the file that is being written stays");
            pending.Stream.WriteByte(1);
            PendingFile.Commit(pending);
        }
        CollectionAssert.AreEqual(new[] { ".onnxlenet-notes", "file" }, folder.Files);
    }

    [TestMethod]
    public void FilesThatBelongTogetherAreWrittenTogetherOrNotAtAll()
    {
        using var folder = new TemporaryFolder();
        AtomicFile.WriteTogether([new(folder["a"], [1]), new(folder["b"], [2])]);
        File.WriteAllText(folder["file"], "");
        Assert.Throws<IOException>(() => AtomicFile.WriteTogether([new(folder["a"], [3]), new(Path.Combine(folder["file"], "b"), [4])]));
        CollectionAssert.AreEqual(new byte[] { 1 }, File.ReadAllBytes(folder["a"]));
        CollectionAssert.AreEqual(new byte[] { 2 }, File.ReadAllBytes(folder["b"]));
        Assert.HasCount(3, folder.Files, "nothing is left aside");
    }

    /// <summary>A name that the file system takes, though nothing may be added to it.</summary>
    [TestMethod]
    public void TheLongestNameIsWrittenAndALongerOneToldBefore()
    {
        if (OperatingSystem.IsWindows()) Assert.Inconclusive("the whole path counts there");
        using var folder = new TemporaryFolder();
        string longest = folder[new string('n', 255)];
        AtomicFile.Try(longest);
        AtomicFile.Write(longest, "here");
        Assert.AreEqual("here", File.ReadAllText(longest));
        Assert.Throws<PathTooLongException>(() => AtomicFile.Try(longest + "n"));
        Assert.HasCount(1, folder.Files, "trying leaves nothing");
    }
}
