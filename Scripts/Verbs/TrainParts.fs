/// The engine's parts that a run of train is made of, by its options.
module OnnxLeNet.Scripts.Verbs.TrainParts

open System.Collections.Generic
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Verbs.Common
open OnnxLeNet.Scripts.Verbs.TrainJob

let optimizerOf (o: TrainingOptions) (groups: ParameterGroup seq) : Optimizer =
    match o.Optimizer with
    | "sgd" -> SGD(groups, o.LearningRate, o.Momentum, weightDecay = o.WeightDecay)
    | "adam" -> Adam(groups, o.LearningRate, weightDecay = o.WeightDecay)
    | "adamw" -> AdamW(groups, o.LearningRate, weightDecay = o.WeightDecay)
    | "rmsprop" -> RMSprop(groups, o.LearningRate, weightDecay = o.WeightDecay, momentum = o.Momentum)
    | other -> badOption "--optimizer" other "sgd, adam, adamw or rmsprop"

/// The network's parameters, those of layers that --lr-mult names with rates of their own.
let groupsOf (o: TrainingOptions) (net: Module) (sample: Shape) : ParameterGroup seq =
    if o.LrMult.IsEmpty then
        [ ParameterGroup(net.Parameters()) ]
    else
        FineTuning.Groups(net, sample, o.LearningRate, [ for layer, factor in o.LrMult -> KeyValuePair(layer, factor) ])

/// Says which layers learn at which rate, where --lr-mult says that it is not one.
let tellRates say (o: TrainingOptions) (net: Module) (optimizer: Optimizer) =
    if not o.LrMult.IsEmpty then
        let names = dict [ for struct (name, parameter) in net.NamedParameters() -> parameter, name ]
        let layers (group: ParameterGroup) =
            group.Parameters
            |> Seq.filter _.RequiresGrad
            |> Seq.map (fun parameter -> names[parameter][.. names[parameter].LastIndexOf '.' - 1])
            |> Seq.distinct
            |> String.concat ", "
        let factors = 1.0 :: List.map snd o.LrMult
        let told =
            [ for group, factor in Seq.zip optimizer.ParameterGroups factors do
                  match layers group with
                  | "" -> ()
                  | layers -> $"{invariant (o.LearningRate * factor)} for {layers}" ]
        say ("learning rates: " + String.concat "; " told)

/// Sets the rate after every update, of which an epoch has so many; None where it stays.
let scheduleOf (o: TrainingOptions) (optimizer: Optimizer) (updates: int) : LRScheduler option =
    let total = Checked.(*) o.Epochs updates
    let warm = if o.Warmup = 0.0 then 0 else max 1 (int (round (o.Warmup * float updates)))
    if warm >= total then
        badOption "--warmup" o.Warmup $"less than the run, which has {total} updates, {updates} in an epoch"
    let rest = total - warm
    // The first update has one part of the rate, and the one after the warm-up all of it.
    let afterWarmUp (next: LRScheduler option) : LRScheduler option =
        if warm = 0 then
            next
        else
            let rise = LinearLR(optimizer, 1.0 / float (warm + 1), 1.0, warm)
            match next with
            | None -> Some rise
            | Some next -> Some(SequentialLR(optimizer, [ (rise: LRScheduler); next ], [ warm ]))
    match o.Schedule with
    | "cosine" -> afterWarmUp (Some(CosineAnnealingLR(optimizer, rest)))
    | "step" -> afterWarmUp (Some(StepLR(optimizer, (rest + 2) / 3)))
    | "constant" -> afterWarmUp None
    | _ ->
        if warm = 1 then
            badOption "--warmup" o.Warmup "two updates or more with --schedule onecycle"
        let rise = if warm > 0 then float warm / float total else 0.3
        Some(
            OneCycleLR(
                optimizer,
                PerGroup.op_Implicit [| for group in optimizer.ParameterGroups -> group.LearningRate |],
                totalSteps = total,
                pctStart = rise,
                cycleMomentum = (o.Momentum > 0.0 || o.Optimizer.StartsWith "adam")
            )
        )

