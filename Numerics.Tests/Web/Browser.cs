using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// A headless Chromium with one page, driven by the Chrome DevTools Protocol over its socket. It keeps what a person would find in the
/// console, and every address that was asked for.
/// </summary>
internal sealed partial class Browser : IAsyncDisposable
{
    private readonly Process process;
    private readonly TemporaryFolder profile;
    private readonly ClientWebSocket socket = new();
    private readonly ConcurrentDictionary<int, TaskCompletionSource<JsonNode>> pending = new();
    private readonly SemaphoreSlim sending = new(1, 1);
    private readonly CancellationTokenSource closing = new();
    private string? session;
    private int last;

    private Browser(Process process, TemporaryFolder profile) => (this.process, this.profile) = (process, profile);

    /// <summary>Errors and warnings of the console, of the page and of its workers.</summary>
    public ConcurrentQueue<string> Complaints { get; } = new();

    /// <summary>The addresses of all requests.</summary>
    public ConcurrentQueue<string> Requests { get; } = new();

    /// <summary>Starts it; the test is inconclusive where there is no Chromium.</summary>
    public static async Task<Browser> StartAsync()
    {
        string program = Tool.Require("chromium", "chromium-browser", "google-chrome");
        var profile = new TemporaryFolder();
        var process = Process.Start(new ProcessStartInfo(program,
        [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
            "--remote-debugging-port=0", $"--user-data-dir={profile.Path}", "about:blank",
        ]) { RedirectStandardError = true })!;
        var browser = new Browser(process, profile);
        string? line;
        Match address;
        do
        {
            line = await process.StandardError.ReadLineAsync();
            address = DevTools().Match(line ?? "");
        }
        while (line is not null && !address.Success);
        Assert.IsTrue(address.Success, "Chromium does not say where it listens");
        _ = process.StandardError.ReadToEndAsync();
        await browser.socket.ConnectAsync(new Uri(address.Value), browser.closing.Token);
        _ = browser.ReceiveAsync();
        var targets = await browser.SendAsync("Target.getTargets");
        var page = targets["targetInfos"]!.AsArray().First(target => (string)target!["type"]! == "page")!;
        var attached = await browser.SendAsync("Target.attachToTarget", new() { ["targetId"] = (string)page["targetId"]!,
            ["flatten"] = true });
        browser.session = (string)attached["sessionId"]!;
        await browser.WatchAsync(browser.session);
        await browser.SendAsync("Page.enable");
        await browser.SendAsync("Target.setAutoAttach", new() { ["autoAttach"] = true, ["waitForDebuggerOnStart"] = false,
            ["flatten"] = true });
        await browser.SendAsync("Page.addScriptToEvaluateOnNewDocument", new() { ["source"] = """
            window.shifts = []
            new PerformanceObserver(list => { for (const entry of list.getEntries())
              window.shifts.push(`${entry.value} of ${entry.sources.map(s => s.node?.outerHTML ?? s.node?.textContent).join(', ')}`) })
              .observe({ type: 'layout-shift', buffered: true })
            """ });
        return browser;
    }

    /// <summary>A command of the protocol to the page; its result.</summary>
    public Task<JsonNode> SendAsync(string method, JsonObject? parameters = null) => SendAsync(method, parameters, session);

    /// <summary>Opens an address and waits until the page shows itself.</summary>
    public async Task OpenAsync(Uri address)
    {
        await SendAsync("Page.navigate", new() { ["url"] = "about:blank" });
        await SendAsync("Page.navigate", new() { ["url"] = address.ToString() });
        await WaitAsync("document.readyState == 'complete' && !document.querySelector('main')?.hidden");
    }

    /// <summary>The value of an expression, or of the promise that it is.</summary>
    public async Task<JsonNode?> EvaluateAsync(string expression)
    {
        var result = await SendAsync("Runtime.evaluate", new() { ["expression"] = expression, ["awaitPromise"] = true,
            ["returnByValue"] = true });
        if (result["exceptionDetails"] is { } thrown) Assert.Fail($"{expression}: {thrown["exception"]?["description"] ?? thrown}");
        return result["result"]!["value"]?.DeepClone();
    }

