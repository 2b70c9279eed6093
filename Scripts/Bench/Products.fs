/// Matrix products: the SIMD provider against Math.NET's managed one and a CBLAS library.
module OnnxLeNet.Scripts.Bench.Products

open System
open System.Text.Json.Nodes
open MathNet.Numerics
open MathNet.Numerics.Providers.LinearAlgebra
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts.Bench.Measure
open OnnxLeNet.Scripts.Terminal

/// C[M×N] ← op(A)[M×K]·op(B)[K×N] + β·C, so many times in a row.
type Shape =
    { Name: string
      M: int
      K: int
      N: int
      TransposeA: bool
      TransposeB: bool
      Beta: float
      Times: int }

    member s.Flop = 2.0 * float s.M * float s.K * float s.N * float s.Times

    /// op(A)[M×K]·op(B)[K×N], with ᵀ where the operand is stored the other way round.
    member s.Text =
        (if s.Times > 1 then $"{s.Times} × " else "")
        + $"""[{s.M}×{s.K}]{(if s.TransposeA then "ᵀ" else "")}·[{s.K}×{s.N}]{(if s.TransposeB then "ᵀ" else "")}"""

let private forward name m k n times =
    { Name = name; M = m; K = k; N = n; TransposeA = false; TransposeB = false; Beta = 1.0; Times = times }

/// dWeight = columnsᵀ·dY, summed over tiles.
let private weightGradient name m k n times = { forward name m k n times with TransposeA = true }

/// dColumns = dY·weightᵀ.
let private inputGradient name m k n times = { forward name m k n times with TransposeB = true; Beta = 0.0 }

/// The first convolution's product at batch 32 is measured in tiles of so many rows: one row of its output for 32 samples. A tile's 90 KB
/// stay in the second-level cache, as the whole 25,088 rows would not.
let tileRows = 28 * 32

let tiles = 28 * 28 * 32 / tileRows

/// LeNet-5's products at batch 32. Those of the convolutions are on columns, which the engine does without: it reads the taps in place. The
/// first convolution needs no gradient of its input in training; its product is measured all the same.
let lenet =
    [ forward "conv1" tileRows 25 6 tiles
      weightGradient "conv1 dW" 25 tileRows 6 tiles
      inputGradient "conv1 dX" tileRows 6 25 tiles
      forward "conv2" 3200 150 16 1
      weightGradient "conv2 dW" 150 3200 16 1
      inputGradient "conv2 dX" 3200 16 150 1
      forward "fc1" 32 400 120 1
      weightGradient "fc1 dW" 400 32 120 1
      inputGradient "fc1 dX" 32 120 400 1 ]

let squares (sizes: int list) = [ for n in sizes -> { forward $"{n}²" n n n 1 with Beta = 0.0 } ]

/// Products of more work than this are not given to Math.NET's managed provider: it would take seconds.
let private mostManagedFlop = 2.0 * 512.0 * 512.0 * 512.0

/// A provider of products, by name.
type Contender = { Name: string; Provider: ILinearAlgebraProvider }

let contenders () =
    let cblas =
        try
            Ok(CblasLinearAlgebraProvider.Load())
        with :? MissingPartException as e ->
            Error e.Message
    [ { Name = "simd"; Provider = SimdLinearAlgebraProvider.Instance }
      match cblas with
      | Ok provider -> { Name = "cblas"; Provider = provider }
      | Error _ -> ()
      { Name = "managed"; Provider = ManagedLinearAlgebraProvider.Instance } ],
    cblas

