#!/bin/sh
# Compares orthogap with PyTorch, SciPy and POT on random cases; ends with 1 after a disagreement, whose smallest
# input it prints. `run.sh --help` lists the options. The first run installs the pinned Python packages of
# benches/peers and two of its own (about 630 MB to download, 1.6 GB on disk) into target/orthogap/peers-venv.
# PYTHON chooses the interpreter, 3.11 or later.
set -eu
compare=differential.py
. "$(dirname "$0")/../peers/setup.sh"
check_options "$@"
differential=$here
here=$here/../peers # where the files of requirements are
need requirements.txt requirements_w2.txt
here=$differential
need requirements_differential.txt
# `sweep` for serde_json with numbers that are read exactly.
cargo build --quiet --release --features assignment,sinkhorn,sweep --example differential_worker \
    --manifest-path "$here/../../Cargo.toml" --target-dir "$target"
run "$@"
