/// The networks by name: each a chain of layers, the way its document writes it.
module OnnxLeNet.Scripts.Models

open OnnxLeNet.Numerics

type Model =
    {
        Name: string
        /// The shape of one input sample, [C, H, W] or [F].
        Sample: Shape
        /// Builds the network with starting weights from a generator.
        Build: Generator -> Sequential
    }

    /// Whether `train` can train it: images in, a row of class scores out, and something to learn.
    member model.Trains =
        let net = model.Build(Generator 0L)
        model.Sample.Rank = 3
        && net.ParameterCount > 0
        && (net.Forward(Batch(1, model.Sample, requiresGrad = false))).Sample.Rank = 1

let private named name (layer: Module) (net: Sequential) =
    net.Add(name, layer)
    net
let private call (layer: Module) (net: Sequential) =
    net.AddFunction layer
    net
let private add (layer: Module) (net: Sequential) =
    net.Add layer
    net

/// LeNet-5 (LeCun et al. 1998) as PyTorch's tutorial has it: ReLU and max pooling, three linear layers.
let lenet5 =
    { Name = "lenet5"
      Sample = Shape(1, 32, 32)
      Build =
        fun g ->
            Sequential "Net"
            |> named "conv1" (Conv2d(1, 6, 5, generator = g))
            |> call (ReLU())
            |> call (MaxPool2d 2)
            |> named "conv2" (Conv2d(6, 16, 5, generator = g))
            |> call (ReLU())
            |> call (MaxPool2d 2)
            |> call (Flatten())
            |> named "fc1" (Linear(16 * 5 * 5, 120, generator = g))
            |> call (ReLU())
            |> named "fc2" (Linear(120, 84, generator = g))
            |> call (ReLU())
            |> named "fc3" (Linear(84, 10, generator = g)) }

/// The same with 3×3 kernels, which leave 6×6 for the first linear layer.
let lenet3 =
    { Name = "lenet3"
      Sample = Shape(1, 32, 32)
      Build =
        fun g ->
            Sequential "Net"
            |> named "conv1" (Conv2d(1, 6, 3, generator = g))
            |> call (ReLU())
            |> call (MaxPool2d(Size2(2, 2)))
            |> named "conv2" (Conv2d(6, 16, 3, generator = g))
            |> call (ReLU())
            |> call (MaxPool2d 2)
            |> call (Flatten())
            |> named "fc1" (Linear(16 * 6 * 6, 120, generator = g))
            |> call (ReLU())
            |> named "fc2" (Linear(120, 84, generator = g))
            |> call (ReLU())
            |> named "fc3" (Linear(84, 10, generator = g)) }

/// The same with 5×5 kernels and pools that are not square: (1, 2) halves the width only, (4, 2) quarters the height.
let lenetRect =
    { Name = "lenet-rect"
      Sample = Shape(1, 32, 32)
      Build =
        fun g ->
            Sequential "Net"
            |> named "conv1" (Conv2d(1, 6, 5, generator = g))
            |> call (ReLU())
            |> call (MaxPool2d(Size2(1, 2)))
            |> named "conv2" (Conv2d(6, 16, 5, generator = g))
            |> call (ReLU())
            |> call (MaxPool2d(Size2(4, 2)))
            |> call (Flatten())
            |> named "fc1" (Linear(16 * 6 * 5, 120, generator = g))
            |> call (ReLU())
            |> named "fc2" (Linear(120, 84, generator = g))
            |> call (ReLU())
            |> named "fc3" (Linear(84, 10, generator = g)) }

/// A network for colour images of two nested Sequentials. A second kernel of 6 leaves 4×4 where the classifier takes 5×5: its first layer
/// then refuses any batch.
let lenetRgbWithKernel (second: int) (g: Generator) =
    Sequential "Net"
    |> named
        "features"
        (Sequential()
         |> add (Conv2d(3, 6, 5, generator = g))
         |> add (ReLU())
         |> add (MaxPool2d(2, 2))
         |> add (Conv2d(6, 16, second, generator = g))
         |> add (ReLU())
         |> add (MaxPool2d(2, 2)))
    |> call (Flatten())
    |> named
        "classifier"
        (Sequential()
         |> add (Linear(16 * 5 * 5, 120, generator = g))
         |> add (ReLU())
         |> add (Linear(120, 84, generator = g))
         |> add (ReLU())
         |> add (Linear(84, 10, generator = g)))

