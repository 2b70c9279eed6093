/// A small vocabulary for networks, in which sizes that follow are not typed:
///
///     network "Mine" [ conv 32 3 |> same; relu; maxPool 2; residual [ conv 32 3 |> same; batchNorm ]; globalAvgPool; linear 10 ]
///
/// What comes in is known when the network is built for images of a shape. Layers have PyTorch's meaning and defaults.
module OnnxLeNet.Scripts.Network

open OnnxLeNet.Numerics

/// A convolution whose input is not known yet.
type Convolution =
    {
        /// Filters, from the channels that come in.
        Filters: int -> int
        Kernel: Size2
        Stride: Size2
        /// Zeros on each side; None for as many as keep the size at a stride of 1.
        Padding: Size2 option
        Dilation: Size2
        /// Groups, from the channels that come in.
        Groups: int -> int
        Bias: bool
    }

/// A part of a network: given the shape of what comes in and a generator of starting weights, the layers, and the shape of what goes out.
type Part =
    | Conv of Convolution
    | Part of (Shape -> Generator -> Module list * Shape)

/// Layers by their order, with the name that the printed network begins with.
type Network = { Name: string; Parts: Part list }

let private given (what: string) (shape: Shape) rank =
    if shape.Rank <> rank then
        let wanted = if rank = 3 then "images [C, H, W]" else "rows of features"
        raise (ShapeException $"{what} takes {wanted}, and what comes to it is {shape}")

let private buildConv (c: Convolution) (shape: Shape) g : Module list * Shape =
    given "conv" shape 3
    let padding =
        match c.Padding with
        | Some padding -> padding
        | None ->
            let around kernel dilation =
                let all = (kernel - 1) * dilation
                if all % 2 <> 0 then
                    raise (ShapeException $"same: a kernel of {kernel} has no middle; take an odd one, or pad by hand")
                all / 2
            Size2(around c.Kernel.H c.Dilation.H, around c.Kernel.W c.Dilation.W)
    let channels = shape[0]
    let layer =
        Conv2d(channels, c.Filters channels, c.Kernel, c.Stride, padding, c.Dilation, c.Groups channels, c.Bias, generator = g)
    [ layer ], layer.OutputShape shape

let private build part shape g =
    match part with
    | Conv c -> buildConv c shape g
    | Part make -> make shape g

let private buildAll (parts: Part list) (shape: Shape) g =
    (([], shape), parts)
    ||> List.fold (fun (layers, shape) part ->
        let next, shape = build part shape g
        layers @ next, shape)

let private chain (layers: Module list) =
    let chain = Sequential()
    for layer in layers do
        chain.Add layer
    chain

