using System.Globalization;
using System.Text.Json;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Against what PyTorch did once: Reference/optimizers.json, which optimizers.py beside it writes.</summary>
[TestClass]
[DoNotParallelize]
public sealed class PyTorchTraceTests
{
    // Each of 20 float updates rounds a weight of about 1 to 2⁻²⁴, and PyTorch's are in double: a few roundings are 1e-6 of the weight. A
    // formula that is wrong by a hundredth shows: a step is a hundredth of the weight.
    private const double Rtol = 2e-6, Atol = 1e-7;

    private static readonly JsonElement Golden = Load();

    public static IEnumerable<int> Widths => Implementations.Widths;

    public static IEnumerable<object[]> ScheduleCases =>
        Golden.GetProperty("schedules").EnumerateArray().Select((item, i) => new object[] { i, Label(item) });

    public static IEnumerable<object[]> OptimizerCases =>
        Widths.SelectMany(bits => Golden.GetProperty("optimizers").EnumerateArray().Select((item, i) =>
            new object[] { bits, i, Label(item) }));

    [TestMethod]
    [DynamicData(nameof(OptimizerCases))]
    public void TwentySteps(int bits, int index, string label)
    {
        using var _ = new Settings(bits);
        var item = Golden.GetProperty("optimizers")[index];
        Parameter[][] w = [.. Golden.GetProperty("start").EnumerateArray().Select(group =>
            group.EnumerateArray().Select(values => Of(values)).ToArray())];
        var own = item.GetProperty("own").EnumerateObject().Select(option =>
            new KeyValuePair<string, object>(option.Name, Value(option.Value)));
        var second = ParameterGroup.From([new("params", w[1]), new("lr", Double(item, "lr2")), .. own]);
        bool late = item.GetProperty("late").GetBoolean();
        var first = new ParameterGroup(w[0]);
        var optimizer = Make(item.GetProperty("kind").GetString()!, late ? [first]
            : [first, second], Double(item, "lr"), item.GetProperty("options"));
        for (int step = 0; step < 20; step++)
        {
            if (late && step == 5) optimizer.AddParameterGroup(second);
            if (step == 10) optimizer.ParameterGroups[1].LearningRate *= 0.5;
            optimizer.ZeroGrad();
            for (int g = 0; g < 2; g++)
                for (int i = 0; i < w[g].Length; i++)
                    if ((g, i) != (1, 1) || step >= 3) SGDTests.Give(w[g][i],
                        Numbers(Golden.GetProperty("gradients")[step][g][i]).ToFloat());
            optimizer.Step();
            Close.Assert($"{label}, step {step + 1}", Numbers(item.GetProperty("trace")[step]),
                [.. w.SelectMany(group => group).SelectMany(p => p.Value.Data)], Rtol, Atol);
        }
    }

    [TestMethod]
    [DynamicData(nameof(ScheduleCases))]
    public void ThirtyRates(int index, string label)
    {
        var item = Golden.GetProperty("schedules")[index];
        ParameterGroup[] groups = [new([new Parameter(1)], 0.1), new([new Parameter(1)], 0.02)];
        var optimizer = Make(item.GetProperty("optimizer").GetString()!, groups, 1, default);
        var schedule = Make(item.GetProperty("kind").GetString()!, optimizer, item.GetProperty("options"));
        for (int epoch = 0; epoch <= 30; epoch++)
        {
            if (epoch > 0) schedule.Step();
            Assert.AreEqual(epoch, schedule.LastEpoch);
            for (int g = 0; g < 2; g++)
            {
                double[] actual = [groups[g].LearningRate, groups[g].Has(Hyper.Beta1) ? groups[g].Betas.Beta1 : groups[g].Momentum];
                Close.Assert($"{label}, rate {g} after {epoch}", Numbers(item.GetProperty("seen")[epoch][g]), actual, 1e-12, 1e-16);
                Assert.AreEqual(groups[g].LearningRate, schedule.LastLearningRates[g]);
            }
            if (epoch == 7 && item.GetProperty("change").GetBoolean()) groups[0].LearningRate = 0.07;
        }
    }

