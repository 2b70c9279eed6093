"""Writes operator_versions.txt and operator_versions.pb.gz: every operator that the import claims, at every version that its schema had,
for OperatorVersionTests.cs.

    python3 operator_versions.py operator_versions        # beside node_tests.py, which it takes its arithmetic from
    python3 operator_versions.py --list                   # the versions that the installed onnx knows

The versions come from the schemas of python3-onnx (1.12: up to operator set 17) and, beyond, from LATER, a table read from
onnx/defs/operator_sets.h. Each has a case at least: a model of the operator set of that number, made as that version's schema wants it, an
input, and the output, computed here with numpy in double. A version without a case is an error. operator_versions.pb.gz is a TensorProto of
strings [cases, 4]: each case's name, and its ModelProto and two TensorProtos as they are in files.
"""
import gzip
import sys

import numpy as np
import onnx
from onnx import TensorProto, defs, helper, numpy_helper

import node_tests
from node_tests import conv, draw, maximum, mean, node, norm, pool, softmax

NEWEST = 26  # the newest operator set that the table below speaks of
ALL = [21, 23, 24, 25]  # versions that only widened the types of nearly every operator that moves data
LATER = {
    "Conv": [22], "MaxPool": [22], "AveragePool": [19, 22], "GlobalAveragePool": [22], "Dropout": [22], "Gelu": [20], "ReduceMean": [18],
    "ReduceMax": [18, 20], "ReduceProd": [18],
    "Flatten": ALL, "Reshape": [19, *ALL], "Squeeze": ALL, "Unsqueeze": ALL, "Transpose": ALL, "Pad": [18, 19, *ALL],
    "Identity": [19, *ALL], "Cast": [19, *ALL],
    "InstanceNormalization": [22], "GroupNormalization": [18, 21],
    "ConvTranspose": [22], "GlobalMaxPool": [22], "Resize": [18, 19], "Split": [18],
    "HardSigmoid": [22], "HardSwish": [22], "Elu": [22], "Selu": [22], "Softplus": [22], "Mish": [18, 22], "Swish": [24],
    "Constant": [19, *ALL], "Shape": [19, *ALL], "ConstantOfShape": [20, *ALL],
}
ELEMENTWISE = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}
ACTIVATIONS = {"Relu": lambda x: np.maximum(x, 0), "Sigmoid": lambda x: 1 / (1 + np.exp(-x)), "Tanh": np.tanh}
OPERATORS = [
    "Conv", "Gemm", "MatMul", *ELEMENTWISE, *ACTIVATIONS, "LeakyRelu", "Gelu", "Softmax", "LogSoftmax", "MaxPool", "AveragePool",
    "GlobalAveragePool", "ReduceMean", "BatchNormalization", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Pad",
    "Identity", "Cast", "ArgMax", "Constant", "Shape",
    "ConstantOfShape", "Gather", "Slice", "Concat", "ReduceProd", "Sum", "ConvTranspose", "GlobalMaxPool", "Resize", "Upsample", "Split",
    "ReduceSum", "ReduceMax", "LRN", "InstanceNormalization", "LayerNormalization", "GroupNormalization",
    "Clip", "HardSigmoid", "HardSwish", "Elu", "Selu", "Softplus", "Mish", "Swish", "PRelu",
]


def versions():
    known = {name: [] for name in OPERATORS}
    for schema in defs.get_all_schemas_with_history():
        if schema.domain == "" and schema.name in known and not schema.deprecated:
            known[schema.name].append(schema.since_version)
    return {name: sorted(found) for name, found in known.items()}


def ints(*values):
    return np.array(values, np.int64)


def cast(opset, source, to="f"):
    return node("Cast", [source], to, to="FLOAT" if opset < 6 else TensorProto.FLOAT)


def scaled(opset, by="f"):
    """Samples times a constant along the last axis."""
    return node("Mul", ["x", by], **(dict(broadcast=1) if opset < 7 else {}))


def conv_transpose(x, w, strides, pads, dilations, output_padding, group=1):
    """Every input place, times every tap, at the output place that the tap falls on; w is [C, M/group, kH, kW]."""
    n, c, *spatial = x.shape
    kernel = w.shape[2:]
    whole = [(spatial[a] - 1) * strides[a] + dilations[a] * (kernel[a] - 1) + 1 + output_padding[a] for a in (0, 1)]
    y = np.zeros((n, w.shape[1] * group, *whole))
    for channel, h, k, i, j in np.ndindex(c, spatial[0], spatial[1], *kernel):
        first = channel // (c // group) * w.shape[1]
        place = (slice(None), slice(first, first + w.shape[1]), h * strides[0] + i * dilations[0], k * strides[1] + j * dilations[1])
        y[place] += x[:, channel, h, k, None].astype(np.float64) * w[channel, :, i, j]
    return y[:, :, pads[0]:whole[0] - pads[2], pads[1]:whole[1] - pads[3]]


