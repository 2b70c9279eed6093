/// Four small networks as people train them, three of them with batch normalization: training and inference, with ONNX Runtime beside it.
module OnnxLeNet.Scripts.Bench.Networks

open System
open System.Diagnostics
open System.Text.Json.Nodes
open Google.Protobuf
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Bench.Measure
open OnnxLeNet.Scripts.Terminal

type Network =
    {
        Name: string
        /// The shape of one input sample.
        Sample: Shape
        /// Samples of a training batch.
        Batch: int
        /// Starting weights from a generator.
        Build: Generator -> Module
    }

let private chain (layers: Module list) =
    let net = Sequential()
    for layer in layers do
        net.Add layer
    net

/// A convolution that keeps the size but for its stride, batch norm behind it, and what follows.
let private normalized (g: Generator) channels filters kernel stride groups (behind: Module list) =
    chain (
        [ Conv2d(channels, filters, Size2 kernel, Size2 stride, Size2(kernel / 2), groups = groups, bias = false, generator = g) :> Module
          BatchNorm2d filters ]
        @ behind
    )

/// Two pairs of convolutions and two linear layers, after Simonyan and Zisserman 2014.
let private vgg (g: Generator) : Module =
    let conv channels filters : Module = normalized g channels filters 3 1 1 [ ReLU() ]
    chain
        [ conv 3 32
          conv 32 32
          MaxPool2d 2
          conv 32 64
          conv 64 64
          MaxPool2d 2
          Flatten()
          Linear(64 * 8 * 8, 256, generator = g)
          ReLU()
          Linear(256, 10, generator = g) ]

/// y = ReLU(F(x) + x), the skip by a 1×1 convolution where the size changes.
type private Block(g: Generator, channels, filters, stride) as block =
    inherit Module()
    let first = normalized g channels filters 3 stride 1 [ ReLU() ]
    let second = normalized g filters filters 3 1 1 []
    let skip = if stride = 1 && channels = filters then chain [] else normalized g channels filters 1 stride 1 []
    do
        block.Register("first", first) |> ignore
        block.Register("second", second) |> ignore
        block.Register("skip", skip) |> ignore

    override _.Forward(x: Value) = F.Relu(second.Forward(first.Forward x) + skip.Forward x)

/// ResNet-20 for 32×32 images (He et al. 2015, section 4.2), with 1×1 convolutions where the size changes.
let private resnet20 (g: Generator) : Module =
    let stage channels filters stride : Module list =
        [ Block(g, channels, filters, stride); Block(g, filters, filters, 1); Block(g, filters, filters, 1) ]
    chain (
        [ normalized g 3 16 3 1 1 [ ReLU() ] :> Module ]
        @ stage 16 16 1
        @ stage 16 32 2
        @ stage 32 64 2
        @ [ AdaptiveAvgPool2d 1; Flatten(); Linear(64, 10, generator = g) ]
    )

/// Depthwise 3×3 convolutions, each with a 1×1 convolution behind it, after Howard et al. 2017.
let private mobilenet (g: Generator) : Module =
    let pair channels filters stride : Module list =
        [ normalized g channels channels 3 stride channels [ ReLU() ]; normalized g channels filters 1 1 1 [ ReLU() ] ]
    chain (
        [ normalized g 3 32 3 1 1 [ ReLU() ] :> Module ]
        @ pair 32 64 1
        @ pair 64 128 2
        @ pair 128 128 1
        @ pair 128 256 2
        @ pair 256 256 1
        @ [ AdaptiveAvgPool2d 1; Flatten(); Linear(256, 10, generator = g) ]
    )

let all =
    [ { Name = "lenet"; Sample = Models.lenet5.Sample; Batch = 64; Build = fun g -> Models.lenet5.Build g }
      { Name = "vgg"; Sample = Shape(3, 32, 32); Batch = 128; Build = vgg }
      { Name = "resnet20"; Sample = Shape(3, 32, 32); Batch = 128; Build = resnet20 }
      { Name = "mobilenet"; Sample = Shape(3, 32, 32); Batch = 128; Build = mobilenet } ]

/// Standard normal images.
let private images (sample: Shape) count =
    let random = Generator 1L
    let x = Tensor(sample.Prepend count)
    for i in 0 .. x.Data.Length - 1 do
        x.Data[i] <- float32 (random.NextNormal())
    x

/// Samples of a training batch, or few where whether it works is all that is asked.
let private batchOf (setup: Setup) network = if setup.Quick then 16 else network.Batch

