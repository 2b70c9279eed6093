// The TorchSharp peer of `bench`: four small networks, trained and run on request, one JSON line in and one out. `bench --torchsharp`
// builds it in the user's cache, as peer.cs. The first line out says the versions. Then, until standard input ends:
//
//   {"do": "load", "network": "vgg", "file": "vgg.safetensors"}   ->  {"parameters": 22}
//       The network to train and run: its starting weights under the names of its state dict after "net.", "images" [N, C, H, W], and
//       "labels" [N]. They must be all the network's, and no more.
//   {"do": "epoch", "batch": 128, "threads": 2}   ->  {"seconds": 0.21, "losses": [2.4, 2.3, …]}
//       All batches once, in the file's order: per step index_select, zero_grad, forward, cross_entropy, backward, SGD(0.03, momentum 0.9).
//       Seconds of a step, the mean over all. The network of a number of threads is kept and goes on.
//   {"do": "infer", "batch": 32, "threads": 2, "seconds": 0.04}   ->  {"seconds": 0.0011, "outputs": [0.1, …]}
//       Seconds of one forward of the starting weights on the first images, in inference and evaluation mode: the mean over as many as fit
//       in the time, after a warm-up.
//   {"do": "memory", "network": "resnet20", "batch": 128, "threads": 2, "steps": 4}   ->  {"startBytes": 160000000, "peakBytes": 530000000}
//       The resident set before the network is built, with the libraries loaded, and the largest once so many steps are done.
//
// Numbers that are not finite are null. Anything that goes wrong is one line {"error": …} and the end.
#:package TorchSharp@0.107.0
#:package libtorch-cpu-$(NETCoreSdkPortableRuntimeIdentifier)@2.10.0
#:property PublishAot=false
#:property Nullable=enable
#:property InvariantGlobalization=true
#:property ConcurrentGarbageCollection=false
using System.Buffers.Binary;
using System.Diagnostics;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

try
{
    // Says in a line why it cannot be loaded, where TorchSharp says pages.
    NativeLibrary.Load("LibTorchSharp", typeof(torch).Assembly, null);
    using (var ones = torch.ones(8, 8)) ones.mm(ones).Dispose();
    Say(new JsonObject { ["torchSharp"] = Version(typeof(torch)), ["libtorch"] = torch.__version__ });
    var peer = new Peer();
    while (Console.ReadLine() is { } line)
    {
        var request = JsonNode.Parse(line)!.AsObject();
        string Text(string key) => (string?)request[key] ?? throw new ArgumentException($"no {key} in {line}");
        int Number(string key) => (int?)request[key] ?? throw new ArgumentException($"no {key} in {line}");
        Say(Text("do") switch
        {
            "load" => peer.Load(Text("network"), Text("file")),
            "epoch" => peer.Epoch(Number("batch"), Number("threads")),
            "infer" => peer.Infer(Number("batch"), Number("threads"), (double?)request["seconds"] ?? 0),
            "memory" => Peer.Memory(Text("network"), Number("batch"), Number("threads"), Number("steps")),
            _ => throw new ArgumentException($"cannot do {line}"),
        });
    }
    return 0;
}
catch (Exception e)
{
    Say(new JsonObject { ["error"] = e.Message });
    return 1;
}

static void Say(JsonObject answer) => Console.WriteLine(answer.ToJsonString());

static string Version(Type type) =>
    type.Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "unknown";

/// <summary>The network that was loaded last: its starting weights, its data, and what of it is in training, by the number of
/// threads.</summary>
internal sealed class Peer
{
    private readonly Dictionary<int, Training> training = [];
    private string network = "";
    private Dictionary<string, Tensor> file = [];

    public JsonObject Load(string name, string path)
    {
        training.Clear();
        foreach (var tensor in file.Values) tensor.Dispose();
        (network, file) = (name, SafeTensors.Read(path));
        return new JsonObject { ["parameters"] = Build().parameters().Count() };
    }

    public JsonObject Epoch(int batch, int threads)
    {
        set_num_threads(threads);
        if (!training.TryGetValue(threads, out var run)) training.Add(threads, run = new Training(Build(), file["images"], file["labels"]));
        var (seconds, losses) = run.Epoch(batch);
        return new JsonObject { ["seconds"] = seconds, ["losses"] = Numbers(losses) };
    }

