/// What a model's input wants: what its file says, else what options say, else what follows from the sizes; the rest is assumed, and said.
module OnnxLeNet.Scripts.Verbs.Input

open System
open System.Collections.Generic
open System.Globalization
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Cli
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common

/// What the options say of it.
type Given = { Mean: string option; Std: string option; Scale: string option; Padding: int option; Size: int option }

/// No option given.
let nothing = { Mean = None; Std = None; Scale = None; Padding = None; Size = None }

let ofArgs (args: Args) =
    { Mean = args.TryGet Options.mean
      Std = args.TryGet Options.std
      Scale = args.TryGet Options.scale
      Padding = args.TryGet Options.padding
      Size = args.TryGet Options.inputSize |> Option.map (atLeastOne "--size") }

let private invariant (x: float) = x.ToString("R", CultureInfo.InvariantCulture)

let numbers (values: float seq) = String.Join(",", Seq.map invariant values)

/// (x/255 − 0.1307)/0.3081, as a person reads it.
let formula (t: ImageTransform) =
    let pixel = if t.Range = 1.0 then "x" else $"x/{invariant t.Range}"
    let zero, one = Seq.forall ((=) 0.0) t.Mean, Seq.forall ((=) 1.0) t.Std
    let mean, std = String.Join(", ", Seq.map invariant t.Mean), String.Join(", ", Seq.map invariant t.Std)
    let many (text: string) = if t.Mean.Count > 1 then $"[{text}]" else text
    match zero, one with
    | true, true -> pixel
    | true, false -> $"{pixel}/{many std}"
    | false, true -> $"{pixel} − {many mean}"
    | false, false -> $"({pixel} − {many mean})/{many std}"

/// The metadata that say it.
let metadataOf (t: ImageTransform) = [ for entry in ModelMetadata.Of t -> entry.Key, entry.Value ]

let private parse what (text: string) =
    [ for part in text.Split ',' do
          match Double.TryParse(part, NumberStyles.Float, CultureInfo.InvariantCulture) with
          | true, value when Double.IsFinite value -> value
          | _ -> raise (OnnxLeNetException $"{what} is '{text}', expected a number, or one for each channel separated by commas") ]

/// A factor as 1/255 or as a number; what a byte is divided by.
let private rangeOf (text: string) =
    match text.Split '/' |> Array.toList |> List.collect (parse "--scale") with
    | [ factor ] when factor > 0.0 -> 1.0 / factor
    | [ over; under ] when over > 0.0 && under > 0.0 -> under / over
    | _ -> badOption "--scale" text "what each pixel's byte is multiplied by, more than 0, such as 1/255 or 1"

/// A list for every channel, where one number stands for all.
let private spread count (values: float list) =
    match values with
    | [ one ] -> List.replicate count one
    | all -> all

let private transform padding (mean: float list) (std: float list) range =
    let count = max mean.Length std.Length
    ImageTransform(padding, spread count mean, spread count std, Range = range)

/// The zero pixels on each side that bring an image to the size that the model takes.
let private paddingFor (stored: Shape) (height: int, width: int) =
    let down, right = height - stored[1], width - stored[2]
    if down = right && down >= 0 && down % 2 = 0 then
        down / 2
    else
        raise (
            ShapeException
                $"the model takes images of {height}×{width}, these are {stored[1]}×{stored[2]}: no padding brings them there, and they \
                    are not resized; name a folder of images that fit by --data"
        )

/// The preprocessing that a file has in its graph. What the options say of the input cannot be added to it.
let private inGraph (given: Given) (metadata: IReadOnlyDictionary<string, string>) =
    let pixels = PixelInput.Of metadata |> Option.ofObj
    match pixels with
    | Some p ->
        for option, isGiven in
            [ "--mean", given.Mean.IsSome
              "--std", given.Std.IsSome
              "--scale", given.Scale.IsSome
              "--padding", given.Padding.IsSome ] do
            if isGiven then
                raise (
                    OnnxLeNetException
                        $"{option} is for models that take preprocessed images: this one takes pixels as they are stored, and its graph \
                            makes {formula p.Transform} of them, with a padding of {p.Transform.Padding}; leave it out"
                )
    | None -> ()
    pixels

