namespace OnnxLeNet.Numerics;

/// <summary>One step of a plan: a node, or what took the place of several.</summary>
/// <param name="Leaf">What computes it.</param>
/// <param name="Inputs">The numbers of the values it takes.</param>
/// <param name="Output">The number of the value it returns.</param>
internal sealed record Step(Leaf Leaf, int[] Inputs, int Output);

/// <summary>What a plan depends on, beside the graph.</summary>
/// <param name="Count">Samples of a block.</param>
/// <param name="Evaluating">Whether all modules are to behave as in evaluation.</param>
/// <param name="Saves">Whether a backward may follow.</param>
/// <param name="Separate">Whether every value stays to be looked at: nothing is fused, and no buffer used twice.</param>
/// <param name="Folds">Whether batch norms go into the convolution before them, in evaluation without a backward.</param>
/// <param name="Settings">Who computes products, and how wide vectors are.</param>
internal readonly record struct PlanKey(int Count, bool Evaluating, bool Saves, bool Separate, bool Folds, ComputeSettings Settings);

/// <summary>
/// How a graph runs on blocks of one size: the steps, which values share a buffer, where the samples of different blocks meet, and how
/// gradients add up. Made from the graph once and used by any number of blocks.
/// </summary>
internal sealed class Plan
{
    private readonly List<int> sizes = []; // elements of a sample in each buffer

    public Plan(Graph graph, PlanKey key, NodeTraits traits)
    {
        (Graph, Key, Traits) = (graph, key, traits.Copy());
        Steps = key.Separate ? Fusion.None(graph) : Fusion.Apply(graph, this);
        Views = Array.ConvertAll(Steps, step => step.Leaf.IsView(step.Leaf.ModeOf.Training && !key.Evaluating));
        Buffers = new int[graph.Values.Count];
        Array.Fill(Buffers, -1);
        AssignForward();
        var stages = new List<int> { 0 };
        for (int i = 0; i < Steps.Length; i++)
        {
            if (Steps[i].Leaf is IBatchStatistics && IsBatchDependent(Steps[i].Leaf)) stages.Add(i);
        }
        StageStarts = [.. stages];
        Gradients = key.Saves ? AssignBackward() : [];
        OutputGradients ??= [];
        BufferSizes = [.. sizes];
    }

    public Graph Graph { get; }

    public PlanKey Key { get; }

    /// <summary>What it was made for: see <see cref="Matches"/>.</summary>
    public NodeTraits Traits { get; }

    public Step[] Steps { get; }

    /// <summary>Which steps only see their input in another shape.</summary>
    public bool[] Views { get; }

    /// <summary>Elements of a sample in each buffer.</summary>
    public int[] BufferSizes { get; }

    /// <summary>For each value its buffer; −1 for one inside a fused step.</summary>
    public int[] Buffers { get; }

    /// <summary>
    /// The steps at which stages begin: 0, and every step that needs the statistics of the whole batch. Between two of them a block runs
    /// without waiting for others.
    /// </summary>
    public int[] StageStarts { get; }

    /// <summary>For each step how its backward hands gradients on.</summary>
    public StepGradient[] Gradients { get; }

    /// <summary>For each output of the graph the buffer that its gradient comes in.</summary>
    public int[] OutputGradients { get; private set; }

    /// <summary>For each input of the graph the buffer its gradient ends in; −1 if it is not wanted.</summary>
    public int[] InputGradients { get; private set; } = [];

    /// <summary>Whether a leaf mixes the samples of a batch in this plan's mode.</summary>
    public bool IsBatchDependent(Leaf leaf) => Key.Evaluating ? leaf.BatchDependentInEvaluation : leaf.BatchDependent;

    public bool Matches(in PlanKey key, NodeTraits traits) => Key == key && Traits.Equals(traits);

    public bool NeedsGradient(int value) => Traits.NeedsGradient(value);

