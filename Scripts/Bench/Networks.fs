/// The small networks, training and inference: the engine, TorchSharp and, in inference, ONNX Runtime by turns.
module OnnxLeNet.Scripts.Bench.Networks

open System
open System.IO
open System.Text.Json.Nodes
open Google.Protobuf
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts.Bench.Measure
open OnnxLeNet.Scripts.Bench.SmallNetworks
open OnnxLeNet.Scripts.Terminal

/// Gives the peer a network's starting weights and its data, and requires that it has the same parameters.
let private load (peer: TorchSharp.Peer) (network: Network) (samples: int) =
    let net = network.Build(Generator 1L)
    let state = StateDict()
    for name, parameter in net.NamedParameters() do
        state.Add($"net.{name}", parameter.Value)
    state.Add("images", images network.Sample samples)
    state.Add("labels", StateTensor.Of(Shape(samples), Array.map int64 (labels samples)))
    let folder = Directory.CreateTempSubdirectory "onnxlenet-"
    try
        let file = Path.Combine(folder.FullName, $"{network.Name}.safetensors")
        SafeTensors.Write(state, file)
        let found, expected = peer.Load(network.Name, file), Seq.length (net.NamedParameters())
        if found <> expected then
            raise (OnnxLeNetException $"TorchSharp's {network.Name} has {found} parameters, expected {expected}")
    finally
        folder.Delete true

/// Steps of one loss each that must agree: the first says that the forward is the same, the second the gradients, the third the momentum.
/// Later ones drift apart by rounding.
let private comparedSteps = 3

let requireSameLosses (network: string) (engine: float array) (peer: float array) =
    if peer.Length <> engine.Length then
        raise (OnnxLeNetException $"{network} in TorchSharp: {peer.Length} losses of an epoch, expected {engine.Length}")
    let off = disagreement (Array.truncate comparedSteps engine) (Array.truncate comparedSteps peer)
    if not (off <= 1e-3) then
        let text (losses: float array) = String.Join(", ", losses |> Array.truncate comparedSteps |> Array.map (fun x -> $"{x:G6}"))
        raise (
            OnnxLeNetException
                $"{network}: the losses of the first steps are {text engine} in the engine and {text peer} in TorchSharp, which must agree"
        )

/// Medians of the engine, and of the peer where there is one, for each number of threads; they take turns.
let private trainingOf (setup: Setup) (peer: TorchSharp.Peer option) (network: Network) =
    let batch, batches = batchOf setup network, (if setup.Quick then comparedSteps else network.Batches)
    peer |> Option.iter (fun peer -> load peer network (batch * batches))
    let name who threads = $"training {network.Name}, {who}{threads} thread(s)"
    let contenders =
        [ for threads in setup.ThreadCounts do
              let run = Training(network, batch, batches)
              let epoch () = withThreads threads run.SecondsPerStep
              progress setup (name "warm-up, " threads)
              warmUp setup (epoch >> ignore)
              name "" threads, epoch
              match peer with
              | Some peer ->
                  progress setup (name "TorchSharp, warm-up, " threads)
                  requireSameLosses network.Name run.FirstLosses (snd (peer.Epoch(batch, threads)))
                  name "TorchSharp, " threads, (fun () -> fst (peer.Epoch(batch, threads)))
              | None -> () ]
    let medians = byTurns setup contenders
    match peer with
    | Some _ -> medians |> List.chunkBySize 2 |> List.map (fun pair -> pair[0], pair[1])
    | None -> [ for engine in medians -> engine, nan ]

let private training (setup: Setup) (peak: Peak) (peer: TorchSharp.Peer option) =
    let measured = [ for network in all -> network, trainingOf setup peer network ]
    peak.Refresh()
    let rows =
        [ for network, seconds in measured do
              let work = (Work.ofNetwork (network.Build(Generator 1L)) network.Sample).Training
              let rate took = float (batchOf setup network) / took
              let best = seconds |> List.map (snd >> rate) |> List.max
              let one = fst (List.head seconds)
              for threads, (own, torch) in List.zip setup.ThreadCounts seconds do
                  let gflops = rate own * work / 1e9
                  let share = gflops / peak.Single threads
                  [ network.Name
                    string (batchOf setup network)
                    string threads
                    fixedPoint 0 (rate own)
                    fixedPoint 0 (rate torch)
                    times (rate own / best)
                    times (one / own)
                    fixedPoint 1 gflops
                    wholePercent share ],
                  json
                      [ "network", network.Name
                        "batch", batchOf setup network
                        "threads", threads
                        "imagesPerSecond", number (rate own)
                        "torchSharpImagesPerSecond", number (rate torch)
                        "timesTorchSharpAtItsBest", number (rate own / best)
                        "timesOneThread", number (one / own)
                        "gflops", number gflops
                        "shareOfPeak", number share ] ]
    line setup.Out ""
    line setup.Out "training on random images, images a second; to TorchSharp at its better number of threads"
    table
        setup.Out
        [ "network"; "batch"; "threads"; "images/s"; "TorchSharp"; "to TorchSharp"; "to one thread"; "GFLOP/s"; "of peak" ]
        (List.map fst rows)
    jsonArray (List.map snd rows)

