namespace OnnxLeNet.Numerics.Tests;

/// <summary>The fuzzer itself, on readers that do what none should: each is found, and named by a number that repeats it.</summary>
[TestClass]
[DoNotParallelize]
public sealed class FuzzerTests
{
    private static byte[] Make(Generator generator) => [(byte)generator.Next(256), (byte)generator.Next(256)];

    private static void Fails(Action<byte[]> read, params ReadOnlySpan<string> parts)
    {
        var format = new FuzzFormat("lie", Make, input => read(input.Bytes));
        Failure.Of<AssertFailedException>(() => Fuzzer.Run(format, seed: 3, count: 2), [.. parts, $"{Fuzzer.Variable}='lie 3 "]);
    }

    [TestMethod]
    public void AnErrorThatIsNotOurs() => Fails(_ => throw new FormatException("odd"), "a FormatException, expected", "odd");

    /// <summary>An error of the library's that only covers a mistake.</summary>
    [TestMethod]
    public void AMistakeBehindAnError()
    {
        int[] none = [];
        Fails(_ =>
        {
            try { none[0] = 1; }
            catch (IndexOutOfRangeException error) { throw new DataException("damaged", error); }
        }, "a IndexOutOfRangeException behind the error");
    }

    [TestMethod]
    public void TooMuchMemory() => Fails(_ => GC.KeepAlive(new byte[600 << 20]), "600 MiB of memory, at most 512");

    [TestMethod]
    public void TooLong() => Assert.Contains("at most 2", Fuzzer.Wrong(null, TimeSpan.FromSeconds(2.1), 0)!);

    [TestMethod]
    public void AMessageThatFillsTheTerminal() => Fails(_ => throw new Chatty(), "characters, at most");

    private sealed class Chatty() : OnnxLeNetException("")
    {
        public override string Message => new('x', 30_000);
    }

    /// <summary>What a file's text does to a terminal it does not do in a failure either.</summary>
    [TestMethod]
    public void AFailureIsPrintable()
    {
        var format = new FuzzFormat("lie", Make, _ => throw new FormatException("\u001B[31m"));
        Assert.DoesNotContain("\u001B", Assert.ThrowsExactly<AssertFailedException>(() => Fuzzer.Run(format, 1, 1)).Message);
    }

    /// <summary>A failure of one kind stands there once, one of another beside it; and the number makes the same file again.</summary>
    [TestMethod]
    public void EachKindIsNamedOnceAndRepeats()
    {
        var format = new FuzzFormat("lie", Make, input =>
        {
            if (input.Bytes[0] < 40) throw new FormatException("small");
            if (input.Bytes[0] > 200) throw new OverflowException("large");
            throw new DataException("refused");
        });
        string message = Assert.ThrowsExactly<AssertFailedException>(() => Fuzzer.Run(format, seed: 5, count: 300)).Message;
        string[] named = [.. message.Split("'lie 5 ").Skip(1).Select(rest => rest[..rest.IndexOf('\'', StringComparison.Ordinal)])];
        Assert.HasCount(2, named);
        foreach (string number in named)
        {
            byte[] file = Make(new Generator(5).Fork(int.Parse(number)));
            Assert.IsTrue(file[0] is < 40 or > 200, $"{file[0]}");
            Assert.ThrowsExactly<AssertFailedException>(() => Fuzzer.One(format, 5, int.Parse(number)));
        }
    }

    [TestMethod]
    public void WhatIsReadAndWhatIsRefusedIsCounted()
    {
        var report = Fuzzer.Run(new FuzzFormat("fair", Make, input =>
        {
            if (input.Bytes[0] % 2 == 0) throw new DataException("even");
        }), seed: 1, count: 200);
        Assert.AreEqual(200, report.Files);
        Assert.IsInRange(70, 130, report.Refused);
    }

    /// <summary>A run that a file has ended leaves that file's number for the next one.</summary>
    [TestMethod]
    public void WhatEndedTheProcessIsNamedByTheNextRun()
    {
        var format = new FuzzFormat("ended", Make, _ => { });
        string left = Path.Combine(Path.GetTempPath(), "onnxlenet-fuzz-ended-9");
        File.WriteAllBytes(left, BitConverter.GetBytes(4711));
        Failure.Of<AssertFailedException>(() => Fuzzer.Run(format, seed: 9, count: 1), "'ended 9 4711'");
        Fuzzer.Run(format, seed: 9, count: 1);
        Assert.IsFalse(File.Exists(left));
    }
}
