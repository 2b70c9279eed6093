using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// The nine architectures of the ONNX project's light models, whose weights are constants that the graph makes: read, printed and run; the
/// two that are quick compared in every node and exported again, and one's training step's gradients compared. From onnx/onnx,
/// onnx/backend/test/data/light; Apache-2.0.
/// </summary>
[TestClass]
public sealed class ZooTests
{
    private const string Trained = "light_squeezenet";

    private static readonly string Folder = Path.Combine(Repository.Root, "Numerics.Tests", "Reference", "zoo");

    /// <summary>Each with the layers that it becomes and its trainable numbers.</summary>
    private static readonly Dictionary<string, (int Layers, int Parameters)> Models = new()
    {
        ["light_bvlc_alexnet"] = (24, 60_965_224),
        ["light_densenet121"] = (547, 8_062_504),
        ["light_inception_v1"] = (143, 6_998_552),
        ["light_inception_v2"] = (302, 11_214_888),
        ["light_resnet50"] = (176, 25_557_032),
        ["light_shufflenet"] = (203, 1_393_320),
        ["light_squeezenet"] = (68, 1_235_496),
        ["light_vgg19"] = (46, 143_667_240),
        ["light_zfnet512"] = (22, 87_250_536),
    };

    /// <summary>Those whose layers AlexNet has too, with 0.35 and 0.57 GB of weights.</summary>
    public static IEnumerable<string> LargeNames => ["light_vgg19", "light_zfnet512"];

    public static IEnumerable<string> Names => Models.Keys.Except(LargeNames);

    private static ModelProto Read(string name) => OnnxFile.Read(Path.Combine(Folder, $"{name}.onnx"));

    /// <summary>The file as it is, beside ONNX Runtime; of the small ones every node and what is exported of it.</summary>
    [TestMethod]
    [DynamicData(nameof(Names))]
    public void IsReadRunAndExportedAgain(string name) => Run(name);

    [TestMethod]
    [DynamicData(nameof(LargeNames))]
    public void ALargeOneIsRead(string name) => Import(name);

    [TestMethod]
    [TestCategory("Soak")]
    [DynamicData(nameof(LargeNames))]
    public void ALargeOneIsRun(string name) => Run(name);

    private static (ModelProto File, ImportedModel Imported) Import(string name)
    {
        var file = Read(name);
        var imported = OnnxImporter.Import(file);
        Assert.AreEqual(Models[name], (imported.Layers.Count, imported.Network.ParameterCount));
        StringAssert.StartsWith(imported.Network.ToString(), "Net(\n");
        return (file, imported);
    }

    private static void Run(string name)
    {
        var (file, imported) = Import(name);
        var x = OnnxNetworks.Random(imported.Sample.Prepend(1), 3);
        long[] shape = [1, .. imported.Sample.Sizes.ToArray().Select(size => (long)size)];
        float[] y = RunFile(file);
        var own = Inference.Run(imported.Network, Batch.FromTensor(x)).ToTensor();
        Agree(own.Data);
        if (imported.Network.ParameterCount > 2_000_000) return;
        if (name != Trained) Validates(imported, file); // its nodes are compared with weights of their own
        var again = OnnxExporter.Export(imported.Network, imported.Sample, name);
        OnnxChecker.Check(again);
        Agree(RunFile(again));

        void Agree(float[] other) => Assert.IsLessThan(1e-5, y.Zip(other, (a, b) => Math.Abs((double)a - b)).Max() / y.Max(Math.Abs), name);

        float[] RunFile(ModelProto model)
        {
            using var ort = OrtModel.Load(model.ToByteArray());
            return ort.RunOutputs(x.Data, shape).Values.First();
        }
    }

    /// <summary>A constant of 102 million equal numbers stays one number until somebody asks for its elements.</summary>
    [TestMethod]
    public void ALargeConstantStaysOneNumber()
    {
        var file = Read("light_vgg19");
        long before = GC.GetAllocatedBytesForCurrentThread();
        var imported = OnnxImporter.Import(file);
        Assert.AreEqual(143_667_240, imported.Network.ParameterCount);
        Assert.IsLessThan(50_000_000, GC.GetAllocatedBytesForCurrentThread() - before,
            "bytes allocated by the import; the weights are 575 MB");
        Assert.AreEqual(1000, imported.Network.Parameters().Last().Value.Data.Length);
    }

    /// <summary>Every gradient, and with weights that are drawn, since those of the file are all alike, every node again.</summary>
    [TestMethod]
    [DataRow(Trained)]
    public void TrainsAsInOnnxRuntime(string name)
    {
        var imported = OnnxImporter.Import(Read(name));
        var rows = GradientParity.Gradients(imported.Network, imported.Sample);
        Assert.IsTrue(GradientParity.Passed(rows), $"{rows.FirstOrDefault(row => !row.Passed)}");
        var random = new Generator(1);
        foreach (var weight in imported.Network.Parameters()
            .Where(parameter => parameter.Value.Shape.Rank > 1)) Init.KaimingNormal(weight.Value, random,
            nonlinearity: Nonlinearity.Linear);
        var file = OnnxExporter.Export(imported.Network, imported.Sample, name);
        Validates(OnnxImporter.Import(file), file);
    }

    private static void Validates(ImportedModel imported, ModelProto file)
    {
        var report = ParityValidation.Run(imported, file, new ValidationOptions { BatchSizes = [1], Providers = ["simd"] });
        Assert.IsTrue(report.Passed, $"{report.Devices[0].FirstFailing} "
            + $"{report.Devices[0].Paths.FirstOrDefault(path => !path.Row.Passed)}");
    }
}
