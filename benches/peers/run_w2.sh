#!/bin/sh
# Times orthogap's Wasserstein distances against POT, one thread each; prints a table and writes it as CSV.
# `run_w2.sh --help` lists the options. The first run installs the pinned Python packages (about 60 MB) into
# target/orthogap/peers-venv. PYTHON chooses the interpreter, 3.11 or later.
set -eu
compare=compare_w2.py
. "$(dirname "$0")/setup.sh"
check_options "$@"
need requirements_w2.txt
build peers_w2_worker
run "$@"
