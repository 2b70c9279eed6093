namespace OnnxLeNet.Numerics;

/// <summary>
/// PGM and PPM, binary (P5, P6) and as text (P2, P3): a magic number, width, height, the largest value, then the samples; of a file with
/// several pictures the first. Values are brought to 0 to 255 and rounded.
/// </summary>
internal ref struct NetpbmFile
{
    private readonly ReadOnlySpan<byte> bytes;
    private readonly string name;
    private int at = 2;

    private NetpbmFile(ReadOnlySpan<byte> bytes, string name)
    {
        this.bytes = bytes;
        this.name = name;
    }

    /// <summary>Whether a file begins like one.</summary>
    public static bool Is(ReadOnlySpan<byte> bytes) =>
        bytes.Length > 2 && bytes[0] == 'P' && bytes[1] is (byte)'2' or (byte)'3' or (byte)'5' or (byte)'6'
            && (IsSpace(bytes[2]) || bytes[2] == '#');

    /// <summary>Reads the picture.</summary>
    /// <exception cref="DataException">The file is damaged, or the picture too large.</exception>
    public static Picture Decode(ReadOnlySpan<byte> bytes, string name)
    {
        var file = new NetpbmFile(bytes, name);
        bool text = bytes[1] < '5';
        int channels = bytes[1] is (byte)'2' or (byte)'5' ? 1 : 3;
        int width = file.Number(int.MaxValue), height = file.Number(int.MaxValue), largest = file.Number(ushort.MaxValue);
        PictureDecoder.CheckSize(width, height, name);
        if (largest == 0) throw new DataException($"{name} is damaged: its largest value is 0");
        int count = width * height * channels, size = text || largest < 256 ? 1 : 2;
        if (!text) file.at++; // one white space
        // As text a sample has at least a digit and, but for the last, a space.
        if (text ? (bytes.Length - file.at + 1) / 2 < count : bytes.Length - file.at < (long)count * size)
            throw file.CutShort();
        var pixels = new byte[count];
        for (int i = 0; i < count; i++)
        {
            int value = text ? file.Number(largest)
                : size == 1 ? bytes[file.at++] : bytes[file.at++] << 8 | bytes[file.at++];
            if (value > largest) throw new DataException($"{name} is damaged: it has the value {value}, and says the largest is {largest}");
            pixels[i] = (byte)((2 * 255 * value + largest) / (2 * largest));
        }
        return new Picture(width, height, channels, pixels);
    }

    // White space and comments, to the end of their lines, then digits.
    private int Number(int most)
    {
        while (at < bytes.Length && (IsSpace(bytes[at]) || bytes[at] == '#'))
        {
            if (bytes[at] == '#')
                while (at < bytes.Length && bytes[at] is not ((byte)'\n' or (byte)'\r')) at++;
            else
                at++;
        }
        if (at >= bytes.Length) throw CutShort();
        long value = 0;
        int begin = at;
        for (; at < bytes.Length && bytes[at] is >= (byte)'0' and <= (byte)'9' && value <= most; at++) value = value * 10 + bytes[at] - '0';
        if (at == begin || value > most) throw new DataException($"{name} is damaged: expected a number of 0 to {most} at byte {begin}");
        return (int)value;
    }

    private readonly DataException CutShort() => new($"{name} is cut short: it has fewer pixels than its header states");

    private static bool IsSpace(byte value) => value is (byte)' ' or >= 9 and <= 13;
}
