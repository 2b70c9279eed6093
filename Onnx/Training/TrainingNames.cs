namespace OnnxLeNet.Onnx;

/// <summary>
/// Names in a training step's graph. What a step replaces is an input, and the same name with <see cref="Next"/> the output:
/// <c>conv1.weight</c> and <c>conv1.weight.next</c>, <c>conv1.weight.momentum_buffer</c> and <c>conv1.weight.momentum_buffer.next</c>.
/// </summary>
public static class TrainingNames
{
    /// <summary>The class of each sample, int64 [N].</summary>
    public const string Labels = "labels";

    /// <summary>What each sample should give, of the output's shape.</summary>
    public const string Target = "target";

    /// <summary>The learning rate, a float without axes; with several parameter groups one for each, a dot and its number behind.</summary>
    public const string LearningRate = "learning_rate";

    /// <summary>Updates so far, an int64 without axes.</summary>
    public const string Step = "step";

    /// <summary>The mean loss, a float without axes.</summary>
    public const string Loss = "loss";

    /// <summary>Ends the name of an output that is the next step's input.</summary>
    public const string Next = ".next";

    /// <summary>Ends the name of a gradient.</summary>
    public const string Gradient = ".grad";

    /// <summary>
    /// Ends the name of a dropout's mask, an input of the layer's shape: 0 where an element is dropped, 1/(1 − p) elsewhere.
    /// </summary>
    public const string Mask = ".mask";

    /// <summary>Metadata: a JSON object, for each output that is the next step's input that input's name.</summary>
    public const string Updates = "training.updates";

    /// <summary>Metadata: the loss by PyTorch's name.</summary>
    public const string LossKind = "training.loss";

    /// <summary>Metadata: the optimizer by PyTorch's name.</summary>
    public const string Optimizer = "training.optimizer";

    /// <summary>
    /// Metadata: a JSON array of the parameter groups, each with its parameters' names and its numbers, the learning rate left out.
    /// </summary>
    public const string Groups = "training.groups";

    /// <summary>Metadata: the learning rates that training began with, one for each group, separated by commas.</summary>
    public const string LearningRates = "training.learning_rates";

    /// <summary>Metadata: how gradients are limited, as a JSON object; missing where they are not.</summary>
    public const string Clipping = "training.clipping";

    /// <summary>Ends the name of an output that a node takes, returns or passes back, in a step that is written to be compared.</summary>
    internal const string Value = ".value";

    /// <summary>The output of a value of the traced graph.</summary>
    internal static string ValueOf(int index) => $"{index}{Value}";

    internal static string LearningRateOf(int group, int groups) => groups == 1 ? LearningRate : $"{LearningRate}.{group}";
}
