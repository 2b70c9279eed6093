/// Training LeNet-5: epochs against PyTorch, how the cost grows with the batch and falls with threads, what a step allocates.
module OnnxLeNet.Scripts.Bench.Training

open System
open System.Diagnostics
open System.Text.Json.Nodes
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Bench.Measure
open OnnxLeNet.Scripts.Terminal

/// A network in training, as a user would have it.
type private Run(data: ImageDataset, batch: int) =
    let random = Generator 1L
    let net = (Models.lenet5.Build random).Train() :?> Sequential
    let optimizer = SGD(net.Parameters(), 0.05, 0.9)
    let loader = DataLoader(data, batch, shuffle = true, generator = Generator 1L)
    let steps = TrainingSteps(net, CrossEntropyLoss(), optimizer, random)
    let mutable epochs = 0
    let step index = steps.Step(data, loader.Indices index)
    do
        loader.Shuffle 0
        for index in 0 .. min 10 loader.Steps - 1 do
            step index |> ignore // warm-up: code compiled, buffers made

    member _.Step index = step (index % loader.Steps)

    /// Seconds of one epoch: shuffle, gather, forward, loss, backward, update.
    member _.Epoch() =
        epochs <- epochs + 1
        let began = Stopwatch.GetTimestamp()
        loader.Shuffle epochs
        let mutable loss = 0.0
        for index in 0 .. loader.Steps - 1 do
            loss <- step index
        let seconds = Stopwatch.GetElapsedTime(began).TotalSeconds
        if not (Double.IsFinite loss) then
            raise (OnnxLeNetException $"the loss of the benchmark's training became {loss}")
        seconds

/// The same in ONNX Runtime on the processor, by the training step's graph.
type private RuntimeRun(data: ImageDataset, batch: int, threads: int) =
    let net = Models.lenet5.Build(Generator 1L)
    let optimizer = SGD(net.Parameters(), 0.05, 0.9)
    let loader = DataLoader(data, batch, shuffle = true, generator = Generator 1L)
    let trainer = OrtTrainer.Create(net, data.Sample, optimizer, TrainingGraphOptions(), OrtOptions(IntraOpThreads = threads))
    let mutable epochs = 0
    do
        loader.Shuffle 0
        for index in 0 .. min 10 loader.Steps - 1 do
            trainer.Step(data, loader.Indices index) |> ignore // warm-up
        trainer.Step(data, loader.Indices(loader.Steps - 1)) |> ignore // its last batch may have a size of its own

    /// Seconds of one epoch: shuffle, gather, forward, loss, backward, update.
    member _.Epoch() =
        epochs <- epochs + 1
        let began = Stopwatch.GetTimestamp()
        loader.Shuffle epochs
        let mutable loss = 0.0
        for index in 0 .. loader.Steps - 1 do
            loss <- trainer.Step(data, loader.Indices index)
        let seconds = Stopwatch.GetElapsedTime(began).TotalSeconds
        if not (Double.IsFinite loss) then
            raise (OnnxLeNetException "the loss of the benchmark's training in ONNX Runtime is not finite")
        seconds

    interface IDisposable with
        member _.Dispose() = trainer.Dispose()

let private data (setup: Setup) = (ImageFolder.Load(Workspace.mnistFolder, ImageTransform.Mnist)).Train.First setup.Images

let private numbers (threads: int list) (values: float list) = json (List.map2 (fun (t: int) (v: float) -> string t, box v) threads values)

let private shape (setup: Setup) = $"{setup.Images:N0} images"

