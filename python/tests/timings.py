"""Times of calls beside NumPy, in microseconds: the best of several rounds, one thread.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 RAYON_NUM_THREADS=1 python python/tests/timings.py

The first lines are calls with next to no work: what a call itself costs.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from typing import Any

import numpy as np

import orthogap as og

RANDOM = np.random.default_rng(1)


def microseconds(call: Callable[[], Any]) -> float:
    """The time of a call, the best of five rounds of at least 0.1 seconds."""
    timer = timeit.Timer(call)
    count = 1
    while timer.timeit(count) < 0.1:
        count *= 4
    return 1e6 * min(timer.repeat(5, count)) / count


def gap(x: Any) -> Any:
    c = x @ x.T
    c /= np.trace(c)
    c.flat[:: len(c) + 1] -= 1 / len(c)
    return np.linalg.norm(c)


def standard(x: Any) -> Any:
    y = x - x.mean(0)
    return y / np.sqrt((y * y).mean(0) + 1e-5)


def layer_norm(x: Any) -> Any:
    y = x - x.mean(1, keepdims=True)
    return y / np.sqrt((y * y).mean(1, keepdims=True) + 1e-5)


def singular_values(x: Any) -> Any:
    return np.linalg.svd(x / np.linalg.norm(x), compute_uv=False)


FUNCTIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "gap": (og.gap, gap),
    "batch norm, the paper's": (og.batch_norm, lambda x: x / np.linalg.norm(x, axis=0)),
    "batch norm, standard": (
        lambda x: og.batch_norm(x, centered=True, epsilon=1e-5, scale="rms"),
        standard,
    ),
    "layer norm": (og.layer_norm, layer_norm),
    "singular values": (og.spectrum, singular_values),
}


def main() -> None:
    tiny = RANDOM.standard_normal((2, 1))
    fortran = np.asfortranarray(RANDOM.standard_normal((2, 2)))
    chain = og.Network(1).chain(tiny[:1])
    for name, call in [
        ("gap_floor(1, 1)", lambda: og.gap_floor(1, 1)),
        ("gap of (2, 1)", lambda: og.gap(tiny)),
        ("batch_norm of (2, 1)", lambda: og.batch_norm(tiny)),
        ("gap of (2, 2) in Fortran order", lambda: og.gap(fortran)),
        ("next(chain), width 1", lambda: next(chain)),
    ]:
        print(f"{name:34} {microseconds(call):8.2f}")
    print(f"\n{'':26}{'shape':>13} {'dtype':>8} {'orthogap':>10} {'NumPy':>10} {'ratio':>6}")
    for dtype in (np.float64, np.float32):
        for shape in [(4, 512), (16, 1024), (256, 4096)]:
            x: Any = RANDOM.standard_normal(shape).astype(dtype)
            for name, (ours, theirs) in FUNCTIONS.items():
                row(name, shape, dtype, microseconds(lambda: ours(x)), microseconds(lambda: theirs(x)))
    for n, d in [(4, 512), (16, 1024)]:
        layers = og.Network(d).chain(og.gaussian_batch(n, d))
        h = RANDOM.standard_normal((n, d))

        def step() -> Any:
            y = h @ RANDOM.standard_normal((d, d))
            return gap(y / np.linalg.norm(y, axis=0))

        ours_us = microseconds(lambda: next(layers).orthogonality_gap)
        row("a layer and its gap", (n, d), np.float64, ours_us, microseconds(step))


def row(name: str, shape: tuple[int, int], dtype: Any, ours: float, theirs: float) -> None:
    kind = np.dtype(dtype).name
    print(f"{name:26}{shape!s:>13} {kind:>8} {ours:10.2f} {theirs:10.2f} {theirs / ours:6.1f}")


if __name__ == "__main__":
    main()
