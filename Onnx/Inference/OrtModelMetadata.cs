using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>Who made a model, and what is written in it beside the graph.</summary>
/// <param name="Producer">The program that wrote it, with its version: "pytorch 1.13.1".</param>
/// <param name="IrVersion">The version of the file format.</param>
/// <param name="Opset">The version of the standard operators; 0 if it uses none of them.</param>
/// <param name="Description">The model's own description; may be empty.</param>
/// <param name="Properties">The model's named metadata.</param>
public sealed record OrtModelMetadata(string Producer, long IrVersion, long Opset, string Description,
    IReadOnlyDictionary<string, string> Properties)
{
    internal static OrtModelMetadata From(ModelProto model) => new(
        $"{model.ProducerName} {model.ProducerVersion}".Trim(),
        model.IrVersion,
        model.OpsetImport.Where(opset => opset.Domain is "" or "ai.onnx").Select(opset => opset.Version).DefaultIfEmpty(0).Max(),
        model.DocString,
        OnnxFile.Metadata(model));
}
