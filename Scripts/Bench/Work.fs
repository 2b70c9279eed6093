/// How much a network computes, from its layers.
module OnnxLeNet.Scripts.Bench.Work

open System
open OnnxLeNet.Numerics

/// Floating-point operations of the products for one sample, a multiply-add counting as two.
type Work =
    {
        Forward: float
        /// Forward and backward; no gradient for the network's own input.
        Training: float
    }

/// A network's work on samples of a shape. Everything but the products of convolutions and linear layers is left out: it is a percent.
let ofNetwork (network: Module) (sample: Shape) =
    let graph = Graph.Trace(network, sample)
    let needs = Collections.Generic.HashSet<Value>(HashIdentity.Reference)
    let step work (node: Node) =
        let flop =
            match node.Layer with
            | :? Conv2d as conv -> 2.0 * float (node.Output.Sample[1] * node.Output.Sample[2]) * float conv.Weight.Value.Data.Length
            | :? Linear as linear -> 2.0 * float linear.Weight.Value.Data.Length
            | _ -> 0.0
        let needsGradient = node.Inputs |> Seq.exists needs.Contains
        if needsGradient || node.Layer.ParameterCount > 0 then
            needs.Add node.Output |> ignore
        { Forward = work.Forward + flop; Training = work.Training + flop * (if needsGradient then 3.0 else 2.0) }
    graph.Nodes |> Seq.fold step { Forward = 0.0; Training = 0.0 }
