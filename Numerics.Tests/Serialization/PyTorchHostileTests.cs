namespace OnnxLeNet.Numerics.Tests;

/// <summary>Pickles that want something else than to be a state dict.</summary>
[TestClass]
[DoNotParallelize]
public sealed class PyTorchHostileTests
{
    private static readonly byte[] Sixteen = [.. Enumerable.Range(0, 16).Select(i => (byte)i)];

    /// <summary>What makes a .pth file dangerous: unpickled by Python, this one runs a command.</summary>
    [TestMethod]
    [DataRow("os", "system")]
    [DataRow("posix", "system")]
    [DataRow("builtins", "eval")]
    [DataRow("torch._utils", "_rebuild_tensor_v2.__globals__")]
    [DataRow("torch", "load")]
    [DataRow("__main__", "Net")]
    [DataRow("collections", "OrderedDict.fromkeys")]
    public void AFunctionIsRefusedByItsName(string module, string function)
    {
        using var folder = new ModelFolder();
        byte[] file = Pth.Of(Pth.Pickle($"c{module}\n{function}\n{Pth.Text($"touch '{folder["ran"]}'")}\u0085R."));
        Failure.Of<DataException>(() => PyTorchFile.Read(file), $"'{module}.{function}'", "nothing of it was run");
        File.WriteAllBytes(folder["hostile.pth"], file);
        Failure.Of<DataException>(() => PyTorchFile.Read(folder["hostile.pth"]), $"'{module}.{function}'", "hostile.pth");
        Assert.IsFalse(File.Exists(folder["ran"]));
    }

    [TestMethod]
    public void AFunctionInAStateDictIsRefusedAndOneBesideItIsLeftAlone()
    {
        byte[] file = Pth.Of(Pth.Pickle($"}}({Pth.Text("w")}cos\nsystem\n{Pth.Text("true")}\u0085Ru."));
        Failure.Of<DataException>(() => PyTorchFile.Read(file), "'w'", "'os.system'", "nothing of it was run");
        string inside = $"{Pth.Text("state_dict")}}}{Pth.Text("x")}cos\nsystem\n{Pth.Text("true")}\u0085Rs";
        Failure.Of<DataException>(() => PyTorchFile.Read(Pth.Of(Pth.Pickle($"}}({inside}u.")), new StateReadOptions { Key = "state_dict" }),
            "'x'", "'os.system'");

        // Beside it, in every way that a pickle can use one: as a name, called, made, given items, members and attributes, as a key.
        using var folder = new ModelFolder();
        string command = Pth.Text($"touch '{folder["ran"]}'"), call = $"cos\nsystem\n{command}\u0085R";
        string beside = $"{Pth.Text("a")}cos\nsystem\n{Pth.Text("b")}{call}{Pth.Text("c")}{call}({command}{call}u"
            + $"{Pth.Text("d")}{call}({command}e{Pth.Text("e")}{call}}}b{Pth.Text("f")}{call})R{call}{call}"
            + $"{Pth.Text("g")}\u008C\u0002os\u008C\u0006system\u0093{command}\u0085\u0081{Pth.Text("h")}\u008F({command}\u0090";
        var read = PyTorchFile.Read(Pth.Of(Pth.Pickle($"}}({Pth.Text("net")}{Pth.OneTensor()[..^1]}{beside}u."), ("data/0", Sixteen)));
        Assert.AreEqual(new Shape(2, 2), read["w"].Shape);
        Assert.IsFalse(File.Exists(folder["ran"]));
    }

