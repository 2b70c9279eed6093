using System.Globalization;
using Google.Protobuf;
using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Numbers are read and written in one way, in whatever language the system is.</summary>
[TestClass]
public sealed class LocaleTests
{
    /// <summary>Runs something where numbers are written as 1.234,5 and −3, as in German and Swedish.</summary>
    private static T Elsewhere<T>(Func<T> action)
    {
        var before = CultureInfo.CurrentCulture;
        var culture = (CultureInfo)CultureInfo.InvariantCulture.Clone();
        (culture.NumberFormat.NumberDecimalSeparator, culture.NumberFormat.NumberGroupSeparator) = (",", ".");
        culture.NumberFormat.NegativeSign = "−";
        CultureInfo.CurrentCulture = culture;
        try
        {
            Assert.AreEqual("−1.234,5", (-1234.5).ToString("N1"));
            return action();
        }
        finally { CultureInfo.CurrentCulture = before; }
    }

    [TestMethod]
    public void TheProgramSaysAndWritesTheSame()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder);
        (string Output, string Card, string Hash, string Rate) Train(string to)
        {
            var run = Program.Run("--data", data, "--epochs", "1", "--lr", "0.05", "--out", folder[to], "--json", folder[$"{to}.json"])
                .MustExit(0);
            var json = folder.Json($"{to}.json");
            // What depends on the time, and the folder's own name, is left out.
            string output = string.Join('\n', run.Output.Replace(folder[to], "out", StringComparison.Ordinal).Split('\n')
                .Where(line => !line.Contains(" s", StringComparison.Ordinal)));
            return (output, File.ReadAllText(folder[$"{to}/lenet5-small.md"]), (string)json["sha256"]!, $"{json["learningRate"]}");
        }
        var (here, there) = (Train("here"), Elsewhere(() => Train("there!")));
        Assert.AreEqual("0.05", there.Rate);
        Assert.AreEqual(here.Hash, there.Hash);
        Assert.AreEqual(here.Card, there.Card);
        Assert.AreEqual(here.Output, there.Output.Replace("there!", "here", StringComparison.Ordinal));
        string model = Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx");
        foreach (string verb in new[] { "inspect", "evaluate" })
        {
            string[] command = verb == "inspect" ? [verb, model] : [verb, model, "--data", data];
            Assert.AreEqual(Program.Run(command).MustExit(0).Output, Elsewhere(() => Program.Run(command)).Output, verb);
        }
        // And in both a comma is no decimal point.
        Elsewhere(() => Program.Run("--data", data, "--lr", "0,05")).MustExit(2).MustSay("--lr must be a number, got 0,05");
    }

    /// <summary>The libraries leave the culture to their users, and write files that do not depend on it.</summary>
    [TestMethod]
    public void TheLibrariesWriteTheSame()
    {
        foreach (string name in OnnxNetworks.Names)
        {
            string Everything()
            {
                var (network, sample) = OnnxNetworks.Get(name);
                var graph = Graph.Trace(network, sample);
                byte[] state = SafeTensors.ToBytes(network.StateDict()), other = PyTorchFile.ToBytes(network.StateDict());
                byte[] model = OnnxExporter.Export(network, sample, name).ToByteArray();
                return $"{network}\n{graph}\n{Convert.ToHexString(model)}\n{Convert.ToHexString(state)}\n{Convert.ToHexString(other)}\n"
                    + $"{OnnxImporter.Import(OnnxFile.Parse(model, name)).Network}";
            }
            Assert.AreEqual(Everything(), Elsewhere(Everything), name);
        }
        string Settings() => $"{new Dropout(0.25)}\n{new LeakyReLU(0.015)}\n{new BatchNorm2d(3, eps: 1e-4, momentum: 0.3)}\n"
            + $"{new Tensor(new Shape(2, 2), [-1234.5f, 0.25f, 1e-9f, -3])}";
        Assert.AreEqual(Settings(), Elsewhere(Settings));
    }
}
