"""NumPy and PyTorch at the task of orthogap's engine: one layer of a random batch-normalised network.

A layer maps the representations H (d x n) to BN(W H)/sqrt(d): W has i.i.d. Gaussian entries (their scale
drops out) and BN brings every row to unit length. Each timed step draws the randomness of one layer,
applies it, and computes the orthogonality gap V = ||C/tr C - I/n||_F with C = H^T H.

    numpy-authors    fresh np.random.randn weights, gap by singular values: the paper's experiments
    numpy-explicit   the weights drawn in panels that stay in cache and are multiplied at once, all in place
    torch-explicit   the same in PyTorch
    numpy-streamed   no weights: given C = R^T R the rows of W H are i.i.d. R^T z, z ~ N(0, I_n), so a layer
                     costs d*n normals; columns of Y = R^T Z are drawn in blocks, scaled and summed into C
    torch-streamed   the same in PyTorch
    numpy-batched    numpy-streamed for many independent chains at once, by stacked products and stacked
                     Cholesky factorisations; its time is that of one layer of one of the chains

One step of the others takes one chain one layer deeper, and the cost of calling a dozen array functions
weighs on small layers. numpy-batched shares it among as many chains as fit a cache: the most NumPy gives
at small sizes, to whoever needs many replicates. Where not even two chains fit it is not timed, since
numpy-streamed then says all.

The streamed peers use orthogap's own algorithm, with Y stored transposed (n x d) so that loops run along
the long axis. All but the first draw normals the fastest way their library has: NumPy f64 by ziggurat on
SFC64, PyTorch f32 by normal_, and the other two by Box-Muller from array functions unless blocks are small.

    python peers.py --case 512x4 --scalar f64 --peer numpy-streamed --seconds 1    one measurement as JSON
    python peers.py --serve                                         requests from standard input
    python peers.py --check                                         the law of the gap, all peers

Requests of `--serve` are `time PEER D N SCALAR SECONDS` and `versions`; each is answered by one JSON line.
"""

import os

for _library in ("OMP", "MKL", "OPENBLAS", "VECLIB_MAXIMUM"):  # before NumPy and PyTorch read them
    os.environ[f"{_library}_NUM_THREADS"] = "1"

import argparse
import functools
import gc
import json
import math
import platform
import sys
import time

import numpy as np
from compare import Parser, cases, positive

SCALARS = ("f64", "f32")
LARGEST_EXPLICIT = 2**28  # weights a layer: 2 s and more beyond
BLOCK = 2**15  # entries of a block of normals: a few of them fit a second-level cache
PANEL = 2**16  # entries of a panel of weights
BOX_MULLER = 2000  # entries from which array functions beat one call of a slower sampler


@functools.cache
def torch_module():
    """PyTorch restricted to one thread, or None where it does not import."""
    try:
        import torch
    except (ImportError, OSError, ValueError):
        return None
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    torch.set_grad_enabled(False)
    return torch


def pieces(length, size):
    """Consecutive ranges (start, stop) of at most `size` that cover 0..length."""
    return [(start, min(start + size, length)) for start in range(0, length, size)]


# NumPy


def numpy_authors(d, n, scalar, seed):
    """Weights by np.random.randn, gap through the singular values; nothing preallocated."""
    np.random.seed(seed)
    dtype = np.dtype(scalar.replace("f64", "float64").replace("f32", "float32"))
    h = np.random.randn(d, n).astype(dtype, copy=False)

    def step():
        nonlocal h
        w = (np.random.randn(d, d) / np.sqrt(d)).astype(dtype, copy=False)
        h = w @ h
        h = h / np.linalg.norm(h, axis=1, keepdims=True) / np.sqrt(d).astype(dtype)
        eigenvalues = np.linalg.svd(h, compute_uv=False) ** 2
        return np.linalg.norm(eigenvalues / eigenvalues.sum() - 1 / n)

    return step


