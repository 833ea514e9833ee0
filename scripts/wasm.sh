#!/bin/sh
# Builds the library for wasm32-unknown-unknown, as a browser tab would have it. Takes rustup's standard library for that target, else Debian's compiler,
# which builds its own. Exit code 77: neither is to be had here; why, and what to do, is on standard error.
set -eu
cd "$(dirname "$0")/.."

target=wasm32-unknown-unknown
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/wasm
export CARGO_TARGET_DIR

build() { "$@" --target "$target" --lib --no-default-features --profile wasm; }

size() {
    library=$CARGO_TARGET_DIR/$target/wasm/libretrograd.rlib
    echo "$library: $(($(wc -c <"$library") / 1024)) KiB"
}

installed() { rustup target list --installed 2>/dev/null | grep -qx "$target"; }

# Those who ask for Debian's compiler get it.
if [ "${WASM_TOOLCHAIN:-}" != debian ] && command -v rustup >/dev/null 2>&1; then
    if ! installed; then
        echo "the standard library for $target is missing: rustup target add $target"
        timeout 120 rustup target add "$target" >&2 || echo "rustup could not install it" >&2
    fi
    if installed; then
        build cargo build
        size
        exit 0
    fi
fi

packages="rustc-web cargo-web rust-web-src lld-19"
have_debian() { [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] && [ -x /usr/bin/wasm-ld-19 ] && [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library" ]; }

if ! have_debian; then
    command -v apt-get >/dev/null 2>&1 || { echo "no standard library for $target: rustup target add $target" >&2; exit 77; }
    if [ "$(id -u)" != 0 ]; then
        echo "no standard library for $target: rustup target add $target, or on Debian: sudo apt-get install $packages" >&2
        exit 77
    fi
    echo "the compiler for $target is missing: installing Debian's (apt-get install $packages)"
    # Packages of the web browsers' security updates are renewed often.
    apt-get update -qq || true
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >&2 || true
    have_debian || { echo "apt-get could not install $packages; without them: rustup target add $target" >&2; exit 77; }
fi

# build-std is not stable yet: the compiler is told to allow it.
RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc \
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=/usr/bin/wasm-ld-19 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="-C linker-flavor=wasm-ld" \
    build /usr/bin/cargo build -Z build-std=std,panic_abort
size
