/// export: weights to an ONNX model, a model to weights, or a model in another form. What is written is proved before it gets its name.
module OnnxLeNet.Scripts.Verbs.Export

open System
open System.Collections.Generic
open System.IO
open System.Security.Cryptography
open Google.Protobuf
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Cli
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common

/// How far below the float model's an int8 model's test accuracy may lie.
[<Literal>]
let private MostLoss = 0.002

/// A network with its weights, and what its file says of it.
type Source =
    {
        Name: string
        Network: Module
        /// The shape of one sample of each input.
        Samples: IReadOnlyList<Shape>
        Metadata: (string * string) list
        /// The ONNX model it was read from; none where it was made by name.
        Imported: ImportedModel option
    }

    /// Fails where the model has several inputs or outputs.
    member source.RequireSingle() = source.Imported |> Option.iter _.RequireSingle()

    /// The shape of the one input's samples.
    member source.Sample =
        source.RequireSingle()
        source.Samples[0]

    member source.HasOneOfEach = source.Imported |> Option.forall (fun model -> model.Inputs.Count = 1 && model.Outputs.Count = 1)

type private Job =
    {
        Out: Output
        File: string
        To: string
        Model: string option
        /// What the options say of the model's input, and whether an assumption does for calibrating.
        Input: Input.Given
        Assume: bool
        /// How the ONNX file is written.
        Options: ExportOptions
        Int8: QuantizationOptions option
        /// The order of the pixels that the graph takes, where it does the preprocessing itself.
        InGraph: PixelLayout option
        Data: string option
        MinAccuracy: float option
        Card: bool
    }

/// What a network's own test images say.
type private Measured =
    {
        Data: string
        Images: int
        /// The engine with the source's weights.
        Before: float
        /// ONNX Runtime with the file.
        After: float
        SameClass: float
    }

// Said again by what is written, or only true of the source.
let private notKept = set [ "format"; ModelFile.modelKey; ModelMetadata.WeightsHash; ModelMetadata.Quantization ]

let private entries (metadata: IReadOnlyDictionary<string, string>) =
    [ for entry in metadata do
          if not (notKept.Contains entry.Key) then entry.Key, entry.Value ]

/// The network of a name with a state dict's values.
let private named name (state: StateDict) =
    let model = Models.get name |> Models.sizedLike state
    let network = model.Build(Generator 0L)
    network.LoadStateDict state |> ignore
    model, network

/// How the options say that weights are read.
let readingOf out (args: Args) : ModelFile.Reading =
    { Key = args.TryGet Options.key
      AllowNonFinite = args.Has Options.allowNonFinite
      Say = message out }

let sourceOf (file: string) (model: string option) (reading: ModelFile.Reading) =
    match ModelFile.kindOf file with
    | ModelFile.Onnx ->
        ModelFile.refuseReading reading $"{file} is an ONNX model"
        let proto = PixelInput.Remove(OnnxFile.Read file)
        let imported = OnnxImporter.Import proto
        match model with
        | None ->
            { Name = proto.Graph.Name
              Network = imported.Network
              Samples = imported.Samples
              Metadata = entries imported.Metadata
              Imported = Some imported }
        | Some name ->
            let model, network = named name (imported.Network.StateDict())
            imported.RequireInput model.Sample
            { Name = name; Network = network; Samples = [| model.Sample |]; Metadata = entries imported.Metadata; Imported = None }
    | _ ->
        let known said =
            match model |> Option.orElse said with
            | Some name -> name
            | None ->
                let names = Models.all |> List.map _.Name |> String.concat ", "
                raise (OnnxLeNetException $"{file} does not say what network its weights are of: name it by --model, one of {names}")
        let weights = ModelFile.readWeights file reading (fun said -> Some((Models.get (known said)).Build(Generator 0L)))
        let name = known weights.Model
        let model, network = named name weights.State
        { Name = name; Network = network; Samples = [| model.Sample |]; Metadata = entries weights.Metadata; Imported = None }

let private metadataOf (source: Source) = dict source.Metadata |> Dictionary

