/// runs: the trainings whose folders are there, listed, compared and pruned.
module OnnxLeNet.Scripts.Verbs.Runs

open System
open System.Globalization
open System.IO
open System.Text.Json.Nodes
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Cli
open OnnxLeNet.Scripts.Runs.RunFolder
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common

let private accuracy (share: float option) = share |> Option.map percent |> Option.defaultValue "-"

let private data (run: Run) =
    match run.Settings["data"] with
    | :? JsonObject as data -> data["name"] |> Option.ofObj |> Option.map string |> Option.defaultValue ""
    | _ -> ""

let private planned (run: Run) =
    match run.Settings["options"] with
    | :? JsonObject as options -> options["epochs"] |> Option.ofObj |> Option.map string |> Option.defaultValue "?"
    | _ -> "?"

let private since (time: DateTimeOffset) = time.ToLocalTime().ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture)

let private optional (value: float option) : objnull =
    match value with
    | Some x -> box x
    | None -> null

let private runJson (run: Run) =
    json
        [ "name", box run.Name
          "started", run.Started.ToString "O"
          "network", run.Text "network"
          "data", data run
          "epochs", run.Epochs.Length
          "plannedEpochs", planned run
          "bestAccuracy", optional run.BestAccuracy
          "state", string run.State
          match run.State with
          | Failed why -> "why", why
          | _ -> ()
          "folder", Workspace.display run.Folder ]

// ---- list ----

let private tellDamaged out (problems: (string * string) list) =
    for name, why in problems do
        message out $"{name} is left out: {why}"

let private listed (args: Args) out folder =
    let runs, problems = list folder
    if runs.IsEmpty then
        message out $"there are no runs in {Workspace.display (folderOf folder)}: `train` makes one"
    else
        table
            out
            [ "run"; "started"; "network"; "data"; "epochs"; "best accuracy"; "state" ]
            [ for run in runs ->
                  [ run.Name
                    since run.Started
                    run.Text "network"
                    data run
                    $"{run.Epochs.Length}/{planned run}"
                    accuracy run.BestAccuracy
                    string run.State ] ]
    tellDamaged out problems
    args.TryGet Options.json
    |> Option.iter (fun path ->
        writeJson
            path
            (json
                [ "runs", jsonArray (List.map runJson runs)
                  "damaged", jsonArray [ for name, why in problems -> json [ "name", name; "why", why ] ] ]))
    Exit.done'

// ---- compare ----

/// The settings as they would be typed beside each other: the parts of an object under names with dots.
let rec private flat prefix (node: JsonObject) : (string * string) list =
    [ for entry in node do
          let name = if prefix = "" then entry.Key else $"{prefix}.{entry.Key}"
          match entry.Value with
          | :? JsonObject as inner -> yield! flat name inner
          | :? JsonArray as items -> name, items |> Seq.map string |> String.concat ", "
          | null -> name, "-"
          | value -> name, string value ]

/// What differs from run to run by itself.
let private incidental = [ "version"; "started"; "command"; "optionsTyped"; "layers"; "data.folder" ]

let private differing (a: Run) (b: Run) =
    let all (run: Run) = Map(flat "" run.Settings @ flat "environment" (environment run.Folder))
    let left, right = all a, all b
    let valueOf (settings: Map<string, string>) key = defaultArg (settings.TryFind key) "-"
    [ for key in Set.union (set left.Keys) (set right.Keys) do
          if not (List.contains key incidental) && valueOf left key <> valueOf right key then
              key, valueOf left key, valueOf right key ]

let private ends (run: Run) : (string * float option) list =
    let last = List.tryLast run.Epochs
    let mean (numbers: float list) = if numbers.IsEmpty then None else Some(List.average numbers)
    [ "epochs", Some(float run.Epochs.Length)
      "training loss", last |> Option.map _.TrainLoss
      "held-out loss", last |> Option.bind _.HeldOut |> Option.map _.Loss
      "held-out accuracy", last |> Option.bind _.HeldOut |> Option.map _.Accuracy
      "best accuracy", run.BestAccuracy
      "test accuracy",
      run.Result |> Option.bind (fun result -> result["testAccuracy"] |> Option.ofObj) |> Option.map float
      "seconds per epoch", mean [ for epoch in run.Epochs -> epoch.Seconds ]
      "images per second", mean (run.Epochs |> List.choose _.ImagesPerSecond) ]