    public JsonObject Infer(int batch, int threads, double least)
    {
        set_num_threads(threads);
        using var scope = NewDisposeScope();
        using var mode = inference_mode();
        var net = Build();
        net.eval();
        var images = file["images"].narrow(0, 0, batch).contiguous();
        var outputs = Numbers(net.forward(images).data<float>());
        void Forward()
        {
            using var inner = NewDisposeScope();
            net.forward(images);
        }
        for (int run = 0; run < 3; run++) Forward();
        long began = Stopwatch.GetTimestamp(), runs = 0;
        do
        {
            Forward();
            runs++;
        }
        while (Stopwatch.GetElapsedTime(began).TotalSeconds < least);
        return new JsonObject { ["seconds"] = Stopwatch.GetElapsedTime(began).TotalSeconds / runs, ["outputs"] = outputs };
    }

    public static JsonObject Memory(string name, int batch, int threads, int steps)
    {
        set_num_threads(threads);
        using var process = Process.GetCurrentProcess();
        long start = process.WorkingSet64;
        using var images = randn(batch, 3, 32, 32);
        using var labels = zeros(batch, dtype: ScalarType.Int64);
        var run = new Training(Networks.Build(name), images, labels);
        for (int step = 0; step < steps; step++) run.Epoch(batch);
        process.Refresh();
        return new JsonObject { ["startBytes"] = start, ["peakBytes"] = process.PeakWorkingSet64 };
    }

    /// <summary>The network with its starting weights, every one of them from the file.</summary>
    private Module<Tensor, Tensor> Build()
    {
        const string prefix = "net.";
        var net = Networks.Build(network);
        var given = file.Keys.Where(name => name.StartsWith(prefix, StringComparison.Ordinal)).ToHashSet();
        using var _ = no_grad();
        foreach (var (name, parameter) in net.named_parameters())
        {
            if (!given.Remove(prefix + name)) throw new ArgumentException($"{network}: there are no starting weights of {name}");
            var value = file[prefix + name];
            if (!value.shape.SequenceEqual(parameter.shape)) throw new ArgumentException(
                $"{network}: {name} is [{string.Join(", ", value.shape)}], expected [{string.Join(", ", parameter.shape)}]");
            parameter.copy_(value);
        }
        if (given.Count > 0) throw new ArgumentException($"{network}: there is no parameter {string.Join(", ", given.Order())}");
        return net;
    }

    private static JsonArray Numbers(IEnumerable<float> values) => [.. values.Select(x => float.IsFinite(x) ? JsonValue.Create(x) : null)];
}

/// <summary>A network in training.</summary>
internal sealed class Training(Module<Tensor, Tensor> net, Tensor images, Tensor labels)
{
    private readonly torch.optim.Optimizer optimizer = torch.optim.SGD(net.parameters(), 0.03, momentum: 0.9);

    public (double SecondsPerStep, float[] Losses) Epoch(int batch)
    {
        var batches = new List<Tensor>();
        for (long start = 0; start + batch <= images.shape[0]; start += batch) batches.Add(arange(start, start + batch));
        var losses = new float[batches.Count];
        long began = Stopwatch.GetTimestamp();
        for (int step = 0; step < losses.Length; step++) losses[step] = Step(batches[step]);
        double seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        foreach (var indices in batches) indices.Dispose();
        return (seconds / losses.Length, losses);
    }

    private float Step(Tensor indices)
    {
        using var scope = NewDisposeScope();
        optimizer.zero_grad();
        var loss = functional.cross_entropy(net.forward(images.index_select(0, indices)), labels.index_select(0, indices));
        loss.backward();
        optimizer.step();
        return loss.ToSingle();
    }
}

/// <summary>The networks of bench, under the same names.</summary>
internal static class Networks
{
    public static Module<Tensor, Tensor> Build(string name) => name switch
    {
        "lenet" => LeNet(),
        "vgg" => Vgg(),
        "resnet20" => ResNet20(),
        "mobilenet" => MobileNet(),
        _ => throw new ArgumentException($"there is no network {name}"),
    };

