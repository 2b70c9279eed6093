/// The network that a run of train begins with: one by its name, or what a file holds.
module OnnxLeNet.Scripts.Verbs.TrainFrom

open System
open System.Collections.Generic
open System.IO
open System.Security.Cryptography
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Verbs.Common

/// A file that a run goes on from.
type Origin =
    {
        File: string
        /// The sum of its bytes, SHA-256.
        Hash: string
        /// The --model that was named beside it.
        Model: string option
        /// What it says beside its weights.
        Metadata: IReadOnlyDictionary<string, string>
    }

type Network =
    {
        Name: string
        /// The shape of one input sample, [C, H, W].
        Sample: Shape
        /// Builds the network; what a file does not say comes from the generator.
        Build: Generator -> Module
        /// The name of its last layer, and how many outputs that has.
        Head: (string * int) option
        /// The network with so many outputs, by a new last layer.
        SizedTo: int -> Network
        /// The network for images of another shape.
        Taking: Shape -> Network
        Origin: Origin option
    }

    /// Whether the command line can name it: by a file, or as a model of the project. A script's own is known to that alone.
    member network.IsNamed = network.Origin.IsSome || Models.all |> List.exists (fun model -> model.Name = network.Name)

    /// The names of the classes that its outputs stand for, where a file says them.
    member network.Classes =
        network.Origin
        |> Option.bind (fun origin ->
            match origin.Metadata.TryGetValue ModelMetadata.Classes with
            | true, text -> Some(List.ofSeq (ModelMetadata.SplitClasses text))
            | _ -> None)

let rec ofModel (model: Models.Model) =
    { Name = model.Name
      Sample = model.Sample
      Build = fun g -> model.Build g
      Head = Models.lastLayer model
      SizedTo = fun classes -> ofModel (Models.sizedTo classes model)
      Taking = fun sample -> ofModel (Models.taking sample model)
      Origin = None }

/// A softmax at the end is left out: the loss takes what goes into it.
let private withoutSoftmax say file (model: Schema.ModelProto) =
    let graph = model.Graph
    let isEnd (node: Schema.NodeProto) = node.OpType = "Softmax" && graph.Output.Count = 1 && node.Output[0] = graph.Output[0].Name
    match graph.Node |> Seq.tryFindBack isEnd with
    | Some node ->
        graph.Output[0].Name <- node.Input[0]
        graph.Node.Remove node |> ignore
        say $"{file} ends in a softmax: the network is trained and exported without it"
    | None -> ()
    model

/// A network of an ONNX file: its layers, and its weights unless fresh ones are asked for.
let private ofOnnx say (origin: Origin) fresh (model: Schema.ModelProto) =
    let imported = OnnxImporter.Import model
    imported.RequireSingle()
    Seq.iter say imported.Notes
    let sample = imported.Sample
    let build (g: Generator) =
        let network = (OnnxImporter.Import model).Network
        if fresh then FineTuning.Reset(network, g)
        network
    let head = FineTuning.Head(imported.Network, sample)
    let own =
        if head.HasValue then
            let struct (name, layer) = head.Value
            Some(name, FineTuning.OutputsOf layer)
        else
            None
    let rec sized (classes: int option) =
        { Name = string (Path.GetFileNameWithoutExtension origin.File)
          Sample = sample
          Build =
            fun g ->
                let network = build g
                classes |> Option.iter (fun classes -> FineTuning.ReplaceHead(network, sample, classes, g) |> ignore)
                network
          Head = own |> Option.map (fun (name, outputs) -> name, defaultArg classes outputs)
          SizedTo = fun classes -> sized (Some classes)
          Taking =
            fun other ->
                if other <> sample then
                    raise (ShapeException $"{origin.File} takes images of {sample}, these are {other}: its layers are made for that size")
                sized classes
          Origin = Some origin }
    sized None

/// A network of a name with the weights of a file.
let private ofState (origin: Origin) fresh (model: Models.Model) (state: StateDict) =
    let sized = Models.sizedLike state model
    let build (g: Generator) =
        let network = sized.Build g
        if not fresh then network.LoadStateDict state |> ignore
        network
    let network = ofModel { sized with Build = build }
    { network with
        Origin = Some origin
        SizedTo = fun classes -> { network.SizedTo classes with Origin = Some origin }
        Taking = fun sample -> { network.Taking sample with Origin = Some origin } }

