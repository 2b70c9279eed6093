/// A check of gpu-check: a row of its table and of its JSON.
module OnnxLeNet.Scripts.Gpu.Checks

open System
open System.Collections.Generic
open System.IO
open System.Text.Json.Nodes
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts.Bench
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs

type Outcome =
    | Passed
    | Failed
    | CouldNotRun

/// What every check is given.
type Setup =
    {
        /// The device of ONNX Runtime: a GPU, or the processor in a rehearsal.
        Device: OrtDevice
        /// The model files, whole paths.
        Models: string list
        /// The folder of MNIST.
        Data: string
        Measure: Measure.Setup
        /// PyTorch on the same device, or why there is none.
        Peer: Lazy<Result<PyTorch.Peer, string>>
    }

    member s.OnGpu = s.Device.Type = OrtDeviceType.Cuda

    /// Full precision on the device; CUDA graphs where it is a GPU and they are asked for.
    member s.Options(graph: bool) = OrtOptions(Device = s.Device, CudaGraph = (graph && s.OnGpu))

    /// What ONNX Runtime calls the part of it that must run every node.
    member s.Provider = if s.OnGpu then "CUDAExecutionProvider" else "CPUExecutionProvider"

    /// As a model wants them that says so in its metadata, and takes samples of this shape.
    member s.TestImages(metadata: IReadOnlyDictionary<string, string>, sample: Shape option) =
        let data = ImageFolder.LoadTest(s.Data, ImageTransform.Mnist)
        let transform, _, _ = Input.transformOf Input.nothing metadata sample data
        let data = data.With transform
        if s.Measure.Quick then data.First 500 else data

type Check =
    {
        Name: string
        Outcome: Outcome
        /// One line: the figures, or the reason.
        Detail: string
        /// What the JSON has beside them.
        Data: JsonObject
    }

    member c.Word =
        match c.Outcome with
        | Passed -> "passed"
        | Failed -> "FAILED"
        | CouldNotRun -> "could not run"

    member c.Json: JsonObject =
        let word =
            match c.Outcome with
            | Passed -> "passed"
            | Failed -> "failed"
            | CouldNotRun -> "could not run"
        let row = json [ "check", c.Name; "outcome", word; "detail", c.Detail ]
        for field in c.Data do
            row.Add(field.Key, field.Value |> Option.ofObj |> Option.map _.DeepClone() |> Option.toObj)
        row

let passedIf ok detail data = (if ok then Passed else Failed), detail, data

let private oneLine (text: string) =
    String.Join(" ", text.Split([| '\n'; '\r' |], StringSplitOptions.RemoveEmptyEntries ||| StringSplitOptions.TrimEntries))

/// Runs a check. A part that is missing is a reason not to run it; any other error is a failure, with what was said.
let check name (body: unit -> Outcome * string * JsonObject) =
    try
        let outcome, detail, data = body ()
        { Name = name; Outcome = outcome; Detail = oneLine detail; Data = data }
    with
    | :? MissingPartException as e -> { Name = name; Outcome = CouldNotRun; Detail = "because " + oneLine e.Message; Data = JsonObject() }
    | :? OperationCanceledException -> reraise ()
    | e -> { Name = name; Outcome = Failed; Detail = oneLine e.Message; Data = JsonObject() }

let notRun name why = { Name = name; Outcome = CouldNotRun; Detail = "because " + oneLine why; Data = JsonObject() }

/// The model that stands for all in the measurements.
let lenet5 (s: Setup) =
    match s.Models |> List.tryFind (fun file -> Path.GetFileName file = "lenet5-mnist.onnx") with
    | Some file -> file
    | None -> raise (MissingPartException "lenet5-mnist.onnx is not among the models: train it, or name their folder with --models")
