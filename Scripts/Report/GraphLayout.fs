/// Places the boxes of a directed acyclic graph in layers from top to bottom, by the steps of Sugiyama, Tagawa and Toda (1981): a layer for
/// each box, an order in each layer that crosses few edges, then coordinates. The longest paths stand straight; what goes around them,
/// such as a residual network's skip connections, runs beside them.
module OnnxLeNet.Scripts.Report.GraphLayout

open System.Collections.Generic

[<Struct>]
type Size = { Width: float; Height: float }

/// An edge's way from its source's bottom to its target's top. Between them it goes straight down at each stop.
type Stop = { X: float; From: float; To: float }

type Layout =
    {
        /// The boxes' centres.
        X: float array
        /// Their upper edges.
        Y: float array
        Routes: Map<int * int, Stop list>
        Width: float
        Height: float
    }

let private gapBetweenBoxes = 28.0
let private gapBesideEdges = 18.0
let private gapBetweenLayers = 36.0
let private sweeps = 24

/// The values nearest to the wanted ones, by weighted squares, that keep their distances: the pool-adjacent-violators algorithm.
let private spread (wanted: float array) (weights: float array) (distances: float array) =
    let offsets = Array.scan (+) 0.0 distances
    let pools = Stack<struct (float * float * int)>() // mean, weight, members
    for i in 0 .. wanted.Length - 1 do
        let mutable mean, weight, members = wanted[i] - offsets[i], weights[i], 1
        while pools.Count > 0 && (let struct (before, _, _) = pools.Peek() in before > mean) do
            let struct (before, w, n) = pools.Pop()
            mean <- (before * w + mean * weight) / (w + weight)
            weight <- weight + w
            members <- members + n
        pools.Push(struct (mean, weight, members))
    let placed = [| for struct (mean, _, members) in Seq.rev pools do yield! Array.replicate members mean |]
    Array.map2 (+) placed offsets

/// The layer of each box: the longest way to it. Boxes are numbered so that edges go from lower numbers to higher ones.
let private depths count (edges: (int * int) list) =
    let depth = Array.zeroCreate<int> count
    for source, target in List.sort edges do
        depth[target] <- max depth[target] (depth[source] + 1)
    depth

/// How often links between two layers cross.
let private crossings (place: int -> int) (links: (int * int) list) =
    let links = links |> List.map (fun (a, b) -> place a, place b) |> List.toArray
    let mutable count = 0
    for i in 0 .. links.Length - 1 do
        for j in 0 .. i - 1 do
            let (a, b), (c, d) = links[i], links[j]
            if (a < c && b > d) || (a > c && b < d) then count <- count + 1
    count

