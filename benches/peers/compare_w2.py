"""Times orthogap's Wasserstein distances against POT in one run, one thread each, by turns.

Both sides get the same laws: Gaussian with covariance 1.2²/n I (a squared distance of 0.04 to N(0, I/n)), or
in one dimension N(0, 1.2²), whose true distance to the target is known. Errors are root mean squares over
replicates of the difference to that truth, times the fastest calls over all rounds. POT has no Gaussian target
but for its Bures distance: elsewhere it gets a sample of the target, as large as the other. For `bures` both
sides get the sample covariance of 4 n samples and state its exact distance, so their errors are the same.
`assignment` compares two samples, and both sides are as wrong. `line-cold` takes its quantiles anew each time.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

try:
    import numpy as np
    import ot
except ImportError:  # not installed yet: the options alone need neither
    np = ot = None

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent.parent / "target"
HEADER = "case,ours_ms,pot_ms,ratio,ours_error,pot_error"
SCALE = 1.2
TRUTH = (SCALE - 1.0) ** 2


class Ours:
    """orthogap's worker, fed with files."""

    def __init__(self, command, folder):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.folder = Path(folder)

    def time(self, case, seconds, *matrices):
        paths = []
        for index, matrix in enumerate(matrices):
            path = self.folder / f"{index}.f64"
            matrix = np.asarray(matrix, dtype="<f8")
            shape = np.array(matrix.shape, dtype="<f8")
            path.write_bytes(shape.tobytes() + matrix.tobytes(order="F"))
            paths.append(str(path))
        self.process.stdin.write(" ".join(["time", case, str(seconds), *paths]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"compare_w2.py: orthogap gave no answer for {case}")
        answer = json.loads(line)
        return answer["ms"], answer["w2"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def timed(call, seconds):
    """The least milliseconds of a call, and its result; as `measure` of w2_worker.rs."""
    result = call()
    begin, best, calls = time.perf_counter(), float("inf"), 0
    while calls < 3 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        result = call()
        best = min(best, time.perf_counter() - start)
        calls += 1
    return 1e3 * best, float(result)


def bures(n):
    def draw(rng):
        x = SCALE / np.sqrt(n) * rng.standard_normal((4 * n, n))
        return (x.T @ x / len(x),)

    def pot(covariance):
        zero, ideal = np.zeros(n), np.eye(n) / n
        return lambda: ot.gaussian.bures_wasserstein_distance(zero, zero, covariance, ideal) ** 2

    return f"bures {n}", "bures", draw, pot


def bures_general(n):
    def draw(rng):
        a = SCALE / np.sqrt(n) * rng.standard_normal((4 * n, n))
        b = 1 / np.sqrt(n) * rng.standard_normal((4 * n, n))
        return (a.T @ a / len(a), b.T @ b / len(b))

    def pot(a, b):
        zero = np.zeros(n)
        return lambda: ot.gaussian.bures_wasserstein_distance(zero, zero, a, b) ** 2

    return f"bures general {n}", "bures-general", draw, pot


def line(count, ours):
    def draw(rng):
        return (SCALE * rng.standard_normal((count, 1)), rng.standard_normal((count, 1)))

    def pot(x, y):
        return lambda: np.squeeze(ot.wasserstein_1d(x, y, p=2))

    return f"{ours} {count}", ours, draw, pot


def sliced(count, n):
    def draw(rng):
        x = SCALE / np.sqrt(n) * rng.standard_normal((count, n))
        return (x, rng.standard_normal((count, n)) / np.sqrt(n))

    def pot(x, y):
        directions = ot.sliced.get_random_projections(n, 500, seed=1)
        return lambda: ot.sliced_wasserstein_distance(x, y, projections=directions) ** 2 * n

    return f"sliced {count} x {n}", "sliced", draw, pot


def assignment(count, n):
    def draw(rng):
        x = SCALE / np.sqrt(n) * rng.standard_normal((count, n))
        return (x, rng.standard_normal((count, n)) / np.sqrt(n))

    def pot(x, y):
        weights = np.full(count, 1 / count)
        return lambda: ot.emd2(weights, weights, ot.dist(x, y), numItermax=10**7)

    return f"assignment {count} x {n}", "assignment", draw, pot


CASES = [
    bures(64),
    bures(512),
    bures_general(64),
    bures_general(256),
    line(10_000, "line"),
    line(10_000, "line-cold"),
    sliced(10_000, 16),
    assignment(1000, 16),
]


def compare(ours, case, rounds, seconds, rng):
    """A line of the table: least times and root mean square errors over rounds."""
    name, request, draw, pot = case
    times, errors = [[], []], [[], []]
    for _ in range(rounds):
        data = draw(rng)
        ours_ms, ours_w2 = ours.time(request, seconds, *data)
        pot_ms, pot_w2 = timed(pot(*data), seconds)
        if request == "sliced":
            ours_w2 *= data[0].shape[1]  # n SW², as on the other side
        for side, ms, w2 in ((0, ours_ms, ours_w2), (1, pot_ms, pot_w2)):
            times[side].append(ms)
            errors[side].append((w2 - TRUTH) ** 2)
    (a, b), (e, f) = (min(t) for t in times), (np.sqrt(np.mean(e)) for e in errors)
    return name, a, b, b / a, e, f


def main():
    parser = argparse.ArgumentParser(prog="run_w2.sh", description=__doc__.splitlines()[0])
    parser.add_argument("--csv", type=Path, default=TARGET / "orthogap" / "peers_w2.csv", metavar="PATH")
    parser.add_argument("--rounds", type=int, default=5, help="fresh samples a case")
    parser.add_argument("--seconds", type=float, default=0.3, help="for each side in each round")
    parser.add_argument("--check-only", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.check_only:
        return
    if ot is None:
        sys.exit("compare_w2.py: NumPy or POT is missing")
    rng = np.random.default_rng(1)
    rows = []
    print(f"{'case':24}{'ours ms':>12}{'POT ms':>12}{'ratio':>9}{'our error':>12}{'POT error':>12}")
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours([str(TARGET / "release" / "examples" / "peers_w2_worker")], folder)
        for case in CASES:
            row = compare(ours, case, arguments.rounds, arguments.seconds, rng)
            rows.append(row)
            name, a, b, ratio, e, f = row
            print(f"{name:24}{a:12.3f}{b:12.3f}{ratio:9.1f}{e:12.2e}{f:12.2e}", flush=True)
        ours.close()
    text = "\n".join([HEADER, *(",".join([r[0], *(f"{x:.6g}" for x in r[1:])]) for r in rows)]) + "\n"
    arguments.csv.parent.mkdir(parents=True, exist_ok=True)
    part = arguments.csv.with_suffix(".part")
    part.write_text(text)
    part.replace(arguments.csv)
    print(f"wrote {arguments.csv}")


if __name__ == "__main__":
    main()
