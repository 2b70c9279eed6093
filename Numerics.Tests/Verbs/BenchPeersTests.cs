using System.Diagnostics;
using System.Text;
using BenchNetworks = OnnxLeNet.Scripts.Bench.Networks;
using PeerProcess = OnnxLeNet.Scripts.Bench.PeerProcess.PeerProcess;
using TorchSharp = OnnxLeNet.Scripts.Bench.TorchSharp;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// The peers of bench, which are processes: what happens when one is missing, ends, prints rubbish or computes something else. A shell
/// script stands in for TorchSharp, where the program looks for it in a user's cache.
/// </summary>
[TestClass]
public sealed class BenchPeersTests
{
    private const string About = """echo '{"torchSharp": "0.1", "libtorch": "0.2"}'""";
    private const string Loaded = "\nread request; echo '{\"parameters\": 10}'\nread request; ";

    [TestMethod]
    public void TorchSharpIsNeverFetchedUnasked()
    {
        if (OperatingSystem.IsWindows()) Assert.Inconclusive("the user's cache cannot be another there");
        using var folder = new TemporaryFolder();
        var run = Bench(folder).MustExit(0);
        Assert.Contains("TorchSharp is left out: not built here. To get it: --torchsharp", run.Output, StringComparison.Ordinal);
        Assert.IsFalse(Directory.Exists(Path.Combine(folder.Path, "OnnxLeNet", "torchsharp")));
        var networks = folder.Json("bench.json")["networks"]!;
        Assert.Contains("--torchsharp", (string)networks["torchSharp"]!["missing"]!);
        foreach (var row in networks["training"]!.AsArray()) Assert.IsNull(row!["timesTorchSharpAtItsBest"]);
        foreach (var row in networks["inference"]!.AsArray()) Assert.IsNull(row!["torchSharpMicroseconds"]);
        var memory = networks["stepMemory"]!;
        Assert.IsNull(memory["torchSharp"]);
        double start = (double)memory["engine"]!["startBytes"]!, peak = (double)memory["engine"]!["peakBytes"]!;
        Assert.AreEqual(peak - start, (double)memory["engine"]!["grownBytes"]!);
        Assert.IsGreaterThan(1e7, start);
        Assert.IsGreaterThan(start + 1e6, peak);
    }

    [TestMethod]
    public void OneOfAnotherVersionIsLeftOut()
    {
        using var folder = new TemporaryFolder();
        StandIn(folder, "exit 1");
        File.AppendAllText(Path.Combine(folder.Path, "OnnxLeNet", "torchsharp", "bin", "peer.cs"), "// changed");
        Assert.Contains("TorchSharp is left out: built for another version", Bench(folder).MustExit(0).Output, StringComparison.Ordinal);
    }

    [TestMethod]
    [DataRow(3, "echo 'no libtorch' >&2; exit 5", "cannot be used", "ended with exit code 5: no libtorch", "--torchsharp builds it again")]
    [DataRow(3, """echo '{"error": "it cannot be loaded"}'""", "cannot be used", "TorchSharp: it cannot be loaded")]
    [DataRow(3, "echo hello", "said 'hello', expected a JSON object")]
    [DataRow(3, """printf '%s\n' '{"error": "\ud800"}'""", "expected a JSON object")]
    [DataRow(3, "echo '[1]'", "said '[1]', expected a JSON object")]
    [DataRow(3, About + "; read request; echo 'killed' >&2; exit 9", "the TorchSharp process ended with exit code 9: killed")]
    [DataRow(3, About + "; exec <&-; exit 4", "the TorchSharp process ended with exit code 4: it said nothing")]
    [DataRow(2, About + "; read request; echo '{}'", "TorchSharp answered '{}', expected finite numbers as parameters")]
    [DataRow(2, About + "; read request; echo '{\"parameters\": 9}'", "TorchSharp's lenet has 9 parameters, expected 10")]
    [DataRow(3, About + Loaded + "echo '{\"seconds\": 1, \"losses\": [NaN]}'", "expected a JSON object")]
    [DataRow(2, About + Loaded + "echo '{\"seconds\": 1, \"losses\": [2.3, null, 2.3]}'", "expected finite numbers as losses")]
    [DataRow(2, About + Loaded + "echo '{\"seconds\": 1, \"losses\": [2.3]}'", "1 losses of an epoch, expected 3")]
    [DataRow(2, About + Loaded + "echo '{\"seconds\": 1, \"losses\": [2, 2, 2]}'", "lenet: the losses", "2, 2, 2 in TorchSharp")]
    public void OneThatFailsIsTold(int exitCode, string script, params string[] said)
    {
        using var folder = new TemporaryFolder();
        StandIn(folder, script);
        Bench(folder).MustExit(exitCode).MustSay(said);
        Assert.IsFalse(File.Exists(folder["bench.json"]));
    }

    /// <summary>A loss that is NaN, which python prints as what is no JSON.</summary>
    [TestMethod]
    public void APythonWhoseLossIsNoNumberIsTold()
    {
        using var folder = new TemporaryFolder();
        Script(folder["python3"], """echo '{"torch": "1", "blas": []}'; read request; echo '{"seconds": 1, "loss": NaN}'""");
        Program.Run("bench", "--quick", "--only", "epoch", "--threads", "1", "--python", folder["python3"]).MustExit(3)
            .MustSay("the PyTorch process said '{\"seconds\": 1, \"loss\": NaN}', expected a JSON object");
    }

