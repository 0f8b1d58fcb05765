"""Writes measured tables between their marks, in README.md and beside it, from the files under target/orthogap."""

import csv
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / "target/orthogap"


def rows(name):
    path = RESULTS / name
    try:
        with open(path, newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        sys.exit(f"tables.py: {path}: {error.strerror}; benches/readme.sh makes it")


def shown(number):
    """Two or three digits, as a reader wants them."""
    if number is None:
        return "–"
    if number >= 100:
        return f"{number:,.0f}"
    return f"{number:.0f}" if number >= 20 else f"{number:.1f}" if number >= 3 else f"{number:.2g}"


def three_digits(number):
    return f"{number:,.0f}" if number >= 1000 else f"{number:.3g}"


def table(header, lines):
    rule = ["---"] * len(header)
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, rule, *lines])


def engine():
    """A layer beside its peers."""
    cases = {}
    for row in rows("peers.csv"):
        case = cases.setdefault((int(row["d"]), int(row["n"])), {})
        scalar = case.setdefault(row["scalar"], {"ours": float(row["ours_us"])})
        scalar[row["peer"]] = float(row["ratio"]) if row["ratio"] else None

    def best(scalar, *peers):
        ratios = [scalar[peer] for peer in peers if scalar.get(peer) is not None]
        return shown(min(ratios) if ratios else None)

    lines = []
    for (d, n), scalars in cases.items():
        double, single = scalars["f64"], scalars["f32"]
        lines.append([
            f"{d}, {n}",
            f"{three_digits(double['ours'])} ({three_digits(single['ours'])})",
            best(double, "numpy-authors"),
            best(double, "numpy-explicit", "torch-explicit"),
            best(double, "numpy-streamed", "torch-streamed"),
            best(single, "numpy-streamed", "torch-streamed"),
            best(double, "numpy-batched"),
        ])
    header = ["width, batch", "a layer in f64 (f32), µs", "NumPy as the authors wrote it", "best with explicit weights"]
    header += ["best with our trick, f64", "the same, f32", "NumPy, replicates batched"]
    return table(header, lines)


def distances():
    """Wasserstein distances beside POT."""
    names = {
        "bures 64": "Bures, isotropic target, 64 dimensions",
        "bures 512": "the same, 512 dimensions",
        "bures general 64": "Bures, general target, 64 dimensions",
        "bures general 256": "the same, 256 dimensions",
        "line 10000": "one dimension, 10,000 numbers",
        "line-cold 10000": "the same, with bins made anew",
        "sliced 10000 x 16": "sliced, 10,000 x 16, 500 directions",
        "assignment 1000 x 16": "assignment, 1000 x 16",
    }
    lines = []
    for row in rows("peers_w2.csv"):
        ours, pot, ratio = (float(row[key]) for key in ("ours_ms", "pot_ms", "ratio"))
        lines.append([names.get(row["case"], row["case"]), three_digits(ours), three_digits(pot), shown(ratio)])
    return table(["case", "this crate, ms", "POT, ms", "ratio"], lines)


def operators():
    """Operators on a matrix of one's own, beside the best peer."""
    names = {
        "bn_paper_to": "batch norm, the paper's",
        "bn_standard_to": "batch norm, standard",
        "bn_pullback": "its reverse pass",
        "layernorm": "layer norm",
        "gap_of_matrix": "orthogonality gap",
        "singular_values": "singular values",
    }
    shapes = ["512x4", "1024x16", "4096x256", "65536x64"]
    cases = {(row["case"], row["scalar"]): row for row in rows("operators.csv")}
    lines = []
    for operator, name in names.items():
        line = [name]
        for shape in shapes:
            double, single = (cases[f"{operator} {shape}", scalar] for scalar in ("f64", "f32"))
            ours, ratios = float(double["ours_us"]), [float(row["ratio"]) for row in (double, single)]
            line.append(f"{three_digits(ours)}: {shown(ratios[0])} ({shown(ratios[1])})")
        lines.append(line)
    return table(["operator", *(shape.replace("x", " x ") for shape in shapes)], lines)


def figure_2b():
    """The figure's own table."""
    text = (RESULTS / "figure_2b.csv").read_text().splitlines()
    lines = [line.split(",") for line in text[1:]]
    widths = [[w, f"{float(mean):.4f}", f"{float(error):.4f}"] for w, mean, error, runs in lines if w != "slope"]
    slope = next([float(x) for x in line[1:3]] for line in lines if line[0] == "slope")
    widths.append(["slope", f"**{slope[0]:.4f}**", f"{slope[1]:.4f}"])
    return table(["width", "mean log gap", "standard error"], widths)


TABLES = {
    "README.md": {"engine": engine, "operators": operators},
    "examples/README.md": {"figure_2b": figure_2b},
    "src/guide/performance.md": {"distances": distances},
}


def main():
    for page, tables in TABLES.items():
        text = (ROOT / page).read_text()
        for name, make in tables.items():
            pattern = rf"(<!-- {name} -->\n).*?(\n<!-- /{name} -->)"
            text, found = re.subn(pattern, lambda marks: marks[1] + make() + marks[2], text, flags=re.S)
            if found != 1:
                sys.exit(f"tables.py: {page} has {found} places for the table {name}")
        (ROOT / page).write_text(text)
        print(f"wrote {page}")


main()
