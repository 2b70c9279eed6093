// A sweep: the same network at several learning rates, one epoch each. From the repository's root:
//
//     dotnet build OnnxLeNet.sln -c Release
//     dotnet fsi Scripts/Examples/learning-rates.fsx
//
// Try other rates, another optimizer, another batch size.
#load "../onnxlenet.fsx"

open OnnxLeNet.Numerics
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Script

let data = mnist ()
let train, held = data.Train.First 20000, data.Train.Slice(50000, 10000) // chosen on training images, not on the test's

let tried =
    [ for rate in [ 0.001; 0.003; 0.01; 0.03; 0.1; 0.3 ] do
          let net = Models.lenet5.Build(Generator 1L)
          let optimizer = SGD(net.Parameters(), rate, momentum = 0.9)
          let result = Trainer(net, CrossEntropyLoss(), optimizer).Fit(DataLoader(train, 64, shuffle = true), epochs = 1)
          let reached = accuracy net held
          let bar = String.replicate (int (40.0 * max 0.0 reached)) "█"
          printfn $"rate {rate, -6} loss {result.Losses[0]:F3}  accuracy {reached:F4}  {bar}"
          rate, reached ]

let rate, best = List.maxBy snd tried
printfn $"\naccuracy {best:F4} at the best rate, {rate}"
