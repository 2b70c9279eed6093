/// The processes of a run under mpirun: who prints, who computes what, and how they end together.
module OnnxLeNet.Scripts.Ranks

open System
open System.IO
open System.Text
open OnnxLeNet.Numerics

/// Whether a launcher started this process as one of several.
let areSeveral = Mpi.IsLaunched

/// Whether a launcher started this process, be it alone.
let haveLauncher = MpiEnvironment.Current.Launcher <> MpiLauncher.None

/// Whether this process prints and writes.
let isFirst = Mpi.Rank = 0

let private world = lazy Option.ofObj Mpi.World

/// All processes, connected; None where this one is alone.
let group () = world.Value

/// The cores that this process may use, as the system tells it.
let private cores () =
    let status = "/proc/self/status"
    let allowed =
        if File.Exists status then File.ReadLines status |> Seq.tryFind _.StartsWith("Cpus_allowed_list:") else None
    defaultArg allowed ""

/// Shares out the cores of a machine among its processes, unless each has some of its own.
let shareThreads (group: ProcessGroup) =
    let own = $"{group.Host} {cores ()}"
    let same = group.AllGather(ReadOnlySpan(Encoding.UTF8.GetBytes own)) |> Array.filter (fun bytes -> Encoding.UTF8.GetString bytes = own)
    Workers.Threads <- max 1 (Workers.Threads / same.Length)

let mutable private ended = false

/// Ends the work of all processes with the first one's exit code.
let endTogether (group: ProcessGroup) (code: int) =
    let code = group.Await code
    ended <- true
    code

/// Ends this process's part with an exit code: where the others do not end with it, they are ended too.
let finish (code: int) =
    if not areSeveral then
        code
    elif code = 0 || ended then
        if world.IsValueCreated then group () |> Option.iter _.Dispose()
        if isFirst then code else 0
    else
        try
            group () |> Option.iter _.Abort(code)
        with :? MissingPartException ->
            () // it is what was told
        code

/// Refuses a verb that does not share its work.
let requireOne (verb: string) =
    if areSeveral then
        raise (OnnxLeNetException $"{verb} does not share its work among processes: start it without mpirun")
