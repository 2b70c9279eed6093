using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace OnnxLeNet.Numerics;

/// <summary>Pictures that several processes read together: which of them this one decodes, and how all get the rest.</summary>
internal sealed class SharedPictures
{
    private const char Next = '\u001e', Of = '\u001f';

    private readonly ProcessGroup group;
    private readonly int[] starts; // the first picture of each process, and after the last

    /// <summary>Divides the pictures, of which all processes have the same list.</summary>
    /// <exception cref="DisagreementException">A process has another list.</exception>
    public SharedPictures(ProcessGroup group, IReadOnlyList<PictureEntry> entries)
    {
        this.group = group;
        string list = string.Join('\n', entries.Select(entry => $"{entry.Part} {entry.Class} {entry.Name}"));
        string hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(list)));
        Agreement.Require(group, [("pictures", $"{entries.Count:#,0}, by their names {hash}")]);
        starts = [.. Enumerable.Range(0, group.Size + 1).Select(rank => (int)((long)rank * entries.Count / group.Size))];
    }

    /// <summary>The pictures that this process decodes: from, and to before which.</summary>
    public (int From, int To) Own => (starts[group.Rank], starts[group.Rank + 1]);

    /// <summary>Whether this process is the one that keeps what was decoded.</summary>
    public bool IsFirst => group.Rank == 0;

    /// <summary>Gives every process all images, what is wrong with which picture, and whether any were decoded.</summary>
    public void Exchange(byte[] pixels, string?[] problems, ref bool isNew)
    {
        int size = pixels.Length / Math.Max(1, starts[^1]);
        group.AllGather(pixels, Array.ConvertAll(starts, first => first * size));
        string own = string.Join(Next, problems.Index().Where(problem => problem.Item is not null)
            .Select(problem => $"{problem.Index}{Of}{problem.Item}"));
        foreach (byte[] told in group.AllGather(Encoding.UTF8.GetBytes(own)))
            foreach (string problem in Encoding.UTF8.GetString(told).Split(Next, StringSplitOptions.RemoveEmptyEntries))
                if (problem.Split(Of, 2) is [var index, var text]) problems[int.Parse(index, CultureInfo.InvariantCulture)] = text;
        isNew = group.AllReduceMax(isNew ? 1 : 0) > 0;
    }
}
