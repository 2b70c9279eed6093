/// A sweep as one HTML page: how its trainings compare, how each option tells, and what has failed.
module OnnxLeNet.Scripts.Sweeps.SweepPage

open System
open System.IO
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Report
open OnnxLeNet.Scripts.Report.Html

let private seconds (score: TrialFolder.Score) = score.TrainSeconds.ToString "F1"

let private charts (sweep: Sweep) (r: Ranking) (measure: TrialFolder.Measure) =
    let by, shown = Ranking.byWhat measure, Ranking.shown measure
    let best = r.Best |> Option.map _.Trial.Id
    [ for name, _ in sweep.Parameters do
          let points: OutcomeChart.Point list =
              [ for entry in r.Finished |> List.sortBy (fun entry -> List.findIndex ((=) entry.Trial) sweep.Trials) do
                    let outcome = Ranking.value entry.Score.Value
                    if Double.IsFinite outcome then
                        { OutcomeChart.Value = entry.Trial.Varied |> List.find (fst >> (=) name) |> snd
                          Outcome = outcome
                          IsBest = Some entry.Trial.Id = best
                          Title = $"{entry.Trial}: {shown outcome}" } ]
          if not points.IsEmpty then
              let label = string (Char.ToUpperInvariant by[0]) + by[1..]
              figure "" (OutcomeChart.svg label name shown points) "" ]

let private finishedTable (sweep: Sweep) (r: Ranking) (measure: TrialFolder.Measure) =
    let values = r.Finished |> List.map (fun entry -> Ranking.value entry.Score.Value)
    let low, high = List.min values, List.max values
    // The better, the longer.
    let share value =
        if not (high > low) then 1.0
        elif measure = TrialFolder.Test then (high - value) / (high - low)
        else (value - low) / (high - low)
    /// How the column of an option shows its values.
    let cells (values: Setting list) =
        let isNumber =
            function
            | Typed text -> text <> "" && (Char.IsDigit text[0] || text[0] = '-')
            | On -> false
            | LeftOut -> true
        let cell = if List.forall isNumber values then Number else Text
        values |> List.map (string >> cell)
    let varied = [ for entry in r.Finished -> List.map snd entry.Trial.Varied ]
    let options = varied |> List.transpose |> List.map cells |> List.transpose
    table
        $"By {Ranking.byWhat measure}, the best first"
        [ "trial"
          yield! List.map fst sweep.Parameters
          Ranking.byWhat measure
          if measure <> TrialFolder.Test then $"{measure} loss"
          "seconds" ]
        [ for entry, value, options in List.zip3 r.Finished values options do
              let score = entry.Score.Value
              [ Text entry.Trial.Id
                yield! options
                Bar(Ranking.shown measure value, share value)
                if measure <> TrialFolder.Test then Number(score.Loss.ToString "F4")
                Number(seconds score) ] ]

/// The options that all trainings have, and how the others were chosen.
let private settingsTable (sweep: Sweep) =
    let values =
        function
        | Listed values -> String.Join(", ", values)
        | Drawn range ->
            let how = if range.IsLog then "log-uniform" else "uniform"
            $"{Verbs.Common.invariant range.Min} to {Verbs.Common.invariant range.Max}, {how}"
    let seed = if sweep.Method = "random" then $", seed {sweep.Seed}" else ""
    table
        "What was asked"
        [ "option"; "values" ]
        [ [ Text "method"; Text $"{sweep.Method}, {sweep.Trials.Length} trainings{seed}" ]
          for name, of' in sweep.Parameters do
              [ Text name; Text(values of') ]
          for name, value in sweep.Fixed do
              [ Text name; Text(string value) ] ]

/// The page, which links to the best's model from where it lies itself.
let make (theme: string) (page: string) (sweep: Sweep) (r: Ranking) =
    let title = $"Sweep {Path.GetFileNameWithoutExtension sweep.File}"
    let link (file: string) =
        let path = Path.GetRelativePath(Path.GetDirectoryName(Path.GetFullPath page) |> nonNull, Path.GetFullPath file)
        let address = path.Replace('\\', '/').Split '/' |> Array.map Uri.EscapeDataString |> String.concat "/"
        tag "a" [ "href", "./" + address ] [ text path ]
    let keys =
        [ match r.Best, r.Measure with
          | Some best, Some measure ->
              let by = Ranking.byWhat measure
              Page.key $"Best {by}" (Ranking.shown measure (Ranking.value best.Score.Value)) $"trial {best.Trial.Id}"
              match best.Score.Value.TestAccuracy with
              | Some accuracy ->
                  let note = if Ranking.isByTestImages r then "of images that chose it" else "of the best, not looked at before"
                  Page.key "Test accuracy" (Terminal.percent accuracy) note
              | None -> ()
          | _ -> ()
          Page.key "Trainings" (string r.Finished.Length) $"finished of {r.Entries.Length}"
          Page.key "Failed" (string r.Failed.Length) "" ]
    let first =
        [ tag "dl" [ "class", "key" ] keys
          if Ranking.isByTestImages r then Page.note false Ranking.warning
          if r.Open > 0 then Page.note false $"{r.Open} of the trainings have not come to their end: the same command goes on." ]
    let best =
        match r.Best with
        | Some best ->
            [ section
                  "best"
                  "The best"
                  [ tag "p" [] [ text $"{best.Trial}. Its model: "; link best.Score.Value.Model ]
                    p "The options it was trained with:"
                    tag "pre" [] [ text ("train " + (best.Trial.Arguments |> List.map Terminal.argument |> String.concat " ")) ] ] ]
        | None -> []
    let outcomes =
        match r.Measure with
        | Some measure ->
            [ section
                  "outcomes"
                  "Trainings"
                  [ tag "div" [ "class", "row" ] (charts sweep r measure)
                    p "A point is a training; the orange one is the best."
                    finishedTable sweep r measure ] ]
        | None -> []
    let failed =
        match r.Failed with
        | [] -> []
        | failed ->
            [ section
                  "failed"
                  "Failed"
                  [ table
                        "Trainings that failed, and why"
                        [ "trial"; "options"; "error" ]
                        [ for entry in failed -> [ Text entry.Trial.Id; Text(string entry.Trial); Text entry.Why ] ] ] ]
    Page.frame
        theme
        title
        $"{Path.GetFileName sweep.File}: the same options and the same seed give the same models."
        first
        [ "best", "Best", best
          "outcomes", "Trainings", outcomes
          "failed", "Failed", failed
          "settings", "Settings", [ section "settings" "Settings" [ settingsTable sweep ] ] ]
