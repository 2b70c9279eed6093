"""Writes torch_nn.json: what PyTorch's layers and losses compute and print, for TorchLayerTests.cs and TorchLossTests.cs. Run again only to
add cases:

    python3 torch_nn.py > torch_nn.json

Everything is computed in double from numbers that a float32 holds exactly, so that the file does not depend on a machine's float kernels.
"""
import json
import sys

import torch
from torch import nn

torch.manual_seed(0)


def draw(*shape):
    """Normal numbers, rounded to 32nds."""
    return torch.randn(*shape).mul(32).round().div(32).double()


def probabilities(*shape):
    return torch.rand(*shape).mul(62).round().add(1).div(64).double()


def numbers(t):
    return [int(v) if v == int(v) else float(f"{v:.9g}") for v in t.detach().flatten().tolist()]


def function(step):
    return None if step is None else type(step).__name__


def chain(step):
    """The names from here along the data: of each step the first operand that is no parameter."""
    names = []
    while step is not None:
        names.append(function(step))
        step = next((s for s, _ in step.next_functions if s is not None and function(s) not in ("AccumulateGrad", "TBackward0")), None)
    return names


def tensors(named):
    return {name: {"shape": list(t.shape), "values": numbers(t)} for name, t in named}


def steps(module, shapes):
    """Forward and backward of random numbers, each with the gradients of its own, and the buffers after it; before them the last's
    grad_fn."""
    result = []
    for shape in shapes:
        x = draw(*shape).requires_grad_()
        y = module(x.clone())  # a layer in place writes to the copy
        made = function(y.grad_fn)
        dy = draw(*y.shape)
        module.zero_grad()
        y.backward(dy)
        result.append({
            "xShape": list(shape), "yShape": list(y.shape), "x": numbers(x), "y": numbers(y), "dy": numbers(dy), "dx": numbers(x.grad),
            "gradients": [numbers(p.grad) for p in module.parameters()], "buffers": tensors(module.named_buffers()),
        })
    return made, result


class Slice(nn.Module):
    """No module of PyTorch's: what x[:, start:end:step] gives along an axis."""

    def __init__(self, dim, start=None, end=None, step=1):
        super().__init__()
        self.index = (slice(None),) * dim + (slice(start, end, step),)
        self.text = f"dim={dim}, start={start}, end={end}" + ("" if step == 1 else f", step={step}")

    def extra_repr(self):
        return self.text

    def forward(self, x):
        return x[self.index]


class IndexSelect(nn.Module):
    """No module of PyTorch's: the function of this name."""

    def __init__(self, dim, index):
        super().__init__()
        self.dim, self.index = dim, index

    def extra_repr(self):
        return f"dim={self.dim}, index={self.index}"

    def forward(self, x):
        return x.index_select(self.dim, torch.tensor(self.index))


class Reduce(nn.Module):
    """No module of PyTorch's: one of its functions that make one number of those along axes."""

    def __init__(self, dim, keepdim=False):
        super().__init__()
        self.dim, self.keepdim = dim, keepdim

    def extra_repr(self):
        return f"dim={self.dim}, keepdim={self.keepdim}"


class ReduceMean(Reduce):
    def forward(self, x):
        return x.mean(self.dim, self.keepdim)


class ReduceSum(Reduce):
    def forward(self, x):
        return x.sum(self.dim, self.keepdim)


class ReduceMax(Reduce):
    def forward(self, x):
        return x.amax(self.dim, self.keepdim)


