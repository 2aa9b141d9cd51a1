#!/usr/bin/env bash
# Interprets the tests of what the loader reads before it runs any of a plugin's code: no read outside of its bounds, of
# nothing, or of another type. Miri comes with nightly compilers alone, which nothing else here needs:
#   rustup toolchain install nightly --profile minimal --component miri,rust-src
set -euo pipefail
cd "$(dirname "$0")"
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
export CARGO_TARGET_DIR="${TMPDIR:-/tmp}/dualk-miri"
# From elsewhere, because .cargo/config.toml of the clone asks for shared libraries, which Miri does not know.
manifest=$PWD/Cargo.toml
cd /
cargo +nightly miri test --manifest-path "$manifest"
