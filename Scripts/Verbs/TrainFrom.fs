/// The network that a run of train begins with: one by its name, or what a file holds.
module OnnxLeNet.Scripts.Verbs.TrainFrom

open System.Collections.Generic
open System.IO
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts

/// A file that a run goes on from.
type Origin =
    {
        File: string
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
        Origin: Origin option
    }

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
    let head = FineTuning.Head(imported.Network, sample) |> Option.ofNullable
    let network =
        { Name = Path.GetFileNameWithoutExtension origin.File
          Sample = sample
          Build = build
          Head = head |> Option.map (fun struct (name, layer) -> name, FineTuning.OutputsOf layer)
          SizedTo = id
          Origin = Some origin }
    let rec sizedTo classes =
        { network with
            Build =
                fun g ->
                    let network = build g
                    FineTuning.ReplaceHead(network, sample, classes, g) |> ignore
                    network
            Head = network.Head |> Option.map (fun (name, _) -> name, classes)
            SizedTo = sizedTo }
    { network with SizedTo = sizedTo }

/// A network of a name with the weights of a file.
let private ofState (origin: Origin) fresh (model: Models.Model) (state: StateDict) =
    let sized = Models.sizedLike state model
    let build (g: Generator) =
        let network = sized.Build g
        if not fresh then network.LoadStateDict state |> ignore
        network
    { ofModel { sized with Build = build } with Origin = Some origin }

/// The network that --from and --model name; say tells what was assumed.
let find say (model: string option) (from: string option) fresh =
    match from with
    | None -> ofModel (Models.find (defaultArg model "lenet5"))
    | Some file ->
        match ModelFile.kindOf file with
        | ModelFile.Onnx ->
            let proto = withoutSoftmax say file (OnnxFile.Read file)
            let origin = { File = file; Model = model; Metadata = OnnxFile.Metadata proto }
            match model with
            | None -> ofOnnx say origin fresh proto
            | Some name -> ofState origin fresh (Models.find name) ((OnnxImporter.Import proto).Network.StateDict())
        | _ ->
            let known said =
                match Option.orElse said model with
                | Some name -> Models.find name
                | None -> raise (OnnxLeNetException $"{file} does not say what network its weights are of: name it by --model")
            let reading: ModelFile.Reading = { Key = None; AllowNonFinite = false; Say = say }
            let weights = ModelFile.readWeights file reading (fun said -> Some((known said).Build(Generator 0L)))
            ofState { File = file; Model = model; Metadata = weights.Metadata } fresh (known weights.Model) weights.State

/// The network with an output for each class of the data. A file's last layer is kept where it tells the same classes apart.
let fitted say (data: ImageFolder) (network: Network) =
    let named = List.ofSeq data.ClassNames
    match network.Head, network.Classes with
    | Some(name, outputs), _ when outputs <> data.Classes ->
        say $"{name} has {data.Classes} outputs here, one for each class of {data.Name}, in place of {outputs}"
        network.SizedTo data.Classes
    | Some(name, _), Some classes when classes <> named ->
        let list (names: string list) = String.concat ", " (List.truncate 5 names) + if names.Length > 5 then ", …" else ""
        say $"{name} begins anew: its outputs were {list classes}, the classes of {data.Name} are {list named}"
        network.SizedTo data.Classes
    | Some _, _ -> network
    | None, _ -> network.SizedTo data.Classes

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
