/// gpu-check: everything that only a machine with an NVIDIA GPU can prove, each a row: passed, failed, or could not run because …
module OnnxLeNet.Scripts.Verbs.GpuCheck

open System
open System.IO
open System.Runtime.InteropServices
open System.Text.Json.Nodes
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Cli
open OnnxLeNet.Scripts.Bench
open OnnxLeNet.Scripts.Gpu
open OnnxLeNet.Scripts.Gpu.Checks
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
let private bench (s: Setup) (args: Args) () =
    let file = Path.Combine(Path.GetTempPath(), $"onnxlenet-{Guid.NewGuid():N}.json")
    try
        let options =
            [| yield! [ "--json"; file ]
               if s.Measure.Quick then "--quick"
               if s.Measure.Out.Quiet then "--quiet"
               match args.TryGet Options.python with
               | Some python -> yield! [ "--python"; python ]
               | None -> () |]
        let code = Bench.run (Parser.parse Commands.bench options)
        passedIf (code = Exit.done') "measured; in the JSON under bench" (json [ "bench", JsonNode.Parse(File.ReadAllText file) ])
    finally
        File.Delete file

/// A part of the checks.
type private Group =
    {
        /// What --only calls it.
        Short: string
        Name: string
        /// Whether it needs all that ONNX Runtime's CUDA provider needs.
        NeedsOrt: bool
        /// Whether PyTorch is measured beside it.
        HasPeer: bool
        Checks: Setup -> Args -> Check seq
    }

/// What is run, in this order.
let private groups =
    let group short name needsOrt hasPeer checks = { Short = short; Name = name; NeedsOrt = needsOrt; HasPeer = hasPeer; Checks = checks }
    [ group "graphs" "networks that branch, and every layer" true false (fun s _ -> Graphs.checks s)
      group "inference" "inference of every model" true false (fun s _ -> Inference.checks s)
      group "gradients" "gradients and optimizers of every network" true false (fun s _ -> Training.proofs s)
      group "training" "a training run, training speed" true true (fun s _ -> Training.runs s)
      group "cublas" "the cuBLAS provider" false false (fun s _ -> Products.checks s)
      group "speed" "inference speed" true true (fun s _ -> Inference.throughput s)
      group "bench" "the processor's bench" false false (fun s args -> seq { check "the processor's bench" (bench s args) }) ]

/// The groups that are wanted.
let private chosen (args: Args) =
    let names = groups |> List.map _.Short
    let expected = "one or more of " + String.Join(",", names)
    let wanted =
        match args.TryGet Options.only with
        | None -> names
        | Some text ->
            let wanted = text.Split(',', StringSplitOptions.RemoveEmptyEntries ||| StringSplitOptions.TrimEntries) |> List.ofArray
            for name in wanted do
                if not (List.contains name names) then badOption "--only" name expected
            if wanted.IsEmpty then badOption "--only" "nothing" expected
            if args.Has Options.noBench && wanted |> List.forall ((=) "bench") then
                badOption "--only" "bench" "another group: --no-bench leaves this one out"
            wanted
    groups
    |> List.filter (fun group -> List.contains group.Short wanted && not (group.Short = "bench" && args.Has Options.noBench))

let private pytorch (s: Setup) =
    check "PyTorch on the same device" (fun () ->
        match s.Peer.Value with
        | Ok peer -> Passed, $"PyTorch {peer.Version}, eager, its own settings", json [ "pytorch", peer.About.DeepClone() ]
        | Error why -> raise (MissingPartException why))

let private run' (args: Args) out (groups: Group list) (diagnosis: CudaDiagnosis) rehearse =
    let quick = args.Has Options.quick
    let device = if rehearse then OrtDevice.Cpu else OrtDevice.Cuda()
    let measure: Measure.Setup = { Out = out; Rounds = (if quick then 1 else 5); Quick = quick; Threads = Workers.Threads }
    let data = dataFolder (args.TryGet Options.data)
    let s =
        { Device = device
          Models = models (args.TryGet Options.models)
          Data = data
          Measure = measure
          Peer =
            lazy
                (try
                    PyTorch.findOn (if rehearse then "cpu" else "cuda") (args.TryGet Options.python) measure.Images data
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
        args.TryGet Options.json
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
                      "groups", jsonArray [ for group in groups -> group.Short ]
                      "missing", jsonArray [ for p in missing -> json [ "name", p.Name; "detail", p.Detail; "howToGet", p.HowToGet ] ]
                      "finished", finished
                      "passed", passed
                      "checks", jsonArray [ for row in rows -> row.Json ] ]))
    let show (row: Check) =
        line out $"{row.Word, -13}  {row.Name, -41}  {row.Detail}"
        rows.Add row
        save false false
    try
        for group in groups do
            if noGpu then
                show (notRun group.Name "there is no NVIDIA GPU")
            elif group.NeedsOrt && not missing.IsEmpty then
                show (notRun group.Name (String.Join(", ", [ for part in missing -> part.Name ]) + ": not here"))
            else
                group.Checks s args |> Seq.iter show
        let passed, failed, couldNotRun = count Passed, count Failed, count CouldNotRun
        let code =
            if failed > 0 then Exit.fallsShort
            elif couldNotRun > 0 then Exit.missingPart
            else Exit.done'
        // A peer: its absence proves nothing.
        if groups |> List.exists _.HasPeer then
            show (if noGpu then notRun "PyTorch on the same device" "there is no NVIDIA GPU" else pytorch s)
        save true (code = Exit.done')
        line out ""
        line out $"{passed} passed, {failed} failed, {couldNotRun} could not run"
        if code = Exit.missingPart then
            error (
                if noGpu then
                    let names = String.Join(", ", [ for part in missing -> part.Name ])
                    $"this machine has no NVIDIA GPU that can be used; missing: {names}. doctor tells how to get them"
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

let run (args: Args) =
    let out = output (args.Has Options.quiet)
    let groups = chosen args
    configure (args.TryGet Options.threads) (args.TryGet Options.width) None
    args.TryGet Options.json |> Option.iter (Workspace.requireWritableFile "--json")
    run' args out groups (CudaDiagnosis.Probe()) (args.Has Options.rehearse)
