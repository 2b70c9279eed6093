using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Damaged state dicts of PyTorch, old and new, and of safetensors, and damaged checkpoints.</summary>
internal static class StateFuzz
{
    private const int MostEpochs = 1000;

    private static readonly Lazy<Module> Network = new(NewNetwork);

    private static readonly Lazy<Dataset> Samples = new(() =>
        new TensorDataset(new Tensor(new Shape(8, 2), Values.Uniform(1, 16)), Values.Labels(2, 8, 3)));

    private static Sequential NewNetwork() => [new Linear(2, 3, generator: new Generator(1))];

    private static readonly Lazy<byte[]> Saved = new(MakeSaved);

    public static IEnumerable<FuzzFormat> Formats =>
        [new("pth", MakePth, ReadPth), new("safetensors", MakeSafeTensors, ReadSafeTensors), new("checkpoint", MakeCheckpoint,
            ReadCheckpoint)];

    // ---- .pth ----

    // What a pickle does, one operation or a few: in any order they are a pickle that is walked for a while.
    private static readonly string[] Operations =
    [
        "(", "}", "]", ")", "t", "u", "s", "e", "a", "0", "1", "2", "N", "\u0088", "\u0089", "\u0085", "\u0086", "\u0087", "\u008F",
            "\u0090",
        "\u0091", "R", "b", "Q", "q\0", "h\0", "q\u0001", "h\u0001", "\u0094", "\u0081", "\u0092", "\u0093", "K\u0007", "M\u0001\u0002",
        "\u008A\u0002\u0001\u0002", "\u008A\0", "\u008B\u0004\0\0\0\u0001\u0002\u0003\u0004", "G@\0\0\0\0\0\0\0", "U\u0002ab", "C\u0002ab",
        "B\u0002\0\0\0ab", "\u008C\u0003w.1", "ccollections\nOrderedDict\n", "ccollections\nOrderedDict\n)R", "ctorch\nFloatStorage\n",
        "ctorch._utils\n_rebuild_tensor_v2\n", "ctorch._utils\n_rebuild_parameter\n", "ctorch._tensor\n_rebuild_from_type_v2\n",
        "ctorch.storage\nUntypedStorage\n", "c__main__\nNet\n", ".",
    ];

    private static byte[] MakePth(Generator g)
    {
        int kind = g.Next(3);
        string pickle = kind switch
        {
            0 => Encoding.Latin1.GetString(new PickleWriter().Write(States.Small()))[2..],
            1 => $"}}({Pth.Text("state_dict")}{OneTensor(g)[..^1]}{Pth.Text("epoch")}K\u0001u.",
            _ => OneTensor(g),
        };
        byte[] operations = Pth.Pickle(g.OneIn(4) ? pickle : Changed(pickle, g));
        // The tensors' own storages, or ones of any size.
        int Size(int usual) => g.OneIn(8) ? g.Next(40) : usual;
        byte[] file = g.OneIn(4) ? Legacy(operations, g) : Pth.Of(operations, ("byteorder", Encoding.ASCII.GetBytes("little")),
            ("data/0", new byte[Size(kind == 0 ? 24 : 16)]), ("data/1", new byte[Size(8)]), ("data/2", new byte[Size(8)]));
        return g.OneIn(3) ? Damage.Bytes(file, g) : file;
    }

    private static string OneTensor(Generator g)
    {
        int Number(int usual) => g.OneIn(8) ? unchecked((int)g.Pick(Damage.Numbers)) : usual;
        if (!g.OneIn(3)) return Pth.OneTensor();
        string[] types = ["FloatStorage", "LongStorage", "HalfStorage", "BFloat16Storage", "DoubleStorage", "BoolStorage", "ByteStorage",
            "QInt8Storage"];
        return Pth.OneTensor(g.Pick(types), Number(4), Number(0), $"{Number(2)},{Number(2)}", $"{Number(2)},{Number(1)}",
            g.OneIn(9) ? "7" : "0");
    }

