#!/usr/bin/env bash
# All that must hold of orthogap-mpi: its tests under mpirun, lints and docs, and an example whose CSV
# has the same bytes from one thread, two threads and four ranks.
#
# Installs an MPI library and libclang (for the bindings) where one is missing and apt-get is there.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; "$@"; }
fail() { echo "check.sh: $*" >&2; exit 1; }

has_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] || ldconfig -p | grep -q 'libclang[-.]' ||
        compgen -G '/usr/lib/llvm-*/lib/libclang.so*' >/dev/null
}

if ! { command -v mpicc && command -v mpirun && has_libclang; } >/dev/null; then
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
        fail 'needs an MPI library and libclang (Debian: libopenmpi-dev openmpi-bin libclang-dev)'
    step apt-get update -q
    step apt-get install -q -y --no-install-recommends libopenmpi-dev openmpi-bin libclang-dev
fi

# --workspace shares what the tests and lints of the core have compiled already.
step cargo test --workspace --lib jobs::tests
step cargo test --workspace --test ranks
step cargo clippy --workspace --all-targets --all-features -- -D warnings
RUSTDOCFLAGS='-D warnings' step cargo doc --no-deps --workspace --all-features

step cargo build --release --workspace --example distributed
program=${CARGO_TARGET_DIR:-target}/release/examples/distributed
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
step "$program" --quick --threads 1 --csv "$results/one_thread.csv"
step "$program" --quick --threads 2 --csv "$results/two_threads.csv"
for ranks in 1 2 3 4; do
    step mpirun -n "$ranks" --allow-run-as-root --oversubscribe \
        "$program" --quick --threads 1 --csv "$results/${ranks}_ranks.csv"
done
for csv in "$results"/*.csv; do
    step cmp "$results/one_thread.csv" "$csv"
done