class ChannelShuffle(nn.ChannelShuffle):
    """By views: this version's own has no backward."""

    def forward(self, x):
        n, c, *places = x.shape
        return x.view(n, self.groups, c // self.groups, *places).transpose(1, 2).reshape(x.shape).clone()


def layer(kind, shapes, train=True, **options):
    own = (Slice, IndexSelect, ChannelShuffle, ReduceMean, ReduceSum, ReduceMax)
    module = ({c.__name__: c for c in own}.get(kind) or getattr(nn, kind))(**options)
    text = repr(module)
    module = module.double().train(train)
    for p in module.parameters():
        p.data = draw(*p.shape)
    for name, b in module.named_buffers():
        if not train and name.startswith("running"):
            b.copy_(draw(*b.shape).abs() + 0.25)
    start = tensors(module.state_dict().items())
    made, done = steps(module, shapes if isinstance(shapes, list) else [shapes])
    return {"type": kind, "options": options, "train": train, "text": text, "state": start, "steps": done,
            "gradFn": None if made == "CloneBackward0" else made}


def loss(kind, x, target, **options):
    module = getattr(nn, kind)(**{
        k: torch.tensor(v, dtype=torch.double) if k in ("weight", "pos_weight") else v for k, v in options.items()})
    x = x.clone().requires_grad_()
    value = module(x, target)
    gradient = draw(*value.shape) if value.dim() else None
    value.backward(gradient)
    return {
        "type": kind, "options": options, "text": repr(module), "xShape": list(x.shape), "x": numbers(x), "target": numbers(target),
        "loss": numbers(value), "dLoss": None if gradient is None else numbers(gradient), "dx": numbers(x.grad),
        "gradFn": function(value.grad_fn),
    }


class Net(nn.Module):
    """Two Sequentials, as in document 004, with everything that keeps something."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(2, 4, (3, 2), bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.AvgPool2d((2, 1)),
            nn.Conv2d(4, 6, 3, padding=(1, 0), groups=2), nn.GELU(), nn.MaxPool2d(2, ceil_mode=True),
        )
        self.classifier = nn.Sequential(
            nn.Linear(24, 7), nn.BatchNorm1d(7, affine=False), nn.LeakyReLU(0.2), nn.Dropout(0.0), nn.Linear(7, 5), nn.Tanh(),
            nn.LogSoftmax(dim=1))

    def forward(self, x):
        return self.classifier(torch.flatten(self.features(x), 1))


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = torch.flatten(nn.functional.max_pool2d(torch.relu(self.conv2(x)), 2), 1)
        return self.fc3(torch.relu(self.fc2(torch.relu(self.fc1(x)))))


def network():
    module = Net()
    text = repr(module)
    module = module.double()
    for p in module.parameters():
        p.data = draw(*p.shape) / 4
    start = tensors(module.state_dict().items())
    training = steps(module, [(7, 2, 9, 7), (10, 2, 9, 7)])[1]
    module.eval()
    return {"text": text, "state": start, "train": training, "eval": steps(module, [(2, 2, 9, 7)])[1]}


def texts():
    named = nn.Sequential()
    named.add_module("conv", nn.Conv2d(3, 3, 3))
    named.add_module("bn", nn.BatchNorm2d(3))
    named.add_module("activation", nn.ReLU())
    lists = nn.Module()
    lists.layers = nn.ModuleList([nn.Linear(2, 3), nn.Sequential(nn.Sigmoid(), nn.Dropout()), nn.ModuleList()])
    return {
        "named": repr(named), "lists": repr(lists), "list": repr(nn.ModuleList([nn.ReLU(), nn.Tanh()])),
        "deep": repr(nn.Sequential(nn.Sequential(nn.Sequential(nn.AdaptiveAvgPool2d((3, 2)))), nn.Flatten(), nn.Softmax(dim=1))),
    }


def backward_chains():
    x = torch.randn(2, 1, 32, 32)
    lenet = LeNet()
    mse = nn.MSELoss()(lenet(x), torch.randn(2, 10))
    entropy = nn.CrossEntropyLoss()(lenet(x), torch.tensor([1, 2]))
    last = mse.grad_fn.next_functions[0][0]
    frozen = LeNet()
    frozen.conv1.requires_grad_(False)
    wanted = LeNet()(x.clone().requires_grad_()).grad_fn
    return {
        "lenet": chain(mse.grad_fn), "crossEntropy": chain(entropy.grad_fn), "linear": [function(s) for s, _ in last.next_functions],
        "firstConvolutionFrozen": chain(frozen(x).grad_fn), "inputWanted": chain_to_leaf(wanted),
        "linearWithoutBias": operands(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, bias=False))(torch.randn(3, 2))),
        "batchNorm": operands(nn.BatchNorm2d(1)(x)),
        "batchNormOfNothing": operands(nn.BatchNorm2d(1, affine=False)(x.clone().requires_grad_())),
        "convolution": operands(nn.Conv2d(1, 2, 3)(x)),
        "convolutionWithoutBias": operands(nn.Conv2d(1, 2, 3, bias=False)(x)),
        "poolFirst": chain(nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(1, 2, 3))(x).grad_fn),
    }


def operands(y):
    return [function(s) for s, _ in y.grad_fn.next_functions]


def chain_to_leaf(step):
    """As chain, with the leaf of the input at its end."""
    names = chain(step)
    while True:
        onward = [s for s, _ in step.next_functions if s is not None and function(s) not in ("AccumulateGrad", "TBackward0")]
        if not onward:
            break
        step = onward[0]
    return names + [function(step.next_functions[0][0])]


def labels(*values):
    return torch.tensor(values)


layers = [
    # Groups: two, three, depthwise, depthwise with a multiplier; with everything uneven.
    layer("Conv2d", (2, 4, 5, 6), in_channels=4, out_channels=6, kernel_size=(3, 2), groups=2),
    layer("Conv2d", (3, 6, 6, 5), in_channels=6, out_channels=3, kernel_size=(2, 3), stride=(2, 1), padding=(1, 2), dilation=(2, 1),
          groups=3, bias=False),
    layer("Conv2d", (2, 3, 5, 7), in_channels=3, out_channels=3, kernel_size=(3, 2), padding=(1, 0), groups=3),
    layer("Conv2d", (1, 3, 7, 5), in_channels=3, out_channels=6, kernel_size=(2, 3), stride=(1, 2), dilation=(3, 1), groups=3),
    layer("Conv2d", (2, 2, 4, 3), in_channels=2, out_channels=5, kernel_size=(1, 1), stride=(2, 1)),
    layer("Conv2d", (2, 3, 6, 8), in_channels=3, out_channels=2, kernel_size=(2, 4), stride=(3, 2), padding=(2, 3), dilation=(1, 2)),
    layer("Conv2d", (20, 2, 4, 5), in_channels=2, out_channels=2, kernel_size=(2, 3), groups=2),
    layer("Linear", (3, 5), in_features=5, out_features=7),
    layer("Linear", (19, 6), in_features=6, out_features=2, bias=False),
    # Pools: overlapping, dilated, in ceil mode with a short last window, and with one left out since it begins in the border.
    layer("MaxPool2d", (2, 3, 5, 7), kernel_size=(3, 2), stride=(1, 2)),
    layer("MaxPool2d", (2, 2, 5, 8), kernel_size=2, stride=2, ceil_mode=True),
    layer("MaxPool2d", (3, 2, 6, 7), kernel_size=(3, 2), stride=(2, 3), padding=(1, 0), ceil_mode=True),
    layer("MaxPool2d", (2, 1, 3, 5), kernel_size=(2, 3), stride=(3, 4), padding=(1, 1), ceil_mode=True),
    layer("MaxPool2d", (1, 2, 8, 9), kernel_size=(2, 3), stride=(3, 2), padding=(1, 1), dilation=(2, 3), ceil_mode=True),
    layer("MaxPool2d", (18, 1, 4, 3), kernel_size=(2, 1), stride=1),
    layer("MaxPool2d", (2, 2, 2, 5), kernel_size=3, stride=2, ceil_mode=True),
    layer("AvgPool2d", (2, 3, 4, 6), kernel_size=2),
    layer("AvgPool2d", (3, 2, 5, 7), kernel_size=(3, 2), stride=(1, 2)),
    layer("AvgPool2d", (2, 2, 5, 6), kernel_size=(2, 3), stride=(2, 1), padding=(1, 1)),
    layer("AvgPool2d", (2, 2, 5, 6), kernel_size=(2, 3), stride=(2, 1), padding=(1, 1), count_include_pad=False),
    layer("AvgPool2d", (2, 1, 6, 8), kernel_size=(3, 2), stride=(2, 3), padding=(1, 1), ceil_mode=True),
    layer("AvgPool2d", (2, 1, 6, 8), kernel_size=(3, 2), stride=(2, 3), padding=(1, 1), ceil_mode=True, count_include_pad=False),
    layer("AvgPool2d", (2, 2, 3, 5), kernel_size=(2, 3), stride=(3, 4), padding=(1, 1), ceil_mode=True),
    layer("AvgPool2d", (17, 1, 3, 4), kernel_size=(3, 2), stride=(1, 3), ceil_mode=True),
    layer("AvgPool2d", (2, 2, 2, 5), kernel_size=3, stride=2, ceil_mode=True),
    layer("AvgPool2d", (3, 2, 2, 5), kernel_size=(5, 3), stride=2, padding=(1, 0), ceil_mode=True, count_include_pad=False),
    layer("AdaptiveAvgPool2d", (2, 3, 5, 7), output_size=1),
    layer("AdaptiveAvgPool2d", (3, 2, 5, 7), output_size=(3, 2)),
    layer("AdaptiveAvgPool2d", (2, 2, 3, 4), output_size=(5, 4)),
    layer("AdaptiveAvgPool2d", (18, 1, 7, 4), output_size=3),
    # Batch norm: several steps of training, of different sizes; evaluation by running estimates, or by the batch where there are none.
    layer("BatchNorm2d", [(3, 2, 3, 4), (2, 2, 5, 3), (1, 2, 3, 2)], num_features=2),
    layer("BatchNorm2d", [(2, 3, 2, 3)] * 3, num_features=3, momentum=0.3, eps=0.001),
    layer("BatchNorm2d", [(2, 2, 3, 2), (4, 2, 1, 3), (3, 2, 2, 2)], num_features=2, momentum=None),
    layer("BatchNorm2d", [(2, 3, 3, 2)] * 2, num_features=3, affine=False),
    layer("BatchNorm2d", (2, 3, 3, 2), num_features=3, track_running_stats=False),
    layer("BatchNorm2d", (3, 2, 3, 4), train=False, num_features=2),
    layer("BatchNorm2d", (3, 2, 3, 4), train=False, num_features=2, affine=False),
    layer("BatchNorm2d", (3, 2, 3, 4), train=False, num_features=2, track_running_stats=False),
    layer("BatchNorm2d", [(40, 2, 2, 1), (35, 2, 1, 2)], num_features=2),
    layer("BatchNorm1d", [(5, 4), (2, 4), (7, 4)], num_features=4),
    layer("BatchNorm1d", [(3, 2, 5), (1, 2, 4)], num_features=2, momentum=None, affine=False),
    layer("BatchNorm1d", (6, 3), train=False, num_features=3, momentum=1.0),
    # Activations; ActivationTests.cs goes far into where they are flat.
    layer("ReLU", (3, 2, 4, 5)), layer("ReLU", (19, 3), inplace=True), layer("Sigmoid", (3, 2, 4, 5)), layer("Tanh", (3, 2, 4, 5)),
    layer("GELU", (3, 2, 4, 5)), layer("LeakyReLU", (3, 2, 4, 5)), layer("LeakyReLU", (19, 3), negative_slope=0.25),
    layer("LeakyReLU", (2, 3), negative_slope=1.0), layer("LeakyReLU", (2, 3), negative_slope=1e-5),
    layer("Softmax", (3, 5), dim=1), layer("Softmax", (2, 5, 3, 4), dim=1), layer("Softmax", (19, 4), dim=-1),
    layer("LogSoftmax", (3, 5), dim=1), layer("LogSoftmax", (2, 5, 3, 4), dim=1), layer("LogSoftmax", (19, 4), dim=-1),
    layer("Dropout", (3, 2, 4, 5), train=False), layer("Dropout", (3, 5), train=False, p=0.25, inplace=True),
    layer("Dropout", (3, 5), p=0.0), layer("Dropout", (2, 5), p=1.0),
    layer("Flatten", (2, 3, 4, 5)),
]

losses = []
for reduction in ("mean", "sum", "none"):
    x, target = draw(3, 5), draw(3, 5)
    x[0, 0], x[1, 2] = target[0, 0], target[1, 2]
    losses += [loss("MSELoss", x, target, reduction=reduction), loss("L1Loss", x, target, reduction=reduction),
               loss("SmoothL1Loss", x, target, reduction=reduction), loss("SmoothL1Loss", x, target, reduction=reduction, beta=0.25),
               loss("SmoothL1Loss", x, target + 1 / 64, reduction=reduction, beta=0.0),  # away from the kink
               loss("MSELoss", draw(2, 3, 1, 4), draw(2, 3, 1, 4), reduction=reduction)]
    hard = torch.tensor([[0, 1, 0, 1, 1], [1, 0, 0, 1, 0], [0.25, 0.5, 0.75, 1, 0]], dtype=torch.double)
    far = draw(3, 5)
    far[0], far[1, :2] = torch.tensor([100, -100, 10000, -10000, 40]), torch.tensor([-30, 17])
    p = probabilities(3, 5)
    ends = p.clone()
    ends[0], ends[1, :2] = torch.tensor([0, 1, 0.5, 0, 1]), torch.tensor([0, 1])
    losses += [
        loss("BCEWithLogitsLoss", x, hard, reduction=reduction), loss("BCEWithLogitsLoss", far, hard, reduction=reduction),
        loss("BCEWithLogitsLoss", far, hard, reduction=reduction, pos_weight=[0.5, 2, 1, 3.25, 0]),
        loss("BCELoss", p, hard, reduction=reduction), loss("BCELoss", p, probabilities(3, 5), reduction=reduction),
        loss("BCELoss", ends, hard, reduction=reduction),
    ]
    weight = [0.5, 2, 0, 1.25]
    y, skipped = labels(0, 3, 1, 2, 1), labels(0, -100, 1, 3, -100)
    for scale in (1, 30, 3000):
        x = draw(5, 4) * scale
        losses += [loss("CrossEntropyLoss", x, y, reduction=reduction), loss("CrossEntropyLoss", x, skipped, reduction=reduction),
                   loss("CrossEntropyLoss", x, y, reduction=reduction, weight=weight),
                   loss("CrossEntropyLoss", x, y, reduction=reduction, label_smoothing=0.125),
                   loss("CrossEntropyLoss", x, skipped, reduction=reduction, weight=weight, label_smoothing=0.25),
                   loss("CrossEntropyLoss", x, y, reduction=reduction, label_smoothing=1.0),
                   loss("CrossEntropyLoss", x, y, reduction=reduction, ignore_index=1, weight=weight)]
    x = torch.log_softmax(draw(5, 4), 1).float().double()
    losses += [loss("NLLLoss", x, y, reduction=reduction), loss("NLLLoss", x, skipped, reduction=reduction, weight=weight),
               loss("NLLLoss", x, y, reduction=reduction, ignore_index=3),
               loss("NLLLoss", draw(21, 3), torch.arange(21) % 3, reduction=reduction)]

net, chains = network(), backward_chains()

# Layers of later cases, drawn last, so that the numbers above stay as they are.
layers += [
    # Rows: one spatial axis.
    layer("Conv1d", (2, 4, 9), in_channels=4, out_channels=6, kernel_size=3, stride=2, padding=1, dilation=2, groups=2),
    layer("Conv1d", (18, 2, 5), in_channels=2, out_channels=3, kernel_size=4, bias=False),
    layer("MaxPool1d", (2, 3, 9), kernel_size=2),
    layer("MaxPool1d", (2, 2, 8), kernel_size=3, stride=2, padding=1, dilation=2, ceil_mode=True),
    layer("AvgPool1d", (3, 2, 9), kernel_size=2),
    layer("AvgPool1d", (2, 2, 8), kernel_size=3, stride=2, padding=1, ceil_mode=True, count_include_pad=False),
    layer("AdaptiveAvgPool1d", (2, 3, 7), output_size=3), layer("AdaptiveAvgPool1d", (2, 3, 7), output_size=1),
    layer("AdaptiveMaxPool2d", (2, 3, 5, 7), output_size=1), layer("AdaptiveMaxPool2d", (3, 2, 5, 7), output_size=(3, 2)),
    layer("AdaptiveMaxPool2d", (18, 1, 3, 4), output_size=(5, 4)),
    # Transposed convolutions: with everything uneven, an output padding of no less than the stride, and places that no window reaches.
    layer("ConvTranspose2d", (2, 3, 4, 5), in_channels=3, out_channels=2, kernel_size=3),
    layer("ConvTranspose2d", (2, 4, 3, 4), in_channels=4, out_channels=6, kernel_size=(3, 2), stride=(2, 3), padding=(1, 0),
          output_padding=(1, 2), groups=2, bias=False, dilation=(1, 2)),
    layer("ConvTranspose2d", (18, 2, 3, 2), in_channels=2, out_channels=2, kernel_size=(2, 3), stride=(1, 2),
          output_padding=(1, 0), groups=2, dilation=(3, 1)),
    layer("ConvTranspose2d", (2, 1, 2, 3), in_channels=1, out_channels=3, kernel_size=1, stride=3, output_padding=2),
    layer("Upsample", (2, 3, 4, 5), scale_factor=2), layer("Upsample", (2, 2, 4, 5), size=(7, 3)),
    layer("Upsample", (2, 2, 3, 9), size=(7, 4), mode="nearest-exact"),
    layer("Upsample", (2, 2, 5, 3), scale_factor=(1.5, 2.5), mode="nearest-exact"),
    layer("Upsample", (18, 1, 4, 5), scale_factor=(1.5, 2), mode="bilinear"), layer("Upsample", (2, 2, 5, 7), size=(2, 1), mode="bilinear"),
    layer("Upsample", (2, 2, 3, 4), size=5, mode="bilinear", align_corners=True),
    layer("Upsample", (2, 2, 3, 4), scale_factor=2, mode="bilinear", align_corners=True),
    layer("ZeroPad2d", (2, 2, 3, 4), padding=2), layer("ZeroPad2d", (2, 2, 3, 4), padding=(1, 2, -1, 0)),
    layer("ConstantPad2d", (2, 2, 3, 4), padding=(1, 0, 2, 3), value=3.5), layer("ConstantPad2d", (18, 1, 3, 4), padding=1, value=-2.0),
    layer("ReflectionPad2d", (2, 2, 3, 4), padding=2), layer("ReflectionPad2d", (2, 2, 5, 4), padding=(1, -2, 3, 0)),
    layer("ReplicationPad2d", (2, 2, 3, 4), padding=(1, 4, 0, 5)), layer("ReplicationPad2d", (2, 2, 5, 5), padding=(2, -1, 0, -2)),
    layer("ChannelShuffle", (2, 6, 2, 3), groups=2), layer("ChannelShuffle", (18, 6, 2), groups=3),
    layer("Slice", (2, 5, 3, 2), dim=1, start=1, end=3), layer("Slice", (2, 3, 4, 7), dim=3, start=-6, step=2),
    layer("Slice", (18, 4, 3), dim=2, end=-1),
    layer("IndexSelect", (2, 3, 4, 2), dim=2, index=[3, 0, 0, 2, 3]),
    # Windows of odd and even width, and wider than there are channels.
    layer("LocalResponseNorm", (2, 6, 3, 2), size=5), layer("LocalResponseNorm", (18, 5, 2), size=3, alpha=0.5, beta=0.5, k=2.0),
    layer("LocalResponseNorm", (2, 5, 2, 3), size=4, alpha=1.0), layer("LocalResponseNorm", (2, 3, 4), size=8, alpha=2.0, beta=1.0, k=0.5),
    layer("ReduceMean", (2, 3, 4, 5), dim=[1]), layer("ReduceMean", (18, 3, 4, 2), dim=[-1, 1], keepdim=True),
    layer("ReduceMean", (2, 3, 2, 3), dim=[3, 2, 1]),
    layer("ReduceSum", (2, 3, 4, 5), dim=[2, 3]), layer("ReduceSum", (18, 3, 4), dim=[1], keepdim=True),
    layer("ReduceMax", (2, 3, 4, 5), dim=[1]), layer("ReduceMax", (18, 3, 4), dim=[1, 2]),
    layer("ReduceMax", (2, 60, 9), dim=[1], keepdim=True),
    layer("GroupNorm", (2, 6, 3, 2), num_groups=2, num_channels=6), layer("GroupNorm", (18, 4, 5), num_groups=1, num_channels=4, eps=0.01),
    layer("GroupNorm", (3, 8), num_groups=4, num_channels=8, affine=False),
    layer("LayerNorm", (2, 3, 2, 5), normalized_shape=[5]), layer("LayerNorm", (18, 3, 4), normalized_shape=[3, 4], eps=0.01),
    layer("LayerNorm", (2, 3, 2, 5), normalized_shape=[2, 5], elementwise_affine=False),
    layer("InstanceNorm1d", (2, 3, 5), num_features=3), layer("InstanceNorm1d", (18, 2, 4), num_features=2, affine=True, eps=0.01),
    layer("InstanceNorm2d", (2, 3, 2, 4), num_features=3, affine=True), layer("InstanceNorm2d", (2, 2, 3, 4), num_features=2),
    # Activations.
    layer("Hardtanh", (3, 2, 4, 5)), layer("Hardtanh", (19, 3), min_val=-0.5, max_val=1.25, inplace=True),
    layer("ReLU6", (3, 2, 4, 5)), layer("ReLU6", (2, 3), inplace=True),
    layer("Hardsigmoid", (3, 2, 4, 5)), layer("Hardswish", (3, 2, 4, 5)), layer("SiLU", (3, 2, 4, 5)), layer("SiLU", (19, 3), inplace=True),
    layer("Mish", (3, 2, 4, 5)), layer("Mish", (19, 3), inplace=True),
    layer("ELU", (3, 2, 4, 5)), layer("ELU", (19, 3), alpha=0.25, inplace=True), layer("ELU", (2, 3), alpha=-0.5),
    layer("SELU", (3, 2, 4, 5)), layer("SELU", (19, 3), inplace=True),
    layer("Softplus", (3, 2, 4, 5)), layer("Softplus", (19, 3), beta=2, threshold=1), layer("Softplus", (2, 3), beta=0.5),
    layer("PReLU", (3, 2, 4, 5)), layer("PReLU", (3, 2, 4, 5), num_parameters=2), layer("PReLU", (19, 3), num_parameters=3, init=0.1),
]

golden = {
    "versions": {"python": sys.version.split()[0], "torch": torch.__version__},
    "layers": layers, "losses": losses, "network": net, "texts": texts(), "chains": chains,
}
json.dump(golden, sys.stdout, separators=(",", ":"))
print()
