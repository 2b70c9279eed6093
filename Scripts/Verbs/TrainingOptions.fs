/// The options of train that decide its result: what they are by themselves, as they are typed, and checked.
namespace OnnxLeNet.Scripts.Verbs

open System
open System.Globalization
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Cli
open OnnxLeNet.Scripts.Verbs.Common

/// How the verb trains; the result depends on all of it.
type TrainingOptions =
    {
        Epochs: int
        BatchSize: int
        LearningRate: float
        /// What the rates of layers are multiplied by, by their names.
        LrMult: (string * float) list
        Optimizer: string
        Momentum: float
        WeightDecay: float
        Schedule: string
        /// Epochs, or a part of one.
        Warmup: float
        LabelSmoothing: float
        /// Batches in an update.
        Accumulate: int
        /// The limit of the gradients' norm.
        Clip: float option
        /// The decay of the weights' average.
        Ema: float option
        /// The share of the training images that are held out.
        Validation: float option
        /// Epochs without a lower validation loss.
        EarlyStop: int option
        /// Whether the epoch of the least validation loss is exported, or the last.
        KeepBest: bool
        /// Whether the classes are weighed by how few images they have.
        Balance: bool
        Pictures: Pictures.Args
        /// Random changes of the training images: none, or a list of names.
        Augment: string
        /// Whether the network of a file gets new weights.
        Fresh: bool
        /// The layers that stay as they are.
        Freeze: string option
        Seed: int64
    }

    /// As they are typed, what is the optimizer's default left out but for the first four.
    override o.ToString() =
        let d = TrainingOptions.For o.Optimizer
        String.concat
            " "
            [ $"--epochs {o.Epochs} --batch-size {o.BatchSize} --lr {invariant o.LearningRate} --seed {o.Seed}"
              if not o.LrMult.IsEmpty then
                  "--lr-mult " + String.concat "," [ for layer, factor in o.LrMult -> $"{layer}={invariant factor}" ]
              if o.Optimizer <> TrainingOptions.Default.Optimizer then $"--optimizer {o.Optimizer}"
              if o.Momentum <> d.Momentum then $"--momentum {invariant o.Momentum}"
              if o.WeightDecay <> d.WeightDecay then $"--weight-decay {invariant o.WeightDecay}"
              if o.Schedule <> d.Schedule then $"--schedule {o.Schedule}"
              if o.Warmup <> d.Warmup then $"--warmup {invariant o.Warmup}"
              if o.LabelSmoothing <> d.LabelSmoothing then $"--label-smoothing {invariant o.LabelSmoothing}"
              if o.Accumulate <> d.Accumulate then $"--accumulate {o.Accumulate}"
              yield! o.Clip |> Option.map (fun norm -> $"--clip {invariant norm}") |> Option.toList
              yield! o.Ema |> Option.map (fun decay -> $"--ema {invariant decay}") |> Option.toList
              yield! o.Validation |> Option.map (fun share -> $"--validation {invariant share}") |> Option.toList
              yield! o.EarlyStop |> Option.map (fun epochs -> $"--early-stop {epochs}") |> Option.toList
              if o.KeepBest <> o.EarlyStop.IsSome then (if o.KeepBest then "--keep best" else "--keep last")
              if o.Balance then "--balance"
              yield! o.Pictures.Typed
              if o.Augment <> d.Augment then $"--augment {o.Augment}"
              if o.Fresh then "--fresh"
              yield! o.Freeze |> Option.map (fun layers -> $"--freeze {layers}") |> Option.toList ]

    /// An optimizer's defaults.
    static member For(optimizer: string) =
        { Epochs = 12
          BatchSize = 64
          LearningRate = (if optimizer = "sgd" then 0.03 else 1e-3)
          LrMult = []
          Optimizer = optimizer
          Momentum = (if optimizer = "sgd" then 0.9 else 0.0)
          WeightDecay =
            (match optimizer with
             | "sgd" -> 1e-3
             | "adamw" -> 1e-2
             | _ -> 0.0)
          Schedule = "cosine"
          Warmup = 0.0
          LabelSmoothing = 0.0
          Accumulate = 1
          Clip = None
          Ema = None
          Validation = None
          EarlyStop = None
          KeepBest = false
          Balance = false
          Pictures = Pictures.asTheyAre
          Augment = "none"
          Fresh = false
          Freeze = None
          Seed = 1L }

    static member Default = TrainingOptions.For "sgd"


