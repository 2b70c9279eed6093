/// export --training: the training step of a network as an ONNX model, and beside it a model of what it starts with.
module OnnxLeNet.Scripts.Verbs.ExportTraining

open System
open System.Collections.Generic
open System.Globalization
open Argu
open Google.Protobuf
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Options
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common

let private optimizerOf (args: ParseResults<ExportArgs>) (network: Module) : Optimizer =
    let name = args.GetResult(ExportArgs.Optimizer, defaultValue = "sgd")
    let number option fallback given =
        let value = defaultArg given fallback
        if not (Double.IsFinite value) || value < 0.0 then badOption option value "a finite number of 0 or more"
        value
    let lr fallback = number "--lr" fallback (args.TryGetResult ExportArgs.Lr)
    let momentum fallback = number "--momentum" fallback (args.TryGetResult ExportArgs.Momentum)
    let decay fallback = number "--weight-decay" fallback (args.TryGetResult ExportArgs.WeightDecay)
    let without (option: string) given = if given then raise (OnnxLeNetException $"{name} has no {option}: leave it out")
    let parameters = network.Parameters()
    match name.ToLowerInvariant() with
    | "sgd" -> SGD(parameters, lr 0.03, momentum 0.9, 0.0, decay 0.0, args.Contains ExportArgs.Nesterov)
    | "rmsprop" ->
        without "--nesterov" (args.Contains ExportArgs.Nesterov)
        RMSprop(parameters, lr 1e-2, momentum = momentum 0.0, weightDecay = decay 0.0)
    | "adam"
    | "adamw" as kind ->
        without "--nesterov" (args.Contains ExportArgs.Nesterov)
        without "--momentum" (args.Contains ExportArgs.Momentum)
        if kind = "adam" then
            Adam(parameters, lr 1e-3, weightDecay = decay 0.0)
        else
            AdamW(parameters, lr 1e-3, weightDecay = decay 1e-2)
    | _ -> badOption "--optimizer" name "sgd, adam, adamw or rmsprop"

let private graphOf (args: ParseResults<ExportArgs>) (source: Export.Source) =
    let loss =
        match args.TryGetResult ExportArgs.Loss with
        | None -> GradientParity.LossFor(source.Network, source.Sample)
        | Some "cross-entropy" -> TrainingLoss.CrossEntropy
        | Some "mse" -> TrainingLoss.MeanSquaredError
        | Some other -> badOption "--loss" other "cross-entropy or mse"
    let opset = args.GetResult(ExportArgs.Opset, defaultValue = ExportOptions.DefaultOpset)
    if opset < ExportOptions.OldestOpset || opset > TrainingGraphOptions.NewestOpset then
        badOption "--opset" opset $"{ExportOptions.OldestOpset} to {TrainingGraphOptions.NewestOpset} with --training"
    TrainingGraphOptions(
        Opset = opset,
        Loss = loss,
        BatchSize = (args.TryGetResult ExportArgs.BatchSize |> Option.map (atLeastOne "--batch-size") |> Option.toNullable),
        ClipNorm = (args.TryGetResult ExportArgs.ClipNorm |> Option.toNullable),
        ClipValue = (args.TryGetResult ExportArgs.ClipValue |> Option.toNullable),
        Gradients = args.Contains ExportArgs.Gradients,
        InputGradient = args.Contains ExportArgs.Gradients
    )

