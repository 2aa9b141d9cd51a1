#!/usr/bin/env bash
# Watches the tests of what the loader reads before it runs any of a plugin's code. With Miri, where it is: no read outside of its
# bounds, of nothing, or of another type. It comes with nightly compilers alone, which nothing else here needs:
#   rustup toolchain install nightly --profile minimal --component miri,rust-src
# Elsewhere, as in CI, with AddressSanitizer, which sees the first of these: its library comes with the released compiler, and only
# the option that asks for it counts as unfinished.
set -euo pipefail
cd "$(dirname "$0")"
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
RUSTUP_TOOLCHAIN=$(sed -n 's/^channel = "\(.*\)"/\1/p' ../../rust-toolchain.toml)
export RUSTUP_TOOLCHAIN
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${TMPDIR:-/tmp}}/dualk-miri"
# From elsewhere, because .cargo/config.toml of the clone asks for shared libraries, which Miri does not know.
manifest=$PWD/Cargo.toml
cd /
if cargo +nightly miri --version > /dev/null 2>&1; then
    cargo +nightly miri test --manifest-path "$manifest"
else
    echo 'no Miri here: AddressSanitizer watches in its place'
    host=$(rustc -vV | sed -n 's/^host: //p')
    # What is never given back is no matter here, and to look for it needs rights that some have not.
    ASAN_OPTIONS=detect_leaks=0 RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address cargo test --manifest-path "$manifest" --target "$host"
fi
