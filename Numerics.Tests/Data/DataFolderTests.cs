namespace OnnxLeNet.Numerics.Tests;

/// <summary>Folders as downloads leave them.</summary>
[TestClass]
public sealed class DataFolderTests
{
    private static readonly ImageTransform Plain = new(0, 0, 1);

    [TestMethod]
    [DataRow("train-images.idx3-ubyte", "train-labels.idx1-ubyte", "t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte")]
    [DataRow("train-images.idx3-ubyte.gz", "train-labels.idx1-ubyte.gz", "t10k-images.idx3-ubyte.gz", "t10k-labels.idx1-ubyte.gz")]
    [DataRow("TRAIN-IMAGES-IDX3-UBYTE", "Train-Labels-Idx1-Ubyte.GZ", "T10K-IMAGES.IDX3-UBYTE", "t10k-labels-idx1-ubyte")]
    [DataRow("train_images", "train_labels", "test_images", "test_labels")]
    [DataRow("train-images-idx3-ubyte.gz", "train-labels.idx1-ubyte", "test-images-idx3-ubyte", "test-labels-idx1-ubyte.gz")]
    [DataRow("emnist-letters-train-images-idx3-ubyte.gz", "emnist-letters-train-labels-idx1-ubyte.gz",
        "emnist-letters-test-images-idx3-ubyte.gz", "emnist-letters-test-labels-idx1-ubyte.gz")]
    public void IdxFilesAreReadUnderTheNamesTheyCome(params string[] names)
    {
        foreach (string place in new[] { "", "raw", "MNIST/raw" })
        {
            using var folder = new TemporaryFolder();
            WriteIdx(folder, place, names);
            var data = ImageFolder.Load(folder.Path, Plain, new Shape(1, 5, 4));
            Assert.AreEqual((6, 3, 3), (data.Train.Count, data.Test.Count, data.Classes));
            Assert.AreEqual(2, data.Test.Label(2));
            Assert.AreEqual(place.Length == 0 ? "" : $"{folder.Path}: the data set is the one in {place}", string.Join("\n", data.Notes));
            Assert.AreEqual(3, ImageFolder.LoadTest(folder.Path, Plain).Count);
        }
    }

    [TestMethod]
    public void OfTwoFilesForOneTheSameIsSaidAndAnotherRefused()
    {
        using var folder = new TemporaryFolder();
        WriteIdx(folder, "");
        byte[] labels = Idx.DataSet()["t10k-labels-idx1-ubyte"];
        folder.Write("t10k-labels-idx1-ubyte.gz", Idx.Gzip(labels));
        Assert.Contains(
            "both t10k-labels-idx1-ubyte and t10k-labels-idx1-ubyte.gz, with the same content",
                ImageFolder.Load(folder.Path, Plain).Notes.Single());
        Assert.HasCount(1, ImageFolder.LoadTest(folder.Path, Plain).Notes);
        labels[^1] ^= 1;
        folder.Write("t10k-labels-idx1-ubyte.gz", Idx.Gzip(labels));
        Failure.Of<DataException>(() => ImageFolder.Load(folder.Path, Plain),
            "both t10k-labels-idx1-ubyte and t10k-labels-idx1-ubyte.gz", "they differ");
    }

    [TestMethod]
    public void SumsAreOfTheFileOrOfItsUsualName()
    {
        using var folder = new TemporaryFolder();
        WriteIdx(folder, "raw", "train-images.idx3-ubyte", "train-labels.idx1-ubyte", "t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte");
        var sums = Idx.DataSet().Select((file, i) =>
            $"{Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(file.Value))}  "
            + (i % 2 == 0 ? file.Key : file.Key.Replace("-idx", ".idx", StringComparison.Ordinal))).ToArray();
        File.WriteAllLines(folder["raw/SHA256SUMS"], sums);
        Assert.AreEqual(6, ImageFolder.Load(folder.Path, Plain).Train.Count);
        File.WriteAllLines(folder["raw/SHA256SUMS"], sums.Select(line => $"0{line[1..]}"));
        Failure.Of<DataException>(() => ImageFolder.Load(folder.Path, Plain), "train-images.idx3-ubyte", "SHA-256");
    }