/// A sample of a model's input as an image [C, H, W], however its file lays it out.
let imageOf (metadata: IReadOnlyDictionary<string, string>) (sample: Shape) =
    if sample.Rank = 3 && ModelMetadata.LayoutOf metadata = PixelLayout.Nhwc then
        Shape(sample[2], sample[0], sample[1])
    else
        sample

/// Images through a transform, laid out as a model takes them.
let asTaken (metadata: IReadOnlyDictionary<string, string>) (transform: ImageTransform) (data: ImageDataset) =
    match PixelInput.Of metadata |> Option.ofObj with
    | Some pixels -> pixels.AsTaken data
    | None -> data.With transform

/// How images become the input of a model, whether some of that is no more than assumed, and what there is to say of it.
/// sample is what the file says of the input, [C, H, W]; none where it leaves a size open.
let transformOf (given: Given) (metadata: IReadOnlyDictionary<string, string>) (sample: Shape option) (data: ImageDataset) =
    inGraph given metadata |> ignore
    let said key =
        match metadata.TryGetValue key with
        | true, text -> Some text
        | _ -> None
    let size =
        match given.Size, sample with
        | Some n, Some s when s.Rank = 3 && (s[1] <> n || s[2] <> n) -> badOption "--size" n $"left out: the model's file says \
            {s[1]}×{s[2]}"
        | Some n, _ -> Some(n, n)
        | None, Some s when s.Rank = 3 -> Some(s[1], s[2])
        | None, _ -> None
    let stored = data.Stored
    sample
    |> Option.iter (fun s ->
        if s.Rank <> 3 then
            raise (ShapeException $"the model takes samples of {s}, which are no images [C, H, W]: these images are {stored}")
        if s[0] <> stored[0] then
            raise (
                ShapeException
                    $"the model takes images of {s[0]} channel(s), these are {stored} [C, H, W]: name a folder of images that fit by --data"
            ))
    let number key (text: string) =
        match Double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture) with
        | true, value when value >= 0.0 && value <= 1024.0 -> value
        | _ -> raise (OnnxException $"the model's metadata says {key} = '{text}', expected a number from 0 to 1024")
    let padding =
        match given.Padding, said ModelMetadata.Padding, size with
        | Some pad, _, _ -> if pad < 0 then badOption "--padding" pad "0 or more" else pad
        | None, Some text, _ ->
            let value = number ModelMetadata.Padding text
            if value <> Math.Floor value then
                raise (OnnxException $"the model's metadata says {ModelMetadata.Padding} = '{text}', expected an integer")
            int value
        | None, None, Some size -> paddingFor stored size
        | None, None, None -> 0
    let own key = said key |> Option.map (parse $"the model's metadata {key}")
    let mean, std, range =
        own ModelMetadata.Mean, own ModelMetadata.Std, said ModelMetadata.Range |> Option.map (number ModelMetadata.Range)
    let usual = data.Transform
    let fromOptions = given.Mean.IsSome || given.Std.IsSome || given.Scale.IsSome
    let fromFile = mean.IsSome || std.IsSome || range.IsSome
    // What is left open beside something that is said is what changes nothing; beside nothing at all it is the data set's usual way.
    let result =
        try
            if fromOptions || fromFile then
                transform
                    padding
                    (given.Mean |> Option.map (parse "--mean") |> Option.orElse mean |> Option.defaultValue [ 0.0 ])
                    (given.Std |> Option.map (parse "--std") |> Option.orElse std |> Option.defaultValue [ 1.0 ])
                    (given.Scale |> Option.map rangeOf |> Option.orElse range |> Option.defaultValue 255.0)
            else
                ImageTransform(padding, usual.Mean, usual.Std, Range = usual.Range)
        with :? DataException as e when not fromOptions ->
            raise (OnnxException($"the model's metadata cannot be: {e.Message}", e))
    let assumed = not fromOptions && not fromFile
    let said =
        if assumed then
            $"the file does not say what its input wants: assumed is {formula result}, this data set's usual way, with a padding of \
                {padding}; --mean, --std, --scale and --padding say otherwise (--mean 0 --std 1 for pixels from 0 to 1)"
        elif fromOptions && fromFile then
            $"pixels become {formula result}, as the options say; the file's own metadata say otherwise or less"
        else
            ""
    result, assumed, said

