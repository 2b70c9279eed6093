/// What evaluate prints and writes of a model's scores: figures of the whole and of each class, confusions, the worst mistakes.
module OnnxLeNet.Scripts.Verbs.EvaluateReport

open System
open System.Collections.Generic
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts.Terminal

/// The columns that everything fits.
let private columns out = if out.Live then width () - 1 else 80

/// Rows of a table that a person still reads; the JSON has all.
[<Literal>]
let private MostRows = 40

/// The worst mistakes: printed, and written as JSON.
[<Literal>]
let private Printed = 10

[<Literal>]
let private Written = 100

/// A name in so many columns.
let private short most (name: string) = if name.Length <= most then name else name[.. most - 2] + "…"

let private classTable out (names: IReadOnlyList<string>) (m: ClassificationMetrics) =
    let worst = [ 0 .. m.Classes - 1 ] |> List.sortBy m.F1 |> List.truncate MostRows |> List.sort
    let left = if m.Classes > worst.Length then $", the {worst.Length} of the lowest F1 of {m.Classes}" else ""
    heading out $"each class{left}"
    let row name (images: int) precision recall f1 = [ name; $"{images:N0}"; percent precision; percent recall; percent f1 ]
    table
        out
        [ "class"; "images"; "precision"; "recall"; "F1" ]
        ([ for c in worst -> row (short 24 names[c]) (m.Support c) (m.Precision c) (m.Recall c) (m.F1 c) ]
         @ [ row "mean" m.Count m.MacroPrecision m.MacroRecall m.MacroF1 ])
    let say what (classes: int list) =
        if not classes.IsEmpty then
            let listed = classes |> List.truncate 8 |> List.map (fun c -> short 24 names[c]) |> String.concat ", "
            let more = if classes.Length > 8 then $" and {classes.Length - 8} more" else ""
            line out $"{what} {listed}{more}: that figure is 0 there"
    let all = [ 0 .. m.Classes - 1 ]
    say "no image is of" (all |> List.filter (fun c -> m.Support c = 0))
    say "no image is taken for" (all |> List.filter (fun c -> m.PredictedAs c = 0))

/// The classes that are taken for others most often.
let private confusions out (names: IReadOnlyList<string>) (m: ClassificationMetrics) =
    let pairs =
        m.Mistakes
        |> Seq.countBy (fun mistake -> mistake.Label, mistake.Predicted)
        |> Seq.sortByDescending snd
        |> Seq.truncate (2 * Printed)
        |> Seq.toList
    heading out $"label \\ predicted: {m.Classes} classes are too many for a matrix, the most frequent confusions"
    table
        out
        [ "label"; "taken for"; "images"; "of" ]
        [ for (label, predicted), count in pairs ->
              [ short 28 names[label]; short 28 names[predicted]; string count; string (m.Support label) ] ]

/// Labels down, predictions across; as far as it fits the width.
let private matrix out (names: IReadOnlyList<string>) (m: ClassificationMetrics) =
    let all = [ 0 .. m.Classes - 1 ]
    let counts = [ for l in all -> [ for p in all -> string (m.Confusion(l, p)) ] ]
    let digits = counts |> List.concat |> List.map _.Length |> List.max
    let widest (texts: string seq) = texts |> Seq.map _.Length |> Seq.max
    // Columns are headed by the names where those are as short as the numbers under them, else by numbers that stand before the rows too.
    let numbered = widest names > max digits 4
    let heads = if numbered then List.map string all else List.ofSeq names
    let labels = [ for l in all -> if numbered then $"{heads[l].PadLeft(widest heads)} {short 16 names[l]}" else names[l] ]
    let cell = max digits (widest heads)
    let first = widest labels
    match [ 2; 1 ] |> List.tryFind (fun gap -> 2 + first + m.Classes * (cell + gap) <= columns out) with
    | None -> confusions out names m
    | Some gap ->
        let row (label: string) (cells: string list) =
            "  " + label.PadRight first + (cells |> List.map _.PadLeft(cell + gap) |> String.concat "")
        heading out "label \\ predicted"
        line out (row "" heads)
        List.iter2 (fun label cells -> line out (row label cells)) labels counts

/// The file of a mistake's picture, or its number where images have none of their own.
let private mistakeTable out (names: IReadOnlyList<string>) (files: IReadOnlyList<string>) (m: ClassificationMetrics) =
    if m.Mistakes.Count > 0 then
        heading out "the worst mistakes"
        let inFiles = files.Count > 0
        table
            out
            ([ if not inFiles then "image" ]
             @ [ "label"; "taken for"; "probability"; "of the label" ]
             @ [ if inFiles then "picture" ])
            [ for mistake in Seq.truncate Printed m.Mistakes ->
                  [ if not inFiles then string mistake.Index ]
                  @ [ short 20 names[mistake.Label]
                      short 20 names[mistake.Predicted]
                      percent mistake.Probability
                      percent mistake.LabelProbability ]
                  @ [ if inFiles then files[mistake.Index] ] ]

/// All of it, behind a line of what was evaluated.
let print out (names: IReadOnlyList<string>) (files: IReadOnlyList<string>) (m: ClassificationMetrics) =
    let names = names |> Seq.map oneLine |> Seq.toArray
    let top5 = if m.Classes > 5 then $"   top-5 {percent (m.TopAccuracy 5)}" else ""
    line out $"accuracy {percent m.Accuracy}   {m.Mistakes.Count} wrong{top5}"
    line out $"loss {m.Loss:F4}   calibration error {percent m.CalibrationError}"
    for part in [ classTable; matrix; (fun out names m -> mistakeTable out names files m) ] do
        line out ""
        part out names m

/// The same for a machine.
let fields (names: IReadOnlyList<string>) (files: IReadOnlyList<string>) (m: ClassificationMetrics) : (string * objnull) list =
    let all = [ 0 .. m.Classes - 1 ]
    let figures precision recall f1 = [ "precision", box precision; "recall", recall; "f1", f1 ]
    [ "accuracy", box m.Accuracy
      "wrong", m.Mistakes.Count
      "loss", m.Loss
      if m.Classes > 5 then "top5Accuracy", m.TopAccuracy 5
      "calibrationError", m.CalibrationError
      "mean", json (figures m.MacroPrecision m.MacroRecall m.MacroF1)
      "classes",
      jsonArray
          [ for c in all ->
                json (
                    [ "class", box names[c]; "images", m.Support c; "predicted", m.PredictedAs c ]
                    @ figures (m.Precision c) (m.Recall c) (m.F1 c)
                ) ]
      "confusion", jsonArray [ for l in all -> jsonArray [ for p in all -> m.Confusion(l, p) ] ]
      "mistakes",
      jsonArray
          [ for mistake in Seq.truncate Written m.Mistakes ->
                json
                    [ "index", box mistake.Index
                      if files.Count > 0 then "file", files[mistake.Index]
                      "label", names[mistake.Label]
                      "predicted", names[mistake.Predicted]
                      "probability", mistake.Probability
                      "labelProbability", mistake.LabelProbability ] ] ]
