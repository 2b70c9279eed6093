/// Folders and lists of pictures as the images of a network.
module OnnxLeNet.Scripts.Verbs.Pictures

open System
open System.Collections.Generic
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common
open Spectre.Console

/// Pictures whose decoding is worth a line.
[<Literal>]
let private Many = 1000

/// What the options say of pictures.
type Args =
    {
        /// Height and width; the network's own where it is left open.
        Size: int option
        Grey: bool
        Fit: Fit
        Background: Rgb
        SkipDamaged: bool
    }

    /// As they are typed, defaults left out.
    member a.Typed =
        [ yield! a.Size |> Option.map (fun n -> $"--size {n}") |> Option.toList
          if a.Grey then "--grey"
          if a.Fit <> Fit.Crop then $"--fit {(string a.Fit).ToLowerInvariant()}"
          if a.Background <> Rgb.White then $"--background {a.Background}"
          if a.SkipDamaged then "--skip-damaged" ]

/// No option given.
let asTheyAre = { Size = None; Grey = false; Fit = Fit.Crop; Background = Rgb.White; SkipDamaged = false }

let fitOf option (text: string) =
    match text.ToLowerInvariant() with
    | "crop" -> Fit.Crop
    | "pad" -> Fit.Pad
    | "stretch" -> Fit.Stretch
    | _ -> badOption option text "crop, pad or stretch"

