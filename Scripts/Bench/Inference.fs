/// Inference of LeNet-5: the engine, ONNX Runtime and PyTorch, at equal threads.
module OnnxLeNet.Scripts.Bench.Inference

open System
open System.Text.Json.Nodes
open Google.Protobuf
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Bench.Measure
open OnnxLeNet.Scripts.Terminal

/// A batch of test images, row-major.
let private images (batch: int) =
    let data = ImageFolder.LoadTest(Workspace.mnistFolder, ImageTransform.Mnist)
    let struct (x, _) = data.Take(ReadOnlySpan [| for i in 0 .. batch - 1 -> i % data.Count |])
    x.ToTensor().Data

let run (setup: Setup) (peer: Result<PyTorch.Peer, string>) : JsonNode =
    let network = (Models.lenet5.Build(Generator 1L)).Eval() :?> Sequential
    let exported = OnnxExporter.Export(network, Models.lenet5.Sample, "lenet5").ToByteArray()
    let measured =
        [ for batch in (if setup.Quick then [ 1; 32; 64 ] else [ 1; 32; 64; 1000 ]) do
              let x = images batch
              for threads in setup.ThreadCounts do
                  let predictor = Predictor(network, Models.lenet5.Sample)
                  let y = Array.zeroCreate<float32>(batch * predictor.Outputs)
                  let forward () = predictor.Run(ReadOnlySpan x, Span y)
                  withThreads threads forward
                  use model = OrtModel.Load(exported, OrtOptions(IntraOpThreads = threads))
                  use ort = model.Bind batch
                  x.AsSpan().CopyTo ort.Input
                  ort.Run()
                  requireAgreement $"batch {batch}" "ONNX Runtime" y (ort.Output.ToArray())
                  let name who = $"{who}, batch {batch}, {threads} thread(s)"
                  let medians =
                      withThreads threads (fun () ->
                          byTurns
                              setup
                              [ name "engine", fast setup forward
                                name "ONNX Runtime", fast setup ort.Run
                                match peer with
                                | Ok peer -> name "PyTorch", (fun () -> peer.Infer(batch, threads, setup.Least))
                                | Error _ -> () ])
                  batch, threads, medians[0], medians[1], (if medians.Length > 2 then medians[2] else nan) ]
    // ONNX Runtime at whichever number of threads suits it for this batch.
    let bestOrt batch =
        measured
        |> List.filter (fun (b, _, _, _, _) -> b = batch)
        |> List.map (fun (_, _, _, ort, _) -> ort)
        |> List.min
    line setup.Out ""
    line setup.Out "inference of lenet5, microseconds a batch and images a second"
    line setup.Out $"ONNX Runtime {OrtRuntime.Describe().Version} on the processor, buffers bound once"
    match peer with
    | Ok _ -> ()
    | Error why -> line setup.Out $"PyTorch is left out: {why}"
    table
        setup.Out
        [ "batch"
          "threads"
          "engine µs"
          "ONNX Runtime µs"
          "PyTorch µs"
          "engine images/s"
          "ONNX Runtime images/s"
          "to ONNX Runtime"
          "to its best"
          "to PyTorch" ]
        [ for batch, threads, own, ort, torch in measured ->
              [ string batch
                string threads
                fixedPoint 1 (1e6 * own)
                fixedPoint 1 (1e6 * ort)
                fixedPoint 1 (1e6 * torch)
                fixedPoint 0 (float batch / own)
                fixedPoint 0 (float batch / ort)
                times (ort / own)
                times (bestOrt batch / own)
                times (torch / own) ] ]
    jsonArray
        [ for batch, threads, own, ort, torch in measured ->
              json
                  [ "batch", batch
                    "threads", threads
                    "engineMicroseconds", number (1e6 * own)
                    "onnxRuntimeMicroseconds", number (1e6 * ort)
                    "pytorchMicroseconds", number (1e6 * torch)
                    "engineImagesPerSecond", number (float batch / own)
                    "onnxRuntimeImagesPerSecond", number (float batch / ort)
                    "pytorchImagesPerSecond", number (float batch / torch)
                    "timesOnnxRuntime", number (ort / own)
                    "timesOnnxRuntimeAtItsBest", number (bestOrt batch / own)
                    "timesPytorch", number (torch / own) ] ]
