"""Writes golden.json: what PyTorch computes, for GoldenTests.cs. Run again only to add cases:

    python3 golden.py > golden.json

Everything is computed in double from float32 inputs, so that the file does not depend on a machine's float kernels.
"""
import json
import sys

import torch
import torch.nn.functional as F

torch.manual_seed(0)


def numbers(t):
    return [float(f"{v:.9g}") for v in t.detach().flatten().tolist()]


def draw(*shape):
    return torch.randn(*shape).mul(1000).round().div(1000).double().requires_grad_()


def layer(name, options, x, parameters, y):
    dy = draw(*y.shape).detach()
    y.backward(dy)
    return {
        "name": name, **options, "xShape": list(x.shape), "yShape": list(y.shape),
        "x": numbers(x), "y": numbers(y), "dy": numbers(dy), "dx": numbers(x.grad),
        "parameters": [numbers(p) for p in parameters], "gradients": [numbers(p.grad) for p in parameters],
    }


def conv(n, c, m, h, w, kernel, stride=(1, 1), padding=(0, 0), dilation=(1, 1), bias=True):
    x, weight = draw(n, c, h, w), draw(m, c, *kernel)
    parameters = [weight] + ([draw(m)] if bias else [])
    y = F.conv2d(x, weight, parameters[1] if bias else None, stride, padding, dilation)
    options = {"in": c, "out": m, "kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation, "bias": bias}
    return layer("conv", options, x, parameters, y)


def pool(n, c, h, w, kernel, stride, padding=(0, 0), dilation=(1, 1)):
    x = draw(n, c, h, w)
    y = F.max_pool2d(x, kernel, stride, padding, dilation)
    return layer("pool", {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}, x, [], y)


def linear(n, inputs, outputs, bias=True):
    x, parameters = draw(n, inputs), [draw(outputs, inputs)] + ([draw(outputs)] if bias else [])
    return layer("linear", {"in": inputs, "out": outputs, "bias": bias}, x, parameters, F.linear(x, *parameters))


def cross_entropy(n, classes, scale, labels):
    x = draw(n, classes)
    scaled = (x * scale).float().double().detach().requires_grad_()
    loss = F.cross_entropy(scaled, torch.tensor(labels))
    loss.backward()
    return {
        "xShape": [n, classes], "x": numbers(scaled), "labels": labels, "loss": float(f"{loss.item():.12g}"),
        "dx": numbers(scaled.grad),
    }


def sgd(momentum, dampening, weight_decay, nesterov):
    w = draw(5)
    start, gradients, trace = numbers(w), [], []
    optimizer = torch.optim.SGD([w], lr=0.1, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov)
    for _ in range(20):
        w.grad = draw(5).detach()
        optimizer.step()
        gradients.append(numbers(w.grad))
        trace.append(numbers(w))
    return {
        "momentum": momentum, "dampening": dampening, "weightDecay": weight_decay, "nesterov": nesterov,
        "start": start, "gradients": gradients, "trace": trace,
    }


def cosine(lr, steps, last):
    optimizer = torch.optim.SGD([draw(1)], lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, last)
    rates = []
    for _ in range(steps):
        optimizer.step()
        schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
    return {"lr": lr, "steps": steps, "last": last, "rates": rates}


golden = {
    "versions": {"python": sys.version.split()[0], "torch": torch.__version__},
    "layers": [
        conv(2, 2, 3, 5, 7, (3, 2)),
        conv(3, 1, 4, 6, 8, (2, 3), (2, 1), (1, 2)),
        conv(1, 3, 2, 7, 6, (3, 2), (1, 2), (2, 0), (2, 3), bias=False),
        pool(3, 2, 4, 6, (2, 2), (2, 2)),
        pool(2, 1, 5, 6, (3, 2), (1, 2), (1, 1)),
        pool(1, 2, 7, 5, (2, 3), (2, 1), (1, 1), (2, 1)),
        linear(3, 7, 4),
        linear(2, 5, 3, bias=False),
    ],
    "crossEntropy": [
        cross_entropy(5, 4, 1, [0, 3, 1, 2, 2]),
        cross_entropy(3, 7, 50, [6, 0, 3]),
        cross_entropy(6, 3, 1, [0, -100, 2, 1, -100, 1]),
        cross_entropy(2, 3, 10000, [1, 2]),
    ],
    "sgd": [
        sgd(0, 0, 0, False), sgd(0, 0, 0.1, False), sgd(0.9, 0, 0, False), sgd(0.9, 0.3, 0.05, False),
        sgd(0.9, 0, 0.05, True), sgd(0.5, 0.5, 0, False),
    ],
    "cosine": [cosine(0.1, 10, 0), cosine(0.05, 7, 0.001)],
}
json.dump(golden, sys.stdout, separators=(",", ":"))
print()
