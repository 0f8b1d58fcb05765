# What run.sh, run_ops.sh and run_w2.sh share. Each sets `compare`, its Python program, and reads this file.
#
# Packages go into one virtual environment, target/orthogap/peers-venv, file of requirements by file, once.
# PYTHON chooses the interpreter, 3.11 or later.
here=$(cd "$(dirname "$0")" && pwd)
target=$(cd "$here/../.." && pwd)/target
python=${PYTHON:-python3}
venv=$target/orthogap/peers-venv

fail() {
    echo "${0##*/}: $1" >&2
    exit 1
}

# Answers --help, and refuses bad options, before anything is installed or built.
check_options() {
    command -v "$python" >/dev/null || fail "no $python found: install Python 3.11 or later, or set PYTHON"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$python is older than 3.11: set PYTHON to a later one"
    for word; do
        case $word in -h | --help) exec "$python" -B "$here/$compare" --help ;; esac
    done
    "$python" -B "$here/$compare" --check-only "$@"
}

pip_install() {
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps "$@"
}

# Installs files of requirements; without PyTorch or POT their columns stay empty, without NumPy nothing goes.
need() {
    if ! [ -x "$venv/bin/python" ]; then
        rm -rf "$venv"
        "$python" -m venv "$venv" || fail "cannot create a virtual environment: is the venv module installed?"
    fi
    for file; do
        cmp -s "$here/$file" "$venv/$file" && continue
        echo "${0##*/}: installing $file into $venv" >&2
        if ! pip_install -r "$here/$file"; then
            echo "${0##*/}: $file cannot be installed here; the columns of its packages will be empty" >&2
            pip_install "$(grep '^numpy==' "$here/$file")" || fail "cannot install NumPy"
        elif grep -q '^torch==' "$here/$file"; then
            "$venv/bin/python" "$here/torch_cpu.py" ||
                echo "${0##*/}: the PyTorch columns will be empty" >&2
        fi
        cp "$here/$file" "$venv/$file"
    done
}

# Builds examples, with everything that one of them needs.
build() {
    for example; do
        cargo build --quiet --release --features assignment,sinkhorn --example "$example" \
            --manifest-path "$here/../../Cargo.toml" --target-dir "$target"
    done
}

# Compares, with one thread and with the peers' native kernels.
run() {
    unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
    export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
    # glibc keeps what is freed: a result that a call allocates costs no page faults.
    export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184
    exec "$venv/bin/python" -B "$here/$compare" "$@"
}
