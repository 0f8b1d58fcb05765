#!/bin/sh
# Makes the figures and the measured tables of the README, the examples and the guide anew: one command, a quarter of an hour on a
# quiet machine, most of it for the peers, whose Python packages are installed at first.
#
#   benches/readme.sh              figures, peers, tables
#   benches/readme.sh --no-peers   figures, and tables from the last results of the peers
set -eu
cd "$(dirname "$0")/.."

for figure in quickstart figure_1 figure_2b figure_6 gradient_explosion scaling; do
    cargo run --quiet --release --example "$figure"
    cp "target/orthogap/$figure.svg" benches/readme/
done
case "${1-}" in
    --no-peers) ;;
    '') sh benches/peers/run.sh && sh benches/peers/run_ops.sh && sh benches/peers/run_w2.sh ;;
    *) echo "readme.sh: unknown argument $1; there is only --no-peers" >&2; exit 1 ;;
esac
exec "${PYTHON:-python3}" -B benches/readme/tables.py
