/// train: the main job. Trains a network with the engine, exports it, runs the file in ONNX Runtime, and proves that both agree.
module OnnxLeNet.Scripts.Verbs.Train

open System
open System.Diagnostics
open System.Globalization
open System.IO
open System.Runtime.InteropServices
open System.Threading
open Argu
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Options
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common
open Spectre.Console

let private invariant (x: float) = x.ToString("R", CultureInfo.InvariantCulture)

/// What a run is asked to do, checked.
type private Job =
    {
        Out: Output
        Model: Models.Model
        Options: TrainingOptions
        Resume: Checkpoint option
        ResumedFrom: string option
        /// Training images that take the test images' place.
        HoldOut: int
        /// The data's own folder, or None for the MNIST that comes with the project.
        DataFolder: string option
        Engine: Engine
        Ort: OrtOptions
        Folder: string
        Json: string option
        MinAccuracy: float option
    }

/// The options of a run that ONNX Runtime trains.
let private engineOptions (job: Job) =
    [ if job.Engine = Engine.OnnxRuntime then
          "--engine onnxruntime"
          if job.Ort.Device <> OrtDevice.Cpu then $"--device {job.Ort.Device}" ]

/// The command that repeats a run, with what was left to defaults written out. A folder of data is named without its place.
let private commandOf (job: Job) (data: ImageFolder) =
    let o = job.Options
    String.concat
        " "
        [ $"train --model {job.Model.Name}"
          if job.DataFolder.IsSome then $"--data {data.Name}"
          if job.HoldOut > 0 then $"--hold-out {job.HoldOut}"
          $"--epochs {o.Epochs} --batch-size {o.BatchSize} --lr {invariant o.LearningRate} --seed {o.Seed}"
          if Products.Name <> "simd" then $"--provider {Products.Name}"
          yield! engineOptions job ]

/// What a checkpoint remembers beside the numbers.
module private Note =
    let model = "model"
    let width = "vector width"
    let provider = "provider"
    let engine = "engine"

/// Who trains, as a person reads it.
let private trainedBy (job: Job) =
    if job.Engine = Engine.OnnxRuntime then $"ONNX Runtime on {job.Ort.Device}" else $"the engine, {Products.Provider}"

let private checkpointFile (job: Job) (data: ImageFolder) = Path.Combine(job.Folder, $"{job.Model.Name}-{data.Name}.checkpoint")

/// The options of the run, which are the checkpoint's own where there is one.
let private options (args: ParseResults<TrainArgs>) (resume: Checkpoint option) =
    let defaults =
        match resume with
        | Some checkpoint -> checkpoint.Options
        | None -> TrainingOptions()
    let lr = args.GetResult(Lr, defaultValue = defaults.LearningRate)
    if not (Double.IsFinite lr) || lr < 0.0 then badOption "--lr" lr "a finite number of 0 or more"
    TrainingOptions(
        Epochs = atLeastOne "--epochs" (args.GetResult(Epochs, defaultValue = defaults.Epochs)),
        BatchSize = atLeastOne "--batch-size" (args.GetResult(BatchSize, defaultValue = defaults.BatchSize)),
        LearningRate = lr,
        Seed = args.GetResult(TrainArgs.Seed, defaultValue = defaults.Seed)
    )
    |> fun asked ->
        match resume with
        | Some checkpoint when asked <> checkpoint.Options ->
            raise (OnnxLeNetException $"--resume goes on with the checkpoint's own options, {checkpoint.Options}; leave out what differs")
        | _ -> asked

let private load out (model: Models.Model) folder =
    let data = ImageFolder.Load(folder, ImageFolder.UsualTransform(folder, model.Sample), model.Sample)
    Seq.iter (message out) data.Notes
    if data.Train.Sample <> model.Sample then
        raise (
            OnnxLeNetException
                $"{folder}: {model.Name} takes images of {model.Sample}, these are {data.Train.Stored}, padded {data.Train.Sample}: name a folder of such images by --data, or a network that takes these by --model"
        )
    data