/// The network for colour images, with the kernel that fits.
let lenetRgb = { Name = "lenet-rgb"; Sample = Shape(3, 32, 32); Build = lenetRgbWithKernel 5 }

/// Three features, four hidden ones, one result.
let perceptron =
    { Name = "perceptron"
      Sample = Shape 3
      Build =
        fun g ->
            Sequential "Perceptron"
            |> named "layer1" (Linear(3, 4, generator = g))
            |> call (Sigmoid())
            |> named "layer2" (Linear(4, 1, generator = g)) }

/// One weight and one bias: gradients that can be checked in one's head.
let linear1 =
    { Name = "linear1"
      Sample = Shape 1
      Build = fun g -> Sequential "Net" |> named "fc" (Linear(1, 1, generator = g)) }

/// A 3×3 filter that sharpens: 1 in the middle, −1/9 around it. Grey images of any size; the sample's is one of them.
let sharpen =
    { Name = "sharpen"
      Sample = Shape(1, 200, 200)
      Build =
        fun g ->
            let conv = Conv2d(1, 1, Size2(3, 3), 1, bias = false, generator = g)
            System.Array.Fill(conv.Weight.Value.Data, -1f / 9f)
            conv.Weight.Value[0, 0, 1, 1] <- 1f
            Sequential() |> named "conv" conv }

/// The mean of every 2×2 pixels; nothing to learn.
let avgPool =
    { Name = "avgpool"
      Sample = Shape(1, 200, 200)
      Build = fun _ -> Sequential() |> named "pool" (AvgPool2d(2, 2)) }

/// A Sequential built by names, one at a time.
let bnSequential =
    { Name = "bn-sequential"
      Sample = Shape(3, 4, 4)
      Build =
        fun g ->
            Sequential()
            |> named "conv" (Conv2d(3, 3, 3, generator = g))
            |> named "bn" (BatchNorm2d 3)
            |> named "activation" (ReLU()) }

/// The same by position, with any normalization in the middle: BatchNorm1d does not fit behind a convolution, and says so.
let bnByPosition (normalization: Module) (g: Generator) =
    Sequential() |> add (Conv2d(3, 3, 3, generator = g)) |> add normalization |> add (ReLU())

/// The layers that images of a shape need otherwise, made anew: a convolution for their channels, a linear layer for as many features as
/// come to it. What the chain returns of them.
let rec private fit (g: Generator) (chain: Sequential) (sample: Shape) : Shape =
    let nameOf (layer: Module) =
        chain.Children
        |> Seq.pick (fun struct (name, child) -> if obj.ReferenceEquals(child, layer) then Some name else None)
    Seq.toArray chain.Chain
    |> Array.fold
        (fun (shape: Shape) layer ->
            match layer with
            | :? Sequential as inner -> fit g inner shape
            | :? Conv2d as conv when shape.Rank = 3 && conv.InChannels <> shape[0] && conv.Groups = 1 ->
                let w = conv.Geometry
                let bias = not (isNull conv.Bias)
                let made =
                    Conv2d(shape[0], conv.OutChannels, w.Kernel, w.Stride, w.Padding, w.Dilation, 1, bias, g, w.PaddingEnd)
                chain.Replace(nameOf layer, made)
                made.OutputShape shape
            | :? Linear as linear when shape.Rank = 1 && linear.InFeatures <> shape[0] ->
                let made = Linear(shape[0], linear.OutFeatures, bias = not (isNull linear.Bias), generator = g)
                chain.Replace(nameOf layer, made)
                made.OutputShape shape
            | _ -> (layer.Forward(Batch(1, shape, requiresGrad = false))).Sample)
        sample

/// The model for images of another shape: layers that cannot take them are made anew, after all other starting weights.
let taking (sample: Shape) (model: Model) =
    if sample = model.Sample then
        model
    else
        { model with
            Sample = sample
            Build =
                fun g ->
                    let net = model.Build g
                    net.Eval() |> ignore
                    fit g net sample |> ignore
                    net.Train() |> ignore
                    net }

