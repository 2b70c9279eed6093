/// train: the main job. Trains a network with the engine, exports it, runs the file in ONNX Runtime, and proves that both agree.
module OnnxLeNet.Scripts.Verbs.Train

open System
open System.Diagnostics
open System.IO
open System.Runtime.InteropServices
open System.Threading
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Cli
open OnnxLeNet.Scripts.Runs
open OnnxLeNet.Scripts.Runs.Recorder
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common
open OnnxLeNet.Scripts.Verbs.TrainFrom
open OnnxLeNet.Scripts.Verbs.TrainJob
open OnnxLeNet.Scripts.Verbs.TrainParts
open OnnxLeNet.Scripts.Verbs.TrainEnd

/// The layer that would refuse images of a shape, with both sizes.
let private refusal (model: Network) (sample: Shape) =
    try
        Inference.Run(model.Build(Generator 0L), Batch(1, sample, requiresGrad = false)) |> ignore
        ""
    with :? ShapeException as e ->
        $": {e.Message}"

/// Pictures become images of the network's size, or the size that is asked for; the network is fitted to them.
let private loadPictures (job: Job) folder =
    let o = job.Options
    if job.HoldOut > 0 then
        badOption "--hold-out" job.HoldOut "left out with pictures: of these a share is held out anyway, --validation says how much"
    let o = { o with Pictures = picturesFor job.Model o.Pictures }
    let data = Pictures.load job.Out o.Pictures job.Model.Sample o.Seed o.Validation folder |> asTaken (message job.Out) job.Model
    Seq.iter (message job.Out) data.Notes
    Pictures.tellUneven job.Out o.Balance data
    Pictures.tellGrey job.Out data
    if data.Train.Sample <> job.Model.Sample then
        message job.Out $"{job.Model.Name} takes images of {data.Train.Sample} here, in place of {job.Model.Sample}"
    let unfit why =
        raise (
            OnnxLeNetException
                $"{job.Model.Name} cannot take images of {data.Train.Sample}{why}. Choose another size by --size, or another network by \
                    --model"
        )
    let taken =
        try
            job.Model.Taking data.Train.Sample
        with :? ShapeException as e when job.Model.Origin.IsNone ->
            unfit $": {e.Message}"
    match refusal taken data.Train.Sample with
    | "" -> { job with Options = o; Model = taken }, data
    | why -> unfit why

let private load (job: Job) folder =
    let out, model = job.Out, job.Model
    for option in job.Options.Pictures.Typed do
        raise (OnnxLeNetException $"{option} is for pictures, and {folder} holds files of another form: leave it out")
    let data = ImageFolder.Load(folder, ImageFolder.UsualTransform(folder, model.Sample), model.Sample) |> asTaken (message out) model
    Seq.iter (message out) data.Notes
    if data.Train.Sample <> model.Sample then
        raise (
            OnnxLeNetException(
                $"{folder}: {model.Name} takes images of {model.Sample}, these are {data.Train.Stored}, padded \
                    {data.Train.Sample}{refusal model data.Train.Sample}. "
                + "Name a folder of such images by --data, or a network that takes these by --model"
            )
        )
    job, data

/// The model with an output for each class of the data; says where that is not as many as it has by itself.
let private fitted (job: Job) (data: ImageFolder) =
    if data.Classes < 2 then
        raise (DataException $"{data.Name}: every label is 0, and a classifier needs at least two classes")
    { job with Model = TrainFrom.fitted (message job.Out) data job.Model }

/// Says which classes no training image shows.
let private tellMissing (job: Job) (classes: int) (data: ImageFolder) =
    let seen = Set.ofSeq (Seq.init data.Train.Count data.Train.Label)
    let missing = [ for c in 0 .. classes - 1 -> c ] |> List.filter (seen.Contains >> not)
    if not missing.IsEmpty then
        let names = missing |> List.truncate 10 |> List.map string |> String.concat ", "
        let more = if missing.Length > 10 then ", …" else ""
        message job.Out $"of the classes 0 to {classes - 1}, {missing.Length} have no training image: {names}{more}"

/// The last training images in the test images' place, under a name that no finished model has.
let private holdOut count (data: ImageFolder) =
    if count = 0 then
        data
    elif count >= data.Train.Count then
        badOption "--hold-out" count $"less than the {data.Train.Count} training images"
    else
        let rest = data.Train.Count - count
        ImageFolder($"{data.Name}-held-out", data.Train.Slice(0, rest), data.Train.Slice(rest, count))

