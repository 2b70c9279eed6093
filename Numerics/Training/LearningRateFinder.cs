namespace OnnxLeNet.Numerics;

/// <summary>
/// Looks for a learning rate (Smith 2017, section 3.3; fastai's and Lightning's <c>lr_find</c>): a few steps whose rate rises
/// exponentially, until the loss blows up. A good rate lies where the loss falls fastest. It trains with a trainer's network, loss,
/// optimizer and limits of the gradients, and leaves the network and the optimizer as they were.
/// </summary>
/// <param name="trainer">Whose learning rate is looked for.</param>
public sealed class LearningRateFinder(Trainer trainer)
{
    /// <summary>The rate of the first step, of the optimizer's first group.</summary>
    public double First { get; init; } = 1e-6;

    /// <summary>The rate of the last step.</summary>
    public double Last { get; init; } = 10;

    /// <summary>Steps from the first rate to the last.</summary>
    public int Steps { get; init; } = 100;

    /// <summary>How much of the smoothed loss is what it was before: at least 0 and less than 1.</summary>
    public double Smoothing { get; init; } = 0.9;

    /// <summary>It ends when the smoothed loss is so many times the least.</summary>
    public double Divergence { get; init; } = 4;

    /// <summary>Takes the steps, over the data as often as it takes.</summary>
    /// <param name="data">The data in batches.</param>
    /// <param name="cancellation">Ends it between two steps.</param>
    /// <exception cref="ArgumentException">The trainer does not compute its steps itself, or a setting is out of its range.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled; the network and the optimizer are as they were.</exception>
    /// <inheritdoc cref="Trainer.Check" path="/exception"/>
    public LearningRateCurve Run(DataLoader data, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(trainer);
        if (!(First > 0 && First < Last && double.IsFinite(Last)))
            throw new ArgumentException(FormattableString.Invariant($"the rates rise from {First} to {Last}: from more than 0 to more"));
        if (Steps < 2) throw new ArgumentException($"a rise needs 2 steps or more, got {Steps}");
        if (Smoothing is not (>= 0 and < 1) || !(Divergence > 1))
            throw new ArgumentException("the smoothing is at least 0 and less than 1, and the divergence more than 1");
        if (trainer.Steps is not null)
            throw new ArgumentException($"{trainer.Steps.GetType().Name} computes the trainer's steps: look for the rate without it");
        Trainer.Check(trainer.Network, trainer.Loss, data);
        var before = new Snapshot(trainer);
        try
        {
            trainer.Network.Train();
            return Sweep(data, cancellation);
        }
        finally { before.Restore(); }
    }

    private LearningRateCurve Sweep(DataLoader data, CancellationToken cancellation)
    {
        var steps = trainer.NewSteps(data);
        var groups = trainer.Optimizer.ParameterGroups;
        double first = trainer.Optimizer.LearningRate;
        // Groups with rates of their own keep them in proportion.
        double[] factors = [.. groups.Select(group => first > 0 ? group.LearningRate / first : 1)];
        List<double> rates = [], losses = [], smoothed = [];
        double mean = 0, weight = 1, least = double.PositiveInfinity;
        int perEpoch = (int)(((long)data.Steps + trainer.Accumulate - 1) / trainer.Accumulate);
        for (int step = 0; step < Steps; step++)
        {
            cancellation.ThrowIfCancellationRequested();
            if (step % perEpoch == 0) data.Shuffle(step / perEpoch + 1);
            double rate = First * DoubleMath.Pow(Last / First, (double)step / (Steps - 1));
            for (int g = 0; g < groups.Count; g++) groups[g].LearningRate = rate * factors[g];
            double loss = steps.Step(data.Dataset, data.Indices(step % perEpoch, trainer.Accumulate));
            if (!double.IsFinite(loss)) break;
            mean = Smoothing * mean + (1 - Smoothing) * loss;
            weight *= Smoothing; // what the mean's beginning at 0 takes away
            rates.Add(rate);
            losses.Add(loss);
            smoothed.Add(mean / (1 - weight));
            least = Math.Min(least, smoothed[^1]);
            if (smoothed[^1] > Divergence * least) break;
        }
        return new LearningRateCurve(rates, losses, smoothed, (int)Math.Round(Smoothing / (1 - Smoothing)));
    }

    /// <summary>What the steps change.</summary>
    private sealed class Snapshot
    {
        private readonly Trainer trainer;
        private readonly StateDict weights;
        private readonly OptimizerState optimizer;
        private readonly (Parameter Parameter, Tensor? Grad)[] gradients;
        private readonly List<(Module Module, bool Training)> modes = [];

        public Snapshot(Trainer trainer)
        {
            this.trainer = trainer;
            (weights, optimizer) = (trainer.Network.StateDict().Clone(), trainer.Optimizer.State());
            gradients = [.. trainer.Network.Parameters().Select(parameter => (parameter, parameter.Grad?.Clone()))];
            trainer.Network.Apply(module => modes.Add((module, module.Training)));
        }

        public void Restore()
        {
            trainer.Network.LoadStateDict(weights);
            trainer.Optimizer.LoadState(optimizer);
            foreach (var (parameter, grad) in gradients) parameter.RestoreGrad(grad);
            for (int i = modes.Count - 1; i >= 0; i--) modes[i].Module.Train(modes[i].Training); // the outermost came last
        }
    }
}
