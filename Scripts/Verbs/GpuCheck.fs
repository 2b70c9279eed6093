/// gpu-check: everything that only a machine with an NVIDIA GPU can prove, each a row: passed, failed, or could not run because …
module OnnxLeNet.Scripts.Verbs.GpuCheck

open System
open System.IO
open System.Runtime.InteropServices
open System.Text.Json.Nodes
open Argu
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Bench
open OnnxLeNet.Scripts.Gpu
open OnnxLeNet.Scripts.Gpu.Checks
open OnnxLeNet.Scripts.Options
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common

let private models (folder: string option) =
    let folder = defaultArg folder Workspace.finishedModels
    if not (Directory.Exists folder) then raise (OnnxLeNetException $"--models {folder}: there is no such folder")
    Directory.GetFiles(folder, "*.onnx")
    |> Array.filter (fun file -> not (file.EndsWith("-train.onnx", StringComparison.Ordinal)))
    |> Array.sort
    |> List.ofArray

let private where =
    if OperatingSystem.IsWindows() then
        "put the folder that holds CUDA's and cuDNN's libraries on the PATH"
    else
        "put the folder that holds CUDA's and cuDNN's libraries into LD_LIBRARY_PATH (or have ldconfig find it)"

let private sayMissing out (missing: CudaPart list) =
    line out "missing here:"
    for part in missing do
        line out $"  {part.Name}: {part.Detail}"
        line out $"    {part.HowToGet}"
    line out $"  where to: {where}"
    line out ""

