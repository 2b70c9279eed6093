using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>
/// All that is written to ONNX and read from it, a row for each: what a layer or join of the engine is in a model for inference and in a
/// training step, and what an operator becomes.
/// </summary>
internal static class OperatorTable
{
    private static readonly LayerForm[] Forms =
    [
        LayerForm.Of<ConvNd>(Conv.Export, Conv.Backward, stem: "conv"),
        LayerForm.Of<Linear>(Gemm.Export, Gemm.Backward),
        LayerForm.Of<MaxPoolNd>(MaxPool.Export, MaxPool.Backward, stem: "maxpool"),
        LayerForm.Of<AvgPoolNd>(AveragePool.Export, AveragePool.Backward, stem: "avgpool"),
        LayerForm.Of<AdaptiveAvgPoolNd>(AveragePool.Export, AveragePool.Backward, stem: "avgpool"),
        LayerForm.Of<AdaptiveMaxPool2d>(MaxPool.Export, MaxPool.Backward, MaxPool.ExportTraining, stem: "maxpool"),
        LayerForm.Of<ConvTranspose2d>(ConvTranspose.Export, ConvTranspose.Backward, stem: "convtranspose"),
        LayerForm.Of<Numerics.Resize>(Resize.Export, Resize.Backward, stem: "resize"),
        LayerForm.Of<Pad2d>(Pad.Export, Pad.Backward, stem: "pad"),
        LayerForm.Of<Slice>(Indexing.Export, Indexing.Backward),
        LayerForm.Of<IndexSelect>(Indexing.Export, Indexing.Backward, stem: "gather"),
        LayerForm.Of<Numerics.ChannelShuffle>(ChannelShuffle.Export, ChannelShuffle.Backward),
        LayerForm.Of<BatchNorm>(BatchNormalization.Export, BatchNormalization.Backward, BatchNormalization.ExportTraining, stem: "bn"),
        LayerForm.Of<SampleNorm>(SampleNormalization.Export, SampleNormalization.Backward, SampleNormalization.ExportTraining),
        LayerForm.Of<LocalResponseNorm>(Lrn.Export, Lrn.Backward, stem: "lrn"),
        LayerForm.Of<Reduce>(Reductions.Export, Reductions.Backward),
        LayerForm.Of<Numerics.Dropout>(Dropout.Export, Dropout.Backward, Dropout.ExportTraining),
        LayerForm.Of<ReLU>(Activations.Export, Activations.Backward),
        LayerForm.Of<LeakyReLU>(Activations.Export, Activations.Backward),
        LayerForm.Of<Sigmoid>(Activations.Export, Activations.Backward),
        LayerForm.Of<Tanh>(Activations.Export, Activations.Backward),
        LayerForm.Of<GELU>(Gelu.Export, Gelu.Backward),
        LayerForm.Of<Hardtanh>(Clip.Export, Clip.Backward),
        LayerForm.Of<Hardsigmoid>(Clip.Export, Clip.Backward),
        LayerForm.Of<Hardswish>(Clip.Export, Clip.Backward),
        LayerForm.Of<ELU>(ExponentialUnits.Export, ExponentialUnits.Backward),
        LayerForm.Of<SELU>(ExponentialUnits.Export, ExponentialUnits.Backward),
        LayerForm.Of<Softplus>(ExponentialUnits.Export, ExponentialUnits.Backward),
        LayerForm.Of<Mish>(ExponentialUnits.Export, ExponentialUnits.Backward),
        LayerForm.Of<SiLU>(ExponentialUnits.Export, ExponentialUnits.Backward),
        LayerForm.Of<PReLU>(PRelu.Export, PRelu.Backward),
        LayerForm.Of<ChannelNormalization>(Softmax.Export, Softmax.Backward),
        LayerForm.Of<Numerics.Flatten>(Shapes.Export, Shapes.Backward),
        LayerForm.Of<Numerics.Reshape>(Shapes.Export, Shapes.Backward),
        LayerForm.Of<Permute>(Shapes.Export, Shapes.Backward),
        LayerForm.Of<ScaleShift>(Arithmetic.Export, Arithmetic.Backward),
        LayerForm.OfJoin<Broadcasting>(Joins.Export, Joins.Backward),
        LayerForm.OfJoin<Numerics.Concat>(Joins.Export, Joins.Backward),
    ];

