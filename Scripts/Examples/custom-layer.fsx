// A layer of your own: its forward and backward, checked against finite differences, exported to ONNX, and its gradients compared with
// those that ONNX Runtime computes. From the repository's root:
//
//     dotnet build OnnxLeNet.sln -c Release
//     dotnet fsi Scripts/Examples/custom-layer.fsx
//
// Break the backward (leave out a square, say), and see who notices.
#load "../onnxlenet.fsx"

open System
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts.Network
open OnnxLeNet.Scripts.Script

/// y = x/(1 + |x|), so dx = dy/(1 + |x|)².
type Softsign() =
    inherit Activation()

    override _.Apply(x: ReadOnlySpan<float32>, y: Span<float32>) =
        for i in 0 .. x.Length - 1 do
            y[i] <- x[i] / (1f + abs x[i])

    override _.ApplyBackward(x: ReadOnlySpan<float32>, _: ReadOnlySpan<float32>, dy: ReadOnlySpan<float32>, dx: Span<float32>) =
        for i in 0 .. x.Length - 1 do
            let d = 1f + abs x[i]
            dx[i] <- dy[i] / (d * d)

    interface IOnnxForm with
        member _.ToOnnx nodes = nodes.Node("Softsign", [| nodes.Inputs[0] |])

        member _.BackwardToOnnx(nodes, dy) =
            let d = nodes.Inner("d", "Add", [| nodes.Number 1.0; nodes.Inner("abs", "Abs", [| nodes.Inputs[0] |]) |])
            [| nodes.Node("Div", [| dy; nodes.Inner("square", "Mul", [| d; d |]) |]) |]

let data = mnist ()
let net =
    network "Soft" [ conv 8 5; layer (fun _ _ -> Softsign()); maxPool 2; linear 10 ]
    |> create data.Train.Sample (Generator 1L)

let struct (images, _) = data.Train.Take(ReadOnlySpan [| 0 .. 7 |])
let differences = GradientCheck.Run(net, images)
for row in differences do
    printfn $"{ofGradientCheck row}"
let gradients = GradientParity.Gradients(net, data.Train.Sample)
for row in gradients do
    printfn $"{ofGradient row}"

let optimizer = SGD(net.Parameters(), 0.05, momentum = 0.9)
Trainer(net, CrossEntropyLoss(), optimizer).Fit(DataLoader(data.Train, 64, shuffle = true), epochs = 1) |> ignore
printfn $"\naccuracy {accuracy net data.Test:F4} after one epoch"
exit (if Seq.forall (fun (row: GradientCheckRow) -> row.Passed) differences && GradientParity.Passed gradients then 0 else 1)