    /// <summary>Operations put in, taken out or put elsewhere.</summary>
    private static string Changed(string pickle, Generator g)
    {
        for (int changes = 1 + g.Next(3); changes > 0; changes--)
        {
            int at = g.Next(pickle.Length), length = g.Next(Math.Min(pickle.Length - at, 12));
            pickle = g.Next(3) switch
            {
                0 => pickle.Remove(at, length),
                1 => pickle.Insert(at, string.Concat(Enumerable.Repeat(g.Pick(Operations), g.OneIn(30) ? 12_000 : 1))),
                _ => pickle.Insert(g.Next(pickle.Length), pickle.Substring(at, length)),
            };
        }
        return pickle;
    }

    private static byte[] Legacy(byte[] content, Generator g)
    {
        byte[] storages = new byte[8 + 16];
        BinaryPrimitives.WriteInt64LittleEndian(storages, g.OneIn(4) ? g.Pick(Damage.Numbers) : 4);
        return [.. Pth.Pickle("\u008A\u000A\u006C\u00FC\u009C\u0046\u00F9\u0020\u006A\u00A8\u0050\u0019."), .. Pth.Pickle("M\u00E9\u0003."),
            .. Pth.Pickle($"}}({Pth.Text("protocol_version")}M\u00E9\u0003{Pth.Text("little_endian")}\u0088u."), .. content,
            .. Pth.Pickle($"]({Pth.Text("0")}e."), .. storages];
    }

    private static void ReadPth(FuzzInput input) => PyTorchFile.Read(input.Bytes, Options(input.Generator));

    private static StateReadOptions Options(Generator g) => new()
    {
        Key = g.OneIn(4) ? "state_dict" : null,
        AllowNonFinite = g.OneIn(2),
        Network = g.OneIn(4) ? Network.Value : null,
    };

    // ---- safetensors ----

    private static byte[] MakeSafeTensors(Generator g)
    {
        byte[] file = SafeTensors.ToBytes(g.OneIn(2) ? States.Small() : States.Varied(),
            new Dictionary<string, string> { ["format"] = "pt" });
        if (!g.OneIn(4)) file = WithHeader(file, g);
        return g.OneIn(3) ? Damage.Bytes(file, g) : file;
    }

    /// <summary>Another header, of the length that it states.</summary>
    private static byte[] WithHeader(byte[] file, Generator g)
    {
        int length = (int)BinaryPrimitives.ReadInt64LittleEndian(file);
        string json = Encoding.UTF8.GetString(file, 8, length);
        if (g.OneIn(2))
        {
            var root = JsonNode.Parse(json)!;
            Damage.Json(root, g);
            json = root.ToJsonString();
        }
        if (g.OneIn(2)) json = Damage.Text(json, g);
        return SafeTensorsTests.File(json, file[(8 + length)..]);
    }

    private static void ReadSafeTensors(FuzzInput input)
    {
        SafeTensors.Read(input.Bytes, Options(input.Generator));
        SafeTensors.ReadMetadata(input.Folder.Write("damaged", input.Bytes));
    }

    // ---- checkpoints ----

    private static byte[] MakeSaved()
    {
        using var folder = new TemporaryFolder();
        new Recipe { Epochs = 2, BatchSize = 4 }.Fit(NewNetwork(), Samples.Value,
            new CheckpointWriter(folder["c"]) { Every = TimeSpan.Zero });
        return File.ReadAllBytes(folder["c"]);
    }

    private static byte[] MakeCheckpoint(Generator g)
    {
        byte[] file = g.OneIn(4) ? Saved.Value : WithHeader(Saved.Value, g);
        if (g.OneIn(3)) file = Damage.Bytes(file, g);
        // Else the checksum would find nearly all of it.
        bool hasChecksum = file.AsSpan().IndexOf("\"sha256\":\""u8) is >= 0 and var at && at + 100 < file.Length;
        if (hasChecksum && !g.OneIn(8)) FileChecksum.Write(file = [.. file]);
        return file;
    }

    /// <summary>What is loaded is taken up too, by a run that stops at once.</summary>
    private static void ReadCheckpoint(FuzzInput input)
    {
        var checkpoint = Checkpoint.Load(input.Folder.Write("damaged", input.Bytes));
        if (checkpoint.Epochs > MostEpochs) return;
        using var stopped = new CancellationTokenSource();
        stopped.Cancel();
        new Recipe { Epochs = checkpoint.Epochs, BatchSize = checkpoint.BatchSize, Seed = checkpoint.Seed }
            .Fit(NewNetwork(), Samples.Value, checkpoint, null, stopped.Token);
    }
}
