#!/bin/sh
# Builds the Python package into a virtual environment in target/ and runs its tests. Exit code 77: Python 3.11 or later, venv or pip is not to be had here;
# why, and what to do, is on standard error. RETROGRAD_LONG=1 runs the tests of memory and of the notebooks in full, and those with torch.
set -eu
cd "$(dirname "$0")/.."

root=$(pwd)
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}
export CARGO_TARGET_DIR
environment=$CARGO_TARGET_DIR/python

python=""
for name in python3 python3.14 python3.13 python3.12 python3.11 python; do
    if command -v "$name" >/dev/null 2>&1 && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$name
        break
    fi
done
[ -n "$python" ] || { echo "Python 3.11 or later was not found; on Debian or Ubuntu: sudo apt-get install python3 python3-venv" >&2; exit 77; }

if [ ! -x "$environment/bin/python" ] || ! "$environment/bin/python" -m pip --version >/dev/null 2>&1; then
    rm -rf "$environment"
    "$python" -m venv "$environment" >&2 || {
        rm -rf "$environment"
        echo "no virtual environment can be made; on Debian or Ubuntu: sudo apt-get install python3-venv" >&2
        exit 77
    }
fi
cmp LICENSE-MIT python/LICENSE-MIT
cmp LICENSE-APACHE python/LICENSE-APACHE
cargo fmt --check --manifest-path python/Cargo.toml
pip() { "$environment/bin/python" -m pip --disable-pip-version-check "$@"; }
needed="maturin yamllint mypy nbclient ipykernel numpy pandas polars pytest scikit-learn"
[ -z "${RETROGRAD_LONG:-}" ] || needed="$needed pyarrow tqdm torch"
pip install --quiet $needed || { echo "pip could not install $needed" >&2; exit 77; }

"$environment/bin/python" -m yamllint -d '{extends: default, rules: {line-length: disable, document-start: disable, truthy: disable, braces: {max-spaces-inside: 1}, comments: {min-spaces-from-content: 1}}}' .github/workflows

# The command line of the same sources, which gives the same bytes. Cargo has built it for the tests.
cargo build --quiet --workspace --features "$(cat scripts/features)" --bin retrograd
RETROGRAD_BIN=$CARGO_TARGET_DIR/debug/retrograd
export RETROGRAD_BIN

cargo clippy --quiet --release --manifest-path python/Cargo.toml -- -D warnings
"$python" scripts/licences.py python/Cargo.toml "$CARGO_TARGET_DIR/licences"
(cd python && PATH="$environment/bin:$PATH" VIRTUAL_ENV=$environment maturin develop --release --quiet)
# A folder of its own: what is tested is what is installed.
cd python
"$environment/bin/python" -m pytest -q -rs -p no:cacheprovider "$@"
