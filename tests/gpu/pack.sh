#!/bin/sh
# Packs what a machine with a GPU needs to test and measure this program: no Rust, network or data is asked of it.
#
#   tests/gpu/pack.sh ARCHIVE.tar.xz        # then there: tar -xJf ARCHIVE.tar.xz && dualk-gpu/run.sh RESULTS
#
# The other machine: x86-64 Linux, an NVIDIA driver, NVRTC 12 or 13 and CUDA's headers (`dualk doctor` says what is missing).
# PyTorch + PyG are measured beside where they are installed. Needs cargo, tar, xz and strip here. DUALK_XZ: xz's preset, default 6.
set -eu
archive=$1
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
to="$work/dualk-gpu"
mkdir -p "$to/bin" "$to/tests/gpu" "$to/book"

cargo build --release
cargo test --release --no-run --message-format json > "$work/built.json"
# The program and its plugins, as they were built just now: a target folder keeps those of other versions.
sed -n 's/.*"filenames":\[\("[^]]*\)\].*/\1/p' "$work/built.json" | tr ',' '\n' | tr -d '"' |
    grep -E '/lib(dualk_plugin_[a-z_]*|dualk_sdk)\.so$' | sort -u | while read -r file; do cp "$file" "$to/bin/"; done
for name in dualk_sdk golden_models golden_reference golden_trajectory golden_pyg golden_kge; do
    grep -F "/release/deps/$name-" "$work/built.json" | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | while read -r file; do
        cp "$file" "$to/bin/test-$name"
    done
done
release=$(dirname "$(dirname "$(grep -o '"executable":"[^"]*/golden_models-[^"]*"' "$work/built.json" | cut -d'"' -f4)")")
cp "$release/dualk" "$to/bin/"
cp "$(rustc --print target-libdir)"/libstd-*.so "$to/bin/"
strip --strip-unneeded --remove-section=.rustc "$to"/bin/*

cp -r tests/golden tests/golden-pyg tests/golden-chet "$to/tests/"
[ ! -d ../shared/golden ] || cp -r ../shared/golden/reference ../shared/golden/trajectory-a "$to/tests/golden/"
[ ! -f ../shared/golden/cohort-a/expected.json ] || {
    mkdir -p "$to/tests/golden/cohort-a"
    cp ../shared/golden/cohort-a/expected.json "$to/tests/golden/cohort-a/"
}
cp -r book/bench "$to/book/"
cp experiments/quickstart.toml experiments/wn18rr-small.toml experiments/wn18rr-full.toml "$to/"
[ ! -d ../shared/data/wn18rr ] || {
    mkdir -p "$to/wn18rr"
    cp ../shared/data/wn18rr/*.txt "$to/wn18rr/"
}
cp tests/gpu/run.sh tests/gpu/page.py "$to/"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -I "xz -T1 --x86 --lzma2=preset=${DUALK_XZ:-6},dict=384MiB" -C "$work" -cf "$archive" dualk-gpu
echo "$archive  $(($(stat -c %s "$archive") / 1000000)) MB; unpacked $(du -sm "$to" | cut -f1) MB"
