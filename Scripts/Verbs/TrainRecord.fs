/// The folder of a run of train: its settings, what it runs on, and how it ended.
module OnnxLeNet.Scripts.Verbs.TrainRecord

open System
open System.IO
open System.Runtime.InteropServices
open System.Text.Json.Nodes
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Runs
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.TrainJob

/// The processor's name, where the system tells it.
let private processor () =
    let told = "/proc/cpuinfo"
    let name =
        if OperatingSystem.IsWindows() then
            Option.ofObj (Environment.GetEnvironmentVariable "PROCESSOR_IDENTIFIER")
        elif File.Exists told then
            File.ReadLines told
            |> Seq.tryFind _.StartsWith("model name")
            |> Option.map (fun line -> line[line.IndexOf ':' + 1 ..].Trim())
        else
            None
    defaultArg name (string RuntimeInformation.ProcessArchitecture)

let private environment (job: Job) =
    json
        [ "onnxlenet", box Workspace.version
          "dotnet", RuntimeInformation.FrameworkDescription
          "onnxRuntime", OrtRuntime.Describe().Version
          "system", RuntimeInformation.OSDescription
          "architecture", (string RuntimeInformation.ProcessArchitecture).ToLowerInvariant()
          "processor", processor ()
          "cores", Environment.ProcessorCount
          "threads", Workers.Threads
          "processes", box (Ranks.group () |> Option.map _.Size |> Option.defaultValue 1)
          "vectorBits", SimdWidth.Bits
          "provider", Products.Name
          "engine", trainedBy job ]

let private options (o: TrainingOptions) =
    let number (value: float option) : objnull = value |> Option.map box |> Option.toObj
    let text (value: string option) : objnull = value |> Option.map box |> Option.toObj
    json
        [ "epochs", box o.Epochs
          "batchSize", o.BatchSize
          "learningRate", o.LearningRate
          "lrMult", json [ for layer, factor in o.LrMult -> layer, box factor ]
          "optimizer", o.Optimizer
          "momentum", o.Momentum
          "weightDecay", o.WeightDecay
          "schedule", o.Schedule
          "warmup", o.Warmup
          "labelSmoothing", o.LabelSmoothing
          "accumulate", o.Accumulate
          "clip", number o.Clip
          "ema", number o.Ema
          "validation", number o.Validation
          "earlyStop", number (Option.map float o.EarlyStop)
          "keep", (if o.KeepBest then "best" else "last")
          "balance", o.Balance
          "pictures",
          json
              [ "size", number (Option.map float o.Pictures.Size)
                "grey", o.Pictures.Grey
                "fit", string o.Pictures.Fit
                "background", string o.Pictures.Background
                "skipDamaged", o.Pictures.SkipDamaged ]
          "augment", o.Augment
          "fresh", o.Fresh
          "freeze", text o.Freeze
          "seed", o.Seed ]

let private settings (job: Job) (net: Module) (split: TrainParts.Split) =
    let data = split.Data
    json
        [ "version", box RunFolder.Version
          "started", DateTimeOffset.Now.ToString "O"
          "network", job.Model.Name
          "parameters", net.ParameterCount
          "sample", jsonArray (job.Model.Sample.Sizes.ToArray())
          "layers", string net
          yield! job.Model.Origin |> Option.map (fun origin -> "from", box origin.File) |> Option.toList
          "command", commandOf job data
          "options", options job.Options
          "optionsTyped", string job.Options
          "data",
          json
              [ "name", box data.Name
                "folder", Path.GetFullPath(Common.dataFolder job.DataFolder)
                "training", data.Train.Count
                "validation", box (split.Validation |> Option.map _.Count |> Option.defaultValue 0)
                "test", data.Test.Count
                "heldOut", job.HoldOut
                "classes", jsonArray data.ClassNames ] ]

/// The checkpoint's run where that lies in its folder, else a new one.
let private folderFor (job: Job) (data: ImageFolder) =
    let own =
        job.ResumedFrom
        |> Option.map (fun checkpoint -> Path.GetDirectoryName(Path.GetFullPath checkpoint) |> string)
        |> Option.filter (fun folder -> File.Exists(RunFolder.file folder RunFolder.Settings))
    match own with
    | Some folder -> (RunFolder.read folder).Folder, true
    | None -> RunFolder.create job.Folder $"{job.Model.Name}-{data.Name}", false

/// The run's folder, made ready, and its lock.
let start (job: Job) (net: Module) (split: TrainParts.Split) =
    let folder, goesOn = folderFor job split.Data
    let held = RunFolder.lock folder
    if not goesOn then
        RunFolder.write folder RunFolder.Settings (settings job net split)
        RunFolder.write folder RunFolder.Environment (environment job)
        RunFolder.writeState folder RunFolder.Running
    folder, held

/// Runs what trains, and writes down how that ended. A run that was not gone on with, since something did not fit, stays as it was.
let whileRunning (folder: string) (train: unit -> int * string) =
    try
        let code, why = train ()
        RunFolder.writeState
            folder
            (if code = Common.Exit.done' then RunFolder.Finished
             elif code = Common.Exit.interrupted then RunFolder.Interrupted
             else RunFolder.Failed why)
        code
    with e ->
        if RunFolder.state folder = RunFolder.Running then RunFolder.writeState folder (RunFolder.Failed e.Message)
        reraise ()

let writeResult folder (result: JsonObject) = RunFolder.write folder RunFolder.Result result
