namespace OnnxLeNet.Numerics.Tests;

/// <summary>What can be wrong with a folder or list of pictures: the error names the files.</summary>
[TestClass]
public sealed class PictureFolderErrorsTests
{
    private static readonly PictureOptions Options = new(new Shape(3, 8, 6));

    [TestMethod]
    public void FoldersWithoutEnoughClassesOrPictures()
    {
        using var folder = new TemporaryFolder();
        Refused(folder["none"], "there is no folder or file", "none");
        Directory.CreateDirectory(folder["empty"]);
        Refused(folder["empty"], "holds no folders of classes");
        Pictures.Write(folder["flat"], (".", 3));
        Refused(folder["flat"], "holds 3 pictures, such as 000.png, and no folders", "the class's name");
        Refused(Pictures.Write(folder["one"], ("cat", 5)), "has one class, cat");
        Refused(Pictures.Write(folder["outer"], ("inner/cat", 2), ("inner/dog", 2)), "holds one folder, inner", "name", "outer/inner");
        Refused(Pictures.Write(folder["single"], ("cat", 5), ("dog", 1), ("eel", 1)), "the class dog has one picture, dog/000.png", "eel");
        Directory.CreateDirectory(Pictures.Write(folder["hollow"], ("cat", 5), ("dog", 5)) + "/emu");
        Refused(folder["hollow"], "hollow/emu holds no pictures");
        Refused(Pictures.Write(folder["other"], ("train/a", 3), ("train/b", 3), ("test/c", 1)), "test/c/000.png has the label c", "a, b");
        Refused(Pictures.Write(folder["mixed"], ("train/a", 3), ("train/b", 3), ("bird", 1)), "holds parts, train", "bird");
        Refused(Pictures.Write(folder["twice"], ("train/a", 3), ("val/a", 3), ("valid/b", 1)), "val, valid, which are the same part");
        Directory.CreateDirectory(folder["many"]);
        for (int i = 0; i < 10_001; i++) Directory.CreateDirectory(folder[$"many/{i}"]);
        Refused(folder["many"], "holds 10,001 folders", "at most 10,000 classes");
        File.WriteAllText(folder["list.txt"], "x");
        Refused(folder["list.txt"], "list.txt is a text file, not a folder of pictures", ".csv");
        Failure.Of<DataException>(() => PictureFolder.Load(Pictures.Write(folder["ab"], ("a", 3), ("b", 3)),
            Options with { ClassNames = ["a", "c"] }), "b/000.png has the label b", "those expected: a, c");
        Failure.Of<DataException>(() => PictureFolder.Load(folder["ab"], Options with { TestShare = 1 }), "shares of 0.1 and 1");
        Failure.Of<ShapeException>(() => _ = new PictureOptions(new Shape(2, 8, 8)), "[2, 8, 8]");
        Failure.Of<DataException>(() => PictureFolder.Load(folder["ab"], new PictureOptions(new Shape(3, 20_000, 20_000))),
            "6 pictures", "more than an array holds");
    }

    [TestMethod]
    public void DamagedPicturesAreAllNamed()
    {
        using var folder = new TemporaryFolder();
        string photos = Pictures.Write(folder["photos"], ("a", 10), ("b", 10));
        byte[] whole = File.ReadAllBytes(folder["photos/a/001.png"]);
        File.WriteAllBytes(folder["photos/a/001.png"], []);
        File.WriteAllText(folder["photos/b/003.png"], "a letter");
        File.WriteAllBytes(folder["photos/b/x.JPG"], Pictures.Golden["rgb.jpg"][..300]);
        File.WriteAllText(folder["photos/b/y.webp"], "RIFF....WEBPVP8 ....");
        File.WriteAllText(folder["photos/b/Thumbs.db"], "no picture by its name");
        File.WriteAllText(folder["photos/b/._003.png"], "hidden");
        File.WriteAllText(folder["photos/loose.gif"], "beside");
        var error = Failure.Of<DataException>(() => PictureFolder.Load(photos, Options), "4 of 22 pictures cannot be read",
            "a/001.png is empty", "b/003.png is not a picture that can be read: it is text", "b/x.JPG is cut short",
            "b/y.webp", "a WebP picture",
            "--skip-damaged");
        Assert.DoesNotContain(folder.Path + "/photos/a", error.Message, "a name is as seen from the folder");
        var data = PictureFolder.Load(photos, Options with { SkipDamaged = true });
        Assert.AreEqual(18, data.Train.Count + data.Validation!.Count + data.Test.Count);
        Assert.HasCount(3, data.Notes);
        Assert.Contains("4 of 22 pictures cannot be read and are left out", data.Notes[^1]);
        Assert.Contains("Thumbs.db", data.Notes[1]);
        Assert.Contains("loose.gif", data.Notes[0]);
        foreach (string file in Directory.GetFiles(folder["photos/b"], "0*")) File.WriteAllBytes(file, whole[..40]);
        Failure.Of<DataException>(() => PictureFolder.Load(photos, Options with { SkipDamaged = true }),
            "the class b has no picture to train on");
    }

