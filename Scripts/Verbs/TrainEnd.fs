/// How a run of train ends: the network exported and proved, and where the file goes.
module OnnxLeNet.Scripts.Verbs.TrainEnd

open System
open System.Diagnostics
open System.IO
open System.Security.Cryptography
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Runs
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common
open OnnxLeNet.Scripts.Verbs.TrainJob
open OnnxLeNet.Scripts.Verbs.TrainParts

/// What else makes the same file, where the engine computes all of it.
let private repeatable (job: Job) =
    if job.Engine = Engine.Own && Products.Name = "simd" then
        let source = if job.Model.IsNamed then "command" else "script"
        $"; the same {source} gives the same bytes, at any vector width and number of threads"
    else
        ""

[<Literal>]
let private commaAndSpace = ", "

/// What is written beside a finished model.
let private card (job: Job) (data: ImageFolder) classes (name: string) (test: float) (hash: string) (bytes: int64) (parity: ParityReport) =
    let whole = Seq.last parity.Rows
    let sample = String.Join(", ", job.Model.Sample.Sizes.ToArray())
    let transform = data.Train.Transform
    let images =
        if Pictures.arePictures data then
            Pictures.describe job.Options.Pictures data
        else
            $"{data.Train.Stored} padded to {data.Train.Sample}"
    let named =
        if Pictures.arePictures data then
            $"\n| classes | {String.Join(commaAndSpace, Seq.map Markdown.cell data.ClassNames)} |"
        else
            ""
    let input = $"`{OnnxExporter.Input}` [{OnnxExporter.BatchAxis}, {sample}]"
    let output = $"`{OnnxExporter.Output}` [{OnnxExporter.BatchAxis}, {classes}]"
    let agreement =
        $"{whole.Samples:N0} test images: {percent whole.Top1Agreement} same class, largest difference of a logit \
        {scientific whole.MaxAbs} ({scientific whole.MaxRel} relative), on the {parity.Device}"
    let command =
        if job.Model.IsNamed then
            "command | " + Markdown.code $"dotnet run --project Scripts -c Release -- {commandOf job data}"
        else
            "a script's | network, with " + Markdown.code (commandOf job data)
    let beginning =
        match job.Model.Origin with
        | Some origin -> $"\n| begins from | {Markdown.cell (nonNull (Path.GetFileName origin.File))}, SHA-256 `{origin.Hash}` |"
        | None -> ""
    $"""# {Markdown.cell name}.onnx

| | |
|---|---|
| network | {Markdown.code job.Model.Name}, {(job.Model.Build(Generator 0L)).ParameterCount:N0} parameters |
| {command} |{beginning}
| data | {Markdown.cell data.Name}, {images}, then {Input.formula transform} |{named}
| trained by | {trainedBy job}{repeatable job} |
| test accuracy | {percent test} |
| input, output | {input}, {output}, float32 |
| opset, IR version | {ExportOptions.DefaultOpset}, {ExportOptions.IrVersion ExportOptions.DefaultOpset} |
| engine against ONNX Runtime | {agreement} |
| size | {bytes:N0} bytes |
| SHA-256 | `{hash}` |
"""

/// The network as a model after so many epochs, with what its file says beside it.
let modelOf (job: Job) (data: ImageFolder) (net: Module) (test: float option) (epochs: int) =
    let metadata =
        [ ModelMetadata.Classes, ModelMetadata.JoinClasses data.ClassNames
          yield! Input.metadataOf data.Train.Transform
          yield! Pictures.metadataOf job.Options.Pictures data
          yield! test |> Option.map (fun accuracy -> ModelMetadata.TestAccuracy, invariant accuracy) |> Option.toList
          ModelMetadata.Data, data.Name
          "command", commandOf job data
          "seed", string job.Options.Seed
          Recorder.EpochsKey, string epochs ]
    OnnxExporter.Export(net, job.Model.Sample, job.Model.Name, dict metadata)

/// Writes the network as an ONNX file; returns the engine's logits of the test images, their accuracy and the file's hash.
let private export (job: Job) (data: ImageFolder) (net: Module) epochs (path: string) =
    let logits = Inference.Logits(net, data.Test)
    let test = accuracy data.Test logits
    logits, test, OnnxFile.Write(modelOf job data net (Some test) epochs, path)

/// The epoch whose weights the network has when training has ended by itself.
let private keptEpoch (parts: Parts) (result: TrainingResult) =
    match parts.Best with
    | Some best when best.Epoch > 0 && result.Outcome <> TrainingOutcome.Interrupted -> best.Epoch
    | _ -> result.Losses.Count

