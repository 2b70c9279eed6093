using System.Buffers.Binary;

namespace OnnxLeNet.Numerics;

/// <summary>
/// EXIF's orientation (tag 0x0112 of the first directory; JEITA CP-3451): how a camera was held. What cannot be made sense of counts as
/// upright, as everywhere.
/// </summary>
internal static class Exif
{
    private const int Upright = 1;

    private static ReadOnlySpan<byte> Exif00 => "Exif\0\0"u8;

    /// <summary>The orientation, 1 to 8, that a JPEG file states.</summary>
    public static int OfJpeg(ReadOnlySpan<byte> file)
    {
        const byte Marker = 0xFF, App1 = 0xE1, StartOfScan = 0xDA, EndOfImage = 0xD9;
        for (int at = 2; at + 4 <= file.Length && file[at] == Marker;)
        {
            byte kind = file[at + 1];
            if (kind == Marker)
            {
                at++;
                continue;
            }
            if (kind is StartOfScan or EndOfImage) break;
            int length = BinaryPrimitives.ReadUInt16BigEndian(file[(at + 2)..]);
            if (length < 2 || at + 2 + length > file.Length) break;
            var segment = file.Slice(at + 4, length - 2);
            if (kind == App1 && segment.StartsWith(Exif00)) return Orientation(segment[Exif00.Length..]);
            at += 2 + length;
        }
        return Upright;
    }

    /// <summary>The orientation, 1 to 8, that EXIF data state, which have the form of a TIFF file.</summary>
    public static int Orientation(ReadOnlySpan<byte> tiff)
    {
        const int EntrySize = 12, Tag = 0x0112, Short = 3;
        if (tiff.Length < 8) return Upright;
        bool little = tiff[0] == 'I';
        if (!(little ? tiff.StartsWith("II*\0"u8) : tiff.StartsWith("MM\0*"u8))) return Upright;
        uint at = little ? BinaryPrimitives.ReadUInt32LittleEndian(tiff[4..]) : BinaryPrimitives.ReadUInt32BigEndian(tiff[4..]);
        if (at > tiff.Length - 2) return Upright;
        var entries = tiff[(int)at..];
        int count = Number(entries, little);
        for (entries = entries[2..]; count > 0 && entries.Length >= EntrySize; count--, entries = entries[EntrySize..])
        {
            if (Number(entries, little) != Tag) continue;
            int value = Number(entries[8..], little);
            return Number(entries[2..], little) == Short && value is >= 1 and <= 8 ? value : Upright;
        }
        return Upright;
    }

    /// <summary>The picture as it is to be seen.</summary>
    public static Picture Apply(Picture picture, int orientation)
    {
        int width = picture.Width, height = picture.Height, channels = picture.Channels, right = width - 1, bottom = (height - 1) * width;
        // The old pixel of the new one at the top left, and the way from it to its neighbours on the right and below.
        var (origin, across, down) = orientation switch
        {
            2 => (right, -1, width),
            3 => (bottom + right, -1, -width),
            4 => (bottom, 1, -width),
            5 => (0, width, 1),
            6 => (bottom, -width, 1),
            7 => (bottom + right, -width, -1),
            8 => (right, width, -1),
            _ => (0, 1, width),
        };
        if (orientation is < 2 or > 8) return picture;
        if (orientation >= 5) (width, height) = (height, width);
        var pixels = new byte[picture.Pixels.Length];
        for (int h = 0, to = 0; h < height; h++)
            for (int w = 0, from = origin + h * down; w < width; w++, from += across)
                for (int c = 0; c < channels; c++) pixels[to++] = picture.Pixels[from * channels + c];
        return new Picture(width, height, channels, pixels);
    }

    private static int Number(ReadOnlySpan<byte> bytes, bool little) =>
        little ? BinaryPrimitives.ReadUInt16LittleEndian(bytes) : BinaryPrimitives.ReadUInt16BigEndian(bytes);
}
