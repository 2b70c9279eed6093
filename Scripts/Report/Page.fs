/// The report as one HTML page, which needs nothing beside itself: no script, no network.
module OnnxLeNet.Scripts.Report.Page

open System
open System.Globalization
open System.IO
open System.Text.Json.Nodes
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Runs
open OnnxLeNet.Scripts.Runs.RunFolder
open OnnxLeNet.Scripts.Report.Html
open OnnxLeNet.Scripts.Report.Findings
open OnnxLeNet.Scripts.Report.Sections

/// A plot of the page that --plots writes as a file too.
type Plot =
    | Drawing of name: string * svg: string
    | Photo of name: string * Picture

/// By this a report is known as one.
[<Literal>]
let Marker = "<!-- OnnxLeNet report -->"

let private style =
    """
main{max-width:1080px;margin:0 auto;padding:24px 16px 64px}
header h1{margin:8px 0 0;font-size:1.9rem}header p{margin:4px 0;color:var(--muted)}
nav{position:sticky;top:0;background:var(--page);border-bottom:1px solid var(--border);z-index:1}
nav ul{display:flex;flex-wrap:wrap;gap:2px 18px;list-style:none;max-width:1080px;margin:0 auto;padding:10px 16px}
section{margin-top:44px;scroll-margin-top:52px}h2{margin:0 0 12px;font-size:1.35rem}h3{margin:24px 0 8px;font-size:1.05rem}
.key{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:20px 0 0}
.key div{background:var(--surface);border:1px solid var(--border);border-radius:var(--radius);padding:12px 14px}
.key dt{color:var(--muted);font-size:.85rem}.key dd{margin:2px 0 0;font-size:1.35rem;font-weight:650;font-variant-numeric:tabular-nums}
.key small{display:block;font-size:.8rem;font-weight:400;color:var(--muted)}
.verdict{margin:18px 0 0;padding:10px 14px;border-left:4px solid var(--good);background:var(--surface);border-radius:4px}
.verdict.bad{border-color:var(--bad)}.good{color:var(--good)}.bad{color:var(--bad)}
.row{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:16px}
.few{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,270px),1fr));gap:12px}
figure{margin:0;background:var(--surface);border:1px solid var(--border);border-radius:var(--radius);padding:12px;min-width:0}
figure svg{display:block;max-width:100%;height:auto;margin:0 auto}figcaption{margin-top:8px;color:var(--muted);font-size:.88rem}
.scroll{overflow-x:auto;margin:12px 0}table{border-collapse:collapse;width:100%;font-size:.9rem}
caption{text-align:left;color:var(--muted);padding:0 0 6px}th{text-align:left;font-weight:600;border-bottom:2px solid var(--border)}
th,td{padding:5px 10px;vertical-align:top}td{border-bottom:1px solid var(--border)}td code{overflow-wrap:anywhere}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.bar{background:linear-gradient(to right,color-mix(in srgb,var(--accent) 18%,transparent) var(--share),transparent var(--share))}
.tiles{display:flex;flex-wrap:wrap;gap:6px;margin:8px 0}.tiles img{image-rendering:pixelated;border:1px solid var(--border);width:auto}
.filters img{height:52px}.maps img{height:56px}.example img{height:112px}
.mistakes{display:grid;grid-template-columns:repeat(auto-fill,minmax(130px,1fr));gap:12px;padding:0;margin:12px 0;list-style:none}
.mistakes li{background:var(--surface);border:1px solid var(--border);border-radius:var(--radius);padding:10px;font-size:.85rem}
.mistakes img{display:block;width:100%;height:110px;object-fit:contain;image-rendering:pixelated;margin-bottom:6px}
.graph-frame{overflow:auto;max-height:85vh;background:var(--sunken);text-align:center}.graph-frame svg{max-width:none;display:inline-block}
pre{background:var(--sunken);border:1px solid var(--border);border-radius:6px;padding:10px 12px;overflow-x:auto}
details{margin:12px 0}summary{cursor:pointer}
footer{margin-top:56px;color:var(--muted);font-size:.85rem}
@media print{
  @page{margin:14mm}body{font-size:10pt}nav{display:none}main{max-width:none;padding:0}section{margin-top:24px}
  *{print-color-adjust:exact;-webkit-print-color-adjust:exact}
  figure,tr,.mistakes li,.key div{break-inside:avoid}h2,h3,caption{break-after:avoid}.scroll,.graph-frame{overflow:visible;max-height:none}
  .graph-frame{break-inside:auto;background:none;border:0}.graph-frame svg{max-width:100%}
  details::details-content{content-visibility:visible;block-size:auto}
  .row{grid-template-columns:1fr 1fr}.few{grid-template-columns:repeat(3,1fr)}
}"""

