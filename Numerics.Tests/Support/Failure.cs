namespace OnnxLeNet.Numerics.Tests;

/// <summary>Errors as users meet them: the type and what the message must say.</summary>
internal static class Failure
{
    /// <summary>Fails unless the action throws exactly this type, with every part in its message.</summary>
    public static T Of<T>(Action action, params ReadOnlySpan<string> parts) where T : Exception
    {
        var error = Assert.ThrowsExactly<T>(action);
        foreach (string part in parts) StringAssert.Contains(error.Message, part, StringComparison.Ordinal);
        return error;
    }
}
