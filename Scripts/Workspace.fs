/// Where things are: the repository, the data that comes with it, and what an option says instead.
module OnnxLeNet.Scripts.Workspace

open System
open System.IO
open System.Reflection
open OnnxLeNet.Numerics

/// The folder that holds OnnxLeNet.sln, at or above a folder.
let rec private repositoryAbove (folder: DirectoryInfo | null) =
    match folder with
    | null -> None
    | here when File.Exists(Path.Combine(here.FullName, "OnnxLeNet.sln")) -> Some here.FullName
    | here -> repositoryAbove here.Parent

/// The folder one stands in, unless it has been removed.
let currentFolder =
    try
        Some(Directory.GetCurrentDirectory())
    with :? IOException ->
        None

/// The repository one stands in, if in any.
let private repositoryHere = currentFolder |> Option.bind (fun folder -> repositoryAbove (DirectoryInfo folder))

/// The folder that this program's files lie in: in a script that is another one than that of the running process.
let programFolder =
    match Path.GetDirectoryName(Path.Combine(AppContext.BaseDirectory, typeof<Network.Network>.Assembly.Location)) with
    | NonNull folder when folder <> "" -> folder
    | _ -> AppContext.BaseDirectory

/// The repository that this program was built in; none where it is installed.
let private builtIn = repositoryAbove (DirectoryInfo programFolder)

/// The version of this program, without the commit that the build adds.
let version =
    let informational = typeof<Network.Network>.Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>() |> nonNull
    informational.InformationalVersion.Split('+')[0]

/// What a person types before the verb.
let command = if builtIn.IsSome then "dotnet run --project Scripts -c Release --" else "onnxlenet"

/// The repository one stands in, or the one the program was built in; none in a published program elsewhere.
let private repository = repositoryHere |> Option.orElse builtIn

/// The folder of finished models unless --out names another: the repository's for who stands in it, else ./models.
let modelsFolder = Path.Combine(repositoryHere |> Option.orElse currentFolder |> Option.defaultValue "", "models")

/// The models that come with the project: the repository's, or beside a published program.
let finishedModels = Path.Combine(defaultArg repository programFolder, "models")

/// MNIST, which is copied beside the program.
let mnistFolder = Path.Combine(programFolder, "data", "mnist")

/// The user's folder for what is fetched or built once and used from then on.
let cacheFolder =
    let data = Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.Create)
    Path.Combine((if data = "" then Path.GetTempPath() else data), "OnnxLeNet")

/// The folder of decoded pictures, which may go at any time.
let pictureCache () =
    match Environment.GetEnvironmentVariable "XDG_CACHE_HOME" with
    | NonNull folder when Path.IsPathRooted folder -> Path.Combine(folder, "OnnxLeNet", "pictures")
    | _ -> Path.Combine(cacheFolder, "pictures")

/// A path as a person would type it from the current folder.
let display (path: string) =
    match currentFolder with
    | _ when StandardInput.is path -> StandardInput.name
    | None -> path
    | Some here ->
        let relative = Path.GetRelativePath(here, path)
        if relative.StartsWith ".." then path else relative.Replace('\\', '/')

/// Fails now, before hours of work, if a file of this name could not be written in this folder later. A folder that is not there can be
/// made where its parent is.
let requireWritableAs option (folder: string) (name: string) =
    if folder = "" then raise (OnnxLeNetException $"{option} needs the name of a folder, got an empty one")
    if folder = "-" then
        raise (OnnxLeNetException $"{option} needs the name of a folder, got -: standard output is for --json")
    let full = Path.TrimEndingDirectorySeparator(Path.GetFullPath folder)
    let parent = Path.GetDirectoryName full |> Option.ofObj |> Option.defaultValue folder
    if File.Exists folder || File.Exists parent then
        raise (OnnxLeNetException $"{option}: cannot write in {folder}: {(if File.Exists folder then folder else parent)} is a file")
    if not (Directory.Exists folder || Directory.Exists parent) then
        raise (OnnxLeNetException $"{option}: cannot write in {folder}: there is no folder {parent} to make it in")
    try
        AtomicFile.Try(Path.Combine((if Directory.Exists folder then folder else parent), name))
    with
    | :? PathTooLongException as e ->
        let long = $"{Text.Encoding.UTF8.GetByteCount name} bytes are too long for a name"
        raise (OnnxLeNetException($"{option}: cannot write {name} in {folder}: {long}, choose a shorter one", e))
    | :? IOException
    | :? UnauthorizedAccessException as e -> raise (OnnxLeNetException($"{option}: cannot write in {folder}: {e.Message}", e))

/// The same of files that have short names.
let requireWritable option folder = requireWritableAs option folder "a"

/// Makes a folder that requireWritable allowed; whether it was missing.
let makeFolder (folder: string) =
    let missing = not (Directory.Exists folder)
    if missing then Directory.CreateDirectory folder |> ignore
    missing

/// The same for the folder of a file. What is written as JSON may go to standard output.
let requireWritableFile option (file: string) =
    if file = "" then raise (OnnxLeNetException $"{option} needs a file name, got an empty one")
    if file = "-" && option <> "--json" then
        raise (OnnxLeNetException $"{option} needs a file name, got -: standard output is for --json")
    if Directory.Exists file then raise (OnnxLeNetException $"{option}: {file} is a folder, expected a file name")
    if file <> "-" then
        // Files are replaced by renaming, which would put a plain file in place of a device or a link.
        match RegularFile.TypeOf file |> Option.ofNullable with
        | None
        | Some FileType.Regular -> ()
        | Some kind ->
            raise (OnnxLeNetException $"{option}: {file} is a {(string kind).ToLowerInvariant()}, expected the name of a file")
        let info = FileInfo file
        let folder = info.Directory |> Option.ofObj |> Option.map _.FullName |> Option.defaultValue "/"
        requireWritableAs option folder info.Name

/// Makes the folder of a file where it is missing, and says so.
let makeFolderOf say (file: string) =
    let folder = Path.GetDirectoryName(Path.GetFullPath file) |> Option.ofObj |> Option.defaultValue "/"
    if makeFolder folder then say $"the folder {display folder} is new"
