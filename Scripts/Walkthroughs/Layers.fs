/// Document 004: layers and networks by hand, filters on an image, Sequential, losses, optimizers, initialization, saving, devices.
module OnnxLeNet.Scripts.Walkthroughs.Layers

open System.IO
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Walkthroughs.Guide

let private inARow (layers: Module list) =
    let net = Sequential()
    for layer in layers do
        net.Add layer
    net

let private perceptron guide =
    heading guide "A perceptron of layers written by hand: features × m"
    let net = Handwritten.Perceptron(3, 4, 1, guide.Generator)
    show guide net
    for struct (name, p) in net.NamedParameters() do
        show guide $"{name}: {p.Value.Shape.ToTorchString()}"
    let x = randn guide [ 3; 5 ]
    let rows = Tensor(Shape(5, 3), Array.init 15 (fun i -> x[i % 3, i / 3]))
    let out = net.Forward(input rows)
    let columns = (out.ToTensor()).Reshape(1, 5) // one feature: row and column are the same numbers
    show guide (TensorText.Format(columns, out.GradFn))
    check guide "3×5 in, 1×5 out" (columns.Shape = Shape(1, 5))
    show guide (chain out.GradFn)

    heading guide "The same with Linear, which takes m × features and has its bias in a row, given the same numbers"
    let net2 = Models.perceptron.Build guide.Generator
    show guide net2
    for p, q in Seq.zip (net.Parameters()) (net2.Parameters()) do
        p.Value.Data.CopyTo(q.Value.Data, 0)
    let out2 = net2.Forward(Batch.FromTensor rows)
    show guide (out2.ToTorchString())
    let same (a: Tensor) (b: Tensor) = near 1e-5 [ for v in b.Data -> float v ] a
    check guide "both give the same numbers" (same ((out.ToTensor()).Reshape(5, 1)) (out2.ToTensor()))
    say guide "Both backwards, the hand-written one behind a module that transposes, from a gradient of 1 for each output:"
    let ones = Batch.FromTensor(Tensor(Shape(5, 1), Array.create 5 1f))
    net.Forward(Batch.FromTensor rows) |> ignore
    let dx, dx2 = nonNull (net.Backward ones), nonNull (net2.Backward ones)
    for struct (name, p) in net.NamedParameters() do
        show guide $"{name}.grad"
        show guide (grad p)
    check
        guide
        "both give the same gradients"
        (same (dx.ToTensor()) (dx2.ToTensor())
         && Seq.forall2
             (fun (p: Parameter) (q: Parameter) -> same (nonNull p.Grad) ((nonNull q.Grad).Reshape(p.Value.Shape.Sizes.ToArray())))
             (net.Parameters())
             (net2.Parameters()))

let private filters guide =
    heading guide "A sharpening filter on an image"
    let image =
        match guide.Image with
        | Some path -> Pgm.read path
        | None ->
            let path = Path.Combine(guide.Folder, "image.pgm")
            Pgm.write path (Pgm.drawn 200)
            Pgm.read path
    let x = image.Unsqueeze 0
    say guide "One image as a batch, by Unsqueeze(0):"
    show guide (x.Shape.ToTorchString())
    let conv = Models.sharpen.Build guide.Generator
    show guide (conv.Chain[0])
    show guide (Seq.head (conv.Parameters())).Value
    let sharp = conv.Forward x
    show guide (sharp.Shape.ToTorchString())
    let write name (t: Tensor) =
        let path = Path.Combine(guide.Folder, name)
        Pgm.write path (t.Squeeze 0)
        say guide $"{name}, {t.Shape[3]}×{t.Shape[2]} pixels, those out of range clamped to black and white"
        Pgm.read path
    let written = write "sharpen.pgm" sharp
    let h, w = image.Shape[1], image.Shape[2]
    check
        guide
        "without padding two rows and two columns are lost"
        (sharp.Shape = Shape(1, 1, h - 2, w - 2) && written.Shape = Shape(1, h - 2, w - 2))
    let byHand y x =
        let around =
            Seq.sum
                [ for i in 0..2 do
                      for j in 0..2 do
                          if (i, j) <> (1, 1) then float image[0, y + i, x + j] ]
        float image[0, y + 1, x + 1] - around / 9.0
    let places =
        [ for y in 0 .. max 1 ((h - 2) / 7) .. h - 3 do
              for x in 0 .. max 1 ((w - 2) / 5) .. w - 3 -> y, x ]
    check
        guide
        "each pixel less a ninth of its eight neighbours"
        (places |> List.forall (fun (y, x) -> abs (float sharp[0, 0, y, x] - byHand y x) < 1e-5))

    heading guide "Average pooling of the same image"
    let pool = Models.avgPool.Build guide.Generator
    show guide (pool.Chain[0])
    say guide "It has no parameters:"
    show guide $"""[{String.concat ", " (pool.Parameters() |> Seq.map _.ToTorchString())}]"""
    let small = pool.Forward x
    show guide (small.Shape.ToTorchString())
    write "avgpool.pgm" small |> ignore
    check guide "half the size" (small.Shape = Shape(1, 1, h / 2, w / 2) && Seq.isEmpty (pool.Parameters()))
    let mean =
        Seq.average
            [ for i in 0..1 do
                  for j in 0..1 -> float image[0, i, j] ]
    check guide "the mean of 2×2 pixels" (abs (float small[0, 0, 0, 0] - mean) < 1e-6)

