/// A training of a sweep as a process of this same program.
namespace OnnxLeNet.Scripts.Sweeps

open System
open System.Diagnostics
open System.IO
open System.Runtime.InteropServices
open System.Text
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts

module private Native =
    [<DllImport("libc", SetLastError = true)>]
    extern int kill(int processId, int signal)

    [<DllImport("libc")>]
    extern int getpgrp()

    [<DllImport("libc", SetLastError = true)>]
    extern int tcgetpgrp(int file)

/// What reaches the processes of trainings beside their command line.
module TrialProcess =
    /// What launchers set for the processes of a job. A training is none of them: it must not join the job a second time.
    let private ofMpi = [ yield! MpiEnvironment.Prefixes; "SLURM_STEP" ]

    /// Whether a variable of the environment is a job's of MPI.
    let isOfMpi (name: string) = ofMpi |> List.exists (fun start -> name.StartsWith(start, StringComparison.Ordinal))

    /// Whether Ctrl-C in the terminal reaches this process's children too: where this process is in its foreground.
    let terminalReachesChildren =
        lazy
            (OperatingSystem.IsWindows()
             || try
                 use terminal = File.OpenHandle "/dev/tty"
                 Native.tcgetpgrp (int (terminal.DangerousGetHandle())) = Native.getpgrp ()
                with
                | :? IOException
                | :? UnauthorizedAccessException -> false)

/// Starts train with these options. What it prints goes into a file.
type TrialProcess(options: string list, log: string) =
    let began = Stopwatch.StartNew()
    let writing = new StreamWriter(log, false, UTF8Encoding false, AutoFlush = true)
    let mutable last, problem = "", ""

    let child =
        let start = Isolation.commandLine [| "train"; yield! options |]
        start.RedirectStandardInput <- true
        start.RedirectStandardOutput <- true
        start.RedirectStandardError <- true
        start.StandardOutputEncoding <- Encoding.UTF8
        start.StandardErrorEncoding <- Encoding.UTF8
        for name in List.ofSeq start.Environment.Keys do
            if TrialProcess.isOfMpi name then start.Environment.Remove name |> ignore
        Process.Start start |> nonNull

    let note (text: string) =
        try
            lock writing (fun () -> writing.WriteLine text)
        with :? IOException ->
            () // a full disk takes the log, not the training

    do
        child.OutputDataReceived.Add(fun line ->
            match line.Data with
            | null -> ()
            | text ->
                if text.StartsWith("  epoch", StringComparison.Ordinal) then last <- text.Trim()
                note text)
        child.ErrorDataReceived.Add(fun line ->
            match line.Data with
            | null -> ()
            | text ->
                if text.StartsWith("error: ", StringComparison.Ordinal) then problem <- text["error: ".Length ..]
                note text)
        child.StandardInput.Close()
        child.BeginOutputReadLine()
        child.BeginErrorReadLine()

    /// The line of the last epoch.
    member _.Last = last

    member _.Seconds = began.Elapsed.TotalSeconds

    /// The exit code and the error's line, once the process has ended.
    member _.Ended =
        if not child.HasExited then
            None
        else
            child.WaitForExit() // for its last lines
            let code = child.ExitCode
            let why =
                if problem <> "" then problem
                elif code > 128 && code < 160 && code <> Verbs.Common.Exit.interrupted then $"ended by signal {code - 128}"
                elif code <> 0 then $"ended with exit code {code}"
                else ""
            Some(code, why)

    /// Asks it to save and stop.
    member _.Stop(signal: PosixSignal) =
        if not child.HasExited then
            if OperatingSystem.IsWindows() then child.Kill()
            else Native.kill (child.Id, (if signal = PosixSignal.SIGINT then 2 else 15)) |> ignore

    /// Passes a signal on, unless the terminal has sent it to this process's children too: a second one would end them before they save.
    member this.PassOn(signal: PosixSignal) =
        if signal <> PosixSignal.SIGINT || not TrialProcess.terminalReachesChildren.Value then this.Stop signal

    /// Waits for its end.
    member _.Wait() = child.WaitForExit()

    interface IDisposable with
        member _.Dispose() =
            child.Dispose()
            writing.Dispose()
