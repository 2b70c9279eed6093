/// Models on standard input, which a file name of - stands for. It can be read once, and a model is looked at more than once: it is kept in
/// a file of this program's own until that ends.
module OnnxLeNet.Scripts.StandardInput

open System
open System.IO
open System.Runtime.InteropServices
open OnnxLeNet.Numerics

/// Where another process of this program, which started this one, has put it.
let private variable = "ONNXLENET_STANDARD_INPUT"

/// What people call it.
let name = "standard input"

module private Native =
    [<DllImport("libc")>]
    extern int fcntl(int descriptor, int command)

    // The command that reads a descriptor's flags, and the only one of these.
    let getFlags = 1
    let closedByExec = 1

/// Its bytes. Where it is closed, its number is that of the first file that this program opens for itself, and to read that may never end.
/// Such a file is one that no other program gets, unlike any that this one was started with.
let open' () =
    if not (OperatingSystem.IsWindows()) then
        let flags = Native.fcntl (0, Native.getFlags)
        if flags < 0 || flags &&& Native.closedByExec <> 0 then
            raise (DataException $"{name} is closed, and a file name of - reads from it: give it a file with < or a pipe, or name the file")
    Console.OpenStandardInput()

let private keep () =
    use source = open' ()
    let folder = (Directory.CreateTempSubdirectory "onnxlenet-").FullName
    AppDomain.CurrentDomain.ProcessExit.Add(fun _ ->
        try
            Directory.Delete(folder, recursive = true)
        with
        | :? IOException
        | :? UnauthorizedAccessException -> ())
    let path = Path.Combine(folder, "standard input")
    use file = new FileStream(path, FileMode.CreateNew, FileAccess.Write)
    let buffer = Array.zeroCreate<byte> (1 <<< 16)
    let mutable count = source.Read(buffer, 0, buffer.Length)
    while count > 0 do
        if file.Length + int64 count > int64 Array.MaxLength then
            raise (DataException $"{name} has more than {Array.MaxLength} bytes, which are the most that are read")
        file.Write(buffer, 0, count)
        count <- source.Read(buffer, 0, buffer.Length)
    Environment.SetEnvironmentVariable(variable, path)
    path

let private file =
    lazy (Environment.GetEnvironmentVariable variable |> Option.ofObj |> Option.defaultWith keep)

/// The file that a name stands for.
let named (given: string) = if given = "-" then file.Value else given

/// Whether a path is that of standard input.
let is (path: string) = file.IsValueCreated && path = file.Value