/// The run as one JSON object, with what its end adds.
let jsonOf (job: Job) (data: ImageFolder) (parts: Parts) (result: TrainingResult) (seconds: float) (extra: (string * objnull) list) =
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
          "learningRate", job.Options.LearningRate
          "optimizer", job.Options.Optimizer
          "schedule", job.Options.Schedule
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
          "validationLoss", jsonArray (parts.Validation |> Option.map _.Losses |> Option.defaultValue [||])
          "validationAccuracy", jsonArray (parts.Validation |> Option.map _.Accuracies |> Option.defaultValue [||])
          "keptEpoch", box (keptEpoch parts result)
          yield! extra ]

/// Says whose weights are kept, where the options leave it open.
let tellKept (job: Job) (parts: Parts) (result: TrainingResult) =
    if result.Outcome = TrainingOutcome.Stopped then
        line
            job.Out
            $"Stopped after epoch {result.Losses.Count}: the validation loss has not fallen for {job.Options.EarlyStop.Value} epochs."
    match parts.Best, parts.Validation with
    | Some best, Some part when best.Epoch > 0 ->
        line
            job.Out
            $"Kept the weights of epoch {best.Epoch}: validation loss {part.Losses[best.Epoch - 1]:F4}, accuracy \
                {percent part.Accuracies[best.Epoch - 1]}."
    | _ -> ()

/// Runs the file in ONNX Runtime and compares: the proof is of the file itself.
let private prove (job: Job) (data: ImageFolder) (net: Module) (logits: Tensor) (path: string) =
    use model = OrtModel.Load(path, job.Ort)
    let struct (onData, ortLogits) = Parity.OnData($"{data.Name} test images", logits, data.Test, model)
    let parity = ParityReport(model.DeviceName, [| yield! Parity.OnRandomInput(net, job.Model.Sample, model, job.Options.Seed); onData |])
    line job.Out ""
    line job.Out $"test accuracy   engine {percent (accuracy data.Test logits)}   ONNX Runtime {percent (accuracy data.Test ortLogits)}"
    line job.Out ""
    heading job.Out $"engine against ONNX Runtime on {model.DeviceName}"
    parityTable job.Out parity
    line job.Out ""
    parity

/// Every gradient of the network against the training step's graph.
let private proveGradients (job: Job) (data: ImageFolder) (net: Module) =
    let rows = GradientParity.Gradients(net, job.Model.Sample, data.Train, $"{data.Name} images", job.Ort, job.Options.Seed)
    heading job.Out "gradients: the engine's against those of the training step in ONNX Runtime"
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
          "flips", onData.Flips
          "flipGap", onData.FlipGap
          "passed", parity.Passed
          "rows", parityRows parity ]

/// What stands where the finished model goes.
type private Standing =
    | Nothing
    | SameBytes
    /// Its accuracy on the same test images.
    | Model of float
    /// Why its accuracy is not known.
    | Unknown of string

/// Compares what stands there with a new model by the same test images.
let private standing (job: Job) (data: ImageFolder) (finished: string) (candidate: string) =
    if not (File.Exists finished) then
        Nothing
    elif (RegularFile.ReadAll finished).AsSpan().SequenceEqual(RegularFile.ReadAll candidate) then
        SameBytes
    else
        try
            use model = OrtModel.Load finished
            let transform, _, _ = Input.transformOf Input.nothing model.Metadata.Properties None data.Test
            let said key =
                match model.Metadata.Properties.TryGetValue key with
                | true, text -> text
                | _ -> ""
            let ours = dict (Pictures.metadataOf job.Options.Pictures data)
            if Pictures.arePictures data && said ModelMetadata.Classes <> ModelMetadata.JoinClasses data.ClassNames then
                Unknown "it has other classes"
            elif ours |> Seq.exists (fun entry -> said entry.Key <> entry.Value) then
                Unknown "other pictures were held out of its training, or they came to their size in another way"
            elif transform <> data.Test.Transform then
                Unknown "it takes images in another way"
            else
                let logits = Parity.Logits(model, data.Test)
                if logits.Shape[1] < data.Classes then
                    Unknown $"it has {logits.Shape[1]} outputs for {data.Classes} classes"
                else
                    Model(accuracy data.Test logits)
        with :? OnnxLeNetException as e ->
            Unknown e.Message

/// Where a proved model was put, and what became of the one before.
type private Placed =
    {
        Path: string
        /// A sentence for the user where there was one before.
        Said: string option
        Aside: bool
        /// The accuracy of the model that stood there, where it is known.
        Before: float option
    }

/// Of several runs into one folder one at a time gives its model a name.
let private lockFolder (job: Job) =
    let waiting () = message job.Out $"another run is writing its model in {Workspace.display job.Folder}: this one waits"
    FileLock.Take(Path.Combine(job.Folder, ".onnxlenet.lock"), Action waiting)

