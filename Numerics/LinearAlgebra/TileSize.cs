using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>Something done with a tile of one size; its arguments are its fields.</summary>
internal interface ITileAction
{
    /// <summary>Does it, R vectors by C numbers.</summary>
    void Run<R, C>() where R : struct, ICount where C : struct, ICount;
}

/// <summary>From the sizes of a tile as numbers to the same as types.</summary>
internal static class TileSize
{
    /// <summary>Vectors of the highest tile.</summary>
    public const int MostRows = 4;

    /// <summary>Does something with a tile of 1 to 4 vectors by 1 to 6 numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run<A>(int rows, int columns, ref A action) where A : struct, ITileAction
    {
        switch (6 * (rows - 1) + columns)
        {
            case 1: action.Run<N1, N1>(); break;
            case 2: action.Run<N1, N2>(); break;
            case 3: action.Run<N1, N3>(); break;
            case 4: action.Run<N1, N4>(); break;
            case 5: action.Run<N1, N5>(); break;
            case 6: action.Run<N1, N6>(); break;
            case 7: action.Run<N2, N1>(); break;
            case 8: action.Run<N2, N2>(); break;
            case 9: action.Run<N2, N3>(); break;
            case 10: action.Run<N2, N4>(); break;
            case 11: action.Run<N2, N5>(); break;
            case 12: action.Run<N2, N6>(); break;
            case 13: action.Run<N3, N1>(); break;
            case 14: action.Run<N3, N2>(); break;
            case 15: action.Run<N3, N3>(); break;
            case 16: action.Run<N3, N4>(); break;
            case 17: action.Run<N3, N5>(); break;
            case 18: action.Run<N3, N6>(); break;
            case 19: action.Run<N4, N1>(); break;
            case 20: action.Run<N4, N2>(); break;
            case 21: action.Run<N4, N3>(); break;
            case 22: action.Run<N4, N4>(); break;
            case 23: action.Run<N4, N5>(); break;
            case 24: action.Run<N4, N6>(); break;
            default: throw new ArgumentOutOfRangeException(nameof(rows), $"a tile of {rows}×{columns}");
        }
    }
}

/// <summary>A number that is a type, and so a constant to the JIT.</summary>
internal interface ICount
{
    static abstract int Value { get; }
}

internal readonly struct N1 : ICount { public static int Value => 1; }
internal readonly struct N2 : ICount { public static int Value => 2; }
internal readonly struct N3 : ICount { public static int Value => 3; }
internal readonly struct N4 : ICount { public static int Value => 4; }
internal readonly struct N5 : ICount { public static int Value => 5; }
internal readonly struct N6 : ICount { public static int Value => 6; }
