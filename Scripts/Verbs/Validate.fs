/// validate: the engine against ONNX Runtime on a model file.
module OnnxLeNet.Scripts.Verbs.Validate

open Argu
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Options
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common

let run (args: ParseResults<ValidateArgs>) =
    let out = output (args.Contains ValidateArgs.Quiet)
    configure (args.TryGetResult ValidateArgs.Threads) (args.TryGetResult ValidateArgs.Provider)
    args.TryGetResult ValidateArgs.Json |> Option.iter (Workspace.requireWritableFile "--json")
    let file = args.GetResult ValidateArgs.File
    let imported = OnnxImporter.Import file
    let net = imported.Network.Eval()
    use model = OrtModel.Load(file, ortOptions (args.TryGetResult ValidateArgs.Device))
    let random =
        Parity.OnRandomInput(net, imported.Sample, model, args.GetResult(ValidateArgs.Seed, defaultValue = 1L))
        |> Seq.toList

    let onData folder =
        let data = ImageFolder.LoadTest(folder, Metadata.transform imported.Metadata)
        if args.Contains ValidateArgs.Data then imported.RequireInput data.Sample
        if data.Sample <> imported.Sample then
            message out $"{ImageFolder.FolderName folder} is left out: the model takes {imported.Sample}, not {data.Sample}"
            []
        else
            let struct (row, _) = Parity.OnData($"{ImageFolder.FolderName folder} test images", Inference.Logits(net, data), data, model)
            [ row ]
    let data =
        match args.TryGetResult ValidateArgs.Data with
        | Some "none" -> []
        | folder -> onData (dataFolder folder)

    let report = ParityReport(model.DeviceName, List.toArray (random @ data))
    line out $"{Workspace.display file}   the engine ({Products.Provider}) against ONNX Runtime on {model.DeviceName}"
    parityTable out report
    args.TryGetResult ValidateArgs.Json
    |> Option.iter (fun path ->
        writeJson
            path
            (json
                [ "model", Workspace.display file
                  "device", report.Device
                  "passed", report.Passed
                  "rows", parityRows report ]))
    if report.Passed then
        Exit.done'
    else
        error "the engine and ONNX Runtime do not agree"
        Exit.fallsShort
