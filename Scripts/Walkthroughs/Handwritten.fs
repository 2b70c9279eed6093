/// Layers written by hand: subclasses of Module with parameters, a forward and its backward. They take features × m, a column per sample:
/// Y[out×m] = w[out×in] · X[in×m] + b[out×1].
module OnnxLeNet.Scripts.Walkthroughs.Handwritten

open MathNet.Numerics.LinearAlgebra
open MathNet.Numerics.LinearAlgebra.Single
open OnnxLeNet.Numerics

/// A parameter [rows, columns] of normal random numbers.
let private normal (rows: int) (columns: int) generator =
    let parameter = Parameter(rows, columns)
    Init.Normal(parameter.Value, 0.0, 1.0, generator)
    parameter

type State() =
    member val X: Batch | null = null with get, set

/// A fully connected layer with weight [out, in] and bias [out, 1].
type Linear(inFeatures: int, outFeatures: int, generator: Generator) as this =
    inherit Module()
    let w = this.Register("w", normal outFeatures inFeatures generator)
    let b = this.Register("b", normal outFeatures 1 generator)
    /// wᵀ [in×out]: the weight's numbers, row by row, are this matrix column by column.
    let transposed () = DenseMatrix(inFeatures, outFeatures, w.Value.Data)

    /// A row holds one feature of all samples, so rows must stay together.
    override _.CouplesSamples = true

    override layer.Forward(x: Batch, pass: Pass) =
        if x.Count <> inFeatures || x.Sample.Rank <> 1 then
            raise (ShapeException $"{layer.Label} takes {inFeatures} features × m, got {x.Sample.Prepend x.Count}")
        (pass.Kept<State> layer).X <- x
        let y = (transposed ()).TransposeThisAndMultiply x.Matrix
        y.MapIndexedInplace(fun row _ value -> value + b.Value.Data[row])
        Batch(DenseMatrix.OfMatrix y, x.Sample)

    override layer.Backward(dy: Batch, pass: Pass) : Batch | null =
        let x = nonNull (pass.Kept<State> layer).X
        // dw[out×in] += dY · Xᵀ, db[out×1] += row sums of dY, dX[in×m] = wᵀ · dY
        w.AddGrad(pass, (x.Matrix.TransposeAndMultiply dy.Matrix).ToColumnMajorArray())
        b.AddGrad(pass, (dy.Matrix.RowSums()).ToArray())
        if x.RequiresGrad then Batch(DenseMatrix.OfMatrix((transposed ()).Multiply dy.Matrix), x.Sample) else null

    /// Its place in the backward chain: the sum, and before it the product.
    member layer.Step(input: GradFn | null) =
        GradFn("AddBackward0", layer, [| GradFn("MmBackward0", layer, [| GradFn.Leaf("w", w); input |]); GradFn.Leaf("b", b) |])
    override layer.GradFnFor(input: GradFn | null) = layer.Step input

/// Two of them with a sigmoid between.
type Perceptron(inFeatures, hiddenFeatures, outFeatures, generator) as this =
    inherit Module()
    let layer1 = this.Register("layer1", Linear(inFeatures, hiddenFeatures, generator))
    let sigmoid = Sigmoid()
    let layer2 = this.Register("layer2", Linear(hiddenFeatures, outFeatures, generator))

    override _.Forward(x: Batch, pass: Pass) = layer2.Forward(sigmoid.Forward(layer1.Forward(x, pass), pass), pass)

    override _.Backward(dy: Batch, pass: Pass) : Batch | null =
        let dHidden = sigmoid.Backward(nonNull (layer2.Backward(dy, pass)), pass)
        layer1.Backward(nonNull dHidden, pass)

    override _.GradFnFor(input: GradFn | null) = layer2.Step(GradFn("SigmoidBackward0", sigmoid, [| layer1.Step input |]))

/// Puts such a network where the engine's own stand, which take m × features: transposes what goes in and what comes out.
type Columns(net: Module) as this =
    inherit Module()
    let transposed (x: Batch) = Batch(DenseMatrix.OfMatrix(x.Matrix.Transpose()), Shape x.Count, x.RequiresGrad)
    do this.Register("net", net) |> ignore

    override _.Forward(x: Batch, pass: Pass) = transposed (net.Forward(transposed x, pass))

    override _.Backward(dy: Batch, pass: Pass) : Batch | null =
        match net.Backward(transposed dy, pass) with
        | null -> null
        | dx -> transposed dx
