/// What gpu-check proves of every model file: the same results with TF32 off and near ones with it on, every node on the GPU, CUDA graphs.
module OnnxLeNet.Scripts.Gpu.Inference

open System
open System.IO
open Google.Protobuf
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts.Bench.Measure
open OnnxLeNet.Scripts.Gpu.Checks
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs
open OnnxLeNet.Scripts.Verbs.Common

/// TF32 keeps 10 bits of each factor: what it may change of the largest value, and the share of images that must keep their class.
let private tf32Tolerance, private tf32Agreement = 1e-2, 0.999

/// A quantized model steps where a value falls on the border of two: one that differs in the last place may move one step.
let private quantizedTolerance, private quantizedAgreement = 5e-2, 0.995

let private isQuantized (proto: Schema.ModelProto) = proto.Graph.Node |> Seq.exists (fun node -> node.OpType = "QuantizeLinear")

/// What goes into a model: test images where it takes MNIST's, else a batch of random numbers.
type private Given =
    | Images of ImageDataset
    | Random of Tensor

/// The batch sizes that a model takes: the one that its file fixes, else those that a small machine goes through in a second, one at least.
let private batchSizes (file: string) (model: OrtModel) (sizes: int seq) =
    match Option.ofNullable model.BatchSize with
    | Some size -> [ size ]
    | None ->
        match Option.ofNullable (ModelSummary.Read file).Flops with
        | Some flops -> [ for size in sizes do if size = 1 || float size * float flops <= 40e9 then size ]
        | None -> [ 1 ]

/// Random numbers as a model takes them, one large batch.
let private randomBatch file (model: OrtModel) (sample: Shape) =
    let x = Tensor(sample.Prepend(batchSizes file model Parity.BatchSizes |> List.max))
    let random = Generator 5L
    for i in 0 .. x.Data.Length - 1 do
        x.Data[i] <- float32 (random.NextNormal())
    x

let private inputOf (s: Setup) file (model: OrtModel) =
    let sample =
        match Input.sampleOf model.Input with
        | Some sample -> sample
        | None -> raise (ShapeException $"{file} takes {model.Input}: the sizes of a sample have to be in the file")
    let images =
        try
            let data = s.TestImages(model.Metadata.Properties, Some sample)
            if data.Sample = sample then Some data else None
        with :? ShapeException ->
            None
    match images with
    | Some data -> Images data
    | None -> Random(randomBatch file model sample)

let private nameOf input =
    match input with
    | Images _ -> "test images"
    | Random _ -> "random samples"

/// A model's results for an input, a sample in each row.
let private logits (model: OrtModel) input =
    match input with
    | Images data -> Parity.Logits(model, data)
    | Random x ->
        let y = model.Run x
        y.Reshape(x.Shape[0], y.Shape.Count / x.Shape[0])

/// The device's results against the processor's.
let private againstProcessor (s: Setup) (options: OrtOptions) file tolerance =
    use processor = OrtModel.Load(file: string)
    use device = OrtModel.Load(file, options)
    let input = inputOf s file processor
    Parity.Compare(nameOf input, logits device input, logits processor input, tolerance)

let private rowDetail (row: ParityRow) =
    let flips = flips row |> Option.map (fun said -> $" ({said})") |> Option.defaultValue ""
    $"{row.Samples} {row.Input}: max rel {scientific row.MaxRel}, same class {percent row.Top1Agreement}{flips}"

let private rowData (row: ParityRow) more =
    json (
        [ "samples", row.Samples
          "maxAbs", row.MaxAbs
          "maxRel", row.MaxRel
          "top1Agreement", row.Top1Agreement
          "flips", row.Flips
          "flipGap", row.FlipGap
          "tolerance", row.Tolerance ]
        @ more
    )

/// The engine against ONNX Runtime on the device, layer by layer, as a whole, and over the test images.
let private parity (s: Setup) (file: string) () =
    let proto = OnnxFile.Read file
    if isQuantized proto then
        let row = againstProcessor s (s.Options false) file quantizedTolerance
        passedIf
            (row.MaxRel < quantizedTolerance && row.Top1Agreement >= quantizedAgreement)
            ("against ONNX Runtime on the processor, " + rowDetail row)
            (rowData row [])
    else
        let imported = OnnxImporter.Import proto
        let report = ParityValidation.Run(imported, proto, ValidationOptions(Providers = [| "simd" |], Device = s.Device), file)
        let asked = Seq.last report.Devices
        let paths = ParityRow.Worst("random", Seq.sum report.BatchSizes, asked.Paths |> Seq.map _.Row)
        let layers = asked.Layers |> Seq.map _.MaxRel |> Seq.max
        use model = ParityValidation.Load(imported, proto, s.Options false, file)
        let row =
            match inputOf s file model with
            | Images data ->
                let struct (row, _) = Parity.OnData("test images", Inference.Logits(imported.Network, data), data, model)
                row
            | Random _ -> ParityRow.Worst("random samples", paths.Samples, [ paths ])
        let first =
            match asked.FirstFailing with
            | null -> ""
            | layer -> $"; first at {layer.Name}"
        passedIf
            (report.Passed && row.Passed)
            $"{rowDetail row}; random batches {scientific paths.MaxRel}, worst layer {scientific layers}{first}"
            (rowData row [ "randomMaxRel", paths.MaxRel; "worstLayerMaxRel", layers; "engines", jsonArray report.Engines ])