/// The network that --from and --model name; models finds those of a name, say tells what was assumed.
let find (models: string -> Models.Model) say (model: string option) (from: string option) fresh =
    match from with
    | None -> ofModel (models (defaultArg model "lenet5"))
    | Some file ->
        let kind = ModelFile.kindOf file
        let hash = Convert.ToHexStringLower(SHA256.HashData(RegularFile.ReadAll file))
        match kind with
        | ModelFile.Onnx ->
            let read = OnnxFile.Read file
            let plain = PixelInput.Remove read
            if not (obj.ReferenceEquals(plain, read)) then
                say $"{file} does its preprocessing in its graph: the network is trained and exported without that (export --in-graph \
                    puts it back)"
            let proto = withoutSoftmax say file plain
            let origin = { File = file; Hash = hash; Model = model; Metadata = OnnxFile.Metadata proto }
            match model with
            | None -> ofOnnx say origin fresh proto
            | Some name -> ofState origin fresh (models name) ((OnnxImporter.Import proto).Network.StateDict())
        | _ ->
            let known said =
                match Option.orElse said model with
                | Some name -> models name
                | None -> raise (OnnxLeNetException $"{file} does not say what network its weights are of: name it by --model")
            let reading: ModelFile.Reading = { Key = None; AllowNonFinite = false; Say = say }
            let weights = ModelFile.readWeights file reading (fun said -> Some((known said).Build(Generator 0L)))
            let origin = { File = file; Hash = hash; Model = model; Metadata = weights.Metadata }
            ofState origin fresh (known weights.Model) weights.State

/// The network with an output for each class of the data. A file's last layer is kept where it tells the same classes apart.
let fitted say (data: ImageFolder) (network: Network) =
    let named = List.ofSeq data.ClassNames
    match network.Head, network.Classes with
    | Some(name, outputs), _ when outputs <> data.Classes ->
        say $"{name} has {data.Classes} outputs here, one for each class of {data.Name}, in place of {outputs}"
        network.SizedTo data.Classes
    | Some(name, _), Some classes when classes <> named ->
        let list (names: string list) = String.concat ", " (List.truncate 5 names) + if names.Length > 5 then ", …" else ""
        say $"{name} is initialized again: its outputs were {list classes}, the classes of {data.Name} are {list named}"
        network.SizedTo data.Classes
    | Some _, _ -> network
    | None, _ -> network.SizedTo data.Classes

/// How pictures become images of a file's network; of others as the options say.
let picturesFor (network: Network) (args: Pictures.Args) =
    match network.Origin with
    | None -> args
    | Some origin ->
        let padding = ModelMetadata.TransformOf origin.Metadata |> Option.ofObj |> Option.map _.Padding |> Option.defaultValue 0
        let size, grey = network.Sample[1] - 2 * padding, network.Sample[0] = 1
        args.Size
        |> Option.iter (fun asked -> if asked <> size then badOption "--size" asked $"{size} or left out: {origin.File} takes no other")
        if args.Grey && not grey then raise (OnnxLeNetException $"{origin.File} takes colour images: leave out --grey")
        { args with Size = Some size; Grey = grey }

/// The images as a file's network takes them, where the file says how.
let asTaken say (network: Network) (data: ImageFolder) =
    match network.Origin with
    | Some origin when origin.Metadata.ContainsKey ModelMetadata.Mean ->
        let transform, _, said = Input.transformOf Input.nothing origin.Metadata (Some network.Sample) data.Train
        if said <> "" then say said
        ImageFolder(
            data.Name,
            data.Train.With transform,
            data.Test.With transform,
            HeldOutBy = data.HeldOutBy,
            Validation = (data.Validation |> Option.ofObj |> Option.map _.With(transform) |> Option.toObj)
        )
    | _ -> data

/// Freezes what --freeze names, and says what that left.
let freeze say (network: Network) (layers: string option) (net: Module) =
    layers
    |> Option.iter (fun layers ->
        let frozen = FineTuning.Freeze(net, network.Sample, layers)
        let trained = net.Parameters() |> Seq.filter _.RequiresGrad |> Seq.sumBy _.Value.Shape.Count
        let names = if frozen.Count = 0 then "no layer" else String.concat ", " frozen
        say $"frozen: {names}; {trained:N0} of {net.ParameterCount:N0} parameters are trained")
