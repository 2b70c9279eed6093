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

    /// <summary>Two hundred clients that send half a body and wait: the others are answered all the while.</summary>
    [TestMethod]
    public async Task HalfSentBodiesHoldNobodyUp()
    {
        await using var server = TestServer.Start(limits: TestServer.Limits(grace: 2));
        byte[] picture = await server.ExampleAsync(7);
        var half = Enumerable.Range(0, 200).Select(_ => TalkAsync(server, Head(server, "Content-Length: 100000"),
            async stream => await stream.WriteAsync(new byte[5000]))).ToArray();
        var longest = TimeSpan.Zero;
        while (!half.All(one => one.IsCompleted))
        {
            var watch = Stopwatch.StartNew();
            Assert.AreEqual("7", (string)(await server.PredictAsync(picture))["class"]!);
            if (watch.Elapsed > longest) longest = watch.Elapsed;
            await Task.Delay(20);
        }
        Assert.IsLessThan(TimeSpan.FromSeconds(2), longest);
        foreach (string answer in await Task.WhenAll(half)) Assert.StartsWith("HTTP/1.1 408", answer);
    }

    /// <summary>Bodies have so much memory together; it is free again when they are answered.</summary>
    [TestMethod]
    public async Task TheBodiesOfAllRequestsHaveABudget()
    {
        await using var server = TestServer.Start(limits: TestServer.Limits(bodies: 1 << 20, grace: 30));
        byte[] picture = await server.ExampleAsync(7);
        for (int i = 0; i < 3; i++)
        {
            using var answer = await server.Client.SendAsync(server.Post(new byte[2 << 20]));
            Assert.AreEqual("1", answer.Headers.GetValues("Retry-After").Single());
            await TestServer.RefusedAsync(HttpStatusCode.ServiceUnavailable, answer, "bodies", "1 MiB");
            Assert.AreEqual("7", (string)(await server.PredictAsync(picture))["class"]!);
        }
        // Those that have come in part count too.
        using var waiting = new TcpClient();
        await waiting.ConnectAsync(IPAddress.Loopback, server.Address.Port);
        await waiting.GetStream().WriteAsync(Encoding.ASCII.GetBytes(Head(server, "Content-Length: 2000000")));
        await waiting.GetStream().WriteAsync(new byte[800 << 10]);
        await Task.Delay(500);
        using (var answer = await server.Client.SendAsync(server.Post(new byte[400 << 10])))
            await TestServer.RefusedAsync(HttpStatusCode.ServiceUnavailable, answer, "bodies");
        waiting.Close();
        for (int i = 0; i < 100; i++)
        {
            await Task.Delay(50);
            using var answer = await server.Client.SendAsync(server.Post(new byte[400 << 10]));
            if (answer.StatusCode == HttpStatusCode.BadRequest) return; // read, and no picture
        }
        Assert.Fail("what a client that is gone had sent still counts");
    }

    [TestMethod]
    public async Task OnlySoManyConnectionsAreOpen()
    {
        await using var server = TestServer.Start(limits: TestServer.Limits(connections: 8));
        server.Client.DefaultRequestHeaders.ConnectionClose = true;
        var open = new List<TcpClient>();
        for (int i = 0; i < 8; i++)
        {
            open.Add(new TcpClient());
            await open[i].ConnectAsync(IPAddress.Loopback, server.Address.Port);
            await open[i].GetStream().WriteAsync("GET /health HTTP/1.1\r\n"u8.ToArray());
        }
        await Task.Delay(300);
        await Assert.ThrowsAsync<HttpRequestException>(() => server.Client.GetStringAsync("health"));
        foreach (var client in open) client.Dispose();
        for (int i = 0; i < 100; i++)
        {
            await Task.Delay(50);
            try
            {
                await server.MustBeUpAsync();
                return;
            }
            catch (HttpRequestException) { }
        }
        Assert.Fail("closed connections still count");
    }

    /// <summary>A hundred clients load 47 MB each, slowly: the server sends all of them what it has in memory once.</summary>
    [TestMethod]
    public async Task DownloadsShareTheirMemory()
    {
        await using var server = TestServer.Start();
        byte[] whole = await server.Client.GetByteArrayAsync("train/train-images"); // in memory from here on
        Assert.HasCount(60000 * 28 * 28, whole);
        long before = GC.GetTotalMemory(forceFullCollection: true), allocated = GC.GetTotalAllocatedBytes();
        var clients = new List<TcpClient>();
        byte[] part = new byte[1 << 20];
        for (int i = 0; i < 100; i++)
        {
            clients.Add(new TcpClient());
            await clients[i].ConnectAsync(IPAddress.Loopback, server.Address.Port);
            await clients[i].GetStream().WriteAsync(Encoding.ASCII.GetBytes(
                $"GET /train/train-images HTTP/1.1\r\nHost: 127.0.0.1:{server.Address.Port}\r\n\r\n"));
        }
        foreach (var client in clients) await client.GetStream().ReadExactlyAsync(part);
        Assert.IsLessThan(100L << 20, GC.GetTotalMemory(forceFullCollection: false) - before);
        Assert.IsLessThan(200L << 20, GC.GetTotalAllocatedBytes() - allocated);
        // And one of them gets all of it.
        var last = new List<byte>(part);
        while (last.Count < whole.Length)
        {
            int read = await clients[99].GetStream().ReadAsync(part);
            Assert.AreNotEqual(0, read);
            last.AddRange(part.AsSpan(0, read));
        }
        Assert.IsTrue(last.ToArray().AsSpan().EndsWith(whole), "the file as it is");
        foreach (var client in clients) client.Dispose();
        await server.MustBeUpAsync();
    }

    [TestMethod]
    public Task MemoryIsFlatOverRequests() => StaysFlatAsync(3000);

    [TestMethod]
    [TestCategory("Soak")]
    public Task MemoryIsFlatOver200000Requests() => StaysFlatAsync(200_000);

    /// <summary>Predictions, pages, errors and small files by turns; what is alive afterwards is what was alive before.</summary>
    private static async Task StaysFlatAsync(int requests)
    {
        await using var server = TestServer.Start(limits: TestServer.Limits(rate: 1_000_000, burst: 1_000_000));
        byte[] picture = await server.ExampleAsync(3);
        async Task AskAsync(int i)
        {
            using var request = (i % 6) switch
            {
                0 or 1 => server.Post(picture),
                2 => server.Post(picture[..(i % picture.Length)]),
                3 => new HttpRequestMessage(HttpMethod.Get, new Uri(server.Address, $"page-{i}")),
                4 => new HttpRequestMessage(HttpMethod.Get, new Uri(server.Address, $"examples/{i % 10}?n={i}")),
                _ => new HttpRequestMessage(HttpMethod.Get, new Uri(server.Address, i % 12 == 5 ? "" : "model")),
            };
            using var answer = await server.Client.SendAsync(request);
            await answer.Content.ReadAsByteArrayAsync();
            Assert.IsLessThan(500, (int)answer.StatusCode);
        }
        var options = new ParallelOptions { MaxDegreeOfParallelism = 4 };
        await Parallel.ForAsync(0, 1000, options, async (i, _) => await AskAsync(i));
        long before = GC.GetTotalMemory(forceFullCollection: true);
        await Parallel.ForAsync(0, requests, options, async (i, _) => await AskAsync(i));
        long grown = GC.GetTotalMemory(forceFullCollection: true) - before;
        Assert.IsLessThan(4L << 20, grown, $"{grown:N0} bytes more after {requests:N0} requests");
        await server.MustBeUpAsync();
    }

    internal static string Head(TestServer server, string more, string route = "predict") =>
        $"POST /{route} HTTP/1.1\r\nHost: 127.0.0.1:{server.Address.Port}\r\nContent-Type: image/png\r\n{more}\r\n\r\n";

    /// <summary>Sends a head and what follows over a socket of its own; what comes back.</summary>
    internal static async Task<string> TalkAsync(TestServer server, string head, Func<Stream, Task> send)
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
