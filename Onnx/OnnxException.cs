using System.Text.RegularExpressions;
using Google.Protobuf;
using Microsoft.ML.OnnxRuntime;
using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx;

/// <summary>
/// A model file, an option or a tensor that cannot be used. The message is written for the person at the terminal: what came, what was
/// expected, what to do.
/// </summary>
public sealed partial class OnnxException : OnnxLeNetException
{
    /// <summary>An error with its message.</summary>
    /// <param name="message">What came, what was expected, what to do.</param>
    public OnnxException(string message) : base(message) { }

    /// <summary>An error with its message and the error it came from.</summary>
    /// <param name="message">What came, what was expected, what to do.</param>
    /// <param name="inner">The error underneath.</param>
    public OnnxException(string message, Exception inner) : base(message, inner) { }

    /// <summary>The message's parts, where it lists several problems.</summary>
    internal IReadOnlyList<string> Problems { get; init; } = [];

    /// <summary>
    /// Whether an error comes out of code that knows nothing of models: a library underneath, or arithmetic on what a file states. At the
    /// public API boundary such an error becomes one of this library by <see cref="Of"/>.
    /// </summary>
    internal static bool IsForeign(Exception error) =>
        error is not (OnnxLeNetException or OperationCanceledException or ObjectDisposedException);

    /// <summary>The error of this library for one that <see cref="IsForeign"/>.</summary>
    /// <param name="what">The model, and what was done with it: "model.onnx cannot be read".</param>
    /// <param name="error">The error underneath.</param>
    internal static OnnxException Of(string what, Exception error) => new($"{what}: " + error switch
    {
        OnnxRuntimeException native => OneLine(native),
        OutOfMemoryException => "it needs more memory than there is",
        InsufficientExecutionStackException => "its parts lie inside each other too deeply",
        InvalidProtocolBufferException => error.Message,
        _ => $"{error.Message} ({error.GetType().Name}, which no check foresaw: please report it with the model)",
    }, error);

    /// <summary>What <paramref name="use"/> returns; a foreign error becomes one of this library.</summary>
    internal static T Guard<T>(string what, Func<T> use)
    {
        try { return use(); }
        catch (Exception error) when (IsForeign(error)) { throw Of(what, error); }
    }

    /// <summary>ONNX Runtime's message as one line, without its error code, the model's path and its own source locations.</summary>
    internal static string OneLine(OnnxRuntimeException error)
    {
        var text = Prefix().Replace(error.Message, "");
        for (var at = SourceLocation().Match(text); at.Success; at = SourceLocation().Match(text))
        {
            text = text[..at.Index] + " " + text[SignatureEnd(text, at.Index + at.Length)..];
        }
        return Blanks().Replace(text, " ").Trim();
    }

    // A location is followed by the C++ signature of its function, which ends with the parameters. Parentheses may nest in them, and
    // "operator()" has a pair of its own before.
    private static int SignatureEnd(string text, int start)
    {
        var end = start;
        for (var open = text.IndexOf('(', start); open >= 0; open = end < text.Length && text[end] == '(' ? end : -1)
        {
            var depth = 0;
            end = open;
            do
            {
                depth += text[end] switch { '(' => 1, ')' => -1, _ => 0 };
                end++;
            }
            while (depth > 0 && end < text.Length);
        }
        return end + SignatureTail().Match(text, end).Length;
    }

    [GeneratedRegex(@"^\[ErrorCode:\w+\] (Load model from .*? failed:)?")]
    private static partial Regex Prefix();

    [GeneratedRegex(@"(/|[A-Z]:\\)[^\s:]*onnxruntime[/\\][^\s:]+\.(cc|cpp|cu|h|cuh):\d+ ")]
    private static partial Regex SourceLocation();

    [GeneratedRegex(@"\G( const)?( \[with [^\]]*\])?")]
    private static partial Regex SignatureTail();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Blanks();
}

/// <summary>A device that was asked for and is not there. The message names every missing part, where it was looked for, and how to get
/// it.</summary>
public sealed class MissingDeviceException : MissingPartException
{
    /// <summary>An error with its message.</summary>
    public MissingDeviceException(string message) : base(message) { }

    /// <summary>An error with its message and the error it came from.</summary>
    public MissingDeviceException(string message, Exception inner) : base(message, inner) { }
}
