namespace OnnxLeNet.Numerics.Tests;

[TestClass]
public sealed class FileLockTests
{
    [TestMethod]
    public void OneAtATimeHasTheLockAndNothingIsLeft()
    {
        using var folder = new TemporaryFolder();
        var first = FileLock.TryTake(folder["lock"]);
        Assert.IsNotNull(first);
        Assert.IsNull(FileLock.TryTake(folder["lock"]));
        first.Dispose();
        Assert.IsEmpty(folder.Files);
        using (var second = FileLock.TryTake(folder["lock"])) Assert.IsNotNull(second);
        Assert.IsEmpty(folder.Files);
    }

    /// <summary>What a killed process leaves is the file, without the lock.</summary>
    [TestMethod]
    public void AnAbandonedLockIsTaken()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["lock"], []);
        using (var taken = FileLock.TryTake(folder["lock"]))
        {
            Assert.IsNotNull(taken);
            Assert.IsNull(FileLock.TryTake(folder["lock"]));
        }
        Assert.IsEmpty(folder.Files);
    }

    [TestMethod]
    public void ALinkIsNotFollowed()
    {
        if (OperatingSystem.IsWindows()) Assert.Inconclusive("links need a right on Windows");
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["victim"], "mine");
        foreach (string target in new[] { "victim", "nowhere" })
        {
            File.CreateSymbolicLink(folder["lock"], folder[target]);
            Failure.Of<IOException>(() => FileLock.TryTake(folder["lock"]), "is a link", "remove it");
            File.Delete(folder["lock"]);
        }
        CollectionAssert.AreEqual(new[] { "victim" }, folder.Files);
        Assert.AreEqual("mine", File.ReadAllText(folder["victim"]));
    }

    /// <summary>What cannot be opened is told, and not tried for ever.</summary>
    [TestMethod]
    [Timeout(60_000, CooperativeCancellation = true)]
    public void WhatIsNoFileIsTold()
    {
        if (OperatingSystem.IsWindows()) Assert.Inconclusive("sockets have no names in folders here");
        using var folder = new TemporaryFolder();
        using var socket = new System.Net.Sockets.Socket(System.Net.Sockets.AddressFamily.Unix, System.Net.Sockets.SocketType.Stream, 0);
        socket.Bind(new System.Net.Sockets.UnixDomainSocketEndPoint(folder["lock"]));
        Failure.Of<IOException>(() => FileLock.TryTake(folder["lock"]), "cannot be opened", "remove it");
    }

    /// <summary>Many take it in turn; never two at a time.</summary>
    [TestMethod]
    public void NoTwoHaveItAtATime()
    {
        using var folder = new TemporaryFolder();
        int inside = 0, taken = 0;
        Parallel.For(0, 8, _ =>
        {
            for (int i = 0; i < 200; i++)
            {
                using var held = FileLock.TryTake(folder["lock"]);
                if (held is null) continue;
                Assert.AreEqual(1, Interlocked.Increment(ref inside));
                Interlocked.Increment(ref taken);
                Assert.AreEqual(0, Interlocked.Decrement(ref inside));
            }
        });
        Assert.IsGreaterThan(100, taken);
        Assert.IsEmpty(folder.Files);
    }

    [TestMethod]
    public void AFolderIsMadeOnce()
    {
        using var folder = new TemporaryFolder();
        Assert.AreEqual(1, Enumerable.Range(0, 8).AsParallel().Count(_ => NewFolder.TryMake(folder["new"])));
        Assert.IsTrue(Directory.Exists(folder["new"]));
        File.CreateSymbolicLink(folder["link"], folder["nowhere"]);
        Assert.IsFalse(NewFolder.TryMake(folder["link"]));
        Assert.Throws<IOException>(() => NewFolder.TryMake(folder["no/where"]));
    }
}
