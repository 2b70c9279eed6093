/// Document 000: a LeNet whose pools are not square, its sizes, loss, gradients, and the update by hand and by SGD.
module OnnxLeNet.Scripts.Walkthroughs.UnevenPools

open OnnxLeNet.Numerics
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Walkthroughs.Guide

// The document's own numbers of conv1.bias: its value, its gradient, and what it prints after each of the two updates.
let private bias = [ -0.1236; -0.1716; 0.0377; -0.0702; 0.0925; 0.1356 ]
let private gradient = [ 0.0102; 0.0076; 0.0060; 0.0119; 0.0033; 0.0005 ]
let private byHand = [ -0.1246; -0.1724; 0.0370; -0.0714; 0.0922; 0.1356 ]
let private bySgd = [ -0.1256; -0.1731; 0.0364; -0.0726; 0.0919; 0.1355 ]

/// Four printed digits, of which two may have been rounded.
let private printed = 1.5e-4

let private sizes =
    [ [| 6; 1; 5; 5 |]
      [| 6 |]
      [| 16; 6; 5; 5 |]
      [| 16 |]
      [| 120; 480 |]
      [| 120 |]
      [| 84; 120 |]
      [| 84 |]
      [| 10; 84 |]
      [| 10 |] ]

let run guide =
    heading guide "The network"
    let net = Models.lenetRect.Build guide.Generator
    show guide net

    heading guide "Its parameters: five layers, each a weight and a bias"
    let parameters = List.ofSeq (net.Parameters())
    show guide parameters.Length
    for p in parameters do
        show guide (p.Value.Shape.ToTorchString())
    check guide "ten parameters of these sizes, in order" (parameters |> List.map (fun p -> p.Value.Shape.Sizes.ToArray()) = sizes)
    say guide "fc1 takes 16*6*5 = 480 features. The document's text says 400, which is 16*5*5; its code and its output have 480."

    heading guide "Forward: the size after each pool, after flattening, after each linear layer"
    let x = input (randn guide [ 2; 1; 32; 32 ])
    let isShown (layer: Module) = layer :? MaxPool2d || layer :? Flatten || layer :? Linear
    let apart, seen = trace guide isShown net x
    let expected = [ [ 2; 6; 28; 14 ]; [ 2; 16; 6; 5 ]; [ 2; 480 ]; [ 2; 120 ]; [ 2; 84 ]; [ 2; 10 ] ]
    check guide "the document's sizes" (seen = expected)
    say guide "Height first: the pool (1, 2) leaves the height 28 and halves the width to 14; (4, 2) makes 24 into 6 and 10 into 5."
    let out = net.Forward x
    show guide (out.ToTorchString())
    check guide "layer by layer and as a whole give the same" (apart.Values = out.Values)

    heading guide "Loss"
    let target = (randn guide [ 20 ]).Reshape(2, 10)
    show guide target
    let criterion = MSELoss()
    let loss = criterion.Forward(out, target)
    show guide (TensorText.Scalar(loss, criterion.GradFn))
    show guide criterion.GradFn
    show guide (criterion.GradFn |> next 0)
    show guide (criterion.GradFn |> next 0 |> next 0)
    say guide "The last one is where fc3's bias collects its gradient; the way to ReLU is next_functions[1]:"
    show guide (criterion.GradFn |> next 0 |> next 1)
    say guide "All the way back to the first layer:"
    show guide (chain criterion.GradFn)

    heading guide "Backward"
    net.ZeroGrad()
    let weight, first = parameter net "conv1.weight", parameter net "conv1.bias"
    show guide "grad before backward"
    show guide (weight.Value.Shape.ToTorchString())
    show guide (grad weight)
    show guide (first.Value.Shape.ToTorchString())
    show guide (grad first)
    check guide "no gradient before the first backward, and ZeroGrad leaves it so" (isNull weight.Grad && isNull first.Grad)
    backward criterion net
    let weightGrad, biasGrad = nonNull weight.Grad, nonNull first.Grad
    show guide "grad after backward"
    show guide (weight.Value.Shape.ToTorchString())
    show guide (weightGrad.Shape.ToTorchString())
    show guide (first.Value.Shape.ToTorchString())
    show guide (biasGrad.Shape.ToTorchString())
    show guide (first.ToTorchString())
    show guide (grad first)
    check guide "a gradient has its parameter's size" (weightGrad.Shape = weight.Value.Shape && biasGrad.Shape = first.Value.Shape)

    heading guide "The document's numbers in their place: conv1.bias and its gradient"
    bias |> List.iteri (fun i value -> first.Value[i] <- float32 value)
    gradient |> List.iteri (fun i value -> biasGrad[i] <- float32 value)
    show guide (first.ToTorchString())
    show guide (grad first)

    heading guide "Update by hand: f -= f.grad * 0.1"
    update 0.1 net
    show guide "conv1.bias.grad after backward and update parameter:"
    show guide (first.ToTorchString())
    show guide (grad first)
    check guide "the document's bias after its first update, to 1.5e-4" (near printed byHand first.Value)

    heading guide "The same update by SGD"
    let optimizer = SGD(net.Parameters(), lr = 0.1)
    optimizer.Step()
    show guide "conv1.bias.grad after sgd"
    show guide (first.ToTorchString())
    show guide (grad first)
    check guide "the document's bias after its second update, to 1.5e-4" (near printed bySgd first.Value)
    check guide "an update leaves the gradient as it is" (near 1e-6 gradient first.Grad)

    heading guide "The document's question: why not 2×2 pools, twice?"
    let square, seenSquare = trace guide (fun layer -> layer :? MaxPool2d) (Models.lenet5.Build guide.Generator) x
    say guide "5×5 at the end, not 6×5. A 5×5 kernel takes 4 off each side before a pool divides it:"
    say guide "(32-4)/1 = 28, (28-4)/4 = 6, but (32-4)/2 = 14, (14-4)/2 = 5."
    check guide "2×2 pools leave 14×14 and 5×5" (seenSquare = [ [ 2; 6; 14; 14 ]; [ 2; 16; 5; 5 ] ] && square.Count = 2)