/// The action that computes the product once, and its result.
let action<'T when 'T: struct and 'T: (new: unit -> 'T) and 'T :> ValueType>
    (convert: float -> 'T)
    (provider: ILinearAlgebraProvider)
    (s: Shape)
    =
    let random = Random 1
    let draw count = Array.init count (fun _ -> convert (random.NextDouble() - 0.5))
    let a, b, c = draw (s.M * s.K), draw (s.K * s.N), Array.init (s.M * s.N) (fun _ -> convert 0.0)
    let provider =
        match box provider with
        | :? ILinearAlgebraProvider<'T> as typed -> typed
        | _ -> invalidArg "provider" $"{provider} has no products of {typeof<'T>.Name}"
    let transpose flag = if flag then Transpose.Transpose else Transpose.DontTranspose
    let rowsA, columnsA = if s.TransposeA then s.K, s.M else s.M, s.K
    let rowsB, columnsB = if s.TransposeB then s.N, s.K else s.K, s.N
    let multiply () =
        for _ in 1 .. s.Times do
            provider.MatrixMultiplyWithUpdate(
                transpose s.TransposeA,
                transpose s.TransposeB,
                convert 1.0,
                a,
                rowsA,
                columnsA,
                b,
                rowsB,
                columnsB,
                convert s.Beta,
                c
            )
    multiply, c

/// What a product came to: GFLOP/s by contender.
type private Measured = { Shape: Shape; Type: string; Threads: int; Gflops: Map<string, float> }

let private measure<'T when 'T: struct and 'T: (new: unit -> 'T) and 'T :> ValueType>
    (setup: Setup)
    (typeName: string)
    (convert: float -> 'T)
    (back: 'T -> float)
    (tolerance: float)
    (threads: int)
    (all: Contender list)
    (s: Shape)
    =
    let before = Control.MaxDegreeOfParallelism
    Control.MaxDegreeOfParallelism <- threads
    try
        withThreads threads (fun () ->
            let taking = all |> List.filter (fun c -> c.Name <> "managed" || s.Flop <= mostManagedFlop)
            let results =
                taking
                |> List.map (fun c ->
                    let multiply, result = action convert c.Provider s
                    multiply ()
                    Array.map back result)
            let off = results |> List.tail |> List.fold (fun worst other -> Math.Max(worst, disagreement (List.head results) other)) 0.0
            if not (off <= tolerance) then
                raise (OnnxLeNetException $"{s.Name} in {typeName}: the providers' results differ by {off:E1} of the largest value")
            let medians =
                taking
                |> List.map (fun c -> $"{s.Name} {typeName} {c.Name}", fast setup (fst (action convert c.Provider s)))
                |> byTurns setup
            { Shape = s
              Type = typeName
              Threads = threads
              Gflops = List.map2 (fun (c: Contender) seconds -> c.Name, s.Flop / seconds / 1e9) taking medians |> Map.ofList })
    finally
        Control.MaxDegreeOfParallelism <- before

let run (setup: Setup) (peak: Peak) : JsonNode =
    let all, cblas = contenders ()
    let shapes = lenet @ squares (if setup.Quick then [ 128; 256 ] else [ 128; 256; 512; 1024; 2048 ])
    let doubles = squares (if setup.Quick then [ 128 ] else [ 128; 512; 1024 ])
    let measured =
        [ for threads in setup.ThreadCounts do
              for s in shapes do
                  measure setup "float" float32 float 1e-4 threads all s
              for s in doubles do
                  measure setup "double" id id 1e-12 threads all s ]
    peak.Refresh()
    let share (m: Measured) = m.Gflops["simd"] / (if m.Type = "float" then peak.Single m.Threads else peak.Double m.Threads)
    let of' name (m: Measured) = m.Gflops |> Map.tryFind name |> Option.defaultValue nan
    line setup.Out ""
    line
        setup.Out
        $"products, GFLOP/s (of convolutions: on columns, which the engine does without; conv1: {tiles} tiles of {tileRows} rows, which \
            stay in the cache)"
    match cblas with
    | Ok provider -> line setup.Out $"cblas is {provider}"
    | Error why -> line setup.Out $"cblas is left out: {why}"
    table
        setup.Out
        [ "product"; "size"; "type"; "threads"; "simd"; "of peak"; "cblas"; "simd/cblas"; "managed" ]
        [ for m in measured ->
              [ m.Shape.Name
                m.Shape.Text
                m.Type
                string m.Threads
                fixedPoint 1 (of' "simd" m)
                wholePercent (share m)
                fixedPoint 1 (of' "cblas" m)
                times (of' "simd" m / of' "cblas" m)
                fixedPoint 1 (of' "managed" m) ] ]
    jsonArray
        [ for m in measured ->
              json
                  [ "name", m.Shape.Name
                    "m", m.Shape.M
                    "k", m.Shape.K
                    "n", m.Shape.N
                    "transposeA", m.Shape.TransposeA
                    "transposeB", m.Shape.TransposeB
                    "times", m.Shape.Times
                    "type", m.Type
                    "threads", m.Threads
                    "gflops", json [ for name in [ "simd"; "cblas"; "managed" ] -> name, number (of' name m) ]
                    "fractionOfPeak", share m
                    "timesCblas", number (of' "simd" m / of' "cblas" m) ] ]
