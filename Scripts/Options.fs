/// What a person may type after the verbs.
module OnnxLeNet.Scripts.Options

open Argu

/// What the options say that tell what a model's input wants.
module private InputUsage =
    [<Literal>]
    let mean = "mean of the pixels, of each channel separated by commas or one for all, where the model's file does not say it."

    [<Literal>]
    let std = "their standard deviation, likewise."

    [<Literal>]
    let scale = "what a pixel's byte is multiplied by first (default: 1/255)."

    [<Literal>]
    let padding = "zero pixels on each side (default: what the model's file says, or what brings the images to the size it takes)."

    [<Literal>]
    let size = "height and width that the model takes, where its file leaves them open."

/// What the options say that are about pictures.
module private PictureUsage =
    [<Literal>]
    let data = "a folder or list of pictures, or a folder of IDX or CIFAR files, gzipped or not"

    [<Literal>]
    let skipDamaged = "leave out pictures that cannot be read (default: they are listed, and nothing is done)."

/// What the options say that tell how the engine computes.
module private EngineUsage =
    [<Literal>]
    let threads = "threads of the engine (default: one per core)."

    [<Literal>]
    let width =
        "bits of the engine's vectors: 512, 256 or 128 (default: the widest that the processor has); the result does not depend on it."

    [<Literal>]
    let provider =
        "who computes the engine's matrix products: simd (default), managed, cblas or cblas:LIBRARY, cuda or cuda:FOLDER, mathnet-cuda."

type Engine =
    | Own = 0
    | OnnxRuntime = 1

