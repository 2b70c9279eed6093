/// Layers written by hand: a subclass of Layer with parameters, a forward and its backward, and a network that calls them. Their formulas
/// are those of features × m, a column per sample: Y[out×m] = w[out×in] · X[in×m] + b[out×1].
module OnnxLeNet.Scripts.Walkthroughs.Handwritten

open MathNet.Numerics.LinearAlgebra
open MathNet.Numerics.LinearAlgebra.Single
open OnnxLeNet.Numerics

/// A parameter [rows, columns] of normal random numbers.
let private normal (rows: int) (columns: int) generator =
    let parameter = Parameter(rows, columns)
    Init.Normal(parameter.Value, 0.0, 1.0, generator)
    parameter

/// The engine's batches are m × features: transposed they have a column per sample.
let private columns (batch: Batch) = batch.Matrix.Transpose()

let private store (columns: Matrix<float32>) (batch: Batch) = columns.Transpose().CopyTo batch.Matrix

/// A fully connected layer with weight [out, in] and bias [out, 1].
type Linear(inFeatures: int, outFeatures: int, generator: Generator) as this =
    inherit Layer()
    let w = this.Register("w", normal outFeatures inFeatures generator)
    let b = this.Register("b", normal outFeatures 1 generator)
    /// wᵀ [in×out]: the weight's numbers, row by row, are this matrix column by column.
    let transposed () = DenseMatrix(inFeatures, outFeatures, w.Value.Data)

    override layer.OutputShape(sample) =
        if sample <> Shape inFeatures then
            raise (ShapeException $"{layer.Label} takes {inFeatures} features × m, got samples of shape {sample}")
        Shape outFeatures

    override _.Forward(x: Batch, y: Batch, _context: Context) =
        let result = (transposed ()).TransposeThisAndMultiply(columns x)
        result.MapIndexedInplace(fun row _ value -> value + b.Value.Data[row])
        store result y

    override _.Backward(x: Batch, _y: Batch, dy: Batch, dx: Batch | null, context: Context) =
        // dw[out×in] += dY · Xᵀ, db[out×1] += row sums of dY, dX[in×m] = wᵀ · dY
        let x, dy = columns x, columns dy
        w.AddGrad(context, (x.TransposeAndMultiply dy).ToColumnMajorArray())
        b.AddGrad(context, (dy.RowSums()).ToArray())
        match dx with
        | null -> ()
        | dx -> store ((transposed ()).Multiply dy) dx

    /// Its place in the backward chain: the sum, and before it the product.
    override layer.GradFnFor(input: GradFn | null) =
        GradFn("AddBackward0", layer, [| GradFn("MmBackward0", layer, [| GradFn.Leaf("w", w); input |]); GradFn.Leaf("b", b) |])

/// Two of them with a sigmoid between.
type Perceptron(inFeatures, hiddenFeatures, outFeatures, generator) as this =
    inherit Module()
    let layer1 = this.Register("layer1", Linear(inFeatures, hiddenFeatures, generator))
    let layer2 = this.Register("layer2", Linear(hiddenFeatures, outFeatures, generator))

    override _.Forward(x: Value) = x |> layer1.Forward |> F.Sigmoid |> layer2.Forward
