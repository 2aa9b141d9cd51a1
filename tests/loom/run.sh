#!/usr/bin/env bash
# Tries every order of the steps of threads that write files and of a signal that ends the program, with loom and on the released
# compiler. Built in seconds.
set -euo pipefail
cd "$(dirname "$0")"
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
RUSTUP_TOOLCHAIN=$(sed -n 's/^channel = "\(.*\)"/\1/p' ../../rust-toolchain.toml)
export RUSTUP_TOOLCHAIN
# It names loom, too.
cp ../../Cargo.lock Cargo.lock
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${TMPDIR:-/tmp}}/dualk-loom"
# From elsewhere, because .cargo/config.toml of the clone asks for shared libraries.
manifest=$PWD/Cargo.toml
cd /
cargo test --release --manifest-path "$manifest"
