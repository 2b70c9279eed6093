/// Where the time of a training step goes, node by node.
module OnnxLeNet.Scripts.Bench.Layers

open System.Text.Json.Nodes
open System.Text.RegularExpressions
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Bench.Measure
open OnnxLeNet.Scripts.Terminal

let private batch = 64

/// Values of a batch, forward and backward, that a machine has room for, in numbers.
let private mostValues = 2.5e8

/// What is timed: a network, and so many samples of a batch with their targets.
type Task = { Name: string; Network: Module; Loss: Loss; Data: Dataset; Batch: int; Steps: int; WarmUp: int }

let private lenet5 (setup: Setup) =
    { Name = "lenet5"
      Network = Models.lenet5.Build(Generator 1L)
      Loss = new CrossEntropyLoss()
      Data = (ImageFolder.Load(Workspace.mnistFolder, ImageTransform.Mnist)).Train.First(batch * 10)
      Batch = batch
      Steps = (if setup.Quick then 20 else 1000)
      WarmUp = 20 }

/// Standard normal samples, with labels where the network returns rows of scores and targets of the output's shape elsewhere; as many of
/// both as memory and about ten seconds have room for.
let private onRandom (setup: Setup) name (network: Module) (sample: Shape) =
    let generator = Generator 1L
    let graph = Graph.Trace(network, sample)
    let cost = NetworkCost.Of graph
    let output = graph.Output.Sample
    let size = [ batch; 32; 16; 8; 4 ] |> List.tryFind (fun n -> 2.0 * cost.Elements * float n <= mostValues) |> Option.defaultValue 2
    let random (shape: Shape) =
        let tensor = Tensor(shape)
        for i in 0 .. tensor.Data.Length - 1 do
            tensor.Data[i] <- float32 (generator.NextNormal())
        tensor
    let samples = random (sample.Prepend size)
    let loss, data =
        match GradientParity.LossFor(network, sample) with
        | TrainingLoss.CrossEntropy ->
            new CrossEntropyLoss() :> Loss, TensorDataset(samples, [| for n in 0 .. size - 1 -> n % output[0] |])
        | _ -> new MSELoss() :> Loss, TensorDataset(samples, random (output.Prepend size))
    let steps = (if setup.Quick then 1.0 else 10.0) / cost.Step(float size) |> int |> max 1 |> min 1000
    { Name = name
      Network = network
      Loss = loss
      Data = data
      Batch = size
      Steps = (if setup.Quick then min 20 steps else steps)
      WarmUp = max 1 (min 20 (steps / 4)) }

/// What to time of a network: lenet5 on MNIST, a network of a name or a file on random samples.
let taskOf (setup: Setup) (model: string option) =
    match model with
    | None
    | Some "lenet5" -> lenet5 setup
    | Some file when ModelFile.extensionOf file = ".onnx" ->
        let imported = OnnxImporter.Import file
        imported.RequireSingle()
        onRandom setup (Workspace.display file) imported.Network imported.Sample
    | Some name ->
        let model = Models.get name
        onRandom setup name (model.Build(Generator 1L)) model.Sample

/// A layer's label without its settings: "conv1: Conv2d + ReLU".
let private short (label: string) = Regex.Replace(label, @"\((?:[^()]|\([^()]*\))*\)", "")

let run (setup: Setup) (task: Task) : JsonNode =
    jsonArray
        [ for threads in setup.ThreadCounts do
              progress setup $"layers, {threads} thread(s)"
              let measure () = LayerTimes.Measure(task.Network, task.Loss, task.Data, task.Batch, task.Steps, task.WarmUp)
              let times = withThreads threads measure
              progress setup ""
              let both (row: LayerTime) = row.ForwardMicroseconds + row.BackwardMicroseconds
              let all = times.Rows |> Seq.sumBy both
              let joins = times.Rows |> Seq.exists (fun row -> row.Inputs.Count > 0)
              let ifJoins cell = if joins then [ cell ] else []
              line setup.Out ""
              line
                  setup.Out
                  ($"a training step of {task.Name} at batch {task.Batch}, {threads} thread(s): {fixedPoint 1 times.StepMicroseconds} µs; "
                   + "its parts, µs summed over threads")
              table
                  setup.Out
                  ([ "part"; "forward"; "backward"; "share" ] @ ifJoins "takes")
                  [ for row in times.Rows do
                        yield
                            [ short row.Layer
                              fixedPoint 1 row.ForwardMicroseconds
                              fixedPoint 1 row.BackwardMicroseconds
                              percent (both row / all) ]
                            @ ifJoins (String.concat ", " row.Inputs)
                    yield
                        [ "all"
                          fixedPoint 1 (times.Rows |> Seq.sumBy _.ForwardMicroseconds)
                          fixedPoint 1 (times.Rows |> Seq.sumBy _.BackwardMicroseconds)
                          percent 1.0 ]
                        @ ifJoins "" ]
              json
                  [ "model", task.Name
                    "batch", task.Batch
                    "threads", threads
                    "stepMicroseconds", times.StepMicroseconds
                    "parts",
                    jsonArray
                        [ for row in times.Rows ->
                              json
                                  [ "layer", row.Layer
                                    "inputs", jsonArray row.Inputs
                                    "forwardMicroseconds", row.ForwardMicroseconds
                                    "backwardMicroseconds", row.BackwardMicroseconds ] ] ] ]
