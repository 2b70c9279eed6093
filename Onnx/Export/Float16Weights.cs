using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx;

/// <summary>
/// Weights as float16 (11 bits of mantissa): half the file. A Cast before the node that takes one makes it float32 again, so the arithmetic
/// is that of float32 and only the rounding of the weights is left. What belongs to a formula, and single numbers, stay as they are.
/// </summary>
internal static class Float16Weights
{
    /// <exception cref="OnnxException">A weight is too large for float16.</exception>
    public static void Apply(GraphWriter writer)
    {
        var graph = writer.Graph;
        var editor = new GraphEditor(graph);
        foreach (var weight in graph.Initializer.ToList())
        {
            if (weight.DataType != (int)DataType.Float || weight.Dims.Count == 0 || writer.IsConstant(weight.Name)) continue;
            GraphEditor.Set<Half>(weight, DataType.Float16, Round(weight));
            var cast = editor.Node("Cast", $"{weight.Name}.cast", [weight.Name], GraphWriter.Int("to", (int)DataType.Float));
            var first = editor.Consumers(weight.Name).First();
            foreach (var node in editor.Consumers(weight.Name).ToList())
                for (int i = 0; i < node.Input.Count; i++)
                    if (node.Input[i] == weight.Name) node.Input[i] = cast.Output[0];
            graph.Node.Insert(graph.Node.IndexOf(first), cast);
        }
    }

    private static Half[] Round(TensorProto weight)
    {
        var values = GraphEditor.Floats(weight);
        var rounded = new Half[values.Length];
        for (int i = 0; i < rounded.Length; i++)
        {
            rounded[i] = (Half)values[i];
            if (Half.IsInfinity(rounded[i]) && float.IsFinite(values[i]))
                throw new OnnxException($"weight '{weight.Name}' has the element {values[i]:R}, float16 ends at {(float)Half.MaxValue}: "
                    + "export it as float32, or fold the batch normalization");
        }
        return rounded;
    }
}
