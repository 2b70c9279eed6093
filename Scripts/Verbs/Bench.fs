/// bench: how fast this machine, the engine and the peers that are installed are, side by side.
module OnnxLeNet.Scripts.Verbs.Bench

open System
open System.Diagnostics
open System.Runtime.InteropServices
open System.Text.Json.Nodes
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Cli
open OnnxLeNet.Scripts.Bench
open OnnxLeNet.Scripts.Bench.Measure
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common

/// The sections by name, in the order they run: memory first, before the others make it grow.
let private sections = [ "memory"; "fma"; "products"; "vectors"; "epoch"; "inference"; "networks"; "scaling"; "processes"; "layers" ]

let private chosen (only: string option) =
    match only with
    | None -> sections
    | Some text ->
        let names = text.Split(',', StringSplitOptions.RemoveEmptyEntries ||| StringSplitOptions.TrimEntries) |> List.ofArray
        for name in names do
            if not (List.contains name sections) then
                badOption "--only" name ("one or more of " + String.Join(",", sections))
        if names.IsEmpty then badOption "--only" "nothing" ("one or more of " + String.Join(",", sections))
        sections |> List.filter (fun name -> List.contains name names)

let private peakJson (setup: Setup) (peak: Peak) : JsonNode =
    let numbers of' = json [ for threads in setup.ThreadCounts -> string threads, number (of' threads) ]
    json [ "unit", "GFLOP/s by threads"; "float", numbers peak.Single; "double", numbers peak.Double ]

let private measure (args: Args) =
    let out = output (args.Has Options.quiet)
    let names = chosen (args.TryGet Options.only)
    let quick = args.Has Options.quick
    let rounds = args.Get(Options.rounds, if quick then 1 else 5) |> atLeastOne "--rounds"
    if names <> [ "processes" ] then Ranks.requireOne "bench without --only processes"
    if Ranks.isFirst then args.TryGet Options.json |> Option.iter (Workspace.requireWritableFile "--json")
    let model = args.TryGet Options.timed
    if model.IsSome && not (List.contains "layers" names) then
        raise (OnnxLeNetException "--model is the network that layers times: leave it out, or name layers in --only")
    if args.Has Options.torchSharp && not (List.contains "networks" names) then
        raise (OnnxLeNetException "--torchsharp is for the networks: leave it out, or name networks in --only")
    let setup = { Out = out; Rounds = rounds; Quick = quick; Threads = Workers.Threads }
    let wants name = List.contains name names
    let timed = lazy (Layers.taskOf setup model)
    if model.IsSome then timed.Force() |> ignore // what is wrong with it is told before anything is measured

    let torchSharp = lazy (TorchSharp.find out (args.Has Options.torchSharp))
    if wants "networks" then torchSharp.Force() |> ignore // likewise
    let peer =
        if wants "epoch" || wants "inference" then
            progress setup "starting PyTorch"
            Some(PyTorch.find (args.TryGet Options.python) setup.Images Workspace.mnistFolder)
        else
            None
    try
        line
            out
            $"{Environment.ProcessorCount} core(s), {SimdWidth.Bits}-bit vectors, {RuntimeInformation.FrameworkDescription}, medians of \
                {rounds} round(s), {setup.Threads} thread(s)"
        let memory = if wants "memory" then Some(Training.memory setup) else None
        let peak = lazy Peak setup
        if wants "fma" then
            let peak = peak.Value
            line out ""
            line out "fused multiply-add peak, GFLOP/s"
            table
                out
                [ "threads"; "float"; "double" ]
                [ for threads in setup.ThreadCounts ->
                      [ string threads; fixedPoint 1 (peak.Single threads); fixedPoint 1 (peak.Double threads) ] ]
        let results =
            [ for name in names do
                  match name, peer with
                  | "products", _ -> name, Products.run setup peak.Value
                  | "epoch", Some peer -> name, Training.epoch setup peak.Value peer
                  | "inference", Some peer -> name, Inference.run setup peer
                  | "networks", _ -> name, Networks.run setup peak.Value torchSharp.Value
                  | "vectors", _ -> name, Vectors.run setup
                  | "layers", _ -> name, Layers.run setup timed.Value
                  | "scaling", _ -> name, Training.scaling setup
                  | "processes", _ -> name, Processes.run setup
                  | _ -> () ]
        let kernels = if args.Has Options.kernels then Some(Kernels.run out quick) else None

        (if Ranks.isFirst then args.TryGet Options.json else None)
        |> Option.iter (fun path ->
            writeJson
                path
                (json
                    [ "machine",
                      json
                          [ "os", RuntimeInformation.OSDescription
                            "architecture", string RuntimeInformation.ProcessArchitecture
                            "cores", Environment.ProcessorCount
                            "runtime", RuntimeInformation.FrameworkDescription
                            "widthBits", SimdWidth.Bits ]
                      "threads", setup.Threads
                      "rounds", rounds
                      "quick", quick
                      "pytorch",
                      (match peer with
                       | Some(Ok peer) -> peer.About.DeepClone()
                       | Some(Error why) -> json [ "missing", why ]
                       | None -> null)
                      if peak.IsValueCreated then "fma", peakJson setup peak.Value
                      match memory with
                      | Some node -> "memory", node
                      | None -> ()
                      for name, node in results do
                          name, node
                      match kernels with
                      | Some node -> "kernels", node
                      | None -> () ]))
        Exit.done'
    finally
        match peer with
        | Some(Ok peer) -> (peer :> IDisposable).Dispose()
        | _ -> ()

let run (args: Args) =
    configure (args.TryGet Options.threads) (args.TryGet Options.width) None
    match args.TryGet Options.stepMemory with
    | Some batch ->
        StepMemory.measure (atLeastOne "--step-memory" batch)
        Exit.done'
    | None -> measure args
