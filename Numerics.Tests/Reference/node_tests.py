"""Writes node_tests: small models in the form of ONNX's backend tests, for ConformanceTests.cs and the verb conformance. Run again only to
add cases:

    python3 node_tests.py node_tests

Each case is a graph made with onnx.helper (python3-onnx 1.12), a random input, and what the operators' definitions say comes out, computed
here with numpy in double, tap by tap. They cover what the suite that comes with ONNX leaves out: paddings of different width, old operator
sets, every way of holding a weight, and the nodes that exporters put around layers.
"""
import itertools
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)


def draw(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def windows(x, kernel, strides, pads, dilations, ceil=False):
    """For every output place the index of every tap in x; None outside. x is [N, C, spatial...]."""
    spatial = x.shape[2:]
    axes = range(len(spatial))
    extent = [dilations[a] * (kernel[a] - 1) + 1 for a in axes]
    sizes = []
    for a in axes:
        room = spatial[a] + pads[a] + pads[a + len(spatial)] - extent[a]
        size = (-(-room // strides[a]) if ceil else room // strides[a]) + 1
        if ceil and (size - 1) * strides[a] >= spatial[a] + pads[a]:
            size -= 1
        sizes.append(size)
    for place in itertools.product(*map(range, sizes)):
        taps = []
        for tap in itertools.product(*map(range, kernel)):
            at = tuple(place[a] * strides[a] - pads[a] + tap[a] * dilations[a] for a in axes)
            taps.append((tap, at, all(0 <= at[a] < spatial[a] for a in axes)))
        yield place, sizes, taps


def conv(x, w, b=None, strides=None, pads=None, dilations=None, group=1):
    n = x.ndim - 2
    x, w = x.astype(np.float64), w.astype(np.float64)
    y = None
    for place, sizes, taps in windows(x, w.shape[2:], strides or [1] * n, pads or [0] * 2 * n, dilations or [1] * n):
        if y is None:
            y = np.zeros((x.shape[0], w.shape[0], *sizes))
        for tap, at, inside in taps:
            if inside:
                for m in range(w.shape[0]):
                    first = m // (w.shape[0] // group) * w.shape[1]
                    y[(slice(None), m, *place)] += x[(slice(None), slice(first, first + w.shape[1]), *at)] @ w[(m, slice(None), *tap)]
    return y if b is None else y + b.reshape(1, -1, *[1] * n)


def pool(x, reduce, kernel, strides=None, pads=None, dilations=None, ceil=False, counted=False):
    n = x.ndim - 2
    pads = pads or [0] * 2 * n
    y = None
    for place, sizes, taps in windows(x.astype(np.float64), kernel, strides or [1] * n, pads, dilations or [1] * n, ceil):
        if y is None:
            y = np.zeros((*x.shape[:2], *sizes))
        values = [x[(slice(None), slice(None), *at)].astype(np.float64) for _, at, inside in taps if inside]
        if counted:  # the border counts, what ceil mode reaches beyond it does not
            border = sum(all(-pads[a] <= at[a] < x.shape[2 + a] + pads[a + n] for a in range(n)) for _, at, _ in taps)
            y[(slice(None), slice(None), *place)] = sum(values) / border
        else:
            y[(slice(None), slice(None), *place)] = reduce(values)
    return y


def maximum(values):
    return np.max(values, axis=0)


def mean(values):
    return np.mean(values, axis=0)


def softmax(x, axis, flat=False):
    x = x.astype(np.float64)
    rows = x.reshape(int(np.prod(x.shape[:axis])), -1) if flat else np.moveaxis(x, axis, -1)
    e = np.exp(rows - rows.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)
    return p.reshape(x.shape) if flat else np.moveaxis(p, -1, axis)


def norm(x, scale, bias, mu, variance, epsilon):
    def shaped(v):
        return v.astype(np.float64).reshape(1, -1, *[1] * (x.ndim - 2))

    return (x - shaped(mu)) / np.sqrt(shaped(variance) + epsilon) * shaped(scale) + shaped(bias)


def node(operator, inputs, output="y", **attributes):
    return helper.make_node(operator, inputs, [output], name=attributes.pop("name", ""), **attributes)


def case(name, nodes, x, y, weights=None, opset=15, promoted=(), batch=None):
    """Weights are initializers; those in promoted come as inputs, as in the suite's own tests."""
    weights = weights or {}
    base = os.path.join(sys.argv[1], f"test_{name}")
    data = os.path.join(base, "test_data_set_0")
    os.makedirs(data, exist_ok=True)
    y = np.asarray(y, np.float32)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch or x.shape[0], *x.shape[1:]])]
    inputs += [
        helper.make_tensor_value_info(
            p, helper.np_dtype_to_tensor_dtype(weights[p].dtype) if hasattr(helper, "np_dtype_to_tensor_dtype")
            else onnx.mapping.NP_TYPE_TO_TENSOR_TYPE[weights[p].dtype], weights[p].shape)
        for p in promoted]
    stored = [w if isinstance(w, TensorProto) else numpy_helper.from_array(w, n) for n, w in weights.items() if n not in promoted]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch or y.shape[0], *y.shape[1:]])
    graph = helper.make_graph(nodes, name, inputs, [output], stored)
    model = helper.make_model(graph, producer_name="node_tests", opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, os.path.join(base, "model.onnx"))
    for i, tensor in enumerate([x, *(weights[p] for p in promoted)]):
        with open(os.path.join(data, f"input_{i}.pb"), "wb") as file:
            file.write(numpy_helper.from_array(tensor).SerializeToString())
    with open(os.path.join(data, "output_0.pb"), "wb") as file:
        file.write(numpy_helper.from_array(y).SerializeToString())


