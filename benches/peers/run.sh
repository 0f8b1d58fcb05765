#!/bin/sh
# Times orthogap against NumPy and PyTorch, one thread each; prints a table and writes it as CSV.
# `run.sh --help` lists the options. The first run installs the pinned Python packages (about 560 MB to
# download, 1.3 GB on disk) into target/orthogap/peers-venv. PYTHON chooses the interpreter, 3.11 or later.
set -eu
compare=compare.py
. "$(dirname "$0")/setup.sh"
check_options "$@"
need requirements.txt
build peers_worker
run "$@"