    /// <summary>
    /// Where values live. A view lives in its input's buffer, and a step that runs in place in its first input's where nobody reads that
    /// afterwards: no later step, and no backward. Without a backward, buffers serve again once their last reader has run.
    /// </summary>
    private void AssignForward()
    {
        var lastReader = new int[Graph.Values.Count]; // the last step that reads a value or a view of it
        Array.Fill(lastReader, -1);
        var root = new int[Graph.Values.Count]; // the value that a view is of
        for (int v = 0; v < root.Length; v++) root[v] = v;
        for (int i = 0; i < Steps.Length; i++)
        {
            if (Views[i]) root[Steps[i].Output] = root[Steps[i].Inputs[0]];
        }
        for (int i = 0; i < Steps.Length; i++)
            foreach (int input in Steps[i].Inputs) lastReader[root[input]] = i;
        foreach (var output in Graph.Outputs) lastReader[root[output.Index]] = int.MaxValue;
        var saved = new HashSet<int>(); // buffers whose content a backward reads
        var free = new List<int>();
        foreach (var input in Graph.Inputs)
        {
            Buffers[input.Index] = NewBuffer(input.Sample.Count);
            if (Key.Saves) saved.Add(Buffers[input.Index]); // the caller's, until the next forward
        }
        for (int i = 0; i < Steps.Length; i++)
        {
            var step = Steps[i];
            int first = Buffers[step.Inputs[0]], size = Graph.Values[step.Output].Sample.Count;
            var reads = Key.Saves && !Views[i] ? step.Leaf.BackwardReads : BackwardReads.None;
            if (reads.HasFlag(BackwardReads.Input))
                foreach (int input in step.Inputs) saved.Add(Buffers[input]);
            bool inPlace = !Views[i] && step.Leaf.RunsInPlace && !Key.Separate && sizes[first] == size
                && lastReader[root[step.Inputs[0]]] == i
                && !saved.Contains(first) && step.Inputs.Count(input => Buffers[input] == first) == 1;
            if (Views[i] || inPlace) Buffers[step.Output] = first;
            else
            {
                int at = free.FindIndex(buffer => sizes[buffer] == size);
                Buffers[step.Output] = at < 0 ? NewBuffer(size) : free[at];
                if (at >= 0) free.RemoveAt(at);
            }
            if (inPlace) lastReader[root[step.Inputs[0]]] = -1; // the buffer is the output's now
            if (reads.HasFlag(BackwardReads.Output)) saved.Add(Buffers[step.Output]);
            if (Key.Separate) continue;
            foreach (int input in step.Inputs.Select(value => root[value]).Distinct())
                if (lastReader[input] == i && !saved.Contains(Buffers[input])) free.Add(Buffers[input]);
        }
    }

    /// <summary>
    /// Goes through the steps backward and gives each gradient a buffer. Where a value has several uses, their contributions add up in the
    /// order of the steps; a sum passes its gradient on as it is. A buffer serves again when nothing refers to it any more.
    /// </summary>
    private StepGradient[] AssignBackward()
    {
        var plans = new StepGradient[Steps.Length];
        var gradient = new int[Graph.Values.Count]; // the buffer of a value's gradient so far
        Array.Fill(gradient, -1);
        var references = new Dictionary<int, int>();
        var free = new List<int>();
        int Take(int size)
        {
            int at = free.FindIndex(buffer => sizes[buffer] == size);
            int taken = at < 0 ? NewBuffer(size) : free[at];
            if (at >= 0) free.RemoveAt(at);
            references[taken] = 0;
            return taken;
        }
        var released = new List<int>();
        // Not before the step's sums are done: what it writes for a later input must not be what a sum for an earlier one still reads.
        void EndOfStep()
        {
            foreach (int buffer in released)
                if (--references[buffer] == 0) free.Add(buffer);
            released.Clear();
        }
        OutputGradients = new int[Graph.Outputs.Count];
        for (int i = 0; i < OutputGradients.Length; i++)
        {
            int value = Graph.Outputs[i].Index;
            // One that goes out twice has the sum of both gradients.
            if (gradient[value] < 0) references[gradient[value] = Take(Graph.Values[value].Sample.Count)] = 1;
            OutputGradients[i] = gradient[value];
        }
        for (int i = Steps.Length - 1; i >= 0; i--)
        {
            var step = Steps[i];
            int dy = gradient[step.Output];
            bool runs = NeedsGradient(step.Output) && dy >= 0;
            var targets = new int[step.Inputs.Length];
            var adds = new List<(int From, int Into)>();
            Array.Fill(targets, -1);
            if (runs)
            {
                var shapes = Array.ConvertAll(step.Inputs, value => Graph.Values[value].Sample);
                for (int k = 0; k < step.Inputs.Length; k++)
                {
                    int value = step.Inputs[k];
                    if (!NeedsGradient(value)) continue;
                    int contribution;
                    if (Views[i] || step.Leaf.PassesGradient(k, shapes, Graph.Values[step.Output].Sample)) contribution = dy;
                    else if (step.Leaf.BackwardRunsInPlace && references[dy] == 1 && k == step.Inputs.Length - 1
                        && sizes[dy] == shapes[k].Count)
                        targets[k] = contribution = dy;
                    else targets[k] = contribution = Take(shapes[k].Count);
                    references[contribution]++;
                    int before = gradient[value];
                    if (before < 0) gradient[value] = contribution;
                    else if (references[contribution] == 1)
                    {
                        adds.Add((before, contribution));
                        gradient[value] = contribution;
                        released.Add(before);
                    }
                    else if (references[before] == 1 && before != contribution)
                    {
                        adds.Add((contribution, before));
                        released.Add(contribution);
                    }
                    else
                    {
                        int sum = Take(shapes[k].Count);
                        references[sum] = 1;
                        adds.Add((~before, sum)); // copied first
                        adds.Add((contribution, sum));
                        gradient[value] = sum;
                        released.Add(before);
                        released.Add(contribution);
                    }
                }
            }
            if (dy >= 0)
            {
                gradient[step.Output] = -1;
                released.Add(dy);
            }
            EndOfStep();
            plans[i] = new StepGradient(runs && !Views[i], dy, targets, [.. adds]);
        }
        InputGradients = [.. Graph.Inputs.Select(input => NeedsGradient(input.Index) ? gradient[input.Index] : -1)];
        return plans;
    }