/// The epoch at several batch sizes, the engine, PyTorch and ONNX Runtime by turns, on one thread and on all.
let epoch (setup: Setup) (peak: Peak) (peer: Result<PyTorch.Peer, string>) : JsonNode =
    let data = data setup
    let work = (Work.ofNetwork (Models.lenet5.Build(Generator 1L)) data.Sample).Training
    let counts = setup.ThreadCounts
    let measured =
        [ for batch in (if setup.Quick then [ 64 ] else [ 32; 64; 256; 1024 ]) do
              let engines =
                  [ for threads in counts ->
                        let run = withThreads threads (fun () -> Run(data, batch))
                        $"engine, batch {batch}, {threads} thread(s)", fun () -> withThreads threads run.Epoch ]
              let others =
                  match peer with
                  | Ok peer ->
                      [ for threads in counts -> $"PyTorch, batch {batch}, {threads} thread(s)", (fun () -> peer.Epoch(batch, threads)) ]
                  | Error _ -> []
              // engine, PyTorch, engine, PyTorch, …
              let pairs = if others.IsEmpty then engines else List.zip engines others |> List.collect (fun (e, p) -> [ e; p ])
              let runtimes = [ for threads in counts -> threads, new RuntimeRun(data, batch, threads) ]
              let medians =
                  byTurns setup (pairs @ [ for threads, run in runtimes -> $"ONNX Runtime, batch {batch}, {threads} thread(s)", run.Epoch ])
              for _, run in runtimes do
                  (run :> IDisposable).Dispose()
              let medians, ort = List.splitAt pairs.Length medians
              let engine, torch =
                  if others.IsEmpty then
                      medians, counts |> List.map (fun _ -> nan)
                  else
                      medians |> List.chunkBySize 2 |> List.map List.head, medians |> List.chunkBySize 2 |> List.map List.last
              batch, engine, torch, ort ]
    peak.Refresh()
    line setup.Out ""
    line setup.Out $"one training epoch of lenet5, {shape setup}, {work / 1e6:F2} MFLOP an image, seconds"
    match peer with
    | Ok peer -> line setup.Out $"""PyTorch {peer.Version} on {String.Join(", ", peer.Blas)}"""
    | Error why -> line setup.Out $"PyTorch is left out: {why}"
    let rows =
        [ for batch, engine, torch, ort in measured ->
              let best = List.min torch // NaN where it is left out
              let gflops = List.map (fun seconds -> float setup.Images * work / seconds / 1e9) engine
              let share = List.map2 (fun (threads: int) g -> g / peak.Single threads) counts gflops
              let one, all = List.head engine, List.last engine
              [ string batch ]
              @ List.map (fixedPoint 3) (engine @ torch @ ort)
              @ [ times (List.head torch / one)
                  times (best / all)
                  times (best / List.min ort)
                  fixedPoint 1 (List.last gflops)
                  wholePercent (List.last share) ],
              json
                  [ "batch", batch
                    "images", setup.Images
                    "engineSeconds", numbers counts engine
                    "pytorchSeconds", numbers counts torch
                    "pytorchBestSeconds", best
                    "onnxRuntimeSeconds", numbers counts ort
                    "onnxRuntimeTimesPytorch", number (best / List.min ort)
                    "timesPytorch", number (best / all)
                    "timesPytorchOneThread", number (List.head torch / one)
                    "gflops", numbers counts gflops
                    "fractionOfPeak", numbers counts share ] ]
    table
        setup.Out
        ([ "batch" ]
         @ [ for threads in counts -> $"engine, {threads}" ]
         @ [ for threads in counts -> $"PyTorch, {threads}" ]
         @ [ for threads in counts -> $"ORT, {threads}" ]
         @ [ "times, 1 to 1"; "times, to best"; "ORT, to best"; "GFLOP/s"; "of peak" ])
        (List.map fst rows)
    jsonArray (List.map snd rows)

/// Microseconds an image as the batch grows, and seconds an epoch as threads are added.
let scaling (setup: Setup) : JsonNode =
    let data = data setup
    let batches = if setup.Quick then [ 32; 256; 2048 ] else [ 32; 64; 128; 256; 512; 1024; 2048; 4096 ]
    let perImage =
        [ for batch in batches ->
              let run = Run(data, batch)
              $"batch {batch}", (fun () -> 1e6 * run.Epoch() / float setup.Images) ]
        |> byTurns setup
    let counts = [ 1 .. setup.Threads ]
    let perEpoch =
        [ for threads in counts ->
              let run = withThreads threads (fun () -> Run(data, 64))
              $"{threads} thread(s)", (fun () -> withThreads threads run.Epoch) ]
        |> byTurns setup
    line setup.Out ""
    line setup.Out $"training cost by batch size, {setup.Threads} thread(s)"
    table
        setup.Out
        [ "batch"; "µs an image"; "to batch 32" ]
        [ for batch, cost in List.zip batches perImage -> [ string batch; fixedPoint 2 cost; times (cost / List.head perImage) ] ]
    line setup.Out ""
    line setup.Out $"one epoch at batch 64 by threads, {shape setup}"
    table
        setup.Out
        [ "threads"; "seconds"; "speedup" ]
        [ for threads, seconds in List.zip counts perEpoch ->
              [ string threads; fixedPoint 3 seconds; times (List.head perEpoch / seconds) ] ]
    json
        [ "batch", jsonArray [ for batch, cost in List.zip batches perImage -> json [ "batch", batch; "microsecondsPerImage", cost ] ]
          "threads",
          jsonArray [ for threads, seconds in List.zip counts perEpoch -> json [ "threads", threads; "secondsPerEpoch", seconds ] ] ]

/// Bytes a step allocates once its buffers are made, on the thread that trains and on all, and the peak memory of the process so far.
let memory (setup: Setup) : JsonNode =
    let data = data setup
    let steps = 50
    let rows =
        [ for batch in (if setup.Quick then [ 32; 64 ] else [ 32; 64; 1024 ]) ->
              progress setup $"allocations, batch {batch}"
              let run = Run(data, batch)
              for index in 0..steps do
                  run.Step index |> ignore
              let mine, all = GC.GetAllocatedBytesForCurrentThread(), GC.GetTotalAllocatedBytes true
              for index in 0 .. steps - 1 do
                  run.Step index |> ignore
              let mine, all = GC.GetAllocatedBytesForCurrentThread() - mine, GC.GetTotalAllocatedBytes true - all
              batch, float mine / float steps, float all / float steps ]
    progress setup ""
    use self = Process.GetCurrentProcess()
    self.Refresh()
    let peak = self.PeakWorkingSet64
    line setup.Out ""
    line setup.Out $"bytes allocated by a training step ({steps} steps after a warm-up), {setup.Threads} thread(s)"
    table
        setup.Out
        [ "batch"; "training thread"; "all threads" ]
        [ for batch, mine, all in rows -> [ string batch; fixedPoint 0 mine; fixedPoint 0 all ] ]
    line setup.Out $"peak memory of the process with the data set loaded: {float peak / 1048576.0:F0} MB"
    json
        [ "steps", steps
          "perStep",
          jsonArray [ for batch, mine, all in rows -> json [ "batch", batch; "bytesOfTrainingThread", mine; "bytesOfAllThreads", all ] ]
          "peakMemoryBytes", peak ]
