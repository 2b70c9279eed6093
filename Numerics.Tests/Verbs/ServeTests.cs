using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>The verb serve: what a person types and gets. Its routes are in ServerTests, its page in PageTests.</summary>
[TestClass]
public sealed partial class ServeTests
{
    [TestMethod]
    public void BadOptionsAreRefused()
    {
        Program.Run("serve", "--port", "70000").MustExit(2).MustSay("--port must be", "70000");
        Program.Run("serve", "--ort", "no-such-folder").MustExit(2).MustSay("no-such-folder", "ort.wasm.min.mjs");
        Program.Run("serve", "no-such-model.onnx").MustExit(2).MustSay("no-such-model.onnx");
        Program.Run("serve", "--data", "no-such-folder", "--port", "0").MustExit(2).MustSay("no-such-folder");
    }

    [TestMethod]
    public void APortInUseIsSaid()
    {
        using var other = new TcpListener(IPAddress.Loopback, 0);
        other.Start();
        int port = ((IPEndPoint)other.LocalEndpoint).Port;
        Program.Run("serve", "--port", $"{port}").MustExit(2).MustSay($"--port {port}", "another program listens", "--port 0");
    }

    /// <summary>It says where it is, answers, and ends with 0 when it is told to.</summary>
    [TestMethod]
    [DataRow("TERM")]
    [DataRow("INT")]
    public async Task ItServesUntilItIsTold(string signal)
    {
        if (OperatingSystem.IsWindows()) Assert.Inconclusive("signals are sent by kill");
        using var process = Program.Start("serve", "--port", "0");
        try
        {
            string? line = await process.StandardOutput.ReadLineAsync();
            var address = new Uri(AddressIn().Match(line ?? "").Value);
            using var client = new HttpClient();
            Assert.Contains("lenet5-mnist", await client.GetStringAsync(new Uri(address, "health")));
            Tool.Run(Tool.Require("kill"), Repository.Root, $"-{signal}", $"{process.Id}");
            Program.Finish(process).MustExit(0);
        }
        finally
        {
            if (!process.HasExited) process.Kill();
        }
    }

    /// <summary>A client that sends without an end does not hold the stop up.</summary>
    [TestMethod]
    public async Task ItStopsWithinSeconds()
    {
        if (OperatingSystem.IsWindows()) Assert.Inconclusive("signals are sent by kill");
        using var process = Program.Start("serve", "--port", "0");
        try
        {
            string? line = await process.StandardOutput.ReadLineAsync();
            var address = new Uri(AddressIn().Match(line ?? "").Value);
            using var client = new TcpClient();
            await client.ConnectAsync(IPAddress.Loopback, address.Port);
            var stream = client.GetStream();
            await stream.WriteAsync(Encoding.ASCII.GetBytes(
                $"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{address.Port}\r\nContent-Length: 10000000\r\n\r\n"));
            var sending = Task.Run(async () =>
            {
                try { for (int i = 0; i < 120; i++) { await stream.WriteAsync(new byte[2000]); await Task.Delay(500); } }
                catch (IOException) { }
            });
            await Task.Delay(500);
            var watch = Stopwatch.StartNew();
            Tool.Run(Tool.Require("kill"), Repository.Root, "-TERM", $"{process.Id}");
            Program.Finish(process).MustExit(0);
            Assert.IsLessThan(TimeSpan.FromSeconds(8), watch.Elapsed);
            client.Close();
            await sending;
        }
        finally
        {
            if (!process.HasExited) process.Kill();
        }
    }

    /// <summary>A lock file is of its package.json's release, and says what the packages are, not where they are fetched.</summary>
    [TestMethod]
    [DataRow("Scripts/Web", "onnxruntime-web")]
    [DataRow("Numerics.Tests/Node", "onnxruntime-node")]
    public void TheLockFilesOfNpmHaveHashesAndNoAddresses(string folder, string package)
    {
        string path = Path.Combine(Repository.Root, folder), text = File.ReadAllText(Path.Combine(path, "package-lock.json"));
        var packages = JsonNode.Parse(text)!["packages"]!.AsObject();
        string asked = (string)JsonNode.Parse(File.ReadAllText(Path.Combine(path, "package.json")))!["dependencies"]![package]!;
        Assert.AreEqual(asked, (string)packages[$"node_modules/{package}"]!["version"]!);
        Assert.DoesNotContain("://", text);
        foreach (var (name, locked) in packages)
            if (name.Length > 0) Assert.StartsWith("sha512-", (string)locked!["integrity"]!, name);
    }

    [GeneratedRegex(@"http://127\.0\.0\.1:\d+/")]
    private static partial Regex AddressIn();
}