let private simpleLayers guide =
    heading guide "Linear: a row is a sample"
    let linear = Linear(3, 4, generator = guide.Generator)
    let output = linear.Forward(input (randn guide [ 2; 3 ]))
    show guide (output.ToTorchString())
    check guide "2×3 in, 2×4 out" (sizeOf output = Shape(2, 4))

    heading guide "Batch normalization keeps large inputs apart"
    let large = Tensor(Shape(2, 1), [| 20f; 20000f |])
    let plain = Tanh().Forward large
    let normalized = (inARow [ BatchNorm1d 1; Tanh() ]).Forward large
    say guide "tanh of 20 and of 20000, without it and behind it:"
    show guide plain
    show guide normalized
    check guide "tanh alone cannot tell them apart" (plain[0, 0] = plain[1, 0] && normalized[0, 0] < -0.7f && normalized[1, 0] > 0.7f)

    heading guide "Dropout(0.5): only in training"
    let dropout = Dropout 0.5
    let ones = Tensor(Shape(2, 8), Array.create 16 1f)
    let dropped = dropout.Forward ones
    show guide dropped
    check
        guide
        "what is left is doubled"
        (dropped.Data |> Array.forall (fun v -> v = 0f || v = 2f)
         && Array.contains 0f dropped.Data
         && Array.contains 2f dropped.Data)
    dropout.Eval() |> ignore
    show guide (dropout.Forward ones)
    check guide "in evaluation nothing is" ((dropout.Forward ones).Data = ones.Data)

    heading guide "ReLU, in place or not"
    let numbers = Tensor(Shape(1, 4), [| -2f; -0.5f; 0f; 3f |])
    let relu = ReLU(inplace = true)
    show guide relu
    show guide (relu.Forward numbers)
    check guide "negative numbers become zero" ((relu.Forward numbers).Data = [| 0f; 0f; 0f; 3f |])

let private sequential guide =
    heading guide "Sequential, by names and by position"
    let x = input (randn guide [ 1; 3; 4; 4 ])
    let net1 = Models.bnSequential.Build guide.Generator
    show guide net1
    let output = net1.Forward x
    show guide ((sizeOf output).ToTorchString())
    check guide "[1, 3, 4, 4] in, [1, 3, 2, 2] out" (sizeOf output = Shape(1, 3, 2, 2))
    let wrong = Models.bnByPosition (BatchNorm1d 3) guide.Generator
    show guide wrong
    say guide "BatchNorm1d does not take what a convolution returns:"
    refused guide "BatchNorm1d after a convolution" [ "1: BatchNorm1d(3"; "[1, 3, 2, 2]" ] (fun () -> wrong.Forward x |> ignore)
    let net2 = Models.bnByPosition (BatchNorm2d 3) guide.Generator
    for p, q in Seq.zip (net1.Parameters()) (net2.Parameters()) do
        p.Value.Data.CopyTo(q.Value.Data, 0)
    check guide "with BatchNorm2d it does, and both ways are the same network" ((net2.Forward x).Values = output.Values)

    heading guide "ModuleList holds modules and runs none"
    let list = ModuleList([ Conv2d(3, 3, 3, generator = guide.Generator) :> Module; ReLU() ])
    show guide list
    refused guide "its forward" [ "call its members" ] (fun () -> list.Forward x |> ignore)
    let y = list |> Seq.fold (fun (x: Batch) layer -> layer.Forward x) x
    check guide "its members run one by one" (sizeOf y = Shape(1, 3, 2, 2))

