/// What several verbs do alike.
module OnnxLeNet.Scripts.Verbs.Common

open System
open System.Collections.Generic
open System.Globalization
open System.IO
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Terminal

/// Exit codes, the same for every verb.
module Exit =
    let done' = 0
    let fallsShort = 1
    let badInput = 2
    let missingPart = 3
    let interrupted = 130

/// A number as it is typed, all of its digits.
let invariant (x: float) = x.ToString("R", CultureInfo.InvariantCulture)

let badOption option (value: obj) expected =
    raise (OnnxLeNetException(String.Format(CultureInfo.InvariantCulture, "{0} must be {1}, got {2}", option, expected, value)))

let atLeastOne option (value: int) = if value < 1 then badOption option value "1 or more" else value

let share option (value: float) = if value >= 0.0 && value <= 1.0 then value else badOption option value "a share from 0 to 1"

/// Sets the width of the engine's vectors for the whole run.
let useWidth (bits: int option) =
    match bits with
    | Some bits when not (List.contains bits [ 128; 256; 512 ]) || bits > SimdWidth.Widest ->
        badOption "--width" bits $"128, 256 or 512, and at most {SimdWidth.Widest} on this processor"
    | Some bits -> SimdWidth.Bits <- bits
    | None -> ()

/// What to say of a processor that the engine is slow on, if anything.
let withoutFma =
    if SimdWidth.FusesMultiplyAdd then
        None
    else
        Some "no fused multiply-add on this processor: the engine gives the same results some twenty times slower"

/// Sets the engine's threads, vector width and provider for the whole run.
let configure (threads: int option) (width: int option) (provider: string option) =
    match threads with
    | Some n when n < 1 || n > Workers.MostThreads -> badOption "--threads" n $"1 to {Workers.MostThreads}"
    | Some n -> Workers.Threads <- n
    | None -> ()
    useWidth width
    match provider with
    | Some name when not (Seq.contains (Array.head (name.Split ':')) Products.Names) ->
        badOption "--provider" name ("one of " + String.Join(", ", Products.Names) + ", cblas:LIBRARY, cuda:FOLDER")
    | Some name -> Products.Use name
    | None -> ()

let ortOptions (device: string option) = OrtOptions(Device = OrtDevice.Parse(defaultArg device "cpu"))

/// The folder of a data set: what --data says, or MNIST.
let dataFolder (data: string option) = defaultArg data Workspace.mnistFolder

/// Labels of the predictions that are right, as a share of all.
let accuracy (data: ImageDataset) (logits: Tensor) =
    let right = Inference.ArgMax logits |> Seq.mapi (fun i c -> if c = data.Label i then 1 else 0) |> Seq.sum
    float right / float data.Count

/// Samples whose class differs, and by how much; none where all are the same.
let flips (row: ParityRow) =
    if row.Flips = 0 then
        None
    else
        let samples = if row.Flips = 1 then "1 sample has" else $"{row.Flips} samples have"
        Some
            $"{samples} another class, with logits that lie up to {scientific row.FlipGap} relative apart; under \
                {scientific row.Tolerance} that is rounding"

/// What was compared, under a heading of its own.
let parityTableOf heading out (report: ParityReport) =
    table
        out
        [ heading; "samples"; "max abs"; "max rel"; "same class"; "" ]
        [ for row in report.Rows ->
              [ row.Input
                string row.Samples
                scientific row.MaxAbs
                scientific row.MaxRel
                percent row.Top1Agreement
                (if row.Passed then "ok" else "FAILED") ] ]
    for row in report.Rows do
        flips row |> Option.iter (fun said -> line out $"  {row.Input}: {said}")

let parityTable out report = parityTableOf "input" out report

let parityRows (report: ParityReport) =
    jsonArray
        [ for row in report.Rows ->
              json
                  [ "input", row.Input
                    "samples", row.Samples
                    "maxAbs", row.MaxAbs
                    "maxRel", row.MaxRel
                    "tolerance", row.Tolerance
                    "top1Agreement", row.Top1Agreement
                    "flips", row.Flips
                    "flipGap", row.FlipGap
                    "passed", row.Passed ] ]

/// The proof of the gradients: for each input the parameter that lies farthest apart.
let private tried number = if number = 1 then "" else $", try {number}"

let gradientTable out (rows: GradientRow seq) =
    table
        out
        [ "input"; "gradients"; "worst"; "max abs"; "max rel"; "" ]
        [ for (input, number), rows in rows |> Seq.groupBy (fun row -> row.Input, row.Try) ->
              let worst = rows |> Seq.maxBy (fun row -> if Double.IsNaN row.MaxRel then infinity else row.MaxRel)
              [ input + tried number
                string (Seq.length rows)
                worst.Name
                scientific worst.MaxAbs
                scientific worst.MaxRel
                (if Seq.forall (fun (row: GradientRow) -> row.Passed) rows then "ok" else "FAILED") ] ]

let gradientRows (rows: GradientRow seq) =
    jsonArray
        [ for row in rows ->
              json
                  [ "input", row.Input
                    "try", row.Try
                    "samples", row.Samples
                    "gradient", row.Name
                    "maxAbs", row.MaxAbs
                    "largest", row.Largest
                    "maxRel", row.MaxRel
                    "tolerance", row.Tolerance
                    "passed", row.Passed ] ]

let optimizerTable out (rows: OptimizerRow seq) =
    table
        out
        [ "optimizer"; "steps"; "loss, max abs"; "weights, max abs"; "allowed"; "" ]
        [ for row in rows ->
              [ row.Optimizer + tried row.Try
                string row.Steps
                scientific row.LossMaxAbs
                scientific row.MaxAbs
                scientific row.Tolerance
                (if row.Passed then "ok" else "FAILED") ] ]

let optimizerRows (rows: OptimizerRow seq) =
    jsonArray
        [ for row in rows ->
              json
                  [ "optimizer", row.Optimizer
                    "try", row.Try
                    "steps", row.Steps
                    "lossMaxAbs", row.LossMaxAbs
                    "maxAbs", row.MaxAbs
                    "tolerance", row.Tolerance
                    "passed", row.Passed ] ]