    [TestMethod]
    public void LinksAreFollowedUnlessTheyLoop()
    {
        if (OperatingSystem.IsWindows()) Assert.Inconclusive("links need a right on Windows");
        using var folder = new TemporaryFolder();
        Pictures.Write(folder["real"], ("a", 5), ("b", 5));
        Directory.CreateDirectory(folder["photos"]);
        Directory.CreateSymbolicLink(folder["photos/a"], folder["real/a"]);
        Directory.CreateSymbolicLink(folder["photos/b"], "../real/b");
        Assert.AreEqual(2, PictureFolder.Load(folder["photos"], Options).Classes);
        File.CreateSymbolicLink(folder["real/b/gone.png"], folder["nowhere.png"]);
        Refused(folder["photos"], "1 of 11 pictures", "there is no file b/gone.png");
        File.Delete(folder["real/b/gone.png"]);
        Directory.CreateSymbolicLink(folder["real/b/again"], folder["real"]);
        Refused(folder["photos"], "again/b leads back to a folder that it lies in", "remove the link");
        Directory.Delete(folder["real/b/again"]);
        Directory.CreateSymbolicLink(folder["real/b/self"], folder["real/b/self"]);
        Assert.Contains("such as b/self: left out", PictureFolder.Load(folder["photos"], Options).Notes.Single());
    }

    [TestMethod]
    public void NamesInAnyScript()
    {
        using var folder = new TemporaryFolder();
        string photos = Pictures.Write(folder["写真 ☃"], ("猫", 5), ("собака\u0301", 5), ("a,b\"c", 5), ("🐟 fish\n2", 5));
        var data = PictureFolder.Load(photos, Options);
        CollectionAssert.AreEqual(new[] { "a,b\"c", "собака\u0301", "猫", "🐟 fish\n2" }, data.ClassNames.ToArray());
        Assert.AreEqual("写真 ☃", data.Name);
    }

    [TestMethod]
    [DataRow("", "lists no pictures")]
    [DataRow("path,label\n", "lists no pictures")]
    [DataRow("a/000.png", "a line of 1 fields")]
    [DataRow("a/000.png,x\na/001.png", "line 2: 1 fields, the first line has 2")]
    [DataRow("a/000.png,x\n\na/001.png,", "line 3: a/001.png has no label")]
    [DataRow("a/000.png,x\n,y", "line 2: there is no path")]
    [DataRow("a/000.png,x\n\"a/001.png,y", "line 2: a quote is not closed")]
    [DataRow("a/000.png,x\n\"a/001.png\"1,y", "line 2: after a closing quote comes '1'")]
    [DataRow("a/000.png,x\na/001.png,y\na/../a/000.png,y", "line 3: a/../a/000.png is listed already, in line 1")]
    [DataRow("path,label,split\na/000.png,x,maybe", "line 2: the split is 'maybe'")]
    [DataRow("path,label,split\na/000.png,x,\na/001.png,y,\na/002.png,z,test", "line 4: a/002.png has the label z, which is no class",
        "x, y")]
    [DataRow("a/000.png,x\na/001.png,x\na/002.png,y\na/009.png,y", "line 4: a/009.png", "there is no file")]
    public void ListsThatAreWrong(string text, params string[] said)
    {
        using var folder = new TemporaryFolder();
        Pictures.Write(folder.Path, ("a", 5));
        File.WriteAllText(folder["list.csv"], text);
        Refused(folder["list.csv"], ["list.csv", .. said]);
    }

    [TestMethod]
    [DataRow("[1]", "line 1: expected an object such as {\"path\"")]
    [DataRow("{\"path\": \"a\", \"label\": \"x\"}\n{", "line 2: no JSON")]
    [DataRow("{\"path\": \"a\", \"label\": [1]}", "line 1: a has no label")]
    [DataRow("{\"label\": \"a\"}", "line 1: there is no path")]
    public void JsonLinesThatAreWrong(string text, string said)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["list.jsonl"], text);
        Refused(folder["list.jsonl"], "list.jsonl", said);
    }

    [TestMethod]
    public void AListThatIsNoText()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["list.csv"], [(byte)'a', 0x80, (byte)'\n']);
        Refused(folder["list.csv"], "list.csv is not UTF-8");
    }

    private static void Refused(string path, params string[] parts) =>
        Failure.Of<DataException>(() => PictureFolder.Load(path, Options), parts);
}
