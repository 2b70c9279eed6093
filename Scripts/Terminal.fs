/// What the verbs print and write: results to standard output, messages to standard error, progress only to a terminal.
module OnnxLeNet.Scripts.Terminal

open System
open System.Globalization
open System.Runtime.CompilerServices
open System.Text.Json
open System.Text.Json.Nodes
open OnnxLeNet.Numerics
open Spectre.Console
open OnnxLeNet.Scripts.Cli

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

/// Whether a stream is a terminal that moves its cursor.
let private isTerminal redirected = not redirected && Environment.GetEnvironmentVariable "TERM" <> "dumb"

/// Of several processes under mpirun the first one alone prints.
let output quiet =
    let quiet = quiet || Mpi.Rank > 0
    { Quiet = quiet; Live = not quiet && isTerminal Console.IsOutputRedirected && forJson.IsNone }

/// A name in a line: what a terminal would obey is replaced, and it must not end the line either.
let oneLine (text: string) = DisplayText.OneLine text

/// The columns of the terminal; 80 where there is none or where it does not say.
let width () =
    let columns =
        try
            if Console.IsOutputRedirected then 0 else Console.WindowWidth
        with :? IO.IOException ->
            0
    if columns <= 0 then 80 else columns

/// Names from a file may hold anything: a terminal must not take them for its own commands, nor a person for a line of ours.
let private harmless (text: string) = DisplayText.Lines text

/// A line for a terminal of so many columns: broken between words, what follows indented below its beginning. Names are not broken.
let fitted width (text: string) =
    let indent = String(' ', text.Length - text.TrimStart(' ').Length)
    let add (lines: string list) (word: string) =
        match lines with
        | line :: rest when line.TrimEnd(' ').Length = 0 || line.Length + 1 + word.Length <= width -> $"{line} {word}" :: rest
        | _ -> $"{indent}  {word}" :: lines
    if text.Length <= width then
        [ text ]
    else
        match List.ofArray (text.TrimStart(' ').Split ' ') with
        | first :: words -> List.fold add [ indent + first ] words |> List.rev |> List.map _.TrimEnd(' ')
        | [] -> [ text ]

/// Whether the bottom of the terminal is a live region. What is written over its lines has to cover them.
let mutable private hasRegion = false

let private covering (text: string) = if hasRegion then text.PadRight(max 0 (width () - 1)) else text

/// In a function of its own, which piped output does not call: the terminal's library is not loaded for it.
[<MethodImpl(MethodImplOptions.NoInlining)>]
let private liveLine (style: string) (text: string) =
    for line in text.Split '\n' |> Seq.collect (fitted (width ())) do
        // What is longer than a line is one word, such as a path: the terminal breaks it, and copies it whole.
        if line.Length <= width () then AnsiConsole.Write(Text(covering line + "\n", Style.Parse style))
        else AnsiConsole.Profile.Out.Writer.WriteLine line

/// A line of result.
let line out (text: string) =
    if not out.Quiet then
        if out.Live then liveLine "default" (harmless text) else Console.Out.WriteLine(harmless text)

/// Several lines of our own, as they are.
let lines out (text: string) =
    for text in (DisplayText.Clean text).Split '\n' do
        line out text

/// A heading, bold in a terminal: to be read on a light background as on a dark one.
let heading out (text: string) =
    if not out.Quiet then
        if out.Live then liveLine "bold" (harmless text) else Console.Out.WriteLine(harmless text)

/// A command to copy: a terminal breaks it where it must, and copies it whole.
let command out (text: string) =
    if not out.Quiet then Console.Out.WriteLine("  " + harmless text)

/// Names and values under each other, the values aligned.
let facts out (rows: (string * string) list) =
    let rows = rows |> List.map (fun (name, value) -> oneLine name, oneLine value)
    let names = rows |> List.map (fst >> String.length) |> List.fold max 0
    for name, value in rows do
        let first = $"  {name.PadRight names}  "
        if out.Live then
            Help.wrap (max 20 (width () - first.Length)) value
            |> List.iteri (fun i part -> line out ((if i = 0 then first else String(' ', first.Length)) + part))
        else
            line out (first + value)

/// A name as it is typed in a command: between quotes where a shell would take it for more than a word.
let argument (name: string) =
    let safe = name |> String.forall (fun c -> Char.IsLetterOrDigit c || "-_./\\:,+=@%".Contains c || c = ' ')
    let name = oneLine name
    if not safe || name = "" then "'" + name.Replace("'", "'\\''") + "'"
    elif name.Contains ' ' then $"\"{name}\""
    else name

/// A line about what is going on, not a result.
let message out (text: string) = if not out.Quiet then Console.Error.WriteLine(DisplayText.Message text)

/// "error:" in red. As liveLine, not inlined.
[<MethodImpl(MethodImplOptions.NoInlining)>]
let private redError () =
    let errors = AnsiConsole.Create(AnsiConsoleSettings(Out = AnsiConsoleOutput Console.Error))
    errors.Write(Text("error:", Style.Parse "bold red"))

