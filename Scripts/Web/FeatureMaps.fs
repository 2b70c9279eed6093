/// What the layers of a network make of a picture, as bytes that a page can show.
module OnnxLeNet.Scripts.Web.FeatureMaps

open System
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx

/// The output of a layer.
type LayerMaps =
    {
        /// The layer's name; of a convolution that an activation follows, its name too.
        Name: string
        /// The shape of the whole output.
        Shape: int array
        /// How many of its channels are here, of this height and width each.
        Maps: int
        Height: int
        Width: int
        /// A byte for each element, row after row, map after map, in base64: 255 is the largest absolute value.
        Pixels: string
    }

/// More of a network is not shown: layers, their channels, the side of a map, and the numbers of a layer without maps.
let private mostLayers, private mostMaps, private mostSide, private mostNumbers = 12, 32, 56, 300

/// Its name, unless that is a mere number.
let private named (node: Node) = if Seq.exists Char.IsLetter node.Name then node.Name else node.Layer.GetType().Name

/// The outputs worth a look: not those that one layer alone takes that works element by element, nor another view of the same numbers.
let private shownOf (graph: Graph) =
    let users = graph.Nodes |> Seq.collect (fun node -> node.Inputs |> Seq.map (fun value -> value.Index, node)) |> Seq.toArray
    let usersOf (value: Value) = users |> Array.filter (fun (index, _) -> index = value.Index) |> Array.map snd
    let isStep (layer: Leaf) = layer :? Activation || layer :? BatchNorm || layer :? Dropout
    let hidden (node: Node) =
        match usersOf node.Output with
        | [| user |] -> isStep user.Layer && user.Inputs.Count = 1
        | _ -> false
    /// The names of a node and of those that its output hides.
    let rec nameOf (node: Node) =
        match (if isStep node.Layer then node.Inputs[0].Producer |> Option.ofObj else None) with
        | Some before when hidden before -> $"{nameOf before} → {named node}"
        | _ -> named node
    [ for node in graph.Nodes do
          let size = node.Output.Sample
          if not (hidden node || node.Layer :? View) && (size.Rank = 3 || size.Rank = 1) && size.Count > 1 then
              node.Output.Index, nameOf node ]
    |> List.truncate mostLayers

let private layerMaps name (shape: Shape) (values: float32 array) =
    let isMap = shape.Rank = 3 && shape[1] * shape[2] > 1
    let channels, height, width = if isMap then shape[0], shape[1], shape[2] else 1, 1, min shape[0] mostNumbers
    let maps = min channels mostMaps
    let every = if isMap then (max height width + mostSide - 1) / mostSide else 1
    let shownHeight, shownWidth = (height + every - 1) / every, (width + every - 1) / every
    let mutable largest = 0f
    for value in values do
        largest <- max largest (abs value)
    let factor = if largest > 0f && Single.IsFinite largest then 255f / largest else 0f
    let pixels = Array.zeroCreate<byte> (maps * shownHeight * shownWidth)
    let mutable next = 0
    for map in 0 .. maps - 1 do
        for row in 0..every .. height - 1 do
            for column in 0..every .. width - 1 do
                pixels[next] <- byte (MathF.Round(factor * abs values[(map * height + row) * width + column]))
                next <- next + 1
    { Name = name
      Shape = shape.Sizes.ToArray()
      Maps = maps
      Height = shownHeight
      Width = shownWidth
      Pixels = Convert.ToBase64String pixels }

/// Runs a network node by node and keeps what is shown.
type FeatureMaps(model: ImportedModel) =
    let graph = Graph.Trace(model.Network, model.Sample)
    let shown = dict (shownOf graph)
    let lastUse =
        [| for value in graph.Values ->
               graph.Nodes |> Seq.filter (fun node -> Seq.contains value node.Inputs) |> Seq.fold (fun _ node -> node.Index) -1 |]

    /// The layers' outputs for a sample, as the network takes it.
    member _.Of(x: float32 array) =
        let values: Batch option array = Array.create graph.Values.Count None
        values[0] <- Some(Batch.FromTensor(Tensor(model.Sample.Prepend 1, x), requiresGrad = false))
        [| for node in graph.Nodes do
               let y = Inference.Run(node.Layer, [| for value in node.Inputs -> values[value.Index].Value |])[0]
               values[node.Output.Index] <- Some y
               for value in node.Inputs do
                   if lastUse[value.Index] = node.Index then values[value.Index] <- None
               match shown.TryGetValue node.Output.Index with
               | true, name -> layerMaps name node.Output.Sample y.Values // of one sample: row-major
               | _ -> () |]
