using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace OnnxLeNet.Numerics;

/// <summary>What a part of the rows reads: copied with its padding, in the phases of the stride.</summary>
internal sealed unsafe partial class DirectConv<S, V>
{
    private sealed partial class Positions
    {
        /// <summary>The rows of some channels that a part's outputs take: where they lie, or copied with their padding, in their
        /// phases.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private float* Input(Part part, int channel, int channels)
        {
            if (!copies) return input + ((nint)channel * s.H + part.First) * s.W * s.N;
            int stride = phases.W, n = s.N, end = s.Input[2], top = part.First * s.Geometry.Stride.H - s.Geometry.Padding.H,
                firstRow = Math.Max(0, -top), lastRow = Math.Min(InputRows(part.Rows), s.Input[1] - top);
            float* copy = part.Input.Of((conv.IsDepthwise ? 1 : s.Input[0]) * planeStep), start = copy,
                read = input + ((nint)channel * s.Input[1] + top + firstRow) * end * n;
            nint rowStep = (nint)end * n;
            for (int c = 0; c < channels; c++, read += s.Input[1] * rowStep, start += planeStep)
                foreach (var (first, place) in columnPlaces)
                {
                    float* from = read;
                    for (int row = firstRow; row < lastRow; row++, from += rowStep)
                    {
                        if (rowPlaces[row] < 0) continue;
                        float* write = start + rowPlaces[row] + place;
                        if (stride == 1) CopyRun(from, write, (int)rowStep);
                        else if (n == 1 && stride == 2)
                        {
                            int done = CopyPhase<S, V>(from, first, first, end, write);
                            done = CopyPhase<Simd128<float>, Vector128<float>>(from, first, done, end, write);
                            for (int w = done; w < end; w += 2) write[(w - first) / 2] = from[w];
                        }
                        else
                        {
                            for (int w = first; w < end; w += stride, write += n)
                                for (int i = 0; i < n; i++) write[i] = from[w * n + i];
                        }
                    }
                }
            return copy;
        }

        /// <summary>So many numbers.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void CopyRun(float* from, float* to, int count)
        {
            int i = 0;
            for (; i <= count - S.Count; i += S.Count) S.Store(to + i, S.Load(from + i));
            if (i < count && count >= S.Count)
            {
                // The last vector reaches back.
                S.Store(to + count - S.Count, S.Load(from + count - S.Count));
                return;
            }
            if (S.Count > Vector256<float>.Count)
                for (; i <= count - Vector256<float>.Count; i += Vector256<float>.Count) Vector256.Store(Vector256.Load(from + i), to + i);
            for (; i <= count - Vector128<float>.Count; i += Vector128<float>.Count) Vector128.Store(Vector128.Load(from + i), to + i);
            for (; i < count; i++) to[i] = from[i];
        }

        /// <summary>Every second number from the first or the second on, of so many, as far as they fill vectors; returns which is the
        /// next.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static int CopyPhase<S2, V2>(float* from, int first, int w, int count, float* to) where S2 : struct, ISimd<V2, float>
            where V2 : struct
        {
            for (; w - first + 2 * S2.Count <= count; w += 2 * S2.Count)
            {
                V2 low = S2.Load(from + w - first), high = S2.Load(from + w - first + S2.Count);
                S2.Store(to + (w - first) / 2, first == 0 ? S2.Evens(low, high) : S2.Odds(low, high));
            }
            return w;
        }

        /// <summary>Where the rows of the copied input go, or −1 if no tap reads them.</summary>
        private nint[] RowPlaces(int rows) => [.. Enumerable.Range(0, rows).Select(row =>
            !IsRead(row % phases.H, s.Geometry.Kernel.H, s.Geometry.Dilation.H, phases.H) ? -1
                : ((nint)(row % phases.H) * phases.W * phaseH + row / phases.H) * phaseW * s.N)];

        /// <summary>For every phase of the columns that a tap reads, the first column of the image in it, and where it goes.</summary>
        private (int First, nint Place)[] ColumnPlaces()
        {
            var g = s.Geometry;
            return [.. Enumerable.Range(0, phases.W).Where(phase => IsRead(phase, g.Kernel.W, g.Dilation.W, phases.W)).Select(phase =>
            {
                int first = ((phase - g.Padding.W) % phases.W + phases.W) % phases.W;
                return (first, ((nint)phase * phaseH * phaseW + (first + g.Padding.W) / phases.W) * s.N);
            })];
        }

        /// <summary>Whether a tap along an axis lies at places of this remainder.</summary>
        private static bool IsRead(int remainder, int kernel, int dilation, int stride)
        {
            for (int k = 0; k < kernel; k++)
                if (k * dilation % stride == remainder) return true;
            return false;
        }

        private nint[] Taps()
        {
            var (g, offsets, k) = (s.Geometry, new nint[s.K], 0);
            for (int c = 0; c < s.C; c++)
                for (int kh = 0; kh < g.Kernel.H; kh++)
                    for (int kw = 0; kw < g.Kernel.W; kw++)
                    {
                        int h = kh * g.Dilation.H, w = kw * g.Dilation.W;
                        nint phase = h % phases.H * phases.W + w % phases.W;
                        offsets[k++] = c * planeStep + ((phase * phaseH + h / phases.H) * phaseW + w / phases.W) * s.N;
                    }
            return offsets;
        }
    }
}
