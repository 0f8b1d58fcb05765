"""What the peers do in `compare_ops.py`: operators on a matrix in NumPy, PyTorch, SciPy and POT."""

import os
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):  # their kernels are to be the native ones
    os.environ.pop(name, None)

import numpy as np  # noqa: E402

try:
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
except ImportError:
    torch = None

try:
    import ot
except ImportError:
    ot = None

DTYPES = {"f64": np.float64, "f32": np.float32}
# Images of a batch, and the layers that a gradient passes.
BATCH, DEPTH = 50, 20


def versions():
    return ", ".join(f"{name} {module.__version__ if module else 'missing'}"
                     for name, module in (("numpy", np), ("torch", torch), ("POT", ot)))


def measure(seconds, call):
    """The least microseconds of a call, in batches of about a millisecond, as the worker measures."""
    call()
    start = time.perf_counter()
    call()
    once = max(time.perf_counter() - start, 1e-7)
    for _ in range(min(20, int(0.05 / once))):
        call()
    batch, best, calls = max(1, int(0.001 / once)), float("inf"), 0
    begin = time.perf_counter()
    while calls < 2 * batch or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        for _ in range(batch):
            call()
        best = min(best, (time.perf_counter() - start) / batch)
        calls += batch
    return 1e6 * best


def peers_of(operator, d, n, scalar):
    """Calls by the name of the peer."""
    dtype = DTYPES[scalar]
    for family in (transport_peers, image_peers, weight_peers):
        if (peers := family(operator, d, n, dtype)) is not None:
            return peers
    h = np.random.default_rng(1).standard_normal((d, n)).astype(dtype)
    if operator.startswith("gram"):
        h = np.linalg.qr(h / np.linalg.norm(h), mode="r")
    return numpy_peers(operator, h, np.asfortranarray(h)) | torch_peers(operator, h)


def numpy_peers(operator, h, fortran):
    n = h.shape[1]

    def norms(a):
        return a / np.sqrt(np.einsum("ij,ij->i", a, a))[:, None]

    def gap(a):
        g = a.T @ a
        return np.linalg.norm(g / np.trace(g) - np.eye(n) / n)

    def gap_of_factor(r):
        return np.linalg.norm(r.T @ r - np.eye(n) / n)

    def values(a):
        return np.linalg.svd(a, compute_uv=False)

    if operator == "gram_spectrum":
        g = h.T @ h
        return {"numpy eigvalsh": lambda: np.linalg.eigvalsh(g), "numpy svd": lambda: values(fortran)}
    return {
        "bn_paper_to": {"numpy F": lambda: norms(fortran)},
        "gap_of_matrix": {"numpy C": lambda: gap(h), "numpy F": lambda: gap(fortran)},
        "singular_values": {
            "numpy svd": lambda: values(fortran),
            "numpy qr, svd": lambda: values(np.linalg.qr(fortran, mode="r")),
        },
        "gram_gap": {"numpy C": lambda: gap_of_factor(h), "numpy F": lambda: gap_of_factor(fortran)},
    }.get(operator, {})


def torch_peers(operator, h):
    if torch is None or operator.startswith("gram"):
        return {}
    d, n = h.shape
    x = torch.from_numpy(np.ascontiguousarray(h.T))
    mean, variance = torch.zeros(d, dtype=x.dtype), torch.ones(d, dtype=x.dtype)
    gamma, beta = torch.ones(d, dtype=x.dtype), torch.zeros(d, dtype=x.dtype)

    def norm(training, *parameters):
        return lambda: F.batch_norm(x, *parameters, training=training, momentum=0.1, eps=1e-5)

    def gap():
        g = x @ x.T
        return torch.linalg.norm(g / torch.trace(g) - torch.eye(n, dtype=x.dtype) / n)

    peers = {
        "bn_paper_to": {
            "torch": lambda: F.normalize(x, dim=0),
            "torch einsum": lambda: x / torch.einsum("nd,nd->d", x, x).sqrt(),
            "torch squares": lambda: x / x.square().sum(0).sqrt(),
        },
        "bn_standard_to": {"torch": norm(True, None, None)},
        "bn_train_to": {"torch": norm(True, mean, variance, gamma, beta)},
        "bn_infer_to": {"torch": norm(False, mean, variance, gamma, beta)},
        "layernorm": {"torch": lambda: F.layer_norm(x, (d,))},
        "gap_of_matrix": {"torch": gap},
        "singular_values": {"torch": lambda: torch.linalg.svdvals(x)},
    }
    if operator == "bn_pullback":
        # What autograd calls; its own front wants packages that are not installed.
        _, mean, inverse = torch.native_batch_norm(x, None, None, None, None, True, 0.1, 1e-5)
        g, wanted = torch.randn_like(x), [True, False, False]
        backward = torch.ops.aten.native_batch_norm_backward
        return {"torch": lambda: backward(g, x, None, None, None, mean, inverse, True, 1e-5, wanted)}
    return peers.get(operator, {})


