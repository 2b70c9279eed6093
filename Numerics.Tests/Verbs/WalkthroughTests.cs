using System.Globalization;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>The documents step by step: what each prints that can be known beforehand, in its order.</summary>
[TestClass]
[DoNotParallelize]
public sealed class WalkthroughTests
{
    private const string LeNet3 = """
        Net(
          (conv1): Conv2d(1, 6, kernel_size=(3, 3), stride=(1, 1))
          (conv2): Conv2d(6, 16, kernel_size=(3, 3), stride=(1, 1))
          (fc1): Linear(in_features=576, out_features=120, bias=True)
          (fc2): Linear(in_features=120, out_features=84, bias=True)
          (fc3): Linear(in_features=84, out_features=10, bias=True)
        )
        """;

    private const string Zeros = "tensor([0., 0., 0., 0., 0., 0.])";

    [TestMethod]
    public void UnevenPools() => Follow("000", "uneven-pools", 9,
        """
        Net(
          (conv1): Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1))
          (conv2): Conv2d(6, 16, kernel_size=(5, 5), stride=(1, 1))
          (fc1): Linear(in_features=480, out_features=120, bias=True)
          (fc2): Linear(in_features=120, out_features=84, bias=True)
          (fc3): Linear(in_features=84, out_features=10, bias=True)
        )
        """,
        """
        10
        torch.Size([6, 1, 5, 5])
        torch.Size([6])
        torch.Size([16, 6, 5, 5])
        torch.Size([16])
        torch.Size([120, 480])
        torch.Size([120])
        torch.Size([84, 120])
        torch.Size([84])
        torch.Size([10, 84])
        torch.Size([10])
        """,
        "The document's text says 400",
        """
        torch.Size([2, 6, 28, 14])
        torch.Size([2, 16, 6, 5])
        torch.Size([2, 480])
        torch.Size([2, 120])
        torch.Size([2, 84])
        torch.Size([2, 10])
        """,
        "]], grad_fn=<AddmmBackward0>)", "grad_fn=<MseLossBackward0>)",
        """
        <MseLossBackward0>
        <AddmmBackward0>
        <AccumulateGrad>
        """,
        "<ReluBackward0>\n",
        "<MaxPool2DWithIndicesBackward0> -> <ReluBackward0> -> <ConvolutionBackward0>\n",
        """
        grad before backward
        torch.Size([6, 1, 5, 5])
        None
        torch.Size([6])
        None
        """,
        """
        grad after backward
        torch.Size([6, 1, 5, 5])
        torch.Size([6, 1, 5, 5])
        torch.Size([6])
        torch.Size([6])
        Parameter containing:
        """,
        """
        Parameter containing:
        tensor([-0.1236, -0.1716,  0.0377, -0.0702,  0.0925,  0.1356],
               requires_grad=True)
        tensor([0.0102, 0.0076, 0.0060, 0.0119, 0.0033, 0.0005])
        """,
        "conv1.bias.grad after backward and update parameter:\nParameter containing:\ntensor([-0.1246, -0.1724, ",
        "conv1.bias.grad after sgd\nParameter containing:\ntensor([-0.1256, -0.1731, ",
        "torch.Size([2, 6, 14, 14])\ntorch.Size([2, 16, 5, 5])\n");

    [TestMethod]
    public void TheBiasOfDocument000AfterItsUpdates()
    {
        string output = Run("uneven-pools");
        Close.Assert("by hand", [-0.1246, -0.1724, 0.0370, -0.0714, 0.0922, 0.1356], NumbersAfter(output, "and update parameter:"), 0,
            1.5e-4);
        Close.Assert("by SGD", [-0.1256, -0.1731, 0.0364, -0.0726, 0.0919, 0.1355], NumbersAfter(output, "after sgd"), 0, 1.5e-4);
    }