let private crossEntropy guide =
    heading guide "Cross-entropy: scores and integer labels"
    let score = Batch.FromTensor(randn guide [ 3; 2 ])
    let label = [| 1; 0; 1 |]
    let criterion = CrossEntropyLoss()
    let loss = criterion.Forward(score, label)
    show guide (TensorText.Scalar(loss, criterion.GradFn))
    let byHand =
        Seq.average
            [ for n in 0..2 do
                  let at c = float score.Values[c * 3 + n]
                  log (exp (at 0) + exp (at 1)) - at label[n] ]
    check guide "the mean of log Σ exp − the label's score" (abs (loss - byHand) < 1e-6)
    refused guide "a label that is no integer" [ "integers"; "[3]" ] (fun () ->
        criterion.Forward(score, Tensor(Shape 3, [| 1f; 0f; 1f |])) |> ignore)
    refused guide "a label that is no class" [ "label 1 is 2"; "0 to 1" ] (fun () -> criterion.Forward(score, [| 1; 2; 0 |]) |> ignore)

let private optimizer guide =
    heading guide "A network of two Sequentials, as the document writes it: the second kernel is 6"
    let x batch = input (randn guide [ batch; 3; 32; 32 ])
    let wrong = Models.lenetRgbWithKernel 6 guide.Generator
    show guide wrong
    say guide "A kernel of 6 leaves 16×4×4 = 256 numbers of an image, the classifier takes 16*5*5 = 400:"
    for batch in [ 1; 2; 25 ] do
        refused guide $"a batch of {batch}" [ "0: Linear(in_features=400"; "[400]"; "[256]" ] (fun () -> wrong.Forward(x batch) |> ignore)
    say guide "(25 images have 6400 numbers, which view(-1, 400) in PyTorch makes 16 rows of, without an error.)"
    say guide "With a kernel of 5 they fit:"
    let net = Models.lenetRgb.Build guide.Generator
    let output = net.Forward(x 1)
    show guide (output.ToTorchString())
    check guide "[1, 3, 32, 32] in, [1, 10] out" (sizeOf output = Shape(1, 10))

    heading guide "An optimizer's step, from a gradient that stands in for a loss's: the output itself"
    let sgd = SGD(net.Parameters(), lr = 1.0)
    sgd.ZeroGrad()
    let bias = parameter net "classifier.4.bias"
    let before = bias.Value.Clone()
    net.Backward output |> ignore
    sgd.Step()
    let expected = [ for i in 0..9 -> float before.Data[i] - float output.Values[i] ]
    show guide (bias.ToTorchString())
    check guide "the last bias moves by the output" (near 1e-6 expected bias.Value)
    net

let private groups guide (net: Sequential) =
    heading guide "An optimizer with two groups of parameters"
    let part name = net.Children |> Seq.pick (fun struct (n, m) -> if n = name then Some m else None)
    say guide "The document gives the groups as text, which they cannot be:"
    refused guide "a group given as text" [ "'net.features.parameters()'"; "without quotes" ] (fun () ->
        ParameterGroup.From(dict [ "params", ("net.features.parameters()" :> obj) ]) |> ignore)
    let groups =
        [ ParameterGroup((part "features").Parameters())
          ParameterGroup((part "classifier").Parameters(), lr = 0.01) ]
    let sgd = SGD(groups, lr = 0.001)
    for group in sgd.ParameterGroups do
        show guide $"lr {python group.LearningRate}, {group.Parameters.Count} parameters"
    check guide "a group without a rate takes the \
        optimizer's" ([ for group in sgd.ParameterGroups -> group.LearningRate ] = [ 0.001; 0.01 ])
    let step first last =
        sgd.ZeroGrad()
        net.Backward(net.Forward(input (randn guide [ 1; 3; 32; 32 ]))) |> ignore
        let before = [ for p in net.Parameters() -> p.Value.Clone() ]
        sgd.Step()
        let movedBy rate (p: Parameter, old: Tensor) =
            near 1e-7 [ for was, g in Seq.zip old.Data (nonNull p.Grad).Data -> float was - rate * float g ] p.Value
        let pairs = List.zip (List.ofSeq (net.Parameters())) before
        movedBy first pairs.Head && movedBy last (List.last pairs)
    check guide "each group moves by its own rate" (step 0.001 0.01)
    say guide "A rate changes by a new optimizer, on its group, or by a schedule:"
    sgd.ParameterGroups[0].LearningRate <- 0.002
    check guide "on its group" (step 0.002 0.01)
    let schedule = StepLR(sgd, stepSize = 1, gamma = 0.1)
    schedule.Step()
    for group in sgd.ParameterGroups do
        show guide $"lr {group.LearningRate:G3}"
    check guide "by a schedule, all of them" (step 0.0002 0.001)

