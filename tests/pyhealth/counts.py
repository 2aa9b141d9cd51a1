"""Counts of PyHealth's tasks on the open demos, for tests/library/pyhealth.rs.

    pip install pyhealth==1.1.6 'numpy<2'
    python tests/pyhealth/counts.py ../shared/data > tests/pyhealth/counts.json

The demos that are handed in have no procedures and no drugs, without which PyHealth asks about nothing. This makes both
up, by a rule that the test has too: with `all`, every stay has one of each; with `some`, stays whose identifier 3 divides
have no procedures, and those whose identifier 4 divides no drugs.

Three views of each demo:

tables     all stays, as the tables have them
cohort     the stays that the parser keeps: of MIMIC-IV those after 2012, of patients all of whose stays have a code;
           stays have new identifiers, in the order of time
histories  the same without patients who have one stay
"""

import contextlib
import functools
import gzip
import io
import json
import os
import re
import sys
import tempfile
from pathlib import Path

os.environ["HOME"] = tempfile.mkdtemp()  # where PyHealth puts its cache

import pandas as pd
import pandarallel
import pyhealth
from pyhealth import tasks
from pyhealth.datasets import MIMIC3Dataset, MIMIC4Dataset, eICUDataset

# No other processes.
pd.core.groupby.generic.DataFrameGroupBy.parallel_apply = lambda self, f: self.apply(f)
pandarallel.pandarallel.initialize = lambda **_: None


def read(path):
    with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        return pd.read_csv(file, dtype=str)


def made_up(stays, new, which):
    """Identifiers of stays with procedures, and of those with drugs."""
    number = (stays.map(new) if new else stays).astype(int)
    everything = which == "all"
    return stays[everything | (number % 3 != 0)], stays[everything | (number % 4 != 0)]


def numbered(kept, stay, patient, histories):
    """Stays in the order of time, and numbers of seven digits for them: PyHealth sorts identifiers as texts."""
    numbers = dict(zip(kept[stay], (f"{i:07}" for i in range(len(kept)))))
    if histories:
        kept = kept[kept.groupby(patient)[stay].transform("size") > 1]
        numbers = {id: numbers[id] for id in kept[stay]}
    return kept, numbers


class Mimic:
    """Tables of MIMIC with names of columns in small letters."""

    def __init__(self, patients, admissions, diagnoses, code, capitals):
        self.patients, self.admissions, self.diagnoses = map(read, (patients, admissions, diagnoses))
        self.code, self.capitals = code, capitals

    def kept(self):
        a = self.admissions
        if "anchor_year" in self.patients:
            p = self.patients.set_index("subject_id").loc[a.subject_id]
            moved = p.anchor_year.astype(int).values - p.anchor_year_group.str[:4].astype(int).values
            a = a[a.admittime.str[:4].astype(int).values - moved > 2012]
        coded = set(self.diagnoses.dropna(subset=[self.code]).hadm_id)
        uncoded = set(a[~a.hadm_id.isin(coded)].subject_id)
        return a[~a.subject_id.isin(uncoded)]

    def ordered(self, histories):
        kept = self.kept().sort_values(["admittime", "hadm_id"])
        return numbered(kept, "hadm_id", "subject_id", histories)

    def write(self, folder, view, which):
        admissions, new = self.admissions, None
        if view != "tables":
            admissions, new = self.ordered(view == "histories")
        with_procedures, with_drugs = made_up(admissions.hadm_id, new, which)
        subject = admissions.set_index("hadm_id").subject_id
        row = lambda ids, **more: pd.DataFrame({"subject_id": subject[ids].values, "hadm_id": ids.values, **more})
        procedures = row(with_procedures, seq_num="1", icd9_code="3893", icd_code="3893", icd_version="9")
        times = {"starttime": "2100-01-01", "stoptime": "2100-01-01", "startdate": "2100-01-01", "enddate": "2100-01-01"}
        drugs = row(with_drugs, ndc="00001", **times)
        tables = {
            "patients": self.patients,
            "admissions": admissions,
            "diagnoses_icd": self.diagnoses,
            "procedures_icd": procedures,
            "prescriptions": drugs,
        }
        for name, table in tables.items():
            if new is not None and "hadm_id" in table:
                table = table[table.hadm_id.isin(new)].assign(hadm_id=lambda t: t.hadm_id.map(new))
            if self.capitals:
                name, table = name.upper(), table.rename(columns=str.upper)
            table.to_csv(folder / f"{name}.csv", index=False)


# A code of ICD-9-CM as eICU writes it: V and E codes, and numbers with up to two digits behind the dot.
ICD9 = re.compile(r"(\d{1,3}|V(0[1-9]|[1-8]\d|9[01])|E[89]\d\d)(\.\d{1,2})?")


