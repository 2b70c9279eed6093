/// What a report's sections hold: the curves of a run, the figures of test images, the network's nodes and how both engines agree.
module OnnxLeNet.Scripts.Report.Sections

open System
open System.Globalization
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts.Runs
open OnnxLeNet.Scripts.Runs.RunFolder
open OnnxLeNet.Scripts.Report.Html
open OnnxLeNet.Scripts.Report.Findings

let private percent share = OnnxLeNet.Scripts.Terminal.percent share
let private scientific x = OnnxLeNet.Scripts.Terminal.scientific x
let invariant (format: string) (x: float) = x.ToString(format, CultureInfo.InvariantCulture)
let fixed4 = invariant "F4"
let count (n: int) = n.ToString("N0", CultureInfo.InvariantCulture)


// ---- training ----

let private heldOutName (run: Run) = if run.Epochs |> List.exists _.Validation.IsSome then "validation" else "test"

let curves (run: Run) =
    let steps = RunFolder.steps run.Folder
    let perEpoch = run.Epochs |> List.tryHead |> Option.map (fun epoch -> float epoch.Step / float epoch.Number)
    let at (step: int64) = perEpoch |> Option.map (fun each -> float step / each) |> Option.defaultValue (float step)
    let x = if perEpoch.IsSome then "epoch" else "update"
    let held = heldOutName run
    let line name style (points: (float * float) list) : Charts.Series = { Name = name; Points = points; Style = style }
    let heldOut value = [ for e in run.Epochs do match e.HeldOut with Some s -> float e.Number, value s | None -> () ]
    let losses, accuracies = heldOut _.Loss, heldOut _.Accuracy
    let trained = [ for e in run.Epochs -> float e.Number, e.TrainLoss ]
    let ends name (points: (float * float) list) =
        match points with
        | [] -> ""
        | _ -> $", {name} from {fixed4 (snd points.Head)} to {fixed4 (snd (List.last points))}"
    let batches = steps |> List.map (fun s -> at s.Number, s.Loss) |> Charts.thinned 300
    let rates = steps |> List.map (fun s -> at s.Number, s.LearningRate) |> Charts.thinned 300
    [ "loss",
      Charts.lines
          ("Loss over the epochs" + ends "training" trained + ends held losses)
          x
          Charts.number
          true
          [ line "batches" "faint" batches; line "training" "strong" trained; line held "dashed" losses ],
      $"Loss: of batches, their mean in each epoch, and of the {held} images after it."
      "accuracy",
      Charts.lines ("Accuracy over the epochs" + ends held accuracies) x percent false [ line held "dashed" accuracies ],
      $"Accuracy on the {held} images after each epoch."
      "learning-rate",
      Charts.lines ("Learning rate over the epochs" + ends "it goes" rates) x Charts.number true [ line "learning rate" "strong" rates ],
      "Learning rate of each update."
      "speed",
      Charts.lines
          "Seconds of each epoch"
          "epoch"
          Charts.number
          true
          [ line "seconds" "strong" [ for e in run.Epochs -> float e.Number, e.Seconds ] ],
      "Seconds of each epoch." ]
    |> List.choose (fun (name, svg, caption) -> svg |> Option.map (fun svg -> name, svg, caption))

let epochTable (run: Run) =
    let held = heldOutName run
    table
        "Every epoch"
        [ "epoch"; "training loss"; held + " loss"; held + " accuracy"; "seconds"; "images/s" ]
        [ for e in run.Epochs ->
              let scores = e.HeldOut |> Option.defaultValue { Loss = nan; Accuracy = nan }
              [ Number(string e.Number)
                Number(fixed4 e.TrainLoss)
                Number(fixed4 scores.Loss)
                Number(percent scores.Accuracy)
                Number(invariant "F2" e.Seconds)
                Number(e.ImagesPerSecond |> Option.map (invariant "N0") |> Option.defaultValue "-") ] ]

