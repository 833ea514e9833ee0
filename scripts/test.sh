#!/bin/sh
# All checks: formatting, lints, tests, documentation. Needs a Vulkan driver: the GPU tests fail without one.
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

if [ "$(uname -s)" = Linux ] && ! { have_vulkan && have_loader; }; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "no Vulkan driver was found: installing the software one (apt-get install mesa-vulkan-drivers)"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq mesa-vulkan-drivers
    else
        echo "no Vulkan driver was found; the GPU tests need one. On Debian or Ubuntu:" >&2
        echo "    sudo apt-get install mesa-vulkan-drivers" >&2
        exit 1
    fi
fi

echo "== cargo fmt --check"
cargo fmt --check
# Which does not see modules that a macro declares.
rustfmt --check --edition 2024 src/optimizer/*.rs
echo "== cargo clippy"
cargo clippy --all-targets --all-features --quiet -- -D warnings
cargo clippy --all-targets --quiet -- -D warnings
cargo clippy --lib --examples --no-default-features --quiet -- -D warnings
echo "== cargo doc"
RUSTDOCFLAGS="-D warnings" cargo doc --all-features --no-deps --quiet
echo "== cargo test"
cargo test --all-features --quiet --doc
cargo test --all-features --quiet --lib --bins
cargo test --all-features --quiet --test it
