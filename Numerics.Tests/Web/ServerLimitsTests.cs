using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>serve under load and ill will: it says no in time, and stays up.</summary>
[TestClass]
[DoNotParallelize]
public sealed class ServerLimitsTests
{
    [TestMethod]
    public async Task ABodyOfAGigabyteIsRefusedBeforeItComes()
    {
        await using var server = TestServer.Start();
        string answer = await TalkAsync(server, Head(server, "Content-Length: 1073741824"), async stream =>
        {
            // What comes nevertheless is not read: the socket closes, which is its end.
            byte[] part = new byte[1 << 20];
            try { for (int i = 0; i < 1024; i++) await stream.WriteAsync(part); }
            catch (IOException) { }
        });
        Assert.StartsWith("HTTP/1.1 413", answer);
        Assert.Contains("16 MiB", answer);
        await server.MustBeUpAsync();
    }

    [TestMethod]
    public async Task ABodyOfUnknownLengthEndsAtTheLimit()
    {
        await using var server = TestServer.Start();
        string answer = await TalkAsync(server, Head(server, "Transfer-Encoding: chunked"), async stream =>
        {
            byte[] chunk = [.. "100000\r\n"u8, .. new byte[1 << 20], .. "\r\n"u8];
            try { for (int i = 0; i < 64; i++) await stream.WriteAsync(chunk); }
            catch (IOException) { }
        });
        Assert.StartsWith("HTTP/1.1 413", answer);
        await server.MustBeUpAsync();
    }

    /// <summary>All at once: each is answered, those that are too many with 429 or 503.</summary>
    [TestMethod]
    public async Task AThousandRequestsAtOnceAreAllAnswered()
    {
        await using var server = TestServer.Start();
        byte[] picture = await server.ExampleAsync(3);
        var answers = await Task.WhenAll(Enumerable.Range(0, 1000).Select(async _ =>
        {
            using var request = server.Post(picture);
            using var answer = await server.Client.SendAsync(request);
            string text = await answer.Content.ReadAsStringAsync();
            if (answer.StatusCode == HttpStatusCode.OK) Assert.Contains("\"class\":\"3\"", text);
            else Assert.AreEqual("1", answer.Headers.GetValues("Retry-After").Single());
            return (int)answer.StatusCode;
        }));
        var counts = answers.CountBy(status => status).ToDictionary();
        Assert.IsEmpty(counts.Keys.Except([200, 429, 503]));
        Assert.IsGreaterThanOrEqualTo(100, counts.GetValueOrDefault(200));
        await server.MustBeUpAsync();
        Assert.AreEqual("3", (string)(await AfterPauseAsync(server, picture))!);
    }

    [TestMethod]
    public async Task MoreThanTheRateIsRefused()
    {
        await using var server = TestServer.Start(limits: TestServer.Limits(rate: 10, burst: 5));
        byte[] picture = await server.ExampleAsync(3);
        var statuses = new List<HttpStatusCode>();
        for (int i = 0; i < 30; i++)
        {
            using var request = server.Post(picture);
            using var answer = await server.Client.SendAsync(request);
            statuses.Add(answer.StatusCode);
            if (answer.StatusCode != HttpStatusCode.OK)
                await TestServer.RefusedAsync(HttpStatusCode.TooManyRequests, answer, "10 a second", "5 at once");
        }
        Assert.Contains(HttpStatusCode.TooManyRequests, statuses);
        Assert.Contains(HttpStatusCode.OK, statuses);
        for (int i = 0; i < 30; i++) await server.MustBeUpAsync(); // what is only read is not counted
    }

