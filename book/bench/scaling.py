#!/usr/bin/env python3
"""Time and memory of a training step against the number of edges and the size of a batch, as JSON and a drawing.

    pip install -r book/bench/requirements.txt
    python book/bench/scaling.py --small --out scaling-small      # minutes: does everything run?
    python book/bench/scaling.py --out book/src/img/scaling       # writes scaling.json and scaling.svg

Each point is a process of its own, `dualk bench step --stage pretrain`. Edges go from a tenth to eight times those of
MIMIC-IV with its batch of 256, batches from 16 to 1,024 with its edges; both axes of the drawings are logarithmic, so
that a straight line of slope 1 is growth in proportion.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]
FACTORS = [0.1, 0.25, 0.5, 1, 2, 4, 8]
BATCHES = [16, 64, 256, 1024]
FULL = {"nodes": 7946, "edges": 1_725_287, "targets": 7337, "features": 2000, "widths": "256,256"}
SMALL = {"nodes": 800, "edges": 20_000, "targets": 700, "features": 64, "widths": "32,32"}


def measure(args, size, **changes):
    """What `dualk bench step` says of one size."""
    flags = {**size, "stage": args.stage, "steps": args.steps, "warm-up": 1, "device": args.device, **changes}
    command = [args.dualk, "bench", "step", *(x for k, v in flags.items() for x in (f"--{k}", str(v)))]
    command += ["--threads", str(args.threads)] if args.threads else []
    print(" ".join(f"{k} {v}" for k, v in changes.items()), file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(done.returncode)
    return json.loads(done.stdout)


def short(number):
    """1725287 -> 1.7M"""
    for size, letter in [(1e6, "M"), (1e3, "k")]:
        if number >= 2 * size:
            return f"{number / size:.2g}{letter}" if number < 10 * size else f"{number / size:.0f}{letter}"
    return f"{number:g}"


def draw(edges, batches, file):
    import matplotlib

    matplotlib.use("svg")
    # The same numbers give the same file.
    matplotlib.rcParams.update({"svg.hashsalt": "dualk", "font.size": 9})
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FuncFormatter, NullLocator

    figure, axes = plt.subplots(2, 2, figsize=(8, 6), sharex="col", sharey="row")
    rows = [("step_s", "seconds a step"), ("peak_rss_gib", "peak memory, GiB")]
    columns = [(edges, "edges", "edges of the graph"), (batches, "batch", "patients a step")]
    for r, (quantity, y_label) in enumerate(rows):
        for c, (points, key, x_label) in enumerate(columns):
            axis = axes[r][c]
            axis.loglog([p[key] for p in points], [p[quantity] for p in points], "o-", color="#1f5fa8")
            axis.grid(True, which="both", linewidth=0.4, alpha=0.6)
            axis.set_xticks([p[key] for p in points], [short(p[key]) for p in points])
            axis.xaxis.set_minor_locator(NullLocator())
            for set_formatter in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
                set_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            if r == 1:
                axis.set_xlabel(x_label)
            if c == 0:
                axis.set_ylabel(y_label)
            if quantity == "step_s":
                low, high = [p["step_s_min"] for p in points], [p["step_s_max"] for p in points]
                axis.fill_between([p[key] for p in points], low, high, color="#1f5fa8", alpha=0.2, linewidth=0)
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = Path(os.environ.get("CARGO_TARGET_DIR", CLONE / "target"))
    parser.add_argument("--dualk", default=str(target / "release" / "dualk"), help="the program")
    parser.add_argument("--small", action="store_true", help="a small graph and narrow layers")
    parser.add_argument("--stage", default="pretrain")
    parser.add_argument("--steps", type=int, default=3, help="steps that are measured at each size")
    parser.add_argument("--factors", type=float, nargs="*", default=FACTORS, help="of the number of edges")
    parser.add_argument("--batches", type=int, nargs="*", default=BATCHES)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="default: all")
    parser.add_argument("--out", default="scaling", help="path of the two files, without .json and .svg")
    parser.add_argument("--redraw", action="store_true", help="draw the measurements that are there")
    args = parser.parse_args()
    numbers = Path(f"{args.out}.json")
    if not args.redraw:
        size = SMALL if args.small else FULL
        edges = [measure(args, size, edges=int(size["edges"] * f)) for f in args.factors]
        batches = [measure(args, size, batch=b) for b in args.batches]
        numbers.parent.mkdir(parents=True, exist_ok=True)
        numbers.write_text(json.dumps({"edges": edges, "batches": batches}, indent=1) + "\n")
    points = json.loads(numbers.read_text())
    draw(points["edges"], points["batches"], f"{args.out}.svg")


if __name__ == "__main__":
    main()
