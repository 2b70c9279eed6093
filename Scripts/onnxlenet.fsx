// What a script of your own begins with, after `dotnet build OnnxLeNet.sln -c Release`:
//
//     #load "Scripts/onnxlenet.fsx"
//
// In F# Interactive tensors and networks are then printed as PyTorch prints them, and comparisons with a verdict.
#r "bin/Release/net10.0/OnnxLeNet.Numerics.dll"
#r "bin/Release/net10.0/OnnxLeNet.Onnx.dll"
#r "bin/Release/net10.0/OnnxLeNet.Scripts.dll"

open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts

fsi.AddPrinter(fun (tensor: Tensor) -> TensorText.Format tensor)
fsi.AddPrinter(fun (network: Module) -> string network)
fsi.AddPrinter Script.ofParity
fsi.AddPrinter Script.ofGradientCheck
fsi.AddPrinter Script.ofGradient
fsi.AddPrinter(fun (report: ParityReport) -> report.Rows |> Seq.map Script.ofParity |> String.concat "\n")
