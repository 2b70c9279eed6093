/// What a browser needs to train LeNet-5, and the model file that its weights become.
module OnnxLeNet.Scripts.Web.BrowserTraining

open System
open System.Runtime.InteropServices
open Google.Protobuf
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Onnx.Schema
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs
open OnnxLeNet.Scripts.Verbs.Common

/// Samples of a step, and the learning rate that it begins with.
let private batch, private rate = 64, 0.05

type ParameterLength = { Name: string; Length: int }

/// What the page must know to train.
type Config =
    {
        Batch: int
        LearningRate: float
        /// Height and width of a stored image, and the zero pixels around it.
        Side: int
        Padding: int
        /// A pixel's byte becomes (byte/255 − mean)/std.
        Mean: float
        Std: float
        TrainImages: int
        TestImages: int
        Classes: string array
        Parameters: ParameterLength array
    }

/// What is told of a model that a browser trained, and sent the weights of.
type TrainedModel = { Id: string; Path: string; Bytes: int; TestAccuracy: float; MaxRel: float }

/// A model that a browser trained.
type Trained = { File: byte array; Proto: ModelProto; TestAccuracy: float; MaxRel: float }

/// The training step, MNIST, and what becomes of the weights.
/// <param name="folder">The folder of MNIST's four files, or of others like them.</param>
type BrowserTraining(folder: string) =
    let model = Models.lenet5
    let data = ImageFolder.Load(folder, ImageTransform.Mnist)
    do
        if data.Train.Sample <> model.Sample then
            raise (
                OnnxLeNetException
                    $"{folder}: a browser trains on images of {model.Sample}, these are {data.Train.Stored}, padded {data.Train.Sample}"
            )
    let initial = model.Build(Generator 1L)
    let optimizer () = SGD(initial.Parameters(), rate, 0.9)
    let parameters = [| for named in initial.NamedParameters() -> named.ToTuple() |]
    let step =
        lazy
            (TrainingExporter
                .Export(initial, model.Sample, "lenet5-train", optimizer (), TrainingGraphOptions(BatchSize = Nullable batch))
                .ToByteArray())
    let labelsOf (part: ImageDataset) = lazy (Array.init part.Count (fun i -> byte (part.Label i)))
    let trainLabels, testLabels = labelsOf data.Train, labelsOf data.Test
    let start = lazy (TrainingExporter.ExportInitial(initial, optimizer (), "lenet5-initial").ToByteArray())

    /// Fails where the engine and ONNX Runtime differ on the model.
    let file (net: Sequential) =
        let own = Inference.Logits(net, data.Test)
        let metadata =
            [ ModelMetadata.Classes, ModelMetadata.JoinClasses data.ClassNames
              yield! Input.metadataOf data.Train.Transform
              ModelMetadata.Data, data.Name
              "trained.in", "a browser, by ONNX Runtime for the web" ]
        let proto = OnnxExporter.Export(net, model.Sample, model.Name, dict metadata)
        let bytes = proto.ToByteArray()
        use loaded = OrtModel.Load(bytes, source = "the model from the browser")
        let struct (row, _) = Parity.OnData($"{data.Name} test images", own, data.Test, loaded)
        if not row.Passed then
            raise (OnnxLeNetException $"the engine and ONNX Runtime differ on the model by {scientific row.MaxRel} of the largest logit")
        { File = bytes; Proto = proto; TestAccuracy = accuracy data.Test own; MaxRel = row.MaxRel }

    member _.Config =
        let transform = data.Train.Transform
        { Batch = batch
          LearningRate = rate
          Side = data.Train.Stored[1]
          Padding = transform.Padding
          Mean = transform.Mean[0]
          Std = transform.Std[0]
          TrainImages = data.Train.Count
          TestImages = data.Test.Count
          Classes = Seq.toArray data.ClassNames
          Parameters = [| for name, parameter in parameters -> { Name = name; Length = parameter.Value.Data.Length } |] }

    /// The training step as an ONNX model.
    member _.Step = step.Value

    /// The ONNX model that returns what the first step takes.
    member _.Initial = start.Value

    /// The images as they are stored, one after the other, a byte for each pixel: the memory that the data is in.
    member _.Images(isTraining: bool) = (if isTraining then data.Train else data.Test).PixelMemory

    /// The images' classes, a byte each.
    member _.Labels(isTraining: bool) : byte array = (if isTraining then trainLabels else testLabels).Value

    /// The bytes that the weights of the model have.
    member _.WeightBytes = sizeof<float32> * (parameters |> Array.sumBy (fun (_, parameter) -> parameter.Value.Data.Length))

    /// An ordinary model file of these weights, little-endian floats in the parameters' order, if it is one that the engine and ONNX
    /// Runtime agree on.
    member training.Export(weights: byte array) =
        let wanted = training.WeightBytes
        if weights.Length <> wanted then
            raise (
                OnnxLeNet.Numerics.DataException
                    $"the weights have {weights.Length} bytes, expected {wanted}: {wanted / sizeof<float32>} floats, little-endian"
            )
        let floats = MemoryMarshal.Cast<byte, float32>(ReadOnlySpan weights).ToArray()
        if floats |> Array.exists (fun value -> not (Single.IsFinite value)) then
            raise (OnnxLeNet.Numerics.DataException "a weight is no finite number")
        let net = model.Build(Generator 1L).Eval() :?> Sequential
        let mutable at = 0
        for parameter in net.Parameters() do
            let values = parameter.Value.Data
            Array.blit floats at values 0 values.Length
            at <- at + values.Length
        file net
