"""Writes optimizers.json: what PyTorch's optimizers, schedules and clipping do, for PyTorchTraceTests.cs. Run again only to add cases:

    python3 optimizers.py > optimizers.json

Everything is computed in double from float32 inputs, so that the file does not depend on a machine's float kernels. The weights stay away
from zero, so that the error of a float step, relative to its weight, is a few roundings.
"""
import json
import sys
import warnings

import torch
from torch.optim import lr_scheduler

warnings.simplefilter("ignore")  # schedules are stepped without their optimizers here
torch.manual_seed(0)
STEPS, EPOCHS = 20, 30
SHAPES = [[[17], [3]], [[2, 2], [1]]]  # of two groups; 17 is a multiple of the vectors of any width, and one over
LATE = 3  # the last parameter gets its first gradient after so many steps


def draw(shape):
    return torch.randn(shape).mul(1000).round().div(1000).double()


def numbers(t, digits=9):
    return [float(f"{v:.{digits}g}") for v in t.detach().flatten().tolist()]


def away_from_zero(shape):
    t = draw(shape)
    return (t.abs() / 2 + 0.75).mul(1000).round().div(1000) * t.sign()


START = [[away_from_zero(s) for s in group] for group in SHAPES]
GRADIENTS = [[[draw(s) for s in group] for group in SHAPES] for _ in range(STEPS)]


def trace(kind, lr, lr2, late=False, own=None, **options):
    """The second group has a rate of its own, halved after ten steps, and what `own` says; `late` adds it after five steps."""
    own = own or {}
    w = [[t.clone().requires_grad_() for t in group] for group in START]
    second = {"params": w[1], "lr": lr2, **own}
    groups = [{"params": w[0]}] + ([] if late else [second])
    optimizer = getattr(torch.optim, kind)(groups, lr=lr, **options)
    steps = []
    for step in range(STEPS):
        if late and step == 5:
            optimizer.add_param_group(second)
        if step == 10:
            optimizer.param_groups[1]["lr"] *= 0.5
        for g in range(2):
            for i, p in enumerate(w[g]):
                p.grad = None if (g, i) == (1, 1) and step < LATE else GRADIENTS[step][g][i].clone()
        optimizer.step()
        steps.append([v for group in w for p in group for v in numbers(p, 8)])
    return {"kind": kind, "lr": lr, "lr2": lr2, "late": late, "own": own, "options": options, "trace": steps}


def schedule(kind, optimizer="SGD", change=False, **options):
    """Rates and momenta of two groups after the construction and after each step; `change` sets a rate by hand on the way."""
    made = getattr(torch.optim, optimizer)([{"params": [draw([1])], "lr": 0.1}, {"params": [draw([1])], "lr": 0.02}], lr=1)
    if kind == "SequentialLR":
        parts = [getattr(lr_scheduler, name)(made, **part) for name, part in options["schedulers"]]
        s = lr_scheduler.SequentialLR(made, parts, options["milestones"])
    else:
        s = getattr(lr_scheduler, kind)(made, **options)

    def look():
        return [[g["lr"], g["betas"][0] if "betas" in g else g["momentum"]] for g in made.param_groups]

    seen = [look()]
    for epoch in range(EPOCHS):
        s.step()
        seen.append(look())
        if change and epoch == 6:
            made.param_groups[0]["lr"] = 0.07
    return {"kind": kind, "optimizer": optimizer, "change": change, "options": options, "seen": seen}


METRICS = [3, 2.5, 2.4, 2.4, 2.3999, 2.39, 2.395, 2.4, 2.2, 2.2, 2.2, 2.2, 2.3, float("inf"), 2.2,
           2.1999, 2.2, 2.1, 2.1, 2.1, 2.2, 2.2, 2.2, 2, 2, 2, 2, 2.1, 2.1, 2.1]


def plateau(sign=1, **options):
    made = torch.optim.SGD([{"params": [draw([1])], "lr": 0.1}, {"params": [draw([1])], "lr": 0.02}], lr=1)
    s = lr_scheduler.ReduceLROnPlateau(made, **options)
    rates = []
    for metric in METRICS:
        s.step(sign * metric)
        rates.append([g["lr"] for g in made.param_groups])
    return {"metrics": [None if m == float("inf") else sign * m for m in METRICS], "options": options, "rates": rates}


def clip(limit, norm_type):
    gradients = [draw(s) for group in SHAPES for s in group]
    parameters = [torch.zeros_like(g).requires_grad_() for g in gradients]
    for p, g in zip(parameters, gradients):
        p.grad = g.clone()
    total = None
    if norm_type is None:
        torch.nn.utils.clip_grad_value_(parameters, limit)
    else:
        total = torch.nn.utils.clip_grad_norm_(parameters, limit, norm_type).item()
    return {
        "limit": limit, "normType": str(norm_type), "norm": total, "gradients": [numbers(g) for g in gradients],
        "clipped": [numbers(p.grad) for p in parameters],
    }


