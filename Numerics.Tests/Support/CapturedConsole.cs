using System.Text;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>What is written to the console from here on, by this test and the threads and tasks that it starts; other tests' goes where it
/// went.</summary>
internal sealed class CapturedConsole : IDisposable
{
    private static readonly AsyncLocal<CapturedConsole?> Current = new();

    private readonly StringBuilder output = new(), errors = new();

    static CapturedConsole()
    {
        Console.SetOut(new Router(Console.Out, captured => captured.output));
        Console.SetError(new Router(Console.Error, captured => captured.errors));
    }

    public CapturedConsole() => Current.Value = this;

    public string Output { get { lock (output) return output.ToString(); } }

    public string Errors { get { lock (errors) return errors.ToString(); } }

    public void Dispose() => Current.Value = null;

    private sealed class Router(TextWriter elsewhere, Func<CapturedConsole, StringBuilder> part) : TextWriter
    {
        public override Encoding Encoding => elsewhere.Encoding;

        public override void Write(char value)
        {
            if (Current.Value is not { } captured) elsewhere.Write(value);
            else lock (part(captured)) part(captured).Append(value);
        }

        public override void Write(string? value)
        {
            if (Current.Value is not { } captured) elsewhere.Write(value);
            else lock (part(captured)) part(captured).Append(value);
        }

        public override void Write(char[] buffer, int index, int count) => Write(new string(buffer, index, count));

        public override void Flush()
        {
            if (Current.Value is null) elsewhere.Flush();
        }
    }
}
