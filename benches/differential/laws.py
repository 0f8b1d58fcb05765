"""Training steps, metrics and distances of the differential check; see operations.py for what a reference returns."""

import numpy as np
import ot
import scipy.linalg
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.stats import norm

from operations import ACTIVATIONS, DOUBLE, Case, Refused, tensor

# The reference of a training step is moved by this relative change of all its inputs, to see how it is conditioned.
NUDGE = 1e-7
# Roundings of the scalar that one layer of one step may move a result by, beyond that condition.
TRAIN_ROUNDINGS = 8
SMOOTH = ("linear", "tanh", "logistic", "silu", "erf", "gelu", "elu", "sin")


def draw_train(draw, single):
    """Inputs of one scale, as conditions otherwise explode; in f32 without kinks, which rounding would cross. Rows of
    fewer than three weights may be next to zero, where the gradient of what normalises them is rounding."""
    rng = draw.rng
    inputs, classes, n = (int(rng.integers(low, 12)) for low in (3, 2, 4))
    widths = [inputs, *(int(rng.integers(3, 16)) for _ in range(rng.integers(1, 4)))]
    steps = int(rng.integers(1, 4))
    letters = "abcd"[: len(widths)]
    axes = {"batches": "an", "labels": "n", "weights": [b + a for a, b in zip(letters, letters[1:])],
            "head": "-" + letters[-1]}
    return Case(
        "train", single, axes,
        activation=draw.pick(*SMOOTH, *(() if single else ("relu", "leaky_relu(0.2)"))),
        epsilon=draw.pick(None, 1e-5, 0.1),
        weights=[rng.standard_normal((b, a)) * (1.5 / a) ** 0.5 for a, b in zip(widths, widths[1:])],
        head=rng.standard_normal((classes, widths[-1])) * widths[-1] ** -0.5,
        rate=draw.pick(0.01, 0.1), momentum=draw.pick(0.0, 0.9), decay=draw.pick(0.0, 5e-4, 0.1),
        batches=[rng.standard_normal((inputs, n)) for _ in range(steps)],
        labels=[rng.integers(0, classes, n) for _ in range(steps)],
    )


def train(case):
    def nudged(rng, x):
        return x * (1 + NUDGE * rng.choice([-1.0, 1.0], x.shape))

    (values, gain), moved = steps(case, lambda x: x), []
    for seed in (1, 2, 3):
        rng = np.random.default_rng(seed)
        moved.append(steps(case, lambda x: nudged(rng, x))[0])
    depth, fields = len(case["weights"]) * len(case["batches"]), {}
    # Gradients along what a normalisation takes away are rounding of the others, divided by its divisor.
    gradients = [x for name, value in values.items() if name.startswith("gradient") for x in value]
    gradient = gain * max(np.max(np.abs(x), initial=0.0) for x in gradients)
    for name, value in values.items():
        if name.startswith("gradient_") and name != "gradient_head" and not np.size(value[0]):
            fields[name] = (value, [np.zeros(0)] * len(value))
            continue
        parts = value if isinstance(value, list) else [value]
        others = [other[name] if isinstance(value, list) else [other[name]] for other in moved]
        bounds = []
        for k, part in enumerate(parts):
            largest = max(np.max(np.abs(part), initial=0.0), gradient)
            change = max(np.max(np.abs(part - other[k]), initial=0.0) for other in others)
            bound = TRAIN_ROUNDINGS * depth * case.info.eps * (largest + change / NUDGE)
            bounds.append(bound * np.ones(np.shape(part)))
        fields[name] = (value, bounds if isinstance(value, list) else bounds[0])
    return fields