[<CliPrefix(CliPrefix.DoubleDash)>]
type TrainArgs =
    | [<Unique; EqualsAssignmentOrSpaced>] Model of NAME: string
    | [<Unique; EqualsAssignmentOrSpaced>] Data of DIR: string
    | [<Unique; EqualsAssignmentOrSpaced>] Size of N: int
    | [<Unique>] Grey
    | [<Unique; EqualsAssignmentOrSpaced>] Fit of HOW: string
    | [<Unique; EqualsAssignmentOrSpaced>] Background of COLOUR: string
    | [<Unique; CustomCommandLine "--skip-damaged">] SkipDamaged
    | [<Unique>] Balance
    | [<Unique; EqualsAssignmentOrSpaced>] Epochs of N: int
    | [<Unique; EqualsAssignmentOrSpaced; CustomCommandLine "--batch-size">] BatchSize of N: int
    | [<Unique; EqualsAssignmentOrSpaced>] Lr of RATE: float
    | [<Unique; EqualsAssignmentOrSpaced; CustomCommandLine "--lr-mult">] LrMult of FACTORS: string
    | [<Unique; EqualsAssignmentOrSpaced>] Optimizer of NAME: string
    | [<Unique; EqualsAssignmentOrSpaced>] Momentum of FACTOR: float
    | [<Unique; EqualsAssignmentOrSpaced; CustomCommandLine "--weight-decay">] WeightDecay of FACTOR: float
    | [<Unique; EqualsAssignmentOrSpaced>] Schedule of NAME: string
    | [<Unique; EqualsAssignmentOrSpaced>] Warmup of EPOCHS: float
    | [<Unique; EqualsAssignmentOrSpaced; CustomCommandLine "--label-smoothing">] LabelSmoothing of SHARE: float
    | [<Unique; EqualsAssignmentOrSpaced>] Accumulate of N: int
    | [<Unique; EqualsAssignmentOrSpaced>] Clip of NORM: float
    | [<Unique; EqualsAssignmentOrSpaced>] Ema of DECAY: float
    | [<Unique; EqualsAssignmentOrSpaced>] Validation of SHARE: float
    | [<Unique; EqualsAssignmentOrSpaced; CustomCommandLine "--early-stop">] EarlyStop of N: int
    | [<Unique; EqualsAssignmentOrSpaced>] Keep of WHICH: string
    | [<Unique; EqualsAssignmentOrSpaced>] From of FILE: string
    | [<Unique>] Fresh
    | [<Unique; EqualsAssignmentOrSpaced>] Freeze of LAYERS: string
    | [<Unique; EqualsAssignmentOrSpaced>] Augment of HOW: string
    | [<Unique; EqualsAssignmentOrSpaced; CustomCommandLine "--show-augmented">] ShowAugmented of FILE: string
    | [<Unique; CustomCommandLine "--find-lr">] FindLr
    | [<Unique; EqualsAssignmentOrSpaced>] Plot of FILE: string
    | [<Unique; EqualsAssignmentOrSpaced>] Seed of N: int64
    | [<Unique; EqualsAssignmentOrSpaced>] Threads of N: int
    | [<Unique; EqualsAssignmentOrSpaced>] Width of BITS: int
    | [<Unique; EqualsAssignmentOrSpaced>] Provider of NAME: string
    | [<Unique; EqualsAssignmentOrSpaced>] Engine of Engine
    | [<Unique; EqualsAssignmentOrSpaced>] Device of DEVICE: string
    | [<Unique; EqualsAssignmentOrSpaced; CustomCommandLine "--min-accuracy">] MinAccuracy of SHARE: float
    | [<Unique; EqualsAssignmentOrSpaced; CustomCommandLine "--hold-out">] HoldOut of N: int
    | [<Unique; EqualsAssignmentOrSpaced>] Resume of CHECKPOINT: string
    | [<Unique; EqualsAssignmentOrSpaced>] Out of DIR: string
    | [<Unique>] Force
    | [<Unique; EqualsAssignmentOrSpaced>] Json of FILE: string
    | [<Unique>] Quiet

    interface IArgParserTemplate with
        member arg.Usage =
            match arg with
            | Model _ -> "the network (default: lenet5)."
            | Data _ ->
                "a folder of pictures with a folder for each class, or those below train, val and test; a CSV or JSON-lines file of path "
                + "and label; or a folder of IDX or CIFAR files, gzipped or not (default: MNIST, which comes with the project)."
            | Size _ -> "height and width that pictures are brought to (default: the network's own)."
            | Grey -> "make pictures grey (default: red, green and blue)."
            | Fit _ -> "crop (default), pad or stretch: what happens to pictures of other proportions."
            | Background _ -> "what lies behind transparent pictures and around padded ones: white (default), black, grey or #RRGGBB."
            | SkipDamaged -> PictureUsage.skipDamaged
            | Balance -> "weigh the classes in the loss by how few training images they have, 1 on average."
            | Epochs _ -> "times every training image is used."
            | BatchSize _ -> "images per update."
            | Lr _ -> "learning rate that the schedule begins with, after a warm-up; onecycle's peak (default: 0.03, of other optimizers \
                than sgd 0.001)."
            | LrMult _ -> "learning rates of parts, as factors of --lr: LAYER=FACTOR, separated by commas, such as head=10,conv*=0.1; head \
                is the last layer, and in names * and ? stand for any letters."
            | Optimizer _ -> "sgd (default), adam, adamw or rmsprop."
            | Momentum _ -> "momentum of sgd (default: 0.9) or rmsprop (default: 0)."
            | WeightDecay _ -> "weight decay (default: for sgd 0.001, for adamw 0.01, else 0)."
            | Schedule _ -> "cosine (default: down to zero), onecycle (up and down, the momentum the other way), step (a tenth after each \
                third) or constant."
            | Warmup _ -> "epochs in which the learning rate rises in a straight line, or a part of one; with onecycle those of its rise \
                (default: 0; onecycle: 0.3 of all)."
            | LabelSmoothing _ -> "how much of a target is spread over all classes (default: 0)."
            | Accumulate _ -> "batches in an update (default: 1)."
            | Clip _ -> "scale the gradients so that their norm stays under this."
            | Ema _ -> "export an average of the weights over the updates: of the average this factor stays, such as 0.999."
            | Validation _ -> "share of the training images of each class to hold out, and to report on after each epoch."
            | EarlyStop _ -> "end when the validation loss has not fallen for N epochs."
            | Keep _ -> "best or last: whose epoch's weights are exported, best by the validation loss (default: last; best with \
                --early-stop)."
            | From _ -> "go on from the weights of a file: an ONNX model, or with --model a state dict (.pth, .safetensors). A last layer \
                for other classes than the data's is made anew."
            | Fresh -> "take the network of --from with new weights."
            | Freeze _ -> "keep layers of --from as they are: all-but-head; a number N, the first N with weights; or their names, \
                separated by commas, with * and ?."
            | Augment _ -> "random changes of the training images, anew in every epoch: none (default); light, a small turn, shift and \
                scale of grey images, a flip and a shift of colour ones; strong, larger ones, brightness and contrast too, and a black \
                square; or a list of flip, affine, crop, jitter, cutout and mixup, which may begin with light or strong: light,mixup."
            | ShowAugmented _ -> "write a PNG of training images as --augment makes them (default: light), and train nothing."
            | FindLr -> "train nothing, but try rising learning rates for 100 updates and suggest one."
            | Plot _ -> "write the losses that --find-lr saw as an SVG picture."
            | Seed _ -> "seed of the starting weights, of the order of the images and of those held out."
            | Threads _ -> "threads of the engine (default: one per core); the result does not depend on it."
            | Width _ -> EngineUsage.width
            | Provider _ -> EngineUsage.provider
            | Engine _ -> "who trains: own (default), or onnxruntime with the training step as a graph; the result is the same but \
                for rounding."
            | Device _ -> "where ONNX Runtime runs: cpu (default), cuda or cuda:N."
            | MinAccuracy _ -> "fail (exit code 1) below this test accuracy, 0 to 1."
            | HoldOut _ -> "keep the last N training images out and report on them instead of the test images: for choosing settings."
            | Resume _ -> "go on from a checkpoint that an earlier run left; the result is that of a run that never stopped."
            | Out _ ->
                "folder of the finished model and its card (default: models, of this repository or of the folder one stands in). "
                + "A model there that does better on the same test images is kept, and the new one is written beside it as NAME.new.onnx, "
                + "in place of an earlier one of that name."
            | Force -> "write the finished model in the place of one that does better, or that cannot be compared."
            | Json _ -> "write the results as one JSON object; - is standard output, and all else then goes to standard error."
            | Quiet -> "print nothing but errors."

