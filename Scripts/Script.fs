/// For scripts of your own: the project's data and models, how well a network does, and the verb `train` for a network of the vocabulary:
///
///     network "Mine" [ conv 16 3 |> same; batchNorm; relu; maxPool 2; linear 10 ] |> taking 1 32 |> train "--epochs 2" |> exit
module OnnxLeNet.Scripts.Script

open System
open System.IO
open System.Text.RegularExpressions
open OnnxLeNet.Numerics
open OnnxLeNet.Onnx
open OnnxLeNet.Scripts.Cli
open OnnxLeNet.Scripts.Verbs

/// The network for square images of so many channels: 1 for grey, 3 for colour.
let taking channels size (network: Network.Network) =
    Models.ofNetwork network.Name (Shape(channels, size, size)) network

/// Options as they are typed after a command; what has spaces stands in double quotes.
let private split (options: string) =
    [| for part in Regex.Matches(options, "\"([^\"]*)\"|(\\S+)") -> if part.Groups[1].Success then part.Groups[1].Value else part.Value |]

/// Trains the network with the options of the verb `train`, exports it, and verifies the file. The exit code: 0 if all of it holds.
let train (options: string) (model: Models.Model) =
    Guard.run (fun () ->
        if not (Regex.IsMatch(model.Name, @"^\w[\w.-]*$")) then
            invalidArg "model" $"a network's name is part of file names: letters, digits, '-', '_' and '.', got '{model.Name}'"
        if Models.all |> List.exists (fun other -> other.Name = model.Name) then
            invalidArg "model" $"the project has a model '{model.Name}': give your network another name"
        let models name = if name = model.Name then Models.trained model else Models.find name
        Train.runWith models (Parser.parse Commands.train [| "--model"; model.Name; yield! split options |]))

/// MNIST, which comes with the project.
let mnist () = ImageFolder.Load(Workspace.mnistFolder, ImageTransform.Mnist)

/// A model that comes with the project, such as lenet5-mnist: its file.
let modelFile name = Path.Combine(Workspace.finishedModels, $"{name}.onnx")

/// The share of the images that the network gets right.
let accuracy (net: Module) (data: ImageDataset) = Common.accuracy data (Inference.Logits(net.Eval(), data))

let private folder = lazy (Directory.CreateTempSubdirectory("onnxlenet-").FullName)

/// A file in a folder for what is not to be kept.
let scratch name = Path.Combine(folder.Value, name)

// ---- as F# Interactive prints them ----

let private verdict passed = if passed then "agrees" else "DIFFERS"

/// MNIST's test images: 10,000 samples, largest difference 2.3e-7 of the largest value, same class 100.00%: agrees
let ofParity (row: ParityRow) =
    let same = Terminal.percent row.Top1Agreement
    FormattableString.Invariant
        $"{row.Input}: {row.Samples:N0} samples, largest difference {row.MaxRel:E1} of the largest value, same class {same}: \
            {verdict row.Passed}"

/// conv1.weight: difference to the slope 1.2e-4, 150 checked: agrees
let ofGradientCheck (row: GradientCheckRow) =
    FormattableString.Invariant $"{row.Name}: difference to the slope {row.MaxRel:E1}, {row.Note}: {verdict row.Passed}"

/// conv1.weight on random, batch 3: difference to ONNX Runtime 3.0e-7: agrees
let ofGradient (row: GradientRow) =
    FormattableString.Invariant $"{row.Name} on {row.Input}: difference to ONNX Runtime {row.MaxRel:E1}: {verdict row.Passed}"
