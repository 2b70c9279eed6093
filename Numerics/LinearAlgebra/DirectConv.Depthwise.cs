using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Forward of groups of one channel and one filter, where a tile has nothing to share but the weights: those stay in registers, and the
/// tile is a run of neighbouring vectors.
/// </summary>
internal sealed unsafe partial class DirectConv<S, V>
{
    private bool IsDepthwise => s.C == 1 && s.M == 1 && s.K <= DepthBlock;

    /// <summary>A channel whose samples fill the lanes, row by row.</summary>
    private void DepthwiseWhole(float* x, nint* pt, float* w, float* y, in Epilogue after)
    {
        for (int oh = 0; oh < s.oH; oh++)
            for (int v = 0; v < s.N; v += S.Count)
            {
                nint to = (nint)oh * s.oW * s.N + v;
                DepthwiseRun(x + positions[oh * s.oW] + v, (nint)s.Geometry.Stride.W * s.N, s.oW, pt, w, y + to, s.N, after.At(0, to));
            }
    }

    /// <summary>A channel over the unbroken run of positions; the last vector reaches back, so that it ends where the inputs do.</summary>
    private void DepthwiseFlat(float* x, nint* pt, float* w, in Epilogue after, float* y)
    {
        int vectors = s.Flat / S.Count;
        DepthwiseRun(x, S.Count, vectors, pt, w, y, S.Count, after);
        nint last = s.Flat - S.Count;
        if (last % S.Count != 0) DepthwiseRun(x + last, S.Count, 1, pt, w, y + last, S.Count, after);
    }

    /// <summary>So many vectors that lie a step apart. The terms of each are added in the taps' order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void DepthwiseRun(float* x, nint stepX, int count, nint* pt, float* w, float* y, nint stepY, in Epilogue after)
    {
        int i = 0, depth = s.K, width = s.Geometry.Kernel.W;
        V start = after.Scale is null && after.Bias is not null ? S.Create(after.Bias[0]) : default;
        if (width == 3 && depth == 9 && pt[1] == stepX && pt[2] == 2 * stepX)
        {
            // Neighbours share two of three columns: a row of three taps for four of them takes 6 loads instead of 12.
            V w0 = S.Create(w[0]), w1 = S.Create(w[1]), w2 = S.Create(w[2]), w3 = S.Create(w[3]), w4 = S.Create(w[4]), w5 = S.Create(w[5]),
                w6 = S.Create(w[6]), w7 = S.Create(w[7]), w8 = S.Create(w[8]);
            for (; i <= count - 4; i += 4)
            {
                V c0 = start, c1 = start, c2 = start, c3 = start;
                Slide(x + i * stepX + pt[0], stepX, w0, w1, w2, ref c0, ref c1, ref c2, ref c3);
                Slide(x + i * stepX + pt[3], stepX, w3, w4, w5, ref c0, ref c1, ref c2, ref c3);
                Slide(x + i * stepX + pt[6], stepX, w6, w7, w8, ref c0, ref c1, ref c2, ref c3);
                Put(y, i, stepY, c0, c1, c2, c3, after);
            }
        }
        for (; i <= count - 4; i += 4)
        {
            V c0 = start, c1 = start, c2 = start, c3 = start;
            float* at = x + i * stepX;
            for (int k = 0; k < depth; k++)
            {
                V b = S.Create(w[k]);
                float* tap = at + pt[k];
                c0 = S.MultiplyAdd(S.Load(tap), b, c0);
                c1 = S.MultiplyAdd(S.Load(tap + stepX), b, c1);
                c2 = S.MultiplyAdd(S.Load(tap + 2 * stepX), b, c2);
                c3 = S.MultiplyAdd(S.Load(tap + 3 * stepX), b, c3);
            }
            Put(y, i, stepY, c0, c1, c2, c3, after);
        }
        for (; i < count; i++)
        {
            V sum = start;
            float* at = x + i * stepX;
            for (int k = 0; k < depth; k++) sum = S.MultiplyAdd(S.Load(at + pt[k]), S.Create(w[k]), sum);
            S.Store(y + i * stepY, after.Of(sum, 0, i * stepY));
        }
    }

    /// <summary>A row of three taps for four neighbours.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Slide(float* x, nint step, V w0, V w1, V w2, ref V c0, ref V c1, ref V c2, ref V c3)
    {
        V a = S.Load(x), b = S.Load(x + step), c = S.Load(x + 2 * step), d = S.Load(x + 3 * step), e = S.Load(x + 4 * step),
            f = S.Load(x + 5 * step);
        c0 = S.MultiplyAdd(c, w2, S.MultiplyAdd(b, w1, S.MultiplyAdd(a, w0, c0)));
        c1 = S.MultiplyAdd(d, w2, S.MultiplyAdd(c, w1, S.MultiplyAdd(b, w0, c1)));
        c2 = S.MultiplyAdd(e, w2, S.MultiplyAdd(d, w1, S.MultiplyAdd(c, w0, c2)));
        c3 = S.MultiplyAdd(f, w2, S.MultiplyAdd(e, w1, S.MultiplyAdd(d, w0, c3)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(float* y, int i, nint step, V c0, V c1, V c2, V c3, in Epilogue after)
    {
        nint at = i * step;
        S.Store(y + at, after.Of(c0, 0, at));
        S.Store(y + at + step, after.Of(c1, 0, at + step));
        S.Store(y + at + 2 * step, after.Of(c2, 0, at + 2 * step));
        S.Store(y + at + 3 * step, after.Of(c3, 0, at + 3 * step));
    }
}
