/// Files of networks and weights, told apart by what is in them.
module OnnxLeNet.Scripts.ModelFile

open System.Collections.Generic
open OnnxLeNet.Numerics

type Kind =
    | Onnx
    | Pth
    | SafeTensors
    | Checkpoint

type Weights =
    {
        Kind: string
        State: StateDict
        /// What the file says beside its tensors.
        Metadata: IReadOnlyDictionary<string, string>
        /// The network the weights are of, where the file says it.
        Model: string option
    }

/// How a file of weights is read: what the options say, and where to tell what the reader assumed.
type Reading = { Key: string option; AllowNonFinite: bool; Say: string -> unit }

let private none = Dictionary<string, string>() :> IReadOnlyDictionary<string, string>

/// The key under which a safetensors file written here names its network.
let modelKey = "model"

/// A file name's ending in small letters, with its dot.
let extensionOf (path: string) = path[(max 0 (path.LastIndexOf '.')) ..].ToLowerInvariant()

/// What a file is, by its content; the ending decides where the content does not tell.
let kindOf (path: string) =
    match StateDictFile.KindOf path with
    | StateFileKind.PyTorch -> Pth
    | StateFileKind.SafeTensors ->
        match SafeTensors.ReadMetadata(path).TryGetValue "format" with
        | true, format when format.StartsWith "OnnxLeNet checkpoint" -> Checkpoint
        | _ -> SafeTensors
    | _ -> Onnx

/// Fails where an ONNX model is expected and the file is something else that is known here.
let requireOnnx (path: string) =
    if System.IO.Directory.Exists path then
        raise (OnnxLeNetException $"{path} is a folder, expected an ONNX file")
    match kindOf path with
    | Onnx -> ()
    | kind ->
        let what =
            match kind with
            | Pth -> "a state dict of PyTorch"
            | SafeTensors -> "a state dict (safetensors)"
            | _ -> "a checkpoint of a run here"
        let model = if kind = Checkpoint then "" else " --model NAME"
        raise (
            OnnxLeNetException
                $"{path} is {what}, expected an ONNX model: export it first, `{Workspace.command} export {path}{model} --to \
                    {System.IO.Path.GetFileNameWithoutExtension path}.onnx`"
        )

/// The options that are for weights alone, on a file that is something else.
let refuseReading (reading: Reading) what =
    for given, option in [ reading.Key.IsSome, "--key"; reading.AllowNonFinite, "--allow-non-finite" ] do
        if given then raise (OnnxLeNetException $"{option} is for state dicts (.pth, .safetensors); {what}")

/// The network's weights in a file that is no ONNX model. Those of a checkpoint are the run's latest.
/// networkOf gives the network that the weights are for, if it is known, from the name that the file states.
let readWeights (path: string) (reading: Reading) (networkOf: string option -> Sequential option) =
    let read (model: string option) =
        let options =
            StateReadOptions(
                Key = Option.toObj reading.Key,
                AllowNonFinite = reading.AllowNonFinite,
                Network = (networkOf model |> Option.map (fun net -> net :> Module) |> Option.toObj)
            )
        let state = StateDictFile.Read(path, options)
        Seq.iter reading.Say state.Notes
        state
    match kindOf path with
    | Checkpoint ->
        refuseReading reading $"{path} is a checkpoint of a run here, which holds one network"
        let checkpoint = OnnxLeNet.Numerics.Checkpoint.Load path
        let model =
            match checkpoint.Notes.TryGetValue modelKey with
            | true, name -> Some name
            | _ -> None
        let said = Dictionary<string, string>()
        for note in checkpoint.Notes do
            said[note.Key] <- note.Value
        said["seed"] <- string checkpoint.Seed
        said["epochs"] <- $"{checkpoint.Losses.Count} of {checkpoint.Epochs} done, {checkpoint.Step} steps into the next"
        { Kind = "checkpoint"; State = checkpoint.Model; Metadata = said; Model = model }
    | SafeTensors ->
        let metadata = OnnxLeNet.Numerics.SafeTensors.ReadMetadata path
        let model =
            match metadata.TryGetValue modelKey with
            | true, name -> Some name
            | _ -> None
        { Kind = "safetensors"; State = read model; Metadata = metadata; Model = model }
    | _ -> { Kind = "pth"; State = read None; Metadata = none; Model = None }
