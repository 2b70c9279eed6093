using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx;

/// <summary>How far two paths' results for the same input lie apart.</summary>
/// <param name="Input">What went in.</param>
/// <param name="Samples">Rows compared.</param>
/// <param name="MaxAbs">Largest absolute difference.</param>
/// <param name="MaxRel">That, over the largest absolute value of the reference.</param>
/// <param name="Top1Agreement">Share of rows with the same largest element, 0 to 1. A flip within the tolerance counts as the same, see
/// <see cref="Flips"/>.</param>
/// <param name="Tolerance">What <see cref="MaxRel"/> must stay under.</param>
public sealed record ParityRow(string Input, int Samples, double MaxAbs, double MaxRel, double Top1Agreement, double Tolerance)
{
    /// <summary>Whether they agree. What is not a number never does.</summary>
    public bool Passed => MaxRel < Tolerance && Top1Agreement >= LeastAgreement;

    /// <summary>What <see cref="Top1Agreement"/> must reach: 1, but where float16 rounds.</summary>
    public double LeastAgreement { get; init; } = 1;

    /// <summary>Rows where the two have another largest element, ties included. One that is within the tolerance says nothing: rounding
    /// alone makes it, where the reference's two elements lie so near.</summary>
    public int Flips { get; init; }

    /// <summary>
    /// How far the reference's largest element is above the one that is the largest on the other side, over its largest absolute value of
    /// all: the largest of all <see cref="Flips"/>, 0 without one. Beyond <see cref="Tolerance"/> it is in <see cref="Top1Agreement"/>.
    /// </summary>
    public double FlipGap { get; init; }

    /// <summary>Several comparisons as one: the worst of each number. What is not a number stays so.</summary>
    /// <exception cref="ArgumentException">There are none.</exception>
    public static ParityRow Worst(string input, int samples, IEnumerable<ParityRow> rows)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ParityRow? worst = null;
        foreach (var row in rows)
        {
            worst = worst is null ? row with { Input = input, Samples = samples } : worst with
            {
                MaxAbs = Math.Max(worst.MaxAbs, row.MaxAbs),
                MaxRel = Math.Max(worst.MaxRel, row.MaxRel),
                Top1Agreement = Math.Min(worst.Top1Agreement, row.Top1Agreement),
                Tolerance = Math.Min(worst.Tolerance, row.Tolerance),
                LeastAgreement = Math.Max(worst.LeastAgreement, row.LeastAgreement),
                Flips = Math.Max(worst.Flips, row.Flips),
                FlipGap = Math.Max(worst.FlipGap, row.FlipGap),
            };
        }
        return worst ?? throw new ArgumentException($"{input}: nothing was compared", nameof(rows));
    }
}

/// <summary>The proof that the engine and ONNX Runtime compute the same function.</summary>
/// <param name="Device">Where ONNX Runtime ran.</param>
/// <param name="Rows">Each input compared.</param>
public sealed record ParityReport(string Device, IReadOnlyList<ParityRow> Rows)
{
    /// <summary>Whether every row passed, and there is one.</summary>
    public bool Passed => Rows.Count > 0 && Rows.All(r => r.Passed);
}

/// <summary>Compares the engine with ONNX Runtime.</summary>
public static class Parity
{
    /// <summary>Bound of the relative error on the CPU.</summary>
    public const double CpuTolerance = 1e-5;

    /// <summary>Bound of the relative error on CUDA without TF32.</summary>
    public const double CudaTolerance = 1e-4;

    /// <summary>
    /// Bound of the relative error for a file that takes or gives float16: each value that passes from node to node is rounded to 11 bits,
    /// half of 2⁻¹⁰, and the error of some layers adds up. It stands for eight roundings that all go the same way.
    /// </summary>
    public const double HalfTolerance = 8.0 / 2048;

    /// <summary>Share of images that have to keep their class where float16 rounds: classes whose logits lie up to twice the tolerance
    /// apart may change places.</summary>
    public const double HalfAgreement = 0.998;

    /// <summary>Batch sizes tried on random input: a single sample, one that fills no vector, one that fills several, and several blocks
    /// with a rest.</summary>
    public static IReadOnlyList<int> BatchSizes { get; } = [1, 7, 64, 257];

    /// <summary>Images per call of ONNX Runtime when a data set goes through.</summary>
    private const int DataBatch = 250;

