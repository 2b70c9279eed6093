/// train --find-lr: a table, and a picture, of the losses at rising learning rates.
module OnnxLeNet.Scripts.Verbs.FindLr

open System.Threading
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common
open OnnxLeNet.Scripts.Verbs.TrainJob
open OnnxLeNet.Scripts.Verbs.TrainParts

/// Rows of the table.
let private rows = 20

let private numbers (curve: LearningRateCurve) =
    json
        [ "rate", jsonArray curve.Rates
          "loss", jsonArray curve.Losses
          "smoothedLoss", jsonArray curve.Smoothed ]

let run (job: Job) (net: Module) (split: Split) (cancel: CancellationToken) =
    let o = job.Options
    let trainer = trainerOf o net (partsOf o net split None) [] null
    let curve = LearningRateFinder(trainer).Run(loaderOf o split.Data, cancel)
    let suggestion = Option.ofNullable curve.Suggestion
    let isShown i = i % (max 1 (curve.Rates.Count / rows)) = 0 || Some curve.Rates[i] = suggestion
    table
        job.Out
        [ "learning rate"; "loss"; "smoothed"; "" ]
        [ for i in 0 .. curve.Rates.Count - 1 do
              if isShown i then
                  [ scientific curve.Rates[i]
                    $"{curve.Losses[i]:F4}"
                    $"{curve.Smoothed[i]:F4}"
                    (if Some curve.Rates[i] = suggestion then "suggested" else "") ] ]
    match suggestion with
    | Some rate -> line job.Out $"suggestion: --lr {scientific rate}"
    | None -> error "the loss never fell: there is no learning rate to suggest"
    match job.Plot with
    | Some file ->
        AtomicFile.Write(file, curve.ToSvg())
        line job.Out $"{Workspace.display file}   the losses as a picture"
    | None -> ()
    job.Json
    |> Option.iter (fun file ->
        writeJson
            file
            (json
                [ "optimizer", box o.Optimizer
                  "batchSize", o.BatchSize
                  "seed", o.Seed
                  "suggestion",
                  (match suggestion with
                   | Some rate -> box rate
                   | None -> null)
                  "curve", numbers curve ]))
    if suggestion.IsSome then Exit.done' else Exit.fallsShort
