/// report: one HTML page about a run or a model.
module OnnxLeNet.Scripts.Verbs.Report

open System
open System.IO
open System.Text.Json.Nodes
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Cli
open OnnxLeNet.Scripts.Report
open OnnxLeNet.Scripts.Report.Findings
open OnnxLeNet.Scripts.Runs
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common

type private Subject =
    | Run of RunFolder.Run
    | Model of file: string

let private subjectOf (args: Args) =
    let named = args.Require Options.runOrModel
    if named = "-" then raise (OnnxLeNetException "report needs a run or a file, got -: the page is written beside it")
    if File.Exists named then
        ModelFile.requireOnnx named
        Model named
    else
        match RunFolder.tryFind (args.Get(Options.out, Workspace.modelsFolder)) named with
        | Some folder -> Run(RunFolder.read folder)
        | None when Directory.Exists named -> Run(RunFolder.read named) // which says what is wrong with it
        | None when ModelFile.extensionOf named = ".onnx" -> raise (OnnxLeNetException $"there is no file {named}")
        | None -> Run(RunFolder.read (RunFolder.find (args.Get(Options.out, Workspace.modelsFolder)) named))

/// The network that a run ended with, or has got so far.
let private modelOf (run: RunFolder.Run) =
    let keep =
        match run.Settings["options"] with
        | :? JsonObject as options -> options["keep"] |> Option.ofObj |> Option.map string
        | _ -> None
    let names = if keep = Some "best" then [ RunFolder.Best; RunFolder.Last ] else [ RunFolder.Last; RunFolder.Best ]
    names |> List.map (RunFolder.file run.Folder) |> List.tryFind File.Exists

let private dataSetting (run: RunFolder.Run) (key: string) =
    match run.Settings["data"] with
    | :? JsonObject as data -> data[key] |> Option.ofObj
    | _ -> None

/// How many training images a run was judged by; 0 where it was by the test images.
let private heldOut (run: RunFolder.Run) =
    match dataSetting run "heldOut" with
    | None -> 0
    | Some node ->
        match Int32.TryParse(node.ToJsonString()) with
        | true, count -> count
        | _ ->
            let file = RunFolder.file run.Folder RunFolder.Settings
            raise (DataException $"{file} is damaged: its heldOut is {node.ToJsonString()}, expected a number of images")

/// The images that evaluate takes; of a run with --hold-out those that were held out.
let private imagesFor (args: Args) out file (subject: Subject) (model: OrtModel) =
    let given = Input.ofArgs args
    let folder, judgedBy =
        match args.TryGet Options.data, subject with
        | Some folder, _ -> folder, 0
        | None, Run run ->
            dataSetting run "folder" |> Option.map string |> Option.defaultValue Workspace.mnistFolder,
            heldOut run
        | None, Model _ -> Workspace.mnistFolder, 0
    try
        if model.Inputs.Count > 1 then raise (ShapeException $"{file} has {model.Inputs.Count} inputs, and images are one")
        let metadata = model.Metadata.Properties
        let sample = Input.sampleOf model.Input |> Option.map (Input.imageOf metadata)
        let name = ImageFolder.FolderName folder
        let stored =
            match sample with
            | Some sample when judgedBy > 0 ->
                let train = (Pictures.allOf out metadata given.Padding sample folder).Train
                train.Slice(train.Count - judgedBy, judgedBy)
            | _ -> Pictures.testOf out metadata given.Padding given.Size sample (args.Has Options.skipDamaged) folder
        let transform, _, said = Input.transformOf given metadata sample stored
        let outputs = String.Join(" and ", model.Outputs)
        Input.requireClassifier file outputs (Input.classesOf model) stored name
        Input.say out said
        Ok { Name = name; Stored = stored; Taken = Input.asTaken metadata transform stored }
    with :? OnnxLeNetException as e when (args.TryGet Options.data).IsNone ->
        Error e.Message

/// Fails for a file that is no report: it is somebody's. What else can be done is said where there is something.
let requireReport (option: string) otherwise (path: string) =
    if File.Exists path then
        let head = (RegularFile.ReadText path).Split '\n' |> Seq.truncate 3 |> Seq.contains Page.Marker
        if not head then
            raise (OnnxLeNetException $"{path} is no report: name another file by {option}{otherwise}")

let private writePlots (folder: string) (plots: Page.Plot list) =
    Workspace.makeFolder folder |> ignore
    let safe (name: string) = String.map (fun c -> if Char.IsLetterOrDigit c || c = '.' || c = '-' || c = '_' then c else '_') name
    for plot in plots do
        match plot with
        | Page.Drawing(name, svg) ->
            let svg = if svg.Contains "class=\"graph\"" then svg else Charts.standalone svg
            AtomicFile.Write(Path.Combine(folder, safe name + ".svg"), svg)
        | Page.Photo(name, picture) -> picture.WritePng(Path.Combine(folder, safe name + ".png"))

let run (args: Args) =
    let out = output (args.Has Options.quiet)
    configure (args.TryGet Options.threads) (args.TryGet Options.width) None
    let subject = subjectOf args
    let path =
        match args.TryGet Options.report, subject with
        | Some path, _ -> path
        | None, Run run -> Path.Combine(run.Folder, "report.html")
        | None, Model file -> nonNull (Path.ChangeExtension(file, ".html"))
    Workspace.requireWritableFile "--to" path
    args.TryGet Options.plots |> Option.iter (Workspace.requireWritable "--plots")
    if not (args.Has Options.force) then requireReport "--to" ", or replace it with --force" path
    let say (text: string) = message out text
    let found file = find say file (args.Has Options.trust) (imagesFor args out file subject)
    let title, run, findings =
        match subject with
        | Model file -> string (Path.GetFileNameWithoutExtension file), None, Some(found file)
        | Run run ->
            let data = dataSetting run "name" |> Option.map string |> Option.defaultValue ""
            $"""{run.Text "network"} on {data}""", Some run, modelOf run |> Option.map found
    let theme = File.ReadAllText(Path.Combine(Workspace.programFolder, "Web", "theme.css"))
    let html, plots = Page.make theme title run findings
    Workspace.makeFolderOf (message out) path
    AtomicFile.Write(path, html)
    line out $"{Workspace.display path}   {float html.Length / 1e6:F1} MB: open it in a browser"
    match args.TryGet Options.plots with
    | Some folder ->
        writePlots folder plots
        line out $"{Workspace.display folder}   {plots.Length} plots"
    | None -> ()
    Exit.done'
