#!/usr/bin/env python3
"""From raw MIMIC-IV tables to cohort, vocabulary, split and graph: `dualk bench prepare` beside pandas and Polars.

    pip install pandas polars
    cargo build --release
    python book/bench/prepare.py --rows 1000000          # half a minute: does everything run?
    python book/bench/prepare.py --rows 10000000 --gzip

`dualk bench prepare --generate` writes made-up tables once. Each measurement is a process of its own, and all sides take
turns. Measured are:

- pandas: whole tables by `read_csv` with the needed columns, then `groupby`, `merge` and plain loops over admissions;
- pandas, rows: the same, but with `iterrows` over the filtered lab events and diagnoses, as much research code has it;
- Polars: the lab events alone, by a lazy scan on the streaming engine, filter and `group_by`.

Every side must find as many patients, admissions, codes, abnormal items and edges. Markdown on standard output: medians,
peak resident memory, and how many times as long as `dualk` each takes.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]


def table(folder, name):
    plain = folder / f"{name}.csv"
    return plain if plain.exists() else folder / f"{name}.csv.gz"


def with_pandas(folder, rowwise):
    import pandas as pd

    def read(name, columns, **kwargs):
        return pd.read_csv(table(folder, name), usecols=columns, **kwargs)

    patients = read("patients", ["subject_id", "anchor_year", "anchor_year_group"])
    admissions = read("admissions", ["subject_id", "hadm_id", "admittime"], parse_dates=["admittime"])
    offset = patients.anchor_year - patients.anchor_year_group.str[:4].astype(int)
    admissions = admissions.merge(patients[["subject_id"]].assign(offset=offset), on="subject_id")
    admissions = admissions[admissions.admittime.dt.year - admissions.offset > 2012]
    admissions = admissions.sort_values(["subject_id", "admittime"], kind="stable")

    icd = pd.read_csv(folder / "icd10-icd9.csv", dtype=str).set_index("ICD10").ICD9.to_dict()
    diagnoses = read("diagnoses_icd", ["subject_id", "hadm_id", "icd_code", "icd_version"], dtype={"icd_code": str})
    diagnoses = diagnoses[diagnoses.subject_id.isin(set(admissions.subject_id))]
    codes_of = defaultdict(list)
    if rowwise:
        for _, row in diagnoses.iterrows():
            code = icd.get(row.icd_code) if row.icd_version == 10 else row.icd_code
            if code is not None:
                codes_of[row.hadm_id].append(code)
    else:
        new = diagnoses.icd_version == 10
        diagnoses.loc[new, "icd_code"] = diagnoses.loc[new, "icd_code"].map(icd)
        diagnoses = diagnoses.dropna(subset=["icd_code"])
        codes_of.update(diagnoses.groupby("hadm_id", sort=False).icd_code.agg(list).to_dict())
    visits = {p: list(a) for p, a in admissions.groupby("subject_id", sort=False).hadm_id}
    visits = {p: a for p, a in visits.items() if all(v in codes_of for v in a)}
    kept = {v for a in visits.values() for v in a}

    start = time.perf_counter()
    events = read("labevents", ["hadm_id", "itemid", "flag"])
    events = events[(events.flag == "abnormal") & events.hadm_id.isin(kept)]
    if rowwise:
        labs = defaultdict(set)
        for _, row in events.iterrows():
            labs[int(row.hadm_id)].add(row.itemid)
    else:
        labs = events.groupby("hadm_id").itemid.agg(set).to_dict()
    lab_seconds = time.perf_counter() - start

    numbers = {}
    for several in (True, False):
        for p, a in visits.items():
            if (len(a) > 1) == several:
                for v in a:
                    for code in codes_of[v]:
                        numbers.setdefault(code, len(numbers) + 1)
    # The published split: patients who bring a code first, the longest history, then random ones.
    import numpy as np

    multi = [p for p, a in visits.items() if len(a) > 1]
    train_number, test_number = len(multi) * 8 // 10, len(multi) // 10
    common, seen = set(), set()
    for p in multi:
        codes = {code for v in visits[p] for code in codes_of[v]}
        if not codes <= seen:
            common.add(p)
            seen |= codes
    common.add(max(multi, key=lambda p: len(visits[p])))
    rest = np.array(list(set(multi) - common))
    np.random.seed(42)
    np.random.shuffle(rest)
    train = list(common) + rest[: train_number - len(common)].tolist()
    graph_patients = [p for p, a in visits.items() if len(a) == 1] + train
    pairs, total = defaultdict(int), defaultdict(int)
    for p in graph_patients:
        for v in visits[p]:
            codes = [numbers[code] for code in codes_of[v]]
            for i, a in enumerate(codes):
                for b in codes[i + 1 :]:
                    if a != b:
                        pairs[a, b] += 1
                        pairs[b, a] += 1
            if len(codes) > 1:
                for a in set(codes):
                    total[a] += len(codes) - 1
    weights = {(a, b): n / total[a] for (a, b), n in pairs.items()}
    return {
        "phases": {"rows of labevents": lab_seconds},
        "admissions": len(kept),
        "codes": sum(len(codes_of[v]) for v in kept),
        "lab_items": sum(len(s) for s in labs.values()),
        "edges": len(weights) + len(total),
    }


def with_polars(folder):
    import polars as pl

    start = time.perf_counter()
    wanted = (pl.col("flag") == "abnormal") & pl.col("hadm_id").is_not_null()
    events = pl.scan_csv(table(folder, "labevents")).filter(wanted)
    sets = events.group_by("hadm_id").agg(pl.col("itemid").unique()).collect(engine="streaming")
    return {"phases": {"rows of labevents": time.perf_counter() - start}, "sets": sets.height}


def child(side, folder):
    start = time.perf_counter()
    result = with_polars(folder) if side == "polars" else with_pandas(folder, side == "pandas-rows")
    result["seconds"] = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result["peak_rss_gib"] = peak / (2**30 if sys.platform == "darwin" else 2**20)
    print(json.dumps(result))


def run(command):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"failed: {' '.join(map(str, command))}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of labevents")
    parser.add_argument("--gzip", action="store_true", help="read .csv.gz")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sides", default="pandas,pandas-rows,polars")
    parser.add_argument("--cache", type=Path, default=CLONE / "target" / "bench-prepare")
    parser.add_argument("--dualk", type=Path, default=CLONE / "target" / "release" / "dualk")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        return child(args.child[0], Path(args.child[1]))
    ours = [args.dualk, "bench", "prepare", "--rows", args.rows, "--cache", args.cache]
    ours += ["--gzip"] if args.gzip else []
    folder = subprocess.run([str(c) for c in [*ours, "--generate"]], stdout=subprocess.PIPE, text=True, check=True)
    folder = folder.stdout.strip()
    commands = {"dualk": ours}
    commands |= {s: [sys.executable, __file__, "--child", s, folder] for s in args.sides.split(",")}
    results = defaultdict(list)
    for turn in range(args.repeats):
        for side, command in commands.items():
            results[side].append(run(command))
            print(turn, side, json.dumps(results[side][-1]), file=sys.stderr)
    for side in set(commands) - {"polars"}:
        for key in set(results["dualk"][0]) & set(results[side][0]) - {"seconds", "peak_rss_gib", "phases"}:
            if results[side][0][key] != results["dualk"][0][key]:
                sys.exit(f"{side} and dualk differ in {key}: {results[side][0][key]} and {results['dualk'][0][key]}")

    def median(side, key):
        return statistics.median(r["phases"][key] if key in r["phases"] else r[key] for r in results[side])

    load = os.getloadavg()[0]
    print(f"{args.rows:,} lab rows, {'.csv.gz' if args.gzip else '.csv'}, {os.cpu_count()} cores, load {load:.1f}\n")
    print("| | seconds | times dualk | lab events, s | times dualk | peak GiB |\n|---|---|---|---|---|---|")
    for side in commands:
        whole, labs = median(side, "seconds"), median(side, "rows of labevents")
        times = "" if side == "polars" else f"{whole / median('dualk', 'seconds'):.1f}"
        whole = "" if side == "polars" else f"{whole:.2f}"
        ratio = labs / median("dualk", "rows of labevents")
        print(f"| {side} | {whole} | {times} | {labs:.2f} | {ratio:.1f} | {median(side, 'peak_rss_gib'):.2f} |")


if __name__ == "__main__":
    main()
