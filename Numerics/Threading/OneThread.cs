namespace OnnxLeNet.Numerics;

/// <summary>Tells whether a thread is alone where there is memory for one: an interlocked operation for each entry, and nothing
/// else.</summary>
internal struct OneThread
{
    private int inside;

    /// <summary>Begins what one thread may do at a time; <see cref="Leave"/> ends it. False if a thread is inside.</summary>
    public bool TryEnter() => Interlocked.Exchange(ref inside, 1) == 0;

    /// <summary>Ends what <see cref="TryEnter"/> began.</summary>
    public void Leave() => Volatile.Write(ref inside, 0);

    /// <summary>What a second thread is told.</summary>
    /// <param name="owner">Whose memory it is.</param>
    /// <param name="advice">What several threads do instead.</param>
    public static InvalidOperationException Refusal(string owner, string advice) =>
        new($"{owner}: two threads are in it at once, and it has memory for one: {advice}");
}
