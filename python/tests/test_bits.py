"""Equal seeds give the bits of Rust: compared with the program tests/bits.rs, built and run here."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import orthogap as og

Bits = dict[str, list[str]]


@pytest.fixture(scope="module")
def expected() -> Bits:
    """The numbers that Rust prints, as hexadecimal bits."""
    manifest = Path(__file__).parents[1] / "Cargo.toml"
    if shutil.which("cargo") is None or not manifest.exists():
        pytest.skip("no Rust here")
    command = ["cargo", "run", "--quiet", "--release", "--example", "bits"]
    command += ["--manifest-path", str(manifest)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    return {name: bits for name, *bits in lines}


def bits(numbers: npt.ArrayLike) -> list[str]:
    flat = np.asarray(numbers, dtype=np.float64).ravel()
    return [f"{word:016x}" for word in flat.view(np.uint64)]


SPIKED = og.spiked_batch(4, 1e-6)
GAUSSIAN = og.gaussian_batch(6, 64, seed=1)


def rectified(dtype: str) -> og.Network:
    return og.Network(
        300,
        activation="relu",
        normalization="standard_batch_norm",
        weights="he",
        order="activation_linear_norm",
        dtype=dtype,
    )


def residual(dtype: str) -> og.Network:
    return og.Network(
        64,
        activation="gelu",
        normalization="layer_norm",
        weights="haar",
        gain=1.5,
        residual=0.5,
        post_norm=True,
        dtype=dtype,
    )


@pytest.mark.parametrize(
    ("name", "network", "x"),
    [
        ("linear_64", og.Network(512), SPIKED),
        ("linear_32", og.Network(512, dtype=np.float32), SPIKED),
        ("rectified_64", rectified("float64"), GAUSSIAN),
        ("rectified_32", rectified("float32"), GAUSSIAN),
        ("residual_64", residual("float64"), GAUSSIAN),
        ("residual_32", residual("float32"), GAUSSIAN),
        ("wide", og.Network(100_000, dtype="float32"), GAUSSIAN),
    ],
)
def test_chains(expected: Bits, name: str, network: og.Network, x: npt.NDArray[np.float64]) -> None:
    layers = itertools.islice(network.chain(x, seed=7, replicate=3), 20)
    numbers = [
        [
            layer.orthogonality_gap,
            layer.log_scale,
            layer.min_singular_value,
            layer.effective_rank,
            layer.coupling_bound,
        ]
        for layer in layers
    ]
    assert bits(numbers) == expected[name]


def test_drawn_weights(expected: Bits) -> None:
    layer = next(og.Network(50, dtype="float32").explicit_chain(GAUSSIAN, seed=2, weights=True))
    assert layer.weights is not None
    assert layer.weights.shape == (50, 64)
    assert layer.representation.shape == (6, 50)
    assert bits(layer.weights) == expected["weights"]
    assert bits(layer.representation) == expected["representation"]


def test_ensembles(expected: Bits) -> None:
    names = ["orthogonality_gap", "stable_rank", "cosine(0, 1)"]
    at = [0, 5, 20]
    ensemble = og.Network(32).run(SPIKED, 20, 100, observe=names, at=at, seed=11, progress=False)
    for name in names:
        mean = ensemble.means[name]
        error, interval = ensemble.standard_errors[name], ensemble.intervals[name]
        found = np.column_stack([mean, error, interval])
        assert bits(found) == expected[f"ensemble:{name}".replace(" ", "")]


def test_gradients(expected: Bits) -> None:
    gradients = rectified("float64").gradients(GAUSSIAN, 5, top="read_out", seed=3)
    assert bits([g.log_sample_norms for g in gradients]) == expected["gradients"]
    network = og.Network(40, normalization=None, activation="tanh")
    kernel = network.tangent_kernel(GAUSSIAN, 3, seed=4)
    assert bits(kernel.matrix) == expected["tangent_kernel"]


def test_functions_of_arrays(expected: Bits) -> None:
    single = GAUSSIAN.astype(np.float32)
    standard = og.batch_norm(single, centered=True, epsilon=1e-5, scale="rms")
    assert standard.dtype == np.float32
    assert bits(GAUSSIAN) == expected["gaussian_batch"]
    assert bits(og.batch_norm(GAUSSIAN)) == expected["batch_norm"]
    assert bits(standard) == expected["standard_batch_norm"]
    assert bits(og.group_norm(GAUSSIAN, 4)) == expected["group_norm"]
    assert bits(og.spectrum(single)) == expected["spectrum"]
    weights = og.orthogonal_init(single, [48, 48, 10], seed=5)
    assert [w.shape for w in weights] == [(48, 64), (48, 48), (10, 48)]
    assert sum((bits(w) for w in weights), []) == expected["orthogonal_init"]


def test_distances(expected: Bits) -> None:
    rows = og.Gaussian.isotropic(3, 0.7).sample(500, seed=6)
    bracket = og.w2_to_gaussian(rows, seed=8)
    bounds = bracket.lower_bounds + bracket.upper_bounds
    line = og.line_w2(rows[:, 0], deviation=0.7)
    assert bits(rows) == expected["gaussian"]
    assert bits([[w2.squared, w2.debiased] for _, w2 in bounds]) == expected["bracket"]
    parts = [line.w2.squared, line.location, line.scale, line.shape]
    assert bits(parts) == expected["line"]


def test_theory(expected: Bits) -> None:
    law = og.theory.SingularValueLaw(8, 500)
    found = [og.theory.mean_gap(8, 500), law.mean_smallest, law.scale]
    assert bits(found) == expected["theory"]
