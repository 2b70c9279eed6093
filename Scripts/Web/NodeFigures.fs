/// The graph of a served model with each node's time and how the engine agrees with ONNX Runtime there, as a report has it.
module OnnxLeNet.Scripts.Web.NodeFigures

open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Onnx.Schema
open OnnxLeNet.Scripts.Report
open OnnxLeNet.Scripts.Terminal

type NodeFigures =
    {
        /// The graph with its figures, as SVG.
        Picture: string
        /// Whether the engine and ONNX Runtime agree at every node.
        Passed: bool
        /// That in words, and what the times are of.
        Text: string
    }

/// Samples of a training step that is timed. How long it takes does not depend on what is in them.
let private samples = 64

let private randomData (imported: ImportedModel) =
    let x = (Parity.RandomInputs([ imported.Sample ], [ samples ], 1L, [ false ]) |> Seq.head)[0]
    let classes = (Graph.Trace(imported.Network, imported.Sample)).Outputs[0].Sample.Count
    TensorDataset(x, Array.init samples (fun i -> i % classes)) :> Dataset

/// Compares every node of a network, imported from a file or not, with that file in ONNX Runtime, and times it. Nobody else may use the
/// network meanwhile: timing trains it.
let measure (name: string) (proto: ModelProto) (imported: ImportedModel) =
    let found = Findings.measure ignore name proto imported (Some(randomData imported))
    let compared = found.Nodes |> List.choose _.Parity
    let failed = compared |> List.filter (fun layer -> not layer.Passed)
    let verdict =
        if failed.IsEmpty then
            let largest = compared |> List.map _.MaxRel |> List.fold max 0.0
            $"✓ The engine and ONNX Runtime agree in all {compared.Length} layers, within {scientific largest} of each one's largest value."
        else
            let first = failed.Head
            $"✗ The engine and ONNX Runtime differ in {failed.Length} of {compared.Length} layers, by {scientific first.MaxRel} in the \
                first."
    let times =
        match found.Times with
        | Some _ ->
            $" Times: a training step of {found.Batch} samples, all threads together; layers that run as one have theirs at the last."
        | None -> ""
    { Picture = GraphPicture.svg (Sections.figures found) found.Graph
      Passed = failed.IsEmpty
      Text = verdict + times }
