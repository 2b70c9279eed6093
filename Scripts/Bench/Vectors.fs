/// Math.NET's operations on vectors: the SIMD provider against the managed one.
module OnnxLeNet.Scripts.Bench.Vectors

open System
open System.Text.Json.Nodes
open MathNet.Numerics
open MathNet.Numerics.Providers.LinearAlgebra
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts.Bench.Measure
open OnnxLeNet.Scripts.Terminal

/// An operation by its name in the provider, the floats it reads and writes for each element, and how to run it on x, y and a result.
type private Operation =
    { Name: string
      Moves: int
      Run: ILinearAlgebraProvider<float32> -> float32 array -> float32 array -> float32 array -> unit }

let private operations =
    [ { Name = "AddVectorToScaledVector"
        Moves = 3
        Run = fun p x y result -> p.AddVectorToScaledVector(y, 0.5f, x, result) }
      { Name = "PointWiseMultiplyArrays"
        Moves = 3
        Run = fun p x y result -> p.PointWiseMultiplyArrays(x, y, result) }
      { Name = "ScaleArray"; Moves = 2; Run = fun p x _ result -> p.ScaleArray(0.5f, x, result) }
      { Name = "DotProduct"; Moves = 2; Run = fun p x y result -> result[0] <- p.DotProduct(x, y) } ]

let run (setup: Setup) : JsonNode =
    let before = Control.MaxDegreeOfParallelism
    Control.MaxDegreeOfParallelism <- setup.Threads
    try
        let measured =
            [ for length in (if setup.Quick then [ 1000; 200000 ] else [ 1000; 100000; 10000000 ]) do
                  let draw seed = let random = Random(seed: int) in Array.init length (fun _ -> random.NextSingle())
                  let x, y, result = draw 1, draw 2, Array.zeroCreate length
                  for operation in operations do
                      let contender name (provider: ILinearAlgebraProvider<float32>) =
                          $"{operation.Name} {length} {name}", fast setup (fun () -> operation.Run provider x y result)
                      match
                          byTurns
                              setup
                              [ contender "simd" SimdLinearAlgebraProvider.Instance
                                contender "managed" ManagedLinearAlgebraProvider.Instance ]
                      with
                      | [ simd; managed ] -> operation, length, simd, managed
                      | _ -> () ]
        line setup.Out ""
        line setup.Out $"vector operations on floats, microseconds, {setup.Threads} thread(s)"
        table
            setup.Out
            [ "operation"; "elements"; "simd"; "managed"; "managed/simd"; "simd GB/s" ]
            [ for operation, length, simd, managed in measured ->
                  [ operation.Name
                    fixedPoint 0 (float length)
                    fixedPoint 2 (1e6 * simd)
                    fixedPoint 2 (1e6 * managed)
                    times (managed / simd)
                    fixedPoint 1 (4e-9 * float (operation.Moves * length) / simd) ] ]
        jsonArray
            [ for operation, length, simd, managed in measured ->
                  json
                      [ "operation", operation.Name
                        "elements", length
                        "simdMicroseconds", number (1e6 * simd)
                        "managedMicroseconds", number (1e6 * managed)
                        "timesManaged", number (managed / simd) ] ]
    finally
        Control.MaxDegreeOfParallelism <- before
