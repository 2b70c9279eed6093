using System.Xml.Linq;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>A program that installs packages.</summary>
/// <param name="Name">The project's.</param>
/// <param name="Code">Its <c>Program.cs</c>.</param>
/// <param name="Packages">Those of the repository by name alone, others as "name version".</param>
internal sealed record PackedProgram(string Name, string Code, params string[] Packages)
{
    public string Sdk { get; init; } = "Microsoft.NET.Sdk";

    /// <summary>Other files of code, by name.</summary>
    public IReadOnlyDictionary<string, string> More { get; init; } = new Dictionary<string, string>();
}

/// <summary>
/// The three packages, packed once into a folder that serves as a NuGet source, and a folder for projects that install them. These unpack
/// packages into a folder of their own, so that ours are always the ones just packed; all others come from the user's folder of packages,
/// if they are there. The programs of documents and tests are built together, with one restore.
/// </summary>
internal sealed class PackedFixture : IDisposable
{
    private static readonly Lazy<PackedFixture> Packed = new(() => new());
    private readonly TemporaryFolder folder = new();
    private readonly Lazy<(string Output, string Errors)> built;

    /// <summary>The packages of this run of the tests, packed when they are first asked for.</summary>
    public static PackedFixture Shared => Packed.Value;

    /// <summary>Deletes them at the end of the run.</summary>
    public static void DeleteShared()
    {
        if (Packed.IsValueCreated) Packed.Value.Dispose();
    }

    private PackedFixture()
    {
        DotNet(Repository.Root, "pack", "OnnxLeNet.sln", "-c", Repository.Configuration, "--no-build", "-o", Source, "-p:Gpu=false");
        built = new(BuildPrograms);
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
                <CreateHardLinksForCopyLocalIfPossible>true</CreateHardLinksForCopyLocalIfPossible>
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

    /// <summary>A program's project.</summary>
    /// <returns>Its folder.</returns>
    public string NewProject(PackedProgram program, string properties = "")
    {
        string project = NewFolder(program.Name);
        foreach (var (name, code) in program.More.Prepend(new("Program.cs", program.Code)))
            File.WriteAllText(Path.Combine(project, name), code);
        File.WriteAllText(Path.Combine(project, $"{program.Name}.csproj"), $"""
            <Project Sdk="{program.Sdk}">
              <PropertyGroup>{properties}</PropertyGroup>
              <ItemGroup>
                {string.Join('\n', program.Packages.Select(package => package.Split(' ')).Select(parts =>
                    $"""<PackageReference Include="{parts[0]}" Version="{parts.ElementAtOrDefault(1) ?? Version}" />"""))}
              </ItemGroup>
            </Project>
            """);
        return project;
    }

    /// <summary>The folder of a program of documents and tests, and the assembly that was built there, without a warning.</summary>
    public (string Folder, string Assembly) Built(string name)
    {
        var (output, errors) = built.Value;
        string assembly = Path.Combine(folder[name], "bin", "Debug", "net10.0", $"{name}.dll");
        string own = string.Join('\n', output.Split('\n').Where(line => line.Contains(name, StringComparison.Ordinal)));
        Assert.IsTrue(File.Exists(assembly), $"{name} was not built\n{(own.Length > 0 ? own : output)}\n{errors}");
        Assert.DoesNotContain(": warning ", own, own);
        return (folder[name], assembly);
    }

    private (string, string) BuildPrograms()
    {
        PackedProgram[] programs = [.. CSharpBlocksTests.Programs, .. PackageTests.Programs, OtherAppsTests.CSharpProgram];
        foreach (var program in programs) NewProject(program);
        File.WriteAllText(folder["Programs.slnx"], $"""
            <Solution>
              {string.Join('\n', programs.Select(program => $"""<Project Path="{program.Name}/{program.Name}.csproj" />"""))}
            </Solution>
            """);
        var (_, output, errors) = Run(folder.Path, "build", "Programs.slnx");
        return (output, errors);
    }

    /// <summary>Runs a program of documents and tests in its folder.</summary>
    /// <returns>What it printed.</returns>
    public string RunBuilt(string name)
    {
        var (where, assembly) = Built(name);
        return DotNet(where, assembly);
    }

    /// <summary>Runs dotnet, which must succeed without a warning.</summary>
    /// <returns>What it printed.</returns>
    public string DotNet(string where, params string[] arguments)
    {
        var (code, output, errors) = Run(where, arguments);
        Assert.AreEqual(0, code, $"dotnet {string.Join(' ', arguments)}\n{output}\n{errors}");
        Assert.DoesNotContain(": warning ", output, output);
        return output;
    }

    private (int Code, string Output, string Errors) Run(string where, params string[] arguments) =>
        // CI's own properties are the repository's: a project of a user's has none of them.
        Tool.Run([("NUGET_PACKAGES", folder["packages"]), ("CI", "")], "dotnet", where, arguments);
}