def numpy_normals(dtype, size, seed):
    """A function that fills contiguous arrays, of about `size` entries, with standard normals."""
    rng = np.random.Generator(np.random.SFC64(seed))
    if dtype == np.float64 or size < BOX_MULLER:
        return lambda out: rng.standard_normal(out=out, dtype=dtype)
    radius, angle = np.empty(BLOCK, dtype), np.empty(BLOCK, dtype)
    turn = dtype(2 * math.pi)

    def fill(out):
        flat = out.reshape(-1)
        for start, stop in pieces(flat.size, 2 * BLOCK):
            half = (stop - start + 1) // 2
            r, a = radius[:half], angle[:half]
            rng.random(out=r, dtype=dtype)
            rng.random(out=a, dtype=dtype)
            np.subtract(1, r, out=r)  # in (0, 1]
            np.log(r, out=r)
            np.multiply(r, -2, out=r)
            np.sqrt(r, out=r)
            np.multiply(a, turn, out=a)
            first, second = flat[start : start + half], flat[start + half : stop]
            np.cos(a, out=first)
            np.multiply(first, r, out=first)
            np.sin(a, out=a)
            np.multiply(a[: second.size], r[: second.size], out=second)

    return fill


def numpy_gap(n, dtype):
    """A function that takes C with trace 1 to its orthogonality gap."""
    target, difference = np.eye(n, dtype=dtype) / dtype(n), np.empty((n, n), dtype)
    flat = difference.reshape(-1)

    def gap(c):
        np.subtract(c, target, out=difference)
        return math.sqrt(np.dot(flat, flat))

    return gap


