/// evaluate: how well a model file tells a data set's classes apart.
module OnnxLeNet.Scripts.Verbs.Evaluate

open System
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Cli
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common

/// The logits of the images, of which each of several processes computes a part.
let private logits (network: Module) (data: ImageDataset) =
    Inference.Logits(network, data, Option.toObj (Ranks.group ()), System.Threading.CancellationToken.None)

let private evaluate (args: Args) =
    let out = output (args.Has Options.quiet)
    let floor = args.TryGet Options.minAccuracy |> Option.map (share "--min-accuracy")
    configure (args.TryGet Options.threads) (args.TryGet Options.width) (args.TryGet Options.provider)
    args.TryGet Options.json |> Option.iter (Workspace.requireWritableFile "--json")
    args.TryGet Options.mistakes
    |> Option.iter (fun file ->
        MistakesSheet.requireEnding file
        Workspace.requireWritableFile "--mistakes" file)
    let file = StandardInput.named (args.Require Options.model)
    let engine = args.Get(Options.engine, Engine.OnnxRuntime)
    let ort = ortOptionsFor (args.Has Options.trust) (args.TryGet Options.device)
    if engine <> Engine.Own then Ranks.requireOne "evaluate by ONNX Runtime"
    if engine = Engine.Own && ort.Device <> OrtDevice.Cpu then
        badOption "--device" ort.Device "cpu with --engine own; cuda is for ONNX Runtime"

    ModelFile.requireOnnx file
    let given = Input.ofArgs args
    let folder = dataFolder (args.TryGet Options.data)
    /// The test images as the model takes them, once it is sure that it is a classifier of them.
    let imagesFor (sample: Shape option) outputs classes metadata =
        let sample = sample |> Option.map (Input.imageOf metadata)
        let data = Pictures.testOf out metadata given.Padding given.Size sample (args.Has Options.skipDamaged) folder
        let transform, _, said = Input.transformOf given metadata sample data
        Input.requireClassifier file outputs classes data (ImageFolder.FolderName folder)
        Input.say out said
        data, Input.asTaken metadata transform data
    let scores, (stored, data), device, metadata, probabilities =
        match engine with
        | Engine.Own ->
            let imported = OnnxImporter.Import file
            imported.RequireSingle()
            let output = (Inference.Run(imported.Network.Eval(), Batch(1, imported.Sample, requiresGrad = false))).Sample
            let stored, data =
                imagesFor (Some imported.Sample) $"samples of {output}" (if output.Rank = 1 then Some output[0] else None) imported.Metadata
            imported.RequireInput(data.Sample)
            logits imported.Network data,
            (stored, data),
            $"the engine ({Products.Provider})",
            imported.Metadata,
            imported.ReturnsProbabilities
        | _ ->
            use model = OrtModel.Load(file, ort)
            if model.DoubleAsFloat then
                message out "the file is of double, for which ONNX Runtime lacks operators: it runs as float32"
            if model.Inputs.Count > 1 then
                raise (ShapeException $"""{file} takes {String.Join(" and ", model.Inputs)}: a data set's images are one input""")
            let outputs = String.Join(" and ", model.Outputs)
            let metadata = model.Metadata.Properties
            let stored, data = imagesFor (Input.sampleOf model.Input) outputs (Input.classesOf model) metadata
            Parity.Logits(model, data), (stored, data), $"ONNX Runtime on {model.DeviceName}", metadata, model.ReturnsProbabilities
    let classes = scores.Shape[1]
    Input.requireClassifier file "rows of numbers" (Some classes) data (ImageFolder.FolderName folder)
    let names = Input.classNames out metadata classes
    let metrics = ClassificationMetrics.Of(scores, data, probabilities)
    line out $"{Workspace.display file}   {data.Count:N0} test images of {ImageFolder.FolderName folder}   {device}"
    EvaluateReport.print out names stored.FileNames metrics
    let written option = if Ranks.isFirst then args.TryGet option else None
    written Options.mistakes
    |> Option.iter (fun path ->
        if MistakesSheet.write stored names metrics path then
            line out $"{Workspace.display path}   the worst mistakes, row after row in that order"
        else
            message out $"there are no mistakes: {path} was not written")
    written Options.json
    |> Option.iter (fun path ->
        writeJson
            path
            (json (
                [ "model", box (Workspace.display file)
                  "engine", (if engine = Engine.Own then "own" else "onnxruntime")
                  "device", string ort.Device
                  "data", ImageFolder.FolderName folder
                  "samples", data.Count ]
                @ EvaluateReport.fields names stored.FileNames metrics
            )))
    match floor with
    | Some least when metrics.Accuracy < least && Ranks.isFirst ->
        error $"the accuracy {percent metrics.Accuracy} is below --min-accuracy {percent least}"
        Exit.fallsShort
    | _ -> Exit.done'

let run (args: Args) =
    let code = evaluate args
    match Ranks.group () with
    | Some group -> Ranks.endTogether group code
    | None -> code
