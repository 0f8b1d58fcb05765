#!/bin/sh
# Times orthogap's operators on a matrix against NumPy, PyTorch, SciPy and POT, one thread each; prints a table
# and writes it as CSV. `run_ops.sh --help` lists the options. The first run installs the pinned Python packages
# (about 620 MB to download, 1.5 GB on disk) into target/orthogap/peers-venv. PYTHON chooses the interpreter,
# 3.11 or later.
set -eu
compare=compare_ops.py
. "$(dirname "$0")/setup.sh"
check_options "$@"
need requirements.txt requirements_w2.txt
build peers_worker train_worker
run "$@"
