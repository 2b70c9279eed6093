/// What a run of train is asked to do: its options, checked, and the commands that repeat it or go on with it.
module OnnxLeNet.Scripts.Verbs.TrainJob

open System
open System.IO
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Cli
open OnnxLeNet.Scripts.Runs
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common
open OnnxLeNet.Scripts.Verbs.TrainFrom

/// What a run is asked to do, checked.
type Job =
    {
        Out: Output
        Model: Network
        Options: TrainingOptions
        Resume: Checkpoint option
        /// The checkpoint's file.
        ResumedFrom: string option
        /// The run's folder, once it has begun.
        Run: string
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
        /// Whether learning rates are tried, and nothing is trained; and where the picture goes.
        FindLr: bool
        Plot: string option
        /// Where a picture of changed training images goes; nothing is trained.
        ShowAugmented: string option
    }

/// The options of a run that ONNX Runtime trains.
let engineOptions (job: Job) =
    [ if job.Engine = Engine.OnnxRuntime then
          "--engine onnxruntime"
          if job.Ort.Device <> OrtDevice.Cpu then $"--device {job.Ort.Device}" ]

/// The data as a command names them, without their place.
let private shownData (folder: string) (data: ImageFolder) =
    Terminal.argument (if File.Exists folder then FileInfo(folder).Name else data.Name)

/// The command that repeats a run, with what was left to defaults written out. A folder of data is named without its place.
let commandOf (job: Job) (data: ImageFolder) =
    let o = job.Options
    String.concat
        " "
        [ match job.Model.Origin with
          | None -> $"train --model {job.Model.Name}"
          | Some origin ->
              $"train --from {Terminal.argument (nonNull (Path.GetFileName origin.File))}"
              yield! origin.Model |> Option.map (fun name -> $"--model {name}") |> Option.toList
          yield! job.DataFolder |> Option.map (fun folder -> $"--data {shownData folder data}") |> Option.toList
          if job.HoldOut > 0 then $"--hold-out {job.HoldOut}"
          string o
          if Products.Name <> "simd" then $"--provider {Products.Name}"
          yield! engineOptions job ]

/// What a checkpoint remembers beside the numbers.
module Note =
    let model = "model"
    let from = "from"
    let fromHash = "from.sha256"
    let provider = "provider"
    let engine = "engine"
    let options = "options"

/// Who trains, as far as the result depends on it.
let trainer (job: Job) = if job.Engine = Engine.OnnxRuntime then $"ONNX Runtime on {job.Ort.Device}" else "the engine"

/// Who trains, as a person reads it.
let trainedBy (job: Job) = if job.Engine = Engine.OnnxRuntime then trainer job else $"{trainer job}, {Products.Provider}"

/// The checkpoint that --resume names: a file, or that of a run, by its folder or its name.
let private checkpointNamed (out: string) (named: string) =
    if File.Exists named then
        named
    else
        match RunFolder.tryFind out named with
        | None ->
            raise (
                OnnxLeNetException
                    $"--resume: there is no checkpoint {named}, and no run of that name in {Workspace.display (RunFolder.folderOf out)}; \
                        `runs` lists them"
            )
        | Some folder ->
            let checkpoint = RunFolder.file folder RunFolder.Checkpoint
            if File.Exists checkpoint then
                checkpoint
            else
                let why =
                    match (RunFolder.read folder).State with
                    | RunFolder.Finished -> "it is finished"
                    | RunFolder.Running -> "it is still running"
                    | _ -> "it ended before its first checkpoint"
                raise (OnnxLeNetException $"--resume: the run {named} has no checkpoint to go on from: {why}")

/// The options of the run, which are the checkpoint's own where there is one.
let private options (args: Args) (resume: Checkpoint option) =
    let own =
        resume
        |> Option.map (fun checkpoint ->
            match checkpoint.Notes.TryGetValue Note.options with
            | true, typed -> TrainingOptions.read typed
            | _ -> TrainingOptions.ofState checkpoint)
    let asked = TrainingOptions.ofArgs args own
    match own with
    | Some own when asked <> own ->
        raise (OnnxLeNetException $"--resume continues with the checkpoint's own options, {own}; leave out what differs")
    | _ -> asked

