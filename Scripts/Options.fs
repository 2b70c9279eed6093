/// Every option and argument that a person may type: one row each.
///
/// To add an option: write a row here (its name, what stands for its value, its group in help, the default as help shows it, what it does),
/// list it in its verb's Entries in Commands.fs, and read it in the verb: args.TryGet Options.threads, args.Get(Options.seed, 1L),
/// args.Has Options.quiet. Parsing, errors, help and completion follow from the row.
namespace OnnxLeNet.Scripts

open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts.Cli
open OnnxLeNet.Scripts.Cli.Table

/// Who trains or runs a model.
type Engine =
    | Own = 0
    | OnnxRuntime = 1

/// Who computes a prediction.
type Paths =
    | Both = 0
    | Own = 1
    | OnnxRuntime = 2

/// The headings of help, in the order they stand there.
module private Group =
    let network = "Network"
    let data = "Data"
    let training = "Training"
    let starting = "Starting from a file"
    let onnx = "ONNX file"
    let step = "Training step (with --training)"
    let input = "Model input (where the file does not say it)"
    let checks = "Checks"
    let looking = "Looking before training"
    let computing = "Computing"
    let output = "Output"

[<RequireQualifiedAccess>]
module Options =
    // Arguments.
    let model = argument "MODEL" One "an ONNX model, or - for one on standard input"
    let servedModel = argument "MODEL" One "an ONNX model; LeNet-5 of MNIST, included, if left out" |> optional
    let pictures = argument "FILE" OneOrMore "pictures, folders of pictures, IDX files with --index, or - for a picture on standard input"
    let source = argument "FILE" One "an ONNX model, a state dict (.pth, .safetensors) or a checkpoint, or - for one on standard input"
    let folder = argument "DIR" One "a folder of ONNX backend tests, each with model.onnx and test_data_set_0"
    let walkthrough = argument "NAME" One "the walkthrough, by its name or its document's number" |> optional

    let shell =
        choice "SHELL" "SHELL" "Arguments" "" [ for shell, script in Completion.shells -> shell, script ] "the shell" |> required

    let runsWords =
        argument "WHAT" OneOrMore "nothing to list the runs, compare A B, or prune" |> optional
    let sweepFile = argument "FILE" One "a JSON file: method grid or random, fixed options of train, and parameters with their values"
    let runOrModel = argument "RUN|MODEL" One "a run, by its name or folder, or an ONNX model"

    // Network.
    let network = text "--model" "NAME" Group.network "lenet5" "the network" |> listing [ for m in Models.classifiers -> m.Name ]

    // Data and pictures.
    let data =
        text "--data" "DIR" Group.data "MNIST, included" "a folder of pictures in one folder per class (or in train, val and test of \
            such), a CSV or JSON-lines file of paths and labels, or a folder of IDX or CIFAR files"
    let size = whole "--size" "N" Group.data "the network's" "height and width of the images"
    let grey = flag "--grey" Group.data "convert pictures to grey; without it they are RGB"
    let fit =
        choice "--fit" "HOW" Group.data "crop" [ for fit in [ Fit.Crop; Fit.Pad; Fit.Stretch ] -> (string fit).ToLowerInvariant(), fit ]
            "how pictures of other proportions are resized"
    let background =
        text "--background" "COLOUR" Group.data "white" "what is behind transparent pictures and around padded ones: white, black, grey or \
            #RRGGBB"
    let skipDamaged =
        flag "--skip-damaged" Group.data "leave out pictures that cannot be read; without it they are listed and nothing is done"
    let balance = flag "--balance" Group.data "weight the loss by class, rare classes more"
    let validation = number "--validation" "SHARE" Group.data "none" "share of each class's training images to hold out and report on"
    let holdOut =
        whole "--hold-out" "N" Group.data "0" "hold out the last N training images and report on them instead of the test images"
    let index = text "--index" "NUMBERS" Group.data "" "which images of an IDX file, such as 0,5,10-19"
    let image = text "--image" "FILE" Group.data "a drawn one" "a grey image (PGM) to filter"

    // Training.
    let epochs = whole "--epochs" "N" Group.training "12" "passes over the training images"
    let batchSize = whole "--batch-size" "N" Group.training "64" "images per step"
    let lr = number "--lr" "RATE" Group.training "0.03; 0.001 unless sgd" "learning rate at the start of the schedule; the peak of onecycle"
    let lrMult =
        text "--lr-mult" "FACTORS" Group.training "" "learning rates of layers, as factors of --lr: LAYER=FACTOR with commas, such as \
            head=10,conv*=0.1; head is the last layer"
    let optimizer =
        choice "--optimizer" "NAME" Group.training "sgd" [ for name in [ "sgd"; "adam"; "adamw"; "rmsprop" ] -> name, name ] "the optimizer"
    let momentum = number "--momentum" "FACTOR" Group.training "sgd 0.9, rmsprop 0" "momentum of sgd or rmsprop"
    let weightDecay = number "--weight-decay" "FACTOR" Group.training "sgd 0.001, adamw 0.01, else 0" "weight decay"
    let schedule =
        choice "--schedule" "NAME" Group.training "cosine" [ for name in [ "cosine"; "onecycle"; "step"; "constant" ] -> name, name ]
            "learning rate over time: down to 0, up and down, a tenth after each third, or constant"
    let warmup =
        number "--warmup" "EPOCHS" Group.training "0; onecycle 0.3 of all" "epochs, or part of one, in which the learning rate rises"
    let labelSmoothing = number "--label-smoothing" "SHARE" Group.training "0" "how much of a target is spread over all classes"
    let accumulate = whole "--accumulate" "N" Group.training "1" "batches per update"
    let clip = number "--clip" "NORM" Group.training "none" "limit of the gradients' norm"
    let ema = number "--ema" "DECAY" Group.training "none" "export an exponential moving average of the weights, such as 0.999"
    let augment =
        text "--augment" "HOW" Group.training "none" "random changes of the training images: none, light or strong, or a list of flip, \
            affine, crop, jitter, cutout and mixup, such as light,mixup"
    let earlyStop = whole "--early-stop" "N" Group.training "never" "stop when the validation loss has not fallen for N epochs"
    let keep =
        choice "--keep" "WHICH" Group.training "last; best with --early-stop" [ "best", true; "last", false ]
            "the epoch whose weights are exported, best by validation loss"
    let seed = long "--seed" "N" Group.training "1" "seed of the weights, of the order of the images and of those held out"
    let resume =
        text "--resume" "RUN" Group.training "" "continue an interrupted run (name, folder or checkpoint); the result is that of one never \
            interrupted"

    // Starting from a file.
    let from =
        text "--from" "FILE" Group.starting "" "train on: an ONNX model, or with --model a state dict (.pth, .safetensors). A last layer \
            for other classes is made anew"
    let fresh = flag "--fresh" Group.starting "take the network of --from with new weights"
    let freeze =
        text "--freeze" "LAYERS" Group.starting "none" "keep layers of --from as they are: all-but-head; N, the first N with weights; or \
            names, separated by commas, with * and ?"

    // Looking before training.
    let showAugmented = text "--show-augmented" "FILE" Group.looking "" "write a PNG of images as --augment changes them, and stop"
    let findLr = flag "--find-lr" Group.looking "try rising learning rates for 100 updates, suggest one, and stop"
    let plot = text "--plot" "FILE" Group.looking "" "write the losses of --find-lr as an SVG picture"

    // What a model's input wants.
    let mean = text "--mean" "NUMBERS" Group.input "" "mean of the pixels, one for all channels or one each, separated by commas"
    let std = text "--std" "NUMBERS" Group.input "" "standard deviation of the pixels, likewise"
    let scale = text "--scale" "FACTOR" Group.input "1/255" "what a pixel's byte is multiplied by first"
    let padding = whole "--padding" "N" Group.input "what brings the images to the model's size" "zero pixels on each side"
    let inputSize = whole "--size" "N" Group.input "" "height and width of the images"

    // What is compared.
    let minAccuracy = number "--min-accuracy" "SHARE" Group.checks "none" "exit with 1 below this test accuracy, 0 to 1"
    let gradients = flag "--gradients" Group.checks "compare every gradient too, and steps of every optimizer, with ONNX Runtime's"
    let batches = text "--batches" "SIZES" Group.checks "1,7,64,257; fewer for large networks" "sizes of the random batches"
    let all = flag "--all" Group.checks "run all batches and all ways to compute, however large the network"
    let list = flag "--list" Group.output "print the names, one per line"

    // A state dict or an ONNX file.
    let key =
        text "--key" "KEY" Group.data "the only one" "where the state dict is in a file that holds more, such as state_dict or ema.model"
    let allowNonFinite = flag "--allow-non-finite" Group.data "accept weights that are NaN or infinite"
    let target = text "--to" "FILE" Group.output "" "the file to write: .onnx, .pth or .safetensors" |> required
    let opset =
        whole "--opset" "N" Group.onnx (string ExportOptions.DefaultOpset)
            $"operator set, {ExportOptions.OldestOpset} to {ExportOptions.NewestOpset}"
    let float16 = flag "--float16" Group.onnx "store weights as float16, half the size; the arithmetic stays float32"
    let int8 = flag "--int8" Group.onnx "8-bit integers (QDQ), calibrated on training images"
    let calibration = whole "--calibration" "N" Group.onnx "1024" "images to calibrate --int8 on"
    let foldBatchNorm = flag "--fold-batch-norm" Group.onnx "fold batch normalization into the layer before it"
    let softmax = flag "--softmax" Group.onnx "add a softmax; the output is then named probabilities"
    let inGraph =
        choice "--in-graph" "[LAYOUT]" Group.onnx "nhwc" [ "nhwc", PixelLayout.Nhwc; "nchw", PixelLayout.Nchw ]
            "let the graph take pixels as uint8 and do the preprocessing"
        |> valueOptional
    let inputNames = text "--input-names" "NAMES" Group.onnx "input" "names of the inputs, separated by commas"
    let outputNames = text "--output-names" "NAMES" Group.onnx "logits" "names of the outputs, separated by commas"
    let assume = flag "--assume" Group.input "allow --int8 and --in-graph with the data set's usual preprocessing"
    let card = flag "--card" Group.output "write a card beside the model"

    // The training step as an ONNX file.
    let training =
        flag "--training" Group.step "write a training step instead (forward, loss, backward, update) and a model of its starting values, \
            FILE-init.onnx"
    let nesterov = flag "--nesterov" Group.step "Nesterov momentum for sgd"
    let loss =
        choice "--loss" "NAME" Group.step "what suits the output" 
            [ "cross-entropy", TrainingLoss.CrossEntropy; "mse", TrainingLoss.MeanSquaredError ]
            "the loss"
    let clipNorm = number "--clip-norm" "LIMIT" Group.step "none" "limit of the gradients' norm"
    let clipValue = number "--clip-value" "LIMIT" Group.step "none" "limit of every element of a gradient"
    let returnGradients = flag "--gradients" Group.step "return the gradients too, also the input's"

    // Benchmarks and GPU checks.
    let only = text "--only" "NAMES" Group.checks "all" "only these, separated by commas"
    let quick = flag "--quick" Group.checks "small sizes, one round: to see that it works, not how fast it is"
    let rounds = whole "--rounds" "N" Group.checks "5" "interleaved runs of everything; medians are reported"
    let python = text "--python" "PATH" Group.computing "the first that has it" "the Python that has PyTorch"
    let torchSharp = flag "--torchsharp" Group.checks "build the TorchSharp peer once, in the user's cache: 0.5 GB from NuGet"
    let kernels = flag "--kernels" Group.checks "also run the matrix products under BenchmarkDotNet"
    let timed = text "--model" "MODEL" Group.checks "lenet5" "the network that `layers` times: an ONNX file or a network's name"
    let stepMemory = whole "--step-memory" "BATCH" "" "" "what bench starts itself with, to measure the memory of a fresh process"
    let models = text "--models" "DIR" Group.data "those of the project" "folder of the models to check"
    let noBench = flag "--no-bench" Group.checks "leave out the processor's own benchmarks"
    let rehearse = flag "--rehearse" Group.checks "run the checks on the processor: whether they work, nothing about a GPU"

    // Computing.
    let threads = whole "--threads" "N" Group.computing "one per core" "threads of the engine; the result does not depend on it"
    let jobs = whole "--jobs" "N" Group.computing "1" "trainings at once, which share the threads"
    let width =
        whole "--width" "BITS" Group.computing "the widest here" "vector width; the result does not depend on it"
        |> listing [ "128"; "256"; "512" ]
    let provider =
        text "--provider" "NAME" Group.computing "simd" "what computes matrix products; also cblas:LIBRARY and cuda:FOLDER"
        |> listing [ "simd"; "managed"; "cblas"; "cuda"; "mathnet-cuda" ]
    let private engines = [ "own", Engine.Own; "onnxruntime", Engine.OnnxRuntime ]
    let engine = choice "--engine" "NAME" Group.computing "own" engines "what computes the training steps; results differ by rounding only"
    let paths =
        choice "--engine" "NAME" Group.computing "both, compared"
            [ "both", Paths.Both; "own", Paths.Own; "onnxruntime", Paths.OnnxRuntime ]
            "what computes"
    let device = text "--device" "DEVICE" Group.computing "cpu" "where ONNX Runtime runs: cpu, cuda or cuda:N" |> listing [ "cpu"; "cuda" ]
    let trust =
        flag "--trust" Group.computing "the model comes from a source you trust: loops, branches, operators that are not ONNX's own and \
            tensors of any size are let through, without limits of time and memory"
    let ort = text "--ort" "DIR" Group.computing "fetched from npm once" "the folder dist of onnxruntime-web"
    let port = whole "--port" "N" Group.computing "8080" "port on this machine; 0 for any free one"

    // Output.
    let top = whole "--top" "K" Group.output "3" "classes to show per picture"
    let asIs = flag "--as-is" Group.data "do not bring digits to MNIST's form (light on dark, in 20×20 pixels, centred)"
    let mistakes = text "--mistakes" "FILE" Group.output "" "write the worst mistakes as a sheet: .svg has both classes of each, .png \
            the pictures alone"
    let out = text "--out" "DIR" Group.output "models" "folder of the model and its card; a better model there is kept"
    let force = flag "--force" Group.output "replace a better model, or one that cannot be compared"
    let json = text "--json" "FILE" Group.output "" "write the results as JSON; - is standard output"
    let csv = text "--csv" "FILE" Group.output "" "write a table: file, class, probability, agreement"
    let report = text "--to" "FILE" Group.output "beside the run or model" "the HTML file to write"
    let plots = text "--plots" "DIR" Group.output "" "write every plot as a file too, SVG or PNG"
    let sweepReport = text "--report" "FILE" Group.output "report.html in the folder" "the HTML file that compares the trainings"
    let keepRuns = whole "--keep" "N" Group.checks "all" "with prune: remove all but the N newest finished runs"
    let failed = flag "--failed" Group.checks "with prune: remove failed runs"
    let interrupted = flag "--interrupted" Group.checks "with prune: remove interrupted runs, which could go on"
    let dryRun = flag "--dry-run" Group.checks "with prune: only say what would be removed"
    let quiet = flag "--quiet" Group.output "print errors only"
