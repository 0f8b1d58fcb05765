"""Networks, chains and ensembles."""

from __future__ import annotations

import copy
import itertools
import json
import pickle
import sys
from typing import Any

import numpy as np
import pytest

import orthogap as og

X = og.gaussian_batch(4, 30, seed=1)


def test_a_network_and_its_json() -> None:
    network = og.Network(
        64,
        activation="leaky_relu(0.2)",
        normalization=og.Normalization.group_norm(4),
        weights="spherical",
        gain=2.0,
        order="norm_activation_linear",
        residual=0.5,
        dtype=np.float32,
    )
    assert (network.width, network.activation) == (64, "leaky_relu(0.2)")
    assert (network.order, network.residual) == ("norm_activation_linear", 0.5)
    assert network.dtype == np.float32
    assert network.engine == "materialized"
    text = network.to_json()
    assert json.loads(text)["weights"] == {"Spherical": {"gain": 2.0}}
    assert og.Network.from_json(text, dtype="float32") == network
    assert og.Network.from_json(text) != network
    assert pickle.loads(pickle.dumps(network)) == network
    assert eval(repr(network), {"Network": og.Network}) == network


def test_engines() -> None:
    assert og.Network(8).engine == "streamed"
    assert og.Network(8, weights="uniform_he").engine == "explicit"
    assert og.Network(8, normalization="layer_norm").engine == "materialized"
    assert og.Network(8, normalization=None) == og.Network(8, normalization="none")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"activation": "swoosh"}, 'unknown activation "swoosh": expected linear, relu'),
        ({"normalization": "norm"}, 'unknown normalization "norm": expected none, mean_only, batch_norm'),
        ({"weights": "zero"}, 'unknown law of weights "zero": expected gaussian, he'),
        ({"gain": -1.0}, "gain = -1 is invalid"),
        ({"order": "linear"}, 'unknown order "linear": expected linear_norm_activation'),
        ({"residual": np.inf}, "residual weight = inf is invalid"),
        ({"post_norm": True}, "post_norm needs a residual connection"),
    ],
)
def test_refused_recipes(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(og.Error, match=message):
        og.Network(8, **arguments)


def test_refused_types() -> None:
    with pytest.raises(TypeError, match="unknown arithmetic int64: expected float32, float64"):
        og.Network(8, dtype=np.int64)
    with pytest.raises(TypeError):
        og.Network(8, "relu")  # type: ignore[call-arg]
    with pytest.raises(OverflowError):
        og.Network(-1)
    with pytest.raises(OverflowError):
        og.Network(8).chain(X, seed=-1)
    with pytest.raises(og.Error, match="missing field"):
        og.Network.from_json("{}")


def test_refused_batches() -> None:
    network = og.Network(8)
    dependent = np.array([[1.0, 2.0], [2.0, 4.0]])
    with pytest.raises(og.Error, match=r"the 2 rows \(samples\) are linearly dependent"):
        network.chain(dependent)
    assert network.chain(og.Gram(dependent)).layer.rank == 1
    with pytest.raises(og.Error, match=r"row 1 \(a sample\) is zero"):
        network.chain([[1.0, 2.0], [0.0, 0.0]])
    with pytest.raises(og.Error, match=r"shape \(3,\) is no batch"):
        network.chain(np.ones(3))
    with pytest.raises(og.Error, match=r"entry \(0, 1\) is NaN"):
        network.run([[1.0, np.nan], [1.0, 2.0]], 2, 3)
    with pytest.raises(TypeError, match="complex128 has no place here"):
        network.gradients(np.ones((2, 3), complex), 2)
    with pytest.raises(og.Error, match="a width from 1 to 2"):
        og.Network(0).chain(X)
    with pytest.raises(og.Error, match="a batch of 1 is too small"):
        og.Network(8, normalization="standard_batch_norm").chain(X[:1])


def test_chains() -> None:
    chain = og.Network(512).chain(og.spiked_batch(4, 1e-6), seed=7)
    assert chain.layer.depth == 0
    layers = list(itertools.islice(chain, 50))
    assert [layer.depth for layer in layers] == list(range(1, 51))
    assert layers[0].orthogonality_gap > 0.8 > 0.12 > layers[-1].orthogonality_gap
    assert isinstance(layers[0], og.Gram)
    assert layers[-1].log_scale == pytest.approx(-np.log(4) / 2)
    assert repr(chain) == "Chain(depth=50)"
    assert repr(layers[-1]).startswith("Layer(depth=50, batch_size=4, gap=0.0")
    branch = copy.copy(chain)
    assert branch.advance(3) == chain.advance(3)
    assert branch.layer.depth == 53


def test_equal_seeds() -> None:
    def gap(**arguments: int) -> float:
        return og.Network(32).chain(X, **arguments).advance(5).orthogonality_gap

    assert gap() == gap(seed=0, replicate=0)
    assert len({gap(), gap(seed=1), gap(replicate=1), gap(seed=1, replicate=1)}) == 4


def test_types_of_batches() -> None:
    single = X.astype(np.float32)
    for x in (np.asfortranarray(single), single.tolist(), single.astype(np.float64)):
        assert og.Network(32).chain(x).advance(3) == og.Network(32).chain(single).advance(3)


def test_events() -> None:
    chain = og.Network(4).chain(og.orthogonal_batch(4), seed=6)
    chain.advance(2000)
    (*_, last) = chain.events
    assert (last.kind, last.rank, last.samples) == ("rank_loss", 2, None)
    assert str(last) == f"layer {last.layer}: rank fell to 2"
    narrow = og.Network(4, activation="relu", normalization=None)
    chain = narrow.chain(og.orthogonal_batch(3), seed=1)
    with pytest.raises(og.Error, match="samples are zero at layer"):
        chain.advance(10_000)
    dead = [event for event in chain.events if event.kind == "dead_samples"]
    assert dead and dead[0].samples
    depth = chain.layer.depth
    with pytest.raises(og.Error):
        next(chain)
    assert chain.layer.depth == depth


def test_explicit_chains() -> None:
    network = og.Network(40, activation="relu", dtype="float32")
    chain = network.explicit_chain(X, seed=1, weights=True)
    h = X.astype(np.float32)
    for layer in itertools.islice(chain, 3):
        assert layer.weights is not None
        product = h @ layer.weights.T
        expected = np.maximum(product / np.linalg.norm(product, axis=0), 0)
        assert layer.representation.dtype == np.float32
        assert np.allclose(layer.representation, expected, atol=1e-5)
        assert layer.orthogonality_gap == pytest.approx(og.gap(layer.representation), abs=1e-6)
        h = layer.representation
    assert chain.layer.depth == 3
    assert next(network.explicit_chain(X)).weights is None


def test_ensembles() -> None:
    network = og.Network(32, activation="tanh")
    observe = ["orthogonality_gap", "condition_number", "cosine(0, 1)", "log_scale", "rank"]
    at = np.array([0, 3, 10])
    ensemble = network.run(X, 10, 7, observe=observe, at=at, seed=5, progress=False)
    assert list(ensemble) == observe
    assert np.array_equal(ensemble.layers, at)
    for run in range(7):
        chain = network.chain(X, seed=5, replicate=run)
        layers = [chain.layer, chain.advance(3), chain.advance(7)]
        for name in observe[:2] + observe[3:]:
            expected = [getattr(layer, name) for layer in layers]
            assert np.array_equal(ensemble[name][run], expected)
        cosines = [layer.cosine(0, 1) for layer in layers]
        assert np.array_equal(ensemble["cosine(0, 1)"][run], cosines)
    for name in observe:
        values = ensemble[name]
        error = values.std(0, ddof=1) / np.sqrt(7)
        assert np.allclose(ensemble.means[name], values.mean(0), rtol=1e-13)
        assert np.allclose(ensemble.standard_errors[name], error, rtol=1e-9, atol=1e-13)
        # Student's quantile .975 for six degrees of freedom.
        half = 2.4469118511449692 * error
        low, high = ensemble.intervals[name].T
        assert np.allclose(high - low, 2 * half, rtol=1e-9, atol=1e-12)
    assert (ensemble.stopped, ensemble.stops, ensemble.seed) == (0, [], 5)
    again = pickle.loads(pickle.dumps(ensemble))
    assert list(again) == observe and np.array_equal(again.layers, at)
    assert repr(again).endswith("; 7 runs, 3 layers)")


def test_runs_that_stop() -> None:
    network = og.Network(3, activation="relu", normalization=None)
    ensemble = network.run(og.orthogonal_batch(3), 30, 40, seed=1, progress=False)
    gaps = ensemble["orthogonality_gap"]
    assert gaps.shape == (40, 31)
    ended = np.isnan(gaps).any(axis=1)
    assert ensemble.stopped == ended.sum() > 0
    assert len(ensemble.stops) == min(16, ensemble.stopped)
    run, reason = ensemble.stops[0]
    assert np.isnan(gaps[run, -1]) and "zero at layer" in reason
    assert not np.isnan(gaps[:, 0]).any()
    assert 0 < ensemble.dead_samples[-1] <= 40
    assert np.all(np.diff(ensemble.dead_samples) >= 0)
    reached = gaps[~np.isnan(gaps[:, 20]), 20]
    assert ensemble.means["orthogonality_gap"][20] == pytest.approx(reached.mean())


def test_refused_ensembles() -> None:
    network = og.Network(8)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"runs": 0}, "runs = 0 is invalid"),
        ({"runs": 3, "observe": "speed"}, 'unknown observable "speed": expected orthogonality_gap'),
        ({"runs": 3, "observe": "cosine(0, 9)"}, "sample = 9 is invalid"),
        ({"runs": 3, "observe": ["rank", "rank"]}, "a name that no other observable has"),
        ({"runs": 3, "observe": []}, "the number of observables = 0"),
        ({"runs": 3, "at": [6]}, "layer 6 is beyond the depth, 5"),
    ]
    for arguments, message in cases:
        with pytest.raises(og.Error, match=message):
            network.run(X, 5, progress=False, **arguments)