/// Seconds of a batch: the engine, ONNX Runtime and TorchSharp, which must agree, at equal threads.
let private inferenceOf
    (setup: Setup)
    (peer: TorchSharp.Peer option)
    (network: Network)
    (net: Module)
    (exported: byte array)
    batch
    threads
    =
    let x = (images network.Sample batch).Data
    let predictor = Predictor(net, network.Sample)
    let y = Array.zeroCreate<float32>(batch * predictor.Outputs)
    let forward () = predictor.Run(ReadOnlySpan x, Span y)
    withThreads threads forward
    use model = OrtModel.Load(exported, OrtOptions(IntraOpThreads = threads))
    use ort = model.Bind batch
    x.AsSpan().CopyTo ort.Input
    ort.Run()
    requireAgreement $"{network.Name}, batch {batch}" "ONNX Runtime" y (ort.Output.ToArray())
    let torch (peer: TorchSharp.Peer) =
        let seconds, outputs = peer.Infer(batch, threads, setup.Least)
        requireAgreement $"{network.Name}, batch {batch}" "TorchSharp" y outputs
        seconds
    let name who = $"inference of {network.Name}, {who}, batch {batch}, {threads} thread(s)"
    let contenders =
        [ name "engine", fast setup forward
          name "ONNX Runtime", fast setup ort.Run
          match peer with
          | Some peer -> name "TorchSharp", (fun () -> torch peer)
          | None -> () ]
    match withThreads threads (fun () -> byTurns setup contenders) with
    | [ own; ort; torch ] -> own, ort, torch
    | medians -> medians[0], medians[1], nan

let private inference (setup: Setup) (peak: Peak) (peer: TorchSharp.Peer option) =
    let measured =
        [ for network in all do
              let net = (network.Build(Generator 1L)).Eval()
              let exported = OnnxExporter.Export(net, network.Sample, network.Name).ToByteArray()
              let work = (Work.ofNetwork net network.Sample).Forward
              let batches = if setup.Quick then [ 1; 8 ] else [ 1; 32; 256 ]
              peer |> Option.iter (fun peer -> load peer network (List.max batches))
              for batch in batches do
                  let medians =
                      [ for threads in setup.ThreadCounts ->
                            threads, inferenceOf setup peer network net exported batch threads ]
                  let bestTorch = medians |> List.map (fun (_, (_, _, torch)) -> torch) |> List.min
                  for threads, (own, ort, torch) in medians do
                      network.Name, batch, threads, work * float batch / own / 1e9, own, ort, torch, bestTorch ]
    peak.Refresh()
    let share threads gflops = gflops / peak.Single threads
    line setup.Out ""
    line
        setup.Out
        $"inference, microseconds a batch; ONNX Runtime {OrtRuntime.Describe().Version}, buffers bound once; to TorchSharp at its better \
            number of threads"
    table
        setup.Out
        [ "network"; "batch"; "threads"; "engine µs"; "ONNX Runtime µs"; "TorchSharp µs"; "to ONNX Runtime"; "to TorchSharp"; "of peak" ]
        [ for name, batch, threads, gflops, own, ort, torch, bestTorch in measured ->
              [ name; string batch; string threads ]
              @ [ for seconds in [ own; ort; torch ] -> fixedPoint 1 (1e6 * seconds) ]
              @ [ times (ort / own); times (bestTorch / own); wholePercent (share threads gflops) ] ]
    jsonArray
        [ for name, batch, threads, gflops, own, ort, torch, bestTorch in measured ->
              json
                  [ "network", name
                    "batch", batch
                    "threads", threads
                    "engineMicroseconds", number (1e6 * own)
                    "onnxRuntimeMicroseconds", number (1e6 * ort)
                    "torchSharpMicroseconds", number (1e6 * torch)
                    "timesOnnxRuntime", number (ort / own)
                    "timesTorchSharpAtItsBest", number (bestTorch / own)
                    "gflops", number gflops
                    "shareOfPeak", number (share threads gflops) ] ]

let run (setup: Setup) (peak: Peak) (torchSharp: Result<unit -> TorchSharp.Peer, string>) : JsonNode =
    let networks (peer: TorchSharp.Peer option) =
        let training = training setup peak peer
        training, inference setup peak peer
    let about, (training, inference) =
        match torchSharp with
        | Ok start ->
            progress setup "starting TorchSharp"
            use peer = start ()
            line setup.Out ""
            line setup.Out $"TorchSharp {peer.Version}"
            peer.About.DeepClone(), networks (Some peer)
        | Error why ->
            line setup.Out ""
            line setup.Out $"TorchSharp is left out: {why}"
            json [ "missing", why ], networks None
    json [ "torchSharp", about; "training", training; "inference", inference; "stepMemory", StepMemory.run setup torchSharp ]