def weight_peers(operator, rows, columns, dtype):
    """Draws of weights."""
    if operator not in ("haar", "gaussian_weights"):
        return None
    generator = np.random.Generator(np.random.SFC64(1))

    def normals():
        return generator.standard_normal((rows, columns), dtype=dtype)

    if operator == "haar":
        def haar():
            q, r = np.linalg.qr(normals())
            return q * np.sign(np.diag(r))

        peers = {"numpy qr": haar}
        if torch is not None:
            w = torch.empty(rows, columns, dtype=torch.from_numpy(normals()).dtype)
            peers["torch orthogonal_"] = lambda: torch.nn.init.orthogonal_(w)
        return peers
    peers = {"numpy SFC64": normals}
    if torch is not None:
        kind = torch.from_numpy(np.zeros(1, dtype)).dtype
        peers["torch randn"] = lambda: torch.randn(rows, columns, dtype=kind)
    return peers


def image_peers(operator, channels, side, dtype):
    """Images and gradients, in PyTorch."""
    if operator not in ("conv3", "maxpool2", "gradient_norms"):
        return None
    if torch is None:
        return {}
    kind = torch.from_numpy(np.zeros(1, dtype)).dtype
    if operator == "gradient_norms":
        width, batch = channels, side

        def norms():
            with torch.enable_grad():
                x = torch.randn(batch, width, dtype=kind, requires_grad=True)
                layers = [x]
                for _ in range(DEPTH):
                    w = (torch.randn(width, width, dtype=kind) / width**0.5).requires_grad_()
                    x = F.normalize(x @ w.T, dim=0)
                    x.retain_grad()
                    layers.append(x)
                (x * torch.randn_like(x)).sum().backward()  # of a scalar: no packages that are not installed
                return [layer.grad.norm() for layer in layers]

        return {"torch": norms}
    x = torch.randn(BATCH, channels, side, side, dtype=kind)
    last = x.contiguous(memory_format=torch.channels_last)
    if operator == "maxpool2":
        return {"torch NCHW": lambda: F.max_pool2d(x, 2), "torch NHWC": lambda: F.max_pool2d(last, 2)}
    w = torch.randn(max(64, channels), channels, 3, 3, dtype=kind)
    w_last = w.contiguous(memory_format=torch.channels_last)
    return {
        "torch NCHW": lambda: F.conv2d(x, w, padding=1),
        "torch NHWC": lambda: F.conv2d(last, w_last, padding=1),
    }


def transport_peers(operator, count, n, dtype):
    """Wasserstein distances, in POT."""
    if operator not in ("bures", "bures_isotropic", "line", "line_cold", "sliced", "assignment", "sinkhorn"):
        return None
    if ot is None:
        return {}
    rng = np.random.default_rng(6)
    if operator.startswith("bures"):
        def covariance():
            h = rng.standard_normal((4 * n, n))
            return h.T @ h / (4 * n * n)

        zero, a = np.zeros(n), covariance()
        b = covariance() if operator == "bures" else np.eye(n) / n
        return {"POT": lambda: ot.gaussian.bures_wasserstein_distance(zero, zero, a, b) ** 2}
    x, y = rng.standard_normal((2, count, n))
    weights = np.full(count, 1 / count)

    def sinkhorn():
        return ot.sinkhorn2(weights, weights, ot.dist(x, y), 1.0, numItermax=10**5, stopThr=1e-11)

    directions = ot.sliced.get_random_projections(n, 500, seed=1) if operator == "sliced" else None
    calls = {
        "line": lambda: ot.wasserstein_1d(x, y, p=2),
        "line_cold": lambda: ot.wasserstein_1d(x, y, p=2),
        "sliced": lambda: ot.sliced_wasserstein_distance(x, y, projections=directions) ** 2 * n,
        "assignment": lambda: ot.emd2(weights, weights, ot.dist(x, y), numItermax=10**7),
        "sinkhorn": sinkhorn,
    }
    return {"POT": calls[operator]}
