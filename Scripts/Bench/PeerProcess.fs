/// A peer of the benchmarks: a process that answers each line of JSON with a line of JSON, and waits without working otherwise.
module OnnxLeNet.Scripts.Bench.PeerProcess

open System
open System.Diagnostics
open System.IO
open System.Text.Json
open System.Text.Json.Nodes
open OnnxLeNet.Numerics

/// What a peer said, read strictly: a peer may be any program.
type Answer(name: string, line: string, fields: JsonObject) =
    let number (field: string) (node: JsonNode | null) =
        match node with
        | :? JsonValue as value when value.GetValueKind() = JsonValueKind.Number && Double.IsFinite(value.GetValue<float>()) ->
            value.GetValue<float>()
        | _ -> raise (OnnxLeNetException $"{name} answered '{line}', expected finite numbers as {field}")

    member _.Fields = fields

    member _.Number(field: string) = number field fields[field]

    member _.Numbers(field: string) =
        match fields[field] with
        | :? JsonArray as values -> [| for value in values -> number field value |]
        | other -> [| number field other |]

/// The beginning of a line that is quoted.
let private quoted (line: string) = if line.Length <= 100 then line else line[..99] + "…"

type PeerProcess private (name: string, running: Process, lastError: unit -> string) =
    /// Its next line as an object; what it says of itself when it fails, otherwise.
    let read () =
        match running.StandardOutput.ReadLine() with
        | null ->
            running.WaitForExit() // and the last of its errors is read
            raise (MissingPartException $"the {name} process ended with exit code {running.ExitCode}: {lastError ()}")
        | line ->
            let node =
                try
                    StrictJson.Parse line
                with :? JsonException ->
                    null
            match node with
            | :? JsonObject as fields when isNull fields["error"] -> Answer(name, quoted line, fields)
            | :? JsonObject as fields -> raise (MissingPartException $"""{name}: {(string fields["error"]).ReplaceLineEndings " "}""")
            | _ -> raise (MissingPartException $"the {name} process said '{quoted line}', expected a JSON object")

    let mutable about: Answer option = None

    /// Starts it, and reads the line that it begins with.
    static member Start(name: string, info: ProcessStartInfo) =
        info.RedirectStandardInput <- true
        info.RedirectStandardOutput <- true
        info.RedirectStandardError <- true
        let running =
            try
                nonNull (Process.Start info)
            with :? ComponentModel.Win32Exception as e ->
                raise (MissingPartException $"{info.FileName}: {e.Message}")
        // Read as it comes, so that a talkative library never waits for a reader; the last line is the one that says what went wrong.
        let said = ref "it said nothing"
        running.ErrorDataReceived.Add(fun e ->
            match e.Data with
            | null -> ()
            | text when String.IsNullOrWhiteSpace text -> ()
            | text -> said.Value <- text.Trim())
        running.BeginErrorReadLine()
        let peer = new PeerProcess(name, running, (fun () -> said.Value))
        try
            peer.Begin()
            peer
        with _ ->
            if not running.HasExited then running.Kill()
            running.Dispose()
            reraise ()

    member private _.Begin() = about <- Some(read ())

    /// What it began with.
    member _.About: Answer = about.Value

    /// Asks for something.
    member _.Ask(request: JsonObject) : Answer =
        try
            running.StandardInput.WriteLine(request.ToJsonString())
            running.StandardInput.Flush()
        with :? IOException ->
            () // it has ended: reading says how
        read ()

    interface IDisposable with
        member _.Dispose() =
            try
                running.StandardInput.Close() // the end of its input ends it
            with :? IOException ->
                ()
            if not (running.WaitForExit 2000) then running.Kill()
            running.Dispose()
