using OnnxLeNet.Numerics;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx;

/// <summary>
/// The optimizers' formulas as graphs, in the engine's and PyTorch's order of operations; see <see cref="SGD"/>, <see cref="Adam"/>,
/// <see cref="AdamW"/> and <see cref="RMSprop"/>. What is kept for a parameter begins at zero, under the parameter's name and PyTorch's
/// name for it.
/// </summary>
internal static class OptimizerGraph
{
    /// <summary>What an optimizer keeps for a parameter of a group, by PyTorch's names.</summary>
    public static IReadOnlyList<string> Buffers(Optimizer optimizer, ParameterGroup group) => optimizer switch
    {
        SGD => group.Momentum != 0 ? ["momentum_buffer"] : [],
        Adam or AdamW => group.Amsgrad ? ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"] : ["exp_avg", "exp_avg_sq"],
        RMSprop => ["square_avg", .. group.Momentum != 0 ? (string[])["momentum_buffer"] : [], .. group.Centered ? (string[])["grad_avg"]
            : []],
        _ => throw new OnnxException($"{optimizer.GetType().Name} has no form in ONNX: SGD, Adam, AdamW and RMSprop have"),
    };

    /// <summary>Whether the formulas ask how many updates there were.</summary>
    public static bool CountsSteps(Optimizer optimizer) => optimizer is Adam or AdamW
        || (optimizer is SGD && optimizer.ParameterGroups.Any(group => group.Momentum != 0 && group.Dampening != 0));

    /// <summary>The updates of all trained parameters by their gradients.</summary>
    public static void Add(TrainingWriter graph, Optimizer optimizer)
    {
        Clip(graph);
        if (CountsSteps(optimizer)) graph.Update(TrainingNames.Step, "Add", TrainingNames.Step, graph.Integer(1));
        for (int i = 0; i < optimizer.ParameterGroups.Count; i++)
        {
            var group = optimizer.ParameterGroups[i];
            string rate = TrainingNames.LearningRateOf(i, optimizer.ParameterGroups.Count), stem = $"group{i}";
            var trained = group.Parameters.Where(graph.Trains).ToList();
            if (trained.Count == 0) continue;
            Action<string, string, string> update = optimizer switch
            {
                SGD => Sgd(graph, group, rate, stem),
                Adam => AdamOf(graph, group, rate, stem, decoupled: false),
                AdamW => AdamOf(graph, group, rate, stem, decoupled: true),
                _ => Rms(graph, group, rate),
            };
            foreach (var parameter in trained)
            {
                string name = graph.NameOf(parameter), w = name, g = graph.Gradients[parameter];
                if (group.WeightDecay != 0 && optimizer is not AdamW)
                    g = graph.Node("Add", $"{name}.decayed", [g, graph.Node("Mul", $"{name}.decay", [w, graph.Number(group.WeightDecay)])]);
                update(name, w, g);
            }
        }
    }

    private static Action<string, string, string> Sgd(TrainingWriter graph, ParameterGroup group, string rate, string stem)
    {
        string? fresh = null;
        if (group.Momentum != 0 && group.Dampening != 0)
        {
            // The first velocity is the gradient itself.
            string first = graph.Node("Equal", $"{stem}.first", [TrainingNames.Step, graph.Integer(0)]);
            fresh = graph.Node("Where", $"{stem}.fresh", [first, graph.Number(1), graph.Number(1 - group.Dampening)]);
        }
        return (name, w, g) =>
        {
            if (group.Momentum != 0)
            {
                string velocity = $"{name}.momentum_buffer",
                    kept = graph.Node("Mul", $"{name}.velocity_kept", [velocity, graph.Number(group.Momentum)]);
                graph.Update(velocity, "Add", kept, fresh is null ? g : graph.Node("Mul", $"{name}.velocity_new", [g, fresh]));
                string next = velocity + TrainingNames.Next;
                g = group.Nesterov ? graph.Node("Add", $"{name}.ahead",
                    [g, graph.Node("Mul", $"{name}.velocity_ahead", [next, graph.Number(group.Momentum)])]) : next;
            }
            graph.Update(name, "Sub", w, graph.Node("Mul", $"{name}.change", [g, rate]));
        };
    }