/// The data set that the network is measured on, if one fits, and its training images.
let private dataOf (job: Job) (source: Source) =
    let said = source.Metadata |> List.tryFind (fst >> (=) ModelMetadata.Data) |> Option.map snd
    let metadata = metadataOf source
    let load folder =
        let output = (Inference.Run(source.Network, Batch(1, source.Sample, requiresGrad = false))).Sample
        let usual = Pictures.allOf job.Out metadata job.Input.Padding source.Sample folder
        let transform, assumed, said = Input.transformOf job.Input metadata (Some source.Sample) usual.Test
        Input.say job.Out said
        if assumed && (job.Int8.IsSome || job.InGraph.IsSome) && not job.Assume then
            let what =
                if job.Int8.IsSome then "--int8 calibrates on images as the model takes them" else "--in-graph writes the preprocessing"
            raise (
                OnnxLeNetException
                    $"{what}, and nothing says how: give --mean and --std (and --scale, --padding), or --assume to take the data set's \
                        usual way"
            )
        let data = ImageFolder(usual.Name, usual.Train.With transform, usual.Test.With transform)
        if data.Test.Sample = source.Sample && output.Rank = 1 && output[0] >= data.Classes then
            Some data
        elif job.Data.IsSome || job.Int8.IsSome || job.Input <> Input.nothing then
            raise (
                ShapeException
                    $"{folder}: the network makes {output} of samples of {source.Sample}, these images are {data.Test.Sample} of \
                        {data.Classes} classes: name a folder that fits by --data"
            )
        else
            None
    match job.Data, said with
    | Some "none", _ when not source.HasOneOfEach && job.Int8.IsNone -> None
    | None, _ when not source.HasOneOfEach && job.Int8.IsNone && job.Input = Input.nothing ->
        None // images are one input, and their classes one output
    | _ when not source.HasOneOfEach ->
        source.RequireSingle()
        None
    | Some "none", _ when job.Int8.IsSome -> badOption "--data" "none" "a folder with --int8, which is calibrated on training images"
    | Some "none", _ -> None
    | Some folder, _ -> load folder
    | None, Some name when name <> ImageFolder.FolderName Workspace.mnistFolder ->
        if job.Int8.IsSome then
            raise (OnnxLeNetException $"the network was trained on {name}, and --int8 is calibrated on training images: name their \
                folder by --data")
        None
    | None, _ ->
        try
            load Workspace.mnistFolder
        with :? ShapeException when job.Int8.IsNone && job.Input = Input.nothing ->
            None // MNIST is not what the network takes, and nobody said that it is

/// The network as the file computes it: with the softmax, if one was added.
let private withSoftmax (job: Job) (network: Module) : Module =
    if job.Options.Softmax then
        let whole = Sequential()
        whole.Add("network", network)
        whole.AddFunction(Softmax())
        whole
    else
        network

/// Runs the file's bytes on the test images beside the engine.
let private measure (source: Source) (model: OrtModel) (data: ImageFolder) =
    let own = Inference.Logits(source.Network, data.Test)
    let written = Parity.Logits(model, Input.asTaken model.Metadata.Properties data.Test.Transform data.Test)
    if written.Data |> Array.exists (Single.IsFinite >> not) then
        raise (OnnxException "the written model returns values that are not finite")
    let before, after = Inference.ArgMax own, Inference.ArgMax written
    { Data = data.Name
      Images = data.Test.Count
      Before = accuracy data.Test own
      After = accuracy data.Test written
      SameClass = float (Array.map2 (=) before after |> Array.filter id |> Array.length) / float data.Test.Count }

let private form (job: Job) =
    if job.Int8.IsSome then "int8"
    elif job.Options.Float16 then "float16"
    else "float32"

/// A file inside the working folder with its path, another one by its name alone.
let private placed (file: string) =
    let shown = Workspace.display file
    if Path.IsPathRooted shown then string (Path.GetFileName shown) else shown

