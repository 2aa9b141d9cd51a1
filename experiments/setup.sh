#!/bin/sh
# Checks what a build needs before its minutes are spent, then builds everything:
#   sh experiments/setup.sh                  check and build
#   sh experiments/setup.sh --check          check alone
#   sh experiments/setup.sh --prefix ~/.local   build and install there
set -eu
cd "$(dirname "$0")/.."

# What a release build with lints and documentation takes on Linux, in GB, and one to spare; book/src/build.md has the measured sizes.
disk_gb=6
memory_gb=4

prefix=
only_check=
while [ $# -gt 0 ]; do
    case "$1" in
    --check) only_check=yes ;;
    --prefix)
        [ $# -gt 1 ] || { echo "error: --prefix needs a folder" >&2; exit 2; }
        prefix=$2
        shift
        ;;
    *)
        sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
    esac
    shift
done

missing=0
problem() {
    printf 'missing: %s\n         %s\n' "$1" "$2" >&2
    missing=1
}

command -v cargo > /dev/null || problem 'Rust' 'install it from https://rustup.rs; the toolchain is chosen by rust-toolchain.toml'
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
printf 'int main(void) { return 0; }\n' > "$scratch/main.c"
cc "$scratch/main.c" -o "$scratch/main" 2> /dev/null && "$scratch/main" ||
    problem 'a C compiler and linker' 'Debian and Ubuntu: apt install build-essential; Fedora: dnf install gcc; macOS: xcode-select --install'

target=${CARGO_TARGET_DIR:-target}
place=$target
while [ ! -d "$place" ]; do place=$(dirname "$place"); done
free_gb=$(df -Pk "$place" | awk 'NR == 2 { print int($4 / 1048576) }')
if [ ! -e "$target/release/dualk" ] && [ "$free_gb" -lt "$disk_gb" ]; then
    problem "disk: $free_gb GB are free in $place" "a build takes $disk_gb GB; name another folder with CARGO_TARGET_DIR"
fi
if [ -r /proc/meminfo ]; then
    memory=$(awk '/MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)
    [ "$memory" -ge "$memory_gb" ] ||
        problem "memory: $memory GB are free" "compiling burn takes $memory_gb GB; close programs, or build with fewer jobs: CARGO_BUILD_JOBS=1"
fi
[ "$missing" = 0 ] || exit 1

cores=$(getconf _NPROCESSORS_ONLN 2> /dev/null || echo 2)
echo "All that a build needs is there ($free_gb GB of disk, $cores cores)."
[ -z "$only_check" ] || exit 0
if [ ! -e "$target/release/dualk" ]; then
    echo "The first build compiles burn and what reads Parquet: about 14 minutes on 2 cores, less on more. Later ones are short."
fi
cargo build --release
if [ -n "$prefix" ]; then
    cargo run --release --quiet -- install --prefix "$prefix"
fi
echo
echo "Next: cargo run --release -- run experiments/quickstart.toml"
