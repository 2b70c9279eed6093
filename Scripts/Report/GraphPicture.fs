/// A network's graph as a picture: a card for each chain of nodes, a row for each node with its shape and parameters, and where they are
/// known with its time and how the engine agrees with ONNX Runtime there.
module OnnxLeNet.Scripts.Report.GraphPicture

open System.Globalization
open System.Text.RegularExpressions
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts.Report.GraphLayout

/// How a node's output agrees with ONNX Runtime's.
type NodeParity =
    {
        /// The largest relative error.
        MaxRel: float
        Passed: bool
    }

/// What is known of nodes beside what the graph says, by their index; nothing need be.
type Figures =
    {
        /// A node's time. A fused step's is that of its last node.
        Microseconds: Map<int, float>
        Parity: Map<int, NodeParity>
    }

let noFigures = { Microseconds = Map.empty; Parity = Map.empty }

type private Kind =
    | Weights
    | Normalization
    | Activation
    | Pooling
    | Joining
    | Shaping
    | End

type private Row =
    {
        Kind: Kind
        Operator: string
        Detail: string
        /// Its name and shape, then its parameters.
        Lines: string list
        Whole: string
        Microseconds: float option
        Parity: NodeParity option
    }

let private classOf (layer: Leaf) = (string layer).Split('(')[0]

let private isMatrix (parameter: Parameter) = Seq.filter (fun size -> size > 1) (parameter.Value.Shape.Sizes.ToArray()) |> Seq.length > 1

let private kindOf (layer: Leaf) =
    let name = classOf layer
    let isOne (parts: string list) = parts |> List.exists name.Contains
    if layer :? Join then Joining
    elif isOne [ "Norm"; "ScaleShift" ] then Normalization
    elif layer.Parameters() |> Seq.exists isMatrix then Weights
    elif isOne [ "Pool"; "Reduce"; "Mean" ] then Pooling
    elif isOne [ "Flatten"; "Reshape"; "View"; "Permute"; "Pad"; "Slice"; "Select"; "Shuffle"; "Resize"; "Upsample" ] then Shaping
    else Activation

/// The settings that a reader looks for first: `1→6, 5×5, stride 2` of a convolution's, `400→120` of a linear layer's.
let private detailOf (layer: Leaf) =
    let printed = string layer
    let setting key =
        let found = Regex.Match(printed, $@"\b{key}=(\([^)]*\)|[^,)]+)")
        if not found.Success then
            None
        else
            let sizes = found.Groups[1].Value.Trim('(', ')').Split(',') |> Array.map _.Trim() |> Array.filter ((<>) "")
            Some(if sizes |> Array.forall ((=) sizes[0]) then sizes[0] else String.concat "×" sizes)
    let unless (usual: string list) word key =
        setting key |> Option.filter (fun value -> not (List.contains value usual)) |> Option.map (fun value -> $"{word} {value}")
    let square (value: string) = if value.Contains '×' || (classOf layer).EndsWith "1d" then value else $"{value}×{value}"
    let channels =
        match setting "in_features", setting "out_features" with
        | Some i, Some o -> Some $"{i}→{o}"
        | _ ->
            let sizes = Regex.Match(printed, @"^\w+\((\d+), (\d+)")
            if sizes.Success && setting "kernel_size" <> None then
                Some $"{sizes.Groups[1].Value}→{sizes.Groups[2].Value}"
            else
                None
    [ channels
      setting "kernel_size" |> Option.map square
      (if setting "kernel_size" = setting "stride" then None else unless [ "1" ] "stride" "stride")
      unless [ "0" ] "padding" "padding"
      unless [ "1" ] "dilation" "dilation"
      unless [ "1" ] "groups" "groups"
      unless [] "p" "p" ]
    |> List.choose id
    |> String.concat ", "

let private times (shape: Shape) = shape.Sizes.ToArray() |> Seq.map string |> String.concat "×"

let private grouped (count: int) = count.ToString("N0", CultureInfo.InvariantCulture)

let private rowOf (figures: Figures) (node: Node) =
    let parameters = [ for struct (_, parameter) in node.Layer.NamedParameters() -> parameter.Value.Shape ]
    let count = parameters |> List.sumBy _.Count
    let shapes = parameters |> List.map times |> String.concat " + "
    { Kind = kindOf node.Layer
      Operator = classOf node.Layer
      Detail = detailOf node.Layer
      Lines =
        [ (if node.Name = "" then "" else node.Name + " · ") + times node.Output.Sample
          if count > 0 then $"{grouped count} parameters: {shapes}" ]
      Whole = (if node.Name = "" then "" else node.Name + ": ") + $"{node.Layer} → {node.Output.Sample}"
      Microseconds = figures.Microseconds.TryFind node.Index
      Parity = figures.Parity.TryFind node.Index }