def steps(case, change):
    """What PyTorch's SGD makes of the classifier, and one over the least divisor of a normalisation; `change` moves
    the inputs."""
    act, epsilon = ACTIVATIONS[case["activation"]], case["epsilon"]
    weights = [tensor(change(w), grad=True) for w in (*case["weights"], case["head"])]
    norms = [
        torch.nn.BatchNorm1d(len(w), eps=epsilon, dtype=torch.float64) for w in weights[:-1] if epsilon is not None
    ]
    affine = [parameter for layer in norms for parameter in (layer.weight, layer.bias)]
    descent = torch.optim.SGD(
        [*weights, *affine], lr=case["rate"], momentum=case["momentum"], weight_decay=case["decay"]
    )
    losses, first, gain = [], None, 1.0
    for batch, labels in zip(case["batches"], case["labels"]):
        h = tensor(change(batch)).T
        for k, w in enumerate(weights[:-1]):
            h = h @ w.T
            if norms:
                gain = max(gain, 1 / (h.detach().var(dim=0, unbiased=False) + epsilon).sqrt().min().item())
            h = act(norms[k](h) if norms else h)
        loss = F.cross_entropy(h @ weights[-1].T, torch.tensor(labels))
        descent.zero_grad()
        loss.backward()
        losses.append(loss.item())
        if first is None:
            first = [p.grad.numpy().copy() for p in (*weights, *affine)]
        descent.step()
    count = len(weights)
    plain = lambda tensors: [x.detach().numpy().copy() for x in tensors]
    none = [np.zeros(0)] * (count - 1)
    results = {
        "losses": np.array(losses),
        "gradient": first[: count - 1],
        "gradient_head": first[count - 1],
        "gradient_gamma": first[count::2] if norms else none,
        "gradient_beta": first[count + 1 :: 2] if norms else none,
        "weights": plain(weights[:-1]),
        "head": plain(weights[-1:])[0],
        "gamma": plain(layer.weight for layer in norms),
        "beta": plain(layer.bias for layer in norms),
        "mean": plain(layer.running_mean for layer in norms),
        "variance": plain(layer.running_var for layer in norms),
    }
    return results, gain


def draw_metrics(draw, single):
    h = draw.matrix(draw.size(large=0), draw.size(large=0))
    if draw.chance(0.2):
        h = h * 10.0 ** draw.rng.uniform(-8, 0, h.shape[1])
    return Case("metrics", single, {"h": "dn"}, h=h)


def metrics(case):
    """Of singular values with an absolute error: columns that depend on one another up to rounding count as
    dependent, in f32 up to four of its roundings."""
    h = case["h"]
    d, n = h.shape
    largest = np.max(np.abs(h))
    if largest == 0.0:
        raise Refused("ZeroMatrix")
    h = h / largest
    h = h / np.linalg.norm(h)
    sigma = np.zeros(n)
    sigma[: min(d, n)] = scipy.linalg.svdvals(h)
    delta = (4 * case.info.eps * n**0.5 if case.single else 0.0) + 4 * max(d, n) * n**0.5 * DOUBLE.eps
    # Those above a hundredth may be roots of eigenvalues, with the error of these.
    delta = delta + np.where(sigma > 0.005, n * DOUBLE.eps / np.maximum(sigma, 0.005), 0.0)
    squares, change = sigma**2, 2 * sigma * delta + delta**2
    wide = h.astype(np.longdouble)
    wide /= np.sqrt(np.sum(wide**2))
    gap = float(np.sqrt(np.sum((wide.T @ wide - np.eye(n, dtype=np.longdouble) / n) ** 2)))
    of_matrix = 8 * DOUBLE.eps
    of_gram = of_matrix + np.linalg.norm(change) + (16 * n * DOUBLE.eps)
    safe = np.maximum(squares, DOUBLE.tiny)
    rank = float(np.exp(-np.sum(np.where(squares > 0, squares * np.log(safe), 0.0))))
    ratio = 1 / np.sum(squares**2)
    surprise = np.minimum(np.abs(np.log(safe)) + 2, 80.0)
    return {
        "gap": (np.array([gap, gap]), np.array([of_gram, of_matrix])),
        "singular_values": (sigma, delta),
        "lyapunov": (1 / n - squares[-1], change[-1] + 4 * DOUBLE.eps),
        "stable_rank": (1 / squares[0], change[0] / squares[0] ** 2 + 8 * DOUBLE.eps * n),
        "participation_ratio": (ratio, ratio**2 * np.sum(2 * squares * change + change**2) + 8 * n * DOUBLE.eps),
        "effective_rank": (rank, rank * (np.sum(change * surprise) + 8 * n * DOUBLE.eps)),
        "coupling_bound": (
            np.sum((sigma - n**-0.5) ** 2),
            np.sum(2 * np.abs(sigma - n**-0.5) * delta + delta**2) + 8 * n * DOUBLE.eps,
        ),
    }


