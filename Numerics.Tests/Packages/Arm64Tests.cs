using System.Runtime.InteropServices;
using System.Text.RegularExpressions;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// One seed gives the same bytes on x64 and on ARM64: a program published for Linux on ARM64 trains in QEMU's emulator of that processor,
/// and the tensors it leaves are compared with those of this process. Inconclusive where the emulator is not installed.
/// </summary>
[TestClass]
public sealed partial class Arm64Tests
{
    private const string Loader = "/lib/ld-linux-aarch64.so.1";

    [TestMethod]
    public void TrainsToTheSameBytesInAnEmulator()
    {
        if (RuntimeInformation.ProcessArchitecture != Architecture.X64) Assert.Inconclusive("the test compares ARM64 with x64");
        string emulator = Tool.Require("qemu-aarch64-static", "qemu-aarch64");
        if (!File.Exists(Loader)) Assert.Inconclusive($"no {Loader}, which Debian's package libc6:arm64 has; .NET also wants "
            + "libstdc++6:arm64, libgcc-s1:arm64, zlib1g:arm64 and libssl3:arm64");
        using var folder = new TemporaryFolder();
        Publish(folder);

        var (code, output, errors) = Tool.Run(emulator, folder.Path, "-cpu", "max", "-L", "/", folder["published/FewSteps"]);

        Assert.AreEqual(0, code, $"{output}\n{errors}");
        string[] expected = [$"{Architecture.Arm64}", .. FewSteps.Runs.SelectMany(run => run.Value().Prepend(run.Key))];
        Close.AssertSameLines(expected, ("ARM64", output.Split('\n', StringSplitOptions.RemoveEmptyEntries)));
    }

    /// <summary>The engine as it was built for this test, and a program that prints what <see cref="FewSteps"/> leave.</summary>
    private static void Publish(TemporaryFolder folder)
    {
        File.Copy(Path.Combine(Repository.Root, "Numerics.Tests", "Support", "FewSteps.cs"), folder["FewSteps.cs"]);
        File.WriteAllText(folder["Program.cs"], """
            Console.WriteLine(System.Runtime.InteropServices.RuntimeInformation.ProcessArchitecture);
            foreach (var (name, run) in OnnxLeNet.Numerics.Tests.FewSteps.Runs)
                foreach (string line in run().Prepend(name)) Console.WriteLine(line);
            """);
        File.WriteAllText(folder["FewSteps.csproj"], $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <ImplicitUsings>enable</ImplicitUsings>
                <Nullable>enable</Nullable>
                <InvariantGlobalization>true</InvariantGlobalization>
                <RuntimeIdentifier>linux-arm64</RuntimeIdentifier>
                <SelfContained>true</SelfContained>
              </PropertyGroup>
              <ItemGroup>
                <Reference Include="{AppContext.BaseDirectory}OnnxLeNet.Numerics.dll" />
                <Reference Include="{AppContext.BaseDirectory}MathNet.Numerics.dll" />
                <Using Include="OnnxLeNet.Numerics" />
              </ItemGroup>
            </Project>
            """);
        var (code, output, errors) = Tool.Run([("CI", "")], "dotnet", folder.Path, "publish", "-o", "published");
        if (code != 0 && Unreachable().IsMatch(output)) Assert.Inconclusive($".NET's runtime for ARM64 cannot be fetched: {output}");
        Assert.AreEqual(0, code, $"{output}\n{errors}");
    }

    /// <summary>NuGet's error where a source does not answer.</summary>
    [GeneratedRegex("error NU1301")]
    private static partial Regex Unreachable();
}
