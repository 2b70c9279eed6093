using System.Text.Json.Serialization;

namespace OnnxLeNet.Onnx;

/// <summary>The JSON of a training step's metadata, read and written without reflection, so that a trimmed program can.</summary>
[JsonSerializable(typeof(Dictionary<string, string>))]
internal sealed partial class TrainingJson : JsonSerializerContext;