/// The verb bench as it is, with its JSON.
let private bench (s: Setup) (args: ParseResults<GpuCheckArgs>) () =
    let file = Path.Combine(Path.GetTempPath(), $"onnxlenet-{Guid.NewGuid():N}.json")
    try
        let options =
            [| yield! [ "--json"; file ]
               if s.Measure.Quick then "--quick"
               if s.Measure.Out.Quiet then "--quiet"
               match args.TryGetResult GpuCheckArgs.Python with
               | Some python -> yield! [ "--python"; python ]
               | None -> () |]
        let code = Bench.run (ArgumentParser.Create<BenchArgs>().Parse options)
        passedIf (code = Exit.done') "measured; in the JSON under bench" (json [ "bench", JsonNode.Parse(File.ReadAllText file) ])
    finally
        File.Delete file

/// What is run, in this order: a group's name, whether it needs all that ONNX Runtime's CUDA provider needs, and its rows.
let private groups (s: Setup) (args: ParseResults<GpuCheckArgs>) =
    [ "inference of every model", true, (fun () -> Inference.checks s)
      "gradients and optimizers of every network", true, (fun () -> Training.proofs s)
      "a training run, training speed", true, (fun () -> Training.runs s)
      "the cuBLAS provider", false, (fun () -> Products.checks s)
      "inference speed", true, (fun () -> Inference.throughput s)
      if not (args.Contains GpuCheckArgs.NoBench) then
          "the processor's bench", false, (fun () -> seq { check "the processor's bench" (bench s args) }) ]

let private pytorch (s: Setup) =
    check "PyTorch on the same device" (fun () ->
        match s.Peer.Value with
        | Ok peer -> Passed, $"PyTorch {peer.Version}, eager, its own settings", json [ "pytorch", peer.About.DeepClone() ]
        | Error why -> raise (MissingPartException why))

let private run' (args: ParseResults<GpuCheckArgs>) out (diagnosis: CudaDiagnosis) rehearse =
    let quick = args.Contains GpuCheckArgs.Quick
    let device = if rehearse then OrtDevice.Cpu else OrtDevice.Cuda()
    let measure: Measure.Setup = { Out = out; Rounds = (if quick then 1 else 5); Quick = quick; Threads = Workers.Threads }
    let data = dataFolder (args.TryGetResult GpuCheckArgs.Data)
    let s =
        { Device = device
          Models = models (args.TryGetResult GpuCheckArgs.Models)
          Data = data
          Measure = measure
          Peer =
            lazy
                (try
                    PyTorch.findOn (if rehearse then "cpu" else "cuda") (args.TryGetResult GpuCheckArgs.Python) measure.Images data
                 with :? MissingPartException as e ->
                     Error e.Message) }
    let missing =
        if rehearse then
            []
        else
            [ for part in diagnosis.Parts do
                  if not part.Found then part ]
    let noGpu = not rehearse && diagnosis.Gpus.Count = 0
    let heading =
        if rehearse then "a rehearsal on the processor: it shows that the checks work, and proves nothing about a GPU"
        elif noGpu then "no NVIDIA GPU"
        else String.Join(", ", diagnosis.Gpus)
    line out $"{heading}; {RuntimeInformation.OSDescription}, {Environment.ProcessorCount} core(s)"
    if not missing.IsEmpty then sayMissing out missing

    let rows = ResizeArray<Check>()
    let count outcome = rows |> Seq.filter (fun row -> row.Outcome = outcome) |> Seq.length
    // After every row: a machine that is lent for minutes may be gone before the last one.
    let save finished passed =
        args.TryGetResult GpuCheckArgs.Json
        |> Option.iter (fun path ->
            writeJson
                path
                (json
                    [ "rehearsal", rehearse
                      "gpus", jsonArray diagnosis.Gpus
                      "machine",
                      json
                          [ "os", RuntimeInformation.OSDescription
                            "cores", Environment.ProcessorCount
                            "runtime", RuntimeInformation.FrameworkDescription ]
                      "onnxRuntime", OrtRuntime.Describe().Version
                      "missing", jsonArray [ for p in missing -> json [ "name", p.Name; "detail", p.Detail; "howToGet", p.HowToGet ] ]
                      "finished", finished
                      "passed", passed
                      "checks", jsonArray [ for row in rows -> row.Json ] ]))
    let show (row: Check) =
        line out $"{row.Word, -13}  {row.Name, -40}  {row.Detail}"
        rows.Add row
        save false false
    try
        for name, needsOrt, checks in groups s args do
            if noGpu then
                show (notRun name "there is no NVIDIA GPU")
            elif needsOrt && not missing.IsEmpty then
                show (notRun name (String.Join(", ", [ for part in missing -> part.Name ]) + ": not here"))
            else
                checks () |> Seq.iter show
        let passed, failed, couldNotRun = count Passed, count Failed, count CouldNotRun
        let code =
            if failed > 0 then Exit.fallsShort
            elif couldNotRun > 0 then Exit.missingPart
            else Exit.done'
        show (if noGpu then notRun "PyTorch on the same device" "there is no NVIDIA GPU" else pytorch s) // a peer: its absence proves nothing
        save true (code = Exit.done')
        line out ""
        line out $"{passed} passed, {failed} failed, {couldNotRun} could not run"
        if code = Exit.missingPart then
            error (
                if noGpu then
                    "this machine has no NVIDIA GPU that can be used: "
                    + String.Join("; ", [ for p in missing -> $"{p.Name}: {p.Detail}" ])
                else
                    "not everything could run: the rows say what is missing"
            )
        elif code = Exit.fallsShort then
            error "a check failed"
        code
    finally
        if s.Peer.IsValueCreated then
            match s.Peer.Value with
            | Ok peer -> (peer :> IDisposable).Dispose()
            | Error _ -> ()

let run (args: ParseResults<GpuCheckArgs>) =
    let out = output (args.Contains GpuCheckArgs.Quiet)
    configure (args.TryGetResult GpuCheckArgs.Threads) None
    args.TryGetResult GpuCheckArgs.Json |> Option.iter (Workspace.requireWritableFile "--json")
    run' args out (CudaDiagnosis.Probe()) (args.Contains GpuCheckArgs.Rehearse)
