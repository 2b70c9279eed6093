using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using OnnxLeNet.Onnx;
using OnnxLeNet.Scripts.Verbs;
using OnnxLeNet.Scripts.Web;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>serve's routes: what they take and what they answer.</summary>
[TestClass]
public sealed class ServerTests
{
    private static TestServer server = null!;

    [ClassInitialize]
    public static void Start(TestContext _) => server = TestServer.Start();

    [ClassCleanup]
    public static async Task Stop() => await server.DisposeAsync();

    [TestMethod]
    [DataRow("", "text/html")]
    [DataRow("index.html", "text/html")]
    [DataRow("theme.css", "text/css")]
    [DataRow("page.css", "text/css")]
    [DataRow("app.js", "text/javascript")]
    [DataRow("trainer.js", "text/javascript")]
    [DataRow("icon.svg", "image/svg+xml")]
    [DataRow("health", "application/json")]
    [DataRow("model", "application/json")]
    [DataRow("model/graph.svg", "image/svg+xml")]
    [DataRow("model/figures", "application/json")]
    [DataRow("openapi.json", "application/json")]
    [DataRow("examples/7", "image/png")]
    [DataRow("train/step.onnx", "application/octet-stream")]
    [DataRow("train/initial.onnx", "application/octet-stream")]
    [DataRow("train/test-images", "application/octet-stream")]
    [DataRow("train/test-labels", "application/octet-stream")]
    public async Task EveryRouteAnswers(string path, string type)
    {
        using var answer = await server.Client.GetAsync(path);
        Assert.AreEqual(HttpStatusCode.OK, answer.StatusCode);
        Assert.AreEqual(type, answer.Content.Headers.ContentType!.MediaType);
        Assert.IsNotEmpty(await answer.Content.ReadAsByteArrayAsync());
        string policy = answer.Headers.GetValues("Content-Security-Policy").Single();
        Assert.Contains("default-src 'none'", policy);
        Assert.DoesNotContain("unsafe-inline", policy);
        Assert.Contains("script-src 'self' 'wasm-unsafe-eval';", policy);
        Assert.Contains("frame-ancestors 'none'", policy);
        foreach (var (header, value) in new[]
        {
            ("X-Content-Type-Options", "nosniff"), ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cross-Origin-Opener-Policy", "same-origin"), ("Cross-Origin-Embedder-Policy", "require-corp"),
        }) Assert.AreEqual(value, answer.Headers.GetValues(header).Single(), header);
    }

    /// <summary>What the policy forbids, the page does not have.</summary>
    [TestMethod]
    public async Task ThePageHasNoInlineScriptOrStyle()
    {
        string page = await server.Client.GetStringAsync("");
        foreach (Match script in Regex.Matches(page, @"<script\b[^>]*>(?<body>.*?)</script>", RegexOptions.Singleline))
            Assert.AreEqual("", script.Groups["body"].Value);
        Assert.IsFalse(Regex.IsMatch(page, @"<style|\sstyle=|\son\w+=|javascript:"), page);
    }

    [TestMethod]
    [DataRow("no-such-page")]
    [DataRow("package.json")]
    [DataRow("Server.fs")]
    [DataRow("..%2fOnnxLeNet.Scripts.dll")]
    [DataRow("ort/..%2f..%2fpackage.json")]
    [DataRow("examples/10")]
    [DataRow("models/0123")]
    [DataRow("train/nothing")]
    public async Task WhatIsNotThereIsSaid(string path)
    {
        using var answer = await server.Client.GetAsync(path);
        await TestServer.RefusedAsync(HttpStatusCode.NotFound, answer, "");
    }

    [TestMethod]
    public Task AnotherMethodIsRefused() =>
        server.RefusesAsync(HttpStatusCode.MethodNotAllowed, new(HttpMethod.Delete, new Uri(server.Address, "health")), "DELETE", "GET");

