using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>serve: LeNet-5 trained in a browser by the training step's file, and the model that comes out of it.</summary>
[TestClass]
[DoNotParallelize]
public sealed partial class ServeTests
{
    /// <summary>Three hundred steps in a real browser: the loss falls, and the file that it offers for download is an ordinary model that
    /// has learnt.</summary>
    [TestMethod]
    public async Task ABrowserTrainsAndGivesTheModel()
    {
        string browser = Tool.Require("chromium", "chromium-browser", "google-chrome");
        using var server = Server.Start();
        using var folder = new TemporaryFolder();
        var (_, page, errors) = Tool.Run(browser, folder.Path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", $"--user-data-dir={folder["profile"]}",
                "--enable-logging=stderr",
            "--virtual-time-budget=600000", "--dump-dom", $"{server.Address}?steps=300");
        string Said(string name) => Regex.Match(page, $"data-{name}=\"([^\"]*)\"").Groups[1].Value is { Length: > 0 } value ? value
            : throw new AssertFailedException($"the page says no {name}\n{page}\n{errors}");
        double first = double.Parse(Said("first"), CultureInfo.InvariantCulture),
            last = double.Parse(Said("last"), CultureInfo.InvariantCulture);
        Assert.AreEqual(Math.Log(10), first, 0.4);
        Assert.IsTrue(last < 0.4, $"the loss went from {first} to {last}");

        byte[] file = await server.Client.GetByteArrayAsync(new Uri(server.Address, Said("path")));
        OnnxChecker.Check(OnnxFile.Parse(file, "the model from the browser"));
        using var model = OrtModel.Load(file);
        var test = Repository.Mnist.Test;
        int[] classes = Inference.ArgMax(Parity.Logits(model, test));
        int right = Enumerable.Range(0, test.Count).Count(i => classes[i] == test.Label(i));
        Assert.IsTrue(right > 9500, $"{right} of {test.Count} images");
        // The browser's arithmetic differs in the last bits: an image on the border of two classes may fall on either side.
        Assert.AreEqual(right, int.Parse(Said("right"), CultureInfo.InvariantCulture), 2);
        Assert.AreEqual("0.1307", model.Metadata.Properties["input.mean"]);
    }

    [TestMethod]
    public async Task WhatIsNotThereOrNoWeightsIsRefusedWithAReason()
    {
        using var server = Server.Start();
        async Task Refused(HttpStatusCode status, HttpRequestMessage request, params string[] parts)
        {
            using var answer = await server.Client.SendAsync(request);
            string text = await answer.Content.ReadAsStringAsync();
            Assert.AreEqual(status, answer.StatusCode, text);
            foreach (string part in parts) Assert.Contains(part, text, StringComparison.Ordinal);
        }
        HttpRequestMessage Get(string path) => new(HttpMethod.Get, server.Address + path);
        HttpRequestMessage Post(byte[] body) => new(HttpMethod.Post, server.Address + "models") { Content = new ByteArrayContent(body) };
        await Refused(HttpStatusCode.NotFound, Get("no-such-page"), "/no-such-page");
        await Refused(HttpStatusCode.NotFound, Get("ort/..%2f..%2fpackage.json"));
        await Refused(HttpStatusCode.NotFound, Get("models/0123.onnx"), "no model");
        await Refused(HttpStatusCode.MethodNotAllowed, new(HttpMethod.Delete, server.Address), "DELETE");
        await Refused(HttpStatusCode.BadRequest, Post([1, 2, 3]), "3 bytes", "246824");
        byte[] notFinite = new byte[246824];
        BitConverter.TryWriteBytes(notFinite, float.NaN);
        await Refused(HttpStatusCode.BadRequest, Post(notFinite), "finite");
        await Refused(HttpStatusCode.RequestEntityTooLarge, Post(new byte[(4 << 20) + 1]), "too many");

        // Weights that are: zeros make an ordinary file, which gives every image the first class.
        using var made = await server.Client.PostAsync(new Uri(server.Address, "models"), new ByteArrayContent(new byte[246824]));
        var json = JsonNode.Parse(await made.Content.ReadAsStringAsync())!;
        Assert.AreEqual(980 / 10000.0, (double)json["testAccuracy"]!);
        using var download = await server.Client.GetAsync(new Uri(server.Address, (string)json["path"]!));
        Assert.AreEqual("lenet5-browser.onnx", download.Content.Headers.ContentDisposition!.FileName!.Trim('"'));
        Assert.AreEqual((long)json["bytes"]!, (await download.Content.ReadAsByteArrayAsync()).LongLength);
    }

    [TestMethod]
    public void BadOptionsAreRefused()
    {
        Program.Run("serve", "--port", "70000").MustExit(2).MustSay("--port must be", "70000");
        Program.Run("serve", "--ort", "no-such-folder").MustExit(2).MustSay("no-such-folder", "ort.wasm.min.mjs");
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

    /// <summary>The program as a person starts it, until disposed.</summary>
    private sealed partial class Server : IDisposable
    {
        private readonly Process process;

        private Server(Process process, Uri address) => (this.process, Address) = (process, address);

        public Uri Address { get; }

        public HttpClient Client { get; } = new();

        public static Server Start()
        {
            var process = Program.Start("serve", "--port", "0");
            var errors = process.StandardError.ReadToEndAsync();
            string? line = process.StandardOutput.ReadLine();
            if (line is not null) return new Server(process, new Uri(AddressIn().Match(line).Value));
            process.WaitForExit();
            if (process.ExitCode == 3) Assert.Inconclusive(errors.Result);
            Assert.Fail($"exit code {process.ExitCode}: {errors.Result}");
            throw new InvalidOperationException();
        }

        public void Dispose()
        {
            Client.Dispose();
            process.Kill();
            process.Dispose();
        }

        [GeneratedRegex(@"http://127\.0\.0\.1:\d+/")]
        private static partial Regex AddressIn();
    }
}