def convolutions():
    x, w, b = draw(2, 4, 5, 7), draw(6, 2, 2, 3), draw(6)
    uneven = dict(strides=[2, 1], pads=[1, 0, 0, 2], dilations=[1, 2], group=2)
    case("conv_uneven_borders_groups", [node("Conv", ["x", "w", "b"], kernel_shape=[2, 3], **uneven)], x, conv(x, w, b, **uneven),
         {"w": w, "b": b}, promoted=("w", "b"))
    one = draw(3, 4, 2, 3)
    for lower in (False, True):
        # 5 and 7 in steps of 2: 3 and 4 places, padding of 1 and of 2
        pads = [1, 1, 0, 1] if lower else [0, 1, 1, 1]
        side = "lower" if lower else "upper"
        case(f"conv_same_{side}", [node("Conv", ["x", "w"], auto_pad=f"SAME_{side.upper()}", strides=[2, 2])], x,
             conv(x, one, strides=[2, 2], pads=pads), {"w": one})
    case("conv_valid", [node("Conv", ["x", "w"], auto_pad="VALID")], x, conv(x, one), {"w": one})
    line, taps = draw(3, 2, 9), draw(4, 2, 3)
    chain = [node("Conv", ["x", "w"], "c", pads=[2, 0], strides=[2]), node("Relu", ["c"], "r"), node("MaxPool", ["r"], kernel_shape=[2])]
    case("conv_1d_and_pool", chain, line, pool(np.maximum(conv(line, taps, pads=[2, 0], strides=[2]), 0), maximum, [2]), {"w": taps})
    case("conv_1d_twice", [node("Conv", ["x", "w"], "c"), node("Conv", ["c", "v"])], line, conv(conv(line, taps), taps[:, :1].repeat(4, 1)),
         {"w": taps, "v": taps[:, :1].repeat(4, 1)})
    border = np.array([0, 0, 1, 2, 0, 0, 0, 3])
    zero = np.float32(0)
    for opset in (7, 11):
        pad = node("Pad", ["x"], "p", pads=border.tolist()) if opset < 11 else node("Pad", ["x", "border", "zero"], "p", mode="constant")
        case(f"pad_and_conv_opset{opset}", [pad, node("Conv", ["p", "w"], pads=[0, 1, 1, 0])], x, conv(x, one, pads=[1, 3, 1, 3]),
             {"w": one} if opset < 11 else {"w": one, "border": border, "zero": np.asarray(zero)}, opset=opset)


