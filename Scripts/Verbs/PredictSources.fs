/// Where predict's pictures come from: files, folders, images of IDX files, standard input.
module OnnxLeNet.Scripts.Verbs.PredictSources

open System
open System.IO
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts

/// A picture that has not been read yet.
type Source =
    {
        File: string
        /// The image of an IDX file.
        Index: int option
        Read: Rgb -> Picture
    }

    /// What a person calls it.
    member source.Name =
        match source.Index with
        | Some index -> $"{source.File}[{index}]"
        | None -> source.File

let private endings = set [ ".png"; ".jpg"; ".jpeg"; ".bmp"; ".gif"; ".pgm"; ".ppm"; ".pnm" ]

/// 0,5,10-19 as a list.
let parseIndex (text: string) =
    let wrong () = Common.badOption "--index" text "numbers of images from 0 on, such as 0,5,10-19"
    let number (part: string) =
        match Int32.TryParse(part, Globalization.NumberStyles.None, Globalization.CultureInfo.InvariantCulture) with
        | true, n -> n
        | _ -> wrong ()
    [ for part in text.Split ',' do
          match part.Split '-' with
          | [| one |] -> number one
          | [| first; last |] when number first <= number last -> yield! [ number first .. number last ]
          | _ -> wrong () ]

/// Whether a file begins as an IDX file does, or one that is gzipped: no picture does.
let private isIdx (file: string) =
    use opened = RegularFile.Open file
    match RegularFile.ReadHead(opened, file, 2) with
    | [| 0uy; 0uy |]
    | [| 0x1fuy; 0x8buy |] -> true
    | _ -> false

let private ofIdx (file: string) (index: int list option) =
    match index with
    | None -> raise (DataException $"{file} is an IDX file of many images: say which by --index, such as --index 0-9")
    | Some index ->
        let idx = IdxFile.Read file
        if idx.Shape.Rank <> 3 then
            raise (DataException $"{file} holds {idx.Shape}, expected images [count, height, width]")
        let height, width = idx.Shape[1], idx.Shape[2]
        [ for i in index ->
              { File = file
                Index = Some i
                Read =
                  fun _ ->
                      if i >= idx.Shape[0] then raise (DataException $"{file} has no image {i}: they are 0 to {idx.Shape[0] - 1}")
                      Picture(width, height, 1, idx.Data.Slice(i * height * width, height * width).ToArray()) } ]

let private ofFile file = { File = file; Index = None; Read = fun background -> Picture.Load(file, Nullable background) }

/// The pictures of a folder and those below it, by their names' endings; links are not followed.
let private ofFolder (folder: string) =
    let options = EnumerationOptions(RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint)
    let files =
        Directory.EnumerateFiles(folder, "*", options)
        |> Seq.filter (fun file -> endings.Contains((nonNull (Path.GetExtension file)).ToLowerInvariant()))
        |> Seq.sortWith (fun a b -> String.CompareOrdinal(a, b))
        |> Seq.toList
    if files.IsEmpty then
        let known = endings |> Seq.map (fun ending -> ending[1..]) |> String.concat ", "
        raise (DataException $"the folder {folder} holds no pictures ({known}); an IDX file is named itself, with --index")
    files |> List.map ofFile

let private ofInput () =
    { File = "-"
      Index = None
      Read = fun background -> Picture.Load(StandardInput.open' (), StandardInput.name, Nullable background) }

/// The pictures that a name stands for.
let ofName (index: int list option) (name: string) =
    if name = "-" then [ ofInput () ]
    elif Directory.Exists name then ofFolder name
    elif File.Exists name && isIdx name then ofIdx name index
    elif index.IsSome && File.Exists name then
        raise (DataException $"{name} is not an IDX file, which --index is for")
    else [ ofFile name ]
