"""Gap and effective rank of the layers of a PyTorch model, with and without BatchNorm1d.

Hooks see what leaves each block of a rectified multilayer perceptron, before training and during it.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import torch
from torch import nn

import orthogap

DEPTH, WIDTH, CLASSES, BATCH = 20, 128, 8, 32
STEPS = [0, 100, 1000]


def model(norm: bool) -> nn.Sequential:
    """A multilayer perceptron whose blocks are linear, perhaps BatchNorm1d, ReLU."""
    blocks: list[nn.Module] = []
    for inputs in [16] + [WIDTH] * (DEPTH - 1):
        linear = nn.Linear(inputs, WIDTH)
        nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
        blocks.append(nn.Sequential(linear, nn.BatchNorm1d(WIDTH) if norm else nn.Identity(), nn.ReLU()))
    return nn.Sequential(*blocks, nn.Linear(WIDTH, CLASSES))


def grams(network: nn.Sequential, x: torch.Tensor) -> list[orthogap.Gram]:
    """The Gram matrices of what leaves each block: hooks copy nothing, arrays (n, d) are read in place."""
    found: list[orthogap.Gram] = []

    def look(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        found.append(orthogap.Gram(output.detach().numpy()))

    hooks = [block.register_forward_hook(look) for block in network[:-1]]
    with torch.no_grad():
        network(x)
    for hook in hooks:
        hook.remove()
    return found


def main() -> None:
    torch.manual_seed(7)
    centers = 2 * torch.randn(CLASSES, 16)
    figure, axes = plt.subplots(2, 2, figsize=(9, 6), layout="constrained", sharex=True, sharey="row")
    for column, norm in enumerate([True, False]):
        network = model(norm)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
        labels = torch.randint(CLASSES, (BATCH,))
        held_out = centers[labels] + torch.randn(BATCH, 16)
        for step in range(STEPS[-1] + 1):
            if step in STEPS:
                layers = grams(network, held_out)
                depths = range(1, DEPTH + 1)
                axes[0, column].plot(depths, [g.orthogonality_gap for g in layers], label=f"step {step}")
                axes[1, column].plot(depths, [g.effective_rank for g in layers], label=f"step {step}")
            labels = torch.randint(CLASSES, (BATCH,))
            loss = nn.functional.cross_entropy(
                network(centers[labels] + torch.randn(BATCH, 16)), labels
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        axes[0, column].set_title("with BatchNorm1d" if norm else "without normalisation")
        axes[1, column].set(xlabel="layer", xticks=[1, *range(5, DEPTH + 1, 5)])
    axes[0, 0].set(ylabel="orthogonality gap", ylim=(0, 1))
    axes[1, 0].set(ylabel=f"effective rank of {BATCH} samples", ylim=(0, None))
    axes[0, 0].legend()
    figure.savefig("gap_of_a_torch_model.png", dpi=150)


if __name__ == "__main__":
    main()
