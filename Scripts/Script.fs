/// For scripts of one's own: a network of the vocabulary, trained, exported and proved as the verb `train` does it.
///
///     network "Mine" [ conv 16 3 |> same; batchNorm; relu; maxPool 2; linear 10 ] |> taking 1 32 |> train "--epochs 2" |> exit
module OnnxLeNet.Scripts.Script

open System.Text.RegularExpressions
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts.Cli
open OnnxLeNet.Scripts.Verbs

/// The network for square images of so many channels: 1 for grey, 3 for colour.
let taking channels size (network: Network.Network) =
    Models.ofNetwork network.Name (Shape(channels, size, size)) network

/// Options as they are typed after a command; what has spaces stands in double quotes.
let private split (options: string) =
    [| for part in Regex.Matches(options, "\"([^\"]*)\"|(\\S+)") -> if part.Groups[1].Success then part.Groups[1].Value else part.Value |]

/// Trains the network with the options of the verb `train`, exports it, and proves the file. The exit code: 0 if all of it holds.
let train (options: string) (model: Models.Model) =
    Guard.run (fun () ->
        if not (Regex.IsMatch(model.Name, @"^\w[\w.-]*$")) then
            invalidArg "model" $"a network's name is part of file names: letters, digits, '-', '_' and '.', got '{model.Name}'"
        if Models.all |> List.exists (fun other -> other.Name = model.Name) then
            invalidArg "model" $"the project has a model '{model.Name}': give your network another name"
        let models name = if name = model.Name then Models.trained model else Models.find name
        Train.runWith models (Parser.parse Commands.train [| "--model"; model.Name; yield! split options |]))
