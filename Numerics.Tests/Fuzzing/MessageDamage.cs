using System.Collections;
using Google.Protobuf;
using Google.Protobuf.Reflection;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// Changes fields of a protobuf message, anywhere in it: another value of the field's type, an element out, in twice or elsewhere, a
/// part of
/// another file in its place. What comes out is still protobuf, and so gets past the parser.
/// </summary>
/// <param name="donors">Messages whose parts may be put in.</param>
/// <param name="words">Texts that mean something in the format.</param>
internal sealed class MessageDamage(IReadOnlyList<IMessage> donors, IReadOnlyList<string> words)
{
    private const int MostCopies = 40;
    private readonly Dictionary<MessageDescriptor, List<IMessage>> parts = Parts(donors);

    /// <summary>One change.</summary>
    public void Apply(IMessage root, Generator g)
    {
        var messages = new List<IMessage>();
        Walk(root, messages);
        var target = g.Pick(messages);
        var fields = target.Descriptor.Fields.InFieldNumberOrder();
        var set = fields.Where(field => IsSet(target, field)).ToList();
        // A field that is not there comes to be now and then.
        var chosen = set.Count == 0 || g.OneIn(6) ? g.Pick(fields.ToList()) : g.Pick(set);
        if (chosen.IsMap) return;
        if (chosen.IsRepeated) Change((IList)chosen.Accessor.GetValue(target), chosen, messages, g);
        else if (g.OneIn(8)) chosen.Accessor.Clear(target);
        else if (Value(chosen, chosen.Accessor.GetValue(target), messages, g) is { } value) chosen.Accessor.SetValue(target, value);
    }

    private void Change(IList list, FieldDescriptor field, List<IMessage> messages, Generator g)
    {
        int at = g.Next(list.Count + 1), other = g.Next(list.Count + 1);
        bool there = at < list.Count;
        switch (g.Next(there ? 7 : 1))
        {
            case 0:
                if (Value(field, null, messages, g) is { } added) list.Insert(at, added);
                break;
            case 1 or 2:
                if (Value(field, list[at], messages, g) is { } changed) list[at] = changed;
                break;
            case 3: list.RemoveAt(at); break;
            case 4:
                for (int copies = g.OneIn(5) ? MostCopies : 1; copies > 0; copies--) list.Insert(other, Copy(list[at]!));
                break;
            case 5:
                object moved = list[at]!;
                list.RemoveAt(at);
                list.Insert(Math.Min(other, list.Count), moved);
                break;
            default: list.Clear(); break;
        }
    }

    private object? Value(FieldDescriptor field, object? value, List<IMessage> messages, Generator g)
    {
        long number = value is int or long && g.OneIn(2) ? unchecked(Convert.ToInt64(value) + g.Next(7) - 3) : g.Pick(Damage.Numbers);
        switch (field.FieldType)
        {
            case FieldType.Int32: return unchecked((int)number);
            case FieldType.Int64: return number;
            case FieldType.UInt64: return unchecked((ulong)number);
            case FieldType.Float: return g.Pick<float>([number, float.NaN, float.PositiveInfinity, 0.5f, -1.5f, float.Epsilon,
                float.MaxValue]);
            case FieldType.Double: return g.Pick<double>([number, double.NaN, double.PositiveInfinity, 0.5, -1.5, double.MaxValue]);
            case FieldType.Enum: return Enum.ToObject(field.EnumType.ClrType, unchecked((int)number) % 32);
            case FieldType.String: return Word(value as string, messages, g);
            case FieldType.Bytes:
                byte[] bytes = value is ByteString { Length: > 0 } text ? text.ToByteArray() : new byte[1 + g.Next(24)];
                return ByteString.CopyFrom(g.OneIn(2) ? Damage.Bytes(bytes, g) : System.Text.Encoding.UTF8.GetBytes(g.Pick(words)));
            case FieldType.Message:
                var kind = field.MessageType;
                var others = g.OneIn(2) ? messages.FindAll(message => message.Descriptor == kind) : parts.GetValueOrDefault(kind) ?? [];
                return others.Count > 0 && !g.OneIn(10) ? Copy(g.Pick(others)) : kind.Parser.ParseFrom(ByteString.Empty);
            default: return null;
        }
    }

    private string Word(string? old, List<IMessage> messages, Generator g)
    {
        switch (g.Next(6))
        {
            case 0 when !string.IsNullOrEmpty(old): return Damage.Text(old, g);
            case 1: return g.OneIn(10) ? new string('x', 5000) : "";
            case 2 or 3: return g.Pick(words);
            default: // a name that stands somewhere else
                var message = g.Pick(messages);
                var texts = message.Descriptor.Fields.InFieldNumberOrder().Where(f => f.FieldType == FieldType.String && IsSet(message,
                    f)).ToList();
                if (texts.Count == 0) return g.Pick(words);
                var field = g.Pick(texts);
                return field.IsRepeated ? (string)g.Pick(((IList)field.Accessor.GetValue(message)).Cast<object>().ToList())
                    : (string)field.Accessor.GetValue(message);
        }
    }

    private static object Copy(object value) =>
        value is IMessage message ? message.Descriptor.Parser.ParseFrom(message.ToByteString()) : value;

    private static bool IsSet(IMessage message, FieldDescriptor field) => field.IsRepeated
        ? ((IEnumerable)field.Accessor.GetValue(message)).GetEnumerator().MoveNext()
        : field.HasPresence ? field.Accessor.HasValue(message)
        : field.FieldType == FieldType.String && ((string)field.Accessor.GetValue(message)).Length > 0;

    private static void Walk(IMessage message, List<IMessage> found)
    {
        found.Add(message);
        foreach (var field in message.Descriptor.Fields.InFieldNumberOrder())
        {
            if (field.FieldType != FieldType.Message || field.IsMap) continue;
            object? value = field.Accessor.GetValue(message);
            if (field.IsRepeated) foreach (IMessage inner in (IList)value) Walk(inner, found);
            else if (value is IMessage inner) Walk(inner, found);
        }
    }

    private static Dictionary<MessageDescriptor, List<IMessage>> Parts(IReadOnlyList<IMessage> donors)
    {
        var all = new List<IMessage>();
        foreach (var donor in donors) Walk(donor, all);
        return all.GroupBy(message => message.Descriptor).ToDictionary(group => group.Key, group => group.ToList());
    }
}