    [TestMethod]
    public void OutputSizes() => Follow("001", "output-sizes", 9,
        LeNet3, "(10, torch.Size([6, 1, 3, 3]))", "]], grad_fn=<AddmmBackward0>)",
        "error: conv1: Conv2d(1, 6,", "Unsqueeze(0)", "torch.Size([1, 10])\n",
        "grad_fn=<MseLossBackward0>)", "<MseLossBackward0>\n<AddmmBackward0>\n", "error: MSELoss()", "[2, 10] and [2, 5]",
        Zeros,
        "conv1  (32 + 2 * 0 - 1 * (3 - 1) - 1) / 1 + 1 = 30.0, so 30\n", " = 15.0, so 15\n", " = 13.0, so 13\n", " = 6.5, so 6\n",
        "14.5 and 5.5 where 15 and 6 are true");

    [TestMethod]
    public void LeNet5() => Follow("002", "lenet5", 9,
        "(fc1): Linear(in_features=400, out_features=120, bias=True)", "10\ntorch.Size([6, 1, 5, 5])\n", "grad_fn=<AddmmBackward0>)",
            "grad_fn=<MseLossBackward0>)",
        "input -> Conv2d -> ReLU -> MaxPool2d -> Conv2d -> ReLU -> MaxPool2d -> Flatten -> Linear -> ReLU -> Linear -> ReLU -> Linear -> "
            + "MSELoss -> loss\n",
        "<MseLossBackward0>\n<AddmmBackward0>\n<AccumulateGrad>\n", "<ReluBackward0>\n",
        $"conv1.bias.grad before backward:\n{Zeros}\n", "conv1.bias.grad after backward:\ntensor([");

    [TestMethod]
    public void Gradients() => Follow("003", "gradients", 11,
        LeNet3, "10\ntorch.Size([6, 1, 3, 3])\n", "grad_fn=<AddmmBackward0>)", "grad_fn=<MseLossBackward0>)",
            "<MseLossBackward0>\n<AddmmBackward0>\n",
        $"conv1.bias.grad before backward\n{Zeros}\n", "error: MSELoss()", "a second time", "error: ", "a second time",
        "tensor([3.]) tensor([",
        "grads:\ntensor([[3.]])\ntensor([1.])\ngrads:\ntensor([[6.]])\ntensor([2.])\ngrads:\ntensor([[9.]])\ntensor([3.])\n",
        "tensor([3.]) tensor([",
        "grads:\ntensor([[3.]])\ntensor([1.])\ngrads:\ntensor([[3.]])\ntensor([1.])\ngrads:\ntensor([[3.]])\ntensor([1.])\n");

    [TestMethod]
    public void Layers() => Follow("004", "layers", 35,
        "Perceptron(\n  (layer1): Linear()\n  (layer2): Linear()\n)\n",
        "layer1.w: torch.Size([4, 3])\nlayer1.b: torch.Size([4, 1])\nlayer2.w: torch.Size([1, 4])\nlayer2.b: torch.Size([1, 1])\n",
        "grad_fn=<AddBackward0>)", "both give the same gradients",
        "torch.Size([1, 1, 200, 200])\nConv2d(1, 1, kernel_size=(3, 3), stride=(1, 1), bias=False)\n",
        """
        tensor([[[[-0.1111, -0.1111, -0.1111],
                  [-0.1111,  1.0000, -0.1111],
                  [-0.1111, -0.1111, -0.1111]]]])
        torch.Size([1, 1, 198, 198])
        """,
        "AvgPool2d(kernel_size=2, stride=2, padding=0)", "[]\ntorch.Size([1, 1, 100, 100])\n",
        "(conv): Conv2d(3, 3,", "(bn): BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)",
            "(activation): ReLU()",
        "torch.Size([1, 3, 2, 2])", "error: 1: BatchNorm1d(3,", "error: a ModuleList", "<NllLossBackward0>",
            "error: CrossEntropyLoss() takes labels as integers",
        "(3): Conv2d(6, 16, kernel_size=(6, 6), stride=(1, 1))",
        "error: classifier.0: Linear(in_features=400, out_features=120, bias=True) takes samples of shape [400], got [256]",
            "a batch of 25 is refused",
        "Parameter containing:", "'net.features.parameters()'", "lr 0.001, 4 parameters\nlr 0.01, 6 parameters\n", "lr 0.0002\nlr 0.001\n",
        "features.0.weight\nfeatures.0.bias\nfeatures.3.weight\n", "classifier.4.bias\n", "## cuda()", "2 replicas, 6 rows gathered");

