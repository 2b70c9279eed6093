/// The file of a sweep: which options of train are the same in all trainings, and which take several values. It is read and checked as a
/// whole before anything is trained:
///
///     { "method": "random", "count": 20, "seed": 1,
///       "fixed": { "data": "photos", "validation": 0.1, "epochs": 3 },
///       "parameters": { "optimizer": ["sgd", "adam"],
///                       "weight-decay": { "min": 1e-5, "max": 1e-2, "distribution": "log-uniform" } } }
namespace OnnxLeNet.Scripts.Sweeps

open System
open System.Globalization
open System.IO
open System.Security.Cryptography
open System.Text
open System.Text.Json
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Cli
open OnnxLeNet.Scripts.Verbs

/// What a training is given for an option.
type Setting =
    | Typed of string
    /// An option without a value that is on.
    | On
    /// The option is left out.
    | LeftOut

    override setting.ToString() =
        match setting with
        | Typed text -> text
        | On -> "yes"
        | LeftOut -> "default"

/// Numbers that are drawn: uniform, or with a uniform logarithm.
type Range = { Min: float; Max: float; IsLog: bool; IsInteger: bool }

type Values =
    | Listed of Setting list
    | Drawn of Range

/// One training of a sweep.
type Trial =
    {
        /// The name of its folder: the same options have the same.
        Id: string
        /// The options that differ between trainings, in the order of the file.
        Varied: (string * Setting) list
        /// All of its options, as they are typed after train.
        Arguments: string list
    }

    /// lr 0.05, optimizer adam
    override trial.ToString() = String.Join(", ", [ for name, value in trial.Varied -> $"{name} {value}" ])

type Sweep =
    { File: string
      Method: string
      /// Of the draws.
      Seed: int64
      Fixed: (string * Setting) list
      Parameters: (string * Values) list
      Trials: Trial list }