    [TestMethod]
    public void Plateaus()
    {
        foreach (var item in Golden.GetProperty("plateaus").EnumerateArray())
        {
            var options = new Options(item.GetProperty("options"));
            ParameterGroup[] groups = [new([new Parameter(1)], 0.1), new([new Parameter(1)], 0.02)];
            var mode = options.Text("mode", "min") == "min" ? PlateauMode.Min : PlateauMode.Max;
            var threshold = options.Text("threshold_mode", "rel") == "rel" ? ThresholdMode.Rel : ThresholdMode.Abs;
            var schedule = new ReduceLROnPlateau(new SGD(groups), mode, options.Number("factor", 0.1), options.Int("patience", 10),
                options.Number("threshold", 1e-4), threshold, options.Int("cooldown", 0), options.Each("min_lr"),
                    options.Number("eps", 1e-8));
            foreach (var (metric, rates) in item.GetProperty("metrics").EnumerateArray().Zip(item.GetProperty("rates").EnumerateArray()))
            {
                schedule.Step(metric.ValueKind != JsonValueKind.Null ? metric.GetDouble() : mode == PlateauMode.Min
                    ? double.PositiveInfinity : double.NegativeInfinity);
                Close.Assert(Label(item), Numbers(rates), [.. groups.Select(group => group.LearningRate)], 1e-13, 0);
            }
        }
    }

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void Clippings(int bits)
    {
        using var _ = new Settings(bits);
        foreach (var item in Golden.GetProperty("clippings").EnumerateArray())
        {
            double[][] gradients = [.. item.GetProperty("gradients").EnumerateArray().Select(Numbers)];
            Parameter[] parameters = [.. gradients.Select(gradient => new Parameter(gradient.Length)), new Parameter(2)];
            for (int i = 0; i < gradients.Length; i++) SGDTests.Give(parameters[i], gradients[i].ToFloat());
            string type = item.GetProperty("normType").GetString()!;
            double limit = Double(item, "limit");
            if (type == "None") GradientClipping.ByValue(parameters, limit);
            else
            {
                double p = type == "inf" ? double.PositiveInfinity : double.Parse(type, CultureInfo.InvariantCulture);
                Close.Assert("norm", [Double(item, "norm")], [GradientClipping.ByNorm(parameters, limit, p)], 1e-6, 0);
            }
            foreach (var (parameter, expected) in parameters.Zip(item.GetProperty("clipped").EnumerateArray()))
                Close.Assert($"norm {type} to {limit}", Numbers(expected), parameter.Grad!.Data, 1e-6, 1e-9);
            Assert.IsNull(parameters[^1].Grad);
        }
    }

    private static Optimizer Make(string kind, ParameterGroup[] groups, double lr, JsonElement element)
    {
        var options = new Options(element);
        double eps = options.Number("eps", 1e-8), decay = options.Number("weight_decay", kind == "AdamW" ? 1e-2 : 0),
            momentum = options.Number("momentum", 0);
        return kind switch
        {
            "SGD" => new SGD(groups, lr, momentum, options.Number("dampening", 0), decay, options.On("nesterov")),
            "Adam" => new Adam(groups, lr, options.Pair("betas"), eps, decay, options.On("amsgrad")),
            "AdamW" => new AdamW(groups, lr, options.Pair("betas"), eps, decay, options.On("amsgrad")),
            "RMSprop" => new RMSprop(groups, lr, options.Number("alpha", 0.99), eps, decay, momentum, options.On("centered")),
            _ => throw new AssertInconclusiveException(kind),
        };
    }

