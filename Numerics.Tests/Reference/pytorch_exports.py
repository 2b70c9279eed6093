"""Lets PyTorch export random networks of LeNet's kind, for PyTorchExportTests.cs: what other programs' files really hold.

    python3 pytorch_exports.py FOLDER SEED...             # a seed may also be parts-OPSET, norms-OPSET or several-OPSET

writes FOLDER/pytorch-SEED in the form of ONNX's backend tests: model.onnx, and in test_data_set_0 input_0.pb and output_0.pb (of
several input_1.pb too and so on) with what PyTorch computed in evaluation. The committed ones are the seeds in the folder
pytorch_exports, by PyTorch 1.13. Nothing is equal that could be swapped: kernels, strides, paddings, dilations and images are uneven. A
seed also chooses the operator set, how the batch axis is written, how the network flattens and whether PyTorch folds constants.
parts-OPSET is one network of parts, paddings and sizes of images and of rows, norms-OPSET one of normalizations and activations; odd
operator sets have an open batch axis, and even ones fold constants. several-OPSET is one of two inputs and four outputs, with names for
all but the last one.
"""
import os
import random
import sys
import warnings

import numpy
import onnx.numpy_helper
import torch
from torch import nn

warnings.filterwarnings("ignore")


class ViewByFeatures(nn.Module):
    """The documents' own flattening."""

    def forward(self, x):
        return x.view(-1, self.num_flat_features(x))

    def num_flat_features(self, x):
        size = x.size()[1:]
        num_features = 1
        for s in size:
            num_features *= s
        return num_features


class ViewByBatch(nn.Module):
    def forward(self, x):
        return x.view(x.size(0), -1)


class ReshapeByBatch(nn.Module):
    def forward(self, x):
        return x.reshape(x.shape[0], x.shape[1] * x.shape[2] * x.shape[3])


class FlattenFunction(nn.Module):
    def forward(self, x):
        return torch.flatten(x, 1)


class GlobalMean(nn.Module):
    def forward(self, x):
        return nn.functional.adaptive_avg_pool2d(x, 1).squeeze(3).squeeze(2)


class Unbiased(nn.Module):
    """A product and a sum, as x @ w + b in a forward."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs) / inputs ** 0.5)
        self.bias = nn.Parameter(torch.randn(outputs))

    def forward(self, x):
        return torch.matmul(x, self.weight) + self.bias


class Parts(nn.Module):
    """Images that are cut, joined, shuffled, bordered and resized, then seen as rows."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3)
        self.up = nn.ConvTranspose2d(4, 4, 2, 2, output_padding=(0, 1), groups=2)
        self.bn = nn.BatchNorm2d(4)
        self.row = nn.Conv1d(4, 6, 3, padding=1, groups=2)
        self.pools = nn.Sequential(nn.ReLU(), nn.MaxPool1d(2), nn.AvgPool1d(3, 1, 1))

    def forward(self, x):
        resize, pad = nn.functional.interpolate, nn.functional.pad
        a, b = torch.chunk(x, 2, 1)
        y = torch.cat([self.conv(pad(a, (1, 1, 1, 1), mode="reflect")), b], 1)
        n, c, h, w = y.shape
        y = y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        z = self.bn(self.up(resize(nn.functional.max_pool2d(y, (2, 7)), size=(3, 3), mode="nearest")))
        z = torch.relu(z) + resize(nn.functional.avg_pool2d(y, 2), size=(6, 7), mode="bilinear", align_corners=False)
        z = z + resize(y[:, :, ::2, 1:4], scale_factor=(2, 1.0), mode="nearest")[:, :, :6, :1]
        z = resize(pad(z[:, :, 1:, :-1], (1, 0, 0, 2), value=0.5), scale_factor=2, mode="bilinear", align_corners=True)
        p, q, r = torch.split(pad(z, (1, 2, 0, 1), mode="replicate"), [1, 2, 1], 1)
        z = torch.cat([r, p * q[:, :1], q], 1).flatten(2)
        return nn.functional.adaptive_avg_pool1d(self.pools(self.row(z)), 1).squeeze(2)


