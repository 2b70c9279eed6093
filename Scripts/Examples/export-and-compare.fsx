// One network in several forms, each compared with the engine in ONNX Runtime. From the repository's root:
//
//     dotnet build OnnxLeNet.sln -c Release
//     dotnet fsi Scripts/Examples/export-and-compare.fsx
#load "../onnxlenet.fsx"

open System.IO
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts.Script

let test = (mnist ()).Test
let imported = OnnxImporter.Import(modelFile "small-vgg-mnist")
let net = imported.Network.Eval()
let few = test.First 1000
let own = Inference.Logits(net, few)

let forms =
    [ "as it is", ExportOptions()
      "opset 21", ExportOptions(Opset = 21)
      "batch norms folded", ExportOptions(FoldBatchNorm = true)
      "float16 weights", ExportOptions(Float16 = true) ]

let rows =
    [ for name, options in forms do
          let file = scratch "form.onnx"
          OnnxFile.Write(OnnxExporter.Export(net, test.Sample, "form", options = options), file) |> ignore
          use model = OrtModel.Load file
          let struct (row, _) = Parity.OnData(name, own, few, model)
          let bytes, same = FileInfo(file).Length, row.Top1Agreement
          printfn $"{name, -20} {bytes, 9:N0} bytes   largest difference {row.MaxRel:E1}   same class {same:P1}"
          options, row ]

printfn $"\naccuracy {accuracy net few:F4} of the engine"
exit (if rows |> List.forall (fun (options, row) -> options.Float16 || row.Passed) then 0 else 1)
