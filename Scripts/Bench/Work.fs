/// How much a network computes, from its layers.
module OnnxLeNet.Scripts.Bench.Work

open OnnxLeNet.Numerics

/// Floating-point operations of the products for one sample, a multiply-add counting as two.
type Work =
    {
        Forward: float
        /// Forward and backward; no gradient for the network's own input.
        Training: float
    }

/// A network's work on samples of a shape. Everything but the products of convolutions and linear layers is left out: it is a percent.
let ofNetwork (network: Sequential) (sample: Shape) =
    // The input, whether it needs a gradient, and the work so far.
    let rec step (x: Batch, needsGradient: bool, work: Work) (layer: Module) =
        let layerWork flop = { Forward = work.Forward + flop; Training = work.Training + flop * (if needsGradient then 3.0 else 2.0) }
        match layer with
        | :? Sequential as inner -> Seq.fold step (x, needsGradient, work) inner.Chain
        | :? Conv2d as conv ->
            let y = conv.Forward x
            let positions = y.Sample[1] * y.Sample[2]
            y, true, layerWork (2.0 * float positions * float conv.Weight.Value.Data.Length)
        | :? Linear as linear -> linear.Forward x, true, layerWork (2.0 * float linear.Weight.Value.Data.Length)
        | other -> other.Forward x, needsGradient, work
    let _, _, work =
        step (Batch(1, sample, requiresGrad = false), false, { Forward = 0.0; Training = 0.0 }) (network.Eval() :?> Sequential)
    work