/// The histograms of each parameter of two axes or more, and of its gradient: one for each epoch.
let distributions (run: Run) =
    match eventFile run.Folder with
    | None -> []
    | Some path ->
        let epochOf = dict [ for e in run.Epochs -> e.Step, float e.Number ]
        [ for event in TensorBoard.read path do
              for tag, value in event.Values do
                  match value, epochOf.TryGetValue event.Step with
                  | TensorBoard.Histogram h, (true, epoch) -> tag, (epoch, h)
                  | _ -> () ]
        |> List.groupBy fst
        |> List.map (fun (tag, columns) -> tag, List.map snd columns)
        |> List.filter (fun (tag, _) -> tag.EndsWith "weight")
        |> List.map (fun (tag, columns) ->
            let group, name = tag.Split('/')[0], tag[tag.IndexOf '/' + 1 ..]
            let _, last = List.last columns
            let label =
                $"Histograms of the {group} of {name} over {columns.Length} epochs, at the end from {Charts.number last.Min} to \
                    {Charts.number last.Max}"
            group, name, Charts.overTime label name columns)

// ---- images ----

let classTable (f: Findings) (m: ClassificationMetrics) =
    table
        "Each class"
        [ "class"; "images"; "precision"; "recall"; "F1" ]
        [ for c in 0 .. m.Classes - 1 do
              [ Text f.Classes[c]
                Number(count (m.Support c))
                Bar(percent (m.Precision c), m.Precision c)
                Bar(percent (m.Recall c), m.Recall c)
                Bar(percent (m.F1 c), m.F1 c) ]
          [ Text "mean"
            Number(count m.Count)
            Bar(percent m.MacroPrecision, m.MacroPrecision)
            Bar(percent m.MacroRecall, m.MacroRecall)
            Bar(percent m.MacroF1, m.MacroF1) ] ]

let shownMistakes = 24

let mistakes (f: Findings) (images: TestImages) (m: ClassificationMetrics) =
    [ for mistake in Seq.truncate shownMistakes m.Mistakes do
          let words = $"{f.Classes[mistake.Label]} taken for {f.Classes[mistake.Predicted]}"
          tag
              "li"
              []
              [ empty
                    "img"
                    [ "src", Tiles.dataUri (images.Stored.PictureAt mistake.Index)
                      "alt", $"Image {mistake.Index}: {words}" ]
                tag "strong" [] [ text words ]
                tag
                    "div"
                    []
                    [ let certain, right = percent mistake.Probability, percent mistake.LabelProbability
                      text $"{certain} certain; {right} for the label. Image {mistake.Index}" ] ] ]

let confusion (f: Findings) (m: ClassificationMetrics) =
    let counts = [| for l in 0 .. m.Classes - 1 -> [| for p in 0 .. m.Classes - 1 -> m.Confusion(l, p) |] |]
    let label = $"Confusion matrix of {m.Classes} classes: {m.Count - m.Mistakes.Count} of {m.Count} images right"
    Charts.confusion label [ for c in 0 .. m.Classes - 1 -> f.Classes[c] ] counts

/// The first image that is told right, and what the network makes of it layer by layer.
let example (f: Findings) (images: TestImages) (m: ClassificationMetrics) (graph: Graph) =
    let index = Seq.init m.Count id |> Seq.tryFind (fun i -> m.Predicted[i] = images.Taken.Label i) |> Option.defaultValue 0
    let struct (sample, _) = images.Taken.Take(ReadOnlySpan [| index |])
    let name = f.Classes[images.Taken.Label index]
    let picture: Tiles.Tile = { Picture = images.Stored.PictureAt index; Text = $"Test image {index}, of class {name}" }
    picture, Tiles.featureMaps graph sample

// ---- the network ----

