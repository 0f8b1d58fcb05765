#!/usr/bin/env bash
# All checks of orthogap-mpi: its tests under mpirun, lints and docs, an example whose CSV and
# folder have the same bytes from 1 to 4 ranks of 1 and 2 threads, and the cost model beside 1 to 4 ranks.
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

# Optimised, so that tests and example share one build. It cannot share that of the core alone, whose
# dependencies have other features.
step cargo test --release -p orthogap-mpi
step cargo clippy -p orthogap-mpi --all-targets -- -D warnings
RUSTDOCFLAGS='-D warnings' step cargo doc --no-deps -p orthogap-mpi
step cargo build --release -p orthogap-mpi --examples

program=${CARGO_TARGET_DIR:-target}/release/examples/distributed
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
step "$program" --quick --threads 1 --csv "$results/one_thread.csv" --folder "$results/one_thread"
step "$program" --quick --threads 2 --csv "$results/two_threads.csv" --folder "$results/two_threads"
for ranks in 1 2 3 4; do
    for threads in 1 2; do
        name=${ranks}_ranks_$threads
        step mpirun -n "$ranks" --allow-run-as-root --oversubscribe \
            "$program" --quick --threads "$threads" --csv "$results/$name.csv" --folder "$results/$name"
    done
done
for csv in "$results"/*.csv; do
    step cmp "$results/one_thread.csv" "$csv"
    step diff -r "$results/one_thread" "${csv%.csv}"
done
# Simulated ranks have the bits of one; the program fails if they do not.
for ranks in 1 2 3 4; do
    step mpirun -n "$ranks" --allow-run-as-root --oversubscribe "${program%distributed}scaling_model"
done
