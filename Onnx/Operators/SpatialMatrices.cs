using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>
/// Layers that are linear along height and width, each on its own: Y = R·X·C for every channel, with a matrix R [oH × H] for the rows and C
/// [W × oW] for the columns, both constant. Backward, dX = Rᵀ·dY·Cᵀ. Images of one spatial axis have C alone.
/// </summary>
internal static class SpatialMatrices
{
    /// <summary>The matrix [output × input] of an axis whose places of the result are weighted sums of the input's.</summary>
    /// <param name="output">Places of the result.</param>
    /// <param name="input">Places of the input.</param>
    /// <param name="terms">Of a place of the result what it is made of, places below 0 left out.</param>
    public static float[,] Matrix(int output, int input, Func<int, IEnumerable<(int Place, float Weight)>> terms)
    {
        var matrix = new float[output, input];
        for (int i = 0; i < output; i++)
            foreach (var (place, weight) in terms(i).Where(term => term.Place >= 0)) matrix[i, place] += weight;
        return matrix;
    }

    /// <summary>Y = R·X·C; a matrix for the rows is left out where it is null.</summary>
    public static string Forward(GraphWriter graph, string name, string x, float[,]? rows, float[,] columns)
    {
        string right = graph.Constant($"{name}.columns", Tensor(columns, transposed: true));
        if (rows is null) return graph.Node("MatMul", name, [x, right]);
        string inner = graph.Node("MatMul", $"{name}_columns", [x, right]);
        return graph.Node("MatMul", name, [graph.Constant($"{name}.rows", Tensor(rows, transposed: false)), inner]);
    }

    /// <summary>dX = Rᵀ·dY·Cᵀ.</summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, float[,]? rows, float[,] columns)
    {
        string right = graph.Graph.Initializer($"{at.Name}.dx_columns", Tensor(columns, transposed: false));
        if (rows is null) return graph.Node("MatMul", $"{at.Name}.dx", [dy, right]);
        string inner = graph.Node("MatMul", $"{at.Name}.dx_inner", [dy, right]);
        return graph.Node("MatMul", $"{at.Name}.dx",
            [graph.Graph.Initializer($"{at.Name}.dx_rows", Tensor(rows, transposed: true)), inner]);
    }

    /// <summary>Whether a constant is a matrix, element by element.</summary>
    public static bool Equals(Constant constant, float[,] matrix, bool transposed)
    {
        var expected = Tensor(matrix, transposed);
        return constant.IsFloat && constant.Dims.AsSpan().SequenceEqual(expected.Shape.Sizes)
            && constant.Floats().AsSpan().SequenceEqual(expected.Data);
    }

    private static Tensor Tensor(float[,] matrix, bool transposed)
    {
        var (n, m) = (matrix.GetLength(0), matrix.GetLength(1));
        var tensor = new Tensor(transposed ? new Shape(m, n) : new Shape(n, m));
        for (int i = 0; i < n; i++)
            for (int j = 0; j < m; j++) tensor.Data[transposed ? j * n + i : i * m + j] = matrix[i, j];
        return tensor;
    }
}
