namespace OnnxLeNet.Numerics;

/// <summary>What layers do with the buffers in their saved state.</summary>
internal static class Scratch
{
    /// <summary>The batch in <paramref name="slot"/> if it has this size, otherwise a new one in its place. Its content is
    /// undefined.</summary>
    public static Batch Reuse(ref Batch? slot, int count, Shape sample, bool requiresGrad = true)
    {
        if (slot is null || slot.Count != count || slot.Sample != sample || slot.RequiresGrad != requiresGrad)
            slot = new Batch(count, sample, requiresGrad);
        return slot;
    }

    /// <summary>The batch in <paramref name="slot"/> with samples of so many features.</summary>
    public static Batch Reuse(ref Batch? slot, int count, int features, bool requiresGrad = true)
    {
        if (slot is null || slot.Count != count || slot.Matrix.ColumnCount != features || slot.RequiresGrad != requiresGrad)
            slot = new Batch(count, new Shape(features), requiresGrad);
        return slot;
    }

    /// <summary>The batch in <paramref name="slot"/> with samples of so many channels, rows and columns.</summary>
    public static Batch Reuse(ref Batch? slot, int count, int c, int h, int w, bool requiresGrad = true)
    {
        if (slot is null || slot.Count != count || slot.RequiresGrad != requiresGrad
            || (slot.Sample[0], slot.Sample[1], slot.Sample[2]) != (c, h, w))
            slot = new Batch(count, new Shape(c, h, w), requiresGrad);
        return slot;
    }

    /// <summary>The array in <paramref name="slot"/> if it has this length, otherwise a new one in its place. Its content is
    /// undefined.</summary>
    public static float[] Reuse(ref float[]? slot, int length)
    {
        if (slot is null || slot.Length != length) slot = new float[length];
        return slot;
    }

    /// <summary>Every column of Y[rows × columns] ← its bias, if there is one.</summary>
    public static void FillColumns(float[] y, int rows, float[]? bias)
    {
        if (bias is null) return;
        if (rows == 1) bias.CopyTo(y, 0);
        else for (int j = 0; j < bias.Length; j++) y.AsSpan(j * rows, rows).Fill(bias[j]);
    }

    /// <summary>sums[j] ← β·sums[j] + Σ of column j of Y[rows × columns].</summary>
    public static void AddColumnSums(float[] y, int rows, float[] sums, float beta)
    {
        for (int j = 0; j < sums.Length; j++)
        {
            float sum = Elementwise.Sum(y.AsSpan(j * rows, rows));
            sums[j] = beta == 0 ? sum : sums[j] + sum;
        }
    }
}
