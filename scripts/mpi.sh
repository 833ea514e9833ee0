#!/bin/sh
# Training by several processes: builds the program with MPI and tests it under mpirun. Exit code 77: no MPI library or no libclang is to be had here; why, and
# what to do, is on standard error.
#
#     sh scripts/mpi.sh            the tests
#     sh scripts/mpi.sh faults     each failure 20 times in a row (FAULTS)
#     sh scripts/mpi.sh scaling    two ranks of one thread against one, in turn, 3 times (TIMES)
set -eu
cd "$(dirname "$0")/.."

features=$(cat scripts/features),mpi
target=${CARGO_TARGET_DIR:-target}

there() { command -v mpirun >/dev/null 2>&1 && command -v mpicc >/dev/null 2>&1 && ls /usr/lib/*/libclang*.so* /usr/lib/llvm-*/lib/libclang*.so* >/dev/null 2>&1; }

# Elsewhere than on Debian, libclang is where LIBCLANG_PATH says, or cargo says that it is not.
if ! there && ! { [ -n "${LIBCLANG_PATH:-}" ] && command -v mpirun >/dev/null 2>&1; }; then
    if [ "$(uname -s)" = Linux ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "no MPI was found: installing it (apt-get install libopenmpi-dev openmpi-bin libclang-dev)"
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq libopenmpi-dev openmpi-bin libclang-dev; } >&2 || {
            echo "no MPI can be installed; on Debian or Ubuntu: sudo apt-get install libopenmpi-dev openmpi-bin libclang-dev" >&2
            exit 77
        }
    else
        echo "no MPI was found; on Debian or Ubuntu: sudo apt-get install libopenmpi-dev openmpi-bin libclang-dev" >&2
        exit 77
    fi
fi

# As root in a container; on fewer cores than ranks.
OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM

# value KEY FILE: a number of a summary.json.
value() { sed -n "s/^  \"$1\": \([0-9.e+-]*\),*$/\1/p" "$2"; }

# measure NAME COMMAND...: trains, and prints symbols a second and the share of time in exchanges.
measure() {
    name=$1
    shift
    rm -rf "$work/$name"
    "$@" --out "$work/$name" --quiet >/dev/null
    echo "$(value tokens_per_second "$work/$name/summary.json") $(value rank_exchange_seconds "$work/$name/summary.json") $(value seconds_training "$work/$name/summary.json")"
}

scaling() {
    cargo build --release --quiet --features "$features" --bin retrograd
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    echo "| cell | hidden | one rank, symbols/s | two ranks, symbols/s | times | in exchanges |"
    echo "|---|---|---|---|---|---|"
    for cell in ${CELLS:-lstm rnn}; do
        for hidden in ${SIZES:-256 512}; do
            for _ in $(seq "${TIMES:-3}"); do
                train="$target/release/retrograd train --cell $cell --hidden $hidden --updates ${UPDATES:-60} --sample 0 --val-fraction 0 --device cpu --save-every 100000"
                one=$(measure one taskset -c 0 $train --batch 32)
                two=$(measure two mpirun -n 2 --bind-to core $train --batch 64 --lane-groups 2)
                echo "$cell $hidden $one $two" | awk '{ printf "| %s | %d | %.0f | %.0f | %.2f | %.1f%% |\n", $1, $2, $3, $6, $6 / $3, 100 * $7 / $8 }'
            done
        done
    done
}

case "${1:-}" in
faults) RETROGRAD_FAULTS=${FAULTS:-20} exec cargo test --workspace --features "$features" --quiet --test together -- --test-threads=1 ends_all ranks_that_differ ;;
scaling) scaling ;;
"") exec cargo test --workspace --features "$features" --quiet --test together -- --test-threads=1 ;;
*) echo "usage: sh scripts/mpi.sh [faults|scaling]" >&2 && exit 2 ;;
esac