    [TestMethod]
    [DataRow("DATA_BATCH_1.BIN", "Test_Batch.bin", "")]
    [DataRow("data_batch_1.bin.gz", "test_batch.bin", "cifar-10-batches-bin")]
    public void Cifar10IsReadUnderTheNamesItComes(string train, string test, string place)
    {
        using var folder = new TemporaryFolder();
        byte[] records = Cifar.Records(1, 3, labels: 1);
        Directory.CreateDirectory(folder[place]);
        File.WriteAllBytes(folder[Path.Combine(place, train)],
            train.EndsWith(".gz", StringComparison.Ordinal) ? Idx.Gzip(records) : records);
        File.WriteAllBytes(folder[Path.Combine(place, test)], Cifar.Records(2, 2, labels: 1));
        var data = ImageFolder.Load(folder.Path, ImageFolder.UsualTransform(folder.Path), new Shape(3, 32, 32));
        Assert.AreEqual((3, 2), (data.Train.Count, data.Test.Count));
        Assert.AreEqual(ImageTransform.Cifar10, data.Train.Transform);
    }

    /// <summary>A record is a coarse label, a fine one, which is the class, and the pixels.</summary>
    [TestMethod]
    public void Cifar100IsReadByItsFineLabels()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["cifar-100-binary"]);
        byte[] train = Cifar.Records(1, 3, labels: 2), test = Cifar.Records(2, 2, labels: 2);
        (train[3074], train[3075], test[1]) = (19, 99, 42);
        folder.Write("cifar-100-binary/train.bin", train);
        folder.Write("cifar-100-binary/test.bin", test);
        folder.Write("cifar-100-binary/fine_label_names.txt", []);
        var data = ImageFolder.Load(folder.Path, ImageFolder.UsualTransform(folder.Path), new Shape(3, 32, 32));
        Assert.AreEqual((100, 99, 42), (data.Classes, data.Train.Label(1), data.Test.Label(0)));
        Assert.AreEqual(ImageTransform.Cifar100, data.Train.Transform);
        var pixels = data.Train.Take([1]).Images.ToTensor();
        Assert.AreEqual(ImageTransform.Cifar100.Normalize(train[3074 + 2 + 32 * 32 + 5 * 32 + 7]), pixels[0, 1, 5, 7]);
        test[1] = 100;
        folder.Write("cifar-100-binary/test.bin", test);
        Failure.Of<DataException>(() => ImageFolder.LoadTest(folder.Path, Plain), "test.bin", "label 100", "0 to 99");
        folder.Write("cifar-100-binary/test.bin", test[..^1]);
        Failure.Of<DataException>(() => ImageFolder.LoadTest(folder.Path, Plain), "test.bin", "CIFAR-100 records have 3074");
    }

    /// <summary>The network decides which data set of a folder is read, and which is asked for.</summary>
    [TestMethod]
    public void TheNetworksInputDecides()
    {
        using var folder = new TemporaryFolder();
        WriteIdx(folder, "");
        folder.Write("data_batch_1.bin", Cifar.Records(1, 3, labels: 1));
        folder.Write("test_batch.bin", Cifar.Records(2, 2, labels: 1));
        Assert.AreEqual(6, ImageFolder.Load(folder.Path, Plain, new Shape(1, 32, 32)).Train.Count);
        Assert.AreEqual(3, ImageFolder.Load(folder.Path, Plain, new Shape(3, 32, 32)).Train.Count);

        using var empty = new TemporaryFolder();
        empty.Write("notes.txt", []);
        var grey = Failure.Of<DataException>(() => ImageFolder.Load(empty.Path, Plain, new Shape(1, 32, 32)),
            "one channel, [1, 32, 32]", "train-images-idx3-ubyte", "Found: notes.txt");
        Assert.DoesNotContain("CIFAR", grey.Message);
        var colour = Failure.Of<DataException>(() => ImageFolder.Load(empty.Path, Plain, new Shape(3, 32, 32)),
            "three channels, [3, 32, 32]", "data_batch_1.bin", "train.bin", "notes.txt");
        Assert.DoesNotContain("idx3", colour.Message);
        Failure.Of<DataException>(() => ImageFolder.Load(empty.Path, Plain, new Shape(784)), "idx3", "data_batch_1.bin", "takes [784]");
        Failure.Of<DataException>(() => ImageFolder.UsualTransform(empty.Path), "idx3", "data_batch_1.bin");
    }

    [TestMethod]
    public void SeveralDataSetsAreListed()
    {
        using var folder = new TemporaryFolder();
        WriteIdx(folder, "MNIST/raw");
        WriteIdx(folder, "FashionMNIST/raw");
        Failure.Of<DataException>(() => ImageFolder.Load(folder.Path, Plain), "several data sets: FashionMNIST/raw, MNIST/raw");
        WriteIdx(folder, ""); // the folder's own files come first
        Assert.IsEmpty(ImageFolder.Load(folder.Path, Plain).Notes);
        using var emnist = new TemporaryFolder();
        foreach (string set in new[] { "digits", "letters" })
        {
            var names = Idx.DataSet().Keys.Select(name => $"emnist-{set}-{name.Replace("t10k", "test", StringComparison.Ordinal)}");
            WriteIdx(emnist, "gzip", [.. names]);
        }
        Failure.Of<DataException>(() => ImageFolder.Load(emnist.Path, Plain), "several data sets: gzip/emnist-digits, gzip/emnist-letters");
    }

    /// <summary>Each file in a folder of its own, as some archives have it, or a folder for each part.</summary>
    [TestMethod]
    [DataRow("train-images-idx3-ubyte/", "train-labels-idx1-ubyte/", "t10k-images-idx3-ubyte/", "t10k-labels-idx1-ubyte/")]
    [DataRow("train/", "train/", "test/", "test/")]
    public void FilesInFoldersOfTheirOwnAreOneDataSet(params string[] folders)
    {
        using var folder = new TemporaryFolder();
        foreach (var (place, (name, content)) in folders.Zip(Idx.DataSet()))
        {
            Directory.CreateDirectory(folder[place]);
            folder.Write(place + name, content);
        }
        var data = ImageFolder.Load(folder.Path, Plain);
        Assert.AreEqual((6, 3), (data.Train.Count, data.Test.Count));
        Assert.Contains("put together", data.Notes.Single());
    }

    [TestMethod]
    [DataRow("data_batch_1", "CIFAR-10's Python version", "cifar-10-binary.tar.gz", "cifar-10-batches-bin")]
    [DataRow("cifar-10-batches-py/test_batch", "CIFAR-10's Python version", "cifar-10-binary.tar.gz")]
    [DataRow("data_batch_1.mat", "CIFAR-10's MATLAB version", "cifar-10-binary.tar.gz")]
    [DataRow("cifar-100-python/train,cifar-100-python/meta", "CIFAR-100's Python version", "cifar-100-binary.tar.gz")]
    [DataRow("cifar-10-binary.tar.gz", "cifar-10-binary.tar.gz is not unpacked: tar -xf {0}/cifar-10-binary.tar.gz -C {0}")]
    [DataRow("my data/archive.zip", "archive.zip is not unpacked: unzip \"{0}/my data/archive.zip\" -d \"{0}/my data\"")]
    [DataRow("cat/1.png,cat/2.JPG,dog/1.jpeg", "holds pictures, such as cat/1.png (3 of them)", "which PictureFolder reads")]
    [DataRow("mnist.npz", "Found: mnist.npz")]
    [DataRow("a/b/c/train-images-idx3-ubyte", "Found: no files")]
    public void WhatIsNearlyADataSetIsNamed(string files, params string[] said)
    {
        using var folder = new TemporaryFolder();
        foreach (string file in files.Split(','))
        {
            Directory.CreateDirectory(Path.GetDirectoryName(folder[file])!);
            folder.Write(file, [0x80, 2]);
        }
        Failure.Of<DataException>(() => ImageFolder.Load(folder.Path, Plain),
            [.. said.Select(part => part.Replace("{0}", folder.Path, StringComparison.Ordinal))]);
    }

    [TestMethod]
    public void AFileInAFoldersPlaceIsNamed()
    {
        using var folder = new TemporaryFolder();
        folder.Write("cifar.tar.gz", []);
        folder.Write("train-images-idx3-ubyte", []);
        Failure.Of<DataException>(() => ImageFolder.Load(folder["cifar.tar.gz"], Plain), "is an archive, expected a folder: tar -xf");
        Failure.Of<DataException>(() => ImageFolder.Load(folder["train-images-idx3-ubyte"], Plain), "is empty, expected the folder");
        WriteIdx(folder, "x", [.. Idx.DataSet().Keys.Skip(1)]);
        Failure.Of<DataException>(() => ImageFolder.Load(folder["x"], Plain),
            "neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz", "it holds", "t10k-labels-idx1-ubyte");
    }

    [TestMethod]
    public void GzipFilesOfSeveralMembersAreRead()
    {
        using var folder = new TemporaryFolder();
        byte[] file = Idx.File([60, 10], Idx.Bytes(1, 600)), empty = Idx.Gzip([]);
        byte[] first = Idx.Gzip(file[..100]), second = Named(file[100..400]), third = Idx.Gzip(file[400..]);
        byte[] members = [.. first, .. empty, .. second, .. third];
        CollectionAssert.AreEqual(file[12..], IdxFile.Read(folder.Write("a.gz", members)).Data.ToArray());
        CollectionAssert.AreEqual(file, GzipFile.ReadBytes(folder.Write("a.gz", [.. members, .. empty])));
        CollectionAssert.AreEqual(file, GzipFile.ReadBytes(folder.Write("a.gz", [.. members, 0, 0, 0])));
        Failure.Of<DataException>(() => GzipFile.ReadBytes(folder.Write("a.gz", [.. members, 1])), "a.gz", "cut short or damaged");
        int end1 = first.Length, end2 = end1 + empty.Length, end3 = end2 + second.Length;
        for (int length = 2; length < members.Length; length++)
        {
            // A file that ends behind a member is a whole one; the IDX header then tells that bytes are missing.
            if (length == end1 || length == end2 || length == end3) continue;
            Assert.ThrowsExactly<DataException>(() => GzipFile.ReadBytes(folder.Write("cut.gz", members[..length])),
                $"{length} of {members.Length} bytes");
        }
        for (int bit = 16; bit < 8 * members.Length; bit++) // without the first two bytes it is no gzip file
        {
            byte[] flipped = [.. members];
            flipped[bit / 8] ^= (byte)(1 << bit % 8);
            string path = folder.Write("flipped.gz", flipped);
            try { CollectionAssert.AreEqual(file, GzipFile.ReadBytes(path), $"bit {bit}"); }
            catch (DataException) { }
        }
    }

    /// <summary>gzip's own program on the path writes the same form.</summary>
    [TestMethod]
    public void GzipsOwnMembersAreRead()
    {
        string gzip = Tool.Require("gzip");
        using var folder = new TemporaryFolder();
        byte[] file = Idx.File([50_000, 10], Idx.Bytes(1, 500_000));
        folder.Write("a", file[..200_000]);
        folder.Write("b", file[200_000..]);
        Assert.AreEqual(0, Tool.Run(gzip, folder.Path, "a", "b").Code);
        CollectionAssert.AreEqual(file, GzipFile.ReadBytes(folder.Write("c.gz",
            [.. File.ReadAllBytes(folder["a.gz"]), .. File.ReadAllBytes(folder["b.gz"])])));
    }

    // A member whose header has a name, a comment, extra bytes and a checksum of its own.
    private static byte[] Named(byte[] content)
    {
        byte[] plain = Idx.Gzip(content);
        byte[] header = [0x1F, 0x8B, 8, 0x1F, .. plain[4..10], 3, 0, 1, 2, 3, .. "name\0"u8, .. "comment\0"u8];
        uint crc = Crc32.Of(header);
        return [.. header, (byte)crc, (byte)(crc >> 8), .. plain[10..]];
    }

    private static void WriteIdx(TemporaryFolder folder, string place, params string[] names)
    {
        Directory.CreateDirectory(folder[place]);
        var files = Idx.DataSet();
        string[] usual = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];
        if (names.Length == 0) names = usual;
        foreach (var (name, content) in names.Zip(usual[^names.Length..]))
            folder.Write(Path.Combine(place, name),
                name.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? Idx.Gzip(files[content]) : files[content]);
    }
}

/// <summary>Records of CIFAR's binary files.</summary>
internal static class Cifar
{
    /// <summary>Random pixels behind labels of 0 to 9, one or two to a record.</summary>
    public static byte[] Records(int seed, int count, int labels)
    {
        int record = labels + 3072;
        var bytes = new byte[count * record];
        new Random(seed).NextBytes(bytes);
        for (int n = 0; n < count; n++)
            for (int label = 0; label < labels; label++) bytes[n * record + label] = (byte)(n % 10);
        return bytes;
    }
}
