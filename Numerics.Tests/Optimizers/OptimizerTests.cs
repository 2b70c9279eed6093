namespace OnnxLeNet.Numerics.Tests;

/// <summary>What every optimizer does, whatever its formula; and its state.</summary>
[TestClass]
[DoNotParallelize]
public sealed class OptimizerTests
{
    private static readonly int[] Lengths = [1, 7, 33];

    private static readonly (string Name, Func<IEnumerable<ParameterGroup>, Optimizer> Make)[] All =
    [
        ("SGD", groups => new SGD(groups, 0.05)),
        ("SGD momentum", groups => new SGD(groups, 0.05, 0.9, 0.2, 0.01)),
        ("SGD Nesterov", groups => new SGD(groups, 0.05, 0.9, weightDecay: 0.01, nesterov: true)),
        ("Adam", groups => new Adam(groups)),
        ("Adam amsgrad", groups => new Adam(groups, 0.01, (0.8, 0.9), weightDecay: 0.1, amsgrad: true)),
        ("AdamW", groups => new AdamW(groups, amsgrad: true)),
        ("RMSprop", groups => new RMSprop(groups)),
        ("RMSprop centered", groups => new RMSprop(groups, momentum: 0.9, weightDecay: 0.1, centered: true)),
    ];

    public static IEnumerable<string> Names => All.Select(one => one.Name);

    /// <summary>One of them.</summary>
    internal static Optimizer Make(string name, IEnumerable<ParameterGroup> groups) => All.Single(one => one.Name == name).Make(groups);

    public static IEnumerable<object[]> NamesAndWidths =>
        from name in Names from bits in Implementations.Widths select new object[] { name, bits };

    [TestMethod]
    [DynamicData(nameof(NamesAndWidths))]
    public void RestoredItGoesOnToTheBit(string name, int bits)
    {
        using var _ = new Settings(bits);
        var straight = new Run(name);
        straight.Steps(0, 7);
        var state = straight.Optimizer.State();
        var rates = straight.Schedule.State();
        float[][] weights = straight.Weights();
        straight.Steps(7, 12);

        var resumed = new Run(name);
        resumed.Steps(20, 22); // whatever it did before is forgotten
        for (int i = 0; i < weights.Length; i++) weights[i].CopyTo(resumed.Parameters[i].Value.Data, 0);
        resumed.Optimizer.LoadState(state);
        resumed.Schedule.LoadState(rates);
        resumed.Steps(7, 12);
        for (int i = 0; i < weights.Length; i++)
        {
            Close.AssertSameBits($"parameter {i}", straight.Weights()[i], resumed.Weights()[i]);
            Assert.AreNotEqual(weights[i][0], straight.Weights()[i][0], "a state is a copy, and the steps after it do something");
        }
        Assert.AreEqual(string.Join('\n', straight.Optimizer.State().Entries.Select(Describe)),
            string.Join('\n', resumed.Optimizer.State().Entries.Select(Describe)));
    }

    [TestMethod]
    public void TheStateIsNamedAndOrdered()
    {
        var optimizer = new Adam([new ParameterGroup([new Parameter(2)]), new ParameterGroup([new Parameter(3)], lr: 0.5)]);
        SGDTests.Give(optimizer.Parameters[1], [1, 2, 3]);
        optimizer.Step();
        var state = optimizer.State();
        Assert.AreEqual("Adam", state.Kind);
        Assert.AreEqual("""
            param_groups 2
            param_groups.0.params 1, .lr 0.001, .betas.0 0.9, .betas.1 0.999, .eps 1E-08, .weight_decay 0, .amsgrad 0, .initial_lr -1
            param_groups.1.params 1, .lr 0.5, .betas.0 0.9, .betas.1 0.999, .eps 1E-08, .weight_decay 0, .amsgrad 0, .initial_lr -1
            state.0.step 0, .exp_avg [0], .exp_avg_sq [0], .max_exp_avg_sq [0]
            state.1.step 1, .exp_avg [3], .exp_avg_sq [3], .max_exp_avg_sq [0]
            """.ReplaceLineEndings("\n"), string.Join('\n', state.Entries.GroupBy(entry => string.Join('.', entry.Name.Split('.').Take(2)))
            .Select(group => group.Key + string.Join(", ", group.Select(entry => Describe(entry)[group.Key.Length..])))));
    }