    [TestMethod]
    public async Task ASlowClientIsCutOffAndHoldsNobodyUp()
    {
        await using var server = TestServer.Start(limits: TestServer.Limits(slowest: 1000, grace: 1.5));
        var slow = Enumerable.Range(0, 8).Select(_ => TalkAsync(server, Head(server, "Content-Length: 100000"), async stream =>
        {
            try
            {
                for (int i = 0; i < 100; i++)
                {
                    await stream.WriteAsync(new byte[10]);
                    await Task.Delay(100);
                }
            }
            catch (IOException) { }
        })).ToArray();
        byte[] picture = await server.ExampleAsync(7);
        while (!slow.All(one => one.IsCompleted))
        {
            Assert.AreEqual("7", (string)(await server.PredictAsync(picture))["class"]!);
            await Task.Delay(20);
        }
        foreach (string answer in await Task.WhenAll(slow))
        {
            Assert.StartsWith("HTTP/1.1 408", answer);
            Assert.Contains("too slowly", answer);
        }
    }

    [TestMethod]
    public async Task AHeadThatDoesNotEndIsCutOff()
    {
        await using var server = TestServer.Start(limits: TestServer.Limits(grace: 1.5));
        string answer = await TalkAsync(server, "GET /health HTTP/1.1\r\nHost: ", _ => Task.CompletedTask);
        Assert.StartsWith("HTTP/1.1 408", answer);
        await server.MustBeUpAsync();
    }

    [TestMethod]
    public async Task ARequestThatTakesTooLongIsEnded()
    {
        await using var server = TestServer.Start(limits: TestServer.Limits(slowest: 1, grace: 5, timeout: 1));
        string answer = await TalkAsync(server, Head(server, "Content-Length: 1000"), async stream =>
        {
            for (int i = 0; i < 20; i++)
            {
                await stream.WriteAsync(new byte[10]);
                await Task.Delay(100);
            }
        });
        Assert.StartsWith("HTTP/1.1 503", answer);
        Assert.Contains("more than 1 seconds", answer);
        await server.MustBeUpAsync();
    }

    /// <summary>What is being answered when it is stopped is answered.</summary>
    [TestMethod]
    public async Task StoppingFinishesWhatIsGoingOn()
    {
        var server = TestServer.Start();
        byte[] picture = await server.ExampleAsync(9);
        Task? stopped = null;
        string answer = await TalkAsync(server, Head(server, $"Content-Length: {picture.Length}\r\nConnection: close"), async stream =>
        {
            await stream.WriteAsync(picture.AsMemory(0, 50));
            await Task.Delay(300);
            stopped = server.DisposeAsync().AsTask();
            await Task.Delay(300);
            await stream.WriteAsync(picture.AsMemory(50));
        });
        Assert.StartsWith("HTTP/1.1 200", answer);
        Assert.Contains("\"class\":\"9\"", answer);
        await stopped!;
    }

    private static string Head(TestServer server, string more) =>
        $"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{server.Address.Port}\r\nContent-Type: image/png\r\n{more}\r\n\r\n";

    /// <summary>Sends a head and what follows over a socket of its own; what comes back.</summary>
    private static async Task<string> TalkAsync(TestServer server, string head, Func<Stream, Task> send)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, server.Address.Port);
        var stream = client.GetStream();
        await stream.WriteAsync(Encoding.ASCII.GetBytes(head));
        var sending = send(stream);
        var answer = new StringBuilder();
        byte[] buffer = new byte[1 << 14];
        var watch = Stopwatch.StartNew();
        try
        {
            for (int read; (read = await stream.ReadAsync(buffer).AsTask().WaitAsync(TimeSpan.FromSeconds(30))) > 0;)
            {
                answer.Append(Encoding.UTF8.GetString(buffer, 0, read));
                if (answer.ToString().EndsWith("0\r\n\r\n", StringComparison.Ordinal)) break; // the last chunk
            }
        }
        catch (IOException) when (answer.Length > 0) { } // closed while we were still sending
        client.Close();
        try { await sending; }
        catch (Exception error) when (error is IOException or ObjectDisposedException) { }
        return answer.ToString();
    }

    private static async Task<System.Text.Json.Nodes.JsonNode?> AfterPauseAsync(TestServer server, byte[] picture)
    {
        await Task.Delay(1000);
        return (await server.PredictAsync(picture))["class"];
    }
}