/// Gives a proved file the finished model's name, unless a better model has it: then a name beside that one's.
let private place (job: Job) (data: ImageFolder) (name: string) (unproven: string) (test: float) (hash: string) (cardOf: string -> string) =
    use _ = lockFolder job
    let finished = Path.Combine(job.Folder, name + ".onnx")
    let shown = Workspace.display finished
    let put (name: string) =
        let path = Path.Combine(job.Folder, name + ".onnx")
        use card = new PendingFile(Path.Combine(job.Folder, name + ".md"))
        card.Stream.Write(ReadOnlySpan(Text.Encoding.UTF8.GetBytes(cardOf name)))
        card.Stream.Flush true
        File.Move(unproven, path, overwrite = true)
        PendingFile.Commit(ReadOnlySpan [| card |])
        path
    let aside because =
        let path = put (name + ".new")
        path, Some $"{shown} was kept: {because}. The new one is {Workspace.display path}; --force replaces the other.", true
    let before = standing job data finished unproven
    let path, said, aside =
        match before with
        | Nothing -> put name, None, false
        | SameBytes ->
            // The card may be another model's: that of before, where this run was killed between the two.
            let card = Path.Combine(job.Folder, name + ".md")
            if not (File.Exists card) || not ((RegularFile.ReadText card).Contains(hash, StringComparison.Ordinal)) then
                AtomicFile.Write(card, cardOf name)
            File.Delete unproven
            finished, Some $"{shown} has these very bytes already: nothing was written.", false
        | Model accuracy when accuracy <= test ->
            put name, Some $"It replaces a model with test accuracy {percent accuracy}.", false
        | Model accuracy when job.Force ->
            put name, Some $"It replaces a better model, with test accuracy {percent accuracy} (--force).", false
        | Model accuracy -> aside $"its test accuracy is {percent accuracy}, the new model's {percent test}"
        | Unknown _ when job.Force -> put name, Some "It replaces a file that could not be compared with it (--force).", false
        | Unknown why -> aside $"it cannot be compared with the new model ({why})"
    { Path = path
      Said = said
      Aside = aside
      Before =
        match before with
        | Model accuracy -> Some accuracy
        | SameBytes -> Some test
        | _ -> None }

/// The model that comes with the project, where the command of this run made it: its file and that one's hash.
let private madeAlike (job: Job) (data: ImageFolder) (name: string) =
    let file = Path.Combine(Workspace.finishedModels, name + ".onnx")
    if not (job.Model.IsNamed && File.Exists file) then
        None // two scripts may give two networks one name
    else
        try
            match OnnxFile.Metadata(OnnxFile.Read file).TryGetValue "command" with
            | true, command when command = commandOf job data ->
                Some(Workspace.display file, Convert.ToHexStringLower(SHA256.HashData(RegularFile.ReadAll file)))
            | _ -> None
        with :? OnnxLeNetException ->
            None // a file of another kind, of which place says what becomes of it

/// Says whether the bytes are those of the model that the same command made before.
let private tellSameBytes (job: Job) (hash: string) (before: (string * string) option) =
    match before with
    | None -> ()
    | Some(file, theirs) when theirs = hash ->
        line job.Out $"Same bytes as {file}, which the same command made before."
    | Some(file, theirs) ->
        message
            job.Out
            $"Not the bytes of {file}, though the same command made it: its sha256 is {theirs}, this run's {hash}. Was it made by another \
                version of the engine, or from other images of that name? If not, this machine computes otherwise: see what `doctor` says \
                of its vectors."

/// What was written, and what might be typed next.
let private summarize (job: Job) (model: string) =
    let card = model[.. model.Length - ".onnx".Length - 1] + ".md"
    line job.Out ""
    heading job.Out "written"
    facts
        job.Out
        [ for file, what in [ Some model, "the model"; Some card, "its card: data, command, accuracy"; job.Json, "the results" ] do
              match file with
              | Some file when file <> "-" -> Workspace.display file, what
              | _ -> () ]
    heading job.Out "next"
    command job.Out $"{Workspace.command} predict {Workspace.display model} PICTURE"
    let data = job.DataFolder |> Option.map (fun folder -> $" --data {argument folder}") |> Option.defaultValue ""
    command job.Out $"{Workspace.command} evaluate {Workspace.display model}{data}"
    command job.Out $"{Workspace.command} serve {Workspace.display model}"

let private nameOf (job: Job) (data: ImageFolder) = $"{job.Model.Name}-{data.Name}"

/// What a model is called that could not be proved; no name that train writes is longer.
let unprovenName (job: Job) (data: ImageFolder) = nameOf job data + ".unproven.onnx"