def pools():
    x = draw(2, 3, 6, 7)
    cases = [("uneven", dict(kernel=[3, 2], strides=[2, 3], pads=[2, 0, 1, 1])),
             ("dilated", dict(kernel=[2, 3], strides=[1, 2], dilations=[3, 2])),
             ("ceil", dict(kernel=[3, 2], strides=[2, 3], ceil=True)),
             ("ceil_window_dropped", dict(kernel=[2, 2], strides=[2, 4], pads=[1, 1, 1, 1], ceil=True))]
    for name, g in cases:
        attributes = dict(kernel_shape=g["kernel"], strides=g["strides"], pads=g.get("pads", [0] * 4), ceil_mode=int(g.get("ceil", False)))
        case(f"maxpool_{name}", [node("MaxPool", ["x"], dilations=g.get("dilations", [1, 1]), **attributes)], x, pool(x, maximum, **g))
        if "dilations" not in g:
            case(f"averagepool_{name}", [node("AveragePool", ["x"], **attributes)], x, pool(x, mean, **g))
            case(f"averagepool_{name}_counted", [node("AveragePool", ["x"], count_include_pad=1, **attributes)], x,
                 pool(x, mean, counted=True, **g))
    border = np.array([0, 0, 1, 0, 0, 0, 1, 1])
    padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (0, 1)])
    case("pad_and_averagepool", [node("Pad", ["x", "border"], "p"), node("AveragePool", ["p"], kernel_shape=[3, 2], strides=[2, 2])], x,
         pool(padded, mean, [3, 2], [2, 2]), {"border": border})
    solid = draw(1, 2, 4, 5, 3)
    window = dict(kernel_shape=[2, 3, 2], strides=[1, 2, 1], pads=[1, 0, 0, 0, 1, 1])
    case("maxpool_3d", [node("MaxPool", ["x"], **window)], solid, pool(solid, maximum, [2, 3, 2], [1, 2, 1], [1, 0, 0, 0, 1, 1]))
    case("averagepool_3d_counted", [node("AveragePool", ["x"], **window, count_include_pad=1)], solid,
         pool(solid, mean, [2, 3, 2], [1, 2, 1], [1, 0, 0, 0, 1, 1], counted=True))
    case("globalaveragepool_1d", [node("GlobalAveragePool", ["x"])], x[:, :, 0], x[:, :, 0].mean(-1, keepdims=True, dtype=np.float64))


def dense():
    x, w, b = draw(3, 5), draw(5, 4), draw(4)
    y = x.astype(np.float64) @ w + b
    case("gemm_factors", [node("Gemm", ["x", "w", "b"], alpha=0.5, beta=-2.0)], x, 0.5 * (y - b) - 2 * b, {"w": w, "b": b},
         promoted=("w", "b"))
    case("gemm_opset6_broadcast", [node("Gemm", ["x", "w", "b"], broadcast=1)], x, y, {"w": w, "b": b}, opset=6)
    case("matmul_and_add", [node("MatMul", ["x", "w"], "m"), node("Add", ["m", "b"])], x, y, {"w": w, "b": b})
    case("matmul_and_add_turned", [node("MatMul", ["x", "w"], "m"), node("Add", ["b", "m"])], x, y, {"w": w, "b": b}, opset=7)
    case("matmul_of_a_transposed_weight", [node("Transpose", ["v"], "w", perm=[1, 0]), node("MatMul", ["x", "w"])], x, y - b,
         {"v": np.ascontiguousarray(w.T)})
    case("gemm_constant_nodes", [
        helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(w)), node("Identity", ["b"], "c"),
        node("Gemm", ["x", "w", "c"])], x, y, {"b": b}, batch="batch")
    halves = {"w": w.astype(np.float16), "b": b.astype(np.float16)}
    casts = [node("Cast", ["w"], "v", to=TensorProto.FLOAT), node("Cast", ["b"], "c", to=TensorProto.FLOAT)]
    case("gemm_half_weights", [*casts, node("Gemm", ["x", "v", "c"])], x,
         x.astype(np.float64) @ halves["w"].astype(np.float64) + halves["b"], halves)
    typed = helper.make_tensor("w", TensorProto.FLOAT16, w.shape, w.astype(np.float16).flatten())
    double = helper.make_tensor("b", TensorProto.DOUBLE, b.shape, b.astype(np.float64))
    case("gemm_typed_weights", [*casts, node("Gemm", ["x", "v", "c"])], x,
         x.astype(np.float64) @ halves["w"].astype(np.float64) + b, {"w": typed, "b": double})


