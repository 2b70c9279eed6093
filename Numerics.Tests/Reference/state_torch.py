"""State dicts by PyTorch, for PyTorchFileTests.cs.

    python3 state_torch.py write               the files state_*.pth and what they hold, state_values.json, beside this script
    python3 state_torch.py read FILE.pth       prints what PyTorch finds in a file, with weights_only off and on, as JSON
    python3 state_torch.py tensors FILE        the same of a safetensors file, read by the format's description

The committed files were written by PyTorch 1.13. Elements are compared as hexadecimal text of their bytes: bit for bit.
"""
import collections
import json
import os
import struct
import sys

import torch
from torch import nn

FOLDER = os.path.dirname(os.path.abspath(__file__))


def lenet():
    torch.manual_seed(3)
    net = nn.Sequential(collections.OrderedDict(
        features=nn.Sequential(nn.Conv2d(1, 3, (3, 5)), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 4, 3, bias=False)),
        classifier=nn.Linear(4, 10)))
    net.features[:2](torch.randn(5, 1, 9, 13))  # moves the running statistics
    return net


def views():
    base = torch.arange(24, dtype=torch.float32) / 8 - 1
    numbers = torch.tensor([[0.5, -1.25, 3.0], [65504.0, -2.0 ** -24, 0.0]])
    return collections.OrderedDict([
        ("transposed", base.reshape(4, 6).t()),
        ("shared", base),
        ("offset", base[5:11].reshape(2, 3)),
        ("strided", base.reshape(2, 3, 4)[:, ::2, 1::2]),
        ("channels_last", (base.reshape(1, 2, 3, 4) * 2).contiguous(memory_format=torch.channels_last)),
        ("spread", base[3:5].reshape(2, 1).expand(2, 3)),
        ("one", torch.tensor(2.5)),
        ("empty", torch.zeros(0, 3)),
        ("half", numbers.half()),
        ("half_transposed", numbers.half().t()),
        ("bfloat16", torch.tensor([1.0, -3.140625, 2.0 ** 100]).bfloat16()),
        ("double", torch.tensor([[1 / 3, -1e-40], [1e30, 16777217.0]], dtype=torch.float64)),
        ("integers", torch.tensor([[2 ** 62, -1], [0, -2 ** 63]]).t()),
        ("parameter", nn.Parameter(torch.tensor([0.1, -0.2]))),
        ("名前.ü", torch.tensor([7.0])),
    ])


def checkpoint():
    net = nn.Linear(2, 1)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[1.0, 2.0]]))
        net.bias.copy_(torch.tensor([3.0]))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    return {"epoch": 3, "state_dict": net.state_dict(), "optimizer": optimizer.state_dict(), "best": 0.5, "big": 2 ** 40, "note": None}


def describe(tensor):
    """Element type, shape and bytes as the C# side has them: integers as int64, all else as float32."""
    plain = tensor.detach()
    plain = plain if plain.dtype == torch.int64 else plain.float()
    return {"type": "Int64" if plain.dtype == torch.int64 else "Float32", "shape": list(plain.shape),
            "bytes": plain.contiguous().numpy().tobytes().hex()}


def write():
    values = {}
    for name, state in [("state_lenet", lenet().state_dict()), ("state_views", views())]:
        torch.save(state, os.path.join(FOLDER, name + ".pth"))
        values[name] = [{"name": key, **describe(tensor)} for key, tensor in state.items()]
    torch.save(checkpoint(), os.path.join(FOLDER, "state_checkpoint.pth"))
    values["state_checkpoint"] = [{"name": key, **describe(tensor)} for key, tensor in checkpoint()["state_dict"].items()]
    torch.save({"weight": torch.ones(2)}, os.path.join(FOLDER, "state_legacy.pth"), _use_new_zipfile_serialization=False)
    with open(os.path.join(FOLDER, "state_values.json"), "w", encoding="utf-8", newline="\n") as file:
        lines = (f'"{name}": [\n' + ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries) + "]"
                 for name, entries in values.items())
        file.write("{" + ",\n".join(lines) + "}\n")


def read(path):
    loads = {}
    for weights_only in (False, True):
        state = torch.load(path, weights_only=weights_only)
        loads[str(weights_only)] = {"class": type(state).__name__, "tensors": [
            {"name": key, **describe(tensor), "dtype": str(tensor.dtype), "plain": tensor.is_contiguous() and tensor.storage_offset() == 0
             and not tensor.requires_grad and tensor.storage().size() == tensor.numel()} for key, tensor in state.items()]}
    print(json.dumps(loads))


def tensors(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header, data = json.loads(file.read(length)), file.read()
    print(json.dumps({"aligned": length % 8 == 0, "metadata": header.pop("__metadata__", {}), "tensors": [
        {"name": key, "dtype": entry["dtype"], "shape": entry["shape"], "bytes": data[slice(*entry["data_offsets"])].hex()}
        for key, entry in header.items()]}))


if __name__ == "__main__":
    {"write": write, "read": read, "tensors": tensors}[sys.argv[1]](*sys.argv[2:])
