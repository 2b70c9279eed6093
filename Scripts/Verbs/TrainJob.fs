/// What a run of train is asked to do: its options, checked, and the commands that repeat it or go on with it.
module OnnxLeNet.Scripts.Verbs.TrainJob

open System
open System.Globalization
open System.IO
open Argu
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Options
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common

let invariant (x: float) = x.ToString("R", CultureInfo.InvariantCulture)

/// How the verb trains: SGD with momentum, its learning rate falling to zero along a cosine.
type TrainingOptions =
    { Epochs: int
      BatchSize: int
      LearningRate: float
      Momentum: float
      WeightDecay: float
      Seed: int64 }

    override o.ToString() =
        $"TrainingOptions {{ Epochs = {o.Epochs}, BatchSize = {o.BatchSize}, LearningRate = {invariant o.LearningRate}, "
        + $"Momentum = {invariant o.Momentum}, WeightDecay = {invariant o.WeightDecay}, Seed = {o.Seed} }}"

    static member Default =
        { Epochs = 12
          BatchSize = 64
          LearningRate = 0.03
          Momentum = 0.9
          WeightDecay = 1e-3
          Seed = 1L }

    /// Those of the run that a checkpoint is of: the optimizer's state has its numbers.
    static member Of(checkpoint: Checkpoint) =
        let number name otherwise =
            checkpoint.Optimizer.Entries
            |> Seq.tryPick (function
                | :? NumberEntry as entry when entry.Name = $"param_groups.0.{name}" -> Some entry.Value
                | _ -> None)
            |> Option.defaultValue otherwise
        { Epochs = checkpoint.Epochs
          BatchSize = checkpoint.BatchSize
          LearningRate = number "initial_lr" TrainingOptions.Default.LearningRate
          Momentum = number "momentum" TrainingOptions.Default.Momentum
          WeightDecay = number "weight_decay" TrainingOptions.Default.WeightDecay
          Seed = checkpoint.Seed }

/// What a run is asked to do, checked.
type Job =
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
        /// Whether the new model takes a better one's place.
        Force: bool
    }

/// The options of a run that ONNX Runtime trains.
let engineOptions (job: Job) =
    [ if job.Engine = Engine.OnnxRuntime then
          "--engine onnxruntime"
          if job.Ort.Device <> OrtDevice.Cpu then $"--device {job.Ort.Device}" ]

/// The command that repeats a run, with what was left to defaults written out. A folder of data is named without its place.
let commandOf (job: Job) (data: ImageFolder) =
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
module Note =
    let model = "model"
    let provider = "provider"
    let engine = "engine"

/// Who trains, as far as the result depends on it.
let trainer (job: Job) = if job.Engine = Engine.OnnxRuntime then $"ONNX Runtime on {job.Ort.Device}" else "the engine"

/// Who trains, as a person reads it.
let trainedBy (job: Job) = if job.Engine = Engine.OnnxRuntime then trainer job else $"{trainer job}, {Products.Provider}"

let checkpointFile (job: Job) (data: ImageFolder) = Path.Combine(job.Folder, $"{job.Model.Name}-{data.Name}.checkpoint")

/// An interrupted run's checkpoint that this run's would overwrite gets another name; what to say of it.
let private setAsideCheckpoint (job: Job) (data: ImageFolder) =
    let file = checkpointFile job data
    let resumed = job.ResumedFrom |> Option.exists (fun from -> Path.GetFullPath from = Path.GetFullPath file)
    if not resumed && File.Exists file then
        let saved = Path.Combine(job.Folder, $"{job.Model.Name}-{data.Name}.earlier.checkpoint")
        File.Move(file, saved, overwrite = true)
        Some $"The checkpoint of an earlier run that did not end is {Workspace.display saved} now; --resume goes on with it."
    else
        None

/// Makes the folder ready for a run's files, and says what that took.
let prepareFolder (job: Job) (data: ImageFolder) =
    if Workspace.makeFolder job.Folder then message job.Out $"made the folder {Workspace.display job.Folder}"
    setAsideCheckpoint job data |> Option.iter (message job.Out)

/// The options of the run, which are the checkpoint's own where there is one.
let private options (args: ParseResults<TrainArgs>) (resume: Checkpoint option) =
    let run = Option.map TrainingOptions.Of resume
    let defaults = defaultArg run TrainingOptions.Default
    let lr = args.GetResult(Lr, defaultValue = defaults.LearningRate)
    if not (Double.IsFinite lr) || lr < 0.0 then badOption "--lr" lr "a finite number of 0 or more"
    let asked =
        { TrainingOptions.Default with
            Epochs = atLeastOne "--epochs" (args.GetResult(Epochs, defaultValue = defaults.Epochs))
            BatchSize = atLeastOne "--batch-size" (args.GetResult(BatchSize, defaultValue = defaults.BatchSize))
            LearningRate = lr
            Seed = args.GetResult(TrainArgs.Seed, defaultValue = defaults.Seed) }
    match run with
    | Some own when asked <> own ->
        raise (OnnxLeNetException $"--resume goes on with the checkpoint's own options, {own}; leave out what differs")
    | _ -> asked

/// The command that goes on from where a run was stopped.
let resumeCommand (job: Job) (data: ImageFolder) =
    String.concat
        " "
        [ $"train --resume {Workspace.display (checkpointFile job data)}"
          match job.DataFolder with
          | Some folder -> $"--data {folder}"
          | None -> ()
          if job.HoldOut > 0 then $"--hold-out {job.HoldOut}"
          yield! engineOptions job
          if job.Folder <> Workspace.modelsFolder then $"--out {Workspace.display job.Folder}" ]

let jobOf (args: ParseResults<TrainArgs>) =
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
          MinAccuracy = args.TryGetResult TrainArgs.MinAccuracy |> Option.map (share "--min-accuracy")
          Force = args.Contains TrainArgs.Force }
    configure (args.TryGetResult TrainArgs.Threads) (args.TryGetResult TrainArgs.Width) (args.TryGetResult TrainArgs.Provider)
    Workspace.requireWritable "--out" job.Folder
    job.Json |> Option.iter (Workspace.requireWritableFile "--json")
    for key, now in [ Note.provider, Products.Name; Note.engine, trainer job ] do
        match note key with
        | Some before when before <> now ->
            message job.Out $"the checkpoint was made with {key} {before}, this run has {now}: results will differ in their last bits"
        | _ -> ()
    job