let private command (job: Job) =
    String.concat
        " "
        [ $"export {argument (placed job.File)} --to {argument (placed job.To)}"
          match job.Model with
          | Some name -> $"--model {name}"
          | None -> ()
          if job.Options.Opset <> ExportOptions.DefaultOpset then $"--opset {job.Options.Opset}"
          if job.Options.Float16 then "--float16"
          match job.Int8 with
          | Some int8 -> $"--int8 --calibration {int8.CalibrationImages}"
          | None -> ()
          if job.Options.FoldBatchNorm then "--fold-batch-norm"
          if job.Options.Softmax then "--softmax"
          match job.InGraph with
          | Some layout -> $"--in-graph {(string layout).ToLowerInvariant()}"
          | None -> ()
          for option, names in [ "--input-names", job.Options.InputNames; "--output-names", job.Options.OutputNames ] do
              if names.Count > 0 then $"""{option} {String.Join(",", names)}"""
          match job.Data with
          | Some folder when folder <> "none" -> $"--data {argument (ImageFolder.FolderName folder)}"
          | _ -> ()
          if job.Card then "--card" ]

let private card (job: Job) (source: Source) (model: OrtModel) (measured: Measured option) (bytes: byte array) hash =
    let rows =
        [ "network", $"{Markdown.code source.Name}, {source.Network.ParameterCount:N0} parameters"
          "command", Markdown.code $"dotnet run --project Scripts -c Release -- {command job}"
          "weights", form job
          match job.Int8, measured with
          | Some int8, Some m -> "calibrated on", $"{int8.CalibrationImages:N0} training images of {Markdown.cell m.Data}"
          | _ -> ()
          match measured with
          | Some m ->
              "test accuracy", $"{percent m.After} in ONNX Runtime; the float32 network {percent m.Before}"
              "same class", $"{percent m.SameClass} of {m.Images:N0} test images of {Markdown.cell m.Data}"
          | None -> ()
          "input, output", Seq.append model.Inputs model.Outputs |> Seq.map (string >> Markdown.code) |> String.concat ", "
          "opset, IR version", $"{model.Metadata.Opset}, {model.Metadata.IrVersion}"
          "size", $"{bytes.Length:N0} bytes"
          "SHA-256", $"`{hash}`" ]
    let lines = [ for name, value in rows -> $"| {name} | {value} |\n" ]
    $"# {Markdown.cell (nonNull (Path.GetFileName job.To))}\n\n| | |\n|---|---|\n" + String.concat "" lines

/// What the graph does itself, where that is asked for.
let private pixelsOf (job: Job) (source: Source) (data: ImageFolder option) : PixelInput | null =
    match job.InGraph with
    | None -> null
    | Some layout ->
        match data |> Option.map _.Test.Transform |> Option.orElse (Input.declared job.Input (metadataOf source) source.Sample) with
        | Some transform -> PixelInput(transform, layout)
        | None ->
            raise (
                OnnxLeNetException
                    "--in-graph writes the preprocessing, and nothing says it: give --mean and --std (and --scale, --padding)"
            )

/// Several inputs, or several outputs, keep the names that the source has for them.
let private withNames (source: Source) pixels (options: ExportOptions) =
    let names (given: IReadOnlyList<string>) (own: ImportedModel -> IReadOnlyList<string>) : IReadOnlyList<string> =
        match source.Imported with
        | Some model when given.Count = 0 && (own model).Count > 1 -> own model
        | _ -> given
    ExportOptions(
        Opset = options.Opset,
        Float16 = options.Float16,
        FoldBatchNorm = options.FoldBatchNorm,
        Softmax = options.Softmax,
        Pixels = pixels,
        InputNames = names options.InputNames _.Inputs,
        OutputNames = names options.OutputNames _.Outputs
    )