/// Exports, proves, and gives the finished model's name to the file only if all of it holds and no better model has it.
let finish (job: Job) (data: ImageFolder) (net: Module) (result: TrainingResult) write =
    let name = nameOf job data
    let finished, unproven = Path.Combine(job.Folder, name + ".onnx"), RunFolder.file job.Run RunFolder.Unproven
    let logits, test, hash = export job data net result.Losses.Count unproven
    let parity = prove job data net logits unproven
    let gradients = proveGradients job data net
    let agree = Seq.isEmpty gradients || GradientParity.Passed gradients
    let accurate = job.MinAccuracy |> Option.forall (fun least -> test >= least)
    let bytes = (FileInfo unproven).Length
    let before = madeAlike job data name
    let placed =
        if parity.Passed && agree && accurate then
            let placed = place job data name unproven test hash (fun name -> card job data logits.Shape[1] name test hash bytes parity)
            // The run needs no checkpoint any more, nor what an interrupt of it left.
            File.Delete(RunFolder.file job.Run RunFolder.Checkpoint)
            match job.ResumedFrom with
            | Some checkpoint ->
                File.Delete checkpoint
                File.Delete(RunFolder.file job.Run RunFolder.Partial)
            | None -> ()
            Some placed
        else
            None
    let path =
        match placed with
        | Some placed -> placed.Path
        | None ->
            let left = Path.Combine(job.Folder, unprovenName job data)
            File.Move(unproven, left, overwrite = true)
            left
    line job.Out $"{Workspace.display path}   {bytes:N0} bytes   sha256 {hash[..15]}…"
    let seconds = Seq.sum result.SecondsPerEpoch
    line
        job.Out
        $"{seconds / float result.SecondsPerEpoch.Count:F2} s per epoch, \
            {float (data.Train.Count * result.SecondsPerEpoch.Count) / seconds:N0} images/s, \
            peak memory {Process.GetCurrentProcess().PeakWorkingSet64 / 1048576L} MB"
    tellSameBytes job hash before
    placed |> Option.bind _.Said |> Option.iter (message job.Out)
    write
        [ "model", box (Workspace.display path)
          "sha256", hash
          "sameCommand",
          (match before with
           | Some(file, theirs) -> box (json [ "model", file; "sha256", theirs; "sameBytes", (theirs = hash) ])
           | None -> null)
          "classes", jsonArray data.ClassNames
          "testAccuracy", test
          "putAside", box (placed |> Option.exists _.Aside)
          "testAccuracyBefore",
          (match placed |> Option.bind _.Before with
           | Some accuracy -> box accuracy
           | None -> null)
          "parity", parityFields parity
          "gradients", gradientRows gradients ]
    let kept = $"the file is left as {Workspace.display path}, and {Workspace.display finished} was not touched"
    if not parity.Passed then
        error $"the engine and ONNX Runtime do not agree; {kept}"
    elif not agree then
        error $"the engine's gradients and those of the training step do not agree; {kept}"
    elif not accurate then
        error $"the test accuracy {percent test} is below --min-accuracy {percent job.MinAccuracy.Value}; {kept}"
    placed |> Option.iter (fun placed -> summarize job placed.Path)
    if placed.IsSome then Exit.done' else Exit.fallsShort

/// Training that ended early: what is done is kept in the run's folder, where no other run ends.
let endEarly (job: Job) (data: ImageFolder) (net: Module) (parts: Parts) (result: TrainingResult) write =
    let partial = RunFolder.file job.Run RunFolder.Partial
    let struct (epoch, step) = result.StoppedAt.Value
    let keep () =
        let _, test, _ = export job data net result.Losses.Count partial
        test
    match result.Outcome with
    | TrainingOutcome.Diverged ->
        error
            $"the loss or a weight is not a number or infinite at epoch {epoch}, step {step}: training stopped. A smaller --lr than \
                {invariant job.Options.LearningRate} is the usual cure."
        if result.Losses.Count > 0 then
            let test = keep ()
            let kept = keptEpoch parts result
            message job.Out $"The weights of epoch {kept}, test accuracy {percent test}, are in {Workspace.display partial}."
            write [ "model", box (Workspace.display partial); "testAccuracy", test ]
        else
            write [ "model", null ]
        Exit.fallsShort
    | _ ->
        let test = keep ()
        message
            job.Out
            $"Interrupted at epoch {epoch}, step {step}. The weights so far, test accuracy {percent test}, are in \
                {Workspace.display partial}; go on with {resumeCommand job}"
        write [ "model", box (Workspace.display partial); "testAccuracy", test ]
        Exit.interrupted
