using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using OnnxLeNet.Onnx;
using Schema = OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Exported files before others' judges: ONNX's own checker, and PyTorch. Inconclusive where Debian's packages of them are
/// missing.</summary>
[TestClass]
public sealed class PyTorchTests
{
    private const string Python = "/usr/bin/python3";

    [TestMethod]
    public void TheCheckerAcceptsExportedFiles()
    {
        Require("onnx");
        using var folder = new ModelFolder();
        foreach (string name in OnnxNetworks.Names)
        {
            var (network, sample) = OnnxNetworks.Get(name);
            OnnxFile.Write(OnnxExporter.Export(network, sample, name, [new("name", name)]), folder[$"{name}.onnx"]);
        }
        foreach (string name in OnnxNetworks.Names) Assert.AreEqual("", Check(folder)[folder[$"{name}.onnx"]], name);
    }

    /// <summary>Every layer and network at every operator set that the checker knows, in every form of the weights.</summary>
    [TestMethod]
    public void TheCheckerAcceptsEveryOpsetAndForm()
    {
        Require("onnx");
        using var folder = new ModelFolder();
        int number = 0;
        var names = new Dictionary<string, string>();
        foreach (int opset in (int[])[13, 14, 15, 16, 17])
        {
            foreach (var (name, network, sample) in ExportOptionsTests.Everything)
            {
                var options = new ExportOptions { Opset = opset };
                foreach (var form in (ExportOptions[])[options, options with { Float16 = true, FoldBatchNorm = true, DocStrings = false }])
                {
                    string file = folder[$"{number++}.onnx"];
                    names.Add(file, $"{name}, {form}");
                    OnnxFile.Write(OnnxExporter.Export(network, sample, "network", options: form), file);
                }
            }
            foreach (var (name, build) in SeveralInputsTests.All)
            {
                var (network, samples) = build();
                foreach (var form in SeveralInputsTests.Forms(opset))
                {
                    string file = folder[$"{number++}.onnx"];
                    names.Add(file, $"{name}, {form}");
                    OnnxFile.Write(OnnxExporter.Export(network, samples, "network", options: form), file);
                }
            }
            foreach (var (name, network, images) in OnnxQuantizerTests.Networks)
            {
                string file = folder[$"{number++}.onnx"];
                names.Add(file, $"{name}, int8, opset {opset}");
                OnnxFile.Write(OnnxQuantizer.Export(network, images, "network",
                    options: new ExportOptions { Opset = opset, Softmax = true }), file);
            }
        }
        foreach (var (file, error) in Check(folder)) Assert.AreEqual("", error, names[file]);
    }

    /// <summary>The checker must be one that finds something.</summary>
    [TestMethod]
    public void TheCheckerRefusesWhatIsWrong()
    {
        Require("onnx");
        using var folder = new ModelFolder();
        var twice = OnnxExporter.Export(OnnxNetworks.Small(), OnnxNetworks.SmallSample, "small");
        twice.Graph.Node[1].Output[0] = twice.Graph.Node[0].Output[0];
        File.WriteAllBytes(folder["twice.onnx"], twice.ToByteArray());
        var size = OnnxExporter.Export(OnnxNetworks.Small(), OnnxNetworks.SmallSample, "small");
        size.Graph.Output[0].Type.TensorType.Shape.Dim[1].DimValue = 4;
        File.WriteAllBytes(folder["size.onnx"], size.ToByteArray());
        var found = Check(folder);
        Assert.AreNotEqual("", found[folder["twice.onnx"]]);
        Assert.AreNotEqual("", found[folder["size.onnx"]]);
    }

    /// <summary>Field numbers are the format, those too that no file at hand uses.</summary>
    [TestMethod]
    public void TheSchemaHasTheFieldsOfTheOnnxPackage()
    {
        Require("onnx");
        var own = Schema.OnnxReflection.Descriptor.MessageTypes.SelectMany(Describe)
            .Concat(Schema.OnnxReflection.Descriptor.EnumTypes.SelectMany(Describe)).ToDictionary(d => d.Name, d => d.What);
        var published = Lines("onnx_schema.py", []);
        Assert.IsGreaterThan(150, published.Length);
        foreach (var line in published)
        {
            string name = line.GetProperty("name").GetString()!;
            if (name == "onnx.IR_VERSION") continue; // the newest version, another in each release
            string what = $"{line.GetProperty("number")}"
                + (line.TryGetProperty("type", out var type) ? $" type {type} repeated {line.GetProperty("repeated")}" : "");
            Assert.AreEqual(what, own.GetValueOrDefault(name, "missing"), name);
        }
    }

