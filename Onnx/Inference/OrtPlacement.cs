using System.Text.Json;

namespace OnnxLeNet.Onnx;

/// <summary>Where a node of a model ran.</summary>
/// <param name="Node">The node's name, after ONNX Runtime has rewritten the graph.</param>
/// <param name="OpType">Its operator, which may be one of ONNX Runtime's own: FusedConv.</param>
/// <param name="Provider">What ran it: "CPUExecutionProvider", "CUDAExecutionProvider".</param>
public sealed record OrtPlacement(string Node, string OpType, string Provider)
{
    /// <summary>Runs a model once, on zeros, and reads from ONNX Runtime's profile what ran where.</summary>
    /// <param name="model">The bytes of a model file, weights included.</param>
    /// <param name="options">Device and threads; the processor and all cores if left out.</param>
    /// <param name="source">What to call the model in messages.</param>
    /// <param name="batch">How many samples.</param>
    /// <returns>The nodes in the order they ran.</returns>
    /// <exception cref="OnnxException">The model cannot be run so.</exception>
    /// <exception cref="MissingDeviceException">The device, or a part that it needs, is not there.</exception>
    public static IReadOnlyList<OrtPlacement> Of(byte[] model, OrtOptions? options = null, string source = "the model in memory", int batch = 1)
    {
        var folder = Directory.CreateTempSubdirectory("onnxlenet-profile-");
        try
        {
            using var profiled = OrtModel.Load(model, (options ?? new OrtOptions()) with { ProfilePrefix = Path.Combine(folder.FullName, "run") }, source);
            profiled.WarmUp(batch);
            using var profile = JsonDocument.Parse(File.ReadAllBytes(profiled.Session.EndProfiling()));
            return [.. Nodes(profile.RootElement).DistinctBy(placement => placement.Node)];
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    // An event for each node: {"cat": "Node", "name": "conv1_kernel_time", "args": {"provider": …, "op_name": "Conv", …}, …}.
    private static IEnumerable<OrtPlacement> Nodes(JsonElement events)
    {
        const string Suffix = "_kernel_time";
        foreach (var one in events.EnumerateArray())
        {
            if (one.TryGetProperty("cat", out var category) && category.GetString() == "Node" && one.GetProperty("name").GetString() is { } name
                && name.EndsWith(Suffix, StringComparison.Ordinal) && one.GetProperty("args") is var args && args.TryGetProperty("provider", out var provider))
            {
                yield return new OrtPlacement(name[..^Suffix.Length], args.GetProperty("op_name").GetString()!, provider.GetString()!);
            }
        }
    }
}
