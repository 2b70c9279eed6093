using Microsoft.ML.OnnxRuntime;
using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx;

public sealed partial class OrtModel
{
    /// <summary>
    /// The number of samples that every run has, where the file fixes it, as exporters do that trace one batch; null where any number runs.
    /// Other numbers are run in pieces of this one, the last filled up with copies of its last sample, whose results are left out.
    /// </summary>
    public int? BatchSize { get; }

    /// <summary>Runs the model: the first output of <paramref name="input"/>, into the caller's memory.</summary>
    /// <param name="input">The input, row-major, as long as its shape says.</param>
    /// <param name="shape">The input's shape, as [N, C, H, W]; N may be any number (<see cref="BatchSize"/>).</param>
    /// <param name="output">Where the first output goes; overwritten; as long as that output is.</param>
    /// <exception cref="OnnxException">A shape or a length does not fit the model, or ONNX Runtime fails.</exception>
    /// <exception cref="ObjectDisposedException">The model has been disposed.</exception>
    public void Run(ReadOnlyMemory<float> input, ReadOnlySpan<long> shape, Memory<float> output) => Run(input, shape, output, default);

    /// <inheritdoc cref="Run(ReadOnlyMemory{float}, ReadOnlySpan{long}, Memory{float})"/>
    /// <param name="input">The input, row-major, as long as its shape says.</param>
    /// <param name="shape">The input's shape, as [N, C, H, W]; N may be any number (<see cref="BatchSize"/>).</param>
    /// <param name="output">Where the first output goes; overwritten; as long as that output is.</param>
    /// <param name="cancellation">Ends the run before its next node.</param>
    /// <exception cref="OperationCanceledException">The run was ended; what the output's memory holds is not defined.</exception>
    public void Run(ReadOnlyMemory<float> input, ReadOnlySpan<long> shape, Memory<float> output, CancellationToken cancellation)
    {
        var plan = PlanFor(input.Length, shape);
        RequireOutput(plan);
        if (plan.OutputLength != output.Length)
        {
            throw new OnnxException(
                $"{Source}: the memory for output {Output} holds {output.Length} values: "
                + $"expected {plan.OutputLength}, for the shape [{string.Join(", ", plan.Output!)}].");
        }
        using var use = uses.Enter();
        using var limit = RunLimit.Begin(Source, timeout, cudaGraph, cancellation);
        try
        {
            for (int start = 0; start < plan.Samples; start += plan.PieceSamples)
            {
                int count = Math.Min(plan.PieceSamples, plan.Samples - start);
                var x = Piece(input, plan, start, count);
                int row = (int)(plan.OutputLength / plan.Samples), from = start * row, length = count * row;
                if (count == plan.PieceSamples && Input.IsFloat && Output.IsFloat)
                {
                    using var given = OrtElements.Create(x, plan.PieceInput, Input.ElementType);
                    using var y = OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, output.Slice(from, length),
                        plan.PieceOutput);
                    session.Run(limit?.Options ?? runOptions, inputNames, [given], outputNames, [y]);
                }
                else
                {
                    Compute(x, plan, outputNames, limit)[0].AsSpan(0, length).CopyTo(output.Span[from..]);
                }
            }
        }
        catch (Exception e) when (OnnxException.IsForeign(e))
        {
            throw limit?.Ended() ?? Failed(e);
        }
    }

    /// <summary>Runs the model on a batch: the first output, one row per sample.</summary>
    /// <param name="input">The batch, row-major: <paramref name="batch"/> samples of the model's own size.</param>
    /// <param name="batch">How many samples: any number (<see cref="BatchSize"/>). The input's other axes must be fixed.</param>
    /// <exception cref="OnnxException">A length does not fit the model, or ONNX Runtime fails.</exception>
    /// <exception cref="ObjectDisposedException">The model has been disposed.</exception>
    public float[] Run(float[] input, int batch)
    {
        ArgumentNullException.ThrowIfNull(input);
        var shape = ShapeOf(Input, batch);
        var output = new float[PlanFor(input.Length, shape).OutputLength];
        Run(input, shape, output);
        return output;
    }

    /// <summary>Runs the model on a tensor whose first axis is the batch: the first output, with one row per sample.</summary>
    /// <inheritdoc cref="Run(float[], int)"/>
    public Tensor Run(Tensor input) => Run(input, default(CancellationToken));

    /// <inheritdoc cref="Run(Tensor)"/>
    /// <param name="input">The batch.</param>
    /// <param name="cancellation">Ends the run before its next node.</param>
    /// <exception cref="OperationCanceledException">The run was ended.</exception>
    public Tensor Run(Tensor input, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(input);
        long[] shape = [.. input.Shape.Sizes.ToArray().Select(size => (long)size)];
        var plan = PlanFor(input.Data.Length, shape);
        if (plan.Output is null)
        {
            throw new OnnxException($"{Source}: output {Output} has no known size. Use RunOutputs instead.");
        }
        var output = new Tensor(new Shape([.. plan.Output.Select(size => checked((int)size))]));
        Run(input.Data, shape, output.Data, cancellation);
        return output;
    }

    /// <summary>Runs the model and gives several outputs, as for comparing layer by layer.</summary>
    /// <param name="input">The input, row-major, as long as its shape says.</param>
    /// <param name="shape">The input's shape, as [N, C, H, W].</param>
    /// <param name="outputs">The names of the outputs wanted, each of them float, float16 or double; every output of the model if left
    /// out.</param>
    /// <returns>Each output, row-major, by its name.</returns>
    /// <exception cref="OnnxException">A shape or a name does not fit the model, or ONNX Runtime fails.</exception>
    /// <exception cref="ObjectDisposedException">The model has been disposed.</exception>
    public IReadOnlyDictionary<string, float[]> RunOutputs(ReadOnlyMemory<float> input, ReadOnlySpan<long> shape,
        IEnumerable<string>? outputs = null)
    {
        string[] names = FloatOutputs(outputs);
        var plan = PlanFor(input.Length, shape);
        using var use = uses.Enter();
        using var limit = RunLimit.Begin(Source, timeout, cudaGraph);
        try
        {
            if (plan.PieceSamples == plan.Samples) return names.Zip(Compute(input, plan, names, limit)).ToDictionary();
            var results = names.Select(_ => new List<float>()).ToArray();
            for (int start = 0; start < plan.Samples; start += plan.PieceSamples)
            {
                int count = Math.Min(plan.PieceSamples, plan.Samples - start);
                foreach (var (result, values, name) in results.Zip(Compute(Piece(input, plan, start, count), plan, names, limit), names))
                {
                    if (values.Length % plan.PieceSamples != 0)
                    {
                        throw new OnnxException(
                            $"{Source}: output '{name}' has {values.Length} values for {plan.PieceSamples} samples, which is no "
                                + "row for each.");
                    }
                    result.AddRange(values.AsSpan(0, values.Length / plan.PieceSamples * count));
                }
            }
            return names.Zip(results, (name, values) => (name, values.ToArray())).ToDictionary();
        }
        catch (Exception e) when (OnnxException.IsForeign(e))
        {
            throw limit?.Ended() ?? Failed(e);
        }
    }

    /// <summary>Runs batches of these sizes once each, on zeros: what only a first run of a size costs (on a GPU, cuDNN's search) is then
    /// paid.</summary>
    /// <param name="batches">Sizes of the input's first axis. Its other axes must be fixed.</param>
    /// <exception cref="OnnxException">A size does not fit the model, or ONNX Runtime fails.</exception>
    /// <exception cref="ObjectDisposedException">The model has been disposed.</exception>
    public void WarmUp(params ReadOnlySpan<int> batches)
    {
        foreach (var batch in batches)
        {
            long[][] shapes = [.. Inputs.Select(input => ShapeOf(input, BatchSize ?? batch))];
            if (Inputs.Zip(shapes).FirstOrDefault(pair => !pair.First.Fits(pair.Second)) is ({ } wrong, var shape))
            {
                throw new OnnxException(
                    $"{Source}: got input of shape [{string.Join(", ", shape)}], expected {wrong}, each size at least 1.");
            }
            var zeros = new List<OrtValue>();
            using var use = uses.Enter();
            using var limit = RunLimit.Begin(Source, timeout, cudaGraph);
            try
            {
                foreach (var (input, sizes) in Inputs.Zip(shapes))
                    zeros.Add(OrtElements.Create(new float[Product(sizes)], sizes, input.ElementType));
                session.Run(limit?.Options ?? runOptions, inputNames, zeros, outputNames).Dispose();
            }
            catch (OverflowException e)
            {
                throw new OnnxException($"{Source}: a batch of {batch} has more values than can be counted.", e);
            }
            catch (Exception e) when (OnnxException.IsForeign(e))
            {
                throw limit?.Ended() ?? Failed(e);
            }
            finally
            {
                foreach (var value in zeros) value.Dispose();
            }
        }
    }

    /// <summary>Shapes of one run, checked; kept for the next one, which mostly has the same. A piece is what ONNX Runtime gets at
    /// once.</summary>
    private sealed record Plan(long[] Input, long[]? Output, long InputLength, long OutputLength, long[] PieceInput, long[]? PieceOutput)
    {
        public int Samples => Input.Length == 0 ? 1 : (int)Input[0];

        public int PieceSamples => PieceInput.Length == 0 ? 1 : (int)PieceInput[0];
    }

    /// <summary>Samples of the input, filled up with copies of the last one: it is as ordinary as they are.</summary>
    private static ReadOnlyMemory<float> Piece(ReadOnlyMemory<float> input, Plan plan, int start, int count)
    {
        int row = (int)(plan.InputLength / plan.Samples);
        var given = input.Slice(start * row, count * row);
        if (count == plan.PieceSamples) return given;
        var filled = new float[plan.PieceSamples * row];
        given.CopyTo(filled);
        for (int n = count; n < plan.PieceSamples; n++) given.Span[^row..].CopyTo(filled.AsSpan(n * row));
        return filled;
    }

    private float[][] Compute(ReadOnlyMemory<float> input, Plan plan, string[] names, RunLimit? limit)
    {
        using var x = OrtElements.Create(input, plan.PieceInput, Input.ElementType);
        using var values = session.Run(limit?.Options ?? runOptions, inputNames, [x], names);
        return [.. values.Select(OrtElements.Read)];
    }

    private static long[] ShapeOf(OrtTensorInfo input, int batch)
    {
        var shape = input.Shape.ToArray();
        if (shape.Length > 0)
        {
            shape[0] = batch;
        }
        return shape;
    }

    private void RequireOutput(Plan plan)
    {
        if (!Output.IsFloating || plan.Output is null)
        {
            var why = Output.IsFloating ? "has no known size" : "is not float";
            throw new OnnxException($"{Source}: output {Output} {why}, so it cannot go into given memory. Use RunOutputs instead.");
        }
    }

    /// <summary>The shapes of a run; <paramref name="length"/> values of input have come, or none yet.</summary>
    private Plan PlanFor(int? length, ReadOnlySpan<long> shape)
    {
        var plan = Volatile.Read(ref lastPlan);
        if (plan is null || !shape.SequenceEqual(plan.Input))
        {
            try { plan = NewPlan(shape.ToArray()); }
            catch (OverflowException e)
            {
                throw new OnnxException($"{Source}: input of shape [{string.Join(", ", shape.ToArray())}] has more values than can "
                    + "be counted.", e);
            }
            Volatile.Write(ref lastPlan, plan);
        }
        return length is null || length == plan.InputLength
            ? plan
            : throw new OnnxException(
                $"{Source}: got {length} input values, expected {plan.InputLength} for the shape [{string.Join(", ", plan.Input)}].");
    }

    private void RequireOneInput()
    {
        if (Inputs.Count > 1)
        {
            throw new OnnxException(
                $"{Source} takes {string.Join(" and ", Inputs)}: expected one input. Give it all, by Run(Tensor[]).");
        }
    }

    private Plan NewPlan(long[] shape)
    {
        RequireOneInput();
        long[] piece = [.. shape];
        if (BatchSize is { } batch && shape.Length > 0 && shape[0] is > 0 and <= int.MaxValue) piece[0] = batch;
        if (!Input.Fits(piece))
        {
            throw new OnnxException($"{Source}: got input of shape [{string.Join(", ", shape)}], expected {Input}, each size at least 1.");
        }
        var pieceOutput = Output.Resolve(Input, piece);
        var output = pieceOutput;
        if (pieceOutput is not null && piece[0] != shape[0])
        {
            if (pieceOutput.Length == 0 || pieceOutput[0] != piece[0])
            {
                throw new OnnxException(
                    $"{Source} runs on {piece[0]} samples at once, got {shape[0]}, "
                    + $"and its output {Output} has no row for each that the pieces could be put together by.");
            }
            output = [shape[0], .. pieceOutput[1..]];
        }
        return new Plan(shape, output, Product(shape), Product(output), piece, pieceOutput);
    }

    private static long Product(ReadOnlySpan<long> sizes)
    {
        var product = 1L;
        foreach (var size in sizes)
        {
            product = checked(product * size);
        }
        return product;
    }
}
