using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>A convolution forward: taps in place of the columns of A.</summary>
internal static unsafe partial class Tiles<S, V, T>
    where S : struct, ISimd<V, T> where V : struct where T : unmanaged, System.Numerics.INumber<T>
{
    /// <summary>What becomes of a filter's finished vectors.</summary>
    public interface IOutput
    {
        /// <summary>Takes the vectors of one filter; those past the tile's height are repetitions of the last.</summary>
        void Column<R>(int filter, V c0, V c1, V c2, V c3) where R : struct, ICount;
    }

    /// <summary>acc[r, c] ← bias[c] + Σ_k x_r[taps[k]]·w[k + c·stepW], handed to the output filter by filter.</summary>
    /// <param name="x0">Where the first vector's taps are counted from.</param>
    /// <param name="x1">The second's.</param>
    /// <param name="x2">The third's.</param>
    /// <param name="x3">The fourth's.</param>
    /// <param name="taps">Offsets of the taps, in elements.</param>
    /// <param name="depth">K.</param>
    /// <param name="w">The first filter's weights.</param>
    /// <param name="stepW">From one filter's weights to the next's.</param>
    /// <param name="bias">A number for each filter, or null.</param>
    /// <param name="output">Where the results go.</param>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Taps<R, C, O>(T* x0, T* x1, T* x2, T* x3, nint* taps, int depth, T* w, nint stepW, T* bias, O output)
        where R : struct, ICount where C : struct, ICount where O : struct, IOutput
    {
        V c00 = default, c01 = default, c02 = default, c03 = default, c04 = default, c05 = default;
        if (bias is not null)
        {
            c00 = S.Create(bias[0]);
            if (C.Value > 1) c01 = S.Create(bias[1]);
            if (C.Value > 2) c02 = S.Create(bias[2]);
            if (C.Value > 3) c03 = S.Create(bias[3]);
            if (C.Value > 4) c04 = S.Create(bias[4]);
            if (C.Value > 5) c05 = S.Create(bias[5]);
        }
        V c10 = c00, c11 = c01, c12 = c02, c13 = c03, c14 = c04, c15 = c05;
        V c20 = c00, c21 = c01, c22 = c02, c23 = c03, c24 = c04, c25 = c05;
        V c30 = c00, c31 = c01, c32 = c02, c33 = c03, c34 = c04, c35 = c05;
        T* w3 = w + 3 * stepW;
        for (nint k = 0; k < depth; k++)
        {
            nint tap = taps[k];
            V b0 = S.Create(w[k]), b1 = default, b2 = default, b3 = default, b4 = default, b5 = default;
            if (C.Value > 1) b1 = S.Create(w[k + stepW]);
            if (C.Value > 2) b2 = S.Create(w[k + 2 * stepW]);
            if (C.Value > 3) b3 = S.Create(w3[k]);
            if (C.Value > 4) b4 = S.Create(w3[k + stepW]);
            if (C.Value > 5) b5 = S.Create(w3[k + 2 * stepW]);
            V x = S.Load(x0 + tap);
            c00 = S.MultiplyAdd(x, b0, c00);
            if (C.Value > 1) c01 = S.MultiplyAdd(x, b1, c01);
            if (C.Value > 2) c02 = S.MultiplyAdd(x, b2, c02);
            if (C.Value > 3) c03 = S.MultiplyAdd(x, b3, c03);
            if (C.Value > 4) c04 = S.MultiplyAdd(x, b4, c04);
            if (C.Value > 5) c05 = S.MultiplyAdd(x, b5, c05);
            if (R.Value > 1)
            {
                x = S.Load(x1 + tap);
                c10 = S.MultiplyAdd(x, b0, c10);
                if (C.Value > 1) c11 = S.MultiplyAdd(x, b1, c11);
                if (C.Value > 2) c12 = S.MultiplyAdd(x, b2, c12);
                if (C.Value > 3) c13 = S.MultiplyAdd(x, b3, c13);
                if (C.Value > 4) c14 = S.MultiplyAdd(x, b4, c14);
                if (C.Value > 5) c15 = S.MultiplyAdd(x, b5, c15);
            }
            if (R.Value > 2)
            {
                x = S.Load(x2 + tap);
                c20 = S.MultiplyAdd(x, b0, c20);
                if (C.Value > 1) c21 = S.MultiplyAdd(x, b1, c21);
                if (C.Value > 2) c22 = S.MultiplyAdd(x, b2, c22);
                if (C.Value > 3) c23 = S.MultiplyAdd(x, b3, c23);
                if (C.Value > 4) c24 = S.MultiplyAdd(x, b4, c24);
                if (C.Value > 5) c25 = S.MultiplyAdd(x, b5, c25);
            }
            if (R.Value > 3)
            {
                x = S.Load(x3 + tap);
                c30 = S.MultiplyAdd(x, b0, c30);
                if (C.Value > 1) c31 = S.MultiplyAdd(x, b1, c31);
                if (C.Value > 2) c32 = S.MultiplyAdd(x, b2, c32);
                if (C.Value > 3) c33 = S.MultiplyAdd(x, b3, c33);
                if (C.Value > 4) c34 = S.MultiplyAdd(x, b4, c34);
                if (C.Value > 5) c35 = S.MultiplyAdd(x, b5, c35);
            }
        }
        output.Column<R>(0, c00, c10, c20, c30);
        if (C.Value > 1) output.Column<R>(1, c01, c11, c21, c31);
        if (C.Value > 2) output.Column<R>(2, c02, c12, c22, c32);
        if (C.Value > 3) output.Column<R>(3, c03, c13, c23, c33);
        if (C.Value > 4) output.Column<R>(4, c04, c14, c24, c34);
        if (C.Value > 5) output.Column<R>(5, c05, c15, c25, c35);
    }

    /// <summary>Inputs that a sum runs along, a step apart.</summary>
    /// <param name="Offset">Of the first.</param>
    /// <param name="Count">How many.</param>
    public readonly record struct Run(nint Offset, int Count);

    /// <summary>acc[r, c] ← bias[c] + Σ over the runs of x_r·w, handed to the output filter by filter.</summary>
    /// <param name="x">Where the first vector's runs are counted from.</param>
    /// <param name="stepX">From one of the R vectors to the next.</param>
    /// <param name="runs">The runs.</param>
    /// <param name="runCount">How many.</param>
    /// <param name="stepK">From one input of a run to the next.</param>
    /// <param name="w">The filters' weights, input by input side by side.</param>
    /// <param name="bias">A number for each filter, or null.</param>
    /// <param name="output">Where the results go.</param>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Along<R, C, O>(T* x, nint stepX, Run* runs, int runCount, nint stepK, T* w, T* bias, ref O output)
        where R : struct, ICount where C : struct, ICount where O : struct, IOutput
    {
        V c00 = default, c01 = default, c02 = default, c03 = default, c04 = default, c05 = default;
        if (bias is not null)
        {
            c00 = S.Create(bias[0]);
            if (C.Value > 1) c01 = S.Create(bias[1]);
            if (C.Value > 2) c02 = S.Create(bias[2]);
            if (C.Value > 3) c03 = S.Create(bias[3]);
            if (C.Value > 4) c04 = S.Create(bias[4]);
            if (C.Value > 5) c05 = S.Create(bias[5]);
        }
        V c10 = c00, c11 = c01, c12 = c02, c13 = c03, c14 = c04, c15 = c05;
        V c20 = c00, c21 = c01, c22 = c02, c23 = c03, c24 = c04, c25 = c05;
        V c30 = c00, c31 = c01, c32 = c02, c33 = c03, c34 = c04, c35 = c05;
        for (int run = 0; run < runCount; run++)
        {
            T* a = x + runs[run].Offset;
            for (int k = runs[run].Count; k > 0; k--)
            {
                V b0 = S.Create(w[0]), b1 = default, b2 = default, b3 = default, b4 = default, b5 = default;
                if (C.Value > 1) b1 = S.Create(w[1]);
                if (C.Value > 2) b2 = S.Create(w[2]);
                if (C.Value > 3) b3 = S.Create(w[3]);
                if (C.Value > 4) b4 = S.Create(w[4]);
                if (C.Value > 5) b5 = S.Create(w[5]);
                V v = S.Load(a);
                c00 = S.MultiplyAdd(v, b0, c00);
                if (C.Value > 1) c01 = S.MultiplyAdd(v, b1, c01);
                if (C.Value > 2) c02 = S.MultiplyAdd(v, b2, c02);
                if (C.Value > 3) c03 = S.MultiplyAdd(v, b3, c03);
                if (C.Value > 4) c04 = S.MultiplyAdd(v, b4, c04);
                if (C.Value > 5) c05 = S.MultiplyAdd(v, b5, c05);
                if (R.Value > 1)
                {
                    v = S.Load(a + stepX);
                    c10 = S.MultiplyAdd(v, b0, c10);
                    if (C.Value > 1) c11 = S.MultiplyAdd(v, b1, c11);
                    if (C.Value > 2) c12 = S.MultiplyAdd(v, b2, c12);
                    if (C.Value > 3) c13 = S.MultiplyAdd(v, b3, c13);
                    if (C.Value > 4) c14 = S.MultiplyAdd(v, b4, c14);
                    if (C.Value > 5) c15 = S.MultiplyAdd(v, b5, c15);
                }
                if (R.Value > 2)
                {
                    v = S.Load(a + 2 * stepX);
                    c20 = S.MultiplyAdd(v, b0, c20);
                    if (C.Value > 1) c21 = S.MultiplyAdd(v, b1, c21);
                    if (C.Value > 2) c22 = S.MultiplyAdd(v, b2, c22);
                    if (C.Value > 3) c23 = S.MultiplyAdd(v, b3, c23);
                    if (C.Value > 4) c24 = S.MultiplyAdd(v, b4, c24);
                    if (C.Value > 5) c25 = S.MultiplyAdd(v, b5, c25);
                }
                if (R.Value > 3)
                {
                    v = S.Load(a + 3 * stepX);
                    c30 = S.MultiplyAdd(v, b0, c30);
                    if (C.Value > 1) c31 = S.MultiplyAdd(v, b1, c31);
                    if (C.Value > 2) c32 = S.MultiplyAdd(v, b2, c32);
                    if (C.Value > 3) c33 = S.MultiplyAdd(v, b3, c33);
                    if (C.Value > 4) c34 = S.MultiplyAdd(v, b4, c34);
                    if (C.Value > 5) c35 = S.MultiplyAdd(v, b5, c35);
                }
                a += stepK;
                w += C.Value;
            }
        }
        output.Column<R>(0, c00, c10, c20, c30);
        if (C.Value > 1) output.Column<R>(1, c01, c11, c21, c31);
        if (C.Value > 2) output.Column<R>(2, c02, c12, c22, c32);
        if (C.Value > 3) output.Column<R>(3, c03, c13, c23, c33);
        if (C.Value > 4) output.Column<R>(4, c04, c14, c24, c34);
        if (C.Value > 5) output.Column<R>(5, c05, c15, c25, c35);
    }
}