def optimizers():
    yield trace("SGD", 0.01, 0.02)
    yield trace("SGD", 0.01, 0.02, weight_decay=0.1)
    yield trace("SGD", 0.01, 0.005, momentum=0.9)
    yield trace("SGD", 0.01, 0.02, momentum=0.5, dampening=0.3, weight_decay=0.05)
    yield trace("SGD", 0.005, 0.01, momentum=0.9, nesterov=True, weight_decay=0.05)
    yield trace("SGD", 0.01, 0.005, late=True, own={"momentum": 0.8, "dampening": 0.1}, weight_decay=0.01)
    for kind in ["Adam", "AdamW"]:
        yield trace(kind, 0.01, 0.005)
        yield trace(kind, 0.01, 0.005, betas=(0.8, 0.95), eps=1e-3)
        yield trace(kind, 0.01, 0.02, weight_decay=0.1)
        yield trace(kind, 0.01, 0.005, amsgrad=True)
        yield trace(kind, 0.01, 0.005, betas=(0.5, 0.8), weight_decay=0.05, amsgrad=True)
        yield trace(kind, 0.01, 0.005, late=True, own={"betas": (0.7, 0.9), "weight_decay": 0.2, "eps": 1e-4})
    yield trace("RMSprop", 0.002, 0.001)
    yield trace("RMSprop", 0.002, 0.001, alpha=0.9, eps=1e-3)
    yield trace("RMSprop", 0.002, 0.001, weight_decay=0.1)
    yield trace("RMSprop", 0.001, 0.0005, momentum=0.9)
    yield trace("RMSprop", 0.002, 0.001, centered=True)
    yield trace("RMSprop", 0.001, 0.0005, centered=True, momentum=0.5, weight_decay=0.05, alpha=0.95)
    yield trace("RMSprop", 0.001, 0.0005, late=True, own={"momentum": 0.5, "centered": True, "alpha": 0.9})


def schedules():
    for change in [False, True]:
        yield schedule("StepLR", change=change, step_size=4, gamma=0.5)
        yield schedule("MultiStepLR", change=change, milestones=[3, 11, 11, 20], gamma=0.3)
        yield schedule("ExponentialLR", change=change, gamma=0.9)
        yield schedule("LinearLR", change=change, start_factor=0.25, end_factor=0.8, total_iters=9)
        yield schedule("CosineAnnealingLR", change=change, T_max=12, eta_min=0.005)
    yield schedule("StepLR", step_size=7)
    yield schedule("LinearLR")
    yield schedule("CosineAnnealingLR", T_max=1)
    yield schedule("CosineAnnealingLR", T_max=30)
    # 31 steps: PyTorch allows one more than the cycle has, and carries on the curve, a straight line to below zero; here the rate stays
    for options in [{}, {"anneal_strategy": "linear"}, {"three_phase": True},
                    {"pct_start": 0.25, "div_factor": 10.0, "final_div_factor": 100.0, "anneal_strategy": "linear", "three_phase": True},
                    {"pct_start": 0.0}, {"cycle_momentum": False}, {"base_momentum": [0.8, 0.7], "max_momentum": [0.9, 0.99]}]:
        yield schedule("OneCycleLR", max_lr=[0.3, 0.05], total_steps=31, **options)
    yield schedule("OneCycleLR", optimizer="Adam", max_lr=0.1, epochs=4, steps_per_epoch=8)
    yield schedule("OneCycleLR", optimizer="RMSprop", max_lr=0.1, total_steps=31, pct_start=0.4)
    yield schedule("SequentialLR", schedulers=[
        ["LinearLR", {"start_factor": 0.1, "total_iters": 5}], ["CosineAnnealingLR", {"T_max": 25}]], milestones=[5])
    yield schedule("SequentialLR", change=True, milestones=[4, 9, 18], schedulers=[
        ["LinearLR", {"start_factor": 0.2, "total_iters": 6}], ["ExponentialLR", {"gamma": 0.8}],
        ["MultiStepLR", {"milestones": [0, 3], "gamma": 0.5}], ["StepLR", {"step_size": 3, "gamma": 0.7}]])
    yield schedule("SequentialLR", milestones=[3], schedulers=[
        ["LinearLR", {"start_factor": 0.5}], ["OneCycleLR", {"max_lr": [0.2, 0.1], "total_steps": 28}]])


json.dump({
    "versions": {"python": sys.version.split()[0], "torch": torch.__version__},
    "start": [[numbers(t) for t in group] for group in START],
    "gradients": [[[numbers(t) for t in group] for group in step] for step in GRADIENTS],
    "optimizers": list(optimizers()),
    "schedules": list(schedules()),
    "plateaus": [
        plateau(), plateau(patience=2, factor=0.5), plateau(patience=1, factor=0.3, cooldown=2, min_lr=[0.01, 0.001]),
        plateau(patience=0, threshold=0.05, eps=0.01), plateau(patience=1, threshold=0.05, threshold_mode="abs", factor=0.2),
        plateau(-1, mode="max", patience=1, factor=0.6),
        plateau(-1, mode="max", threshold_mode="abs", patience=2, factor=0.6),
    ],
    "clippings": [clip(1, 2.0), clip(0.5, 1.0), clip(0.25, float("inf")), clip(100, 2.0), clip(2, 3.0), clip(0, 2.0), clip(0.5, None)],
}, sys.stdout, separators=(",", ":"))
print()
