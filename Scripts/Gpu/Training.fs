/// What gpu-check proves of training in ONNX Runtime: the gradients and optimizers of the training step against the engine's, a whole run,
/// and its speed.
module OnnxLeNet.Scripts.Gpu.Training

open System
open System.Diagnostics
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Bench.Measure
open OnnxLeNet.Scripts.Gpu.Checks
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common

/// The verdict on a network's gradients; what beside random input is among them.
let gradientRow among (rows: GradientRow seq) =
    let last = GradientParity.LastTries rows |> List.ofSeq
    let worst = last |> List.maxBy (fun row -> if Double.IsNaN row.MaxRel then infinity else row.MaxRel)
    passedIf
        (GradientParity.Passed rows)
        $"{last.Length} gradients{among}: largest {scientific worst.MaxRel}, of {worst.Name} ({worst.Input})"
        (json [ "gradients", last.Length; "maxRel", worst.MaxRel; "worst", worst.Name; "tolerance", worst.Tolerance ])

let private gradients (s: Setup) (model: Models.Model) () =
    let net = model.Build(Generator 1L)
    let data = ImageFolder.Load(s.Data, ImageTransform.Mnist).Train
    let fits = data.Sample = model.Sample && model.Trains
    let rows =
        if fits then
            GradientParity.Gradients(net, model.Sample, data, "MNIST", s.Options false)
        else
            GradientParity.Gradients(net, model.Sample, options = s.Options false)
    gradientRow (if fits then ", MNIST's among them" else "") rows

let private optimizers (s: Setup) () =
    let net = Models.lenet5.Build(Generator 1L)
    let rows = GradientParity.Optimizers(net, Models.lenet5.Sample, options = s.Options false)
    let failing =
        rows
        |> Seq.groupBy _.Optimizer
        |> Seq.filter (fun (_, tries) -> not (GradientParity.Passed tries))
        |> Seq.map fst
        |> String.concat ", "
    let worst = rows |> Seq.maxBy (fun row -> if Double.IsNaN row.MaxAbs then infinity else row.MaxAbs / row.Tolerance)
    let failures = if failing = "" then "" else "; failing: " + failing
    passedIf
        (failing = "" && rows.Count > 0)
        $"{rows.Count} optimizers, {worst.Steps} steps each: weights differ by {scientific worst.MaxAbs} at most \
        ({worst.Optimizer}){failures}"
        (json
            [ "optimizers",
              jsonArray
                  [ for row in rows ->
                        json [ "name", row.Optimizer; "maxAbs", row.MaxAbs; "tolerance", row.Tolerance; "passed", row.Passed ] ] ])

/// The training images as floats, one after the other, as the peers have them: a step copies its batch out of them.
type private Images(data: ImageDataset) =
    let size = data.Sample.Count
    let floats = Array.zeroCreate<float32>(data.Count * size)
    do
        for start in 0..1000 .. data.Count - 1 do
            let struct (images, _) = data.Take(ReadOnlySpan [| start .. min data.Count (start + 1000) - 1 |])
            images.ToTensor().Data.CopyTo(floats, start * size)

    member _.Fill(trainer: OrtTrainer, indices: ReadOnlySpan<int>) =
        let x = trainer.InputOf indices.Length
        let labels = trainer.LabelsOf indices.Length
        for n in 0 .. indices.Length - 1 do
            floats.AsSpan(indices[n] * size, size).CopyTo(x.Slice(n * size, size))
            labels[n] <- int64 (data.Label indices[n])

/// LeNet-5 trained wholly on the device, in full batches of one size, and judged by the engine.
type private Run(s: Setup, data: ImageDataset, images: Images, batch: int, epochs: int) =
    let net = Models.lenet5.Build(Generator 1L).Train() :?> Sequential
    let optimizer = SGD(net.Parameters(), 0.05, 0.9)
    let loader = DataLoader(data, batch, shuffle = true, generator = Generator 1L)
    let steps = data.Count / batch
    let schedule = CosineAnnealingLR(optimizer, max 1 (epochs * steps))
    let graph = TrainingGraphOptions(BatchSize = Nullable batch)
    let trainer = OrtTrainer.Create(net, Models.lenet5.Sample, optimizer, graph, s.Options true)
    let mutable epoch = 0

    member _.Steps = steps
    member _.DeviceName = trainer.DeviceName
    member _.Fill index = images.Fill(trainer, loader.Indices(index % steps))

    member _.Step() =
        let loss = trainer.Step batch
        if not (Double.IsFinite loss) then raise (OnnxLeNetException $"the loss became {loss}")
        loss

    /// One epoch: shuffle, gather, copy, step. Returns its seconds and mean loss.
    member run.Epoch() =
        epoch <- epoch + 1
        let began = Stopwatch.GetTimestamp()
        loader.Shuffle epoch
        let mutable sum = 0.0
        for index in 0 .. steps - 1 do
            run.Fill index
            sum <- sum + run.Step()
            schedule.Step()
        Stopwatch.GetElapsedTime(began).TotalSeconds, sum / float steps

    member _.Trained() =
        trainer.Store()
        net.Eval() :?> Sequential

    interface IDisposable with
        member _.Dispose() = trainer.Dispose()

