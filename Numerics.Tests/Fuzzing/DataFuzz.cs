using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;
using OnnxLeNet.Scripts.Runs;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Damaged data sets, pictures, lists of pictures, and folders of runs.</summary>
internal static class DataFuzz
{
    private const int CifarRecord = 1 + 3 * 32 * 32, MostSide = 64;

    /// <summary>Reads a folder of sound files, of which one is damaged.</summary>
    private static void Among(FuzzInput input, IReadOnlyCollection<KeyValuePair<string, byte[]>> files, string damaged, byte[] bytes,
        Action read)
    {
        foreach (var (name, sound) in files)
            if (!File.Exists(input.Folder[name])) input.Folder.Write(name, sound);
        input.Folder.Write(damaged, bytes);
        try { read(); }
        finally { File.Delete(input.Folder[damaged]); }
    }

    public static IEnumerable<FuzzFormat> Formats =>
    [
        new("idx", MakeIdx, ReadIdx), new("cifar", MakeCifar, ReadCifar), new("picture", MakePicture, ReadPicture),
        new("list", MakeList, ReadList), new("run", MakeRun, ReadRun),
    ];

    private static readonly KeyValuePair<string, byte[]>[] IdxFiles = [.. Idx.DataSet()];

    /// <summary>The number of one of the four files, then the file.</summary>
    private static byte[] MakeIdx(Generator g)
    {
        int number = g.Next(IdxFiles.Length);
        byte[] file = IdxFiles[number].Value;
        if (g.OneIn(4))
        {
            uint[] sizes = [.. Enumerable.Range(0, g.Next(5)).Select(_ => (uint)g.Next(7))];
            file = Idx.File(sizes, Idx.Bytes(g.Next(1000), (int)sizes.Aggregate(1L, (a, b) => a * b), 3));
        }
        if (g.OneIn(2)) file = Damage.Bytes(file, g);
        // Damaged before or after it is packed, or in two parts one behind the other.
        if (g.OneIn(3)) file = g.OneIn(4) ? [.. Idx.Gzip(file[..(file.Length / 2)]),
            .. Idx.Gzip(file[(file.Length / 2)..])] : Idx.Gzip(file);
        return [(byte)number, .. g.OneIn(2) ? Damage.Bytes(file, g) : file];
    }

    private static void ReadIdx(FuzzInput input)
    {
        Among(input, IdxFiles, IdxFiles[input.Bytes[0]].Key, input.Bytes[1..], () =>
        {
            var data = ImageFolder.Load(input.Folder.Path, ImageTransform.Mnist);
            data.Train.Gather([0], new Batch(1, data.Train.Sample), new int[1]);
        });
    }

    private static byte[] MakeCifar(Generator g)
    {
        byte[] records = Idx.Bytes(g.Next(1000), (1 + g.Next(2)) * CifarRecord, g.OneIn(2) ? 10 : 256);
        records[0] = (byte)g.Next(12);
        return g.OneIn(3) ? records : Damage.Bytes(g.OneIn(4) ? Idx.Gzip(records) : records, g);
    }

    private static readonly KeyValuePair<string, byte[]>[] CifarFiles =
        [new("data_batch_1.bin", Idx.Bytes(1, CifarRecord, 10)), new("test_batch.bin", Idx.Bytes(2, CifarRecord, 10))];

    private static void ReadCifar(FuzzInput input) => Among(input, CifarFiles, input.Generator.Pick(CifarFiles).Key, input.Bytes,
        () => ImageFolder.Load(input.Folder.Path, ImageTransform.Cifar10));

    private static byte[] MakePicture(Generator g)
    {
        var (name, whole) = g.Pick(Pictures.Golden.Where(file => !file.Key.EndsWith(".raw", StringComparison.Ordinal))
            .OrderBy(file => file.Key, StringComparer.Ordinal).ToList());
        byte[] bytes = Damage.Bytes(whole, g);
        // Else nearly every damage of a PNG file would be found by its checksums.
        if (name.EndsWith(".png", StringComparison.Ordinal) && !g.OneIn(5)) PictureDamageTests.FixChecksums(bytes);
        return bytes;
    }