let private refuseOthers (args: ParseResults<ExportArgs>) =
    for given, option in
        [ args.Contains ExportArgs.Float16, "--float16"
          args.Contains ExportArgs.Int8, "--int8"
          args.Contains ExportArgs.Calibration, "--calibration"
          args.Contains ExportArgs.FoldBatchNorm, "--fold-batch-norm"
          args.Contains ExportArgs.Softmax, "--softmax"
          args.Contains ExportArgs.InGraph, "--in-graph"
          args.Contains ExportArgs.InputNames, "--input-names"
          args.Contains ExportArgs.OutputNames, "--output-names"
          args.Contains ExportArgs.Data, "--data"
          args.Contains ExportArgs.Mean, "--mean"
          args.Contains ExportArgs.Std, "--std"
          args.Contains ExportArgs.Scale, "--scale"
          args.Contains ExportArgs.Padding, "--padding"
          args.Contains ExportArgs.Size, "--size"
          args.Contains ExportArgs.Assume, "--assume"
          args.Contains ExportArgs.MinAccuracy, "--min-accuracy"
          args.Contains ExportArgs.Card, "--card" ] do
        if given then raise (OnnxLeNetException $"{option} is for models that infer: leave it out with --training")

let run (args: ParseResults<ExportArgs>) =
    let out = output (args.Contains ExportArgs.Quiet)
    useWidth (args.TryGetResult ExportArgs.Width)
    refuseOthers args
    let target = args.GetResult ExportArgs.To
    if ModelFile.extensionOf target <> ".onnx" then
        badOption "--to" target "a file that ends in .onnx with --training"
    let initial = target[.. target.Length - ".onnx".Length - 1] + "-init.onnx"
    Workspace.requireWritableFile "--to" target
    Export.refuseSource args target
    args.TryGetResult ExportArgs.Json |> Option.iter (Workspace.requireWritableFile "--json")
    let source = Export.sourceOf (args.GetResult ExportArgs.File) (args.TryGetResult ExportArgs.Model) (Export.readingOf out args)
    source.RequireSingle()
    let optimizer, graph = optimizerOf args source.Network, graphOf args source
    let kept =
        source.Metadata
        |> List.filter (fun (key, _) ->
            key.StartsWith("input.", StringComparison.Ordinal) || key = ModelMetadata.Classes || key = ModelMetadata.Data)
    let step = TrainingExporter.Export(source.Network, source.Sample, source.Name, optimizer, graph, kept |> List.map KeyValuePair)
    // What is written runs in ONNX Runtime, and the engine's gradients agree with it.
    (OrtTrainer.Load(step, source.Network, optimizer, source = target)).Dispose()
    let rows = GradientParity.Gradients(source.Network, source.Sample)
    let passed = GradientParity.Passed rows
    let worst = GradientParity.LastTries rows |> Seq.maxBy _.MaxRel
    line out $"engine against the training step: largest difference of a gradient {scientific worst.MaxRel} relative, {worst.Name} on \
        {worst.Input}"
    let bytes = step.ToByteArray()
    if passed then
        Workspace.makeFolderOf (message out) target
        AtomicFile.Write(target, ReadOnlySpan bytes)
        OnnxFile.Write(TrainingExporter.ExportInitial(source.Network, optimizer, source.Name, graph.Opset), initial)
        |> ignore
        let rates =
            optimizer.ParameterGroups
            |> Seq.map (fun group -> group.LearningRate.ToString("R", CultureInfo.InvariantCulture))
            |> String.concat ", "
        line
            out
            $"{Workspace.display target}   {bytes.Length:N0} bytes, {step.Graph.Node.Count} nodes, opset {graph.Opset}, \
                {optimizer.GetType().Name}, learning rate {rates}"
        line out $"{Workspace.display initial}   weights and state to start with"
    else
        error $"the engine and the training step do not agree; {Workspace.display target} was not written"
    args.TryGetResult ExportArgs.Json
    |> Option.iter (fun path ->
        writeJson
            path
            (json
                [ "source", Workspace.display (args.GetResult ExportArgs.File)
                  "file", Workspace.display target
                  "initial", Workspace.display initial
                  "network", source.Name
                  "passed", passed
                  "opset", graph.Opset
                  "nodes", step.Graph.Node.Count
                  "bytes", bytes.Length
                  "optimizer", optimizer.GetType().Name
                  "loss", string graph.Loss
                  "gradients", gradientRows rows ]))
    if passed then Exit.done' else Exit.fallsShort