/// One layer, made for what comes in.
let layer (make: Shape -> Generator -> #Layer) =
    Part(fun shape g ->
        let made = make shape g
        [ made :> Module ], made.OutputShape shape)

let private plain (make: unit -> #Layer) = layer (fun _ _ -> make ())

// ---- convolutions ----

/// So many filters of a square kernel, without padding.
let conv filters kernel =
    Conv
        { Filters = fun _ -> filters
          Kernel = Size2 kernel
          Stride = Size2 1
          Padding = Some(Size2 0)
          Dilation = Size2 1
          Groups = fun _ -> 1
          Bias = true }

let private changed what change part =
    match part with
    | Conv c -> Conv(change c)
    | Part _ -> invalidArg what $"{what} changes a convolution: write conv 32 3 |> {what}"

/// As many zeros on each side as keep the size at a stride of 1.
let same part = changed "same" (fun c -> { c with Padding = None }) part

/// So many zeros on each side.
let padded (zeros: int) part = changed "padded" (fun c -> { c with Padding = Some(Size2 zeros) }) part

/// Every so many columns and rows.
let strided (step: int) part = changed "strided" (fun c -> { c with Stride = Size2 step }) part

/// Taps so far apart.
let dilated (distance: int) part = changed "dilated" (fun c -> { c with Dilation = Size2 distance }) part

/// Channels in so many groups, each with filters of its own.
let grouped (groups: int) part = changed "grouped" (fun c -> { c with Groups = fun _ -> groups }) part

/// Without a bias, as before a batch norm, which takes the mean away.
let noBias part = changed "noBias" (fun c -> { c with Bias = false }) part

/// One filter for each channel that comes in, keeping the size.
let depthwise kernel =
    match conv 1 kernel |> same with
    | Conv c -> Conv { c with Filters = id; Groups = id }
    | part -> part

// ---- layers ----

let batchNorm =
    Part(fun shape _ ->
        let norm: Layer = if shape.Rank = 3 then BatchNorm2d shape[0] else BatchNorm1d shape[0]
        [ norm ], norm.OutputShape shape)

let relu = plain ReLU
let relu6 = plain ReLU6
let leakyRelu (slope: float) = plain (fun () -> LeakyReLU slope)
let gelu = plain GELU
let silu = plain SiLU
let sigmoid = plain Sigmoid

/// The hyperbolic tangent as a layer.
let tanh = plain Tanh

let maxPool (size: int) = plain (fun () -> MaxPool2d size)
let avgPool (size: int) = plain (fun () -> AvgPool2d size)
let dropout (p: float) = plain (fun () -> Dropout p)

/// Images as rows of features.
let flatten = plain Flatten

/// The mean of each channel, as a row of features.
let globalAvgPool =
    Part(fun shape _ ->
        given "globalAvgPool" shape 3
        [ AdaptiveAvgPool2d 1; Flatten() ], Shape shape[0])

/// So many features, each a weighted sum of all that come in; images are flattened first.
let linear outputs =
    Part(fun shape g ->
        let row = Shape shape.Count
        let made = Linear(shape.Count, outputs, generator = g)
        (if shape.Rank = 1 then [ made ] else [ Flatten(); made ]), made.OutputShape row)

/// A module of one's own, and the shape that it makes of one.
let custom (make: Shape -> Generator -> Module) (outputOf: Shape -> Shape) =
    Part(fun shape g -> [ make shape g ], outputOf shape)

// ---- joins ----

/// F(x) + x, or with a module in the second's way.
type Residual(body: Module, skip: Module | null) as self =
    inherit Module()
    do
        self.Register("body", body) |> ignore
        match skip with
        | null -> ()
        | skip -> self.Register("skip", skip) |> ignore

    override _.Forward(x: Value) =
        match skip with
        | null -> body.Forward x + x
        | skip -> body.Forward x + skip.Forward x

/// What several modules make of one value, one after the other by channels.
type Branches(modules: Module list) as self =
    inherit Module()
    do
        for i in 0 .. modules.Length - 1 do
            self.Register(string i, modules[i]) |> ignore

    override _.Forward(x: Value) = F.Concat [ for branch in modules -> branch.Forward x ]

/// F(x) + x. Where F changes the size, x goes through a 1×1 convolution with a batch norm, as in ResNet (He et al. 2015, option B).
let residual parts =
    Part(fun (shape: Shape) g ->
        given "residual" shape 3
        let layers, out = buildAll parts shape g
        let skip: Module | null =
            if out = shape then
                null
            else
                let step = Size2((shape[1] + out[1] - 1) / out[1], (shape[2] + out[2] - 1) / out[2])
                let short = Conv2d(shape[0], out[0], Size2 1, step, bias = false, generator = g)
                if short.OutputShape shape <> out then
                    raise (
                        ShapeException
                            $"residual: what comes in is {shape}, what its layers make of it is {out}, and no 1×1 convolution brings one \
                                to the other: keep the size with same, or change it by a stride"
                    )
                chain [ short; BatchNorm2d out[0] ]
        [ Residual(chain layers, skip) ], out)

/// What several lists of layers make of what comes in, their channels one after the other.
let branches (lists: Part list list) =
    Part(fun (shape: Shape) g ->
        given "branches" shape 3
        let built = [ for parts in lists -> buildAll parts shape g ]
        let sizes = [ for _, out in built -> out ]
        if lists.IsEmpty || sizes |> List.exists (fun out -> out.Rank <> 3 || out[1] <> sizes[0][1] || out[2] <> sizes[0][2]) then
            let got = sizes |> List.map string |> String.concat ", "
            raise (ShapeException $"branches: images of one height and width must come out, got {got}")
        let channels = sizes |> List.sumBy (fun out -> out[0])
        [ Branches [ for layers, _ in built -> chain layers ] ], Shape(channels, sizes[0][1], sizes[0][2]))

/// Several parts as one, to be used by a name.
let block parts = Part(buildAll parts)

// ---- the network ----

let network name parts = { Name = name; Parts = parts }

/// The network for samples of a shape, with starting weights from a generator.
let create (sample: Shape) (g: Generator) (network: Network) =
    let net = Sequential network.Name
    for made in fst (buildAll network.Parts sample g) do
        net.Add made
    net
