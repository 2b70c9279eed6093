namespace OnnxLeNet.Numerics;

/// <summary>
/// What this library throws for input that is wrong; the message says what came, what was expected and what to do. It may be shown as it
/// is: what a file's names hold that is no text stands there as U+FFFD, and a long message is cut.
/// </summary>
public class OnnxLeNetException : Exception
{
    /// <summary>An error with its message.</summary>
    public OnnxLeNetException(string message) : base(DisplayText.Message(message)) { }

    /// <summary>An error with its message and what caused it.</summary>
    public OnnxLeNetException(string message, Exception inner) : base(DisplayText.Message(message), inner) { }
}

/// <summary>A shape that does not fit where it was given.</summary>
public sealed class ShapeException : OnnxLeNetException
{
    /// <summary>An error with its message.</summary>
    public ShapeException(string message) : base(message) { }
}

/// <summary>A data file that is missing, damaged or not what its name says, or a label that is no class.</summary>
public sealed class DataException : OnnxLeNetException
{
    /// <summary>An error with its message.</summary>
    public DataException(string message) : base(message) { }

    /// <summary>An error with its message and what caused it.</summary>
    public DataException(string message, Exception inner) : base(message, inner) { }
}

/// <summary>A device or library that is not there; the message says which, where it was looked for and how to get it.</summary>
public class MissingPartException : OnnxLeNetException
{
    /// <summary>An error with its message.</summary>
    public MissingPartException(string message) : base(message) { }

    /// <summary>An error with its message and what caused it.</summary>
    public MissingPartException(string message, Exception inner) : base(message, inner) { }
}
