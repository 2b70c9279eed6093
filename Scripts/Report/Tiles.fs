/// Numbers as small pictures: learned filters, feature maps, images of a data set.
module OnnxLeNet.Scripts.Report.Tiles

open System
open OnnxLeNet.Numerics

/// A picture, and what it shows in words.
type Tile = { Picture: Picture; Text: string }

let dataUri (picture: Picture) = "data:image/png;base64," + Convert.ToBase64String(PngFile.Encode picture)

/// Numbers of both signs in colour: blue below zero, white at it, orange above.
let private signed (width: int) (height: int) (values: float32 array) =
    let largest = values |> Array.fold (fun most x -> max most (abs x)) 1e-12f
    let toward (colour: int) share = byte (255.0f + (float32 colour - 255.0f) * share)
    let pixel x =
        let share = min 1.0f (abs x / largest)
        let red, green, blue = if x < 0.0f then 31, 92, 184 else 176, 74, 10
        [| toward red share; toward green share; toward blue share |]
    Picture(width, height, 3, Array.collect pixel values)

/// Numbers of one sign as brightness, from black to white.
let private bright (width: int) (height: int) (values: float32 array) =
    let largest = values |> Array.fold (fun most x -> max most (abs x)) 1e-12f
    Picture(width, height, 1, values |> Array.map (fun x -> byte (255.0f * min 1.0f (abs x / largest))))

let private mostFilters, private mostMaps, private mostLayers = 64, 32, 8

/// The filters of the first convolution: of three input channels in colour, else the first channel's weights.
let filters (graph: Graph) =
    let isFilter (parameter: Parameter) =
        let shape = parameter.Value.Shape
        shape.Rank = 4 && shape[2] > 1 && shape[3] > 1
    graph.Nodes
    |> Seq.tryPick (fun node -> node.Layer.Parameters() |> Seq.tryFind isFilter |> Option.map (fun parameter -> node, parameter.Value))
    |> Option.map (fun (node, weight) ->
        let count, channels, height, width = weight.Shape[0], weight.Shape[1], weight.Shape[2], weight.Shape[3]
        let size = height * width
        let channel filter c = weight.Data[(filter * channels + c) * size .. (filter * channels + c + 1) * size - 1]
        let picture filter =
            if channels = 3 then
                let planes = [| for c in 0..2 -> channel filter c |]
                let largest = planes |> Array.concat |> Array.fold (fun most x -> max most (abs x)) 1e-12f
                let level x = byte (127.5f + 127.5f * x / largest)
                Picture(width, height, 3, [| for i in 0 .. size - 1 do for c in 0..2 -> level (planes[c][i]) |])
            else
                signed width height (channel filter 0)
        let name = if node.Name = "" then string node.Layer else node.Name
        let shown = min count mostFilters
        name,
        $"{shown} of the {count} filters of {name}, {height}×{width}" + (if channels > 3 then ", their first channel" else ""),
        [ for filter in 0 .. shown - 1 -> { Picture = picture filter; Text = $"filter {filter}" } ])

/// What one sample becomes layer by layer: the channels of each value worth a look, which no activation or normalization alone takes.
let featureMaps (graph: Graph) (sample: Batch) =
    let uses = graph.Nodes |> Seq.collect (fun node -> node.Inputs |> Seq.map (fun value -> value.Index, node))
    let users = uses |> Seq.groupBy fst |> Map.ofSeq
    let isStep (layer: Leaf) = layer :? Activation || layer :? BatchNorm || layer :? Dropout
    let isHidden (value: Value) =
        match users.TryFind value.Index |> Option.map List.ofSeq with
        | Some [ _, user ] -> isStep user.Layer
        | _ -> false
    /// The names of a node and of those whose results it alone takes: conv1 → ReLU.
    let rec nameOf (node: Node) =
        let kind = node.Layer.GetType().Name
        let isNumber = node.Name |> Seq.forall (fun c -> Char.IsDigit c || c = '.')
        let own = if node.Name = "" then kind elif isNumber then $"{kind} {node.Name}" else node.Name
        match node.Inputs[0].Producer with
        | NonNull before when node.Inputs.Count = 1 && isHidden node.Inputs[0] -> $"{nameOf before} → {own}"
        | _ -> own
    let values = Array.zeroCreate<Batch | null> graph.Values.Count
    values[0] <- sample
    for node in graph.Nodes do
        let inputs = [| for value in node.Inputs -> nonNull values[value.Index] |]
        values[node.Output.Index] <- (Inference.Run(node.Layer, inputs))[0]
    [ for node in graph.Nodes do
          let shape = node.Output.Sample
          if shape.Rank = 3 && shape[1] > 1 && shape[2] > 1 && not (isHidden node.Output) then
              let data = ((nonNull values[node.Output.Index]).ToTensor()).Data
              let size = shape[1] * shape[2]
              let maps = min shape[0] mostMaps
              $"{nameOf node}, {maps} of {shape[0]} channels of {shape[1]}×{shape[2]}",
              [ for c in 0 .. maps - 1 ->
                    { Picture = bright shape[2] shape[1] data[c * size .. (c + 1) * size - 1]
                      Text = $"channel {c}" } ] ]
    |> List.truncate mostLayers
    |> List.mapi (fun i (words, tiles) -> $"{i + 1}. {words}", tiles)
