using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>What a classifier does where its model's file does not say it, and who computes.</summary>
public sealed record ClassifierOptions
{
    /// <summary>What pixels become, where the file's metadata do not say it, or otherwise than they do.</summary>
    public ImageTransform? Transform { get; init; }

    /// <summary>Height and width of the model's input, where its file leaves them open.</summary>
    public Size2? Size { get; init; }

    /// <summary>How pictures of other proportions come to that size; what the file says, else <see cref="Fit.Crop"/>, if null.</summary>
    public Fit? Fit { get; init; }

    /// <summary>The classes' names, where the file's metadata do not say them; their numbers if neither does.</summary>
    public IReadOnlyList<string> ClassNames { get; init; } = [];

    /// <summary>
    /// Whether pictures go into a model of MNIST's digits as they are. Otherwise they are brought to MNIST's form first: light on dark,
    /// fitted into 20×20 pixels, centred by mass.
    /// </summary>
    public bool AsIs { get; init; }

    /// <summary>Runs the model in ONNX Runtime, on this device; in the engine if null.</summary>
    public OrtOptions? OnnxRuntime { get; init; }
}

/// <summary>A class and how probable it is.</summary>
/// <param name="Class">Its name.</param>
/// <param name="Probability">From 0 to 1.</param>
public readonly record struct ClassProbability(string Class, double Probability);

/// <summary>What a picture shows.</summary>
/// <param name="Classes">All classes, the most probable first.</param>
public sealed record Classification(IReadOnlyList<ClassProbability> Classes)
{
    /// <summary>The most probable class.</summary>
    public string Class => Classes[0].Class;

    /// <summary>Its probability, from 0 to 1.</summary>
    public double Probability => Classes[0].Probability;

    /// <summary>Whether there is nothing on the picture, so that its class means nothing.</summary>
    public bool IsBlank { get; init; }
}

/// <summary>
/// Tells what pictures show, by a model file that says how it takes them: size, channels, preprocessing and the classes' names are in
/// its graph and its metadata. Any number of threads may ask it at once.
/// </summary>
public sealed class Classifier : IDisposable
{
    private readonly PictureInput input;
    private readonly Predictor? engine;
    private readonly OrtModel? runtime;
    private readonly bool probabilities;

    private Classifier(ModelProto model, byte[] bytes, string source, ClassifierOptions options)
    {
        var metadata = OnnxFile.Metadata(model);
        IReadOnlyList<string> named = options.ClassNames.Count > 0 ? options.ClassNames
            : metadata.TryGetValue(ModelMetadata.Classes, out string? text) ? ModelMetadata.SplitClasses(text) : [];
        input = new PictureInput(model, source, named, options);
        probabilities = OutputForm.IsProbabilities(model.Graph);
        long? outputs;
        if (options.OnnxRuntime is { } device)
        {
            runtime = OrtModel.Load(model, bytes, device, source);
            outputs = runtime.Outputs is [{ Shape.Count: 2 } output] ? output.Shape[1] : null;
        }
        else
        {
            var imported = OnnxImporter.Import(model);
            imported.RequireSingle();
            try { engine = new Predictor(imported.Network, imported.Sample); }
            catch (ArgumentException error) { throw new OnnxException($"{source}: {error.Message}", error); }
            outputs = engine.Output is { Rank: 1 } output ? output[0] : null;
        }
        if (outputs is -1 && named.Count > 0) outputs = named.Count; // the file leaves it open
        if (outputs is null or < 1)
        {
            Dispose();
            throw new OnnxException($"{source} is no classifier: a classifier gives one output [N, classes]");
        }
        if (named.Count > 0 && named.Count != outputs)
        {
            Dispose();
            throw new OnnxException($"{source} has {outputs} classes, and there are {named.Count} names");
        }
        ClassNames = named.Count > 0 ? named : [.. Enumerable.Range(0, (int)outputs).Select(number => $"{number}")];
    }

