using System.Net;
using System.Text.Json.Nodes;
using Microsoft.FSharp.Core;
using OnnxLeNet.Scripts.Verbs;
using OnnxLeNet.Scripts.Web;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>The server behind serve, in this process, on a port of its own.</summary>
internal sealed class TestServer : IAsyncDisposable
{
    private readonly Server.Server server;

    private TestServer(Server.Server server) => this.server = server;

    public Uri Address => server.Address;

    public HttpClient Client { get; private init; } = null!;

    /// <summary>A model that comes with the project.</summary>
    public static string Model(string name) => Path.Combine(Repository.Root, "models", $"{name}.onnx");

    public static TestServer Start(string? model = null, Guards.Limits? limits = null, Input.Given? given = null)
    {
        var server = Server.Server.Start(new Server.Settings(0, model ?? Model("lenet5-mnist"), given ?? Input.nothing,
            FSharpOption<Fit>.None, FSharpOption<string>.None, FSharpOption<string>.None, limits ?? Guards.usual,
            FuncConvert.FromAction<string>(_ => { })));
        return new TestServer(server) { Client = new HttpClient { BaseAddress = server.Address, Timeout = TimeSpan.FromMinutes(2) } };
    }

    /// <summary>The usual limits but for those named.</summary>
    public static Guards.Limits Limits(int rate = 0, int burst = 0, int waiting = 0, double slowest = 0, double grace = 0,
        double timeout = 0, long connections = 0, long bodies = 0)
    {
        var usual = Guards.usual;
        return new Guards.Limits(connections > 0 ? connections : usual.Connections, usual.Body, bodies > 0 ? bodies : usual.Bodies,
            rate > 0 ? rate : usual.Rate, burst > 0 ? burst : usual.Burst,
            waiting > 0 ? waiting : usual.Waiting, usual.WaitingModels, slowest > 0 ? slowest : usual.SlowestBody,
            grace > 0 ? TimeSpan.FromSeconds(grace) : usual.Grace, timeout > 0 ? TimeSpan.FromSeconds(timeout) : usual.Timeout);
    }

    /// <summary>A test image of MNIST, as PNG.</summary>
    public Task<byte[]> ExampleAsync(int digit, int number = 0) => Client.GetByteArrayAsync($"examples/{digit}?n={number}");

    /// <summary>The answer to a body that is sent to /predict.</summary>
    public async Task<JsonNode> PredictAsync(byte[] body, string type = "image/png", string query = "")
    {
        using var content = new ByteArrayContent(body);
        content.Headers.ContentType = new(type);
        using var answer = await Client.PostAsync($"predict{query}", content);
        string text = await answer.Content.ReadAsStringAsync();
        Assert.AreEqual(HttpStatusCode.OK, answer.StatusCode, text);
        return JsonNode.Parse(text)!;
    }

    /// <summary>Fails unless a request is refused with this status, and with a problem that says these parts.</summary>
    public async Task RefusesAsync(HttpStatusCode status, HttpRequestMessage request, params string[] parts)
    {
        using (request)
        using (var answer = await Client.SendAsync(request)) await RefusedAsync(status, answer, parts);
    }

    /// <summary>The same of an answer.</summary>
    public static async Task RefusedAsync(HttpStatusCode status, HttpResponseMessage answer, params string[] parts)
    {
        string text = await answer.Content.ReadAsStringAsync();
        Assert.AreEqual(status, answer.StatusCode, text);
        Assert.AreEqual("application/problem+json", answer.Content.Headers.ContentType?.MediaType, text);
        string detail = (string)JsonNode.Parse(text)!["detail"]!;
        foreach (string part in parts) Assert.Contains(part, detail, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", text, "a stack trace reached the user");
    }

    /// <summary>A POST to /predict.</summary>
    public HttpRequestMessage Post(byte[] body, string type = "image/png") => new(HttpMethod.Post, new Uri(Address, "predict"))
    {
        Content = new ByteArrayContent(body) { Headers = { ContentType = new(type) } },
    };

    /// <summary>Whether it answers still.</summary>
    public async Task MustBeUpAsync() =>
        Assert.AreEqual("ok", (string)JsonNode.Parse(await Client.GetStringAsync("health"))!["status"]!);

    public ValueTask DisposeAsync()
    {
        Client.Dispose();
        return ((IAsyncDisposable)server).DisposeAsync();
    }
}
