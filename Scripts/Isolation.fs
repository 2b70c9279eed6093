/// A verb in a process of its own: the same command again, with limits of memory and time, for models that could end or fill this one.
module OnnxLeNet.Scripts.Isolation

open System
open System.Diagnostics
open System.Globalization
open System.IO
open System.Reflection
open System.Runtime.InteropServices
open OnnxLeNet.Onnx

/// Says to a process that it is such a one: the bytes of memory and the seconds of a call that it may take.
let private variable = "ONNXLENET_LIMITS"

/// Memory and time for a model of so many bytes: the weights are there several times while it is loaded.
let private limitsFor (bytes: int64) onGpu =
    let memory, seconds = OnnxImporter.MemoryBudget + 8L * bytes, 5.0 + float bytes / 10e6
    // CUDA's libraries alone are several gigabytes, and take a while to load.
    if onGpu then memory + (16L <<< 30), seconds + 60.0 else memory, seconds

/// What all of the work may take of a model that makes much of little.
let private wholeTime = TimeSpan.FromSeconds 6.0

module private Native =
    [<Struct; StructLayout(LayoutKind.Sequential)>]
    type Limit = { Soft: unativeint; Hard: unativeint }

    [<DllImport("libc", SetLastError = true)>]
    extern int setrlimit(int resource, Limit& limit)

    [<DllImport("libc", SetLastError = true)>]
    extern int prctl(int option, unativeint value, unativeint a, unativeint b, unativeint c)

    [<DllImport("libc", SetLastError = true)>]
    extern int dup2(int from, int target)

    [<DllImport("libc", SetLastError = true)>]
    extern int kill(int processId, int signal)

    [<DllImport("libc")>]
    extern void _exit(int code)

    [<DllImport("kernel32")>]
    extern bool TerminateProcess(nativeint ``process``, uint32 code)

    // On Linux.
    let dataSize = 2
    let coreSize = 4
    let onParentsDeath = 1
    let kill9 = 9un

/// What native code writes to standard error itself goes nowhere: what there is to say comes as one message. Ours goes on, since .NET has a
/// handle of its own.
let private muteNativeCode () =
    Console.Error.Flush()
    Console.IsErrorRedirected |> ignore
    use nowhere = File.OpenHandle("/dev/null", FileMode.Open, FileAccess.Write)
    Native.dup2 (int (nowhere.DangerousGetHandle()), 2) |> ignore

/// Ends the process at once: native code that does not come back would hold up anything else.
let private giveUp (message: string) =
    Terminal.error message
    Console.Out.Flush()
    Console.Error.Flush()
    if OperatingSystem.IsWindows() then
        Native.TerminateProcess(Process.GetCurrentProcess().Handle, 2u) |> ignore
    else
        Native._exit 2

/// The limits that this process was started with, if it was started to run one model.
let private started =
    match Environment.GetEnvironmentVariable variable with
    | null -> None
    | text ->
        match text.Split ' ' with
        | [| bytes; seconds |] ->
            Some(Int64.Parse(bytes, CultureInfo.InvariantCulture), Double.Parse(seconds, CultureInfo.InvariantCulture))
        | _ -> None

/// Whether this program can start itself again: not where it is a part of another.
let canRestart =
    match Assembly.GetEntryAssembly() with
    | null -> false
    | entry -> entry = Assembly.GetExecutingAssembly() && not (isNull Environment.ProcessPath)

/// Whether a command reads a model that somebody else may have made.
let private readsModel (argv: string array) =
    match Array.tryHead argv with
    | Some("predict" | "evaluate" | "validate" | "inspect" | "export" | "report" | "serve") -> true
    | _ -> argv |> Array.exists _.StartsWith("--from", StringComparison.Ordinal)

/// Sets this process's limits, where it has any; else makes models that need them ask for a process of their own, unless they are trusted.
let begin' (argv: string array) =
    match started with
    | None -> OwnProcess.IsRequired <- canRestart && readsModel argv && not (Array.contains "--trust" argv)
    | Some(bytes, seconds) ->
        CallLimit.Usual <- TimeSpan.FromSeconds seconds
        CallLimit.Stuck <- Action<string> giveUp
        if OperatingSystem.IsLinux() then
            let mutable none: Native.Limit = { Soft = 0un; Hard = 0un }
            let mutable most: Native.Limit = { Soft = unativeint bytes; Hard = unativeint bytes }
            Native.setrlimit (Native.coreSize, &none) |> ignore
            Native.setrlimit (Native.dataSize, &most) |> ignore
            Native.prctl (Native.onParentsDeath, Native.kill9, 0un, 0un, 0un) |> ignore
        if not (OperatingSystem.IsWindows()) then muteNativeCode ()

/// Starts this program again.
let commandLine (argv: string array) =
    let program = string Environment.ProcessPath
    let start = ProcessStartInfo program
    // `dotnet OnnxLeNet.Scripts.dll`: the host is given the program again.
    if Path.GetFileNameWithoutExtension program = "dotnet" then
        start.ArgumentList.Add(Assembly.GetExecutingAssembly().Location)
    for word in argv do
        start.ArgumentList.Add word
    start

/// The most memory that a process has had so far.
let private memoryOf (child: Process) =
    child.Refresh()
    max child.WorkingSet64 child.PeakWorkingSet64

let private gibibytes (bytes: int64) = (float bytes / float (1L <<< 30)).ToString("0.#", CultureInfo.InvariantCulture) + " GiB"

/// Runs the same command in a process of its own; its exit code.
let run (argv: string array) (model: OwnProcessException) =
    let bytes, seconds = limitsFor model.Bytes (argv |> Array.exists _.Contains("cuda"))
    let start = commandLine argv
    start.Environment[variable] <- String.Format(CultureInfo.InvariantCulture, "{0} {1:0.###}", bytes, seconds)
    // Beyond it the runtime says that there is no more, instead of ending.
    start.Environment["DOTNET_GCHeapHardLimit"] <- bytes.ToString("X", CultureInfo.InvariantCulture)
    use child = Option.ofObj (Process.Start start) |> Option.get
    let forward (signal: int) (context: PosixSignalContext) =
        context.Cancel <- true
        // Ctrl-C reaches both from the terminal.
        if signal <> 2 && not child.HasExited then Native.kill (child.Id, signal) |> ignore
    use _interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Action<PosixSignalContext>(forward 2))
    use _terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Action<PosixSignalContext>(forward 15))
    let began = Stopwatch.StartNew()
    let mutable peak = 0L
    let mutable late = false
    while not (child.WaitForExit 25) do
        try
            peak <- max peak (memoryOf child)
            late <- model.HasLittleTime && began.Elapsed > wholeTime
            if peak > bytes || late then child.Kill()
        with :? InvalidOperationException ->
            () // it has just ended
    let fail why =
        Terminal.error $"{model.Model} {why}"
        2
    match child.ExitCode with
    | code when code >= 0 && code < 128 -> code
    | 130 -> 130
    | _ when late -> fail $"takes longer than {wholeTime.TotalSeconds} s and was ended; --trust runs it without limits"
    | _ when peak > bytes - bytes / 8L ->
        fail $"takes more than {gibibytes bytes} of memory and was ended; --trust runs it without limits"
    | code ->
        let how = if code > 128 && code < 160 then $"signal {code - 128}" else $"exit code {code}"
        fail $"ended ONNX Runtime ({how}): the file is damaged or made to do harm"
