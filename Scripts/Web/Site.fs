/// The pages that `serve` shows: training in the browser.
module OnnxLeNet.Scripts.Web.Site

open System
open System.Collections.Generic
open System.IO
open System.Runtime.InteropServices
open System.Security.Cryptography
open System.Text
open Google.Protobuf
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs
open OnnxLeNet.Scripts.Verbs.Common

type Answer =
    | Bytes of contentType: string * byte array
    | Download of name: string * byte array
    /// A status and what to tell.
    | Refused of int * string

let private batch = 64
let private rate = 0.05

/// Finished models that are kept for their download: the newest.
let private mostModels = 8

let private contentType (file: string) =
    match Path.GetExtension file with
    | ".html" -> "text/html; charset=utf-8"
    | ".mjs"
    | ".js" -> "text/javascript"
    | ".wasm" -> "application/wasm"
    | ".json" -> "application/json"
    | _ -> "application/octet-stream"

/// What is served: the page, ONNX Runtime for the web, MNIST, the training step, and the models that come back.
/// <param name="ort">The folder of ONNX Runtime for the web.</param>
/// <param name="dataFolder">The folder of MNIST's four files.</param>
type Site(ort: string, dataFolder: string) =
    let model = Models.lenet5
    let data = ImageFolder.Load(dataFolder, ImageTransform.Mnist)
    do
        if data.Train.Sample <> model.Sample then
            raise (
                OnnxLeNetException
                    $"{dataFolder}: the page trains on images of {model.Sample}, these are {data.Train.Stored}, padded {data.Train.Sample}"
            )
    let initial = model.Build(Generator 1L)
    let optimizer () = SGD(initial.Parameters(), rate, 0.9)
    let step =
        lazy
            (TrainingExporter
                .Export(initial, model.Sample, "lenet5-train", optimizer (), TrainingGraphOptions(BatchSize = Nullable batch))
                .ToByteArray())
    let start = lazy (TrainingExporter.ExportInitial(initial, optimizer (), "lenet5-initial").ToByteArray())
    let parameters = [ for named in initial.NamedParameters() -> named.ToTuple() ]
    let models = Dictionary<string, byte array>()
    let newest = Queue<string>()

    let idx name =
        let plain = Path.Combine(dataFolder, name)
        (IdxFile.Read(if File.Exists plain then plain else plain + ".gz")).Data.ToArray()

    let config =
        lazy
            (let t = data.Train.Transform
             json
                 [ "batch", batch
                   "rate", rate
                   "side", data.Train.Stored[1]
                   "padding", t.Padding
                   "mean", t.Mean
                   "std", t.Std
                   "parameters",
                   jsonArray [ for name, parameter in parameters -> json [ "name", name; "length", parameter.Value.Data.Length ] ] ])

    /// An ordinary model file of these weights, if it is one that the engine and ONNX Runtime agree on.
    let export (weights: byte array) =
        let wanted = parameters |> List.sumBy (fun (_, parameter) -> parameter.Value.Data.Length)
        if weights.Length <> sizeof<float32> * wanted then
            Refused(400, $"the weights have {weights.Length} bytes, expected {sizeof<float32> * wanted}: {wanted} floats, little-endian")
        else
            let floats = MemoryMarshal.Cast<byte, float32>(ReadOnlySpan weights).ToArray()
            if floats |> Array.exists (fun value -> not (Single.IsFinite value)) then
                Refused(400, "a weight is no finite number")
            else
                let net = model.Build(Generator 1L).Eval() :?> Sequential
                let mutable at = 0
                for parameter in net.Parameters() do
                    let to' = parameter.Value.Data
                    Array.blit floats at to' 0 to'.Length
                    at <- at + to'.Length
                let own = Inference.Logits(net, data.Test)
                let share = accuracy data.Test own
                let metadata =
                    [ ModelMetadata.Classes, String.Join(",", seq { 0 .. data.Classes - 1 })
                      yield! Input.metadataOf data.Train.Transform
                      ModelMetadata.Data, data.Name
                      "trained.in", "a browser, by ONNX Runtime for the web" ]
                let file = OnnxExporter.Export(net, model.Sample, model.Name, dict metadata).ToByteArray()
                use loaded = OrtModel.Load(file, source = "the model from the browser")
                let struct (row, _) = Parity.OnData($"{data.Name} test images", own, data.Test, loaded)
                if not row.Passed then
                    Refused(500, $"the engine and ONNX Runtime differ on the model by {scientific row.MaxRel} of the largest logit")
                else
                    let path = $"/models/{(Convert.ToHexStringLower(SHA256.HashData file))[..15]}.onnx"
                    lock models (fun () ->
                        if models.TryAdd(path, file) then
                            newest.Enqueue path
                            if newest.Count > mostModels then models.Remove(newest.Dequeue()) |> ignore)
                    let answer = json [ "path", path; "bytes", file.Length; "testAccuracy", share; "maxRel", row.MaxRel ]
                    Bytes("application/json", Encoding.UTF8.GetBytes(answer.ToJsonString()))

    /// The answer to a request.
    member _.Answer(method': string, path: string, body: byte array) =
        let page = Path.Combine(Workspace.programFolder, "Web", "train.html")
        let file name = Bytes(contentType name, File.ReadAllBytes name)
        match method', path with
        | "POST", "/models" -> export body
        | "GET", "/" -> file page
        | "GET", "/config.json" -> Bytes("application/json", Encoding.UTF8.GetBytes(config.Value.ToJsonString()))
        | "GET", "/lenet5-train.onnx" -> Bytes("application/octet-stream", step.Value)
        | "GET", "/initial.onnx" -> Bytes("application/octet-stream", start.Value)
        | "GET", ("/data/train-images" | "/data/t10k-images") ->
            Bytes("application/octet-stream", idx $"{Path.GetFileName path}-idx3-ubyte")
        | "GET", ("/data/train-labels" | "/data/t10k-labels") ->
            Bytes("application/octet-stream", idx $"{Path.GetFileName path}-idx1-ubyte")
        | "GET", _ when path.StartsWith("/models/", StringComparison.Ordinal) ->
            match lock models (fun () -> models.TryGetValue path) with
            | true, bytes -> Download("lenet5-browser.onnx", bytes)
            | false, _ -> Refused(404, $"there is no model {path}: the newest {mostModels} are kept")
        // Names only, of files that are there: no path leads out of the folder.
        | "GET", _ when
            path.StartsWith("/ort/", StringComparison.Ordinal)
            && path.LastIndexOf '/' = 4
            && File.Exists(Path.Combine(ort, path[5..]))
            ->
            file (Path.Combine(ort, path[5..]))
        | ("GET" | "POST"), _ -> Refused(404, $"there is no {path} here")
        | _ -> Refused(405, $"{method'} is not answered here: GET and POST are")
