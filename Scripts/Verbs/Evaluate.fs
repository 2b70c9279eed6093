/// evaluate: accuracy and confusion matrix of a model file on a data set.
module OnnxLeNet.Scripts.Verbs.Evaluate

open Argu
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Options
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common

let run (args: ParseResults<EvaluateArgs>) =
    let out = output (args.Contains EvaluateArgs.Quiet)
    let floor = args.TryGetResult EvaluateArgs.MinAccuracy |> Option.map (share "--min-accuracy")
    configure (args.TryGetResult EvaluateArgs.Threads) (args.TryGetResult EvaluateArgs.Provider)
    args.TryGetResult EvaluateArgs.Json |> Option.iter (Workspace.requireWritableFile "--json")
    let file = args.GetResult EvaluateArgs.File
    let engine = args.GetResult(EvaluateArgs.Engine, defaultValue = Engine.OnnxRuntime)
    let ort = ortOptions (args.TryGetResult EvaluateArgs.Device)
    if engine = Engine.Own && ort.Device <> OrtDevice.Cpu then
        badOption "--device" ort.Device "cpu with --engine own; cuda is for ONNX Runtime"

    let metadata = OnnxFile.Metadata(OnnxFile.Read file)
    let folder = dataFolder (args.TryGetResult EvaluateArgs.Data)
    let data = ImageFolder.LoadTest(folder, Metadata.transform metadata)
    Seq.iter (message out) data.Notes
    let logits, device =
        match engine with
        | Engine.Own ->
            let imported = OnnxImporter.Import file
            imported.RequireInput(data.Sample)
            Inference.Logits(imported.Network.Eval(), data), $"the engine ({Products.Provider})"
        | _ ->
            use model = OrtModel.Load(file, ort)
            Parity.Logits(model, data), $"ONNX Runtime on {model.DeviceName}"
    let classes = logits.Shape[1]
    if data.Classes > classes then
        raise (OnnxLeNetException $"{folder} has labels 0 to {data.Classes - 1}, the model has {classes} outputs: it needs one for each class")
    let predicted = Inference.ArgMax logits
    let confusion = Array2D.zeroCreate<int> classes classes
    predicted |> Array.iteri (fun i c -> confusion[data.Label i, c] <- confusion[data.Label i, c] + 1)
    let right = accuracy data logits

    line out $"{Workspace.display file}   {data.Count:N0} test images of {ImageFolder.FolderName folder}   {device}"
    line out $"accuracy {percent right}   {data.Count - (int (System.Math.Round(right * float data.Count)))} wrong"
    line out ""
    table
        out
        ("label \\ predicted" :: [ for c in 0 .. classes - 1 -> string c ] @ [ "right" ])
        [ for l in 0 .. classes - 1 ->
              let row = [ for c in 0 .. classes - 1 -> confusion[l, c] ]
              let total = List.sum row
              string l :: List.map string row
              @ [ (if total = 0 then "-" else percent (float confusion[l, l] / float total)) ] ]
    args.TryGetResult EvaluateArgs.Json
    |> Option.iter (fun path ->
        writeJson
            path
            (json
                [ "model", Workspace.display file
                  "engine", (if engine = Engine.Own then "own" else "onnxruntime")
                  "device", string ort.Device
                  "data", ImageFolder.FolderName folder
                  "samples", data.Count
                  "accuracy", right
                  "confusion", jsonArray [ for l in 0 .. classes - 1 -> jsonArray [ for c in 0 .. classes - 1 -> confusion[l, c] ] ] ]))
    match floor with
    | Some least when right < least ->
        error $"the accuracy {percent right} is below --min-accuracy {percent least}"
        Exit.fallsShort
    | _ -> Exit.done'
