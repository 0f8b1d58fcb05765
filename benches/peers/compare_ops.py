"""Times orthogap's operators on a matrix against NumPy and PyTorch in one run, one thread each, by turns.

Our column-major d x n matrix is the row-major (n, d) tensor of PyTorch, so the memory is the same; NumPy takes
either order. Each line names the fastest peer, in microseconds a call; ratio is its time over ours. What is
compared are the fastest batches over all rounds. The peer's pullback is the kernel that autograd calls, without
the pass forward; ours includes a copy of the gradient. gram_gap of a batch n is that of a factor R, against the
gap of R^T R that NumPy has to multiply; beside it stands our general product R^T R.
"""

import argparse
import csv
import os
import sys
import time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):  # their kernels are to be the native ones
    os.environ.pop(name, None)

import numpy as np  # noqa: E402

from compare import Parser, Worker, cases, listed, positive  # noqa: E402

try:
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
except ImportError:
    torch = None

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent.parent / "target"
HEADER = ("case", "scalar", "ours_us", "peer", "peer_us", "ratio")
CASES = "512x4,1024x16,4096x256,65536x64"
OPERATORS = (
    "bn_paper_to,bn_standard_to,bn_train_to,bn_infer_to,bn_pullback,layernorm,gap_of_matrix,singular_values"
)
GRAMS = (16, 64, 256, 512)
# Multiply-adds beyond which decompositions are left out.
LARGEST_DECOMPOSITION = 1 << 29


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

    return {
        "bn_paper_to": {"numpy C": lambda: norms(h), "numpy F": lambda: norms(fortran)},
        "gap_of_matrix": {"numpy C": lambda: gap(h), "numpy F": lambda: gap(fortran)},
        "singular_values": {
            "numpy svd": lambda: values(fortran),
            "numpy qr, svd": lambda: values(np.linalg.qr(fortran, mode="r")),
        },
        "gram_gap": {"numpy C": lambda: gap_of_factor(h), "numpy F": lambda: gap_of_factor(fortran)},
    }.get(operator, {})


def torch_peers(operator, h):
    if torch is None:
        return {}
    d, n = h.shape
    rows, x = torch.from_numpy(h.copy()), torch.from_numpy(np.ascontiguousarray(h.T))
    mean, variance = torch.zeros(d, dtype=x.dtype), torch.ones(d, dtype=x.dtype)
    gamma, beta = torch.ones(d, dtype=x.dtype), torch.zeros(d, dtype=x.dtype)

    def norm(training, *parameters):
        return lambda: F.batch_norm(x, *parameters, training=training, momentum=0.1, eps=1e-5)

    def gap():
        g = x @ x.T
        return torch.linalg.norm(g / torch.trace(g) - torch.eye(n, dtype=x.dtype) / n)

    peers = {
        "bn_paper_to": {"torch": lambda: F.normalize(rows, dim=1), "torch F": lambda: F.normalize(x, dim=0)},
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


def compare(ours, operator, d, n, scalar, options):
    """Our least time, and the fastest peer with its own."""
    dtype = {"f64": np.float64, "f32": np.float32}[scalar]
    h = np.random.default_rng(1).standard_normal((d, n)).astype(dtype)
    if operator == "gram_gap":
        h = np.linalg.qr(h / np.linalg.norm(h), mode="r")
    peers = numpy_peers(operator, h, np.asfortranarray(h)) | torch_peers(operator, h)
    own, best = float("inf"), {}
    for _ in range(options.rounds):
        request = f"operator {operator} {d} {n} {scalar} {options.seconds}"
        own = min(own, ours.ask(request)["us"])
        for name, call in peers.items():
            best[name] = min(best.get(name, float("inf")), measure(options.seconds, call))
    if operator == "gram_gap":
        request = f"operator gram_product {d} {n} {scalar} {options.seconds}"
        best["our gram.matrix()"] = ours.ask(request)["us"]
    if not best:
        return own, "", None, None
    peer = min((name for name in best if not name.startswith("our")), key=best.get)
    return own, peer, best[peer], best.get("our gram.matrix()")


def parse(arguments):
    layout = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="run_ops.sh", description=__doc__, formatter_class=layout, allow_abbrev=False)

    def option(name, kind, default, metavar, text):
        parser.add_argument(name, type=kind, default=default, metavar=metavar, help=text)

    operators = (*OPERATORS.split(","), "gram_gap")
    table = TARGET / "orthogap/operators.csv"
    option("--cases", cases, CASES, "DxN,...", "shapes of matrices (default %(default)s)")
    option("--operators", listed(operators, "operator"), ",".join(operators), "O,...", "default %(default)s")
    option("--scalars", listed(("f64", "f32"), "scalar"), "f64,f32", "S,...", "f64, f32 or both (default)")
    option("--rounds", positive(int), 3, "N", "turns of every side (default %(default)s)")
    option("--seconds", positive(float), 0.1, "T", "time of a turn (default %(default)s)")
    option("--csv", Path, table, "PATH", "table to write (default target/orthogap/operators.csv)")
    option("--ours", Path, TARGET / "release/examples/peers_worker", "PATH", argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main():
    options = parse(sys.argv[1:])
    shapes = [(operator, d, n, f"{operator} {d}x{n}") for operator in options.operators
              if operator != "gram_gap" for d, n in options.cases
              if operator != "singular_values" or d * n * n < LARGEST_DECOMPOSITION]
    if "gram_gap" in options.operators:
        shapes += [("gram_gap", 4 * n, n, f"gram_gap {n}") for n in GRAMS]
    options.csv.parent.mkdir(parents=True, exist_ok=True)
    ours = Worker("peers_worker", [str(options.ours)])
    print(f"numpy {np.__version__}, torch {torch.__version__ if torch else 'missing'}")
    print(f"{'case':27} {'scalar':>6} {'ours us':>11}  {'peer':15} {'peer us':>11} {'ratio':>7}")
    with open(options.csv, "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(HEADER)
        for operator, d, n, case in shapes:
            for scalar in options.scalars:
                if operator == "gram_gap" and scalar == "f32":
                    continue  # everything of that size is f64
                own, peer, us, *product = compare(ours, operator, d, n, scalar, options)
                ratio = "" if us is None else f"{us / own:.2f}"
                table.writerow((case, scalar, own, peer, "" if us is None else f"{us:.4f}", ratio))
                shown = "-" if us is None else f"{us:,.2f}"
                note = f"  (our product {product[0]:,.2f})" if product and product[0] else ""
                print(f"{case:27} {scalar:>6} {own:11,.2f}  {peer:15} {shown:>11} {ratio:>7}{note}", flush=True)
                file.flush()
    ours.close()
    print(f"written to {options.csv}")


if __name__ == "__main__":
    main()