    /// <summary>Loads a model.</summary>
    /// <param name="path">An ONNX file.</param>
    /// <param name="options">What the file does not say, and who computes; nothing and the engine if left out.</param>
    /// <exception cref="OnnxException">The file cannot be read, is no classifier of pictures, does not say what the options do not say
    /// either, or holds what the engine has no layers for: give <see cref="ClassifierOptions.OnnxRuntime"/> then.</exception>
    /// <exception cref="MissingDeviceException">The device is not there.</exception>
    public static Classifier Load(string path, ClassifierOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        var (model, bytes) = OnnxFile.ReadWithBytes(path);
        return Create(model, bytes, path, options ?? new ClassifierOptions());
    }

    /// <summary>The same of a file that has been read.</summary>
    internal static Classifier Create(ModelProto model, byte[] bytes, string source, ClassifierOptions options) =>
        new(model, bytes, source, options);

    /// <summary>The classes' names, in the order of the model's outputs.</summary>
    public IReadOnlyList<string> ClassNames { get; }

    /// <summary>The shape [C, H, W] that pictures are brought to.</summary>
    public Shape Image => input.Stored;

    /// <summary>Classifies the picture in a file.</summary>
    /// <exception cref="DataException">There is no such file, or it is no picture that is read.</exception>
    /// <exception cref="OnnxException">ONNX Runtime fails.</exception>
    public Classification Classify(string path) => Classify(Picture.Load(path, input.Background));

    /// <summary>Classifies a picture that is read from a stream, to its end.</summary>
    /// <param name="stream">The stream.</param>
    /// <param name="name">What errors call it.</param>
    /// <inheritdoc cref="Classify(string)"/>
    public Classification Classify(Stream stream, string name = "the picture") =>
        Classify(Picture.Load(stream, name, input.Background));

    /// <summary>Classifies a picture, or pixels: <c>new Picture(width, height, channels, pixels)</c>.</summary>
    /// <exception cref="OnnxException">ONNX Runtime fails.</exception>
    public Classification Classify(Picture picture)
    {
        ArgumentNullException.ThrowIfNull(picture);
        var seen = input.See(picture);
        return Classified(Probabilities(Scores(input.Numbers(seen ?? input.Fitted(picture)))), isBlank: seen is null);
    }

    /// <summary>Releases the model.</summary>
    public void Dispose() => runtime?.Dispose();

    internal PictureInput Input => input;

    /// <summary>The model in ONNX Runtime, where that computes.</summary>
    internal OrtModel? Runtime => runtime;

    /// <summary>Runs once, on zeros: what only a first run costs is then paid.</summary>
    internal void WarmUp() => Scores(new float[input.Sample.Count]);

    /// <summary>The model's outputs for one sample.</summary>
    internal float[] Scores(float[] x)
    {
        if (runtime is not null) return runtime.Run([new Tensor(input.Sample.Prepend(1), x)])[0].Data;
        var y = new float[engine!.Outputs];
        engine.Run(x, y);
        return y;
    }

    /// <summary>The probability of each class, in the order of the model's outputs.</summary>
    internal double[] Probabilities(float[] scores)
    {
        if (scores.Length != ClassNames.Count)
            throw new OnnxException($"the model gives {scores.Length} scores, and there are {ClassNames.Count} names of classes");
        if (probabilities) return Array.ConvertAll(scores, score => (double)score);
        double most = scores.Max(), sum = scores.Sum(score => DoubleMath.Exp(score - most));
        return Array.ConvertAll(scores, score => DoubleMath.Exp(score - most) / sum);
    }

    /// <summary>The classes with these probabilities; of equal ones the first before the others.</summary>
    internal Classification Classified(double[] probabilities, bool isBlank) =>
        new([.. ClassNames.Zip(probabilities, (name, probability) => new ClassProbability(name, probability))
            .OrderByDescending(scored => scored.Probability)]) { IsBlank = isBlank };
}
