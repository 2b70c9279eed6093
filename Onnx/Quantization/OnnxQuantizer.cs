using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx;

/// <summary>
/// Writes a network as an ONNX model of 8-bit integers (static quantization, QDQ form): every weight of a convolution or linear layer is
/// stored as int8 with a scale per output channel, its bias as int32 with the scale of the products, and what goes into it passes through
/// QuantizeLinear and DequantizeLinear as uint8. The graph stays one of float operators that any consumer of opset 13 computes; ONNX
/// Runtime fuses them into integer ones. Batch normalization is folded first. The output stays float.
/// </summary>
public static class OnnxQuantizer
{
    private const int CalibrationBatch = 64;

    /// <summary>Writes a network; the ranges of its activations are those of the engine on images.</summary>
    /// <param name="network">A network of layers and joins that ONNX has operators for: of one input, the images, and any outputs.</param>
    /// <param name="training">Images like those the network was trained on, and not those it is judged by.</param>
    /// <param name="name">The graph's name.</param>
    /// <param name="metadata">Keys and values to store with the model, in this order.</param>
    /// <param name="options">Opset, softmax and doc strings.</param>
    /// <param name="quantization">Calibration and range of the weights.</param>
    /// <exception cref="OnnxException">A layer has no form in ONNX, there is none with weights, float16 is asked for too, or an option is
    /// wrong.</exception>
    /// <exception cref="ShapeException">The network does not take these images.</exception>
    public static ModelProto Export(
        Module network, ImageDataset training, string name, IEnumerable<KeyValuePair<string, string>>? metadata = null,
            ExportOptions? options = null,
        QuantizationOptions? quantization = null)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(training);
        options ??= new ExportOptions();
        quantization ??= new QuantizationOptions();
        quantization.Validate();
        if (options.Float16) throw new OnnxException("weights are either int8 or float16: leave one out");
        int count = Math.Min(quantization.CalibrationImages, training.Count);
        string how = $"int8 weights, uint8 activations; ranges of {count} training images";
        var (model, layers, inputs) = OnnxExporter.ExportTraced(network, [training.Sample], name,
            [.. metadata ?? [], new(ModelMetadata.Quantization, how)], options with { FoldBatchNorm = true });
        var images = Enumerable.Range(0, (count + CalibrationBatch - 1) / CalibrationBatch)
            .Select(i => training.Take([.. Enumerable.Range(i * CalibrationBatch,
                Math.Min(CalibrationBatch, count - i * CalibrationBatch))]).Images);
        var ranges = ActivationRange.Observe(inputs[0], layers, images);
        new Rewriter(model.Graph, ranges, quantization.ReduceRange ? 64 : 127, options.DocStrings).Run();
        return model;
    }

    /// <summary>Takes a float graph and puts the pairs of QuantizeLinear and DequantizeLinear into it.</summary>
    private sealed class Rewriter(GraphProto graph, Dictionary<string, ActivationRange> ranges, int most, bool docStrings)
    {
        // Integers in, integers out, with the same scale: the pair behind them costs nothing and keeps the chain whole.
        private static readonly HashSet<string> KeepTheRange = ["MaxPool", "Flatten", "Reshape", "Transpose"];

        // Of values that are quantized, with a result that is: ONNX Runtime computes them in integers.
        private static readonly HashSet<string> Joins = ["Add", "Concat"];

        private readonly GraphEditor editor = new(graph);
        private readonly Dictionary<string, (float Scale, string Dequantized)> done = [];
        private readonly List<NodeProto> written = [];

        public void Run()
        {
            if (!graph.Node.Any(IsQuantized)) throw new OnnxException("the network has no convolution or linear layer: there is nothing "
                + "to quantize");
            var nodes = graph.Node.ToList();
            CopySharedWeights(nodes);
            var feeding = nodes.Where(IsQuantized).Select(node => node.Input[0]).ToHashSet();
            foreach (var node in Enumerable.Reverse(nodes))
            {
                bool leads = feeding.Contains(node.Output[0])
                    || editor.Consumers(node.Output[0]).Any(next => next.OpType == "Relu" && feeding.Contains(next.Output[0]));
                if (KeepTheRange.Contains(node.OpType) && feeding.Contains(node.Output[0])) feeding.Add(node.Input[0]);
                else if (Joins.Contains(node.OpType) && leads && node.Input.All(ranges.ContainsKey)) feeding.UnionWith(node.Input);
            }
            ShareScales(nodes, feeding);

            Pair(graph.Input[0].Name, feeding, null);
            foreach (var node in nodes)
            {
                string x = node.Input[0];
                float scale = done.TryGetValue(x, out var input) ? input.Scale : 0;
                for (int i = 0; i < node.Input.Count && node.OpType != "Identity"; i++) // which hands out the value as it is
                    if (done.TryGetValue(node.Input[i], out var value)) node.Input[i] = value.Dequantized;
                if (IsQuantized(node)) Weights(node, scale);
                written.Add(node);
                Pair(node.Output[0], feeding, KeepTheRange.Contains(node.OpType) && ranges.ContainsKey(x) ? x : null);
            }
            graph.Node.Clear();
            graph.Node.Add(written);
        }

        /// <summary>
        /// What a concatenation joins has one scale, so that its integers are only copied; and so has what keeps its range in front of it.
        /// </summary>
        private void ShareScales(List<NodeProto> nodes, HashSet<string> feeding)
        {
            var shared = new HashSet<string>();
            foreach (var node in Enumerable.Reverse(nodes))
            {
                bool isConcat = node.OpType == "Concat" && feeding.Contains(node.Input[0]);
                if (!isConcat && !(KeepTheRange.Contains(node.OpType) && shared.Contains(node.Output[0]))) continue;
                foreach (string input in node.Input.Where(ranges.ContainsKey))
                {
                    ranges[input] = ranges[node.Output[0]];
                    shared.Add(input);
                }
            }
        }

        /// <summary>A weight that several nodes take is quantized for each of them, as its bias counts in steps of their inputs.</summary>
        private void CopySharedWeights(List<NodeProto> nodes)
        {
            var taken = new HashSet<string>();
            foreach (var node in nodes.Where(IsQuantized))
            {
                for (int i = 1; i < node.Input.Count; i++)
                {
                    if (taken.Add(node.Input[i])) continue;
                    var weight = editor.Weight(node.Input[i])!;
                    node.Input[i] = editor.Add<float>($"{node.Name}.{(i == 1 ? "weight" : "bias")}", DataType.Float,
                        [.. weight.Dims.Select(size => (int)size)],
                        GraphEditor.Floats(weight).ToArray(), behind: weight).Name;
                    taken.Add(node.Input[i]);
                }
            }
        }

        private static bool IsQuantized(NodeProto node) => node.OpType is "Conv" or "Gemm";

        /// <summary>Quantizes a value and makes it float again, where that leads to a convolution or linear layer.</summary>
        private void Pair(string value, HashSet<string> feeding, string? sameRangeAs)
        {
            if (!feeding.Contains(value)) return;
            var range = ranges[value] = ranges[sameRangeAs ?? value];
            string scale = editor.Add<float>($"{value}.scale", DataType.Float, [], [range.Scale]).Name;
            string zero = editor.Add<byte>($"{value}.zero_point", DataType.Uint8, [], [range.ZeroPoint]).Name;
            var quantize = editor.Node("QuantizeLinear", $"{value}.quantize", [value, scale, zero]);
            var dequantize = editor.Node("DequantizeLinear", $"{value}.dequantize", [quantize.Output[0], scale, zero]);
            if (docStrings) quantize.DocString = FormattableString.Invariant($"{range.Min} to {range.Max} become 0 to 255");
            written.AddRange([quantize, dequantize]);
            done.Add(value, (range.Scale, dequantize.Output[0]));
        }

        /// <summary>Weight int8 and bias int32, each with a scale per output channel.</summary>
        private void Weights(NodeProto node, float inputScale)
        {
            var weight = editor.Weight(node.Input[1])!;
            var bias = node.Input.Count > 2 ? editor.Weight(node.Input[2])! : null;
            float[] w = GraphEditor.Floats(weight).ToArray(), b = bias is null ? [] : GraphEditor.Floats(bias).ToArray();
            int channels = (int)weight.Dims[0], taps = w.Length / channels;
            var (scales, integers, biases) = (new float[channels], new sbyte[w.Length], new int[b.Length]);
            for (int c = 0; c < channels; c++)
            {
                float largest = 0;
                foreach (float tap in w.AsSpan(c * taps, taps)) largest = Math.Max(largest, Math.Abs(tap));
                scales[c] = largest / most;
                // The bias counts in steps of both scales; a channel of tiny weights needs larger steps for it to fit its 32 bits.
                if (bias is not null) scales[c] = Math.Max(scales[c], Math.Abs(b[c]) / inputScale / (1 << 30));
                if (!float.IsNormal(scales[c])) scales[c] = 1; // no weight and no bias, or none that counts
                for (int t = c * taps; t < (c + 1) * taps; t++) integers[t] = (sbyte)MathF.Round(w[t] / scales[c]);
                if (bias is not null) biases[c] = (int)Math.Round(b[c] / ((double)inputScale * scales[c]));
            }
            GraphEditor.Set<sbyte>(weight, DataType.Int8, integers);
            var scale = editor.Add<float>($"{weight.Name}.scale", DataType.Float, [channels], scales, behind: weight);
            var zero = editor.Add<sbyte>($"{weight.Name}.zero_point", DataType.Int8, [channels], new sbyte[channels], behind: scale);
            node.Input[1] = Dequantize(weight, scale, zero);
            if (bias is null) return;
            GraphEditor.Set<int>(bias, DataType.Int32, biases);
            float[] products = [.. scales.Select(s => inputScale * s)];
            node.Input[2] = Dequantize(bias, editor.Add<float>($"{bias.Name}.scale", DataType.Float, [channels], products, behind: bias),
                null);
        }

        private string Dequantize(TensorProto weight, TensorProto scale, TensorProto? zero)
        {
            string[] inputs = zero is null ? [weight.Name, scale.Name] : [weight.Name, scale.Name, zero.Name];
            var node = editor.Node("DequantizeLinear", $"{weight.Name}.dequantize", inputs, GraphWriter.Int("axis", 0));
            written.Add(node);
            return node.Output[0];
        }
    }
}