    /// <summary>The text of an element, by its id.</summary>
    public async Task<string> TextAsync(string id) => (string)(await EvaluateAsync($"document.getElementById('{id}').textContent"))!;

    /// <summary>Waits until an expression is true.</summary>
    public async Task WaitAsync(string expression, int seconds = 60)
    {
        var watch = Stopwatch.StartNew();
        while ((await EvaluateAsync($"!!({expression})"))?.GetValue<bool>() != true)
        {
            if (watch.Elapsed.TotalSeconds > seconds)
            {
                var shown = await EvaluateAsync("document.body.innerText");
                Assert.Fail($"{expression} is not so after {seconds} s\n{shown}\n{string.Join("\n", Complaints)}");
            }
            await Task.Delay(50);
        }
    }

    /// <summary>Clicks an element as a mouse does.</summary>
    public async Task ClickAsync(string selector)
    {
        var (x, y, width, height) = await BoxAsync(selector);
        foreach (string type in new[] { "mousePressed", "mouseReleased" })
            await MouseAsync(type, x + width / 2, y + height / 2);
    }

    /// <summary>Presses and releases a key.</summary>
    public async Task KeyAsync(string key, int code, string text = "")
    {
        foreach (string type in new[] { "keyDown", "keyUp" })
        {
            var parameters = new JsonObject { ["type"] = type, ["key"] = key, ["windowsVirtualKeyCode"] = code };
            if (type == "keyDown" && text.Length > 0) parameters["text"] = text;
            await SendAsync("Input.dispatchKeyEvent", parameters);
        }
    }

    /// <summary>Draws a line over an element through points from 0 to 1 of its sides: with mouse, pen or touch.</summary>
    public async Task StrokeAsync(string selector, string device, params (double X, double Y)[] points)
    {
        var (left, top, width, height) = await BoxAsync(selector);
        for (int i = 0; i < points.Length; i++)
        {
            double x = left + points[i].X * width, y = top + points[i].Y * height;
            if (device == "touch") await TouchAsync(i == 0 ? "touchStart" : "touchMove", x, y);
            else await MouseAsync(i == 0 ? "mousePressed" : "mouseMoved", x, y, device);
            if (i < points.Length - 1) continue;
            if (device == "touch")
                await SendAsync("Input.dispatchTouchEvent", new() { ["type"] = "touchEnd", ["touchPoints"] = new JsonArray() });
            else await MouseAsync("mouseReleased", x, y, device);
        }
    }

    /// <summary>Shows pages as on a screen of this width, in a theme.</summary>
    public async Task EmulateAsync(int width, string theme, bool reducedMotion = false)
    {
        await SendAsync("Emulation.setDeviceMetricsOverride", new() { ["width"] = width, ["height"] = 900, ["deviceScaleFactor"] = 1,
            ["mobile"] = width < 600 });
        static JsonObject Feature(string name, string value) => new() { ["name"] = name, ["value"] = value };
        await SendAsync("Emulation.setEmulatedMedia", new()
        {
            ["features"] = new JsonArray(Feature("prefers-color-scheme", theme),
                Feature("prefers-reduced-motion", reducedMotion ? "reduce" : "no-preference")),
        });
    }

    /// <summary>A picture of the whole page, as PNG.</summary>
    public async Task<byte[]> ScreenshotAsync()
    {
        var result = await SendAsync("Page.captureScreenshot", new() { ["captureBeyondViewport"] = true });
        return Convert.FromBase64String((string)result["data"]!);
    }

    public async ValueTask DisposeAsync()
    {
        await closing.CancelAsync();
        process.Kill(entireProcessTree: true);
        await process.WaitForExitAsync();
        socket.Dispose();
        process.Dispose();
        for (int tries = 0; ; tries++)
        {
            try
            {
                profile.Dispose();
                return;
            }
            catch (IOException) when (tries < 20) { await Task.Delay(100); } // its helpers write until they have ended
        }
    }

