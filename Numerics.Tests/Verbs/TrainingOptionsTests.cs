using OnnxLeNet.Onnx;
using OnnxLeNet.Scripts.Verbs;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>How train trains: its options on the command line, in the card, in a checkpoint and refused.</summary>
[TestClass]
public sealed class TrainingOptionsTests
{
    /// <summary>What is written is what is read, and only what differs from the defaults is written.</summary>
    [TestMethod]
    [DataRow("")]
    [DataRow("--optimizer adam")]
    [DataRow("--optimizer adamw --weight-decay 0")]
    [DataRow("--optimizer rmsprop --momentum 0.5 --schedule constant")]
    [DataRow("--momentum 0 --weight-decay 0.0005 --schedule onecycle --warmup 2.5")]
    [DataRow("--schedule step --warmup 1 --label-smoothing 0.1 --accumulate 4 --clip 0.5 --ema 0.999 --validation 0.1")]
    [DataRow("--validation 0.25 --early-stop 3")]
    [DataRow("--validation 0.25 --early-stop 3 --keep last")]
    [DataRow("--validation 0.25 --keep best")]
    [DataRow("--lr-mult head=10,conv*=0.1 --optimizer adam --augment light,mixup")]
    public void OptionsAreWrittenAsTheyAreTyped(string typed)
    {
        var options = TrainingOptionsModule.read($"{typed} --seed 7".Trim());
        string lr = typed.Contains("--optimizer", StringComparison.Ordinal) ? "0.001" : "0.03";
        Assert.AreEqual($"--epochs 12 --batch-size 64 --lr {lr} --seed 7 {typed}".Trim(), options.ToString());
        Assert.AreEqual(options, TrainingOptionsModule.read(options.ToString()));
    }

    [TestMethod]
    public void WhatIsAskedForReachesTheModelTheCardAndTheNumbers()
    {
        using var folder = new TemporaryFolder();
        string[] options = ["--optimizer", "adamw", "--schedule", "onecycle", "--label-smoothing", "0.05", "--ema", "0.9", "--clip", "1",
            "--accumulate", "2", "--validation", "0.2", "--keep", "best"];
        var run = Program.Run(["--data", SmallMnist.Write(folder), "--epochs", "3", "--lr", "0.003", .. options, "--out", folder["out"],
            "--json", folder["run.json"]]).MustExit(0);
        Assert.Contains("513 training images, 127 held out", run.Output, StringComparison.Ordinal);
        Assert.Contains("validation loss", run.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("test accuracy ", string.Join('\n', run.Output.Split('\n').Where(line => line.Contains("epoch ",
            StringComparison.Ordinal))), StringComparison.Ordinal);
        var json = folder.Json("run.json");
        Assert.AreEqual(("adamw", "onecycle"), ((string)json["optimizer"]!, (string)json["schedule"]!));
        Assert.AreEqual(0.003, (double)json["learningRate"]!);
        double[] losses = [.. json["validationLoss"]!.AsArray().Select(loss => (double)loss!)];
        Assert.HasCount(3, losses);
        Assert.HasCount(3, json["validationAccuracy"]!.AsArray());
        int kept = Array.IndexOf(losses, losses.Min()) + 1;
        Assert.AreEqual(kept, (int)json["keptEpoch"]!);
        Assert.Contains($"Kept the weights of epoch {kept}", run.Output, StringComparison.Ordinal);
        string command = OnnxFile.Metadata(OnnxFile.Read(folder["out/lenet5-small.onnx"]))["command"];
        Assert.EndsWith("--epochs 3 --batch-size 64 --lr 0.003 --seed 1 --optimizer adamw --schedule onecycle --label-smoothing 0.05 "
            + "--accumulate 2 --clip 1 --ema 0.9 --validation 0.2 --keep best", command, StringComparison.Ordinal);
        Assert.Contains(command, File.ReadAllText(folder["out/lenet5-small.md"]), StringComparison.Ordinal);

        // The command of the card makes the same file, at any number of threads.
        foreach (string threads in new[] { "1", "3" })
        {
            Program.Run([.. command.Split(' ').Select(word => word == "small" ? folder["small"] : word), "--threads", threads, "--out",
                folder[threads], "--quiet"]).MustExit(0);
            CollectionAssert.AreEqual(File.ReadAllBytes(folder["out/lenet5-small.onnx"]),
                File.ReadAllBytes(folder[$"{threads}/lenet5-small.onnx"]));
        }
    }

    /// <summary>The verb's model has, to the bit, the weights of a training that is written out here.</summary>
    [TestMethod]
    public void TheOptionsAreTheEnginesParts()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder);
        Program.Run("--data", data, "--epochs", "4", "--batch-size", "32", "--optimizer", "rmsprop", "--lr", "0.002", "--momentum", "0.5",
            "--weight-decay", "0.01", "--schedule", "step", "--warmup", "0.75", "--label-smoothing", "0.05", "--ema", "0.8",
            "--clip", "0.5",
            "--accumulate", "3", "--validation", "0.3", "--keep", "best", "--seed", "3", "--out", folder["out"], "--quiet").MustExit(0);

