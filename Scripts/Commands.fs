/// The verbs: their arguments and options, and what a person might type.
[<RequireQualifiedAccess>]
module OnnxLeNet.Scripts.Commands

open OnnxLeNet.Scripts.Cli
open OnnxLeNet.Scripts.Cli.Table

/// What a model's input wants, where its file does not say it.
let private input: IEntry list = [ Options.mean; Options.std; Options.scale; Options.padding; Options.inputSize ]

/// How the engine computes.
let private computing: IEntry list = [ Options.threads; Options.width; Options.provider; Options.device ]

let private testData = Options.data |> meaning "a folder or list of pictures, or a folder of IDX or CIFAR files"
let private idxData = Options.data |> meaning "a folder of IDX or CIFAR files"

/// Of a model that is only imported, which no loop and no operator beyond the engine's ever is.
let private trustedImport = "the model comes from a source you trust: it is read and run without limits of time and memory"

let private results: IEntry list = [ Options.json; Options.quiet ]

let train =
    { Name = "train"
      Summary = "train a network, export it to ONNX, verify it in ONNX Runtime"
      Entries =
        [ Options.network
          Options.data
          Options.size
          Options.grey
          Options.fit
          Options.background
          Options.skipDamaged
          Options.balance
          Options.validation
          Options.holdOut
          Options.epochs
          Options.batchSize
          Options.lr
          Options.lrMult
          Options.optimizer
          Options.momentum
          Options.weightDecay
          Options.schedule
          Options.warmup
          Options.labelSmoothing
          Options.accumulate
          Options.clip
          Options.ema
          Options.augment
          Options.earlyStop
          Options.keep
          Options.seed
          Options.resume
          Options.from
          Options.fresh
          Options.freeze
          Options.showAugmented
          Options.findLr
          Options.plot
          Options.engine
          yield! computing
          Options.trust |> meaning trustedImport
          Options.minAccuracy
          Options.out
          Options.force
          yield! results ]
      Examples =
        [ "--epochs 3", "LeNet-5 on MNIST, three epochs"
          "--data photos --model small-vgg --validation 0.1 --augment light", "your own pictures, one folder per class"
          "--from model.onnx --data photos --freeze all-but-head", "fine-tune an ONNX model" ] }

let evaluate =
    { Name = "evaluate"
      Summary = "accuracy, each class, the confusion matrix and the worst mistakes"
      Entries =
        [ Options.model
          testData
          Options.skipDamaged
          yield! input
          Options.engine |> unlessSet "onnxruntime" |> meaning "what runs the model"
          yield! computing
          Options.trust
          Options.minAccuracy
          Options.mistakes
          yield! results ]
      Examples =
        [ "models/lenet5-mnist.onnx", "on MNIST's test images"
          "model.onnx --data photos --mistakes mistakes.png", "on your own pictures, the mistakes as a picture" ] }

let predict =
    { Name = "predict"
      Summary = "class names and probabilities of pictures"
      Entries =
        [ Options.model
          Options.pictures
          Options.index
          Options.asIs
          Options.fit |> unlessSet "what the file says, or crop"
          yield! input
          Options.paths
          Options.threads
          Options.width
          Options.device
          Options.trust
          Options.top
          Options.json
          Options.csv
          Options.quiet ]
      Examples =
        [ "models/lenet5-mnist.onnx digit.png", "what a picture shows"
          "model.onnx photos --csv out.csv", "a folder of pictures, as a table too" ] }

let validate =
    { Name = "validate"
      Summary = "compare the engine with ONNX Runtime: layer by layer, whole, on data"
      Entries =
        [ Options.model
          testData |> meaning "a folder or list of pictures, a folder of IDX or CIFAR files, or none" |> unlessSet "MNIST, if it fits"
          Options.skipDamaged
          yield! input
          Options.gradients
          Options.batches
          Options.all
          Options.seed |> meaning "seed of the random input" |> under Options.batches.Entry.Group
          yield! computing
          Options.trust |> meaning trustedImport
          yield! results ]
      Examples =
        [ "models/lenet5-mnist.onnx", "every layer, and the test images"
          "model.onnx --data none --gradients", "random input, the gradients too" ] }

let inspect =
    { Name = "inspect"
      Summary = "show a model, a state dict or a checkpoint as a table"
      Entries = [ Options.source; Options.key; Options.allowNonFinite; Options.trust; yield! results ]
      Examples = [ "model.onnx", "nodes, shapes, parameters"; "weights.pth", "the tensors of a state dict" ] }

let export =
    { Name = "export"
      Summary = "convert between checkpoint, .pth, .safetensors and .onnx"
      Entries =
        [ Options.source
          Options.target
          Options.network
          |> meaning "the network the weights are of, where the file does not say it"
          |> listing [ for m in Models.all -> m.Name ]
          |> unlessSet ""
          Options.key |> unlessSet "the one that fits"
          Options.allowNonFinite
          idxData |> meaning "a folder of IDX or CIFAR files to calibrate and measure on, or none" |> unlessSet "MNIST, if it fits"
          Options.opset
          Options.float16
          Options.int8
          Options.calibration
          Options.foldBatchNorm
          Options.softmax
          Options.inGraph
          Options.inputNames
          Options.outputNames
          yield! input
          Options.assume
          Options.minAccuracy |> unlessSet "with --int8, 0.002 below the float model's"
          Options.training
          Options.optimizer |> under Options.training.Entry.Group
          Options.lr |> unlessSet "PyTorch's; sgd 0.03" |> meaning "learning rate to start with" |> under Options.training.Entry.Group
          Options.momentum |> under Options.training.Entry.Group
          Options.nesterov
          Options.weightDecay |> unlessSet "adamw 0.01, else 0" |> under Options.training.Entry.Group
          Options.loss
          Options.batchSize |> unlessSet "any" |> meaning "samples in a batch" |> under Options.training.Entry.Group
          Options.clipNorm
          Options.clipValue
          Options.returnGradients
          Options.width
          Options.trust |> meaning trustedImport
          Options.card
          Options.force |> meaning "write over the source itself"
          yield! results ]
      Examples =
        [ "weights.pth --model lenet5 --to model.onnx", "a PyTorch state dict to ONNX"
          "model.onnx --int8 --to small.onnx", "quantized, calibrated on MNIST"
          "model.onnx --training --to step.onnx", "the training step as a graph" ] }

