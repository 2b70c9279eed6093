/// predict: what pictures show, by the engine and by ONNX Runtime, and whether both say the same.
module OnnxLeNet.Scripts.Verbs.Predict

open System
open System.IO
open System.Threading.Tasks
open Argu
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Options
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common
open OnnxLeNet.Scripts.Verbs.PredictReport

/// What a model's file does not say, by options that a person can give.
let private optionsOf (args: ParseResults<PredictArgs>) file (metadata: Collections.Generic.IReadOnlyDictionary<string, string>) =
    let given: Input.Given =
        { Mean = args.TryGetResult PredictArgs.Mean
          Std = args.TryGetResult PredictArgs.Std
          Scale = args.TryGetResult PredictArgs.Scale
          Padding = args.TryGetResult PredictArgs.Padding
          Size = args.TryGetResult PredictArgs.Size }
    let transform: ImageTransform | null =
        match Input.declared given metadata (Shape(1, 1, 1)) with
        | None ->
            raise (
                OnnxLeNetException
                    $"{file} does not say what its input wants: give --mean and --std (and --scale, --padding), such as --mean 0 --std 1 \
                        for pixels from 0 to 1"
            )
        | Some transform when isNull (PixelInput.Of metadata) -> transform
        | Some _ -> null // its graph does it
    let fit =
        args.TryGetResult PredictArgs.Fit
        |> Option.map (fun way ->
            match way with
            | "crop" -> Fit.Crop
            | "pad" -> Fit.Pad
            | "stretch" -> Fit.Stretch
            | other -> badOption "--fit" other "crop, pad or stretch")
    let size = given.Size |> Option.map (fun n -> Size2(atLeastOne "--size" n))
    fun ort ->
        ClassifierOptions(
            Transform = transform,
            Size = Option.toNullable size,
            Fit = Option.toNullable fit,
            AsIs = args.Contains PredictArgs.AsIs,
            OnnxRuntime = ort
        )

/// The model by each path that is asked for; both are loaded side by side. What the engine cannot import, ONNX Runtime runs alone.
let private load (args: ParseResults<PredictArgs>) out file =
    let proto, bytes =
        match OnnxFile.ReadWithBytes file with
        | struct (proto, bytes) -> proto, bytes
    let options = optionsOf args file (OnnxFile.Metadata proto)
    let create ort = Classifier.Create(proto, bytes, file, options ort)
    let asked = args.GetResult(PredictArgs.Engine, defaultValue = Paths.Both)
    let ort = ortOptions (args.TryGetResult PredictArgs.Device)
    match asked with
    | Paths.Own -> Some(create null), None
    | Paths.OnnxRuntime -> None, Some(create ort)
    | _ ->
        let own = Task.Run(fun () -> create null)
        let theirs = create ort
        try
            Some(own.GetAwaiter().GetResult()), Some theirs
        with :? OnnxException as e ->
            let why = e.Problems |> Seq.tryHead |> Option.defaultValue e.Message
            message out $"ONNX Runtime answers alone, the engine cannot import the model: {why} (inspect {file} tells all)"
            None, Some theirs

/// How far a class's probability of one path may lie from the other's: float16 at the file's ends rounds more.
let private bound (theirs: Classifier) =
    match theirs.Runtime with
    | null -> 0.0
    | model -> 10.0 * Parity.Tolerance model

let private agree (theirs: Classifier) (mine: float array) (other: float array) =
    let near a b = abs (a - b) <= bound theirs // a NaN never is
    let best (probabilities: float array) = Array.IndexOf(probabilities, Array.max probabilities)
    // Of two classes that are as probable, either may come first.
    Array.forall2 near mine other && near mine[best mine] mine[best other]

let private predict (own: Classifier option) (theirs: Classifier option) (source: PredictSources.Source) =
    let any = own |> Option.orElse theirs |> Option.get
    let picture = source.Read any.Input.Background
    let seen = any.Input.See picture |> Option.ofObj
    let shown = seen |> Option.defaultWith (fun () -> any.Input.Fitted picture)
    let numbers = any.Input.Numbers shown
    let probabilities (c: Classifier) = c.Probabilities(c.Scores numbers)
    let mine, other = Option.map probabilities own, Option.map probabilities theirs
    let classified = Option.map (fun probabilities -> any.Classified(probabilities, seen.IsNone))
    { Name = source.Name
      File = source.File
      Index = source.Index
      Engine = classified mine
      OnnxRuntime = classified other
      Agree = Option.map2 (agree theirs.Value) mine other
      Seen = shown }

let run (args: ParseResults<PredictArgs>) =
    let out = output (args.Contains PredictArgs.Quiet)
    configure (args.TryGetResult PredictArgs.Threads) (args.TryGetResult PredictArgs.Width) None
    for option, file in [ "--json", args.TryGetResult PredictArgs.Json; "--csv", args.TryGetResult PredictArgs.Csv ] do
        file |> Option.iter (Workspace.requireWritableFile option)
    let top = args.GetResult(PredictArgs.Top, defaultValue = 3) |> atLeastOne "--top"
    let index = args.TryGetResult PredictArgs.Index |> Option.map PredictSources.parseIndex
    let model, names =
        match args.GetResult PredictArgs.Files with
        | model :: (_ :: _ as names) -> model, names
        | _ -> raise (OnnxLeNetException "predict takes a model and what to classify: predict MODEL FILE…")
    ModelFile.requireOnnx model
    let own, theirs = load args out model
    let errors = ResizeArray<string * string>()
    // What is wrong with one picture is said, and the others go on.
    let guarded name (action: unit -> 'T) =
        try
            Some(action ())
        with
        | :? OnnxLeNetException
        | :? IOException
        | :? UnauthorizedAccessException as e ->
            errors.Add(name, e.Message)
            error (if e.Message.Contains(name, StringComparison.Ordinal) then e.Message else $"{name}: {e.Message}")
            None
    let sources =
        names
        |> List.collect (fun name -> guarded name (fun () -> PredictSources.ofName index name) |> Option.defaultValue [])
    let many = sources.Length > MostWithBars
    let predictions =
        [ for source in sources do
              match guarded source.Name (fun () -> predict own theirs source) with
              | Some prediction ->
                  print out top many prediction
                  prediction
              | None -> () ]
    own |> Option.iter _.Dispose()
    theirs |> Option.iter _.Dispose()
    args.TryGetResult PredictArgs.Json
    |> Option.iter (fun path ->
        writeJson
            path
            (json
                [ "model", box (Workspace.display model)
                  "predictions", jsonArray (predictions |> List.map (toJson top))
                  if errors.Count > 0 then
                      "errors", jsonArray [ for file, why in errors -> json [ "file", file; "error", why ] ] ]))
    args.TryGetResult PredictArgs.Csv
    |> Option.iter (fun path -> AtomicFile.Write(path, toCsv predictions))
    if errors.Count > 0 then Exit.badInput
    elif predictions |> List.exists (fun p -> p.Agree = Some false) then
        error "the engine and ONNX Runtime do not agree"
        Exit.fallsShort
    else Exit.done'
