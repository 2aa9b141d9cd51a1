#!/usr/bin/env bash
# Tries readers of bytes with libFuzzer, which sees what code an input reaches, through bolero and on the released compiler:
#   cargo install cargo-bolero --locked --no-default-features --features libfuzzer    # once; and a compiler of C++
#   tests/bolero/run.sh pickle 3600    # a reader, for an hour
# Readers are pickle, checkpoint (zip) and descriptor, which are built in seconds, and, with SDK and plugins, whose build takes as
# long as that of the program: manifest; mimic3, mimic4, eicu, omop, i2b2, csv and meds, the tables of parsers; dialect, compressed and
# parquet, tables of none; safetensors, npz, vectors, triples and sources. Each for an hour, one after the other:
#   for reader in $(tests/bolero/run.sh --list); do tests/bolero/run.sh "$reader" 3600; done
# An input may take ten seconds and a gibibyte. What fails is in dualk-bolero/READER/crashes of temporary files, and the same
# command begins with it.
#
# Without a name the three are tried for a second with what comes by chance, for which cargo is enough; with `whole` the others.
set -euo pipefail
cd "$(dirname "$0")"
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
RUSTUP_TOOLCHAIN=$(sed -n 's/^channel = "\(.*\)"/\1/p' ../../rust-toolchain.toml)
export RUSTUP_TOOLCHAIN
alone='pickle checkpoint descriptor'
whole=$(sed -n '/^targets! {/,$s/^    \([a-z0-9]*\): .*/\1/p' tests/whole.rs)
if [ "${1:-}" = --list ]; then
    printf '%s\n' $alone $whole
    exit
fi
# The versions that the program is built with; cargo adds those of bolero.
cp ../../Cargo.lock Cargo.lock
manifest=$PWD/Cargo.toml
place=${TMPDIR:-/tmp}/dualk-bolero
mkdir -p "$place"
# From elsewhere, because .cargo/config.toml of the clone asks for shared libraries.
cd /
if [ $# = 0 ]; then
    CARGO_TARGET_DIR="$place/chance" cargo test --release --manifest-path "$manifest"
    exit
fi
features=()
built="$place/coverage"
case " $alone " in
*" $1 "*) ;;
*)
    features=(--features whole)
    built="$place/coverage-whole"
    # Plugins are shared libraries, and share one SDK.
    export RUSTFLAGS='-C prefer-dynamic -C rpath'
    ;;
esac
if [ "$1" = whole ]; then
    CARGO_TARGET_DIR="$place/chance-whole" cargo test --release --manifest-path "$manifest" "${features[@]}" --test whole
    exit
fi
cargo bolero test "$1" --manifest-path "$manifest" --target-dir "$built" "${features[@]}" --sanitizer NONE \
    --corpus-dir "$place/$1/corpus" --crashes-dir "$place/$1/crashes" -T "${2:-60}s" --engine-args=-rss_limit_mb=1024
