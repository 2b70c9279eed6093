using System.Text.Json;
using Google.Protobuf;
using Microsoft.ML.OnnxRuntime;
using OnnxLeNet.Onnx.Schema;

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
    public static IReadOnlyList<OrtPlacement> Of(byte[] model, OrtOptions? options = null, string source = "the model in memory",
        int batch = 1)
    {
        var folder = Directory.CreateTempSubdirectory("onnxlenet-profile-");
        try
        {
            using var profiled = OrtModel.Load(model,
                (options ?? new OrtOptions()) with { ProfilePrefix = Path.Combine(folder.FullName, "run") }, source);
            profiled.WarmUp(batch);
            return Read(profiled.Session.EndProfiling());
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    /// <summary>
    /// Where the nodes of any model run where the processor may help out, a training step's among them: open sizes are 2, the input zeros.
    /// </summary>
    /// <exception cref="OnnxRuntimeException">The model cannot be run so.</exception>
    internal static IReadOnlyList<OrtPlacement> WithTheProcessor(ModelProto model, string source, OrtOptions options)
    {
        var folder = Directory.CreateTempSubdirectory("onnxlenet-profile-");
        try
        {
            options = options with { ProfilePrefix = Path.Combine(folder.FullName, "run"), ProcessorToo = true, CudaGraph = false };
            byte[] bytes = model.ToByteArray();
            using var session = OrtSession.Open(model, source, options, settings => new InferenceSession(bytes, settings)).Session;
            using var run = new RunOptions();
            var inputs = new List<OrtValue>();
            try
            {
                foreach (string name in session.InputNames)
                {
                    var input = session.InputMetadata[name];
                    long[] shape = [.. input.Dimensions.Select(size => size < 0 ? 2L : size)];
                    inputs.Add(OrtValue.CreateAllocatedTensorValue(OrtAllocator.DefaultInstance, input.ElementDataType, shape));
                    inputs[^1].GetTensorMutableRawData().Clear();
                }
                session.Run(run, session.InputNames, inputs, session.OutputNames).Dispose();
            }
            finally
            {
                foreach (var input in inputs) input.Dispose();
            }
            return Read(session.EndProfiling());
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static IReadOnlyList<OrtPlacement> Read(string profile)
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(profile));
        return [.. Nodes(json.RootElement).DistinctBy(placement => placement.Node)];
    }

    // An event for each node: {"cat": "Node", "name": "conv1_kernel_time", "args": {"provider": …, "op_name": "Conv", …}, …}.
    private static IEnumerable<OrtPlacement> Nodes(JsonElement events)
    {
        const string Suffix = "_kernel_time";
        foreach (var one in events.EnumerateArray())
        {
            if (one.TryGetProperty("cat", out var category) && category.GetString() == "Node"
                && one.GetProperty("name").GetString() is { } name
                && name.EndsWith(Suffix, StringComparison.Ordinal) && one.GetProperty("args") is var args
                    && args.TryGetProperty("provider", out var provider))
            {
                yield return new OrtPlacement(name[..^Suffix.Length], args.GetProperty("op_name").GetString()!, provider.GetString()!);
            }
        }
    }
}
