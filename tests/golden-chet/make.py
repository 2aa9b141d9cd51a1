"""Makes chet.safetensors: outputs and gradients of the published Chet (Lu, Han and Ning, AAAI 2022).

The published code is no part of this repository. With Python 3.11 and exactly these packages, which it checks:
    git clone https://github.com/LuChang-CS/Chet && git -C Chet checkout 2cec030
    pip install torch==2.15.0 safetensors==0.8.0 numpy==2.4.6
    python tests/golden-chet/make.py Chet

The graph, the neighbours and the division of every visit come from its preprocessing, the patient vectors from its model
without the classifier. Everything is computed in 64 bits from inputs that 32 bits hold, and stored in 32. Names are those of
tests/golden-pyg: `input.x` are the embeddings of diagnoses, `param.` has the others by their paths here, in torch's layout.
Nodes are the published codes plus one; node 0 is padding, whose rows are zeros.
"""

import contextlib
import io
import sys
from pathlib import Path

import numpy
import safetensors
import torch
from safetensors.torch import save_file

sys.path.insert(0, sys.argv[1])
sys.modules["pandas"] = type(sys)("pandas")  # its parsers of tables alone call it
from models.model import Model
from preprocess.auxiliary import divide_middle, generate_code_code_adjacent, generate_neighbors, normalize_adj
from preprocess.parse_csv import EHRParser

for package, version in {torch: "2.15.0", safetensors: "0.8.0", numpy: "2.4.6"}.items():
    found = package.__version__.split("+")[0]
    assert found == version, f"{package.__name__} is {found}, expected {version}"

CODES, CODE_SIZE, GRAPH_SIZE, HIDDEN, THRESHOLD = 11, 6, 5, 7, 0.15

# Admissions of training patients, which the graph counts. Code 10 has no company, pairs below the threshold are among them.
COUNTED = [[0, 1, 2], [0, 1], [2, 3, 4], [3, 4], [4, 5, 6], [6, 7, 0], [7, 8], [8, 9, 1], [0, 1, 3, 5], [9, 2], [10]]
COUNTED += [[0, 1, 4], [0, 2], [1, 2, 8], [5, 6]]

# Codes that stay, that come from the neighbours and that do not; visits of one kind alone; codes that leave and return.
PATIENTS = [
    [[0, 1, 5], [0, 1, 2], [2, 4, 9], [2, 4]],
    [[3]],
    [[7, 8], [7, 8], [7, 8], [10]],
    [[10], [3, 6], [10, 3]],
    [[2, 9, 6], [1, 0, 10, 6, 8]],
    [[5], [6], [5], [5, 6, 4]],
]


def ragged(name, lists, shift):
    offsets = numpy.cumsum([0] + [len(one) for one in lists])
    return {f"{name}.offsets": offsets, f"{name}.members": [member + shift for one in lists for member in one]}


def encoded():
    """Graph, codes, neighbours and division, as the published preprocessing makes them."""
    column = EHRParser.adm_id_col
    admissions = dict(enumerate(COUNTED))
    patient = {0: [{column: admission} for admission in admissions]}
    with contextlib.redirect_stdout(io.StringIO()):
        counts = generate_code_code_adjacent([0], patient, admissions, CODES, THRESHOLD)
        lengths = numpy.array([len(visits) for visits in PATIENTS])
        x = numpy.zeros((len(PATIENTS), lengths.max(), CODES), dtype=bool)
        for p, visits in enumerate(PATIENTS):
            for t, codes in enumerate(visits):
                x[p, t, codes] = True
        neighbours = generate_neighbors(x, lengths, counts)
        divided = divide_middle(x, neighbours, lengths)
    parts = [x, divided, neighbours, lengths]
    return torch.from_numpy(normalize_adj(counts)), [torch.from_numpy(part) for part in parts]


def padded(rows):
    return torch.cat([torch.zeros(1, rows.shape[1], dtype=rows.dtype), rows])


def paths(model):
    """Path here → parameter. Two biases shift all scores of a softmax alike, and are not there."""
    embeddings, transition = model.embedding_layer, model.transition_layer
    attention, cell = transition.single_head_attention, transition.gru
    assert attention.dense_k.bias.grad.abs().max() < 1e-12 and model.attention.dense.bias.grad.abs().max() < 1e-12
    named = {"neighbours": embeddings.n_embeddings, "unrelated": embeddings.u_embeddings}
    layers = {"embed": model.graph_layer.dense, "query": attention.dense_q, "value": attention.dense_v}
    for path, layer in layers.items():
        named |= {f"{path}.weight": layer.weight, f"{path}.bias": layer.bias}
    named |= {"key.weight": attention.dense_k.weight, "project.weight": model.attention.dense.weight}
    named |= {"cell.ih.weight": cell.weight_ih, "cell.ih.bias": cell.bias_ih}
    return named | {"cell.hh.weight": cell.weight_hh, "cell.hh.bias": cell.bias_hh, "score.weight": model.attention.context}


def tensors(model):
    """Parameters and their gradients, as this project has them."""
    found = {}
    for path, p in paths(model).items():
        for kind, value in (("param", p), ("grad.param", p.grad)):
            value = padded(value) if path in ("neighbours", "unrelated") else value
            found[f"{kind}.{path}"] = value.T if path == "score.weight" else value
    x = model.embedding_layer.c_embeddings
    return found | {"input.x": padded(x), "grad.x": padded(x.grad)}


def main():
    torch.manual_seed(15)
    adjacency, batch = encoded()
    kinds = batch[1].sum((0, 1, 2))
    assert (kinds > 4).all(), f"diagnoses that stay, of neighbours and of others: {kinds}"
    model = Model(CODES, CODE_SIZE, adjacency, GRAPH_SIZE, HIDDEN, GRAPH_SIZE, HIDDEN, 1, 0.0, None)
    model.classifier = torch.nn.Identity()
    model.double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape) * 0.5)
    output = model(*batch)
    cotangent = torch.randn(output.shape).double()
    (output * cotangent).sum().backward()
    found = tensors(model) | {"output": output, "cotangent": cotangent}
    found = {name: value.detach().float().contiguous().clone() for name, value in found.items()}
    visits = [codes for patient in PATIENTS for codes in patient]
    starts = numpy.cumsum([0] + [len(patient) for patient in PATIENTS])
    rows = [list(range(start, end)) for start, end in zip(starts, starts[1:])]
    integers = ragged("counted", COUNTED, 1) | ragged("codes", visits, 1) | ragged("visits", rows, 0)
    found |= {name: torch.as_tensor(value, dtype=torch.int64) for name, value in integers.items()}
    save_file(found, Path(__file__).parent / "chet.safetensors")


if __name__ == "__main__":
    main()