let place (boxes: Size array) (edges: (int * int) list) =
    let edges = List.distinct edges
    let count = boxes.Length
    let depth = depths count edges
    let below = depths count [ for source, target in edges -> count - 1 - target, count - 1 - source ]
    let height box = below[count - 1 - box]

    // An edge over several layers passes a point in each; those of one source share their points.
    let layerOf = List<int> depth
    let points = Dictionary<struct (int * int), int>()
    let pointOf source layer =
        let key = struct (source, layer)
        if not (points.ContainsKey key) then
            points[key] <- layerOf.Count
            layerOf.Add layer
        points[key]
    let ways =
        [ for source, target in edges ->
              (source, target),
              [ source
                for layer in depth[source] + 1 .. depth[target] - 1 do
                    pointOf source layer
                target ] ]
    let links = ways |> List.collect (snd >> List.pairwise) |> List.distinct
    let isBox vertex = vertex < count
    let parents = links |> List.groupBy snd |> List.map (fun (v, links) -> v, List.map fst links) |> dict
    let children = links |> List.groupBy fst |> List.map (fun (v, links) -> v, List.map snd links) |> dict
    let near (neighbours: IDictionary<int, int list>) vertex =
        match neighbours.TryGetValue vertex with
        | true, found -> found
        | _ -> []

    // The order in each layer: by the mean place of the neighbours above, then below, and so on; the best of all is kept.
    let layers = Array.init (Seq.max layerOf + 1) (fun layer -> [ for v in 0 .. layerOf.Count - 1 do if layerOf[v] = layer then v ])
    let linksFrom = links |> List.groupBy (fun (a, _) -> layerOf[a]) |> Map.ofList
    let place = Array.zeroCreate<int> layerOf.Count
    let number layer = layers[layer] |> List.iteri (fun i v -> place[v] <- i)
    let crossed () = linksFrom |> Seq.sumBy (fun from -> crossings (fun v -> place[v]) from.Value)
    Array.iteri (fun layer _ -> number layer) layers
    let mutable best, least = Array.copy layers, crossed ()
    for sweep in 1..8 do
        let neighbours, order = if sweep % 2 = 1 then parents, [ 1 .. layers.Length - 1 ] else children, [ layers.Length - 2 .. -1 .. 0 ]
        for layer in order do
            let mean v =
                match near neighbours v with
                | [] -> float place[v]
                | found -> found |> List.averageBy (fun other -> float place[other])
            layers[layer] <- List.sortBy mean layers[layer]
            number layer
        let now = crossed ()
        if now < least then
            best <- Array.copy layers
            least <- now
    best |> Array.iteri (fun layer order -> layers[layer] <- order)

    // Along the longest ways boxes stand below each other, along the others where there is room.
    let isTight (a, b) = isBox a && isBox b && depth[b] = depth[a] + 1 && height a = height b + 1
    let tight = links |> List.filter isTight |> set
    let onTight = tight |> Seq.collect (fun (a, b) -> [ a; b ]) |> set
    let weight vertex = if onTight.Contains vertex then 1e4 else 1.0
    let width vertex = if isBox vertex then boxes[vertex].Width else 0.0
    let distance (a, b) = (width a + width b) / 2.0 + (if isBox a && isBox b then gapBetweenBoxes else gapBesideEdges)
    let x = Array.zeroCreate<float> layerOf.Count
    let settle (wanted: int -> float) layer =
        let order = List.toArray layers[layer]
        let distances = order |> Array.pairwise |> Array.map distance
        let placed = spread (Array.map wanted order) (Array.map weight order) distances
        Array.iter2 (fun vertex at -> x[vertex] <- at) order placed
    for layer in 0 .. layers.Length - 1 do
        settle (fun _ -> 0.0) layer
    for sweep in 1..sweeps do
        let down = sweep % 2 = 1
        let neighbours = if down then parents else children
        let wanted vertex =
            let all = near neighbours vertex
            let preferred =
                all
                |> List.filter (fun other ->
                    if isBox vertex then
                        tight.Contains(if down then other, vertex else vertex, other)
                    else
                        not (isBox other))
            match preferred, all with
            | [], [] -> x[vertex]
            | [], others
            | others, _ -> others |> List.averageBy (fun other -> x[other])
        let order = [ 0 .. layers.Length - 1 ]
        List.iter (settle wanted) (if down then order else List.rev order)

    let tall layer = layers[layer] |> List.filter isBox |> List.map (fun box -> boxes[box].Height) |> List.max
    let tops = Array.init layers.Length tall |> Array.scan (fun top height -> top + height + gapBetweenLayers) 0.0
    let left = Seq.init layerOf.Count (fun v -> x[v] - width v / 2.0) |> Seq.min
    let right = Seq.init layerOf.Count (fun v -> x[v] + width v / 2.0) |> Seq.max
    let bottom layer = tops[layer] + tall layer
    let stop source target vertex =
        let layer = layerOf[vertex]
        { X = x[vertex] - left
          From = (if vertex = source then tops[layer] + boxes[vertex].Height else tops[layer])
          To = (if vertex = target then tops[layer] else bottom layer) }
    { X = Array.init count (fun box -> x[box] - left)
      Y = Array.init count (fun box -> tops[depth[box]])
      Routes = Map [ for (source, target), way in ways -> (source, target), List.map (stop source target) way ]
      Width = right - left
      Height = bottom (layers.Length - 1) }
