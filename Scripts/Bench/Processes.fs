/// Training by several processes: what it would give elsewhere and at other numbers, by a model; and under mpirun what it gives here.
module OnnxLeNet.Scripts.Bench.Processes

open System
open System.Diagnostics
open System.Runtime.InteropServices
open System.Text.Json.Nodes
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Bench.Measure
open OnnxLeNet.Scripts.Bench.SmallNetworks
open OnnxLeNet.Scripts.Terminal

/// How processes reach each other: a message of n bytes takes Latency + n / Bandwidth seconds.
type private Link = { Name: string; Latency: float; Bandwidth: float }

/// Usual figures of MPI over these, both directions at once.
let private usual =
    [ { Name = "1 Gb/s Ethernet"; Latency = 50e-6; Bandwidth = 0.117e9 }
      { Name = "10 Gb/s Ethernet"; Latency = 25e-6; Bandwidth = 1.17e9 }
      { Name = "200 Gb/s InfiniBand"; Latency = 2e-6; Bandwidth = 24e9 } ]

/// What a step costs on one thread, in seconds, and what it sends.
type private Costs =
    {
        Network: string
        Batch: int
        /// A block of samples, forward and backward.
        Block: float
        /// What every process does: the update above all.
        Fixed: float
        /// Adding a number to another.
        Add: float
        Shards: int
        /// Numbers in all gradients.
        Floats: int
        /// Layers whose statistics are gathered, forward and backward, and bytes of a block's at all of them.
        Stages: int
        StatisticBytes: int
    }

/// Seconds of a step by so many processes: the sum so far goes up the ranks in chunks, each rank adds its shards, and the whole comes back.
let private step (link: Link) (costs: Costs) (ranks: int) =
    let share = ShardShare(0, ranks, costs.Shards)
    let shards = [| for rank in 0 .. ranks - 1 -> share.First(rank + 1) - share.First rank |]
    if ranks = 1 then
        float costs.Shards * costs.Block + costs.Fixed
    else
        let floats = SharedGradients.ChunkLength costs.Floats
        let chunks = (costs.Floats + floats - 1) / floats
        let transfer = 4.0 * float (min floats costs.Floats) / link.Bandwidth
        let others = float (ranks - 1) / float ranks
        let gather =
            2.0 * float costs.Stages * Math.Ceiling(Math.Log2(float ranks)) * link.Latency
            + others * float (costs.StatisticBytes * min ranks costs.Shards) / link.Bandwidth
        // With statistics of the whole batch all wait for the slowest, stage by stage.
        let begins =
            [| for own in shards -> if costs.Stages > 0 then float (Array.max shards) * costs.Block + gather else float own * costs.Block |]
        let busy = Array.copy begins
        let arrived = Array.create ranks 0.0
        let up, down = Array.create ranks 0.0, Array.create ranks 0.0 // when a rank's link to the next one, and back, is free
        let whole = Array.create chunks 0.0
        for chunk in 0 .. chunks - 1 do
            for rank in 0 .. ranks - 1 do
                let sum = (if rank = 0 then busy[0] else max busy[rank] arrived[rank - 1]) + float (shards[rank] * floats) * costs.Add
                busy[rank] <- sum
                if rank = ranks - 1 then
                    whole[chunk] <- sum
                else
                    up[rank] <- max up[rank] sum + transfer
                    arrived[rank] <- up[rank] + link.Latency
        let mutable ends = 0.0
        for chunk in 0 .. chunks - 1 do
            let mutable at = whole[chunk]
            for rank in ranks - 2 .. -1 .. 0 do
                down[rank] <- max down[rank] (if rank = ranks - 2 then at else max at busy[rank + 1]) + transfer
                at <- down[rank] + link.Latency
                ends <- max ends (max at busy[rank])
        ends + costs.Fixed

let private counts = [ 2; 4; 8; 16; 64; 512 ]

let private networks (setup: Setup) =
    [ for name, batch in [ "lenet", 512; "resnet20", 512 ] ->
          let network = all |> List.find (fun network -> network.Name = name)
          network, (if setup.Quick then 64 else batch) ]

/// Seconds of a step, the fastest of the rounds, each of some steps.
let private secondsOf (setup: Setup) (run: Training) =
    run.SecondsPerStep() |> ignore
    List.min [ for _ in 1 .. setup.Rounds -> run.SecondsPerStep() ]

let private normOf (layer: Leaf) =
    match box layer with
    | :? BatchNorm as norm -> Some norm
    | _ -> None

let private batchesOf (setup: Setup) (network: Network) batch =
    if setup.Quick then 1 else max 1 (4096 / batch / (if network.Name = "lenet" then 1 else 4))

/// On one thread of this process, while the others do the same: the cores of a machine share its memory, and often more.
let private costsOf (setup: Setup) (network: Network) batch =
    withThreads 1 (fun () ->
        progress setup $"{network.Name}, each process for itself"
        let batches = batchesOf setup network batch
        let whole = secondsOf setup (Training(network, batch, batches))
        let cut = BlockPlan.For batch
        let one = secondsOf setup (Training(network, cut.Size, batches))
        let block = max 1e-9 ((whole - one) / float (cut.Blocks - 1))
        let net = network.Build(Generator 1L)
        let norms = (Graph.Trace(net, Nullable(), [| network.Sample |])).Nodes |> Seq.map _.Layer |> Seq.choose normOf |> List.ofSeq
        let x, y = Array.zeroCreate<float32> 4096, Array.zeroCreate<float32> 4096
        let add = fast setup (fun () -> Elementwise.Add(ReadOnlySpan x, Span y)) () / 4096.0
        { Network = network.Name
          Batch = batch
          Block = block
          Fixed = max 0.0 (whole - float cut.Blocks * block)
          Add = add
          Shards = cut.Shards
          Floats = int net.ParameterCount
          Stages = norms.Length
          StatisticBytes = 2 * 8 * List.sum [ for norm in norms -> 2 * norm.NumFeatures + 1 ] })

