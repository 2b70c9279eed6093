/// Four small networks as people train them, three of them with batch normalization, and random data for them.
module OnnxLeNet.Scripts.Bench.SmallNetworks

open System
open System.Diagnostics
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Bench.Measure

type Network =
    {
        Name: string
        /// The shape of one input sample.
        Sample: Shape
        /// Samples of a training batch.
        Batch: int
        /// Batches of an epoch.
        Batches: int
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

/// Depthwise 3×3 convolutions, each with a 1×1 convolution after it, after Howard et al. 2017.
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
    [ { Name = "lenet"; Sample = Models.lenet5.Sample; Batch = 64; Batches = 128; Build = fun g -> Models.lenet5.Build g }
      { Name = "vgg"; Sample = Shape(3, 32, 32); Batch = 128; Batches = 16; Build = vgg }
      { Name = "resnet20"; Sample = Shape(3, 32, 32); Batch = 128; Batches = 16; Build = resnet20 }
      { Name = "mobilenet"; Sample = Shape(3, 32, 32); Batch = 128; Batches = 16; Build = mobilenet } ]

/// Standard normal images.
let images (sample: Shape) count =
    let random = Generator 1L
    let x = Tensor(sample.Prepend count)
    for i in 0 .. x.Data.Length - 1 do
        x.Data[i] <- float32 (random.NextNormal())
    x

let labels count = [| for n in 0 .. count - 1 -> n % 10 |]

/// Samples of a training batch, or few where whether it works is all that is asked.
let batchOf (setup: Setup) network = if setup.Quick then 8 else network.Batch

/// A network in training, over random data in its order.
type Training(network: Network, batch: int, batches: int, ?group: ProcessGroup) =
    let random = Generator 1L
    let net = (network.Build random).Train()
    let data = TensorDataset(images network.Sample (batch * batches), labels (batch * batches))
    let steps =
        TrainingSteps(net, CrossEntropyLoss(), SGD(net.Parameters(), 0.03, 0.9), random, Group = Option.toObj group)
    let indices = [| for start in 0..batch .. data.Count - batch -> [| start .. start + batch - 1 |] |]
    let losses = Array.zeroCreate<float> batches
    let mutable firstLosses: float array option = None

    /// The loss of each step of the first epoch, once that is over.
    member _.FirstLosses = firstLosses.Value

    /// Goes over all batches once: gather, forward, loss, backward, update. The mean over its steps.
    member _.SecondsPerStep() =
        let began = Stopwatch.GetTimestamp()
        for step in 0 .. batches - 1 do
            losses[step] <- steps.Step(data, ReadOnlySpan indices[step])
        let seconds = Stopwatch.GetElapsedTime(began).TotalSeconds / float batches
        if firstLosses.IsNone then firstLosses <- Some(Array.copy losses)
        match Array.tryFind (Double.IsFinite >> not) losses with
        | Some loss -> raise (OnnxLeNetException $"the loss of {network.Name} in training became {loss}")
        | None -> seconds
