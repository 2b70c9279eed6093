using System.Globalization;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;
using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

// What a step is bound to.
public sealed partial class OrtTrainer
{
    /// <summary>The memory of batches of one size, bound in both directions between the two sets.</summary>
    private sealed class BoundBatch : IDisposable
    {
        private readonly List<IDisposable> parts = [];

        public BoundBatch(OrtTrainer owner, int samples)
        {
            try
            {
                Input = Add(new DeviceTensor<float>(owner.Device, TensorElementType.Float, ShapeOf(samples, owner.Sample)));
                if (owner.Loss == TrainingLoss.CrossEntropy) Labels = Add(new DeviceTensor<long>(owner.Device, TensorElementType.Int64,
                    [samples]));
                else Target = Add(new DeviceTensor<float>(owner.Device, TensorElementType.Float, ShapeOf(samples, owner.OutputSample)));
                Masks = [.. owner.dropouts.Select(dropout => Float(owner.model.Graph.Input.Single(input => input.Name == dropout.Name)))];
                Loss = Add(new DeviceTensor<float>(owner.Device, TensorElementType.Float, []));
                Logits = Add(new DeviceTensor<float>(owner.Device, TensorElementType.Float, ShapeOf(samples, owner.OutputSample)));
                foreach (var output in owner.model.Graph.Output.Where(output => output.Name.EndsWith(TrainingNames.Gradient,
                    StringComparison.Ordinal)
                    || output.Name.EndsWith(TrainingNames.Value, StringComparison.Ordinal))) Returned.Add(output.Name, Float(output));
                for (int from = 0; from < 2; from++)
                {
                    var binding = Add(owner.session.CreateIoBinding());
                    binding.BindInput(OnnxExporter.Input, Input.Value);
                    if (Labels is not null) binding.BindInput(TrainingNames.Labels, Labels.Value);
                    if (Target is not null) binding.BindInput(TrainingNames.Target, Target.Value);
                    for (int i = 0; i < Masks.Length; i++) binding.BindInput(owner.dropouts[i].Name, Masks[i].Value);
                    for (int g = 0; g < owner.rates.Length; g++) binding.BindInput(owner.layout.LearningRates[g].Name,
                        owner.rates[g].Value);
                    foreach (var tensor in owner.layout.Tensors) binding.BindInput(tensor.Name, owner.sets[from].Value(tensor.Name));
                    binding.BindOutput(TrainingNames.Loss, Loss.Value);
                    binding.BindOutput(OnnxExporter.Output, Logits.Value);
                    foreach (var (output, input) in owner.updates) binding.BindOutput(output, owner.sets[1 - from].Value(input));
                    foreach (var (name, gradient) in Returned) binding.BindOutput(name, gradient.Value);
                    Bindings[from] = binding;
                    // A graph for each direction. What is captured runs more than once, which changes nothing: a step does not write what
                    // it reads.
                    var run = Add(new RunOptions { LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL });
                    if (owner.options.CudaGraph) run.AddRunConfigEntry("gpu_graph_id",
                        (++owner.cudaGraphs).ToString(CultureInfo.InvariantCulture));
                    RunOptions[from] = run;
                }
            }
            catch (OnnxRuntimeException error)
            {
                Dispose();
                throw new OnnxException($"{owner.source} cannot be bound on device {owner.DeviceName}: {OnnxException.OneLine(error)}",
                    error);
            }
            catch
            {
                Dispose();
                throw;
            }

            DeviceTensor<float> Float(ValueInfoProto value) =>
                Add(new DeviceTensor<float>(owner.Device, TensorElementType.Float,
                    [.. value.Type.TensorType.Shape.Dim.Select(dim => dim.HasDimValue ? dim.DimValue : samples)]));
        }

        public DeviceTensor<float> Input { get; }

        public DeviceTensor<long>? Labels { get; }

        public DeviceTensor<float>? Target { get; }

        public DeviceTensor<float>[] Masks { get; }

        public DeviceTensor<float> Loss { get; }

        public DeviceTensor<float> Logits { get; }

        /// <summary>Gradients and values that the step returns beside what it replaces.</summary>
        public Dictionary<string, DeviceTensor<float>> Returned { get; } = [];

        /// <summary>From the first set to the second, and back.</summary>
        public OrtIoBinding[] Bindings { get; } = new OrtIoBinding[2];

        public RunOptions[] RunOptions { get; } = new RunOptions[2];

        public void Dispose()
        {
            for (int i = parts.Count - 1; i >= 0; i--) parts[i].Dispose();
        }

        private static long[] ShapeOf(int samples, Shape sample) => [samples, .. sample.Sizes.ToArray().Select(size => (long)size)];

        private T Add<T>(T part) where T : IDisposable
        {
            parts.Add(part);
            return part;
        }
    }
}