def resized(x, axis, size, scale, coordinates, nearest=None):
    """An axis in another size: by the nearest place, or linearly between two."""
    length = x.shape[axis]

    def at(i):
        if coordinates == "asymmetric":
            return i / scale
        if coordinates == "align_corners":
            return i * (length - 1) / (size - 1)
        if coordinates == "half_pixel_symmetric":
            return length / 2 * (1 - size / (length * scale)) + (i + 0.5) / scale - 0.5
        return (i + 0.5) / scale - 0.5 if coordinates != "pytorch_half_pixel" or size > 1 else 0

    def place(i):
        return int(min(max(i, 0), length - 1))

    parts = []
    for i in range(size):
        where = at(i)
        low = np.floor(where)
        if nearest:
            rounded = {"floor": low, "ceil": np.ceil(where), "round_prefer_floor": np.ceil(where - 0.5),
                       "round_prefer_ceil": np.floor(where + 0.5)}[nearest]
            parts.append(x.take(place(rounded), axis))
        else:
            parts.append((1 - where + low) * x.take(place(low), axis) + (where - low) * x.take(place(low + 1), axis))
    return np.stack(parts, axis)


def cases(op, v):
    """(variant, nodes, x, y, weights) of each case of an operator's version."""
    old = dict(consumed_inputs=[0]) if v == 1 else {}  # until operator set 5
    x = draw(2, 3, 3, 4)
    d = x.astype(np.float64)
    if op == "Conv":
        w, b = draw(4, 3, 2, 3), draw(4)
        g = dict(strides=[2, 1], pads=[1, 0, 0, 1], dilations=[1, 1])
        yield "", [node(op, ["x", "w", "b"], kernel_shape=[2, 3], group=1, **g)], x, conv(x, w, b, **g), {"w": w, "b": b}
        # 3 rows in steps of 2, 4 columns in steps of 3: padding of one row behind, of two columns around
        yield ("auto", [node(op, ["x", "w"], strides=[2, 3], auto_pad="SAME_UPPER")], x,
               conv(x, w, strides=[2, 3], pads=[0, 1, 1, 1]), {"w": w})
        along = dict(broadcast=1, axis=1) if v < 7 else {}
        yield ("bias", [node(op, ["x", "w"], "c"), node("Add", ["c", "b"] if v < 7 else ["b1", "c"], **along)], x, conv(x, w, b),
               {"w": w, "b": b} if v < 7 else {"w": w, "b1": b.reshape(1, 4, 1, 1)})
    elif op == "Gemm":
        r, w, b = draw(3, 5), draw(5, 4), draw(4)
        y = 0.5 * (r.astype(np.float64) @ w) - 2 * b.astype(np.float64)
        yield "", [node(op, ["x", "w", "b"], alpha=0.5, beta=-2.0, **(dict(broadcast=1) if v < 7 else {}))], r, y, {"w": w, "b": b}
        if v >= 11:
            yield "nobias", [node(op, ["x", "w"], transB=1)], r, r.astype(np.float64) @ w, {"w": np.ascontiguousarray(w.T)}
        yield "one", [node(op, ["x", "w", "b"])], r[:1], r[:1].astype(np.float64) @ w + b, {"w": w, "b": b.reshape(1, 4)}
    elif op == "MatMul":
        r, w, b = draw(3, 5), draw(5, 4), draw(4)
        yield "", [node(op, ["x", "w"])], r, r.astype(np.float64) @ w, {"w": w}
        yield ("bias", [node(op, ["x", "w"], "m"), node("Sub", ["m", "b"], **(dict(broadcast=1) if v < 7 else {}))], r,
               r.astype(np.float64) @ w - b, {"w": w, "b": b})
    elif op in ELEMENTWISE:
        f, c, s = ELEMENTWISE[op], draw(3) + 3, np.array(0.3, np.float32)
        consumed = dict(consumed_inputs=[0, 0]) if v == 1 else {}
        gate = ACTIVATIONS["Sigmoid"](d)
        yield "two", [node("Sigmoid", ["x"], "g"), node(op, ["x", "g"], **consumed)], x, f(d, gate), {}
        if v < 7:
            yield "", [node(op, ["x", "c"], broadcast=1, axis=1, **consumed)], x, f(d, c.reshape(3, 1, 1)), {"c": c}
            yield "last", [node(op, ["x", "e"], broadcast=1)], x, f(d, draw_row), {"e": draw_row}
            yield "same", [node(op, ["x", "e"])], x[:1], f(d[:1], x[1:] + 5), {"e": x[1:] + 5}
        else:
            yield "", [node(op, ["x", "c"])], x, f(d, c.reshape(3, 1, 1)), {"c": c.reshape(3, 1, 1)}
            yield "rank", [node(op, ["x", "c"])], x, f(d, draw_row), {"c": draw_row.reshape(1, 1, 1, 4)}
            yield "number", [node(op, ["x", "s"])], x, f(d, s), {"s": s}
            if op != "Div":
                yield "turned", [node(op, ["c", "x"])], x, f(c.reshape(3, 1, 1), d), {"c": c.reshape(3, 1, 1)}
            numbers = {"Add": (3, 4), "Sub": (9, 2), "Mul": (3, 5), "Div": (20, 4)}[op]
            yield ("computed", [node(op, ["a", "b"], "i"), cast(v, "i"), scaled(v)], x, d * ELEMENTWISE[op](*numbers),
                   {"a": ints(numbers[0]), "b": ints(numbers[1])})
    elif op in ACTIVATIONS:
        yield "", [node(op, ["x"], **old)], x, ACTIVATIONS[op](d), {}
    elif op == "LeakyRelu":
        yield "", [node(op, ["x"], alpha=0.25, **old)], x, np.where(d > 0, d, 0.25 * d), {}
        yield "default", [node(op, ["x"], **old)], x, np.where(d > 0, d, 0.01 * d), {}
    elif op == "Gelu":
        yield "", [node(op, ["x"])], x, d * (np.vectorize(__import__("math").erf)(d / np.sqrt(2.0)) + 1) / 2, {}
    elif op in ("Softmax", "LogSoftmax"):
        t = np.log if op[0] == "L" else lambda p: p
        yield "", [node(op, ["x"])], x, t(softmax(x, 1, flat=True) if v < 13 else softmax(x, -1)), {}
        yield "axis", [node(op, ["x"], axis=2)], x, t(softmax(x, 2, flat=True) if v < 13 else softmax(x, 2)), {}
    elif op == "MaxPool":
        g = dict(kernel=[2, 3], strides=[2, 1], pads=[1, 0, 0, 1])
        more = {}
        if v >= 10:
            g.update(dilations=[1, 1], ceil=True)
            more.update(dilations=[1, 1], ceil_mode=1)
        outputs = ["y"]
        if v >= 8:
            outputs.append("indices")
            more.update(storage_order=1)
        yield ("", [helper.make_node(op, ["x"], outputs, kernel_shape=g["kernel"], strides=g["strides"], pads=g["pads"], **more)], x,
               pool(x, maximum, **g), {})
    elif op == "AveragePool":
        g = dict(kernel=[2, 3], strides=[2, 1], pads=[1, 0, 0, 1])
        more = dict(count_include_pad=1) if v >= 7 else {}
        more.update(dict(dilations=[1, 1]) if v >= 19 else {})
        yield ("", [node(op, ["x"], kernel_shape=g["kernel"], strides=g["strides"], pads=g["pads"], **more)], x,
               pool(x, mean, counted=v >= 7, **g), {})
        if v >= 10:
            yield ("ceil", [node(op, ["x"], kernel_shape=[2, 3], strides=[2, 2], ceil_mode=1)], x,
                   pool(x, mean, [2, 3], [2, 2], ceil=True), {})
    elif op == "ConvTranspose":
        w, b = draw(3, 2, 2, 3), draw(2)
        g = dict(strides=[2, 3], pads=[1, 0, 0, 2], dilations=[2, 1], output_padding=[1, 2])
        y = conv_transpose(x, w, **g) + b.reshape(1, 2, 1, 1)
        yield "", [node(op, ["x", "w", "b"], kernel_shape=[2, 3], group=1, **g)], x, y, {"w": w, "b": b}
        yield "groups", [node(op, ["x", "w"], group=3)], x, conv_transpose(x, w, [1, 1], [0] * 4, [1, 1], [0, 0], 3), {"w": w}
        # 3 rows in steps of 2 with 2 taps make 6, 4 columns in steps of 2 with 3 taps 9: one more is added, and of three that go the
        # larger part is in front
        yield "shape", [node(op, ["x", "w"], strides=[2, 2], output_shape=[7, 6])], x, \
            conv_transpose(x, w, [2, 2], [0, 2, 0, 1], [1, 1], [1, 0]), {"w": w}
        yield "auto", [node(op, ["x", "w"], strides=[2, 2], auto_pad="SAME_UPPER")], x, \
            conv_transpose(x, w, [2, 2], [0, 0, 0, 1], [1, 1], [0, 0]), {"w": w}
        line = draw(4, 2, 3)
        yield "row", [node(op, ["x", "w"], strides=[2], pads=[1, 0])], x[:, :, 0, :].repeat(2, 1)[:, :4], \
            conv_transpose(x[:, :, :1, :].repeat(2, 1)[:, :4], line[:, :, None], [1, 2], [0, 1, 0, 0], [1, 1], [0, 0])[:, :, 0], {"w": line}
    elif op == "GlobalMaxPool":
        yield "", [node(op, ["x"])], x, d.max((2, 3), keepdims=True), {}
        yield "row", [node(op, ["x"])], x[:, :, 0], d[:, :, 0].max(-1, keepdims=True), {}
        solid = draw(2, 2, 3, 2, 4)
        yield "solid", [node(op, ["x"])], solid, solid.max((2, 3, 4), keepdims=True), {}
    elif op == "Upsample" or (op == "Resize" and v < 11):
        for mode in ("nearest", "bilinear" if v < 7 else "linear"):
            s = np.array([1, 1, 2, 1.5], np.float32)
            more = dict(height_scale=2.0, width_scale=1.5) if v < 7 else dict(scales=s.tolist()) if v < 9 else {}
            rounding = "floor" if mode == "nearest" else None
            y = resized(resized(d, 2, 6, 2, "asymmetric", rounding), 3, 6, 1.5, "asymmetric", rounding)
            scales = {"s": s} if v >= 9 else {}
            yield "" if mode == "nearest" else "linear", [node(op, ["x", *scales], mode=mode, **more)], x, y, scales
        if op == "Resize":
            s = np.array([1, 1, 0.7, 0.6], np.float32)
            y = resized(resized(d, 2, 2, 0.7, "asymmetric", "ceil"), 3, 2, 0.6, "asymmetric", "ceil")
            yield "smaller", [node(op, ["x", "s"])], x, y, {"s": s}
    elif op == "Resize":
        none = {"roi": np.zeros(0, np.float32), "no": np.zeros(0, np.float32)}
        modes = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"] + (["half_pixel_symmetric"] if v >= 19 else [])
        for coordinates in modes:
            for nearest in (None, "floor", "ceil", "round_prefer_floor", "round_prefer_ceil"):
                more = dict(mode="nearest", nearest_mode=nearest) if nearest else dict(mode="linear")
                y = resized(resized(d, 2, 5, 5 / 3, coordinates, nearest), 3, 7, 7 / 4, coordinates, nearest)
                resize = node(op, ["x", "roi", "no", "sizes"], coordinate_transformation_mode=coordinates, **more)
                yield f"{coordinates}-{nearest or 'linear'}", [resize], x, y, {**none, "sizes": ints(2, 3, 5, 7)}
        s = np.array([1, 1, 1.5, 0.8], np.float32)
        y = resized(resized(d, 2, 4, 1.5, "half_pixel", "round_prefer_floor"), 3, 3, 0.8, "half_pixel", "round_prefer_floor")
        yield "", [node(op, ["x", "roi", "s"])], x, y, {"roi": none["roi"], "s": s}
        row = resized(d[:, :, 0], 2, 7, 7 / 4, "half_pixel")
        yield "row", [node(op, ["x", "roi", "no", "sizes"], mode="linear")], x[:, :, 0], row, {**none, "sizes": ints(2, 3, 7)}
        if v >= 13:
            computed = [node("Shape", ["x"], "n"), node("Slice", ["n", "x0", "x2"], "first"),
                        node("Concat", ["first", "rest"], "sizes", axis=0), node(op, ["x", "", "", "sizes"], mode="linear")]
            yield "computed", computed, x, resized(resized(d, 2, 5, 5 / 3, "half_pixel"), 3, 7, 7 / 4, "half_pixel"), \
                {"x0": ints(0), "x2": ints(2), "rest": ints(5, 7)}
        if v >= 18:
            sizes = resized(resized(d, 3, 6, 6 / 4, "half_pixel"), 2, 5, 5 / 3, "half_pixel")
            yield "axes", [node(op, ["x", "", "", "sizes"], mode="linear", axes=[3, -2], antialias=0)], x, sizes, {"sizes": ints(6, 5)}
            # 3×4 to no more than 6×9: twice as large
            kept = resized(resized(d, 2, 6, 2, "half_pixel"), 3, 8, 2, "half_pixel")
            yield "kept", [node(op, ["x", "", "", "sizes"], mode="linear", axes=[2, 3], keep_aspect_ratio_policy="not_larger")], x, kept, \
                {"sizes": ints(6, 9)}
    elif op == "Split":
        def parts(outputs, **more):
            return helper.make_node(op, more.pop("inputs", ["x"]), outputs, **more)

        turned = node("Concat", ["b", "a"], axis=2)
        uneven = np.concatenate([x[:, :, 1:], x[:, :, :1]], 2)
        given = ({}, dict(split=[1, 2])) if v < 13 else ({"s": ints(1, 2)}, {})
        yield "", [parts(["a", "b"], axis=2, inputs=["x", *given[0]], **given[1]), turned], x, uneven, given[0]
        number = dict(num_outputs=2) if v >= 18 else {}
        yield "equal", [parts(["a", "b"], axis=3, **number), node("Concat", ["b", "a"], axis=3)], x, np.roll(x, 2, 3), {}
        if v >= 18:
            yield "rest", [parts(["a", "b"], axis=-2, **number), turned], x, np.concatenate([x[:, :, 2:], x[:, :, :2]], 2), {}
    elif op == "GlobalAveragePool":
        yield "", [node(op, ["x"])], x, d.mean((2, 3), keepdims=True), {}
    elif op == "ReduceMean":
        axes, weights = (dict(axes=[2, 3]), {}) if v < 18 else ({}, {"axes": ints(2, 3)})
        yield "", [node(op, ["x", *weights], **axes)], x, d.mean((2, 3), keepdims=True), weights
        yield "flat", [node(op, ["x", *weights], keepdims=0, **axes)], x, d.mean((2, 3)), weights
    elif op in ("ReduceSum", "ReduceMax"):
        f, input_since = (np.sum, 13) if op == "ReduceSum" else (np.max, 18)

        def reduce(axes, **more):
            return node(op, ["x", "a"] if v >= input_since else ["x"], **more, **({} if v >= input_since else dict(axes=axes)))

        last = [-1] if v >= 11 else [3]
        for variant, axes, keeps in (("", [1], 1), ("places", [2, 3], 1), ("flat", [1, 3], 0), ("last", last, 1)):
            yield variant, [reduce(axes, keepdims=keeps)], x, f(d, tuple(axes), keepdims=keeps == 1), \
                {"a": ints(*axes)} if v >= input_since else {}
        if v >= input_since:
            yield "nothing", [node("Tanh", ["x"], "t"), node(op, ["t"], noop_with_empty_axes=1)], x, np.tanh(d), {}
    elif op == "LRN":
        def normalized(n, alpha, beta, bias):
            squares = np.zeros_like(d)
            for c in range(d.shape[1]):
                squares[:, c] = (d[:, max(0, c - (n - 1) // 2):min(d.shape[1], c + n // 2 + 1)] ** 2).sum(1)
            return d / (bias + alpha / n * squares) ** beta

        yield "", [node(op, ["x"], size=3, alpha=0.5, beta=0.6, bias=2.0)], x, normalized(3, 0.5, 0.6, 2), {}
        yield "default", [node(op, ["x"], size=5)], x, normalized(5, 1e-4, 0.75, 1), {}
        yield "even", [node(op, ["x"], size=2, alpha=0.9)], x, normalized(2, 0.9, 0.75, 1), {}
    elif op in ("InstanceNormalization", "LayerNormalization", "GroupNormalization"):
        def hat(values, axes, epsilon):
            mean = values.mean(axes, keepdims=True)
            return (values - mean) / np.sqrt(((values - mean) ** 2).mean(axes, keepdims=True) + epsilon)

        s, b = draw(3), draw(3)
        if op == "InstanceNormalization":
            y = hat(d, (2, 3), 0.01) * s.reshape(3, 1, 1) + b.reshape(3, 1, 1)
            yield "", [node(op, ["x", "s", "b"], epsilon=0.01, **old)], x, y, {"s": s, "b": b}
            r = x[:, :, 0]
            yield "row", [node(op, ["x", "s", "b"], **old)], r, \
                hat(r.astype(np.float64), 2, 1e-5) * s.reshape(3, 1) + b.reshape(3, 1), {"s": s, "b": b}
            one = x[:, :, :1, :1]
            yield "place", [node(op, ["x", "s", "b"], epsilon=1.0, **old)], one, np.zeros(one.shape) + b.reshape(3, 1, 1), {"s": s, "b": b}
            cube = draw(2, 3, 2, 2, 3)
            yield "cube", [node(op, ["x", "s", "b"], **old)], cube, \
                hat(cube.astype(np.float64), (2, 3, 4), 1e-5) * s.reshape(3, 1, 1, 1) + b.reshape(3, 1, 1, 1), {"s": s, "b": b}
        elif op == "LayerNormalization":
            s, b = draw(4), draw(4)
            yield "", [node(op, ["x", "s", "b"], epsilon=0.01)], x, hat(d, 3, 0.01) * s + b, {"s": s, "b": b}
            s = draw(3, 3, 4)
            yield "sample", [node(op, ["x", "s"], axis=1, stash_type=1)], x, hat(d, (1, 2, 3), 1e-5) * s, {"s": s}
        else:
            c = draw(2, 4, 3, 2)
            groups = hat(c.reshape(2, 2, -1).astype(np.float64), 2, 0.01).reshape(c.shape)
            s, b = (draw(2), draw(2)) if v < 21 else (draw(4), draw(4))
            wide = [np.repeat(values, 4 // len(values)).reshape(4, 1, 1) for values in (s, b)]
            more = {} if v < 21 else dict(stash_type=1)
            yield "", [node(op, ["x", "s", "b"], epsilon=0.01, num_groups=2, **more)], c, groups * wide[0] + wide[1], {"s": s, "b": b}
    elif op == "BatchNormalization":
        for variant, shape in [("", (3,))] + ([("element", x.shape[1:])] if v < 9 else []):
            s, b, mu, variance = draw(*shape), draw(*shape), draw(*shape), np.abs(draw(*shape)) + np.float32(0.5)
            attributes = dict(epsilon=0.01, momentum=0.8)
            attributes.update(dict(consumed_inputs=[0, 0, 0, 1, 1]) if v == 1 else {}, **(dict(is_test=1) if v < 7 else {}))
            attributes.update(dict(spatial=0 if variant else 1) if v < 9 else {}, **(dict(training_mode=0) if v >= 14 else {}))
            outputs = ["y", "m", "v", "sm", "sv"] if v < 7 else ["y"]
            y = norm(x, s, b, mu, variance, 0.01) if not variant else (d - mu) / np.sqrt(variance.astype(np.float64) + 0.01) * s + b
            yield (variant, [helper.make_node(op, ["x", "s", "b", "mu", "variance"], outputs, **attributes)], x, y,
                   {"s": s, "b": b, "mu": mu, "variance": variance})
    elif op == "Dropout":
        first = node("Tanh", ["x"], "t")
        if v < 12:
            more = {**old, **(dict(is_test=1) if v < 7 else {})}
            yield "", [first, helper.make_node(op, ["t"], ["y", "mask"], ratio=0.3, **more)], x, np.tanh(d), {}
        else:
            yield ("", [first, helper.make_node(op, ["t", "r", "off"], ["y", "mask"], seed=3)], x, np.tanh(d),
                   {"r": np.array(0.3, np.float32), "off": np.array(False)})
            yield "alone", [first, node(op, ["t"])], x, np.tanh(d), {}
    elif op == "Flatten":
        yield "", [node(op, ["x"])], x, x.reshape(2, -1), {}
        if v >= 11:
            yield "negative", [node(op, ["x"], axis=-3)], x, x.reshape(2, -1), {}
    elif op == "Reshape":
        c = draw(2, 2)
        if v < 5:
            yield "", [node(op, ["x"], shape=[0, -1, 6], **old)], x, x.reshape(2, 6, 6), {}
            yield "constant", [node(op, ["c"], "f", shape=[4]), scaled(v)], x, d * c.reshape(4), {"c": c}
        else:
            more = dict(allowzero=0) if v >= 14 else {}
            yield "", [node(op, ["x", "t"], **more)], x, x.reshape(2, 6, 6), {"t": ints(0, -1, 6)}
            yield "constant", [node(op, ["c", "t"], "f", **more), scaled(v)], x, d * c.reshape(4), {"c": c, "t": ints(-1)}
    elif op in ("Squeeze", "Unsqueeze"):
        narrow, squeeze = x[:, :, :1], op == "Squeeze"
        y, c = (narrow[:, :, 0], draw(1, 4)) if squeeze else (narrow.reshape(2, 3, 1, 1, 4), draw(4))
        at = 2 if squeeze or v < 11 else -2
        f = c.reshape(4) if squeeze else c.reshape(1, 4)
        if v < 13:
            yield "", [node(op, ["x"], axes=[at])], narrow, y, {}
            yield "constant", [node(op, ["c"], "f", axes=[0]), scaled(v)], x, d * f, {"c": c}
        else:
            yield "", [node(op, ["x", "a"])], narrow, y, {"a": ints(at)}
            yield "constant", [node(op, ["c", "a"], "f"), scaled(v)], x, d * f, {"c": c, "a": ints(0)}
        if squeeze:
            yield "all", [node(op, ["x"])], narrow, narrow[:, :, 0], {}
    elif op == "Transpose":
        w = draw(4, 5)
        yield "", [node(op, ["x"], perm=[0, 2, 3, 1])], x, np.transpose(x, (0, 2, 3, 1)), {}
        r = draw(3, 5)
        yield "constant", [node(op, ["w"], "u"), node("MatMul", ["x", "u"])], r, r.astype(np.float64) @ w.T, {"w": w}
    elif op == "Pad":
        w, border = draw(4, 3, 2, 3), [0, 0, 1, 2, 0, 0, 0, 3]
        y = conv(x, w, pads=[1, 2, 0, 3])
        behind = node("Conv", ["p", "w"])
        if v < 11:
            pads = {"paddings" if v == 1 else "pads": border}
            yield "", [node(op, ["x"], "p", mode="constant", value=0.0, **pads), behind], x, y, {"w": w}
        else:
            yield ("", [node(op, ["x", "b", "zero"], "p", mode="constant"), behind], x, y,
                   {"w": w, "b": ints(*border), "zero": np.array(0, np.float32)})
        if v >= 18:
            yield "axes", [node(op, ["x", "b", "", "a"], "p"), behind], x, y, {"w": w, "b": ints(1, 2, 0, 3), "a": ints(2, -1)}
        for mode in ("constant", "reflect", "edge"):
            border, sides = [0, 0, 2, 1, 0, 0, 0, 3], [(0, 0), (0, 0), (2, 0), (1, 3)]
            y = np.pad(x, sides, mode, **(dict(constant_values=0.5) if mode == "constant" else {}))
            if v < 11:
                yield mode, [node(op, ["x"], mode=mode, value=0.5, **{"paddings" if v == 1 else "pads": border})], x, y, {}
            else:
                yield mode, [node(op, ["x", "b", *(["half"] if mode == "constant" else [])], mode=mode)], x, y, \
                    {"b": ints(*border), **({"half": np.array(0.5, np.float32)} if mode == "constant" else {})}
        cropped = dict(pads=[0, 0, -1, 0, 0, 0, 0, -2])
        if v < 11 and v > 1:
            yield "crop", [node(op, ["x"], **cropped)], x, x[:, :, 1:, :-2], {}
        elif v > 1:
            yield "crop", [node(op, ["x", "b"])], x, x[:, :, 1:, :-2], {"b": ints(*cropped["pads"])}
        line = dict(pads=[0, 0, 1, 0, 0, 2]) if v > 1 else dict(paddings=[0, 0, 1, 0, 0, 2])
        row = np.pad(x[:, :, 0], [(0, 0), (0, 0), (1, 2)], "edge")
        yield "row", [node(op, ["x"], mode="edge", **line) if v < 11 else node(op, ["x", "b"], mode="edge")], x[:, :, 0], row, \
            {} if v < 11 else {"b": ints(*line["pads"])}
    elif op == "Identity":
        yield "", [node(op, ["x"], "i"), node("Tanh", ["i"])], x, np.tanh(d), {}
        yield "constant", [node(op, ["c"], "f"), scaled(v)], x, d * draw_row, {"c": draw_row}
    elif op == "Cast":
        more = {**(dict(saturate=1) if v >= 19 else {}), **(dict(round_mode="up") if v >= 24 else {})}
        yield "", [node("Tanh", ["x"], "t"), node(op, ["t"], to="FLOAT" if v < 6 else TensorProto.FLOAT, **more)], x, np.tanh(d), {}
        half = draw_row.astype(np.float16)
        yield ("constant", [node(op, ["c"], "f", to="FLOAT" if v < 6 else TensorProto.FLOAT, **more), scaled(v)], x, d * half,
               {"c": half})
    elif op == "ArgMax":
        r, w = draw(6, 5), draw(5, 4)
        more = dict(select_last_index=0) if v >= 12 else {}
        yield ("", [node("MatMul", ["x", "w"], "m"), node(op, ["m"], axis=1, keepdims=0, **more)], r,
               np.argmax(r.astype(np.float64) @ w, 1), {"w": w})
    elif op == "Constant":
        yield "", [node(op, [], "f", value=numpy_helper.from_array(draw_row)), scaled(v)], x, d * draw_row, {}
        if v >= 12:
            yield "floats", [node(op, [], "f", value_floats=draw_row.tolist()), scaled(v)], x, d * draw_row, {}
            yield "float", [node(op, [], "f", value_float=0.5), scaled(v)], x, d * 0.5, {}
            yield "ints", [node(op, [], "t", value_ints=[0, -1]), node("Reshape", ["x", "t"])], x, x.reshape(2, -1), {}
    elif op == "Shape":
        yield "", [node(op, ["x"], "s"), cast(v, "s"), scaled(v)], x, d * [2, 3, 3, 4], {}
        if v >= 15:
            yield "part", [node(op, ["x"], "s", start=1, end=2), cast(v, "s"), scaled(v)], x, d * 3, {}
    elif op == "ConstantOfShape":
        yield "", [node(op, ["n"], "s", value=numpy_helper.from_array(ints(7))), cast(v, "s"), scaled(v)], x, d * 7, {"n": ints(4)}
        r = draw(3, 5)
        yield "weight", [node(op, ["n"], "w", value=numpy_helper.from_array(np.array([0.5], np.float32))), node("MatMul", ["x", "w"])], r, \
            r.astype(np.float64) @ np.full((5, 2), 0.5), {"n": ints(5, 2)}
    elif op == "Gather":
        yield ("", [node(op, ["a", "i"], "s", axis=0), cast(v, "s"), scaled(v)], x, d * [4, 2, 6, 2],
               {"a": ints(2, 4, 6), "i": ints(1, 0, 2 if v < 11 else -1, 0)})
        yield "values", [node(op, ["x", "i"], axis=2)], x, x[:, :, [2, 0, 0]], {"i": ints(2, 0, 0)}
        yield "one", [node(op, ["x", "i"], axis=3)], x, x[:, :, :, 1], {"i": np.array(1)}
    elif op == "Slice":
        weights = {"a": ints(1, 2, 3, 4, 5, 6, 7)}
        if v == 1:
            yield "values", [node(op, ["x"], starts=[0, 1, -3], ends=[1000, 3, -1], axes=[0, 1, 3])], x, x[:, 1:3, :, -3:-1], {}
            yield "", [node(op, ["a"], "s", starts=[1], ends=[-2], axes=[0]), cast(v, "s"), scaled(v)], x, d * [2, 3, 4, 5], weights
        else:
            bounds = dict(b=ints(0, -1), e=ints(2**62, -100), axes=ints(0, -1), steps=ints(1, -2))
            yield "values", [node(op, ["x", *bounds])], x, x[:, :, :, ::-2], bounds
            yield "default", [node(op, ["x", "b", "e"])], x, x[:, 1:, :2], dict(b=ints(0, 1, 0), e=ints(2**31 - 1, 3, 2))
            weights.update(b=ints(-1), e=ints(-8), x0=ints(0), step=ints(-2))
            yield "", [node(op, ["a", "b", "e", "x0", "step"], "s"), cast(v, "s"), scaled(v)], x, d * [7, 5, 3, 1], weights
    elif op == "Concat":
        yield "", [node(op, ["a", "b"], "s", axis=0), cast(v, "s"), scaled(v)], x, d * [3, 1, 4, 2], {"a": ints(3), "b": ints(1, 4, 2)}
        yield "values", [node("Tanh", ["x"], "t"), node(op, ["t", "x"], **(dict(axis=2) if v > 1 else {}))], x, \
            np.concatenate([np.tanh(d), d], 2 if v > 1 else 1), {}
    elif op == "Sum":
        yield "", [node("Tanh", ["x"], "t"), node(op, ["x", "t", "x"], **old)], x, 2 * d + np.tanh(d), {}
        yield "one", [node("Tanh", ["x"], "t"), node(op, ["t"], **old)], x, np.tanh(d), {}
    elif op == "Clip":
        def clip(**bounds):
            if v < 11:
                return [node(op, ["x"], **{name: float(bound) for name, bound in bounds.items()}, **old)], {}
            given = [name if name in bounds else "" for name in ("min", "max")]
            return [node(op, ["x", *given] if given[1] else ["x", given[0]])], {name: np.array(b, np.float32) for name, b in bounds.items()}

        both, six, below, above = dict(min=-0.75, max=0.5), dict(min=0, max=6), dict(min=-0.25), dict(max=0.75)
        for variant, bounds in ("", both), ("six", six), ("below", below), ("above", above):
            made, weights = clip(**bounds)
            yield variant, made, x, np.clip(d, bounds.get("min", -np.inf), bounds.get("max", np.inf)), weights
        yield "none", [node("Tanh", ["x"], "t"), node(op, ["t"], **old)], x, np.tanh(d), {}
    elif op == "HardSigmoid":
        yield "", [node(op, ["x"], alpha=0.75, beta=0.25, **old)], x, np.clip(0.75 * d + 0.25, 0, 1), {}
        yield "default", [node(op, ["x"], **old)], x, np.clip(0.2 * d + 0.5, 0, 1), {}
        product = node("Mul", ["h", "x"], **(dict(broadcast=0) if v < 7 else {}))
        yield "swish", [node(op, ["x"], "h", alpha=1 / 6, **old), product], x, d * np.clip(d / 6 + 0.5, 0, 1), {}
    elif op == "HardSwish":
        yield "", [node(op, ["x"])], 3 * x, 3 * d * np.clip(d / 2 + 0.5, 0, 1), {}
    elif op == "Elu":
        yield "", [node(op, ["x"], alpha=0.5, **old)], x, np.where(d > 0, d, 0.5 * np.expm1(d)), {}
        yield "default", [node(op, ["x"], **old)], x, np.where(d > 0, d, np.expm1(d)), {}
    elif op == "Selu":
        alpha, gamma = (1.6732, 1.0507) if v < 6 else (1.67326319217681884765625, 1.05070102214813232421875)
        yield "", [node(op, ["x"], alpha=2.0, gamma=3.0, **old)], x, 3 * np.where(d > 0, d, 2 * np.expm1(d)), {}
        yield "default", [node(op, ["x"], **old)], x, gamma * np.where(d > 0, d, alpha * np.expm1(d)), {}
    elif op == "Softplus":
        yield "", [node(op, ["x"])], x, np.log1p(np.exp(d)), {}
        product = node("Mul", ["x", "t"], **(dict(broadcast=0) if v < 7 else {}))
        yield "mish", [node(op, ["x"], "s"), node("Tanh", ["s"], "t", **old), product], x, d * np.tanh(np.log1p(np.exp(d))), {}
        yield "tanh", [node(op, ["x"], "s"), node("Tanh", ["s"], **old)], x, np.tanh(np.log1p(np.exp(d))), {}
    elif op == "Mish":
        yield "", [node(op, ["x"])], x, d * np.tanh(np.log1p(np.exp(d))), {}
    elif op == "Swish":
        yield "", [node(op, ["x"])], x, d / (1 + np.exp(-d)), {}
        yield "alpha", [node(op, ["x"], alpha=1.5)], x, d / (1 + np.exp(-1.5 * d)), {}
    elif op == "PRelu":
        def prelu(slope):
            return np.where(d > 0, d, slope * d)

        one, c = draw(1), draw(3)
        yield "", [node(op, ["x", "s"], **old)], x, prelu(c.reshape(3, 1, 1)), {"s": c if v < 7 else c.reshape(3, 1, 1)}
        yield "one", [node(op, ["x", "s"], **old)], x, prelu(one), {"s": one}
        if v >= 7:
            yield "element", [node(op, ["x", "s"])], x, prelu(draw_row), {"s": draw_row}
    elif op == "ReduceProd":
        axes, weights = (dict(axes=[0]), {}) if v < 18 else ({}, {"x0": ints(0)})
        yield "", [node(op, ["a", *weights], "s", keepdims=1, **axes), cast(v, "s"), scaled(v)], x, d * 24, {"a": ints(2, 3, 4), **weights}


def model(name, opset, nodes, x, y, weights):
    tensors = [numpy_helper.from_array(w, n) for n, w in weights.items()]
    y = np.asarray(y) if np.asarray(y).dtype == np.int64 else np.asarray(y, np.float32)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)]
    if opset < 9:  # weights were inputs too
        inputs += [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in tensors]
    output = helper.make_tensor_value_info("y", TensorProto.INT64 if y.dtype == np.int64 else TensorProto.FLOAT, y.shape)
    graph = helper.make_graph(nodes, name, inputs, [output], tensors)
    made = helper.make_model(graph, producer_name="operator_versions", opset_imports=[helper.make_opsetid("", opset)],
                             ir_version=3 if opset < 9 else 8)
    if opset <= defs.onnx_opset_version():
        onnx.checker.check_model(made)
    return [name.encode(), *(message.SerializeToString() for message in (made, numpy_helper.from_array(x), numpy_helper.from_array(y)))]


if __name__ == "__main__":
    if sys.argv[1] == "--list":
        for operator, own in versions().items():
            print(operator, *own)
        sys.exit()
    node_tests.rng = np.random.default_rng(1)
    draw_row = draw(4)
    fields = []
    with open(sys.argv[1] + ".txt", "w") as listing:
        listing.write("# Operators that the import claims and all versions of their schemas, up to operator set "
                      f"{NEWEST}; written by operator_versions.py.\n")
        for operator, own in versions().items():
            own = [*own, *LATER.get(operator, [])]
            listing.write(f"{operator} {' '.join(map(str, own))}\n")
            for version in own:
                made = list(cases(operator, version))
                assert made, (operator, version)
                for variant, *case in made:
                    fields += model(f"{operator}-{version}{'-' + variant if variant else ''}", version, *case)
    table = TensorProto(data_type=TensorProto.STRING, dims=[len(fields) // 4, 4], string_data=fields)
    with open(sys.argv[1] + ".pb.gz", "wb") as file:
        file.write(gzip.compress(table.SerializeToString(), mtime=0))
