/// dotnet run --project Scripts -c Release -- VERB [options]; with no verb, train.
module OnnxLeNet.Scripts.Program

open System
open System.IO
open System.Reflection
open Argu
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Options
open OnnxLeNet.Scripts.Verbs
open OnnxLeNet.Scripts.Verbs.Common

/// Created when it is asked: it looks at every verb's options, which takes longer than saying the version.
let private parser () = ArgumentParser.Create<Verb>(programName = Workspace.command)

/// The version of the package, without the commit that the build adds.
let private version =
    let informational = Assembly.GetExecutingAssembly().GetCustomAttribute<AssemblyInformationalVersionAttribute>() |> nonNull
    informational.InformationalVersion.Split('+')[0]

/// No verb, or options alone, are train's; help is everyone's.
let private withVerb (argv: string array) =
    match Array.tryHead argv with
    | None -> [| "train" |]
    | Some first when first.StartsWith '-' && first <> "--help" && first <> "-h" -> Array.append [| "train" |] argv
    | _ -> argv

[<EntryPoint>]
let main argv =
    // A Windows console has another encoding of its own, without ×, − and ….
    if OperatingSystem.IsWindows() then Console.OutputEncoding <- Text.Encoding.UTF8
    let json = Array.tryFindIndexBack ((=) "--json") argv |> Option.exists (fun at -> Array.tryItem (at + 1) argv = Some "-")
    if json || Array.contains "--json=-" argv then Terminal.keepOutputForJson ()
    Guard.run (fun () ->
        if argv = [| "--version" |] then
            printfn $"onnxlenet {version}"
            Exit.done'
        elif Array.tryHead argv = Some "predict" then
            let args =
                Predict.parse (List.tail (List.ofArray argv))
                |> Option.defaultWith (fun () ->
                    // Alone: what it says must not wait for a look at every other verb's options.
                    let own = ArgumentParser.Create<PredictArgs>(programName = $"{Workspace.command} predict", checkStructure = false)
                    (own.ParseCommandLine argv[1..]).GetAllResults())
            Predict.run args
        else
            match (parser().ParseCommandLine(withVerb argv)).GetSubCommand() with
            | Verb.Predict args -> Predict.run (args.GetAllResults())
            | Train args -> Train.run args
            | Evaluate args -> Evaluate.run args
            | Validate args -> Validate.run args
            | Verb.Inspect args -> Inspect.run args
            | Verb.Export args -> if args.Contains ExportArgs.Training then ExportTraining.run args else Export.run args
            | Verb.Walkthrough args -> Walkthrough.run args
            | Verb.Bench args -> Bench.run args
            | Verb.Conformance args -> Conformance.run args
            | Doctor args -> Doctor.run args
            | Verb.GpuCheck args -> GpuCheck.run args
            | Verb.Serve args -> Serve.run args)
