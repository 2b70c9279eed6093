// Import an ONNX file and train on: LeNet-5, which knows upright digits, learns them upside down. From the repository's root:
//
//     dotnet build OnnxLeNet.sln -c Release
//     dotnet fsi Scripts/Examples/train-on.fsx
//
// Name another model, or freeze all layers but the last: FineTuning.Freeze(net, test.Sample, "all-but-head").
#load "../onnxlenet.fsx"

open System
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts.Script

/// The images turned by half a turn: their pixels in the other order.
let turned (images: ImageDataset) count =
    let pixels = [| for n in 0 .. count - 1 do yield! Array.rev (images.PictureAt(n).Pixels) |]
    ImageDataset(images.Stored, ReadOnlyMemory pixels, ReadOnlyMemory [| for n in 0 .. count - 1 -> images.Label n |], images.Transform)

let data = mnist ()
let train, test = turned data.Train 10000, turned data.Test 2000

let imported = OnnxImporter.Import(modelFile "lenet5-mnist")
let net = imported.Network
printfn $"accuracy {accuracy net test:F4} upside down, as it was"

let optimizer = SGD(net.Parameters(), 0.02, momentum = 0.9)
Trainer(net, CrossEntropyLoss(), optimizer).Fit(DataLoader(train, 64, shuffle = true), epochs = 1) |> ignore

let file = scratch "turned.onnx"
OnnxFile.Write(OnnxExporter.Export(net, test.Sample, "turned", imported.Metadata), file)
let model = OrtModel.Load file
let struct (parity, _) = Parity.OnData("upside down", Inference.Logits(net.Eval(), test), test, model)
printfn $"accuracy {accuracy net test:F4} after one epoch of 10,000 images\n{ofParity parity}"
exit (if parity.Passed then 0 else 1)
