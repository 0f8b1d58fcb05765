"""Normalisations against NumPy, and their pullbacks against differences."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import orthogap as og

Array = npt.NDArray[Any]

RANDOM = np.random.default_rng(2)


def standard(x: Array, axis: int, epsilon: float, centered: bool = True) -> Array:
    y = x - x.mean(axis, keepdims=True) if centered else x
    return np.asarray(y / np.sqrt((y**2).mean(axis, keepdims=True) + epsilon))


def grouped(x: Array, groups: int, epsilon: float) -> Array:
    n, d = x.shape
    return standard(x.reshape(n, groups, d // groups), 2, epsilon).reshape(n, d)


CASES: dict[str, tuple[og.Normalization, Callable[[Array], Array], Callable[[Array], Array]]] = {
    "batch_norm": (
        og.Normalization.batch_norm(),
        og.batch_norm,
        lambda x: np.asarray(x / np.linalg.norm(x, axis=0)),
    ),
    "standard_batch_norm": (
        og.Normalization.standard_batch_norm(),
        lambda x: og.batch_norm(x, centered=True, epsilon=1e-5, scale="rms"),
        lambda x: standard(x, 0, 1e-5),
    ),
    "layer_norm": (og.Normalization.layer_norm(), og.layer_norm, lambda x: standard(x, 1, 1e-5)),
    "rms_norm": (
        og.Normalization.rms_norm(epsilon=0.1),
        lambda x: og.rms_norm(x, epsilon=0.1),
        lambda x: standard(x, 1, 0.1, centered=False),
    ),
    "group_norm": (
        og.Normalization.group_norm(3),
        lambda x: og.group_norm(x, 3),
        lambda x: grouped(x, 3, 1e-5),
    ),
    "none": (og.Normalization.none(), lambda x: x, lambda x: x),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normalisations(name: str, dtype: type) -> None:
    normalization, function, reference = CASES[name]
    x: Array = RANDOM.standard_normal((7, 12)).astype(dtype)
    expected = reference(x.astype(np.float64))
    tolerance = 1e-6 if dtype is np.float32 else 1e-13
    for found in (function(x), normalization(x)):
        assert found.dtype == dtype
        assert np.allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", CASES)
def test_pullbacks(name: str) -> None:
    normalization, _, reference = CASES[name]
    x, gradient, step = (RANDOM.standard_normal((5, 12)) for _ in range(3))
    h = 1e-6
    difference = (reference(x + h * step) - reference(x - h * step)) / (2 * h)
    pulled = normalization.pullback(x, gradient)
    assert (pulled * step).sum() == pytest.approx((gradient * difference).sum(), rel=1e-6, abs=1e-8)


def test_what_cannot_be_normalised() -> None:
    x = np.array([[0.0, 1.0], [0.0, 2.0]])
    with pytest.raises(og.Error, match=r"column 0 \(a feature\) is constantly 0e0"):
        og.batch_norm(x)
    with pytest.raises(og.Error, match="sample 0 is constantly 0e0"):
        og.layer_norm(np.array([[0.0, 0.0], [1.0, 2.0]]), epsilon=0.0)
    with pytest.raises(og.Error, match="epsilon = -1 is invalid"):
        og.batch_norm(x, epsilon=-1.0)
    with pytest.raises(og.Error, match='unknown scale "max": expected norm, rms'):
        og.batch_norm(x, scale="max")
    with pytest.raises(og.Error, match="is 1 x 2, expected 2 x 2"):
        og.Normalization.batch_norm().pullback(x + 1, x[:1])
    with pytest.raises(og.Error, match="one type"):
        og.Normalization.batch_norm().pullback(x, x.astype(np.float32))


def test_activations() -> None:
    x = RANDOM.standard_normal((3, 4))
    assert np.array_equal(og.activate(x, "relu"), np.maximum(x, 0))
    assert np.allclose(og.activate(x, "tanh"), np.tanh(x), rtol=1e-15)
    assert og.activate(x.astype(np.float32), "gelu").dtype == np.float32
    with pytest.raises(og.Error, match='unknown activation "heaviside": expected linear, relu'):
        og.activate(x, "heaviside")


def test_values() -> None:
    norm = og.Normalization.group_norm(4, epsilon=0.25)
    assert pickle.loads(pickle.dumps(norm)) == norm
    assert norm != og.Normalization.group_norm(2, epsilon=0.25)
    assert og.Normalization.batch_norm() == og.Network(3).normalization
    assert "'groups':4" in repr(norm)