    /// <summary>Every route of the description is there, and the description has those that a program may ask.</summary>
    [TestMethod]
    public async Task TheOpenApiDescriptionIsOfTheRoutes()
    {
        var document = JsonNode.Parse(await server.Client.GetStringAsync("openapi.json"))!;
        Assert.StartsWith("3.", (string)document["openapi"]!);
        var described = document["paths"]!.AsObject().SelectMany(path => path.Value!.AsObject().Select(o => $"{o.Key} {path.Key}")).Order();
        Assert.AreEqual("get /health, get /model, get /models/{id}, post /models, post /predict", string.Join(", ", described));
        foreach (var (path, methods) in document["paths"]!.AsObject())
        {
            foreach (var (method, operation) in methods!.AsObject())
            {
                using var request = new HttpRequestMessage(new HttpMethod(method.ToUpperInvariant()),
                    new Uri(server.Address, path.Replace("{id}", "0123", StringComparison.Ordinal)));
                using var answer = await server.Client.SendAsync(request);
                string status = ((int)answer.StatusCode).ToString(CultureInfo.InvariantCulture);
                Assert.IsNotNull(operation!["responses"]![status], $"{method} {path} answers {status}");
            }
        }
        // The schema of an answer has the fields that come.
        var answered = await server.PredictAsync(await server.ExampleAsync(3));
        var schema = document["components"]!["schemas"]!["Prediction"]!["properties"]!.AsObject();
        Assert.AreEqual(string.Join(", ", answered.AsObject().Select(field => field.Key)), string.Join(", ", schema.Select(f => f.Key)));
        Assert.Contains("null", schema["class"]!["type"]!.AsArray().Select(type => (string)type!));
    }

    /// <summary>The fields that predict's JSON has are the same, to the last digit.</summary>
    [TestMethod]
    public async Task ItAnswersAsPredictDoes()
    {
        using var folder = new TemporaryFolder();
        byte[] picture = await server.ExampleAsync(5, 3);
        await File.WriteAllBytesAsync(folder["five.png"], picture);
        Program.Run("predict", TestServer.Model("lenet5-mnist"), folder["five.png"], "--json", folder["five.json"]).MustExit(0);
        var verb = folder.Json("five.json")["predictions"]![0]!.AsObject();
        var answer = await server.PredictAsync(picture);
        foreach (string field in new[] { "class", "probability", "top", "agree" })
            Assert.AreEqual(verb[field]!.ToJsonString(), answer[field]!.ToJsonString(), field);
        foreach (string path in new[] { "engine", "onnxRuntime" })
            foreach (var (field, value) in verb[path]!.AsObject())
                Assert.AreEqual(value!.ToJsonString(), answer[path]![field]!.ToJsonString(), $"{path} {field}");
        Assert.AreEqual("5", (string)answer["class"]!);
        double[] own = Numbers(answer["engine"]!), theirs = Numbers(answer["onnxRuntime"]!);
        Assert.AreEqual(own.Zip(theirs, (a, b) => Math.Abs(a - b)).Max(), (double)answer["difference"]!);
        Assert.AreEqual(1, own.Sum(), 1e-9);
        Assert.IsGreaterThan(0, (double)answer["engine"]!["milliseconds"]!);
        Assert.IsNull(answer["layers"]);

        static double[] Numbers(JsonNode path) => [.. path["probabilities"]!.AsArray().Select(p => (double)p!)];
    }

