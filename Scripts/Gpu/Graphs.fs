/// What gpu-check proves of networks that are no chains, and of every layer: its output, and the gradients of a training step.
module OnnxLeNet.Scripts.Gpu.Graphs

open System
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts.Gpu.Checks
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common

type Network =
    {
        Name: string
        /// The shape of one input sample; no size is its neighbour's.
        Sample: Shape
        Build: Generator -> Module
    }

/// Named modules and a forward that calls them.
type private Net(modules: (string * Module) list, forward: Value -> Value) as net =
    inherit Module()
    do
        for name, part in modules do
            net.Register(name, part) |> ignore

    override _.Forward(x: Value) = forward x

let private (=>) (name: string) (part: #Module) = name, (part :> Module)

let private chain (layers: Module list) : Module =
    let net = Sequential "Net"
    for layer in layers do
        net.Add layer
    net

/// A convolution whose padding keeps the size.
let private conv (g: Generator) channels filters kernel =
    Conv2d(channels, filters, Size2 kernel, padding = Size2(kernel / 2), generator = g)

/// The same with a stride and in groups; batch norm behind it, and what follows.
let private normalized (g: Generator) channels filters kernel stride groups (behind: Module list) =
    chain (
        [ Conv2d(channels, filters, Size2 kernel, Size2 stride, Size2(kernel / 2), groups = groups, bias = false, generator = g) :> Module
          BatchNorm2d filters ]
        @ behind
    )

/// Two blocks as ResNet has them, the second with a projection.
let private residual (g: Generator) =
    let block channels filters stride =
        let first = normalized g channels filters 3 stride 1 [ ReLU() ]
        let second = normalized g filters filters 3 1 1 []
        if stride = 1 then
            Net([ "first" => first; "second" => second ], (fun x -> F.Relu(second.Forward(first.Forward x) + x)))
        else
            let shortcut = normalized g channels filters 1 stride 1 []
            Net(
                [ "first" => first; "second" => second; "shortcut" => shortcut ],
                (fun x -> F.Relu(second.Forward(first.Forward x) + shortcut.Forward x))
            )
    let head: Module list =
        [ AdaptiveAvgPool2d 1
          Flatten()
          Linear(6, 8, generator = g)
          BatchNorm1d 8
          Tanh()
          Dropout 0.3
          Linear(8, 4, generator = g) ]
    chain ([ normalized g 2 4 3 1 1 [ ReLU() ]; block 4 4 1; block 4 6 2 ] @ head)

/// Sums, differences, products and quotients, of one size and broadcast; two to four values joined, along channels, rows and features.
let private joins (g: Generator) : Module =
    let a, b, c = conv g 2 3 1, conv g 2 2 3, conv g 2 1 5
    let mix, gate, scale = conv g 5 5 3, conv g 5 1 1, ScaleShift(Shape(6, 1, 1), Shape(6, 1, 1))
    let fc = Linear(120, 4, generator = g)
    Net(
        [ "a" => a; "b" => b; "c" => c; "mix" => mix; "gate" => gate; "scale" => scale; "fc" => fc ],
        fun x ->
            let a, b, c = F.Tanh(a.Forward x), F.Relu(b.Forward x), c.Forward x
            let two, three = F.Concat [ a; b ], scale.Forward(F.Concat [ a; b; c ])
            let difference = two - mix.Forward two
            let product = difference * F.Sigmoid(gate.Forward difference)
            let quotient = product / F.Sigmoid(F.AdaptiveAvgPool2d(two, 1)) - F.AdaptiveAvgPool2d(product, 1) + two / F.Sigmoid two
            let small = [ F.Concat([ quotient; product ], 2); three; a * a; c ] |> List.map (fun value -> F.Flatten(F.AvgPool2d(value, 3)))
            fc.Forward(F.Concat small)
    )

/// A block as MobileNetV3 has it: depthwise, with squeeze-and-excitation, in a residual.
let private mobile (g: Generator) =
    let expand = normalized g 6 12 1 1 1 [ ReLU6() ]
    let depthwise = normalized g 12 12 3 1 12 [ Hardswish() ]
    let squeeze, excite = conv g 12 4 1, conv g 4 12 1
    let project = normalized g 12 6 1 1 1 []
    let block =
        Net(
            [ "expand" => expand; "depthwise" => depthwise; "squeeze" => squeeze; "excite" => excite; "project" => project ],
            fun x ->
                let y = depthwise.Forward(expand.Forward x)
                let weight = F.Hardsigmoid(excite.Forward(F.Relu(squeeze.Forward(F.AdaptiveAvgPool2d(y, 1)))))
                project.Forward(y * weight) + x
        )
    chain
        [ normalized g 3 6 3 2 1 [ Hardswish() ]
          block
          conv g 6 9 1
          Hardswish()
          AdaptiveAvgPool2d 1
          Flatten()
          Linear(9, 4, generator = g) ]

let private groupNorms (g: Generator) =
    chain
        [ Conv2d(2, 6, 2, generator = g)
          GroupNorm(2, 6)
          Tanh()
          GroupNorm(3, 6, affine = false)
          Flatten()
          Linear(120, 8, generator = g)
          GroupNorm(2, 8)
          Linear(8, 3, generator = g) ]

let private layerNorms (g: Generator) =
    chain
        [ Conv2d(2, 6, 2, bias = false, generator = g)
          LayerNorm(Shape 5)
          Tanh()
          LayerNorm(Shape(4, 5), 1e-3)
          Flatten()
          Linear(120, 8, generator = g)
          LayerNorm(Shape 8, elementwiseAffine = false)
          Linear(8, 3, generator = g) ]

let private instanceNorms (g: Generator) =
    chain
        [ Conv2d(2, 6, 2, bias = false, generator = g)
          InstanceNorm2d(6, affine = true)
          Tanh()
          InstanceNorm2d 6
          Reshape(Shape(6, 20))
          Conv1d(6, 4, 2, bias = false, generator = g)
          InstanceNorm1d 4
          Tanh()
          InstanceNorm1d(4, 1e-3, affine = true)
          Flatten()
          Linear(76, 3, generator = g) ]

let private responseNorms (g: Generator) =
    chain
        [ Conv2d(2, 6, 2, generator = g)
          LocalResponseNorm(3, 0.5, 0.75, 1.5)
          Tanh()
          LocalResponseNorm(5, 2, 0.5)
          Flatten()
          Linear(72, 3, generator = g) ]

let private transposed (g: Generator) =
    chain
        [ ConvTranspose2d(2, 4, Size2(3, 2), Size2(2, 1), Size2(1, 0), Size2(1, 0), groups = 2, generator = g)
          Tanh()
          ConvTranspose2d(4, 3, Size2(2, 3), Size2(1, 3), outputPadding = Size2(0, 2), dilation = Size2(2, 1), bias = false, generator = g)
          Flatten()
          Linear(408, 4, generator = g) ]

/// Sizes that a float's factor says exactly: others want a Concat of the samples' number, which a GPU does not run.
let private nearest (g: Generator) =
    chain
        [ Conv2d(2, 3, 2, generator = g)
          Upsample(scaleFactor = Scale2(2, 3))
          AvgPool2d 2
          Upsample(Size2(6, 12))
          Resize(Nullable(Size2(3, 9)), Nullable(), Nullable NearestMode.Ceil)
          Flatten()
          Linear(81, 3, generator = g) ]

let private bilinear (g: Generator) =
    chain
        [ Conv2d(2, 3, 2, generator = g)
          Upsample(Size2(6, 8), mode = UpsampleMode.Bilinear)
          Tanh()
          Upsample(Size2(9, 12), mode = UpsampleMode.Bilinear, alignCorners = true)
          Flatten()
          Linear(324, 3, generator = g) ]

let private padded features (paddings: Module list) (g: Generator) =
    chain ([ Conv2d(2, 3, 2, generator = g) :> Module ] @ paddings @ [ Flatten(); Linear(features, 3, generator = g) ])

/// Channels split, shuffled and joined again; rows and columns taken by steps and by number.
let private parts (g: Generator) : Module =
    let conv, fc = Conv2d(2, 6, 2, generator = g), Linear(100, 3, generator = g)
    Net(
        [ "conv" => conv; "fc" => fc ],
        fun x ->
            let y = F.ChannelShuffle(F.Tanh(conv.Forward x), 3)
            let halves = F.Chunk(y, 2)
            let split = F.Split(y, [ 1; 3; 2 ])
            let back = F.Concat [ split[2]; F.Slice(halves[0], 3, step = -1); split[1]; F.Slice(y, 1, 1, 5); F.Slice(y, 1, 2, step = 2) ]
            let chosen = F.IndexSelect(back, 2, ReadOnlySpan [| 1; 0; 1; 2 |])
            fc.Forward(F.Flatten(F.AvgPool2d(F.IndexSelect(chosen, 1, ReadOnlySpan [| 9; 0; 3; 4; 12; 7; 7; 1; 5; 6 |]), Size2(2, 1))))
    )

let private reductions (g: Generator) =
    chain
        [ Conv2d(2, 6, 2, generator = g)
          ReduceMean([ 2 ], keepdim = true)
          Tanh()
          Conv2d(6, 5, 1, generator = g)
          ReduceSum [ -2 ]
          Conv1d(5, 4, 2, generator = g)
          ReduceMax [ 1 ]
          Linear(4, 3, generator = g) ]

let private reductionsOverChannels (g: Generator) =
    chain
        [ Conv2d(2, 6, 2, generator = g)
          ReduceMax([ 1 ], keepdim = true)
          Conv2d(1, 4, 2, generator = g)
          ReduceMean [ 1; -1 ]
          Linear(4, 3, generator = g) ]

let private averagePools (g: Generator) =
    chain
        [ Conv2d(1, 3, 3, padding = 1, generator = g)
          AvgPool2d(Size2(3, 2), Size2(2, 1), Size2(1, 1))
          AvgPool2d(Size2(2, 3), Size2(1, 2), Size2(0, 1), countIncludePad = false)
          AvgPool2d(2, 2, ceilMode = true)
          AdaptiveAvgPool2d 1
          Flatten()
          Linear(3, 3, generator = g) ]

let private maxPools (g: Generator) =
    chain
        [ Conv2d(2, 3, 2, generator = g)
          MaxPool2d(Size2(3, 2), Size2(1, 2), Size2(1, 0))
          MaxPool2d(2, 1, dilation = Size2(2, 1))
          Tanh()
          MaxPool2d(Size2(2, 3), Size2(2, 3), ceilMode = true)
          AdaptiveMaxPool2d 1
          Flatten()
          Linear(3, 4, generator = g) ]

let private unevenPools (g: Generator) =
    chain
        [ Conv2d(1, 3, 2, generator = g)
          AdaptiveAvgPool2d(Size2(5, 4))
          Tanh()
          AdaptiveMaxPool2d(Size2(3, 3))
          Flatten()
          Linear(27, 3, generator = g) ]

let private rows (g: Generator) =
    chain
        [ Conv1d(2, 4, 3, 2, 1, groups = 2, generator = g)
          BatchNorm1d 4
          MaxPool1d(3, 1, 1)
          AvgPool1d(2, 1, 1, countIncludePad = false)
          Tanh()
          Conv1d(4, 3, 2, dilation = 2, bias = false, generator = g)
          AdaptiveAvgPool1d 3
          AvgPool1d(3, 2, 1)
          AdaptiveAvgPool1d 1
          Flatten()
          Linear(3, 3, generator = g) ]

let private straight (g: Generator) =
    chain
        [ Conv2d(2, 4, 2, generator = g)
          LeakyReLU 0.2
          PReLU(4, 0.1)
          Conv2d(4, 3, 2, generator = g)
          Hardswish()
          Hardtanh(-0.4, 0.3)
          Flatten()
          Linear(18, 7, generator = g)
          Hardsigmoid()
          Linear(7, 6, generator = g)
          ReLU6()
          PReLU(init = 0.3)
          Linear(6, 5, generator = g)
          ReLU()
          Linear(5, 3, generator = g) ]

let private smooth (g: Generator) =
    chain
        [ Conv2d(2, 4, 2, generator = g)
          ELU 0.7
          Conv2d(4, 3, 2, generator = g)
          SELU()
          Sigmoid()
          Flatten()
          Linear(18, 7, generator = g)
          Softplus 2
          Tanh()
          Linear(7, 6, generator = g)
          SiLU()
          GELU()
          Linear(6, 5, generator = g)
          Mish()
          Linear(5, 3, generator = g) ]

let private softmax (g: Generator) =
    chain
        [ Conv2d(2, 3, 2, generator = g)
          Softmax 1
          Permute(ReadOnlySpan [| 0; 3; 1; 2 |])
          Reshape(Shape(4, 12))
          LogSoftmax 2
          Flatten()
          Linear(48, 4, generator = g)
          Softmax -1
          Linear(4, 3, generator = g) ]

/// All of them: together they have every layer and join that is written to ONNX, few in each, so that what a GPU refuses is alone.
let all =
    let image = Shape(2, 4, 5)
    [ { Name = "residual, batch norm"; Sample = Shape(2, 9, 8); Build = residual }
      { Name = "joins"; Sample = Shape(2, 9, 6); Build = joins }
      { Name = "mobile"; Sample = Shape(3, 12, 10); Build = mobile }
      { Name = "group norm"; Sample = Shape(2, 5, 6); Build = groupNorms }
      { Name = "layer norm"; Sample = Shape(2, 5, 6); Build = layerNorms }
      { Name = "instance norm"; Sample = Shape(2, 5, 6); Build = instanceNorms }
      { Name = "local response norm"; Sample = image; Build = responseNorms }
      { Name = "transposed convolution"; Sample = Shape(2, 3, 4); Build = transposed }
      { Name = "sizes, nearest"; Sample = image; Build = nearest }
      { Name = "sizes, bilinear"; Sample = image; Build = bilinear }
      { Name = "padding, constant"
        Sample = image
        Build =
          padded
              84
              [ ZeroPad2d(Padding2d(1, 2, 0, 1))
                ConstantPad2d(Padding2d(-2, 1, 3, 0), 0.5)
                ConstantPad2d(Padding2d(1, 0, -3, 0), 0) ] }
      { Name = "padding, reflect"; Sample = image; Build = padded 105 [ ReflectionPad2d(Padding2d(2, 1, 0, 2)) ] }
      { Name = "padding, replicate"; Sample = image; Build = padded 108 [ ReplicationPad2d(Padding2d(3, -1, 1, 2)) ] }
      { Name = "parts"; Sample = Shape(2, 4, 6); Build = parts }
      { Name = "reductions"; Sample = Shape(2, 5, 6); Build = reductions }
      { Name = "reductions over channels"; Sample = Shape(2, 6, 5); Build = reductionsOverChannels }
      { Name = "average pools"; Sample = Shape(1, 7, 6); Build = averagePools }
      { Name = "max pools"; Sample = Shape(2, 9, 13); Build = maxPools }
      { Name = "adaptive pools, uneven"; Sample = Shape(1, 8, 10); Build = unevenPools }
      { Name = "one spatial axis"; Sample = Shape(2, 19); Build = rows }
      { Name = "activations, straight"; Sample = image; Build = straight }
      { Name = "activations, smooth"; Sample = image; Build = smooth }
      { Name = "softmax"; Sample = Shape(2, 5, 5); Build = softmax } ]

/// The network with estimates, scales and shifts that are neither 0 nor 1.
let make (network: Network) =
    let net = network.Build(Generator 21L)
    let random = Generator 22L
    for struct (_, part) in net.NamedModules() do
        match part with
        | :? BatchNorm as norm ->
            for i in 0 .. norm.NumFeatures - 1 do
                norm.RunningMean.AsSpan()[i] <- float32 (0.3 * random.NextNormal())
                norm.RunningVar.AsSpan()[i] <- float32 (0.5 + random.NextDouble())
        | _ -> ()
    for parameter in net.Parameters() do
        let weights = parameter.Value.Data
        if weights |> Array.forall ((=) weights[0]) then
            for i in 0 .. weights.Length - 1 do
                weights[i] <- weights[i] + float32 (0.3 * random.NextNormal())
    net

/// The network and what is read of its export, against ONNX Runtime on the device: every layer, the whole, and where the nodes ran.
let private forward (s: Setup) (network: Network) () =
    let net = (make network).Eval()
    let proto = OnnxExporter.Export(net, network.Sample, network.Name)
    OnnxChecker.Check proto
    let imported = OnnxImporter.Import proto
    let report = ParityValidation.Run(imported, proto, ValidationOptions(Providers = [| "simd" |], Device = s.Device), network.Name)
    let asked = Seq.last report.Devices
    let paths = ParityRow.Worst("random", Seq.sum report.BatchSizes, asked.Paths |> Seq.map _.Row)
    use model = ParityValidation.Load(imported, proto, s.Options false, network.Name)
    let own = ParityRow.Worst("random", 0, Parity.OnRandomInput(net, network.Sample, model))
    let layers = asked.Layers |> Seq.map _.MaxRel |> Seq.max
    let elsewhere = Inference.elsewhere s asked.Placement
    let first =
        match asked.FirstFailing with
        | null -> ""
        | layer -> $"; first at {layer.Name}, {layer.Layer}"
    let where = if elsewhere = "" then $"all {asked.Placement.Count} nodes on {s.Provider}" else $"not on {s.Provider}: {elsewhere}"
    passedIf
        (report.Passed && own.Passed && asked.Placement.Count > 0 && elsewhere = "")
        $"{asked.Layers.Count} layers: worst {scientific layers}; whole {scientific (max own.MaxRel paths.MaxRel)}; {where}{first}"
        (json
            [ "layers", jsonArray [ for layer in asked.Layers -> json [ "name", layer.Name; "layer", layer.Layer; "maxRel", layer.MaxRel ] ]
              "worstLayerMaxRel", layers
              "maxRel", max own.MaxRel paths.MaxRel
              "tolerance", own.Tolerance
              "nodes", asked.Placement.Count
              "operators", jsonArray (asked.Placement |> Seq.map _.OpType |> Seq.distinct) ])

let private gradients (s: Setup) (network: Network) () =
    GradientParity.Gradients(make network, network.Sample, options = s.Options false) |> Training.gradientRow ""

let checks (s: Setup) =
    seq {
        for network in all do
            check $"{network.Name}: every layer" (forward s network)
            if GradientParity.Applies(make network) then check $"{network.Name}: gradients" (gradients s network)
    }
