/// Where the time of a training step goes, layer by layer.
module OnnxLeNet.Scripts.Bench.Layers

open System.Text.Json.Nodes
open System.Text.RegularExpressions
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Bench.Measure
open OnnxLeNet.Scripts.Terminal

let private batch = 64

/// A layer's label without its settings: "conv1: Conv2d + ReLU".
let private short (label: string) = Regex.Replace(label, @"\((?:[^()]|\([^()]*\))*\)", "")

let run (setup: Setup) : JsonNode =
    let data = (ImageFolder.Load(Workspace.mnistFolder, ImageTransform.Mnist)).Train.First(batch * 10)
    let net = Models.lenet5.Build(Generator 1L)
    let steps = if setup.Quick then 20 else 1000
    jsonArray
        [ for threads in setup.ThreadCounts do
              progress setup $"layers, {threads} thread(s)"
              let times = withThreads threads (fun () -> LayerTimes.Measure(net, data, batch, steps))
              progress setup ""
              let all = times.Rows |> Seq.sumBy (fun row -> row.ForwardMicroseconds + row.BackwardMicroseconds)
              line setup.Out ""
              line
                  setup.Out
                  $"a training step of lenet5 at batch {batch}, {threads} thread(s): {fixedPoint 1 times.StepMicroseconds} µs; its parts, µs summed over threads"
              table
                  setup.Out
                  [ "part"; "forward"; "backward"; "share" ]
                  [ for row in times.Rows ->
                        [ short row.Layer
                          fixedPoint 1 row.ForwardMicroseconds
                          fixedPoint 1 row.BackwardMicroseconds
                          wholePercent ((row.ForwardMicroseconds + row.BackwardMicroseconds) / all) ] ]
              json
                  [ "batch", batch
                    "threads", threads
                    "stepMicroseconds", times.StepMicroseconds
                    "parts",
                    jsonArray
                        [ for row in times.Rows ->
                              json
                                  [ "layer", row.Layer
                                    "forwardMicroseconds", row.ForwardMicroseconds
                                    "backwardMicroseconds", row.BackwardMicroseconds ] ] ] ]
