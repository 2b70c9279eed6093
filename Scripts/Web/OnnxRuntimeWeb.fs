/// ONNX Runtime for the web, which a browser trains with: fetched from npm once, into the user's cache.
module OnnxLeNet.Scripts.Web.OnnxRuntimeWeb

open System
open System.ComponentModel
open System.Diagnostics
open System.IO
open System.Security.Cryptography
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts

let private howToGet =
    "install Node.js (nodejs.org, or apt install npm), or name a folder that holds onnxruntime-web's dist with --ort"

let private npm (folder: string) =
    let name, first = if OperatingSystem.IsWindows() then "cmd.exe", [ "/c"; "npm" ] else "npm", []
    let info = ProcessStartInfo(name, first @ [ "ci"; "--ignore-scripts"; "--no-audit"; "--no-fund"; "--loglevel=error" ])
    info.WorkingDirectory <- folder
    info.RedirectStandardOutput <- true
    info.RedirectStandardError <- true
    try
        use running = nonNull (Process.Start info)
        let output, errors = running.StandardOutput.ReadToEndAsync(), running.StandardError.ReadToEndAsync()
        running.WaitForExit()
        if running.ExitCode <> 0 then
            raise (MissingPartException $"npm could not install onnxruntime-web: {(output.Result + errors.Result).Trim()}. To get it: \
                {howToGet}")
    with :? Win32Exception as e ->
        raise (MissingPartException($"onnxruntime-web is fetched by npm, and npm cannot be started: {e.Message}. To get it: {howToGet}", e))

/// The folder that a person named, if it is one.
let requireDist (folder: string) =
    if not (File.Exists(Path.Combine(folder, "ort.wasm.min.mjs"))) then
        raise (OnnxLeNetException $"--ort {folder}: there is no ort.wasm.min.mjs in it, expected the folder dist of onnxruntime-web")
    folder

/// The folder of the release in the lock file; there whole or not at all.
let fetch (say: string -> unit) =
    let web = Path.Combine(Workspace.programFolder, "Web")
    let dist folder = Path.Combine(folder, "node_modules", "onnxruntime-web", "dist")
    let sum = Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(Path.Combine(web, "package-lock.json"))))
    let root = Workspace.cacheFolder
    let cache = Path.Combine(root, $"web-{sum[..11]}")
    if not (Directory.Exists(dist cache)) then
        say $"fetching onnxruntime-web from npm into {cache} (once)"
        let work = Path.Combine(root, $"web-{Guid.NewGuid():N}")
        Directory.CreateDirectory work |> ignore
        try
            for file in [ "package.json"; "package-lock.json" ] do
                File.Copy(Path.Combine(web, file), Path.Combine(work, file))
            npm work
            try
                Directory.Move(work, cache)
            with :? IOException when Directory.Exists(dist cache) ->
                () // another program was there first
        finally
            if Directory.Exists work then Directory.Delete(work, true)
    dist cache

/// A file of the folder by its name alone, if it is there. A name is letters, digits, '.', '-' and '_': nothing that any system takes for
/// another folder, a drive or a stream.
let tryFile (dist: string) (name: string) =
    let file = Path.Combine(dist, name)
    let isName = name |> String.forall (fun c -> Char.IsAsciiLetterOrDigit c || ".-_".Contains c)
    if isName && not (name.StartsWith '.') && File.Exists file then Some file else None
