using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>
/// Which models a program lets into its own process, where that is its choice: those that the engine can import, since of these every node,
/// attribute and size has been read and understood, and that do not make much of little. Native code that is given others may end the
/// process.
/// </summary>
internal static class OwnProcess
{
    /// <summary>Whether other models need a process of their own.</summary>
    public static bool IsRequired { get; set; }

    /// <summary>Lets a model through that ONNX Runtime may run in this process.</summary>
    /// <exception cref="OnnxException">It may run in none.</exception>
    /// <exception cref="OwnProcessException">It needs one of its own.</exception>
    public static void Require(ModelProto model, string source, OrtOptions options)
    {
        if (!IsRequired) return;
        string? why;
        try
        {
            model = OnnxException.Guard("it cannot be checked", () =>
            {
                var inlined = FunctionInliner.Inlined(model);
                OnnxChecker.CheckRuntime(inlined, options);
                return inlined;
            });
        }
        catch (OnnxException error) { throw new OnnxException($"{source}: {error.Message}", error); }
        try
        {
            var reader = new NetworkReader(model, options.MemoryBudget);
            OnnxException.Guard("it cannot be read", reader.Read);
            if (reader.IsOutOfProportion(model.CalculateSize())) throw OutOfProportion(source, reader, model);
            why = reader.Unused is { } node ? $"{NodeReader.Label(node)} is not used" : null;
        }
        catch (OnnxException error) { why = error.Problems.FirstOrDefault(error.Message); }
        if (why is not null) throw new OwnProcessException(source, $"the engine cannot import it: {why}", model.CalculateSize());
    }

    /// <summary>The error of a model that makes much of little.</summary>
    public static OwnProcessException OutOfProportion(string source, NetworkReader reader, ModelProto model) =>
        new(source, $"it makes {reader.MostNumbers:N0} numbers of each sample", model.CalculateSize()) { HasLittleTime = true };
}

/// <summary>A model that is to run in a process of its own.</summary>
internal sealed class OwnProcessException(string source, string why, long bytes)
    : OnnxLeNetException($"{source} runs in a process of its own only, which this is not: {why}; start from its file")
{
    /// <summary>The model's name in messages.</summary>
    public string Model => source;

    /// <summary>The bytes of the model.</summary>
    public long Bytes => bytes;

    /// <summary>Whether all of the work has a limit of time, not only each call into ONNX Runtime.</summary>
    public bool HasLittleTime { get; init; }
}
