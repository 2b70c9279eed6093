/// The PyTorch peer: a python process that trains or runs LeNet-5 when told to, and waits otherwise.
module OnnxLeNet.Scripts.Bench.PyTorch

open System
open System.Diagnostics
open System.IO
open System.Text.Json.Nodes
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Terminal

let private script = Path.Combine(AppContext.BaseDirectory, "Bench", "pytorch.py")

let private howToGet =
    "apt install python3-torch libopenblas0-pthread (Debian, Ubuntu) or pip install torch, and name its python with --python where it is \
        not python3"

/// A line of the process as an object; what it says of itself when it fails, otherwise.
let private answer (python: Process) (lastError: unit -> string) =
    match python.StandardOutput.ReadLine() with
    | null ->
        python.WaitForExit() // and the last of its errors is read
        raise (MissingPartException $"the PyTorch process ended with exit code {python.ExitCode}: {lastError ()}")
    | line ->
        let node = JsonNode.Parse line |> nonNull
        match node["error"] with
        | null -> node
        | error -> raise (MissingPartException(string error))

type Peer(python: Process, lastError: unit -> string, about: JsonNode) =
    /// The versions, and the BLAS files it loaded.
    member _.About = about

    member _.Version = string about["torch"]

    member _.Blas =
        match about["blas"] with
        | null -> []
        | files -> [ for file in files.AsArray() -> string file ]

    /// Asks for something, and returns the seconds it took.
    member private _.Seconds(request: JsonObject) =
        python.StandardInput.WriteLine(request.ToJsonString())
        python.StandardInput.Flush()
        (nonNull ((answer python lastError)["seconds"])).GetValue<float>()

    /// Seconds of one training epoch.
    member peer.Epoch(batch: int, threads: int) : float = peer.Seconds(json [ "do", "epoch"; "batch", batch; "threads", threads ])

    /// Seconds of one forward.
    member peer.Infer(batch: int, threads: int, seconds: float) : float =
        peer.Seconds(json [ "do", "infer"; "batch", batch; "threads", threads; "seconds", seconds ])

    interface IDisposable with
        member _.Dispose() =
            python.StandardInput.Close() // the end of its input ends it
            if not (python.WaitForExit 2000) then python.Kill()
            python.Dispose()

let private start (device: string) (images: int) (data: string) (python: string) =
    let info = ProcessStartInfo(python, [ script; data; "--images"; string images; "--device"; device ])
    info.RedirectStandardInput <- true
    info.RedirectStandardOutput <- true
    info.RedirectStandardError <- true
    let running =
        try
            nonNull (Process.Start info)
        with :? ComponentModel.Win32Exception as e ->
            raise (MissingPartException $"{python}: {e.Message}")
    // Read as it comes, so that a talkative library never waits for a reader; the last line is the one that says what went wrong.
    let said = ref "it said nothing"
    let last = fun () -> said.Value
    running.ErrorDataReceived.Add(fun e ->
        match e.Data with
        | null -> ()
        | text when String.IsNullOrWhiteSpace text -> ()
        | text -> said.Value <- text.Trim())
    running.BeginErrorReadLine()
    try
        new Peer(running, last, answer running last)
    with _ ->
        if not running.HasExited then running.Kill()
        running.Dispose()
        reraise ()

/// The peer on a device, cpu or cuda, by the python named, or by the first usual one that has PyTorch; or why there is none. A named one
/// that fails is an error.
let findOn (device: string) (python: string option) (images: int) (data: string) : Result<Peer, string> =
    let attempt name =
        try
            Ok(start device images data name)
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
