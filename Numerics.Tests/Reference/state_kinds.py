"""Files with weights of every kind that people have, by PyTorch, for StateKindsTests.cs: writes the folder state_kinds beside this script.

    python3 state_kinds.py

The committed files were written by PyTorch 1.13 and NumPy 1.24. The network is the small one that the tests know as bn-sequential; what it
holds is in values.json, as hexadecimal text of the bytes.
"""
import argparse
import collections
import datetime
import enum
import functools
import io
import json
import os
import pathlib
import sys
import types
import zipfile

import numpy
import torch
from torch import nn

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "state_kinds")


class AttributeDict(dict):
    """As Lightning keeps hyper parameters."""


class Colour(enum.Enum):
    RED = 1


class Net(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.conv, self.bn = net.conv, net.bn

    def forward(self, x):
        for _ in range(3):
            x = torch.relu(self.bn(self.conv(x)))
        return torch.relu(x)


def network(seed):
    torch.manual_seed(seed)
    net = nn.Sequential(collections.OrderedDict(conv=nn.Conv2d(3, 3, 3), bn=nn.BatchNorm2d(3), activation=nn.ReLU()))
    for _ in range(seed):
        net(torch.randn(2, 3, 4, 4))  # moves the running statistics
    return net


def prefixed(state, *prefixes):
    for prefix in reversed(prefixes):
        state = collections.OrderedDict((prefix + name, tensor) for name, tensor in state.items())
    return state


def describe(tensor):
    """Element type, shape and bytes as the C# side has them: integers as int64, floats as float32."""
    plain = tensor.detach()
    plain = plain.float() if plain.dtype.is_floating_point else plain.long()
    return {"stored": str(tensor.dtype).split(".")[1], "shape": list(plain.shape), "bytes": plain.contiguous().numpy().tobytes().hex()}


def lightning(net):
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(2, 3, 4, 4)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1.0)
    return {
        "epoch": 3, "global_step": 40, "pytorch-lightning_version": "1.9.0",
        "state_dict": prefixed(net.state_dict(), "model.", "_orig_mod."),
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"current": {"ready": 1}}}},
        "callbacks": {
            "ModelCheckpoint{'monitor': 'val.loss'}": {
                "best_model_score": torch.tensor(0.5), "best_k_models": {}, "dirpath": pathlib.PosixPath("/models")},
            "EarlyStopping": {"best_score": torch.tensor(0.5), "patience": 3}},
        "optimizer_states": [optimizer.state_dict()], "lr_schedulers": [scheduler.state_dict()],
        "hparams_name": "kwargs",
        "hyper_parameters": AttributeDict(
            lr=numpy.float64(0.1), classes=numpy.arange(3), args=argparse.Namespace(batch=3, device=torch.device("cpu")),
            when=datetime.datetime(2024, 1, 1), size=torch.Size([2, 3]), colour=Colour.RED, make=functools.partial(nn.Linear, 3),
            where=os.path.join, seen={1, 2}, fixed=frozenset({3}), many=collections.defaultdict(list, a=[1]),
            recent=collections.deque([1, 2]), seed=2 ** 100, raw=b"\x00\xff", z=1j, r=range(3), space=types.SimpleNamespace(a=1),
            dtype=torch.float16, complex_numbers=torch.ones(2, dtype=torch.complex64),
            quantized=torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8), generator=torch.get_rng_state(),
            sparse=torch.eye(2).to_sparse()),
        (1, "tuple"): None, None: 0.5, True: "yes",
    }


def save(name, content, **options):
    torch.save(content, os.path.join(FOLDER, name), **options)


def script(net):
    """As it is saved, but for the entries that name the source files' folders."""
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(net), buffer)
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(os.path.join(FOLDER, "script.pt"), "w") as target:
        for entry in source.infolist():
            if not entry.filename.endswith(".debug_pkl"):
                target.writestr(entry, source.read(entry))


