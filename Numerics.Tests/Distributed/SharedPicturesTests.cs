namespace OnnxLeNet.Numerics.Tests;

/// <summary>Processes that read the same pictures decode each of them once, and all get what one process reads.</summary>
[TestClass]
public sealed class SharedPicturesTests
{
    private static readonly PictureOptions Options = new(new Shape(3, 8, 6)) { SkipDamaged = true };

    [TestMethod]
    [DataRow(2)]
    [DataRow(3)]
    [DataRow(30)]
    public void EachPictureIsDecodedOnce(int size)
    {
        using var folder = new TemporaryFolder();
        string photos = Pictures.Write(folder["photos"], ("a", 11), ("b", 12));
        File.WriteAllText(folder["photos/a/damaged.png"], "no picture");
        File.WriteAllText(folder["photos/b/torn.png"], "no picture");
        var alone = PictureFolder.Load(photos, Options);
        var read = Threads.Run(size, group =>
        {
            int decoded = 0;
            var data = PictureFolder.Load(photos, Options with { Group = group, Progress = (_, _) => Interlocked.Increment(ref decoded) });
            return (Decoded: decoded, Data: data);
        });
        Assert.AreEqual(25, read.Sum(rank => rank.Decoded));
        Assert.IsTrue(read.Max(rank => rank.Decoded) <= 25 / size + 1, "each its share");
        foreach (var (_, data) in read)
        {
            Assert.AreEqual(alone.Train.Fingerprint, data.Train.Fingerprint);
            Assert.AreEqual(alone.Test.Fingerprint, data.Test.Fingerprint);
            CollectionAssert.AreEqual(alone.Train.Notes.ToArray(), data.Train.Notes.ToArray());
        }
    }

    [TestMethod]
    public void WhatWasDecodedIsKeptOnce()
    {
        using var folder = new TemporaryFolder();
        string photos = Pictures.Write(folder["photos"], ("a", 10), ("b", 10));
        int Decoded(string cache) => Threads.Run(2, group =>
        {
            int decoded = 0;
            PictureFolder.Load(photos, Options with
            {
                Group = group,
                CacheFolder = folder[cache + (cache == "own" ? group.Rank : "")],
                Progress = (_, _) => Interlocked.Increment(ref decoded),
            });
            return decoded;
        }).Sum();
        Assert.AreEqual(20, Decoded("one"));
        Assert.AreEqual(0, Decoded("one"));
        Assert.AreEqual(20, Decoded("own"));
        Assert.AreEqual(10, Decoded("own"), "the first process keeps all, the other one has kept nothing");
        Assert.IsFalse(Directory.Exists(folder["own1"]));
    }

    [TestMethod]
    public void OtherPicturesAreADisagreement()
    {
        using var folder = new TemporaryFolder();
        Pictures.Write(folder["photos0"], ("a", 10), ("b", 10));
        Pictures.Write(folder["photos1"], ("a", 10), ("b", 11));
        var error = Assert.ThrowsExactly<DisagreementException>(() => Threads.Run(2, group =>
            PictureFolder.Load(folder[$"photos{group.Rank}"], Options with { Group = group })));
        StringAssert.StartsWith(error.Message, "rank 1 on host1 has pictures 21, by their names ");
    }
}