    /// <summary>A picture as bytes, in a form, as numbers, and the model's own input: one answer.</summary>
    [TestMethod]
    public async Task APictureMayComeInManyForms()
    {
        byte[] picture = await server.ExampleAsync(8);
        string expected = Said(await server.PredictAsync(picture));
        using var form = new MultipartFormDataContent { { new ByteArrayContent(picture), "file", "eight.png" } };
        using var answer = await server.Client.PostAsync("predict", form);
        var ofForm = JsonNode.Parse(await answer.Content.ReadAsStringAsync())!;
        Assert.AreEqual(expected, Said(ofForm));
        Assert.AreEqual("eight.png", (string)ofForm["file"]!);

        using var stream = new MemoryStream(picture);
        var decoded = Picture.Load(stream, "eight");
        var rows = decoded.Pixels.Chunk(decoded.Width).Select(row => $"[{string.Join(',', row)}]");
        Assert.AreEqual(expected, Said(await Json($"{{\"pixels\":[{string.Join(',', rows)}]}}")));
        var colours = decoded.Pixels.Chunk(decoded.Width).Select(row => $"[{string.Join(',', row.Select(p => $"[{p},{p},{p}]"))}]");
        Assert.AreEqual(expected, Said(await Json($"{{\"pixels\":[{string.Join(',', colours)}]}}")));

        var (batch, _) = new ImageDataset(new Shape(1, 28, 28), decoded.Pixels, new byte[1], ImageTransform.Mnist).Take([0]);
        string numbers = string.Join(',', batch.ToTensor().Data.Select(x => x.ToString("R", CultureInfo.InvariantCulture)));
        Assert.AreEqual(expected, Said(await Json($"{{\"input\":[{numbers}]}}")));
        byte[] pgm = [.. Encoding.ASCII.GetBytes($"P5\n28 28\n255\n"), .. decoded.Pixels];
        Assert.AreEqual(expected, Said(await server.PredictAsync(pgm, "image/x-portable-graymap", "?top=3")));

        static string Said(JsonNode answer) => answer["top"]!.ToJsonString();
        Task<JsonNode> Json(string text) => server.PredictAsync(Encoding.UTF8.GetBytes(text), "application/json");
    }

    [TestMethod]
    public async Task TheLayersComeWhereTheyAreAskedFor()
    {
        var answer = await server.PredictAsync(await server.ExampleAsync(0), query: "?layers=true&top=1");
        Assert.HasCount(1, answer["top"]!.AsArray());
        var layers = answer["layers"]!.AsArray();
        Assert.HasCount(7, layers);
        Assert.AreEqual("[6,28,28]", layers[0]!["shape"]!.ToJsonString());
        Assert.HasCount(6 * 28 * 28, Convert.FromBase64String((string)layers[0]!["pixels"]!));
        // The last layer's numbers are the logits: the largest is that of the class, at full brightness or below a larger negative one.
        byte[] last = Convert.FromBase64String((string)layers[^1]!["pixels"]!);
        Assert.HasCount(10, last);
        Assert.AreEqual(255, last.Max());
        Assert.Contains(layer => Convert.FromBase64String((string)layer!["pixels"]!).Distinct().Count() > 20, layers);
    }

    /// <summary>Nothing drawn is no digit.</summary>
    [TestMethod]
    [DataRow(0)]
    [DataRow(255)]
    [DataRow(7)]
    public async Task AnEmptyCanvasIsNoDigit(int grey)
    {
        byte[] pixels = new byte[168 * 168];
        Array.Fill(pixels, (byte)grey);
        var answer = await server.PredictAsync([.. "P5\n168 168\n255\n"u8, .. pixels], "image/x-portable-graymap");
        Assert.IsTrue((bool)answer["blank"]!);
        Assert.IsNull(answer["class"]);
        Assert.IsNull(answer["probability"]);
        Assert.IsEmpty(answer["top"]!.AsArray());
    }

