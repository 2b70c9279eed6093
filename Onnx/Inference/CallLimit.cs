using Microsoft.ML.OnnxRuntime;

namespace OnnxLeNet.Onnx;

/// <summary>
/// Ends a call into ONNX Runtime that takes too long or that nobody waits for any more. ONNX Runtime looks between two nodes whether it is
/// to end, and each time that a loop starts again.
/// </summary>
internal sealed class CallLimit : IDisposable
{
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(1);

    private readonly string source;
    private readonly TimeSpan? most;
    private readonly CancellationToken cancellation;
    private readonly CancellationTokenSource over;
    private readonly CancellationTokenRegistration told;
    private readonly Timer? stuck;

    private CallLimit(string source, TimeSpan? most, Action end, CancellationToken cancellation)
    {
        (this.source, this.most, this.cancellation) = (source, most, cancellation);
        over = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        told = over.Token.Register(end);
        if (most is not { } time) return;
        over.CancelAfter(time);
        if (Stuck is { } action) stuck = new Timer(_ => action(Overdue().Message), null, time + Grace, Timeout.InfiniteTimeSpan);
    }

    /// <summary>How long a call may take whose options say nothing; null for any time.</summary>
    internal static TimeSpan? Usual { get; set; }

    /// <summary>
    /// What is done with the message about a call that does not end although it was told to. A program that runs models in a process of
    /// their own ends that process; nothing else can be done.
    /// </summary>
    internal static Action<string>? Stuck { get; set; }

    /// <summary>Begins to watch a call; null where it may take any time.</summary>
    /// <param name="source">What the model is called in messages.</param>
    /// <param name="most">How long the call may take.</param>
    /// <param name="end">Tells ONNX Runtime to end the call.</param>
    /// <param name="cancellation">Says that nobody waits for it any more.</param>
    /// <exception cref="OperationCanceledException">Nobody waits for it.</exception>
    public static CallLimit? Begin(string source, TimeSpan? most, Action end, CancellationToken cancellation = default)
    {
        cancellation.ThrowIfCancellationRequested();
        most ??= Usual;
        return most is null && !cancellation.CanBeCanceled ? null : new CallLimit(source, most, end, cancellation);
    }

    /// <summary>The error of a call that was ended; null where it failed by itself.</summary>
    /// <exception cref="OperationCanceledException">Nobody waits for it.</exception>
    public OnnxException? Ended()
    {
        cancellation.ThrowIfCancellationRequested();
        return over.IsCancellationRequested ? Overdue() : null;
    }

    private OnnxException Overdue() => new(FormattableString.Invariant(
        $"{source} takes longer than {most!.Value.TotalSeconds:0.#} s in ONNX Runtime and was ended: OrtOptions.Timeout or --trust ")
        + "gives it more");

    /// <summary>Ends the watch.</summary>
    public void Dispose()
    {
        stuck?.Dispose();
        told.Dispose();
        over.Dispose();
    }
}

/// <summary>The run options of a call that is watched.</summary>
internal sealed class RunLimit : IDisposable
{
    private readonly CallLimit limit;

    private RunLimit(CallLimit limit, RunOptions options) => (this.limit, Options) = (limit, options);

    /// <summary>What the run is given.</summary>
    public RunOptions Options { get; }

    /// <summary>Begins to watch a run; null where it may take any time.</summary>
    /// <inheritdoc cref="CallLimit.Begin"/>
    public static RunLimit? Begin(string source, TimeSpan? most, bool cudaGraph, CancellationToken cancellation = default)
    {
        if (most is null && CallLimit.Usual is null && !cancellation.CanBeCanceled) return null;
        var options = OrtModel.NewRunOptions(cudaGraph);
        try { return new RunLimit(CallLimit.Begin(source, most, () => options.Terminate = true, cancellation)!, options); }
        catch
        {
            options.Dispose();
            throw;
        }
    }

    /// <inheritdoc cref="CallLimit.Ended"/>
    public OnnxException? Ended() => limit.Ended();

    /// <summary>Ends the watch.</summary>
    public void Dispose()
    {
        limit.Dispose();
        Options.Dispose();
    }
}
