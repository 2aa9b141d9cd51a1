#!/usr/bin/env bash
# Tries readers of bytes with libFuzzer, which sees what code an input reaches, through bolero and on the released compiler:
#   cargo install cargo-bolero --locked --no-default-features --features libfuzzer    # once; and a compiler of C++
#   tests/bolero/run.sh pickle 3600    # pickle, checkpoint or descriptor, for an hour
# An input may take ten seconds and a gibibyte. What fails is in dualk-bolero/READER/crashes of temporary files, and the same
# command begins with it.
#
# Without a name each reader is tried for a second with what comes by chance, for which cargo is enough.
set -euo pipefail
cd "$(dirname "$0")"
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
RUSTUP_TOOLCHAIN=$(sed -n 's/^channel = "\(.*\)"/\1/p' ../../rust-toolchain.toml)
export RUSTUP_TOOLCHAIN
manifest=$PWD/Cargo.toml
place=${TMPDIR:-/tmp}/dualk-bolero
mkdir -p "$place"
# From elsewhere, because .cargo/config.toml of the clone asks for shared libraries.
cd /
if [ $# = 0 ]; then
    CARGO_TARGET_DIR="$place/chance" cargo test --release --manifest-path "$manifest"
    exit
fi
cargo bolero test "$1" --manifest-path "$manifest" --target-dir "$place/coverage" --sanitizer NONE \
    --corpus-dir "$place/$1/corpus" --crashes-dir "$place/$1/crashes" -T "${2:-60}s" --engine-args=-rss_limit_mb=1024