let private initialization guide =
    heading guide "Initialization: Xavier's, normal"
    let linear = Linear(3, 4, generator = guide.Generator)
    Init.XavierNormal(linear.Weight.Value, 1.0, guide.Generator)
    show guide (linear.Weight.ToTorchString())
    let large = Linear(300, 400, generator = guide.Generator)
    Init.XavierNormal(large.Weight.Value, 1.0, guide.Generator)
    let std = large.Weight.Value.Data |> Seq.averageBy (fun w -> float w * float w) |> sqrt
    say guide $"Of 400×300 weights the standard deviation is {std:F4}, that of the formula sqrt(2 / (300 + 400)) = {sqrt (2.0 / 700.0):F4}"
    check guide "the deviation is Xavier's, to 1%" (abs (std / sqrt (2.0 / 700.0) - 1.0) < 0.01)

let private trainAndEval guide =
    heading guide "Train and eval reach every module inside"
    let net = inARow [ inARow [ Dropout(); BatchNorm1d 4 ]; Linear(4, 2, generator = guide.Generator) ]
    let modes () = [ for struct (_, m) in net.NamedModules() -> m.Training ]
    net.Eval() |> ignore
    let off = modes ()
    net.Train() |> ignore
    let on = modes ()
    show guide $"""eval: {String.concat " " (off |> List.map string)}"""
    show guide $"""train: {String.concat " " (on |> List.map string)}"""
    check guide "five modules, off and on" (off = List.replicate 5 false && on = List.replicate 5 true)

let private save guide (net: Module) =
    heading guide "Saving net.pth and loading it"
    let path = Path.Combine(guide.Folder, "net.pth")
    PyTorchFile.Write(net.StateDict(), path)
    for name in (net.StateDict()).Names do
        show guide name
    let net2 = Models.lenetRgb.Build guide.Generator
    let x = input (randn guide [ 1; 3; 32; 32 ])
    let differs = (net.Forward x).Values <> (net2.Forward x).Values
    net2.LoadStateDict(PyTorchFile.Read path) |> ignore
    check guide "another network differs, until it loads the file" (differs && (net.Forward x).Values = (net2.Forward x).Values)

let private cuda guide =
    heading guide "cuda(): the GPU, or an error that says what is missing"
    let file = Path.Combine(guide.Folder, "lenet5.onnx")
    OnnxFile.Write(OnnxExporter.Export(Models.lenet5.Build guide.Generator, Models.lenet5.Sample, "lenet5"), file)
    |> ignore
    let outcome =
        try
            use model = OrtModel.Load(file, OrtOptions(Device = OrtDevice.Cuda()))
            Ok model.DeviceName
        with :? MissingPartException as e ->
            Error e.Message
    match outcome with
    | Ok device ->
        show guide $"the model is on {device}"
        check guide "it is on the device that was asked for" (device.StartsWith "cuda:0")
    | Error message ->
        show guide $"error: {message}"
        check guide "a device that is not there is an error, and names what is missing" (message.Contains "cuda:0 cannot be used; \
            missing here")

let private dataParallel guide (net: Sequential) =
    heading guide "Data parallel: a batch split over replicas"
    let x, dy = input (randn guide [ 6; 3; 32; 32 ]), Batch.FromTensor(randn guide [ 6; 10 ])
    let gradients (forward: Batch -> Batch) (backward: Batch -> unit) =
        net.ZeroGrad()
        let y = forward x
        backward dy
        y.Values,
        [ for p in net.Parameters() do
              yield! (nonNull p.Grad).Data ]
    let y, alone = gradients net.Forward (fun dy -> net.Backward dy |> ignore)
    let replicas = DataParallel(net, 2)
    let y2, split = gradients replicas.Forward (fun dy -> replicas.Backward dy |> ignore)
    let close (a: float32 seq) (b: float32 seq) =
        let scale = a |> Seq.map abs |> Seq.max
        Seq.forall2 (fun a b -> abs (a - b) <= 1e-5f * scale) a b
    show guide $"{replicas.Replicas} replicas, {y2.Length / 10} rows gathered"
    check guide "the outputs are gathered and the gradients added up: what the network alone gives" (close y y2 && close alone split)

let run guide =
    perceptron guide
    filters guide
    simpleLayers guide
    sequential guide
    crossEntropy guide
    let net = optimizer guide
    groups guide net
    initialization guide
    trainAndEval guide
    save guide net
    cuda guide
    dataParallel guide net
