using System.Net;
using System.Net.Sockets;
using System.Text;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>What is too much for serve is refused, and it stays up; how soon and in how much memory is in ServerLimitsTests.</summary>
[TestClass]
[DoNotParallelize]
public sealed class ServerRefusalsTests
{
    [TestMethod]
    public async Task ABodyOfAGigabyteIsRefusedBeforeItComes()
    {
        await using var server = TestServer.Start();
        string head = ServerLimitsTests.Head(server, "Content-Length: 1073741824");
        string answer = await ServerLimitsTests.TalkAsync(server, head, async stream =>
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
        string head = ServerLimitsTests.Head(server, "Transfer-Encoding: chunked");
        string answer = await ServerLimitsTests.TalkAsync(server, head, async stream =>
        {
            byte[] chunk = [.. "100000\r\n"u8, .. new byte[1 << 20], .. "\r\n"u8];
            try { for (int i = 0; i < 64; i++) await stream.WriteAsync(chunk); }
            catch (IOException) { }
        });
        Assert.StartsWith("HTTP/1.1 413", answer);
        await server.MustBeUpAsync();
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
        await waiting.GetStream().WriteAsync(Encoding.ASCII.GetBytes(ServerLimitsTests.Head(server, "Content-Length: 2000000")));
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
}