let key (name: string) (value: string) (more: string) =
    tag "div" [] [ tag "dt" [] [ text name ]; tag "dd" [] [ text value; if more <> "" then tag "small" [] [ text more ] ] ]

/// A sentence in a box: that all is well, or what is not.
let note (good: bool) (sentence: string) = tag "p" [ "class", (if good then "verdict" else "verdict bad") ] [ text sentence ]

/// A page of sections, each with its id, its name in the links on top, and its content; empty ones are left out.
let frame (theme: string) (title: string) (about: string) (first: string list) (sections: (string * string * string list) list) =
    let sections = sections |> List.filter (fun (_, _, content) -> not content.IsEmpty)
    let links = [ for id, name, _ in sections -> tag "li" [] [ tag "a" [ "href", "#" + id ] [ text name ] ] ]
    "<!doctype html>\n"
    + Marker
    + "\n"
    + tag
        "html"
        [ "lang", "en" ]
        [ tag
              "head"
              []
              [ empty "meta" [ "charset", "utf-8" ]
                empty "meta" [ "name", "viewport"; "content", "width=device-width, initial-scale=1" ]
                empty "meta" [ "name", "color-scheme"; "content", "light dark" ]
                tag "title" [] [ text title ]
                tag "style" [] [ theme; style; Charts.style ] ]
          tag
              "body"
              []
              [ tag "nav" [ "aria-label", "Sections" ] [ tag "ul" [] links ]
                tag
                    "main"
                    []
                    (tag "header" [] [ tag "h1" [] [ text title ]; tag "p" [] [ text about ] ]
                     :: first
                     @ (sections |> List.collect (fun (_, _, content) -> content))
                     @ [ tag "footer" [] [ p "Written by onnxlenet." ] ]) ] ]
    + "\n"

// ---- the page ----

let rec private settingRows prefix (node: JsonObject) =
    [ for entry in node do
          let name = if prefix = "" then entry.Key else $"{prefix}.{entry.Key}"
          match entry.Value with
          | :? JsonObject as inner -> yield! settingRows name inner
          | :? JsonArray as items -> [ Text name; Text(items |> Seq.map string |> String.concat ", ") ]
          | null -> ()
          | value -> [ Text name; Text(string value) ] ]

let private shownSettings = [ "layers"; "command"; "optionsTyped"; "version" ]

