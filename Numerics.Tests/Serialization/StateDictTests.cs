namespace OnnxLeNet.Numerics.Tests;

[TestClass]
public sealed class StateDictTests
{
    [TestMethod]
    public void KeepsTheOrder()
    {
        var state = States.Small();
        Assert.AreSequenceEqual(new[] { "z.weight", "a.bias", "bn.num_batches_tracked" }, state.Names.ToArray());
        Assert.AreSequenceEqual(state.Names.ToArray(), state.Select(entry => entry.Key).ToArray());
        Assert.HasCount(3, state);
        Assert.AreEqual("Float32 [2, 3]", state["z.weight"].ToString());
        Assert.AreEqual("Int64 []", state["bn.num_batches_tracked"].ToString());
    }

    [TestMethod]
    public void FindsByName()
    {
        var state = States.Small();
        Assert.IsTrue(state.TryGetValue("a.bias", out var tensor));
        Assert.AreSame(tensor, state["a.bias"]);
        Assert.IsFalse(state.TryGetValue("A.bias", out _));
        Failure.Of<DataException>(() => _ = state["A.bias"], "'A.bias'", "z.weight, a.bias");
        Failure.Of<DataException>(() => _ = new StateDict()["a"], "no tensors");
    }

    [TestMethod]
    public void ANameIsThereOnce()
    {
        var state = States.Small();
        Failure.Of<DataException>(() => state.Add("a.bias", StateTensor.Of(3)), "'a.bias'", "Float32 [2]", "Int64 []");
        Assert.HasCount(3, state);
    }

    [TestMethod]
    public void ATensorIsOfItsTypeOnly()
    {
        var floats = new Tensor(new Shape(2), [1f, 2f]);
        Assert.AreSame(floats.Data, StateTensor.Of(floats).AsTensor().Data);
        Assert.AreSequenceEqual(new[] { 7L }, StateTensor.Of(7).AsInt64());
        Failure.Of<DataException>(() => StateTensor.Of(floats).AsInt64(), "Float32 [2]", "AsTensor()");
        Failure.Of<DataException>(() => StateTensor.Of(7).AsTensor(), "Int64 []", "AsInt64()");
        Failure.Of<ShapeException>(() => StateTensor.Of(new Shape(2, 2), [1, 2, 3]), "[2, 2]", "3");
    }
}