def rest():
    x = draw(2, 3, 4, 5)
    s, b, mu, variance = draw(3), draw(3), draw(3), np.abs(draw(3)) + np.float32(0.5)
    y = norm(x, s, b, mu, variance, 0.01)
    weights = {"s": s, "b": b, "mu": mu, "variance": variance}
    names = ["x", *weights]
    case("batchnormalization_opset7", [node("BatchNormalization", names, epsilon=0.01, spatial=1)], x, y, weights, opset=7)
    case("batchnormalization_opset9", [node("BatchNormalization", names, epsilon=0.01)], x, y, weights, opset=9, promoted=tuple(weights))
    case("batchnormalization_of_rows", [node("BatchNormalization", names, epsilon=0.01)], x[:, :, 0, 0], y[:, :, 0, 0], weights)
    case("dropout_opset7", [node("Dropout", ["x"], ratio=0.3)], x, x, opset=7)
    flat = x.reshape(2, 12, 5)
    case("softmax_opset11_axis1", [node("Softmax", ["x"], axis=1)], flat, softmax(flat, 1, flat=True), opset=11)
    case("softmax_opset11_axis2", [node("Softmax", ["x"], axis=2)], x, np.stack([softmax(p, 1, flat=True) for p in x]), opset=11)
    case("logsoftmax_opset7_default", [node("LogSoftmax", ["x"])], flat, np.log(softmax(flat, 1, flat=True)), opset=7)
    case("softmax_middle_axis", [node("Softmax", ["x"], axis=-2)], x, softmax(x, 2))
    w = draw(60, 4)
    for opset in (9, 13):
        axes = [node("Unsqueeze", ["n"], "n1", axes=[0])] if opset < 13 else [node("Unsqueeze", ["n", "zero"], "n1")]
        shape = [node("Shape", ["x"], "s"), node("Gather", ["s", "i0"], "n", axis=0), *axes,
                 node("Concat", ["n1", "minus"], "t", axis=0), node("Reshape", ["x", "t"], "f")]
        case(f"view_by_batch_opset{opset}", [*shape, node("MatMul", ["f", "w"])], x, x.reshape(2, -1).astype(np.float64) @ w,
             {"w": w, "i0": np.array(0), "minus": np.array([-1]), **({"zero": np.array([0])} if opset >= 13 else {})},
             opset=opset, batch="batch")
    product = [node("Shape", ["x"], "s"), node("Slice", ["s", "one", "end"], "c"), node("ReduceProd", ["c"], "p", keepdims=1),
               node("Concat", ["minus", "p"], "t", axis=0), node("Reshape", ["x", "t"], "f"), node("MatMul", ["f", "w"])]
    case("view_by_product", product, x, x.reshape(2, -1).astype(np.float64) @ w,
         {"w": w, "one": np.array([1]), "end": np.array([9]), "minus": np.array([-1])}, opset=12)
    image, kernel = draw(2, 5, 6, 3), draw(4, 3, 2, 3)
    first = np.transpose(image, (0, 3, 1, 2))
    last = np.maximum(conv(first, kernel), 0)
    layout = [node("Transpose", ["x"], "t", perm=[0, 3, 1, 2]), node("Conv", ["t", "k"], "c"), node("Relu", ["c"], "r")]
    case("channels_last", [*layout, node("Transpose", ["r"], perm=[0, 2, 3, 1])], image, np.transpose(last, (0, 2, 3, 1)), {"k": kernel})
    rows = np.transpose(last, (0, 2, 3, 1)).reshape(2, -1)
    v = draw(rows.shape[1], 3)
    case("channels_last_flattened", [
        *layout, node("Transpose", ["r"], "u", perm=[0, 2, 3, 1]), node("Reshape", ["u", "shape"], "f"), node("MatMul", ["f", "v"])],
        image, rows @ v, {"k": kernel, "v": v, "shape": np.array([-1, rows.shape[1]])}, batch="batch")
    case("unflattened_rows", [
        node("Reshape", ["x", "shape"], "i"), node("Conv", ["i", "k"], "c"), node("GlobalAveragePool", ["c"], "g"),
        node("Flatten", ["g"])],
        first.reshape(2, -1), conv(first, kernel).mean((2, 3)), {"k": kernel, "shape": np.array([0, 3, 5, 6])}, batch="batch")
    case("squeezed_mean", [node("GlobalAveragePool", ["x"], "g"), node("Squeeze", ["g", "axes"], "q"), node("Unsqueeze", ["q", "last"])], x,
         x.mean((2, 3), dtype=np.float64)[:, :, None], {"axes": np.array([2, 3]), "last": np.array([-1])})
    erf = np.vectorize(__import__("math").erf)
    gelu = [node("Div", ["x", "root"], "d"), node("Erf", ["d"], "e"), node("Add", ["e", "one"], "a"), node("Mul", ["x", "a"], "m"),
            node("Mul", ["m", "half"])]
    case("gelu_formula", gelu, x, x * (erf(x / np.sqrt(2.0)) + 1) / 2,
         {"root": np.array(np.sqrt(2), np.float32), "one": np.array(1, np.float32), "half": np.array(0.5, np.float32)})
    case("leakyrelu_and_identity", [
        node("LeakyRelu", ["x"], "l", alpha=0.25), node("Identity", ["l"], "i"), node("Cast", ["i"], to=TensorProto.FLOAT)], x,
        np.where(x > 0, x, 0.25 * x))


if __name__ == "__main__":
    convolutions()
    pools()
    dense()
    rest()