/// What the options and the file say of the input, where no images do: nothing where they leave the pixels open.
let declared (given: Given) (metadata: IReadOnlyDictionary<string, string>) (sample: Shape) =
    let file = ModelMetadata.TransformOf metadata |> Option.ofObj
    if (inGraph given metadata).IsSome then
        Some PixelInput.AsStored
    elif given.Mean.IsNone && given.Std.IsNone && given.Scale.IsNone && file.IsNone then
        None
    else
        let bytes count = ReadOnlyMemory(Array.zeroCreate<byte> count)
        let one = ImageDataset(Shape(sample[0], 1, 1), bytes sample[0], bytes 1, ImageTransform(0, 0.0, 1.0))
        let padding = given.Padding |> Option.orElse (file |> Option.map _.Padding) |> Option.defaultValue 0
        let transform, _, _ = transformOf { given with Padding = Some padding; Size = None } metadata None one
        Some transform

/// Says it, if there is anything to say.
let say out (said: string) = if said <> "" then message out said

/// The samples that a model in ONNX Runtime takes, where its file says their sizes.
let sampleOf (input: OrtTensorInfo) =
    let sizes = input.Shape |> Seq.skip (min 1 input.Shape.Count) |> Seq.toArray
    if sizes |> Array.forall (fun size -> size > 0L && size < int64 Int32.MaxValue) then
        Some(Shape(sizes |> Array.map int))
    else
        None

/// The outputs of a classifier; none for what is none. An open number is told after the first run.
let classesOf (model: OrtModel) =
    match List.ofSeq model.Outputs with
    | [ output ] when output.Shape.Count = 2 -> Some(if output.Shape[1] > 0L then int output.Shape[1] else Int32.MaxValue)
    | _ -> None

/// The names of a model's classes: what its file says, else their numbers.
let classNames out (metadata: IReadOnlyDictionary<string, string>) count : IReadOnlyList<string> =
    let numbers () = [| for c in 0 .. count - 1 -> string c |]
    match metadata.TryGetValue ModelMetadata.Classes with
    | true, text ->
        let names = ModelMetadata.SplitClasses text
        if names.Count = count then
            names
        else
            message out $"the model's metadata names {names.Count} classes, its output has {count}: they are told by their numbers"
            numbers ()
    | _ -> numbers ()

/// Fails unless a network's output is a row of classes, one for each class of the data. It says what can be done with another network.
let requireClassifier file (outputs: string) (classes: int option) (data: ImageDataset) dataName =
    let instead =
        if outputs.Contains " and " then
            $"Keep the output of the classes alone; `inspect {file}` shows where they come from"
        else
            $"`validate {file} --data none` compares the engine and ONNX Runtime on random input, `inspect {file}` shows what it is"
    match classes with
    | None ->
        raise (ShapeException $"{file} gives {outputs}, and a classifier gives one output [N, classes]: there is no accuracy to \
            measure. {instead}")
    | Some n when n < data.Classes ->
        raise (ShapeException $"{dataName} has labels 0 to {data.Classes - 1}, and {file} has {n} outputs: it needs one for each \
            class. {instead}")
    | _ -> ()
