/// doctor: what this machine has, what is missing and how to get it.
module OnnxLeNet.Scripts.Verbs.Doctor

open System
open System.Diagnostics
open System.Reflection
open System.Runtime.InteropServices
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Cli
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common

type private Part = { Name: string; Found: bool; Detail: string; HowToGet: string }

let private sdk () =
    try
        let info =
            ProcessStartInfo(
                "dotnet",
                "--version",
                RedirectStandardOutput = true,
                RedirectStandardError = true,
                WorkingDirectory = Workspace.programFolder
            )
        use dotnet = nonNull (Process.Start info)
        let version = dotnet.StandardOutput.ReadToEnd().Trim()
        dotnet.WaitForExit()
        { Name = ".NET SDK"
          Found = dotnet.ExitCode = 0
          Detail = version
          HowToGet = "install the .NET 10 SDK to build; running needs none" }
    with :? ComponentModel.Win32Exception ->
        { Name = ".NET SDK"
          Found = false
          Detail = "no dotnet on the PATH"
          HowToGet = "install the .NET 10 SDK to build; running needs none" }

/// The package of ONNX Runtime's native half that this program was built with, and the command that builds it with the other.
let private builtWith =
    let package =
        Assembly.GetExecutingAssembly().GetCustomAttributes<AssemblyMetadataAttribute>()
        |> Seq.tryPick (fun data -> if data.Key = "OnnxRuntimePackage" then Option.ofObj data.Value else None)
        |> Option.defaultValue "unknown"
    if package.Contains ".Gpu" then
        $"{package}, for the processor and NVIDIA GPUs; `dotnet build Scripts -c Release -p:Gpu=false` builds without CUDA"
    else
        $"{package}, for the processor; `dotnet build Scripts -c Release -p:Gpu=true` builds with CUDA"

let private provider name =
    let before = Products.Name
    try
        try
            Products.Use name
            { Name = $"provider {name}"; Found = true; Detail = string Products.Provider; HowToGet = "" }
        with :? MissingPartException as e ->
            { Name = $"provider {name}"; Found = false; Detail = "not available"; HowToGet = e.Message }
    finally
        Products.Use before

let run (args: Args) =
    let out = output (args.Has Options.quiet)
    args.TryGet Options.json |> Option.iter (Workspace.requireWritableFile "--json")
    let always name detail = { Name = name; Found = true; Detail = detail; HowToGet = "" }
    let machine =
        [ always "machine" $"{RuntimeInformation.OSDescription}, {RuntimeInformation.ProcessArchitecture}, \
            {Environment.ProcessorCount} core(s)"
          always ".NET runtime" RuntimeInformation.FrameworkDescription
          sdk ()
          always "vector width" $"{SimdWidth.Bits} bits in use, {SimdWidth.Widest} the widest here"
          match withoutFma with
          | None -> ()
          | Some slow ->
              { Name = "fused multiply-add"
                Found = false
                Detail = slow
                HowToGet = "x64 processors have it since 2013 (Haswell, Piledriver); a virtual machine may hide it" } ]
        @ [ for name in Products.Names -> provider name ]
    let onnxRuntime =
        try
            let ort = OrtRuntime.Describe()
            [ always
                  "ONNX Runtime"
                  (ort.Version
                   + match ort.NativeLibrary with
                     | null -> ""
                     | file -> $", {file}")
              always
                  "execution providers"
                  (String.Join(", ", Seq.append ort.Providers (ort.Devices |> Seq.map _.Provider) |> Seq.distinct)) ]
            @ [ for part in ort.Cuda.Parts -> { Name = part.Name; Found = part.Found; Detail = part.Detail; HowToGet = part.HowToGet } ]
        with :? MissingPartException as e ->
            [ { Name = "ONNX Runtime"; Found = false; Detail = e.Message; HowToGet = "" } ]
    let parts = machine @ always "ONNX Runtime's package" builtWith :: onnxRuntime

    for part in parts do
        line out $"""{(if part.Found then "ok     " else "missing")}  {part.Name}: {part.Detail}"""
        if not part.Found && part.HowToGet <> "" then line out $"         to get it: {part.HowToGet}"
    args.TryGet Options.json
    |> Option.iter (fun path ->
        writeJson
            path
            (json
                [ "parts",
                  jsonArray [ for p in parts -> json [ "name", p.Name; "found", p.Found; "detail", p.Detail; "howToGet", p.HowToGet ] ] ]))
    Exit.done'
