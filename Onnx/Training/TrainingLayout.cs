using System.Text.Json.Nodes;
using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx;

/// <summary>A tensor that a training step takes and, mostly, replaces: a parameter, a buffer, or what the optimizer keeps.</summary>
/// <param name="Name">Its input's name in the graph.</param>
/// <param name="Type">Floats, or integers.</param>
/// <param name="Shape">Its sizes; none for a single number.</param>
/// <param name="Parameter">The parameter that it is.</param>
/// <param name="Buffer">The network's buffer that it is.</param>
/// <param name="StateEntry">The entry of the optimizer's state that it is; null for the count of steps.</param>
internal sealed record TrainingTensor(string Name, ElementType Type, Shape Shape, Parameter? Parameter = null, StateTensor? Buffer = null,
    string? StateEntry = null)
{
    /// <summary>Whether the step leaves it as it is: a parameter that is not trained, or a buffer of a frozen layer.</summary>
    public bool IsFrozen { get; init; }
}

/// <summary>What a training step of a network and an optimizer takes: the same for the file that is written and for who runs it.</summary>
internal sealed class TrainingLayout
{
    private TrainingLayout(string optimizer, string groups, List<(string, double)> rates, List<TrainingTensor> tensors,
        Dictionary<Parameter, string> names, List<Parameter> trained) =>
        (Optimizer, Groups, LearningRates, Tensors, ParameterNames, Trained) = (optimizer, groups, rates, tensors, names, trained);

    /// <summary>The optimizer by PyTorch's name.</summary>
    public string Optimizer { get; }

    /// <summary>The groups as JSON, the learning rates left out.</summary>
    public string Groups { get; }

    /// <summary>The learning rates' inputs and their values now.</summary>
    public IReadOnlyList<(string Name, double Value)> LearningRates { get; }

    /// <summary>Parameters, buffers and the optimizer's state, in the order of the inputs.</summary>
    public IReadOnlyList<TrainingTensor> Tensors { get; }

    public Dictionary<Parameter, string> ParameterNames { get; }

    /// <summary>The parameters that the step changes, in the network's order.</summary>
    public IReadOnlyList<Parameter> Trained { get; }

    /// <summary>All names that the graph's inputs have of it.</summary>
    public IEnumerable<string> Names => LearningRates.Select(rate => rate.Name).Concat(Tensors.Select(tensor => tensor.Name));

    /// <exception cref="OnnxException">The optimizer has no form in ONNX, trains nothing, or has a parameter that is not the
    /// network's.</exception>
    public static TrainingLayout Of(Module network, Optimizer optimizer)
    {
        var names = network.NamedParameters().ToDictionary(named => named.Parameter, named => named.Name);
        var places = new Dictionary<Parameter, (int Index, ParameterGroup Group)>();
        var groups = new JsonArray();
        var rates = new List<(string, double)>();
        foreach (var group in optimizer.ParameterGroups)
        {
            rates.Add((TrainingNames.LearningRateOf(rates.Count, optimizer.ParameterGroups.Count), group.LearningRate));
            var parameters = new JsonArray();
            foreach (var parameter in group.Parameters)
            {
                if (!names.TryGetValue(parameter, out string? name)) throw new OnnxException("the optimizer has a parameter of shape "
                    + $"{parameter.Value.Shape} that is not the network's: make it of the network's own parameters");
                places.Add(parameter, (places.Count, group));
                parameters.Add((JsonNode)name);
            }
            var described = Describe(optimizer, group);
            described.Insert(0, "params", parameters);
            groups.Add((JsonNode)described);
        }
        List<Parameter> trained = [.. names.Keys.Where(parameter => parameter.RequiresGrad && places.ContainsKey(parameter))];
        if (trained.Count == 0) throw new OnnxException("there is nothing to train: the network has no parameters, or all of them "
            + "are frozen");
        var tensors = names.Select(named => new TrainingTensor(named.Value, ElementType.Float32, named.Key.Value.Shape,
            Parameter: named.Key) { IsFrozen = !trained.Contains(named.Key) }).ToList();
        var frozen = network.NamedModules().Where(named => named.Module.IsFrozen)
            .SelectMany(named => named.Module.NamedBuffers().Select(buffer => buffer.Buffer)).ToHashSet();
        tensors.AddRange(network.NamedBuffers().Select(named => new TrainingTensor(named.Name, named.Buffer.Type, named.Buffer.Shape,
            Buffer: named.Buffer) { IsFrozen = frozen.Contains(named.Buffer) }));
        foreach (var parameter in trained)
        {
            var (index, group) = places[parameter];
            tensors.AddRange(OptimizerGraph.Buffers(optimizer, group).Select(buffer =>
                new TrainingTensor($"{names[parameter]}.{buffer}", ElementType.Float32, parameter.Value.Shape,
                    StateEntry: $"state.{index}.{buffer}")));
        }
        if (OptimizerGraph.CountsSteps(optimizer)) tensors.Add(new TrainingTensor(TrainingNames.Step, ElementType.Int64, new Shape()));
        return new TrainingLayout(optimizer.GetType().Name, groups.ToJsonString(), rates, tensors, names,
            trained) { Indices = [.. trained.Select(parameter => places[parameter].Index)] };
    }

    /// <summary>The trained parameters' numbers in the optimizer's state.</summary>
    public required IReadOnlyList<int> Indices { get; init; }

    private static JsonObject Describe(Optimizer optimizer, ParameterGroup group) => optimizer switch
    {
        SGD => new() { ["momentum"] = group.Momentum, ["dampening"] = group.Dampening, ["weight_decay"] = group.WeightDecay,
            ["nesterov"] = group.Nesterov },
        RMSprop => new() { ["alpha"] = group.Alpha, ["eps"] = group.Eps, ["weight_decay"] = group.WeightDecay,
            ["momentum"] = group.Momentum, ["centered"] = group.Centered },
        _ => new() { ["betas"] = new JsonArray(group.Betas.Beta1, group.Betas.Beta2), ["eps"] = group.Eps,
            ["weight_decay"] = group.WeightDecay, ["amsgrad"] = group.Amsgrad },
    };
}
