using System.Xml.Linq;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// The three packages, packed once into a folder that serves as a NuGet source, and a folder for projects that install them. These unpack
/// packages into a folder of their own, so that ours are always the ones just packed; all others come from the user's folder of packages,
/// if they are there.
/// </summary>
internal sealed class PackedFixture : IDisposable
{
    private static readonly Lazy<PackedFixture> Packed = new(() => new());
    private readonly TemporaryFolder folder = new();

    /// <summary>The packages of this run of the tests, packed when they are first asked for.</summary>
    public static PackedFixture Shared => Packed.Value;

    /// <summary>Deletes them at the end of the run.</summary>
    public static void DeleteShared()
    {
        if (Packed.IsValueCreated) Packed.Value.Dispose();
    }

    private PackedFixture()
    {
        string configuration = Directory.GetParent(AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar))!.Name;
        foreach (string project in new[] { "Numerics", "Onnx", "Scripts" })
            DotNet(Repository.Root, "pack", project, "-c", configuration, "--no-build", "-o", Source, "-p:Gpu=false");
        // Warnings of others' packages are none of ours; every other one is an error.
        File.WriteAllText(folder["Directory.Build.props"], """
            <Project>
              <PropertyGroup>
                <TargetFramework>net10.0</TargetFramework>
                <ImplicitUsings>enable</ImplicitUsings>
                <Nullable>enable</Nullable>
                <OutputType>Exe</OutputType>
                <TreatWarningsAsErrors>true</TreatWarningsAsErrors>
                <NuGetAudit>false</NuGetAudit>
              </PropertyGroup>
            </Project>
            """);
        File.WriteAllText(folder["Directory.Build.targets"], "<Project />");
        File.WriteAllText(folder["Directory.Packages.props"], "<Project />");
        File.WriteAllText(folder["nuget.config"], $"""
            <configuration>
              <packageSources>
                <add key="packed" value="{Source}" />
              </packageSources>
              <fallbackPackageFolders>
                <add key="others" value="{OthersPackages()}" />
              </fallbackPackageFolders>
            </configuration>
            """);
    }

    /// <summary>A folder of links to the packages that NuGet has unpacked for this user, without any of ours that somebody installed
    /// before.</summary>
    private string OthersPackages()
    {
        string others = NewFolder("others");
        // links need a privilege there: the packages are fetched
        if (OperatingSystem.IsWindows() || !Directory.Exists(UsersPackages)) return others;
        foreach (string package in Directory.GetDirectories(UsersPackages))
        {
            string name = Path.GetFileName(package);
            if (!name.StartsWith("onnxlenet", StringComparison.Ordinal)) Directory.CreateSymbolicLink(Path.Combine(others, name), package);
        }
        return others;
    }

    public void Dispose() => folder.Dispose();

    /// <summary>The folder of the packages.</summary>
    public string Source => folder["source"];

    /// <summary>Where NuGet has unpacked packages for other projects of this user.</summary>
    private static string UsersPackages => Environment.GetEnvironmentVariable("NUGET_PACKAGES") is { Length: > 0 } named
        ? named
        : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");

    /// <summary>The version of the packages.</summary>
    public string Version => Path.GetFileNameWithoutExtension(Directory.GetFiles(Source,
        "OnnxLeNet.Numerics.*.nupkg").Single())["OnnxLeNet.Numerics.".Length..];

    /// <summary>The version of another's package that this repository builds with.</summary>
    public static string CentralVersion(string id) => XDocument.Load(Path.Combine(Repository.Root, "Directory.Packages.props"))
        .Descendants("PackageVersion")
        .Single(package => (string?)package.Attribute("Include") == id).Attribute("Version")!.Value;

    /// <summary>A folder in which nothing of the repository is above.</summary>
    public string NewFolder(string name) => Directory.CreateDirectory(folder[name]).FullName;

    /// <summary>A project with a program and packages; those of the repository by name alone, others as "name version".</summary>
    /// <returns>Its folder.</returns>
    public string NewProject(string name, string program, string[] packages, string properties = "", string sdk = "Microsoft.NET.Sdk")
    {
        string project = NewFolder(name);
        File.WriteAllText(Path.Combine(project, "Program.cs"), program);
        File.WriteAllText(Path.Combine(project, $"{name}.csproj"), $"""
            <Project Sdk="{sdk}">
              <PropertyGroup>{properties}</PropertyGroup>
              <ItemGroup>
                {string.Join('\n', packages.Select(package => package.Split(' ')).Select(parts =>
                    $"""<PackageReference Include="{parts[0]}" Version="{parts.ElementAtOrDefault(1) ?? Version}" />"""))}
              </ItemGroup>
            </Project>
            """);
        return project;
    }

    /// <summary>Runs dotnet, which must succeed without a warning.</summary>
    /// <returns>What it printed.</returns>
    public string DotNet(string where, params string[] arguments)
    {
        // CI's own properties are the repository's: a project of a user's has none of them.
        var (code, output, errors) = Tool.Run([("NUGET_PACKAGES", folder["packages"]), ("CI", "")], "dotnet", where, arguments);
        Assert.AreEqual(0, code, $"dotnet {string.Join(' ', arguments)}\n{output}\n{errors}");
        Assert.DoesNotContain(": warning ", output, output);
        return output;
    }
}
