/// How numbers are distributed, counted without allocating: the buckets are made once.
module OnnxLeNet.Scripts.Runs.Distribution

open System
open OnnxLeNet.Numerics

/// Buckets of a histogram.
[<Literal>]
let Buckets = 30

type Distribution(name: string) =
    let counts = Array.zeroCreate<float> Buckets
    let mutable least, most, sum, squares = 0.0, 0.0, 0.0, 0.0
    let mutable known = false

    member _.Name = name

    /// Whether something has been counted.
    member _.IsKnown = known

    /// Counts the numbers of a tensor in buckets of one width between the least and the greatest. What is not finite is left out.
    member _.Count(values: float32 array) =
        Array.Clear counts
        least <- Double.PositiveInfinity
        most <- Double.NegativeInfinity
        sum <- 0.0
        squares <- 0.0
        for x in values do
            if Single.IsFinite x then
                let x = float x
                least <- min least x
                most <- max most x
                sum <- sum + x
                squares <- squares + x * x
        known <- least <= most
        let scale = if most > least then float Buckets / (most - least) else 0.0
        for x in values do
            if Single.IsFinite x then
                let bucket = min (Buckets - 1) (int ((float x - least) * scale))
                counts[bucket] <- counts[bucket] + 1.0

    /// As TensorBoard stores it.
    member _.Histogram: TensorBoard.Histogram =
        let width = if most > least then (most - least) / float Buckets else 1.0
        { Min = least
          Max = most
          Sum = sum
          SumOfSquares = squares
          Limits = Array.init Buckets (fun i -> if i = Buckets - 1 && most > least then most else least + width * float (i + 1))
          Counts = Array.copy counts }

/// One for each parameter of a network that has numbers to learn.
let ofParameters (network: Module) =
    [| for struct (name, parameter) in network.NamedParameters() -> parameter, Distribution name |]
