using System.Security.Cryptography;

namespace OnnxLeNet.Numerics.Tests;

[TestClass]
public sealed class IdxFolderTests
{
    private static readonly ImageTransform Plain = new(0, 0, 1);

    [TestMethod]
    public void ReadsPlainAndZippedFilesWithAndWithoutSums()
    {
        foreach (bool zipped in new[] { false, true })
            foreach (bool sums in new[] { false, true })
            {
                using var folder = new TemporaryFolder();
                var files = Idx.DataSet();
                foreach (var (name, bytes) in files)
                {
                    if (zipped) folder.Write(name + ".gz", Idx.Gzip(bytes));
                    else folder.Write(name, bytes);
                }
                if (sums) WriteSums(folder, files);
                var data = ImageFolder.Load(folder.Path, Plain);
                Assert.AreEqual(Path.GetFileName(folder.Path), data.Name);
                Assert.AreEqual((6, 3, 3), (data.Train.Count, data.Test.Count, data.Classes));
                Assert.AreEqual(new Shape(1, 5, 4), data.Train.Stored);
                Assert.AreEqual(2, data.Train.Label(2));
                Assert.AreEqual(3, ImageFolder.LoadTest(folder.Path, Plain).Count);
            }
    }

    [TestMethod]
    public void AMissingFolderOrFileIsNamed()
    {
        using var folder = new TemporaryFolder();
        Failure.Of<DataException>(() => ImageFolder.Load(folder["none"], Plain), "there is no folder", "none");
        foreach (string missing in Idx.DataSet().Keys)
            Refused(files => files.Remove(missing), missing, ".gz");
    }

    [TestMethod]
    public void FilesThatDoNotBelongTogetherAreRefused()
    {
        Refused(files => files["train-labels-idx1-ubyte"] = Idx.File([5], [0, 1, 2, 0, 1]), "train", "6 images", "5 labels");
        Refused(files => files["t10k-labels-idx1-ubyte"] = Idx.File([4], [0, 1, 2, 0]), "t10k", "3 images", "4 labels");
        Refused(files => files["train-images-idx3-ubyte"] = files["train-labels-idx1-ubyte"], "train-images", "[6]",
            "[count, height, width]");
        Refused(files => files["train-labels-idx1-ubyte"] = files["train-images-idx3-ubyte"], "train-labels", "[6, 5, 4]", "[count]");
        Refused(files => files["t10k-images-idx3-ubyte"] = Idx.File([3, 4, 5], Idx.Bytes(1, 60)), "[1, 5, 4]", "[1, 4, 5]");
        Refused(files => files["t10k-images-idx3-ubyte"] = Idx.File([3, 5, 4], Idx.Bytes(1, 59)), "t10k-images", "cut short");
        Refused(files =>
        {
            files["train-images-idx3-ubyte"] = Idx.File([0, 5, 4], []);
            files["train-labels-idx1-ubyte"] = Idx.File([0], []);
        }, "no images");
    }

    /// <summary>Sizes of zero, whose product promises no bytes at all, are a damaged file too.</summary>
    [TestMethod]
    public void ImagesWithoutPixelsAreRefused()
    {
        foreach (uint[] sizes in new uint[][] { [6, 0, 4], [6, 5, 0], [6, 0, 0], [6, 0, 0x7FFFFFFF] })
            Refused(files => files["train-images-idx3-ubyte"] = Idx.File(sizes, []));
        Refused(files =>
        {
            files["train-images-idx3-ubyte"] = Idx.File([0, 70000, 70000], []);
            files["train-labels-idx1-ubyte"] = Idx.File([0], []);
        });
    }

    [TestMethod]
    public void SumsAreChecked()
    {
        var good = Idx.DataSet();
        using var folder = new TemporaryFolder();
        foreach (var (name, bytes) in good) folder.Write(name, bytes);

        WriteSums(folder, good, name => "*" + name, upper: true); // as sha256sum --binary writes
        ImageFolder.Load(folder.Path, Plain);

        var other = Idx.DataSet();
        other["t10k-images-idx3-ubyte"][30] ^= 1;
        WriteSums(folder, other);
        Failure.Of<DataException>(() => ImageFolder.Load(folder.Path, Plain), "t10k-images-idx3-ubyte", "SHA-256", "SHA256SUMS");

        other.Remove("t10k-images-idx3-ubyte");
        WriteSums(folder, other);
        Failure.Of<DataException>(() => ImageFolder.Load(folder.Path, Plain), "SHA256SUMS", "no sum for t10k-images-idx3-ubyte");

        File.WriteAllText(folder["SHA256SUMS"], "");
        Failure.Of<DataException>(() => ImageFolder.Load(folder.Path, Plain), "no sum for train-images-idx3-ubyte");
    }

    private static void WriteSums(TemporaryFolder folder, Dictionary<string, byte[]> files, Func<string, string>? decorate = null,
        bool upper = false) =>
        File.WriteAllLines(folder["SHA256SUMS"], files.Select(file =>
        {
            string sum = Convert.ToHexString(SHA256.HashData(file.Value));
            return $"{(upper ? sum : sum.ToLowerInvariant())} {(decorate is null ? " " + file.Key : decorate(file.Key))}";
        }));

    private static void Refused(Action<Dictionary<string, byte[]>> damage, params string[] parts)
    {
        using var folder = new TemporaryFolder();
        var files = Idx.DataSet();
        damage(files);
        foreach (var (name, bytes) in files) folder.Write(name, bytes);
        Failure.Of<DataException>(() => ImageFolder.Load(folder.Path, Plain), parts);
    }
}