/// A line after every epoch, about the validation images where there are some: the test images then wait for the end.
type private EpochLines(out: Output, held: HeldOutScores) =
    inherit TrainingObserver()

    /// What was measured last, for the live view.
    member val Measured: string option = None with get, set

    override this.OnEpochEnd run =
        let accuracy = percent held.Scores.Accuracy
        let measured, shown =
            if held.Validation.IsSome then
                $"validation loss {held.Scores.Loss:F4}   accuracy {accuracy}", $"accuracy {accuracy}"
            else
                $"test accuracy {accuracy}", $"test accuracy {accuracy}"
        this.Measured <- Some shown
        line out $"  epoch {run.Epoch, 2}/{run.Epochs}   loss {run.Loss:F4}   {measured}   {run.Seconds:F2} s"

/// Says that something could not be written, once a minute at most, and leaves no half of it.
let private notWritten (job: Job) (what: string) =
    let said = ref 0L
    fun (e: exn) ->
        try
            RunFolder.dropHalfLines job.Run
            RunFolder.eventFile job.Run |> Option.iter (TensorBoard.cutAfter Int64.MaxValue)
        with
        | :? IOException
        | :? UnauthorizedAccessException
        | :? OnnxLeNetException -> () // it is said below that there is none
        if said.Value = 0L || Stopwatch.GetElapsedTime said.Value > TimeSpan.FromMinutes 1.0 then
            said.Value <- Stopwatch.GetTimestamp()
            message job.Out $"{what} cannot be written: {e.Message}. Training goes on, and the next is tried when it is due"

/// Lets training go on where records of an epoch cannot be written: the disk may have room again when it ends.
type private Tolerant(inner: TrainingObserver, failed: exn -> unit) =
    inherit TrainingObserver()
    override _.OnEpochStart run = inner.OnEpochStart run
    override _.OnStep run = inner.OnStep run
    override _.OnEnd(run, outcome) = inner.OnEnd(run, outcome)

    override _.OnEpochEnd run =
        try
            inner.OnEpochEnd run
        with
        | :? IOException
        | :? UnauthorizedAccessException as e -> failed e

/// How often the live view moves, and into how many parts its curve cuts the run.
let private refresh, private parts' = TimeSpan.FromMilliseconds 100.0, 60

