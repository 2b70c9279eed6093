/// Files of networks and weights, told apart by what is in them.
module OnnxLeNet.Scripts.ModelFile

open System.Collections.Generic
open System.IO
open System.Text
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx

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

let private none = Dictionary<string, string>() :> IReadOnlyDictionary<string, string>

/// The key under which a safetensors file written here names its network.
let modelKey = "model"

/// A file name's ending in small letters, with its dot.
let extensionOf (path: string) = path[(max 0 (path.LastIndexOf '.')) ..].ToLowerInvariant()

/// Safetensors begin with the length of their header, a JSON object; what torch.save writes is a zip file, before PyTorch 1.6 a pickle.
let kindOf (path: string) =
    if not (File.Exists path) then
        raise (DataException(if Directory.Exists path then $"{path} is a folder, expected a file of a model or its weights" else $"there is no file {path}"))
    let head = Array.zeroCreate<byte> 16
    let read =
        use stream = File.OpenRead path
        stream.ReadAtLeast(head, head.Length, throwOnEndOfStream = false)
    let extension = extensionOf path
    if read >= 2 && (head[0], head[1]) = (byte 'P', byte 'K') || List.contains extension [ ".pth"; ".pt" ] then
        Pth
    elif read >= 9 && head[8] = byte '{' || extension = ".safetensors" then
        match SafeTensors.ReadMetadata(path).TryGetValue "format" with
        | true, format when format.StartsWith "OnnxLeNet checkpoint" -> Checkpoint
        | _ -> SafeTensors
    else
        Onnx

/// The network's weights in a file that is no ONNX model. Those of a checkpoint are the run's latest.
let readWeights (path: string) =
    match kindOf path with
    | Pth -> { Kind = "pth"; State = PyTorchFile.Read path; Metadata = none; Model = None }
    | Checkpoint ->
        let checkpoint = OnnxLeNet.Numerics.Checkpoint.Load path
        let model =
            match checkpoint.Notes.TryGetValue modelKey with
            | true, name -> Some name
            | _ -> None
        let said = Dictionary<string, string>()
        for note in checkpoint.Notes do
            said[note.Key] <- note.Value
        said["seed"] <- string checkpoint.Options.Seed
        said["epochs"] <- $"{checkpoint.Losses.Count} of {checkpoint.Options.Epochs} done, {checkpoint.Step} steps into the next"
        { Kind = "checkpoint"; State = checkpoint.Model; Metadata = said; Model = model }
    | _ ->
        let metadata = OnnxLeNet.Numerics.SafeTensors.ReadMetadata path
        { Kind = "safetensors"
          State = OnnxLeNet.Numerics.SafeTensors.Read path
          Metadata = metadata
          Model =
            match metadata.TryGetValue modelKey with
            | true, name -> Some name
            | _ -> None }