    /// <summary>The bias corrections are worked out in double: 1 − 0.999 has four digits less than the float 0.999.</summary>
    private static Action<string, string, string> AdamOf(TrainingWriter graph, ParameterGroup group, string rate, string stem,
        bool decoupled)
    {
        var (beta1, beta2) = group.Betas;
        string Double(string name, double value) => graph.Graph.Double($"{stem}.{name}", value);
        string Cast(string name, string value, DataType type) =>
            graph.Node("Cast", $"{stem}.{name}", [value], GraphWriter.Int("to", (int)type));
        string one = Double("one", 1), step = Cast("steps", TrainingNames.Step + TrainingNames.Next, DataType.Double);
        string Correction(string name, double beta) =>
            graph.Node("Sub", $"{stem}.{name}", [one, graph.Node("Pow", $"{stem}.{name}_power", [Double($"{name}_beta", beta), step])]);
        string scaled = Cast("rate", graph.Node("Div", $"{stem}.rate_double",
            [Cast("rate_given", rate, DataType.Double), Correction("correction1", beta1)]), DataType.Float);
        string root = Cast("root", graph.Node("Sqrt", $"{stem}.root_double", [Correction("correction2", beta2)]), DataType.Float);
        string? keep = decoupled && group.WeightDecay != 0
            ? graph.Node("Sub", $"{stem}.keep", [graph.Number(1),
                graph.Node("Mul", $"{stem}.decay", [rate, graph.Number(group.WeightDecay)])])
            : null;
        return (name, w, g) =>
        {
            if (keep is not null) w = graph.Node("Mul", $"{name}.kept", [w, keep]);
            string mean = $"{name}.exp_avg", square = $"{name}.exp_avg_sq", largest = $"{name}.max_exp_avg_sq";
            graph.Update(mean, "Add", graph.Node("Mul", $"{mean}.kept", [mean, graph.Number(beta1)]),
                graph.Node("Mul", $"{mean}.new", [g, graph.Number(1 - beta1)]));
            Square(graph, square, g, beta2);
            string v = square + TrainingNames.Next;
            if (group.Amsgrad)
            {
                graph.Update(largest, "Max", largest, v);
                v = largest + TrainingNames.Next;
            }
            string deviation = Deviation(graph, name,
                graph.Node("Div", $"{name}.corrected", [graph.Node("Sqrt", $"{name}.root", [v]), root]), group.Eps);
            graph.Update(name, "Sub", w, graph.Node("Div", $"{name}.change",
                [graph.Node("Mul", $"{name}.scaled", [mean + TrainingNames.Next, scaled]), deviation]));
        };
    }

    private static Action<string, string, string> Rms(TrainingWriter graph, ParameterGroup group, string rate) => (name, w, g) =>
    {
        string square = $"{name}.square_avg", mean = $"{name}.grad_avg", velocity = $"{name}.momentum_buffer";
        Square(graph, square, g, group.Alpha);
        string s = square + TrainingNames.Next;
        if (group.Centered)
        {
            graph.Update(mean, "Add", graph.Node("Mul", $"{mean}.kept", [mean, graph.Number(group.Alpha)]),
                graph.Node("Mul", $"{mean}.new", [g, graph.Number(1 - group.Alpha)]));
            string next = mean + TrainingNames.Next;
            s = graph.Node("Sub", $"{name}.variance", [s, graph.Node("Mul", $"{mean}.square", [next, next])]);
        }
        string deviation = Deviation(graph, name, graph.Node("Sqrt", $"{name}.root", [s]), group.Eps);
        if (group.Momentum != 0)
        {
            graph.Update(velocity, "Add", graph.Node("Mul", $"{velocity}.kept", [velocity, graph.Number(group.Momentum)]),
                graph.Node("Div", $"{name}.normalized", [g, deviation]));
            graph.Update(name, "Sub", w, graph.Node("Mul", $"{name}.change", [velocity + TrainingNames.Next, rate]));
        }
        else graph.Update(name, "Sub", w, graph.Node("Div", $"{name}.change", [graph.Node("Mul", $"{name}.scaled", [g, rate]), deviation]));
    };

    private static void Square(TrainingWriter graph, string square, string g, double kept)
    {
        string squared = graph.Node("Mul", $"{square}.new", [graph.Node("Mul", $"{square}.share", [g, graph.Number(1 - kept)]), g]);
        graph.Update(square, "Add", graph.Node("Mul", $"{square}.kept", [square, graph.Number(kept)]), squared);
    }

    private static string Deviation(TrainingWriter graph, string name, string root, double eps) =>
        graph.Node("Add", $"{name}.deviation", [root, graph.Number(eps)]);

    /// <summary>The gradients within the limits, in the place of those that may be beyond.</summary>
    private static void Clip(TrainingWriter graph)
    {
        var parameters = graph.Gradients.Keys.OrderBy(graph.NameOf, StringComparer.Ordinal).ToList();
        if (graph.Options.ClipNorm is { } norm && double.IsFinite(norm))
        {
            string[] squares = [.. parameters.Select(parameter =>
                graph.Node("ReduceSumSquare", $"{graph.NameOf(parameter)}.square_sum", [graph.Gradients[parameter]],
                GraphWriter.Int("keepdims", 0)))];
            string length = graph.Node("Sqrt", "clip.norm",
                [squares.Length == 1 ? squares[0] : graph.Node("Sum", "clip.square_sum", squares)]);
            string factor = graph.Node("Div", "clip.ratio",
                [graph.Number(norm), graph.Node("Add", "clip.norm_eps", [length, graph.Number(1e-6)])]);
            factor = graph.Node("Min", "clip.factor", [factor, graph.Number(1)]);
            foreach (var parameter in parameters)
                graph.Gradients[parameter] = graph.Node("Mul", $"{graph.NameOf(parameter)}.grad_scaled",
                    [graph.Gradients[parameter], factor]);
        }
        if (graph.Options.ClipValue is { } limit && double.IsFinite(limit))
        {
            foreach (var parameter in parameters)
                graph.Gradients[parameter] = graph.Node("Clip", $"{graph.NameOf(parameter)}.grad_clipped",
                    [graph.Gradients[parameter], graph.Number(-limit), graph.Number(limit)]);
        }
    }
}