        var images = ImageFolder.Load(data, ImageFolder.UsualTransform(data)).Train;
        var (train, held) = StratifiedSplit.Of(images, 0.3, seed: 3);
        var network = Networks.LeNet5(seed: 3);
        var rmsprop = new RMSprop(network.Parameters(), 0.002, weightDecay: 0.01, momentum: 0.5);
        var validation = new Validation(images.Select(held));
        var loader = new DataLoader(images.Select(train), 32, shuffle: true, generator: new Generator(3)); // 14 batches, 5 updates
        var trainer = new Trainer(network, new CrossEntropyLoss(labelSmoothing: 0.05), rmsprop)
        {
            Schedule = new SequentialLR(rmsprop, [new LinearLR(rmsprop, 1 / 5.0, 1, 4), new StepLR(rmsprop, 6)], [4]), // of 20 updates
            ScheduleInterval = ScheduleInterval.Step,
            Accumulate = 3,
            ClipNorm = 0.5,
            Averaging = new WeightAveraging(network, 0.8),
            Observers = [validation, new BestWeights(network, _ => validation.Loss)],
        };
        trainer.Fit(loader, 4);
        Assert.AreEqual(14, loader.Steps);
        var made = OnnxImporter.Import(folder["out/lenet5-small.onnx"]).Network.StateDict();
        foreach (var (name, tensor) in network.StateDict())
            Close.AssertSameBits(name, tensor.AsTensor().Data, made[name].AsTensor().Data);
    }

    /// <summary>The rates of the updates of a run, written out.</summary>
    [TestMethod]
    [DataRow("--schedule step --epochs 7", new[] { 1, 1, 1, 0.1, 0.1, 0.1, 0.01 })]
    [DataRow("--schedule step --epochs 8", new[] { 1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01 })]
    [DataRow("--schedule step --epochs 6 --warmup 2", new[] { 1 / 3.0, 2 / 3.0, 1, 1, 0.1, 0.1 })]
    [DataRow("--schedule constant --epochs 4 --warmup 3", new[] { 0.25, 0.5, 0.75, 1 })]
    [DataRow("--schedule constant --epochs 4 --warmup 0.1", new[] { 0.5, 1, 1, 1 })]
    [DataRow("--schedule constant --epochs 3", new double[] { 1, 1, 1 })]
    [DataRow("--epochs 4", new[] { 1, 0.8535533905932737, 0.5, 0.14644660940672627 })]
    [DataRow("--epochs 5 --warmup 1", new[] { 0.5, 1, 0.8535533905932737, 0.5, 0.14644660940672627 })]
    [DataRow("--schedule onecycle --epochs 5 --warmup 3", new[] { 0.04, 0.52, 1, 0.500002, 4e-6 })]
    public void SchedulesSetTheseRates(string typed, double[] rates)
    {
        var options = TrainingOptionsModule.read($"--lr 1 {typed}");
        ParameterGroup fast = new([new Parameter(1)], 10), slow = new([new Parameter(1)], 0.1);
        var optimizer = TrainParts.optimizerOf(options, [new ParameterGroup([new Parameter(1)]), fast, slow]);
        var schedule = TrainParts.scheduleOf(options, optimizer, 1)?.Value;
        for (int update = 0; update < rates.Length; update++)
        {
            Assert.AreEqual(rates[update], optimizer.LearningRate, 1e-9, $"update {update + 1}");
            Assert.AreEqual(10 * rates[update], fast.LearningRate, 1e-8, $"update {update + 1}");
            Assert.AreEqual(0.1 * rates[update], slow.LearningRate, 1e-10, $"update {update + 1}");
            schedule?.Step();
        }
    }

    [TestMethod]
    public void AnEarlyStopIsAnEnd()
    {
        using var folder = new TemporaryFolder();
        // So few images are soon known by heart, and the loss of others rises: a good while before the last epoch.
        var run = Program.Run("--data", SmallMnist.Write(folder), "--epochs", "400", "--lr", "0.05", "--schedule", "constant",
            "--validation", "0.2", "--early-stop", "2", "--out", folder["out"], "--json", folder["run.json"]).MustExit(0);
        var json = folder.Json("run.json");
        double[] losses = [.. json["validationLoss"]!.AsArray().Select(loss => (double)loss!)];
        Assert.IsLessThan(400, losses.Length);
        Assert.AreEqual(losses.Length - 2, (int)json["keptEpoch"]!);
        Assert.AreEqual(losses.Min(), losses[^3]);
        Assert.AreEqual("stopped", (string)json["outcome"]!);
        Assert.Contains($"Stopped after epoch {losses.Length}", run.Output, StringComparison.Ordinal);
        Assert.IsTrue(File.Exists(folder["out/lenet5-small.onnx"]));
        Assert.IsFalse(File.Exists(folder["out/runs/lenet5-small-1/run.checkpoint"]), "a finished run needs no checkpoint");
    }

    /// <summary>Killed and resumed with the checkpoint's own options, the file is that of the run that never stopped.</summary>
    [TestMethod]
    public void ACheckpointGoesOnWithItsOwnOptions()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder), checkpoint = folder["killed/runs/lenet5-small-1/run.checkpoint"];
        string[] run = ["--data", data, "--epochs", "60", "--optimizer", "rmsprop", "--schedule", "onecycle", "--warmup", "10", "--ema",
            "0.95", "--accumulate", "3", "--clip", "2", "--label-smoothing", "0.1", "--validation", "0.1", "--keep", "best", "--quiet"];
        Program.Run([.. run, "--out", folder["whole"]]).MustExit(0);
        using (var process = Program.Start([.. run, "--out", folder["killed"]]))
        {
            while (!process.WaitForExit(2) && !File.Exists(checkpoint)) { }
            process.WaitForExit(50);
            process.Kill();
            process.WaitForExit();
        }
        Program.Run("--resume", checkpoint, "--data", data, "--ema", "0.9", "--out", folder["killed"]).MustExit(2)
            .MustSay("own options", "--ema 0.95", "leave out what differs");
        Program.Run("--resume", checkpoint, "--data", data, "--optimizer", "sgd", "--out", folder["killed"]).MustExit(2)
            .MustSay("--optimizer rmsprop");
        Program.Run("--resume", checkpoint, "--data", data, "--optimizer", "rmsprop", "--out", folder["killed"]).MustExit(0);
        CollectionAssert.AreEqual(File.ReadAllBytes(folder["whole/lenet5-small.onnx"]),
            File.ReadAllBytes(folder["killed/lenet5-small.onnx"]));
    }

    [TestMethod]
    public void BothEnginesTrainTheSameModelWithTheOptionsOfBoth()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder);
        string[] train = ["--data", data, "--epochs", "2", "--optimizer", "adamw", "--schedule", "step", "--warmup", "0.5", "--clip", "0.5",
            "--validation", "0.1", "--keep", "best", "--balance", "--label-smoothing", "0.1", "--lr-mult", "head=2,conv*=0.5", "--quiet"];
        Program.Run([.. train, "--out", folder["own"], "--json", folder["own.json"]]).MustExit(0);
        Program.Run([.. train, "--engine", "onnxruntime", "--out", folder["ort"], "--json", folder["ort.json"]]).MustExit(0);
        var (own, other) = (OnnxImporter.Import(folder["own/lenet5-small.onnx"]).Network.StateDict(),
            OnnxImporter.Import(folder["ort/lenet5-small.onnx"]).Network.StateDict());
        foreach (var (name, tensor) in own) Close.Assert(name, tensor.AsTensor().Data, other[name].AsTensor().Data, 0, 2e-4);
        for (int epoch = 0; epoch < 2; epoch++)
            Assert.AreEqual((double)folder.Json("own.json")["validationLoss"]![epoch]!,
                (double)folder.Json("ort.json")["validationLoss"]![epoch]!, 1e-3);
        foreach (string[] options in new string[][] { ["--augment", "mixup"], ["--accumulate", "2"], ["--ema", "0.9"],
            ["--schedule", "onecycle"], ["--find-lr"] })
            Program.Run(["--data", data, "--engine", "onnxruntime", "--out", folder["no"], .. options]).MustExit(2).MustSay(options[0],
                "onnxruntime");
        Assert.IsFalse(Directory.Exists(folder["no"]));
    }

    [TestMethod]
    public void BadValuesAreRefusedByTheirOptionsName()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder, 100, 20);
        foreach (var (arguments, said) in new (string, string)[]
        {
            ("--lr-mult head", "LAYER=FACTOR"),
            ("--lr-mult head=fast", "LAYER=FACTOR"),
            ("--lr-mult =2", "LAYER=FACTOR"),
            ("--lr-mult head=0", "more than 0"),
            ("--lr-mult conv1=NaN", "more than 0"),
            ("--optimizer adagrad", "sgd, adam, adamw or rmsprop"),
            ("--schedule linear", "cosine, onecycle, step or constant"),
            ("--keep first", "best or last"),
            ("--momentum -1", "--momentum"),
            ("--momentum NaN", "--momentum"),
            ("--optimizer adam --momentum 0.9", "adam has no --momentum"),
            ("--schedule onecycle --momentum 0.9", "--momentum"),
            ("--weight-decay Infinity", "--weight-decay"),
            ("--warmup -0.5", "--warmup"),
            ("--epochs 3 --warmup 3", "less than the 3 epochs"),
            ("--epochs 1 --batch-size 100 --warmup 0.9", "1 updates"),
            ("--schedule onecycle --warmup 0.4", "two updates or more"),
            ("--label-smoothing 1", "--label-smoothing"),
            ("--label-smoothing -0.1", "--label-smoothing"),
            ("--accumulate 0", "--accumulate"),
            ("--clip 0", "--clip"),
            ("--ema 1", "--ema"),
            ("--validation 1.5", "--validation"),
            ("--validation 0", "--validation"),
            ("--validation 0.1 --early-stop 0", "--early-stop"),
            ("--early-stop 3", "--validation SHARE"),
            ("--keep best", "--validation SHARE"),
            ("--plot x.svg", "--find-lr"),
            ("--find-lr --min-accuracy 0.5", "--min-accuracy"),
        })
        {
            string option = arguments.Split(' ').Last(word => word.StartsWith("--", StringComparison.Ordinal));
            Program.Run(["--data", data, "--out", folder["no"], .. arguments.Split(' ')]).MustExit(2).MustSay(said, option);
        }
        Assert.IsFalse(Directory.Exists(folder["no"]));
    }

    [TestMethod]
    public void ALearningRateIsLookedFor()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder, 3200, 20);
        var run = Program.Run("--data", data, "--find-lr", "--optimizer", "adam", "--plot", folder["lr.svg"], "--json", folder["lr.json"],
            "--out", folder["out"]).MustExit(0);
        CollectionAssert.AreEqual(new[] { "lr.json", "lr.svg", "small" }, folder.Files, "nothing is trained");
        var json = folder.Json("lr.json");
        double rate = (double)json["suggestion"]!;
        Assert.IsInRange(1e-4, 5e-3, rate);
        Assert.Contains($"suggestion: --lr {rate.ToString("0.00e+0", System.Globalization.CultureInfo.InvariantCulture)}", run.Output,
            StringComparison.Ordinal);
        Assert.Contains("suggested", run.Output, StringComparison.Ordinal);
        Assert.AreEqual(json["curve"]!["rate"]!.AsArray().Count, json["curve"]!["loss"]!.AsArray().Count);
        Assert.AreEqual("svg", System.Xml.Linq.XDocument.Load(folder["lr.svg"]).Root!.Name.LocalName);

        // Images all alike teach nothing.
        Directory.CreateDirectory(folder["blank"]);
        foreach (var (part, count) in new[] { ("train", 640), ("t10k", 20) })
        {
            SmallMnist.WriteIdx(folder[$"blank/{part}-images-idx3-ubyte"], [count, 28, 28], new byte[count * 784]);
            byte[] labels = [.. Enumerable.Range(0, count).Select(n => (byte)(n % 10))];
            SmallMnist.WriteIdx(folder[$"blank/{part}-labels-idx1-ubyte"], [count], labels);
        }
        Program.Run("--data", folder["blank"], "--find-lr", "--out", folder["out"]).MustExit(1).MustSay("never fell");
    }
}
