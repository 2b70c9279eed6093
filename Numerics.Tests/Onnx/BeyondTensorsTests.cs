using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;
using AttributeType = OnnxLeNet.Onnx.Schema.AttributeProto.Types.AttributeType;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Control flow, sequences and optional values: refused with the node's name and the shapes of what it takes.</summary>
[TestClass]
public sealed class BeyondTensorsTests
{
    private static readonly Shape Image = new(2, 4, 5);

    /// <summary>A branch takes what its graphs take from outside too.</summary>
    [TestMethod]
    public void ControlFlowIsRefusedWithWhatItTakes()
    {
        foreach (string op in new[] { "If", "Loop", "Scan", "SequenceMap" })
        {
            var model = Graphs.Of(17, Image, $"Relu x -> r\n{op} r -> y\nTanh y -> z");
            foreach (string branch in new[] { "then_branch", "else_branch" })
            {
                var inner = new GraphProto { Name = branch };
                inner.Node.Add(new NodeProto { OpType = "Add", Name = $"{branch}.add", Input = { "x", "r" }, Output = { $"{branch}.y" } });
                inner.Output.Add(new ValueInfoProto { Name = $"{branch}.y" });
                model.Graph.Node[1].Attribute.Add(new AttributeProto { Name = branch, Type = AttributeType.Graph, G = inner });
            }
            var error = Failure.Of<OnnxException>(() => OnnxImporter.Import(model), $"node 'y' ({op})", "'r' of samples [2, 4, 5]",
                "'x' of samples [2, 4, 5]", "is control flow");
            Assert.HasCount(1, error.Problems, "what is behind it is not its fault");
        }
    }

    /// <summary>A node that only a branch needs is read, or refused, like the others.</summary>
    [TestMethod]
    public void WhatABranchTakesIsNeeded()
    {
        var model = Graphs.Of(17, Image, "Softsign x -> s\nFlatten x -> f\nIf f -> y");
        var inner = new GraphProto { Name = "then" };
        inner.Node.Add(new NodeProto { OpType = "Relu", Name = "then.relu", Input = { "s" }, Output = { "then.y" } });
        inner.Output.Add(new ValueInfoProto { Name = "then.y" });
        model.Graph.Node[2].Attribute.Add(new AttributeProto { Name = "then_branch", Type = AttributeType.Graph, G = inner });
        Failure.Of<OnnxException>(() => OnnxImporter.Import(model), "Softsign (node 's')", "node 'y' (If)", "'f' of samples [40] and 's'");
    }

    [TestMethod]
    [DataRow("Relu x -> r\nSequenceConstruct r x -> q\nSequenceAt q at -> y", "node 'q' (SequenceConstruct)", "'r' of samples [2, 4, 5]",
        "'x' of samples [2, 4, 5]", "is for sequences", "node 'y' (SequenceAt)")]
    [DataRow("SplitToSequence x -> q axis=1\nConcatFromSequence q -> y axis=1", "node 'q' (SplitToSequence)", "'x' of samples [2, 4, 5]",
        "node 'y' (ConcatFromSequence)", "Split, Concat or several outputs")]
    [DataRow("Optional x -> o\nOptionalGetElement o -> y", "node 'o' (Optional)", "'x' of samples [2, 4, 5]", "is for optional values",
        "node 'y' (OptionalGetElement)")]
    public void SequencesAndOptionalValuesAreRefusedWithWhatTheyTake(string nodes, params string[] said)
    {
        var model = Graphs.Of(17, Image, nodes).WithIntegers("at", 0);
        Failure.Of<OnnxException>(() => OnnxImporter.Import(model), said);
    }

    [TestMethod]
    public void InputsAndOutputsThatAreNoTensorsAreRefusedByName()
    {
        var tensor = GraphWriter.FloatValue("t", "N", Image).Type;
        foreach (var (type, what) in new[]
        {
            (new TypeProto { SequenceType = new TypeProto.Types.Sequence { ElemType = tensor } }, "a sequence of float[N, 2, 4, 5]"),
            (new TypeProto { OptionalType = new TypeProto.Types.Optional { ElemType = tensor } }, "an optional float[N, 2, 4, 5]"),
        })
        {
            var model = Graphs.Of(17, Image, "Relu x -> y");
            model.Graph.Input.Add(new ValueInfoProto { Name = "other", Type = type });
            Failure.Of<OnnxException>(() => OnnxImporter.Import(model), $"input 'other' is {what}", "tensors");
            model = Graphs.Of(17, Image, "Relu x -> y");
            model.Graph.Output[0].Type = type;
            Failure.Of<OnnxException>(() => OnnxImporter.Import(model), $"output 'y' is {what}", "tensors");
        }
        var sequence = Graphs.Of(17, Image, "SplitToSequence x -> q axis=1");
        sequence.Graph.Output[0].Type = new TypeProto { SequenceType = new TypeProto.Types.Sequence { ElemType = tensor } };
        using var model2 = OrtModel.Load(sequence.ToByteArray(), source: "mine");
        Failure.Of<OnnxException>(() => model2.Run(new Tensor(Image.Prepend(1))), "mine", "q sequence");
    }
}