    [TestMethod]
    public void ItIsAskedInLinesOfJson()
    {
        using var folder = new TemporaryFolder();
        Script(folder["peer"], """
            echo '{"name": "stand-in"}'
            while read request; do echo "{\"asked\": $request, \"numbers\": [1, 2.5]}"; done
            """);
        using var peer = PeerProcess.Start("it", new ProcessStartInfo(folder["peer"]));
        Assert.AreEqual("stand-in", (string?)peer.About.Fields["name"]);
        for (int i = 0; i < 3; i++)
        {
            var answer = peer.Ask(new() { ["do"] = "infer", ["batch"] = i });
            Assert.AreEqual($$"""{"do":"infer","batch":{{i}}}""", answer.Fields["asked"]!.ToJsonString());
            CollectionAssert.AreEqual(new[] { 1, 2.5 }, answer.Numbers("numbers"));
            Failure.Of<OnnxLeNetException>(() => answer.Number("numbers"), "expected finite numbers as numbers");
        }
    }

    /// <summary>The forward, the gradients and the momentum each show in one of the first three losses; rounding shows in later
    /// ones.</summary>
    [TestMethod]
    public void TheFirstLossesMustAgree()
    {
        double[] engine = [2.5, 2.25, 2, 1.75];
        BenchNetworks.requireSameLosses("it", engine, [2.5001, 2.2499, 2, 1.5]);
        foreach (int step in (int[])[0, 1, 2])
        {
            foreach (double wrong in (double[])[engine[step] + 0.01, double.NaN])
            {
                double[] peer = [.. engine];
                peer[step] = wrong;
                Failure.Of<OnnxLeNetException>(() => BenchNetworks.requireSameLosses("it", engine, peer), "it: the losses", "must agree");
                Failure.Of<OnnxLeNetException>(() => BenchNetworks.requireSameLosses("it", peer, engine), "must agree");
            }
        }
        Failure.Of<OnnxLeNetException>(() => BenchNetworks.requireSameLosses("it", engine, [2.5, 2.25, 2]),
            "3 losses of an epoch, expected 4");
    }

    /// <summary>In the native half of ONNX Runtime, which needs several versions of libraries: one flag of the one named, and no other
    /// byte.</summary>
    [TestMethod]
    public void ANeededVersionBecomesWeak()
    {
        string? library = OperatingSystem.IsLinux()
            ? Directory.GetFiles(AppContext.BaseDirectory, "libonnxruntime.so", SearchOption.AllDirectories)
                .FirstOrDefault(path => File.ReadAllBytes(path).AsSpan().IndexOf("GLIBC_2.17\0"u8) > 0)
            : null;
        if (library is null)
        {
            Assert.Inconclusive("there is no ELF file that needs GLIBC_2.17");
            return;
        }
        byte[] before = File.ReadAllBytes(library), after = [.. before];
        TorchSharp.tolerateMissing("GLIBC_9.99", after);
        TorchSharp.tolerateMissing("GLIBC_2.1", after); // a beginning of a name is not it
        Assert.IsTrue(before.AsSpan().SequenceEqual(after));
        TorchSharp.tolerateMissing("GLIBC_2.17", after);
        int[] changed = [.. Enumerable.Range(0, before.Length).Where(i => before[i] != after[i])];
        Assert.IsNotEmpty(changed);
        foreach (int at in changed)
        {
            Assert.AreEqual(2, before[at] ^ after[at]);
            Assert.AreEqual(ElfHash("GLIBC_2.17"), BitConverter.ToUInt32(before, at - 4), "the entry begins with its name's hash");
        }
    }

    private static uint ElfHash(string name)
    {
        uint hash = 0;
        foreach (byte c in Encoding.ASCII.GetBytes(name))
        {
            hash = (hash << 4) + c;
            uint high = hash & 0xf0000000;
            hash = (hash ^ (high >> 24)) & ~high;
        }
        return hash;
    }

    private static void Script(string path, string script)
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Inconclusive("the stand-in is a shell script");
            return;
        }
        File.WriteAllText(path, "#!/bin/sh\n" + script + "\n");
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserExecute);
    }

    /// <summary>A script in the place of the built peer, in the cache of a user whose folder this is.</summary>
    private static void StandIn(TemporaryFolder folder, string script)
    {
        string bin = Directory.CreateDirectory(Path.Combine(folder.Path, "OnnxLeNet", "torchsharp", "bin")).FullName;
        Script(Path.Combine(bin, "peer"), script);
        File.Copy(Path.Combine(AppContext.BaseDirectory, "Bench", "torchsharp.cs"), Path.Combine(bin, "peer.cs"));
    }

    private static Program Bench(TemporaryFolder folder) => Program.Run([("XDG_DATA_HOME", folder.Path)], "bench", "--quick", "--only",
        "networks", "--threads", "1", "--json", folder["bench.json"]);
}