let sweep =
    { Name = "sweep"
      Summary = "many trainings over values of train's options, compared"
      Entries =
        [ Options.sweepFile
          Options.jobs
          Options.threads |> meaning "threads of the engine, for all trainings that run at once"
          Options.dryRun |> meaning "list the trainings, and train nothing" |> under Options.jobs.Entry.Group
          Options.out |> unlessSet "sweeps/FILE below models" |> meaning "folder of the trainings; those that are done there are kept"
          Options.sweepReport
          yield! results ]
      Examples =
        [ "lr.json", "each training in turn; after an interrupt it goes on"
          "lr.json --jobs 2 --json best.json", "two at once, the results as JSON" ] }

let runs =
    { Name = "runs"
      Summary = "the trainings so far: list, compare and prune them"
      Entries =
        [ Options.runsWords
          Options.keepRuns
          Options.failed
          Options.interrupted
          Options.dryRun
          Options.out |> meaning "folder of the models, whose runs are meant"
          yield! results ]
      Examples =
        [ "", "a table of all runs"
          "compare lenet5-mnist-1 lenet5-mnist-2", "the settings that differ, and how both ended"
          "prune --failed --keep 5 --dry-run", "what would be removed" ] }

let report =
    { Name = "report"
      Summary = "one HTML page about a run or a model: curves, mistakes, filters, graph"
      Entries =
        [ Options.runOrModel
          testData |> unlessSet "the run's; of a model MNIST"
          Options.skipDamaged
          yield! input
          Options.threads
          Options.width
          Options.trust
          Options.out |> meaning "folder of the models, below which a run is looked for"
          Options.report
          Options.plots
          Options.force |> meaning "write over a file that is no report"
          Options.quiet ]
      Examples =
        [ "lenet5-mnist-1", "of a run, in its folder"
          "models/lenet5-mnist.onnx --to report.html --plots plots", "of a model, with every plot as a file" ] }

let walkthrough =
    { Name = "walkthrough"
      Summary = "a document about networks, step by step"
      Entries =
        [ Options.walkthrough
          Options.list
          Options.image
          Options.seed |> meaning "seed of the weights and of the random input" |> under Options.image.Entry.Group
          Options.width
          Options.out |> unlessSet "not kept" |> meaning "folder of the images and weights it writes"
          yield! results ]
      Examples = [ "--list", "the names"; "lenet5", "LeNet-5, layer by layer" ] }

let bench =
    { Name = "bench"
      Summary = "measure the speed, beside PyTorch and others that are installed"
      Entries =
        [ Options.only
          |> meaning "only these sections, separated by commas"
          |> listing [ "memory"; "fma"; "products"; "vectors"; "epoch"; "inference"; "networks"; "scaling"; "processes"; "layers" ]
          Options.quick
          Options.rounds
          Options.torchSharp
          Options.kernels
          Options.timed
          Options.stepMemory
          Options.threads |> meaning "most threads; one thread is measured too"
          Options.width
          Options.python
          yield! results ]
      Examples = [ "--quick", "whether it works"; "--only epoch,inference", "training and inference of LeNet-5" ] }

let conformance =
    { Name = "conformance"
      Summary = "run ONNX's node tests through the engine"
      Entries =
        [ Options.folder
          Options.all |> meaning "list every test that did not pass, also of operators without a layer"
          Options.width
          yield! results ]
      Examples = [ "onnx/backend/test/data/node", "the tests of the onnx package" ] }

let doctor =
    { Name = "doctor"
      Summary = "what this machine has, what is missing and how to get it"
      Entries = results
      Examples = [ "", "everything"; "--json parts.json", "the same as JSON" ] }

let gpuCheck =
    { Name = "gpu-check"
      Summary = "everything that only a machine with an NVIDIA GPU can show"
      Entries =
        [ Options.models
          idxData
          Options.only
          |> meaning "only these groups, separated by commas"
          |> listing [ "graphs"; "inference"; "gradients"; "training"; "cublas"; "speed"; "bench" ]
          Options.quick
          Options.noBench
          Options.rehearse
          Options.threads
          Options.width
          Options.python
          yield! results ]
      Examples = [ "--quick --no-bench", "a few minutes"; "--rehearse --quick", "the same checks without a GPU" ] }

let serve =
    { Name = "serve"
      Summary = "a page and an HTTP interface on this machine: draw a digit, train in the browser, look at the model"
      Entries =
        [ Options.servedModel
          idxData
          Options.fit |> unlessSet "what the file says, or crop"
          yield! input
          Options.ort
          Options.trust
          Options.port
          Options.quiet ]
      Examples =
        [ "", "then open http://127.0.0.1:8080"
          "models/my-photos.onnx --port 0", "a model of your own, on any free port" ] }

let completion =
    { Name = "completion"
      Summary = "print a script that completes verbs, options and files in a shell"
      Entries = [ Options.shell ]
      Examples = [ "bash >> ~/.bashrc", "in every new bash"; "powershell >> $PROFILE", "in every new PowerShell" ] }