class Norms(nn.Module):
    """Normalizations of a sample and the activations of mobile networks, with a squeeze and excitation."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 6, 3, padding=1)
        self.ln1 = nn.LayerNorm((6, 5, 7), eps=1e-3)
        self.ln2 = nn.LayerNorm(7, elementwise_affine=False)
        self.gn = nn.GroupNorm(3, 6)
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False)
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(6, 2, 1), nn.ReLU(), nn.Conv2d(2, 6, 1), nn.Hardsigmoid())
        self.prelu = nn.PReLU(6)
        self.instance = nn.InstanceNorm2d(6, affine=True)
        self.fc1 = nn.Linear(6 * 5 * 7, 9)
        self.ln3 = nn.LayerNorm(9)
        self.fc2 = nn.Linear(9, 4)

    def forward(self, x):
        f = nn.functional
        y = f.hardswish(self.ln1(self.conv1(x)))
        z = f.relu6(self.gn(self.conv2(self.ln2(y))))
        z = z * self.squeeze(z)
        y = f.silu(y + z)
        y = y + f.elu(self.instance(self.prelu(y)), 0.7)
        y = self.ln3(self.fc1(torch.flatten(y, 1)))
        return self.fc2(f.gelu(f.mish(y)) + f.softplus(y) * f.selu(y) - f.hardtanh(y, -0.4, 0.6))


class Several(nn.Module):
    """An image and a row of features, to scores, to images that the scores are made of, to a row, and to scores again."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 3, (3, 2), padding=(1, 0))
        self.fc = nn.Linear(3 * 5 * 6 + 4, 6)

    def forward(self, image, row):
        features = torch.relu(self.conv(image))
        scores = self.fc(torch.cat([features.flatten(1), row], 1))
        return scores, features, row * 2 + 1, torch.softmax(scores, 1)


def pair(r, low, high):
    return (r.randint(low, high), r.randint(low, high))


def activation(r):
    return r.choice([nn.ReLU(), nn.ReLU(), nn.LeakyReLU(0.2), nn.Sigmoid(), nn.Tanh(), nn.GELU(), nn.Identity()])


def convolution(r, channels):
    groups = r.choice([g for g in (1, 1, 2, 3) if channels % g == 0])
    out = groups * r.randint(1, 4)
    kernel = pair(r, 1, 4)
    border = []
    if r.random() < 0.2:
        border = [nn.ZeroPad2d(tuple(r.randint(0, 3) for _ in range(4)))]
    return border + [nn.Conv2d(channels, out, kernel, stride=pair(r, 1, 2), padding=pair(r, 0, 2), dilation=pair(r, 1, 2), groups=groups,
                               bias=r.random() < 0.7)], out


