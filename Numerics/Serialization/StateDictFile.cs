using Microsoft.Win32.SafeHandles;

namespace OnnxLeNet.Numerics;

/// <summary>What a file of a network or its weights is.</summary>
public enum StateFileKind
{
    /// <summary>None that holds a state dict; perhaps an ONNX model.</summary>
    Other,

    /// <summary>What torch.save wrote: <see cref="PyTorchFile"/> reads it.</summary>
    PyTorch,

    /// <summary>A safetensors file: <see cref="SafeTensors"/> reads it.</summary>
    SafeTensors,
}

/// <summary>State dicts in any format that is read here, told apart by what is in the file, not by its ending.</summary>
public static class StateDictFile
{
    private static readonly string[] PyTorchEndings = [".pth", ".pt", ".ckpt", ".bin", ".tar"];

    /// <summary>Reads a state dict.</summary>
    /// <param name="path">A file of torch.save or of safetensors.</param>
    /// <param name="options">Where in it the state dict lies, for what network it is.</param>
    /// <exception cref="DataException">
    /// The file is missing, damaged, or none of the two; a format that is known is named, with the way out of it.
    /// </exception>
    public static StateDict Read(string path, StateReadOptions? options = null)
    {
        using var file = Open(path);
        var kind = KindOf(file, path);
        byte[] bytes = kind == StateFileKind.Other ? RegularFile.ReadHead(file, path) : RegularFile.ReadAll(file, path);
        return kind == StateFileKind.SafeTensors ? SafeTensors.Read(bytes, path, options) : PyTorchFile.Read(bytes, path, options);
    }

    /// <summary>What a file is. Where its first bytes do not tell, its ending does.</summary>
    /// <exception cref="DataException">It is missing, a folder, or of a format that is known and not read.</exception>
    public static StateFileKind KindOf(string path)
    {
        using var file = Open(path);
        return KindOf(file, path);
    }

    /// <summary>The same of an open file, which stays open.</summary>
    internal static StateFileKind KindOf(SafeFileHandle file, string path)
    {
        byte[] head = RegularFile.ReadHead(file, path);
        if (ForeignFormat.Of(file, head, path) is { } foreign) throw new DataException(foreign);
        return KindOf(head, path);
    }

    /// <summary>The same of a file's first bytes.</summary>
    internal static StateFileKind KindOf(byte[] head, string path)
    {
        if (PyTorchFile.IsOne(head)) return StateFileKind.PyTorch;
        if (SafeTensorsHeader.IsOne(head)) return StateFileKind.SafeTensors;
        if (IsOnnx(head)) return StateFileKind.Other;
        string ending = Path.GetExtension(path).ToLowerInvariant();
        return ending == ".safetensors"
            ? StateFileKind.SafeTensors
            : PyTorchEndings.Contains(ending) ? StateFileKind.PyTorch : StateFileKind.Other;
    }

    /// <summary>Whether a file begins as an ONNX model does: its IR version, then one of the fields that follow.</summary>
    internal static bool IsOnnx(ReadOnlySpan<byte> head) =>
        head is [0x08, >= 1 and < 0x40, 0x12 or 0x1A or 0x22 or 0x28 or 0x32 or 0x3A or 0x42, ..];

    private static SafeFileHandle Open(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        return Directory.Exists(path) ? throw new DataException(IsFolder(path)) : RegularFile.Open(path);
    }

    private static string IsFolder(string path)
    {
        if (File.Exists(Path.Combine(path, "saved_model.pb")))
            return $"{path} is a folder, a TensorFlow SavedModel: python -m tf2onnx.convert --saved-model {path} --output model.onnx; "
                + "ONNX is read as it is";
        return $"{path} is a folder, expected a file of a model or its weights";
    }
}
