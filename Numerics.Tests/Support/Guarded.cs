namespace OnnxLeNet.Numerics.Tests;

/// <summary>An array that begins at some place of a larger one of NaN.</summary>
internal sealed class Guarded
{
    private const int Around = 64;
    private readonly float[] all;
    private readonly int start, length;

    public Guarded(float[] values, int offset)
    {
        (start, length) = (Around + offset, values.Length);
        all = new float[start + length + Around];
        all.AsSpan().Fill(float.NaN);
        values.CopyTo(all, start);
    }

    public Span<float> Span => all.AsSpan(start, length);

    public void Check(string what)
    {
        for (int i = 0; i < all.Length; i++)
            Assert.AreEqual(i < start || i >= start + length, float.IsNaN(all[i]), $"{what}: element {i - start} of {length}");
    }
}
