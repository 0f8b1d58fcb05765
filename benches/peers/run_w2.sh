#!/bin/sh
# Times orthogap's Wasserstein distances against POT, one thread each; prints a table and writes it as CSV.
# `run_w2.sh --help` lists the options. The first run installs the pinned Python packages (about 60 MB) into
# target/orthogap/peers-w2-venv. PYTHON chooses the interpreter, 3.11 or later.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=$(cd "$here/../.." && pwd)/target
python=${PYTHON:-python3}
venv=$target/orthogap/peers-w2-venv

fail() {
    echo "run_w2.sh: $1" >&2
    exit 1
}

command -v "$python" >/dev/null || fail "no $python found: install Python 3.11 or later, or set PYTHON"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$python is older than 3.11: set PYTHON to a later one"
if ! cmp -s "$here/requirements_w2.txt" "$venv/installed"; then
    echo "run_w2.sh: installing the Python packages into $venv" >&2
    rm -rf "$venv"
    "$python" -m venv "$venv" || fail "cannot create a virtual environment: is the venv module installed?"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps \
        -r "$here/requirements_w2.txt" || fail "cannot install POT"
    cp "$here/requirements_w2.txt" "$venv/installed"
fi

cargo build --quiet --release --features assignment --example peers_w2_worker \
    --manifest-path "$here/../../Cargo.toml" --target-dir "$target"
# One thread, before NumPy reads them.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
exec "$venv/bin/python" -B "$here/compare_w2.py" "$@"
