"""Writes torch_text.json: how PyTorch prints tensors, for TensorTextTests.cs. Run again only to add cases:

    python3 torch_text.py > torch_text.json

Elements are given by their bits, so that a reader has exactly the same numbers.
"""
import json
import struct
import sys

import torch


def bits(tensor):
    return [struct.unpack("<i", struct.pack("<f", v))[0] for v in tensor.detach().reshape(-1).tolist()]


def case(name, tensor, kind="tensor"):
    tensor = tensor.float()
    if kind == "parameter":
        tensor = torch.nn.Parameter(tensor)
    elif kind == "requires_grad":
        tensor.requires_grad_()
    elif kind == "grad_fn":
        rows, columns = tensor.shape
        tensor = torch.addmm(tensor.requires_grad_(), torch.zeros(rows, 1), torch.zeros(1, columns))
    return {"name": name, "kind": kind, "sizes": list(tensor.shape), "bits": bits(tensor), "text": str(tensor)}


torch.manual_seed(3)
r = torch.randn
cases = [
    case("scalar", torch.tensor(1.0269)),
    case("negative scalar", torch.tensor(-1.0269)),
    case("whole scalar", torch.tensor(3.0)),
    case("zero", torch.tensor(0.0)),
    case("tiny scalar", torch.tensor(1.5e-7)),
    case("huge scalar", torch.tensor(1.5e12)),
    case("not a number", torch.tensor(float("nan"))),
    case("infinity", torch.tensor(float("-inf"))),
    case("zeros", torch.zeros(6)),
    case("whole", torch.tensor([3.0, -12.0, 0.0])),
    case("whole, negative zero", torch.tensor([-0.0, 1.0])),
    case("whole, far apart", torch.tensor([1.0, 2000.0])),
    case("whole, large", torch.tensor([2e8, 3e8])),
    case("whole with infinity and nan", torch.tensor([1.0, float("inf"), float("nan"), float("-inf")])),
    case("only infinities", torch.tensor([float("inf"), float("-inf")])),
    case("fractions with infinity and nan", torch.tensor([0.5, float("inf"), float("nan"), -float("inf"), -0.25])),
    case("fractions with zeros", torch.tensor([0.5, 0.0, -0.0, -12.25])),
    case("ties at the fourth digit", torch.tensor([0.03125, 0.09375, 0.15625, -0.21875, 1.28125])),
    case("ties of exponents", torch.tensor([1.00005e5 * 2, 2.0, 100005.0, 100015.0, 0.5])),
    case("just one factor of 1000", torch.tensor([0.5, 500.0])),
    case("more than a factor of 1000", torch.tensor([0.5, 501.0])),
    case("below 1e-4", torch.tensor([9.9e-5, 2e-4])),
    case("exponents of three digits would not fit a float", torch.tensor([1e-38, 3e38, -1e-45])),
    case("rounding up to the next power", torch.tensor([9.99996e-6, 1.0])),
    case("gradient", torch.tensor([0.0102, 0.0076, 0.0060, 0.0119, 0.0033, 0.0005])),
    case("empty", torch.zeros(0)),
    case("empty with axes", torch.zeros(2, 0, 3)),
    case("row", r(1, 10)),
    case("rows", r(2, 10)),
    case("long row", r(37)),
    case("column", r(5, 1)),
    case("image", r(1, 1, 3, 4)),
    case("filters", r(2, 3, 2, 2)),
    case("one thousand", r(10, 100)),
    case("summary of a vector", r(1001)),
    case("summary of a wide matrix", r(4, 300)),
    case("summary, all axes", r(8, 7, 9, 2) * 10),
    case("parameter", torch.tensor([-0.1236, -0.1716, 0.0377, -0.0702, 0.0925, 0.1356]), "parameter"),
    case("short parameter", torch.tensor([1.5]), "parameter"),
    case("square parameter", r(4, 3), "parameter"),
    case("requires_grad", r(3), "requires_grad"),
    case("requires_grad, full line", r(7), "requires_grad"),
    case("grad_fn", r(2, 10), "grad_fn"),
    case("grad_fn, short", r(1, 5), "grad_fn"),
    case("grad_fn, just fits", r(2, 3), "grad_fn"),
    case("grad_fn, full line", r(1, 7), "grad_fn"),
]
lines = ",\n".join(json.dumps(c) for c in cases)
print(f'{{"torch": "{torch.__version__}", "python": "{sys.version.split()[0]}", "cases": [\n{lines}\n]}}')
