using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Deque.AxeCore.Commons;
using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>serve's page in a real browser, used as a person uses it.</summary>
[TestClass]
public sealed class PageTests
{
    private static TestServer server = null!;
    private static Browser? browser;

    [ClassInitialize]
    public static void Start(TestContext _) => server = TestServer.Start();

    [ClassCleanup]
    public static async Task Stop()
    {
        if (browser is not null) await browser.DisposeAsync();
        await server.DisposeAsync();
    }

    [TestInitialize]
    public async Task OpenBrowser()
    {
        browser ??= await Browser.StartAsync();
        browser.Complaints.Clear();
        browser.Requests.Clear();
        await browser.EmulateAsync(1280, "light");
    }

    /// <summary>Whatever a test did: no complaint in the console, and no request off this machine.</summary>
    [TestCleanup]
    public void NothingToComplainAbout()
    {
        if (browser is null) return;
        Assert.IsEmpty(browser.Complaints, string.Join("\n", browser.Complaints));
        foreach (string address in browser.Requests.Where(address => !address.StartsWith("about:", StringComparison.Ordinal)))
            Assert.IsTrue(new[] { "http", "data", "blob" }.Contains(new Uri(address).Scheme)
                && (!address.StartsWith("http", StringComparison.Ordinal) || new Uri(address).Host == "127.0.0.1"), address);
    }

    private static Browser Page => browser!;

    private static (double X, double Y)[] Arc(double x, double y, double width, double height, double from, double to) =>
        [.. Enumerable.Range(0, 11).Select(i => from + (to - from) * i / 10)
            .Select(angle => (x + width * Math.Cos(angle), y + height * Math.Sin(angle)))];

    /// <summary>A 3 in one stroke.</summary>
    internal static (double X, double Y)[] Three => [.. Arc(.47, .34, .19, .16, -2.5, 1.4), .. Arc(.47, .66, .21, .18, -1.3, 2.6)];

    /// <summary>Whether the page tells how the engine and ONNX Runtime agree.</summary>
    private const string Measured = "document.getElementById('graph-note').textContent.startsWith('✓')";

    private static Task IsSaidAsync(string digit) => Page.WaitAsync($"document.getElementById('class').textContent == '{digit}'");

