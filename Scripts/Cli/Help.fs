/// Help as lines of text: what there is to type, from the tables of options and verbs.
module OnnxLeNet.Scripts.Cli.Help

open System

type Line =
    | Heading of string
    | Text of string

/// The column in which descriptions begin, at most.
[<Literal>]
let private Widest = 25

/// Words in lines of so many columns.
let wrap width (text: string) =
    let add (lines: string list) (word: string) =
        match lines with
        | line :: rest when line.Length + 1 + word.Length <= width -> $"{line} {word}" :: rest
        | _ -> word :: lines
    text.Split(' ', StringSplitOptions.RemoveEmptyEntries) |> Array.fold add [] |> List.rev

/// Names in one column, what they mean in another; a long name has a line of its own.
let private columns width (rows: (string * string) list) =
    let column = 4 + (rows |> List.map (fst >> String.length) |> List.filter (fun n -> n + 4 <= Widest) |> List.fold max 0)
    let space = String(' ', column)
    let row (name: string, text) =
        match wrap (max 16 (width - column)) text with
        | first :: rest when name.Length + 4 <= column -> $"  {name}".PadRight column + first :: List.map ((+) space) rest
        | lines -> $"  {name}" :: List.map ((+) space) lines
    rows |> List.collect row |> List.map Text

let private section heading lines = Text "" :: Heading heading :: lines

let private describe (e: Entry) =
    let told = e.Choices |> List.forall e.About.Contains
    let choices = if told then "" else "; one of " + String.Join(", ", e.Choices)
    let default' = if e.Default = "" then "" else $" (default: {e.Default})"
    e.About + choices + default'

let private typed (e: Entry) = if e.Placeholder = "" || e.IsArgument then e.Name else $"{e.Name} {e.Placeholder}"

/// Examples with the command before each; a command of several words is said once.
let private examples (command: string) (rows: (string * string) list) =
    let heading, before = if command.Contains ' ' then $"Examples, after `{command}`", "" else "Examples", command + " "
    rows |> List.collect (fun (typed, what) -> [ Text $"  {before}{typed}"; Text $"      {what}" ]) |> section heading

let private usage width (command: string) rest about =
    let lines = wrap (width - 7) $"{command} {rest}"
    [ for line, number in Seq.zip lines (Seq.initInfinite id) -> Text((if number = 0 then "Usage: " else "       ") + line) ]
    @ Text "" :: [ for line in wrap width about -> Text line ]

let private help = "-h, --help"

/// All verbs.
let program command width (verbs: Verb list) =
    List.concat
        [ usage
              width
              command
              "[VERB] [options]"
              "Trains small neural networks, exports them to ONNX, and verifies that both give the same results."
          section "Verbs" (columns width [ for verb in verbs -> verb.Name, verb.Summary ])
          section "Options" (columns width [ help, "show help, of a verb if one is named"; "--version", "show the version" ])
          examples
              command
              [ "train --epochs 3", "LeNet-5 on MNIST; options without a verb are train's"
                "predict models/lenet5-mnist.onnx digit.png", "what a picture shows"
                "help train", "every option of a verb" ] ]

/// A verb's arguments and options, in groups.
let verb command width (verb: Verb) =
    let groups =
        [ for entry in verb.Entries do if entry.Entry.Group <> "" then entry.Entry ]
        |> List.groupBy _.Group
        |> List.collect (fun (group, entries) -> section group (columns width [ for e in entries -> typed e, describe e ]))
    List.concat
        [ usage width command verb.Usage $"{Char.ToUpperInvariant verb.Summary[0]}{verb.Summary[1..]}."
          groups
          section "Help" (columns width [ help, "show this help" ])
          examples command [ for typed, what in verb.Examples -> $"{verb.Name} {typed}".TrimEnd(), what ] ]
