using System.Runtime.InteropServices;
using System.Text;

namespace OnnxLeNet.Numerics;

/// <summary>
/// A library of MPI, found at run time: Open MPI, MPICH and those of its ABI (Intel MPI, MVAPICH, MS-MPI), and any with the standard ABI of
/// MPI 5. They differ in what a handle is: the address of an object, or a number.
/// </summary>
internal sealed unsafe class MpiLibrary
{
    /// <summary>Names the library in place of those that are looked for.</summary>
    public const string Variable = "ONNXLENET_MPI";

    private static readonly string[] OpenMpiNames = ["libmpi.so.40", "libmpi.40.dylib", "libmpi.so.80"],
        MpichNames = ["libmpich.so.12", "libmpi.so.12", "libmpi.12.dylib", "msmpi.dll"],
        StandardNames = ["libmpi_abi.so.1", "libmpi_abi.so.0", "libmpi_abi.1.dylib", "mpi_abi.dll"];

    private readonly nint handle;

    private MpiLibrary(string name, nint handle, bool isStandard)
    {
        (Name, this.handle) = (name, handle);
        if (NativeLibrary.TryGetExport(handle, "ompi_mpi_comm_world", out nint world))
        {
            (World, Byte, Int64) = (world, Export("ompi_mpi_byte"), Export("ompi_mpi_int64_t"));
            (Max, Sum, InPlace, IgnoreStatus, Serialized) = (Export("ompi_mpi_op_max"), Export("ompi_mpi_op_sum"), 1, 0, 2);
        }
        else if (isStandard)
        {
            (World, Byte, Int64, Max, Sum) = (0x101, 0x247, 0x258, 0x23, 0x21);
            (InPlace, IgnoreStatus, Serialized) = (1, 0, 2048);
        }
        else
        {
            (World, Byte, Int64, Max, Sum) = (0x44000000, 0x4c00010d, 0x4c00083a, 0x58000001, 0x58000003);
            (InPlace, IgnoreStatus, Serialized) = (-1, 1, 2);
        }
        InitThread = (delegate* unmanaged<int*, byte***, int, int*, int>)Export("MPI_Init_thread");
        Finish = (delegate* unmanaged<int>)Export("MPI_Finalize");
        CommRank = (delegate* unmanaged<nint, int*, int>)Export("MPI_Comm_rank");
        CommSize = (delegate* unmanaged<nint, int*, int>)Export("MPI_Comm_size");
        Barrier = (delegate* unmanaged<nint, int>)Export("MPI_Barrier");
        Broadcast = (delegate* unmanaged<void*, int, nint, int, nint, int>)Export("MPI_Bcast");
        AllGather = (delegate* unmanaged<nint, int, nint, void*, int*, int*, nint, nint, int>)Export("MPI_Allgatherv");
        AllReduce = (delegate* unmanaged<void*, void*, int, nint, nint, nint, int>)Export("MPI_Allreduce");
        Send = (delegate* unmanaged<void*, int, nint, int, int, nint, int>)Export("MPI_Send");
        Receive = (delegate* unmanaged<void*, int, nint, int, int, nint, nint, int>)Export("MPI_Recv");
        Probe = (delegate* unmanaged<int, int, nint, int*, nint, int>)Export("MPI_Iprobe");
        BeginSend = (delegate* unmanaged<void*, int, nint, int, int, nint, nint*, int>)Export("MPI_Isend");
        BeginReceive = (delegate* unmanaged<void*, int, nint, int, int, nint, nint*, int>)Export("MPI_Irecv");
        Wait = (delegate* unmanaged<nint*, nint, int>)Export("MPI_Wait");
        Abort = (delegate* unmanaged<nint, int, int>)Export("MPI_Abort");
        Version = Describe();
    }

    /// <summary>As it was found.</summary>
    public string Name { get; }

    /// <summary>What it says of itself, in a line.</summary>
    public string Version { get; }

    // Handles and constants.
    public readonly nint World, Byte, Int64, Max, Sum, InPlace, IgnoreStatus;
    public readonly int Serialized;

