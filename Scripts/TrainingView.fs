/// What a terminal shows of a training in progress, as lines of text: a bar, figures, and the loss as a small curve.
module OnnxLeNet.Scripts.TrainingView

open System

type Progress =
    {
        Epoch: int
        Epochs: int
        /// Of the whole run, 0 to 1.
        Done: float
        ImagesPerSecond: float
        /// None until it can be told.
        SecondsLeft: float option
        /// Mean of the epoch so far.
        Loss: float
        LearningRate: float
        /// What was measured last, as a person reads it: "test accuracy 98.31%".
        Measured: string option
        /// Mean losses of equal parts of the run so far.
        Curve: float list
    }

/// 1:05 or 2:03:20.
let duration (seconds: float) =
    let span = TimeSpan.FromSeconds(Math.Ceiling(min seconds 359_999.0))
    if span.TotalHours >= 1.0 then $"{int span.TotalHours}:{span.Minutes:D2}:{span.Seconds:D2}"
    else $"{span.Minutes}:{span.Seconds:D2}"

let private bar unicode width (share: float) =
    let filled = int (float width * Math.Clamp(share, 0.0, 1.0))
    let full, rest = if unicode then '━', '─' else '#', '-'
    String(full, filled) + String(rest, width - filled)

/// The values as a row of blocks, the last of them where there are too many; losses fall fast, so their logarithms are shown.
let curve unicode width (values: float list) =
    let blocks = if unicode then "▁▂▃▄▅▆▇█" else "_.-~=+*#"
    let shown = values |> List.filter Double.IsFinite |> List.map (fun x -> Math.Log(max x 1e-9))
    let shown = List.skip (max 0 (shown.Length - width)) shown
    match shown with
    | [] -> ""
    | _ ->
        let low, high = List.min shown, List.max shown
        let level x = if high > low then int (Math.Round((x - low) / (high - low) * float (blocks.Length - 1))) else 0
        shown |> List.map (fun x -> string blocks[level x]) |> String.concat ""

/// Parts side by side as far as they fit, then on the next line.
let private pack width (parts: string list) =
    let add (lines: string list) (part: string) =
        match lines with
        | line :: rest when line.Length + 3 + part.Length <= width -> $"{line}   {part}" :: rest
        | _ -> part :: lines
    List.fold add [] parts |> List.rev

/// The lines, none longer than the width.
let lines width unicode (p: Progress) =
    let head, percent = $"epoch {p.Epoch}/{p.Epochs}", $"{100.0 * p.Done, 3:F0}%%"
    let left = p.SecondsLeft |> Option.map (fun seconds -> $"  {duration seconds} left") |> Option.defaultValue ""
    let room = width - head.Length - percent.Length - left.Length - 2
    let first = if room >= 4 then $"{head} {bar unicode (min room 40) p.Done} {percent}{left}" else $"{head} {percent}"
    let figures =
        $"loss {p.Loss:F4}" :: Option.toList p.Measured @ [ $"lr {p.LearningRate:G3}"; $"{p.ImagesPerSecond:N0} images/s" ]
    let last =
        match curve unicode (min 60 (width - 6)) p.Curve with
        | "" -> []
        | blocks -> [ $"loss  {blocks}" ]
    first :: pack width figures @ last
