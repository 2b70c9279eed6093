/// validate: the engine against ONNX Runtime on a model file, layer by layer, as a whole, and over a data set.
module OnnxLeNet.Scripts.Verbs.Validate

open System
open System.Collections.Generic
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Cli
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common

let private commas (items: 'T seq) = items |> Seq.map string |> String.concat ", "

let private verdict passed = if passed then "ok" else "FAILED"

let private layerTable out (layers: LayerParity seq) =
    table
        out
        [ "layer"; "kind"; "sample"; "max abs"; "max rel"; ""; "worst" ]
        [ for l in layers ->
              let place =
                  match l.Worst with
                  | null -> "-"
                  | w -> $"sample {w.Sample} at [{commas w.Place}], batch {w.Batch}, {w.Engine}, {w.Runtime}"
              [ l.Name
                Seq.head (l.Layer.Split '(')
                string l.Sample
                scientific l.MaxAbs
                scientific l.MaxRel
                verdict l.Passed
                defaultArg (Option.ofObj l.Problem) place ] ]

/// Classes of steps that a person wants to tell apart; the JSON has all.
let private ulpClasses = [ "equal", 0, 0; "1", 1, 1; "2-3", 2, 2; "4-15", 3, 4; "16-255", 5, 8; "256-4095", 9, 12; "4096+", 13, 32 ]

let private ulpTable out (layers: LayerParity seq) =
    let cell (ulps: UlpHistogram) count =
        let share = 100.0 * float count / float ulps.Total
        if count = 0L then "-"
        elif share < 0.05 then "<0.1%"
        else $"{share:F1}%%"
    table
        out
        ("layer" :: [ for name, _, _ in ulpClasses -> name ] @ [ "not finite" ])
        [ for l in layers ->
              l.Name
              :: [ for _, first, last in ulpClasses ->
                       cell l.Ulps (Seq.sum (Seq.init (last - first + 1) (fun i -> l.Ulps.Counts[first + i]))) ]
              @ [ cell l.Ulps l.Ulps.NotFinite ] ]

/// The network as a whole, each of the engine's ways and each output against all of ONNX Runtime's, then each batch.
let private pathRows (device: DeviceValidation) =
    [ for (engine, output), paths in device.Paths |> Seq.groupBy (fun path -> path.Engine, path.Output) do
          let samples = paths |> Seq.distinctBy _.Row.Input |> Seq.sumBy _.Row.Samples
          ParityRow.Worst((if output = "" then engine else $"{engine}, {output}"), samples, paths |> Seq.map _.Row) ]

let private batchRows (device: DeviceValidation) =
    [ for input, paths in device.Paths |> Seq.groupBy _.Row.Input ->
          ParityRow.Worst(input, (Seq.head paths).Row.Samples, paths |> Seq.map _.Row) ]

let private layerJson (l: LayerParity) =
    json
        [ "name", l.Name
          "layer", l.Layer
          "value", l.Value
          "sample", jsonArray (l.Sample.Sizes.ToArray())
          "maxAbs", l.MaxAbs
          "maxRel", l.MaxRel
          "tolerance", l.Tolerance
          "passed", l.Passed
          "problem", l.Problem
          "ulps", json [ "equalThenPowersOfTwo", jsonArray l.Ulps.Counts; "notFinite", l.Ulps.NotFinite ]
          "worst",
          (match l.Worst with
           | null -> null
           | w ->
               json
                   [ "engine", w.Engine
                     "onnxRuntime", w.Runtime
                     "batch", w.Batch
                     "sample", w.Sample
                     "place", jsonArray w.Place
                     "own", float w.Own
                     "reference", float w.Reference ]) ]

let private deviceJson (d: DeviceValidation) =
    json
        [ "device", d.Device
          "passed", d.Passed
          "firstFailing",
          (match d.FirstFailing with
           | null -> null
           | layer -> box layer.Name)
          "onnxRuntime", jsonArray d.Runtimes
          "placement", jsonArray [ for n in d.Placement -> json [ "node", n.Node; "opType", n.OpType; "provider", n.Provider ] ]
          "layers", jsonArray (Seq.map layerJson d.Layers)
          "paths",
          jsonArray
              [ for p in d.Paths ->
                    json
                        [ "engine", p.Engine
                          "onnxRuntime", p.Runtime
                          if p.Output <> "" then "output", p.Output
                          "samples", p.Row.Samples
                          "maxAbs", p.Row.MaxAbs
                          "maxRel", p.Row.MaxRel
                          "top1Agreement", p.Row.Top1Agreement
                          "flips", p.Row.Flips
                          "flipGap", p.Row.FlipGap
                          "passed", p.Row.Passed ] ] ]

let private print out file (report: ValidationReport) =
    line out $"{Workspace.display file}   the engine against ONNX Runtime, random batches of {commas report.BatchSizes}"
    line out $"engine: {commas report.Engines}"
    match report.Choice with
    | null -> ()
    | choice -> line out $"chosen by cost, {choice}; --all or --batches for more"
    for left in report.LeftOut do
        if left.Contains("--all", StringComparison.Ordinal) then
            line out $"  left out: {left}"
        else
            // The first clauses name the provider and what it needs; doctor tells the rest.
            let clauses = left.Split([| ": "; "; "; ". " |], StringSplitOptions.None) |> Seq.truncate 2 |> String.concat ": "
            line out $"  left out: {clauses} (see doctor)"
    for d in report.Devices do
        let where = [ for provider, nodes in d.Placement |> Seq.countBy _.Provider -> $"{nodes} nodes on {provider}" ]
        let ways = String.concat ", " d.Runtimes
        line out $"ONNX Runtime on {d.Device}: {ways}; {commas where}"
        match d.FirstFailing with
        | null -> ()
        | layer ->
            let place =
                match layer.Worst with
                | null -> "nothing was compared"
                | worst -> worst.ToString()
            let why = defaultArg (Option.ofObj layer.Problem) place
            line out $"FAILED first at {layer.Name}, {layer.Layer}: {why}"
        line out ""
        heading out "every layer's output, the engine running one layer at a time"
        layerTable out d.Layers
        line out ""
        heading out "the differences in units in the last place, share of the elements"
        ulpTable out d.Layers
        line out ""
        heading out "the whole network, against each way to run it in ONNX Runtime"
        parityTableOf "engine" out (ParityReport(d.Device, List.toArray (pathRows d)))

/// The test images to compare on; none if they are not wanted, or not given and not what the model takes or tells apart, which is said.
let private testData (args: Args) out file (imported: ImportedModel) =
    let given = Input.ofArgs args
    let read folder =
        let sample = Input.imageOf imported.Metadata imported.Sample
        let skip = args.Has Options.skipDamaged
        let data = Pictures.testOf out imported.Metadata given.Padding given.Size (Some sample) skip folder
        let output = (Inference.Run(imported.Network.Eval(), Batch(1, imported.Sample, requiresGrad = false))).Sample
        let transform, _, said = Input.transformOf given imported.Metadata (Some sample) data
        let classes = if output.Rank = 1 then Some output[0] else None
        Input.requireClassifier file $"samples of {output}" classes data (ImageFolder.FolderName folder)
        Input.say out said
        let data = Input.asTaken imported.Metadata transform data
        imported.RequireInput data.Sample
        Some(ImageFolder.FolderName folder, data)
    let single = imported.Inputs.Count = 1 && imported.Outputs.Count = 1
    match args.TryGet Options.data with
    | Some "none" -> None
    | None when not single && given = Input.nothing ->
        message out "compared on random input only: a data set needs one input and one output"
        None
    | _ when not single ->
        imported.RequireSingle()
        None
    | Some folder -> read folder
    | None when given <> Input.nothing -> read Workspace.mnistFolder
    | None ->
        try
            read Workspace.mnistFolder
        with :? ShapeException as e ->
            message out $"mnist is left out, random input is compared: {e.Message}"
            None

/// The engine's gradients, and steps of every optimizer, against the training step's graph; nothing where it was not asked for.
let private gradientProof (args: Args) out (imported: ImportedModel) (data: (string * ImageDataset) option) =
    if not (args.Has Options.gradients) then
        Seq.empty, Seq.empty
    elif not (GradientParity.Applies imported.Network) then
        raise (OnnxLeNetException "--gradients: the network has no parameters, and so no gradients: leave it out")
    else
        let ort = ortOptions (args.TryGet Options.device)
        let seed = args.Get(Options.seed, 1L)
        let name =
            match data with
            | Some(name, _) -> $"{name} test images"
            | None -> ""
        let images: ImageDataset | null =
            match data with
            | Some(_, images) -> images
            | None -> null
        let all = args.Has Options.all
        let gradients = GradientParity.Gradients(imported.Network, imported.Sample, images, name, ort, seed, all)
        let optimizers = GradientParity.Optimizers(imported.Network, imported.Sample, images, ort, seed, all)
        line out ""
        let compared = optimizers |> Seq.distinctBy _.Optimizer |> Seq.length
        if compared < GradientParity.OptimizerCount || optimizers |> Seq.exists (fun row -> row.Steps < GradientParity.OptimizerSteps) then
            line
                out
                $"chosen by cost: {compared} of {GradientParity.OptimizerCount} optimizers, {(Seq.head optimizers).Steps} of \
                    {GradientParity.OptimizerSteps} steps; --all for more"
        heading out "gradients: the engine's against those of the training step in ONNX Runtime"
        gradientTable out gradients
        line out ""
        heading out "weights after some steps of both"
        optimizerTable out optimizers
        gradients, optimizers

let run (args: Args) =
    let out = output (args.Has Options.quiet)
    configure (args.TryGet Options.threads) (args.TryGet Options.width) (args.TryGet Options.provider)
    args.TryGet Options.json |> Option.iter (Workspace.requireWritableFile "--json")
    let file = StandardInput.named (args.Require Options.model)
    ModelFile.requireOnnx file
    let proto = OnnxFile.Read file
    let imported = OnnxImporter.Import proto
    if not (args.Has Options.trust) then OwnProcess.Require(proto, file, ortOptions (args.TryGet Options.device))
    if args.Has Options.gradients then imported.RequireSingle()
    Seq.iter (message out) imported.Notes
    let data = testData args out file imported
    let batches: IReadOnlyList<int> | null =
        match args.TryGet Options.batches with
        | None -> null
        | Some sizes ->
            [| for size in sizes.Split ',' ->
                   match Int32.TryParse size with
                   | true, n when n > 0 && n <= 1_000_000 -> n
                   | _ -> raise (OnnxLeNetException $"--batches: '{sizes}' is not a list of batch sizes, expected numbers of 1 to \
                       1,000,000 such as 1,7,64") |]
    let options =
        ValidationOptions(
            BatchSizes = batches,
            All = args.Has Options.all,
            Seed = args.Get(Options.seed, 1L),
            Providers = (args.TryGet Options.provider |> Option.toArray),
            Device = (ortOptions (args.TryGet Options.device)).Device
        )
    let report = ParityValidation.Run(imported, proto, options, file)
    print out file report
    let rows =
        [ match data with
          | None -> ()
          | Some(name, images) ->
              use model = ParityValidation.Load(imported, proto, ortOptions (args.TryGet Options.device), file)
              let struct (row, _) = Parity.OnData($"{name} test images", Inference.Logits(imported.Network, images), images, model)
              row ]
    if not rows.IsEmpty then
        line out ""
        parityTable out (ParityReport((Seq.last report.Devices).Device, List.toArray rows))

    let gradients, optimizers = gradientProof args out imported data
    let passed =
        report.Passed
        && rows |> List.forall _.Passed
        && (Seq.isEmpty gradients || GradientParity.Passed gradients)
        && (Seq.isEmpty optimizers || GradientParity.Passed optimizers)
    let asked = Seq.last report.Devices
    args.TryGet Options.json
    |> Option.iter (fun path ->
        writeJson
            path
            (json
                [ "model", Workspace.display file
                  "device", asked.Device
                  "passed", passed
                  "batchSizes", jsonArray report.BatchSizes
                  "chosen", report.Choice
                  "engines", jsonArray report.Engines
                  "leftOut", jsonArray report.LeftOut
                  "devices", jsonArray (Seq.map deviceJson report.Devices)
                  "rows", parityRows (ParityReport(asked.Device, List.toArray (batchRows asked @ rows)))
                  if args.Has Options.gradients then
                      "gradients", gradientRows gradients
                      "optimizers", optimizerRows optimizers ]))
    line out ""
    if passed then
        let worst = asked.Layers |> Seq.maxBy _.MaxRel
        let onData = rows |> List.map (fun row -> $"; {row.Input}: {percent row.Top1Agreement} same class") |> String.concat ""
        let also = if Seq.isEmpty gradients then "" else ", and so do gradients and optimizers"
        heading out $"verdict: the engine and ONNX Runtime agree{also}"
        line
            out
            $"  {Seq.length asked.Layers} layers, largest relative difference {scientific worst.MaxRel} in layer {worst.Name} (allowed \
                {scientific worst.Tolerance}){onData}"
        Exit.done'
    else
        heading out "verdict: FAILED, the engine and ONNX Runtime do not agree"
        let layer = report.Devices |> Seq.tryPick (fun d -> Option.ofObj d.FirstFailing)
        let path = report.Devices |> Seq.collect _.Paths |> Seq.tryFind (fun p -> not p.Row.Passed)
        match layer, path with
        | Some layer, _ -> error $"the engine and ONNX Runtime do not agree, first at {layer.Name}"
        | None, Some path ->
            let where = if path.Output = "" then "" else $" in {path.Output}"
            let ways = $"the engine ({path.Engine}) and ONNX Runtime ({path.Runtime})"
            error $"every layer agrees, but not the network as a whole: {ways} differ{where}"
        | None, None when rows |> List.forall _.Passed -> error "the engine's gradients and those of the training step do not agree"
        | None, None -> error "the engine and ONNX Runtime do not agree on the data"
        Exit.fallsShort
