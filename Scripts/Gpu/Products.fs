/// What gpu-check proves of the provider cuda: its products, and that it leaves to the processor what that does faster.
module OnnxLeNet.Scripts.Gpu.Products

open System
open MathNet.Numerics.Providers.LinearAlgebra
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts.Bench
open OnnxLeNet.Scripts.Bench.Measure
open OnnxLeNet.Scripts.Gpu.Checks
open OnnxLeNet.Scripts.Terminal

/// Shapes of every form: transposed or not, added or not, thin and square.
let private shapes (s: Setup) : Products.Shape list =
    let n = if s.Measure.Quick then 96 else 1000
    Products.lenet @ Products.squares [ 1; 17; 64; n ]

/// The largest difference between both providers' results, over the largest value, of all shapes.
let private difference<'T when 'T: struct and 'T: (new: unit -> 'T) and 'T :> ValueType>
    (s: Setup)
    (convert: float -> 'T)
    (back: 'T -> float)
    (provider: ILinearAlgebraProvider)
    =
    [ for shape in shapes s do
          let result (provider: ILinearAlgebraProvider) =
              let multiply, c = Products.action convert provider shape
              multiply ()
              Array.map back c
          disagreement (result SimdLinearAlgebraProvider.Instance) (result provider) ]
    |> List.fold (fun worst off -> Math.Max(worst, off)) 0.0

let private results () = CudaLinearAlgebraProvider.Load(crossover = CudaCrossover.Always)

let private agreement (s: Setup) () =
    let provider = results ()
    try
        let single = difference<float32> s float32 float provider
        let double = difference<float> s (fun (x: float) -> x) (fun (x: float) -> x) provider
        passedIf
            (single <= 1e-5 && double <= 1e-13)
            $"{(shapes s).Length} shapes against the SIMD provider: float {scientific single}, double {scientific double} of the largest \
                value; {provider.Gpu}"
            (json [ "gpu", provider.Gpu; "library", provider.LibraryFile; "floatMaxRel", single; "doubleMaxRel", double ])
    finally
        provider.FreeResources()

/// GFLOP/s with all copying, and the crossover that was measured.
let private speed (s: Setup) () =
    let provider = CudaLinearAlgebraProvider.Load()
    let rows =
        [ for shape in Products.squares (if s.Measure.Quick then [ 128 ] else [ 256; 1024; 4096 ]) do
              let gflops (provider: ILinearAlgebraProvider) = fast s.Measure (fst (Products.action float32 provider shape))
              let always = results ()
              try
                  let medians = byTurns s.Measure [ "cuda", gflops always; "simd", gflops SimdLinearAlgebraProvider.Instance ]
                  shape.M, shape.Flop / medians[0] / 1e9, shape.Flop / medians[1] / 1e9
              finally
                  always.FreeResources() ]
    let text =
        rows
        |> List.map (fun (n, gpu, processor) -> $"{n}²: {fixedPoint 0 gpu} and {fixedPoint 0 processor}")
        |> String.concat ", "
    let square (crossover: CudaCrossover) size : obj | null =
        match Option.ofNullable (crossover.Square size) with
        | Some n -> box n
        | None -> null
    Passed,
    $"GFLOP/s of float products, copies included, GPU and processor: {text}; {provider}",
    json
        [ "floatCrossover", square provider.FloatCrossover 4
          "doubleCrossover", square provider.DoubleCrossover 8
          "gflops", jsonArray [ for n, gpu, processor in rows -> json [ "size", n; "gpu", gpu; "processor", processor ] ] ]

let checks (s: Setup) =
    seq {
        check "cuBLAS provider: products" (agreement s)
        check "cuBLAS provider: speed and crossover" (speed s)
    }