let private toOnnx (job: Job) (source: Source) write =
    let data = dataOf job source
    // What the options say of the input is what the file says from here on.
    let said =
        match data with
        | Some data when job.Input <> Input.nothing -> Input.metadataOf data.Test.Transform
        | _ -> []
    let kept = source.Metadata |> List.filter (fun (key, _) -> not (List.exists (fst >> (=) key) said))
    let metadata = kept @ said |> List.map KeyValuePair
    let pixels = pixelsOf job source data
    let job = { job with Options = withNames source pixels job.Options }
    let proto =
        match job.Int8, data with
        | Some int8, Some data -> OnnxQuantizer.Export(source.Network, data.Train, source.Name, metadata, job.Options, int8)
        | _ -> OnnxExporter.Export(source.Network, source.Samples, source.Name, metadata, job.Options)
    use model = OrtModel.Load(proto.ToByteArray(), source = job.To)
    let measured = data |> Option.map (measure source model)
    // The source's own accuracy is not the file's where numbers were rounded.
    measured
    |> Option.iter (fun m ->
        proto.MetadataProps
        |> Seq.tryFind (fun entry -> entry.Key = ModelMetadata.TestAccuracy)
        |> Option.iter (fun entry -> entry.Value <- m.After.ToString("R", Globalization.CultureInfo.InvariantCulture)))
    // float16 and the fold are in the file alone: what the engine makes of the file is compared. Integers have no such twin.
    let parity =
        if job.Int8.IsSome then
            None
        else
            let network =
                if job.Options.Float16 then
                    OnnxImporter.Import(PixelInput.Remove proto).Network
                else
                    withSoftmax job source.Network
            let rows =
                match pixels with
                | null -> Parity.OnRandomInput(network.Eval(), source.Samples, model)
                | pixels -> Parity.OnRandomPixels(network.Eval(), source.Sample, pixels, model)
            Some(ParityReport(model.DeviceName, [| yield! rows |]))
    let least =
        match job.MinAccuracy, measured with
        | None, Some m when job.Int8.IsSome -> Some(m.Before - MostLoss)
        | given, _ -> given
    let bytes = proto.ToByteArray()
    let hash = Convert.ToHexStringLower(SHA256.HashData bytes)
    measured
    |> Option.iter (fun m ->
        line
            job.Out
            $"test accuracy   engine, float32 {percent m.Before}   ONNX Runtime, {form job} {percent m.After}   same class \
                {percent m.SameClass}   ({m.Images:N0} images of {m.Data})")
    parity
    |> Option.iter (fun parity ->
        line job.Out $"engine against ONNX Runtime on {model.DeviceName}"
        parityTable job.Out parity)
    let agree = parity |> Option.forall _.Passed
    let accurate =
        match least, measured with
        | Some least, Some m -> m.After >= least
        | Some _, None -> raise (OnnxLeNetException "--min-accuracy needs test images: name their folder by --data")
        | None, _ -> true
    if agree && accurate then
        Workspace.makeFolderOf (message job.Out) job.To
        let beside = job.To[.. job.To.Length - ".onnx".Length - 1] + ".md"
        AtomicFile.WriteTogether(
            dict
                [ job.To, bytes
                  if job.Card then
                      beside, Text.Encoding.UTF8.GetBytes(card job source model measured bytes hash) ]
        )
        line
            job.Out
            $"{Workspace.display job.To}   {bytes.Length:N0} bytes   opset {model.Metadata.Opset}, IR {model.Metadata.IrVersion}   sha256 \
                {hash[..15]}…"
    elif not agree then
        error $"the engine and ONNX Runtime do not agree; {Workspace.display job.To} was not written"
    else
        error $"the test accuracy {percent measured.Value.After} is below {percent least.Value}; {Workspace.display job.To} was not written"
    write
        [ "passed", box (agree && accurate)
          "weights", form job
          "opset", model.Metadata.Opset
          "irVersion", model.Metadata.IrVersion
          "bytes", bytes.Length
          "sha256", hash
          match measured with
          | Some m ->
              "data", m.Data
              "testAccuracy", m.After
              "floatAccuracy", m.Before
              "sameClass", m.SameClass
          | None -> ()
          match parity with
          | Some parity -> "parity", box (parityRows parity)
          | None -> () ]
    if agree && accurate then Exit.done' else Exit.fallsShort

let private toState (job: Job) (source: Source) extension write =
    let state = source.Network.StateDict()
    Workspace.makeFolderOf (message job.Out) job.To
    match extension with
    | ".pth" -> PyTorchFile.Write(state, job.To)
    | _ ->
        let metadata = Dictionary(dict source.Metadata)
        metadata["format"] <- "pt"
        metadata[ModelFile.modelKey] <- source.Name
        SafeTensors.Write(state, job.To, metadata)
    let bytes = FileInfo(job.To).Length
    line job.Out $"{Workspace.display job.To}   {bytes:N0} bytes   {state.Count} tensors"
    write [ "tensors", box state.Count; "bytes", bytes ]
    Exit.done'

