// A first network: trained on MNIST, exported, and verified in ONNX Runtime. From the repository's root:
//
//     dotnet build OnnxLeNet.sln -c Release
//     dotnet fsi Scripts/Examples/first-network.fsx
//
// Change a layer, add one, and run it again.
#load "../onnxlenet.fsx"

open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts.Network
open OnnxLeNet.Scripts.Script

let data = mnist ()
let net =
    network "First" [ conv 8 5 |> strided 2; relu; conv 16 3; relu; maxPool 2; linear 10 ]
    |> create data.Train.Sample (Generator 1L)
let optimizer = SGD(net.Parameters(), 0.05, momentum = 0.9)
let trainer = Trainer(net, CrossEntropyLoss(), optimizer)
trainer.Fit(DataLoader(data.Train, 64, shuffle = true), epochs = 1) |> ignore

let file = scratch "first.onnx"
OnnxFile.Write(OnnxExporter.Export(net, data.Test.Sample, "first"), file)
let model = OrtModel.Load file
let struct (parity, _) = Parity.OnData("MNIST's test images", Inference.Logits(net.Eval(), data.Test), data.Test, model)
printfn $"{net}\n\naccuracy {accuracy net data.Test:F4} after one epoch\n{ofParity parity}"
exit (if parity.Passed then 0 else 1)