    [TestMethod]
    public void EverySeedPasses()
    {
        foreach (string name in Names()) Program.RunHere("walkthrough", name, "--seed", "77", "--quiet").MustExit(0);
    }

    [TestMethod]
    public void ImagesInAndOut()
    {
        using var folder = new TemporaryFolder();
        byte[] pixels = [.. Enumerable.Range(0, 7 * 5).Select(i => (byte)(i * 37 % 256))];
        File.WriteAllBytes(folder["in.pgm"], [.. "P5 # a comment\n7 5\n255\n"u8, .. pixels]);
        File.WriteAllText(folder["text.pgm"], $"P2\n7 5 # a comment\n255\n{string.Join(' ', pixels)}\n");
        string[] names = ["avgpool.pgm", "lenet5.onnx", "net.pth", "sharpen.pgm"];
        foreach (string input in new[] { "in.pgm", "text.pgm" })
        {
            string output = folder[input + ".out"];
            Program.RunHere("walkthrough", "layers", "--image", folder[input], "--out", output, "--json", folder["run.json"]).MustExit(0);
            CollectionAssert.AreEqual(names, Directory.GetFiles(output).Select(Path.GetFileName).Order().ToArray());
            var json = folder.Json("run.json");
            Assert.IsTrue((bool)json["passed"]!);
            Assert.AreEqual("004", (string?)json["document"]);
            Assert.IsTrue(json["checks"]!.AsArray().All(check => (bool)check!["passed"]!));

            byte At(int y, int x) => pixels[y * 7 + x];
            var expected = new List<byte>();
            for (int y = 0; y < 3; y++)
                for (int x = 0; x < 5; x++)
                {
                    double around = Enumerable.Range(0, 9).Where(i => i != 4).Sum(i => (double)At(y + i / 3, x + i % 3));
                    expected.Add((byte)Math.Round(Math.Clamp(At(y + 1, x + 1) - around / 9, 0, 255)));
                }
            Same("P5\n5 3\n255\n", expected, File.ReadAllBytes(Path.Combine(output, "sharpen.pgm")));
            expected.Clear();
            for (int y = 0; y < 4; y += 2)
                for (int x = 0; x < 6; x += 2) expected.Add((byte)Math.Round((At(y, x) + At(y, x + 1) + At(y + 1, x)
                    + At(y + 1, x + 1)) / 4.0));
            Same("P5\n3 2\n255\n", expected, File.ReadAllBytes(Path.Combine(output, "avgpool.pgm")));
        }
    }