/// Seconds of a step of the first process, while the others sleep.
let private aloneOf (setup: Setup) (group: ProcessGroup) (network: Network) batch =
    if group.Rank = 0 then
        progress setup $"{network.Name}, one process"
        let seconds = withThreads 1 (fun () -> secondsOf setup (Training(network, batch, batchesOf setup network batch)))
        group.Await 0 |> ignore
        seconds
    else
        group.Await 0 |> ignore
        nan

/// How fast messages between the first two processes are; rank 0's figures on all.
let private linkHere (setup: Setup) (group: ProcessGroup) =
    progress setup "messages"
    let pingPong bytes times =
        let message = Array.zeroCreate<byte> bytes
        let began = Stopwatch.GetTimestamp()
        for _ in 1..times do
            if group.Rank = 0 then
                group.Send(ReadOnlySpan message, 1)
                group.Receive(Span message, 1)
            elif group.Rank = 1 then
                group.Receive(Span message, 0)
                group.Send(ReadOnlySpan message, 0)
        Stopwatch.GetElapsedTime(began).TotalSeconds / float (2 * times)
    let fastest bytes times = List.min [ for _ in 1..7 -> pingPong bytes times ]
    let latency = fastest 8 200
    let large = 1 <<< 18
    let figures = [| latency; fastest large 40 - latency |]
    group.Broadcast(MemoryMarshal.AsBytes(Span figures))
    { Name = "between these processes"; Latency = figures[0]; Bandwidth = float large / max 1e-9 figures[1] }

/// Seconds of a step by all processes together.
let private together (setup: Setup) (group: ProcessGroup) (network: Network) batch =
    withThreads 1 (fun () ->
        let run = Training(network, batch, (if setup.Quick then 1 else 8), group)
        let sent = group.BytesSent
        let seconds = secondsOf setup run
        let steps = int64 ((setup.Rounds + 1) * (if setup.Quick then 1 else 8))
        seconds, group.AllReduceSum(group.BytesSent - sent) / steps)

/// Measured under mpirun; predicted everywhere.
let run (setup: Setup) : JsonNode =
    let group = Ranks.group ()
    let here = group |> Option.map (linkHere setup)
    let measured =
        [ for network, batch in networks setup ->
              group |> Option.iter _.Barrier()
              let costs = costsOf setup network batch
              costs,
              group
              |> Option.map (fun group ->
                  let alone = aloneOf setup group network batch
                  let seconds, bytes = together setup group network batch
                  {| Alone = alone; Together = seconds; Bytes = bytes; Model = alone / step here.Value costs group.Size |}) ]
    progress setup ""
    let links = Option.toList here @ usual
    line setup.Out ""
    line setup.Out "training by several processes of one thread each, times one process, as a model has it"
    let rows =
        [ for costs, _ in measured do
              for link in links do
                  costs, link, [ for ranks in counts -> step link costs 1 / step link costs ranks ] ]
    table
        setup.Out
        ([ "network"; "batch"; "network between" ] @ List.map string counts)
        [ for costs, link, speedups in rows -> [ costs.Network; string costs.Batch; link.Name ] @ List.map times speedups ]
    line setup.Out $"  a batch has at most {BlockPlan.MostShards} shares: more processes than that have nothing to do"
    match group, here with
    | Some group, Some link ->
        line setup.Out ""
        line
            setup.Out
            $"measured in {group}; a message takes {1e6 * link.Latency:F1} µs and {link.Bandwidth / 1e9:F2} GB/s"
        let least floats = 2L * int64 (group.Size - 1) * 4L * int64 floats
        table
            setup.Out
            [ "network"; "batch"; "alone, ms"; "together, ms"; "times"; "the model"; "MB a step"; "of the least" ]
            [ for costs, several in measured do
                  for run in Option.toList several do
                      [ costs.Network
                        string costs.Batch
                        fixedPoint 2 (1e3 * run.Alone)
                        fixedPoint 2 (1e3 * run.Together)
                        times (run.Alone / run.Together)
                        times run.Model
                        fixedPoint 2 (float run.Bytes / 1e6)
                        times (float run.Bytes / float (least costs.Floats)) ] ]
    | _ -> line setup.Out "  `mpirun -n 2 onnxlenet bench --only processes` measures it"
    json
        [ "model",
          jsonArray
              [ for costs, link, speedups in rows ->
                    json
                        [ "network", costs.Network
                          "batch", costs.Batch
                          "link", link.Name
                          "latencySeconds", link.Latency
                          "bytesPerSecond", link.Bandwidth
                          "speedup", json [ for ranks, times in List.zip counts speedups -> string ranks, box times ] ] ]
          "measured",
          jsonArray
              [ for costs, several in measured do
                    for run in Option.toList several do
                        json
                            [ "network", box costs.Network
                              "batch", costs.Batch
                              "processes", group.Value.Size
                              "aloneSeconds", run.Alone
                              "togetherSeconds", run.Together
                              "modelSpeedup", run.Model
                              "bytesPerStep", run.Bytes
                              "leastBytesPerStep", box (8L * int64 (group.Value.Size - 1) * int64 costs.Floats) ] ] ]
