/// A run's folder, `<out>/runs/NAME`: what train writes there, and how it is read again.
///
///     settings.json      what was asked: options, the command that repeats it, network, data
///     environment.json   what it ran on: versions, system, processor, threads
///     steps.jsonl        a line per update: loss, learning rate, seconds since the epoch began
///     epochs.jsonl       a line per epoch: losses, accuracy, seconds, images per second
///     events.out.…       scalars and histograms for TensorBoard
///     run.checkpoint     where to go on, while the run is not finished
///     best.onnx          the network after the epoch with the least held-out loss
///     last.onnx          the network after the last epoch
///     partial.onnx       the network where the run was interrupted
///     unproven.onnx      the finished model, while it is not proved and has not got its place
///     run.lock           there while a process trains here
///     state.json         running, finished, interrupted or failed
///     result.json        what `train --json` writes
module OnnxLeNet.Scripts.Runs.RunFolder

open System
open System.Diagnostics
open System.IO
open System.Text.Encodings.Web
open System.Text.Json
open System.Text.Json.Nodes
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts

/// What the folders hold is read by programs of this version; another one may write something else.
[<Literal>]
let Version = 1

[<Literal>]
let Settings = "settings.json"

[<Literal>]
let Environment = "environment.json"

[<Literal>]
let Steps = "steps.jsonl"

[<Literal>]
let Epochs = "epochs.jsonl"

[<Literal>]
let Checkpoint = "run.checkpoint"

[<Literal>]
let Best = "best.onnx"

[<Literal>]
let Last = "last.onnx"

[<Literal>]
let Partial = "partial.onnx"

[<Literal>]
let Unproven = "unproven.onnx"

[<Literal>]
let Lock = "run.lock"

[<Literal>]
let StateFile = "state.json"

[<Literal>]
let Result = "result.json"

[<Literal>]
let EventFiles = "events.out.tfevents.*"

type State =
    | Running
    | Finished
    | Interrupted
    | Failed of why: string

    override state.ToString() =
        match state with
        | Running -> "running"
        | Finished -> "finished"
        | Interrupted -> "interrupted"
        | Failed _ -> "failed"

/// The images that tell how well the network does after each epoch.
type HeldOut = { Loss: float; Accuracy: float }

type Epoch =
    {
        Number: int
        /// Updates done in all.
        Step: int64
        TrainLoss: float
        Validation: HeldOut option
        Test: HeldOut option
        Seconds: float
        ImagesPerSecond: float option
    }

    /// What the run is judged by: the validation images where there are some, else the test images.
    member epoch.HeldOut = Option.orElse epoch.Test epoch.Validation

[<Struct>]
type Step = { Number: int64; Epoch: int; Loss: float; LearningRate: float; Seconds: float }

type Run =
    {
        Name: string
        Folder: string
        Started: DateTimeOffset
        State: State
        Settings: JsonObject
        Epochs: Epoch list
        /// What `train --json` wrote of it, once it has ended.
        Result: JsonObject option
    }

    member run.Text(key: string) = run.Settings[key] |> Option.ofObj |> Option.map string |> Option.defaultValue ""

    /// The greatest accuracy of an epoch, by validation or else test images.
    member run.BestAccuracy =
        match run.Epochs |> List.choose _.HeldOut |> List.map _.Accuracy |> List.filter Double.IsFinite with
        | [] -> None
        | all -> Some(List.max all)

let folderOf (out: string) = Path.Combine(out, "runs")

let file (folder: string) name = Path.Combine(folder, name)

/// A run's file for TensorBoard, where it has one.
let eventFile folder = Directory.GetFiles(folder, EventFiles) |> Array.sort |> Array.tryHead

// ---- reading ----

let private damaged (path: string) (why: string) = raise (DataException $"{path} is damaged: {why}")

