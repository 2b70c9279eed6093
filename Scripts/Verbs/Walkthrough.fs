/// walkthrough: a document about networks, step by step, with the engine's own numbers.
module OnnxLeNet.Scripts.Verbs.Walkthrough

open OnnxLeNet.Numerics
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Cli
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common
open OnnxLeNet.Scripts.Walkthroughs

let private choose (name: string option) =
    let names = Catalog.all |> List.map (fun w -> $"{w.Name} ({w.Document})") |> String.concat ", "
    match name with
    | None -> raise (OnnxLeNetException $"name a walkthrough: {names}")
    | Some name ->
        match Catalog.tryFind name with
        | Some walkthrough -> walkthrough
        | None -> raise (OnnxLeNetException $"there is no walkthrough '{name}': choose one of {names}")

let run (args: Args) =
    let out = output (args.Has Options.quiet)
    useWidth (args.TryGet Options.width)
    if args.Has Options.list then
        for walkthrough in Catalog.all do
            line out walkthrough.Name
        Exit.done'
    else
        let walkthrough = choose (args.TryGet Options.walkthrough)
        let folder = args.TryGet Options.out
        folder |> Option.iter (Workspace.requireWritable "--out")
        args.TryGet Options.json |> Option.iter (Workspace.requireWritableFile "--json")
        if folder |> Option.exists Workspace.makeFolder then
            message out $"made the folder {Workspace.display folder.Value}"
        let checks =
            walkthrough
            |> Catalog.run
                (lines out)
                { Seed = args.Get(Options.seed, Catalog.defaults.Seed)
                  Image = args.TryGet Options.image
                  Folder = folder }
        let failed =
            [ for struct (what, holds) in checks do
                  if not holds then what ]
        args.TryGet Options.json
        |> Option.iter (fun path ->
            writeJson
                path
                (json
                    [ "name", walkthrough.Name
                      "document", walkthrough.Document
                      "passed", failed.IsEmpty
                      "checks", jsonArray [ for struct (what, holds) in checks -> json [ "what", what; "passed", holds ] ] ]))
        if failed.IsEmpty then
            Exit.done'
        else
            error $"""{failed.Length} check(s) failed: {String.concat "; " failed}"""
            Exit.fallsShort
