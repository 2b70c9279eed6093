using System.Globalization;

namespace OnnxLeNet.Numerics;

/// <summary>Who started this process as one of several; told by the environment, without touching a library.</summary>
internal enum MpiLauncher
{
    /// <summary>Nobody.</summary>
    None,

    /// <summary>Open MPI's mpirun, or another that speaks PMIx.</summary>
    OpenMpi,

    /// <summary>Hydra, of MPICH, Intel MPI and MVAPICH, and MS-MPI's.</summary>
    Hydra,

    /// <summary>Slurm's srun, by PMI-2: any library may be meant.</summary>
    Slurm,
}

/// <summary>What the launcher says in the environment.</summary>
/// <param name="Launcher">Who it is.</param>
/// <param name="Rank">This process's number; 0 where there is no launcher.</param>
/// <param name="Size">How many there are; 1 where there is no launcher.</param>
internal readonly record struct MpiEnvironment(MpiLauncher Launcher, int Rank, int Size)
{
    /// <summary>Variables by which launchers speak to their processes: a program that these start is not one of them.</summary>
    public static readonly string[] Prefixes = ["OMPI_", "PMIX_", "PMI_", "PRTE_", "HYDI_", "HYDRA_", "MPI_LOCAL", "MPIR_", "MPIEXEC_"];

    /// <summary>Of this process.</summary>
    public static MpiEnvironment Current { get; } = Read(Environment.GetEnvironmentVariable);

    internal static MpiEnvironment Read(Func<string, string?> variable)
    {
        foreach (var (launcher, rank, size) in new[]
        {
            (MpiLauncher.OpenMpi, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
            (MpiLauncher.OpenMpi, "PMIX_RANK", "PRTE_NUM_PROCS"),
            (MpiLauncher.Hydra, "PMI_RANK", "PMI_SIZE"),
            (MpiLauncher.Slurm, "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
        })
        {
            // Slurm names its tasks in the shell of a job too, where nobody has started a step.
            if (launcher == MpiLauncher.Slurm && variable("SLURM_STEP_ID") is null or "batch" or "interactive") continue;
            if (Number(variable(rank)) is { } own && Number(variable(size)) is { } all && own < all) return new(launcher, own, all);
        }
        return new(MpiLauncher.None, 0, 1);
    }

    private static int? Number(string? text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : null;
}