    private static readonly Dictionary<Type, LayerForm> ByLayer = Forms.ToDictionary(form => form.Layer);

    /// <summary>What each operator of a file becomes.</summary>
    public static IReadOnlyDictionary<string, Func<NodeReader, ImportedLayer>> Readers { get; } =
        new Dictionary<string, Func<NodeReader, ImportedLayer>>
        {
            ["Conv"] = Conv.Import,
            ["Gemm"] = Gemm.Import,
            ["MatMul"] = Gemm.ImportMatMul,
            ["Relu"] = Activations.ImportRelu,
            ["LeakyRelu"] = Activations.ImportLeakyRelu,
            ["Sigmoid"] = Activations.ImportSigmoid,
            ["Tanh"] = Activations.ImportTanh,
            ["Gelu"] = Gelu.Import,
            ["Clip"] = Clip.Import,
            ["HardSigmoid"] = Clip.ImportHardSigmoid,
            ["HardSwish"] = Clip.ImportHardSwish,
            ["Elu"] = ExponentialUnits.ImportElu,
            ["Selu"] = ExponentialUnits.ImportSelu,
            ["Softplus"] = ExponentialUnits.ImportSoftplus,
            ["Mish"] = ExponentialUnits.ImportMish,
            ["Swish"] = ExponentialUnits.ImportSwish,
            ["PRelu"] = PRelu.Import,
            ["Add"] = Arithmetic.Import,
            ["Sub"] = Arithmetic.Import,
            ["Mul"] = Arithmetic.Import,
            ["Div"] = Arithmetic.Import,
            ["Sum"] = Joins.ImportSum,
            ["Concat"] = Joins.ImportConcat,
            ["Softmax"] = Softmax.Import,
            ["LogSoftmax"] = Softmax.ImportLog,
            ["MaxPool"] = MaxPool.Import,
            ["AveragePool"] = AveragePool.Import,
            ["ConvTranspose"] = ConvTranspose.Import,
            ["GlobalMaxPool"] = MaxPool.ImportGlobal,
            ["Resize"] = Resize.Import,
            ["Upsample"] = Resize.ImportUpsample,
            ["Slice"] = Indexing.ImportSlice,
            ["Split"] = Indexing.ImportSplit,
            ["Gather"] = Indexing.ImportGather,
            ["GlobalAveragePool"] = AveragePool.ImportGlobal,
            ["ReduceMean"] = Reductions.ImportMean,
            ["ReduceSum"] = Reductions.ImportSum,
            ["ReduceMax"] = Reductions.ImportMax,
            ["BatchNormalization"] = BatchNormalization.Import,
            ["InstanceNormalization"] = SampleNormalization.ImportInstance,
            ["LayerNormalization"] = SampleNormalization.ImportLayer,
            ["GroupNormalization"] = SampleNormalization.ImportGroup,
            ["LRN"] = Lrn.Import,
            ["Dropout"] = Dropout.Import,
            ["Flatten"] = Shapes.ImportFlatten,
            ["Reshape"] = Shapes.ImportReshape,
            ["Squeeze"] = Shapes.ImportSqueeze,
            ["Unsqueeze"] = Shapes.ImportUnsqueeze,
            ["Transpose"] = Shapes.ImportTranspose,
            ["Pad"] = Pad.Import,
            ["Identity"] = Shapes.ImportIdentity,
            ["Cast"] = Shapes.ImportCast,
        };