/// What shapes a model that infers, and neither weights nor a training step.
let inferenceOptions: IEntry list =
    [ Options.float16
      Options.int8
      Options.foldBatchNorm
      Options.softmax
      Options.inGraph
      Options.inputNames
      Options.outputNames
      Options.data
      Options.mean
      Options.std
      Options.scale
      Options.padding
      Options.inputSize
      Options.assume
      Options.minAccuracy
      Options.card ]

let private jobOf (args: Args) extension =
    if extension <> ".onnx" then
        for option in args.Typed((Options.opset :> IEntry) :: inferenceOptions) do
            raise (OnnxLeNetException $"{option} is for ONNX files; a {extension} file holds the weights as they are")
    let opset = args.Get(Options.opset, ExportOptions.DefaultOpset)
    if opset < ExportOptions.OldestOpset || opset > ExportOptions.NewestOpset then
        badOption "--opset" opset $"{ExportOptions.OldestOpset} to {ExportOptions.NewestOpset}"
    if args.Has Options.int8 && args.Has Options.float16 then
        raise (OnnxLeNetException "--int8 and --float16 are two forms of the weights: leave one out")
    if args.Has Options.calibration && not (args.Has Options.int8) then
        raise (OnnxLeNetException "--calibration goes with --int8")
    let names (given: string option) : IReadOnlyList<string> =
        match given with
        | Some list -> list.Split(',', StringSplitOptions.TrimEntries)
        | None -> [||]
    { Out = output (args.Has Options.quiet)
      File = args.Require Options.source
      To = args.Require Options.target
      Model = args.TryGet Options.network
      Input = Input.ofArgs args
      Assume = args.Has Options.assume
      Options =
        ExportOptions(
            Opset = opset,
            Float16 = args.Has Options.float16,
            FoldBatchNorm = args.Has Options.foldBatchNorm,
            Softmax = args.Has Options.softmax,
            InputNames = names (args.TryGet Options.inputNames),
            OutputNames = names (args.TryGet Options.outputNames)
        )
      Int8 =
        if args.Has Options.int8 then
            let images = args.Get(Options.calibration, QuantizationOptions().CalibrationImages)
            Some(QuantizationOptions(CalibrationImages = atLeastOne "--calibration" images))
        else
            None
      InGraph =
        if args.Has Options.inGraph then Some(args.Get(Options.inGraph, PixelLayout.Nhwc)) else None
      Data = args.TryGet Options.data
      MinAccuracy = args.TryGet Options.minAccuracy |> Option.map (share "--min-accuracy")
      Card = args.Has Options.card }

/// What is written must not take the source's place unless that is asked for.
let refuseSource (args: Args) target =
    if not (args.Has Options.force) && RegularFile.IsSame(args.Require Options.source, target) then
        raise (OnnxLeNetException $"--to {target} is the source itself: name another file, or write over it with --force")

let run (args: Args) =
    let target = args.Require Options.target
    let extension = ModelFile.extensionOf target
    if not (List.contains extension [ ".onnx"; ".pth"; ".safetensors" ]) then
        badOption "--to" target "a file that ends in .onnx, .pth or .safetensors"
    useWidth (args.TryGet Options.width)
    let job = jobOf args extension
    Workspace.requireWritableFile "--to" job.To
    refuseSource args job.To
    args.TryGet Options.json |> Option.iter (Workspace.requireWritableFile "--json")
    let source = sourceOf job.File job.Model (readingOf job.Out args)
    source.Network.Eval() |> ignore
    let write fields =
        args.TryGet Options.json
        |> Option.iter (fun path ->
            writeJson
                path
                (json (
                    [ "source", box (Workspace.display job.File); "file", Workspace.display job.To; "network", source.Name ]
                    @ fields
                )))
    if extension = ".onnx" then toOnnx job source write else toState job source extension write