    [TestMethod]
    [DataRow("image/png", "garbage", "not a picture that can be read", "garbage")]
    [DataRow("image/png", "", "empty")]
    [DataRow("image/png", "P5\n100000 100000\n255\nx", "100000×100000")]
    [DataRow("application/json", "{", "no JSON")]
    [DataRow("application/json", "{\"\\ud800\":1}", "no JSON", "no Unicode")]
    [DataRow("application/json", "{\"pixels\":[[\"\\udc00\"]]}", "no JSON", "no Unicode")]
    [DataRow("application/json", "{\"input\":[1],\"input\":[2]}", "no JSON", "input")]
    [DataRow("application/json", "[1,2]", "neither \"pixels\" nor \"input\"")]
    [DataRow("application/json", "{\"pixels\":[],\"input\":[]}", "alone")]
    [DataRow("application/json", "{\"pixels\":[]}", "empty")]
    [DataRow("application/json", "{\"pixels\":[[1,2],[3]]}", "one length")]
    [DataRow("application/json", "{\"pixels\":[[1,256]]}", "256", "0 to 255")]
    [DataRow("application/json", "{\"pixels\":[[[1,2]]]}", "2 numbers", "red")]
    [DataRow("application/json", "{\"pixels\":\"AAAA\"}", "pixels")]
    [DataRow("application/json", "{\"input\":[1,2,3]}", "3 numbers", "1024")]
    [DataRow("application/json", "{\"input\":[true]}", "true")]
    [DataRow("multipart/form-data", "x", "boundary")]
    public async Task WhatIsNoPictureIsRefusedWithAReason(string type, string body, params string[] parts)
    {
        await server.RefusesAsync(HttpStatusCode.BadRequest, server.Post(Encoding.UTF8.GetBytes(body), type), parts);
        await server.MustBeUpAsync();
    }

    /// <summary>A picture is taken whatever its bytes are said to be: nothing, or what curl says of data by itself.</summary>
    [TestMethod]
    [DataRow("application/octet-stream")]
    [DataRow("application/x-www-form-urlencoded")]
    public async Task APictureOfAnotherTypeIsTaken(string type)
    {
        byte[] picture = PngFile.Encode(Repository.Mnist.Test.PictureAt(0));
        Assert.AreEqual("7", (string)(await server.PredictAsync(picture, type))["class"]!);
    }

    /// <summary>A picture that is cut short, or changed in a byte, gives an answer or a reason.</summary>
    [TestMethod]
    public async Task DamagedPicturesDoNoHarm()
    {
        byte[] picture = await server.ExampleAsync(2);
        var random = new Random(1);
        for (int i = 0; i < 60; i++)
        {
            byte[] damaged = [.. picture[..(i % 2 == 0 ? random.Next(picture.Length) : picture.Length)]];
            if (damaged.Length > 0) damaged[random.Next(damaged.Length)] ^= (byte)(1 << random.Next(8));
            using var request = server.Post(damaged);
            using var answer = await server.Client.SendAsync(request);
            if (answer.StatusCode != HttpStatusCode.OK) await TestServer.RefusedAsync(HttpStatusCode.BadRequest, answer);
        }
        await server.MustBeUpAsync();
    }

    /// <summary>A page from elsewhere must not ask, under this machine's name or its own.</summary>
    [TestMethod]
    [DataRow("Host", "evil.example")]
    [DataRow("Host", "127.0.0.1")]
    [DataRow("Host", "localhost:1")]
    [DataRow("Origin", "http://evil.example")]
    [DataRow("Origin", "https://127.0.0.1")]
    [DataRow("Origin", "null")]
    [DataRow("Sec-Fetch-Site", "cross-site")]
    [DataRow("Sec-Fetch-Site", "same-site")]
    public async Task AForeignHostOrOriginIsRefused(string header, string value)
    {
        foreach (string path in new[] { "predict", "models", "model", "train/step.onnx", "" })
        {
            var request = new HttpRequestMessage(path is "predict" or "models" ? HttpMethod.Post : HttpMethod.Get,
                new Uri(server.Address, path));
            if (request.Method == HttpMethod.Post) request.Content = new ByteArrayContent(await server.ExampleAsync(1));
            request.Headers.Add(header, value);
            await server.RefusesAsync(HttpStatusCode.Forbidden, request, value);
        }
    }

