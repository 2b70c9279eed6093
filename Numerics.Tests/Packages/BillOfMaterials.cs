using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Xml.Linq;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// What a package of the repository is made of, as CycloneDX (https://cyclonedx.org): the packages of its lock file, with the hashes that
/// NuGet checks them by. Those that only take part in the build have the scope "excluded".
/// </summary>
internal static class BillOfMaterials
{
    /// <summary>The file's name, in the project and in the package.</summary>
    public const string FileName = "sbom.cdx.json";

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, NewLine = "\n",
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The packages that a project's lock file has, each with its entry; projects are none.</summary>
    public static IReadOnlyDictionary<string, JsonObject> Locked(string project)
    {
        var all = JsonNode.Parse(File.ReadAllText(Path.Combine(Repository.Root, project,
            "packages.lock.json")))!["dependencies"]!["net10.0"]!;
        return all.AsObject().Where(entry => (string)entry.Value!["type"]! != "Project").ToDictionary(entry => entry.Key,
            entry => entry.Value!.AsObject());
    }

    /// <summary>The packages that take part in a project's build alone: none of their files is in what it makes.</summary>
    public static IReadOnlySet<string> BuildOnly(string project) =>
        XDocument.Load(Directory.GetFiles(Path.Combine(Repository.Root, project), "*.*proj").Single()).Descendants("PackageReference")
            .Where(reference => (string?)reference.Attribute("PrivateAssets") == "all").Select(reference =>
                (string)reference.Attribute("Include")!)
            .Append("Microsoft.NET.ILLink.Tasks").ToHashSet();

    /// <summary>The document of a project's package.</summary>
    public static string Of(string project, string id)
    {
        string version = XDocument.Load(Path.Combine(Repository.Root, "Directory.Build.props")).Descendants("Version").Single().Value;
        var buildOnly = BuildOnly(project);
        string Reference(string name, string of) => $"pkg:nuget/{name}@{of}";
        var locked = Locked(project).OrderBy(entry => entry.Key, StringComparer.Ordinal).ToList();
        var names = locked.ToDictionary(entry => entry.Key, entry => Reference(entry.Key, (string)entry.Value["resolved"]!));
        string own = Reference(id, version);
        var document = new JsonObject
        {
            ["bomFormat"] = "CycloneDX",
            ["specVersion"] = "1.6",
            ["version"] = 1,
            ["metadata"] = new JsonObject { ["component"] = Component(id, version, own) },
            ["components"] = new JsonArray([.. locked.Select(entry =>
            {
                var component = Component(entry.Key, (string)entry.Value["resolved"]!, names[entry.Key]);
                component["scope"] = buildOnly.Contains(entry.Key) ? "excluded" : "required";
                component["properties"] = new JsonArray(new JsonObject
                {
                    // Of the package without its signature: not the file's own hash.
                    ["name"] = "nuget:contentHash", ["value"] = (string)entry.Value["contentHash"]!,
                });
                return component;
            })]),
            ["dependencies"] = new JsonArray([
                DependsOn(own, locked.Where(entry => (string)entry.Value["type"]! == "Direct").Select(entry => names[entry.Key])),
                .. locked.Select(entry => DependsOn(names[entry.Key], (entry.Value["dependencies"]?.AsObject() ?? [])
                    .Select(dependency => dependency.Key).Where(names.ContainsKey).Select(name => names[name])))]),
        };
        return document.ToJsonString(Indented) + "\n";
    }

    private static JsonObject Component(string name, string version, string reference) =>
        new() { ["type"] = "library", ["bom-ref"] = reference, ["name"] = name, ["version"] = version, ["purl"] = reference };

    private static JsonObject DependsOn(string reference, IEnumerable<string> on) =>
        new() { ["ref"] = reference, ["dependsOn"] = new JsonArray([.. on.Order(StringComparer.Ordinal).Select(name => (JsonNode)name)]) };
}
