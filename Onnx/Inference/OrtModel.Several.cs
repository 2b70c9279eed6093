using Microsoft.ML.OnnxRuntime;
using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx;

public sealed partial class OrtModel
{
    /// <summary>Runs the model on a tensor for each of <see cref="Inputs"/>, whose first axis is the batch.</summary>
    /// <param name="inputs">The inputs, in the model's order; any number of samples (<see cref="BatchSize"/>), as many of each.</param>
    /// <returns>All outputs, in the model's order.</returns>
    /// <exception cref="OnnxException">The number of inputs, a shape or an output's type does not fit, or ONNX Runtime fails.</exception>
    /// <exception cref="ObjectDisposedException">The model has been disposed.</exception>
    public Tensor[] Run(Tensor[] inputs) => Run(inputs, default);

    /// <inheritdoc cref="Run(Tensor[])"/>
    /// <param name="inputs">The inputs, in the model's order.</param>
    /// <param name="cancellation">Ends the run before its next node.</param>
    /// <exception cref="OperationCanceledException">The run was ended.</exception>
    public Tensor[] Run(Tensor[] inputs, CancellationToken cancellation)
    {
        var results = RunOutputs(inputs, null, cancellation);
        return [.. Outputs.Select(output => results[output.Name])];
    }

    /// <summary>The same, of the outputs that are wanted.</summary>
    /// <param name="inputs">The inputs, in the model's order.</param>
    /// <param name="outputs">The names of the outputs, each of them float, float16 or double; all of the model if left out.</param>
    /// <returns>Each output by its name.</returns>
    /// <inheritdoc cref="Run(Tensor[])"/>
    public IReadOnlyDictionary<string, Tensor> RunOutputs(Tensor[] inputs, IEnumerable<string>? outputs = null) =>
        RunOutputs(inputs, outputs, default);

    private Dictionary<string, Tensor> RunOutputs(Tensor[] inputs, IEnumerable<string>? outputs, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        foreach (var input in inputs) ArgumentNullException.ThrowIfNull(input, nameof(inputs));
        string[] names = FloatOutputs(outputs);
        int? piece = RequireInputs(inputs);
        using var use = uses.Enter();
        using var limit = RunLimit.Begin(Source, timeout, cudaGraph, cancellation);
        try
        {
            return names.Zip(piece is { } size ? InPieces(inputs, size, names, limit) : Compute(inputs, names, limit)).ToDictionary();
        }
        catch (Exception e) when (OnnxException.IsForeign(e))
        {
            throw limit?.Ended() ?? Failed(e);
        }
    }

    /// <summary>Checks the inputs; returns the samples of a piece where the model takes another number than these are.</summary>
    private int? RequireInputs(Tensor[] inputs)
    {
        string shapes = string.Join(" and ", inputs.Select(input => input.Shape));
        if (inputs.Length != Inputs.Count)
        {
            throw new OnnxException(
                $"{Source}: got {inputs.Length} inputs of shape {shapes}, expected {Inputs.Count}, {string.Join(" and ", Inputs)}.");
        }
        // An axis of one name has one size.
        var sizes = new Dictionary<string, (int Size, string Input)>();
        for (int i = 0; i < inputs.Length; i++)
        {
            for (int axis = 0; axis < Math.Min(inputs[i].Shape.Rank, Inputs[i].DimParams.Count); axis++)
            {
                string name = Inputs[i].DimParams[axis];
                int size = inputs[i].Shape[axis];
                if (name.Length > 0 && !sizes.TryAdd(name, (size, Inputs[i].Name)) && sizes[name].Size != size)
                {
                    throw new OnnxException(
                        $"{Source}: got inputs of shape {shapes}, '{sizes[name].Input}' with {sizes[name].Size} for the axis '{name}' and "
                        + $"'{Inputs[i].Name}' with {size}: expected as many of each.");
                }
            }
        }
        var samples = inputs.Zip(Inputs).ToList();
        if (samples.All(pair => pair.Second.Fits(Sizes(pair.First.Shape)))) return null;
        bool asMany = samples.All(pair => pair.First.Shape is { Rank: > 0, Count: > 0 } shape && shape[0] == inputs[0].Shape[0]);
        if (asMany && BatchSize is { } piece
            && samples.All(pair => pair.Second.Fits(Sizes(pair.First.Shape.WithoutFirst().Prepend(piece))))) return piece;
        throw new OnnxException(
            $"{Source}: got inputs of shape {shapes}, expected {string.Join(" and ", Inputs)}, as many samples of each, at least 1.");
    }

    /// <summary>
    /// Runs pieces of a fixed number of samples, the last one filled up with copies of its last sample; puts the results together.
    /// </summary>
    private Tensor[] InPieces(Tensor[] inputs, int piece, string[] names, RunLimit? limit)
    {
        int samples = inputs[0].Shape[0];
        var results = new Tensor[names.Length];
        for (int start = 0; start < samples; start += piece)
        {
            int count = Math.Min(piece, samples - start);
            var x = Array.ConvertAll(inputs, input =>
            {
                var filled = new Tensor(input.Shape.WithoutFirst().Prepend(piece));
                int row = input.Data.Length / samples;
                for (int n = 0; n < piece; n++)
                    input.Data.AsSpan((start + Math.Min(n, count - 1)) * row, row).CopyTo(filled.Data.AsSpan(n * row));
                return filled;
            });
            var y = Compute(x, names, limit);
            for (int i = 0; i < y.Length; i++)
            {
                if (y[i].Shape.Rank == 0 || y[i].Shape[0] != piece)
                    throw new OnnxException($"{Source}: output '{names[i]}' of shape {y[i].Shape} has no row for each of {piece} samples.");
                var result = results[i] ??= new Tensor(y[i].Shape.WithoutFirst().Prepend(samples));
                int row = result.Data.Length / samples;
                y[i].Data.AsSpan(0, count * row).CopyTo(result.Data.AsSpan(start * row));
            }
        }
        return results;
    }

    private Tensor[] Compute(Tensor[] inputs, string[] names, RunLimit? limit)
    {
        var x = new List<OrtValue>();
        try
        {
            foreach (var (input, info) in inputs.Zip(Inputs)) x.Add(OrtElements.Create(input.Data, Sizes(input.Shape), info.ElementType));
            using var values = session.Run(limit?.Options ?? runOptions, inputNames, x, names);
            return [.. values.Select(value =>
            {
                int[] sizes = Array.ConvertAll(value.GetTensorTypeAndShape().Shape, size => checked((int)size));
                return new Tensor(new Shape(sizes), OrtElements.Read(value));
            })];
        }
        finally
        {
            foreach (var value in x) value.Dispose();
        }
    }

    private string[] FloatOutputs(IEnumerable<string>? outputs)
    {
        string[] names = [.. (outputs ?? Outputs.Select(output => output.Name)).Distinct()];
        if (names.FirstOrDefault(name => !Outputs.Any(o => o.Name == name && o.IsFloating)) is { } unknown)
        {
            throw new OnnxException($"{Source} has no float output '{unknown}': its outputs are {string.Join(" and ", Outputs)}.");
        }
        return names;
    }

    private static long[] Sizes(Shape shape) => [.. shape.Sizes.ToArray().Select(size => (long)size)];
}