[<CliPrefix(CliPrefix.DoubleDash)>]
type EvaluateArgs =
    | [<MainCommand; ExactlyOnce>] File of FILE: string
    | [<Unique; EqualsAssignmentOrSpaced>] Data of DIR: string
    | [<Unique; CustomCommandLine "--skip-damaged">] SkipDamaged
    | [<Unique; EqualsAssignmentOrSpaced>] Mean of NUMBERS: string
    | [<Unique; EqualsAssignmentOrSpaced>] Std of NUMBERS: string
    | [<Unique; EqualsAssignmentOrSpaced>] Scale of FACTOR: string
    | [<Unique; EqualsAssignmentOrSpaced>] Padding of N: int
    | [<Unique; EqualsAssignmentOrSpaced>] Size of N: int
    | [<Unique; EqualsAssignmentOrSpaced>] Engine of Engine
    | [<Unique; EqualsAssignmentOrSpaced>] Threads of N: int
    | [<Unique; EqualsAssignmentOrSpaced>] Width of BITS: int
    | [<Unique; EqualsAssignmentOrSpaced>] Provider of NAME: string
    | [<Unique; EqualsAssignmentOrSpaced>] Device of DEVICE: string
    | [<Unique; EqualsAssignmentOrSpaced; CustomCommandLine "--min-accuracy">] MinAccuracy of SHARE: float
    | [<Unique; EqualsAssignmentOrSpaced>] Mistakes of FILE: string
    | [<Unique; EqualsAssignmentOrSpaced>] Json of FILE: string
    | [<Unique>] Quiet

    interface IArgParserTemplate with
        member arg.Usage =
            match arg with
            | File _ -> "the model, an ONNX file."
            | Data _ -> PictureUsage.data + " (default: MNIST, which comes with the project)."
            | SkipDamaged -> PictureUsage.skipDamaged
            | Mean _ -> InputUsage.mean
            | Std _ -> InputUsage.std
            | Scale _ -> InputUsage.scale
            | Padding _ -> InputUsage.padding
            | Size _ -> InputUsage.size
            | Engine _ -> "who runs it (default: onnxruntime)."
            | Threads _ -> EngineUsage.threads
            | Width _ -> EngineUsage.width
            | Provider _ -> EngineUsage.provider
            | Device _ -> "where ONNX Runtime runs: cpu (default), cuda or cuda:N."
            | MinAccuracy _ -> "fail (exit code 1) below this accuracy, 0 to 1."
            | Mistakes _ -> "draw the worst mistakes as a sheet of pictures: an .svg file with what each is and was taken for, or a .png of \
                the pictures alone."
            | Json _ -> "write the results as one JSON object."
            | Quiet -> "print nothing but errors."

/// Who computes a prediction.
type Paths =
    | Both = 0
    | Own = 1
    | OnnxRuntime = 2

