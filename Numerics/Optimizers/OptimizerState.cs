namespace OnnxLeNet.Numerics;

/// <summary>
/// All that an optimizer or a schedule must remember to go on to the bit, as plain data that a checkpoint can hold. The names are
/// PyTorch's, with a dot and a number for every index: <c>param_groups.0.lr</c>, <c>state.3.exp_avg</c>.
/// </summary>
/// <param name="Kind">Whose it is: the class's name, <c>Adam</c>.</param>
/// <param name="Entries">In an order that depends on the owner's make-up alone, not on how far it is.</param>
public sealed record OptimizerState(string Kind, IReadOnlyList<StateEntry> Entries);

/// <summary>One named value of a state: a <see cref="TensorEntry"/>, a <see cref="CountEntry"/> or a <see cref="NumberEntry"/>.</summary>
/// <param name="Name">Unique within the state.</param>
public abstract record StateEntry(string Name);

/// <summary>A tensor kept for a parameter, of the parameter's shape; of shape [0] where there is none yet.</summary>
/// <param name="Name">Such as <c>state.3.momentum_buffer</c>, the parameters numbered through all groups.</param>
/// <param name="Value">A copy.</param>
public sealed record TensorEntry(string Name, Tensor Value) : StateEntry(Name);

/// <summary>A count: of steps, groups, parameters.</summary>
/// <param name="Name">Such as <c>state.3.step</c>.</param>
/// <param name="Value">The count.</param>
public sealed record CountEntry(string Name, long Value) : StateEntry(Name);

/// <summary>A hyper-parameter, a rate or a setting; a switch is 0 or 1.</summary>
/// <param name="Name">Such as <c>param_groups.0.lr</c>.</param>
/// <param name="Value">The number; a best metric may be infinite.</param>
public sealed record NumberEntry(string Name, double Value) : StateEntry(Name);

/// <summary>What can hand out its whole state and take it back: optimizers and schedules.</summary>
public interface IStateful
{
    /// <summary>A copy of the state.</summary>
    OptimizerState State();

    /// <summary>
    /// Takes back a state, of one made alike. What follows is, to the bit, what would have followed where the state was taken; the
    /// parameters themselves are not part of it.
    /// </summary>
    /// <exception cref="OnnxLeNetException">
    /// Another kind, or entries of other names, number, shapes or ranges; the message names the first. Nothing has changed then.
    /// </exception>
    void LoadState(OptimizerState state);
}
