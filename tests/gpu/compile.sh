#!/bin/sh
# Compiles every CUDA kernel that training steps and embeddings launch, on a machine without a GPU: the program runs on a stand-in for the
# driver (driver.c), NVRTC and the kernels' code are real. Lists registers, shared memory and spills of each kernel, and how
# often steps launch it. Numbers that the steps compute mean nothing there.
#
#   tests/gpu/compile.sh PROGRAM FOLDER [ARCHITECTURE ...]      # default: 75 80 90 100
#
# DUALK_STAGES names the stages (default: pretrain finetune), DUALK_ENCODERS the graph encoders (default: gat), DUALK_KGE the
# embedding models (default: hake mode rotate transe complex), DUALK_PARTS parts of other models (default: chet, and gin with batch
# normalisation), DUALK_PRECISIONS further precisions of gat's pretraining (default: bf16
# tf32).
#
# Needs cc, and NVRTC with CUDA's headers and ptxas in the folder that DUALK_NVRTC names (as PyPI's packages lay them out:
# lib, include, bin); without it they come from PyPI into ~/.cache/dualk/nvrtc (370 MB). Exit code 3: they cannot be had.
set -eu
program=$1 folder=$2
shift 2
[ $# -gt 0 ] || set -- 75 80 90 100
here=$(cd "$(dirname "$0")" && pwd)
cuda=${DUALK_NVRTC:-$HOME/.cache/dualk/nvrtc/nvidia/cu13}

if [ ! -e "$cuda/lib/libnvrtc.so.13" ] || [ ! -e "$cuda/include/crt/mma.h" ] || [ ! -e "$cuda/include/cuda_fp16.h" ]; then
    wheels=$(mktemp -d)
    trap 'rm -rf "$wheels"' EXIT
    python3 -m pip download -q --no-deps -d "$wheels" \
        nvidia-cuda-nvrtc==13.2.* nvidia-cuda-runtime==13.2.* nvidia-cuda-cccl==13.2.* nvidia-cuda-nvcc==13.2.* \
        nvidia-cuda-crt==13.2.* || {
        echo "NVRTC cannot be had from PyPI here" >&2
        exit 3
    }
    for wheel in "$wheels"/*.whl; do python3 -m zipfile -e "$wheel" "${cuda%/nvidia/cu13}"; done
fi
ptxas=$(find "$cuda" -name ptxas | head -n 1)
[ -z "$ptxas" ] || chmod +x "$ptxas"

mkdir -p "$folder/stand-in"
cc -O2 -shared -fPIC -o "$folder/stand-in/libcuda.so" "$here/driver.c" -lpthread
export LD_LIBRARY_PATH="$folder/stand-in:$cuda/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" CUDA_PATH="$cuda"

failed=0
# compile CASE ARGUMENT ...: what `dualk bench ARGUMENT ...` launches, for $architecture
compile() {
    case=$1
    shift
    out="$folder/sm_$architecture-$case"
    rm -rf "$out"
    mkdir -p "$out"
    code=0
    HOME="$out" DUALK_DRIVER_ARCH=$architecture DUALK_DRIVER_PTX="$out" DUALK_DRIVER_LOG="$out/launches.txt" \
        timeout 900 "$program" bench "$@" > "$out/output.txt" 2>&1 || code=$?
    if [ $code != 0 ] || grep -q panicked "$out/output.txt"; then
        failed=1
        echo "sm_$architecture, $case: failed" >&2
        head -n 20 "$out/output.txt" >&2
    fi
    target=$(sed -n 's/^\.target \([a-z0-9_]*\).*/\1/p' "$out"/0000-*.ptx)
    for kernel in "$out"/*.ptx; do
        used='' name=$(basename "$kernel" .ptx | sed 's/^[0-9]*-//; s/_[0-9a-f]\{8\}$//')
        [ -z "$ptxas" ] || used=$("$ptxas" -v "-arch=$target" "$kernel" -o /dev/null 2>&1 |
            grep -oE '[0-9]+ (registers|bytes smem|bytes spill stores)' | tr '\n' ',')
        printf '%s\t%s\t%s\t%s\n' "$target" "$case" "$name" "$used"
    done > "$out/kernels.tsv"
    echo "$target, $case: $(wc -l < "$out/kernels.tsv") kernels compiled; $(head -n 1 "$out/launches.txt" 2> /dev/null)"
}
for architecture in "$@"; do
    for encoder in ${DUALK_ENCODERS:-gat}; do for stage in ${DUALK_STAGES:-pretrain finetune}; do
        compile "$encoder-$stage" step --device cuda --stage "$stage" --encoder "$encoder" --nodes 60 --edges 400 \
            --features 16 --widths 8,8 --targets 40 --labs 20 --steps 3 --warm-up 1
    done; done
    # Parts with operations of their own.
    for part in ${DUALK_PARTS-chet gin}; do
        case $part in
            chet) set_part='model.patient_encoder={ type = "chet", graph = 8, hidden = 8, attention = 8 }' encoder=gat ;;
            gin) set_part='model.graph_encoder.norm="batch"' encoder=gin ;;
        esac
        compile "$part-finetune" step --device cuda --stage finetune --encoder "$encoder" --set "$set_part" --nodes 60 --edges 400 \
            --features 16 --widths 8,8 --targets 40 --labs 20 --steps 3 --warm-up 1
    done
    for precision in ${DUALK_PRECISIONS-bf16 tf32}; do
        compile "gat-pretrain-$precision" step --device cuda --stage pretrain --set "backend.precision=$precision" --nodes 60 --edges 400 \
            --features 16 --widths 8,8 --targets 40 --labs 20 --steps 3 --warm-up 1
    done
    for model in ${DUALK_KGE-hake mode rotate transe complex}; do
        compile "kge-$model" kge --device cuda --model "$model" --batch 8 --negatives 16 --dim 8 --entities 50 --relations 3 \
            --triples 40 --steps 4 --ranked 4
    done
done
cat "$folder"/sm_*/kernels.tsv > "$folder/kernels.tsv"
exit $failed