/// Nodes that stand in one card: each but the first takes only what the one before it returns, and nothing else does.
let private chains (graph: Graph) =
    let uses = graph.Nodes |> Seq.collect _.Inputs |> Seq.append graph.Outputs |> Seq.countBy _.Index |> Map.ofSeq
    let follows (node: Node) =
        node.Inputs.Count = 1
        && node.Inputs[0].Producer <> null
        && uses[node.Inputs[0].Index] = 1
        && kindOf node.Layer <> Weights
    let cardOf = Array.zeroCreate<int> graph.Values.Count
    let cards = ResizeArray<Node list>()
    for node in graph.Nodes do
        if follows node then
            cardOf[node.Output.Index] <- cardOf[node.Inputs[0].Index]
            cards[cardOf[node.Output.Index]] <- cards[cardOf[node.Output.Index]] @ [ node ]
        else
            cardOf[node.Output.Index] <- cards.Count
            cards.Add [ node ]
    List.ofSeq cards, cardOf

// ---- sizes ----

let private margin = 12.0
let private titleSize = 13.0
let private lineSize = 11.0
let private widest = 320.0

let microseconds (time: float) =
    let rounded = if time >= 1000.0 then $"{time / 1000.0:F1} ms" elif time >= 10.0 then $"{time:F0} µs" else $"{time:F1} µs"
    rounded.Replace(',', '.')

/// A node's parity in a few characters, with a mark that does not depend on colour.
let parityText (parity: NodeParity) =
    let mark = if parity.Passed then "✓" else "✗"
    mark + " " + parity.MaxRel.ToString("0.0e-0", CultureInfo.InvariantCulture)

let private rowHeight (row: Row) = 26.0 + 15.0 * float row.Lines.Length + (if row.Microseconds.IsSome then 4.0 else 0.0)
let private rightOf (row: Row) =
    [ row.Microseconds |> Option.map microseconds; row.Parity |> Option.map parityText ] |> List.map (Option.defaultValue "")

let private rowWidth (row: Row) =
    let title = Svg.widthOf titleSize (row.Operator + "  ") * 1.08 + Svg.widthOf lineSize row.Detail
    let left = title :: [ for line in row.Lines -> Svg.widthOf lineSize line ]
    let right = [ for text in rightOf row -> if text = "" then 0.0 else Svg.widthOf lineSize text + 14.0 ] @ [ 0.0 ]
    List.map2 (+) (List.truncate 3 left) (List.truncate left.Length right) |> List.max |> (+) (2.0 * margin + 4.0)

// ---- drawing ----

let private kindClass kind = "graph-" + (string kind).ToLowerInvariant()

let private drawRow (slowest: float) width top (row: Row) =
    let height = rowHeight row
    let right = rightOf row
    let room i = width - 2.0 * margin - (if right[i] = "" then 0.0 else Svg.widthOf lineSize right[i] + 14.0)
    let operatorWidth = Svg.widthOf titleSize row.Operator * 1.08
    let detail = Svg.fit lineSize (room 0 - operatorWidth - 8.0) row.Detail
    let title =
        Svg.element
            "text"
            [ "x", Svg.at margin; "y", Svg.at (top + 19.0) ]
            (Svg.element "tspan" [ "class", "graph-operator" ] (Svg.escape row.Operator)
             + (if detail = "" then "" else Svg.element "tspan" [ "class", "graph-detail"; "dx", "6" ] (Svg.escape detail)))
    let lines =
        row.Lines
        |> List.mapi (fun i line ->
            let room = if i = 0 then room 1 else width - 2.0 * margin
            Svg.text margin (top + 34.0 + 15.0 * float i) "graph-line" (Svg.fit lineSize room line))
    let figures =
        right
        |> List.mapi (fun i text ->
            let css =
                match i, row.Parity with
                | 1, Some parity -> if parity.Passed then "graph-figure graph-agrees" else "graph-figure graph-differs"
                | _ -> "graph-figure"
            if text = "" then "" else Svg.text (width - margin) (top + 19.0 + 15.0 * float i) css text)
    let share =
        match row.Microseconds with
        | Some time when slowest > 0.0 ->
            let length = (width - 2.0 * margin) * time / slowest
            Svg.rect margin (top + height - 5.0) (max 1.0 length) 3.0 [ "class", "graph-time"; "rx", "1.5" ]
        | _ -> ""
    Svg.element
        "g"
        [ "class", kindClass row.Kind ]
        (Svg.element "title" [] (Svg.escape row.Whole)
         + Svg.rect 0.0 top 4.0 height [ "class", "graph-kind" ]
         + title
         + String.concat "" (lines @ figures)
         + share)

let private drawCard slowest (size: Size) (rows: Row list) =
    let tops = rows |> List.scan (fun top row -> top + rowHeight row) 0.0
    let between = tops |> List.tail |> List.truncate (rows.Length - 1) |> List.map (fun y -> Svg.line 0.0 y size.Width y "graph-between")
    Svg.rect 0.0 0.0 size.Width size.Height [ "class", "graph-card"; "rx", "6" ]
    + String.concat "" (List.map2 (drawRow slowest size.Width) (List.truncate rows.Length tops) rows)
    + String.concat "" between

