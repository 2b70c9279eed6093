using System.Numerics;
using MathNet.Numerics.Providers.LinearAlgebra;

namespace OnnxLeNet.Numerics;

/// <summary>
/// A Math.NET provider's half for float or double whose operations on vectors, and norms, are <see cref="VectorOperations"/>; the rest is
/// forwarded.
/// </summary>
/// <typeparam name="T">float or double.</typeparam>
internal interface IVectorOperations<T> : IForwardToManaged<T> where T : unmanaged, INumber<T>
{
    void ILinearAlgebraProvider<T>.AddVectorToScaledVector(T[] y, T alpha, T[] x, T[] result) =>
        VectorOperations.AddVectorToScaledVector(y, alpha, x, result);
    void ILinearAlgebraProvider<T>.ScaleArray(T alpha, T[] x, T[] result) => VectorOperations.ScaleArray(alpha, x, result);
    T ILinearAlgebraProvider<T>.DotProduct(T[] x, T[] y) => VectorOperations.DotProduct(x, y);
    void ILinearAlgebraProvider<T>.AddArrays(T[] x, T[] y, T[] result) => VectorOperations.AddArrays(x, y, result);
    void ILinearAlgebraProvider<T>.SubtractArrays(T[] x, T[] y, T[] result) => VectorOperations.SubtractArrays(x, y, result);
    void ILinearAlgebraProvider<T>.PointWiseMultiplyArrays(T[] x, T[] y, T[] result) =>
        VectorOperations.PointWiseMultiplyArrays(x, y, result);
    void ILinearAlgebraProvider<T>.PointWiseDivideArrays(T[] x, T[] y, T[] result) => VectorOperations.PointWiseDivideArrays(x, y, result);
    double ILinearAlgebraProvider<T>.MatrixNorm(Norm norm, int rows, int columns, T[] matrix) =>
        VectorOperations.MatrixNorm(norm, rows, columns, matrix);
}
