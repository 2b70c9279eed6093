namespace OnnxLeNet.Numerics.Tests;

/// <summary>A model on standard input is one in a file, but that nothing lies beside it.</summary>
[TestClass]
public sealed class StandardInputTests
{
    private static readonly string Model = Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx");

    [TestMethod]
    [DataRow("inspect {0}")]
    [DataRow("validate {0} --data none --provider simd --batches 1")]
    [DataRow("evaluate {0} --data small")]
    [DataRow("export {0} --to made.pth")]
    public void AModelIsReadFromIt(string verb)
    {
        using var folder = new TemporaryFolder();
        SmallMnist.Write(folder);
        string For(string model) => $"{Command} {string.Format(System.Globalization.CultureInfo.InvariantCulture, verb, model)}";
        var (code, output, errors) = Shell(folder, $"cat '{Model}' | {For("-")}");
        Assert.AreEqual(0, code, errors);
        Assert.AreEqual(Shell(folder, For($"'{Model}'")).Output, output.Replace("standard input", Model, StringComparison.Ordinal));
        Assert.IsEmpty(Directory.GetDirectories(folder.Path, "onnxlenet-*"), "nothing is left of it");
    }

    [TestMethod]
    public void WhatIsNoModelOrIsReadAgainIsRefused()
    {
        using var folder = new TemporaryFolder();
        Must("echo nonsense |", "inspect -", "is a text file, not an ONNX model");
        Must("", "inspect - </dev/null", "is empty, expected an ONNX model");
        Must("", "inspect - <&-", "standard input is closed");
        Must("", $"predict '{Model}' - <&-", "standard input is closed");
        Must("", "predict - - </dev/null", "not both");
        Must("", "train --from - </dev/null", "--from needs a file, got -");
        Must("", "report - </dev/null", "report needs a run or a file, got -");

        void Must(string before, string verb, string part)
        {
            var (code, _, errors) = Shell(folder, $"{before} {Command} {verb}");
            Assert.AreEqual(2, code, errors);
            Assert.Contains(part, errors, StringComparison.Ordinal);
        }
    }

    private static string Command => $"dotnet '{Program.Assembly}'";

    private static (int Code, string Output, string Errors) Shell(TemporaryFolder folder, string line)
    {
        if (OperatingSystem.IsWindows()) Assert.Inconclusive("said in the shell's language");
        return Tool.Run([("TMPDIR", folder.Path)], "sh", folder.Path, "-c", line);
    }
}