[<CliPrefix(CliPrefix.DoubleDash); RequireQualifiedAccess>]
type PredictArgs =
    | [<MainCommand; ExactlyOnce>] Files of FILE: string list
    | [<Unique; EqualsAssignmentOrSpaced>] Index of NUMBERS: string
    | [<Unique; EqualsAssignmentOrSpaced>] Top of K: int
    | [<Unique; CustomCommandLine "--as-is">] AsIs
    | [<Unique; EqualsAssignmentOrSpaced>] Fit of WAY: string
    | [<Unique; EqualsAssignmentOrSpaced>] Mean of NUMBERS: string
    | [<Unique; EqualsAssignmentOrSpaced>] Std of NUMBERS: string
    | [<Unique; EqualsAssignmentOrSpaced>] Scale of FACTOR: string
    | [<Unique; EqualsAssignmentOrSpaced>] Padding of N: int
    | [<Unique; EqualsAssignmentOrSpaced>] Size of N: int
    | [<Unique; EqualsAssignmentOrSpaced>] Engine of Paths
    | [<Unique; EqualsAssignmentOrSpaced>] Threads of N: int
    | [<Unique; EqualsAssignmentOrSpaced>] Width of BITS: int
    | [<Unique; EqualsAssignmentOrSpaced>] Device of DEVICE: string
    | [<Unique; EqualsAssignmentOrSpaced>] Json of FILE: string
    | [<Unique; EqualsAssignmentOrSpaced>] Csv of FILE: string
    | [<Unique>] Quiet

    interface IArgParserTemplate with
        member arg.Usage =
            match arg with
            | Files _ ->
                "the model, an ONNX file, then pictures, folders of pictures, IDX files with --index, or - for a picture on standard input."
            | Index _ -> "numbers of the images of an IDX file, such as 0,5,10-19."
            | Top _ -> "how many classes to tell of each picture (default: 3)."
            | AsIs -> "do not bring digits to MNIST's form: light on dark, fitted into 20×20 pixels, centred."
            | Fit _ -> "how a picture comes to the model's proportions: crop, pad or stretch (default: what the file says, or crop)."
            | Mean _ -> InputUsage.mean
            | Std _ -> InputUsage.std
            | Scale _ -> InputUsage.scale
            | Padding _ -> "zero pixels on each side (default: what the model's file says, or 0)."
            | Size _ -> InputUsage.size
            | Engine _ -> "who computes: both, which are compared (default), own or onnxruntime."
            | Threads _ -> EngineUsage.threads
            | Width _ -> EngineUsage.width
            | Device _ -> "where ONNX Runtime runs: cpu (default), cuda or cuda:N."
            | Json _ -> "write the results as one JSON object; - is standard output, and all else then goes to standard error."
            | Csv _ -> "write the results as a table: file, class, probability, agreement."
            | Quiet -> "print nothing but errors."

[<CliPrefix(CliPrefix.DoubleDash)>]
type ValidateArgs =
    | [<MainCommand; ExactlyOnce>] File of FILE: string
    | [<Unique; EqualsAssignmentOrSpaced>] Data of DIR: string
    | [<Unique; CustomCommandLine "--skip-damaged">] SkipDamaged
    | [<Unique; EqualsAssignmentOrSpaced>] Mean of NUMBERS: string
    | [<Unique; EqualsAssignmentOrSpaced>] Std of NUMBERS: string
    | [<Unique; EqualsAssignmentOrSpaced>] Scale of FACTOR: string
    | [<Unique; EqualsAssignmentOrSpaced>] Padding of N: int
    | [<Unique; EqualsAssignmentOrSpaced>] Size of N: int
    | [<Unique>] Gradients
    | [<Unique; EqualsAssignmentOrSpaced>] Batches of SIZES: string
    | [<Unique>] All
    | [<Unique; EqualsAssignmentOrSpaced>] Seed of N: int64
    | [<Unique; EqualsAssignmentOrSpaced>] Threads of N: int
    | [<Unique; EqualsAssignmentOrSpaced>] Width of BITS: int
    | [<Unique; EqualsAssignmentOrSpaced>] Provider of NAME: string
    | [<Unique; EqualsAssignmentOrSpaced>] Device of DEVICE: string
    | [<Unique; EqualsAssignmentOrSpaced>] Json of FILE: string
    | [<Unique>] Quiet

    interface IArgParserTemplate with
        member arg.Usage =
            match arg with
            | File _ -> "the model, an ONNX file."
            | Data _ -> PictureUsage.data + ", or none (default: MNIST, if the model takes its images)."
            | SkipDamaged -> PictureUsage.skipDamaged
            | Mean _ -> InputUsage.mean
            | Std _ -> InputUsage.std
            | Scale _ -> InputUsage.scale
            | Padding _ -> InputUsage.padding
            | Size _ -> InputUsage.size
            | Gradients -> "also compare every gradient, and steps of every optimizer, with the training step's graph in ONNX Runtime."
            | Batches _ -> "sizes of the random batches, such as 1,7,64 (default: 1,7,64,257, of these what a large network can go \
                through in a minute)."
            | All -> "go through all batches and all ways to compute, however large the network."
            | Seed _ -> "seed of the random input."
            | Threads _ -> EngineUsage.threads
            | Width _ -> EngineUsage.width
            | Provider _ -> EngineUsage.provider
            | Device _ -> "where ONNX Runtime runs: cpu (default), cuda or cuda:N."
            | Json _ -> "write the results as one JSON object."
            | Quiet -> "print nothing but errors."

