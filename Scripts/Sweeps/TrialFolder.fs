/// The folder of one training of a sweep, `<sweep>/trials/ID`: what train writes there by --out, and beside that
///
///     trial.json    how it ended
///     result.json   what `train --json` wrote
///     log.txt       what train printed
///     trial.lock    there while a process sees to it
module OnnxLeNet.Scripts.Sweeps.TrialFolder

open System
open System.IO
open System.Text.Json.Nodes
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Runs
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common

[<Literal>]
let private StateFile = "trial.json"

[<Literal>]
let Result = "result.json"

[<Literal>]
let Log = "log.txt"

/// How a training ended.
type Ended =
    {
        ExitCode: int
        /// Its error's line; "" where there was none.
        Why: string
        Seconds: float
        /// How often it was begun.
        Attempts: int
    }

    member ended.IsFinished = ended.ExitCode = Exit.done'
    member ended.IsInterrupted = ended.ExitCode = Exit.interrupted

    /// Whether the same options would give the same again. Bad input, a missing part and a signal are of the moment.
    member ended.IsFinal = ended.ExitCode = Exit.done' || ended.ExitCode = Exit.fallsShort

/// What trainings are compared by.
type Measure =
    | Validation
    /// The last training images, by --hold-out.
    | HeldOut
    | Test

    override measure.ToString() =
        match measure with
        | Validation -> "validation"
        | HeldOut -> "held-out"
        | Test -> "test"

/// How well the network of a training does that has come to its end.
type Score =
    { Measure: Measure
      Accuracy: float
      Loss: float
      /// Unless training images took the test images' place.
      TestAccuracy: float option
      TrainSeconds: float
      Model: string }

let folderOf (sweep: string) (trial: Trial) = Path.Combine(sweep, "trials", trial.Id)

let private number (node: JsonObject) (key: string) = node[key] |> Option.ofObj |> Option.map float |> Option.defaultValue nan

/// Reads a file of numbers and texts; what does not fit is an error that names it.
let private reading (path: string) (read: JsonObject -> 'T) =
    let node = RunFolder.readJson path
    try
        read node
    with
    | :? InvalidOperationException
    | :? FormatException as e -> raise (DataException($"{path} is damaged: {e.Message} Remove its folder to train anew", e))

/// How the training ended the last time, if it ever did.
let tryRead (folder: string) (trial: Trial) =
    let path = Path.Combine(folder, StateFile)
    if not (File.Exists path) then
        None
    else
        reading path (fun node ->
            let text (key: string) = node[key] |> Option.ofObj |> Option.map _.GetValue<string>() |> Option.defaultValue ""
            let options = text "options"
            if options <> String.Join(' ', trial.Arguments) then
                raise (DataException $"{path} is of a training with other options ({options}): remove its folder to train anew")
            Some
                { ExitCode = int (number node "exitCode")
                  Why = text "why"
                  Seconds = number node "seconds"
                  Attempts = int (number node "attempts") })

let write (folder: string) (trial: Trial) (ended: Ended) =
    let state =
        if ended.IsFinished then "finished"
        elif ended.IsInterrupted then "interrupted"
        else "failed"
    RunFolder.write
        folder
        StateFile
        (json
            [ "options", box (String.Join(' ', trial.Arguments))
              "state", state
              "why", ended.Why
              "exitCode", ended.ExitCode
              "seconds", ended.Seconds
              "attempts", ended.Attempts ])

/// Takes a training, which nobody else does meanwhile: another terminal, another process of a cluster that shares the folder. None where
/// somebody has it.
let tryClaim (folder: string) : IDisposable option =
    Directory.CreateDirectory folder |> ignore
    match FileLock.TryTake(Path.Combine(folder, "trial.lock")) with
    | null -> None
    | taken -> Some taken

/// The run that the training has made last, if it can be read.
let tryRun (folder: string) = RunFolder.list folder |> fst |> List.tryHead

/// The run that the training goes on with.
let toResume (folder: string) =
    tryRun folder |> Option.filter (fun run -> File.Exists(RunFolder.file run.Folder RunFolder.Checkpoint))

/// What a training has scored whose result is there.
let tryScore (folder: string) =
    let path = Path.Combine(folder, Result)
    match (if File.Exists path then tryRun folder else None) with
    | None -> None
    | Some run ->
        reading path (fun result ->
            let kept = int (number result "keptEpoch")
            let heldOut =
                match run.Settings["data"] with
                | :? JsonObject as data -> number data "heldOut"
                | _ -> 0.0
            run.Epochs
            |> List.tryFind (fun epoch -> epoch.Number = kept)
            |> Option.bind (fun epoch ->
                epoch.HeldOut
                |> Option.map (fun scores ->
                    { Measure =
                        if epoch.Validation.IsSome then Validation
                        elif heldOut > 0.0 then HeldOut
                        else Test
                      Accuracy = scores.Accuracy
                      Loss = scores.Loss
                      TestAccuracy = if heldOut > 0.0 then None else Some(number result "testAccuracy")
                      TrainSeconds = number result "trainSeconds"
                      Model =
                        result["model"]
                        |> Option.ofObj
                        |> Option.map (fun model -> Path.Combine(folder, string (Path.GetFileName(string model))))
                        |> Option.defaultValue "" })))
