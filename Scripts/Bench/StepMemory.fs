/// The memory that training steps of a ResNet-20 take: how far the resident set of a fresh process grows, the engine's beside TorchSharp's.
module OnnxLeNet.Scripts.Bench.StepMemory

open System
open System.Diagnostics
open System.IO
open System.Reflection
open System.Text.Json.Nodes
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Bench.Measure
open OnnxLeNet.Scripts.Bench.PeerProcess
open OnnxLeNet.Scripts.Bench.SmallNetworks
open OnnxLeNet.Scripts.Terminal

let private network = all |> List.find (fun network -> network.Name = "resnet20")

/// Enough for every buffer to be there, the optimizer's too.
let private steps = 4

/// In this process: the resident set before the network is built and the largest once it has trained, as one line of JSON.
let measure (batch: int) =
    use self = Process.GetCurrentProcess()
    let start = self.WorkingSet64
    let training = Training(network, batch, 1)
    for _ in 1..steps do
        training.SecondsPerStep() |> ignore
    self.Refresh()
    Console.Out.WriteLine(json([ "startBytes", box start; "peakBytes", self.PeakWorkingSet64 ]).ToJsonString())

/// The same in a process of its own, which runs this program.
let private ofEngine (setup: Setup) (batch: int) =
    let host = nonNull Environment.ProcessPath
    let program = if Path.GetFileNameWithoutExtension host = "dotnet" then [ Assembly.GetExecutingAssembly().Location ] else []
    let options = [ "bench"; "--step-memory"; string batch; "--threads"; string setup.Threads; "--width"; string SimdWidth.Bits ]
    use child = PeerProcess.Start("engine", ProcessStartInfo(host, program @ options))
    child.About.Number "startBytes", child.About.Number "peakBytes"

let run (setup: Setup) (torchSharp: Result<unit -> TorchSharp.Peer, string>) : JsonNode =
    let batch = batchOf setup network
    let measured =
        [ progress setup "memory of a step, engine"
          "engine", ofEngine setup batch
          match torchSharp with
          | Ok start ->
              progress setup "memory of a step, TorchSharp"
              use peer = start ()
              "torchSharp", peer.Memory(network.Name, batch, setup.Threads, steps)
          | Error _ -> () ]
    progress setup ""
    let growth = [ for _, (start, peak) in measured -> peak - start ]
    line setup.Out ""
    line setup.Out $"memory of training {network.Name} at batch {batch}, {setup.Threads} thread(s): a fresh process, megabytes"
    table
        setup.Out
        [ "who"; "before"; "peak"; "grown"; "to the engine" ]
        [ for (who, (start, peak)), grown in List.zip measured growth ->
              [ who
                fixedPoint 0 (start / 1e6)
                fixedPoint 0 (peak / 1e6)
                fixedPoint 0 (grown / 1e6)
                times (grown / List.head growth) ] ]
    json (
        [ "network", box network.Name; "batch", batch; "threads", setup.Threads; "steps", steps ]
        @ [ for who, (start, peak) in measured ->
                who, box (json [ "startBytes", number start; "peakBytes", number peak; "grownBytes", number (peak - start) ]) ]
    )