    private async Task<(double X, double Y, double Width, double Height)> BoxAsync(string selector)
    {
        var box = (await EvaluateAsync($$"""
            (() => { const element = document.querySelector('{{selector}}')
              element.scrollIntoView({ block: 'nearest' })
              const { x, y, width, height } = element.getBoundingClientRect()
              return [x, y, width, height] })()
            """))!.AsArray().Select(number => (double)number!).ToArray();
        return (box[0], box[1], box[2], box[3]);
    }

    private Task<JsonNode> MouseAsync(string type, double x, double y, string device = "mouse") =>
        SendAsync("Input.dispatchMouseEvent", new()
        {
            ["type"] = type, ["x"] = x, ["y"] = y, ["button"] = "left", ["buttons"] = 1, ["clickCount"] = type == "mouseMoved" ? 0 : 1,
            ["pointerType"] = device,
        });

    private Task<JsonNode> TouchAsync(string type, double x, double y) => SendAsync("Input.dispatchTouchEvent", new()
    {
        ["type"] = type, ["touchPoints"] = new JsonArray(new JsonObject { ["x"] = x, ["y"] = y }),
    });

    private async Task WatchAsync(string to)
    {
        foreach (string domain in new[] { "Runtime", "Log", "Network" })
        {
            // A worker has not all of them.
            try { await SendAsync($"{domain}.enable", null, to); }
            catch (AssertFailedException) when (to != session) { }
        }
    }

    private async Task<JsonNode> SendAsync(string method, JsonObject? parameters, string? to)
    {
        int id = Interlocked.Increment(ref last);
        var message = new JsonObject { ["id"] = id, ["method"] = method, ["params"] = parameters ?? [] };
        if (to is not null) message["sessionId"] = to;
        var answer = pending[id] = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await sending.WaitAsync();
        try
        {
            await socket.SendAsync(Encoding.UTF8.GetBytes(message.ToJsonString()), WebSocketMessageType.Text, true, closing.Token);
        }
        finally { sending.Release(); }
        return await answer.Task.WaitAsync(TimeSpan.FromMinutes(2));
    }

    private async Task ReceiveAsync()
    {
        var buffer = new byte[1 << 16];
        try
        {
            while (true)
            {
                using var message = new MemoryStream();
                WebSocketReceiveResult part;
                do
                {
                    part = await socket.ReceiveAsync(buffer, closing.Token);
                    message.Write(buffer, 0, part.Count);
                }
                while (!part.EndOfMessage);
                if (part.MessageType == WebSocketMessageType.Close) return;
                Hear(JsonNode.Parse(message.ToArray())!);
            }
        }
        catch (Exception error) when (error is OperationCanceledException or WebSocketException or ObjectDisposedException) { }
    }

    private void Hear(JsonNode message)
    {
        if (message["id"] is { } id)
        {
            if (!pending.TryRemove((int)id, out var answer)) return;
            if (message["error"] is { } error) answer.SetException(new AssertFailedException($"{error}"));
            else answer.SetResult(message["result"]!);
            return;
        }
        var event_ = message["params"]!;
        switch ((string)message["method"]!)
        {
            case "Runtime.consoleAPICalled" when (string)event_["type"]! is "error" or "warning" or "assert":
                Complaints.Enqueue(event_["args"]!.ToJsonString());
                break;
            case "Runtime.exceptionThrown":
                Complaints.Enqueue(event_["exceptionDetails"]!.ToJsonString());
                break;
            case "Log.entryAdded" when (string)event_["entry"]!["level"]! is "error" or "warning":
                Complaints.Enqueue(event_["entry"]!.ToJsonString());
                break;
            case "Network.requestWillBeSent":
                Requests.Enqueue((string)event_["request"]!["url"]!);
                break;
            case "Target.attachedToTarget":
                _ = WatchAsync((string)event_["sessionId"]!);
                break;
        }
    }

    [GeneratedRegex(@"ws://127\.0\.0\.1:\d+/\S+")]
    private static partial Regex DevTools();
}