    /// <summary>
    /// The form of a layer or join: its own, that of its class, or of the nearest base that has one; null where there is none.
    /// </summary>
    public static LayerForm? Find(Leaf layer) => layer is IOnnxForm own ? LayerForm.OfUser(own) : Find(layer.GetType());

    /// <summary>The form of the layers or joins of a class, or of the nearest base that has one; null where there is none.</summary>
    public static LayerForm? Find(Type layer)
    {
        for (var type = layer; type is not null; type = type.BaseType)
        {
            if (ByLayer.TryGetValue(type, out var form)) return form;
        }
        return null;
    }

    /// <summary>What the names of layers of this kind begin with where they have none of their own.</summary>
    public static string Stem(Module module) => (module is Leaf layer ? Find(layer)?.Stem : null)
        ?? module.GetType().Name.ToLowerInvariant();
}

/// <summary>What a layer or join is in ONNX.</summary>
/// <param name="Layer">Its class.</param>
/// <param name="Stem">What its node's name begins with where it has none of its own; null for the class's name.</param>
/// <param name="Write">Adds its nodes in inference form, the last one of the name given; returns the value that this returns.</param>
/// <param name="WriteTraining">The same in a training step, where it computes something else there; else null.</param>
/// <param name="WriteBackward">Adds its backward: the parameters' gradients, and for each input that wants one its gradient.</param>
internal sealed record LayerForm(
    Type Layer, string? Stem, LayerForm.Forward Write, LayerForm.TrainingForward? WriteTraining, LayerForm.Backward WriteBackward)
{
    public delegate string Forward(GraphWriter graph, string name, string[] x, Leaf layer, Shape[] samples);

    public delegate string TrainingForward(TrainingWriter graph, string name, string x, Leaf layer, Shape sample);

    public delegate string?[] Backward(TrainingWriter graph, TrainingNode at, string dy);

    /// <summary>The form of a layer, whose nodes depend on the shape of its samples.</summary>
    public static LayerForm Of<T>(Func<GraphWriter, string, string, T, Shape, string> forward,
        Func<TrainingWriter, TrainingLayer, string, T, string?> backward,
        Func<TrainingWriter, string, string, T, Shape, string>? training = null, string? stem = null) where T : Layer =>
        new(typeof(T), stem, (graph, name, x, layer, samples) => forward(graph, name, x[0], (T)layer, samples[0]),
            training is null ? null : (graph, name, x, layer, sample) => training(graph, name, x, (T)layer, sample),
            (graph, at, dy) => [backward(graph, at.Single, dy, (T)at.Layer)]);

    /// <summary>The form of a layer, whose nodes are the same for samples of any shape.</summary>
    public static LayerForm Of<T>(Func<GraphWriter, string, string, T, string> forward,
        Func<TrainingWriter, TrainingLayer, string, T, string?> backward,
        Func<TrainingWriter, string, string, T, Shape, string>? training = null, string? stem = null) where T : Layer =>
        Of<T>((graph, name, x, layer, _) => forward(graph, name, x, layer), backward, training, stem);

    /// <summary>The form that a user's layer or join gives itself.</summary>
    public static LayerForm OfUser(IOnnxForm form) => new(form.GetType(), null,
        (graph, name, x, layer, samples) => form.ToOnnx(new OnnxNodes(graph, null, layer, name, x, samples, output: null)), null,
        (graph, at, dy) => [.. form.BackwardToOnnx(new OnnxNodes(graph.Graph, graph, at.Layer, at.Name, at.X, at.XSamples, at.Y), dy)]);

    /// <summary>The form of a join.</summary>
    public static LayerForm OfJoin<T>(Func<GraphWriter, string, string[], T, Shape[], string> forward,
        Func<TrainingWriter, TrainingNode, string, T, string?[]> backward) where T : Join =>
        new(typeof(T), null, (graph, name, x, layer, samples) => forward(graph, name, x, (T)layer, samples), null,
            (graph, at, dy) => backward(graph, at, dy, (T)at.Layer));
}