    /// <summary>Compares two results [rows, classes], the engine's first.</summary>
    /// <exception cref="ShapeException">They have different shapes, or no elements.</exception>
    public static ParityRow Compare(string input, Tensor own, Tensor reference, double tolerance)
    {
        ArgumentNullException.ThrowIfNull(own);
        ArgumentNullException.ThrowIfNull(reference);
        if (own.Shape != reference.Shape || own.Shape.Rank != 2 || own.Shape.Count == 0)
            throw new ShapeException($"{input}: the engine returned {own.Shape}, ONNX Runtime {reference.Shape}; both must be "
                + "[rows, classes]");
        double maxAbs = 0, scale = 0;
        for (int i = 0; i < own.Data.Length; i++)
        {
            // Math.Max hands a NaN on, so one anywhere ends as the result.
            maxAbs = Math.Max(maxAbs, Math.Abs((double)own.Data[i] - reference.Data[i]));
            scale = Math.Max(scale, Math.Abs((double)reference.Data[i]));
        }
        int classes = own.Shape[1];
        bool IsFinite(Tensor logits, int row) =>
            !logits.Data.AsSpan(row * classes, classes).ContainsAnyExceptInRange(float.MinValue, float.MaxValue);
        int[] ownClasses = Inference.ArgMax(own), referenceClasses = Inference.ArgMax(reference);
        int agree = 0, flips = 0;
        double largestGap = 0;
        for (int n = 0; n < own.Shape[0]; n++)
        {
            bool finite = IsFinite(own, n) && IsFinite(reference, n);
            double gap = 0;
            if (ownClasses[n] != referenceClasses[n])
            {
                flips++;
                double apart = (double)reference.Data[n * classes + referenceClasses[n]] - reference.Data[n * classes + ownClasses[n]];
                gap = apart == 0 ? 0 : apart / scale;
                if (finite) largestGap = Math.Max(largestGap, gap);
            }
            if (finite && gap < tolerance) agree++;
        }
        double maxRel = maxAbs == 0 && double.IsFinite(scale) ? 0 : maxAbs / scale;
        return new ParityRow(input, own.Shape[0], maxAbs, maxRel, (double)agree / own.Shape[0], tolerance)
        {
            Flips = flips,
            FlipGap = largestGap,
        };
    }

