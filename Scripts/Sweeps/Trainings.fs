/// Runs the trainings of a sweep that are not done yet, so many at once. Several processes may work on one folder: each takes what nobody
/// has, and at the end waits for what others have.
module OnnxLeNet.Scripts.Sweeps.Trainings

open System
open System.Collections.Generic
open System.IO
open System.Runtime.InteropServices
open System.Threading
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Runs
open OnnxLeNet.Scripts.Sweeps.TrialFolder
open OnnxLeNet.Scripts.Verbs.Common

type Settings =
    {
        Folder: string
        /// Threads of each training that runs at once.
        Threads: int list
        /// Whether it waits for the trainings of others, and does what they leave undone.
        WaitsForOthers: bool
    }

type Told =
    | Began of Trial
    /// Here, or in another process.
    | Finished of Trial
    /// Those that run, with the line of their last epoch.
    | Running of (Trial * string) list
    /// What only others have.
    | Waiting of Trial list

type private Held = { Trial: Trial; Threads: int; Claim: IDisposable; Process: TrialProcess; Attempts: int }

/// So many threads among so many trainings at once, none without.
let share jobs threads = [ for i in 0 .. jobs - 1 -> max 1 (threads / jobs + (if i < threads % jobs then 1 else 0)) ]

let private start (settings: Settings) threads (trial: Trial) (before: Ended option) claim =
    let folder = folderOf settings.Folder trial
    let result = Path.Combine(folder, Result)
    let resume = toResume folder
    File.Delete result
    let options =
        [ yield! trial.Arguments
          yield! [ "--out"; folder; "--json"; result; "--threads"; string threads ]
          match resume with
          | Some run -> yield! [ "--resume"; run.Folder ]
          | None -> () ]
    { Trial = trial
      Threads = threads
      Claim = claim
      Process = new TrialProcess(options, Path.Combine(folder, Log))
      Attempts = (before |> Option.map _.Attempts |> Option.defaultValue 0) + 1 }

/// Runs them; whether that was interrupted.
let run (settings: Settings) (trials: Trial list) (tell: Told -> unit) =
    use stop = new CancellationTokenSource()
    let running = List<Held>()
    let onSignal (context: PosixSignalContext) =
        // The first signal lets trainings save, a second one ends the process as usual.
        context.Cancel <- not stop.IsCancellationRequested
        stop.Cancel()
        lock running (fun () ->
            for held in running do
                held.Process.PassOn context.Signal)
    use _ = PosixSignalRegistration.Create(PosixSignal.SIGINT, onSignal)
    use _ = PosixSignalRegistration.Create(PosixSignal.SIGTERM, onSignal)
    let read trial = tryRead (folderOf settings.Folder trial) trial
    let before = dict [ for trial in trials -> trial.Id, read trial ]
    let waiting = List<Trial>(trials |> List.filter (fun trial -> not (before[trial.Id] |> Option.exists _.IsFinal)))
    let free = Queue<int> settings.Threads

    /// Whether the training needs nothing more of this process.
    let isTaken trial =
        match tryClaim (folderOf settings.Folder trial) with
        | None -> false
        | Some claim when read trial <> before[trial.Id] -> // somebody has run it meanwhile
            claim.Dispose()
            tell (Finished trial)
            true
        | Some claim ->
            let held =
                try
                    start settings (free.Dequeue()) trial before[trial.Id] claim
                with _ ->
                    claim.Dispose()
                    reraise ()
            lock running (fun () ->
                running.Add held
                // The signal came while it was started, and may have missed it.
                if stop.IsCancellationRequested then held.Process.Stop PosixSignal.SIGINT)
            tell (Began trial)
            true

    let conclude (held: Held) (code, why) =
        // Of a signal that came before it could save, too.
        let code, why = if stop.IsCancellationRequested && code > 128 then Exit.interrupted, "" else code, why
        let ended = { ExitCode = code; Why = why; Seconds = held.Process.Seconds; Attempts = held.Attempts }
        write (folderOf settings.Folder held.Trial) held.Trial ended
        lock running (fun () -> running.Remove held |> ignore)
        (held.Process :> IDisposable).Dispose()
        held.Claim.Dispose()
        free.Enqueue held.Threads
        tell (Finished held.Trial)

    let rec go () =
        for held in List.ofSeq running do
            held.Process.Ended |> Option.iter (conclude held)
        if stop.IsCancellationRequested then waiting.Clear()
        let mutable at = 0
        while free.Count > 0 && at < waiting.Count do
            if isTaken waiting[at] then waiting.RemoveAt at else at <- at + 1
        if running.Count > 0 then
            tell (Running [ for held in running -> held.Trial, held.Process.Last ])
            Thread.Sleep 50
            go ()
        elif waiting.Count > 0 && settings.WaitsForOthers then
            tell (Waiting(List.ofSeq waiting))
            stop.Token.WaitHandle.WaitOne 200 |> ignore
            go ()
    try
        go ()
    finally
        // Where an error ends the sweep, its trainings save and stop.
        for held in running do
            held.Process.Stop PosixSignal.SIGINT
            held.Process.Wait()
            held.Claim.Dispose()
    stop.IsCancellationRequested
