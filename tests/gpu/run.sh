#!/bin/sh
# Tests and measures this program on a machine with an NVIDIA GPU; the folder around is what pack.sh packed.
#
#   run.sh RESULTS [PART ...]
#
# Parts, in this order when none is named: machine parity step ops eval kge pyg quickstart sanitizer; and wn18rr, the published setting
# in full. RESULTS gets a file of output and,
# of what is measured, one of JSON lines for each; summary.tsv says how each ended; page.md is the whole for people. A part that
# fails does not keep the others from running; the exit code says whether all ended well.
#
# DUALK_TEST_DEVICE names another device than cuda, such as wgpu: a rehearsal, of all parts on small sizes, with ten times the time.
set -u
results=${1:?usage: run.sh RESULTS [PART ...]}
shift
parts=${*:-machine parity step ops eval kge pyg quickstart sanitizer}
mkdir -p "$results"
results=$(cd "$results" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
cd "$here" || exit 1

# NVRTC and CUDA's headers: of the system, of a CUDA toolkit, or of Python's packages.
for folder in "${CUDA_PATH:-}" /usr/local/cuda $(python3 -c 'import nvidia, os; print(*(os.path.join(p, "cu13") for p in nvidia.__path__))' 2> /dev/null); do
    [ -n "$folder" ] && [ -d "$folder/include" ] || continue
    for lib in "$folder/lib64" "$folder/lib"; do
        [ -n "$(find "$lib"/ -maxdepth 1 -name 'libnvrtc.so*' 2> /dev/null)" ] || continue
        LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$lib"
        CUDA_PATH=$folder
        break 2
    done
done
[ -z "${CUDA_PATH:-}" ] || export CUDA_PATH
export LD_LIBRARY_PATH="$here/bin${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export DUALK_TESTS="$here/tests" DUALK_GOLDEN="$here/tests/golden" DUALK_TEST_DEVICE="${DUALK_TEST_DEVICE:-cuda}" DUALK_CACHE=off
device=$DUALK_TEST_DEVICE
dualk="$here/bin/dualk"
case $device in
cuda*)
    slow=1 sizes='' widths='' repeats='--repeats 20' steps='--steps 20 --warm-up 5' patients=1000 kge='128,256 512,1024'
    triples='--dim 500 --entities 40943 --relations 11 --steps 20 --ranked 1000' short_kge='' short_run=''
    precisions='bf16 tf32'
    ;;
*)
    slow=10 sizes='--nodes 300 --edges 4000 --targets 200 --labs 30,20,10' widths='--widths 32,32' repeats='--repeats 2 --width 32'
    steps='--steps 4 --warm-up 2' patients=300 kge='128,16 512,16' short_kge='--set train.steps=60 --set model.dim=8'
    triples='--dim 16 --entities 300 --relations 3 --triples 3000 --steps 4 --ranked 20'
    short_run='--set data.parser.patients=900 --set data.parser.clusters=6 --set data.parser.codes=120 --set data.parser.labs=40'
    precisions=bf16
    echo "$device" > "$results/rehearsal"
    ;;
esac

failed=0
# part SECONDS NAME COMMAND ...: output to NAME.txt, how it ended to summary.tsv. JSON lines go to NAME.jsonl as well.
part() {
    limit=$1 name=$2
    shift 2
    begin=$(date +%s.%N)
    code=0
    timeout $((limit * slow)) "$@" > "$results/$name.txt" 2>&1 || code=$?
    grep '^{' "$results/$name.txt" > "$results/$name.jsonl" || rm -f "$results/$name.jsonl"
    seconds=$(echo "$(date +%s.%N) $begin" | awk '{ printf "%.1f", $1 - $2 }')
    printf '%s\t%s\t%s\n' "$name" "$code" "$seconds" | tee -a "$results/summary.tsv"
    [ $code = 0 ] || failed=1
}