    [TestMethod]
    [DataRow("walkthrough", "name a walkthrough", "uneven-pools (000)", "layers (004)")]
    [DataRow("walkthrough 005", "there is no walkthrough '005'", "uneven-pools (000)", "output-sizes (001)", "lenet5 (002)",
        "gradients (003)", "layers (004)")]
    [DataRow("walkthrough layers --image {0}/nowhere.pgm", "there is no file", "nowhere.pgm")]
    [DataRow("walkthrough layers --image {0}/text", "is no PGM image")]
    [DataRow("walkthrough layers --image {0}/cut.pgm", "is cut short")]
    [DataRow("walkthrough layers --image {0}/huge.pgm", "is cut short")]
    [DataRow("walkthrough layers --image {0}/no-size.pgm", "has 'x' where its width should be")]
    [DataRow("walkthrough layers --image {0}/value.pgm", "has '9' where its pixel should be, a number from 0 to 7")]
    [DataRow("walkthrough layers --image {0}/tiny.pgm", "the window covers 3×3, the padded input is only 1×2")]
    [DataRow("walkthrough lenet5 --out {0}/text/inside", "--out: cannot write in")]
    [DataRow("train --model sharpen", "'sharpen' is not an image classifier", "lenet5, lenet3, lenet-rect, lenet-rgb")]
    public void MistakesAreToldAndRefused(string command, params string[] said)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["text"], "no image");
        File.WriteAllText(folder["cut.pgm"], "P5\n7 5\n255\nabc");
        File.WriteAllText(folder["huge.pgm"], "P5\n65535 65535\n255\nabc");
        File.WriteAllText(folder["no-size.pgm"], "P2\nx 5\n255\n1");
        File.WriteAllText(folder["value.pgm"], "P2\n2 1\n7\n3 9\n");
        File.WriteAllText(folder["tiny.pgm"], "P2\n2 1\n255\n3 9\n");
        string[] words = [.. command.Split(' ').Select(word => word.Replace("{0}", folder.Path, StringComparison.Ordinal))];
        var run = Program.RunHere(words).MustExit(2).MustSay(said);
        Assert.StartsWith("error: ", run.Errors, StringComparison.Ordinal);
    }

    [TestMethod]
    public void TheListIsOfNames()
    {
        CollectionAssert.AreEqual(new[] { "uneven-pools", "output-sizes", "lenet5", "gradients", "layers" }, Names());
        Assert.Contains("--image", Program.RunHere("walkthrough", "--help").MustExit(0).Output, StringComparison.Ordinal);
    }

    [TestMethod]
    public void EveryWalkthroughHasItsScript()
    {
        foreach (string name in Names())
        {
            string script = File.ReadAllText(Script(name));
            Assert.Contains($"dotnet fsi Scripts/Walkthroughs/{name}.fsx", script, StringComparison.Ordinal);
            Assert.Contains($"Catalog.exitCode \"{name}\"", script, StringComparison.Ordinal);
        }
    }

    private static string Script(string name) => Path.Combine(Repository.Root, "Scripts", "Walkthroughs", name + ".fsx");

    private static string[] Names() => Program.RunHere("walkthrough", "--list").MustExit(0).Output.Split(['\n', '\r'],
        StringSplitOptions.RemoveEmptyEntries);

    private static string Run(string name) => Program.RunHere("walkthrough", name).MustExit(0).Output.ReplaceLineEndings("\n");

    /// <summary>Runs a walkthrough by its number and by its name, and fails unless these parts are printed in this order, and every check
    /// holds.</summary>
    private static void Follow(string number, string name, int checks, params string[] parts)
    {
        string output = Run(number);
        Assert.AreEqual(output, Run(name), "the number and the name, run twice, print the same");
        Assert.DoesNotContain("FAILED", output, StringComparison.Ordinal);
        Assert.EndsWith($"# {checks} checks, all hold\n", output, StringComparison.Ordinal);
        Assert.HasCount(checks, output.Split("\n# ok: ")[1..]);
        int at = 0;
        foreach (string part in parts)
        {
            int found = output.IndexOf(part.ReplaceLineEndings("\n"), at, StringComparison.Ordinal);
            Assert.IsGreaterThanOrEqualTo(0, found, $"not printed, or not in its place:\n{part}\nin\n{output[at..]}");
            at = found + part.Length;
        }
    }

    /// <summary>The numbers of the first tensor printed behind some words.</summary>
    private static double[] NumbersAfter(string output, string words)
    {
        string tensor = output[output.IndexOf(words, StringComparison.Ordinal)..].Split("tensor([")[1].Split(']')[0];
        return [.. tensor.Split(',').Select(number => double.Parse(number, CultureInfo.InvariantCulture))];
    }

    /// <summary>The same image; a level may be rounded the other way where float and double lie on either side of a half.</summary>
    private static void Same(string header, List<byte> expected, byte[] file)
    {
        Assert.AreEqual(header, System.Text.Encoding.ASCII.GetString(file[..header.Length]));
        byte[] actual = file[header.Length..];
        Assert.HasCount(expected.Count, actual);
        for (int i = 0; i < actual.Length; i++) Assert.IsLessThanOrEqualTo(1, Math.Abs(expected[i] - actual[i]),
            $"pixel {i}: {expected[i]} or one off, got {actual[i]}");
    }
}
