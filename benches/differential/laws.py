"""Metrics and distances of the differential check; see operations.py for what a reference returns."""

import numpy as np
import ot
import scipy.linalg
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.stats import norm

from operations import DOUBLE, Case, Refused


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
    size = np.mean(case["x"] ** 2) + case["mean"] ** 2 + case["deviation"] ** 2
    # Quantiles in the tail have errors of some ulp; so has the mass of a bin between them.
    bound = 8 * (1 + len(case["x"]) ** 0.5) * DOUBLE.eps * size
    return {"squared": (to_normal(case["x"], case["mean"], case["deviation"]), bound)}


def to_normal(x, mean, deviation):
    """The integral over the bins of the normal law by the rule of Gauss and Legendre in panels."""
    n = len(x)
    edges = norm.ppf(np.arange(n + 1) / n)
    edges[[0, -1]] = -14.0, 14.0  # what lies beyond is below 1e-40
    total = 0.0
    for value, low, high in zip(np.sort(x), edges, edges[1:]):
        panels = np.linspace(low, high, 2 + int(2 * (high - low)))
        half = np.diff(panels)[:, None] / 2
        z = panels[:-1, None] + half * (1 + NODES)
        total += np.sum(half * WEIGHTS * (value - mean - deviation * z) ** 2 * norm.pdf(z))
    return total


def draw_sliced(draw, single):
    dimension, n = draw.size(8, 0), draw.size(40, 0)
    scale = draw.scale(10)
    return Case("sliced", single, {"points": "dn", "factor": "dk", "mean": "d", "directions": "dm"},
                points=scale * draw.matrix(dimension, n, exponent=0),
                factor=scale * draw.rng.standard_normal((dimension, draw.size(dimension, 0))),
                mean=scale * draw.pick(0.0, 1.0) * draw.rng.standard_normal(dimension),
                directions=draw.rng.standard_normal((dimension, int(draw.rng.integers(1, 4)))))


def sliced(case):
    """Of projections to the Gaussian of covariance F F^T. Products have their own rounding, and a deviation that
    vanishes has its root."""
    points, factor, mean = case["points"], case["factor"], case["mean"]
    d, n = points.shape
    lengths = np.linalg.norm(case["directions"], axis=0)
    if not np.all(lengths):
        raise ValueError("no direction")  # never drawn
    directions = case["directions"] / lengths
    along = [to_normal(points.T @ t, mean @ t, np.linalg.norm(factor.T @ t)) for t in directions.T]
    size = np.mean(np.sum(points**2, axis=0)) + mean @ mean + np.sum(factor**2)
    bound = (8 * (1 + n**0.5) + 16 * d) * DOUBLE.eps * size + DOUBLE.tiny
    return {
        "along": (np.array(along), bound * np.ones(len(along))),
        "squared": (np.mean(along), bound),
        "lower_bound": (d * np.mean(along), d * bound),
    }


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
