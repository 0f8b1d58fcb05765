#!/usr/bin/env bash
# The speed gate: instructions of a layer or of a call of an operator, counted by valgrind, against
# those committed in instructions.csv. Counts do not depend on the machine's load, so they hold where times do not.
#
#   benches/instructions.sh            fails if a layer takes over 5 % more than it did
#   benches/instructions.sh --update   writes instructions.csv anew
#
# A case runs L and 2L layers; the difference leaves out whatever starting costs. valgrind offers no
# AVX-512, so this is the AVX2 code, and it needs a processor with AVX2. A new compiler may move the
# counts by a few percent. ORTHOGAP_FEATURES are features to build with, where others are built, too.
set -euo pipefail
cd "$(dirname "$0")/.."

baseline=benches/instructions.csv
header=kind,d,n,scalar,instructions
tolerance=5 # percent

# Kind, width, batch, scalar, and so many layers or calls that a run counts some ten million instructions.
cases='
streamed   32   4 f64 10000
streamed   32   4 f32 10000
streamed  512   4 f64  1000
streamed  512   4 f32  1000
streamed 1024  16 f64   100
streamed 1024  16 f32   100
streamed 2048  64 f64    10
streamed 2048  64 f32    10
explicit  256   4 f64    10
batch_norm  1024  16 f64 100
batch_norm  1024  16 f32 100
pullback    1024  16 f64 100
train       1024  16 f64 100
infer       1024  16 f64 100
sample_norm 1024  16 f64 100
gap         1024  16 f64  30
factor      1024  16 f64  10
vanilla     1024  16 f64 1000
convolution   64   8 f64  10
pooling       64  16 f64 100
haar          96  96 f64   2
bures         32  32 f64  20
line        1000   1 f64 100
'

fail() { echo "instructions.sh: $*" >&2; exit 1; }

case "${*-}" in
    '') update=false ;;
    --update) update=true ;;
    *) fail "unknown arguments $*; there is only --update" ;;
esac

if ! command -v valgrind >/dev/null; then
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
        fail 'valgrind is missing: install it with the package manager (apt-get install valgrind)'
    { apt-get update -q && apt-get install -q -y valgrind; } >&2
fi
$update || [ -f "$baseline" ] || fail "$baseline is missing: write it with --update"

cargo build --quiet --release ${ORTHOGAP_FEATURES:+--features "$ORTHOGAP_FEATURES"} --example one_layer
program=${CARGO_TARGET_DIR:-target}/release/examples/one_layer

# Instructions of `one_layer "$@"`.
count() {
    local log
    log=$(valgrind --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null \
        "$program" "$@" 2>&1) || fail "one_layer $*: $log"
    sed -n '/I *refs:/ { s/.*: *//; s/,//g; p; }' <<<"$log"
}

measured=$(mktemp)
trap 'rm -f "$measured"' EXIT
echo "$header" >"$measured"
failed=false
printf '%-24s %12s %12s %8s\n' case before now change
while read -r kind d n scalar layers; do
    [ -n "$kind" ] || continue
    once=$(count "$kind" "$d" "$n" "$scalar" "$layers")
    twice=$(count "$kind" "$d" "$n" "$scalar" $((2 * layers)))
    now=$(((twice - once) / layers))
    echo "$kind,$d,$n,$scalar,$now" >>"$measured"
    before=$(sed -n "s/^$kind,$d,$n,$scalar,//p" "$baseline" 2>/dev/null || true)
    name="$kind ${d}x$n $scalar"
    if [ -z "$before" ]; then
        printf '%-24s %12s %12d\n' "$name" - "$now"
        $update || { echo "  not in $baseline: add it with --update" && failed=true; }
        continue
    fi
    change=$((10000 * (now - before) / before)) # hundredths of a percent
    printf '%-24s %12d %12d %+7.2f%%\n' "$name" "$before" "$now" "${change}e-2"
    if $update; then
        continue
    elif [ $change -gt $((100 * tolerance)) ]; then
        echo "  slower than $tolerance % allow" && failed=true
    elif [ $change -lt $((-100 * tolerance)) ]; then
        echo '  faster: renew the baseline with --update'
    fi
done <<<"$cases"

if $update; then
    cp "$measured" "$baseline"
    echo "wrote $baseline"
elif $failed; then
    fail 'a layer has become slower'
fi
