"""A perceptron beside a model of next diagnoses, for the page "Method" of the book.

    pip install torch==2.15.0 pandas pyarrow
    dualk prepare experiments/patients.toml --out data
    python tests/perceptron/compare.py data

One hidden layer over the codes of the last visit, of the one before and of all earlier ones, and over the abnormal items of
the last visit: what fine-tuning with the head `mlp` sees (`labs = "last"`, `all_visits = true`), and nothing of a graph. Every
visit after the first is learnt from, the last visit of valid patients chooses the epoch, that of test patients is reported on.
"""

import json
import sys
from pathlib import Path

import numpy
import pandas
import torch
from torch import nn

HIDDEN, DROPOUT, RATE, DECAY, BATCH, EPOCHS, PATIENCE = 512, 0.5, 1e-3, 0.01, 128, 40, 6
AGES = 3

torch.manual_seed(0)
folder = Path(sys.argv[1])
visits = pandas.read_parquet(folder / "patients.parquet").sort_values(["patient", "order"])
splits = json.loads((folder / "splits.json").read_text())
codes = {code: i for i, code in enumerate(sorted({c for row in visits.codes for c in row}))}
items = {item: i for i, item in enumerate(sorted({int(i) for row in visits.abnormal_labs for i in row}))}
of_patient = {patient: rows for patient, rows in visits.groupby("patient")}


def examples(patients, all_visits):
    inputs, targets = [], []
    for patient in patients:
        rows = of_patient[patient]
        seen = [[codes[c] for c in row] for row in rows.codes]
        labs = [[items[int(i)] for i in row] for row in rows.abnormal_labs]
        for asked in range(1, len(seen)) if all_visits else [len(seen) - 1]:
            x = numpy.zeros(AGES * len(codes) + len(items), dtype=numpy.float32)
            for visit in range(asked):
                age = min(asked - 1 - visit, AGES - 1)
                numpy.add.at(x, [age * len(codes) + c for c in seen[visit]], 1)
            x[[AGES * len(codes) + i for i in labs[asked - 1]]] = 1
            y = numpy.zeros(len(codes), dtype=numpy.float32)
            y[seen[asked]] = 1
            inputs.append(x)
            targets.append(y)
    return torch.tensor(numpy.array(inputs)), torch.tensor(numpy.array(targets))


def recall(logits, targets, k=10):
    """R@k as the book has it: hits / min(k, positives)."""
    hits = targets.gather(1, logits.topk(k, 1).indices).sum(1)
    return (hits / targets.sum(1).clamp(max=k)).mean().item()


train, valid, test = (examples(splits[part], part == "train") for part in ("train", "valid", "test"))
net = nn.Sequential(
    nn.Linear(train[0].shape[1], HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(HIDDEN, len(codes))
)
with torch.no_grad():
    net[3].bias.copy_(torch.logit(train[1].mean(0).clamp(min=1e-4)))
optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
best = (0.0, 0.0, 0)
for epoch in range(EPOCHS):
    net.train()
    for batch in torch.randperm(len(train[0])).split(BATCH):
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(net(train[0][batch]), train[1][batch])
        (loss * len(codes)).backward()
        optimizer.step()
    net.eval()
    with torch.no_grad():
        scores = [recall(net(part[0]), part[1]) for part in (valid, test)]
    # By valid alone: of epochs that are equal there, the first.
    best = max(best, (scores[0], scores[1], epoch + 1), key=lambda found: found[0])
    if epoch + 1 > best[2] + PATIENCE:
        break
print(f"{len(train[0])} examples, {len(test[0])} test patients: R@10 {best[1]:.4f} (valid {best[0]:.4f}, epoch {best[2]})")