/// Steps over the data, in its order: gather, forward, loss, backward, update.
type private Training(network: Network, data: TensorDataset, batch: int) =
    let random = Generator 1L
    let net = (network.Build random).Train()
    let steps = TrainingSteps(net, CrossEntropyLoss(), SGD(net.Parameters(), 0.03, 0.9), random)
    let batches = [| for start in 0..batch .. data.Count - batch -> [| start .. start + batch - 1 |] |]

    /// Seconds of a step, the mean over all.
    member _.Epoch() =
        let began = Stopwatch.GetTimestamp()
        for batch in batches do
            if not (Double.IsFinite(steps.Step(data, ReadOnlySpan batch))) then
                raise (OnnxLeNetException $"the loss of {network.Name} in training is not finite")
        Stopwatch.GetElapsedTime(began).TotalSeconds / float batches.Length

let private training (setup: Setup) (peak: Peak) =
    let measured =
        [ for network in all do
              let batch = batchOf setup network
              let count = batch * (if setup.Quick then 1 else 16)
              let data = TensorDataset(images network.Sample count, [| for n in 0 .. count - 1 -> n % 10 |])
              let work = (Work.ofNetwork (network.Build(Generator 1L)) network.Sample).Training
              let runs =
                  [ for threads in setup.ThreadCounts ->
                        let run = Training(network, data, batch)
                        let epoch () = withThreads threads run.Epoch
                        epoch () |> ignore
                        $"training {network.Name}, {threads} thread(s)", epoch ]
              network, work, byTurns setup runs ]
    peak.Refresh()
    let rows =
        [ for network, work, seconds in measured do
              for threads, took in List.zip setup.ThreadCounts seconds do
                  let images = float (batchOf setup network) / took
                  let share = images * work / 1e9 / peak.Single threads
                  [ network.Name
                    string (batchOf setup network)
                    string threads
                    fixedPoint 0 images
                    times (List.head seconds / took)
                    fixedPoint 1 (images * work / 1e9)
                    wholePercent share ],
                  json
                      [ "network", network.Name
                        "batch", batchOf setup network
                        "threads", threads
                        "imagesPerSecond", number images
                        "timesOneThread", number (List.head seconds / took)
                        "gflops", number (images * work / 1e9)
                        "shareOfPeak", number share ] ]
    line setup.Out ""
    line setup.Out "training on random images, images a second"
    table setup.Out [ "network"; "batch"; "threads"; "images/s"; "to one thread"; "GFLOP/s"; "of peak" ] (List.map fst rows)
    jsonArray (List.map snd rows)

let private inference (setup: Setup) =
    let measured =
        [ for network in all do
              let net = (network.Build(Generator 1L)).Eval()
              let exported = OnnxExporter.Export(net, network.Sample, network.Name).ToByteArray()
              for batch in (if setup.Quick then [ 1; 32 ] else [ 1; 32; 256 ]) do
                  let x = (images network.Sample batch).Data
                  for threads in setup.ThreadCounts do
                      let predictor = Predictor(net, network.Sample)
                      let y = Array.zeroCreate<float32>(batch * predictor.Outputs)
                      let forward () = predictor.Run(ReadOnlySpan x, Span y)
                      withThreads threads forward
                      use model = OrtModel.Load(exported, OrtOptions(IntraOpThreads = threads))
                      use ort = model.Bind batch
                      x.AsSpan().CopyTo ort.Input
                      ort.Run()
                      requireAgreement $"{network.Name}, batch {batch}" y (ort.Output.ToArray())
                      let name who = $"inference of {network.Name}, {who}, batch {batch}, {threads} thread(s)"
                      let both = [ name "engine", fast setup forward; name "ONNX Runtime", fast setup ort.Run ]
                      let medians = withThreads threads (fun () -> byTurns setup both)
                      network.Name, batch, threads, medians[0], medians[1] ]
    line setup.Out ""
    line setup.Out $"inference, microseconds a batch; ONNX Runtime {OrtRuntime.Describe().Version}, buffers bound once"
    table
        setup.Out
        [ "network"; "batch"; "threads"; "engine µs"; "ONNX Runtime µs"; "to ONNX Runtime" ]
        [ for name, batch, threads, own, ort in measured ->
              [ name; string batch; string threads; fixedPoint 1 (1e6 * own); fixedPoint 1 (1e6 * ort); times (ort / own) ] ]
    jsonArray
        [ for name, batch, threads, own, ort in measured ->
              json
                  [ "network", name
                    "batch", batch
                    "threads", threads
                    "engineMicroseconds", number (1e6 * own)
                    "onnxRuntimeMicroseconds", number (1e6 * ort)
                    "timesOnnxRuntime", number (ort / own) ] ]

let run (setup: Setup) (peak: Peak) : JsonNode =
    let training = training setup peak
    json [ "training", training; "inference", inference setup ]
