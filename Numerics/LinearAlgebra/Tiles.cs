using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// The register tiles that the products and the convolutions are made of, at one vector width: up to 4 vectors by 6 numbers (by 3 where
/// there are only 16 registers) of the result stay in registers while a tile runs down the inner dimension. R and C, its height in vectors
/// and its width, are constants to the JIT: the branches on them vanish.
/// </summary>
internal static unsafe partial class Tiles<S, V, T>
    where S : struct, ISimd<V, T> where V : struct where T : unmanaged, System.Numerics.INumber<T>
{
    /// <summary>c ← β·c + α·Σ_k a[:,k]·b[k,:], for R neighbouring vectors of rows and C columns; with β = 0 c is not read.</summary>
    /// <param name="a">The first column's vectors.</param>
    /// <param name="stepA">From one column of a to the next.</param>
    /// <param name="b">The first row's numbers.</param>
    /// <param name="stepK">From one row of b to the next.</param>
    /// <param name="stepN">From one column of b to the next.</param>
    /// <param name="depth">K.</param>
    /// <param name="alpha">α.</param>
    /// <param name="beta">β.</param>
    /// <param name="c">The first column.</param>
    /// <param name="ldc">From one column of c to the next.</param>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Outer<R, C>(T* a, nint stepA, T* b, nint stepK, nint stepN, int depth, T alpha, T beta, T* c, nint ldc)
        where R : struct, ICount where C : struct, ICount
    {
        V c00 = default, c10 = default, c20 = default, c30 = default;
        V c01 = default, c11 = default, c21 = default, c31 = default;
        V c02 = default, c12 = default, c22 = default, c32 = default;
        V c03 = default, c13 = default, c23 = default, c33 = default;
        V c04 = default, c14 = default, c24 = default, c34 = default;
        V c05 = default, c15 = default, c25 = default, c35 = default;
        T* b3 = b + 3 * stepN;
        for (int kk = 0; kk < depth; kk++)
        {
            V a0 = S.Load(a), a1 = default, a2 = default, a3 = default;
            if (R.Value > 1) a1 = S.Load(a + S.Count);
            if (R.Value > 2) a2 = S.Load(a + 2 * S.Count);
            if (R.Value > 3) a3 = S.Load(a + 3 * S.Count);
            V w = S.Create(b[0]);
            c00 = S.MultiplyAdd(a0, w, c00);
            if (R.Value > 1) c10 = S.MultiplyAdd(a1, w, c10);
            if (R.Value > 2) c20 = S.MultiplyAdd(a2, w, c20);
            if (R.Value > 3) c30 = S.MultiplyAdd(a3, w, c30);
            if (C.Value > 1)
            {
                w = S.Create(b[stepN]);
                c01 = S.MultiplyAdd(a0, w, c01);
                if (R.Value > 1) c11 = S.MultiplyAdd(a1, w, c11);
                if (R.Value > 2) c21 = S.MultiplyAdd(a2, w, c21);
                if (R.Value > 3) c31 = S.MultiplyAdd(a3, w, c31);
            }
            if (C.Value > 2)
            {
                w = S.Create(b[2 * stepN]);
                c02 = S.MultiplyAdd(a0, w, c02);
                if (R.Value > 1) c12 = S.MultiplyAdd(a1, w, c12);
                if (R.Value > 2) c22 = S.MultiplyAdd(a2, w, c22);
                if (R.Value > 3) c32 = S.MultiplyAdd(a3, w, c32);
            }
            if (C.Value > 3)
            {
                w = S.Create(b3[0]);
                c03 = S.MultiplyAdd(a0, w, c03);
                if (R.Value > 1) c13 = S.MultiplyAdd(a1, w, c13);
                if (R.Value > 2) c23 = S.MultiplyAdd(a2, w, c23);
                if (R.Value > 3) c33 = S.MultiplyAdd(a3, w, c33);
            }
            if (C.Value > 4)
            {
                w = S.Create(b3[stepN]);
                c04 = S.MultiplyAdd(a0, w, c04);
                if (R.Value > 1) c14 = S.MultiplyAdd(a1, w, c14);
                if (R.Value > 2) c24 = S.MultiplyAdd(a2, w, c24);
                if (R.Value > 3) c34 = S.MultiplyAdd(a3, w, c34);
            }
            if (C.Value > 5)
            {
                w = S.Create(b3[2 * stepN]);
                c05 = S.MultiplyAdd(a0, w, c05);
                if (R.Value > 1) c15 = S.MultiplyAdd(a1, w, c15);
                if (R.Value > 2) c25 = S.MultiplyAdd(a2, w, c25);
                if (R.Value > 3) c35 = S.MultiplyAdd(a3, w, c35);
            }
            a += stepA;
            b += stepK;
            b3 += stepK;
        }
        V va = S.Create(alpha), vb = S.Create(beta);
        bool update = beta != T.Zero;
        StoreColumn<R>(c, va, vb, update, c00, c10, c20, c30);
        if (C.Value > 1) StoreColumn<R>(c + ldc, va, vb, update, c01, c11, c21, c31);
        if (C.Value > 2) StoreColumn<R>(c + 2 * ldc, va, vb, update, c02, c12, c22, c32);
        if (C.Value > 3) StoreColumn<R>(c + 3 * ldc, va, vb, update, c03, c13, c23, c33);
        if (C.Value > 4) StoreColumn<R>(c + 4 * ldc, va, vb, update, c04, c14, c24, c34);
        if (C.Value > 5) StoreColumn<R>(c + 5 * ldc, va, vb, update, c05, c15, c25, c35);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreColumn<R>(T* c, V alpha, V beta, bool update, V c0, V c1, V c2, V c3) where R : struct, ICount
    {
        StoreVector(c, alpha, beta, update, c0);
        if (R.Value > 1) StoreVector(c + S.Count, alpha, beta, update, c1);
        if (R.Value > 2) StoreVector(c + 2 * S.Count, alpha, beta, update, c2);
        if (R.Value > 3) StoreVector(c + 3 * S.Count, alpha, beta, update, c3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreVector(T* c, V alpha, V beta, bool update, V value)
    {
        V scaled = S.Multiply(alpha, value);
        S.Store(c, update ? S.Add(S.Multiply(beta, S.Load(c)), scaled) : scaled);
    }
}