[<CliPrefix(CliPrefix.DoubleDash); RequireQualifiedAccess>]
type InspectArgs =
    | [<MainCommand; ExactlyOnce>] File of FILE: string
    | [<Unique; EqualsAssignmentOrSpaced>] Key of KEY: string
    | [<Unique; CustomCommandLine "--allow-non-finite">] AllowNonFinite
    | [<Unique; EqualsAssignmentOrSpaced>] Json of FILE: string
    | [<Unique>] Quiet

    interface IArgParserTemplate with
        member arg.Usage =
            match arg with
            | File _ -> "an ONNX model, a state dict (.pth, .safetensors) or a checkpoint."
            | Key _ -> "where the state dict lies in a file that holds more, such as state_dict or ema.model (default: the only one)."
            | AllowNonFinite -> "read weights that are NaN or infinite too."
            | Json _ -> "write the results as one JSON object."
            | Quiet -> "print nothing but errors."

[<CliPrefix(CliPrefix.DoubleDash); RequireQualifiedAccess>]
type ExportArgs =
    | [<MainCommand; ExactlyOnce>] File of FILE: string
    | [<Mandatory; Unique; EqualsAssignmentOrSpaced>] To of FILE: string
    | [<Unique; EqualsAssignmentOrSpaced>] Model of NAME: string
    | [<Unique; EqualsAssignmentOrSpaced>] Key of KEY: string
    | [<Unique; CustomCommandLine "--allow-non-finite">] AllowNonFinite
    | [<Unique; EqualsAssignmentOrSpaced>] Opset of N: int
    | [<Unique>] Float16
    | [<Unique>] Int8
    | [<Unique; EqualsAssignmentOrSpaced>] Calibration of N: int
    | [<Unique; CustomCommandLine "--fold-batch-norm">] FoldBatchNorm
    | [<Unique>] Softmax
    | [<Unique; EqualsAssignmentOrSpaced; CustomCommandLine "--in-graph">] InGraph of LAYOUT: string option
    | [<Unique; EqualsAssignmentOrSpaced; CustomCommandLine "--input-names">] InputNames of NAMES: string
    | [<Unique; EqualsAssignmentOrSpaced; CustomCommandLine "--output-names">] OutputNames of NAMES: string
    | [<Unique; EqualsAssignmentOrSpaced>] Data of DIR: string
    | [<Unique; EqualsAssignmentOrSpaced>] Mean of NUMBERS: string
    | [<Unique; EqualsAssignmentOrSpaced>] Std of NUMBERS: string
    | [<Unique; EqualsAssignmentOrSpaced>] Scale of FACTOR: string
    | [<Unique; EqualsAssignmentOrSpaced>] Padding of N: int
    | [<Unique; EqualsAssignmentOrSpaced>] Size of N: int
    | [<Unique>] Assume
    | [<Unique; EqualsAssignmentOrSpaced; CustomCommandLine "--min-accuracy">] MinAccuracy of SHARE: float
    | [<Unique>] Card
    | [<Unique>] Training
    | [<Unique; EqualsAssignmentOrSpaced>] Optimizer of NAME: string
    | [<Unique; EqualsAssignmentOrSpaced>] Lr of RATE: float
    | [<Unique; EqualsAssignmentOrSpaced>] Momentum of FACTOR: float
    | [<Unique>] Nesterov
    | [<Unique; EqualsAssignmentOrSpaced; CustomCommandLine "--weight-decay">] WeightDecay of FACTOR: float
    | [<Unique; EqualsAssignmentOrSpaced>] Loss of NAME: string
    | [<Unique; EqualsAssignmentOrSpaced; CustomCommandLine "--batch-size">] BatchSize of N: int
    | [<Unique; EqualsAssignmentOrSpaced; CustomCommandLine "--clip-norm">] ClipNorm of LIMIT: float
    | [<Unique; EqualsAssignmentOrSpaced; CustomCommandLine "--clip-value">] ClipValue of LIMIT: float
    | [<Unique>] Gradients
    | [<Unique; EqualsAssignmentOrSpaced>] Width of BITS: int
    | [<Unique; EqualsAssignmentOrSpaced>] Json of FILE: string
    | [<Unique>] Force
    | [<Unique>] Quiet

    interface IArgParserTemplate with
        member arg.Usage =
            match arg with
            | File _ -> "the source: an ONNX model, a state dict (.pth, .safetensors) or a checkpoint."
            | To _ -> "the file to write: .onnx, .pth or .safetensors."
            | Model _ -> "the network the weights are of (needed where the source does not say it)."
            | Key _ ->
                "where the state dict lies in a file that holds more, such as state_dict or ema.model (default: the one that fits \
                    the network)."
            | AllowNonFinite -> "read weights that are NaN or infinite too."
            | Opset _ -> "operator set of the ONNX file, 13 to 26 (default: 17)."
            | Float16 -> "store the weights as float16, half the file; the arithmetic stays float32."
            | Int8 -> "8-bit integers (QDQ), calibrated on training images."
            | Calibration _ -> "images to calibrate on (default: 1024)."
            | FoldBatchNorm -> "make batch normalization part of the layer before it."
            | Softmax -> "add a softmax; the output is then named probabilities."
            | InGraph _ ->
                "let the graph take pixels as they are stored, uint8, and do the preprocessing itself; in the order nhwc (default) or nchw."
            | InputNames _ -> "names of the inputs, separated by commas (default: input, of several those of the source)."
            | OutputNames _ -> "names of the outputs, separated by commas (default: logits, of several those of the source)."
            | Data _ ->
                "a folder of IDX or CIFAR files, gzipped or not, to calibrate and measure on, or none (default: MNIST, if the model takes \
                    its images)."
            | Mean _ -> InputUsage.mean
            | Std _ -> InputUsage.std
            | Scale _ -> InputUsage.scale
            | Padding _ -> InputUsage.padding
            | Size _ -> InputUsage.size
            | Assume ->
                "go on with --int8 or --in-graph though nothing says what the input wants: the data set's usual way is assumed."
            | MinAccuracy _ -> "fail (exit code 1) below this test accuracy, 0 to 1 (default with --int8: 0.2 points below the \
                float model's)."
            | Card -> "write a card beside the model."
            | Training ->
                "write a training step instead: forward, loss, backward and update, and beside it a model of what it starts with \
                    (…-init.onnx)."
            | Optimizer _ -> "sgd (default), adam, adamw or rmsprop; with --training, as all that follows."
            | Lr _ -> "learning rate that is named in the file; the step takes it as an input (default: PyTorch's, for sgd 0.03)."
            | Momentum _ -> "momentum of sgd (default: 0.9) or rmsprop (default: 0)."
            | Nesterov -> "sgd looks ahead along the velocity."
            | WeightDecay _ -> "weight decay (default: 0; for adamw 0.01)."
            | Loss _ -> "cross-entropy or mse (default: what suits the network's output)."
            | BatchSize _ -> "samples in a batch (default: any number)."
            | ClipNorm _ -> "scale the gradients so that their norm stays under this."
            | ClipValue _ -> "limit every element of a gradient to this."
            | Gradients -> "return the gradients, the input's too."
            | Width _ -> EngineUsage.width
            | Json _ -> "write the results as one JSON object."
            | Force -> "write over the source itself."
            | Quiet -> "print nothing but errors."

