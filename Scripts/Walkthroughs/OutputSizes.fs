/// Document 001: LeNet with 3×3 kernels, one training step, and the formula of output sizes.
module OnnxLeNet.Scripts.Walkthroughs.OutputSizes

open OnnxLeNet.Numerics
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Walkthroughs.Guide

/// The formula before it is rounded down, as the document evaluates it.
let private quotient size kernel stride = float (size + 2 * 0 - 1 * (kernel - 1) - 1) / float stride + 1.0

/// The true size after a square window.
let private after size (kernel: int) (stride: int) =
    let struct (h, _) = (WindowGeometry(kernel, stride, 0, 1)).Output(size, size)
    h

let run guide =
    heading guide "The network"
    let net = Models.lenet3.Build guide.Generator
    show guide net
    let parameters = List.ofSeq (net.Parameters())
    show guide $"({parameters.Length}, {parameters.Head.Value.Shape.ToTorchString()})"
    check guide "ten parameters, the first [6, 1, 3, 3]" (parameters.Length = 10 && parameters.Head.Value.Shape = Shape(6, 1, 3, 3))

    heading guide "Forward, and backward from a random gradient"
    let x = input (randn guide [ 2; 1; 32; 32 ])
    let out = net.Forward x
    show guide (out.ToTorchString())
    net.ZeroGrad()
    net.Backward(Batch.FromTensor(randn guide [ 2; 10 ])) |> ignore
    check guide "every parameter has a gradient" (parameters |> List.forall (fun p -> not (isNull p.Grad)))
    say guide "A single image has no axis for the samples; Unsqueeze(0) gives it one:"
    let image = randn guide [ 1; 32; 32 ]
    refused guide "an image without a batch axis" [ "conv1"; "Unsqueeze(0)"; "Squeeze(0)" ] (fun () -> net.Forward image |> ignore)
    let one = net.Forward(image.Unsqueeze 0)
    show guide (one.Shape.ToTorchString())
    check guide "with it, the image goes through" (one.Shape = Shape(1, 10))

    heading guide "Loss"
    let output = net.Forward x
    let target = randn guide [ 2; 10 ]
    let criterion = MSELoss()
    let loss = criterion.Forward(output, target)
    show guide (TensorText.Scalar(loss, criterion.GradFn))
    show guide criterion.GradFn
    show guide (criterion.GradFn |> next 0)
    say guide "Output and target must have the same shape:"
    refused guide "a target of another shape" [ "[2, 10]"; "[2, 5]" ] (fun () -> MSELoss().Forward(output, randn guide [ 2; 5 ]) |> ignore)

    heading guide "Gradients: zeroed, then of this loss"
    let bias = parameter net "conv1.bias"
    net.ZeroGrad()
    show guide (grad bias)
    check guide "an existing gradient becomes zero" (grad bias = "tensor([0., 0., 0., 0., 0., 0.])")
    backward criterion net
    show guide (grad bias)
    check guide "the backward fills it" (Array.exists ((<>) 0f) (nonNull bias.Grad).Data)

    heading guide "Update: weight = weight - 0.01 * gradient, by hand and then by SGD"
    update 0.01 net
    let optimizer = SGD(net.Parameters(), lr = 0.01)
    optimizer.ZeroGrad()
    let second = criterion.Forward(net.Forward x, target)
    backward criterion net
    optimizer.Step()
    let third = criterion.Forward(net.Forward x, target)
    say guide $"the loss: {loss:F6}, after the update by hand {second:F6}, after SGD's {third:F6}"
    check guide "each update lowers the loss" (third < second && second < loss)

    heading guide "Output sizes: floor((in + 2*padding - dilation*(kernel - 1) - 1)/stride + 1), height and width on their own"
    let expected = [ 30; 15; 13; 6 ]
    let sizes =
        [ 3, 1; 2, 2; 3, 1; 2, 2 ]
        |> List.scan (fun size (kernel, stride) -> after size kernel stride) 32
        |> List.tail
    for (layer, was, kernel, stride), size in List.zip [ "conv1", 32, 3, 1; "pool", 30, 2, 2; "conv2", 15, 3, 1; "pool", 13, 2, 2 ] sizes do
        show guide $"{layer, -5}  ({was} + 2 * 0 - 1 * ({kernel} - 1) - 1) / {stride} + 1 = \
            {python (quotient was kernel stride)}, so {size}"
    say
        guide
        $"The document takes 3 for the pools' kernel, which is 2, and gets {python (quotient 30 3 2)} and {python (quotient 12 3 2)} \
            where 15 and 6 are true; it goes on from 14, to {python (quotient 14 3 1)} where 13 is true."
    let _, seen = trace guide (fun layer -> layer :? MaxPool2d || layer :? Conv2d) net x
    check guide "the network's own sizes are 30, 15, 13, 6" (sizes = expected && (seen |> List.map List.last) = expected)
    say guide "so that fc1 takes 16*6*6 = 576 features"
