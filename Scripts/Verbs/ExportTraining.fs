/// export --training: the training step of a network as an ONNX model, and beside it a model of what it starts with.
module OnnxLeNet.Scripts.Verbs.ExportTraining

open System
open System.Collections.Generic
open System.Globalization
open Google.Protobuf
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Cli
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common

let private optimizerOf (args: Args) (network: Module) : Optimizer =
    let name = args.Get(Options.optimizer, "sgd")
    let number option fallback given =
        let value = defaultArg given fallback
        if not (Double.IsFinite value) || value < 0.0 then badOption option value "a finite number of 0 or more"
        value
    let lr fallback = number "--lr" fallback (args.TryGet Options.lr)
    let momentum fallback = number "--momentum" fallback (args.TryGet Options.momentum)
    let decay fallback = number "--weight-decay" fallback (args.TryGet Options.weightDecay)
    let without (option: string) given = if given then raise (OnnxLeNetException $"{name} has no {option}: leave it out")
    let parameters = network.Parameters()
    match name.ToLowerInvariant() with
    | "sgd" -> SGD(parameters, lr 0.03, momentum 0.9, 0.0, decay 0.0, args.Has Options.nesterov)
    | "rmsprop" ->
        without "--nesterov" (args.Has Options.nesterov)
        RMSprop(parameters, lr 1e-2, momentum = momentum 0.0, weightDecay = decay 0.0)
    | "adam"
    | "adamw" as kind ->
        without "--nesterov" (args.Has Options.nesterov)
        without "--momentum" (args.Has Options.momentum)
        if kind = "adam" then
            Adam(parameters, lr 1e-3, weightDecay = decay 0.0)
        else
            AdamW(parameters, lr 1e-3, weightDecay = decay 1e-2)
    | _ -> badOption "--optimizer" name "sgd, adam, adamw or rmsprop"

let private graphOf (args: Args) (source: Export.Source) =
    let loss =
        match args.TryGet Options.loss with
        | None -> GradientParity.LossFor(source.Network, source.Sample)
        | Some loss -> loss
    let opset = args.Get(Options.opset, ExportOptions.DefaultOpset)
    if opset < ExportOptions.OldestOpset || opset > TrainingGraphOptions.NewestOpset then
        badOption "--opset" opset $"{ExportOptions.OldestOpset} to {TrainingGraphOptions.NewestOpset} with --training"
    TrainingGraphOptions(
        Opset = opset,
        Loss = loss,
        BatchSize = (args.TryGet Options.batchSize |> Option.map (atLeastOne "--batch-size") |> Option.toNullable),
        ClipNorm = (args.TryGet Options.clipNorm |> Option.toNullable),
        ClipValue = (args.TryGet Options.clipValue |> Option.toNullable),
        Gradients = args.Has Options.returnGradients,
        InputGradient = args.Has Options.returnGradients
    )

let private refuseOthers (args: Args) =
    for option in args.Typed((Options.calibration :> IEntry) :: Export.inferenceOptions) do
        raise (OnnxLeNetException $"{option} is for models that infer: leave it out with --training")

let run (args: Args) =
    let out = output (args.Has Options.quiet)
    useWidth (args.TryGet Options.width)
    refuseOthers args
    let target = args.Require Options.target
    if ModelFile.extensionOf target <> ".onnx" then
        badOption "--to" target "a file that ends in .onnx with --training"
    let initial = target[.. target.Length - ".onnx".Length - 1] + "-init.onnx"
    for file in [ target; initial ] do
        Workspace.requireWritableFile "--to" file
    for file in [ target; initial ] do
        Export.refuseSource args file
    args.TryGet Options.json |> Option.iter (Workspace.requireWritableFile "--json")
    let file = StandardInput.named (args.Require Options.source)
    let source = Export.sourceOf file (args.TryGet Options.network) (Export.readingOf out args)
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
        let start = TrainingExporter.ExportInitial(source.Network, optimizer, source.Name, graph.Opset)
        AtomicFile.WriteTogether(dict [ target, bytes; initial, start.ToByteArray() ])
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
    args.TryGet Options.json
    |> Option.iter (fun path ->
        writeJson
            path
            (json
                [ "source", Workspace.display file
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
