"""Writes training.json: whole small trainings by PyTorch, every optimizer with every schedule, for TrainingTraceTests.cs. Run again only to
add cases:

    python3 training.py > training.json

Each has gradient accumulation with an uneven end, a limit of the gradients' norm, label smoothing, batch norm, and an average of the
weights (AveragedModel). Everything is computed in double from float32 inputs: the file does not depend on a machine's float kernels.
"""
import json
import sys
import warnings

import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel

warnings.simplefilter("ignore")
torch.manual_seed(0)
SAMPLES, BATCH, ACCUMULATE, EPOCHS, CLASSES = 22, 4, 4, 6, 3  # six batches an epoch, the last of 2, in updates from 4 and from 2
SMOOTHING, CLIP, DECAY = 0.1, 0.8, 0.8
UPDATES = 2
TOTAL, WARM = EPOCHS * UPDATES, 3


def draw(*shape):
    return torch.randn(*shape).mul(1000).round().div(1000).double()


X, LABELS = draw(SAMPLES, 1, 5, 5), torch.randint(CLASSES, (SAMPLES,))
START = [draw(2, 1, 3, 3) / 4, torch.ones(2).double(), torch.zeros(2).double(), draw(CLASSES, 18) / 4, draw(CLASSES) / 4]
START = [t.mul(1024).round().div(1024) for t in START]
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-3),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=1e-3),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.005, weight_decay=1e-3),
}


def warmed(optimizer, after, warm):
    rise = lr_scheduler.LinearLR(optimizer, start_factor=1 / (warm + 1), total_iters=warm)
    return lr_scheduler.SequentialLR(optimizer, [rise, after(optimizer)], [warm]) if after else rise


def one_cycle(rise):
    return lambda o: lr_scheduler.OneCycleLR(o, max_lr=o.defaults["lr"], total_steps=TOTAL, pct_start=rise,
                                             cycle_momentum=o.defaults.get("momentum", 1) > 0)


def cosine(steps):
    return lambda o: lr_scheduler.CosineAnnealingLR(o, steps)


def thirds(steps):
    return lambda o: lr_scheduler.StepLR(o, (steps + 2) // 3)


SCHEDULES = {
    ("constant", 0): lambda o: None,
    ("constant", WARM): lambda o: warmed(o, None, WARM),
    ("cosine", 0): cosine(TOTAL),
    ("cosine", WARM): lambda o: warmed(o, cosine(TOTAL - WARM), WARM),
    ("step", 0): thirds(TOTAL),
    ("step", WARM): lambda o: warmed(o, thirds(TOTAL - WARM), WARM),
    ("onecycle", 0): one_cycle(0.3),
    ("onecycle", WARM): one_cycle(WARM / TOTAL),
}


def numbers(values, digits=9):
    return [float(f"{v:.{digits}g}") for v in values]


def flat(module, buffers=False):
    tensors = [t for n, t in module.state_dict().items() if "num_batches" not in n and (buffers or "running" not in n)]
    return numbers([v for t in tensors for v in t.flatten().tolist()])


def train(kind, name, warm):
    net = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(18, CLASSES)).double()
    with torch.no_grad():
        for parameter, start in zip(net.parameters(), START):
            parameter.copy_(start)
    optimizer = OPTIMIZERS[kind](net.parameters())
    schedule = SCHEDULES[name, warm](optimizer)
    average = AveragedModel(net, avg_fn=lambda a, w, n: DECAY * a + (1 - DECAY) * w)
    losses, rates, norms = [], [], []
    for _ in range(EPOCHS):
        total = 0
        for first in range(0, SAMPLES, BATCH * ACCUMULATE):
            samples = min(BATCH * ACCUMULATE, SAMPLES - first)
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.zero_grad()
            for batch in range(first, first + samples, BATCH):
                rows = slice(batch, min(batch + BATCH, first + samples))
                loss = nn.functional.cross_entropy(net(X[rows]), LABELS[rows], reduction="sum", label_smoothing=SMOOTHING)
                (loss / samples).backward()
                total += loss.item()
            norms.append(nn.utils.clip_grad_norm_(net.parameters(), CLIP).item())
            optimizer.step()
            if schedule:
                schedule.step()
            average.update_parameters(net)
        losses.append(total / SAMPLES)
    assert min(norms) < CLIP < max(norms), norms  # both ways are there
    return {"optimizer": kind, "schedule": name, "warmup": warm, "losses": numbers(losses), "rates": numbers(rates, 12),
            "weights": flat(net, buffers=True), "averages": flat(average.module)}


json.dump({
    "torch": torch.__version__,
    "x": numbers(X.flatten().tolist()), "labels": LABELS.tolist(), "start": [numbers(t.flatten().tolist()) for t in START],
    "cases": [train(kind, *case) for kind in OPTIMIZERS for case in SCHEDULES],
}, sys.stdout)
