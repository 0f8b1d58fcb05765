#!/bin/sh
# Times orthogap's operators on a matrix against NumPy and PyTorch, one thread each; prints a table and
# writes it as CSV. `run_ops.sh --help` lists the options. The first run installs the pinned Python packages
# (about 560 MB to download, 1.3 GB on disk) into target/orthogap/peers-venv. PYTHON chooses the interpreter,
# 3.11 or later.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=$(cd "$here/../.." && pwd)/target
python=${PYTHON:-python3}
venv=$target/orthogap/peers-venv

fail() {
    echo "run_ops.sh: $1" >&2
    exit 1
}

install() {
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps "$@"
}

command -v "$python" >/dev/null || fail "no $python found: install Python 3.11 or later, or set PYTHON"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$python is older than 3.11: set PYTHON to a later one"
if ! cmp -s "$here/requirements.txt" "$venv/installed"; then
    echo "run_ops.sh: installing the Python packages into $venv" >&2
    rm -rf "$venv"
    "$python" -m venv "$venv" || fail "cannot create a virtual environment: is the venv module installed?"
    if install -r "$here/requirements.txt"; then
        "$venv/bin/python" "$here/torch_cpu.py" || echo "run_ops.sh: the PyTorch columns will be empty" >&2
    else
        echo "run_ops.sh: PyTorch cannot be installed here; its columns will be empty" >&2
        install "$(grep '^numpy==' "$here/requirements.txt")" || fail "cannot install NumPy"
    fi
    cp "$here/requirements.txt" "$venv/installed"
fi

cargo build --quiet --release --example peers_worker --manifest-path "$here/../../Cargo.toml" \
    --target-dir "$target"
# Native kernels for the peers, and one thread, before NumPy reads them.
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
exec "$venv/bin/python" -B "$here/compare_ops.py" "$@"