for name in $parts; do
    case $name in
    machine)
        [ $slow != 1 ] || part 60 machine nvidia-smi
        part 60 doctor "$dualk" doctor
        ;;
    parity)
        # Small work: all at once.
        (part 240 parity-ops bin/test-dualk_sdk --include-ignored ops optimizer model) &
        (part 240 parity-models bin/test-golden_models --skip dropout) &
        (part 240 parity-reference bin/test-golden_reference --skip dropout) &
        (part 240 parity-pyg bin/test-golden_pyg) &
        (part 240 parity-kge bin/test-golden_kge) &
        (part 240 parity-trajectory bin/test-golden_trajectory) &
        wait
        grep -qE '^parity[a-z-]*	[^0]' "$results/summary.tsv" && failed=1
        ;;
    step)
        for stage in pretrain individual finetune; do
            # shellcheck disable=SC2086 # lists of words
            part 150 "step-$stage" "$dualk" bench step --device "$device" --stage $stage $steps $sizes $widths ${sizes:+--features 64}
        done
        for precision in $precisions; do
            # shellcheck disable=SC2086
            part 150 "step-$precision" "$dualk" bench step --device "$device" --stage pretrain $steps $sizes $widths \
                ${sizes:+--features 64} --set "backend.precision=$precision"
        done
        ;;
    ops)
        # shellcheck disable=SC2086
        part 120 ops "$dualk" bench ops --device "$device" --no-plain $repeats $sizes ${sizes:+--features 64}
        ;;
    eval)
        # shellcheck disable=SC2086
        part 90 eval "$dualk" bench eval --device "$device" --patients $patients $sizes $widths ${sizes:+--features 64}
        ;;
    kge)
        for size in $kge; do
            # shellcheck disable=SC2086
            part 90 "kge-${size%,*}" "$dualk" bench kge --device "$device" --batch "${size%,*}" --negatives "${size#*,}" $triples
        done
        # shellcheck disable=SC2086
        python3 -c 'import torch; assert torch.cuda.is_available()' 2> /dev/null && for size in $kge; do
            part 90 "kge-pytorch-${size%,*}" python3 book/bench/kge.py --device cuda --batch "${size%,*}" --negatives "${size#*,}" --steps 10
        done
        # shellcheck disable=SC2086
        [ ! -d wn18rr ] || part 200 kge-wn18rr "$dualk" kge train wn18rr-small.toml --device "$device" $short_kge \
            --set "data.triples=$here/wn18rr" --set "output.runs=$results/runs"
        ;;
    wn18rr)
        # shellcheck disable=SC2086
        [ ! -d wn18rr ] || part 900 wn18rr-full "$dualk" kge train wn18rr-full.toml --device "$device" $short_kge \
            --set "data.triples=$here/wn18rr" --set "output.runs=$results/runs"
        ;;
    pyg)
        python3 -c 'import torch_geometric, torch; assert torch.cuda.is_available()' 2> /dev/null || {
            echo "pyg: PyTorch + PyG with CUDA are not installed here"
            continue
        }
        for precision in '' --tf32; do
            part 150 "pyg${precision#--}" python3 book/bench/pyg.py --dualk "$dualk" --device "$device" --styles vectorised \
                --no-eval --repeats 1 --steps 10 --warm-up 3 --json "$results/pyg${precision#--}.json" $precision
        done
        ;;
    quickstart)
        # shellcheck disable=SC2086
        part 200 quickstart "$dualk" run quickstart.toml --device "$device" $short_run --set "output.runs=$results/runs"
        ;;
    sanitizer)
        command -v compute-sanitizer > /dev/null || {
            echo "sanitizer: there is no compute-sanitizer here"
            continue
        }
        part 200 sanitizer compute-sanitizer --error-exitcode 9 "$here/bin/test-dualk_sdk" ops
        ;;
    *) echo "run.sh: no part is called $name" >&2 && exit 2 ;;
    esac
done
python3 page.py "$results" > "$results/page.md" || {
    rm -f "$results/page.md"
    echo "no page.md: page.py beside this script writes it from $results, with Python 3" >&2
}
exit $failed
