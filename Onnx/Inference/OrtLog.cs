using Microsoft.ML.OnnxRuntime;
using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx;

/// <summary>ONNX Runtime's own log: each entry a line of plain text on standard error, without colours, whatever a file's names hold.
/// </summary>
internal static class OrtLog
{
    /// <summary>The most characters of an entry.</summary>
    private const int MostCharacters = 500;

    /// <summary>Takes an entry. Native code calls it on any thread: it must not throw.</summary>
    public static void Write(IntPtr parameter, OrtLoggingLevel severity, string category, string logId, string location, string message)
    {
        try
        {
            Console.Error.WriteLine($"ONNX Runtime: {DisplayText.Cut(DisplayText.OneLine(message ?? ""), MostCharacters)}");
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            // Standard error is closed or full: there is nobody to tell.
        }
    }
}
