// What a script of one's own begins with, after `dotnet build OnnxLeNet.sln -c Release`:
//
//     #load "Scripts/onnxlenet.fsx"
#r "bin/Release/net10.0/OnnxLeNet.Numerics.dll"
#r "bin/Release/net10.0/OnnxLeNet.Onnx.dll"
#r "bin/Release/net10.0/OnnxLeNet.Scripts.dll"