    // Functions. A handle that is a number of 32 bits goes in a register of 64, whose other half nobody reads.
    public readonly delegate* unmanaged<int*, byte***, int, int*, int> InitThread;
    public readonly delegate* unmanaged<int> Finish;
    public readonly delegate* unmanaged<nint, int*, int> CommRank, CommSize;
    public readonly delegate* unmanaged<nint, int> Barrier;
    public readonly delegate* unmanaged<void*, int, nint, int, nint, int> Broadcast;
    public readonly delegate* unmanaged<nint, int, nint, void*, int*, int*, nint, nint, int> AllGather;
    public readonly delegate* unmanaged<void*, void*, int, nint, nint, nint, int> AllReduce;
    public readonly delegate* unmanaged<void*, int, nint, int, int, nint, int> Send;
    public readonly delegate* unmanaged<void*, int, nint, int, int, nint, nint, int> Receive;
    public readonly delegate* unmanaged<int, int, nint, int*, nint, int> Probe;
    public readonly delegate* unmanaged<void*, int, nint, int, int, nint, nint*, int> BeginSend, BeginReceive;
    public readonly delegate* unmanaged<nint*, nint, int> Wait;
    public readonly delegate* unmanaged<nint, int, int> Abort;

    /// <summary>All libraries that are here: those of each kind under the first of its names.</summary>
    public static IEnumerable<MpiLibrary> Found()
    {
        foreach (string[] names in new[] { OpenMpiNames, MpichNames, StandardNames })
            if (Try(names) is { } library) yield return library;
    }

    /// <summary>The library of the launcher that started this process.</summary>
    /// <exception cref="MissingPartException">It is not here.</exception>
    public static MpiLibrary Of(MpiLauncher launcher)
    {
        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } named)
            return Try([named])
                ?? throw new MissingPartException($"{Variable} names {named}, which is no library of MPI that can be loaded");
        string[] names = launcher == MpiLauncher.OpenMpi ? [.. OpenMpiNames, .. StandardNames]
            : launcher == MpiLauncher.Hydra ? [.. MpichNames, .. StandardNames] : [.. OpenMpiNames, .. MpichNames, .. StandardNames];
        string who = launcher == MpiLauncher.OpenMpi ? "Open MPI" : launcher == MpiLauncher.Hydra ? "MPICH" : "Slurm";
        return Try(names) ?? throw new MissingPartException($"the process was started by {who}'s launcher, and the library is not here. "
            + $"Looked for {string.Join(", ", names)}; {Variable} names another. {HowToGet}");
    }

    /// <summary>How to get one.</summary>
    public const string HowToGet = "Debian and Ubuntu have it in openmpi-bin and in mpich; on clusters `module load` brings it";

    private static MpiLibrary? Try(IEnumerable<string> names)
    {
        foreach (string name in names)
            if (NativeLibrary.TryLoad(name, out nint handle))
            {
                bool isStandard = Path.GetFileName(name).Contains("mpi_abi", StringComparison.Ordinal);
                if (NativeLibrary.TryGetExport(handle, "MPI_Init_thread", out _)) return new MpiLibrary(name, handle, isStandard);
            }
        return null;
    }

    private nint Export(string function) => NativeLibrary.TryGetExport(handle, function, out nint address) ? address
        : throw new MissingPartException($"{Name} has no {function}: it is no library of MPI 3 or later");

    private string Describe()
    {
        byte[] text = new byte[8192];
        int length = 0;
        fixed (byte* to = text) ((delegate* unmanaged<byte*, int*, int>)Export("MPI_Get_library_version"))(to, &length);
        string version = Encoding.UTF8.GetString(text, 0, Math.Clamp(length, 0, text.Length)).Trim('\0', ' ', '\n');
        // Open MPI says "Open MPI v4.1.4, package: …", MPICH "MPICH Version:\t4.0.2\n…".
        string first = version.Split('\n')[0].Replace("Version:", "", StringComparison.Ordinal).Replace('\t', ' ');
        return DisplayText.OneLine(string.Join(' ', first.Split(',')[0].Split(' ', StringSplitOptions.RemoveEmptyEntries)));
    }
}
