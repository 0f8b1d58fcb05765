"""Distances to a Gaussian."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import orthogap as og

RANDOM = np.random.default_rng(3)


def test_gaussians() -> None:
    a, b = og.Gaussian.isotropic(3, 0.5), og.Gaussian.diagonal([1.0, 4.0, 0.25])
    w2 = a.w2(b)
    assert w2.squared == pytest.approx(0.5**2 + 1.5**2)
    assert (w2.kind, w2.of, w2.law) == ("exact", "population", "row")
    assert w2.distance == pytest.approx(np.sqrt(2.5))
    assert a.with_mean([1.0, 2.0, 3.0]).w2(a).squared == pytest.approx(14.0)
    factor = RANDOM.standard_normal((3, 2))
    singular = og.Gaussian.from_factor(factor)
    assert np.allclose(singular.covariance, factor @ factor.T, atol=1e-14)
    assert singular.w2(og.Gaussian.from_covariance(factor @ factor.T)).squared < 1e-14
    assert singular.dimension == 3
    assert singular.total_variance == pytest.approx((factor**2).sum())
    assert a.entropic_transport(b, 1e-3) == pytest.approx(2.5, abs=0.1)
    assert a.sinkhorn_divergence(a, 0.1) == pytest.approx(0.0, abs=1e-12)
    assert a.sliced_to_isotropic(0.75) == pytest.approx(0.0625)
    gram = og.Gram(RANDOM.standard_normal((3, 20)))
    assert np.allclose(og.Gaussian.of_row(gram).covariance, gram.matrix, atol=1e-15)


def test_samples_of_gaussians() -> None:
    law = og.Gaussian.diagonal([1.0, 4.0]).with_mean([3.0, -1.0])
    # A false alarm has probability 6e-5 each: four standard errors, four comparisons.
    draws = law.sample(40_000, seed=1)
    assert draws.shape == (40_000, 2)
    assert np.allclose(draws.mean(0), law.mean, atol=4 * 2 / 200)
    assert np.allclose(draws.var(0), [1.0, 4.0], rtol=4 * np.sqrt(2) / 200)
    assert not np.array_equal(draws, law.sample(40_000, seed=1, block=1))


def test_a_bracket() -> None:
    target = og.Gaussian.isotropic(4, 0.5)
    rows = og.Gaussian.isotropic(4, 0.6).sample(2000, seed=1)
    bracket = og.w2_to_gaussian(rows, target, seed=2)
    low, high = bracket.confidence_interval(0.99)
    assert 0.02 < low < 0.04 < high
    name, lower = bracket.lower
    assert name in dict(bracket.lower_bounds) and lower.kind == "lower"
    assert bracket.upper[0] == "independent"
    assert repr(bracket).startswith("Bracket(")
    names = {name for name, _ in bracket.lower_bounds}
    assert {"gelbrich", "axes", "sliced", "radial", "max_sliced"} >= names


def test_estimators() -> None:
    target = og.Gaussian.isotropic(3)
    x = RANDOM.standard_normal((500, 3)) * [1.0, 1.0, 2.0]
    sample = og.Sample(x.astype(np.float32))
    assert (sample.count, sample.dimension) == (500, 3)
    exact = 1.0  # (2 - 1)^2
    for w2 in (sample.gelbrich(target), sample.along_axes(target)):
        assert w2.bias is not None and w2.standard_error is not None
        assert abs(w2.debiased - exact) < 5 * w2.standard_error
        low, high = w2.confidence_interval()
        assert low < w2.debiased < high
    sliced = sample.sliced(target, directions=300, seed=1)
    assert 0 < sliced.debiased < exact / 3 + 0.1
    assert sliced.projection_error is not None
    worst, direction = sample.max_sliced(target, seed=1)
    assert abs(direction[2]) > 0.9 and abs(worst.debiased - exact) < 0.5
    assert sample.radial().squared < exact + 0.2
    assert sample.p_value(target, replicates=99, seed=1) == 0.01
    other = og.Sample(RANDOM.standard_normal((500, 3)))
    assert other.p_value(statistic="radial", replicates=99) > 0.01
    assert sample.assignment(other).squared > 0.5
    assert sample.sinkhorn_divergence(other, 0.5) > 0.3
    for directions in ("random", "low_discrepancy"):
        assert sample.sliced(kind=directions).squared > 0


def test_the_line_in_any_layout() -> None:
    numbers = RANDOM.standard_normal(400)
    line = og.line_w2(numbers)
    assert line.w2.squared == pytest.approx(line.location + line.scale + line.shape)
    assert line.location == pytest.approx(numbers.mean() ** 2)
    table = np.zeros((400, 2))
    table[:, 1] = numbers
    assert og.line_w2(table[:, 1]).w2.squared == line.w2.squared
    assert og.line_w2(list(numbers)).w2.squared == line.w2.squared
    assert og.line_w2([1, 2, 3]).w2.squared == og.line_w2([1.0, 2.0, 3.0]).w2.squared


def test_laws_over_runs() -> None:
    network, batch = og.Network(64), og.orthogonal_batch(4)
    matrices, rows = og.MatrixLaw(4, 64), og.RowLaw(4)
    for run in range(60):
        layer = network.chain(batch, seed=1, replicate=run).advance(20)
        matrices.push(layer, seed=1, replicate=run)
        rows.push(layer, seed=1, replicate=run)
    assert (matrices.count, rows.count) == (60, 60)
    low, high = matrices.bracket().confidence_interval()
    assert low <= high and high > 0
    assert matrices.transport(10).kind == "estimate"
    assert rows.sample().count == 60
    low, high = rows.bracket(og.Gaussian.isotropic(4, 0.5)).confidence_interval()
    assert low < high


def test_refused() -> None:
    cases: list[tuple[Callable[[], object], str]] = [
        (lambda: og.Gaussian.isotropic(0), "holds no batch"),
        (lambda: og.Gaussian.isotropic(2, -1.0), "deviation = -1 is invalid"),
        (lambda: og.Gaussian.isotropic(2).w2(og.Gaussian.isotropic(3)), "expected"),
        (lambda: og.w2_to_gaussian(np.ones((5, 2)), og.Gaussian.isotropic(3)), "expected"),
        (lambda: og.Sample([[1.0, np.nan]]), r"entry \(0, 1\) is NaN"),
        (lambda: og.line_w2([]), "a 0 x 1 matrix holds no batch"),
        (lambda: og.Sample(np.eye(3)).sliced(kind="axes"), "unknown kind of directions"),
        (lambda: og.Sample(np.eye(3)).p_value(statistic="t"), "unknown statistic"),
    ]
    for refused, message in cases:
        with pytest.raises(og.Error, match=message):
            refused()
