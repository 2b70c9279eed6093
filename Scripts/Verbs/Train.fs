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

/// The command that repeats this run, with what was left to defaults written out.
let private commandOf (model: Models.Model) (o: TrainingOptions) =
    $"train --model {model.Name} --epochs {o.Epochs} --batch-size {o.BatchSize} --lr {invariant o.LearningRate} --seed {o.Seed}"

let private options (args: ParseResults<TrainArgs>) =
    let defaults = TrainingOptions()
    let lr = args.GetResult(Lr, defaultValue = defaults.LearningRate)
    if not (Double.IsFinite lr) || lr < 0.0 then badOption "--lr" lr "a finite number of 0 or more"
    TrainingOptions(
        Epochs = atLeastOne "--epochs" (args.GetResult(Epochs, defaultValue = defaults.Epochs)),
        BatchSize = atLeastOne "--batch-size" (args.GetResult(BatchSize, defaultValue = defaults.BatchSize)),
        LearningRate = lr,
        Seed = args.GetResult(TrainArgs.Seed, defaultValue = defaults.Seed)
    )

let private load (model: Models.Model) folder =
    let data = IdxFolder.Load(folder, ImageTransform.Mnist)
    if data.Train.Sample <> model.Sample then
        raise (OnnxLeNetException $"{folder}: {model.Name} takes images of {model.Sample}, these are {data.Train.Stored}, padded {data.Train.Sample}")
    data

/// Trains with a moving bar in a terminal and a line per epoch everywhere.
let private fit out (net: Sequential) (data: IdxFolder) (o: TrainingOptions) (cancel: CancellationToken) =
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

let private card
    (name: string)
    (model: Models.Model)
    (o: TrainingOptions)
    (dataName: string)
    (test: float)
    (hash: string)
    (bytes: int64)
    (parity: ParityReport)
    =
    let whole = Seq.last parity.Rows
    $"""# {name}.onnx

| | |
|---|---|
| network | `{model.Name}`, {(model.Build(Generator 0L)).ParameterCount:N0} parameters |
| command | `dotnet run --project Scripts -c Release -- {commandOf model o}` |
| data | {dataName}, 28×28 padded to 32×32, then (x/255 − {invariant ImageTransform.Mnist.Mean})/{invariant ImageTransform.Mnist.Std} |
| trained by | the engine, {Products.Provider}; the same command gives the same bytes at the same vector width |
| test accuracy | {percent test} |
| input, output | `{OnnxExporter.Input}` [{OnnxExporter.BatchAxis}, {String.Join(", ", model.Sample.Sizes.ToArray())}], `{OnnxExporter.Output}` [{OnnxExporter.BatchAxis}, classes], float32 |
| opset, IR version | {OnnxExporter.Opset}, {OnnxExporter.IrVersion} |
| engine against ONNX Runtime | {whole.Samples:N0} test images: {percent whole.Top1Agreement} same class, largest difference of a logit {scientific whole.MaxAbs} ({scientific whole.MaxRel} relative), on the {parity.Device} |
| size | {bytes:N0} bytes |
| SHA-256 | `{hash}` |
"""