    /// <summary>
    /// A page of another site has the browser send weights, by script and by a form, as the page itself may: none becomes a model, so that
    /// the user's own, of which there are eight at most, stays.
    /// </summary>
    [TestMethod]
    public async Task APageOfAnotherSiteCannotAddModels()
    {
        await using var visitor = await Browser.StartAsync(); // one that may complain: of what is refused, and of icons that are not there
        await visitor.OpenAsync(server.Address);
        string own = (string)(await visitor.EvaluateAsync(
            "fetch('models', { method: 'POST', body: new Float32Array(61706) }).then(a => a.json()).then(made => `${made.id}`)"))!;
        // Another site that the browser trusts as it trusts this one: one in the open network it keeps from this machine by itself.
        using var foreign = new TcpListener(IPAddress.Loopback, 0);
        foreign.Start();
        _ = AnswerAsync();
        await visitor.OpenAsync(new Uri($"http://localhost:{((IPEndPoint)foreign.LocalEndpoint).Port}"));
        await visitor.EvaluateAsync($"Promise.allSettled([...Array(9)].map((_, i) => fetch('{server.Address}models', {{ method: 'POST', "
            + "mode: 'no-cors', body: new Float32Array(61706).fill(i + 1) })))");
        await visitor.EvaluateAsync($"document.body.innerHTML = '<form method=post enctype=text/plain action={server.Address}models>"
            + "<input name=weights></form>', document.forms[0].submit()");
        await visitor.WaitAsync("document.body.innerText.includes('may not ask here')");
        using var answer = await server.Client.GetAsync(new Uri($"model?model={own}", UriKind.Relative));
        Assert.AreEqual(HttpStatusCode.OK, answer.StatusCode, "the user's own model is still there");

        // A browser may open connections that it does not use.
        async Task AnswerAsync()
        {
            try { while (true) _ = ShowAsync(await foreign.AcceptTcpClientAsync()); }
            catch (SocketException) { } // the test is over
        }

        static async Task ShowAsync(TcpClient client)
        {
            using (client)
            {
                try
                {
                    await client.GetStream().WriteAsync(
                        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<main>foreign</main>"u8.ToArray());
                    client.Client.Shutdown(SocketShutdown.Send);
                    await client.GetStream().CopyToAsync(Stream.Null);
                }
                catch (IOException) { } // it was not used
            }
        }
    }

    [TestMethod]
    [DataRow("mouse")]
    [DataRow("pen")]
    [DataRow("touch")]
    public async Task DrawAThreeSeeAThree(string device)
    {
        await Page.OpenAsync(server.Address);
        Assert.AreEqual("Nothing drawn", await Page.TextAsync("says"));
        Assert.AreEqual("", await Page.TextAsync("class"));
        await Page.StrokeAsync("#canvas", device, Three);
        await IsSaidAsync("3");
        await Page.WaitAsync("document.getElementById('agreement').textContent.includes('engine and ONNX Runtime agree')");
        Assert.EndsWith("ms", await Page.TextAsync("round-trip"));
        Assert.AreEqual("3", (string)(await Page.EvaluateAsync("document.querySelector('tr.best th').textContent"))!);
        // A screen reader hears it, when it has stood for a moment.
        await Page.WaitAsync("document.getElementById('spoken').textContent.startsWith('3, ')");
        // The layers light up: their canvases show many colours.
        int colours = (int)(await Page.EvaluateAsync("""
            Math.min(...[...document.querySelectorAll('.layers canvas')].map(canvas => new Set(new Uint32Array(canvas.getContext('2d')
              .getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size))
            """))!;
        Assert.IsGreaterThan(5, colours);

        await Page.ClickAsync("#undo");
        await Page.WaitAsync("document.getElementById('says').textContent == 'Nothing drawn'");
        Assert.AreEqual("", await Page.TextAsync("class"));
    }

    /// <summary>A second stroke changes the answer; undo takes it back, and clear all.</summary>
    [TestMethod]
    public async Task StrokesAreTakenBackOneByOne()
    {
        await Page.OpenAsync(server.Address);
        await Page.StrokeAsync("#canvas", "mouse", (.5, .2), (.5, .5), (.5, .8));
        await IsSaidAsync("1");
        await Page.StrokeAsync("#canvas", "mouse", (.25, .2), (.4, .2), (.5, .2));
        await IsSaidAsync("7");
        await Page.ClickAsync("#undo");
        await IsSaidAsync("1");
        await Page.ClickAsync("#clear");
        await Page.WaitAsync("document.getElementById('says').textContent == 'Nothing drawn'");
        Assert.IsTrue((bool)(await Page.EvaluateAsync("document.getElementById('undo').disabled"))!);
    }

    /// <summary>Without a pointer: arrows between the tabs, a button for a test image, and the address says the part.</summary>
    [TestMethod]
    public async Task EverythingGoesByKeyboard()
    {
        await Page.OpenAsync(server.Address);
        await Page.KeyAsync("Tab", 9);
        Assert.AreEqual("draw-tab", await FocusedAsync());
        await Page.KeyAsync("ArrowLeft", 37);
        await Page.WaitAsync("location.hash == '#model' && !document.getElementById('model-body').hidden");
        Assert.AreEqual("model-tab", await FocusedAsync());
        Assert.IsTrue((bool)(await Page.EvaluateAsync("document.getElementById('draw-panel').hidden"))!);
        await Page.KeyAsync("Home", 36);
        await Page.WaitAsync("!document.getElementById('draw-panel').hidden");
        for (int i = 0; i < 15 && (string?)await Page.EvaluateAsync("document.activeElement.getAttribute('aria-label')")
            != "A test image of the digit 7"; i++) await Page.KeyAsync("Tab", 9);
        await Page.KeyAsync("Enter", 13, "\r");
        await IsSaidAsync("7");
        Assert.AreEqual("A test image of the digit 7", (string)(await Page.EvaluateAsync(
            "document.getElementById('canvas').getAttribute('aria-label')"))!);

        static async Task<string> FocusedAsync() => (string)(await Page.EvaluateAsync("document.activeElement.id"))!;
    }

    /// <summary>An address with a part opens that part.</summary>
    [TestMethod]
    public async Task AddressesLeadToTheParts()
    {
        await Page.OpenAsync(new Uri(server.Address, "#model"));
        await Page.WaitAsync("document.querySelector('#graph svg')");
        var label = await Page.EvaluateAsync("document.querySelector('#graph svg').getAttribute('aria-label')");
        Assert.Contains("The graph", (string)label!);
        Assert.Contains("61,706", await Page.TextAsync("model-figures"));
        await Page.WaitAsync($"{Measured} && document.querySelectorAll('#graph .graph-agrees').length >= 9");
        await Page.WaitAsync("document.querySelector('#graph .graph-time')");
    }

    /// <summary>The camera, here one that Chromium plays: pictures are answered until it is stopped.</summary>
    [TestMethod]
    public async Task TheCameraIsAnswered()
    {
        await Page.OpenAsync(server.Address);
        await Page.ClickAsync("#camera");
        await Page.WaitAsync("document.getElementById('round-trip').textContent.endsWith('ms')");
        Assert.AreEqual("Stop camera", await Page.TextAsync("camera"));
        await Page.ClickAsync("#camera");
        Assert.AreEqual("Camera", await Page.TextAsync("camera"));
    }

    /// <summary>Seventy-five steps, then as many more from there; what came of it is drawn on, and is a model as any.</summary>
    [TestMethod]
    public async Task ABrowserTrainsTrainsOnAndDrawsOnIt()
    {
        await Page.OpenAsync(new Uri(server.Address, "#train"));
        await Page.WaitAsync("!document.getElementById('train').disabled || document.getElementById('message').className == 'bad'", 120);
        string message = await Page.TextAsync("message");
        if (message.Contains("npm", StringComparison.Ordinal)) Assert.Inconclusive(message);
        await TrainAsync(75, 75);
        Assert.AreEqual(Math.Log(10), await SaidAsync("first"), 0.4);
        await TrainAsync(75, 150);
        Assert.IsLessThan(1.2, await SaidAsync("last"));
        Assert.AreEqual("Train on", await Page.TextAsync("train"));
        Assert.HasCount(20, (await Page.EvaluateAsync("[...document.querySelectorAll('#guesses .right, #guesses .wrong')].map(g => 0)"))!
            .AsArray());

        byte[] file = await server.Client.GetByteArrayAsync(((string)(await Page.EvaluateAsync("document.body.dataset.path"))!)[1..]);
        OnnxChecker.Check(OnnxFile.Parse(file, "the model from the browser"));
        using var model = OrtModel.Load(file);
        var test = Repository.Mnist.Test;
        int[] classes = Inference.ArgMax(Parity.Logits(model, test));
        int right = Enumerable.Range(0, test.Count).Count(i => classes[i] == test.Label(i));
        Assert.IsGreaterThan(7000, right);
        // The browser's arithmetic differs in the last bits: an image on the border of two classes may fall on either side.
        Assert.AreEqual(right, await SaidAsync("right"), 2);

        await Page.ClickAsync("#try");
        await Page.WaitAsync("!document.getElementById('draw-panel').hidden");
        var chosen = await Page.EvaluateAsync("document.getElementById('which').selectedOptions[0].textContent");
        Assert.Contains("150 steps", (string)chosen!);
        await Page.StrokeAsync("#canvas", "mouse", (.5, .2), (.5, .5), (.5, .8));
        await Page.WaitAsync("document.getElementById('agreement').className == 'good'");
        await Page.EmulateAsync(390, "light");
        Assert.AreEqual(390, (int)(await Page.EvaluateAsync("document.documentElement.scrollWidth"))!);
        await Page.EmulateAsync(1280, "light");

        await Page.EvaluateAsync("location.hash = 'train'");
        await Page.ClickAsync("#reset");
        Assert.AreEqual("0", await Page.TextAsync("step"));
        Assert.AreEqual("Train", await Page.TextAsync("train"));

        static async Task TrainAsync(int steps, int total)
        {
            await Page.EvaluateAsync($"document.getElementById('steps').value = {steps}");
            await Page.ClickAsync("#train");
            await Page.WaitAsync($"document.body.dataset.steps == '{total}' && !document.getElementById('train').disabled", 180);
            Assert.AreEqual($"{total}", await Page.TextAsync("step"));
        }
        static async Task<double> SaidAsync(string name) =>
            double.Parse((string)(await Page.EvaluateAsync($"document.body.dataset.{name}"))!, CultureInfo.InvariantCulture);
    }

    /// <summary>In every part, theme and width: axe finds nothing, nothing spills out sideways, and nothing moves by itself. A part is
    /// opened in one theme and turned to the other.</summary>
    [TestMethod]
    [DataRow(1280, "light", "dark")]
    [DataRow(390, "dark", "light")]
    public async Task EveryPartIsAccessibleAndStays(int width, string first, string second)
    {
        string axe = new BundledAxeScriptProvider().GetScript();
        foreach (string part in new[] { "draw", "train", "model" })
        {
            await Page.EmulateAsync(width, first, reducedMotion: true);
            await Page.OpenAsync(new Uri(server.Address, $"#{part}"));
            if (part == "draw")
            {
                await CheckAsync(part + ", empty");
                await Page.StrokeAsync("#canvas", "mouse", Three);
                await IsSaidAsync("3");
            }
            if (part == "train")
                await Page.WaitAsync("!document.getElementById('train').disabled || document.getElementById('message').className == 'bad'",
                    120);
            if (part == "model") await Page.WaitAsync(Measured);
            await CheckAsync($"{part}, {first}");
            await Page.EmulateAsync(width, second, reducedMotion: true);
            await CheckAsync($"{part}, {second} after {first}");
        }

        async Task CheckAsync(string part)
        {
            Assert.AreEqual("", (string)(await Page.EvaluateAsync("shifts.join('\\n')"))!, $"{part} moves");
            int scroll = (int)(await Page.EvaluateAsync("document.documentElement.scrollWidth"))!;
            Assert.IsLessThanOrEqualTo(width, scroll, $"{part} is {scroll} wide");
            await Page.EvaluateAsync($"{axe}; undefined");
            var found = (await Page.EvaluateAsync("""
                axe.run(document, { resultTypes: ['violations'] }).then(({ violations, passes }) => violations.map(v =>
                  `${v.id}: ${v.help}: ${v.nodes.map(n => n.html + ' ' + n.failureSummary).join('; ')}`)
                  .concat(passes.length > 5 ? [] : ['hardly anything was checked']))
                """))!.AsArray();
            Assert.IsEmpty(found, $"{part}: {string.Join("\n", found.Select(f => (string)f!))}");
        }
    }

    /// <summary>A model of clothes: no digits to draw, but pictures to choose; one that is none says so.</summary>
    [TestMethod]
    public async Task PicturesAreChosenForAnotherModel()
    {
        await using var other = TestServer.Start(TestServer.Model("lenet5-fashion-mnist"));
        using var folder = new TemporaryFolder();
        await File.WriteAllBytesAsync(folder["picture.png"], await other.ExampleAsync(3));
        await File.WriteAllTextAsync(folder["none.png"], "garbage");
        await Page.OpenAsync(other.Address);
        Assert.AreEqual("Show it a picture", await Page.TextAsync("draw-title"));
        Assert.IsTrue((bool)(await Page.EvaluateAsync("document.getElementById('examples').hidden"))!);
        await ChooseAsync(folder["picture.png"]);
        await Page.WaitAsync("document.getElementById('agreement').className == 'good'");
        Assert.Contains("%", await Page.TextAsync("says"));
        await ChooseAsync(folder["none.png"]);
        await Page.WaitAsync("document.getElementById('says').textContent.includes('not a picture that can be read')");
        // The console says that the server refused it, as it must.
        Assert.IsTrue(browser!.Complaints.All(complaint => complaint.Contains("400", StringComparison.Ordinal)));
        browser.Complaints.Clear();

        static async Task ChooseAsync(string path)
        {
            var document = await Page.SendAsync("DOM.getDocument");
            var input = await Page.SendAsync("DOM.querySelector", new() { ["nodeId"] = (int)document["root"]!["nodeId"]!,
                ["selector"] = "#file" });
            await Page.SendAsync("DOM.setFileInputFiles", new() { ["nodeId"] = (int)input["nodeId"]!, ["files"] = new JsonArray(path) });
        }
    }
}
