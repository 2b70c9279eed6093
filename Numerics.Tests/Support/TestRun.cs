namespace OnnxLeNet.Numerics.Tests;

/// <summary>The beginning and the end of a run of the tests.</summary>
[TestClass]
public static class TestRun
{
    [AssemblyInitialize]
    public static void Begin(TestContext _) => CacheFolder.Use();

    [AssemblyCleanup]
    public static void End()
    {
        CacheFolder.Delete();
        PackedFixture.DeleteShared();
    }
}
