using System.Globalization;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>How soon serve's page answers.</summary>
[TestClass]
[DoNotParallelize]
public sealed class PageSpeedTests
{
    private const int Strokes = 9;

    /// <summary>
    /// From a stroke's last point to its answer on the page: the median of nine. Inconclusive where this machine is too busy to answer even
    /// what needs no work in that time.
    /// </summary>
    [TestMethod]
    public async Task AStrokeIsAnsweredInUnderThirtyMilliseconds()
    {
        await using var page = await Browser.StartAsync();
        await using var server = TestServer.Start();
        await page.EmulateAsync(1280, "light");
        await page.OpenAsync(server.Address);
        List<double> strokes = [], others = [];
        for (int stroke = 0; stroke < Strokes; stroke++)
        {
            await page.StrokeAsync("#canvas", "mouse", PageTests.Three);
            await page.WaitAsync("document.getElementById('class').textContent == '3'");
            await Task.Delay(100); // the answer to the last point is there
            strokes.Add(double.Parse((await page.TextAsync("round-trip")).Split(' ')[0], CultureInfo.InvariantCulture));
            await page.ClickAsync("#clear");
            others.Add((double)(await page.EvaluateAsync("""
                (async () => { const began = performance.now()
                  await (await fetch('health')).json()
                  return performance.now() - began })()
                """))!);
        }
        double median = strokes.Order().ElementAt(Strokes / 2), other = others.Order().ElementAt(Strokes / 2);
        if (median >= 30 && other > 10) Assert.Inconclusive($"this machine is busy: /health takes {other:F0} ms, a stroke {median:F0} ms");
        Assert.IsLessThan(30, median);
    }
}