    [TestMethod]
    [DynamicData(nameof(Names))]
    public void AStateThatDoesNotFitChangesNothing(string name)
    {
        var run = new Run(name);
        run.Steps(0, 4);
        var before = run.Optimizer.State();
        string text = string.Join('\n', before.Entries.Select(Describe));
        var other = new Run(name);
        other.Steps(0, 9);
        var good = other.Optimizer.State();
        var entries = good.Entries;
        int tensor = entries.ToList().FindLastIndex(entry => entry is TensorEntry);
        string last = entries[^1].Name;

        Refused(good with { Kind = "Adagrad" }, "Adagrad");
        Refused(good with { Entries = [.. entries.SkipLast(1)] }, $"'{last}'", "ends");
        Refused(good with { Entries = [.. entries, new CountEntry("more", 1)] }, "'more'");
        Refused(good with { Entries = [.. entries.Skip(1)] }, "'param_groups'", "'param_groups.0.params'");
        Refused(With(tensor, new TensorEntry(last, new Tensor(new Shape(2, 17)))), $"'{last}'", "[2, 17]", "[33]");
        Refused(With(tensor, new CountEntry(last, 1)), $"'{last}' is a tensor, got a count");
        Refused(With(0, new CountEntry("param_groups", 3)), "'param_groups' is 2 here, got 3");
        Refused(With(1, new CountEntry("param_groups.0.params", 1)), "'param_groups.0.params'");
        Refused(With(2, new NumberEntry("param_groups.0.lr", double.NaN)), "'param_groups.0.lr'", "NaN");
        Refused(With(entries.Count - 1, entries[^1] with { Name = "state.2.velocity" }), "'state.2.velocity'", $"'{last}'");
        int step = entries.ToList().FindIndex(entry => entry.Name == "state.1.step");
        Refused(With(step, new CountEntry("state.1.step", -1)), "'state.1.step'", "-1");
        run.Optimizer.LoadState(good);
        Assert.AreNotEqual(text, string.Join('\n', run.Optimizer.State().Entries.Select(Describe)));

        OptimizerState With(int index, StateEntry entry) =>
            good with { Entries = [.. entries.Take(index), entry, .. entries.Skip(index + 1)] };

        void Refused(OptimizerState state, params ReadOnlySpan<string> parts)
        {
            Failure.Of<OnnxLeNetException>(() => run.Optimizer.LoadState(state), parts);
            Assert.AreEqual(text, string.Join('\n', run.Optimizer.State().Entries.Select(Describe)));
        }
    }

    [TestMethod]
    [DynamicData(nameof(Names))]
    public void ParametersWithoutGradientAndFrozenOnesStay(string name)
    {
        var run = new Run(name);
        foreach (var parameter in run.Parameters) parameter.Value.Data.AsSpan().Fill(1);
        run.Optimizer.Step();
        SGDTests.Give(run.Parameters[0], [1]);
        SGDTests.Give(run.Parameters[1], [1, 1, 1, 1, 1, 1, 1]);
        run.Parameters[1].RequiresGrad = false;
        run.Optimizer.Step();
        Assert.AreNotEqual(1, run.Parameters[0].Value.Data[0]);
        Assert.IsTrue(run.Parameters[1].Value.Data.Concat(run.Parameters[2].Value.Data).All(value => value == 1));
    }

    [TestMethod]
    [DynamicData(nameof(Names))]
    public void ASteadyStepAllocatesNothing(string name)
    {
        var run = new Run(name);
        run.Steps(0, 5);
        long least = long.MaxValue;
        for (int repeat = 0; repeat < 5; repeat++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int step = 0; step < 4; step++)
            {
                run.Optimizer.ZeroGrad();
                GradientClipping.ByNorm(run.Optimizer.Parameters, 1);
                run.Optimizer.Step();
                run.Schedule.Step();
            }
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }
        Assert.AreEqual(0, least);
    }

    [TestMethod]
    public void TheWidthsAgreeInTheTailAndInTheVectors()
    {
        foreach (string name in Names)
        {
            float[][]? first = null;
            foreach (int bits in Implementations.Widths)
            {
                using var _ = new Settings(bits);
                var run = new Run(name);
                run.Steps(0, 9);
                first ??= run.Weights();
                for (int i = 0; i < first.Length; i++) Close.AssertSameBits($"{name}, {bits} bits", first[i], run.Weights()[i]);
            }
        }
    }

    [TestMethod]
    public void MomentumThatBeginsLaterBeginsAfresh()
    {
        var parameter = new Parameter(1);
        var optimizer = new SGD([parameter], 1, momentum: 0, dampening: 0.5);
        SGDTests.Give(parameter, [1]);
        optimizer.Step();
        optimizer.ParameterGroups[0].Momentum = 0.5;
        optimizer.Step(); // v ← g, undamped
        Assert.AreEqual(-2f, parameter.Value.Data[0]);
        optimizer.Step(); // v ← 0.5·1 + 0.5·1
        Assert.AreEqual(-3f, parameter.Value.Data[0]);
    }

    private static string Describe(StateEntry entry) => FormattableString.Invariant(entry switch
    {
        TensorEntry { Value.Data.Length: > 5 } tensor =>
            $"{tensor.Name} {tensor.Value.Shape} {string.Join(',', tensor.Value.Data.Select(BitConverter.SingleToInt32Bits))}",
        TensorEntry tensor => $"{tensor.Name} {tensor.Value.Shape}",
        CountEntry count => $"{count.Name} {count.Value}",
        _ => (FormattableString)$"{entry.Name} {((NumberEntry)entry).Value:R}",
    });

    /// <summary>An optimizer of two groups, and gradients that the number of the step decides.</summary>
    private sealed class Run
    {
        public Run(string name)
        {
            Parameters = [.. Lengths.Select((length, i) => new Parameter(new Tensor(new Shape(length), Values.Uniform(i, length))))];
            Optimizer = Make(name, [new ParameterGroup(Parameters[..2]), new ParameterGroup(Parameters[2..], lr: 0.002)]);
            Schedule = new CosineAnnealingLR(Optimizer, 30, 1e-4);
        }

        public Parameter[] Parameters { get; }

        public Optimizer Optimizer { get; }

        public LRScheduler Schedule { get; }

        public float[][] Weights() => [.. Parameters.Select(parameter => (float[])parameter.Value.Data.Clone())];

        public void Steps(int from, int to)
        {
            for (int step = from; step < to; step++)
            {
                Optimizer.ZeroGrad();
                for (int i = 0; i < Parameters.Length; i++)
                    if (i != 1 || step > 2) SGDTests.Give(Parameters[i], Values.Uniform(100 * step + i, Lengths[i]));
                Optimizer.Step();
                Schedule.Step();
            }
        }
    }
}