/// The last training images in the test images' place, under a name that no finished model has.
let private holdOut count (data: ImageFolder) =
    if count = 0 then
        data
    elif count >= data.Train.Count then
        badOption "--hold-out" count $"less than the {data.Train.Count} training images"
    else
        let kept = data.Train.Count - count
        ImageFolder($"{data.Name}-held-out", data.Train.Slice(0, kept), data.Train.Slice(kept, count))

/// The command that goes on from where a run was stopped.
let private resumeCommand (job: Job) (data: ImageFolder) =
    String.concat
        " "
        [ $"train --resume {Workspace.display (checkpointFile job data)}"
          match job.DataFolder with
          | Some folder -> $"--data {folder}"
          | None -> ()
          if job.HoldOut > 0 then $"--hold-out {job.HoldOut}"
          yield! engineOptions job
          if job.Folder <> Workspace.modelsFolder then $"--out {Workspace.display job.Folder}" ]

/// Trains with a moving bar in a terminal and a line per epoch everywhere.
let private fit (job: Job) (net: Sequential) (data: ImageFolder) (cancel: CancellationToken) (trainer: (Module -> Optimizer -> ITrainingSteps) option) =
    let out, o, file = job.Out, job.Options, checkpointFile job data
    let save (checkpoint: Checkpoint) =
        let notes =
            dict
                [ Note.model, job.Model.Name
                  Note.width, string SimdWidth.Bits
                  Note.provider, Products.Name
                  Note.engine, trainedBy job ]
        checkpoint.WithNotes(notes).Save file
    let mutable last = TrainingProgress()
    let epochLine epoch =
        let test = accuracy data.Test (Inference.Logits(net, data.Test))
        line out $"  epoch {epoch, 2}/{o.Epochs}   loss {last.Loss:F4}   test accuracy {percent test}   {last.Seconds:F2} s"
    let run (report: TrainingProgress -> unit) =
        Trainer.Fit(
            net,
            data.Train,
            o,
            (fun p ->
                last <- p
                report p),
            epochLine,
            save,
            Option.toObj job.Resume,
            (match trainer with
             | None -> null
             | Some make -> Func<Module, Optimizer, ITrainingSteps>(fun net optimizer -> make net optimizer)),
            cancel
        )
    if out.Live then
        AnsiConsole
            .Progress(AutoClear = true, RefreshRate = TimeSpan.FromMilliseconds 200.0)
            .Columns(TaskDescriptionColumn(), ProgressBarColumn(), PercentageColumn(), RemainingTimeColumn())
            .Start(fun context ->
                let bar = context.AddTask("training")
                run (fun p ->
                    bar.MaxValue <- float (p.Epochs * p.Steps)
                    bar.Value <- float ((p.Epoch - 1) * p.Steps + p.Step)
                    if p.Step % 50 = 0 then bar.Description <- $"epoch {p.Epoch}/{p.Epochs}  loss {p.Loss:F4}"))
    else
        run ignore

/// What is written beside a finished model.
let private card (job: Job) (data: ImageFolder) (name: string) (test: float) (hash: string) (bytes: int64) (parity: ParityReport) =
    let whole = Seq.last parity.Rows
    let sample = String.Join(", ", job.Model.Sample.Sizes.ToArray())
    let transform = data.Train.Transform
    $"""# {name}.onnx

| | |
|---|---|
| network | `{job.Model.Name}`, {(job.Model.Build(Generator 0L)).ParameterCount:N0} parameters |
| command | `dotnet run --project Scripts -c Release -- {commandOf job data}` |
| data | {data.Name}, {data.Train.Stored} padded to {data.Train.Sample}, then (x/255 − {invariant transform.Mean})/{invariant transform.Std} |
| trained by | {trainedBy job}; on one platform, runtime and vector width the same command gives the same bytes |
| test accuracy | {percent test} |
| input, output | `{OnnxExporter.Input}` [{OnnxExporter.BatchAxis}, {sample}], `{OnnxExporter.Output}` [{OnnxExporter.BatchAxis}, {data.Classes}], float32 |
| opset, IR version | {ExportOptions.DefaultOpset}, {ExportOptions.IrVersion ExportOptions.DefaultOpset} |
| engine against ONNX Runtime | {whole.Samples:N0} test images: {percent whole.Top1Agreement} same class, largest difference of a logit {scientific whole.MaxAbs} ({scientific whole.MaxRel} relative), on the {parity.Device} |
| size | {bytes:N0} bytes |
| SHA-256 | `{hash}` |
"""

