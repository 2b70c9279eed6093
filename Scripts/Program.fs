/// dotnet run --project Scripts -c Release -- VERB [options]; with no verb, train.
module OnnxLeNet.Scripts.Program

open System
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Cli
open OnnxLeNet.Scripts.Verbs
open OnnxLeNet.Scripts.Verbs.Common

/// What runs each verb, in the order in which help lists them.
let private runs: (Verb * (Args -> int)) list =
    [ Commands.train, Train.run
      Commands.predict, Predict.run
      Commands.evaluate, Evaluate.run
      Commands.validate, Validate.run
      Commands.inspect, Inspect.run
      Commands.export, (fun args -> if args.Has Options.training then ExportTraining.run args else Export.run args)
      Commands.sweep, Verbs.Sweep.run
      Commands.runs, Verbs.Runs.run
      Commands.report, Verbs.Report.run
      Commands.serve, Serve.run
      Commands.walkthrough, Walkthrough.run
      Commands.bench, Bench.run
      Commands.conformance, Conformance.run
      Commands.doctor, Doctor.run
      Commands.gpuCheck, GpuCheck.run ]

/// Those that several processes under mpirun do together.
let private sharing = [ Commands.train; Commands.evaluate; Commands.sweep; Commands.bench ]

let private verbs = List.map fst runs @ [ Commands.completion ]
let private names = [ for verb in verbs -> verb.Name ]

let private complete (args: Args) =
    for line in args.Require Options.shell verbs do
        Console.Out.Write(line + "\n")
    Exit.done'

let private find name =
    match (Commands.completion, complete) :: runs |> List.tryFind (fun (verb, _) -> verb.Name = name) with
    | Some found -> found
    | None ->
        let nearest = Nearest.question ("help" :: names) name
        raise (OnnxLeNetException $"there is no verb '{name}'{nearest}. See `{Workspace.command} --help`")

let private showHelp (verb: string option) =
    match verb with
    | None -> Terminal.help (fun width -> Help.program Workspace.command width verbs)
    | Some name ->
        let verb, _ = find name
        Terminal.help (fun width -> Help.verb Workspace.command width verb)
    Exit.done'

/// What comes before --: words that may ask for help or for the version.
let private words = Array.takeWhile ((<>) "--")

/// Standard error where nobody may listen: it is closed, or a file on a full disk. What cannot be written there is lost; the exit code
/// tells how it went.
type private Errors(inner: IO.TextWriter) =
    inherit IO.TextWriter()

    let attempt (write: unit -> unit) =
        try
            write ()
        with
        | :? IO.IOException
        | :? UnauthorizedAccessException -> ()

    override _.Encoding = inner.Encoding
    override _.Write(c: char) = attempt (fun () -> inner.Write c)
    override _.Write(text: string | null) = attempt (fun () -> inner.Write text)
    override _.WriteLine(text: string | null) = attempt (fun () -> inner.WriteLine text)
    override _.Flush() = attempt inner.Flush

let private errors = lazy Console.SetError(new Errors(Console.Error))

let private requireFolder () =
    if Workspace.currentFolder.IsNone then
        raise (OnnxLeNetException "the current folder has been removed: change to another one")

let private run (argv: string array) =
    let asks (word: string) = Array.contains word (words argv)
    match List.ofArray argv with
    | [ "help" ]
    | [ "--help" ]
    | [ "-h" ] -> showHelp None
    | "help" :: name :: _
    | [ name; "help" ] when not (name.StartsWith '-') -> showHelp (Some name)
    | first :: _ when asks "--help" || asks "-h" -> showHelp (Some(if first.StartsWith '-' then "train" else first))
    | _ when asks "--version" ->
        Console.Out.WriteLine $"onnxlenet {Workspace.version}"
        Exit.done'
    | name :: rest when not (name.StartsWith '-') ->
        requireFolder ()
        let verb, run = find name
        if not (List.contains verb sharing) then Ranks.requireOne name
        run (Parser.parse verb (Array.ofList rest))
    | options ->
        requireFolder ()
        Train.run (Parser.parse Commands.train (Array.ofList options))

[<EntryPoint>]
let main argv =
    // A Windows console has another encoding of its own, without ×, − and ….
    if OperatingSystem.IsWindows() then
        try
            Console.OutputEncoding <- Text.Encoding.UTF8
        with :? IO.IOException ->
            () // no console, or one that keeps its own
    // What a launcher reads of its processes is no terminal, even where it looks like one.
    if Ranks.haveLauncher then Environment.SetEnvironmentVariable("TERM", "dumb")
    errors.Force()
    let json = Array.tryFindIndexBack ((=) "--json") argv |> Option.exists (fun at -> Array.tryItem (at + 1) argv = Some "-")
    if json || Array.contains "--json=-" argv then Terminal.keepOutputForJson ()
    Ranks.finish
    <| Guard.run (fun () ->
        Isolation.begin' argv
        try
            run argv
        with :? OwnProcessException as model when Isolation.canRestart ->
            Isolation.run argv model)
