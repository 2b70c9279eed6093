/// How the benchmarks measure: contenders by turns in one process, medians over rounds.
module OnnxLeNet.Scripts.Bench.Measure

open System
open System.Diagnostics
open System.Threading
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts.Terminal

type Setup =
    {
        Out: Output
        /// Times every contender is measured; medians are reported.
        Rounds: int
        /// Small sizes and one round: whether everything works, not how fast it is.
        Quick: bool
        /// The most threads; "all" in the tables.
        Threads: int
    }

    /// One thread, and all of them.
    member setup.ThreadCounts = List.distinct [ 1; setup.Threads ]

    /// Training images, of 60,000.
    member setup.Images = if setup.Quick then 3200 else 60000

    /// The least time that a fast action is repeated for, in seconds.
    member setup.Least = if setup.Quick then 0.002 else 0.04

let median (values: float list) =
    match List.sort values with
    | [] -> nan
    | sorted ->
        let n = sorted.Length
        if n % 2 = 1 then sorted[n / 2] else (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0

/// How far two results of the same thing lie apart: the largest difference, over the largest value of the first. A NaN in either makes it
/// one.
let disagreement (first: float array) (other: float array) =
    let largest = first |> Array.fold (fun most x -> Math.Max(most, abs x)) 0.0
    let off = Array.fold2 (fun (worst: float) (x: float) (y: float) -> Math.Max(worst, abs (x - y))) 0.0 first other
    if off = 0.0 then 0.0 else off / largest

/// What is timed must compute the same.
let requireAgreement (what: string) (peer: string) (engine: float32 array) (others: float32 array) =
    if engine.Length <> others.Length then
        raise (OnnxLeNetException $"{what}: {peer} returned {others.Length} outputs, expected {engine.Length}")
    let off = disagreement (Array.map float engine) (Array.map float others)
    if not (off <= 1e-4) then
        raise (OnnxLeNetException $"{what}: the engine and {peer} differ by {off:G3} of the largest value")

/// What is being measured, on standard error: in one place on a terminal, elsewhere in a line each.
let progress (setup: Setup) (text: string) =
    if setup.Out.Quiet then ()
    elif not Console.IsErrorRedirected then eprintf "\r\027[K%s" (oneLine text)
    elif text <> "" then eprintfn "%s" (oneLine text)

let private seconds (action: unit -> unit) times =
    let began = Stopwatch.GetTimestamp()
    for _ in 1..times do
        action ()
    Stopwatch.GetElapsedTime(began).TotalSeconds

/// Runs an action for as long as .NET takes to compile what runs often a second time.
let warmUp (setup: Setup) (action: unit -> unit) =
    let began = Stopwatch.GetTimestamp()
    let milliseconds = if setup.Quick then 20.0 else 1000.0
    while Stopwatch.GetElapsedTime(began).TotalMilliseconds < milliseconds do
        action ()

/// A measurement of a fast action: seconds of one, from as many as fill the time. It is warmed up here, and counted.
let fast (setup: Setup) (action: unit -> unit) =
    warmUp setup action
    let rec fit times =
        let took = seconds action times
        if took >= setup.Least || times >= 16_000_000 then
            max 1 (int (float times * setup.Least / max took 1e-9))
        else
            fit (max (times * 2) (int (float times * min 1000.0 (0.8 * setup.Least / max took 1e-7))))
    let times = fit 1
    fun () -> seconds action times / float times

/// Medians of what the contenders' measurements return, in their order. They take turns, each after a pause in which the threads of
/// the one before stop spinning: ONNX Runtime's go on for some 50 ms.
let byTurns (setup: Setup) (contenders: (string * (unit -> float)) list) =
    let rounds =
        [ for round in 1 .. setup.Rounds ->
              [ for name, measure in contenders ->
                    progress setup $"{name}, round {round} of {setup.Rounds}"
                    Thread.Sleep(if setup.Quick then 20 else 100)
                    measure () ] ]
    progress setup ""
    rounds |> List.transpose |> List.map median

/// The fused multiply-add peak of float and double in GFLOP/s, on one thread and on all. Other work on the machine can only lower what is
/// measured: it is measured again at the end of every section, and the highest counts.
type Peak(setup: Setup) =
    let highest = Collections.Generic.Dictionary<string * int, float>()
    let milliseconds, tries = if setup.Quick then 2, 15 else 10, 120
    let measure () =
        progress setup "peak"
        for threads in setup.ThreadCounts do
            for kind, found in
                [ "float", FmaPeak.Measure<float32>(threads, milliseconds, tries)
                  "double", FmaPeak.Measure<float>(threads, milliseconds, tries) ] do
                if not (highest.ContainsKey((kind, threads)) && highest[(kind, threads)] >= found) then
                    highest[(kind, threads)] <- found
        progress setup ""
    do measure ()

    member _.Single threads = max highest[("float", threads)] highest[("float", 1)]
    member _.Double threads = max highest[("double", threads)] highest[("double", 1)]
    member _.Refresh() = measure ()

/// Runs an action with so many threads in the engine.
let withThreads threads (action: unit -> 'T) =
    let before = Workers.Threads
    Workers.Threads <- threads
    try
        action ()
    finally
        Workers.Threads <- before

let fixedPoint (digits: int) (value: float) =
    if Double.IsNaN value then "-" else value.ToString($"N{digits}", Globalization.CultureInfo.InvariantCulture)

let wholePercent (share: float) = if Double.IsNaN share then "-" else fixedPoint 0 (100.0 * share) + "%"

let times (ratio: float) = if Double.IsNaN ratio then "-" else fixedPoint 2 ratio + "×"

/// A computed field of a JSON object.
let number (value: float) : obj | null = box value
