using System.Globalization;
using System.Text.Json;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Reads Reference/torch_nn.json, which torch_nn.py beside it writes.</summary>
internal static class TorchNn
{
    private static readonly JsonElement Golden = Load();

    public static JsonElement Part(string name) => Golden.GetProperty(name);

    /// <summary>The cases of a part, each with a number and what it is.</summary>
    public static IEnumerable<string> Names(string part) => Part(part).EnumerateArray().Select((item, i) => $"{i} {Describe(item)}");

    public static JsonElement Case(string part, string name) => Part(part)[int.Parse(name.Split(' ')[0], CultureInfo.InvariantCulture)];

    public static double[] Numbers(JsonElement item, string name) =>
        [.. item.GetProperty(name).EnumerateArray().Select(number => number.GetDouble())];

    public static int[] Integers(JsonElement item, string name) =>
        [.. item.GetProperty(name).EnumerateArray().Select(number => number.GetInt32())];

    public static string?[] Texts(JsonElement item, string name) =>
        [.. item.GetProperty(name).EnumerateArray().Select(text => text.GetString())];

    public static Shape Shape(JsonElement item, string name) => new(Integers(item, name));

    public static Batch Batch(JsonElement item, string values, string shape) =>
        Numerics.Batch.FromTensor(new Tensor(Shape(item, shape), Numbers(item, values).ToFloat()));

    /// <summary>A module of PyTorch's name and options.</summary>
    public static Module Module(JsonElement item)
    {
        var o = new Options(item.GetProperty("options"));
        return item.GetProperty("type").GetString() switch
        {
            "Conv2d" => new Conv2d(o.Int("in_channels"), o.Int("out_channels"), o.Size("kernel_size")!.Value, o.Size("stride"),
                o.Size("padding"), o.Size("dilation"), o.Int("groups", 1), o.Bool("bias", true)),
            "Conv1d" => new Conv1d(o.Int("in_channels"), o.Int("out_channels"), o.Int("kernel_size"), o.Maybe("stride"), o.Maybe("padding"),
                o.Maybe("dilation"), o.Int("groups", 1), o.Bool("bias", true)),
            "ConvTranspose2d" => new ConvTranspose2d(o.Int("in_channels"), o.Int("out_channels"), o.Size("kernel_size")!.Value,
                o.Size("stride"), o.Size("padding"), o.Size("output_padding"), o.Int("groups", 1), o.Bool("bias", true),
                o.Size("dilation")),
            "MaxPool1d" =>
                new MaxPool1d(o.Int("kernel_size"), o.Maybe("stride"), o.Maybe("padding"), o.Maybe("dilation"), o.Bool("ceil_mode", false)),
            "AvgPool1d" => new AvgPool1d(o.Int("kernel_size"), o.Maybe("stride"), o.Maybe("padding"), o.Bool("ceil_mode", false),
                o.Bool("count_include_pad", true)),
            "AdaptiveAvgPool1d" => new AdaptiveAvgPool1d(o.Int("output_size")),
            "AdaptiveMaxPool2d" => new AdaptiveMaxPool2d(o.Size("output_size")!.Value),
            "Upsample" => new Upsample(o.Size("size"), o.Scale("scale_factor"), o.Mode, o.Bool("align_corners", false)),
            "ZeroPad2d" => new ZeroPad2d(o.Padding),
            "ConstantPad2d" => new ConstantPad2d(o.Padding, o.Double("value", 0)),
            "ReflectionPad2d" => new ReflectionPad2d(o.Padding),
            "ReplicationPad2d" => new ReplicationPad2d(o.Padding),
            "ChannelShuffle" => new ChannelShuffle(o.Int("groups")),
            "IndexSelect" => new IndexSelect(o.Int("dim"), o.Integers("index")),
            "Slice" => new Slice(o.Int("dim"), o.Maybe("start"), o.Maybe("end"), o.Int("step", 1)),
            "Linear" => new Linear(o.Int("in_features"), o.Int("out_features"), o.Bool("bias", true)),
            "MaxPool2d" => new MaxPool2d(o.Size("kernel_size")!.Value, o.Size("stride"), o.Size("padding"), o.Size("dilation"),
                o.Bool("ceil_mode", false)),
            "AvgPool2d" => new AvgPool2d(o.Size("kernel_size")!.Value, o.Size("stride"), o.Size("padding"), o.Bool("ceil_mode", false),
                o.Bool("count_include_pad", true)),
            "AdaptiveAvgPool2d" => new AdaptiveAvgPool2d(o.Size("output_size")!.Value),
            "BatchNorm1d" => new BatchNorm1d(o.Int("num_features"), o.Double("eps", 1e-5), o.Momentum, o.Bool("affine", true),
                o.Bool("track_running_stats", true)),
            "BatchNorm2d" => new BatchNorm2d(o.Int("num_features"), o.Double("eps", 1e-5), o.Momentum, o.Bool("affine", true),
                o.Bool("track_running_stats", true)),
            "LocalResponseNorm" => new LocalResponseNorm(o.Int("size"), o.Double("alpha", 1e-4), o.Double("beta", 0.75), o.Double("k", 1)),
            "ReduceMean" => new ReduceMean(o.Integers("dim"), o.Bool("keepdim", false)),
            "ReduceMax" => new ReduceMax(o.Integers("dim"), o.Bool("keepdim", false)),
            "ReduceSum" => new ReduceSum(o.Integers("dim"), o.Bool("keepdim", false)),
            "GroupNorm" => new GroupNorm(o.Int("num_groups"), o.Int("num_channels"), o.Double("eps", 1e-5), o.Bool("affine", true)),
            "LayerNorm" =>
                new LayerNorm(new Shape(o.Integers("normalized_shape")), o.Double("eps", 1e-5), o.Bool("elementwise_affine", true)),
            "InstanceNorm1d" => new InstanceNorm1d(o.Int("num_features"), o.Double("eps", 1e-5), o.Bool("affine", false)),
            "InstanceNorm2d" => new InstanceNorm2d(o.Int("num_features"), o.Double("eps", 1e-5), o.Bool("affine", false)),
            "ReLU" => new ReLU(o.Bool("inplace", false)),
            "Sigmoid" => new Sigmoid(),
            "Tanh" => new Tanh(),
            "GELU" => new GELU(),
            "LeakyReLU" => new LeakyReLU(o.Double("negative_slope", 0.01)),
            "Hardtanh" => new Hardtanh(o.Double("min_val", -1), o.Double("max_val", 1), o.Bool("inplace", false)),
            "ReLU6" => new ReLU6(o.Bool("inplace", false)),
            "Hardsigmoid" => new Hardsigmoid(),
            "Hardswish" => new Hardswish(),
            "SiLU" => new SiLU(o.Bool("inplace", false)),
            "Mish" => new Mish(o.Bool("inplace", false)),
            "ELU" => new ELU(o.Double("alpha", 1), o.Bool("inplace", false)),
            "SELU" => new SELU(o.Bool("inplace", false)),
            "Softplus" => new Softplus(o.Double("beta", 1), o.Double("threshold", 20)),
            "PReLU" => new PReLU(o.Int("num_parameters", 1), o.Double("init", 0.25)),
            "Softmax" => new Softmax(o.Int("dim")),
            "LogSoftmax" => new LogSoftmax(o.Int("dim")),
            "Dropout" => new Dropout(o.Double("p", 0.5), o.Bool("inplace", false)),
            "Flatten" => new Flatten(),
            var other => throw new InvalidDataException($"torch_nn.json has a layer {other}"),
        };
    }