def pool(r):
    kernel, stride = pair(r, 1, 3), pair(r, 1, 3)
    border = tuple(r.randint(0, k // 2) for k in kernel)
    # Where ceil mode has a window begin in the border, PyTorch 1.13 drops it and folds shapes into its file as if it had not.
    ceil = r.random() < 0.4 and border == (0, 0) and stride[0] <= kernel[0] and stride[1] <= kernel[1]
    kind = r.choice(["max", "max", "average", "none"])
    if kind == "max":
        return [nn.MaxPool2d(kernel, stride=stride, padding=border, dilation=pair(r, 1, 2), ceil_mode=ceil)]
    if kind == "average":
        return [nn.AvgPool2d(kernel, stride=stride, padding=border, ceil_mode=ceil, count_include_pad=r.random() < 0.5)]
    return []


def network(r):
    channels = r.randint(1, 3)
    image = (channels, r.randint(9, 14), r.randint(15, 20))
    layers = []
    for _ in range(r.randint(1, 3)):
        conv, channels = convolution(r, channels)
        layers += conv
        if r.random() < 0.4:
            layers.append(nn.BatchNorm2d(channels, eps=r.choice([1e-5, 1e-3]), momentum=r.choice([0.1, 0.03])))
        layers.append(activation(r))
        layers += pool(r)
    layers.append(r.choice([nn.Flatten(), FlattenFunction(), ViewByFeatures(), ViewByBatch(), ReshapeByBatch(), GlobalMean(),
                            nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())]))
    features = nn.Sequential(*layers).eval()
    with torch.no_grad():
        width = features(torch.zeros(1, *image)).shape[1]  # raises where a window does not fit
    if width > 400:
        raise RuntimeError("too large to commit")
    head = []
    for _ in range(r.randint(0, 2)):
        out = r.randint(5, 12)
        head.append(Unbiased(width, out) if r.random() < 0.3 else nn.Linear(width, out, bias=r.random() < 0.8))
        if r.random() < 0.3:
            head.append(nn.BatchNorm1d(out))
        head += [activation(r), nn.Dropout(0.3)] if r.random() < 0.3 else [activation(r)]
        width = out
    head.append(nn.Linear(width, r.randint(3, 6)))
    head += r.choice([[], [], [nn.Softmax(dim=1)], [nn.LogSoftmax(dim=-1)]])
    whole = nn.Sequential()
    whole.add_module("features", features)
    whole.add_module("classifier", nn.Sequential(*head))
    return whole, image


def uneven_norms(net, generator):
    """Running estimates and factors as after training, not 0 and 1."""
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            for tensor, low, high in (
                    (module.weight, 0.5, 1.5), (module.bias, -1, 1), (module.running_mean, -1, 1), (module.running_var, 0.5, 2)):
                tensor.data.uniform_(low, high, generator=generator)


def export(folder, seed):
    """The first network of the seed whose windows fit and that this PyTorch exports at the chosen operator set."""
    r = random.Random(seed)
    base = os.path.join(folder, f"pytorch-{seed}")
    os.makedirs(os.path.join(base, "test_data_set_0"), exist_ok=True)
    model = os.path.join(base, "model.onnx")
    while True:
        torch.manual_seed(r.getrandbits(32))
        options = {"opset_version": r.randint(9, 17), "do_constant_folding": r.random() < 0.7,
                   "keep_initializers_as_inputs": r.random() < 0.2}
        if r.random() < 0.7:
            options["dynamic_axes"] = {"x": {0: "batch"}, "y": {0: "batch"}}
        try:
            net, image = network(r)
            generator = torch.Generator().manual_seed(seed)
            uneven_norms(net, generator)
            net.eval()
            x = torch.randn(5, *image, generator=generator)
            y = net(x).detach()
            torch.onnx.export(net, x, model, input_names=["x"], output_names=["y"], **options)
            break
        except (RuntimeError, torch.onnx.errors.OnnxExporterError):
            continue
    store(base, [x], [y])


def export_whole(folder, kind, opset):
    base = os.path.join(folder, f"pytorch-{kind}-{opset}")
    os.makedirs(os.path.join(base, "test_data_set_0"), exist_ok=True)
    torch.manual_seed(opset)
    net, sample = {"parts": (Parts(), (4, 6, 7)), "norms": (Norms(), (2, 5, 7))}[kind]
    uneven_norms(net, torch.Generator().manual_seed(opset))
    net.eval()
    x = torch.randn(5, *sample)
    axes = {"x": {0: "batch"}, "y": {0: "batch"}} if opset % 2 else None
    torch.onnx.export(net, x, os.path.join(base, "model.onnx"), input_names=["x"], output_names=["y"], opset_version=opset,
                      dynamic_axes=axes, do_constant_folding=opset % 2 == 0)
    store(base, [x], [net(x).detach()])


def export_several(folder, opset):
    base = os.path.join(folder, f"pytorch-several-{opset}")
    os.makedirs(os.path.join(base, "test_data_set_0"), exist_ok=True)
    torch.manual_seed(opset)
    net = Several().eval()
    x = [torch.randn(5, 2, 5, 7), torch.randn(5, 4)]
    names = {"input_names": ["image", "row"], "output_names": ["scores", "features", "line"]}
    axes = {name: {0: "batch"} for name in names["input_names"] + names["output_names"]} if opset % 2 else None
    torch.onnx.export(net, tuple(x), os.path.join(base, "model.onnx"), opset_version=opset, dynamic_axes=axes, **names)
    store(base, x, [y.detach() for y in net(*x)])


def store(base, x, y):
    onnx.checker.check_model(os.path.join(base, "model.onnx"))
    for kind, values in (("input", x), ("output", y)):
        for number, value in enumerate(values):
            with open(os.path.join(base, "test_data_set_0", f"{kind}_{number}.pb"), "wb") as file:
                tensor = onnx.numpy_helper.from_array(numpy.ascontiguousarray(value.numpy()), kind)
                file.write(tensor.SerializeToString())


if __name__ == "__main__":
    torch.set_num_threads(1)
    for argument in sys.argv[2:]:
        kind, _, opset = argument.rpartition("-")
        if kind == "several":
            export_several(sys.argv[1], int(opset))
        elif kind:
            export_whole(sys.argv[1], kind, int(opset))
        else:
            export(sys.argv[1], int(argument))
