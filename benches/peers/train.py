"""PyTorch beside orthogap at training: seconds per epoch and loss, one thread each, the same images.

A rectified network without biases or normalisation, Xavier uniform weights with gain sqrt 2, plain SGD on
cross entropy; the protocol behind Figures 3 and 4 of the paper, scaled by the options. Both sides draw
their own weights and orders, so losses agree as two runs of one do. Epochs alternate: what else the
machine does meets both.

    python train.py --data cifar10:DIR                         width 800, depth 15, 4,660 images, f32
    python train.py --data digits --width 256 --batch 50       what comes with the project

Run it with the Python that run.sh installs; it builds the Rust side with cargo. The best epoch of each
counts, and the first one, which warms up, only if it is the only one.
"""

import os

for _library in ("OMP", "MKL", "OPENBLAS", "VECLIB_MAXIMUM"):  # before PyTorch reads them
    os.environ[f"{_library}_NUM_THREADS"] = "1"

import argparse
import json
import math
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.optim.sgd import sgd

ROOT = Path(__file__).resolve().parents[2]


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="digits", help="digits or cifar10:DIR")
    parser.add_argument("--images", type=int, default=4660)
    parser.add_argument("--width", type=int, default=800)
    parser.add_argument("--depth", type=int, default=15)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--rate", type=float, default=0.01)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--scalar", choices=("f32", "f64"), default="f32")
    parser.add_argument("--worker", help="the built worker, to save the build")
    return parser.parse_args()


def images(data, count, dtype):
    """Pixels from -1 to 1, one image a row, and labels."""
    if data == "digits":
        table = np.loadtxt(ROOT / "examples/data/digits.csv", delimiter=",", skiprows=1)[:count]
        labels, values, white = table[:, 0], table[:, 1:], 16
    elif data.startswith("cifar10:"):
        folder = Path(data.removeprefix("cifar10:"))
        files = (folder / f"data_batch_{number}.bin" for number in range(1, 6))
        table = np.concatenate([np.fromfile(file, np.uint8).reshape(-1, 3073) for file in files])[:count]
        labels, values, white = table[:, 0], table[:, 1:], 255
    else:
        sys.exit(f"train.py: data {data!r} is neither digits nor cifar10:DIR")
    samples = torch.tensor(2 * values.astype(np.float64) / white - 1).to(dtype)
    return samples, torch.tensor(labels.astype(np.int64))


def network(dimension, width, depth, dtype):
    modules, inputs = [], dimension
    for _ in range(depth):
        linear = torch.nn.Linear(inputs, width, bias=False, dtype=dtype)
        torch.nn.init.xavier_uniform_(linear.weight, gain=math.sqrt(2))
        modules += [linear, torch.nn.ReLU()]
        inputs = width
    head = torch.nn.Linear(inputs, 10, bias=False, dtype=dtype)
    torch.nn.init.xavier_uniform_(head.weight, gain=math.sqrt(2))
    return torch.nn.Sequential(*modules, head)


def epoch(model, rate, samples, labels, batch):
    """Seconds and mean loss of an epoch, each batch before its step."""
    start, total = time.perf_counter(), 0.0
    order = torch.randperm(len(labels))
    for first in range(0, len(order), batch):
        some = order[first : first + batch]
        model.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(samples[some]), labels[some])
        loss.backward()
        # What torch.optim.SGD calls, without the compiler that the class wants to import.
        with torch.no_grad():
            parameters = list(model.parameters())
            gradients = [parameter.grad for parameter in parameters]
            sgd(parameters, gradients, [None] * len(parameters), lr=rate, momentum=0, weight_decay=0,
                dampening=0, nesterov=False, maximize=False, foreach=False)
        total += loss.item() * len(some)
    return time.perf_counter() - start, total / len(labels)


def worker(arguments):
    """The worker, which trains an epoch for every line that it is sent."""
    if not arguments.worker:
        command = ["cargo", "build", "--quiet", "--release", "--example", "train_worker"]
        subprocess.run(command, cwd=ROOT, check=True)
    path = arguments.worker or ROOT / "target/release/examples/train_worker"
    case = ("data", "images", "width", "depth", "batch", "rate", "epochs", "scalar")
    command = [str(path), *(str(getattr(arguments, name)) for name in case), "1"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def main():
    arguments = options()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    dtype = torch.float32 if arguments.scalar == "f32" else torch.float64
    samples, labels = images(arguments.data, arguments.images, dtype)
    model = network(samples.shape[1], arguments.width, arguments.depth, dtype)
    rust = worker(arguments)
    print(f"{len(labels)} images, width {arguments.width}, depth {arguments.depth}, "
          f"batch {arguments.batch}, {arguments.scalar}, one thread")
    print("epoch   PyTorch s      loss  orthogap s      loss")
    best = [math.inf, math.inf]
    for number in range(1, arguments.epochs + 1):
        theirs = epoch(model, arguments.rate, samples, labels, arguments.batch)
        rust.stdin.write("go\n")
        rust.stdin.flush()
        line = rust.stdout.readline()
        if not line:
            sys.exit("train.py: the worker has ended")
        ours = json.loads(line)
        print(f"{number:5}  {theirs[0]:10.3f}  {theirs[1]:8.4f}  {ours['seconds']:10.3f}  {ours['loss']:8.4f}")
        if number > 1 or arguments.epochs == 1:
            best = [min(best[0], theirs[0]), min(best[1], ours["seconds"])]
    rust.stdin.close()
    rust.wait()
    print(f"seconds per epoch: PyTorch {best[0]:.3f}, orthogap {best[1]:.3f}, ratio {best[1] / best[0]:.2f}")


if __name__ == "__main__":
    main()
