namespace OnnxLeNet.Numerics.Tests;

/// <summary>What launchers say in the environment: who is one of several, and by whom.</summary>
[TestClass]
public sealed class MpiEnvironmentTests
{
    [TestMethod]
    [DataRow("", "None", 0, 1)]
    [DataRow("OMPI_COMM_WORLD_RANK=2 OMPI_COMM_WORLD_SIZE=3 PMIX_RANK=2", "OpenMpi", 2, 3)]
    [DataRow("OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=1", "OpenMpi", 0, 1)]
    [DataRow("PMI_RANK=1 PMI_SIZE=4", "Hydra", 1, 4)]
    [DataRow("PMI_RANK=4 PMI_SIZE=4", "None", 0, 1)]
    [DataRow("PMI_RANK=-1 PMI_SIZE=4", "None", 0, 1)]
    [DataRow("PMI_RANK=one PMI_SIZE=4", "None", 0, 1)]
    [DataRow("PMI_RANK=1", "None", 0, 1)]
    [DataRow("SLURM_PROCID=5 SLURM_STEP_NUM_TASKS=8 SLURM_STEP_ID=0", "Slurm", 5, 8)]
    [DataRow("SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=8", "None", 0, 1)] // the shell of a job: srun has started nothing
    [DataRow("SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=8 SLURM_STEP_ID=batch", "None", 0, 1)]
    public void IsRead(string variables, string launcher, int rank, int size)
    {
        var set = variables.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(text => text.Split('='))
            .ToDictionary(pair => pair[0], pair => pair[1]);
        Assert.AreEqual(new MpiEnvironment(Enum.Parse<MpiLauncher>(launcher), rank, size), MpiEnvironment.Read(set.GetValueOrDefault));
    }
}
