/// What a report tells of a model: how well it does, how the engine and ONNX Runtime agree on it, where the time goes.
module OnnxLeNet.Scripts.Report.Findings

open System
open System.Collections.Generic
open System.IO
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Onnx.Schema
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Verbs
open OnnxLeNet.Scripts.Terminal

/// The images that a model is judged on, as they are stored and as it takes them.
type TestImages = { Name: string; Stored: ImageDataset; Taken: ImageDataset }

type Node =
    {
        Index: int
        Name: string
        Layer: string
        Shape: Shape
        Parameters: int
        /// In a training step, µs; of a fused step with its last node.
        Forward: float option
        Backward: float option
        Parity: LayerParity option
    }

type Imported =
    {
        Graph: Graph
        Nodes: Node list
        Times: LayerTimes option
        /// Samples of a step that was timed.
        Batch: int
        Validation: ValidationReport
        Gradients: GradientRow list
    }

type Findings =
    {
        File: string
        Summary: ModelSummary
        Classes: IReadOnlyList<string>
        Images: TestImages option
        Metrics: ClassificationMetrics option
        /// The engine's results on the images against ONNX Runtime's.
        OnData: ParityRow option
        Imported: Imported option
        /// What is not told, each with its reason.
        Missing: string list
    }

let private timed (network: Module) (sample: Shape) (data: Dataset option) =
    match data with
    | Some data when GradientParity.LossFor(network, sample) = TrainingLoss.CrossEntropy ->
        let cost = NetworkCost.Of(Graph.Trace(network, sample))
        let batch = if cost.Step 64.0 < 1.0 then min 64 data.Count else min 8 data.Count
        let steps = Math.Clamp(int (1.0 / cost.Step(float batch)), 3, 100)
        Some(LayerTimes.Measure(network, CrossEntropyLoss(), data, batch, steps, max 1 (min 20 (steps / 4)))), batch
    | _ -> None, 0

let private nodesOf (imported: ImportedModel) (graph: Graph) (validation: ValidationReport) (times: LayerTimes option) =
    let parity = dict [ for layer in validation.Devices[0].Layers -> layer.Value, layer ]
    let rows = dict [ for t in times |> Option.toList do for row in t.Rows do if row.Node.HasValue then row.Node.Value, row ]
    [ for node in graph.Nodes ->
          let time = match rows.TryGetValue node.Index with | true, row -> Some row | _ -> None
          let struct (_, value) = imported.Layers[node.Index]
          { Index = node.Index
            Name = if node.Name = "" then (Option.ofObj value |> Option.defaultValue "") else node.Name
            Layer = string node.Layer
            Shape = node.Output.Sample
            Parameters = node.Layer.ParameterCount
            Forward = time |> Option.map _.ForwardMicroseconds
            Backward = time |> Option.map _.BackwardMicroseconds
            Parity =
              Option.ofObj value
              |> Option.bind (fun value ->
                  match parity.TryGetValue value with
                  | true, layer -> Some layer
                  | _ -> None) } ]

/// Compares each node with ONNX Runtime, and times it in training steps on the data where there is some.
let measure say (file: string) (proto: ModelProto) (imported: ImportedModel) (data: Dataset option) =
    imported.RequireSingle()
    let network = imported.Network.Eval()
    let graph = Graph.Trace(network, imported.Sample)
    say "comparing the engine with ONNX Runtime"
    let validation = ParityValidation.Run(imported, proto, ValidationOptions(BatchSizes = [| 1; 7 |], Providers = [| "simd" |]), file)
    say "timing the layers"
    let times, batch = timed network imported.Sample data
    network.Eval() |> ignore
    { Graph = graph
      Nodes = nodesOf imported graph validation times
      Times = times
      Batch = batch
      Validation = validation
      Gradients = [] }

let private import say (file: string) (images: TestImages option) =
    let proto = OnnxFile.Read file
    let imported = OnnxImporter.Import proto
    let data = images |> Option.map (fun images -> images.Taken :> Dataset)
    let measured = measure say file proto imported data
    let network = imported.Network
    let gradients =
        if GradientParity.Applies network then
            say "comparing the gradients"
            let data: ImageDataset | null =
                match images with
                | Some images -> images.Taken
                | None -> null
            GradientParity.Gradients(network, imported.Sample, data, "test images") |> List.ofSeq
        else
            []
    imported, { measured with Gradients = gradients }

/// Looks at a model, which may come from a source that is trusted. imagesFor gives the images that it is judged on, for the sample that it takes where its file says that.
let find say (file: string) trusted (imagesFor: OrtModel -> Result<TestImages, string>) =
    use model = OrtModel.Load(file, OrtOptions(Trusted = trusted))
    let summary = ModelSummary.Read(file, trusted)
    let images = imagesFor model
    let missing = ResizeArray<string>()
    let found =
        match images with
        | Ok images -> Some images
        | Error why ->
            missing.Add $"There are no figures about images: {why}"
            None
    say "running the test images"
    let scores = found |> Option.map (fun images -> Parity.Logits(model, images.Taken))
    let imported =
        try
            Some(import say file found)
        with :? OnnxLeNetException as e ->
            missing.Add $"There is no graph, and no comparison with the engine: {e.Message}"
            None
    let outputs = scores |> Option.map (fun scores -> scores.Shape[1]) |> Option.defaultValue 0
    let onData =
        match imported, found with
        | Some(imported, _), Some images ->
            let own = Inference.Logits(imported.Network, images.Taken)
            let struct (row, _) = Parity.OnData($"{images.Name} test images", own, images.Taken, model)
            Some row
        | _ -> None
    { File = file
      Summary = summary
      Classes = Input.classNames { Quiet = true; Live = false } model.Metadata.Properties outputs
      Images = found
      Metrics =
        Option.map2
            (fun (scores: Tensor) (images: TestImages) -> ClassificationMetrics.Of(scores, images.Taken, model.ReturnsProbabilities))
            scores
            found
      OnData = onData
      Imported = Option.map snd imported
      Missing = List.ofSeq missing }
