/// How the trainings of a sweep compare: the best first, by images that they were not trained on.
namespace OnnxLeNet.Scripts.Sweeps

open System
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Sweeps.TrialFolder

/// A training and what is known of it.
type Entry =
    { Trial: Trial
      Folder: string
      Ended: Ended option
      /// Of one that has come to its end.
      Score: Score option }

    member entry.IsFinished = entry.Ended |> Option.exists _.IsFinished && entry.Score.IsSome
    member entry.HasFailed = not entry.IsFinished && entry.Ended |> Option.exists (fun ended -> not ended.IsInterrupted)

    member entry.State =
        if entry.IsFinished then "finished"
        elif entry.HasFailed then "failed"
        elif entry.Ended.IsSome then "interrupted"
        else "not run"

    /// Why it has failed.
    member entry.Why =
        match entry.Ended with
        | Some ended when ended.IsFinished -> "its result is gone: remove its folder to train it again"
        | Some ended -> ended.Why
        | None -> ""

type Ranking =
    {
        /// Finished ones, the best first; then failed ones; then those that have not come to their end.
        Entries: Entry list
        Measure: Measure option
    }

    member r.Finished = r.Entries |> List.filter _.IsFinished
    member r.Failed = r.Entries |> List.filter _.HasFailed
    member r.Open = r.Entries.Length - r.Finished.Length - r.Failed.Length
    member r.Best = List.tryHead r.Finished

module Ranking =
    /// What decides: accuracy, and loss where that is the same; of test images the loss, which tells more apart.
    let byWhat =
        function
        | Test -> "test loss"
        | measure -> $"{measure} accuracy"

    /// Whether the test images have chosen, which should only be looked at in the end.
    let isByTestImages (r: Ranking) = r.Measure = Some Test

    let warning =
        "The test images chose the best: their accuracy no longer says how well it does on new images. Hold images out to choose by, with \
            \"validation\": 0.1 in fixed"

    let value (score: Score) = if score.Measure = Test then score.Loss else score.Accuracy

    let shown (measure: Measure) (value: float) = if measure = Test then value.ToString "F4" else percent value

    /// The lesser, the better; what is not a number comes last.
    let private order (entry: Entry) =
        let last x = if Double.IsNaN x then infinity else x
        match entry.Score with
        | Some score when entry.IsFinished && score.Measure = Test -> 0, last score.Loss, 0.0
        | Some score when entry.IsFinished -> 0, last -score.Accuracy, last score.Loss
        | _ when entry.HasFailed -> 1, 0.0, 0.0
        | _ -> 2, 0.0, 0.0

    /// A training as its folder tells.
    let entryOf (sweep: string) (trial: Trial) =
        let own = folderOf sweep trial
        let ended = tryRead own trial
        { Trial = trial
          Folder = own
          Ended = ended
          Score = if ended |> Option.exists _.IsFinal then tryScore own else None }

    let ofSweep (folder: string) (sweep: Sweep) =
        let entries = sweep.Trials |> List.map (entryOf folder) |> List.sortBy order
        { Entries = entries
          Measure = entries |> List.tryFind _.IsFinished |> Option.bind _.Score |> Option.map _.Measure }

    let private optional (value: float option) : objnull = value |> Option.map box |> Option.toObj

    /// A value as the sweep's file has it.
    let private written (value: Setting) : objnull =
        match value with
        | Typed text ->
            match Double.TryParse(text, Globalization.NumberStyles.Float, Globalization.CultureInfo.InvariantCulture) with
            | true, number when Double.IsFinite number -> box number
            | _ -> box text
        | On -> box true
        | LeftOut -> null

    let private settings (values: (string * Setting) list) = json [ for name, value in values -> name, written value ]

    let private entryJson (entry: Entry) =
        let score of' : objnull = entry.Score |> Option.map of' |> optional
        json
            [ "trial", box entry.Trial.Id
              "parameters", settings entry.Trial.Varied
              "state", entry.State
              if entry.HasFailed then "why", entry.Why
              "accuracy", score _.Accuracy
              "loss", score _.Loss
              "testAccuracy", optional (entry.Score |> Option.bind _.TestAccuracy)
              "trainSeconds", score _.TrainSeconds
              "attempts", box (entry.Ended |> Option.map _.Attempts |> Option.defaultValue 0)
              "model",
              (match entry.Score with
               | Some score when entry.IsFinished -> box (Workspace.display score.Model)
               | _ -> null)
              "folder", box (Workspace.display entry.Folder) ]

    /// All of it as one JSON object, the best first.
    let toJson (sweep: Sweep) (r: Ranking) =
        json
            [ "file", box sweep.File
              "method", sweep.Method
              "seed", sweep.Seed
              "rankedBy", (r.Measure |> Option.map byWhat |> Option.toObj |> box)
              "fixed", settings sweep.Fixed
              "finished", r.Finished.Length
              "failed", r.Failed.Length
              "open", r.Open
              "best", (r.Best |> Option.map (fun best -> box best.Trial.Id) |> Option.toObj)
              "trials", jsonArray [ for entry in r.Entries -> entryJson entry ] ]