    private int NewBuffer(int size)
    {
        sizes.Add(size);
        return sizes.Count - 1;
    }
}

/// <summary>How a step's backward hands gradients on.</summary>
/// <param name="Runs">Whether anything is computed.</param>
/// <param name="Dy">The buffer of the gradient that comes in; −1 if none does.</param>
/// <param name="Targets">For each input the buffer that its gradient is written to; −1 if none is.</param>
/// <param name="Adds">Then: buffers added into others; a complemented one is copied instead.</param>
internal sealed record StepGradient(bool Runs, int Dy, int[] Targets, (int From, int Into)[] Adds);

/// <summary>What of a graph's nodes may change between two runs: modes, and what wants a gradient. Worked out anew for each run, without
/// allocating.</summary>
internal sealed class NodeTraits
{
    private readonly bool[] needs; // by value
    private readonly byte[] modes; // by node

    private NodeTraits(bool[] needs, byte[] modes) => (this.needs, this.modes) = (needs, modes);

    public NodeTraits(Graph graph) : this(new bool[graph.Values.Count], new byte[graph.Nodes.Count]) { }

    /// <summary>Whether samples of different blocks meet, in a layer that sums over blocks.</summary>
    public bool IsStaged { get; private set; }

    /// <summary>The first layer that mixes samples and cannot sum over blocks: the batch then is one block.</summary>
    public Leaf? Whole { get; private set; }

    /// <summary>Looks at a graph's modules.</summary>
    public void Update(Graph graph, ReadOnlySpan<bool> inputs, bool evaluating)
    {
        inputs.CopyTo(needs);
        (IsStaged, Whole) = (false, null);
        for (int i = 0; i < modes.Length; i++)
        {
            var node = graph.Nodes[i];
            var leaf = node.Layer;
            bool dependent = evaluating ? leaf.BatchDependentInEvaluation : leaf.BatchDependent, any = leaf.HasTrainable;
            for (int k = 0; k < node.Inputs.Count; k++) any |= needs[node.Inputs[k].Index];
            needs[node.Output.Index] = any;
            modes[i] = (byte)((leaf.IsView(leaf.ModeOf.Training && !evaluating) ? 1 : 0) | (dependent ? 2 : 0));
            if (!dependent) continue;
            if (leaf is IBatchStatistics) IsStaged = true;
            else Whole ??= leaf;
        }
    }

    public bool NeedsGradient(int value) => needs[value];

    public bool Equals(NodeTraits other) => needs.AsSpan().SequenceEqual(other.needs) && modes.AsSpan().SequenceEqual(other.modes);

    public NodeTraits Copy() => new((bool[])needs.Clone(), (byte[])modes.Clone());
}
