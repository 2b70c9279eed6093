using System.Collections;
using System.ComponentModel;
using System.Globalization;
using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

// A group in PyTorch's form, a dictionary, where anything may stand for the parameters: what is none is refused by name.
public sealed partial class ParameterGroup
{
    private const string Advice = "give it the parameters themselves, as in net.Features.Parameters(), without quotes";

    private static readonly Hyper[] Single = [.. Enum.GetValues<Hyper>().Where(hyper => hyper is not (Hyper.Beta1 or Hyper.Beta2))];

    /// <summary>Refuses parameters given as text: a group wants the parameters, not the words of a call that would return them.</summary>
    /// <exception cref="ArgumentException">Always.</exception>
    [Obsolete("A group takes the parameters themselves, not text: write new ParameterGroup(net.Features.Parameters()), without quotes.",
        error: true)]
    [EditorBrowsable(EditorBrowsableState.Never)]
    public ParameterGroup(string parameters, double? lr = null) : this(ParametersOf(parameters), lr) { }

    /// <summary>
    /// A group from PyTorch's form of one, a dictionary: <c>params</c> (a parameter, or several in their order), and any of <c>lr</c>,
    /// <c>momentum</c>, <c>dampening</c>, <c>weight_decay</c>, <c>nesterov</c>, <c>betas</c> (a pair), <c>eps</c>, <c>amsgrad</c>,
    /// <c>alpha</c>, <c>centered</c>.
    /// </summary>
    /// <exception cref="ArgumentException">
    /// No <c>params</c>, or ones that are no parameters, text above all; an unknown or repeated key; a value of the wrong type.
    /// </exception>
    /// <exception cref="ArgumentOutOfRangeException">A value out of range.</exception>
    public static ParameterGroup From(IEnumerable<KeyValuePair<string, object>> options)
    {
        ArgumentNullException.ThrowIfNull(options);
        var given = options.ToList();
        foreach (var (key, count) in given.CountBy(pair => pair.Key))
            if (count > 1) throw new ArgumentException($"a parameter group has '{key}' {count} times: name it once");
        if (!given.Exists(pair => pair.Key == "params")) throw new ArgumentException($"a parameter group has no 'params': {Advice}");
        var group = new ParameterGroup(ParametersOf(given.Find(pair => pair.Key == "params").Value));
        foreach (var (key, value) in given)
        {
            if (key == "params") continue;
            if (key == "betas") group.Betas = PairOf(value);
            else if (Single.FirstOrDefault(hyper => hyper.Key() == key, (Hyper)(-1)) is var known and >= 0) group[known] =
                NumberOf(key, value);
            else throw new ArgumentException($"a parameter group has no '{key}'; it may have params, betas, "
                + $"{string.Join(", ", Single.Select(hyper => hyper.Key()))}");
        }
        return group;
    }

    private static IEnumerable<Parameter> ParametersOf(object? given) => given switch
    {
        Parameter single => [single],
        not string and IEnumerable many => many.Cast<object?>().Select((item, i) => item as Parameter
            ?? throw new ArgumentException($"item {i} of a group's parameters is {Describe(item)}, not a parameter: {Advice}")),
        _ => throw new ArgumentException($"a group's parameters are {Describe(given)}: {Advice}"),
    };

    private static (double, double) PairOf(object? value) =>
        value is ITuple { Length: 2 } pair ? (NumberOf("betas", pair[0]), NumberOf("betas", pair[1]))
        : throw new ArgumentException($"'betas' is a pair of numbers, got {Describe(value)}");

    private static double NumberOf(string key, object? value) => value is bool or double or float or int or long or decimal
        ? Convert.ToDouble(value, CultureInfo.InvariantCulture)
            : throw new ArgumentException($"'{key}' is a number, got {Describe(value)}");

    private static string Describe(object? value) =>
        value switch { null => "null", string text => $"the text '{text}'", _ => $"a {value.GetType().Name}" };
}
