using System.Text;
using StbImageSharp;

namespace OnnxLeNet.Numerics;

/// <summary>A file's bytes to a picture: which form it is, whether its size is one that is read, then the form's decoder.</summary>
internal static class PictureDecoder
{
    private const string Read = "JPEG, PNG, BMP, GIF, PGM and PPM";

    /// <summary>Endings of the files that are read, in lower case.</summary>
    public static IReadOnlyList<string> Extensions { get; } =
        [".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".pgm", ".ppm", ".pnm"];

    /// <summary>Endings of pictures of other forms, in lower case.</summary>
    public static IReadOnlyList<string> OtherExtensions { get; } =
        [".webp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".jxl", ".svg", ".psd", ".ico", ".tga", ".pbm"];

    /// <summary>The picture of a file.</summary>
    /// <param name="bytes">The whole file.</param>
    /// <param name="name">What errors call it.</param>
    /// <param name="background">What transparent pixels are put over.</param>
    /// <exception cref="DataException">It is no picture that is read, too large or damaged.</exception>
    public static Picture Decode(byte[] bytes, string name, Rgb background)
    {
        if (bytes.Length == 0) throw new DataException($"{name} is empty");
        if (NetpbmFile.Is(bytes)) return NetpbmFile.Decode(bytes, name);
        if (FormOf(bytes) is not { } form)
            throw new DataException($"{name} is not a picture that can be read: {What(bytes)}. Supported are {Read}");
        int orientation = form switch
        {
            "JPEG" => Exif.OfJpeg(bytes),
            "PNG" => Exif.Orientation(PngFile.Check(bytes, name)),
            _ => 0,
        };
        DataException Damaged(Exception? error = null) =>
            new($"{name} does not decode: it is damaged, or of a kind of {form} that is not read", error!);
        var stream = new Source(bytes);
        ImageResult? result = null;
        try
        {
            if (ImageInfo.FromStream(stream) is not { } info) throw Damaged();
            CheckSize(info.Width, info.Height, name);
            // The most pixels that a byte can stand for: a bit for 8×8 of them in JPEG, a bit each in BMP, twelve bits for 4095 in GIF. The
            // decoder would go on with zeros, for minutes.
            long most = form switch { "JPEG" => 512, "BMP" => 8, "GIF" => 2731, _ => Picture.MostPixels };
            if ((long)info.Width * info.Height > most * bytes.Length)
                throw new DataException($"{name} is cut short: {bytes.Length} bytes are too few for the {info.Width}×{info.Height} pixels "
                    + "that it states");
            (stream.Position, stream.RanOut) = (0, false);
            result = ImageResult.FromStream(stream);
        }
        catch (Exception error) when (error is not (DataException or OutOfMemoryException)) { throw Damaged(error); }
        if (stream.RanOut) throw new DataException($"{name} is cut short: its {form} data end before the picture does");
        return Exif.Apply(Opaque(result, background), orientation);
    }

    /// <summary>Whether a file begins like a picture of a form that is read.</summary>
    public static bool IsRead(byte[] head) => NetpbmFile.Is(head) || FormOf(head) is not null;

    /// <summary>Refuses sizes beyond <see cref="Picture.MostPixels"/>.</summary>
    public static void CheckSize(long width, long height, string name)
    {
        if (width < 1 || height < 1) throw new DataException($"{name} is damaged: it states a size of {width}×{height} pixels");
        if (width > Picture.MostPixels / height)
            throw new DataException($"{name} has {width}×{height} pixels: more than {Picture.MostPixels:#,0} are not read");
    }

    private static string? FormOf(ReadOnlySpan<byte> bytes) =>
        bytes.StartsWith(PngFile.Signature) ? "PNG"
        : bytes.StartsWith<byte>([0xFF, 0xD8, 0xFF]) ? "JPEG"
        : bytes.StartsWith("BM"u8) ? "BMP"
        : bytes.StartsWith("GIF87a"u8) || bytes.StartsWith("GIF89a"u8) ? "GIF"
        : null;

    private static string What(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > 12 && bytes[4..].StartsWith("ftyp"u8)) return $"it is a {Encoding.Latin1.GetString(bytes[8..12]).Trim()} file";
        if (bytes.StartsWith("P1"u8) || bytes.StartsWith("P4"u8)) return "it is a PBM file";
        string? kind = FileKind.Of(bytes);
        if (kind is not (null or "a text file")) return $"it is {kind}";
        var begin = bytes[..Math.Min(64, bytes.Length)];
        return begin.IndexOfAnyExceptInRange((byte)9, (byte)126) < 0
            ? $"it is text that begins \"{Encoding.Latin1.GetString(begin[..Math.Min(16, begin.Length)]).ReplaceLineEndings(" ")}\""
            : kind is not null ? $"it is {kind}"
            : $"it begins with the bytes {Convert.ToHexString(begin[..Math.Min(8, begin.Length)])}";
    }

    /// <summary>Without its last channel where that is opacity: each pixel as much of the background as it is transparent.</summary>
    private static Picture Opaque(ImageResult result, Rgb background)
    {
        int channels = (int)result.Comp;
        byte[] from = result.Data;
        if (channels is 1 or 3) return new Picture(result.Width, result.Height, channels, from);
        int colours = channels - 1;
        bool grey = colours == 1 && background.R == background.G && background.G == background.B;
        int kept = grey ? 1 : 3;
        byte[] behind = [background.R, background.G, background.B], to = new byte[result.Width * result.Height * kept];
        for (int i = 0, o = 0; o < to.Length; i += channels)
        {
            int opacity = from[i + colours];
            for (int c = 0; c < kept; c++)
            {
                int value = from[i + (colours == 1 ? 0 : c)];
                to[o++] = (byte)((value * opacity + behind[c] * (255 - opacity) + 127) / 255);
            }
        }
        return new Picture(result.Width, result.Height, kept, to);
    }

    /// <summary>
    /// The file for the decoder, which takes what is behind the end for zeros: here it is seen. Nothing is thrown from inside the decoder,
    /// whose memory is not the runtime's.
    /// </summary>
    private sealed class Source(byte[] bytes) : Stream
    {
        private int at;

        public bool RanOut { get; set; }

        public override bool CanRead => true;
        public override bool CanSeek => true;
        public override bool CanWrite => false;
        public override long Length => bytes.Length;

        public override long Position
        {
            get => at;
            set
            {
                RanOut |= value > bytes.Length;
                at = (int)Math.Clamp(value, 0, bytes.Length);
            }
        }

        public override int ReadByte()
        {
            if ((uint)at < (uint)bytes.Length) return bytes[at++];
            RanOut = true;
            return -1;
        }

        public override int Read(byte[] buffer, int offset, int count)
        {
            int read = Math.Min(count, bytes.Length - at);
            RanOut |= read < count;
            Array.Copy(bytes, at, buffer, offset, read);
            at += read;
            return read;
        }

        public override long Seek(long offset, SeekOrigin origin) => Position = origin switch
        {
            SeekOrigin.Begin => offset,
            SeekOrigin.Current => at + offset,
            _ => bytes.Length + offset,
        };

        public override void Flush() { }
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
