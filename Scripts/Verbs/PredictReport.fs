/// What predict prints and writes of each picture.
module OnnxLeNet.Scripts.Verbs.PredictReport

open System
open System.Globalization
open System.Text
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts.Terminal

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
        line out $"{oneLine p.Name}   {oneLine answer.Class} {percent answer.Probability}{telling}{blank}"
    else
        if out.Live then TerminalPicture.show p.Seen
        line out $"{oneLine p.Name}   {oneLine answer.Class}   {agreement p}{blank}"
        let classes = answer.Classes |> Seq.truncate top |> Seq.toList
        let widest = classes |> List.map _.Class.Length |> List.max
        let padded (name: string) = (oneLine name).PadRight widest
        for c in classes do
            line out ($"  {padded c.Class}  {(percent c.Probability).PadLeft 7}  {bar 30 c.Probability}".TrimEnd())

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