/// The whole run: 99% after twelve epochs; a quick one goes once through, to 97%.
let private training (s: Setup) (data: ImageFolder) (images: Images) () =
    let epochs, floor = if s.Measure.Quick then 1, 0.97 else 12, 0.99
    use run = new Run(s, data.Train, images, 64, epochs)
    let results =
        [ for epoch in 1..epochs do
              progress s.Measure $"training on {run.DeviceName}, epoch {epoch} of {epochs}"
              run.Epoch() ]
    progress s.Measure ""
    let share = accuracy data.Test (Inference.Logits(run.Trained(), data.Test))
    let seconds = results |> List.map fst |> List.min
    passedIf
        (share >= floor)
        $"{epochs} epoch(s) at batch 64 on {run.DeviceName}: test accuracy {percent share}, at least {percent floor} wanted; best epoch \
            {fixedPoint 2 seconds} s"
        (json
            [ "epochs", epochs
              "testAccuracy", share
              "wanted", floor
              "loss", jsonArray (List.map snd results)
              "secondsPerEpoch", jsonArray (List.map fst results) ])

/// Images a second of training at one batch size: on the device, in the engine, and in PyTorch on the same device.
let private speed (s: Setup) (data: ImageDataset) (images: Images) batch () =
    use run = new Run(s, data, images, batch, 1)
    for index in 0..2 do
        run.Fill index
        run.Step() |> ignore
    let seen = float (run.Steps * batch)
    let net = Models.lenet5.Build(Generator 1L).Train() :?> Sequential
    let own = SGD(net.Parameters(), 0.05, 0.9)
    let steps = TrainingSteps(net, CrossEntropyLoss(), own)
    let loader = DataLoader(data, batch, shuffle = true, generator = Generator 1L)
    let engine () =
        let began = Stopwatch.GetTimestamp()
        for index in 0 .. run.Steps - 1 do
            steps.Step(data, loader.Indices index) |> ignore
        Stopwatch.GetElapsedTime(began).TotalSeconds
    let contenders =
        [ "device", (fun () -> fst (run.Epoch()) / seen)
          // The batch is copied to the device in every step, but always the same one.
          "deviceStep", (let step = fast s.Measure (run.Step >> ignore) in fun () -> step () / float batch)
          "engine", (fun () -> engine () / seen)
          match s.Peer.Value with
          | Ok peer -> "pytorch", (fun () -> peer.Epoch(batch, s.Measure.Threads) / float s.Measure.Images)
          | Error _ -> () ]
    let rates = List.zip (List.map fst contenders) (byTurns s.Measure contenders |> List.map (fun seconds -> 1.0 / seconds))
    let rate name = rates |> List.tryFind (fun (n, _) -> n = name) |> Option.map snd |> Option.defaultValue nan
    let text name = fixedPoint 0 (rate name)
    let how = if s.OnGpu then ", a step one CUDA graph" else ""
    let device, step, engine, pytorch = text "device", text "deviceStep", text "engine", text "pytorch"
    let ratio = times (rate "device" / rate "pytorch")
    Passed,
    $"images/s{how}: {device} with gathering, {step} the step alone; engine {engine}; PyTorch {pytorch}: {ratio}",
    json (("batch", box batch) :: [ for name, value in rates -> name + "ImagesPerSecond", box value ])

/// Gradients of every model, then every optimizer.
let proofs (s: Setup) =
    seq {
        for model in Models.all do
            if GradientParity.Applies(model.Build(Generator 1L)) then check $"{model.Name}: gradients" (gradients s model)
        check "lenet5: optimizers" (optimizers s)
    }

let runs (s: Setup) =
    let data = lazy ImageFolder.Load(s.Data, ImageTransform.Mnist)
    let part = lazy data.Value.Train.First s.Measure.Images
    let all = lazy Images data.Value.Train
    seq {
        check "lenet5: a training run" (fun () -> training s data.Value all.Value ())
        for batch in (if s.Measure.Quick then [ 64 ] else [ 64; 256; 1024 ]) do
            check $"training, batch {batch}" (fun () -> speed s part.Value all.Value batch ())
    }