def main():
    os.makedirs(FOLDER, exist_ok=True)
    # Old files carry the name of the source file: let it be without the folder, whatever that is here.
    os.chdir(os.path.dirname(FOLDER))
    sys.modules["__main__"].__file__ = os.path.basename(__file__)
    net, other = network(2), network(3)
    state = net.state_dict()
    values = {"plain": state}
    # lightning() makes a step, which moves the weights: it gets a network of its own.
    trained = network(2)
    save("lightning.ckpt", lightning(trained))
    values["lightning"] = trained.state_dict()
    save("legacy.ckpt", lightning(network(2)), _use_new_zipfile_serialization=False)

    save("parallel.pth", nn.DataParallel(net).state_dict())
    save("wrapped.pth", prefixed(state, "module.", "_orig_mod."))
    save("net.pth", prefixed(state, "net."))
    save("backbone.pth", prefixed(state, "backbone.body."))
    save("inner.pth", collections.OrderedDict(
        (name.replace("conv.", "conv._orig_mod.").replace("bn.", "bn.module."), t) for name, t in state.items()))
    save("several.pth", {"ema": state, "model": other.state_dict(), "step": 3})
    save("gan.pth", {"generator": nn.Linear(2, 1).state_dict(), "critic": {"net": state}})
    save("parts.pth", {"state_dict": {**prefixed(state, "student."), **prefixed(other.state_dict(), "teacher.")}})
    values["other"] = other.state_dict()

    parameter = nn.Parameter(torch.tensor([0.25, -1.5]))
    parameter.tag = "an attribute in Python"
    for protocol in (2, 3, 4, 5):
        save(f"protocol{protocol}.pth", {
            **state, "parameter": parameter, "frozen": nn.Parameter(torch.ones(1), requires_grad=False)}, pickle_protocol=protocol)
        if protocol % 2 == 0:
            save(f"legacy{protocol}.pth", {**state, "parameter": parameter}, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    values["protocols"] = {**state, "parameter": parameter, "frozen": torch.ones(1)}

    kinds = collections.OrderedDict()
    for dtype in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64):
        limits = torch.iinfo(dtype)
        kinds[str(dtype).split(".")[1]] = torch.tensor([[limits.min, 0, 1], [2, 3, limits.max]], dtype=dtype)
    kinds["bool"] = torch.tensor([[True, False], [False, True], [True, True]]).t()
    kinds["half"], kinds["bfloat16"], kinds["double"] = (
        torch.tensor([1.5, -0.1, 65504.0]).to(t) for t in (torch.float16, torch.bfloat16, torch.float64))
    kinds["empty"] = torch.zeros(0, 4, dtype=torch.int32)
    kinds["view"] = torch.arange(12, dtype=torch.int16).reshape(3, 4)[:, 1::2]
    kinds["other view"] = kinds["view"].t()[:1]
    save("types.pth", kinds)
    save("types_legacy.pth", kinds, _use_new_zipfile_serialization=False)
    values["types"] = kinds

    half = network(2).half()
    half.bn.num_batches_tracked = half.bn.num_batches_tracked.int()
    save("half.pth", half.state_dict())
    values["half"] = half.state_dict()
    broken = network(2).state_dict()
    broken["conv.weight"][1, 0, 2, 1] = float("nan")
    save("nan.pth", {"model": broken})

    whole = Net(net)
    save("whole.pth", whole)
    save("whole_legacy.pth", whole, _use_new_zipfile_serialization=False)
    save("whole_inside.pth", {"epoch": 1, "model": whole})
    script(whole)
    numpy.savez(os.path.join(FOLDER, "arrays.npz"), **{name: t.numpy() for name, t in state.items()})
    save("complex.pth", {"w": torch.ones(2, dtype=torch.complex64)})

    with open(os.path.join(FOLDER, "values.json"), "w", encoding="utf-8", newline="\n") as file:
        lines = (f'"{name}": {{\n' + ",\n".join(f"{json.dumps(key)}: {json.dumps(describe(t))}" for key, t in s.items()) + "}"
                 for name, s in values.items())
        file.write("{" + ",\n".join(lines) + "}\n")


if __name__ == "__main__":
    main()
