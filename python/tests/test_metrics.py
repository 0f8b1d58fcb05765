"""Metrics of arrays against NumPy, for every type and layout."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import orthogap as og

Array = npt.NDArray[Any]

RANDOM = np.random.default_rng(1)


def gram(x: Array) -> Array:
    """The Gram matrix of rows, scaled to trace one."""
    wide = x.astype(np.float64)
    product = wide @ wide.T
    return np.asarray(product / np.trace(product))


def eigenvalues(x: Array) -> Array:
    return np.asarray(np.linalg.eigvalsh(gram(x))[::-1])


REFERENCES: dict[str, Callable[[Array], float]] = {
    "orthogonality_gap": lambda x: float(np.linalg.norm(gram(x) - np.eye(len(x)) / len(x))),
    "lyapunov": lambda x: float(1 / len(x) - eigenvalues(x)[-1]),
    "isometry_gap": lambda x: float(-math.log(len(x)) - np.log(eigenvalues(x)).mean()),
    "min_singular_value": lambda x: math.sqrt(eigenvalues(x)[-1]),
    "condition_number": lambda x: float(np.linalg.cond(x.astype(np.float64))),
    "stable_rank": lambda x: float(1 / eigenvalues(x)[0]),
    "participation_ratio": lambda x: float(1 / (eigenvalues(x) ** 2).sum()),
    "effective_rank": lambda x: math.exp(-(eigenvalues(x) * np.log(eigenvalues(x))).sum()),
    "coupling_bound": lambda x: float(
        ((np.sqrt(eigenvalues(x)) - 1 / math.sqrt(len(x))) ** 2).sum()
    ),
}


def layouts(x: Array) -> dict[str, Array]:
    """The same numbers in every layout."""
    n, d = x.shape
    every_other = np.zeros((2 * n, 3 * d), x.dtype)
    every_other[::2, ::3] = x
    room = np.zeros(x.nbytes + 1, np.uint8)
    unaligned = room[1:].view(x.dtype).reshape(x.shape)
    unaligned[:] = x
    read_only = x.copy()
    read_only.flags.writeable = False
    return {
        "C": x,
        "Fortran": np.asfortranarray(x),
        "transposed": x.T.copy().T,
        "strided": every_other[::2, ::3],
        "reversed": x[::-1, ::-1].copy()[::-1, ::-1],
        "unaligned": unaligned,
        "read only": read_only,
        "big endian": x.astype(x.dtype.newbyteorder(">")),
    }


def test_all_metrics_have_a_reference() -> None:
    assert set(og.METRICS) == set(REFERENCES)
    assert og.gap is og.orthogonality_gap


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("shape", [(1, 3), (2, 2), (5, 40), (33, 100)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_metrics(name: str, shape: tuple[int, int], dtype: type) -> None:
    x: Array = RANDOM.standard_normal(shape).astype(dtype)
    expected = REFERENCES[name](x)
    # Eigenvalues of the squared matrix have errors of 1e-16 of the largest.
    assert getattr(og, name)(x) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert getattr(og.Gram(x), name) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert og.Gram(x).metrics()[name] == getattr(og.Gram(x), name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layouts(dtype: type) -> None:
    x: Array = RANDOM.standard_normal((6, 50)).astype(dtype)
    for layout, same in layouts(x).items():
        before = same.copy()
        for name in og.METRICS:
            assert getattr(og, name)(same) == getattr(og, name)(x), layout
        assert np.array_equal(og.spectrum(same), og.spectrum(x)), layout
        assert og.Gram(same) == og.Gram(x), layout
        normalized = og.batch_norm(same)
        assert normalized.dtype == x.dtype, layout
        assert np.array_equal(normalized, og.batch_norm(x)), layout
        assert np.array_equal(same, before), layout


@pytest.mark.parametrize("dtype", [np.int8, np.uint64, np.int32, np.float16, bool])
def test_other_types(dtype: type) -> None:
    x: Array = np.array([[1, 0, 1], [0, 1, 1]]).astype(dtype)
    if dtype is bool:
        with pytest.raises(TypeError, match="bool has no place here"):
            og.gap(x)
        return
    assert og.gap(x) == og.gap(x.astype(np.float64))
    assert og.batch_norm(x).dtype == np.float64


def test_lists_and_arrays_of_others() -> None:
    class Foreign:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
            return np.array([[3.0, 4.0], [0.0, 1.0]], dtype)

    assert og.gap([[3, 4], [0, 1]]) == og.gap(Foreign())


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((0, 3)), og.Error, "a 0 x 3 matrix holds no batch"),
        (np.zeros((3, 0)), og.Error, "a 3 x 0 matrix holds no batch"),
        (np.zeros((3, 2)), og.Error, "all entries of the 3 x 2 matrix are zero"),
        ([[1.0, 2.0, 3.0], [4.0, 5.0, np.nan]], og.Error, r"entry \(1, 2\) is NaN"),
        ([[1.0, -np.inf]], og.Error, r"entry \(0, 1\) is -inf"),
        (np.ones(3), og.Error, r"shape \(3,\) is no batch"),
        (np.ones((2, 2, 2)), og.Error, r"shape \(2, 2, 2\) is no batch"),
        (1.0, og.Error, r"shape \(\) is no batch"),
        (np.ones((2, 2), complex), TypeError, "complex128 has no place here"),
        (np.ones((2, 2), object), TypeError, "object has no place here"),
        (np.ones((2, 2), np.longdouble), TypeError, "has no place here"),
        ("text", TypeError, "has no place here"),
        (None, TypeError, "object has no place here"),
    ],
)
def test_refused(x: Any, error: type[Exception], message: str) -> None:
    for function in (og.gap, og.spectrum, og.Gram):
        with pytest.raises(error, match=message):
            function(x)


def test_the_error_is_a_value_error() -> None:
    assert issubclass(og.Error, ValueError)
    with pytest.raises(TypeError):
        og.gap()  # type: ignore[call-arg]


def test_gram() -> None:
    x = RANDOM.standard_normal((5, 30))
    found = og.Gram(x)
    assert (found.batch_size, found.rank) == (5, 5)
    assert np.allclose(found.matrix, gram(x), atol=1e-15)
    assert found.factor.shape == (5, 5)
    assert np.allclose(found.factor.T @ found.factor, gram(x), atol=1e-15)
    assert np.allclose(found.singular_values**2, eigenvalues(x), atol=1e-15)
    lengths = np.linalg.norm(x, axis=1)
    assert np.allclose(found.cosines(), x @ x.T / np.outer(lengths, lengths), atol=1e-14)
    assert found.cosine(1, 2) == pytest.approx(found.cosines()[1, 2], abs=1e-15)
    assert found.w2().squared == found.coupling_bound
    assert found.w2().kind == "exact"
    again = og.Gram.from_factor(found.factor)
    assert np.allclose(again.matrix, found.matrix, rtol=1e-14)
    tall = RANDOM.standard_normal((7, 3))
    assert np.allclose(og.Gram.from_factor(tall).matrix, gram(tall.T), atol=1e-15)
    assert found == og.Gram(x) and hash(found) == hash(og.Gram(x))
    assert found != og.Gram(2 * x + 1) and found != "gram"
    assert repr(found).startswith("Gram(batch_size=5, rank=5, gap=0.")


def test_tiny_singular_values_keep_their_digits() -> None:
    tiny = og.Gram.from_factor([[1.0, 0.0], [0.0, 1e-100]])
    assert tiny.condition_number == pytest.approx(1e100)


def test_cosines_of_zero_samples() -> None:
    zero = og.Gram([[1.0, 2.0], [0.0, 0.0]])
    with pytest.raises(og.Error, match=r"row 1 \(a sample\) is zero"):
        zero.cosines()
    with pytest.raises(og.Error, match="sample = 2 is invalid"):
        zero.cosine(0, 2)


def test_gap_floor() -> None:
    assert og.gap_floor(2, 4) == 0.5
    with pytest.raises(og.Error, match="rank = 5 is invalid"):
        og.gap_floor(5, 4)