    private static void ReadPicture(FuzzInput input)
    {
        var g = input.Generator;
        var background = new Rgb((byte)g.Next(256), (byte)g.Next(256), (byte)g.Next(256));
        var picture = Picture.Load(new MemoryStream(input.Bytes), "damaged", background);
        picture.Resize((1 + g.Next(MostSide), 1 + g.Next(MostSide)), (Fit)g.Next(3), background).ToGrey().ToColour();
    }

    private static byte[] MakeList(Generator g)
    {
        string csv = "path,label,split\na.png,cat,train\n\"b,\"\"c\"\".png\",dog,val\nd/e.png,cat,test\n";
        string lines = """
            {"path": "a.png", "label": "cat"}
            {"file": "b.png", "class": "dog", "split": "val"}

            """;
        bool isCsv = g.OneIn(2);
        byte[] text = Encoding.UTF8.GetBytes(Damage.Text(isCsv ? csv : lines, g));
        return [(byte)(isCsv ? 0 : 1), .. g.OneIn(5) ? Damage.Bytes(text, g) : text];
    }

    private static void ReadList(FuzzInput input) =>
        PictureList.Read(input.Folder.Write(input.Bytes[0] == 0 ? "list.csv" : "list.jsonl", input.Bytes[1..]));

    private static readonly Dictionary<string, string> Run = new()
    {
        ["settings.json"] = """
            {"version": 1, "started": "2026-01-02T03:04:05.0000000+00:00", "network": "lenet5", "command": "train", "options": {"seed": 1,
             "lr": 0.03}, "data": {"training": 480, "name": "mnist"}}
            """,
        ["state.json"] = """{"state": "running", "process": 1, "processStarted": "2026-01-02T03:04:05.0000000+00:00"}""",
        ["environment.json"] = """{"threads": 2, "system": "Linux"}""",
        ["epochs.jsonl"] = """
            {"epoch": 1, "step": 8, "trainLoss": 0.5, "testLoss": 0.4, "testAccuracy": 0.9, "seconds": 1.5, "imagesPerSecond": 320}
            {"epoch": 2, "step": 16, "trainLoss": 0.25, "validationLoss": 0.4, "validationAccuracy": 0.9, "seconds": 1.25}

            """,
        ["steps.jsonl"] = """
            {"step": 1, "epoch": 1, "loss": 2.3, "learningRate": 0.03, "seconds": 0.1}
            {"step": 2, "epoch": 1, "loss": 2.2, "learningRate": 0.02, "seconds": 0.2}

            """,
        ["result.json"] = """{"loss": [0.5, 0.25], "accuracy": 0.9}""",
    };

    private static readonly KeyValuePair<string, byte[]>[] SoundRun =
        [.. Run.Select(file => new KeyValuePair<string, byte[]>(file.Key, Encoding.UTF8.GetBytes(file.Value)))];

    private static readonly string[] RunFiles = [.. Run.Keys.Order(StringComparer.Ordinal)];

    private static byte[] MakeRun(Generator g)
    {
        int file = g.Next(RunFiles.Length);
        string text = Run[RunFiles[file]];
        if (!g.OneIn(3))
        {
            string[] lines = text.Split('\n',
                RunFiles[file].EndsWith('l') ? StringSplitOptions.RemoveEmptyEntries : StringSplitOptions.None);
            string[] objects = RunFiles[file].EndsWith('l') ? lines : [text];
            int at = g.Next(objects.Length);
            var node = JsonNode.Parse(objects[at])!;
            Damage.Json(node, g);
            objects[at] = node.ToJsonString();
            text = string.Join('\n', objects) + "\n";
        }
        if (g.OneIn(3)) text = Damage.Text(text, g);
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        return [(byte)file, .. g.OneIn(10) ? Damage.Bytes(bytes, g) : bytes];
    }

    private static void ReadRun(FuzzInput input)
    {
        string damaged = RunFiles[input.Bytes[0]];
        Among(input, SoundRun, damaged, input.Bytes[1..], () =>
        {
            var run = RunFolder.read(input.Folder.Path);
            _ = (run.Text("command"), run.BestAccuracy, run.State.ToString());
            _ = (RunFolder.steps(input.Folder.Path), RunFolder.environment(input.Folder.Path));
            if (damaged.EndsWith('l') && input.Generator.OneIn(20)) RunFolder.cutLinesAfter(1, input.Folder[damaged]);
        });
    }
}
