"""Computes exported networks in PyTorch and compares the logits.

    /usr/bin/python3 pytorch_forward.py FOLDER

For every NAME.onnx of the folder there is NAME.input, the input, and NAME.logits, what somebody else made of it: bare little-endian floats
in row-major order. Prints one JSON line per network: its name, and the largest absolute difference over the largest absolute value of
PyTorch's result ("relativeError", null where it is not finite). PyTorch reads the graph's attributes and its weights by name; it does not
use ONNX's reference evaluator or any other runtime.
"""
import json
import math
import pathlib
import sys

import numpy
import onnx
import torch
from onnx import numpy_helper
from torch.nn import functional as F


def symmetric(pads):
    """PyTorch's padding (height, width) from ONNX's begins and ends."""
    if pads[:2] != pads[2:]:
        raise ValueError(f"pads {pads} differ between begin and end")
    return tuple(pads[:2])


def window(attributes):
    return {"stride": tuple(attributes["strides"]), "padding": symmetric(attributes["pads"]), "dilation": tuple(attributes["dilations"])}


def run(node, inputs):
    """One node's result; every attribute is read, none is assumed."""
    a = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    x, *weights = inputs
    if node.op_type == "Conv":
        assert tuple(a["kernel_shape"]) == tuple(weights[0].shape[2:])
        return F.conv2d(x, *weights, groups=a["group"], **window(a))
    if node.op_type == "Relu":
        return F.relu(x)
    if node.op_type == "MaxPool":
        return F.max_pool2d(x, tuple(a["kernel_shape"]), ceil_mode=bool(a["ceil_mode"]), **window(a))
    if node.op_type == "Flatten":
        return torch.flatten(x, a["axis"])
    if node.op_type == "Gemm":
        assert (a["alpha"], a["beta"], a["transA"], a["transB"]) == (1, 1, 0, 1)
        return F.linear(x, *weights)
    raise ValueError(f"no PyTorch function for {node.op_type}")


def forward(graph, x):
    values = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer}
    values[graph.input[0].name] = x
    for node in graph.node:
        values[node.output[0]] = run(node, [values[name] for name in node.input])
    return values[graph.output[0].name]


def relative_error(expected, actual):
    if actual.size != expected.size:
        raise ValueError(f"PyTorch returns {expected.shape}, the file has {actual.size} numbers")
    error = numpy.abs(expected.ravel() - actual).max() / numpy.abs(expected).max()
    return float(error) if math.isfinite(error) else None


def main(folder):
    torch.set_num_threads(1)
    for path in sorted(pathlib.Path(folder).glob("*.onnx")):
        graph = onnx.load(str(path)).graph
        sample = [dim.dim_value for dim in graph.input[0].type.tensor_type.shape.dim[1:]]
        x = numpy.fromfile(path.with_suffix(".input"), "<f4").reshape(-1, *sample)
        with torch.no_grad():
            expected = forward(graph, torch.from_numpy(x)).numpy()
        actual = numpy.fromfile(path.with_suffix(".logits"), "<f4")
        print(json.dumps({"name": path.stem, "shape": list(expected.shape), "relativeError": relative_error(expected, actual)}))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
