using System.Text;

namespace OnnxLeNet.Numerics;

/// <summary>Processes that are to work together do not have the same; the message names the one that differs, and in what.</summary>
public sealed class DisagreementException : OnnxLeNetException
{
    /// <summary>An error with its message.</summary>
    public DisagreementException(string message) : base(message) { }
}

/// <summary>What all processes must have alike before they work together: else their results would be nobody's.</summary>
public static class Agreement
{
    /// <summary>Compares what the processes have. All of them call it, with facts of the same names.</summary>
    /// <param name="group">The processes.</param>
    /// <param name="facts">Names and values. Of values longer than a line their hash tells enough.</param>
    /// <exception cref="DisagreementException">A process has another value than most; all processes throw the same.</exception>
    public static void Require(ProcessGroup group, IEnumerable<(string Name, string Value)> facts)
    {
        ArgumentNullException.ThrowIfNull(group);
        ArgumentNullException.ThrowIfNull(facts);
        const char Next = '\u001e', Of = '\u001f';
        string own = string.Join(Next, facts.Select(fact => fact.Name + Of + fact.Value.Replace(Next, ' ')).Prepend("" + Of + group.Host));
        string[][][] all = [.. group.AllGather(Encoding.UTF8.GetBytes(own))
            .Select(bytes => Encoding.UTF8.GetString(bytes).Split(Next).Select(fact => fact.Split(Of, 2)).ToArray())];
        for (int i = 1; i < all.Max(rank => rank.Length); i++)
        {
            string[] values = [.. all.Select(rank => i < rank.Length ? $"{rank[i][0]} {rank[i][1]}" : "nothing")];
            string most = values.GroupBy(value => value).MaxBy(same => same.Count())!.Key;
            int other = Array.FindIndex(values, value => value != most), usual = Array.IndexOf(values, most);
            if (other < 0) continue;
            throw new DisagreementException($"rank {other} on {all[other][0][1]} has {values[other]}, and rank {usual} on "
                + $"{all[usual][0][1]} has {most}: all processes must have the same");
        }
    }
}
