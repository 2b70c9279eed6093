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

/// What can be done here, in a line.
let private verdict (parts: Part list) (cuda: CudaDiagnosis option) =
    let found name = parts |> List.exists (fun part -> part.Name = name && part.Found)
    let gpu =
        match cuda with
        | None -> "no, because ONNX Runtime is missing"
        | Some cuda when cuda.IsComplete -> "yes, " + String.Join(", ", cuda.Gpus)
        | Some cuda ->
            let missing = [ for part in cuda.Parts do if not part.Found then (part.Name.Split " (")[0] ]
            if List.contains "NVIDIA driver" missing then "no, because there is no NVIDIA driver"
            elif cuda.Gpus.Count = 0 then "no, because there is no NVIDIA GPU"
            else "no, because parts are missing: " + String.Join(", ", missing)
    let cpu = if found "ONNX Runtime" then "ready: CPU" else "not ready: ONNX Runtime is missing"
    $"{cpu}; GPU: {gpu}"

/// What is missing, each thing once: parts that one step brings stand together.
let private sayMissing out (parts: Part list) =
    for (_, howToGet), together in parts |> List.groupBy (fun part -> part.Detail, part.HowToGet) do
        let names = together |> List.map _.Name |> String.concat ", "
        line out $"missing  {names}: {together.Head.Detail}"
        if howToGet <> "" then line out $"         to get it: {howToGet}"

/// What the provider itself lacks is in the list of CUDA's parts.
let private brief (part: Part) =
    if part.Name = "provider cuda" && not part.Found then
        let needs = part.HowToGet.Split(". Looked")[0]
        { part with Detail = needs.Replace("provider cuda needs", "needs"); HowToGet = "" }
    else
        part

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

/// What `mpirun` could be: each library that is here.
let private mpi () =
    match List.ofSeq (Mpi.Libraries()) with
    | [] ->
        [ { Name = "MPI"
            Found = false
            Detail = "no library, so that training has one process"
            HowToGet = MpiLibrary.HowToGet } ]
    | libraries ->
        [ for struct (version, library) in libraries ->
              { Name = $"MPI ({library})"; Found = true; Detail = version; HowToGet = "" } ]

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
    let onnxRuntime, cuda =
        try
            let ort = OrtRuntime.Describe()
            let library = ort.NativeLibrary |> Option.ofObj |> Option.map (fun file -> $", {file}") |> Option.defaultValue ""
            let providers = Seq.append ort.Providers (ort.Devices |> Seq.map _.Provider) |> Seq.distinct
            [ always "ONNX Runtime" (ort.Version + library)
              always "execution providers" (String.Join(", ", providers)) ]
            @ [ for part in ort.Cuda.Parts -> { Name = part.Name; Found = part.Found; Detail = part.Detail; HowToGet = part.HowToGet } ],
            Some ort.Cuda
        with :? MissingPartException as e ->
            [ { Name = "ONNX Runtime"; Found = false; Detail = e.Message; HowToGet = "" } ], None
    let parts = machine @ mpi () @ always "ONNX Runtime's package" builtWith :: onnxRuntime

    heading out (verdict parts cuda)
    line out ""
    let found, missing = parts |> List.partition _.Found
    for part in found do
        line out $"ok       {part.Name}: {part.Detail}"
    sayMissing out (List.map brief missing)
    args.TryGet Options.json
    |> Option.iter (fun path ->
        writeJson
            path
            (json
                [ "parts",
                  jsonArray [ for p in parts -> json [ "name", p.Name; "found", p.Found; "detail", p.Detail; "howToGet", p.HowToGet ] ] ]))
    Exit.done'
