/// What the walkthroughs print and check. Lines that explain begin with #; the others are what a document's code prints.
module OnnxLeNet.Scripts.Walkthroughs.Guide

open OnnxLeNet.Numerics

type Guide =
    {
        /// Takes one or more lines.
        Print: string -> unit
        /// Where starting weights and random input come from.
        Generator: Generator
        /// A grey image to filter, or none for a drawn one.
        Image: string option
        /// Where files go.
        Folder: string
        /// Every check so far, and whether it held.
        Checks: ResizeArray<struct (string * bool)>
    }

let show guide (value: objnull) = guide.Print(string value)

let say guide text = guide.Print $"# {text}"

let heading guide title =
    guide.Print ""
    guide.Print $"## {title}"

/// Records whether something that must hold does, and says so.
let check guide what holds =
    guide.Checks.Add(struct (what, holds))
    guide.Print $"""# {(if holds then "ok" else "FAILED")}: {what}"""

/// Runs what must be refused, prints the error, and checks that it says all of these words.
let refused guide what (words: string list) action =
    let message =
        try
            action ()
            None
        with
        | :? OnnxLeNetException
        | :? System.ArgumentException
        | :? System.InvalidOperationException as e ->
            // .NET adds the parameter's name and value to some.
            Some((e.Message.Split " (Parameter '")[0])
    message |> Option.iter (fun text -> guide.Print $"error: {text}")
    check guide $"{what} is refused" (message |> Option.exists (fun text -> words |> List.forall text.Contains))

/// Normal random numbers of a shape: torch.randn.
let randn guide (sizes: int list) =
    let shape = Shape(List.toArray sizes)
    Tensor(shape, Array.init shape.Count (fun _ -> float32 (guide.Generator.NextNormal())))

/// Input data, for which no gradient is wanted.
let input (x: Tensor) = Batch.FromTensor(x, requiresGrad = false)

let sizeOf (x: Batch) = x.Sample.Prepend x.Count

/// A number as Python prints a float.
let python (x: float) = if x = floor x then $"{x:F1}" else x.ToString("R", System.Globalization.CultureInfo.InvariantCulture)

let parameter (net: Module) name = net.NamedParameters() |> Seq.pick (fun struct (n, p) -> if n = name then Some p else None)

/// The gradient as Python prints it, None before the first backward.
let grad (p: Parameter) =
    match p.Grad with
    | null -> "None"
    | grad -> string grad

/// Whether all numbers of a tensor are this close to the given ones.
let near (tolerance: float) (expected: float list) (actual: Tensor | null) =
    match actual with
    | null -> false
    | actual ->
        expected.Length = actual.Data.Length
        && Seq.forall2 (fun (e: float) (a: float32) -> abs (float a - e) <= tolerance) expected actual.Data

/// Runs a chain layer by layer and prints the size after those that are asked for.
let trace guide shown (net: Sequential) (x: Batch) =
    let run (x: Batch, sizes) (layer: Module) =
        let y = layer.Forward x
        if shown layer then
            let size = sizeOf y
            show guide (size.ToTorchString())
            y, sizes @ [ List.ofArray (size.Sizes.ToArray()) ]
        else
            y, sizes
    net.Chain |> Seq.fold run (x, [])

/// f ← f − rate·gradient for every parameter, by hand.
let update (rate: float) (net: Module) =
    for p in net.Parameters() do
        match p.Grad with
        | null -> ()
        | grad ->
            for i in 0 .. grad.Data.Length - 1 do
                p.Value.Data[i] <- p.Value.Data[i] - float32 rate * grad.Data[i]

/// The gradient of the loss through the network: loss.backward().
let backward (loss: MSELoss) (net: Module) = net.Backward(loss.Backward()) |> ignore

/// The steps from a loss back to the input, by name.
let chain (step: GradFn | null) =
    match step with
    | null -> ""
    | step -> step.Walk() |> Seq.map string |> String.concat " -> "

/// The step that comes next: grad_fn.next_functions[i][0].
let next i (step: GradFn | null) : GradFn | null = (nonNull step).NextFunctions[i]
