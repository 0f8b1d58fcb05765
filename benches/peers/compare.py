"""Times orthogap against NumPy and PyTorch in one run, one thread each, by turns.

Two kinds of worker answer the same requests, one line of text for one line of JSON: `peers.py --serve` and
orthogap's own. Each round asks every worker in turn for the same case, so that a slow spell of the machine
falls on all; what is compared are the fastest batches over all rounds, in microseconds a layer.

The peers take one chain a layer deeper at a time, as orthogap does; numpy-batched alone takes many
replicate chains at once, and its time is divided by their number. ours-explicit, on demand, is orthogap's
chain with its weights drawn. `peers.py` tells what the others do.
"""

import argparse
import csv
import json
import shlex
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent.parent / "target"
CASES = "32x4,512x4,1024x16,2048x64,4096x256,65536x64"
PEERS = "numpy-authors,numpy-explicit,torch-explicit,numpy-streamed,torch-streamed,numpy-batched"
HEADER = ("case", "d", "n", "scalar", "ours_us", "peer", "peer_us", "ratio")


class Worker:
    """A process that answers request lines by JSON lines."""

    def __init__(self, name, command):
        self.name = name
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        except OSError as error:
            sys.exit(f"compare.py: cannot start {self.name}: {error.strerror}")

    def ask(self, request):
        """The answer to `request`; ends the program if there is none."""
        try:
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
            answer = json.loads(self.process.stdout.readline())
        except (BrokenPipeError, ValueError):
            sys.exit(f"compare.py: {self.name} gave no answer to {request!r}")
        if "error" in answer:
            sys.exit(f"compare.py: {self.name} answered {request!r} by: {answer['error']}")
        return answer

    def close(self):
        """Lets the process end by itself."""
        self.process.stdin.close()
        self.process.wait()


def best_times(ours, theirs, peers, d, n, scalar, rounds, seconds):
    """The least microseconds a layer over all rounds, by name; None for a peer that skips the case."""
    workers = {name: ours if name.startswith("ours") else theirs for name in ("ours", *peers)}
    best = {}
    for _ in range(rounds):
        for name, worker in workers.items():
            if best.get(name, 0.0) is None:
                continue
            us = worker.ask(f"time {name} {d} {n} {scalar} {seconds}")["us"]
            best[name] = us if us is None else min(us, best.get(name, us))
    return best


def listed(allowed, what):
    """An argparse type: a comma-separated choice of `allowed`."""

    def parse(text):
        for name in text.split(","):
            if name not in allowed:
                choice = ", ".join(allowed)
                raise argparse.ArgumentTypeError(f"unknown {what} {name!r}: choose from {choice}")
        return text.split(",")

    return parse


def cases(text):
    """An argparse type: WIDTHxBATCH,... as pairs."""
    pairs = []
    for word in text.split(","):
        width, _, batch = word.partition("x")
        if not (width.isdecimal() and batch.isdecimal() and 1 <= int(batch) <= int(width)):
            wanted = "WIDTHxBATCH with 1 <= BATCH <= WIDTH, such as 512x4"
            raise argparse.ArgumentTypeError(f"{word!r} is not {wanted}")
        pairs.append((int(width), int(batch)))
    return pairs


def positive(kind):
    """An argparse type: a positive finite number."""

    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value < float("inf"):
            wanted = "integer" if kind is int else "number"
            raise argparse.ArgumentTypeError(f"{text!r} is not a positive {wanted}")
        return value

    return parse


class Parser(argparse.ArgumentParser):
    """Reports an error in one line."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}\n")


def parse(arguments):
    """The command line."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="run.sh", description=__doc__, formatter_class=layout, allow_abbrev=False)

    def option(name, kind, default, metavar, text):
        parser.add_argument(name, type=kind, default=default, metavar=metavar, help=text)

    scalars, peers = listed(("f64", "f32"), "scalar"), listed((*PEERS.split(","), "ours-explicit"), "peer")
    table = TARGET / "orthogap/peers.csv"
    option("--cases", cases, CASES, "DxN,...", "widths and batch sizes (default %(default)s)")
    option("--scalars", scalars, "f64,f32", "S,...", "f64, f32 or both (default)")
    option("--peers", peers, PEERS, "P,...", "default %(default)s; also ours-explicit")
    option("--rounds", positive(int), 5, "N", "turns of every worker (default %(default)s)")
    option("--seconds", positive(float), 0.2, "T", "time of a turn (default %(default)s)")
    option("--csv", Path, table, "PATH", "table to write (default target/orthogap/peers.csv)")
    worker = shlex.quote(str(TARGET / "release/examples/peers_worker"))
    option("--ours", str, worker, "COMMAND", argparse.SUPPRESS)
    parser.add_argument("--check-only", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main():
    options = parse(sys.argv[1:])
    try:
        options.csv.parent.mkdir(parents=True, exist_ok=True)
        file = open(options.csv, "a" if options.check_only else "w", newline="")
    except OSError as error:
        sys.exit(f"run.sh: cannot write {options.csv}: {error.strerror}")
    if options.check_only:
        return
    ours = Worker("peers_worker", shlex.split(options.ours))
    theirs = Worker("peers.py", [sys.executable, "-B", str(HERE / "peers.py"), "--serve"])
    print(", ".join(f"{name} {version or 'missing'}" for name, version in theirs.ask("versions").items()))
    print(f"{'case':>10} {'scalar':>6} {'ours us':>11}  {'peer':15} {'peer us':>12} {'ratio':>8}")
    with file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(HEADER)
        for d, n in options.cases:
            for scalar in options.scalars:
                best = best_times(ours, theirs, options.peers, d, n, scalar, options.rounds, options.seconds)
                own = best.pop("ours")
                if own is None:
                    sys.exit(f"compare.py: {ours.name} does not time {d}x{n} {scalar}")
                for peer, us in best.items():
                    ratio = "" if us is None else f"{us / own:.2f}"
                    table.writerow((f"{d}x{n}", d, n, scalar, own, peer, "" if us is None else us, ratio))
                    shown = "-" if us is None else f"{us:,.2f}"
                    row = f"{own:11,.2f}  {peer:15} {shown:>12} {ratio or '-':>8}"
                    print(f"{f'{d}x{n}':>10} {scalar:>6} {row}", flush=True)
                file.flush()
    ours.close()
    theirs.close()
    print(f"written to {options.csv}")


if __name__ == "__main__":
    main()