let run (args: ParseResults<TrainArgs>) =
    let out = output (args.Contains TrainArgs.Quiet)
    let model = Models.find (args.GetResult(Model, defaultValue = "lenet5"))
    let o = options args
    let floor = args.TryGetResult TrainArgs.MinAccuracy |> Option.map (share "--min-accuracy")
    configure (args.TryGetResult TrainArgs.Threads) (args.TryGetResult TrainArgs.Provider)
    let ort = ortOptions (args.TryGetResult TrainArgs.Device)
    let folder = args.GetResult(Out, defaultValue = Workspace.modelsFolder)
    Workspace.requireWritable "--out" folder
    args.TryGetResult TrainArgs.Json |> Option.iter (Workspace.requireWritableFile "--json")
    let net = model.Build(Generator o.Seed)
    // A device that is not there, or a part of it, is told now and not after the training.
    use _ = OrtModel.Load(Google.Protobuf.MessageExtensions.ToByteArray(OnnxExporter.Export(net, model.Sample, model.Name)), ort)
    let data = load model (dataFolder (args.TryGetResult TrainArgs.Data))
    let name = $"{model.Name}-{data.Name}"
    let finished, partial = Path.Combine(folder, name + ".onnx"), Path.Combine(folder, name + ".partial.onnx")

    line out (string net)
    line out ""
    line
        out
        $"{net.ParameterCount:N0} parameters, {data.Train.Count:N0} training images, batch size {o.BatchSize}, seed {o.Seed}, {Workers.Threads} thread(s), {Products.Provider}"
    use cancel = new CancellationTokenSource()
    let stop (signal: PosixSignalContext) =
        // The first signal stops between two steps, a second one ends the process as usual.
        signal.Cancel <- not cancel.IsCancellationRequested
        cancel.Cancel()
    use _ = PosixSignalRegistration.Create(PosixSignal.SIGINT, stop)
    use _ = PosixSignalRegistration.Create(PosixSignal.SIGTERM, stop)
    let began = Stopwatch.GetTimestamp()
    let result = fit out net data o cancel.Token
    let seconds = Stopwatch.GetElapsedTime(began).TotalSeconds
    net.Eval() |> ignore

    let export path =
        let logits = Inference.Logits(net, data.Test)
        let test = accuracy data.Test logits
        let metadata =
            [ Metadata.classes, String.Join(",", seq { 0 .. data.Classes - 1 })
              yield! Metadata.ofTransform data.Train.Transform
              "test.accuracy", invariant test
              "data", data.Name
              "command", commandOf model o
              "seed", string o.Seed
              "epochs", string result.Losses.Count ]
        let proto = OnnxExporter.Export(net, model.Sample, model.Name, dict metadata)
        logits, test, OnnxFile.Write(proto, path)

    let fields (extra: (string * (objnull)) list) =
        json
            [ "epochs", box o.Epochs
              "seed", o.Seed
              "threads", Workers.Threads
              "provider", Products.Name
              "data", data.Name
              "batchSize", o.BatchSize
              "outcome", (string result.Outcome).ToLowerInvariant()
              "trainSeconds", seconds
              "secondsPerEpoch", jsonArray result.SecondsPerEpoch
              "imagesPerSecond", box (float (data.Train.Count * result.SecondsPerEpoch.Count) / Seq.sum result.SecondsPerEpoch) // no epoch: NaN, and so null
              "peakMemoryBytes", Process.GetCurrentProcess().PeakWorkingSet64
              "loss", jsonArray result.Losses
              yield! extra ]
    let writeFields (extra: (string * objnull) list) = args.TryGetResult TrainArgs.Json |> Option.iter (fun file -> writeJson file (fields extra))

    let stoppedAt () =
        let struct (epoch, step) = result.StoppedAt.Value
        $"epoch {epoch}, step {step}"

    match result.Outcome with
    | TrainingOutcome.Diverged ->
        error
            $"the loss is not a number or infinite at {stoppedAt ()}: training stopped. A smaller --lr than {invariant o.LearningRate} is the usual cure."
        if result.Losses.Count > 0 then
            let _, test, _ = export partial
            message out $"The weights of epoch {result.Losses.Count}, test accuracy {percent test}, are in {Workspace.display partial}."
        writeFields [ "model", (if result.Losses.Count > 0 then box (Workspace.display partial) else null) ]
        Exit.fallsShort
    | TrainingOutcome.Interrupted ->
        let _, test, _ = export partial
        message out $"Interrupted at {stoppedAt ()}. The weights so far, test accuracy {percent test}, are in {Workspace.display partial}."
        writeFields [ "model", box (Workspace.display partial); "testAccuracy", test ]
        Exit.interrupted
    | _ ->
        // The proof is of the file itself; only then does it take the finished model's name.
        let unproven = Path.Combine(folder, name + ".unproven.onnx")
        let logits, test, hash = export unproven
        use ortModel = OrtModel.Load(unproven, ort)
        let struct (onData, ortLogits) = Parity.OnData($"{data.Name} test images", logits, data.Test, ortModel)
        let parity = ParityReport(ortModel.DeviceName, [| yield! Parity.OnRandomInput(net, model.Sample, ortModel, o.Seed); onData |])
        line out ""
        line out $"test accuracy   engine {percent test}   ONNX Runtime {percent (accuracy data.Test ortLogits)}"
        line out ""
        line out $"engine against ONNX Runtime on {ortModel.DeviceName}"
        parityTable out parity
        line out ""
        let path = if parity.Passed then finished else unproven
        if parity.Passed then
            File.Move(unproven, finished, overwrite = true)
            AtomicFile.Write(Path.Combine(folder, name + ".md"), card name model o data.Name test hash (FileInfo finished).Length parity)
            File.Delete partial
        line out $"{Workspace.display path}   {(FileInfo path).Length:N0} bytes   sha256 {hash[..15]}…"
        line
            out
            $"{Seq.sum result.SecondsPerEpoch / float o.Epochs:F2} s per epoch, {float (data.Train.Count * o.Epochs) / Seq.sum result.SecondsPerEpoch:N0} images/s, peak memory {Process.GetCurrentProcess().PeakWorkingSet64 / 1048576L} MB"
        writeFields
            [ "model", box (Workspace.display path)
              "sha256", hash
              "testAccuracy", test
              "parity",
              json
                  [ "device", parity.Device
                    "samples", onData.Samples
                    "maxAbs", onData.MaxAbs
                    "maxRel", onData.MaxRel
                    "top1Agreement", onData.Top1Agreement
                    "passed", parity.Passed
                    "rows", parityRows parity ] ]
        if not parity.Passed then
            error
                $"the engine and ONNX Runtime do not agree; the file is left as {Workspace.display unproven}, and {Workspace.display finished} was not touched"
            Exit.fallsShort
        else
            match floor with
            | Some least when test < least ->
                error $"the test accuracy {percent test} is below --min-accuracy {percent least}"
                Exit.fallsShort
            | _ -> Exit.done'
