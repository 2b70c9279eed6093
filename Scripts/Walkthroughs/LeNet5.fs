/// Document 002: LeNet-5, from the definition to the update of its weights.
module OnnxLeNet.Scripts.Walkthroughs.LeNet5

open OnnxLeNet.Numerics
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Walkthroughs.Guide

let run guide =
    heading guide "1. The network"
    let net = Models.lenet5.Build guide.Generator
    show guide net
    let parameters = List.ofSeq (net.Parameters())
    show guide parameters.Length
    show guide (parameters.Head.Value.Shape.ToTorchString())
    check guide "ten parameters, the first [6, 1, 5, 5]" (parameters.Length = 10 && parameters.Head.Value.Shape = Shape(6, 1, 5, 5))

    heading guide "2. An input of 32×32 goes through"
    let x = input (randn guide [ 1; 1; 32; 32 ])
    let out = net.Forward x
    show guide (out.ToTorchString())
    check guide "one row of ten" (sizeOf out = Shape(1, 10))
    say guide "Gradients to zero, then backward from a random gradient:"
    net.ZeroGrad()
    net.Backward(Batch.FromTensor(randn guide [ 1; 10 ])) |> ignore
    check guide "every parameter has a gradient" (parameters |> List.forall (fun p -> not (isNull p.Grad)))

    heading guide "3. The loss"
    let output = net.Forward x
    let target = (randn guide [ 10 ]).Reshape(1, 10)
    let criterion = MSELoss()
    let loss = criterion.Forward(output, target)
    show guide (TensorText.Scalar(loss, criterion.GradFn))
    say guide "Following grad_fn back shows what was computed:"
    let layers = (nonNull criterion.GradFn).Walk() |> Seq.map (fun step -> (nonNull step.Module).GetType().Name) |> Seq.rev
    let computed = "input -> " + String.concat " -> " layers + " -> loss"
    show guide computed
    check
        guide
        "the document's graph"
        (computed.ToLowerInvariant() =
            "input -> conv2d -> relu -> maxpool2d -> conv2d -> relu -> maxpool2d -> flatten -> linear -> relu -> linear -> relu -> linear \
                -> mseloss -> loss")
    show guide criterion.GradFn
    show guide (criterion.GradFn |> next 0)
    show guide (criterion.GradFn |> next 0 |> next 0)
    say guide "The third is the bias of fc3, where its gradient adds up; ReLU is its neighbour:"
    show guide (criterion.GradFn |> next 0 |> next 1)
    check
        guide
        "MSELoss, Linear, its bias, ReLU"
        ([ criterion.GradFn
           criterion.GradFn |> next 0
           criterion.GradFn |> next 0 |> next 0
           criterion.GradFn |> next 0 |> next 1 ]
         |> List.map string
            =
            [ "<MseLossBackward0>"; "<AddmmBackward0>"; "<AccumulateGrad>"; "<ReluBackward0>" ])

    heading guide "4. Backward: gradients are cleared first, or they would add up"
    let bias = parameter net "conv1.bias"
    net.ZeroGrad()
    show guide "conv1.bias.grad before backward:"
    show guide (grad bias)
    check guide "zeros" (grad bias = "tensor([0., 0., 0., 0., 0., 0.])")
    backward criterion net
    show guide "conv1.bias.grad after backward:"
    show guide (grad bias)
    check guide "the backward fills them" (Array.exists ((<>) 0f) (nonNull bias.Grad).Data)

    heading guide "5. Update: weight = weight - 0.01 * gradient"
    let before = bias.Value.Clone()
    update 0.01 net
    let moved = [ for i in 0..5 -> float before.Data[i] - 0.01 * float (nonNull bias.Grad).Data[i] ]
    check guide "every weight has moved by its gradient" (near 1e-7 moved bias.Value)
    say guide "An optimizer does the same; in a training loop:"
    let optimizer = SGD(net.Parameters(), lr = 0.01)
    let step _ =
        optimizer.ZeroGrad()
        let loss = criterion.Forward(net.Forward x, target)
        backward criterion net
        optimizer.Step()
        loss
    let losses = loss :: List.map step [ 1..5 ]
    losses |> List.map (fun loss -> $"{loss:F6}") |> String.concat "  " |> show guide
    check guide "the loss falls with every step" (losses |> List.pairwise |> List.forall (fun (a, b) -> b < a))
    say guide "Over a data set instead of one random image: dotnet run --project Scripts -c Release -- train --model lenet5"
