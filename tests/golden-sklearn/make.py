"""Values of metrics on random inputs, for tests/library/properties/rankings.rs.

    pip install scikit-learn==1.9.1 lifelines==0.30.3
    python tests/golden-sklearn/make.py > tests/golden-sklearn/metrics.json

Scores are eighths, which 32 bits hold, with ties in half of the cases. What scikit-learn refuses, such as an area without
negatives, is null.
"""

import json
import warnings

import lifelines
import numpy as np
import sklearn
from lifelines.utils import concordance_index
from sklearn import metrics as m

assert (sklearn.__version__, lifelines.__version__) == ("1.9.1", "0.30.3")
warnings.simplefilter("ignore")
random = np.random.default_rng(7)


def value(function, *args, **kwargs):
    try:
        found = float(function(*args, **kwargs))
    except (ValueError, ZeroDivisionError):
        return None
    return found if np.isfinite(found) else None


def scores_of(shape, ties):
    if ties:
        return random.integers(-12, 12, shape) / 8
    return random.permutation(np.arange(np.prod(shape))).reshape(shape) / 8 - np.prod(shape) / 16


def both_classes(y):
    return [c for c in range(y.shape[1]) if 0 < y[:, c].sum() < len(y)]


def labels(case):
    rows, columns, ties = int(random.integers(1, 10)), int(random.integers(2, 8)), case % 2 == 0
    scores = scores_of((rows, columns), ties)
    y = (random.random((rows, columns)) < random.choice([0.15, 0.5, 0.85])).astype(int)
    p = 1 / (1 + np.exp(-scores))
    # As many of the highest scores of a row as it has positives; equal scores by column.
    order = np.argsort(-scores, axis=1, kind="stable")
    marked = np.zeros_like(y)
    for row, best in enumerate(order):
        marked[row, best[: y[row].sum()]] = 1
    columns_with_both = both_classes(y)
    macro = lambda f: float(np.mean([f(y[:, c], scores[:, c]) for c in columns_with_both])) if columns_with_both else None
    with_positives = y.sum(1) > 0
    k = int(random.integers(1, columns + 1))
    ndcg = None
    if not ties and with_positives.any():
        ndcg = float(m.ndcg_score(y[with_positives], scores[with_positives], k=k))
    above = (scores > 0).astype(int)
    f1 = lambda average: value(m.f1_score, y, marked, average=average, zero_division=1)
    return {
        "columns": columns,
        "scores": scores.ravel().tolist(),
        "positives": [np.flatnonzero(row).tolist() for row in y],
        "k": k,
        "F1 weighted": f1("weighted") if y.any() else None,
        "F1 macro": f1("macro"),
        "F1 micro": f1("micro"),
        "AUROC micro": value(m.roc_auc_score, y.ravel(), scores.ravel()),
        "AUPRC micro": value(m.average_precision_score, y.ravel(), scores.ravel()) if y.any() else None,
        "AUROC macro": macro(m.roc_auc_score),
        "AUPRC macro": macro(m.average_precision_score),
        "log loss": value(m.log_loss, y.ravel(), p.ravel(), labels=[0, 1]),
        "Brier": value(m.mean_squared_error, y.ravel(), p.ravel()),
        "NDCG": ndcg,
        "Jaccard": value(m.jaccard_score, y, above, average="samples", zero_division=0),
        "F1 at half": value(m.f1_score, y.ravel(), above.ravel(), zero_division=0),
    }


def numbers():
    rows = int(random.integers(2, 12))
    predicted, truth = random.integers(-40, 40, rows) / 8, random.integers(-40, 40, rows) / 8
    times, events = random.integers(1, 12, rows) / 2, random.random(rows) < 0.7
    return {
        "predicted": predicted.tolist(),
        "truth": truth.tolist(),
        "times": np.where(events, times, -times).tolist(),
        "MAE": value(m.mean_absolute_error, truth, predicted),
        "RMSE": value(m.root_mean_squared_error, truth, predicted),
        "R2": value(m.r2_score, truth, predicted, force_finite=False),
        "C-index": value(concordance_index, times, -predicted, events),
    }


def classes():
    """Classes of which one is true: of an example, what scikit-learn says of the softmax of its scores."""
    rows, columns = int(random.integers(1, 12)), int(random.integers(2, 8))
    scores = random.integers(-24, 24, (rows, columns)) / 8
    truth = random.integers(0, columns, rows)
    y = np.eye(columns, dtype=int)[truth]
    # As 32-bit numbers, so that what is equal but for rounding is equal.
    logs = np.float32(scores - np.log(np.exp(scores).sum(1, keepdims=True)))
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    top, right = p.max(1), scores.argmax(1) == truth
    assert np.abs(top * 15 - np.round(top * 15)).min() > 1e-5, "a probability is on the edge of a bin"
    bins = np.minimum((top * 15).astype(int), 14)
    ece = sum(abs(top[bins == b].sum() - right[bins == b].sum()) for b in range(15)) / rows
    columns_with_both = both_classes(y)
    macro = lambda f: float(np.mean([f(y[:, c], logs[:, c]) for c in columns_with_both])) if columns_with_both else None
    return {
        "columns": columns,
        "scores": scores.ravel().tolist(),
        "classes": truth.tolist(),
        "AUROC micro": value(m.roc_auc_score, y.ravel(), logs.ravel()),
        "AUPRC micro": value(m.average_precision_score, y.ravel(), logs.ravel()),
        "AUROC macro": macro(m.roc_auc_score),
        "AUPRC macro": macro(m.average_precision_score),
        "log loss": value(m.log_loss, truth, p, labels=range(columns)),
        # The sum over classes, as Brier has it: for two classes scikit-learn halves it unless told not to.
        "Brier": value(m.brier_score_loss, truth, p, labels=range(columns), scale_by_half=False),
        "ECE": float(ece),
    }


found = {"labels": [labels(case) for case in range(60)], "numbers": [numbers() for _ in range(40)]}
found["classes"] = [classes() for _ in range(30)]
lines = lambda cases: ",\n".join(json.dumps(case) for case in cases)
parts = ",\n".join(f'"{part}": [\n{lines(cases)}\n]' for part, cases in found.items())
print(f"{{{parts}}}")
