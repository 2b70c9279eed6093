/// The walkthroughs by name, each of one document.
module OnnxLeNet.Scripts.Walkthroughs.Catalog

open System.IO
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts.Walkthroughs.Guide

type Walkthrough =
    {
        Name: string
        /// The document's number, which serves as a name too.
        Document: string
        About: string
        Steps: Guide -> unit
    }

let all =
    [ { Name = "uneven-pools"
        Document = "000"
        About = "a LeNet whose pools are not square: sizes, loss, gradients, update by hand and by SGD"
        Steps = UnevenPools.run }
      { Name = "output-sizes"
        Document = "001"
        About = "LeNet with 3×3 kernels, one training step, the formula of output sizes"
        Steps = OutputSizes.run }
      { Name = "lenet5"
        Document = "002"
        About = "LeNet-5 from its definition to the update of its weights"
        Steps = LeNet5.run }
      { Name = "gradients"
        Document = "003"
        About = "a second backward is an error; gradients add up until they are made zero"
        Steps = Gradients.run }
      { Name = "layers"
        Document = "004"
        About = "layers by hand, filters on an image, Sequential, losses, optimizers, saving, devices"
        Steps = Layers.run } ]

let tryFind name = all |> List.tryFind (fun w -> w.Name = name || w.Document = name)

/// What a walkthrough is given.
type Settings =
    {
        Seed: int64
        /// A grey image as PGM.
        Image: string option
        /// Where files go; a temporary folder if none.
        Folder: string option
    }

let defaults = { Seed = 2L; Image = None; Folder = None }

/// Runs a walkthrough and returns its checks: what must hold, and whether it did.
let run print settings walkthrough =
    Generator.ManualSeed settings.Seed
    let temporary = if settings.Folder.IsNone then Some(Directory.CreateTempSubdirectory "onnxlenet-") else None
    try
        let guide =
            { Print = print
              Generator = Generator settings.Seed
              Image = settings.Image
              Folder =
                match settings.Folder, temporary with
                | Some folder, _ -> folder
                | _, Some folder -> folder.FullName
                | _ -> invalidOp "no folder"
              Checks = ResizeArray() }
        print $"# Document {walkthrough.Document}: {walkthrough.About}"
        walkthrough.Steps guide
        let failed = guide.Checks |> Seq.filter (fun struct (_, holds) -> not holds) |> Seq.length
        print ""
        print $"""# {guide.Checks.Count} checks, {(if failed = 0 then "all hold" else $"{failed} FAILED")}"""
        List.ofSeq guide.Checks
    finally
        temporary |> Option.iter (fun folder -> folder.Delete(recursive = true))

/// For scripts: runs a walkthrough by name on standard output; the exit code is 0 if every check holds, else 1.
let exitCode name =
    match tryFind name with
    | Some walkthrough ->
        if run System.Console.Out.WriteLine defaults walkthrough |> List.forall (fun struct (_, holds) -> holds) then
            0
        else
            1
    | None -> invalidArg "name" $"there is no walkthrough '{name}'"
