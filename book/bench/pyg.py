#!/usr/bin/env python3
"""Training steps and evaluation of DuaLK's model in PyTorch + PyG, beside `dualk bench` on the same data.

    pip install -r book/bench/requirements.txt
    python book/bench/pyg.py --small          # minutes: does everything run?
    python book/bench/pyg.py --json pyg.json  # the size of MIMIC-IV: 10 GiB of memory, half an hour

`dualk bench workload` writes the graph and the patients that both sides work on. Each measurement is a process of its
own; both sides take turns. Two ways of writing the model for PyG are measured:

- loop: over patients, and over the visits of each, as the published code does;
- vectorised: all visits of a batch at once, with PyG's segment softmax, as an experienced user writes it.

Printed: the median of each side's median step, its spread over all steps, the peak resident memory of the process,
and how many times as fast and as small `dualk` is. Markdown on standard output, progress on standard error.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]
SMALL = ["--nodes", "600", "--edges", "12000", "--targets", "500"]
PACKAGES = ["torch", "torch_geometric", "numpy", "scikit-learn"]


# ---------------------------------------------------------------------------------------------------------------------
# The model. Imports of torch are inside functions: the parent process only starts others.


def build(workload, features, widths, stage):
    """DuaLK's model with PyG's GATConv: decoders of every lab category, and for fine-tuning classifier and lab layer."""
    import torch
    from torch import nn
    from torch_geometric.nn import GATConv

    class Attention(nn.Module):
        """Per channel a softmax over the members of a set, from a square projection; the weighted sum."""

        def __init__(self, width):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(width, width))
            self.dropout = nn.Dropout(0.2)

        def one(self, members):
            """[members, width] -> [width]"""
            weights = self.dropout(torch.softmax(members @ self.weight, dim=0))
            return (weights * members).sum(0)

        def all(self, table, rows, sets, count):
            """Rows of a table, row i belonging to set sets[i] -> [count, width]"""
            from torch_geometric.utils import scatter, softmax

            scores = (table @ self.weight)[rows]
            weights = self.dropout(softmax(scores, sets, num_nodes=count, dim=0))
            return scatter(weights * table[rows], sets, dim=0, dim_size=count, reduce="sum")

    class Decoder(nn.Module):
        def __init__(self, width, outputs):
            super().__init__()
            self.fc1, self.fc2, self.fc3 = nn.Linear(width, 256), nn.Linear(256, 128), nn.Linear(128, outputs)
            self.dropout = nn.Dropout(0.4)

        def embed(self, x):
            x = self.dropout(torch.relu(self.fc1(x)))
            return self.dropout(torch.relu(self.fc2(x)))

        def forward(self, x):
            return self.fc3(self.embed(x))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            first, last = widths
            self.nodes = nn.Parameter(torch.randn(workload["nodes"], features) * 0.1)
            self.conv1, self.conv2 = GATConv(features, first), GATConv(first, last)
            self.dropout = nn.Dropout(0.2)
            self.code_fusion, self.visit_fusion = Attention(last), Attention(last)
            self.decoders = nn.ModuleList(Decoder(last, n) for n in workload["categories"])
            if stage == "finetune":
                self.lab = nn.Linear(workload["labs"], last).requires_grad_(False)
                joined = 128 * len(workload["categories"]) + 2 * last
                self.classifier = nn.Sequential(
                    nn.Linear(joined, 256), nn.ReLU(), nn.Dropout(0.4), nn.Linear(256, workload["heads"][0]["outputs"])
                )
                for decoder in self.decoders:
                    decoder.fc3.requires_grad_(False)
            if stage == "individual":
                self.requires_grad_(False)
                self.decoders[0].requires_grad_(True)

        def embeddings(self, edges):
            x = self.dropout(torch.relu(self.conv1(self.nodes, edges)))
            return self.conv2(x, edges)

        def patients_loop(self, embeddings, patients):
            out = []
            for visits in patients:
                fused = [self.code_fusion.one(embeddings[torch.tensor(codes, device=embeddings.device)]) for codes in visits]
                out.append(self.visit_fusion.one(torch.stack(fused)))
            return torch.stack(out)

        def patients_vectorised(self, embeddings, patients):
            visits = [codes for patient in patients for codes in patient]
            codes = torch.tensor([c for visit in visits for c in visit])
            visit_of_code = torch.repeat_interleave(torch.tensor([len(v) for v in visits]))
            patient_of_visit = torch.repeat_interleave(torch.tensor([len(p) for p in patients]))
            codes, visit_of_code, patient_of_visit, all_visits = (
                t.to(embeddings.device) for t in (codes, visit_of_code, patient_of_visit, torch.arange(len(visits)))
            )
            fused = self.code_fusion.all(embeddings, codes, visit_of_code, len(visits))
            return self.visit_fusion.all(fused, all_visits, patient_of_visit, len(patients))

        def logits(self, patient, labs):
            if stage == "individual":
                return [self.decoders[0](patient)]
            if stage == "pretrain":
                return [decoder(patient) for decoder in self.decoders]
            joined = [decoder.embed(patient) for decoder in self.decoders] + [patient, torch.relu(self.lab(labs))]
            return [self.classifier(torch.cat(joined, 1))]

    return Model()


def weighted_bce(logits, target):
    """The published loss of fine-tuning, both weights 1."""
    import torch

    p = torch.sigmoid(logits)
    return -(target * torch.log(p + 1e-8) + (1 - target) * torch.log(1 - p + 1e-8)).mean()


def load(folder):
    import numpy as np
    import torch

    workload = json.loads((folder / "examples.json").read_text())
    edges = np.fromfile(folder / "edges.u32", dtype="<u4").reshape(-1, 2).T.astype("int64")
    return workload, torch.from_numpy(np.ascontiguousarray(edges))


def dense(rows, columns, device="cpu"):
    import torch

    out = torch.zeros(len(rows), columns)
    for i, row in enumerate(rows):
        out[i, row] = 1.0
    return out.to(device)


def settle(device):
    """Waits until a GPU has done what was asked of it."""
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize()


# ---------------------------------------------------------------------------------------------------------------------
# Workers: one measurement a process.


def worker_step(args):
    import torch

    workload, edges = load(args.workload)
    workload["categories"] = args.labs
    torch.manual_seed(66)
    model = build(workload, args.features, args.widths, args.stage).to(args.device)
    edges = edges.to(args.device)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    bce = torch.nn.BCEWithLogitsLoss()
    loss_of = weighted_bce if args.stage == "finetune" else bce
    patients_of = model.patients_loop if args.style == "loop" else model.patients_vectorised
    size, seconds = workload["batch"], []
    for begin in range(0, len(workload["visits"]), size):
        settle(args.device)
        start = time.perf_counter()
        chosen = slice(begin, begin + size)
        finetune = args.stage == "finetune"
        labs = dense(workload["patient_labs"][chosen], workload["labs"], args.device) if finetune else None
        optimizer.zero_grad()
        patient = patients_of(model.embeddings(edges), workload["visits"][chosen])
        logits = model.logits(patient, labs)
        targets = [
            dense(rows[chosen], head["outputs"], args.device)
            for rows, head in zip(workload["targets"], workload["heads"])
        ]
        loss = sum(loss_of(x, y) for x, y in zip(logits, targets))
        loss.backward()
        optimizer.step()
        settle(args.device)
        seconds.append(time.perf_counter() - start)
    assert torch.isfinite(loss)
    gpu = torch.cuda.max_memory_allocated() / 2**30 if args.device.startswith("cuda") else None
    return {"seconds": seconds[args.warm_up :], "peak_gpu_gib": gpu}


def worker_eval(args):
    """Forward pass in batches of 256, then the metrics with NumPy and scikit-learn as users write them."""
    import numpy as np
    import torch
    from sklearn.metrics import f1_score

    workload, edges = load(args.workload)
    workload["categories"] = args.labs
    model = build(workload, args.features, args.widths, "finetune").eval().to(args.device)
    edges = edges.to(args.device)
    forward, metrics = [], []
    for _ in range(args.steps):
        start = time.perf_counter()
        with torch.no_grad():
            embeddings, rows = model.embeddings(edges), []
            for begin in range(0, len(workload["visits"]), 256):
                chosen = slice(begin, begin + 256)
                patient = model.patients_vectorised(embeddings, workload["visits"][chosen])
                labs = dense(workload["patient_labs"][chosen], workload["labs"], args.device)
                rows.append(model.logits(patient, labs)[0])
            scores = torch.cat(rows).cpu().numpy()
        forward.append(time.perf_counter() - start)
        truth = dense(workload["targets"][0], workload["heads"][0]["outputs"]).numpy()
        start = time.perf_counter()
        ranked = np.argsort(-scores, axis=1)
        marked = np.zeros_like(truth)
        for i, row in enumerate(truth):
            marked[i, ranked[i, : int(row.sum())]] = 1
        values = [f1_score(truth, marked, average="weighted", zero_division=1)]
        for k in (10, 20, 30, 40):
            hits = [truth[i, ranked[i, :k]].sum() / max(1, min(k, truth[i].sum())) for i in range(len(truth))]
            values.append(np.mean(hits))
        metrics.append(time.perf_counter() - start)
        assert np.isfinite(values).all()
    return {"forward": forward, "metrics": metrics}


def worker_check(args):
    """Both ways of writing the model give the same patients."""
    import torch

    workload, edges = load(args.workload)
    workload["categories"] = args.labs
    model = build(workload, args.features, args.widths, args.stage).eval()
    with torch.no_grad():
        embeddings, patients = model.embeddings(edges), workload["visits"][: workload["batch"]]
        difference = model.patients_loop(embeddings, patients) - model.patients_vectorised(embeddings, patients)
    return {"difference": float(difference.abs().max())}


WORKERS = {"step": worker_step, "eval": worker_eval, "check": worker_check}


# ---------------------------------------------------------------------------------------------------------------------
# The parent: starts measurements in turn and compares them.


def measured(command):
    """The last line that a command prints, as JSON, and the peak resident memory of its process in GiB."""
    quiet = {**os.environ, "PYTHONWARNINGS": "ignore::FutureWarning"}  # torch_geometric uses torch.jit
    process = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, text=True, env=quiet)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed with {process.returncode}")
    return json.loads(output.splitlines()[-1]), usage.ru_maxrss / 2**20


def python(kind, workload, args, **options):
    command = [sys.executable, __file__, "--worker", kind, "--workload", workload, "--features", args.features]
    command += ["--widths", *args.widths, "--labs", *args.labs, "--threads", args.threads, "--device", args.device]
    command += ["--tf32"] if args.tf32 else []
    for key, value in options.items():
        command += [f"--{key.replace('_', '-')}", value]
    return measured(command)


def ours_model(args):
    widths = ",".join(map(str, args.widths))
    return ["--features", args.features, "--widths", widths, "--threads", args.threads, "--device", args.device]


def sizes(args):
    labs = ",".join(map(str, args.labs))
    return [*(SMALL if args.small else []), "--labs", labs]


def note(text):
    print(text, file=sys.stderr, flush=True)


def compare_steps(args, stage, folder):
    workload = folder / stage
    steps = ["--steps", args.steps, "--warm-up", args.warm_up]
    batch = ["--batch", args.batch] if args.batch else []
    command = [args.dualk, "bench", "workload", "--stage", stage, "--out", workload, *steps, *batch, *sizes(args)]
    subprocess.run([str(c) for c in command], check=True)
    if len(args.styles) > 1:
        check, _ = python("check", workload, args, stage=stage)
        assert check["difference"] < 1e-4, f"loop and vectorised differ by {check['difference']}"
    runs = {"dualk": [], **{f"PyG, {style}": [] for style in args.styles}}
    flop = None
    for repeat in range(args.repeats):
        note(f"{stage}, {repeat + 1} of {args.repeats}")
        command = [args.dualk, "bench", "step", "--stage", stage, *steps, *batch, *sizes(args), *ours_model(args)]
        result, peak = measured(command)
        flop = result["flop"]
        times = [result["step_s_min"], result["step_s"], result["step_s_max"]]
        runs["dualk"].append({"median": result["step_s"], "all": times, "peak": peak})
        for style in args.styles:
            result, peak = python("step", workload, args, stage=stage, style=style, warm_up=args.warm_up)
            times = result["seconds"]
            runs[f"PyG, {style}"].append({"median": statistics.median(times), "all": times, "peak": peak})
    return [row(f"step, {stage}", name, measurements, runs["dualk"], flop) for name, measurements in runs.items()]


def compare_eval(args, folder):
    workload, patients = folder / "eval", 100 if args.small else 1000
    command = [args.dualk, "bench", "workload", "--stage", "finetune", "--out", workload]
    command += ["--batch", patients, "--steps", 1, "--warm-up", 0, *sizes(args)]
    subprocess.run([str(c) for c in command], check=True)
    runs = {"forward": {"dualk": [], "PyG, vectorised": []}, "metrics": {"dualk": [], "NumPy, scikit-learn": []}}
    for repeat in range(args.repeats):
        note(f"evaluation, {repeat + 1} of {args.repeats}")
        command = [args.dualk, "bench", "eval", "--patients", patients, *sizes(args), *ours_model(args)]
        ours, our_peak = measured(command)
        theirs, their_peak = python("eval", workload, args, steps=3)
        for part, sides in runs.items():
            times = [ours[f"{part}_s_min"], ours[f"{part}_s"], ours[f"{part}_s_max"]]
            (_, ours_runs), (_, their_runs) = sides.items()
            ours_runs.append({"median": ours[f"{part}_s"], "all": times, "peak": our_peak})
            their_runs.append({"median": statistics.median(theirs[part]), "all": theirs[part], "peak": their_peak})
    return [
        row(f"evaluation of {patients}, {part}", name, measurements, sides["dualk"], None)
        for part, sides in runs.items()
        for name, measurements in sides.items()
    ]


def row(case, name, runs, ours, flop):
    median = statistics.median(r["median"] for r in runs)
    peak = max(r["peak"] for r in runs)
    return {
        "case": case,
        "side": name,
        "seconds": median,
        "seconds_min": min(min(r["all"]) for r in runs),
        "seconds_max": max(max(r["all"]) for r in runs),
        "peak_rss_gib": peak,
        "gflop_per_s": flop / median / 1e9 if flop else None,
        "times_dualk": median / statistics.median(r["median"] for r in ours),
        "memory_times_dualk": peak / max(r["peak"] for r in ours),
    }


def markdown(rows):
    lines = [
        "| case | side | seconds | least – most | peak memory, GiB | GFLOP/s | time ÷ dualk's | memory ÷ dualk's |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for r in rows:
        gflop = f"{r['gflop_per_s']:.1f}" if r["gflop_per_s"] else ""
        lines.append(
            f"| {r['case']} | {r['side']} | {r['seconds']:.4g} | {r['seconds_min']:.4g} – {r['seconds_max']:.4g} "
            f"| {r['peak_rss_gib']:.2f} | {gflop} | {r['times_dualk']:.2f} | {r['memory_times_dualk']:.2f} |"
        )
    return "\n".join(lines)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = Path(os.environ.get("CARGO_TARGET_DIR", CLONE / "target"))
    parser.add_argument("--dualk", default=str(target / "release" / "dualk"), help="the program")
    parser.add_argument("--small", action="store_true", help="a small graph and narrow layers")
    parser.add_argument("--stages", nargs="*", default=["pretrain", "finetune"])
    parser.add_argument("--styles", nargs="*", default=["loop", "vectorised"])
    parser.add_argument("--no-eval", action="store_true", help="training steps alone")
    parser.add_argument("--repeats", type=int, default=2, help="processes of each side")
    parser.add_argument("--steps", type=int, default=3, help="steps that are measured in each")
    parser.add_argument("--warm-up", type=int, default=1, help="steps before, which are not")
    parser.add_argument("--batch", type=int, help="patients a step; default 256, or 32 for fine-tuning")
    parser.add_argument("--features", type=int, help="width of node features; default 2000, or 64 with --small")
    parser.add_argument("--widths", type=int, nargs=2, help="of the two layers; default 256 256, or 32 32")
    parser.add_argument("--labs", type=int, nargs="+", default=[239, 191, 15], help="items of each category")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of both sides")
    parser.add_argument("--device", default="cpu", help="of both sides: cpu, cuda, cuda:1")
    parser.add_argument("--tf32", action="store_true", help="let PyTorch multiply matrices in TF32")
    parser.add_argument("--json", type=Path, help="write the measurements to this file")
    parser.add_argument("--worker", choices=WORKERS, help=argparse.SUPPRESS)
    parser.add_argument("--workload", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.add_argument("--style", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.features = args.features or (64 if args.small else 2000)
    args.widths = args.widths or ([32, 32] if args.small else [256, 256])
    return args


def main():
    args = arguments()
    if args.worker:
        import torch

        torch.set_num_threads(args.threads)
        torch.set_float32_matmul_precision("high" if args.tf32 else "highest")
        print(json.dumps(WORKERS[args.worker](args)))
        return
    import psutil

    if not shutil.which(args.dualk):
        sys.exit(f"there is no program {args.dualk}: run `cargo build --release`, or name it with --dualk")
    free = psutil.virtual_memory().available / 2**30
    if not args.small and free < 12:
        sys.exit(f"{free:.1f} GiB of memory are free; PyG takes some 10 at this size: use --small, or free memory")
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    versions = {"python": platform.python_version(), **versions}
    busy = os.getloadavg()[0]
    machine = {"threads": args.threads, "memory_gib": psutil.virtual_memory().total / 2**30, "load_before": busy}
    if busy > 0.5:
        note(f"warning: other programs are running (load {busy:.1f}); times will be too long")
    note(", ".join(f"{name} {version}" for name, version in versions.items()) + f"; {args.threads} threads")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for stage in args.stages:
            rows += compare_steps(args, stage, Path(folder))
        if not args.no_eval:
            rows += compare_eval(args, Path(folder))
    result = {"versions": versions, "machine": machine, "small": args.small, "rows": rows}
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")
    print(", ".join(f"{name} {version}" for name, version in versions.items()) + f"; {args.threads} threads\n")
    print(markdown(rows))


if __name__ == "__main__":
    main()
