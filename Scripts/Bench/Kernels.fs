/// The products under BenchmarkDotNet, in this process: it warms up, repeats until the spread is known, and counts allocations.
module OnnxLeNet.Scripts.Bench.Kernels

open System.IO
open BenchmarkDotNet.Attributes
open BenchmarkDotNet.Columns
open BenchmarkDotNet.Configs
open BenchmarkDotNet.Diagnosers
open BenchmarkDotNet.Jobs
open BenchmarkDotNet.Loggers
open BenchmarkDotNet.Running
open BenchmarkDotNet.Toolchains.InProcess.NoEmit
open MathNet.Numerics
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts.Terminal

let private shapes = Products.lenet @ Products.squares [ 128; 512; 1024 ]

/// One product on one thread, by its name and its provider's.
type ProductBenchmarks() =
    let mutable multiply = ignore

    static member Names = [| for s in shapes -> s.Name |]
    static member Providers =
        [| for c in fst (Products.contenders ()) do
               if c.Name <> "managed" then c.Name |]

    [<ParamsSource("Names")>]
    member val Product = "" with get, set

    [<ParamsSource("Providers")>]
    member val Provider = "" with get, set

    [<Params("float", "double")>]
    member val Type = "" with get, set

    [<GlobalSetup>]
    member b.Setup() =
        Workers.Threads <- 1
        let shape = shapes |> List.find (fun s -> s.Name = b.Product)
        let contender = fst (Products.contenders ()) |> List.find (fun c -> c.Name = b.Provider)
        multiply <-
            if b.Type = "float" then
                fst (Products.action float32 contender.Provider shape)
            else
                fst (Products.action id contender.Provider shape)

    [<Benchmark>]
    member _.Multiply() = multiply ()

/// Runs them all, or in a quick run each for a moment. Artifacts go to a temporary folder that is deleted.
let run (out: Output) (quick: bool) =
    let folder = Directory.CreateTempSubdirectory "onnxlenet-bench-"
    let before = Workers.Threads
    try
        let job = (if quick then Job.Dry else Job.ShortRun).WithToolchain InProcessNoEmitToolchain.Instance
        let config =
            ManualConfig
                .CreateEmpty()
                .AddJob(job)
                .AddLogger(NullLogger.Instance)
                .AddDiagnoser(MemoryDiagnoser.Default)
                .AddColumnProvider(DefaultColumnProviders.Params, DefaultColumnProviders.Statistics, DefaultColumnProviders.Metrics)
                .WithArtifactsPath(folder.FullName)
                .WithOptions(ConfigOptions.DisableLogFile)
        let summary = BenchmarkRunner.Run<ProductBenchmarks>(config)
        if
            summary.HasCriticalValidationErrors
            || not (Seq.forall (fun (r: BenchmarkDotNet.Reports.BenchmarkReport) -> r.Success) summary.Reports)
        then
            raise (OnnxLeNetException "BenchmarkDotNet could not run every product")
        let rows =
            [ for report in summary.Reports ->
                  let value (name: string) = report.BenchmarkCase.Parameters[name] |> string
                  let shape = shapes |> List.find (fun s -> s.Name = value "Product")
                  let statistics = report.ResultStatistics |> nonNull
                  let bytes = report.GcStats.GetBytesAllocatedPerOperation report.BenchmarkCase
                  shape, value "Provider", value "Type", statistics.Mean, statistics.StandardDeviation, bytes.GetValueOrDefault() ]
            |> List.sortBy (fun (shape, provider, kind, _, _, _) ->
                List.findIndex ((=) shape) shapes, (if kind = "float" then 0 else 1), provider)
        line out ""
        line out $"products under BenchmarkDotNet {typeof<BenchmarkRunner>.Assembly.GetName().Version}, one thread"
        table
            out
            [ "product"; "size"; "provider"; "type"; "mean µs"; "± µs"; "GFLOP/s"; "bytes" ]
            [ for shape, provider, kind, mean, deviation, bytes in rows ->
                  [ shape.Name
                    shape.Text
                    provider
                    kind
                    Measure.fixedPoint 2 (mean / 1e3)
                    Measure.fixedPoint 2 (deviation / 1e3)
                    Measure.fixedPoint 1 (shape.Flop / mean)
                    string bytes ] ]
        jsonArray
            [ for shape, provider, kind, mean, deviation, bytes in rows ->
                  json
                      [ "name", shape.Name
                        "provider", provider
                        "type", kind
                        "meanNanoseconds", mean
                        "standardDeviationNanoseconds", deviation
                        "gflops", Measure.number (shape.Flop / mean)
                        "allocatedBytes", bytes ] ]
    finally
        Workers.Threads <- before
        folder.Delete true
