using System.Collections;
using System.Linq.Expressions;
using System.Reflection;
using System.Runtime.CompilerServices;
using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Null where the declaration allows none is refused at once, by the parameter's name, by everything public and static.</summary>
[TestClass]
public sealed class NullArgumentTests
{
    private static readonly Assembly[] Libraries = [typeof(Module).Assembly, typeof(OnnxImporter).Assembly];

    public static IEnumerable<object[]> Types => from library in Libraries from type in library.GetExportedTypes()
        where type != typeof(F) && type != typeof(Value) // whose operators refuse in one place, as "inputs"
            && type is { IsInterface: false, ContainsGenericParameters: false }
            && !type.FullName!.Contains(".Schema.", StringComparison.Ordinal)
        select new object[] { type };

    [TestMethod]
    [DynamicData(nameof(Types))]
    public void NullIsRefusedByName(Type type)
    {
        ArgumentNullException.ThrowIfNull(type);
        const BindingFlags Own = BindingFlags.Public | BindingFlags.Static | BindingFlags.DeclaredOnly;
        var wrong = new List<string>();
        foreach (var method in type.GetMethods(Own))
        {
            var parameters = method.GetParameters();
            if (method.ContainsGenericParameters || IsOfCompiler(method)
                || Array.Exists(parameters, p => p.ParameterType.IsByRefLike || p.ParameterType.IsPointer || p.IsOut)) continue;
            foreach (var parameter in parameters.Where(TakesNoNull))
                if (Outcome(method, parameters, parameter) is { } outcome) wrong.Add($"{method.Name}({parameter.Name}): {outcome}");
        }
        Assert.AreEqual("", string.Join("\n", wrong));
    }

    private static bool IsOfCompiler(MethodInfo method) => method.IsDefined(typeof(CompilerGeneratedAttribute))
        || method.Name is "op_Equality" or "op_Inequality";

    // A string may be what errors call something: files and folders count.
    private static bool TakesNoNull(ParameterInfo parameter) =>
        parameter is { HasDefaultValue: false, ParameterType: { IsValueType: false, IsByRef: false } }
        && (parameter.ParameterType != typeof(string) || parameter.Name is "path" or "folder" or "file")
        && new NullabilityInfoContext().Create(parameter).WriteState == NullabilityState.NotNull;

    /// <summary>What happens instead of the refusal; null where it comes.</summary>
    private static string? Outcome(MethodInfo method, ParameterInfo[] parameters, ParameterInfo missing)
    {
        object?[] arguments = Array.ConvertAll(parameters, p => p == missing ? null : Some(p.ParameterType));
        try
        {
            object? result = method.Invoke(null, arguments);
            if (result is IEnumerable values and not string) values.GetEnumerator().MoveNext();
            return "nothing";
        }
        catch (TargetInvocationException thrown) { return Refusal(thrown.InnerException!); }
        catch (ArgumentNullException thrown) { return Refusal(thrown); }

        string? Refusal(Exception error) => error is ArgumentNullException refused && refused.ParamName == missing.Name ? null
            : $"{error.GetType().Name}: {error.Message.Split('\n')[0]}";
    }

    /// <summary>Any object of a type: what is done with it comes after the refusal.</summary>
    private static object? Some(Type type)
    {
        if (type == typeof(string)) return "a";
        if (type == typeof(Shape)) return new Shape(2, 2);
        if (type == typeof(Tensor)) return new Tensor(new Shape(2, 2));
        if (type == typeof(Batch)) return new Batch(2, new Shape(2));
        if (type == typeof(int) || type == typeof(long)) return Convert.ChangeType(1, type, null);
        if (type.IsArray) return Array.CreateInstance(type.GetElementType()!, 0);
        if (type.IsValueType) return Activator.CreateInstance(type);
        if (typeof(Delegate).IsAssignableFrom(type))
        {
            var invoke = type.GetMethod("Invoke")!;
            return Expression.Lambda(type, Expression.Default(invoke.ReturnType),
                invoke.GetParameters().Select(p => Expression.Parameter(p.ParameterType))).Compile();
        }
        if (type.IsInterface || type.IsAbstract)
        {
            if (type.IsGenericType && type.GetGenericArguments() is [var element])
            {
                var list = Array.CreateInstance(element, 0);
                if (type.IsInstanceOfType(list)) return list;
            }
            type = Libraries.SelectMany(l => l.GetTypes()).FirstOrDefault(t => type.IsAssignableFrom(t) && !t.IsAbstract
                && !t.IsInterface && !t.ContainsGenericParameters)!;
            if (type is null) return null;
        }
        return RuntimeHelpers.GetUninitializedObject(type);
    }
}