class Eicu:
    def __init__(self, folder):
        self.patients, self.diagnoses = read(folder / "patient.csv"), read(folder / "diagnosis.csv")

    def ordered(self, histories):
        first = self.diagnoses.icd9code.dropna().str.split(",").str[0].str.strip()
        coded = set(self.diagnoses.patientunitstayid[first[first.map(lambda c: bool(ICD9.fullmatch(c)))].index])
        p = self.patients
        uncoded = set(p[~p.patientunitstayid.isin(coded)].patienthealthsystemstayid)
        kept = p[~p.patienthealthsystemstayid.isin(uncoded)]
        kept = kept.assign(begin=-kept.hospitaladmitoffset.astype(int)).sort_values(["begin", "patientunitstayid"])
        return numbered(kept.drop(columns="begin"), "patientunitstayid", "patienthealthsystemstayid", histories)

    def write(self, folder, view, which):
        patients, new = self.patients, None
        if view != "tables":
            patients, new = self.ordered(view == "histories")
        with_procedures, with_drugs = made_up(patients.patientunitstayid, new, which)
        row = lambda ids, **more: pd.DataFrame({"patientunitstayid": ids.values, **more})
        tables = {
            "patient": patients,
            "diagnosis": self.diagnoses,
            "physicalExam": row(with_procedures, physicalexampath="looked at", physicalexamoffset="0"),
            "medication": row(with_drugs, drugname="aspirin", drugstartoffset="0"),
        }
        for name, table in tables.items():
            if new is not None:
                table = table[table.patientunitstayid.isin(new)]
                table = table.assign(patientunitstayid=table.patientunitstayid.map(new))
            table.to_csv(folder / f"{name}.csv", index=False)
        regions = pd.DataFrame({"hospitalid": self.patients.hospitalid.unique(), "region": "Unknown"})
        regions.to_csv(folder / "hospital.csv", index=False)


def counted(samples, classes):
    labels = [sample.get("label") for sample in samples]
    if classes == 1:
        return {"samples": len(samples), "positives": sum(labels)}
    if classes == 10:
        return {"samples": len(samples), "classes": [labels.count(c) for c in range(classes)]}
    return {"samples": len(samples)}


def counts(dataset, name):
    of = lambda task: getattr(tasks, f"{task}_{name}_fn")
    readmission = of("readmission_prediction")
    asked = {
        "mortality": (of("mortality_prediction"), 1),
        "readmission_5": (functools.partial(readmission, time_window=5), 1),
        "readmission_15": (functools.partial(readmission, time_window=15), 1),
        "readmission_30": (functools.partial(readmission, time_window=30), 1),
        "length_of_stay": (of("length_of_stay_prediction"), 10),
        "drug_recommendation": (of("drug_recommendation"), 0),
    }
    all_of = lambda task: [sample for patient in dataset.patients.values() for sample in task(patient)]
    return {task: counted(all_of(function), classes) for task, (function, classes) in asked.items()}


def out_of_order(dataset):
    """Stays that PyHealth has before one that began earlier."""
    times = [[visit.encounter_time for visit in patient] for patient in dataset.patients.values()]
    return sum(a > b for of in times for a, b in zip(of, of[1:]))


class AnyCode:
    """Stands for the code systems, which PyHealth downloads: which one a code is of does not enter the counts."""

    def __contains__(self, code):
        return True


def main(data):
    import pyhealth.medcode

    pyhealth.medcode.ICD9CM = pyhealth.medcode.ICD10CM = AnyCode
    hosp, three = data / "mimic-iv-demo-2.2/hosp", data / "mimic-iii-demo"
    four = [hosp / f"{name}.csv.gz" for name in ("patients", "admissions", "diagnoses_icd")]
    three = [three / f"{name}.csv.gz" for name in ("PATIENTS", "ADMISSIONS", "DIAGNOSES_ICD")]
    demos = {
        "mimic4": (MIMIC4Dataset, Mimic(*four, "icd_code", False), ["diagnoses_icd", "procedures_icd", "prescriptions"]),
        "mimic3": (MIMIC3Dataset, Mimic(*three, "icd9_code", True), ["DIAGNOSES_ICD", "PROCEDURES_ICD", "PRESCRIPTIONS"]),
        "eicu": (eICUDataset, Eicu(data / "eicu-demo"), ["diagnosis", "physicalExam", "medication"]),
    }
    found = {"pyhealth": pyhealth.__version__}
    for name, (make, tables, names) in demos.items():
        views = found[name] = {}
        for view in ("tables", "cohort", "histories"):
            for which in ("all", "some"):
                with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
                    tables.write(Path(folder), view, which)
                    dataset = make(root=folder, tables=names, refresh_cache=True)
                    views.setdefault(view, {})[which] = counts(dataset, name)
                    views[view]["stays_before_earlier_ones"] = out_of_order(dataset)
    # A line a task.
    print(re.sub(r"\{[^{}]*\}", lambda innermost: " ".join(innermost[0].split()), json.dumps(found, indent=1)))


main(Path(sys.argv[1]))
