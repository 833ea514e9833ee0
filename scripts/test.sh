#!/bin/sh
# All checks: formatting, lints, tests, documentation. Needs a Vulkan driver: the GPU tests fail without one, unless RETROGRAD_TEST_DEVICES=cpu leaves them
# out. Lists at its end what was skipped and why, the minutes that each part took, and the results of the tests once more.
set -eu
cd "$(dirname "$0")/.."

have_vulkan() {
    # The loader's driver lists, where a distribution or VK_ICD_FILENAMES puts them.
    [ -n "${VK_ICD_FILENAMES:-}${VK_DRIVER_FILES:-}" ] && return 0
    for folder in /usr/share/vulkan/icd.d /usr/local/share/vulkan/icd.d /etc/vulkan/icd.d "${HOME:-/root}/.local/share/vulkan/icd.d"; do
        ls "$folder"/*.json >/dev/null 2>&1 && return 0
    done
    return 1
}

have_loader() {
    # /usr/sbin is not on every user's path; where there is no ldconfig, nothing can be said.
    libraries=$(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null) || return 0
    case "$libraries" in *libvulkan.so.1*) return 0 ;; esac
    return 1
}

# can_install: whether this user may install packages; install PACKAGE...: does it.
can_install() { [ "$(uname -s)" = Linux ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; }
install() { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@"; }

if [ "$(uname -s)" = Linux ] && [ "${RETROGRAD_TEST_DEVICES:-all}" = all ] && ! { have_vulkan && have_loader; }; then
    if can_install; then
        echo "no Vulkan driver was found: installing the software one (apt-get install mesa-vulkan-drivers)"
        install mesa-vulkan-drivers
    else
        echo "no Vulkan driver was found; the GPU tests need one. On Debian or Ubuntu:" >&2
        echo "    sudo apt-get install mesa-vulkan-drivers" >&2
        exit 1
    fi
fi
if can_install && ! command -v spirv-val >/dev/null 2>&1; then
    echo "spirv-val was not found: installing it (apt-get install spirv-tools)"
    install spirv-tools || echo "it cannot be installed: its test will be among the skipped"
fi

# What tests leave out, and what the runner says of each set.
work=$(mktemp -d)
RETROGRAD_SKIPPED=$work/skipped
export RETROGRAD_SKIPPED
: >"$RETROGRAD_SKIPPED"
: >"$work/output"
current="" minutes=""
finish() {
    code=$?
    [ "$code" = 0 ] || echo "failed: $current"
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# part NAME COMMAND...: runs it, and notes the minutes that it takes.
part() {
    current=$1 begun=$(date +%s)
    shift
    echo "== $current"
    "$@"
    minutes="$minutes$current $(echo "$(date +%s) $begun" | awk '{ printf "%.1f", ($1 - $2) / 60 }')
"
}

lint() {
    cargo clippy --workspace --all-targets --features "$(cat scripts/features)" --quiet -- -D warnings
    cargo clippy --all-targets --quiet -- -D warnings
    cargo clippy --lib --examples --no-default-features --quiet -- -D warnings
}

document() {
    RUSTDOCFLAGS="-D warnings" cargo doc --features "$(cat scripts/features)" --no-deps --quiet
}

# Tests of the whole workspace, so that all are built with the same features of the same crates. A pipe has the exit code of its last command.
tests() {
    rm -f "$work/passed"
    { cargo test --workspace --features "$(cat scripts/features)" --quiet "$@" && : >"$work/passed"; } 2>&1 | tee -a "$work/output"
    [ -e "$work/passed" ]
}

# cargo does not see modules that a macro declares.
format() {
    cargo fmt --all --check
    rustfmt --check --edition 2024 src/optimizer/*.rs
}

# where_possible NAME: runs scripts/NAME.sh, whose exit code 77 says that it can't run here.
where_possible() {
    code=0
    sh "scripts/$1.sh" 2>"$work/errors" || code=$?
    cat "$work/errors" >&2
    [ "$code" = 77 ] || return "$code"
    echo "skipped: scripts/$1.sh: $(tail -n 1 "$work/errors")" >>"$RETROGRAD_SKIPPED"
}

part "format" format
part "clippy" lint
part "documentation" document
part "tests of documentation" tests --doc
part "fuzz: some inputs for each reader" tests --bin retrograd-fuzz
part "build for wasm32" where_possible wasm
part "unit tests" tests --lib --bin retrograd
part "integration tests" tests --test it --test together
# After the tests, which build the program that it compares with.
part "Python package" where_possible python
# Last: it builds the program anew, with another feature.
part "several processes, over MPI" where_possible mpi

echo
sort -u "$RETROGRAD_SKIPPED"
echo "skipped: $(sort -u "$RETROGRAD_SKIPPED" | wc -l | tr -d ' ') tests or parts of tests, all named above"
echo
echo "minutes:"
printf '%s' "$minutes" | awk '{ m = $NF; sub(/ [^ ]*$/, ""); printf "%6.1f  %s\n", m, $0; all += m } END { printf "%6.1f  in all\n", all }'
echo
grep '^test result:' "$work/output"