/// Writes the network as an ONNX file; returns the engine's logits of the test images, their accuracy and the file's hash.
let private export (job: Job) (data: ImageFolder) (net: Sequential) epochs (path: string) =
    let logits = Inference.Logits(net, data.Test)
    let test = accuracy data.Test logits
    let metadata =
        [ Metadata.classes, String.Join(",", seq { 0 .. data.Classes - 1 })
          yield! Metadata.ofTransform data.Train.Transform
          ModelMetadata.TestAccuracy, invariant test
          ModelMetadata.Data, data.Name
          "command", commandOf job data
          "seed", string job.Options.Seed
          "epochs", string epochs ]
    logits, test, OnnxFile.Write(OnnxExporter.Export(net, job.Model.Sample, job.Model.Name, dict metadata), path)

let private jsonOf (job: Job) (data: ImageFolder) (result: TrainingResult) (seconds: float) (extra: (string * objnull) list) =
    let process' = Process.GetCurrentProcess()
    let images = float (data.Train.Count * result.SecondsPerEpoch.Count)
    json
        [ "epochs", box job.Options.Epochs
          "seed", job.Options.Seed
          "threads", Workers.Threads
          "provider", Products.Name
          "engine", (if job.Engine = Engine.OnnxRuntime then "onnxruntime" else "own")
          "data", data.Name
          "batchSize", job.Options.BatchSize
          "outcome", (string result.Outcome).ToLowerInvariant()
          "trainSeconds", seconds
          "wallSeconds", (DateTime.Now - process'.StartTime).TotalSeconds
          "secondsPerEpoch", jsonArray result.SecondsPerEpoch
          "imagesPerSecond", box (images / Seq.sum result.SecondsPerEpoch) // no epoch: NaN, and so null
          "peakMemoryBytes",
          (match process'.PeakWorkingSet64 with
           | 0L -> null
           | bytes -> box bytes) // 0 where the system does not tell
          "loss", jsonArray result.Losses
          yield! extra ]

/// Runs the file in ONNX Runtime and compares: the proof is of the file itself.
let private prove (job: Job) (data: ImageFolder) (net: Sequential) (logits: Tensor) (path: string) =
    use model = OrtModel.Load(path, job.Ort)
    let struct (onData, ortLogits) = Parity.OnData($"{data.Name} test images", logits, data.Test, model)
    let parity = ParityReport(model.DeviceName, [| yield! Parity.OnRandomInput(net, job.Model.Sample, model, job.Options.Seed); onData |])
    line job.Out ""
    line job.Out $"test accuracy   engine {percent (accuracy data.Test logits)}   ONNX Runtime {percent (accuracy data.Test ortLogits)}"
    line job.Out ""
    line job.Out $"engine against ONNX Runtime on {model.DeviceName}"
    parityTable job.Out parity
    line job.Out ""
    parity

/// Every gradient of the network against the training step's graph.
let private proveGradients (job: Job) (data: ImageFolder) (net: Sequential) =
    let rows = GradientParity.Gradients(net, job.Model.Sample, data.Train, $"{data.Name} images", job.Ort, job.Options.Seed)
    line job.Out "gradients: the engine's against those of the training step in ONNX Runtime"
    gradientTable job.Out rows
    line job.Out ""
    rows

let private parityFields (parity: ParityReport) =
    let onData = Seq.last parity.Rows
    json
        [ "device", box parity.Device
          "samples", onData.Samples
          "maxAbs", onData.MaxAbs
          "maxRel", onData.MaxRel
          "top1Agreement", onData.Top1Agreement
          "passed", parity.Passed
          "rows", parityRows parity ]

/// Exports, proves, and gives the finished model's name to the file only if all of it holds.
let private finish (job: Job) (data: ImageFolder) (net: Sequential) (result: TrainingResult) write =
    let name = $"{job.Model.Name}-{data.Name}"
    let finished, unproven = Path.Combine(job.Folder, name + ".onnx"), Path.Combine(job.Folder, name + ".unproven.onnx")
    let logits, test, hash = export job data net result.Losses.Count unproven
    let parity = prove job data net logits unproven
    let gradients = proveGradients job data net
    let agree = gradients |> Seq.forall _.Passed
    let accurate = job.MinAccuracy |> Option.forall (fun least -> test >= least)
    let passed = parity.Passed && agree && accurate
    let path = if passed then finished else unproven
    let bytes = (FileInfo unproven).Length
    if passed then
        let text = card job data name test hash bytes parity
        File.Move(unproven, finished, overwrite = true)
        AtomicFile.Write(Path.Combine(job.Folder, name + ".md"), text)
        File.Delete(Path.Combine(job.Folder, name + ".partial.onnx"))
        File.Delete(checkpointFile job data)
        job.ResumedFrom |> Option.iter File.Delete
    line job.Out $"{Workspace.display path}   {bytes:N0} bytes   sha256 {hash[..15]}…"
    let seconds = Seq.sum result.SecondsPerEpoch
    line
        job.Out
        $"{seconds / float result.SecondsPerEpoch.Count:F2} s per epoch, {float (data.Train.Count * result.SecondsPerEpoch.Count) / seconds:N0} images/s, peak memory {Process.GetCurrentProcess().PeakWorkingSet64 / 1048576L} MB"
    write [ "model", box (Workspace.display path); "sha256", hash; "testAccuracy", test; "parity", parityFields parity; "gradients", gradientRows gradients ]
    let kept = $"the file is left as {Workspace.display unproven}, and {Workspace.display finished} was not touched"
    if not parity.Passed then
        error $"the engine and ONNX Runtime do not agree; {kept}"
    elif not agree then
        error $"the engine's gradients and those of the training step do not agree; {kept}"
    elif not accurate then
        error $"the test accuracy {percent test} is below --min-accuracy {percent job.MinAccuracy.Value}; {kept}"
    if passed then Exit.done' else Exit.fallsShort

/// Training that ended early: what is done is kept beside the finished model, not in its place.
let private endEarly (job: Job) (data: ImageFolder) (net: Sequential) (result: TrainingResult) write =
    let partial = Path.Combine(job.Folder, $"{job.Model.Name}-{data.Name}.partial.onnx")
    let struct (epoch, step) = result.StoppedAt.Value
    let keep () =
        let _, test, _ = export job data net result.Losses.Count partial
        test
    match result.Outcome with
    | TrainingOutcome.Diverged ->
        error
            $"the loss or a weight is not a number or infinite at epoch {epoch}, step {step}: training stopped. A smaller --lr than {invariant job.Options.LearningRate} is the usual cure."
        if result.Losses.Count > 0 then
            let test = keep ()
            message job.Out $"The weights of epoch {result.Losses.Count}, test accuracy {percent test}, are in {Workspace.display partial}."
            write [ "model", box (Workspace.display partial); "testAccuracy", test ]
        else
            write [ "model", null ]
        Exit.fallsShort
    | _ ->
        let test = keep ()
        message
            job.Out
            $"Interrupted at epoch {epoch}, step {step}. The weights so far, test accuracy {percent test}, are in {Workspace.display partial}; go on with {resumeCommand job data}"
        write [ "model", box (Workspace.display partial); "testAccuracy", test ]
        Exit.interrupted

let private jobOf (args: ParseResults<TrainArgs>) =
    let resume = args.TryGetResult TrainArgs.Resume |> Option.map Checkpoint.Load
    let note key =
        resume
        |> Option.bind (fun checkpoint ->
            match checkpoint.Notes.TryGetValue key with
            | true, text -> Some text
            | _ -> None)
    let model = args.GetResult(Model, defaultValue = defaultArg (note Note.model) "lenet5")
    if note Note.model |> Option.exists ((<>) model) then
        badOption "--model" model $"{(note Note.model).Value}, the checkpoint's"
    let job =
        { Resume = resume
          ResumedFrom = args.TryGetResult TrainArgs.Resume
          Out = output (args.Contains TrainArgs.Quiet)
          Model = Models.find model
          Options = options args resume
          DataFolder = args.TryGetResult TrainArgs.Data
          HoldOut = args.TryGetResult HoldOut |> Option.map (atLeastOne "--hold-out") |> Option.defaultValue 0
          Engine = args.GetResult(TrainArgs.Engine, defaultValue = Engine.Own)
          Ort = ortOptions (args.TryGetResult TrainArgs.Device)
          Folder = args.GetResult(Out, defaultValue = Workspace.modelsFolder)
          Json = args.TryGetResult TrainArgs.Json
          MinAccuracy = args.TryGetResult TrainArgs.MinAccuracy |> Option.map (share "--min-accuracy") }
    configure (args.TryGetResult TrainArgs.Threads) (args.TryGetResult TrainArgs.Provider)
    Workspace.requireWritable "--out" job.Folder
    job.Json |> Option.iter (Workspace.requireWritableFile "--json")
    for key, now in [ Note.width, string SimdWidth.Bits; Note.provider, Products.Name; Note.engine, trainedBy job ] do
        match note key with
        | Some before when before <> now ->
            message job.Out $"the checkpoint was made with {key} {before}, this run has {now}: results will differ in their last bits"
        | _ -> ()
    job

/// A device that is not there, or a part of it, is told before the training and not after it.
let private requireDevice (job: Job) (net: Sequential) =
    let model = OnnxExporter.Export(net, job.Model.Sample, job.Model.Name)
    (OrtModel.Load(Google.Protobuf.MessageExtensions.ToByteArray model, job.Ort)).Dispose()

/// The training step in ONNX Runtime. On a GPU batches have one size, and a step is one CUDA graph.
let private trainerOf (job: Job) (net: Module) (optimizer: Optimizer) =
    let graph, ort =
        if job.Ort.Device = OrtDevice.Cpu then
            TrainingGraphOptions(), OrtOptions(Device = job.Ort.Device, IntraOpThreads = Workers.Threads)
        else
            TrainingGraphOptions(BatchSize = job.Options.BatchSize), OrtOptions(Device = job.Ort.Device, CudaGraph = true)
    OrtTrainer.Create(net, job.Model.Sample, optimizer, graph, ort)

let run (args: ParseResults<TrainArgs>) =
    let job = jobOf args
    let net = job.Model.Build(Generator job.Options.Seed)
    requireDevice job net
    let data = load job.Out job.Model (dataFolder job.DataFolder) |> holdOut job.HoldOut
    line job.Out (string net)
    line job.Out ""
    line
        job.Out
        $"{net.ParameterCount:N0} parameters, {data.Train.Count:N0} training images, batch size {job.Options.BatchSize}, seed {job.Options.Seed}, {Workers.Threads} thread(s), {trainedBy job}"
    use cancel = new CancellationTokenSource()
    let stop (signal: PosixSignalContext) =
        // The first signal stops between two steps, a second one ends the process as usual.
        signal.Cancel <- not cancel.IsCancellationRequested
        cancel.Cancel()
    use _ = PosixSignalRegistration.Create(PosixSignal.SIGINT, stop)
    use _ = PosixSignalRegistration.Create(PosixSignal.SIGTERM, stop)
    let began = Stopwatch.GetTimestamp()
    let trainers = Collections.Generic.List<OrtTrainer>()
    let trainer net optimizer =
        trainers.Add(trainerOf job net optimizer)
        trainers[0] :> ITrainingSteps
    let result =
        try
            fit job net data cancel.Token (if job.Engine = Engine.OnnxRuntime then Some trainer else None)
        finally
            for trainer in trainers do
                trainer.Dispose()
    let seconds = Stopwatch.GetElapsedTime(began).TotalSeconds
    net.Eval() |> ignore
    let write extra = job.Json |> Option.iter (fun file -> writeJson file (jsonOf job data result seconds extra))
    if result.Outcome = TrainingOutcome.Completed then
        finish job data net result write
    else
        endEarly job data net result write