def numpy_explicit(d, n, scalar, seed):
    """Weights W drawn in panels of `rows` rows and multiplied at once."""
    dtype = np.float64 if scalar == "f64" else np.float32
    rows = min(d, max(64, PANEL // d))
    fill, gap = numpy_normals(dtype, rows * d, seed), numpy_gap(n, dtype)
    panel, c = np.empty((rows, d), dtype), np.empty((n, n), dtype)
    h, y, norms = np.empty((d, n), dtype), np.empty((d, n), dtype), np.empty((d, 1), dtype)
    panels = [(panel[: stop - start], start, stop) for start, stop in pieces(d, rows)]
    fill(h)

    def step():
        nonlocal h, y
        for w, start, stop in panels:
            fill(w)
            np.matmul(w, h, out=y[start:stop])
        np.einsum("ij,ij->i", y, y, out=norms[:, 0])
        np.multiply(norms, d, out=norms)
        np.sqrt(norms, out=norms)
        np.divide(y, norms, out=y)
        np.matmul(y.T, y, out=c)
        h, y = y, h
        return gap(c)

    return step


def numpy_streamed(d, n, scalar, seed):
    """Blocks of normals z, y = R^T z with R^T the Cholesky factor of C, unit columns, their Gram matrix."""
    dtype = np.float64 if scalar == "f64" else np.float32
    columns = min(d, max(256, BLOCK // n))
    fill, gap = numpy_normals(dtype, n * columns, seed), numpy_gap(n, dtype)
    c, part = np.empty((n, n), dtype), np.empty((n, n), dtype)
    blocks = []
    for start, stop in pieces(d, columns):
        if not blocks or stop - start < columns:
            shapes = (n, stop - start), (n, stop - start), stop - start
            blocks.append([np.empty(shape, dtype) for shape in shapes])
        else:
            blocks.append(blocks[0])
    factor = np.eye(n, dtype=dtype)

    def step():
        nonlocal factor
        target = c
        for z, y, norms in blocks:
            fill(z)
            np.matmul(factor, z, out=y)
            np.einsum("ij,ij->j", y, y, out=norms)
            np.multiply(norms, d, out=norms)
            np.sqrt(norms, out=norms)
            np.divide(y, norms, out=y)
            np.matmul(y, y.T, out=target)
            if target is part:
                np.add(c, part, out=c)
            target = part
        factor = np.linalg.cholesky(c)
        return gap(c)

    return step


def numpy_batched(d, n, scalar, seed):
    """As numpy_streamed, for as many chains as have a block of normals together; a step returns all gaps."""
    dtype = np.float64 if scalar == "f64" else np.float32
    chains = max(1, BLOCK // (d * n))
    fill = numpy_normals(dtype, chains * n * d, seed)
    z, y = np.empty((chains, n, d), dtype), np.empty((chains, n, d), dtype)
    norms, c = np.empty((chains, d), dtype), np.empty((chains, n, n), dtype)
    target, difference = np.eye(n, dtype=dtype) / dtype(n), np.empty((chains, n, n), dtype)
    factor = np.tile(np.eye(n, dtype=dtype), (chains, 1, 1))

    def step():
        nonlocal factor
        fill(z)
        np.matmul(factor, z, out=y)
        np.einsum("kij,kij->kj", y, y, out=norms)
        np.multiply(norms, d, out=norms)
        np.sqrt(norms, out=norms)
        np.divide(y, norms[:, None], out=y)
        np.matmul(y, y.transpose(0, 2, 1), out=c)
        factor = np.linalg.cholesky(c)
        np.subtract(c, target, out=difference)
        return np.sqrt(np.einsum("kij,kij->k", difference, difference))

    return step


# PyTorch


def torch_normals(dtype, size, seed):
    """A function that fills contiguous tensors, of about `size` entries, with standard normals."""
    torch = torch_module()
    torch.manual_seed(seed)
    if dtype == torch.float32 or size < BOX_MULLER:
        return lambda out: out.normal_()
    radius, angle = torch.empty(BLOCK, dtype=dtype), torch.empty(BLOCK, dtype=dtype)

    def fill(out):
        flat = out.view(-1)
        for start, stop in pieces(flat.numel(), 2 * BLOCK):
            half = (stop - start + 1) // 2
            r, a = radius[:half].uniform_(), angle[:half].uniform_(0, 2 * math.pi)
            r.neg_().log1p_().mul_(-2).sqrt_()
            first, second = flat[start : start + half], flat[start + half : stop]
            torch.cos(a, out=first).mul_(r)
            torch.sin(a[: second.numel()], out=second).mul_(r[: second.numel()])

    return fill


def torch_gap(n, dtype):
    """A function that takes C with trace 1 to its orthogonality gap."""
    torch = torch_module()
    target, difference = torch.eye(n, dtype=dtype) / n, torch.empty((n, n), dtype=dtype)
    flat = difference.view(-1)

    def gap(c):
        torch.sub(c, target, out=difference)
        return math.sqrt(torch.dot(flat, flat).item())

    return gap


def torch_explicit(d, n, scalar, seed):
    """As numpy_explicit; the product is fastest from a transposed layer h (n x d)."""
    torch = torch_module()
    dtype = torch.float64 if scalar == "f64" else torch.float32
    rows = min(d, max(64, PANEL // d))
    fill, gap = torch_normals(dtype, rows * d, seed), torch_gap(n, dtype)
    panel, c = torch.empty((rows, d), dtype=dtype), torch.empty((n, n), dtype=dtype)
    h, y, square, norms = (torch.empty(shape, dtype=dtype) for shape in ((n, d), (d, n), (d, n), (d,)))
    panels = [(panel[: stop - start], start, stop) for start, stop in pieces(d, rows)]
    fill(h)

    def step():
        for w, start, stop in panels:
            fill(w)
            torch.mm(w, h.t(), out=y[start:stop])
        torch.mul(y, y, out=square)
        torch.sum(square, 1, out=norms)
        torch.div(y.t(), norms.mul_(d).sqrt_(), out=h)
        torch.mm(h, h.t(), out=c)
        return gap(c)

    return step


def torch_streamed(d, n, scalar, seed):
    """As numpy_streamed."""
    torch = torch_module()
    dtype = torch.float64 if scalar == "f64" else torch.float32
    columns = min(d, max(256, BLOCK // n))
    fill, gap = torch_normals(dtype, n * columns, seed), torch_gap(n, dtype)
    c, factor = torch.empty((n, n), dtype=dtype), torch.eye(n, dtype=dtype)
    info = torch.empty((), dtype=torch.int32)
    blocks = []
    for start, stop in pieces(d, columns):
        if not blocks or stop - start < columns:
            shapes = (n, stop - start), (n, stop - start), (stop - start,)
            blocks.append([torch.empty(shape, dtype=dtype) for shape in shapes])
        else:
            blocks.append(blocks[0])

    def step():
        keep = 0
        for z, y, norms in blocks:
            fill(z)
            torch.mm(factor, z, out=y)
            torch.mul(y, y, out=z)
            torch.sum(z, 0, out=norms)
            y.div_(norms.mul_(d).sqrt_())
            torch.addmm(c, y, y.t(), beta=keep, out=c)
            keep = 1
        torch.linalg.cholesky_ex(c, out=(factor, info))
        return gap(c)

    return step


# Measurements

PEERS = {
    "numpy-authors": numpy_authors,
    "numpy-explicit": numpy_explicit,
    "torch-explicit": torch_explicit,
    "numpy-streamed": numpy_streamed,
    "torch-streamed": torch_streamed,
    "numpy-batched": numpy_batched,
}


def missing(peer, d, n):
    """Why `peer` is not timed at width d and batch n, or ""."""
    if peer.startswith("torch") and torch_module() is None:
        return "torch does not import"
    if peer.endswith("batched") and 2 * d * n > BLOCK:
        return f"two layers have more than {BLOCK} entries"
    if peer.endswith(("authors", "explicit")) and d * d > LARGEST_EXPLICIT:
        return f"more than {LARGEST_EXPLICIT} weights a layer"
    return ""


@functools.lru_cache(maxsize=len(PEERS))  # the peers of one case; none keeps whole weights
def prepared(peer, d, n, scalar):
    """The step function of a case, warmed up and kept for the next round.

    With it come how many chains it takes a layer deeper, and how many steps last about 1 ms.
    """
    step = PEERS[peer](d, n, scalar, seed=1)
    chains = np.size(step())
    start = time.perf_counter()
    step()
    once = time.perf_counter() - start
    for _ in range(min(20, int(0.05 / once))):
        step()
    return step, chains, max(1, int(0.001 / once))


def measure(peer, d, n, scalar, seconds):
    """Times batches of steps for `seconds`.

    `us` is the fastest batch, a layer and chain; `gap` is the mean over all timed layers and chains.
    """
    answer = {"peer": peer, "d": d, "n": n, "scalar": scalar, "us": None, "gap": None}
    if reason := missing(peer, d, n):
        return answer | {"why": reason}
    step, chains, batch = prepared(peer, d, n, scalar)
    best, total, steps = math.inf, 0.0, 0
    gc.disable()
    end = time.perf_counter() + seconds
    while steps < 2 * batch or time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(batch):
            total += step()
        best = min(best, (time.perf_counter() - start) / batch)
        steps += batch
    gc.enable()
    us, gap = 1e6 * best / chains, float(np.mean(total)) / steps
    return answer | {"us": round(us, 4), "gap": round(gap, 6), "layers": steps * chains}


def versions():
    """The software behind the peers."""
    python, torch = platform.python_version(), torch_module()
    return {"python": python, "numpy": np.__version__, "torch": torch and torch.__version__}


def answer(line):
    """The reply to one request line; ValueError if it is not one."""
    match line.split():
        case ["versions"]:
            return versions()
        case ["time", peer, d, n, scalar, seconds]:
            if peer not in PEERS:
                raise ValueError(f"unknown peer {peer!r}: one of {', '.join(PEERS)}")
            if scalar not in SCALARS:
                raise ValueError(f"unknown scalar {scalar!r}: f64 or f32")
            if not (d.isdecimal() and n.isdecimal() and 1 <= int(n) <= int(d)):
                raise ValueError(f"width {d!r} and batch {n!r} must be integers with 1 <= batch <= width")
            return measure(peer, int(d), int(n), scalar, positive(float)(seconds))
        case _:
            raise ValueError(f"unknown request {line.strip()!r}: time PEER D N SCALAR SECONDS, or versions")


def serve():
    """Answers requests until the end of the input; a bad one is answered by {"error": ...}."""
    for line in sys.stdin:
        try:
            reply = answer(line)
        except (ValueError, argparse.ArgumentTypeError, MemoryError, RuntimeError) as error:
            reply = {"error": str(error) or type(error).__name__}
        print(json.dumps(reply), flush=True)


def check(d=64, n=4, runs=400):
    """Compares the means of V and V**2 in layers 10..50 with the stationary law; returns how many fail.

    The law (linearisation at C = I/n): E V**2 = (1 - 1/n)(n + 2)**2/(4(n + 1)d) and,
    with m = (n + 2)(n - 1)/2, E V = sqrt(E V**2) sqrt(2/m) Gamma((m + 1)/2)/Gamma(m/2).
    Its relative error is about 1/d for n = 4.
    """
    square = (1 - 1 / n) * (n + 2) ** 2 / (4 * (n + 1) * d)
    m = (n + 2) * (n - 1) / 2
    mean = math.sqrt(square * 2 / m) * math.exp(math.lgamma((m + 1) / 2) - math.lgamma(m / 2))
    print(f"({d}, {n}), {runs} runs, layers 10..50; ratios to E V = {mean:.5f} and E V^2 = {square:.6f}:")
    failures = 0
    for peer in PEERS:
        for scalar in SCALARS:
            if reason := missing(peer, d, n):
                print(f"{peer:15} {scalar}  skipped: {reason}")
                continue
            gaps = []
            while len(gaps) < runs:
                step = PEERS[peer](d, n, scalar, seed=len(gaps))
                gaps.extend(np.reshape([step() for _ in range(50)], (50, -1)).T)
            late, columns, good = np.array(gaps[:runs])[:, 9:], [], True
            for values, predicted in ((late, mean), (late**2, square)):
                of_runs = values.mean(axis=1) / predicted
                ratio, error = of_runs.mean(), of_runs.std(ddof=1) / math.sqrt(runs)
                good &= abs(ratio - 1) < 0.03 + 3 * error
                columns.append(f"{ratio:.4f} +- {error:.4f}")
            failures += not good
            verdict = "ok" if good else "WRONG"
            print(f"{peer:15} {scalar}  V {columns[0]}  V^2 {columns[1]}  {verdict}", flush=True)
    return failures


def main():
    layout = argparse.RawDescriptionHelpFormatter
    parser = Parser(description=__doc__, formatter_class=layout, allow_abbrev=False)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--case", type=cases, metavar="DxN", help="time a case, such as 512x4, or several")
    mode.add_argument("--serve", action="store_true", help="answer requests, one a line")
    mode.add_argument("--check", action="store_true", help="check all peers against the law of the gap")
    parser.add_argument("--scalar", choices=SCALARS, default="f64", help="with --case (default f64)")
    parser.add_argument("--peer", choices=PEERS, default="numpy-streamed", help="with --case (%(default)s)")
    parser.add_argument("--seconds", type=positive(float), default=1.0, help="to spend on --case (default 1)")
    options = parser.parse_args()
    if options.serve:
        serve()
    elif options.check:
        sys.exit(1 if check() else 0)
    elif options.case is None:
        parser.error("one of --case, --serve and --check is needed")
    else:
        for d, n in options.case:
            print(json.dumps(measure(options.peer, d, n, options.scalar, options.seconds)), flush=True)


if __name__ == "__main__":
    main()
