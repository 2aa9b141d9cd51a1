#!/usr/bin/env python3
"""The results of run.sh as one page of Markdown: page.py RESULTS."""

import json
import sys
from pathlib import Path

results = Path(sys.argv[1])


def lines(name):
    path = results / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(head, rows):
    print("|", " | ".join(head), "|")
    print("|", " | ".join("---" if i == 0 else "--:" for i in range(len(head))), "|")
    for row in rows:
        print("|", " | ".join(str(cell) for cell in row), "|")
    print()


rehearsal = results / "rehearsal"
if rehearsal.exists():
    print(f"# Rehearsal on {rehearsal.read_text().strip()}\n\nSmall sizes, on a device that is no GPU of NVIDIA's: times mean nothing.\n")
else:
    print("# Results on a GPU\n")
doctor = results / "doctor.txt"
if doctor.exists():
    print("```text\n" + doctor.read_text().strip() + "\n```\n")
summary = [line.split("\t") for line in (results / "summary.tsv").read_text().splitlines()]
table(["part", "ended", "seconds"], [[n, {"0": "well", "124": "out of time"}.get(c, f"with {c}"), s] for n, c, s in summary])
steps = [r for part in ("pretrain", "individual", "finetune", "bf16", "tf32") for r in lines(f"step-{part}")]
if steps:
    print("Training steps:\n" if rehearsal.exists() else "Training steps of MIMIC-IV size:\n")
    ms = lambda s: f"{s * 1e3:.2f}"
    table(
        ["stage", "device", "precision", "batch", "ms", "least", "most", "GFLOP/s"],
        [
            [r["stage"], r["device"], r["precision"], r["batch"], ms(r["step_s"]), ms(r["step_s_min"]), ms(r["step_s_max"]),
             f"{r['gflop_per_s']:.0f}" if r["gflop_per_s"] else ""]
            for r in steps
        ],
    )
operations = lines("ops")
if operations:
    print("Operations; bytes and floating-point operations are counted from the equations:\n")
    table(
        ["operation", "pass", "ms", "GB/s", "GFLOP/s"],
        [
            [r["kernel"], r["pass"], f"{r['seconds'] * 1e3:.3f}", f"{r['gb_per_s']:.0f}", f"{r['gflop_per_s']:.0f}"]
            for r in operations
        ],
    )
for r in lines("eval"):
    print(f"Evaluation of {r['patients']} patients: forward pass {r['forward_s'] * 1e3:.1f} ms, metrics {r['metrics_s'] * 1e3:.1f} ms, all measures {r['assess_s'] * 1e3:.1f} ms.\n")
embeddings = [r for batch in (128, 512) for r in lines(f"kge-{batch}")]
if embeddings:
    print(f"Training steps of HAKE, d {embeddings[0]['dim']}, {embeddings[0]['entities']:,} entities, and the ranking of triples on both sides:\n")
    table(
        ["batch", "negatives", "ms", "least", "most", "of these waiting for batches", "ranking, s"],
        [
            [r["batch"], r["negatives"], f"{r['step_s'] * 1e3:.2f}", f"{r['step_s_min'] * 1e3:.2f}", f"{r['step_s_max'] * 1e3:.2f}",
             f"{r['wait_s'] * 1e3:.2f}", f"{r['rank_s']:.2f}"]
            for r in embeddings
        ],
    )
theirs = [r for batch in (128, 512) for r in lines(f"kge-pytorch-{batch}")]
if theirs:
    print(f"The same steps in PyTorch {theirs[0]['torch']}, as the published code does them:\n")
    table(["batch", "negatives", "ms", "least"], [[r["batch"], r["negatives"], f"{r['step_s'] * 1e3:.1f}", f"{r['step_s_min'] * 1e3:.1f}"] for r in theirs])
for name, setting in (("kge-wn18rr", "small"), ("wn18rr-full", "published")):
    ended = results / f"{name}.txt"
    if ended.exists():
        print(f"The {setting} setting of WN18RR ended with:\n\n```text\n" + "\n".join(ended.read_text().splitlines()[-14:]) + "\n```\n")
for name, what in (("pyg", "32 bits"), ("pygtf32", "TF32 in PyTorch")):
    path = results / f"{name}.json"
    if path.exists():
        result = json.loads(path.read_text())
        versions = ", ".join(f"{package} {version}" for package, version in result["versions"].items())
        print(f"Beside PyTorch + PyG on the same card, {what} ({versions}):\n")
        table(
            ["case", "side", "ms", "least", "most", "time ÷ dualk's"],
            [
                [r["case"], r["side"], f"{r['seconds'] * 1e3:.1f}", f"{r['seconds_min'] * 1e3:.1f}",
                 f"{r['seconds_max'] * 1e3:.1f}", f"{r['times_dualk']:.2f}"]
                for r in result["rows"]
            ],
        )
quickstart = results / "quickstart.txt"
if quickstart.exists():
    print("The quickstart ended with:\n\n```text\n" + "\n".join(quickstart.read_text().splitlines()[-18:]) + "\n```")
