/// What the verbs print and write: results to standard output, messages to standard error, progress only to a terminal.
module OnnxLeNet.Scripts.Terminal

open System
open System.Runtime.CompilerServices
open System.Text.Json
open System.Text.Json.Nodes
open OnnxLeNet.Numerics
open Spectre.Console

type Output =
    {
        Quiet: bool
        /// Whether standard output is a terminal, where progress can move.
        Live: bool
    }

/// Standard output, where it is kept for a JSON object alone.
let mutable private forJson: IO.TextWriter option = None

/// Keeps standard output for the JSON object of `--json -`: all else goes to standard error.
let keepOutputForJson () =
    forJson <- Some Console.Out
    Console.SetOut Console.Error

let output quiet = { Quiet = quiet; Live = not quiet && not Console.IsOutputRedirected && forJson.IsNone }

/// Names from a file may hold anything: a terminal must not take them for its own commands. Line ends stay.
let private harmless (text: string) = String.map (fun c -> if Char.IsControl c && c <> '\n' then '\uFFFD' else c) text

/// A name in a line: it must not end that either.
let oneLine (text: string) = String.map (fun c -> if Char.IsControl c then '\uFFFD' else c) text

/// In a function of its own, which piped output does not call: the terminal's library is not loaded for it.
[<MethodImpl(MethodImplOptions.NoInlining)>]
let private liveLine (text: string) = AnsiConsole.WriteLine text

/// A line of result.
let line out (text: string) =
    if not out.Quiet then
        if out.Live then liveLine (harmless text) else Console.Out.WriteLine(harmless text)

/// A line about what is going on, not a result.
let message out (text: string) = if not out.Quiet then Console.Error.WriteLine(harmless text)

/// An error: always.
let error (text: string) = Console.Error.WriteLine("error: " + harmless text)

/// The columns of the terminal, at most 100; 80 where there is none or where it does not say.
let width () =
    let columns =
        try
            if Console.IsOutputRedirected then 0 else Console.WindowWidth
        with :? IO.IOException ->
            0
    if columns <= 0 then 80 else min columns 100

/// The lines of help.
let help (lines: Cli.Help.Line list) =
    for line in lines do
        match line with
        | Cli.Help.Heading text
        | Cli.Help.Text text -> Console.Out.WriteLine text

/// Columns that do not fit a terminal's width, from the right: those stand on a second line below each row.
let columnsThatFit width (widths: int list) =
    let ends = widths |> List.scan (fun place width -> place + 2 + width) 0 |> List.tail
    ends |> List.takeWhile (fun place -> place <= width) |> List.length |> max 1

/// Rows under headings, aligned; numbers to the right, and question marks for those not known. Plain text on a pipe, the same with colour
/// in a terminal, where what does not fit its width stands on a line of its own below.
let table out (headings: string list) (rows: string list list) =
    if not out.Quiet then
        let rows = rows |> List.map (List.map (fun cell -> cell.Replace('\n', '\uFFFD')))
        let numeric i =
            rows
            |> List.forall (fun row -> let c = List.item i row in c = "" || c = "?" || Char.IsDigit c[0] || c[0] = '-')
        let widths =
            headings
            |> List.mapi (fun i h -> rows |> List.map (fun r -> (List.item i r).Length) |> List.fold max h.Length)
        let cell i (text: string) = if numeric i then text.PadLeft widths[i] else text.PadRight widths[i]
        let fit = if out.Live then columnsThatFit AnsiConsole.Profile.Width widths else widths.Length
        let lines (cells: string list) =
            let first, rest = cells |> List.mapi cell |> List.splitAt fit
            [ "  " + (first |> String.concat "  ").TrimEnd()
              match rest |> List.map _.Trim() |> List.filter ((<>) "") with
              | [] -> ()
              | rest -> "      " + String.concat "  " rest ]
        for text in lines headings do
            if out.Live then
                AnsiConsole.MarkupLineInterpolated $"[grey]{text}[/]"
            else
                Console.Out.WriteLine text
        for row in rows do
            lines row |> List.iter (line out)

/// Writes one JSON object, to standard output for `-`; a file appears whole or not at all.
let writeJson path (value: JsonObject) =
    let text = value.ToJsonString(JsonSerializerOptions(WriteIndented = true)) + "\n"
    match path, forJson with
    | "-", Some out -> out.Write text
    | _ -> AtomicFile.Write(path, text)

let private jsonValue (value: obj | null) : JsonNode | null =
    match value with
    | null -> null
    | :? JsonNode as node -> node
    | :? float as x when not (Double.IsFinite x) -> null // JSON has no NaN
    | value -> JsonSerializer.SerializeToNode value

let json (fields: (string * (obj | null)) list) =
    let node = JsonObject()
    for key, value in fields do
        node.Add(key, jsonValue value)
    node

let jsonArray (items: seq<'T>) : JsonArray = JsonArray(items |> Seq.map (box >> jsonValue) |> Seq.toArray)

let percent (share: float) = $"{100.0 * share:F2}%%"
let scientific (value: float) = value.ToString "0.00e+0"