def draw_bures(draw, _):
    n = draw.size(20, 0)

    def covariance():
        rank = n if draw.chance(0.7) else draw.size(n, 0)
        factor = draw.rng.standard_normal((n, rank))
        if draw.chance(0.3):
            factor *= 10.0 ** draw.rng.uniform(-4, 0, (n, 1))
        c = factor @ factor.T * scale
        return (c + c.T) / 2

    scale = draw.scale(15)
    a = covariance()
    b = draw.pick(a, covariance(), np.eye(n) * scale, np.diag(draw.rng.random(n)) * scale)
    means = [draw.rng.standard_normal(n) * scale**0.5 * draw.pick(0.0, 1.0) for _ in range(2)]
    return Case("bures", False, {"a": "nn", "b": "nn", "means": "n"}, a=a, b=b, means=means)


def bures(case):
    """Roots of eigenvalues near zero have the root of their error. Where covariances are not singular, SciPy's `sqrtm`
    and POT must agree, too."""
    a, b, means = case["a"], case["b"], case["means"]
    n, size = len(a), np.trace(a) + np.trace(b)
    if size == 0.0:
        raise ValueError("two point masses")  # never drawn, and no simpler than one of them

    def root(c):
        values, vectors = np.linalg.eigh(c)
        return vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T

    half = root(a)
    inner = half @ b @ half
    eigenvalues = np.maximum(np.linalg.eigvalsh((inner + inner.T) / 2), 0.0)
    between = np.sum((means[0] - means[1]) ** 2)
    noise = 4 * n * DOUBLE.eps * np.linalg.norm(a, 2) * np.linalg.norm(b, 2)
    with np.errstate(divide="ignore"):
        lost = np.sum(np.minimum(np.sqrt(noise), noise / (2 * np.sqrt(eigenvalues)) if noise else 0.0))
    # The factor of a singular covariance ends where the rest is rounding: its root, times the other.
    smallest = [np.linalg.eigvalsh(c)[0] / max(np.trace(c), DOUBLE.tiny) for c in (a, b)]
    if min(smallest) < 1e-6:
        lost += np.sqrt(4 * n * DOUBLE.eps) * np.sqrt(np.trace(a) * np.trace(b)) * n**0.5
    moments = np.sum(means[0] ** 2 + means[1] ** 2)
    bound = 2 * lost + 4 * n * DOUBLE.eps * (size + moments)
    references = [between + size - 2 * np.sum(np.sqrt(eigenvalues))]
    if min(smallest) > 1e-10:  # sqrtm divides by sums of roots
        pot = ot.gaussian.bures_wasserstein_distance(means[0], means[1], a, b) ** 2
        references += [between + size - 2 * np.trace(scipy.linalg.sqrtm(inner).real), float(pot)]
    references = [max(x, 0.0) for x in references if np.isfinite(x)]
    # POT takes the root of a difference, and squares it again.
    return {"squared": (references, [bound * (2 + 1e-12)] * len(references))}


def draw_line(draw, single):
    n = draw.size(60)
    x = draw.normal(n, exponent=10)
    scale = float(np.max(np.abs(x)))
    return Case("line", single, {"x": "n"}, x=x, mean=draw.pick(0.0, 1.0, -0.3) * scale,
                deviation=draw.pick(0.0, 0.5, 1.0, 2.0) * scale)


