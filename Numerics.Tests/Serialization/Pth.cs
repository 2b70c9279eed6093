using System.Globalization;
using System.Text;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Files as torch.save writes them, around any pickle; and pickles out of pieces of text.</summary>
internal static class Pth
{
    /// <summary>The pickle of an empty OrderedDict.</summary>
    public static byte[] Empty => Pickle("ccollections\nOrderedDict\n)R.");

    /// <summary>A file of a pickle and further entries.</summary>
    public static byte[] Of(byte[] pickle, params (string Name, byte[] Data)[] entries)
    {
        using var zip = new StoredZipWriter();
        zip.Add("archive/data.pkl", pickle);
        foreach (var (name, data) in entries) zip.Add($"archive/{name}", data);
        zip.Add("archive/version", "3\n"u8);
        return zip.ToBytes();
    }

    /// <summary>A pickle of protocol 2; each character is a byte.</summary>
    public static byte[] Pickle(string operations) => [0x80, 2, .. Encoding.Latin1.GetBytes(operations)];

    /// <summary>The operation that makes a text of fewer than 256 characters.</summary>
    public static string Text(string text) => $"X{(char)text.Length}\0\0\0{text}";

    /// <summary>The operation that makes an integer.</summary>
    public static string Int(int value)
    {
        var bytes = BitConverter.GetBytes(value);
        return "J" + Encoding.Latin1.GetString(bytes);
    }

    /// <summary>A dict of one tensor, w, over the storage 0.</summary>
    public static string OneTensor(string type = "FloatStorage", int count = 4, int offset = 0, string sizes = "2,2",
        string strides = "2,1", string key = "0") =>
        $"}}({Text("w")}{Tensor(type, count, offset, sizes, strides, key)}u.";

    /// <summary>The operations that make a tensor.</summary>
    public static string Tensor(string type, int count, int offset, string sizes, string strides, string key) =>
        $"ctorch._utils\n_rebuild_tensor_v2\n(({Text("storage")}ctorch\n{type}\n{Text(key)}{Text("cpu")}{Int(count)}tQ"
        + $"{Int(offset)}{Ints(sizes)}{Ints(strides)}\u0089ccollections\nOrderedDict\n)RtR";

    private static string Ints(string values) =>
        "(" + string.Concat(values.Split(',', StringSplitOptions.RemoveEmptyEntries)
            .Select(value => Int(int.Parse(value, CultureInfo.InvariantCulture)))) + "t";
}