let private drawEdge (stops: Stop list) =
    let first = List.head stops
    let curve (a: Stop, b: Stop) =
        if abs (a.X - b.X) < 0.5 then
            $"L{Svg.at b.X} {Svg.at b.From}"
        else
            let middle = (a.To + b.From) / 2.0
            $"C{Svg.at a.X} {Svg.at middle} {Svg.at b.X} {Svg.at middle} {Svg.at b.X} {Svg.at b.From}"
    let way =
        [ $"M{Svg.at first.X} {Svg.at first.From}V{Svg.at first.To}"
          for a, b in List.pairwise stops do
              curve (a, b)
              if b.To > b.From then $"V{Svg.at b.To}" ]
    let target = List.last stops
    let x, y = target.X, target.To
    let arrow = $"M{Svg.at x} {Svg.at y}l-4 -7h8z"
    Svg.element "path" [ "class", "graph-edge"; "d", String.concat "" way ] ""
    + Svg.element "path" [ "class", "graph-arrow"; "d", arrow ] ""

/// What the picture looks like, in both themes, with a page's own colours where it names them.
let private style =
    """.graph{--graph-surface:var(--surface,#fff);--graph-line:var(--border,#c3c9d0);--graph-muted:var(--muted,#57606a)}
.graph{--graph-good:var(--good,#116329);--graph-bad:var(--bad,#b3261e);--graph-time:var(--accent,#0969da)}
@media (prefers-color-scheme:dark){.graph{--graph-surface:var(--surface,#161b22);--graph-line:var(--border,#444c56)}
.graph{--graph-muted:var(--muted,#9da7b3);--graph-good:var(--good,#5fd38a);--graph-bad:var(--bad,#ff8a80);--graph-time:var(--accent,#58a6ff)}}
.graph text{font:11px system-ui,sans-serif;fill:currentColor}
.graph .graph-operator{font-weight:600;font-size:13px}.graph .graph-line{fill:var(--graph-muted)}
.graph .graph-figure{text-anchor:end;font-variant-numeric:tabular-nums}
.graph .graph-agrees{fill:var(--graph-good)}.graph .graph-differs{fill:var(--graph-bad);font-weight:700}
.graph-card{fill:var(--graph-surface);stroke:var(--graph-line)}.graph-between{stroke:var(--graph-line);stroke-opacity:.6}
.graph-edge{fill:none;stroke:var(--graph-muted);stroke-width:1.3}.graph-arrow{fill:var(--graph-muted)}
.graph-time{fill:var(--graph-time)}.graph-kind{fill:#8b949e}.graph-weights .graph-kind{fill:#3b76c4}
.graph-normalization .graph-kind{fill:#8a63d2}.graph-activation .graph-kind{fill:#c2552d}.graph-pooling .graph-kind{fill:#2f8f4e}
.graph-joining .graph-kind{fill:#b08800}.graph-end .graph-kind{fill:#57606a}"""

let private ends (graph: Graph) =
    let row operator detail shape =
        { Kind = End
          Operator = operator
          Detail = detail
          Lines = []
          Whole = $"{operator} {shape}"
          Microseconds = None
          Parity = None }
    [ for value in graph.Inputs -> row "Input" (times value.Sample) value.Sample ],
    [ for value in graph.Outputs -> row "Output" (times value.Sample) value.Sample ]

/// The graph as an SVG picture of its own, whose text and lines have the colour of what is around it.
let svg (figures: Figures) (graph: Graph) =
    let nodes, cardOf = chains graph
    let inputs, outputs = ends graph
    let cards =
        List.map List.singleton inputs @ [ for chain in nodes -> List.map (rowOf figures) chain ] @ List.map List.singleton outputs
    let cardOfValue (value: Value) =
        if isNull value.Producer then value.Index else inputs.Length + cardOf[value.Index]
    let edges =
        [ for i, chain in List.indexed nodes do
              for value in chain.Head.Inputs do
                  cardOfValue value, inputs.Length + i
          for i, value in Seq.indexed graph.Outputs do
              cardOfValue value, inputs.Length + nodes.Length + i ]
    let sizes =
        [| for rows in cards ->
               { Width = rows |> List.map rowWidth |> List.max |> min widest
                 Height = List.sumBy rowHeight rows } |]
    let layout = place sizes edges
    let slowest = if figures.Microseconds.IsEmpty then 0.0 else Seq.max figures.Microseconds.Values
    let border = 4.0
    let drawn =
        [ for edge in List.distinct edges do
              drawEdge layout.Routes[edge]
          for i, rows in List.indexed cards do
              let x, y = layout.X[i] - sizes[i].Width / 2.0, layout.Y[i]
              Svg.element "g" [ "transform", $"translate({Svg.at x} {Svg.at y})" ] (drawCard slowest sizes[i] rows) ]
    let shapes (values: Value seq) = values |> Seq.map (fun value -> string value.Sample) |> String.concat ", "
    let label =
        $"The graph: {graph.Nodes.Count} nodes, {grouped graph.Module.ParameterCount} parameters, from {shapes graph.Inputs} \
            to {shapes graph.Outputs}"
    Svg.picture
        "graph"
        label
        (layout.Width + 2.0 * border)
        (layout.Height + 2.0 * border)
        (Svg.element "style" [] style
         + Svg.element "g" [ "transform", $"translate({Svg.at border} {Svg.at border})" ] (String.concat "" drawn))