/// The page of a run, of what was found of its model, or of both; and its plots.
let make (theme: string) (title: string) (run: Run option) (found: Findings option) =
    let plots = ResizeArray<Plot>()
    let drawing name svg =
        plots.Add(Drawing(name, svg))
        svg
    let imported = found |> Option.bind _.Imported
    let training =
        match run with
        | Some run when run.Epochs.Length > 0 || not (RunFolder.steps run.Folder).IsEmpty ->
            [ section
                  "training"
                  "Training"
                  [ tag "div" [ "class", "row" ] [ for name, svg, caption in curves run -> figure "" (drawing name svg) caption ]
                    if not run.Epochs.IsEmpty then
                        tag "details" [] [ tag "summary" [] [ text "Every epoch as a table" ]; epochTable run ] ] ]
        | _ -> []
    let images =
        match found with
        | Some({ Metrics = Some m; Images = Some images } as f) ->
            m.Mistakes
            |> Seq.truncate shownMistakes
            |> Seq.iteri (fun i mistake -> plots.Add(Photo($"mistake-{i + 1}", images.Stored.PictureAt mistake.Index)))
            [ section
                  "images"
                  "Test images"
                  [ p (
                        $"{count m.Count} test images of {images.Name}: {count m.Mistakes.Count} wrong. Loss {fixed4 m.Loss}, \
                            calibration error {Terminal.percent m.CalibrationError}"
                        + (if m.Classes > 5 then $", the right class among the first five {Terminal.percent (m.TopAccuracy 5)}." else ".")
                    )
                    tag
                        "div"
                        [ "class", "row" ]
                        [ figure "" (drawing "confusion" (confusion f m)) "Confusion matrix: blue is right, orange wrong, darker the more."
                          classTable f m ]
                    if m.Mistakes.Count > 0 then
                        tag "h3" [] [ text "The most certain mistakes" ]
                        tag "ul" [ "class", "mistakes" ] (mistakes f images m) ] ]
        | _ -> []
    let learned =
        match found, imported with
        | Some f, Some imported ->
            let filters =
                match Tiles.filters imported.Graph with
                | Some(name, words, pictures) ->
                    pictures |> List.iteri (fun i tile -> plots.Add(Photo($"filter-{name}-{i}", tile.Picture)))
                    [ tag "h3" [] [ text "Learned filters" ]; p $"{words}: blue below zero, orange above."; tiles "filters" words pictures ]
                | None -> []
            let maps =
                match f.Metrics, f.Images with
                | Some m, Some images ->
                    let picture, layers = example f images m imported.Graph
                    [ if not layers.IsEmpty then
                          tag "h3" [] [ text "What the layers make of an image" ]
                          p picture.Text
                          tiles "example" picture.Text [ picture ]
                          for words, pictures in layers do
                              let layer = words[.. words.IndexOf ',' - 1]
                              pictures |> List.iteri (fun i tile -> plots.Add(Photo($"map-{layer}-{i}", tile.Picture)))
                              tag "h4" [] [ text words ]
                              tiles "maps" words pictures ]
                | _ -> []
            match filters @ maps with
            | [] -> []
            | content -> [ section "learned" "What it has learned" content ]
        | _ -> []
    let weights =
        match run |> Option.map distributions |> Option.defaultValue [] with
        | [] -> []
        | all ->
            [ section
                  "weights"
                  "Weights and gradients over time"
                  [ p "A column for each epoch, dark where many numbers lie. Gradients are those of an epoch's last update."
                    for group, pictures in all |> List.groupBy (fun (group, _, _) -> group) do
                        let heading = if group = "weights" then "Weights" else "Gradients"
                        tag "h3" [] [ text heading ]
                        tag
                            "div"
                            [ "class", "few" ]
                            [ for _, name, svg in pictures -> figure "" (drawing $"{group}-{name}" svg) "" ] ] ]
    let graph =
        match imported with
        | Some imported ->
            let svg = GraphPicture.svg (figures imported) imported.Graph
            plots.Add(Drawing("graph", svg))
            [ section
                  "graph"
                  "The network"
                  [ p "Each row is a node: what it returns, its parameters, its share of the time as a bar, and how far the engine is from \
                        ONNX Runtime there."
                    tag
                        "figure"
                        [ "class", "graph-frame"; "tabindex", "0"; "role", "region"; "aria-label", "The graph, which scrolls" ]
                        [ svg ]
                    nodeTable imported ] ]
        | None -> []
    let agreement =
        match found, imported with
        | Some f, Some imported ->
            [ section
                  "agreement"
                  "Engine and ONNX Runtime"
                  [ parityTable f imported; if not imported.Gradients.IsEmpty then gradientTable imported ] ]
        | _ -> []
    let settings =
        match run with
        | Some run ->
            let environment = file run.Folder RunFolder.Environment
            let shown (node: JsonObject) =
                settingRows "" node
                |> List.filter (function
                    | Text name :: _ -> not (List.contains name shownSettings)
                    | _ -> true)
            [ section
                  "settings"
                  "Settings"
                  [ p "The command that repeats it:"
                    tag "pre" [] [ text (run.Text "command") ]
                    tag
                        "div"
                        [ "class", "row" ]
                        [ table "What was asked" [ "setting"; "value" ] (shown run.Settings)
                          if File.Exists environment then
                              table "What it ran on" [ "part"; "value" ] (shown (readJson environment)) ] ] ]
        | None ->
            match found with
            | Some f ->
                [ section
                      "settings"
                      "The file"
                      [ table
                            "What the file says"
                            [ "key"; "value" ]
                            [ [ Text "file"; Text(string (Path.GetFileName f.File)) ]
                              [ Text "SHA-256"; Code f.Summary.Sha256 ]
                              [ Text "producer"; Text f.Summary.Producer ]
                              [ Text "opsets"; Text(String.Join(", ", f.Summary.Opsets)) ]
                              [ Text "inputs"; Text(String.Join(", ", f.Summary.Inputs)) ]
                              [ Text "outputs"; Text(String.Join(", ", f.Summary.Outputs)) ]
                              for entry in f.Summary.Metadata do
                                  [ Text entry.Key; Text entry.Value ] ] ] ]
            | None -> []
    let keys =
        [ match found |> Option.bind _.Metrics with
          | Some m ->
              key "Test accuracy" (Terminal.percent m.Accuracy) $"{count m.Mistakes.Count} of {count m.Count} wrong"
              key "Test loss" (fixed4 m.Loss) "cross-entropy"
          | None -> ()
          match found with
          | Some f ->
              key "Parameters" (f.Summary.Parameters.ToString("N0", CultureInfo.InvariantCulture)) $"{f.Summary.Nodes.Count} nodes"
              key "File" (invariant "N0" (float f.Summary.Bytes / 1000.0) + " KB") $"opset {Seq.head f.Summary.Opsets}"
          | None -> ()
          match run with
          | Some run when not run.Epochs.IsEmpty ->
              let mean = run.Epochs |> List.averageBy _.Seconds
              let speed = run.Epochs |> List.choose _.ImagesPerSecond
              key
                  "Per epoch"
                  (invariant "F2" mean + " s")
                  (if speed.IsEmpty then "" else $"""{invariant "N0" (List.average speed)} images/s, {run.Epochs.Length} epochs""")
          | _ -> () ]
    let about =
        match run with
        | Some run ->
            let why =
                match run.State with
                | Failed why when why <> "" -> $": {why}"
                | _ -> ""
            $"""Run {run.Name}, {string run.State}{why}. Begun {run.Started.ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture)}."""
        | None -> found |> Option.map (fun f -> $"Model {Path.GetFileName f.File}") |> Option.defaultValue ""
    let sections =
        [ "training", "Training", training
          "images", "Test images", images
          "learned", "Learned", learned
          "weights", "Weights", weights
          "graph", "Network", graph
          "agreement", "ONNX Runtime", agreement
          "settings", "Settings", settings ]
    let judged =
        match found, imported with
        | Some f, Some imported ->
            let agrees, sentence = verdict f imported
            [ note agrees sentence ]
        | _ -> []
    let missing =
        [ for why in found |> Option.map _.Missing |> Option.defaultValue [] do
              note false why
          if found.IsNone then note false "The run has no model yet: no epoch was complete." ]
    frame theme title about (tag "dl" [ "class", "key" ] keys :: judged @ missing) sections, List.ofSeq plots
