using System.Runtime.InteropServices;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Several machines: network namespaces on one bridge, each with an address and a name of its own.</summary>
[TestClass]
public sealed class MachinesTests
{
    private const int Count = 3;

    [TestMethod]
    [DataRow("openmpi")]
    [DataRow("mpich")]
    public void TrainTheFileOfOne(string library)
    {
        var mpi = MpiRun.Of(library);
        using var folder = new TemporaryFolder();
        using var machines = new Machines(folder);
        string[] train = ["--data", SmallMnist.Write(folder), "--epochs", "2", "--batch-size", "100"];
        Program.Run([.. train, "--out", folder["alone"], "--quiet"]).MustExit(0);
        string hosts = string.Join(',', Enumerable.Range(0, Count).Select(Machines.Address));
        string[] network = library == "openmpi"
            ? ["--mca", "plm_rsh_agent", machines.Agent, "--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", Machines.Network,
                "--mca", "oob_tcp_if_include", Machines.Network, "-H", hosts]
            : ["-launcher", "ssh", "-launcher-exec", machines.Agent, "-hosts", hosts];
        string[] job = [mpi.Launcher, .. mpi.Options, .. network, "-n", $"{Count}", "dotnet", Program.Assembly, "train", .. train, "--out",
            folder["several"]];
        var (code, output, errors) = Tool.Run([("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")], machines.Agent,
            folder.Path, [Machines.Address(0), .. job]);
        Assert.AreEqual(0, code, output + errors);
        CollectionAssert.AreEqual(File.ReadAllBytes(folder["alone/lenet5-small.onnx"]),
            File.ReadAllBytes(folder["several/lenet5-small.onnx"]));
    }

    /// <summary>The namespaces, removed in the end; the test is inconclusive where they cannot be made.</summary>
    private sealed class Machines : IDisposable
    {
        public const string Network = "10.77.83.0/24";
        private readonly string name = $"onnxlenet{Environment.ProcessId % 10000}"; // a device's name has 15 characters at most

        public Machines(TemporaryFolder folder)
        {
            if (!OperatingSystem.IsLinux() || geteuid() != 0)
            {
                Assert.Inconclusive("network namespaces need root on Linux");
                throw new PlatformNotSupportedException();
            }
            Tool.Require("ip");
            Agent = folder["agent"];
            // The launchers call it as they would ssh: options, the host, the command.
            File.WriteAllText(Agent, $$"""
                #!/bin/sh
                while case "$1" in -*) true;; *) false;; esac; do shift; done
                host=$1
                shift
                exec ip netns exec {{name}}_${host##*.} unshare -u sh -c "hostname node${host##*.}; $*"

                """);
            File.SetUnixFileMode(Agent, UnixFileMode.UserRead | UnixFileMode.UserExecute);
            if (!TryIp("link add", $"br{name}", "type bridge")) Assert.Inconclusive("network namespaces cannot be made here");
            Ip("link set", $"br{name}", "up");
            for (int i = 0; i < Count; i++)
            {
                string there = $"{name}_{i + 1}", here = $"v{i}{name}", end = $"e{i}{name}";
                Ip("netns add", there);
                Ip("link add", here, "type veth peer name", end);
                Ip("link set", here, "master", $"br{name}", "up");
                Ip("link set", end, "netns", there);
                Ip("-n", there, "addr add", $"{Address(i)}/24 dev", end);
                Ip("-n", there, "link set", end, "up");
                Ip("-n", there, "link set lo up");
            }
        }

        /// <summary>Runs a command on a machine, by its address.</summary>
        public string Agent { get; }

        public static string Address(int machine) => $"10.77.83.{machine + 1}";

        public void Dispose()
        {
            for (int i = 0; i < Count; i++) TryIp("netns del", $"{name}_{i + 1}");
            TryIp("link del", $"br{name}");
        }

        private static void Ip(params string[] words) => Assert.IsTrue(TryIp(words), $"ip {string.Join(' ', words)}");

        private static bool TryIp(params string[] words) =>
            Tool.Run("ip", Path.GetTempPath(), string.Join(' ', words).Split(' ')).Code == 0;

        [DllImport("libc")]
        private static extern uint geteuid();
    }
}
