/// sweep: many trainings over a grid or over random draws of train's options, compared.
module OnnxLeNet.Scripts.Verbs.Sweep

open System
open System.IO
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Cli
open OnnxLeNet.Scripts.Sweeps
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common

[<Literal>]
let private Results = "sweep.json"

/// lr 0.05, optimizer adam   validation accuracy 97.50%   12.3 s
let private outcome (entry: Entry) =
    match entry.Score with
    | Some score when entry.IsFinished ->
        $"{Ranking.byWhat score.Measure} {Ranking.shown score.Measure (Ranking.value score)}   {score.TrainSeconds:F1} s"
    | _ when entry.HasFailed -> $"FAILED: {entry.Why}"
    | _ -> entry.State

/// A line for each training that ends, and in a terminal those that run.
let private trainAll out (settings: Trainings.Settings) (sweep: Sweep) isDone =
    let total = sweep.Trials.Length
    let ended = ref isDone
    live out (fun show ->
        let show lines = show |> Option.iter (fun show -> show (List.map (fitted (width () - 1) >> List.head) lines))
        Trainings.run settings sweep.Trials (function
            | Trainings.Began _ -> ()
            | Trainings.Running held -> show [ for trial, last in held -> $"  {trial.Id}  {trial}   {last}" ]
            | Trainings.Waiting trials -> show [ $"  {trials.Length} trainings are another process's: this one waits" ]
            | Trainings.Finished trial ->
                ended.Value <- ended.Value + 1
                let entry = Ranking.entryOf settings.Folder trial
                line out $"  {ended.Value}/{total}  {trial.Id}  {trial}   {outcome entry}"))

let private rankingTable out (sweep: Sweep) (r: Ranking) =
    let by = r.Measure |> Option.map (fun measure -> $" by {Ranking.byWhat measure}, the best first") |> Option.defaultValue ""
    let hasAccuracy = not (Ranking.isByTestImages r)
    heading out $"{r.Entries.Length} trainings{by}"
    table
        out
        [ "trial"
          yield! List.map fst sweep.Parameters
          if hasAccuracy then "accuracy"
          "loss"
          "seconds"
          "" ]
        [ for entry in r.Entries do
              let score = if entry.IsFinished then entry.Score else None
              let number of' = score |> Option.map of' |> Option.defaultValue "?"
              [ entry.Trial.Id
                yield! [ for _, value in entry.Trial.Varied -> string value ]
                if hasAccuracy then number (fun score -> percent score.Accuracy)
                number (fun score -> score.Loss.ToString "F4")
                number (fun score -> score.TrainSeconds.ToString "F1")
                (if entry.HasFailed then "FAILED"
                 elif entry.IsFinished then ""
                 else entry.State) ] ]
    for entry in r.Failed do
        line out $"  {entry.Trial.Id}: {entry.Why}"

let private summarize out (sweep: Sweep) (r: Ranking) results page =
    line out ""
    rankingTable out sweep r
    line out ""
    match r.Best with
    | Some best ->
        let test =
            best.Score.Value.TestAccuracy |> Option.map (fun accuracy -> $"; test accuracy {percent accuracy}") |> Option.defaultValue ""
        line out $"best: {best.Trial}{test}"
        line out ""
        heading out "written"
        facts
            out
            [ Workspace.display best.Score.Value.Model, "the best's model"
              Workspace.display page, "the trainings compared: open it in a browser"
              Workspace.display results, "the same as JSON" ]
        if Ranking.isByTestImages r then message out Ranking.warning
    | None -> message out "no training has finished"

/// The trainings as they would run.
let private tell out (sweep: Sweep) folder =
    for trial in sweep.Trials do
        let state = (Ranking.entryOf folder trial).State
        line out $"  {trial.Id}  {trial}   {state}"
    line out $"{sweep.Trials.Length} trainings, in {Workspace.display folder}; nothing was trained"
    Exit.done'