let private tf32 (s: Setup) (file: string) () =
    let proto = OnnxFile.Read file
    let tolerance, agreement = if isQuantized proto then quantizedTolerance, quantizedAgreement else tf32Tolerance, tf32Agreement
    let row = againstProcessor s (OrtOptions(Device = s.Device, UseTf32 = true)) file tolerance
    passedIf (row.MaxRel < tolerance && row.Top1Agreement >= agreement) (rowDetail row) (rowData row [])

/// The nodes that did not run where they must, in words; nothing where all did.
let elsewhere (s: Setup) (nodes: OrtPlacement seq) =
    nodes
    |> Seq.filter (fun node -> node.Provider <> s.Provider)
    |> Seq.map (fun node -> $"{node.OpType} {node.Node} on {node.Provider}")
    |> String.concat ", "

let private placement (s: Setup) (file: string) () =
    use model = OrtModel.Load file
    let nodes = OrtPlacement.Of(File.ReadAllBytes file, s.Options false, file, defaultArg (Option.ofNullable model.BatchSize) 8)
    let elsewhere = elsewhere s nodes
    passedIf
        (nodes.Count > 0 && elsewhere = "")
        (if elsewhere = "" then $"all {nodes.Count} nodes on {s.Provider}" else $"not on {s.Provider}: {elsewhere}")
        (json [ "nodes", nodes.Count ])

/// A bound run that is recorded once and replayed gives what a plain run gives, whatever is in the input then.
let private cudaGraph (s: Setup) (file: string) () =
    use plain = OrtModel.Load(file, s.Options false)
    use recorded = OrtModel.Load(file, s.Options true)
    let random = Generator 7L
    let rows =
        [ for batch in batchSizes file plain [ 1; 7; 64 ] do
              use bound = recorded.Bind batch
              for _ in 1..4 do
                  let x = Array.init bound.Input.Length (fun _ -> float32 (random.NextNormal()))
                  x.AsSpan().CopyTo bound.Input
                  bound.Run()
                  let classes = bound.Output.Length / batch
                  Parity.Compare(
                      $"batch {batch}",
                      Tensor(Shape(batch, classes), bound.Output.ToArray()),
                      Tensor(Shape(batch, classes), plain.Run(x, batch)),
                      Parity.CudaTolerance
                  ) ]
    let worst = ParityRow.Worst("graph", rows.Length, rows)
    passedIf
        worst.Passed
        $"{rows.Length} replayed runs against plain ones: max rel {scientific worst.MaxRel}"
        (json [ "maxRel", worst.MaxRel; "runs", rows.Length ])

/// The rows for every model.
let checks (s: Setup) =
    seq {
        if s.Models.IsEmpty then
            notRun "inference" "there are no models: train one, or name their folder with --models"
        for file in s.Models do
            let name = Path.GetFileNameWithoutExtension file
            check $"{name}: parity, TF32 off" (parity s file)
            check $"{name}: parity, TF32 on" (tf32 s file)
            check $"{name}: every node there" (placement s file)
            check $"{name}: CUDA graph" (cudaGraph s file)
    }

/// Images a second of LeNet-5 at one batch size on the device, as a CUDA graph and not, beside the processor and PyTorch.
let private throughputAt (s: Setup) batch () =
    let file = lenet5 s
    let network = (OnnxImporter.Import(file: string)).Network
    let x =
        let data = s.TestImages(Collections.Generic.Dictionary(), Some(Shape(1, 32, 32)))
        let struct (images, _) = data.Take(ReadOnlySpan [| for i in 0 .. batch - 1 -> i % data.Count |])
        images.ToTensor().Data
    use plain = OrtModel.Load(file, s.Options false)
    use recorded = OrtModel.Load(file, s.Options true)
    use processor = OrtModel.Load(file)
    let bind (model: OrtModel) =
        let bound = model.Bind batch
        x.AsSpan().CopyTo bound.Input
        bound
    use onDevice = bind plain
    use asGraph = bind recorded
    use onProcessor = bind processor
    let predictor = Predictor(network, plain.Input.Shape |> Seq.skip 1 |> Seq.map int |> Array.ofSeq |> Shape)
    let y = Array.zeroCreate<float32>(batch * predictor.Outputs)
    let contenders =
        [ "device", fast s.Measure onDevice.Run
          "deviceGraph", fast s.Measure asGraph.Run
          "processor", fast s.Measure onProcessor.Run
          "engine", fast s.Measure (fun () -> predictor.Run(ReadOnlySpan x, Span y))
          match s.Peer.Value with
          | Ok peer -> "pytorch", (fun () -> peer.Infer(batch, s.Measure.Threads, s.Measure.Least))
          | Error _ -> () ]
    let rates = List.zip (List.map fst contenders) (byTurns s.Measure contenders |> List.map (fun seconds -> float batch / seconds))
    let text name = rates |> List.tryFind (fun (n, _) -> n = name) |> Option.map snd |> Option.defaultValue nan |> fixedPoint 0
    let device, graph, processor = text "device", text "deviceGraph", text "processor"
    let engine, pytorch = text "engine", text "pytorch"
    Passed,
    $"images/s, copies included: {device}, as a CUDA graph {graph}; processor {processor}, engine {engine}, PyTorch {pytorch}",
    json (("batch", box batch) :: [ for name, value in rates -> name + "ImagesPerSecond", box value ])

let throughput (s: Setup) =
    let batches = if s.Measure.Quick then [ 1; 64 ] else [ 1; 64; 1024 ]
    seq { for batch in batches -> check $"inference, batch {batch}" (throughputAt s batch) }