    [TestMethod]
    [DataRow("ctorch\nQInt8Storage\n.", "no state dict but torch.QInt8Storage", "")]
    [DataRow("(ios\nsystem\n.", "0x69 (Inst)", "")]
    [DataRow(")\u0081.", "stack is empty", "")]
    [DataRow("\u0093.", "stack is empty", "")]
    [DataRow("K\u0001\u008C\u0001a\u0093.", "a name is an integer and a text", "")]
    [DataRow("\u0095\u00FF\0\0\0\0\0\0\0}.", "cut short", "")]
    [DataRow("\u008D\u00FF\u00FF\u00FF\u00FF\u00FF\u00FF\u00FF\u00FFa.", "cut short", "")]
    [DataRow("\u0097.", "0x97 (NextBuffer)", "")]
    [DataRow("](K\u0001\u0090.", "added to a list of 0, expected a set", "")]
    [DataRow("\u0082\u0001.", "0x82 (Ext1)", "")]
    [DataRow("\u00FF.", "0xFF", "")]
    [DataRow("ctorch\nFloatStorage\n)R.", "calls torch.FloatStorage", "")]
    [DataRow("K\u0001)R.", "calls an integer", "")]
    [DataRow("ccollections\nOrderedDict\nK\u0001R.", "expected a tuple", "")]
    [DataRow("ccollections\nOrderedDict\nK\u0001\u0085R.", "a tuple of 1", "")]
    [DataRow("ctorch._utils\n_rebuild_tensor_v2\n)R.", "a tensor is put together", "")]
    [DataRow("ctorch._utils\n_rebuild_parameter\nK\u0001\u0088}\u0087R.", "calls torch._utils._rebuild_parameter", "")]
    [DataRow("X\u0001\0\0\0aQ.", "refers to a text", "")]
    [DataRow("}}b.", "sets attributes of a dict", "")]
    [DataRow("ccollections\nOrderedDict\n)RK\u0001b.", "sets attributes", "")]
    [DataRow("K\u0001.", "no state dict but an integer", "")]
    [DataRow("}K\u0001K\u0002s.", "'1' is an integer", "")]
    [DataRow("}X\u0001\0\0\0aNs.", "'a' is None", "")]
    [DataRow("}})s.", "key is a dict", "")]
    [DataRow("}(K\u0001u.", "no pairs", "")]
    [DataRow(")(K\u0001K\u0002u.", "a tuple of 0, expected a dict", "")]
    [DataRow("}K\u0001a.", "expected a list", "")]
    [DataRow(".", "stack is empty", "")]
    [DataRow("}(0.", "stack is empty", "")]
    [DataRow("}(.", "stack is empty", "")]
    [DataRow("}}.", "left over", "")]
    [DataRow("}.}", "1 bytes follow", "")]
    [DataRow("}t.", "mark is missing", "")]
    [DataRow("}\u0086.", "too few", "")]
    [DataRow("}(\u0085.", "too few", "")]
    [DataRow("q\0.", "stack is empty", "")]
    [DataRow("h\u0007.", "nothing is kept at 7", "")]
    [DataRow("X\u00FF\u00FF\u00FF\u00FFa.", "cut short", "")]
    [DataRow("X\u0001\0\0\0\u00FF.", "no UTF-8", "")]
    [DataRow("c\u00FF\nb\n.", "no UTF-8", "")]
    [DataRow("cos.", "no end", "")]
    [DataRow("\u008A\u0009123456789.", "an integer of 9 bytes", "")]
    [DataRow("}", "cut short", "")]
    [DataRow("\u0080\u0002.", "0x80 (Proto)", "")]
    public void IsRefused(string operations, string part, string other) =>
        Failure.Of<DataException>(() => PyTorchFile.Read(Pth.Of(Pth.Pickle(operations))), part, other);

    [TestMethod]
    public void OtherProtocolsAreRefused()
    {
        Failure.Of<DataException>(() => PyTorchFile.Read(Pth.Of([0x80, 6, .. "}."u8])), "protocol 6");
        Failure.Of<DataException>(() => PyTorchFile.Read(Pth.Of([0x80, 1, .. "}."u8])), "protocol 1");
        Failure.Of<DataException>(() => PyTorchFile.Read(Pth.Of([.. "}."u8])), "does not begin with its protocol");
        Failure.Of<DataException>(() => PyTorchFile.Read(Pth.Of([])), "does not begin with its protocol");
    }