    /// <summary>Standard normal input of the model's own shape, at each of <see cref="BatchSizes"/> that there is memory for.</summary>
    public static IEnumerable<ParityRow> OnRandomInput(Module network, Shape sample, OrtModel model, long seed = 1)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(model);
        foreach (var x in RandomInput(sample, SizesFor(network, [sample]), seed, model.Input.IsBytes))
            yield return Compare($"random, batch {x.Shape[0]}", Rows(Inference.Run(network, Batch.FromTensor(x)).ToTensor()),
                Rows(model.Run(x)), model);
    }

    /// <summary>The same of several inputs and outputs: a row for each of <see cref="BatchSizes"/> and each output.</summary>
    /// <param name="network">The network.</param>
    /// <param name="samples">The shape of one sample of each input.</param>
    /// <param name="model">What it is compared with: its inputs and outputs are the network's, in order.</param>
    /// <param name="seed">Of the input.</param>
    /// <exception cref="OnnxException">The model does not take such samples.</exception>
    /// <exception cref="ShapeException">The network does not, or returns other values than the model.</exception>
    public static IEnumerable<ParityRow> OnRandomInput(Module network, IReadOnlyList<Shape> samples, OrtModel model, long seed = 1)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(samples);
        ArgumentNullException.ThrowIfNull(model);
        foreach (var x in RandomInputs(samples, SizesFor(network, samples), seed, [.. model.Inputs.Select(input => input.IsBytes)]))
        {
            var own = Inference.Run(network, Array.ConvertAll(x, input => Batch.FromTensor(input)));
            var reference = model.Run(x);
            if (own.Length != reference.Length)
                throw new ShapeException($"the network returns {own.Length} values, the model {string.Join(" and ", model.Outputs)}");
            for (int i = 0; i < own.Length; i++)
            {
                string of = own.Length > 1 ? $", {model.Outputs[i].Name}" : "";
                yield return Compare($"random, batch {own[i].Count}{of}", Rows(own[i].ToTensor()), Rows(reference[i]), model);
            }
        }
    }

    /// <summary>Random pictures at each of <see cref="BatchSizes"/>: the engine takes them preprocessed, the model as they are
    /// stored.</summary>
    /// <param name="network">A network that takes preprocessed images.</param>
    /// <param name="sample">The shape of one of those, [C, H, W].</param>
    /// <param name="pixels">What the model's graph does.</param>
    /// <param name="model">The model.</param>
    /// <param name="seed">Of the pictures.</param>
    public static IEnumerable<ParityRow> OnRandomPixels(Module network, Shape sample, PixelInput pixels, OrtModel model, long seed = 1)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(pixels);
        ArgumentNullException.ThrowIfNull(model);
        int padding = 2 * pixels.Transform.Padding;
        var stored = new Shape(sample[0], sample[1] - padding, sample[2] - padding);
        foreach (var x in RandomInput(stored, SizesFor(network, [sample]), seed, bytes: true))
        {
            int count = x.Shape[0];
            int[] all = [.. Enumerable.Range(0, count)];
            byte[] bytes = Array.ConvertAll(x.Data, value => checked((byte)value));
            var images = new ImageDataset(stored, bytes, new byte[count], pixels.Transform);
            yield return Compare($"random pictures, batch {count}", Rows(Inference.Run(network, images.Take(all).Images).ToTensor()),
                Rows(model.Run(pixels.AsTaken(images).Take(all).Images.ToTensor())), model);
        }
    }

    /// <summary>Those of <see cref="BatchSizes"/> that a network has memory for; one sample at least.</summary>
    private static IEnumerable<int> SizesFor(Module network, IReadOnlyList<Shape> samples) =>
        SizesFor(NetworkCost.Of(Graph.Trace(network, [.. samples])));

    internal static IEnumerable<int> SizesFor(NetworkCost cost) => BatchSizes.Where((size, i) => i == 0 || cost.Fits(size));

    /// <summary>A sample in each row, also of networks that return images.</summary>
    private static Tensor Rows(Tensor y) => y.Reshape(y.Shape[0], y.Shape.Count / y.Shape[0]);

    /// <summary>Standard normal numbers, or bytes, a batch of each size.</summary>
    internal static IEnumerable<Tensor> RandomInput(Shape sample, IEnumerable<int> batchSizes, long seed, bool bytes = false) =>
        RandomInputs([sample], batchSizes, seed, [bytes]).Select(x => x[0]);

    /// <summary>The same of several inputs.</summary>
    internal static IEnumerable<Tensor[]> RandomInputs(IReadOnlyList<Shape> samples, IEnumerable<int> batchSizes, long seed,
        IReadOnlyList<bool> bytes)
    {
        var generator = new Generator(seed);
        foreach (int size in batchSizes)
        {
            var x = samples.Select(sample => new Tensor(sample.Prepend(size))).ToArray();
            foreach (var (input, isBytes) in x.Zip(bytes))
                for (int i = 0; i < input.Data.Length; i++)
                    input.Data[i] = isBytes ? (float)Math.Floor(256 * generator.NextDouble()) : (float)generator.NextNormal();
            yield return x;
        }
    }

    /// <summary>Every image of a data set; returns ONNX Runtime's logits too.</summary>
    public static (ParityRow Row, Tensor Logits) OnData(string name, Tensor own, ImageDataset data, OrtModel model)
    {
        ArgumentNullException.ThrowIfNull(own);
        var logits = Logits(model, data);
        return (Compare(name, own, logits, model), logits);
    }

    /// <summary>The model's output for every image, in order.</summary>
    /// <returns>[images, classes].</returns>
    public static Tensor Logits(OrtModel model, ImageDataset data)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(data);
        Tensor? result = null;
        var indices = new int[model.SamplesAtOnce(DataBatch)];
        for (int start = 0; start < data.Count; start += indices.Length)
        {
            int count = Math.Min(indices.Length, data.Count - start);
            for (int n = 0; n < count; n++) indices[n] = start + n;
            var logits = model.Run(data.Take(indices.AsSpan(0, count)).Images.ToTensor());
            result ??= new Tensor(new Shape(data.Count, logits.Shape.Count / count));
            logits.Data.CopyTo(result.Data, start * result.Shape[1]);
        }
        return result!;
    }

    private static ParityRow Compare(string input, Tensor own, Tensor reference, OrtModel model) =>
        Judged(Compare(input, own, reference, Tolerance(model)), model);

    /// <summary>The row with what its classes have to reach.</summary>
    internal static ParityRow Judged(ParityRow row, OrtModel model) => row with { LeastAgreement = IsHalf(model) ? HalfAgreement : 1 };

    /// <summary>The bound of the relative error: of the device, or of float16 where the file has it at its ends. Double at the ends changes
    /// nothing: the engine has floats.</summary>
    internal static double Tolerance(OrtModel model) =>
        IsHalf(model) ? HalfTolerance : model.Device.Type == OrtDeviceType.Cpu ? CpuTolerance : CudaTolerance;

    private static bool IsHalf(OrtModel model) => model.Inputs.Concat(model.Outputs).Any(end => end.ElementType == "float16");
}
