/// Looks on while a network is trained, and writes down what happens in the run's folder.
module OnnxLeNet.Scripts.Runs.Recorder

open System
open System.Collections.Generic
open System.Diagnostics
open System.Globalization
open System.IO
open System.Text
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Onnx.Schema
open OnnxLeNet.Scripts.Runs.Distribution
open OnnxLeNet.Scripts.Runs.RunFolder

/// How well the network does after each epoch on images that it is not trained on: the validation images where there are some, since the
/// test images wait for the end then, else the test images.
type HeldOutScores(test: Dataset, validation: Validation option, group: ProcessGroup option) =
    inherit TrainingObserver()
    let measure = lazy (Validation(test, Group = Option.toObj group))
    let mutable scores = { Loss = nan; Accuracy = nan }

    member _.Validation = validation

    /// After the last epoch.
    member _.Scores = scores

    override _.OnEpochEnd run =
        scores <-
            match validation with
            | Some part -> { Loss = part.Loss; Accuracy = part.Accuracy }
            | None ->
                let struct (loss, accuracy) = measure.Value.Measure run.Network
                { Loss = loss; Accuracy = accuracy }

/// A number as JSON has it.
let private json (x: float) = if Double.IsFinite x then x.ToString("R", CultureInfo.InvariantCulture) else "null"

/// The metadata key of a run's models that says after how many epochs they are.
[<Literal>]
let EpochsKey = "epochs"

/// The network as it was after an epoch, and what it scored then.
type Snapshot = { Network: Module; Epoch: int; Scores: HeldOut }

/// How long the last and the best network may wait in memory: an export costs more than an epoch of a small network can spare.
let private patience = TimeSpan.FromSeconds 10.0