/// An error: always. Of several processes the first one speaks, and ends the others; one that has an error of its own tells who it is.
let error (text: string) =
    let text =
        if Mpi.Rank > 0 then
            Threading.Thread.Sleep 1000
            $"rank {Mpi.Rank} on {Environment.MachineName}: {text}"
        else
            text
    let text = DisplayText.Message text
    if isTerminal Console.IsErrorRedirected then
        redError ()
        Console.Error.WriteLine(" " + text)
    else
        Console.Error.WriteLine("error: " + text) // at once: other processes may write to the same pipe

/// The lines of help, for at most a hundred columns.
let help (lines: int -> Help.Line list) =
    let out = output false
    for line' in lines (min 100 (width ())) do
        match line' with
        | Help.Heading text -> heading out text
        | Help.Text text -> Console.Out.WriteLine text

/// The widths of a table's columns in so many columns of a terminal: the widest give way first, none below its longest word.
let columnWidths width (natural: int list) (least: int list) =
    let gaps = 2 * natural.Length
    let rec shrink (widths: int list) =
        let over = List.sum widths + gaps - width
        let spare = List.map2 (-) widths least
        if over <= 0 || List.forall ((>=) 0) spare then
            widths
        else
            let widest = List.zip widths spare |> List.filter (fun (_, spare) -> spare > 0) |> List.map fst |> List.max
            let at = List.zip widths spare |> List.findIndex (fun (w, spare) -> w = widest && spare > 0)
            shrink (List.updateAt at (widest - 1) widths)
    shrink natural

/// How many of the columns fit, from the left: those that do not stand on a second line below each row.
let columnsThatFit width (widths: int list) =
    let ends = widths |> List.scan (fun place width -> place + 2 + width) 0 |> List.tail
    ends |> List.takeWhile (fun place -> place <= width) |> List.length |> max 1

/// A table as lines: the headings', and each row's. Numbers stand to the right, and question marks for those not known. Without a width, in
/// a pipe, a row is a line. In a terminal long cells are broken between words within their columns; where that is not enough, the last
/// columns stand below each row.
let tableLines (width: int option) (headings: string list) (rows: string list list) =
    let rows = rows |> List.map (List.map oneLine)
    let column i = headings[i] :: (rows |> List.map (List.item i))
    let indexes = [ 0 .. headings.Length - 1 ]
    let isNumber (cell: string) = cell = "" || cell = "?" || Char.IsDigit cell[0] || cell[0] = '-' || cell[0] = '<'
    let numeric = [ for i in indexes -> rows |> List.forall (List.item i >> isNumber) ]
    let longest (texts: string list) = texts |> List.map _.Length |> List.fold max 0
    let natural = [ for i in indexes -> longest (column i) ]
    let least = [ for i in indexes -> longest (column i |> List.collect (fun cell -> List.ofArray (cell.Split ' '))) ]
    let room = defaultArg width Int32.MaxValue
    let widths, fit =
        match columnWidths room natural least with
        | widths when columnsThatFit room widths = widths.Length -> widths, widths.Length
        | _ -> natural, columnsThatFit room natural
    let lines (cells: string list) =
        let broken = List.map2 Help.wrap widths cells
        let height = broken |> List.map _.Length |> List.fold max 1
        let cell row i =
            let text = List.tryItem row broken[i] |> Option.defaultValue ""
            if numeric[i] then text.PadLeft widths[i] else text.PadRight widths[i]
        let first, rest = List.splitAt fit indexes
        [ for row in 0 .. height - 1 do
              let text = first |> List.map (cell row) |> String.concat "  "
              if row = 0 || text.Trim() <> "" then ("  " + text).TrimEnd() ]
        @ match [ for i in rest do if cells[i] <> "" then cells[i] ] with
          | [] -> []
          | below -> fitted room ("      " + String.concat "  " below)
    lines headings, List.map lines rows

/// Rows under headings. What failed is red in a terminal.
let table out (headings: string list) (rows: string list list) =
    if not out.Quiet then
        let width = if out.Live then Some(width ()) else None
        let head, body = tableLines width headings rows
        List.iter (heading out) head
        for cells, lines in List.zip rows body do
            for text in lines do
                if out.Live && List.contains "FAILED" cells then liveLine "red" (harmless text) else line out text

[<MethodImpl(MethodImplOptions.NoInlining)>]
let private liveRegion (work: (string list -> unit) -> 'T) : 'T =
    AnsiConsole
        .Live(Text "")
        .AutoClear(true)
        .Start(fun context ->
            hasRegion <- true
            try
                work (fun lines ->
                    context.UpdateTarget(Rows [ for line in lines -> Text(covering line) :> Rendering.IRenderable ])
                    context.Refresh())
            finally
                hasRegion <- false)

/// Runs work that shows lines at the bottom of a terminal, in place of those before; in a pipe they are not shown.
let live out (work: (string list -> unit) option -> 'T) : 'T =
    if out.Live then liveRegion (Some >> work) else work None

/// Whether the terminal shows more than ASCII.
let unicode () = Console.OutputEncoding.CodePage = Text.Encoding.UTF8.CodePage || Console.OutputEncoding.CodePage = 1200

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

let percent (share: float) = (100.0 * share).ToString("F2", CultureInfo.InvariantCulture) + "%"
let scientific (value: float) = value.ToString("0.00e+0", CultureInfo.InvariantCulture)
