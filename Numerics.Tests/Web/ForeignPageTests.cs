using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>A page of another origin, in a real browser: what it sends to serve is refused, whether or not it may read the answer.</summary>
[TestClass]
[DoNotParallelize]
public sealed class ForeignPageTests
{
    /// <summary>Another port of this machine is the same site to a browser; its other name is another one.</summary>
    [TestMethod]
    public async Task APageFromElsewhereMayNotPost()
    {
        await using var server = TestServer.Start();
        await using var browser = await Browser.StartAsync();
        using var elsewhere = new Elsewhere();
        foreach (string host in (string[])["127.0.0.1", "localhost"])
        {
            await browser.OpenAsync(new Uri($"http://{host}:{elsewhere.Port}/"));
            CollectionAssert.AreEqual(new[] { 403, 403, 403 }, await PostAsync(browser, server.Address), host);
        }
        // The page that it serves may: its bodies are looked at, and are no weights and no picture.
        await browser.OpenAsync(server.Address);
        CollectionAssert.AreEqual(new[] { 400, 400, 400 }, await PostAsync(browser, server.Address));
        Assert.AreEqual("ok", (string)JsonNode.Parse(await server.Client.GetStringAsync("health"))!["status"]!);
    }

    /// <summary>The answers to a model and a picture that a script sends, and to a picture that a form does.</summary>
    private static async Task<int[]> PostAsync(Browser browser, Uri address)
    {
        browser.Answers.Clear();
        await browser.EvaluateAsync($$"""
            (async () => {
              for (const path of ['models', 'predict'])
                await fetch('{{address}}' + path, { method: 'POST', mode: 'no-cors', body: new Uint8Array(100) }).catch(() => {})
              const frame = document.createElement('iframe')
              frame.name = 'frame'
              const form = document.createElement('form')
              Object.assign(form, { method: 'POST', action: '{{address}}predict', target: 'frame' })
              document.body.append(frame, form)
              form.submit()
            })()
            """);
        for (int i = 0; i < 200 && browser.Answers.Count(answer => answer.Method == "POST") < 3; i++) await Task.Delay(50);
        return [.. browser.Answers.Where(answer => answer.Method == "POST").Select(answer => answer.Status)];
    }

    /// <summary>A page of another server.</summary>
    private sealed class Elsewhere : IDisposable
    {
        private readonly TcpListener listener = TcpListener.Create(0); // of both families

        public Elsewhere()
        {
            listener.Start();
            _ = ServeAsync();
        }

        public int Port => ((IPEndPoint)listener.LocalEndpoint).Port;

        public void Dispose() => listener.Stop();

        private async Task ServeAsync()
        {
            const string Page = "<!doctype html><main>elsewhere</main>";
            byte[] answer = Encoding.ASCII.GetBytes("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n"
                + $"Content-Length: {Page.Length}\r\n\r\n{Page}");
            while (true)
            {
                try
                {
                    using var client = await listener.AcceptTcpClientAsync();
                    await client.GetStream().ReadAsync(new byte[65536]);
                    await client.GetStream().WriteAsync(answer);
                }
                catch (IOException) { } // the browser has thought better of it
                catch (Exception error) when (error is ObjectDisposedException or SocketException) { return; }
            }
        }
    }
}