/// The training and validation images, and the test images that are looked at in the end.
type Split =
    { Data: ImageFolder
      Validation: ImageDataset option }

/// Holds out the share of the training images that the options name.
let split (o: TrainingOptions) (data: ImageFolder) =
    match Option.ofObj data.Validation, o.Validation with
    | Some held, _ -> { Data = data; Validation = Some held }
    | None, None ->
        for asked, option in [ o.EarlyStop.IsSome, "--early-stop"; o.KeepBest, "--keep best" ] do
            if asked then
                raise (OnnxLeNetException $"{option} goes by the validation loss, and there are no validation images: hold some out by \
                    --validation SHARE, such as 0.1")
        { Data = data; Validation = None }
    | None, Some share ->
        let struct (train, held) = StratifiedSplit.Of(data.Train, share, o.Seed)
        { Data = ImageFolder(data.Name, data.Train.Select train, data.Test)
          Validation = Some(data.Train.Select held) }

/// The training images, changed as --augment says, in an order of its own for every epoch.
let loaderOf (o: TrainingOptions) (data: ImageFolder) =
    let images: Dataset = if o.Augment = "none" then data.Train else Augmentation.Of(o.Augment, data.Train, o.Seed)
    DataLoader(images, o.BatchSize, shuffle = true, generator = Generator o.Seed)

/// What a run has beside the network and the data.
type Parts =
    { Loss: CrossEntropyLoss
      Optimizer: Optimizer
      Schedule: LRScheduler option
      Averaging: WeightAveraging option
      Validation: Validation option
      Best: BestWeights option
      EarlyStopping: EarlyStopping option
      /// The processes that train together.
      Group: ProcessGroup option }

    /// The observers that decide what is kept, in the order in which they look at each other.
    member parts.Observers: TrainingObserver list =
        [ yield! parts.Validation |> Option.map (fun o -> o :> TrainingObserver) |> Option.toList
          yield! parts.Best |> Option.map (fun o -> o :> TrainingObserver) |> Option.toList
          yield! parts.EarlyStopping |> Option.map (fun o -> o :> TrainingObserver) |> Option.toList ]

let partsOf (o: TrainingOptions) (net: Module) (split: Split) (group: ProcessGroup option) =
    let weight: float32 array | null =
        if o.Balance then ClassWeights.Balanced(split.Data.Train, split.Data.Classes) else null
    let optimizer = optimizerOf o (groupsOf o net split.Data.Train.Sample)
    let batches = (loaderOf o split.Data).Steps
    let validation = split.Validation |> Option.map (fun data -> Validation(data, Group = Option.toObj group))
    let loss (_: TrainingRun) = validation.Value.Loss
    { Loss = CrossEntropyLoss(weight, labelSmoothing = o.LabelSmoothing)
      Optimizer = optimizer
      Schedule = scheduleOf o optimizer ((batches + o.Accumulate - 1) / o.Accumulate)
      Averaging = o.Ema |> Option.map (fun decay -> WeightAveraging(net, decay))
      Validation = validation
      Best = if o.KeepBest then Some(BestWeights(net, loss)) else None
      EarlyStopping = o.EarlyStop |> Option.map (fun patience -> EarlyStopping(patience, loss))
      Group = group }

/// The trainer of the parts, with what else looks on.
let trainerOf (o: TrainingOptions) (net: Module) (parts: Parts) (observers: TrainingObserver list) (steps: ITrainingSteps | null) =
    Trainer(
        net,
        parts.Loss,
        parts.Optimizer,
        Schedule = Option.toObj parts.Schedule,
        ScheduleInterval = ScheduleInterval.Step,
        Accumulate = o.Accumulate,
        ClipNorm = Option.toNullable o.Clip,
        Averaging = Option.toObj parts.Averaging,
        Observers = [| yield! parts.Observers; yield! observers |],
        Steps = steps,
        Group = Option.toObj parts.Group
    )
