/// inspect: a model file, a state dict or a checkpoint as a table.
module OnnxLeNet.Scripts.Verbs.Inspect

open System
open System.IO
open System.Collections.Generic
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Cli
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common

let private entries (metadata: IReadOnlyDictionary<string, string>) = [ for entry in metadata -> entry.Key, entry.Value ]

/// A count, or a question mark where it is not known.
let private known (count: Nullable<int64>) = if count.HasValue then $"{count.Value:N0}" else "?"

let private flopsOf (model: ModelSummary) =
    let unknown = model.Nodes |> Seq.filter (fun node -> not node.Flops.HasValue) |> Seq.toList
    match unknown with
    | [] -> known model.Flops
    | first :: _ ->
        let rest = model.Nodes |> Seq.sumBy (fun node -> node.Flops.GetValueOrDefault())
        let many = if unknown.Length > 1 then $" and {unknown.Length - 1} more" else ""
        $"unknown: those of {first.Operator} '{first.Name}'{many} are not known, the rest are {rest:N0}"

/// Whether the engine can import it, and what to know if it can.
let private import out (model: ModelSummary) =
    line out ""
    if model.ImportProblems.Count = 0 then
        line out "the engine can import it"
    else
        line out "the engine cannot import it:"
        for problem in model.ImportProblems do
            line out $"  {problem}"
    for note in model.ImportNotes do
        line out $"  {note}"

let private ofModel out file trusted =
    let model = ModelSummary.Read(file, trusted)
    line out $"{Workspace.display file}   {model.Bytes:N0} bytes   sha256 {model.Sha256}"
    facts
        out
        [ "graph", model.Graph
          if model.Description <> "" then "description", model.Description.Split('\n')[0]
          "producer", model.Producer
          "opset, IR version", String.Join(", ", model.Opsets) + $", {model.IrVersion}"
          for input in model.Inputs do
              "input", input
          for output in model.Outputs do
              "output", output
          "weights", String.Join(", ", model.WeightTypes)
          if model.Quantization <> "" then "quantization", model.Quantization
          "parameters", $"{model.Parameters:N0}"
          "FLOPs per sample", flopsOf model
          for key, value in entries model.Metadata do
              $"metadata {key}", value ]
    line out ""
    // Of a chain every node takes what the one before it returns.
    let chain = model.Nodes |> Seq.forall _.FollowsOn
    let unlessChain cell = if chain then [] else [ cell ]
    table
        out
        ([ "node"; "operator"; "output"; "parameters"; "FLOPs" ]
         @ unlessChain "takes"
         @ [ "weights"; "layer" ])
        [ for node in model.Nodes ->
              // A column adds up to the model's sum: what an earlier node has too counts there.
              let own = node.Parameters - node.SharedParameters
              let shared = if node.SharedWith.Count = 0 then "" else $""" (those of {String.Join(", ", node.SharedWith)})"""
              [ node.Name
                node.Operator
                (if node.OutputType = "" then "?" else node.OutputType)
                (if own = 0L then "" else $"{own:N0}")
                (if node.Flops = Nullable 0L then "" else known node.Flops) ]
              @ unlessChain (if node.FollowsOn then "" else String.Join(", ", node.Inputs))
              @ [ String.Join(" ", node.Weights) + shared; node.Description ] ]
    import out model
    [ "kind", box "onnx"
      "graph", model.Graph
      "producer", model.Producer
      "description", model.Description
      "irVersion", model.IrVersion
      "opsets", jsonArray model.Opsets
      "inputs", jsonArray model.Inputs
      "outputs", jsonArray model.Outputs
      "weightTypes", jsonArray model.WeightTypes
      "quantization", model.Quantization
      "parameters", model.Parameters
      "flops", Option.ofNullable model.Flops |> Option.map box |> Option.toObj
      "import",
      json
          [ "possible", (model.ImportProblems.Count = 0)
            "problems", jsonArray model.ImportProblems
            "notes", jsonArray model.ImportNotes ]
      "metadata", json [ for key, value in entries model.Metadata -> key, box value ]
      "bytes", model.Bytes
      "sha256", model.Sha256
      "nodes",
      jsonArray
          [ for node in model.Nodes ->
                json
                    [ "name", node.Name
                      "operator", node.Operator
                      "output", node.Output
                      "outputType", (if node.OutputType = "" then null else node.OutputType)
                      "parameters", node.Parameters
                      "flops", (if node.Flops.HasValue then box node.Flops.Value else null)
                      "weights", jsonArray node.Weights
                      "inputs", jsonArray node.Inputs
                      if node.SharedWith.Count > 0 then
                          "sharedParameters", node.SharedParameters
                          "sharedWith", jsonArray node.SharedWith
                      "layer", node.Description ] ] ]

let private ofState out file (weights: ModelFile.Weights) =
    let elements = weights.State |> Seq.sumBy (fun entry -> int64 entry.Value.Shape.Count)
    line out $"{Workspace.display file}   {FileInfo(file).Length:N0} bytes   {weights.Kind}"
    facts
        out
        [ "tensors", $"{weights.State.Count:N0}"
          "elements", $"{elements:N0}"
          for key, value in entries weights.Metadata do
              $"metadata {key}", value ]
    line out ""
    table
        out
        [ "tensor"; "type"; "shape"; "elements" ]
        [ for entry in weights.State ->
              [ entry.Key
                (string entry.Value.Type).ToLowerInvariant()
                string entry.Value.Shape
                $"{entry.Value.Shape.Count:N0}" ] ]
    [ "kind", box weights.Kind
      "elements", elements
      "metadata", json [ for key, value in entries weights.Metadata -> key, box value ]
      "notes", jsonArray weights.State.Notes
      "bytes", FileInfo(file).Length
      "tensors",
      jsonArray
          [ for entry in weights.State ->
                json
                    [ "name", entry.Key
                      "type", (string entry.Value.Type).ToLowerInvariant()
                      "shape", jsonArray (entry.Value.Shape.Sizes.ToArray()) ] ] ]

let run (args: Args) =
    let out = output (args.Has Options.quiet)
    args.TryGet Options.json |> Option.iter (Workspace.requireWritableFile "--json")
    let file = StandardInput.named (args.Require Options.source)
    let fields =
        let reading: ModelFile.Reading =
            { Key = args.TryGet Options.key
              AllowNonFinite = args.Has Options.allowNonFinite
              Say = message out }
        match ModelFile.kindOf file with
        | ModelFile.Onnx ->
            ModelFile.refuseReading reading $"{file} is an ONNX model"
            ofModel out file (args.Has Options.trust)
        | _ -> ofState out file (ModelFile.readWeights file reading (fun _ -> None))
    args.TryGet Options.json
    |> Option.iter (fun path -> writeJson path (json (("file", box (Workspace.display file)) :: fields)))
    Exit.done'