/// Reads pictures with a bar in a terminal, and a line about many of them elsewhere. What read is given is told how far it is.
let private showing out (read: Action<int, int> -> 'T) : 'T =
    if out.Live then
        AnsiConsole
            .Progress(AutoClear = true, RefreshRate = TimeSpan.FromMilliseconds 200.0)
            .Columns(TaskDescriptionColumn(), ProgressBarColumn(), PercentageColumn(), RemainingTimeColumn())
            .Start(fun context ->
                let bar = context.AddTask("decoding pictures", maxValue = 1.0)
                read (Action<int, int>(fun finished total -> bar.Value <- float finished / float total)))
    else
        read (Action<int, int>(fun finished total -> if finished = 1 && total >= Many then message out $"decoding {total:N0} pictures"))

/// The shape of the images that pictures become for a network.
let imageOf (args: Args) (sample: Shape) =
    let channels = if args.Grey then 1 else 3
    match args.Size with
    | Some n -> Shape(channels, n, n)
    | None -> Shape(channels, sample[1], sample[2])

/// The pictures to train, validate and test on.
let load out (args: Args) (sample: Shape) (seed: int64) (validation: float option) (path: string) =
    let image = imageOf args sample
    showing out (fun progress ->
        PictureFolder.Load(
            path,
            PictureOptions(
                image,
                Fit = args.Fit,
                Background = args.Background,
                SkipDamaged = args.SkipDamaged,
                Seed = seed,
                ValidationShare = Option.toNullable validation,
                CacheFolder = Workspace.pictureCache (),
                Progress = progress,
                Group = Option.toObj (Ranks.group ())
            )
        ))

/// Whether a data set is of pictures, whose classes have names.
let arePictures (data: ImageFolder) = data.Train.ClassNames.Count > 0

/// What a model's file says of the pictures it was trained on.
let metadataOf (args: Args) (data: ImageFolder) =
    [ if arePictures data then
          ModelMetadata.PictureFit, (string args.Fit).ToLowerInvariant()
          ModelMetadata.Background, string args.Background
          yield! data.HeldOutBy |> Option.ofNullable |> Option.map (fun seed -> ModelMetadata.HeldOutBy, string seed) |> Option.toList ]

/// How pictures became images, as a person reads it.
let describe (args: Args) (data: ImageFolder) =
    let how =
        match args.Fit with
        | Fit.Pad -> "padded"
        | Fit.Stretch -> "stretched"
        | _ -> "cropped"
    $"pictures {how} to {data.Train.Stored}"

let private said (metadata: IReadOnlyDictionary<string, string>) key =
    match metadata.TryGetValue key with
    | true, text -> Some text
    | _ -> None

/// Pictures as a model takes them, by what its file says: their size without the padding, how they come to it, and the names of the
/// classes. Where the file leaves the size open it is what the option says.
let private optionsFor (metadata: IReadOnlyDictionary<string, string>) padding size (sample: Shape option) skipDamaged path progress all =
    let around =
        padding
        |> Option.orElse (ModelMetadata.TransformOf metadata |> Option.ofObj |> Option.map _.Padding)
        |> Option.defaultValue 0
    let image =
        match sample, size with
        | Some s, _ when s.Rank = 3 -> Shape(s[0], s[1] - 2 * around, s[2] - 2 * around)
        | Some s, _ -> raise (ShapeException $"the model takes samples of {s}, which are no images [C, H, W]: {path} holds pictures")
        | None, Some n -> Shape(3, n, n)
        | None, None ->
            raise (ShapeException $"the model's file leaves the size of its images open: say by --size what the pictures of {path} are \
                brought to")
    // The pictures that it was not trained on are known where it was made here of a data set of this name.
    let heldOut =
        if said metadata ModelMetadata.Data = Some(ImageFolder.FolderName path) then
            said metadata ModelMetadata.HeldOutBy |> Option.map (fun text ->
                match Int64.TryParse text with
                | true, seed -> seed
                | _ -> raise (OnnxException $"the model's metadata says {ModelMetadata.HeldOutBy} = '{text}', expected an integer"))
        else
            None
    PictureOptions(
        image,
        Fit = (said metadata ModelMetadata.PictureFit |> Option.map (fitOf ModelMetadata.PictureFit) |> Option.defaultValue Fit.Crop),
        Background = (said metadata ModelMetadata.Background |> Option.map Rgb.Parse |> Option.defaultValue Rgb.White),
        SkipDamaged = skipDamaged,
        Seed = defaultArg heldOut 1L,
        TestShare = (if all && heldOut.IsNone then 1.0 else 0.1),
        ClassNames = (said metadata ModelMetadata.Classes |> Option.map ModelMetadata.SplitClasses |> Option.toObj),
        CacheFolder = Workspace.pictureCache (),
        Progress = progress,
        Group = Option.toObj (Ranks.group ())
    )

/// The test images of a data set for a model: of pictures those that it was not trained on, or all where nobody knows; each class under the
/// number that the model gives it.
let testOf out metadata padding size (sample: Shape option) skipDamaged (path: string) =
    let data =
        if PictureFolder.Is path then
            showing out (fun progress ->
                PictureFolder.LoadTest(path, optionsFor metadata padding size sample skipDamaged path progress true))
        else
            ImageFolder.LoadTest(path, ImageFolder.UsualTransform(path, Option.toNullable sample), Option.toNullable sample)
    Seq.iter (message out) data.Notes
    data

/// The whole of a data set for a model.
let allOf out metadata padding (sample: Shape) (path: string) =
    let data =
        if PictureFolder.Is path then
            showing out (fun progress ->
                PictureFolder.Load(path, optionsFor metadata padding None (Some sample) false path progress false))
        else
            ImageFolder.Load(path, ImageFolder.UsualTransform(path, Nullable sample), Nullable sample)
    Seq.iter (message out) data.Notes
    data

/// Says where one class has many more training images than another, and whether anything is done about it.
let tellUneven out balance (data: ImageFolder) =
    let counts =
        Seq.init data.Train.Count data.Train.Label
        |> Seq.countBy id
        |> Seq.map (fun (label, count) -> data.ClassNames[label], count)
        |> Seq.sortBy snd
        |> Seq.toArray
    let few, many = Array.head counts, Array.last counts
    if snd many >= 2 * snd few then
        let what = if balance then "--balance weighs them" else "--balance would weigh them"
        message out $"the classes are uneven, from {snd few:N0} training images of {fst few} to {snd many:N0} of {fst many}: {what}"

/// Says that colour is in vain.
let tellGrey out (data: ImageFolder) =
    if data.Train.IsGrey then message out "every training picture is grey: --grey makes one channel of the three"