module TrainingOptions =
    /// head=10,conv*=0.1
    let private factorsOf (text: string) =
        let wrong () = badOption "--lr-mult" text "LAYER=FACTOR, several separated by commas, such as head=10,conv*=0.1"
        [ for part in text.Replace(" ", "").Split ',' do
              match part.Split '=' with
              | [| layer; factor |] when layer <> "" ->
                  match Double.TryParse(factor, NumberStyles.Float, CultureInfo.InvariantCulture) with
                  | true, value when Double.IsFinite value && value > 0.0 -> layer, value
                  | true, value -> badOption "--lr-mult" value "a finite factor of more than 0; --freeze keeps layers as they are"
                  | _ -> wrong ()
              | _ -> wrong () ]

    /// The options that are typed, and of what is not typed those of the run that goes on, or the optimizer's defaults.
    let ofArgs (args: Args) (own: TrainingOptions option) =
        let atLeastZero option value =
            if Double.IsFinite value && value >= 0.0 then value else badOption option value "a finite number of 0 or more"
        let between option value =
            if value > 0.0 && value < 1.0 then value else badOption option value "more than 0 and less than 1"
        let optimizer = args.TryGet Options.optimizer
        let d =
            match own, optimizer with
            | Some own, None -> own
            | Some own, Some name when own.Optimizer = name -> own
            | _ -> TrainingOptions.For(defaultArg optimizer "sgd")
        let schedule = args.Get(Options.schedule, d.Schedule)
        match args.TryGet Options.momentum with
        | Some _ when d.Optimizer.StartsWith "adam" -> raise (OnnxLeNetException $"{d.Optimizer} has no --momentum: leave it out")
        | Some momentum when schedule = "onecycle" && momentum <> 0.0 ->
            badOption "--momentum" momentum "0 or left out with --schedule onecycle, which moves it between 0.95 and 0.85"
        | _ -> ()
        let epochs = atLeastOne "--epochs" (args.Get(Options.epochs, d.Epochs))
        let warmup = atLeastZero "--warmup" (args.Get(Options.warmup, d.Warmup))
        if warmup >= float epochs then badOption "--warmup" warmup $"less than the {epochs} epochs"
        let smoothing = args.Get(Options.labelSmoothing, d.LabelSmoothing)
        if not (smoothing >= 0.0 && smoothing < 1.0) then
            badOption "--label-smoothing" smoothing "at least 0 and less than 1"
        let clip = args.TryGet Options.clip |> Option.orElse d.Clip
        clip
        |> Option.iter (fun norm ->
            if not (Double.IsFinite norm && norm > 0.0) then badOption "--clip" norm "a finite number of more than 0")
        let earlyStop = args.TryGet Options.earlyStop |> Option.map (atLeastOne "--early-stop") |> Option.orElse d.EarlyStop
        { Epochs = epochs
          BatchSize = atLeastOne "--batch-size" (args.Get(Options.batchSize, d.BatchSize))
          LearningRate = atLeastZero "--lr" (args.Get(Options.lr, d.LearningRate))
          LrMult = args.TryGet Options.lrMult |> Option.map factorsOf |> Option.defaultValue d.LrMult
          Optimizer = d.Optimizer
          Momentum = atLeastZero "--momentum" (args.Get(Options.momentum, d.Momentum))
          WeightDecay = atLeastZero "--weight-decay" (args.Get(Options.weightDecay, d.WeightDecay))
          Schedule = schedule
          Warmup = warmup
          LabelSmoothing = smoothing
          Accumulate = atLeastOne "--accumulate" (args.Get(Options.accumulate, d.Accumulate))
          Clip = clip
          Ema = args.TryGet Options.ema |> Option.map (between "--ema") |> Option.orElse d.Ema
          Validation = args.TryGet Options.validation |> Option.map (between "--validation") |> Option.orElse d.Validation
          EarlyStop = earlyStop
          KeepBest =
            match args.TryGet Options.keep, own with
            | Some best, _ -> best
            | None, Some own -> own.KeepBest
            | None, None -> earlyStop.IsSome
          Balance = args.Has Options.balance || d.Balance
          Pictures =
            { Size = args.TryGet Options.size |> Option.map (atLeastOne "--size") |> Option.orElse d.Pictures.Size
              Grey = args.Has Options.grey || d.Pictures.Grey
              Fit = args.Get(Options.fit, d.Pictures.Fit)
              Background = args.TryGet Options.background |> Option.map Rgb.Parse |> Option.defaultValue d.Pictures.Background
              SkipDamaged = args.Has Options.skipDamaged || d.Pictures.SkipDamaged }
          Fresh = args.Has Options.fresh || d.Fresh
          Freeze = args.TryGet Options.freeze |> Option.map _.Replace(" ", "") |> Option.orElse d.Freeze
          Augment = args.TryGet Options.augment |> Option.map Augmentation.Normalize |> Option.defaultValue d.Augment
          Seed = args.Get(Options.seed, d.Seed) }

    /// Those that a run's checkpoint has noted.
    let read (typed: string) = ofArgs (Parser.parse Commands.train (typed.Split ' ')) None

    /// Those of a checkpoint without such a note: the optimizer's state has the numbers.
    let ofState (checkpoint: Checkpoint) =
        let number name otherwise =
            checkpoint.Optimizer.Entries
            |> Seq.tryPick (function
                | :? NumberEntry as entry when entry.Name = $"param_groups.0.{name}" -> Some entry.Value
                | _ -> None)
            |> Option.defaultValue otherwise
        { TrainingOptions.Default with
            Epochs = checkpoint.Epochs
            BatchSize = checkpoint.BatchSize
            LearningRate = number "initial_lr" TrainingOptions.Default.LearningRate
            Momentum = number "momentum" TrainingOptions.Default.Momentum
            WeightDecay = number "weight_decay" TrainingOptions.Default.WeightDecay
            Seed = checkpoint.Seed }

    /// Refuses what the training step of ONNX Runtime has not.
    let requireInOrt (o: TrainingOptions) =
        for asked, option, why in
            [ Array.contains "mixup" (o.Augment.Split ','), "--augment mixup", "its loss takes one class for a sample"
              o.Accumulate > 1, "--accumulate", "a step is one batch"
              o.Ema.IsSome, "--ema", "the weights are on the device meanwhile"
              o.Schedule = "onecycle" && (o.Momentum > 0.0 || o.Optimizer.StartsWith "adam"),
              "--schedule onecycle",
              "it changes the momentum, which is a constant of the step" ] do
            if asked then
                raise (OnnxLeNetException $"{option} is not for --engine onnxruntime ({why}): leave one of them out")
