"""Load the weights that `cargo run --release --example initialize -- --npy DIR` wrote, as PyTorch does.

Puts the safetensors file into `torch.nn.Linear` by the function that the documentation of
`train::export` prints, passes `batch.npy` through the network, and compares the orthogonality gaps
before and after each layer with those that the example wrote as CSV; and every `.npy` file with the
tensor of its name. Exits with 1 if a gap differs by more than the rounding of f32.

Needs torch and numpy (`run.sh` installs both, `torch_cpu.py` makes torch import without a GPU) and the
package safetensors: `pip install --no-deps safetensors==0.8.0`.
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "src" / "train" / "export"))
from load_pytorch import load  # noqa: E402, what the documentation prints

TOLERANCE = 1e-4


def orthogonality_gap(samples):
    """‖C - I/n‖ with C = H^T H / ‖H‖² of representations with one sample a row."""
    h = samples.double()
    gram = h @ h.T
    gram /= gram.trace()
    return (gram - torch.eye(len(h), dtype=gram.dtype) / len(h)).norm().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, default=Path("target/orthogap/initial.safetensors"))
    parser.add_argument("--csv", type=Path, default=Path("target/orthogap/initialize.csv"))
    parser.add_argument("--npy", type=Path, required=True, help="the folder given to the example")
    options = parser.parse_args()

    network = load(options.weights)
    for index, linear in enumerate(m for m in network if isinstance(m, torch.nn.Linear)):
        saved = numpy.load(options.npy / f"layers.{index}.weight.npy")
        if not numpy.array_equal(saved, linear.weight.detach().numpy()):
            sys.exit(f"load_safetensors.py: layers.{index}.weight differs between the two formats")
    with options.csv.open() as file:
        expected = list(csv.DictReader(file))

    h = torch.from_numpy(numpy.load(options.npy / "batch.npy"))
    largest, row = 0.0, 0
    with torch.no_grad():
        for module in network:
            before, h = h, module(h)
            if isinstance(module, torch.nn.Linear):
                for name, samples in [("gap_before", before), ("gap_after", h)]:
                    found, wanted = orthogonality_gap(samples), float(expected[row][name])
                    largest = max(largest, abs(found - wanted))
                    print(f"layer {row + 1:3} {name:10} {found:.6f} here, {wanted:.6f} there")
                row += 1
    if row != len(expected):
        sys.exit(f"load_safetensors.py: {row} layers here, {len(expected)} in {options.csv}")
    print(f"{row} layers, largest difference {largest:.1e}")
    if not largest < TOLERANCE:
        sys.exit(f"load_safetensors.py: gaps differ by {largest:.1e}")


if __name__ == "__main__":
    main()