/// The name of a model's last layer and how many outputs it has.
let lastLayer (model: Model) =
    let head = FineTuning.Head(model.Build(Generator 0L), model.Sample)
    if head.HasValue then
        let struct (name, layer) = head.Value
        Some(name, FineTuning.OutputsOf layer)
    else
        None

/// The model with so many outputs: its last layer is made anew where it has others, after all other starting weights.
let sizedTo (outputs: int) (model: Model) =
    match lastLayer model with
    | Some(_, own) when own = outputs -> model
    | None ->
        let wanted = $"a linear layer or a 1×1 convolution that could have {outputs} outputs"
        raise (OnnxLeNetException $"{model.Name} does not end in {wanted}")
    | Some _ ->
        { model with
            Build =
                fun g ->
                    let net = model.Build g
                    FineTuning.ReplaceHead(net, model.Sample, outputs, g) |> ignore
                    net }

/// The name of a chain's first convolution.
let rec private firstConv (path: string) (net: Sequential) =
    net.Children
    |> Seq.tryPick (fun struct (name, layer) ->
        match layer with
        | :? Conv2d -> Some(path + name)
        | :? Sequential as inner -> firstConv $"{path}{name}." inner
        | _ -> None)

/// The model for images of as many channels as the state dict's first convolution takes.
let private channelsLike (state: StateDict) (model: Model) =
    match firstConv "" (model.Build(Generator 0L)) with
    | Some name when model.Sample.Rank = 3 ->
        match state.TryGetValue $"{name}.weight" with
        | true, weight when weight.Shape.Rank = 4 -> taking (Shape(weight.Shape[1], model.Sample[1], model.Sample[2])) model
        | _ -> model
    | _ -> model

/// The model with as many outputs as the state dict's last layer has, where that is a row of weights for each, and its channels.
let sizedLike (state: StateDict) (model: Model) =
    let model = channelsLike state model
    match lastLayer model with
    | Some(name, outputs) ->
        match state.TryGetValue $"{name}.weight" with
        | true, weight when weight.Shape.Rank >= 2 && weight.Shape[0] <> outputs -> sizedTo weight.Shape[0] model
        | _ -> model
    | None -> model

/// A network of the vocabulary, for samples of a shape.
let ofNetwork name sample (network: Network.Network) =
    { Name = name; Sample = sample; Build = fun g -> Network.create sample g network }

/// The architectures of Zoo, for MNIST's images.
let zoo =
    [ "lenet5-1998", Zoo.LeNet5Of1998.net
      "small-vgg", Zoo.SmallVgg.net
      "resnet20", Zoo.ResNet20.net
      "small-mobilenet", Zoo.SmallMobileNet.net
      "small-squeezenet", Zoo.SmallSqueezeNet.net
      "all-cnn", Zoo.AllConvolutional.net ]
    |> List.map (fun (name, net) -> ofNetwork name (Shape(1, 32, 32)) net)

/// Those that `train` can train.
let classifiers = [ lenet5; lenet3; lenetRect; lenetRgb ] @ zoo

let all = classifiers @ [ perceptron; linear1; sharpen; avgPool; bnSequential ]

let private names (models: Model seq) = models |> Seq.map _.Name |> String.concat ", "

/// The model of that name among those that are wanted, or an error that lists these.
let private named' (wanted: Model list) name =
    match all |> List.tryFind (fun m -> m.Name = name) with
    | Some model -> model
    | None ->
        let nearest = Cli.Nearest.question [ for m in wanted -> m.Name ] name
        invalidArg "model" $"there is no model '{name}'{nearest}: choose one of {names wanted}"

/// The model of that name, or an error that lists the names there are.
let get name = named' all name

/// The model, if it can be trained, or an error that lists those of the project that can be.
let trained (model: Model) =
    if model.Trains then
        model
    else
        invalidArg "model" $"'{model.Name}' is no classifier of images that can be trained: choose one of {names classifiers}"

/// The model of that name to be trained, or an error that lists those that can be.
let find name = named' classifiers name |> trained
