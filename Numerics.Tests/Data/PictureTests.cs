using System.Diagnostics;
using System.IO.Compression;
using System.Text;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Decoders against PIL's pixels: of small pictures that are committed, and of larger ones where PIL is installed.</summary>
[TestClass]
public sealed class PictureTests
{
    private const string Python = "/usr/bin/python3";

    private static string Golden => Path.Combine(Repository.Root, "Numerics.Tests", "Reference", "pictures.zip");

    [TestMethod]
    public void EveryFormIsReadAsPilReadsIt() => Assert.AreEqual(33, Compare(Golden));

    [TestMethod]
    public void LargerOnesToo()
    {
        string script = Path.Combine(Repository.Root, "Numerics.Tests", "Reference", "pictures.py");
        if (!File.Exists(Python) || Run("-c", "import importlib.util, sys; sys.exit(importlib.util.find_spec('PIL') is None)") != 0)
            Assert.Inconclusive($"{Python} has no module PIL: Debian's package python3-pil has it");
        string archive = Path.GetTempFileName();
        try
        {
            Assert.AreEqual(0, Run(script, archive));
            Assert.AreEqual(33, Compare(archive));
        }
        finally { File.Delete(archive); }
    }

    /// <summary>What decodes on many threads at once is what decodes alone: the decoder has static fields.</summary>
    [TestMethod]
    public void ThreadsDoNotDisturbEachOther()
    {
        var files = Read(Golden).Where(file => !file.Name.EndsWith(".raw", StringComparison.Ordinal)).ToList();
        var alone = files.ConvertAll(file => Load(file).Pixels);
        Parallel.For(0, 400, new ParallelOptions { MaxDegreeOfParallelism = 8 }, i =>
            CollectionAssert.AreEqual(alone[i % alone.Count], Load(files[i % alone.Count]).Pixels));
    }

    [TestMethod]
    public void TheBackgroundIsChosen()
    {
        var files = Pictures.Golden;
        var (white, black) = (Load(files, "rgba.png", Rgb.White), Load(files, "rgba.png", Rgb.Black));
        Assert.AreNotEqual(white.Pixels[0], black.Pixels[0]);
        var (grey, red) = (Load(files, "grey-alpha.png", Rgb.Black), Load(files, "grey-alpha.png", new Rgb(255, 0, 0)));
        Assert.AreEqual((1, 3), (grey.Channels, red.Channels), "what lies over a colour has colours");
        CollectionAssert.AreEqual(grey.Pixels, red.Pixels.Where((_, i) => i % 3 == 1).ToArray());
        Assert.AreEqual(new Rgb(0xFF, 0x80, 0), Rgb.Parse("#ff8000"));
        Assert.AreEqual("#FF8000", $"{Rgb.Parse("#ff8000")}");
        Assert.AreEqual(Rgb.Black, Rgb.Parse("black"));
        foreach (string wrong in new[] { "", "blau", "#fff", "#gg0000", "ff8000", "#-12345" })
            Failure.Of<DataException>(() => Rgb.Parse(wrong), "is no colour", "#FF8000");
    }

    [TestMethod]
    public void PngsComeBackAsTheyWere()
    {
        string file = Path.GetTempFileName();
        try
        {
            foreach (int channels in new[] { 1, 3 })
            {
                var picture = new Picture(37, 19, channels, Idx.Bytes(channels, 37 * 19 * channels));
                picture.WritePng(file);
                var read = Picture.Load(file);
                Assert.AreEqual((37, 19, channels), (read.Width, read.Height, read.Channels));
                CollectionAssert.AreEqual(picture.Pixels, read.Pixels);
            }
        }
        finally { File.Delete(file); }
    }

    [TestMethod]
    public void GreyAndColour()
    {
        var colour = new Picture(2, 1, 3, [255, 0, 0, 10, 200, 30]);
        // 0.299 · 255 = 76.2; 2.99 + 117.4 + 3.42 = 123.81
        CollectionAssert.AreEqual(new byte[] { 76, 124 }, colour.ToGrey().Pixels);
        CollectionAssert.AreEqual(new byte[] { 76, 76, 76, 124, 124, 124 }, colour.ToGrey().ToColour().Pixels);
        CollectionAssert.AreEqual(new byte[] { 255, 10, 0, 200, 0, 30 }, colour.Planes());
        Assert.AreSame(colour, colour.ToColour());
        Failure.Of<ShapeException>(() => _ = new Picture(2, 2, 3, new byte[11]), "2×2", "11 bytes");
        Failure.Of<ShapeException>(() => _ = new Picture(2, 2, 2, new byte[8]), "2 channels");
    }

    private static int Compare(string archive)
    {
        var files = Read(archive).ToDictionary(file => file.Name, file => file.Bytes);
        int compared = 0;
        foreach (var (name, bytes) in files)
        {
            if (name.EndsWith(".raw", StringComparison.Ordinal)) continue;
            byte[] raw = files[name + ".raw"];
            int line = Array.IndexOf(raw, (byte)'\n');
            var picture = Picture.Load(new MemoryStream(bytes), name);
            Assert.AreEqual(Encoding.ASCII.GetString(raw, 0, line), $"{picture.Width} {picture.Height} {picture.Channels}", name);
            var expected = raw.AsSpan(line + 1);
            long sum = 0;
            for (int i = 0; i < expected.Length; i++)
            {
                // With colour at half the width the decoder mixes an odd last column of it from its neighbour.
                int allowed = name == "rgb-422.jpg" && i / picture.Channels % picture.Width == picture.Width - 1 ? 8
                    : name.EndsWith(".jpg", StringComparison.Ordinal) ? 3 : 0;
                int difference = Math.Abs(expected[i] - picture.Pixels[i]);
                Assert.IsTrue(difference <= allowed, $"{name}: level {i} is off by {difference}");
                sum += difference;
            }
            Assert.IsTrue(sum <= expected.Length * 0.5, $"{name}: levels are off by {(double)sum / expected.Length:0.00} on average");
            compared++;
        }
        return compared;
    }

    private static List<(string Name, byte[] Bytes)> Read(string archive)
    {
        using var zip = ZipFile.OpenRead(archive);
        return [.. zip.Entries.Select(entry =>
        {
            var bytes = new MemoryStream();
            using (var stream = entry.Open()) stream.CopyTo(bytes);
            return (entry.FullName, bytes.ToArray());
        })];
    }

    private static Picture Load((string Name, byte[] Bytes) file) => Picture.Load(new MemoryStream(file.Bytes), file.Name);

    private static Picture Load(Dictionary<string, byte[]> files, string name, Rgb background) =>
        Picture.Load(new MemoryStream(files[name]), name, background);

    private static int Run(params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(Python, arguments))!;
        process.WaitForExit();
        return process.ExitCode;
    }
}