    private static LRScheduler Make(string kind, Optimizer optimizer, JsonElement element)
    {
        var options = new Options(element);
        return kind switch
        {
            "StepLR" => new StepLR(optimizer, options.Int("step_size", 0), options.Number("gamma", 0.1)),
            "MultiStepLR" => new MultiStepLR(optimizer, options.Ints("milestones"), options.Number("gamma", 0.1)),
            "ExponentialLR" => new ExponentialLR(optimizer, options.Number("gamma", 0)),
            "LinearLR" => new LinearLR(optimizer, options.Number("start_factor", 1.0 / 3), options.Number("end_factor", 1),
                options.Int("total_iters", 5)),
            "CosineAnnealingLR" => new CosineAnnealingLR(optimizer, options.Int("T_max", 0), options.Number("eta_min", 0)),
            "OneCycleLR" => new OneCycleLR(optimizer, options.Each("max_lr")!, options.Int("total_steps"), options.Int("epochs"),
                options.Int("steps_per_epoch"),
                options.Number("pct_start", 0.3), options.Text("anneal_strategy", "cos") == "cos" ? AnnealStrategy.Cos
                    : AnnealStrategy.Linear,
                options.On("cycle_momentum", true), options.Each("base_momentum"), options.Each("max_momentum"),
                options.Number("div_factor", 25), options.Number("final_div_factor", 1e4), options.On("three_phase")),
            "SequentialLR" => new SequentialLR(optimizer,
                element.GetProperty("schedulers").EnumerateArray().Select(part => Make(part[0].GetString()!, optimizer, part[1])).ToArray(),
                options.Ints("milestones")),
            _ => throw new AssertInconclusiveException(kind),
        };
    }

    /// <summary>Options by PyTorch's names; one that is not there has PyTorch's default.</summary>
    private readonly record struct Options(JsonElement Element)
    {
        public bool Has(string name) => Element.ValueKind == JsonValueKind.Object && Element.TryGetProperty(name, out _);
        public double Number(string name, double other) => Has(name) ? Double(Element, name) : other;
        public int? Int(string name) => Has(name) ? Element.GetProperty(name).GetInt32() : null;
        public int Int(string name, int other) => Has(name) ? Element.GetProperty(name).GetInt32() : other;
        public int[] Ints(string name) => [.. Element.GetProperty(name).EnumerateArray().Select(value => value.GetInt32())];
        public bool On(string name, bool other = false) => Has(name) ? Element.GetProperty(name).GetBoolean() : other;
        public string Text(string name, string other) => Has(name) ? Element.GetProperty(name).GetString()! : other;
        public (double, double)? Pair(string name) =>
            Has(name) ? (Element.GetProperty(name)[0].GetDouble(), Element.GetProperty(name)[1].GetDouble()) : null;
        public PerGroup? Each(string name) => !Has(name) ? null
            : Element.GetProperty(name) is { ValueKind: JsonValueKind.Array } array ? Numbers(array) : Double(Element, name);
    }

    private static object Value(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.True or JsonValueKind.False => value.GetBoolean(),
        JsonValueKind.Array => (value[0].GetDouble(), value[1].GetDouble()),
        _ => value.GetDouble(),
    };

    private static string Label(JsonElement item) =>
        string.Join(' ', item.EnumerateObject().Where(part => part.Name is "kind" or "optimizer" or "options" or "own").Select(part =>
            part.Value.ToString()));

    private static Parameter Of(JsonElement values) => new(new Tensor(new Shape(values.GetArrayLength()), Numbers(values).ToFloat()));

    private static JsonElement Load()
    {
        using var document = JsonDocument.Parse(File.ReadAllText(Path.Combine(Repository.Root, "Numerics.Tests", "Reference",
            "optimizers.json")));
        return document.RootElement.Clone();
    }

    private static double[] Numbers(JsonElement array) => [.. array.EnumerateArray().Select(number => number.GetDouble())];

    private static double Double(JsonElement item, string name) => item.GetProperty(name).GetDouble();
}
