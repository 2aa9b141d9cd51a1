#!/bin/sh
# What vectors of a knowledge graph are worth to DuaLK: random ones, HAKE on the hierarchy, HAKE on the graph, and HAKE on a
# graph of the same size that says nothing; five seeds of each on the patients of world.toml.
#   sh experiments/knowledge/compare.sh
#   DUALK=target/release/dualk SEEDS=1,2 sh experiments/knowledge/compare.sh
# Results are in runs/knowledge: compare.json, and the folder of the sweep with report.html.
set -eu
cd "$(dirname "$0")/../.."
dualk=${DUALK:-cargo run --release --quiet --}
here=experiments/knowledge
out=runs/knowledge
mkdir -p "$out"

$dualk synth --of $here/world.toml --knowledge 1 "$out"
$dualk synth --of $here/world.toml --knowledge 0 "$out/noise-files"

# train NAME MANIFEST SETTING...: embeddings of which `runs/knowledge/NAME` is the run.
train() {
    name=$1
    manifest=$2
    shift 2
    run=$($dualk kge train "$manifest" --set name="$name" --set output.runs="$out" "$@" | tee /dev/stderr | sed -n 's/^run: //p')
    [ -n "$run" ] || exit 1
    echo "$PWD/$run"
}
graph=$(train graph $here/graph.toml)
hierarchy=$(train hierarchy $here/hierarchy.toml)
noise=$(train noise $here/graph.toml --set data.source.1.path="$PWD/$out/noise-files/knowledge.tsv")

cat >"$out/sweep.toml" <<END
extends = "$PWD/$here/world.toml"
name = "knowledge"

[sweep]
seeds = [${SEEDS:-1, 2, 3, 4, 5}]
list = [
    { "model.node_init" = { type = "random", dim = 128 } },
    { "model.node_init" = { type = "hake", kge = "$hierarchy" } },
    { "model.node_init" = { type = "hake", kge = "$graph" } },
    { "model.node_init" = { type = "hake", kge = "$noise" } },
]
END
$dualk sweep "$out/sweep.toml" --out "$out/sweep"
$dualk compare "$out/sweep" --format json >"$out/compare.json"