/// Compares the trainings, and writes and prints that.
let private conclude out (args: Args) (sweep: Sweep) folder page interrupted =
    let ranking = Ranking.ofSweep folder sweep
    let results = Path.Combine(folder, Results)
    let json = Ranking.toJson sweep ranking
    writeJson results json
    let theme = File.ReadAllText(Path.Combine(Workspace.programFolder, "Web", "theme.css"))
    Workspace.makeFolderOf (message out) page
    AtomicFile.Write(page, SweepPage.make theme page sweep ranking)
    args.TryGet Options.json |> Option.iter (fun file -> writeJson file json)
    summarize out sweep ranking results page
    if interrupted || ranking.Open > 0 then
        message out $"Interrupted: {ranking.Open} of {sweep.Trials.Length} trainings are left. The same command goes on."
        Exit.interrupted
    elif ranking.Finished.Length = sweep.Trials.Length then
        Exit.done'
    else
        error $"{ranking.Failed.Length} of {sweep.Trials.Length} trainings failed; what each printed is in {TrialFolder.Log} of its folder"
        Exit.fallsShort

/// The processes of an mpirun have the same trainings to share, and one folder that all of them see.
let private agree (args: Args) (sweep: Sweep) (folder: string) (group: ProcessGroup) =
    if (args.TryGet Options.threads).IsNone then Ranks.shareThreads group
    let trainings = String.Join(' ', [ for trial in sweep.Trials -> trial.Id ])
    Agreement.Require(group, [ struct ("version", Workspace.version); struct ("trainings", trainings) ])
    if Ranks.isFirst then Directory.CreateDirectory folder |> ignore
    group.Barrier()
    if not (Directory.Exists folder) then
        raise (OnnxLeNetException $"{folder} is not there: --out must be a folder that all machines of the job share")

let private runIn out (args: Args) (sweep: Sweep) folder page =
    let jobs = atLeastOne "--jobs" (args.Get(Options.jobs, 1))
    configure (args.TryGet Options.threads) None None
    if not Isolation.canRestart then
        raise (OnnxLeNetException "sweep starts this program for each training, which a script cannot: type it in a shell")
    Ranks.group () |> Option.iter (agree args sweep folder)
    for made in [ folder; Path.Combine(folder, "trials") ] do
        Directory.CreateDirectory made |> ignore
    let before = Ranking.ofSweep folder sweep
    let isDone = before.Entries |> List.filter (fun entry -> entry.Ended |> Option.exists _.IsFinal) |> List.length
    if isDone > 0 then message out $"{isDone} of {sweep.Trials.Length} trainings are done: their results are kept"
    let settings: Trainings.Settings =
        { Folder = folder; Threads = Trainings.share jobs Workers.Threads; WaitsForOthers = Ranks.isFirst }
    let interrupted = trainAll out settings sweep isDone
    if Ranks.isFirst then conclude out args sweep folder page interrupted else Exit.done'

let run (args: Args) =
    let out = output (args.Has Options.quiet)
    let file = args.Require Options.sweepFile
    let name = Path.GetFileNameWithoutExtension file |> nonNull
    let folder = args.Get(Options.out, Path.Combine(Workspace.modelsFolder, "sweeps", name))
    let page = args.Get(Options.sweepReport, Path.Combine(folder, "report.html"))
    args.TryGet Options.json |> Option.iter (Workspace.requireWritableFile "--json")
    args.TryGet Options.out |> Option.iter (Workspace.requireWritable "--out")
    args.TryGet Options.sweepReport
    |> Option.iter (fun page ->
        Workspace.requireWritableFile "--report" page
        Verbs.Report.requireReport "--report" "" page)
    let sweep = SweepFile.read file
    if args.Has Options.dryRun then
        tell out sweep folder
    else
        let code = runIn out args sweep folder page
        match Ranks.group () with
        | Some group -> Ranks.endTogether group code
        | None -> code
