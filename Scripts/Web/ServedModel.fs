/// A model that is asked over and over: loaded once, by the engine and by ONNX Runtime.
module OnnxLeNet.Scripts.Web.ServedModel

open System
open System.Collections.Generic
open System.Diagnostics
open System.Text.Json
open System.Threading
open System.Threading.Tasks
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Onnx.Schema
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs
open OnnxLeNet.Scripts.Web.FeatureMaps
open OnnxLeNet.Scripts.Web.NodeFigures

type ClassScore = { Class: string; Probability: float }

/// The answer of one path.
type PathAnswer =
    {
        Class: string
        Probability: float
        /// Of every class, in the order of the model's outputs.
        Probabilities: float array
        Milliseconds: float
    }

/// The picture as the model sees it, before the preprocessing.
type Seen =
    {
        Width: int
        Height: int
        /// 1, grey, or 3.
        Channels: int
        /// Row after row, in base64.
        Pixels: string
    }

/// The answer to a picture. Its first fields are those of predict's JSON.
type Prediction =
    {
        File: string
        /// None where there is nothing on the picture.
        Class: string option
        Probability: float option
        Top: ClassScore array
        /// Whether both paths say the same; none where one alone answers.
        Agree: bool option
        Engine: PathAnswer option
        OnnxRuntime: PathAnswer option
        Blank: bool
        /// The largest absolute difference of a class's probability between the two paths.
        Difference: float option
        /// All of the work, decoding left out.
        Milliseconds: float
        Seen: Seen option
        Layers: LayerMaps array option
    }

/// What there is to know of a model.
type ModelInfo =
    {
        Id: string
        Name: string
        /// The names of the classes, in the order of the model's outputs.
        Classes: string array
        /// A picture before the preprocessing: channels, height, width.
        Image: int array
        /// The model's input: what "input" of a prediction takes.
        Sample: int array
        /// Whether it is of MNIST's digits, so that pictures are brought to MNIST's form first.
        Digits: bool
        /// Why ONNX Runtime answers alone; none where both do.
        EngineProblem: string option
        Graph: string
        Producer: string
        Opsets: string array
        Parameters: int64
        Flops: Nullable<int64>
        Bytes: int64
        Sha256: string
        Metadata: IReadOnlyDictionary<string, string>
        /// What the layers' outputs look like: those of zeros.
        Layers: LayerMaps array option
    }

type ServedModel =
    { Info: ModelInfo
      Network: ImportedModel option
      Own: Classifier option
      Theirs: Classifier
      Maps: FeatureMaps option
      /// Measured when it is first asked for.
      Figures: Lazy<NodeFigures> option }

    interface IDisposable with
        member model.Dispose() =
            model.Own |> Option.iter _.Dispose()
            model.Theirs.Dispose()

/// Loads a model. What its file does not say of its input, options may.
let load id name trusted (given: Input.Given) (fit: Fit option) (proto: ModelProto) (bytes: byte array) =
    let metadata = OnnxFile.Metadata proto
    let transform: ImageTransform | null =
        match Input.declared given metadata (Shape(1, 1, 1)) with
        | None ->
            raise (
                OnnxLeNetException
                    $"{name} does not say what its input wants: give --mean and --std (and --scale, --padding), such as --mean 0 --std 1 \
                        for pixels from 0 to 1"
            )
        | Some transform when isNull (PixelInput.Of metadata) -> transform
        | Some _ -> null // its graph does it
    let size = given.Size |> Option.map Size2 |> Option.toNullable
    let create (ort: OrtOptions | null) =
        let options = ClassifierOptions(Transform = transform, Size = size, Fit = Option.toNullable fit, OnnxRuntime = ort)
        let classifier = Classifier.Create(proto, bytes, name, options)
        classifier.WarmUp()
        classifier
    let theirs = create (OrtOptions(Trusted = trusted))
    let network, own, problem =
        try
            let network = OnnxImporter.Import proto
            Some network, Some(create null), None
        with :? OnnxException as e -> None, None, Some(e.Problems |> Seq.tryHead |> Option.defaultValue e.Message)
    let maps = network |> Option.map FeatureMaps
    let layers = maps |> Option.map (fun maps -> maps.Of(Array.zeroCreate theirs.Input.Sample.Count))
    let summary = ModelSummary.Of(proto, bytes, trusted = trusted)
    let data = metadata.TryGetValue ModelMetadata.Data |> snd
    let shown = dict [ for entry in summary.Metadata -> oneLine entry.Key, oneLine entry.Value ]
    { Info =
        { Id = id
          Name = oneLine name
          Classes = theirs.ClassNames |> Seq.map oneLine |> Seq.toArray
          Image = theirs.Image.Sizes.ToArray()
          Sample = theirs.Input.Sample.Sizes.ToArray()
          Digits = MnistForm.Applies(data, theirs.ClassNames) && theirs.Image = Shape(1, 28, 28)
          EngineProblem = problem |> Option.map oneLine
          Graph = oneLine summary.Graph
          Producer = oneLine summary.Producer
          Opsets = Seq.toArray summary.Opsets
          Parameters = summary.Parameters
          Flops = summary.Flops
          Bytes = summary.Bytes
          Sha256 = summary.Sha256
          Metadata = shown.AsReadOnly()
          Layers = layers }
      Network = network
      Own = own
      Theirs = theirs
      Maps = maps
      Figures = network |> Option.map (fun _ -> lazy (measure name proto (OnnxImporter.Import proto))) }