    /// <summary>A loss of PyTorch's name and options.</summary>
    public static Loss Loss(JsonElement item)
    {
        var o = new Options(item.GetProperty("options"));
        var reduction = Enum.Parse<Reduction>(o.Text("reduction"), ignoreCase: true);
        return item.GetProperty("type").GetString() switch
        {
            "MSELoss" => new MSELoss(reduction),
            "L1Loss" => new L1Loss(reduction),
            "SmoothL1Loss" => new SmoothL1Loss(reduction, o.Double("beta", 1)),
            "BCEWithLogitsLoss" => new BCEWithLogitsLoss(reduction, o.Floats("pos_weight")),
            "BCELoss" => new BCELoss(reduction),
            "NLLLoss" => new NLLLoss(o.Floats("weight"), o.Int("ignore_index", ClassLoss.DefaultIgnoreIndex), reduction),
            "CrossEntropyLoss" => new CrossEntropyLoss(o.Floats("weight"), o.Int("ignore_index", ClassLoss.DefaultIgnoreIndex), reduction,
                o.Double("label_smoothing", 0)),
            var other => throw new InvalidDataException($"torch_nn.json has a loss {other}"),
        };
    }

    /// <summary>A state dict of <c>{name: {shape, values}}</c>; without axes and named for it, a number of batches.</summary>
    public static StateDict State(JsonElement tensors)
    {
        var state = new StateDict();
        foreach (var tensor in tensors.EnumerateObject())
        {
            if (tensor.Name.EndsWith("num_batches_tracked", StringComparison.Ordinal)) state.Add(tensor.Name,
                StateTensor.Of((long)Numbers(tensor.Value, "values")[0]));
            else state.Add(tensor.Name, new Tensor(Shape(tensor.Value, "shape"), Numbers(tensor.Value, "values").ToFloat()));
        }
        return state;
    }

