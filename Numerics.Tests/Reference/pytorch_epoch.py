"""The PyTorch peer for training speed: seconds per epoch of LeNet-5 on MNIST, for each number of threads.

    /usr/bin/python3 pytorch_epoch.py DATA [--batch-size 64] [--threads 1,2] [--epochs 3]

DATA is a folder with train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz. The images lie in memory as one float tensor, padded to
32x32 and normalized. An epoch is a randperm, and per step X[b], zero_grad, forward, cross_entropy, backward, SGD(0.05, momentum 0.9).
Prints JSON lines: the versions and the BLAS first, then one line per epoch, then the median of each number of threads.
The first epoch of each number of threads counts like the others; a few warm-up steps come before it.
"""
import argparse
import gzip
import json
import statistics
import time

import numpy
import torch
from torch import nn
from torch.nn import functional as F


def read_idx(path):
    """The array of an IDX file of bytes."""
    with gzip.open(path, "rb") as file:
        data = file.read()
    if data[:3] != b"\x00\x00\x08":
        raise SystemExit(f"{path} is no IDX file of bytes: it begins with {data[:4].hex(' ')}")
    sizes = numpy.frombuffer(data, ">u4", count=data[3], offset=4).astype(int)
    return numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * data[3]).reshape(sizes)


def load(folder):
    """All training images [N, 1, 32, 32], zero pixels around and then normalized everywhere, and their labels [N]."""
    images = torch.from_numpy(read_idx(f"{folder}/train-images-idx3-ubyte.gz").copy()).float().unsqueeze(1)
    labels = torch.from_numpy(read_idx(f"{folder}/train-labels-idx1-ubyte.gz").astype(numpy.int64))
    return (F.pad(images, (2, 2, 2, 2)) / 255 - 0.1307) / 0.3081, labels


def lenet5():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))


def epoch(net, optimizer, images, labels, batch_size, most_steps=None):
    """Trains over all images once, or for so many steps; the last step's loss."""
    order = torch.randperm(len(images))
    for step, start in enumerate(range(0, len(images), batch_size)):
        if step == most_steps:
            break
        batch = order[start:start + batch_size]
        optimizer.zero_grad()
        loss = F.cross_entropy(net(images[batch]), labels[batch])
        loss.backward()
        optimizer.step()
    return loss.item()


def excerpt(text, words):
    """The lines, or items of a line, that say what the products run on."""
    items = (item.strip(" -\t") for line in text.splitlines() for item in line.split(", "))
    return [item for item in items if any(word in item.lower() for word in words) and "FLAGS" not in item]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", default="1,2", help="numbers of threads, with commas")
    parser.add_argument("--epochs", type=int, default=3, help="epochs for each number of threads")
    options = parser.parse_args()

    words = ("blas", "mkl", "lapack", "openmp", "intra")
    print(json.dumps({
        "torch": torch.__version__,
        "build": excerpt(torch.__config__.show(), words),
        "parallel": excerpt(torch.__config__.parallel_info(), words),
        "blas": loaded_blas(),
    }), flush=True)
    images, labels = load(options.data)
    for threads in map(int, options.threads.split(",")):
        torch.set_num_threads(threads)
        torch.manual_seed(1)
        net = lenet5()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
        epoch(net, optimizer, images, labels, options.batch_size, most_steps=20)
        seconds = []
        for number in range(options.epochs):
            start = time.perf_counter()
            loss = epoch(net, optimizer, images, labels, options.batch_size)
            seconds.append(time.perf_counter() - start)
            print(json.dumps({"threads": threads, "batchSize": options.batch_size, "epoch": number + 1,
                              "seconds": round(seconds[-1], 3), "lastLoss": round(loss, 4)}), flush=True)
        print(json.dumps({"threads": threads, "batchSize": options.batch_size, "medianSeconds": round(statistics.median(seconds), 3)}), flush=True)


def loaded_blas():
    """The BLAS library files in this process; empty where the system does not tell."""
    torch.ones(8, 8) @ torch.ones(8, 8)
    try:
        with open("/proc/self/maps", encoding="utf-8") as maps:
            return sorted({line.split()[-1] for line in maps if "blas" in line.lower() or "mkl" in line.lower()})
    except OSError:
        return []


if __name__ == "__main__":
    main()
