/// Document 003: a second backward is an error, and gradients add up until they are made zero.
module OnnxLeNet.Scripts.Walkthroughs.Gradients

open OnnxLeNet.Numerics
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Walkthroughs.Guide

/// Three backwards of y = w·3 + b from a gradient of 1; returns the gradients of w and b after each.
let private threeBackwards guide zero =
    let net = Models.linear1.Build guide.Generator
    let x = Tensor(Shape 1, [| 3f |])
    let y = net.Forward(input (x.Unsqueeze 0))
    show guide $"{x} {TensorText.Format((y.ToTensor()).Squeeze 0, y.GradFn)}"
    [ for _ in 1..3 do
          let _ = net.Forward x
          if zero then net.ZeroGrad()
          net.Backward(Tensor(Shape 1, [| 1f |]), retainGraph = true) |> ignore
          show guide "grads:"
          for p in net.Parameters() do
              show guide (grad p)
          [ for p in net.Parameters() -> grad p ] ]

let run guide =
    heading guide "The network"
    let net = Models.lenet3.Build guide.Generator
    show guide net
    let parameters = List.ofSeq (net.Parameters())
    show guide parameters.Length
    show guide (parameters.Head.Value.Shape.ToTorchString())
    check guide "ten parameters, the first [6, 1, 3, 3]" (parameters.Length = 10 && parameters.Head.Value.Shape = Shape(6, 1, 3, 3))

    heading guide "Input: samples × channels × height × width"
    let x = input (randn guide [ 1; 1; 32; 32 ])
    let out = net.Forward x
    show guide (out.ToTorchString())
    net.ZeroGrad()
    net.Backward(Batch.FromTensor(randn guide [ 1; 10 ])) |> ignore
    check guide "every parameter has a gradient" (parameters |> List.forall (fun p -> not (isNull p.Grad)))

    heading guide "Loss"
    let output = net.Forward x
    let target = (randn guide [ 10 ]).Reshape(1, 10)
    let criterion = MSELoss()
    let loss = criterion.Forward(output, target)
    show guide (TensorText.Scalar(loss, criterion.GradFn))
    show guide criterion.GradFn
    show guide (criterion.GradFn |> next 0)

    heading guide "Backward, and a second time"
    let bias = parameter net "conv1.bias"
    net.ZeroGrad()
    show guide "conv1.bias.grad before backward"
    show guide (grad bias)
    check guide "zeros" (grad bias = "tensor([0., 0., 0., 0., 0., 0.])")
    let dOutput = criterion.Backward()
    net.Backward dOutput |> ignore
    show guide "conv1.bias.grad after backward"
    show guide (grad bias)
    check guide "the backward fills them" (Array.exists ((<>) 0f) (nonNull bias.Grad).Data)
    refused guide "a second backward of the loss" [ "a second time" ] (fun () -> criterion.Backward() |> ignore)
    refused guide "a second backward through the network" [ "a second time" ] (fun () -> net.Backward dOutput |> ignore)
    say guide "unless the graph is retained the first time:"
    let once = (nonNull bias.Grad).Data |> Array.map float |> List.ofArray
    net.ZeroGrad()
    criterion.Forward(net.Forward x, target) |> ignore
    let again = criterion.Backward()
    net.Backward(again, retainGraph = true) |> ignore
    net.Backward again |> ignore
    show guide (grad bias)
    check guide "then the second adds the same once more" (near 1e-6 (once |> List.map ((*) 2.0)) bias.Grad)

    heading guide "Update: weight = weight - 0.01 * gradient, by hand and then by SGD"
    net.ZeroGrad()
    criterion.Forward(net.Forward x, target) |> ignore
    backward criterion net
    update 0.01 net
    let optimizer = SGD(net.Parameters(), lr = 0.01)
    optimizer.ZeroGrad()
    let second = criterion.Forward(net.Forward x, target)
    backward criterion net
    optimizer.Step()
    let third = criterion.Forward(net.Forward x, target)
    say guide $"the loss: {loss:F6}, after the update by hand {second:F6}, after SGD's {third:F6}"
    check guide "each update lowers the loss" (third < second && second < loss)

    heading guide "One weight, one bias, x = 3: without zero_grad, gradients add up"
    let added = threeBackwards guide false
    check
        guide
        "weight 3, 6, 9 and bias 1, 2, 3"
        (added =
            [ [ "tensor([[3.]])"; "tensor([1.])" ]
              [ "tensor([[6.]])"; "tensor([2.])" ]
              [ "tensor([[9.]])"; "tensor([3.])" ] ])

    heading guide "With zero_grad before each backward they do not"
    let apart = threeBackwards guide true
    check guide "weight 3, 3, 3 and bias 1, 1, 1" (apart = List.replicate 3 [ "tensor([[3.]])"; "tensor([1.])" ])

    heading guide "Adding up over two batches is one larger batch"
    let net = Models.lenet3.Build guide.Generator
    let whole, dWhole = randn guide [ 4; 1; 32; 32 ], randn guide [ 4; 10 ]
    let rows (t: Tensor) from =
        let inner = t.Data.Length / 4
        Batch.FromTensor(Tensor((t.Shape.WithoutFirst()).Prepend 2, Array.sub t.Data (from * inner) (2 * inner)))
    let gradients parts =
        net.ZeroGrad()
        for x: Batch, dy: Batch in parts do
            net.Forward x |> ignore
            net.Backward dy |> ignore
        [ for p in net.Parameters() do
              yield! (nonNull p.Grad).Data ]
    let two = gradients [ rows whole 0, rows dWhole 0; rows whole 2, rows dWhole 2 ]
    let one = gradients [ Batch.FromTensor whole, Batch.FromTensor dWhole ]
    let scale = one |> List.map abs |> List.max
    check guide "two backwards of two images, one of four: the \
        same gradients" (List.forall2 (fun a b -> abs (a - b) <= 1e-5f * scale) two one)