[<CliPrefix(CliPrefix.DoubleDash)>]
type DoctorArgs =
    | [<Unique; EqualsAssignmentOrSpaced>] Json of FILE: string
    | [<Unique>] Quiet

    interface IArgParserTemplate with
        member arg.Usage =
            match arg with
            | Json _ -> "write the results as one JSON object."
            | Quiet -> "print nothing but errors."

[<CliPrefix(CliPrefix.DoubleDash); RequireQualifiedAccess>]
type WalkthroughArgs =
    | [<MainCommand; Unique>] Name of NAME: string
    | [<Unique>] List
    | [<Unique; EqualsAssignmentOrSpaced>] Image of FILE: string
    | [<Unique; EqualsAssignmentOrSpaced>] Seed of N: int64
    | [<Unique; EqualsAssignmentOrSpaced>] Width of BITS: int
    | [<Unique; EqualsAssignmentOrSpaced>] Out of DIR: string
    | [<Unique; EqualsAssignmentOrSpaced>] Json of FILE: string
    | [<Unique>] Quiet

    interface IArgParserTemplate with
        member arg.Usage =
            match arg with
            | Name _ -> "the walkthrough, by its name or its document's number."
            | List -> "print the names, one a line."
            | Image _ -> "a grey image (PGM) to filter (default: a drawn one)."
            | Seed _ -> "seed of the starting weights and of the random input."
            | Width _ -> EngineUsage.width
            | Out _ -> "folder of the images and weights it writes (default: they are not kept)."
            | Json _ -> "write the checks as one JSON object."
            | Quiet -> "print nothing but errors."

