using System.Text.RegularExpressions;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>What the build takes from elsewhere is pinned, listed and said in the packages.</summary>
[TestClass]
public sealed partial class SupplyChainTests
{
    private static readonly string[] Projects = ["Numerics", "Onnx", "Scripts", "Numerics.Tests"];

    /// <summary>The bill of materials follows from the lock file; ONNXLENET_WRITE_FIGURES=1 writes it anew.</summary>
    [TestMethod]
    [DataRow("Numerics", "OnnxLeNet.Numerics")]
    [DataRow("Onnx", "OnnxLeNet.Onnx")]
    [DataRow("Scripts", "OnnxLeNet")]
    public void ThePackagesBillOfMaterialsIsThatOfTheLockFile(string project, string id)
    {
        string path = Path.Combine(Repository.Root, project, BillOfMaterials.FileName), expected = BillOfMaterials.Of(project, id);
        if (Environment.GetEnvironmentVariable("ONNXLENET_WRITE_FIGURES") == "1") File.WriteAllText(path, expected);
        Assert.AreEqual(expected, File.ReadAllText(path).ReplaceLineEndings("\n"),
            $"{path} is not what the lock file says; write it anew by ONNXLENET_WRITE_FIGURES=1");
    }

    /// <summary>Every package has the hash of its contents in a lock file, and one version in all of them.</summary>
    [TestMethod]
    public void EveryPackageHasOneVersionAndAHash()
    {
        var versions = new Dictionary<string, (string Version, string Hash)>();
        foreach (string project in Projects)
            foreach (var (name, entry) in BillOfMaterials.Locked(project))
            {
                var own = ((string)entry["resolved"]!, (string)entry["contentHash"]!);
                Assert.HasCount(64, Convert.FromBase64String(own.Item2), name);
                Assert.AreEqual(versions.TryGetValue(name, out var other) ? other : own, own, $"{name} in {project}");
                versions[name] = own;
            }
        Assert.IsGreaterThan(40, versions.Count);
    }

    /// <summary>The table of CONTRIBUTING.md names every package that a project refers to, and no other.</summary>
    [TestMethod]
    public void WhatTheBuildDownloadsIsListed()
    {
        string document = File.ReadAllText(Path.Combine(Repository.Root, ".github", "CONTRIBUTING.md"));
        string[] listed = [.. Row().Matches(document).Select(match => match.Groups["name"].Value).Order(StringComparer.Ordinal)];
        string[] direct = [.. Projects.SelectMany(BillOfMaterials.Locked).Where(entry => (string)entry.Value["type"]! == "Direct")
            .Select(entry => entry.Key).Distinct().Order(StringComparer.Ordinal)];
        CollectionAssert.AreEqual(direct, listed);
    }

    // | `Grpc.Tools` | Apache-2.0 | …
    [GeneratedRegex(@"^\| `(?<name>[\w.]+)` \| (Apache|MIT|BSD|MPL)\b", RegexOptions.Multiline | RegexOptions.ExplicitCapture)]
    private static partial Regex Row();
}
