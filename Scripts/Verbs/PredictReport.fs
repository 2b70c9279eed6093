/// What predict prints and writes of each picture.
module OnnxLeNet.Scripts.Verbs.PredictReport

open System
open System.Globalization
open System.Runtime.CompilerServices
open System.Text
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts.Terminal
open Spectre.Console

/// What a picture shows, by each path that was asked.
type Prediction =
    {
        Name: string
        File: string
        Index: int option
        Engine: Classification option
        OnnxRuntime: Classification option
        /// Whether both say the same; none where one alone was asked.
        Agree: bool option
        /// The picture as the model sees it.
        Seen: Picture
    }

    /// ONNX Runtime's answer is that of every application that runs the file.
    member p.Answer = p.OnnxRuntime |> Option.orElse p.Engine |> Option.get

/// More pictures than this are told in one line each.
[<Literal>]
let MostWithBars = 8

let private bar width (share: float) =
    let eighths = int (Math.Round(share * float width * 8.0))
    if Double.IsNaN share then
        ""
    else
        let rest = eighths % 8
        String('█', eighths / 8) + (if rest = 0 then "" else string (" ▏▎▍▌▋▊▉"[rest]))

/// Two pixels in a character: the upper half in one colour, the lower in another.
let private thumbnail (picture: Picture) =
    let most = 40
    let longer = max picture.Width picture.Height
    let shown =
        if longer <= most then
            picture.ToColour()
        else
            let part side = max 1 (side * most / longer)
            picture.ToColour().Resize(Size2(part picture.Height, part picture.Width), Fit.Stretch)
    let colour row column =
        let at = 3 * (row * shown.Width + column)
        $"{shown.Pixels[at]};{shown.Pixels[at + 1]};{shown.Pixels[at + 2]}"
    let text = StringBuilder()
    for row in 0..2 .. shown.Height - 1 do
        text.Append "  " |> ignore
        for column in 0 .. shown.Width - 1 do
            text.Append("\u001b[38;2;" + colour row column + "m") |> ignore
            if row + 1 < shown.Height then text.Append("\u001b[48;2;" + colour (row + 1) column + "m") |> ignore
            text.Append '▀' |> ignore
        text.Append "\u001b[0m\n" |> ignore
    string text

/// Whether the terminal shows colours of 24 bits.
[<MethodImpl(MethodImplOptions.NoInlining)>]
let private hasColours () = AnsiConsole.Profile.Capabilities.ColorSystem = ColorSystem.TrueColor

let private agreement (p: Prediction) =
    match p.Agree, p.Engine, p.OnnxRuntime with
    | Some true, _, _ -> "engine and ONNX Runtime agree"
    | Some false, Some own, Some theirs ->
        $"the engine says {own.Class} {percent own.Probability}, ONNX Runtime {theirs.Class} {percent theirs.Probability}: they DISAGREE"
    | _, Some _, _ -> "by the engine"
    | _ -> "by ONNX Runtime"

let print out top many (p: Prediction) =
    let answer = p.Answer
    let blank = if answer.IsBlank then "   there is nothing on this picture" else ""
    if many then
        let telling = if p.Agree = Some true then "" else $"   {agreement p}"
        line out $"{p.Name}   {answer.Class} {percent answer.Probability}{telling}{blank}"
    else
        if out.Live && hasColours () then Console.Out.Write(thumbnail p.Seen)
        line out $"{p.Name}   {answer.Class}   {agreement p}{blank}"
        let classes = answer.Classes |> Seq.truncate top |> Seq.toList
        let widest = classes |> List.map _.Class.Length |> List.max
        for c in classes do
            line out ($"  {c.Class.PadRight widest}  {(percent c.Probability).PadLeft 7}  {bar 30 c.Probability}".TrimEnd())

let private scored (c: ClassProbability) = json [ "class", c.Class; "probability", c.Probability ]

let private pathJson (classification: Classification option) : objnull =
    match classification with
    | Some c -> box (scored c.Classes[0])
    | None -> null

let toJson top (p: Prediction) =
    let answer = p.Answer
    json
        [ "file", box p.File
          match p.Index with
          | Some index -> "index", index
          | None -> ()
          "class", answer.Class
          "probability", answer.Probability
          "top", jsonArray (answer.Classes |> Seq.truncate top |> Seq.map scored)
          "agree",
          (match p.Agree with
           | Some agree -> box agree
           | None -> null)
          "engine", pathJson p.Engine
          "onnxRuntime", pathJson p.OnnxRuntime
          if answer.IsBlank then "blank", true ]

/// A line for each picture, under headings (RFC 4180).
let toCsv (predictions: Prediction seq) =
    let quoted (text: string) =
        if text.IndexOfAny [| ','; '"'; '\n'; '\r' |] < 0 then text else "\"" + text.Replace("\"", "\"\"") + "\""
    let agree (p: Prediction) =
        match p.Agree with
        | Some true -> "true"
        | Some false -> "false"
        | None -> ""
    let row (p: Prediction) =
        let probability = p.Answer.Probability.ToString("R", CultureInfo.InvariantCulture)
        String.Join(',', [ quoted p.Name; quoted p.Answer.Class; probability; agree p ])
    [ yield "file,class,probability,agree"
      yield! Seq.map row predictions ]
    |> List.map (fun line -> line + "\n")
    |> String.concat ""
