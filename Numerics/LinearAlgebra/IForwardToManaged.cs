using System.Numerics;
using MathNet.Numerics.LinearAlgebra.Factorization;
using MathNet.Numerics.Providers.LinearAlgebra;

namespace OnnxLeNet.Numerics;

/// <summary>
/// A Math.NET provider's half for one element type that hands every operation to Math.NET's managed provider.
/// A provider of ours implements this for each of the four types and overrides what it does faster.
/// </summary>
/// <typeparam name="T">float, double, Complex or Complex32.</typeparam>
internal interface IForwardToManaged<T> : ILinearAlgebraProvider<T> where T : struct
{
    private static readonly ILinearAlgebraProvider<T> Managed = (ILinearAlgebraProvider<T>)(object)ManagedLinearAlgebraProvider.Instance;

    void ILinearAlgebraProvider<T>.AddVectorToScaledVector(T[] y, T alpha, T[] x, T[] result) =>
        Managed.AddVectorToScaledVector(y, alpha, x, result);
    void ILinearAlgebraProvider<T>.ScaleArray(T alpha, T[] x, T[] result) =>
        Managed.ScaleArray(alpha, x, result);
    void ILinearAlgebraProvider<T>.ConjugateArray(T[] x, T[] result) =>
        Managed.ConjugateArray(x, result);
    T ILinearAlgebraProvider<T>.DotProduct(T[] x, T[] y) =>
        Managed.DotProduct(x, y);
    void ILinearAlgebraProvider<T>.AddArrays(T[] x, T[] y, T[] result) =>
        Managed.AddArrays(x, y, result);
    void ILinearAlgebraProvider<T>.SubtractArrays(T[] x, T[] y, T[] result) =>
        Managed.SubtractArrays(x, y, result);
    void ILinearAlgebraProvider<T>.PointWiseMultiplyArrays(T[] x, T[] y, T[] result) =>
        Managed.PointWiseMultiplyArrays(x, y, result);
    void ILinearAlgebraProvider<T>.PointWiseDivideArrays(T[] x, T[] y, T[] result) =>
        Managed.PointWiseDivideArrays(x, y, result);
    void ILinearAlgebraProvider<T>.PointWisePowerArrays(T[] x, T[] y, T[] result) =>
        Managed.PointWisePowerArrays(x, y, result);
    double ILinearAlgebraProvider<T>.MatrixNorm(Norm norm, int rows, int columns, T[] matrix) =>
        Managed.MatrixNorm(norm, rows, columns, matrix);
    void ILinearAlgebraProvider<T>.MatrixMultiply(T[] x, int rowsX, int columnsX, T[] y, int rowsY, int columnsY, T[] result) =>
        Managed.MatrixMultiply(x, rowsX, columnsX, y, rowsY, columnsY, result);
    void ILinearAlgebraProvider<T>.MatrixMultiplyWithUpdate(Transpose transposeA, Transpose transposeB, T alpha, T[] a, int rowsA,
        int columnsA, T[] b, int rowsB, int columnsB, T beta, T[] c) =>
        Managed.MatrixMultiplyWithUpdate(transposeA, transposeB, alpha, a, rowsA, columnsA, b, rowsB, columnsB, beta, c);
    void ILinearAlgebraProvider<T>.LUFactor(T[] data, int order, int[] ipiv) =>
        Managed.LUFactor(data, order, ipiv);
    void ILinearAlgebraProvider<T>.LUInverse(T[] a, int order) =>
        Managed.LUInverse(a, order);
    void ILinearAlgebraProvider<T>.LUInverseFactored(T[] a, int order, int[] ipiv) =>
        Managed.LUInverseFactored(a, order, ipiv);
    void ILinearAlgebraProvider<T>.LUSolve(int columnsOfB, T[] a, int order, T[] b) =>
        Managed.LUSolve(columnsOfB, a, order, b);
    void ILinearAlgebraProvider<T>.LUSolveFactored(int columnsOfB, T[] a, int order, int[] ipiv, T[] b) =>
        Managed.LUSolveFactored(columnsOfB, a, order, ipiv, b);
    void ILinearAlgebraProvider<T>.CholeskyFactor(T[] a, int order) =>
        Managed.CholeskyFactor(a, order);
    void ILinearAlgebraProvider<T>.CholeskySolve(T[] a, int orderA, T[] b, int columnsB) =>
        Managed.CholeskySolve(a, orderA, b, columnsB);
    void ILinearAlgebraProvider<T>.CholeskySolveFactored(T[] a, int orderA, T[] b, int columnsB) =>
        Managed.CholeskySolveFactored(a, orderA, b, columnsB);
    void ILinearAlgebraProvider<T>.QRFactor(T[] a, int rowsA, int columnsA, T[] q, T[] tau) =>
        Managed.QRFactor(a, rowsA, columnsA, q, tau);
    void ILinearAlgebraProvider<T>.ThinQRFactor(T[] a, int rowsA, int columnsA, T[] r, T[] tau) =>
        Managed.ThinQRFactor(a, rowsA, columnsA, r, tau);
    void ILinearAlgebraProvider<T>.QRSolve(T[] a, int rows, int columns, T[] b, int columnsB, T[] x, QRMethod method) =>
        Managed.QRSolve(a, rows, columns, b, columnsB, x, method);
    void ILinearAlgebraProvider<T>.QRSolveFactored(T[] q, T[] r, int rowsA, int columnsA, T[] tau, T[] b, int columnsB, T[] x,
        QRMethod method) =>
        Managed.QRSolveFactored(q, r, rowsA, columnsA, tau, b, columnsB, x, method);
    void ILinearAlgebraProvider<T>.SingularValueDecomposition(bool computeVectors, T[] a, int rowsA, int columnsA, T[] s, T[] u, T[] vt) =>
        Managed.SingularValueDecomposition(computeVectors, a, rowsA, columnsA, s, u, vt);
    void ILinearAlgebraProvider<T>.SvdSolve(T[] a, int rowsA, int columnsA, T[] b, int columnsB, T[] x) =>
        Managed.SvdSolve(a, rowsA, columnsA, b, columnsB, x);
    void ILinearAlgebraProvider<T>.SvdSolveFactored(int rowsA, int columnsA, T[] s, T[] u, T[] vt, T[] b, int columnsB, T[] x) =>
        Managed.SvdSolveFactored(rowsA, columnsA, s, u, vt, b, columnsB, x);
    void ILinearAlgebraProvider<T>.EigenDecomp(bool isSymmetric, int order, T[] matrix, T[] matrixEv, Complex[] vectorEv, T[] matrixD) =>
        Managed.EigenDecomp(isSymmetric, order, matrix, matrixEv, vectorEv, matrixD);
}