[<CliPrefix(CliPrefix.DoubleDash); RequireQualifiedAccess>]
type BenchArgs =
    | [<Unique; EqualsAssignmentOrSpaced>] Only of SECTIONS: string
    | [<Unique>] Quick
    | [<Unique; EqualsAssignmentOrSpaced>] Rounds of N: int
    | [<Unique; EqualsAssignmentOrSpaced>] Threads of N: int
    | [<Unique; EqualsAssignmentOrSpaced>] Width of BITS: int
    | [<Unique; EqualsAssignmentOrSpaced>] Python of PATH: string
    | [<Unique; CustomCommandLine "--torchsharp">] TorchSharp
    | [<Unique>] Kernels
    | [<Unique; EqualsAssignmentOrSpaced>] Model of MODEL: string
    | [<Unique; Hidden; EqualsAssignmentOrSpaced; CustomCommandLine "--step-memory">] StepMemory of BATCH: int
    | [<Unique; EqualsAssignmentOrSpaced>] Json of FILE: string
    | [<Unique>] Quiet

    interface IArgParserTemplate with
        member arg.Usage =
            match arg with
            | Only _ -> "these sections alone, with commas: memory,fma,products,vectors,epoch,inference,networks,scaling,layers."
            | Quick -> "small sizes and one round: whether it works, not how fast it is."
            | Rounds _ -> "times everything is measured, by turns; medians are reported (default: 5)."
            | Threads _ -> "the most threads; one thread is measured beside them (default: one per core)."
            | Width _ -> EngineUsage.width
            | Python _ -> "the python that has PyTorch (default: the first of the usual ones that has it)."
            | TorchSharp ->
                "build the TorchSharp peer of networks in the user's cache: 0.5 GB from NuGet; once it is there, it is used without this."
            | Kernels -> "the products under BenchmarkDotNet too."
            | Model _ -> "the network that layers times: an ONNX file, or a network's name (default: lenet5)."
            | StepMemory _ -> "what bench starts itself with, to measure the memory of a fresh process."
            | Json _ -> "write the results as one JSON object."
            | Quiet -> "print nothing but errors."

[<CliPrefix(CliPrefix.DoubleDash); RequireQualifiedAccess>]
type ConformanceArgs =
    | [<MainCommand; ExactlyOnce>] Folder of DIR: string
    | [<Unique>] All
    | [<Unique; EqualsAssignmentOrSpaced>] Width of BITS: int
    | [<Unique; EqualsAssignmentOrSpaced>] Json of FILE: string
    | [<Unique>] Quiet

    interface IArgParserTemplate with
        member arg.Usage =
            match arg with
            | Folder _ -> "a folder of ONNX backend tests, each with model.onnx and test_data_set_0."
            | All -> "list every test that did not pass, also those of operators that no layer is claimed for."
            | Width _ -> EngineUsage.width
            | Json _ -> "write the results as one JSON object."
            | Quiet -> "print nothing but errors."

