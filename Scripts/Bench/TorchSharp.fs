/// The TorchSharp peer: a .NET process on libtorch that trains and runs the small networks when told to. Its packages are half a gigabyte
/// of native code, so it is built when that is asked for, once, in the user's cache.
module OnnxLeNet.Scripts.Bench.TorchSharp

open System
open System.Buffers.Binary
open System.Diagnostics
open System.IO
open System.Runtime.InteropServices
open System.Text
open System.Text.Json.Nodes
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Bench.PeerProcess
open OnnxLeNet.Scripts.Terminal

type Peer(torchSharp: PeerProcess) =
    /// The versions.
    member _.About = torchSharp.About.Fields

    member peer.Version = $"""{peer.About["torchSharp"]} on libtorch {peer.About["libtorch"]}"""

    /// Takes a network's starting weights and data, in a safetensors file; how many parameters it has.
    member _.Load(network: string, file: string) =
        torchSharp.Ask(json [ "do", "load"; "network", network; "file", file ]).Number "parameters" |> int

    /// All batches once: seconds of a step, and each step's loss.
    member _.Epoch(batch: int, threads: int) =
        let answer = torchSharp.Ask(json [ "do", "epoch"; "batch", batch; "threads", threads ])
        answer.Number "seconds", answer.Numbers "losses"

    /// One forward of the starting weights on the first images: its seconds, and its outputs.
    member _.Infer(batch: int, threads: int, seconds: float) =
        let answer = torchSharp.Ask(json [ "do", "infer"; "batch", batch; "threads", threads; "seconds", seconds ])
        answer.Number "seconds", answer.Numbers "outputs" |> Array.map float32

    /// The resident set before a network is built and the largest once it has trained for so many steps, in bytes.
    member _.Memory(network: string, batch: int, threads: int, steps: int) =
        let request = [ "do", box "memory"; "network", network; "batch", batch; "threads", threads; "steps", steps ]
        let answer = torchSharp.Ask(json request)
        answer.Number "startBytes", answer.Number "peakBytes"

    interface IDisposable with
        member _.Dispose() = (torchSharp :> IDisposable).Dispose()

let private source = Path.Combine(Workspace.programFolder, "Bench", "torchsharp.cs")
let private folder = Path.Combine(Workspace.cacheFolder, "torchsharp")
let private built = Path.Combine(folder, "bin")
let private program = Path.Combine(built, (if OperatingSystem.IsWindows() then "peer.exe" else "peer"))

/// The source that the program was built from, put beside it when all else is done.
let private builtFrom = Path.Combine(built, "peer.cs")

/// Lets an ELF file load where a version of a library that it names is missing, by marking its need as weak. What it calls must be there.
/// The tables are those of the System V ABI and the Linux Standard Base, "Symbol Versioning".
let tolerateMissing (version: string) (file: byte array) =
    let u16 (at: int) = int (BinaryPrimitives.ReadUInt16LittleEndian(ReadOnlySpan(file, at, 2)))
    let u32 (at: int) = int (BinaryPrimitives.ReadUInt32LittleEndian(ReadOnlySpan(file, at, 4)))
    let u64 (at: int) = int (BinaryPrimitives.ReadUInt64LittleEndian(ReadOnlySpan(file, at, 8)))
    let section index = u64 0x28 + index * u16 0x3A
    let sectionOffset index = u64 (section index + 0x18)
    let versionNeeds = 0x6ffffffe // SHT_GNU_verneed
    let weak = 2 // VER_FLG_WEAK
    let wanted = Encoding.ASCII.GetBytes(version + "\000")
    for index in 0 .. u16 0x3C - 1 do
        if u32 (section index + 4) = versionNeeds then
            let names = sectionOffset (u32 (section index + 0x28))
            let mutable need = sectionOffset index
            for _ in 1 .. u32 (section index + 0x2C) do // libraries
                let mutable entry = need + u32 (need + 8)
                for _ in 1 .. u16 (need + 2) do // their versions
                    let name = names + u32 (entry + 8)
                    if ReadOnlySpan(file, name, wanted.Length).SequenceEqual(ReadOnlySpan wanted) then
                        BinaryPrimitives.WriteUInt16LittleEndian(Span(file, entry + 4, 2), uint16 (u16 (entry + 4) ||| weak))
                    entry <- entry + u32 (entry + 12)
                need <- need + u32 (need + 12)

/// TorchSharp's native half names the newest version of GCC 13's libstdc++, and nothing of it that it calls: a system with an older one
/// runs it all the same.
let private tolerateOlderLibraries () =
    if OperatingSystem.IsLinux() then
        for path in Directory.GetFiles(built, "libLibTorchSharp.so", SearchOption.AllDirectories) do
            let bytes = File.ReadAllBytes path
            tolerateMissing "GLIBCXX_3.4.32" bytes
            File.WriteAllBytes(path, bytes)

/// Fetches the packages and builds the program, in the place of an earlier one.
let private build out =
    message out $"building the TorchSharp peer in {folder}: NuGet fetches 0.5 GB where it has not yet"
    if Directory.Exists folder then Directory.Delete(folder, true)
    Directory.CreateDirectory folder |> ignore
    let copy = Path.Combine(folder, "peer.cs")
    File.Copy(source, copy)
    let info = ProcessStartInfo("dotnet", [ "build"; copy; "-c"; "Release"; "-o"; built; "-v"; "quiet"; "-nologo" ])
    info.WorkingDirectory <- folder
    info.RedirectStandardOutput <- true
    info.RedirectStandardError <- true
    let fail (why: string) = raise (MissingPartException $"TorchSharp could not be built by the .NET 10 SDK: {why.Trim()}")
    try
        use running = nonNull (Process.Start info)
        let output, errors = running.StandardOutput.ReadToEndAsync(), running.StandardError.ReadToEndAsync()
        running.WaitForExit()
        if running.ExitCode <> 0 then fail (output.Result + errors.Result)
    with :? ComponentModel.Win32Exception as e ->
        fail e.Message
    tolerateOlderLibraries ()
    File.Copy(source, builtFrom)

let private start () =
    let info = ProcessStartInfo program
    // The program looks for .NET where systems keep it; this one may stand elsewhere.
    if not (info.Environment.ContainsKey "DOTNET_ROOT") then
        info.Environment["DOTNET_ROOT"] <- Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", ".."))
    try
        new Peer(PeerProcess.Start("TorchSharp", info))
    with :? MissingPartException as e ->
        raise (MissingPartException $"TorchSharp in {folder} cannot be used ({e.Message}); --torchsharp builds it again")

/// The peer that was built earlier, or is now if that is wanted; or why there is none. One that is there and fails is an error. What is
/// returned starts it: more than once, for what a fresh process is needed for.
let find out (wanted: bool) : Result<unit -> Peer, string> =
    if wanted then build out
    if not (File.Exists builtFrom) then
        Error "not built here. To get it: --torchsharp, which fetches 0.5 GB from NuGet and builds it once"
    elif File.ReadAllText builtFrom <> File.ReadAllText source then
        Error "built for another version of this program. To get it: --torchsharp builds it again"
    else
        Ok start