/// The command that goes on from where a run was stopped.
let resumeCommand (job: Job) =
    String.concat
        " "
        [ if not job.Model.IsNamed then "the script, with"
          $"train --resume {Path.GetFileName job.Run}"
          match job.DataFolder with
          | Some folder -> $"--data {Terminal.argument folder}"
          | None -> ()
          if job.HoldOut > 0 then $"--hold-out {job.HoldOut}"
          yield! engineOptions job
          if job.Folder <> Workspace.modelsFolder then $"--out {Workspace.display job.Folder}" ]

let jobOf (models: string -> Models.Model) (args: Args) =
    let folder = args.Get(Options.out, Workspace.modelsFolder)
    let resumedFrom = args.TryGet Options.resume |> Option.map (checkpointNamed folder)
    let resume = resumedFrom |> Option.map Checkpoint.Load
    let note key =
        resume
        |> Option.bind (fun checkpoint ->
            match checkpoint.Notes.TryGetValue key with
            | true, text -> Some text
            | _ -> None)
    if args.TryGet Options.from = Some "-" then
        raise (OnnxLeNetException "--from needs a file, got -: --resume reads it again")
    let model, from = args.TryGet Options.network, args.TryGet Options.from |> Option.map Path.GetFullPath
    for given, key in [ model, Note.model; from, Note.from ] do
        match given, resume, note key with
        | Some given, Some _, own when own <> Some given -> badOption $"--{key}" given (defaultArg own "left out" + ", the checkpoint's")
        | _ -> ()
    let from = Option.orElse (note Note.from) from
    let options = options args resume
    if from.IsNone then
        for asked, option in [ options.Fresh, "--fresh"; options.Freeze.IsSome, "--freeze" ] do
            if asked then raise (OnnxLeNetException $"{option} is for the network of a file: name one by --from")
    if options.Fresh && options.Freeze.IsSome then
        raise (OnnxLeNetException "--freeze keeps weights of the file, and --fresh takes none of them: leave one of them out")
    let out = output (args.Has Options.quiet)
    let job =
        { Resume = resume
          ResumedFrom = resumedFrom
          Run = ""
          Out = out
          Model = find models (message out) (Option.orElse (note Note.model) model) from options.Fresh
          Options = options
          DataFolder = args.TryGet Options.data
          HoldOut = args.TryGet Options.holdOut |> Option.map (atLeastOne "--hold-out") |> Option.defaultValue 0
          Engine = args.Get(Options.engine, Engine.Own)
          Ort = ortOptions (args.TryGet Options.device)
          Folder = folder
          Json = args.TryGet Options.json
          MinAccuracy = args.TryGet Options.minAccuracy |> Option.map (share "--min-accuracy")
          Force = args.Has Options.force
          FindLr = args.Has Options.findLr
          Plot = args.TryGet Options.plot
          ShowAugmented = args.TryGet Options.showAugmented }
    match job.Model.Origin, note Note.fromHash with
    | Some origin, Some hash when hash <> origin.Hash ->
        raise (OnnxLeNetException $"{origin.File} has changed since the checkpoint's run began: its sha256 was {hash}, it is {origin.Hash}")
    | _ -> ()
    if job.Engine = Engine.OnnxRuntime then TrainingOptions.requireInOrt job.Options
    for asked, option in
        [ job.Engine = Engine.OnnxRuntime, "--engine onnxruntime"
          job.Resume.IsSome, "--resume"
          job.MinAccuracy.IsSome, "--min-accuracy" ] do
        if job.FindLr && asked then raise (OnnxLeNetException $"--find-lr trains nothing: leave out {option}")
    if job.Plot.IsSome && not job.FindLr then raise (OnnxLeNetException "--plot is the picture of --find-lr: add that")
    job.Plot |> Option.iter (Workspace.requireWritableFile "--plot")
    job.ShowAugmented |> Option.iter (Workspace.requireWritableFile "--show-augmented")
    configure (args.TryGet Options.threads) (args.TryGet Options.width) (args.TryGet Options.provider)
    if Ranks.isFirst then
        Workspace.requireWritable "--out" job.Folder
        job.Json |> Option.iter (Workspace.requireWritableFile "--json")
    match resume, resumedFrom with
    | Some checkpoint, Some file when not checkpoint.HasChecksum ->
        message job.Out $"{file} is of an earlier version and has no checksum: damage in it would not be found"
    | _ -> ()
    for key, now in [ Note.provider, Products.Name; Note.engine, trainer job ] do
        match note key with
        | Some before when before <> now ->
            message job.Out $"the checkpoint was made with {key} {before}, this run has {now}: results will differ in their last bits"
        | _ -> ()
    job