/// Shows the live view of a training: at every step there is time to look at a clock, and sometimes to write.
type private View(show: string list -> unit, images: int, epochs: EpochLines) =
    inherit TrainingObserver()
    let mutable shown = 0L
    let curve = ResizeArray<float>()
    // Where the part of the curve in progress began: updates in all, updates of its epoch, and the mean loss of the epoch until then.
    let mutable part = struct (0L, 0, 0.0)

    let addToCurve (run: TrainingRun) =
        let struct (began, step, loss) = part
        if run.TotalSteps - began >= max 1L (int64 run.Epochs * int64 run.Steps / int64 parts') || run.Step = run.Steps then
            // An epoch's mean begins anew.
            let step, loss = if run.Step > step then step, loss else 0, 0.0
            curve.Add((run.Loss * float run.Step - loss * float step) / float (run.Step - step))
            part <- if run.Step = run.Steps then struct (run.TotalSteps, 0, 0.0) else struct (run.TotalSteps, run.Step, run.Loss)

    override this.OnEpochStart run = if run.Step > 0 then this.OnStep run

    override _.OnStep run =
        addToCurve run
        if shown = 0L || Stopwatch.GetElapsedTime shown > refresh then
            shown <- Stopwatch.GetTimestamp()
            let all = float run.Epochs * float run.Steps
            let seconds = Seq.sum run.SecondsPerEpoch + run.Seconds
            let speed = float images * float run.TotalSteps / float run.Steps / seconds
            let progress: TrainingView.Progress =
                { Epoch = run.Epoch
                  Epochs = run.Epochs
                  Done = float run.TotalSteps / all
                  ImagesPerSecond = speed
                  SecondsLeft = if seconds > 0.5 then Some(seconds / float run.TotalSteps * (all - float run.TotalSteps)) else None
                  Loss = run.Loss
                  LearningRate = run.Optimizer.ParameterGroups[0].LearningRate
                  Measured = epochs.Measured
                  Curve = List.ofSeq curve }
            show (TrainingView.lines (width () - 1) (unicode ()) progress)

/// Trains with a live view in a terminal and a line per epoch everywhere.
let private fit
    (job: Job)
    (net: Module)
    (parts: Parts)
    (data: ImageFolder)
    (cancel: CancellationToken)
    (steps: ITrainingSteps | null)
    =
    let out, o = job.Out, job.Options
    let notes =
        dict
            [ match job.Model.Origin with
              | None -> Note.model, job.Model.Name
              | Some origin ->
                  Note.from, Path.GetFullPath origin.File
                  Note.fromHash, origin.Hash
                  yield! origin.Model |> Option.map (fun name -> Note.model, name) |> Option.toList
              Note.provider, Products.Name
              Note.engine, trainer job
              Note.options, string o ]
    let held = HeldOutScores(data.Test, parts.Validation, parts.Group)
    let export (snapshot: Snapshot) =
        let test = if parts.Validation.IsSome then None else Some snapshot.Scores.Accuracy
        modelOf job data snapshot.Network test snapshot.Epoch
    let recorder = Recorder(job.Run, data.Train.Count, held, (fun () -> job.Model.Build(Generator 0L)), export)
    let checkpointFailed = notWritten job "the checkpoint" // once: it remembers when it has said so
    let writer =
        CheckpointWriter(
            RunFolder.file job.Run RunFolder.Checkpoint,
            Notes = Collections.ObjectModel.ReadOnlyDictionary notes,
            Writing = Action<_> recorder.Flush,
            Failed = Action<_> checkpointFailed
        )
    let lines = EpochLines(out, held)
    live out (fun show ->
        let view = show |> Option.map (fun show -> View(show, data.Train.Count, lines) :> TrainingObserver)
        let records = Tolerant(recorder, notWritten job "what is recorded of the run")
        let observers = Option.toList view @ [ held; lines; records; writer ]
        (trainerOf o net parts observers steps).Fit(loaderOf o data, o.Epochs, Option.toObj job.Resume, cancel))

/// A device that is not there, or a part of it, is told before the training and not after it.
let private requireDevice (job: Job) (net: Module) =
    let model = OnnxExporter.Export(net, job.Model.Sample, job.Model.Name)
    (OrtModel.Load(Google.Protobuf.MessageExtensions.ToByteArray model, job.Ort)).Dispose()

/// The training step in ONNX Runtime. On a GPU batches have one size, and a step is one CUDA graph.
let private ortTrainerOf (job: Job) (net: Module) (parts: Parts) =
    let onDevice = job.Ort.Device <> OrtDevice.Cpu
    let graph =
        TrainingGraphOptions(
            BatchSize = (if onDevice then Nullable job.Options.BatchSize else Nullable()),
            ClipNorm = Option.toNullable job.Options.Clip,
            ClassWeights = parts.Loss.Weight,
            LabelSmoothing = parts.Loss.LabelSmoothing
        )
    let ort =
        if onDevice then
            OrtOptions(Device = job.Ort.Device, CudaGraph = true)
        else
            OrtOptions(Device = job.Ort.Device, IntraOpThreads = Workers.Threads)
    OrtTrainer.Create(net, job.Model.Sample, parts.Optimizer, graph, ort)

/// Trains until it is done, or a signal asks to stop.
let private untilStopped (train: CancellationToken -> TrainingResult) =
    let cancel = new CancellationTokenSource() // not disposed: a signal may come as late as it will
    let first = ref 0L
    let stop (signal: PosixSignalContext) =
        // The first signal stops between two steps, a second one ends the process as usual. Launchers send the first one twice.
        let again = first.Value <> 0L && not (Ranks.areSeveral && Stopwatch.GetElapsedTime first.Value < TimeSpan.FromSeconds 1.0)
        if first.Value = 0L then first.Value <- Stopwatch.GetTimestamp()
        signal.Cancel <- not again
        cancel.Cancel()
    use _ = PosixSignalRegistration.Create(PosixSignal.SIGINT, stop)
    use _ = PosixSignalRegistration.Create(PosixSignal.SIGTERM, stop)
    train cancel.Token

/// Trains, and brings the run to its end; the exit code, and why where it falls short.
let private trainHere (job: Job) (net: Module) (parts: Parts) (split: Split) =
    let data = split.Data
    line job.Out (string net)
    line job.Out ""
    let held = split.Validation |> Option.map (fun part -> $", {part.Count:N0} held out") |> Option.defaultValue ""
    let processes = parts.Group |> Option.map (fun group -> $" in each of {group}") |> Option.defaultValue ""
    line
        job.Out
        $"{net.ParameterCount:N0} parameters, {data.Train.Count:N0} training images{held}, batch size {job.Options.BatchSize}, seed \
            {job.Options.Seed}, {Workers.Threads} thread(s){processes}, {trainedBy job}"
    let began = Stopwatch.GetTimestamp()
    let result =
        untilStopped (fun cancel ->
            if job.Engine = Engine.OnnxRuntime then
                use trainer = ortTrainerOf job net parts
                fit job net parts data cancel trainer
            else
                fit job net parts data cancel null)
    let seconds = Stopwatch.GetElapsedTime(began).TotalSeconds
    net.Eval() |> ignore
    let write extra =
        let run = jsonOf job data parts result seconds extra
        TrainRecord.writeResult job.Run run
        job.Json |> Option.iter (fun file -> writeJson file run)
    match result.Outcome with
    | TrainingOutcome.Completed
    | TrainingOutcome.Stopped ->
        tellKept job parts result
        finish job data net result write, "the finished model was not good enough: see what train said"
    | _ -> endEarly job data net parts result write, "the loss or a weight was not finite"

/// Trains in a folder of the run's own.
let private train (job: Job) (net: Module) (parts: Parts) (split: Split) =
    requireDevice job net
    Workspace.requireWritableAs "--out" job.Folder (unprovenName job split.Data)
    if Workspace.makeFolder job.Folder then message job.Out $"made the folder {Workspace.display job.Folder}"
    let folder, held = TrainRecord.start job net split
    use _ = held
    let job = { job with Run = folder }
    TrainRecord.whileRunning job.Run (fun () -> trainHere job net parts split)

/// Trains along with the first process, which alone tells of it and writes.
let private trainAlong (job: Job) (net: Module) (parts: Parts) (split: Split) =
    let held = HeldOutScores(split.Data.Test, parts.Validation, parts.Group)
    untilStopped (fun cancel ->
        (trainerOf job.Options net parts [ held ] null)
            .Fit(loaderOf job.Options split.Data, job.Options.Epochs, Option.toObj job.Resume, cancel))
    |> ignore
    Exit.done'

/// The processes that train together, once all of them are to do the same in the same way; None where this one is alone.
let private together (job: Job) (args: Args) =
    let agree (group: ProcessGroup) =
        for asked, option in
            [ job.Engine = Engine.OnnxRuntime, "--engine onnxruntime"
              job.FindLr, "--find-lr"
              job.ShowAugmented.IsSome, "--show-augmented" ] do
            if asked then raise (OnnxLeNetException $"{option} is for one process: leave it out, or start without mpirun")
        if (args.TryGet Options.threads).IsNone then Ranks.shareThreads group
        Agreement.Require(
            group,
            [ struct ("version", Workspace.version)
              struct ("model", job.Model.Name)
              struct ("options", $"{job.Options} --hold-out {job.HoldOut}")
              struct ("provider", Products.Name)
              struct ("vector width", $"{SimdWidth.Bits} bits (--width sets it)") ]
        )
        group
    Ranks.group () |> Option.map agree

/// Trains the network that the options name; models finds those of a name.
let runWith (models: string -> Models.Model) (args: Args) =
    let asked = jobOf models args
    let group = together asked args
    let folder = dataFolder asked.DataFolder
    let asked, whole = if PictureFolder.Is folder then loadPictures asked folder else load asked folder
    let job = fitted asked whole
    let split = holdOut asked.HoldOut whole |> split job.Options
    let data = split.Data
    tellMissing job whole.Classes data
    if job.Engine = Engine.Own then Option.iter (message job.Out) withoutFma
    let net = job.Model.Build(Generator job.Options.Seed)
    freeze (message job.Out) job.Model job.Options.Freeze net
    let parts = partsOf job.Options net split group
    tellRates (message job.Out) job.Options net parts.Optimizer
    Trainer.Check(net, parts.Loss, loaderOf job.Options data)
    match job.ShowAugmented with
    | Some file -> ShowAugmented.run job data file
    | None when job.FindLr -> FindLr.run job net split CancellationToken.None
    | None ->
        match group with
        | None -> train job net parts split
        | Some group -> Ranks.endTogether group ((if Ranks.isFirst then train else trainAlong) job net parts split)

let run (args: Args) = runWith Models.find args
