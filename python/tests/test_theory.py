"""Laws: that each is the function of its name."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import orthogap as og
from orthogap import theory


def test_stationary_laws() -> None:
    n, d = 8, 500
    square = (1 - 1 / n) * (n + 2) ** 2 / (4 * (n + 1) * d)
    assert theory.mean_squared_gap(n, d) == pytest.approx(square)
    assert theory.mean_coupling_bound(n, d) == pytest.approx(n * square / 4)
    assert theory.mean_gap(n, d) ** 2 < square
    assert 0 < theory.mean_lyapunov(n, d) < theory.mean_gap(n, d)
    assert 0 < theory.squared_distance(n, d) < theory.mean_coupling_bound(n, d)
    assert theory.decay_rate(n) == pytest.approx(0.8)
    assert theory.relaxation_time(n) == pytest.approx(1 / np.log(1.25))
    law = theory.SingularValueLaw(n, d)
    drawn = law.sample(seed=1)
    assert drawn.shape == (n,) and np.all(np.diff(drawn) <= 0)
    assert law.mean_smallest < 1 / np.sqrt(n) < law.mean_largest
    assert law.scale > 0


def test_growth() -> None:
    assert theory.squared_growth(4) == pytest.approx(3 / 2)
    assert theory.squared_growth_centred(4) == pytest.approx(2)
    assert theory.traceless_growth(4) > 1
    assert theory.rectified_log_growth(100) == pytest.approx(-5 / 200, rel=0.2)
    assert theory.haar_share(4) == pytest.approx(3 / 8)
    assert theory.RECTIFIED_SQUARED_GROWTH == pytest.approx(np.pi / (np.pi - 1))
    exponents = theory.lyapunov_exponents(50, 3, gain=2.0)
    assert exponents.shape == (3,) and np.all(np.diff(exponents) < 0)
    with pytest.raises(og.Error):
        theory.squared_growth(2)


def test_critical_width() -> None:
    assert (theory.critical_width(8), theory.critical_width(2)) == (16, 2)
    assert theory.critical_growth(5) == pytest.approx(np.log(2) / 2)
    assert theory.critical_growth(3) == np.inf
    width, crossing, error = theory.estimate_critical_width(4, 20_000, seed=1)
    assert width - 1 <= crossing <= width and 0 < error < 3


def test_infinite_width() -> None:
    assert np.allclose(theory.mean_field_map([1.0, 1.0, 1.0]), 1 / 3)
    assert theory.mean_field_map([1.0, 2.0])[0] > 1 / 3
    gram = og.Gram(og.spiked_batch(4, 0.1))
    gaps = [g.orthogonality_gap for g in itertools.islice(theory.MeanFieldChain(gram), 30)]
    assert np.all(np.diff(gaps) < 0)
    rectified = theory.mean_field_relu(gram)
    estimate, error = theory.mean_field_quasi_monte_carlo(gram, "relu", points=4096)
    assert np.all(np.abs(rectified.matrix - estimate.matrix) < 8 * error + 1e-6)
    product = theory.mean_field_product(og.gaussian_batch(4, 300, seed=1), "relu")
    assert product.batch_size == 4


def test_kernel_maps() -> None:
    relu = theory.KernelMap("relu")
    assert relu(0.0) == pytest.approx(1 / np.pi)
    assert relu.derivative(0.0) == pytest.approx(0.5)
    assert relu.fixed_point() == pytest.approx((1.0, 1.0))
    assert theory.KernelMap("linear").fixed_point() is None
    layers = relu.layers(0.0, 3)
    assert layers[0] == relu(0.0) and layers[2] == pytest.approx(relu(relu(relu(0.0))))
    assert theory.KernelMap("tanh", residual=0.5)(0.0) == pytest.approx(0.0, abs=1e-12)
    assert theory.KernelMap("relu", centered=True)(0.0) == pytest.approx(0.0, abs=1e-12)
    assert 0 < relu.linear_share() < 1
    with pytest.raises(og.Error):
        relu(1.5)


def test_claims_of_the_paper() -> None:
    bound = theory.theorem_1(4, 0.1, 100, 1e8)
    expected = 2 * (1 - 2 / 3 * 0.1) ** 100 + 12 / (0.1 * 1e4)
    assert bound.value == pytest.approx(expected)
    assert bound.trivial == pytest.approx(np.sqrt(3 / 4))
    assert not bound.vacuous
    infinite = theory.theorem_1(4, 0.1, 100)
    assert infinite.value == pytest.approx(2 * (1 - 2 / 3 * 0.1) ** 100)
    assert theory.theorem_1(4, 0.1, 1, 16).vacuous
    assert theory.lemma_2(4, 0.1).value == pytest.approx(0.8)
    assert theory.lemma_4(4, 0.1).value == pytest.approx(0.8)
    assert theory.lemma_4(4, 0.1, version="sharp").value == pytest.approx(0.1 * np.sqrt(12))
    assert theory.corollary_3(4, 0.1, 100, 1e8).value == pytest.approx(8 * bound.value)
    assert theory.theorem_5(4, 0.1).value < 0.1
    assert repr(bound).startswith("Bound(value=0.0")
    with pytest.raises(og.Error, match='unknown version "true"'):
        theory.lemma_4(4, 0.1, version="true")
    with pytest.raises(og.Error):
        theory.theorem_1(4, 0.6, 10)
