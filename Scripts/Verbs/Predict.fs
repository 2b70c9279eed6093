/// predict: what pictures show, by the engine and by ONNX Runtime, and whether both say the same.
module OnnxLeNet.Scripts.Verbs.Predict

open System
open System.IO
open System.Threading.Tasks
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Cli
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common
open OnnxLeNet.Scripts.Verbs.PredictReport

type private Job =
    {
        Model: string
        Names: string list
        Index: int list option
        Top: int
        Given: Input.Given
        Fit: Fit option
        AsIs: bool
        Paths: Paths
        Device: string option
        Trust: bool
        Threads: int option
        Width: int option
        Json: string option
        Csv: string option
        Quiet: bool
    }

let private jobOf (args: Args) =
    let model, names = args.Require Options.model, args.All Options.pictures
    if model = "-" && List.contains "-" names then
        raise (OnnxLeNetException "standard input holds the model or a picture, not both: name a file for one of them")
    { Model = StandardInput.named model
      Names = names
      Index = args.TryGet Options.index |> Option.map PredictSources.parseIndex
      Top = args.Get(Options.top, 3) |> atLeastOne "--top"
      Given = Input.ofArgs args
      Fit = args.TryGet Options.fit
      AsIs = args.Has Options.asIs
      Paths = args.Get(Options.paths, Paths.Both)
      Device = args.TryGet Options.device
      Trust = args.Has Options.trust
      Threads = args.TryGet Options.threads
      Width = args.TryGet Options.width
      Json = args.TryGet Options.json
      Csv = args.TryGet Options.csv
      Quiet = args.Has Options.quiet }

/// What a model's file does not say, by options that a person can give.
let private optionsOf (job: Job) (metadata: Collections.Generic.IReadOnlyDictionary<string, string>) =
    let transform: ImageTransform | null =
        match Input.declared job.Given metadata (Shape(1, 1, 1)) with
        | None ->
            raise (
                OnnxLeNetException
                    $"{job.Model} does not state its preprocessing: give --mean and --std (and --scale, --padding), such as --mean 0 \
                        --std 1 for pixels from 0 to 1"
            )
        | Some transform when isNull (PixelInput.Of metadata) -> transform
        | Some _ -> null // its graph does it
    fun ort ->
        ClassifierOptions(
            Transform = transform,
            Size = (job.Given.Size |> Option.map Size2 |> Option.toNullable),
            Fit = Option.toNullable job.Fit,
            AsIs = job.AsIs,
            OnnxRuntime = ort
        )

/// The model by each path that is asked for; both are loaded side by side. What the engine cannot import, ONNX Runtime runs alone.
let private load (job: Job) out =
    let struct (proto, bytes) = OnnxFile.ReadWithBytes job.Model
    let options = optionsOf job (OnnxFile.Metadata proto)
    // What only a first run costs is paid while the other path is still loading.
    let create ort =
        let classifier = Classifier.Create(proto, bytes, job.Model, options ort)
        classifier.WarmUp()
        classifier
    let ort = ortOptionsFor job.Trust job.Device
    match job.Paths with
    | Paths.Own -> Some(create null), None
    | Paths.OnnxRuntime -> None, Some(create ort)
    | _ ->
        let own = Task.Run(fun () -> create null)
        let theirs = create ort
        try
            Some(own.GetAwaiter().GetResult()), Some theirs
        with :? OnnxException as e ->
            let why = e.Problems |> Seq.tryHead |> Option.defaultValue e.Message
            message out $"only ONNX Runtime is used, the engine cannot import the model: {why} (see `inspect {job.Model}`)"
            None, Some theirs

/// How far a class's probability of one path may lie from the other's: float16 at the file's ends rounds more.
let private bound (theirs: Classifier) =
    match theirs.Runtime with
    | null -> 0.0
    | model -> 10.0 * Parity.Tolerance model

let agree (theirs: Classifier) (mine: float array) (other: float array) =
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
      Agree = Option.map2 (fun mine other -> agree theirs.Value mine other) mine other
      Seen = shown }

let run (args: Args) =
    let job = jobOf args
    let out = output job.Quiet
    configure job.Threads job.Width None
    for option, file in [ "--json", job.Json; "--csv", job.Csv ] do
        file |> Option.iter (Workspace.requireWritableFile option)
    ModelFile.requireOnnx job.Model
    let own, theirs = load job out
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
        job.Names
        |> List.collect (fun name -> guarded name (fun () -> PredictSources.ofName job.Index name) |> Option.defaultValue [])
    let many = sources.Length > MostWithBars
    let predictions =
        [ for source in sources do
              match guarded source.Name (fun () -> predict own theirs source) with
              | Some prediction ->
                  print out job.Top many prediction
                  prediction
              | None -> () ]
    own |> Option.iter _.Dispose()
    theirs |> Option.iter _.Dispose()
    job.Json
    |> Option.iter (fun path ->
        writeJson
            path
            (json
                [ "model", box (Workspace.display job.Model)
                  "predictions", jsonArray (predictions |> List.map (toJson job.Top))
                  if errors.Count > 0 then
                      "errors", jsonArray [ for file, why in errors -> json [ "file", file; "error", why ] ] ]))
    job.Csv
    |> Option.iter (fun path -> AtomicFile.Write(path, toCsv predictions))
    if errors.Count > 0 then Exit.badInput
    elif predictions |> List.exists (fun p -> p.Agree = Some false) then
        error "the engine and ONNX Runtime do not agree"
        Exit.fallsShort
    else Exit.done'
