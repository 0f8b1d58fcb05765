"""Initial weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import orthogap as og

X = np.random.default_rng(4).standard_normal((20, 30)) + 2.0


def passed(weights: list[Any]) -> Any:
    """The representations after all layers, rectified except for the last."""
    h = X
    for w in weights[:-1]:
        h = np.maximum(h @ w.T, 0)
    return h @ weights[-1].T


def test_orthogonal_weights() -> None:
    weights = og.orthogonal_init(X, [64] * 10)
    assert [w.shape for w in weights] == [(64, 30)] + [(64, 64)] * 9
    assert all(w.flags.c_contiguous and w.dtype == np.float64 for w in weights)
    assert np.sqrt(((X @ weights[0].T) ** 2).mean()) == pytest.approx(1.0)
    he = og.orthogonal_init(X, [64] * 10, method="he")
    assert og.gap(passed(weights)) < og.gap(passed(he)) / 2


@pytest.mark.parametrize(
    "method",
    ["recommended", "printed", "authors", "lsuv", "gaussian", "he", "xavier", "haar", "spherical"],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_methods(method: Any, dtype: type) -> None:
    x: Any = X.astype(dtype)
    weights = og.orthogonal_init(x, [25, 5], method=method, activation="tanh", seed=3)
    assert [w.shape for w in weights] == [(25, 30), (5, 25)]
    assert all(w.dtype == dtype for w in weights)
    again = og.orthogonal_init(x, [25, 5], method=method, activation="tanh", seed=3)
    assert all(np.array_equal(a, b) for a, b in zip(weights, again, strict=True))


def test_refused() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"method": "best"}, 'unknown method "best": expected recommended, printed'),
        ({"power": 2.0}, "power = 2 is invalid"),
        ({"method": "he", "power": 1.0}, "has no power"),
        ({"activation": "best"}, 'unknown activation "best"'),
    ]
    for arguments, message in cases:
        with pytest.raises(og.Error, match=message):
            og.orthogonal_init(X, [5], **arguments)
    with pytest.raises(og.Error, match="width"):
        og.orthogonal_init(X, [0])
    with pytest.raises(og.Error, match=r"entry \(1, 0\) is NaN"):
        og.orthogonal_init([[1.0, 2.0], [np.nan, 1.0]], [3])


def test_torch() -> None:
    torch = pytest.importorskip("torch")
    sizes = [30, 64, 64, 10]
    layers: list[Any] = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    x = torch.from_numpy(X.astype(np.float32))
    # As documented.
    linear = [m for m in model.modules() if isinstance(m, torch.nn.Linear)]
    weights = og.orthogonal_init(x, [m.out_features for m in linear])
    for layer, w in zip(linear, weights, strict=True):
        layer.weight.data.copy_(torch.from_numpy(w))
        layer.bias.data.zero_()
    with torch.no_grad():
        assert np.allclose(model(x).numpy(), passed(weights), atol=1e-4)
    assert og.gap(x) == og.gap(x.numpy())