/// Reads a model's file, and loads it.
let read id trusted (given: Input.Given) fit (path: string) =
    OnnxLeNet.Scripts.ModelFile.requireOnnx path
    let struct (proto, bytes) = OnnxFile.ReadWithBytes path
    load id (OnnxLeNet.Scripts.Workspace.display path) trusted given fit proto bytes

let private timed (work: unit -> 'T) =
    let began = Stopwatch.GetTimestamp()
    work (), (Stopwatch.GetElapsedTime began).TotalMilliseconds

let private answerOf (classifier: Classifier) (numbers: float32 array) =
    let probabilities, time = timed (fun () -> classifier.Probabilities(classifier.Scores numbers))
    if probabilities |> Array.exists (fun p -> not (Double.IsFinite p)) then
        raise (OnnxLeNetException "the model gives scores for this that are no finite numbers")
    let best = Array.IndexOf(probabilities, Array.max probabilities)
    { Class = oneLine classifier.ClassNames[best]
      Probability = probabilities[best]
      Probabilities = probabilities
      Milliseconds = time }

let private ofNumbers (model: ServedModel) top withLayers file seen (numbers: float32 array) =
    let began = Stopwatch.GetTimestamp()
    let own = model.Own |> Option.map (fun own -> answerOf own numbers)
    let theirs = answerOf model.Theirs numbers
    let classified = model.Theirs.Classified(theirs.Probabilities, false)
    let layers = if withLayers then model.Maps |> Option.map (fun maps -> maps.Of numbers) else None
    { File = file
      Class = Some theirs.Class
      Probability = Some theirs.Probability
      Top = [| for c in classified.Classes |> Seq.truncate top -> { Class = oneLine c.Class; Probability = c.Probability } |]
      Agree = own |> Option.map (fun own -> Predict.agree model.Theirs own.Probabilities theirs.Probabilities)
      Engine = own
      OnnxRuntime = Some theirs
      Blank = false
      Difference =
        own
        |> Option.map (fun own -> Array.map2 (fun (a: float) b -> abs (a - b)) own.Probabilities theirs.Probabilities |> Array.max)
      Milliseconds = (Stopwatch.GetElapsedTime began).TotalMilliseconds
      Seen = seen
      Layers = layers }

let private nothing file =
    { File = file
      Class = None
      Probability = None
      Top = [||]
      Agree = None
      Engine = None
      OnnxRuntime = None
      Blank = true
      Difference = None
      Milliseconds = 0.0
      Seen = None
      Layers = None }

/// What a picture shows: its most probable classes, and the layers' outputs where they are asked for.
let predict (model: ServedModel) top withLayers file (picture: Picture) =
    let input = model.Theirs.Input
    match input.See picture with
    | null -> nothing file
    | shown ->
        let seen =
            { Width = shown.Width
              Height = shown.Height
              Channels = shown.Channels
              Pixels = Convert.ToBase64String shown.Pixels }
        ofNumbers model top withLayers file (Some seen) (input.Numbers shown)

/// The same of the model's input itself.
let predictInput (model: ServedModel) top withLayers file (numbers: float32 array) =
    let wanted = model.Theirs.Input.Sample
    if numbers.Length <> wanted.Count then
        raise (ShapeException $"\"input\" has {numbers.Length} numbers, expected {wanted.Count}: a sample of {wanted}, row-major")
    if numbers |> Array.exists (fun x -> not (Single.IsFinite x)) then
        raise (OnnxLeNet.Numerics.DataException "\"input\" holds a number that is not finite")
    ofNumbers model top withLayers file None numbers

/// A picture of a stroke, in the size that a model takes.
let strokeFor (model: ServedModel) =
    let height, width = model.Info.Image[1], model.Info.Image[2]
    Picture(width, height, 1, Array.init (height * width) (fun i -> if i % width = width / 2 then 255uy else 0uy))

/// Asks for a stroke over and over, as a page does: what runs often is compiled anew, and better, and a person's first stroke need not wait
/// for that.
let warmUp (model: ServedModel) (stop: CancellationToken) : Task =
    task {
        let began, stroke = Stopwatch.GetTimestamp(), strokeFor model
        let mutable asked = 0
        try
            while asked < 100 && (Stopwatch.GetElapsedTime began).TotalSeconds < 3.0 && not stop.IsCancellationRequested do
                JsonSerializer.SerializeToUtf8Bytes(predict model 3 true "a stroke" stroke, JsonSerializerOptions.Web) |> ignore
                asked <- asked + 1
                do! Task.Delay 10 // who has come meanwhile goes first
        with :? OnnxLeNetException ->
            () // who asks is told
    }