let figures (imported: Imported) : GraphPicture.Figures =
    { Microseconds =
        Map
            [ for node in imported.Nodes do
                  match node.Forward, node.Backward with
                  | Some forward, Some backward -> node.Index, forward + backward
                  | _ -> () ]
      Parity =
        Map
            [ for node in imported.Nodes do
                  match node.Parity with
                  | Some layer -> node.Index, ({ MaxRel = layer.MaxRel; Passed = layer.Passed }: GraphPicture.NodeParity)
                  | None -> () ] }

let nodeTable (imported: Imported) =
    let all = imported.Nodes |> List.sumBy (fun n -> defaultArg n.Forward 0.0 + defaultArg n.Backward 0.0)
    let time (t: float option) = t |> Option.map (invariant "F1") |> Option.defaultValue "-" |> Number
    table
        (if imported.Times.IsSome then
             $"Every node; µs of a training step of {imported.Batch} images, summed over threads; of nodes that run as one at the last"
         else
             "Every node")
        [ "node"; "layer"; "output"; "parameters"; "forward"; "backward"; "share"; "relative error" ]
        [ for n in imported.Nodes ->
              let share = if all > 0.0 then (defaultArg n.Forward 0.0 + defaultArg n.Backward 0.0) / all else 0.0
              [ Text n.Name
                Code n.Layer
                Text(string n.Shape)
                Number(if n.Parameters = 0 then "-" else count n.Parameters)
                time n.Forward
                time n.Backward
                (if n.Forward.IsSome then Bar(percent share, share) else Number "-")
                (match n.Parity with
                 | Some layer -> Verdict(layer.Passed, scientific layer.MaxRel)
                 | None -> Number "-") ] ]

let parityTable (f: Findings) (imported: Imported) =
    let device = Seq.last imported.Validation.Devices
    let rows =
        [ for engine, paths in device.Paths |> Seq.groupBy _.Engine do
              ParityRow.Worst($"random, {engine}", (paths |> Seq.distinctBy _.Row.Input |> Seq.sumBy _.Row.Samples), paths |> Seq.map _.Row)
          yield! Option.toList f.OnData ]
    table
        $"The whole network, the engine against ONNX Runtime on {device.Device}"
        [ "input"; "samples"; "largest difference"; "same class"; "relative error" ]
        [ for row in rows ->
              [ Text row.Input
                Number(count row.Samples)
                Number(scientific row.MaxAbs)
                Number(percent row.Top1Agreement)
                Verdict(row.Passed, scientific row.MaxRel) ] ]

let gradientTable (imported: Imported) =
    table
        "Gradients, the engine against the training step in ONNX Runtime: the worst of all inputs"
        [ "gradient of"; "largest difference"; "largest value"; "relative error" ]
        [ for name, rows in GradientParity.LastTries imported.Gradients |> Seq.groupBy _.Name ->
              let worst = rows |> Seq.maxBy (fun row -> if Double.IsNaN row.MaxRel then infinity else row.MaxRel)
              [ Text name
                Number(scientific worst.MaxAbs)
                Number(scientific worst.Largest)
                Verdict(worst.Passed, scientific worst.MaxRel) ] ]

/// Whether all agrees that was compared, in a sentence.
let verdict (f: Findings) (imported: Imported) =
    let layers = imported.Validation.Passed
    let data = f.OnData |> Option.forall _.Passed
    let gradients = imported.Gradients.IsEmpty || GradientParity.Passed imported.Gradients
    let parts =
        [ $"{imported.Nodes.Length} layers", layers
          match f.OnData with
          | Some row -> $"{count row.Samples} test images", data
          | None -> ()
          if not imported.Gradients.IsEmpty then "every gradient", gradients ]
    match parts |> List.filter (snd >> not) with
    | [] ->
        let names = List.map fst parts
        let listed =
            match List.rev names with
            | last :: (_ :: _ as others) -> String.concat ", " (List.rev others) + " and " + last
            | _ -> String.concat "" names
        true, $"✓ The engine and ONNX Runtime give the same results: {listed}."
    | failed ->
        let names = failed |> List.map fst |> String.concat ", "
        false, $"✗ The engine and ONNX Runtime differ: {names}."
