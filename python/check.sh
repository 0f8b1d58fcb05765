#!/usr/bin/env bash
# All checks of the Python package: lints, its tests against NumPy and against the bits of Rust,
# types, stubs and the examples' figures.
#
# Packages go into target/orthogap/python-venv. PYTHON chooses the interpreter, 3.11 or later (the
# package itself runs on 3.10).
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; "$@"; }

# The wheel is built here, not in a copy, so that what cargo has built is used again.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
venv=$CARGO_TARGET_DIR/orthogap/python-venv
pip() { "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@"; }

[ -x "$venv/bin/python" ] || step "${PYTHON:-python3}" -m venv "$venv"
step pip --no-deps -r python/requirements-test.txt
# The profile release of the wheels: level 1 takes as long to build from cold.
export PATH="$venv/bin:$PATH" # where maturin is found
step pip --no-deps --no-build-isolation --force-reinstall ./python

step cargo clippy -p orthogap-python --all-targets -- -D warnings
step "$venv/bin/python" -m pytest -q python/tests
(cd python && step "$venv/bin/python" -m mypy)
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
cd "$results" # where the installed package is found, not its source
step "$venv/bin/python" -m mypy.stubtest orthogap --concise
for example in figure_1 figure_2b; do
    MPLBACKEND=agg step "$venv/bin/python" "$OLDPWD/python/examples/$example.py"
    step test -s "$example.png"
done