    /// <summary>Forward and backward of every step: results, gradients and the buffers after it.</summary>
    public static void AssertSteps(Module module, JsonElement steps, double atol = 1e-6)
    {
        int number = 0;
        foreach (var step in steps.EnumerateArray())
        {
            string at = $"step {number++}";
            module.ZeroGrad();
            var y = module.Forward(Batch(step, "x", "xShape"));
            Assert.AreEqual(Shape(step, "yShape"), y.Sample.Prepend(y.Count));
            AssertClose($"{at}: y", Numbers(step, "y"), y.ToTensor().Data, atol);
            AssertClose($"{at}: dx", Numbers(step, "dx"), module.Backward(Batch(step, "dy", "yShape"))!.ToTensor().Data, atol);
            var gradients = step.GetProperty("gradients");
            Assert.AreEqual(gradients.GetArrayLength(), module.Parameters().Count());
            double before = 1; // the largest gradient of the parameter before: of a bias its weight's
            foreach (var ((name, parameter), expected) in module.NamedParameters().Zip(gradients.EnumerateArray()))
            {
                double[] numbers = [.. expected.EnumerateArray().Select(number => number.GetDouble())];
                // A bias right before batch norm has a gradient of terms that cancel: its errors are of their size, not of the sum's.
                AssertClose($"{at}: {name}'s gradient", numbers, parameter.Grad!.Data,
                    atol * (name.EndsWith("bias", StringComparison.Ordinal) ? Math.Max(1, before) : 1));
                before = numbers.Max(Math.Abs);
            }
            var buffers = State(step.GetProperty("buffers"));
            CollectionAssert.AreEqual(buffers.Names.ToArray(), module.NamedBuffers().Select(b => b.Name).ToArray());
            foreach (var (name, buffer) in module.NamedBuffers())
            {
                Assert.AreEqual(buffers[name].Type, buffer.Type);
                Assert.AreEqual(buffers[name].Shape, buffer.Shape);
                if (buffer.Type == ElementType.Int64) CollectionAssert.AreEqual(buffers[name].AsInt64(), buffer.AsInt64());
                else AssertClose($"{at}: {name}", buffers[name].AsTensor().Data.ToDouble(), buffer.AsTensor().Data, atol);
            }
        }
    }

    /// <summary>
    /// rtol 1e-5, and atol times the tensor's largest element where that is above 1: an element that is a sum of products of that size
    /// which cancel has their rounding errors, whatever is left of it.
    /// </summary>
    public static void AssertClose(string what, double[] expected, float[] actual, double atol = 1e-6) =>
        Close.Assert(what, expected, actual, 1e-5, atol * Math.Max(1, expected.Select(Math.Abs).DefaultIfEmpty().Max()));

    private static string Describe(JsonElement item) => $"{item.GetProperty("type").GetString()} {item.GetProperty("options").GetRawText()}"
        + (item.TryGetProperty("train", out var train) && !train.GetBoolean() ? " eval" : "");

    private static JsonElement Load()
    {
        using var document = JsonDocument.Parse(File.ReadAllText(Path.Combine(Repository.Root, "Numerics.Tests", "Reference",
            "torch_nn.json")));
        return document.RootElement.Clone();
    }

    /// <summary>Python's keyword arguments; null or a default for those not given.</summary>
    private readonly struct Options(JsonElement given)
    {
        public double? Momentum => !given.TryGetProperty("momentum", out var m) ? 0.1 : m.ValueKind == JsonValueKind.Null ? null
            : m.GetDouble();

        public string Text(string name) => given.GetProperty(name).GetString()!;

        public int Int(string name, int? missing = null) => given.TryGetProperty(name, out var value) || missing is null ? value.GetInt32()
            : missing.Value;

        public double Double(string name, double missing) => given.TryGetProperty(name, out var value) ? value.GetDouble() : missing;

        public bool Bool(string name, bool missing) => given.TryGetProperty(name, out var value) ? value.GetBoolean() : missing;

        public int? Maybe(string name) =>
            given.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetInt32() : null;

        public int[] Integers(string name) => TorchNn.Integers(given, name);

        public UpsampleMode Mode => Enum.Parse<UpsampleMode>(
            given.TryGetProperty("mode", out var mode) ? mode.GetString()!.Replace("-", "", StringComparison.Ordinal) : "nearest",
            ignoreCase: true);

        public Padding2d Padding => given.GetProperty("padding") is { ValueKind: JsonValueKind.Array } sides
            ? (sides[0].GetInt32(), sides[1].GetInt32(), sides[2].GetInt32(), sides[3].GetInt32())
            : Int("padding");

        public Scale2? Scale(string name) => !given.TryGetProperty(name, out var value) ? null
            : value.ValueKind == JsonValueKind.Number ? value.GetDouble()
            : new Scale2(value[0].GetDouble(), value[1].GetDouble());

        public float[]? Floats(string name) => given.TryGetProperty(name, out _) ? Numbers(given, name).ToFloat() : null;

        public Size2? Size(string name) => !given.TryGetProperty(name, out var value) ? null
            : value.ValueKind == JsonValueKind.Number ? value.GetInt32()
            : new Size2(value[0].GetInt32(), value[1].GetInt32());
    }
}