let private shown name (value: float option) =
    match value with
    | None -> "-"
    | Some x when (name: string).EndsWith "accuracy" -> percent x
    | Some x when name.EndsWith "loss" -> x.ToString("F4", CultureInfo.InvariantCulture)
    | Some x when name = "seconds per epoch" -> x.ToString("F2", CultureInfo.InvariantCulture)
    | Some x -> x.ToString("N0", CultureInfo.InvariantCulture)

let private compared (args: Args) out folder (first: string) (second: string) =
    let a, b = read (find folder first), read (find folder second)
    let settings = differing a b
    if settings.IsEmpty then
        line out "The settings are the same."
    else
        table out [ "setting"; a.Name; b.Name ] [ for key, left, right in settings -> [ key; left; right ] ]
    line out ""
    let rows = List.zip (ends a) (ends b)
    table out [ "at the end"; a.Name; b.Name ] [ for (name, left), (_, right) in rows -> [ name; shown name left; shown name right ] ]
    let side (values: (string * float option) list) = json [ for name, value in values -> name, optional value ]
    args.TryGet Options.json
    |> Option.iter (fun path ->
        writeJson
            path
            (json
                [ "runs", jsonArray [ runJson a; runJson b ]
                  "settings", json [ for key, left, right in settings -> key, box (jsonArray [ left; right ]) ]
                  "ends", jsonArray [ side (ends a); side (ends b) ] ]))
    Exit.done'

// ---- prune ----

/// Which runs go: failed ones by --failed, interrupted ones, which could still go on, by --interrupted, and all but the newest finished
/// ones by --keep. One that is running never goes.
let private toPrune (args: Args) (runs: Run list) =
    let keep = args.TryGet Options.keepRuns |> Option.map (fun n -> if n < 0 then badOption "--keep" n "0 or more" else n)
    if keep.IsNone && not (args.Has Options.failed) && not (args.Has Options.interrupted) then
        raise (OnnxLeNetException "runs prune: say which runs go: --keep N, --failed or --interrupted; --dry-run only shows them")
    let finished = runs |> List.filter (fun run -> run.State = Finished)
    let old = keep |> Option.map (fun n -> List.skip (min n finished.Length) finished) |> Option.defaultValue []
    runs
    |> List.filter (fun run ->
        match run.State with
        | Running -> false
        | Failed _ -> args.Has Options.failed
        | Interrupted -> args.Has Options.interrupted
        | Finished -> List.contains run old)

let private bytesOf (folder: string) = DirectoryInfo(folder).GetFiles("*", SearchOption.AllDirectories) |> Array.sumBy _.Length

let private pruned (args: Args) out folder =
    let runs, problems = list folder
    let gone = toPrune args runs
    let dry = args.Has Options.dryRun
    let sizes = [ for run in gone -> run, bytesOf run.Folder ]
    for run, bytes in sizes do
        if not dry then Directory.Delete(run.Folder, recursive = true)
        let verb = if dry then "would remove" else "removed"
        line out $"{verb} {run.Name}   {string run.State}   {float bytes / 1e6:F1} MB"
    if gone.IsEmpty then line out "There is nothing to remove."
    tellDamaged out problems
    args.TryGet Options.json
    |> Option.iter (fun path ->
        let removed = jsonArray [ for run, bytes in sizes -> json [ "name", run.Name; "bytes", bytes ] ]
        writeJson path (json [ "dryRun", box dry; "removed", removed ]))
    Exit.done'

let run (args: Args) =
    let out = output (args.Has Options.quiet)
    args.TryGet Options.json |> Option.iter (Workspace.requireWritableFile "--json")
    let folder = args.Get(Options.out, Workspace.modelsFolder)
    let words = args.All Options.runsWords
    for option, isGiven in
        [ "--keep", (args.TryGet Options.keepRuns).IsSome
          "--failed", args.Has Options.failed
          "--interrupted", args.Has Options.interrupted
          "--dry-run", args.Has Options.dryRun ] do
        if isGiven && words <> [ "prune" ] then raise (OnnxLeNetException $"{option} is for `runs prune`")
    match words with
    | []
    | [ "list" ] -> listed args out folder
    | [ "compare"; a; b ] -> compared args out folder a b
    | "compare" :: others -> raise (OnnxLeNetException $"runs compare takes the names of two runs, got {others.Length}")
    | [ "prune" ] -> pruned args out folder
    | other ->
        let typed = String.concat " " other
        raise (OnnxLeNetException $"runs: '{typed}' is not known, expected nothing, compare A B, or prune")
