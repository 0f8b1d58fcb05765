"""Writes training.csv from PyTorch in float64: python training.py > training.csv"""

import torch
import torch.nn.functional as F
from torch.optim.sgd import sgd

MASK = (1 << 64) - 1
RATE, MOMENTUM, DECAY, STEPS = 0.05, 0.9, 0.01, 6


def integers(seed, rows, columns):
    """The generator of README.md as a tensor."""

    def entry(k):
        z = (((seed << 32) + k + 1) * 0x9E3779B97F4A7C15) & MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return ((z ^ (z >> 31)) >> 56) - 128

    entries = [entry(k) for k in range(rows * columns)]
    return torch.tensor(entries, dtype=torch.float64).reshape(rows, columns)


def text(tensor):
    return " ".join(repr(float(x)) for x in tensor.detach().flatten())


def parameter(module, seed, divisor):
    """Fills the weights of a module from the generator."""
    rows = module.weight.shape[0]
    values = integers(seed, rows, module.weight[0].numel()) / divisor
    module.weight.data = values.reshape(module.weight.shape)
    return module


def linear(seed, outputs, inputs, divisor):
    return parameter(torch.nn.Linear(inputs, outputs, bias=False, dtype=torch.float64), seed, divisor)


def conv(seed, outputs, inputs, divisor):
    module = torch.nn.Conv2d(inputs, outputs, 3, padding=1, bias=False, dtype=torch.float64)
    return parameter(module, seed, divisor)


def mlp(activation):
    return [linear(2, 7, 6, 200), activation(), linear(3, 7, 7, 200), activation(), linear(4, 3, 7, 200)]


def mlp_with_norm():
    norm = lambda: torch.nn.BatchNorm1d(7, eps=1e-3, dtype=torch.float64)
    return [linear(2, 7, 6, 200), norm(), torch.nn.Tanh(), linear(3, 7, 7, 200), norm(), torch.nn.Tanh(),
            linear(4, 3, 7, 200)]


def convolutions():
    """Images of 2 channels and 4 x 4 pixels; the head reads pixels with channels innermost."""
    norm = lambda: torch.nn.BatchNorm2d(5, eps=1e-3, dtype=torch.float64)

    class ChannelsLast(torch.nn.Module):
        def forward(self, x):
            return x.permute(0, 2, 3, 1).flatten(1)

    return [conv(2, 5, 2, 400), norm(), torch.nn.Tanh(), torch.nn.AvgPool2d(2),
            conv(3, 5, 5, 400), norm(), torch.nn.Tanh(), torch.nn.AvgPool2d(2), ChannelsLast(),
            linear(4, 3, 5, 200)]


def train(name, modules, samples, labels):
    model = torch.nn.Sequential(*modules)
    buffers = [None for _ in model.parameters()]
    for step in range(STEPS):
        model.zero_grad()
        loss = F.cross_entropy(model(samples), labels)
        loss.backward()
        print(f"{name},{step},loss,{text(loss)}")
        if step == 0:
            for index, values in enumerate(model.parameters()):
                print(f"{name},{step},gradient {index},{text(values.grad)}")
        # What torch.optim.SGD calls, without the compiler that the class wants to import.
        with torch.no_grad():
            parameters = list(model.parameters())
            sgd(parameters, [p.grad for p in parameters], buffers, lr=RATE, momentum=MOMENTUM,
                weight_decay=DECAY, dampening=0, nesterov=False, maximize=False, foreach=False)
    for index, values in enumerate(model.parameters()):
        print(f"{name},{STEPS},parameter {index},{text(values)}")
    for index, buffer in enumerate(b for b in model.buffers() if b.dtype == torch.float64):
        print(f"{name},{STEPS},running {index},{text(buffer)}")
    model.eval()
    print(f"{name},{STEPS},inference,{text(F.cross_entropy(model(samples), labels))}")


print("case,step,what,values")
labels = torch.tensor([0, 2, 1, 1, 0, 2, 2, 1])
samples = integers(1, 6, 8).T / 64
train("relu", mlp(torch.nn.ReLU), samples, labels)
train("tanh", mlp(torch.nn.Tanh), samples, labels)
train("norm", mlp_with_norm(), samples, labels)
train("conv", convolutions(), (integers(1, 32, 8).T / 64).reshape(8, 2, 4, 4), labels)
