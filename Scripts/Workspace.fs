/// Where things are: the repository, the data that comes with it, and what an option says instead.
module OnnxLeNet.Scripts.Workspace

open System
open System.IO
open OnnxLeNet.Numerics

/// The folder above that holds OnnxLeNet.sln.
let rec private solutionAbove (folder: DirectoryInfo | null) =
    match folder with
    | null -> None
    | here when File.Exists(Path.Combine(here.FullName, "OnnxLeNet.sln")) -> Some here.FullName
    | here -> solutionAbove here.Parent

/// The repository that this program was built in; none where it is installed.
let private builtIn = solutionAbove (DirectoryInfo AppContext.BaseDirectory)

/// The folder that holds OnnxLeNet.sln, seen from the current folder or from the program; none in a published program elsewhere.
let private repository = solutionAbove (DirectoryInfo(Directory.GetCurrentDirectory())) |> Option.orElse builtIn

/// What a person types before the verb.
let command = if builtIn.IsSome then "dotnet run --project Scripts -c Release --" else "onnxlenet"

/// The folder of finished models unless --out names another.
let modelsFolder = Path.Combine(defaultArg repository (Directory.GetCurrentDirectory()), "models")

/// The models that come with the project: the repository's, or beside a published program.
let finishedModels = Path.Combine(defaultArg repository AppContext.BaseDirectory, "models")

/// MNIST, which is copied beside the program.
let mnistFolder = Path.Combine(AppContext.BaseDirectory, "data", "mnist")

/// A path as a person would type it from the current folder.
let display (path: string) =
    let relative = Path.GetRelativePath(Directory.GetCurrentDirectory(), path)
    if relative.StartsWith ".." then path else relative.Replace('\\', '/')

/// Fails now, before hours of work, if a file could not be written in this folder later.
let requireWritable option (folder: string) =
    if folder = "" then raise (OnnxLeNetException $"{option} needs the name of a folder, got an empty one")
    try
        Directory.CreateDirectory folder |> ignore
        let probe = Path.Combine(folder, $".{Guid.NewGuid():N}.tmp")
        File.WriteAllBytes(probe, [||])
        File.Delete probe
    with
    | :? IOException
    | :? UnauthorizedAccessException as e -> raise (OnnxLeNetException($"{option}: cannot write in {folder}: {e.Message}", e))

/// The same for the folder of a file.
let requireWritableFile option (file: string) =
    if file = "" then raise (OnnxLeNetException $"{option} needs a file name, got an empty one")
    if Directory.Exists file then raise (OnnxLeNetException $"{option}: {file} is a folder, expected a file name")
    // Files are replaced by renaming, which would put a plain file in place of a device or a link.
    let info = FileInfo file
    if
        info.Exists
        && (info.Attributes.HasFlag FileAttributes.Device
            || info.Attributes.HasFlag FileAttributes.ReparsePoint
            || file.StartsWith "/dev/")
    then
        raise (OnnxLeNetException $"{option}: {file} is a device or a link, expected the name of a file")
    requireWritable option (FileInfo(file).Directory |> Option.ofObj |> Option.map _.FullName |> Option.defaultValue "/")