    [TestMethod]
    [DataRow("FloatStorage", 4, 0, "2,2", "2,1", null)]
    [DataRow("FloatStorage", 4, 0, "2,2", "1,2", null)]
    [DataRow("FloatStorage", 4, 3, "1,1", "99999,-0", null)]
    [DataRow("FloatStorage", 4, 4, "0,2", "2,1", null)]
    [DataRow("FloatStorage", 4, 0, "1000,1000", "0,0", null)]
    [DataRow("FloatStorage", 4, 1, "2,2", "2,1", "reaches to element 4, its storage has 4")]
    [DataRow("FloatStorage", 4, -1, "2,2", "2,1", "from element -1")]
    [DataRow("FloatStorage", 4, 0, "2,2", "-1,1", "stride -1")]
    [DataRow("FloatStorage", 4, 0, "2,2", "2147483647,2147483647", "reaches to element 4294967294")]
    [DataRow("FloatStorage", 4, 0, "2,-2", "2,1", "size -2")]
    [DataRow("FloatStorage", 4, 0, "65536,65536", "0,0", "more elements than an array holds")]
    [DataRow("FloatStorage", 4, 0, "10000,10000", "0,0", "too many for a file")]
    [DataRow("FloatStorage", 4, 0, "30000,30000", "0,0", "more bytes than an array holds")]
    [DataRow("FloatStorage", 4, 0, "2,2", "2", "2 axes, there are 1 strides")]
    [DataRow("FloatStorage", 5, 0, "2,2", "2,1", "should have 5 F32")]
    [DataRow("FloatStorage", 2147483647, 0, "2,2", "2,1", "should have 2147483647 F32")]
    [DataRow("FloatStorage", -4, 0, "0", "1", "should have -4 F32")]
    [DataRow("HalfStorage", 4, 0, "2,2", "2,1", "should have 4 F16")]
    public void ATensorLiesInsideItsStorage(string type, int count, int offset, string sizes, string strides, string? part)
    {
        byte[] file = Pth.Of(Pth.Pickle(Pth.OneTensor(type, count, offset, sizes, strides)), ("data/0", Sixteen));
        if (part is null)
        {
            Assert.HasCount(1, PyTorchFile.Read(file));
            return;
        }
        Assert.IsTrue(States.Refuses(() => PyTorchFile.Read(file)));
        Failure.Of<DataException>(() => PyTorchFile.Read(file), "'w'", part);
    }

    [TestMethod]
    [DataRow("1", "no entry 'archive/data/1'")]
    [DataRow("../version", "'../version'")]
    [DataRow("", "''")]
    public void AStorageHasANumber(string key, string part) =>
        Failure.Of<DataException>(() => PyTorchFile.Read(Pth.Of(Pth.Pickle(Pth.OneTensor(key: key)), ("data/0", Sixteen))), part);

    [TestMethod]
    public void AStorageHasOneTypeAndANameOneTensor()
    {
        string floats = Pth.Tensor("FloatStorage", 4, 0, "4", "1", "0"), integers = Pth.Tensor("LongStorage", 2, 0, "2", "1", "0");
        Failure.Of<DataException>(() => PyTorchFile.Read(Pth.Of(Pth.Pickle($"}}({Pth.Text("w")}{floats}{Pth.Text("v")}{integers}u."),
            ("data/0", Sixteen))), "'v'", "F32 elsewhere");
        Failure.Of<DataException>(() => PyTorchFile.Read(Pth.Of(Pth.Pickle($"}}({Pth.Text("w")}{floats}{Pth.Text("w")}{floats}u."),
            ("data/0", Sixteen))), "'w' is there twice");
    }

    /// <summary>Each a few bytes or megabytes of pickle that would like to be much more.</summary>
    [TestMethod]
    public void NothingGrowsWithoutEnd()
    {
        // A tuple of the same tuple twice, 5000 times: 2^5000 values to anyone who walks them.
        string laughs = string.Concat(Enumerable.Repeat("q\0h\0\u0086", 5000));
        Failure.Of<DataException>(() => PyTorchFile.Read(Pth.Of(Pth.Pickle($"){laughs}."))), "a tuple of 2");
        Failure.Of<DataException>(() => PyTorchFile.Read(Pth.Of(Pth.Pickle(new string('(', 20_000)))), "marks");
        Failure.Of<DataException>(() => PyTorchFile.Read(Pth.Of(Pth.Pickle(new string('}', 20_000)))), "deep");
        Failure.Of<DataException>(() => PyTorchFile.Read(Pth.Of(Pth.Pickle(")" + new string('\u0085', 2_100_000)))), "operations");
        Failure.Of<DataException>(() => PyTorchFile.Read(Pth.Of(Pth.Pickle($"c{new string('a', 100_000)}\nb\n"))), "name");
        Failure.Of<DataException>(() => PyTorchFile.Read(Pth.Of(new byte[17 << 20])), "at most");

        // A million bytes, shared by a thousand tensors.
        var operations = new System.Text.StringBuilder("}(");
        for (int i = 0; i < 1000; i++) operations.Append(Pth.Text($"w{i}")).Append(Pth.Tensor("FloatStorage", 250_000, 0, "250000", "1",
            "0"));
        byte[] shared = Pth.Of(Pth.Pickle(operations.Append("u.").ToString()), ("data/0", new byte[1_000_000]));
        long before = GC.GetAllocatedBytesForCurrentThread();
        Failure.Of<DataException>(() => PyTorchFile.Read(shared), "too many for a file");
        Assert.IsLessThan(200L << 20, GC.GetAllocatedBytesForCurrentThread() - before);
    }
}
