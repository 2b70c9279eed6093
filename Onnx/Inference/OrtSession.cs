using Microsoft.ML.OnnxRuntime;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>Opens sessions of ONNX Runtime, all in the same way.</summary>
internal static class OrtSession
{
    /// <summary>Opens a session on a device.</summary>
    /// <param name="proto">The model, as it was parsed.</param>
    /// <param name="source">What to call it in messages.</param>
    /// <param name="options">Device and threads.</param>
    /// <param name="open">Makes the session, from the file or its bytes.</param>
    /// <returns>The session, and the device with its name.</returns>
    /// <exception cref="OnnxException">ONNX Runtime refuses the model, or an option is wrong.</exception>
    /// <exception cref="MissingDeviceException">The device, or a part that it needs, is not there.</exception>
    public static (InferenceSession Session, string DeviceName) Open(ModelProto proto, string source, OrtOptions options,
        Func<SessionOptions, InferenceSession> open)
    {
        options.Validate();
        try { OnnxChecker.CheckRuntime(proto, options); }
        catch (OnnxException error) { throw new OnnxException($"{source}: {error.Message}", error); }
        _ = OrtRuntime.Env;  // before the first ONNX Runtime object, which would make an environment that logs warnings
        try
        {
            using var settings = new SessionOptions
            {
                IntraOpNumThreads = options.IntraOpThreads,
                // an error is thrown, and need not be written to the terminal too
                LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL,
                GraphOptimizationLevel = options.Optimize ? GraphOptimizationLevel.ORT_ENABLE_ALL : GraphOptimizationLevel.ORT_DISABLE_ALL,
            };
            if (options.Timeout is not null)
            {
                // What is computed of constants while the model is loaded cannot be interrupted; in a run it can.
                settings.AddSessionConfigEntry("optimization.disable_specified_optimizers", "ConstantFolding");
            }
            if (options.ProfilePrefix is not null)
            {
                settings.ProfileOutputPathPrefix = options.ProfilePrefix;
                settings.EnableProfiling = true;
            }
            var deviceName = "cpu";
            if (options.Device.Type == OrtDeviceType.Cuda)
            {
                // CUDA has no integer convolution. Left alone, ONNX Runtime keeps quantized weights and biases behind DequantizeLinear
                // nodes for one, and CUDA has no kernel for those of a bias (int32); so they become floats while the graph is loaded.
                settings.AddSessionConfigEntry("session.disable_quant_qdq", "1");
                var convolutions = proto.Graph.Node.Any(node => node.OpType is "Conv" or "ConvTranspose");
                deviceName = $"{options.Device} ({CudaProvider.Append(settings, options, convolutions)})";
            }
            using var limit = CallLimit.Begin(source, options.Timeout, () => settings.SetLoadCancellationFlag(true));
            try { return (open(settings), deviceName); }
            catch (OnnxRuntimeException) when (limit?.Ended() is { } ended) { throw ended; }
        }
        catch (OnnxRuntimeException e)
        {
            var opset = proto.OpsetImport.FirstOrDefault(import => import.Domain is "" or "ai.onnx")?.Version;
            var hint = "";
            if (e.Message.Contains("fallback to CPU", StringComparison.Ordinal))
            {
                hint = WithoutKernel(proto, source, options);
                if (opset >= 22) hint += $" It is of opset {opset}, and from 22 on CUDA has no kernel for some: export with opset "
                    + "21 or below.";
            }
            throw new OnnxException($"{source} cannot be run on device {options.Device}: {OnnxException.OneLine(e)}{hint}", e);
        }
    }

    /// <summary>The operators that ONNX Runtime gives to the processor where it may; it does not name them when it refuses.</summary>
    private static string WithoutKernel(ModelProto proto, string source, OrtOptions options)
    {
        try
        {
            var nodes = OrtPlacement.WithTheProcessor(proto, source, options).Where(node => node.Provider == "CPUExecutionProvider");
            string names = string.Join(", ", nodes.GroupBy(node => node.OpType).Select(same => $"{same.Key} ({same.First().Node})"));
            if (names.Length > 0) return $" It would run on the processor: {names}.";
        }
        catch (Exception e) when (e is OnnxRuntimeException or OnnxException)
        {
            // It does not run so either: the first error stands.
        }
        return " Some of its operators have no CUDA kernel.";
    }
}