/// Records a run. A step only notes three numbers in arrays that were made before it; lines are written at an epoch's end, and before a
/// checkpoint, which would else be ahead of them; models at the end, and at an epoch's end where the last ones are ten seconds old.
/// build makes another network of the kind that is trained, export a model of a snapshot.
type Recorder(folder: string, samples: int, held: HeldOutScores, build: unit -> Module, export: Snapshot -> ModelProto) =
    inherit TrainingObserver()
    let events =
        eventFile folder
        |> Option.defaultWith (fun () -> file folder $"events.out.tfevents.{DateTimeOffset.UtcNow.ToUnixTimeSeconds()}.onnxlenet")
    let mutable losses, rates, seconds = [||], [||], [||]
    let mutable count, written, before = 0, 0, 0
    let mutable rate, began = 0.0, 0.0
    let mutable best = infinity
    let networks = dict [ Last, lazy (build ()); Best, lazy (build ()) ]
    let waiting = Dictionary<string, Snapshot>()
    let mutable modelsWritten = Stopwatch.GetTimestamp()
    let mutable weights, gradients = [||], [||]

    /// Appends lines, all of them or none.
    let append name (text: StringBuilder) =
        use stream = new FileStream(file folder name, FileMode.Append, FileAccess.Write, FileShare.Read, 0)
        let before = stream.Length
        try
            stream.Write(ReadOnlySpan(Encoding.UTF8.GetBytes(string text)))
        with _ ->
            stream.SetLength before
            reraise ()

    let heldOut part (scores: HeldOut) = $",\"{part}Loss\":{json scores.Loss},\"{part}Accuracy\":{json scores.Accuracy}"

    let epochLine (number: int) (step: int64) trainLoss (time: float) (scores: string) =
        let speed = if time > 0.0 then $",\"imagesPerSecond\":{json (float samples / time)}" else ""
        $"{{\"epoch\":{number},\"step\":{step},\"trainLoss\":{json trainLoss}{scores},\"seconds\":{json time}{speed}}}\n"

    /// What the best epoch's file has that is here: the process may have ended before a better one was written.
    let bestWritten () =
        try
            let written = OnnxFile.Metadata(OnnxFile.Read(file folder Best))[EpochsKey]
            let epoch = epochs folder |> List.find (fun epoch -> string epoch.Number = written)
            (defaultArg epoch.Validation { Loss = epoch.TrainLoss; Accuracy = nan }).Loss
        with
        | :? OnnxException
        | :? KeyNotFoundException -> infinity

    /// Drops what was recorded after the checkpoint that the run goes on from, and adds the epochs before it that nobody recorded.
    let goOn (run: TrainingRun) =
        cutLinesAfter run.TotalSteps (file folder Steps)
        cutLinesAfter (int64 run.Losses.Count * int64 run.Steps) (file folder Epochs)
        if File.Exists events then TensorBoard.cutAfter run.TotalSteps events
        let known = epochs folder |> List.map _.Number |> set
        let missing = StringBuilder()
        for i in [ 0 .. run.Losses.Count - 1 ] |> List.filter (fun i -> not (known.Contains(i + 1))) do
            let scores =
                match held.Validation with
                | Some part when i < part.Losses.Count -> heldOut "validation" { Loss = part.Losses[i]; Accuracy = part.Accuracies[i] }
                | _ -> ""
            let step = int64 (i + 1) * int64 run.Steps
            missing.Append(epochLine (i + 1) step run.Losses[i] run.SecondsPerEpoch[i] scores) |> ignore
        append Epochs missing
        best <- if File.Exists(file folder Best) then bestWritten () else infinity

    let histograms group (all: (Parameter * Distribution) array) : (string * TensorBoard.Value) list =
        [ for _, distribution in all do
              if distribution.IsKnown then
                  $"{group}/{distribution.Name}", TensorBoard.Histogram distribution.Histogram ]

    let keep name (run: TrainingRun) scores =
        let network = networks[name].Value
        network.LoadStateDict(run.Network.StateDict()) |> ignore
        waiting[name] <- { Network = network; Epoch = run.Epoch; Scores = scores }

    let writeModels () =
        for name in List.ofSeq waiting.Keys do
            OnnxFile.Write(export waiting[name], file folder name) |> ignore
            waiting.Remove name |> ignore
        modelsWritten <- Stopwatch.GetTimestamp()

    /// Writes the steps since the last time.
    member _.Flush(run: TrainingRun) =
        if written < count then
            let text = StringBuilder()
            let first = (int64 run.Epoch - 1L) * int64 run.Steps + int64 before + 1L
            for i in written .. count - 1 do
                let loss, rate, time = json losses[i], json rates[i], json seconds[i]
                text
                    .Append($"{{\"step\":{first + int64 i},\"epoch\":{run.Epoch},\"loss\":{loss}")
                    .Append($",\"learningRate\":{rate},\"seconds\":{time}}}\n")
                |> ignore
            append Steps text
            let from = written
            written <- count
            TensorBoard.append
                events
                [ for i in from .. count - 1 ->
                      { WallTime = began + seconds[i]
                        Step = first + int64 i
                        Values = [ "step/loss", TensorBoard.Scalar losses[i]; "step/learning_rate", TensorBoard.Scalar rates[i] ] } ]

    override _.OnEpochStart run =
        if weights.Length = 0 then
            weights <- ofParameters run.Network
            gradients <- ofParameters run.Network
            goOn run
            writeState folder Running
        if losses.Length < run.Steps then
            losses <- Array.zeroCreate run.Steps
            rates <- Array.zeroCreate run.Steps
            seconds <- Array.zeroCreate run.Steps
        count <- 0
        written <- 0
        before <- run.Step
        rate <- run.Optimizer.LearningRate
        began <- float (DateTimeOffset.UtcNow.ToUnixTimeMilliseconds()) / 1000.0 - run.Seconds

    override _.OnStep run =
        losses[count] <- run.StepLoss
        rates[count] <- rate
        seconds[count] <- run.Seconds
        count <- count + 1
        rate <- run.Optimizer.LearningRate // a schedule has set the next update's
        if run.Step = run.Steps then
            for parameter, distribution in gradients do
                if parameter.HasGrad then distribution.Count (nonNull parameter.Grad).Data

    override this.OnEpochEnd run =
        let scores = held.Scores
        // First, for a full disk takes nothing of it.
        keep Last run scores
        let metric = if held.Validation.IsSome then scores.Loss else Seq.last run.Losses
        if metric < best then
            best <- metric
            keep Best run scores
        this.Flush run
        let part = if held.Validation.IsSome then "validation" else "test"
        let time = Seq.last run.SecondsPerEpoch
        append Epochs (StringBuilder(epochLine run.Epoch run.TotalSteps (Seq.last run.Losses) time (heldOut part scores)))
        for parameter, distribution in weights do
            distribution.Count parameter.Value.Data
        TensorBoard.append
            events
            [ { WallTime = began + time
                Step = run.TotalSteps
                Values =
                  [ "epoch/train_loss", TensorBoard.Scalar(Seq.last run.Losses)
                    $"epoch/{part}_loss", TensorBoard.Scalar scores.Loss
                    $"epoch/{part}_accuracy", TensorBoard.Scalar scores.Accuracy
                    "epoch/seconds", TensorBoard.Scalar time
                    "epoch/images_per_second", TensorBoard.Scalar(float samples / time) ]
                  @ histograms "weights" weights
                  @ histograms "gradients" gradients } ]
        if Stopwatch.GetElapsedTime modelsWritten > patience then writeModels ()

    override this.OnEnd(run, _) =
        this.Flush run
        writeModels ()