    private static Module<Tensor, Tensor> LeNet() => Sequential(
        ("conv1", Conv2d(1, 6, 5)), ("relu1", ReLU()), ("pool1", MaxPool2d(2)),
        ("conv2", Conv2d(6, 16, 5)), ("relu2", ReLU()), ("pool2", MaxPool2d(2)), ("flatten", Flatten()),
        ("fc1", Linear(400, 120)), ("relu3", ReLU()), ("fc2", Linear(120, 84)), ("relu4", ReLU()), ("fc3", Linear(84, 10)));

    /// <summary>A convolution that keeps the size but for its stride, batch norm after it, and what follows.</summary>
    public static Module<Tensor, Tensor> Normalized(
        int channels, int filters, int kernel = 3, int stride = 1, int groups = 1, bool relu = true)
    {
        Module<Tensor, Tensor> conv =
            Conv2d(channels, filters, kernel, stride: stride, padding: kernel / 2, groups: groups, bias: false),
            norm = BatchNorm2d(filters);
        return relu ? Sequential(conv, norm, ReLU()) : Sequential(conv, norm);
    }

    private static Module<Tensor, Tensor> Vgg() => Sequential(
        Normalized(3, 32), Normalized(32, 32), MaxPool2d(2), Normalized(32, 64), Normalized(64, 64), MaxPool2d(2),
        Flatten(), Linear(64 * 8 * 8, 256), ReLU(), Linear(256, 10));

    private static Module<Tensor, Tensor> ResNet20() => Sequential(
        Normalized(3, 16),
        new Block(16, 16, 1), new Block(16, 16, 1), new Block(16, 16, 1),
        new Block(16, 32, 2), new Block(32, 32, 1), new Block(32, 32, 1),
        new Block(32, 64, 2), new Block(64, 64, 1), new Block(64, 64, 1),
        AdaptiveAvgPool2d(1), Flatten(), Linear(64, 10));

    private static Module<Tensor, Tensor> MobileNet()
    {
        var layers = new List<Module<Tensor, Tensor>> { Normalized(3, 32) };
        foreach (var (channels, filters, stride) in new[] { (32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1) })
        {
            layers.Add(Normalized(channels, channels, 3, stride, channels));
            layers.Add(Normalized(channels, filters, 1));
        }
        return Sequential([.. layers, AdaptiveAvgPool2d(1), Flatten(), Linear(256, 10)]);
    }
}

/// <summary>y = ReLU(F(x) + x), the skip by a 1×1 convolution where the size changes.</summary>
internal sealed class Block : Module<Tensor, Tensor>
{
    private readonly Module<Tensor, Tensor> first, second;
    private readonly Module<Tensor, Tensor>? skip;

    public Block(int channels, int filters, int stride) : base(nameof(Block))
    {
        first = Networks.Normalized(channels, filters, stride: stride);
        second = Networks.Normalized(filters, filters, relu: false);
        if (stride != 1 || channels != filters) skip = Networks.Normalized(channels, filters, 1, stride, relu: false);
        RegisterComponents();
    }

    public override Tensor forward(Tensor x) => functional.relu(second.forward(first.forward(x)) + (skip is null ? x : skip.forward(x)));
}

/// <summary>The safetensors format: the header's length, the header as JSON, the elements.</summary>
internal static class SafeTensors
{
    public static Dictionary<string, Tensor> Read(string path)
    {
        byte[] bytes = File.ReadAllBytes(path);
        int elements = 8 + (int)BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        var tensors = new Dictionary<string, Tensor>();
        foreach (var (name, entry) in JsonNode.Parse(bytes.AsSpan(8, elements - 8))!.AsObject())
        {
            if (name == "__metadata__") continue;
            long[] shape = [.. entry!["shape"]!.AsArray().Select(size => (long)size!)];
            var stored = bytes.AsSpan((elements + (int)entry["data_offsets"]![0]!)..(elements + (int)entry["data_offsets"]![1]!));
            tensors.Add(name, (string)entry["dtype"]! switch
            {
                "F32" => tensor(MemoryMarshal.Cast<byte, float>(stored).ToArray()).reshape(shape),
                "I64" => tensor(MemoryMarshal.Cast<byte, long>(stored).ToArray()).reshape(shape),
                var other => throw new ArgumentException($"{path}: {name} is {other}, expected F32 or I64"),
            });
        }
        return tensors;
    }
}