    /// <summary>A link on another site opens the page, in a window and not in a frame; nothing is sent by it.</summary>
    [TestMethod]
    [DataRow("GET", "navigate", "document", HttpStatusCode.OK)]
    [DataRow("GET", "navigate", "iframe", HttpStatusCode.Forbidden)]
    [DataRow("GET", "no-cors", "image", HttpStatusCode.Forbidden)]
    [DataRow("POST", "navigate", "document", HttpStatusCode.Forbidden)]
    public async Task ALinkFromElsewhereOpensThePage(string method, string mode, string destination, HttpStatusCode expected)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), new Uri(server.Address, method == "GET" ? "" : "predict"));
        foreach (var (name, value) in new[] { ("Site", "cross-site"), ("Mode", mode), ("Dest", destination) })
            request.Headers.Add($"Sec-Fetch-{name}", value);
        using var answer = await server.Client.SendAsync(request);
        Assert.AreEqual(expected, answer.StatusCode);
    }

    /// <summary>Names that some system takes for another folder, a drive or a stream are none, wherever it runs.</summary>
    [TestMethod]
    [DataRow("ort.mjs", true)]
    [DataRow("ort-wasm_2.wasm", true)]
    [DataRow("none.mjs", false)]
    [DataRow("C:ort.mjs", false)]
    [DataRow("ort.mjs:stream", false)]
    [DataRow("..", false)]
    [DataRow("../dist/ort.mjs", false)]
    [DataRow("..\\dist\\ort.mjs", false)]
    [DataRow("/etc/passwd", false)]
    [DataRow(".hidden", false)]
    [DataRow("", false)]
    public void FilesOfOnnxRuntimeWebAreNamedPlainly(string name, bool found)
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["dist"]);
        foreach (string file in new[] { "ort.mjs", "ort-wasm_2.wasm", ".hidden" }) File.WriteAllText(folder[$"dist/{file}"], "");
        if (!OperatingSystem.IsWindows())
            foreach (string file in new[] { "C:ort.mjs", "ort.mjs:stream" }) File.WriteAllText(folder[$"dist/{file}"], "");
        Assert.AreEqual(found, OnnxRuntimeWeb.tryFile(folder["dist"], name) is not null);
    }

    [TestMethod]
    public async Task ItsOwnNamesAreAnswered()
    {
        foreach (string host in new[] { $"127.0.0.1:{server.Address.Port}", $"localhost:{server.Address.Port}" })
        {
            using var request = server.Post(await server.ExampleAsync(1));
            request.Headers.Add("Host", host);
            request.Headers.Add("Origin", $"http://{host}");
            request.Headers.Add("Sec-Fetch-Site", "same-origin");
            using var answer = await server.Client.SendAsync(request);
            Assert.AreEqual(HttpStatusCode.OK, answer.StatusCode);
        }
        using var client = new HttpClient();
        Assert.Contains("ok", await client.GetStringAsync($"http://localhost:{server.Address.Port}/health"));
    }

    /// <summary>Weights become an ordinary model that can be asked at once; what are none is refused.</summary>
    [TestMethod]
    public async Task WeightsFromTheBrowserBecomeAModel()
    {
        HttpRequestMessage Weights(byte[] body) =>
            new(HttpMethod.Post, new Uri(server.Address, "models")) { Content = new ByteArrayContent(body) };
        await server.RefusesAsync(HttpStatusCode.BadRequest, Weights([1, 2, 3]), "3 bytes", "246824");
        byte[] notFinite = new byte[246824];
        BitConverter.TryWriteBytes(notFinite, float.NaN);
        await server.RefusesAsync(HttpStatusCode.BadRequest, Weights(notFinite), "finite");
        await server.RefusesAsync(HttpStatusCode.BadRequest, new(HttpMethod.Get, new Uri(server.Address, "model?model=none")), "'none'");

        // The weights of the model that comes with the project: the same answers.
        var network = OnnxImporter.Import(TestServer.Model("lenet5-mnist")).Network;
        byte[] weights = [.. network.Parameters().SelectMany(p => p.Value.Data).SelectMany(BitConverter.GetBytes)];
        using var request = Weights(weights);
        using var answer = await server.Client.SendAsync(request);
        var made = JsonNode.Parse(await answer.Content.ReadAsStringAsync())!;
        Assert.IsGreaterThan(0.985, (double)made["testAccuracy"]!);
        byte[] file = await server.Client.GetByteArrayAsync(((string)made["path"]!)[1..]);
        Assert.AreEqual((int)made["bytes"]!, file.Length);
        OnnxChecker.Check(OnnxFile.Parse(file, "the model from the browser"));
        byte[] picture = await server.ExampleAsync(4);
        var (served, own) = (await server.PredictAsync(picture), await server.PredictAsync(picture, query: $"?model={made["id"]}"));
        Assert.AreEqual((double)served["probability"]!, (double)own["probability"]!, 1e-6);
    }

    /// <summary>A model of clothes takes pictures as they are, and has no digits to draw.</summary>
    [TestMethod]
    public async Task AnotherModelIsServed()
    {
        await using var other = TestServer.Start(TestServer.Model("lenet5-fashion-mnist"));
        var model = JsonNode.Parse(await other.Client.GetStringAsync("model"))!;
        Assert.IsFalse((bool)model["digits"]!);
        Assert.HasCount(10, model["classes"]!.AsArray());
        var answer = await other.PredictAsync(await other.ExampleAsync(1));
        Assert.IsTrue((bool)answer["agree"]!);
        Assert.Contains((string)answer["class"]!, model["classes"]!.AsArray().Select(name => (string)name!));
    }

    /// <summary>An int8 model, which the engine does not import, is answered by ONNX Runtime alone.</summary>
    [TestMethod]
    public async Task WhatTheEngineCannotImportOnnxRuntimeAnswers()
    {
        await using var other = TestServer.Start(TestServer.Model("lenet5-mnist-int8"));
        var model = JsonNode.Parse(await other.Client.GetStringAsync("model"))!;
        Assert.IsNotNull(model["engineProblem"]);
        var answer = await other.PredictAsync(await other.ExampleAsync(6));
        Assert.AreEqual("6", (string)answer["class"]!);
        Assert.IsNull(answer["engine"]);
        Assert.IsNull(answer["agree"]);
        foreach (string picture in new[] { "model/graph.svg", "model/figures" })
        {
            using var refused = await other.Client.GetAsync(picture);
            await TestServer.RefusedAsync(HttpStatusCode.NotFound, refused, "cannot import");
        }
    }

    /// <summary>Every node has its time and how it agrees; a network that is not the file's is seen through.</summary>
    [TestMethod]
    public async Task NodesHaveTheirFigures()
    {
        var model = OnnxFile.Read(TestServer.Model("lenet5-mnist"));
        var imported = OnnxImporter.Import(model);
        int nodes = Graph.Trace(imported.Network, imported.Sample).Nodes.Count;
        var served = JsonNode.Parse(await server.Client.GetStringAsync("model/figures"))!;
        Assert.IsTrue((bool)served["passed"]!);
        Assert.StartsWith($"✓ The engine and ONNX Runtime agree in all {nodes} layers", (string)served["text"]!);
        Assert.Contains("a training step of 64 samples", (string)served["text"]!);
        string picture = (string)served["picture"]!;
        Assert.AreEqual(nodes, picture.Split("graph-figure graph-agrees").Length - 1);
        Assert.Contains("class=\"graph-time\"", picture);

        imported.Network.Parameters().First().Value.Data[0] += 0.5f;
        var lie = NodeFigures.measure("a lie", model, imported);
        Assert.IsFalse(lie.Passed);
        Assert.StartsWith($"✗ The engine and ONNX Runtime differ in 1 of {nodes} layers", lie.Text);
        Assert.AreEqual(1, lie.Picture.Split("graph-figure graph-differs").Length - 1);
    }

    [TestMethod]
    public async Task AModelThatDoesNotSayWhatItsInputWantsNeedsTheOptions()
    {
        using var folder = new TemporaryFolder();
        var model = OnnxFile.Read(TestServer.Model("lenet5-mnist"));
        model.MetadataProps.Clear();
        OnnxFile.Write(model, folder["bare.onnx"]);
        var error = Assert.Throws<OnnxLeNetException>(() => TestServer.Start(folder["bare.onnx"]));
        Assert.Contains("--mean", error.Message);
        await using var server = TestServer.Start(folder["bare.onnx"], given: new Input.Given("0.1307", "0.3081", null, 2, null));
        await server.MustBeUpAsync();
    }
}