/// Reads a part of a file; what does not fit is an error that names it.
let private parsing (path: string) (read: unit -> 'T) =
    try
        read ()
    with
    | :? JsonException
    | :? InvalidOperationException
    | :? FormatException
    | :? OverflowException as e -> damaged path e.Message

let private objectOf (text: string) =
    match StrictJson.Parse text with
    | :? JsonObject as node -> node
    | _ -> raise (FormatException "it holds no JSON object")

let private required (node: JsonObject) (key: string) =
    match node[key] with
    | null -> raise (FormatException $"it has no '{key}'")
    | value -> value.AsValue()

let readJson (path: string) = parsing path (fun () -> objectOf (RegularFile.ReadText path))

/// What a run ran on; nothing where that was not written.
let environment folder =
    let path = file folder Environment
    if File.Exists path then readJson path else JsonObject()

/// A number of an object; not a number where JSON has none.
let private number (node: JsonObject) (key: string) = node[key] |> Option.ofObj |> Option.map float |> Option.defaultValue nan

/// The lines of a file as objects. A last line without an end is left out: whoever wrote it was killed meanwhile.
let private lines path (read: JsonObject -> 'T) =
    if not (File.Exists path) then
        []
    else
        let text = RegularFile.ReadText path
        let whole = text[.. text.LastIndexOf '\n']
        [ for i, line in whole.Split('\n', StringSplitOptions.RemoveEmptyEntries) |> Seq.indexed do
              parsing $"{path}, line {i + 1}," (fun () -> read (objectOf line)) ]

let private heldOut (node: JsonObject) part =
    if node.ContainsKey $"{part}Loss" then
        Some { Loss = number node $"{part}Loss"; Accuracy = number node $"{part}Accuracy" }
    else
        None

let epochs folder =
    lines (file folder Epochs) (fun node ->
        { Number = (required node "epoch").GetValue<int>()
          Step = (required node "step").GetValue<int64>()
          TrainLoss = number node "trainLoss"
          Validation = heldOut node "validation"
          Test = heldOut node "test"
          Seconds = number node "seconds"
          ImagesPerSecond = if node.ContainsKey "imagesPerSecond" then Some(number node "imagesPerSecond") else None })
    |> List.sortBy _.Number // one that could not be recorded is added later

let steps folder =
    lines (file folder Steps) (fun node ->
        { Number = (required node "step").GetValue<int64>()
          Epoch = (required node "epoch").GetValue<int>()
          Loss = number node "loss"
          LearningRate = number node "learningRate"
          Seconds = number node "seconds" })

/// Whether the process that wrote a state is still there: a number may be another process's by now.
let private isAlive (state: JsonObject) =
    try
        use found = Process.GetProcessById((required state "process").GetValue<int>())
        let started = DateTimeOffset.Parse(string state["processStarted"], Globalization.CultureInfo.InvariantCulture)
        abs ((DateTimeOffset found.StartTime - started).TotalSeconds) < 2.0
    with
    | :? ArgumentException
    | :? ComponentModel.Win32Exception // another user's
    | :? InvalidOperationException -> false

let state folder =
    let path = file folder StateFile
    if not (File.Exists path) then
        Interrupted
    else
        let node = readJson path
        match node["state"] |> Option.ofObj |> Option.map string with
        | Some "finished" -> Finished
        | Some "interrupted" -> Interrupted
        | Some "failed" -> Failed(node["why"] |> Option.ofObj |> Option.map string |> Option.defaultValue "")
        | Some "running" -> if parsing path (fun () -> isAlive node) then Running else Interrupted
        | Some other -> damaged path $"its state is {other}, expected running, finished, interrupted or failed"
        | None -> damaged path "it states no state"

let read (folder: string) =
    let path = file folder Settings
    if not (File.Exists path) then
        raise (DataException $"{folder} is no run's folder: it has no {Settings}")
    let settings = readJson path
    let version = settings["version"] |> Option.ofObj |> Option.map string |> Option.defaultValue "not stated"
    if version <> string Version then
        raise (DataException $"{folder} is of another version: its version is {version}, this program reads {Version}")
    let result = file folder Result
    { Name = string (Path.GetFileName(Path.TrimEndingDirectorySeparator folder))
      Folder = folder
      Started = parsing path (fun () -> DateTimeOffset.Parse(string settings["started"], Globalization.CultureInfo.InvariantCulture))
      State = state folder
      Settings = settings
      Epochs = epochs folder
      Result = if File.Exists result then Some(readJson result) else None }

/// The runs below a folder of models, the newest first, and why the others cannot be read.
let list (out: string) =
    let folder = folderOf out
    let all = if Directory.Exists folder then Directory.GetDirectories folder |> Array.sort |> List.ofArray else []
    let read folder =
        try
            Choice1Of2(read folder)
        with
        | :? OnnxLeNetException
        | :? IOException
        | :? UnauthorizedAccessException as e -> Choice2Of2(Path.GetFileName folder |> string, e.Message)
    let found = List.map read all
    found |> List.choose (function Choice1Of2 run -> Some run | _ -> None) |> List.sortByDescending _.Started,
    found |> List.choose (function Choice2Of2 problem -> Some problem | _ -> None)

/// The folder of a run that a person names: by its path, or by its name below a folder of models.
let tryFind (out: string) (name: string) =
    let named = Path.Combine(folderOf out, name)
    if File.Exists(file name Settings) then Some(Path.GetFullPath name)
    elif name <> "" && Path.GetFileName name = name && Directory.Exists named then Some(Path.GetFullPath named)
    else None

let find (out: string) (name: string) =
    match tryFind out name with
    | Some folder -> folder
    | None ->
        let known = list out |> fst |> List.map _.Name
        let names = if known.IsEmpty then "there is none" else "there are " + String.concat ", " (List.truncate 10 known)
        raise (OnnxLeNetException $"there is no run {name} in {Workspace.display (folderOf out)}: {names}")

// ---- writing ----

let private writeJson path (node: JsonObject) =
    let options = JsonSerializerOptions(WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping)
    AtomicFile.Write(path, node.ToJsonString options + "\n")

/// Makes the folder of a new run: the first number that is free.
let create (out: string) (stem: string) =
    let folder = folderOf out
    Directory.CreateDirectory folder |> ignore
    let numbers =
        [ for path in Directory.GetFileSystemEntries(folder, stem + "-*") do
              match Int32.TryParse((Path.GetFileName path |> string)[stem.Length + 1 ..]) with
              | true, n -> n
              | _ -> () ]
    // What killed processes left in runs that nobody went on with.
    for other in Directory.GetDirectories folder do
        PendingFile.RemoveLeftovers other
        FileLock.RemoveAbandoned(file other Lock)
    let rec make n =
        let own = Path.Combine(folder, $"{stem}-{n}")
        // Of two runs that begin at once one gets the next number.
        if NewFolder.TryMake own then own else make (n + 1)
    make (List.max (0 :: numbers) + 1)

/// Keeps other processes from going on with a run while this one does.
let lock (folder: string) : IDisposable =
    match FileLock.TryTake(file folder Lock) with
    | null ->
        let name = Path.GetFileName folder
        raise (OnnxLeNetException $"the run {name} is still running: stop it before another process goes on with it")
    | taken -> taken

let write folder name (node: JsonObject) = writeJson (file folder name) node

let writeState folder (state: State) =
    let node = JsonObject()
    node["state"] <- string state
    match state with
    | Running ->
        use own = Process.GetCurrentProcess()
        node["process"] <- own.Id
        node["processStarted"] <- (DateTimeOffset own.StartTime).ToString "O"
    | Failed why -> node["why"] <- why
    | _ -> ()
    if state <> Running then node["ended"] <- DateTimeOffset.Now.ToString "O"
    write folder StateFile node

/// Drops what is left of lines that a full disk has cut, so that those which follow are whole.
let dropHalfLines folder =
    for name in [ Steps; Epochs ] do
        if File.Exists(file folder name) then
            use opened = new FileStream(file folder name, FileMode.Open, FileAccess.ReadWrite)
            let buffer = Array.zeroCreate<byte> (int (min opened.Length 65536L))
            let start = opened.Seek(-(int64 buffer.Length), SeekOrigin.End)
            opened.ReadExactly(Span buffer)
            opened.SetLength(start + int64 (Array.LastIndexOf(buffer, byte '\n')) + 1L)

/// Keeps the whole lines of a file up to that of an update, and drops what comes after it.
let cutLinesAfter (step: int64) path =
    let isWanted (node: JsonObject) = (required node "step").GetValue<int64>() <= step
    if File.Exists path then
        let text = RegularFile.ReadText path
        let kept =
            text[.. text.LastIndexOf '\n'].Split('\n', StringSplitOptions.RemoveEmptyEntries)
            |> Array.takeWhile (fun line -> parsing path (fun () -> isWanted (objectOf line)))
        AtomicFile.Write(path, kept |> Array.map (fun line -> line + "\n") |> String.concat "")