def test_the_progress_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tqdm")
    updates: list[int] = []

    class Bar:
        def __init__(self, **arguments: Any) -> None:
            assert arguments["total"] == 200

        def update(self, n: int) -> None:
            updates.append(n)

        def close(self) -> None:
            updates.append(-1)

    monkeypatch.setattr("tqdm.auto.tqdm", Bar)
    og.Network(64).run(X, 10, 200)
    assert sum(updates[:-1]) == 200 and updates[-1] == -1
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.delitem(sys.modules, "tqdm.auto")
    assert len(og.Network(64).run(X, 10, 200)["orthogonality_gap"]) == 200
    assert capsys.readouterr().err == ""


def test_gradients() -> None:
    network = og.Network(256)
    batch = og.orthogonal_batch(4)
    gradients = list(network.gradients(batch, 20, seed=7))
    assert [g.depth for g in gradients] == list(range(20, -1, -1))
    assert gradients[-1].log_weights_norm is None
    assert gradients[0].gram is not None and gradients[0].gram.batch_size == 4
    assert abs(gradients[3].cosine(0, 1)) <= 1
    norms, weights = network.gradient_norms(batch, 20, seed=7)
    assert np.array_equal(norms, [g.log_norm for g in reversed(gradients)])
    assert list(weights) == [g.log_weights_norm for g in gradients[-2::-1]]
    squares = [np.logaddexp.reduce(2 * g.log_sample_norms) / 2 for g in reversed(gradients)]
    assert np.allclose(norms, squares, atol=1e-6)
    # The law (n - 1)/(n - 2), with a tolerance of five standard errors of some 0.02.
    assert (norms[2] - norms[20]) / 18 == pytest.approx(
        np.log(og.theory.squared_growth(4)) / 2, abs=0.1
    )
    with pytest.raises(og.Error, match='unknown top "bottom"'):
        network.gradients(batch, 3, top="bottom")


def test_tangent_kernels() -> None:
    vanilla = og.Network(64, activation="relu", weights="he", normalization=None)
    kernel = vanilla.tangent_kernel(X, 3, seed=2)
    assert len(kernel.layers) == 3
    assert np.allclose(kernel.matrix, sum(kernel.layers) + kernel.read_out, rtol=1e-13)
    assert np.allclose(kernel.matrix, kernel.matrix.T)
    assert kernel.log_norm == pytest.approx(np.log(np.linalg.norm(kernel.matrix)))
    with pytest.raises(og.Error, match="a tangent kernel from one reverse pass needs"):
        og.Network(64).tangent_kernel(X, 3)
