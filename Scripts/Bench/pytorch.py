"""The PyTorch peer of `bench`: LeNet-5 on MNIST, trained and run on request, one JSON line in and one out.

    /usr/bin/python3 pytorch.py DATA [--images N] [--device cuda]

DATA is a folder with train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz; --images takes the first N. The images lie in memory as one
float tensor, padded to 32x32 and normalized, on the device; a GPU is waited for before the clock is read, and PyTorch's own settings stand.
The first line out says the versions and the BLAS. Then, until standard input ends:

    {"do": "epoch", "batch": 64, "threads": 2}   ->  {"seconds": 4.1, "loss": 0.08}
        All images once: a randperm, and per step X[b], zero_grad, forward, cross_entropy, backward, SGD(lr=0.05, momentum=0.9).step.
        The network of a batch size and a number of threads is kept, and gets a few warm-up steps before its first epoch.
    {"do": "infer", "batch": 64, "threads": 2, "seconds": 0.2}   ->  {"seconds": 0.0011}
        Seconds of one forward, without gradients and in evaluation mode: the mean over as many as fit in the time, after a warm-up.

Anything that goes wrong is one line {"error": ...} and the end. It waits without working between two requests.
"""
import argparse
import gzip
import json
import sys
import time

try:
    import numpy
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError as error:
    print(json.dumps({"error": f"{sys.executable} has no PyTorch: {error}"}), flush=True)
    sys.exit(3)


def read_idx(path):
    """The array of an IDX file of bytes."""
    with gzip.open(path, "rb") as file:
        data = file.read()
    if data[:3] != b"\x00\x00\x08":
        raise ValueError(f"{path} is no IDX file of bytes: it begins with {data[:4].hex(' ')}")
    sizes = numpy.frombuffer(data, ">u4", count=data[3], offset=4).astype(int)
    return numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * data[3]).reshape(sizes)


def load(folder, count):
    """The first training images [N, 1, 32, 32], zero pixels around and then normalized everywhere, and their labels [N]."""
    images = torch.from_numpy(read_idx(f"{folder}/train-images-idx3-ubyte.gz")[:count].copy()).float().unsqueeze(1)
    labels = torch.from_numpy(read_idx(f"{folder}/train-labels-idx1-ubyte.gz")[:count].astype(numpy.int64))
    return (F.pad(images, (2, 2, 2, 2)) / 255 - 0.1307) / 0.3081, labels


def lenet5():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))


class Peer:
    """The data, and the networks in training by batch size and threads."""

    def __init__(self, folder, count, device):
        if device != "cpu" and not torch.cuda.is_available():
            raise RuntimeError(f"{sys.executable}: PyTorch {torch.__version__} finds no GPU (built for CUDA {torch.version.cuda})")
        self.device = device
        self.images, self.labels = (tensor.to(device) for tensor in load(folder, count))
        self.training = {}
        self.net = lenet5().eval().to(device)

    def now(self):
        """The clock, when the device has done what it was given."""
        if self.device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter()

    def epoch(self, batch, threads):
        torch.set_num_threads(threads)
        if (batch, threads) not in self.training:
            torch.manual_seed(1)
            net = lenet5().to(self.device)
            self.training[batch, threads] = net, torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
            self.steps(batch, threads, most=10)
        start = self.now()
        loss = self.steps(batch, threads)
        return {"seconds": self.now() - start, "loss": loss}

    def steps(self, batch, threads, most=None):
        """Trains over all images once, or for so many steps; the last step's loss."""
        net, optimizer = self.training[batch, threads]
        order = torch.randperm(len(self.images), device=self.device)
        for step, start in enumerate(range(0, len(self.images), batch)):
            if step == most:
                break
            indices = order[start:start + batch]
            optimizer.zero_grad()
            loss = F.cross_entropy(net(self.images[indices]), self.labels[indices])
            loss.backward()
            optimizer.step()
        return loss.item()

    def infer(self, batch, threads, seconds):
        torch.set_num_threads(threads)
        images = self.images[:batch].contiguous()
        with torch.no_grad():
            for _ in range(3):
                self.net(images)
            runs, start = 0, self.now()
            while (elapsed := self.now() - start) < seconds or runs == 0:
                self.net(images)
                runs += 1
        return {"seconds": elapsed / runs}


def loaded_blas():
    """The BLAS library files in this process; empty where the system does not tell."""
    torch.ones(8, 8) @ torch.ones(8, 8)
    try:
        with open("/proc/self/maps", encoding="utf-8") as maps:
            return sorted({line.split()[-1] for line in maps if "blas" in line.lower() or "mkl" in line.lower()})
    except OSError:
        return []


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--images", type=int)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    peer = Peer(options.data, options.images, options.device)
    print(json.dumps({"torch": torch.__version__, "python": sys.executable, "device": options.device, "blas": loaded_blas()}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(peer, {"epoch": "epoch", "infer": "infer"}[request.pop("do")])(**request)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, RuntimeError) as error:
        print(json.dumps({"error": str(error)}), flush=True)
        sys.exit(1)