    [TestMethod]
    public void PyTorchComputesTheSame()
    {
        Require("onnx", "torch");
        using var folder = new ModelFolder();
        foreach (string name in OnnxNetworks.Names)
        {
            var (network, sample) = OnnxNetworks.Get(name);
            Save(folder, name, network, sample);
        }
        var errors = Forward(folder);
        foreach (string name in OnnxNetworks.Names) Assert.IsLessThan(1e-5, errors[name], name);
    }

    /// <summary>The comparison must be one that finds something.</summary>
    [TestMethod]
    public void PyTorchFindsADifference()
    {
        Require("onnx", "torch");
        using var folder = new ModelFolder();
        var (network, sample) = OnnxNetworks.Get("uneven");
        Save(folder, "nudged", network, sample, y => y[5] += 0.001f);
        Save(folder, "nan", network, sample, y => y[5] = float.NaN);
        var errors = Forward(folder);
        Assert.IsGreaterThan(1e-4, errors["nudged"]);
        Assert.IsFalse(errors["nan"] < 1e-5);
    }

    /// <summary>NAME.onnx, and beside it NAME.input and NAME.logits as bare little-endian floats.</summary>
    private static void Save(ModelFolder folder, string name, Module network, Shape sample, Action<float[]>? fault = null)
    {
        var x = OnnxNetworks.Random(sample.Prepend(7), 31);
        float[] logits = network.Forward(x).Data;
        fault?.Invoke(logits);
        OnnxFile.Write(OnnxExporter.Export(network, sample, name), folder[$"{name}.onnx"]);
        File.WriteAllBytes(folder[$"{name}.input"], MemoryMarshal.AsBytes(x.Data.AsSpan()));
        File.WriteAllBytes(folder[$"{name}.logits"], MemoryMarshal.AsBytes(logits.AsSpan()));
    }

    /// <summary>What the checker says of each file of a folder; nothing if it is right.</summary>
    private static Dictionary<string, string> Check(ModelFolder folder) => Lines("onnx_check.py", Directory.GetFiles(folder.Path, "*.onnx"))
        .ToDictionary(line => line.GetProperty("file").GetString()!, line => line.GetProperty("error").GetString()!);

    /// <summary>The relative error of each network of a folder; NaN where it is not finite.</summary>
    private static Dictionary<string, double> Forward(ModelFolder folder) => Lines("pytorch_forward.py", [folder.Path]).ToDictionary(
        line => line.GetProperty("name").GetString()!,
        line => line.GetProperty("relativeError") is { ValueKind: JsonValueKind.Number } number ? number.GetDouble() : double.NaN);

    private static IEnumerable<(string Name, string What)> Describe(MessageDescriptor message) => message.Fields.InDeclarationOrder()
        .Select(f => (f.FullName, $"{f.FieldNumber} type {(int)f.ToProto().Type} repeated {f.IsRepeated}"))
        .Concat(message.EnumTypes.SelectMany(Describe)).Concat(message.NestedTypes.SelectMany(Describe));

    private static IEnumerable<(string Name, string What)> Describe(EnumDescriptor type) =>
        type.Values.Select(v => ($"{type.FullName[..type.FullName.LastIndexOf('.')]}.{v.Name}", $"{v.Number}"));

    private static JsonElement[] Lines(string script, string[] arguments)
    {
        var (code, output, error) = Run([Path.Combine(Repository.Root, "Numerics.Tests", "Reference", script), .. arguments]);
        Assert.AreEqual(0, code, error);
        return [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement)];
    }

    internal static void Require(params string[] modules)
    {
        foreach (string module in modules)
        {
            if (!File.Exists(Python) || Run(["-c", "import importlib.util, sys; "
                + $"sys.exit(importlib.util.find_spec('{module}') is None)"]).Code != 0)
                Assert.Inconclusive($"{Python} has no module {module}: Debian's package python3-{module} has it");
        }
    }

    internal static (int Code, string Output, string Error) Run(string[] arguments)
    {
        var start = new ProcessStartInfo(Python, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["OMP_NUM_THREADS"] = "1";
        start.Environment["PYTHONDONTWRITEBYTECODE"] = "1";
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output, error.GetAwaiter().GetResult());
    }
}