module SweepFile =
    /// The most trainings of one file.
    [<Literal>]
    let private Most = 1000

    /// Options that a file cannot set, and why.
    let private notInFile =
        dict
            [ "out", "each training gets a folder of its own"
              "json", "each training gets a file of its own"
              "resume", "interrupted trainings go on by themselves"
              "threads", "type --threads after sweep, which shares them out"
              "quiet", "type --quiet after sweep"
              "force", "each training has a folder of its own"
              "show-augmented", "nothing is trained with it"
              "find-lr", "nothing is trained with it"
              "plot", "nothing is trained with it" ]

    /// Options that decide what trainings are compared by.
    let private onlyFixed = [ "data"; "validation"; "hold-out" ]

    /// An error that names the file and where in it.
    let private fail (place: string) (problem: string) = raise (OnnxLeNetException $"{place}: {problem}")

    let private entryOf place (name: string) : IEntry =
        match notInFile.TryGetValue name with
        | true, why -> fail place $"--{name} is not for a sweep's file: {why}"
        | _ -> ()
        match Commands.train.Entries |> List.tryFind (fun entry -> entry.Entry.Name = "--" + name) with
        | Some entry -> entry
        | None ->
            let names = [ for e in Commands.train.Options -> e.Name.TrimStart '-' ]
            fail place $"train has no option --{name}{Nearest.question names name}"

    let private models = [ for model in Models.classifiers -> model.Name ]

    let private got (json: JsonElement) =
        let text = json.GetRawText()
        if text.Length > 60 then text[..59] + "…" else text

    let private isFlag (entry: IEntry) = entry.Entry.Values = NoValue

    /// A value of an option, checked by train's own table.
    let private valueOf place (entry: IEntry) (json: JsonElement) =
        let typed (text: string) =
            entry.Problem text |> Option.iter (fail place)
            let isThere = File.Exists text || Directory.Exists text
            match entry.Entry.Name with
            | "--model" when not (List.contains text models) ->
                fail place $"there is no model '{text}'{Nearest.question models text}"
            | "--data"
            | "--from" when not isThere -> fail place $"there is no file or folder {text}"
            | _ -> ()
            Typed text
        match json.ValueKind with
        | JsonValueKind.Null -> LeftOut
        | JsonValueKind.True when isFlag entry -> On
        | JsonValueKind.False when isFlag entry -> LeftOut
        | _ when isFlag entry -> fail place $"{entry.Entry.Name} must be true or false, got {got json}"
        | JsonValueKind.String -> typed (json.GetString() |> nonNull)
        | JsonValueKind.Number -> typed (json.GetRawText())
        | _ -> fail place $"{entry.Entry.Name} must be a number or a text, or null to leave it out, got {got json}"

    let private requireKeys place (known: string list) (json: JsonElement) =
        for property in json.EnumerateObject() do
            if not (List.contains property.Name known) then
                let expected = Table.alternatives known
                fail place $"'{property.Name}' is not known{Nearest.question known property.Name}, expected {expected}"

    let private property (json: JsonElement) (name: string) =
        match json.TryGetProperty name with
        | true, value -> Some value
        | _ -> None

    /// Numbers between two bounds, of an option that takes numbers.
    let private rangeOf place (entry: IEntry) (json: JsonElement) =
        requireKeys place [ "min"; "max"; "distribution" ] json
        let takes text = (entry.Problem text).IsNone
        if isFlag entry || takes "x" || not (takes "1") then
            fail place $"{entry.Entry.Name} takes no numbers to draw: list its values"
        let bound name =
            match property json name with
            | Some number when number.ValueKind = JsonValueKind.Number ->
                entry.Problem(number.GetRawText()) |> Option.iter (fail place)
                number.GetDouble()
            | Some other -> fail place $"{name} must be a number, got {got other}"
            | None -> fail place $"a range needs {name}"
        let low, high = bound "min", bound "max"
        if not (Double.IsFinite low && Double.IsFinite high && low < high) then
            fail place $"min must be less than max, got {got json}"
        let isLog =
            match property json "distribution" with
            | None -> false
            | Some name when name.ValueKind = JsonValueKind.String && name.GetString() = "uniform" -> false
            | Some name when name.ValueKind = JsonValueKind.String && name.GetString() = "log-uniform" -> true
            | Some other -> fail place $"distribution must be uniform or log-uniform, got {got other}"
        if isLog && low <= 0.0 then fail place $"min must be more than 0 with log-uniform, got {got json}"
        { Min = low; Max = high; IsLog = isLog; IsInteger = not (takes "0.5") }

    let private valuesOf (place: string) (entry: IEntry) (json: JsonElement) =
        match json.ValueKind with
        | JsonValueKind.Array ->
            let values = [ for i, item in Seq.indexed (json.EnumerateArray()) -> valueOf $"{place}[{i}]" entry item ]
            if values.IsEmpty then fail place "the list is empty"
            match values |> List.countBy id |> List.tryFind (fun (_, count) -> count > 1) with
            | Some(value, _) -> fail place $"{value} stands there twice"
            | None -> Listed values
        | JsonValueKind.Object -> Drawn(rangeOf place entry json)
        | _ -> fail place $"expected a list of values, or a range with min and max, got {got json}; one value for all goes into fixed"

    let private typed (name: string, value: Setting) =
        match value with
        | Typed text -> [ "--" + name; text ]
        | On -> [ "--" + name ]
        | LeftOut -> []

    let private trialOf (fixed': (string * Setting) list) (varied: (string * Setting) list) =
        let all = fixed' @ varied
        let bytes = all |> List.sortBy fst |> List.collect typed |> String.concat "\n" |> Encoding.UTF8.GetBytes
        { Id = Convert.ToHexStringLower(SHA256.HashData bytes)[..7]; Varied = varied; Arguments = List.collect typed all }

    /// All combinations of the values, the last parameter's changing fastest.
    let private grid (parameters: (string * Setting list) list) =
        let combine (name, values) rest = [ for value in values do for others in rest -> (name, value) :: others ]
        List.foldBack combine parameters [ [] ]

    /// Four digits, for the number is read and typed by people.
    let private rounded (range: Range) (x: float) =
        let x = Double.Parse(x.ToString("E3", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture)
        (Common.invariant (Math.Clamp(x, range.Min, range.Max))).ToLowerInvariant()

    let private draw (g: Generator) (range: Range) =
        let between low high = low + (high - low) * g.NextDouble()
        let above = if range.IsInteger then range.Max + 1.0 else range.Max
        let x = if range.IsLog then DoubleMath.Exp(between (DoubleMath.Log range.Min) (DoubleMath.Log above)) else between range.Min above
        if range.IsInteger then (Math.Clamp(floor x, range.Min, range.Max)).ToString("F0", CultureInfo.InvariantCulture)
        else rounded range x

    /// Different draws, each from a stream of its own: a greater count begins with the same.
    let private random file seed count (parameters: (string * Values) list) =
        let drawn i =
            let g = Generator(seed).Fork(int64 i)
            [ for name, values in parameters ->
                  match values with
                  | Listed values -> name, values[g.Next values.Length]
                  | Drawn range -> name, Typed(draw g range) ]
        let found = Seq.init (100 * count) drawn |> Seq.distinct |> Seq.truncate count |> List.ofSeq
        if found.Length < count then
            fail $"{file}: count" $"must be at most {found.Length}, for no more different trainings were drawn, got {count}"
        found

    let private integer place (json: JsonElement) : int64 =
        match (if json.ValueKind = JsonValueKind.Number then json.TryGetInt64() else false, 0L) with
        | true, value -> value
        | _ -> fail place $"must be an integer, got {got json}"

    let private trialsOf file (root: JsonElement) method' seed (parameters: (string * Values) list) =
        match method' with
        | "grid" ->
            for key in [ "count"; "seed" ] do
                if (property root key).IsSome then
                    fail $"{file}: {key}" "is for the method random: a grid has all combinations. Leave it out"
            let listed =
                [ for name, values in parameters ->
                      match values with
                      | Listed values -> name, values
                      | Drawn _ -> fail $"{file}: parameters.{name}" "a grid needs a list of values; ranges are for the method random" ]
            let size = listed |> List.fold (fun size (_, values) -> size * float values.Length) 1.0
            if size > float Most then fail $"{file}: parameters" $"a sweep has at most {Most} trainings, and this grid has {size}"
            grid listed
        | "random" ->
            match property root "count" |> Option.map (integer $"{file}: count") with
            | Some count when count >= 1L && count <= int64 Most -> random file seed (int count) parameters
            | Some count -> fail $"{file}: count" $"must be 1 to {Most}, got {count}"
            | None -> fail $"{file}: count" "is missing: how many trainings are drawn"
        | other -> fail $"{file}: method" $"must be grid or random, got {other}"

    /// Has train's own rules look at a whole training.
    let private check file (trial: Trial) =
        try
            let args = Parser.parse Commands.train (Array.ofList trial.Arguments)
            TrainingOptions.ofArgs args None |> ignore
            args.TryGet Options.minAccuracy |> Option.iter (Common.share "--min-accuracy" >> ignore)
        with :? OnnxLeNetException as e ->
            fail $"{file}: the training with {trial}" e.Message

    let private ofJson (file: string) (root: JsonElement) =
        if root.ValueKind <> JsonValueKind.Object then fail file $"must hold a JSON object, got {got root}"
        requireKeys file [ "method"; "count"; "seed"; "fixed"; "parameters" ] root
        let object name =
            match property root name with
            | Some json when json.ValueKind = JsonValueKind.Object -> List.ofSeq (json.EnumerateObject())
            | Some json -> fail $"{file}: {name}" $"must be an object of options of train, got {got json}"
            | None -> []
        let place part (p: JsonProperty) = $"{file}: {part}.{p.Name}"
        let fixed' =
            [ for p in object "fixed" ->
                  let place = place "fixed" p
                  p.Name, valueOf place (entryOf place p.Name) p.Value ]
        let parameters =
            [ for p in object "parameters" ->
                  let place = place "parameters" p
                  let entry = entryOf place p.Name
                  if List.contains p.Name onlyFixed then
                      fail place "trainings are compared by the same images: set it in fixed"
                  if fixed' |> List.exists (fun (name, _) -> name = p.Name) then
                      fail place "stands in fixed too: leave one of them out"
                  p.Name, valuesOf place entry p.Value ]
        if parameters.IsEmpty then fail $"{file}: parameters" "must name the options to vary, such as \"lr\": [0.01, 0.03]"
        let seed = property root "seed" |> Option.map (integer $"{file}: seed") |> Option.defaultValue 1L
        let method' =
            match property root "method" with
            | Some json when json.ValueKind = JsonValueKind.String -> json.GetString() |> nonNull
            | Some json -> fail $"{file}: method" $"must be grid or random, got {got json}"
            | None -> fail $"{file}: method" "is missing: grid or random"
        let trials = trialsOf file root method' seed parameters |> List.map (trialOf fixed')
        List.iter (check file) trials
        { File = file; Method = method'; Seed = seed; Fixed = fixed'; Parameters = parameters; Trials = trials }

    /// Comments and commas at the end of a list are let through, for people write these files.
    let private asWritten =
        JsonDocumentOptions(AllowDuplicateProperties = false, AllowTrailingCommas = true, CommentHandling = JsonCommentHandling.Skip)

    let read (file: string) =
        if file = "-" then raise (OnnxLeNetException "sweep needs a file, got -: the same command goes on with it")
        try
            use document = JsonDocument.Parse(RegularFile.ReadText file, asWritten)
            ofJson (Workspace.display file) document.RootElement
        with
        | :? JsonException
        | :? InvalidOperationException as e -> // half of a surrogate pair is no text
            raise (OnnxLeNetException($"{file} is not JSON: {e.Message}", e))
