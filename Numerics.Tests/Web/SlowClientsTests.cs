using System.Net.Sockets;
using static OnnxLeNet.Numerics.Tests.ServerLimitsTests;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>serve and clients that are slow, stop half-way or come when it is told to stop.</summary>
[TestClass]
public sealed class SlowClientsTests
{
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

    /// <summary>A body that ends before its length is never taken for a whole one.</summary>
    [TestMethod]
    [DataRow("predict", "Content-Length: 246824")]
    [DataRow("models", "Content-Length: 246824")]
    [DataRow("predict", "Transfer-Encoding: chunked")]
    public async Task HalfABodyIsNoBody(string route, string length)
    {
        await using var server = TestServer.Start();
        byte[] picture = await server.ExampleAsync(7);
        string answer = "";
        try
        {
            answer = await TalkAsync(server, Head(server, length, route), async stream =>
            {
                if (length.EndsWith("chunked", StringComparison.Ordinal)) await stream.WriteAsync("FFFF\r\n"u8.ToArray());
                await stream.WriteAsync(picture); // a whole picture, which could be answered
                ((NetworkStream)stream).Socket.Shutdown(SocketShutdown.Send);
            });
        }
        catch (IOException) { } // closed without an answer
        Assert.IsTrue(answer.Length == 0 || answer.StartsWith("HTTP/1.1 400", StringComparison.Ordinal), answer);
        await server.MustBeUpAsync();
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
}
