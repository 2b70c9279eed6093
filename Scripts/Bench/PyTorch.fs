/// The PyTorch peer: a python process that trains or runs LeNet-5 when told to.
module OnnxLeNet.Scripts.Bench.PyTorch

open System
open System.Diagnostics
open System.IO
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts.Bench.PeerProcess
open OnnxLeNet.Scripts.Terminal

let private script = Path.Combine(OnnxLeNet.Scripts.Workspace.programFolder, "Bench", "pytorch.py")

let private howToGet =
    "apt install python3-torch libopenblas0-pthread (Debian, Ubuntu) or pip install torch, and name its python with --python where it is \
        not python3"

type Peer(python: PeerProcess) =
    /// The versions, and the BLAS files it loaded.
    member _.About = python.About.Fields

    member peer.Version = string peer.About["torch"]

    member peer.Blas =
        match peer.About["blas"] with
        | null -> []
        | files -> [ for file in files.AsArray() -> string file ]

    /// Seconds of one training epoch.
    member _.Epoch(batch: int, threads: int) : float =
        let answer = python.Ask(json [ "do", "epoch"; "batch", batch; "threads", threads ])
        answer.Number "loss" |> ignore // finite
        answer.Number "seconds"

    /// Seconds of one forward.
    member _.Infer(batch: int, threads: int, seconds: float) : float =
        python.Ask(json [ "do", "infer"; "batch", batch; "threads", threads; "seconds", seconds ]).Number "seconds"

    interface IDisposable with
        member _.Dispose() = (python :> IDisposable).Dispose()

/// The peer on a device, cpu or cuda, by the python named, or by the first usual one that has PyTorch; or why there is none. A named one
/// that fails is an error.
let findOn (device: string) (python: string option) (images: int) (data: string) : Result<Peer, string> =
    let attempt (name: string) =
        try
            let info = ProcessStartInfo(name, [ script; data; "--images"; string images; "--device"; device ])
            Ok(new Peer(PeerProcess.Start("PyTorch", info)))
        with :? MissingPartException as e ->
            Error e.Message
    match python with
    | Some name ->
        match attempt name with
        | Ok peer -> Ok peer
        | Error why -> raise (MissingPartException $"--python {name} cannot be used ({why}). To get it: {howToGet}")
    | None ->
        let rec first reasons names =
            match names with
            | [] -> Error(String.Join("; ", List.rev reasons) + ". To get it: " + howToGet)
            | name :: rest ->
                match attempt name with
                | Ok peer -> Ok peer
                | Error why -> first (why :: reasons) rest
        first [] (if OperatingSystem.IsWindows() then [ "python"; "py" ] else [ "python3"; "/usr/bin/python3"; "python" ])

/// The peer on the processor.
let find python images data = findOn "cpu" python images data