NODES, WEIGHTS = np.polynomial.legendre.leggauss(20)


def line(case):
    """The integral over the bins of the normal law by the rule of Gauss and Legendre in panels."""
    x, mean, deviation = np.sort(case["x"]), case["mean"], case["deviation"]
    n = len(x)
    edges = norm.ppf(np.arange(n + 1) / n)
    edges[[0, -1]] = -14.0, 14.0  # what lies beyond is below 1e-40
    total = 0.0
    for value, low, high in zip(x, edges, edges[1:]):
        panels = np.linspace(low, high, 2 + int(2 * (high - low)))
        half = np.diff(panels)[:, None] / 2
        z = panels[:-1, None] + half * (1 + NODES)
        total += np.sum(half * WEIGHTS * (value - mean - deviation * z) ** 2 * norm.pdf(z))
    size = np.mean(x**2) + mean**2 + deviation**2
    # Quantiles in the tail have errors of some ulp; so has the mass of a bin between them.
    return {"squared": (total, 8 * (1 + n**0.5) * DOUBLE.eps * size)}


def draw_points(draw, single, operation, most, **fields):
    dimension, n = draw.size(10, 0), draw.size(most, 0)
    m = n if draw.chance(0.6) else draw.size(most, 0)
    scale = draw.scale()
    a, b = (scale * draw.matrix(dimension, count, exponent=0) for count in (n, m))
    return Case(operation, single, {"a": "dn" if n == m else "dk", "b": "dn" if n == m else "dm"}, a=a, b=b, **fields)


def draw_assignment(draw, single):
    return draw_points(draw, single, "assignment", 40)


def assignment(case):
    a, b = case["a"].T, case["b"].T
    costs = cdist(a, b, "sqeuclidean")
    bound = 2 * (a.shape[1] + len(a) + len(b)) * DOUBLE.eps * (costs.max() + np.max(a**2) + np.max(b**2))
    bound += DOUBLE.tiny
    if len(a) != len(b):
        masses = [np.full(len(x), 1 / len(x)) for x in (a, b)]
        unit = costs.max() or 1.0
        value = ot.emd2(*masses, costs / unit, numItermax=1_000_000) * unit
        return {"squared": (value, bound + 1e-13 * unit)}
    rows, columns = linear_sum_assignment(costs)
    # Ties have several optimal partners: what counts is their cost.
    return {"squared": (costs[rows, columns].mean(), bound)}


def draw_sinkhorn(draw, single):
    case = draw_points(draw, single, "sinkhorn", 12, epsilon=1.0)
    mean = float(np.mean(cdist(case["a"].T, case["b"].T, "sqeuclidean")))
    return case.replaced(epsilon=draw.pick(0.3, 1.0, 3.0) * mean or 1.0)


def sinkhorn(case):
    """POT's iteration in logarithms, to a marginal error of 1e-12 in L2."""
    costs = cdist(case["a"].T, case["b"].T, "sqeuclidean")
    masses = [np.full(k, 1 / k) for k in costs.shape]
    unit = costs.max() or 1.0
    if not 0.0 < case["epsilon"] < np.inf:
        raise Refused("InvalidParameter")
    plan, log = ot.sinkhorn(
        *masses, costs / unit, case["epsilon"] / unit, method="sinkhorn_log", numItermax=20_000, stopThr=1e-12,
        log=True, warn=False,
    )
    left = np.abs(plan.sum(axis=1) - masses[0]).sum() + np.abs(plan.sum(axis=0) - masses[1]).sum()
    # A marginal error moves the cost by itself times the condition of the scaling, at most unit/epsilon.
    bound = (1e-11 + left) * unit * (1 + unit / case["epsilon"]) + DOUBLE.tiny
    return {"sharp": (float(np.sum(plan * costs)), bound)}