[<CliPrefix(CliPrefix.DoubleDash); RequireQualifiedAccess>]
type GpuCheckArgs =
    | [<Unique; EqualsAssignmentOrSpaced>] Models of DIR: string
    | [<Unique; EqualsAssignmentOrSpaced>] Data of DIR: string
    | [<Unique; EqualsAssignmentOrSpaced>] Threads of N: int
    | [<Unique; EqualsAssignmentOrSpaced>] Width of BITS: int
    | [<Unique; EqualsAssignmentOrSpaced>] Python of PATH: string
    | [<Unique; EqualsAssignmentOrSpaced>] Only of GROUPS: string
    | [<Unique>] Quick
    | [<Unique; CustomCommandLine "--no-bench">] NoBench
    | [<Unique>] Rehearse
    | [<Unique; EqualsAssignmentOrSpaced>] Json of FILE: string
    | [<Unique>] Quiet

    interface IArgParserTemplate with
        member arg.Usage =
            match arg with
            | Models _ ->
                "the folder of the models to check (default: the finished ones); those of other images than MNIST's are given random input."
            | Data _ -> "a folder of IDX or CIFAR files, gzipped or not (default: MNIST, which comes with the project)."
            | Threads _ -> EngineUsage.threads
            | Width _ -> EngineUsage.width
            | Python _ -> "the python that has PyTorch for the GPU (default: the first of the usual ones that has it)."
            | Only _ -> "these groups of checks alone, with commas: graphs,inference,gradients,training,cublas,speed,bench."
            | Quick -> "few images, small sizes, one round: whether it works, not how fast it is."
            | NoBench -> "leave out the processor's own benchmarks."
            | Rehearse -> "run the checks with ONNX Runtime on the processor: whether they work; proves nothing about a GPU."
            | Json _ -> "write the results as one JSON object."
            | Quiet -> "print nothing but errors."

[<CliPrefix(CliPrefix.DoubleDash); RequireQualifiedAccess>]
type ServeArgs =
    | [<Unique; EqualsAssignmentOrSpaced>] Port of N: int
    | [<Unique; EqualsAssignmentOrSpaced>] Data of DIR: string
    | [<Unique; EqualsAssignmentOrSpaced>] Ort of DIR: string
    | [<Unique>] Quiet

    interface IArgParserTemplate with
        member arg.Usage =
            match arg with
            | Port _ -> "the port on this machine, 0 for any that is free (default: 8080)."
            | Data _ -> "a folder of IDX or CIFAR files, gzipped or not (default: MNIST, which comes with the project)."
            | Ort _ -> "the folder dist of onnxruntime-web (default: fetched from npm once)."
            | Quiet -> "print nothing but errors."

type Verb =
    | [<CliPrefix(CliPrefix.None)>] Train of ParseResults<TrainArgs>
    | [<CliPrefix(CliPrefix.None)>] Evaluate of ParseResults<EvaluateArgs>
    | [<CliPrefix(CliPrefix.None)>] Predict of ParseResults<PredictArgs>
    | [<CliPrefix(CliPrefix.None)>] Validate of ParseResults<ValidateArgs>
    | [<CliPrefix(CliPrefix.None)>] Inspect of ParseResults<InspectArgs>
    | [<CliPrefix(CliPrefix.None)>] Export of ParseResults<ExportArgs>
    | [<CliPrefix(CliPrefix.None)>] Walkthrough of ParseResults<WalkthroughArgs>
    | [<CliPrefix(CliPrefix.None)>] Bench of ParseResults<BenchArgs>
    | [<CliPrefix(CliPrefix.None)>] Conformance of ParseResults<ConformanceArgs>
    | [<CliPrefix(CliPrefix.None)>] Doctor of ParseResults<DoctorArgs>
    | [<CliPrefix(CliPrefix.None); CustomCommandLine "gpu-check">] GpuCheck of ParseResults<GpuCheckArgs>
    | [<CliPrefix(CliPrefix.None)>] Serve of ParseResults<ServeArgs>

    interface IArgParserTemplate with
        member verb.Usage =
            match verb with
            | Train _ -> "train a network, export it, run it in ONNX Runtime, prove that both agree (the default)."
            | Evaluate _ -> "how well a model file tells a data set's classes apart: loss, accuracy, each class, confusions, mistakes."
            | Predict _ -> "class names and probabilities of pictures, by the engine and ONNX Runtime."
            | Validate _ -> "compare the engine with ONNX Runtime on a model file."
            | Inspect _ -> "a model file, a state dict or a checkpoint as a table."
            | Export _ -> "weights to an ONNX model, a model to weights, or a model in another form: float16, int8, another opset."
            | Walkthrough _ -> "a document about networks, step by step."
            | Bench _ -> "how fast this is, side by side with the peers that are installed."
            | Conformance _ -> "ONNX's node tests through the engine."
            | Doctor _ -> "what this machine has, what is missing and how to get it."
            | GpuCheck _ -> "everything that only a machine with an NVIDIA GPU can prove."
            | Serve _ -> "a page on this machine in which a browser trains LeNet-5."
