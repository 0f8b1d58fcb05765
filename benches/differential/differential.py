"""Compares orthogap with PyTorch, SciPy and POT on random cases, forward and backward, in f64 and f32.

Shapes go from 1 to 40, some to some hundreds, scales from 1e-30 to 1e30; rows may be zero, constant or nearly so.
Tolerances come from an analysis of rounding: see operations.py, laws.py and training.py. For every operation the table
has the cases, those of them that both sides refuse, and the largest difference as a part of its tolerance. A
disagreement is shrunk, and the smallest input that still disagrees is printed as a request of the worker.
"""

import argparse
import json
import subprocess
import sys
import time
import warnings
from collections import Counter, defaultdict
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
WORKER = HERE.parent.parent / "target" / "release" / "examples" / "differential_worker"
OPERATIONS = (
    "batch_norm", "trainable_batch_norm", "sample_norm", "activation", "convolution", "pooling", "loss", "train",
    "train_images", "metrics", "bures", "line", "sliced", "assignment", "sinkhorn",
)
# Requests that the search for a smaller input may take.
SHRINKING = 2000


def options():
    parser = argparse.ArgumentParser(prog="run.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=26_000, metavar="N", help="cases, shared by all operations")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the first case")
    parser.add_argument("--only", choices=OPERATIONS, action="append", metavar="NAME",
                        help="one operation, again for more: " + ", ".join(OPERATIONS))
    parser.add_argument("--worker", default=WORKER, type=Path, metavar="PATH", help="the example differential_worker")
    parser.add_argument("--check-only", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


class Worker:
    """orthogap: answers requests; begins again after a panic."""

    def __init__(self, path):
        self.path, self.process = path, None

    def ask(self, request):
        if self.process is None:
            try:
                self.process = subprocess.Popen([self.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            except OSError as error:
                sys.exit(f"differential.py: cannot start {self.path}: {error.strerror}")
        try:
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())
        except (BrokenPipeError, ValueError):
            self.process.kill()
            self.process.wait()
            self.process = None
            return {"error": "the worker ended"}


def encoded(value):
    """As JSON: a matrix by columns, images and kernels one a list, in the order of PyTorch."""
    if isinstance(value, list):
        return [encoded(item) for item in value]
    if isinstance(value, np.ndarray):
        if value.ndim == 4:
            return value.reshape(len(value), -1).tolist()
        return (value.T if value.ndim == 2 else value).tolist()
    return value


def request(case):
    fields = {name: encoded(value) for name, value in case.items()}
    if case.operation in ("convolution", "pooling"):
        fields["shape"] = list(case["h"].shape[1:])
    return json.dumps({"operation": case.operation, "single": case.single, **fields})


def compare(found, expected, bound):
    """The largest difference as a part of its bound."""
    if isinstance(expected, list):
        if len(found) != len(expected):
            return np.inf
        return max((compare(*parts) for parts in zip(found, expected, bound)), default=0.0)
    expected = np.asarray(encoded(np.asarray(expected)), dtype=np.float64)
    found = np.asarray(found, dtype=np.float64)  # null is NaN
    bound = np.asarray(encoded(np.broadcast_to(bound, np.shape(expected) if np.ndim(bound) == 0 else np.shape(bound))))
    if found.shape != expected.shape:
        return np.inf
    if not found.size:
        return 0.0
    if not np.all(np.isfinite(expected)):
        raise FloatingPointError("the reference is not finite")
    difference = np.abs(found - expected)
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.where(difference == 0.0, 0.0, difference / bound)
    return float(np.max(np.where(np.isnan(parts), np.inf, parts)))


def check(worker, case):
    """The largest part of a tolerance, whether both refuse, and what disagrees."""
    try:
        with np.errstate(all="ignore"):
            fields = references[case.operation](case)
    except Refused as refusal:
        answer, expected = worker.ask(request(case)), str(refusal)
        if answer.get("error") == expected:
            return 0.0, True, None
        return np.inf, False, f"expected {expected}, got {answer.get('error', 'an answer')}"
    answer = worker.ask(request(case))
    if "error" in answer:
        return np.inf, False, f"error {answer['error']}"
    largest, worst = 0.0, None
    for name, (value, bound) in fields.items():
        found = answer[name]
        if case.operation == "bures":  # one answer, several references
            found = [found] * len(value)
        part = compare(found, value, bound)
        if part > largest:
            largest, worst = part, (name, found, encoded(value))
    if largest <= 1.0:
        return largest, False, None
    name, found, value = worst
    return largest, False, f"{name} differs by {largest:.3g} tolerances\n  orthogap  {found}\n  reference {value}"


def smaller(case):
    """Simpler inputs: axes halved or without an entry, then entries zero or one, then rounded numbers."""
    names = {axis for axes in case.axes.values() for item in listed(axes) for axis in item if axis != "-"}
    for axis in sorted(names):
        lengths = {
            array.shape[k] for name in case.axes for array, axes in with_axes(case, name)
            for k, other in enumerate(axes) if other == axis
        }
        if len(lengths) != 1 or (length := lengths.pop()) < 2:
            continue
        middle = length // 2
        keeps = [range(middle), range(middle, length)]
        keeps += [[i for i in range(length) if i != j] for j in range(min(length, 12))]
        for keep in keeps:
            kept = {name: [taken(x, axes, axis, list(keep)) for x, axes in with_axes(case, name)] for name in case.axes}
            yield case.replaced(**{name: x if isinstance(case[name], list) else x[0] for name, x in kept.items()})
    for name, value in case.items():
        if isinstance(value, list) and len(value) > 1 and case.operation == "trainable_batch_norm":
            yield case.replaced(**{name: value[:-1]})
        for k, array in enumerate(listed(value)):
            if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or not array.size:
                continue
            put = lambda x: case.replaced(**{name: [*value[:k], x, *value[k + 1 :]] if isinstance(value, list) else x})
            largest = np.max(np.abs(array))
            simple = [np.zeros_like(array), array / largest if largest else array]
            simple += [np.where(np.abs(array) < 1e-3 * largest, 0.0, array)]
            with np.errstate(all="ignore"):
                digits = 10.0 ** np.floor(np.log10(np.where(array == 0.0, 1.0, np.abs(array))))
            simple.append(np.round(array / digits) * digits)
            simple += [changed(array, i, x) for i in range(min(array.size, 24)) for x in (0.0, 1.0)]
            yield from (put(x) for x in simple if not np.array_equal(x, array))


def listed(value):
    return value if isinstance(value, list) else [value]


def with_axes(case, name):
    """The arrays of a field with the names of their axes, which one string may give for all of them."""
    arrays, axes = listed(case[name]), listed(case.axes[name])
    return list(zip(arrays, axes if len(axes) > 1 else axes * len(arrays)))


def taken(array, axes, axis, keep):
    for k, other in enumerate(axes):
        if other == axis:
            array = np.take(array, keep, axis=k)
    return array


def changed(array, index, value):
    array = array.copy()
    array.flat[index] = value
    return array


def weight(case):
    """What shrinking lessens: entries, then entries that are not zero, then digits."""
    arrays = [x for value in case.values() for x in listed(value) if isinstance(x, np.ndarray)]
    return sum(x.size for x in arrays), sum(np.count_nonzero(x) for x in arrays), len(request(case))


def shrink(worker, case):
    budget, searching = SHRINKING, True
    while searching and budget > 0:
        searching = False
        for candidate in smaller(case):
            if weight(candidate) >= weight(case):
                continue
            budget -= 1
            try:
                disagrees = check(worker, candidate)[2]
            except Exception:  # a shape that the reference does not take
                continue
            if disagrees:
                case, searching = candidate, True
                break
            if budget <= 0:
                break
    return case


def main():
    arguments = options()
    if arguments.cases < 1:
        sys.exit("differential.py: --cases must be at least 1")
    if arguments.check_only:
        return 0
    setup()
    worker, names = Worker(arguments.worker), arguments.only or OPERATIONS
    seen, refused, largest, failed = Counter(), Counter(), defaultdict(float), Counter()
    seconds = Counter()
    for number in range(arguments.cases):
        name, single = names[number % len(names)], number // len(names) % 2 == 1
        start = time.perf_counter()
        case = draws[name](Draw([arguments.seed, number]), single)
        part, both, disagreement = check(worker, case)
        key = (name, "f32" if case.single else "f64")
        seen[key] += 1
        refused[key] += both
        largest[key] = max(largest[key], part)
        seconds[key] += time.perf_counter() - start
        if disagreement:
            failed[key] += 1
            if failed[key] <= 3:
                case = shrink(worker, case)
                print(f"{name} {key[1]}, case {number}: {check(worker, case)[2]}\n  {request(case)}", flush=True)
    print(f"{'operation':22} scalar   cases  refused by both  of tolerance  disagree  seconds")
    for key in sorted(seen, key=lambda key: (names.index(key[0]), key[1])):
        print(f"{key[0]:22} {key[1]:6} {seen[key]:7} {refused[key]:16} {largest[key]:13.3f} {failed[key]:9} "
              f"{seconds[key]:8.1f}")
    print(f"{sum(seen.values())} cases, {sum(failed.values())} disagreements")
    return 1 if failed else 0


def setup():
    """Imports what --help does not need."""
    global np, Draw, Refused, references, draws
    try:
        import numpy as np
        import torch

        import laws
        import operations
        import training
    except ImportError as error:
        sys.exit(f"differential.py: {error}")

    Draw, Refused = operations.Draw, operations.Refused
    found = lambda name: next(vars(module)[name] for module in (operations, laws, training) if name in vars(module))
    references = {name: found(name) for name in OPERATIONS}
    draws = {name: found("draw_" + name) for name in OPERATIONS}
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")


if __name__ == "__main__":
    sys.exit(main())
