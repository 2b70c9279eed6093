namespace OnnxLeNet.Numerics.Tests;

/// <summary>Decoded pictures are kept, and what has changed is decoded again.</summary>
[TestClass]
public sealed class PictureCacheTests
{
    [TestMethod]
    public void WhatHasChangedIsDecodedAgain()
    {
        using var folder = new TemporaryFolder();
        string photos = Pictures.Write(folder["photos"], ("a", 10), ("b", 10));
        var options = new PictureOptions(new Shape(3, 8, 6)) { CacheFolder = folder["cache"] };
        Assert.AreEqual(20, Decoded(photos, options));
        Assert.AreEqual(0, Decoded(photos, options));
        Assert.AreEqual(0, Decoded(photos, options with { Seed = 7 }), "what is held out changes no picture");
        Assert.AreEqual(20, Decoded(photos, options with { Fit = Fit.Pad }));
        Assert.AreEqual(20, Decoded(photos, new PictureOptions(new Shape(3, 6, 8)) { CacheFolder = folder["cache"] }));
        Assert.AreEqual(20, Decoded(photos, options with { Background = Rgb.Black }));

        // Other bytes of the same length at another time, a new file, and one less.
        byte[] bytes = File.ReadAllBytes(folder["photos/a/001.png"]);
        Pictures.Make(1, 500).WritePng(folder["photos/a/003.png"]);
        File.SetLastWriteTimeUtc(folder["photos/a/003.png"], DateTime.UtcNow.AddMinutes(1));
        File.WriteAllBytes(folder["photos/b/new.png"], bytes);
        File.Delete(folder["photos/b/004.png"]);
        Assert.AreEqual(2, Decoded(photos, options));
        Assert.AreEqual(0, Decoded(photos, options), "what was decoded is kept beside what was not");
    }

    [TestMethod]
    public void ADamagedCacheIsPassedOver()
    {
        using var folder = new TemporaryFolder();
        string photos = Pictures.Write(folder["photos"], ("a", 10), ("b", 10));
        var options = new PictureOptions(new Shape(3, 8, 6)) { CacheFolder = folder["cache"] };
        string right = PictureFolder.Load(photos, options).Train.Fingerprint;
        string file = Directory.GetFiles(folder["cache"]).Single();
        byte[] whole = File.ReadAllBytes(file);
        for (int at = 0; at < whole.Length; at += 97)
        {
            byte[] damaged = [.. whole];
            damaged[at] ^= 0x41;
            File.WriteAllBytes(file, damaged);
            Assert.AreEqual(right, PictureFolder.Load(photos, options).Train.Fingerprint, $"byte {at} changed");
            File.WriteAllBytes(file, whole[..at]);
            Assert.AreEqual(right, PictureFolder.Load(photos, options).Train.Fingerprint, $"cut at {at}");
        }
        File.WriteAllText(folder["file"], "");
        var data = PictureFolder.Load(photos, options with { CacheFolder = folder["file"] });
        Assert.AreEqual(right, data.Train.Fingerprint);
        Assert.Contains("cannot be kept for the next run", data.Notes.Single());
    }

    /// <summary>Damaged pictures are not kept, and the test's pictures alone do not take the place of all.</summary>
    [TestMethod]
    public void PartsAndDamageLeaveTheCacheWhole()
    {
        using var folder = new TemporaryFolder();
        string photos = Pictures.Write(folder["photos"], ("a", 10), ("b", 10));
        var options = new PictureOptions(new Shape(3, 8, 6)) { CacheFolder = folder["cache"], SkipDamaged = true };
        File.WriteAllText(folder["photos/a/000.png"], "text");
        Assert.AreEqual(20, Decoded(photos, options));
        Assert.AreEqual(1, Decoded(photos, options));
        PictureFolder.LoadTest(photos, options);
        Assert.AreEqual(1, Decoded(photos, options));
        var old = Directory.GetFiles(folder["cache"]).Single();
        File.SetLastWriteTimeUtc(old, DateTime.UtcNow.AddDays(-100));
        Decoded(photos, options with { Fit = Fit.Pad });
        Assert.IsFalse(File.Exists(old), "a cache that nobody used for 100 days");
    }

    private static int Decoded(string path, PictureOptions options)
    {
        int decoded = 0;
        PictureFolder.Load(path, options with { Progress = (_, _) => Interlocked.Increment(ref decoded) });
        return decoded;
    }
}
