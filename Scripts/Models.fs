/// The networks by name: each a chain of layers, the way its document writes it.
module OnnxLeNet.Scripts.Models

open OnnxLeNet.Numerics

type Model =
    {
        Name: string
        /// The shape of one input sample, [C, H, W].
        Sample: Shape
        /// Builds the network with starting weights from a generator.
        Build: Generator -> Sequential
    }

let private named name (layer: Module) (net: Sequential) =
    net.Add(name, layer)
    net
let private call (layer: Module) (net: Sequential) =
    net.AddFunction layer
    net

/// LeNet-5 (LeCun et al. 1998) as PyTorch's tutorial has it: ReLU and max pooling, three linear layers.
let lenet5 =
    { Name = "lenet5"
      Sample = Shape(1, 32, 32)
      Build =
        fun g ->
            Sequential "Net"
            |> named "conv1" (Conv2d(1, 6, 5, generator = g))
            |> call (ReLU())
            |> call (MaxPool2d 2)
            |> named "conv2" (Conv2d(6, 16, 5, generator = g))
            |> call (ReLU())
            |> call (MaxPool2d 2)
            |> call (Flatten())
            |> named "fc1" (Linear(16 * 5 * 5, 120, generator = g))
            |> call (ReLU())
            |> named "fc2" (Linear(120, 84, generator = g))
            |> call (ReLU())
            |> named "fc3" (Linear(84, 10, generator = g)) }

let all = [ lenet5 ]

/// The model of that name, or an error that lists the names there are.
let find name =
    match all |> List.tryFind (fun m -> m.Name = name) with
    | Some model -> model
    | None -> invalidArg "model" $"""there is no model '{name}': choose one of {all |> List.map _.Name |> String.concat ", "}"""
