"""Times orthogap's operators on a matrix against NumPy, PyTorch, SciPy and POT in one run, one thread each, by turns.

Our column-major d x n matrix is the row-major (n, d) tensor of PyTorch and a matrix of NumPy in Fortran's order, so
the memory is the same; products and factorisations of NumPy take either order. Each line names the fastest peer, in microseconds a call; ratio is its time over ours. What is
compared are the fastest batches over all rounds.

Normalisations of ours write into a matrix that is there; those of the peers allocate their result, in memory that
the allocator keeps from call to call.
The peer's pullback is the kernel that autograd calls, without the pass forward; ours includes a copy of the
gradient. gram_gap of a batch n is that of a factor R, against the gap of R^T R that NumPy has to multiply;
beside it stands our general product R^T R. Images come in batches of 50, as channels x side, with 64 output
channels at least. Both sides of sinkhorn compute the costs; POT stops at a marginal error of 1e-11, in L2, ours in
L1. gradient_norms are those of 20 layers. training_epoch runs train.py.
"""

import argparse
import csv
import re
import subprocess
import sys
from pathlib import Path

from compare import Parser, Worker, cases, listed, positive

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent.parent / "target"
HEADER = ("case", "scalar", "ours_us", "peer", "peer_us", "ratio")
CASES = "512x4,1024x16,4096x256,65536x64"
OF_MATRIX = (
    "bn_paper_to", "bn_standard_to", "bn_train_to", "bn_infer_to", "bn_pullback", "layernorm", "gap_of_matrix",
    "singular_values",
)
# Shapes of the others, and whether f32 is another case.
GRAMS = tuple((4 * n, n) for n in (16, 64, 256, 512))
IMAGES = ((3, 32), (64, 16), (128, 8))
OTHERS = {
    "gram_gap": (GRAMS, False),
    "gram_spectrum": (GRAMS, False),
    "haar": (((256, 256), (1024, 1024)), True),
    "conv3": (IMAGES, True),
    "maxpool2": (IMAGES, True),
    "gradient_norms": (((512, 4), (512, 32), (1024, 16), (2048, 64)), True),
    "bures": (((64, 64), (256, 256)), False),
    "bures_isotropic": (((64, 64), (512, 512)), False),
    "line": (((10_000, 1),), False),
    "line_cold": (((10_000, 1),), False),
    "sliced": (((10_000, 16),), False),
    "assignment": (((500, 16), (1000, 16)), False),
    "sinkhorn": (((500, 16), (1000, 16)), False),
    "gaussian_weights": (((1024, 1024), (4096, 4096)), True),
}
TRAINING = "training_epoch"
OPERATORS = (*OF_MATRIX, *OTHERS, TRAINING)
# Multiply-adds beyond which decompositions are left out.
LARGEST_DECOMPOSITION = 1 << 29


def parse(arguments):
    layout = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="run_ops.sh", description=__doc__, formatter_class=layout, allow_abbrev=False)

    def option(name, kind, default, metavar, text):
        parser.add_argument(name, type=kind, default=default, metavar=metavar, help=text)

    table = TARGET / "orthogap/operators.csv"
    option("--cases", cases, CASES, "DxN,...", "shapes of matrices (default %(default)s)")
    option("--operators", listed(OPERATORS, "operator"), ",".join(OPERATORS), "O,...", "default %(default)s")
    option("--scalars", listed(("f64", "f32"), "scalar"), "f64,f32", "S,...", "f64, f32 or both (default)")
    option("--rounds", positive(int), 2, "N", "turns of every side (default %(default)s)")
    option("--seconds", positive(float), 0.1, "T", "time of a turn (default %(default)s)")
    option("--csv", Path, table, "PATH", "table to write (default target/orthogap/operators.csv)")
    option("--ours", Path, TARGET / "release/examples/peers_worker", "PATH", argparse.SUPPRESS)
    option("--trainer", Path, TARGET / "release/examples/train_worker", "PATH", argparse.SUPPRESS)
    parser.add_argument("--check-only", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def shapes(options):
    """What to compare: operators with their shapes and scalars."""
    for operator in options.operators:
        if operator == TRAINING:
            continue
        of_operator, in_both = OTHERS.get(operator, (options.cases, True))
        for d, n in of_operator:
            if operator == "singular_values" and d * n * n >= LARGEST_DECOMPOSITION:
                continue
            for scalar in options.scalars:
                if in_both or scalar == "f64":
                    yield operator, d, n, scalar


def compare(ours, theirs, operator, d, n, scalar, options):
    """Our least time, the fastest peer with its own, and a note."""
    peers = theirs.peers_of(operator, d, n, scalar)
    own, best = float("inf"), {}
    request = f"{d} {n} {scalar} {options.seconds}"
    for _ in range(options.rounds):
        own = min(own, ours.ask(f"operator {operator} {request}")["us"])
        for name, call in peers.items():
            best[name] = min(best.get(name, float("inf")), theirs.measure(options.seconds, call))
    note = ""
    if operator == "gram_gap":
        note = f"our product {ours.ask(f'operator gram_product {request}')['us']:,.2f}"
    peer = min(best, key=best.get, default="")
    return own, peer, best.get(peer), note


def train(options):
    """Our seconds of an epoch of training, and PyTorch's."""
    command = [sys.executable, "-B", str(HERE / "train.py"), "--epochs", "3", "--worker", str(options.trainer)]
    run = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"PyTorch ([\d.]+), orthogap ([\d.]+)", run.stdout)
    if not found:
        return None
    theirs, own = map(float, found.groups())
    return own, theirs


def main():
    options = parse(sys.argv[1:])
    if options.check_only:
        return
    # What is slow to import, or is installed only now.
    import peers_ops

    options.csv.parent.mkdir(parents=True, exist_ok=True)
    ours = Worker("peers_worker", [str(options.ours)])
    print(peers_ops.versions())
    print(f"{'case':27} {'scalar':>6} {'ours us':>11}  {'peer':15} {'peer us':>11} {'ratio':>7}")
    with open(options.csv, "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(HEADER)

        def write(case, scalar, own, peer, us, note=""):
            ratio = "" if us is None else f"{us / own:.2f}"
            table.writerow((case, scalar, own, peer, "" if us is None else f"{us:.4f}", ratio))
            file.flush()
            shown = "-" if us is None else f"{us:,.2f}"
            note = f"  ({note})" if note else ""
            print(f"{case:27} {scalar:>6} {own:11,.2f}  {peer:15} {shown:>11} {ratio:>7}{note}", flush=True)

        for operator, d, n, scalar in shapes(options):
            result = compare(ours, peers_ops, operator, d, n, scalar, options)
            write(f"{operator} {d}x{n}", scalar, *result)
        if TRAINING in options.operators and "f32" in options.scalars and (epoch := train(options)):
            own, theirs = (1e6 * seconds for seconds in epoch)
            write(f"{TRAINING} 800x15", "f32", own, "torch", theirs)
    ours.close()
    print(f"written to {options.csv}")


if __name__ == "__main__":
    main()
