"""Makes the files of this folder: outputs and gradients of PyTorch Geometric's layers and of PyTorch.

Run in this folder with Python 3.11 and exactly these packages, which it checks:
    pip install torch==2.15.0 torch_geometric==2.8.1 safetensors==0.8.0 numpy==2.4.6
    python make.py

Everything is computed in 64 bits from inputs that 32 bits hold, and stored in 32. A file has the inputs, the parameters
(`param.` and the path they have here, in torch's layout), `output`, `cotangent` r, and the gradients of the sum of
output · r (`grad.`). Layers come from PyG and torch where they have them; a few are written out from their papers.
"""

import math
from collections import namedtuple
from pathlib import Path

import numpy
import safetensors
import torch
import torch_geometric
from safetensors.torch import save_file
from torch import nn
from torch_geometric.nn import GATConv, GATv2Conv, GCNConv, GINConv, LGConv, SAGEConv, SGConv, TransformerConv
from torch_geometric.utils import softmax as edge_softmax

VERSIONS = {torch: "2.15.0", torch_geometric: "2.8.1", safetensors: "0.8.0", numpy: "2.4.6"}
for package, version in VERSIONS.items():
    found = package.__version__.split("+")[0]
    assert found == version, f"{package.__name__} is {found}, expected {version}"

HERE = Path(__file__).parent
F64 = torch.float64
Graph = namedtuple("Graph", "nodes edges weights")

# Isolated node 5 and 6 (source only), repeated edges 0 → 1 and 3 → 2, self loops at 2 (twice) and 4.
SMALL = Graph(
    7,
    [(0, 1), (0, 1), (1, 2), (2, 0), (3, 2), (3, 2), (2, 2), (2, 2), (4, 4), (4, 3), (6, 3), (1, 4), (0, 4)],
    [0.5, 0.25, 1.5, 0.75, 2.0, 0.125, 0.5, 3.0, 1.0, 0.375, 0.625, 0.875, 1.25],
)
ONE = Graph(1, [], [])
GRAPHS = {"small": SMALL, "one": ONE}


def rand(*shape):
    """Numbers that 32 bits hold."""
    return torch.randn(*shape).double()


def randomise(module):
    """Every parameter, biases too, gets numbers that 32 bits hold."""
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape) * 0.5)
    return module


def graph(which):
    edge_index = torch.tensor(which.edges, dtype=torch.int64).reshape(-1, 2).T.contiguous()
    return edge_index, torch.tensor(which.weights, dtype=F64)


def write(name, inputs, parameters, output, x, integers):
    """`parameters`: path here → torch parameter."""
    cotangent = rand(*output.shape)
    (output * cotangent).sum().backward()
    tensors = {f"input.{k}": v for k, v in inputs.items()} | {"output": output, "cotangent": cotangent}
    tensors |= {f"param.{k}": v for k, v in parameters.items()} | {"grad.x": x.grad}
    for path, p in parameters.items():
        # A parameter that the output does not depend on: a score with nothing to choose from.
        tensors[f"grad.param.{path}"] = torch.zeros_like(p) if p.grad is None else p.grad
    tensors = {k: v.detach().float().contiguous().clone() for k, v in tensors.items()}
    tensors |= {k: torch.as_tensor(v, dtype=torch.int64) for k, v in integers.items()}
    save_file(tensors, HERE / f"{name}.safetensors")


def linear(path, layer):
    named = {f"{path}.weight": layer.weight}
    return named if layer.bias is None else named | {f"{path}.bias": layer.bias}


# --- graph encoders ---------------------------------------------------------------------------------------------------


def encoder(name, make, paths, call=lambda conv, x, e, w: conv(x, e), widths=(3, 8, 4), graphs=GRAPHS):
    """Two layers with ReLU between, on every graph. In paths, @ stands for 0 and 1, # for 1 and 2."""
    for kind, which in graphs.items():
        convs = [randomise(make(i, o).double()) for i, o in zip(widths, widths[1:])]
        x = rand(which.nodes, widths[0]).requires_grad_()
        edge_index, weight = graph(which)
        hidden = call(convs[0], x, edge_index, weight).relu()
        output = call(convs[1], hidden, edge_index, weight)
        parameters = {}
        for i, conv in enumerate(convs):
            numbered = lambda path: path.replace("@", str(i)).replace("#", str(i + 1))
            parameters |= {numbered(path): p for path, p in paths(conv).items()}
        write(f"encoder_{name}_{kind}", {"x": x, "weight": weight}, parameters, output, x, {"edges": edge_index})


def gat_paths(conv):
    named = linear("conv#.lin", conv.lin)
    if conv.residual:
        named |= linear("conv#.res", conv.res)
    named |= {"conv#.att_src": conv.att_src, "conv#.att_dst": conv.att_dst, "conv#.bias": conv.bias}
    if conv.lin_edge is not None:
        named |= linear("conv#.lin_edge", conv.lin_edge) | {"conv#.att_edge": conv.att_edge}
    return named


def gatv2_paths(conv):
    named = linear("convs.@.lin_l", conv.lin_l) | linear("convs.@.lin_r", conv.lin_r)
    named |= {"convs.@.att": conv.att, "convs.@.bias": conv.bias}
    return named if conv.lin_edge is None else named | linear("convs.@.lin_edge", conv.lin_edge)


def transformer_paths(conv):
    return {
        path: p
        for layer in ("lin_query", "lin_key", "lin_value", "lin_skip")
        for path, p in linear(f"convs.@.{layer}", getattr(conv, layer)).items()
    }


class BiasedTransformerConv(nn.Module):
    """TransformerConv of PyG with a bias of the scores by edge weight, which PyG lacks."""

    def __init__(self, i, o, heads):
        super().__init__()
        self.heads = heads
        self.lin_query, self.lin_key, self.lin_value, self.lin_skip = (nn.Linear(i, o) for _ in range(4))
        self.edge_bias = nn.Parameter(torch.zeros(1, heads))

    def forward(self, x, edge_index, weight):
        source, target = edge_index
        q, k, v = (f(x).view(len(x), self.heads, -1) for f in (self.lin_query, self.lin_key, self.lin_value))
        scores = (q[target] * k[source]).sum(-1) / math.sqrt(q.shape[-1]) + weight[:, None] * self.edge_bias
        alpha = edge_softmax(scores, target, num_nodes=len(x))
        out = torch.zeros_like(v).index_add(0, target, alpha[..., None] * v[source])
        return out.reshape(len(x), -1) + self.lin_skip(x)


def encoders():
    heads = 2
    for name, edge_dim in (("gat_heads", None), ("gat_edges", 1)):
        make = lambda i, o: GATConv(i, o // heads, heads, edge_dim=edge_dim)
        call = lambda c, x, e, w: c(x, e, w[:, None]) if edge_dim else c(x, e)
        encoder(name, make, gat_paths, call)
        make = lambda i, o: GATv2Conv(i, o // heads, heads, edge_dim=edge_dim)
        encoder(name.replace("gat", "gatv2"), make, gatv2_paths, call)
    encoder("gcn", GCNConv, lambda c: linear("conv#.lin", c.lin) | {"conv#.bias": c.bias}, lambda c, x, e, w: c(x, e, w))
    encoder("transformer", lambda i, o: TransformerConv(i, o // heads, heads), transformer_paths)
    encoder(
        "transformer_edges",
        lambda i, o: BiasedTransformerConv(i, o, heads),
        lambda c: transformer_paths(c) | {"convs.@.edge_bias": c.edge_bias},
        lambda c, x, e, w: c(x, e, w),
    )
    for aggregate in ("mean", "max", "sum"):
        make = lambda i, o: SAGEConv(i, o, aggr=aggregate)
        paths = lambda c: linear("convs.@.lin_l", c.lin_l) | linear("convs.@.lin_r", c.lin_r)
        encoder(f"sage_{aggregate}", make, paths)
    for train in (False, True):
        mlp = lambda i, o: nn.Sequential(nn.Linear(i, o), nn.ReLU(), nn.Linear(o, o))
        make = lambda i, o: GINConv(mlp(i, o), eps=0.25, train_eps=train)
        eps = lambda c: {"convs.@.trained_eps": c.eps} if train else {}
        paths = lambda c: linear("convs.@.fc1", c.nn[0]) | linear("convs.@.fc2", c.nn[2]) | eps(c)
        encoder("gin_trained" if train else "gin", make, paths)
    for weighted in (False, True):
        for kind, which in GRAPHS.items():
            x, (edge_index, weight) = rand(which.nodes, 3).requires_grad_(), graph(which)
            layers, conv = [x], LGConv()
            for _ in range(3):
                layers.append(conv(layers[-1], edge_index, weight if weighted else None))
            name = f"encoder_lightgcn{'_edges' if weighted else ''}_{kind}"
            output = torch.stack(layers).mean(0)
            write(name, {"x": x, "weight": weight}, {}, output, x, {"edges": edge_index})


def normalised_gin():
    """Nodes are the batch: one of them alone has no variance, which PyTorch refuses."""
    mlp = lambda i, o: nn.Sequential(nn.Linear(i, o, bias=False), nn.BatchNorm1d(o), nn.ReLU(), nn.Linear(o, o))
    norm = lambda layer: {"convs.@.norm.gamma": layer.weight, "convs.@.norm.beta": layer.bias}
    paths = lambda c: linear("convs.@.fc1", c.nn[0]) | norm(c.nn[1]) | linear("convs.@.fc2", c.nn[3])
    encoder("gin_norm", lambda i, o: GINConv(mlp(i, o), eps=0.25), paths, graphs={"small": SMALL})


def pooled_sage():
    make = lambda i, o: SAGEConv(i, o, aggr="max", project=True)
    paths = lambda c: linear("convs.@.lin_l", c.lin_l) | linear("convs.@.lin_r", c.lin_r)
    encoder("sage_pool", make, lambda c: paths(c) | linear("convs.@.project", c.lin))


def sgc():
    for weighted in (False, True):
        for kind, which in GRAPHS.items():
            x, (edge_index, weight) = rand(which.nodes, 3).requires_grad_(), graph(which)
            conv = randomise(SGConv(3, 4, K=3).double())
            output = conv(x, edge_index, weight if weighted else None)
            name = f"encoder_sgc{'_edges' if weighted else ''}_{kind}"
            write(name, {"x": x, "weight": weight}, linear("lin", conv.lin), output, x, {"edges": edge_index})


def gram():
    """Eq. 1-3 of GRAM, code by code, as its published code computes them: tanh of one product with both embeddings."""
    # Nodes: padding, 428.0, 428.21, V10.3. Ancestors by name: 390-459, 428, 428.2, V01-V91, V10, root.
    families = [[0], [1, 5, 4, 9], [2, 6, 5, 4, 9], [3, 8, 7, 9]]
    width, hidden = 5, 3
    x, ancestors = rand(4, width).requires_grad_(), rand(6, width).requires_grad_()
    code, ancestor = (randomise(nn.Linear(width, hidden, bias=bias).double()) for bias in (False, True))
    score = randomise(nn.Linear(hidden, 1, bias=False).double())
    every = torch.cat([x, ancestors])
    w = torch.cat([code.weight, ancestor.weight], 1)
    rows = []
    for i, family in enumerate(families):
        pairs = torch.stack([torch.cat([every[i], every[j]]) for j in family])
        alpha = torch.softmax(score(torch.tanh(pairs @ w.T + ancestor.bias)).squeeze(1), 0)
        rows.append(alpha @ every[family])
    parameters = {"ancestors": ancestors} | linear("code", code) | linear("ancestor", ancestor) | linear("score", score)
    write("encoder_gram", {"x": x}, parameters, torch.stack(rows), x, {})


# --- fusions ----------------------------------------------------------------------------------------------------------

# Of different lengths, one empty, with repeats.
SETS = [[0, 2, 1], [], [3], [4, 4, 1, 5, 0], [2, 5]]
ROWS, WIDTH = 6, 4


def fusion(name, parameters, width, fuse):
    """`fuse` takes the members of one set, in order; an empty set gives zeros."""
    x = rand(ROWS, WIDTH).requires_grad_()
    zero = torch.zeros(width, dtype=F64)
    output = torch.stack([fuse(x[torch.tensor(s)]) if s else zero for s in SETS])
    offsets = numpy.cumsum([0] + [len(s) for s in SETS])
    integers = {"offsets": offsets, "members": [m for s in SETS for m in s]}
    write(f"fusion_{name}", {"x": x}, parameters, output, x, integers)


def timed(name, parameters, width, fuse):
    """The same with days from each member to the last of its set: whole ones, falling."""
    x = rand(ROWS, WIDTH).requires_grad_()
    zero = torch.zeros(width, dtype=F64)
    days = [torch.randint(0, 400, (len(s),)).double().flip(0).cumsum(0).flip(0) for s in SETS]
    days = [d - d[-1] if len(d) else d for d in days]
    output = torch.stack([fuse(x[torch.tensor(s)], d) if s else zero for s, d in zip(SETS, days)])
    offsets = numpy.cumsum([0] + [len(s) for s in SETS])
    integers = {"offsets": offsets, "members": [m for s in SETS for m in s]}
    write(f"fusion_{name}", {"x": x, "days": torch.cat(days)}, parameters, output, x, integers)


def gru(path, layer):
    names = {"ih.weight": "weight_ih_l0", "hh.weight": "weight_hh_l0", "ih.bias": "bias_ih_l0", "hh.bias": "bias_hh_l0"}
    return {f"{path}.{ours}": getattr(layer, theirs) for ours, theirs in names.items()}


def retain(hidden=3):
    """Steps 2-4 of RETAIN."""
    rnn_a, rnn_b = (randomise(nn.GRU(WIDTH, hidden).double()) for _ in range(2))
    fc_alpha = randomise(nn.Linear(hidden, 1, bias=False).double())
    fc_beta = randomise(nn.Linear(hidden, WIDTH).double())

    def fuse(v):
        g, h = (rnn(v.flip(0))[0].flip(0) for rnn in (rnn_a, rnn_b))
        return (torch.softmax(fc_alpha(g), 0) * torch.tanh(fc_beta(h)) * v).sum(0)

    parameters = gru("alpha", rnn_a) | gru("beta", rnn_b) | linear("fc_alpha", fc_alpha) | linear("fc_beta", fc_beta)
    fusion("retain", parameters, WIDTH, fuse)


def dipole(kind, bidirectional, hidden=3, embedded=5, width=6):
    """Section 3 of Dipole."""
    module = lambda *args, **kwargs: randomise(nn.Linear(*args, **kwargs).double())
    embed = module(WIDTH, embedded)
    ahead, back = (randomise(nn.GRU(embedded, hidden).double()) for _ in range(2))
    state = hidden * (2 if bidirectional else 1)
    w_location, w_general = module(state, 1, bias=False), module(state, state, bias=False)
    w_concat, v_concat = module(2 * state, hidden, bias=False), module(hidden, 1, bias=False)
    w_out = module(2 * state, width, bias=False)

    def score(last, h):
        match kind:
            case "location":
                return w_location(h).squeeze(0)
            case "general":
                return (last @ w_general.weight.T @ h).reshape(())
            case "concat":
                return v_concat(torch.tanh(w_concat(torch.cat([last, h])))).squeeze(0)

    def fuse(v):
        x = embed(v).relu()
        h = ahead(x)[0]
        if bidirectional:
            h = torch.cat([h, back(x.flip(0))[0].flip(0)], 1)
        context = torch.zeros(state, dtype=F64)
        if len(h) > 1:
            context = torch.softmax(torch.stack([score(h[-1], past) for past in h[:-1]]), 0) @ h[:-1]
        return torch.tanh(w_out(torch.cat([context, h[-1]])))

    parameters = linear("embed", embed) | gru("ahead", ahead) | linear("fc_out", w_out)
    parameters |= gru("back", back) if bidirectional else {}
    match kind:
        case "location":
            parameters |= linear("fc_score", w_location)
        case "general":
            parameters |= linear("fc_pair", w_general)
        case "concat":
            parameters |= linear("fc_pair", w_concat) | linear("fc_score", v_concat)
    fusion(f"dipole_{kind}{'' if bidirectional else '_ahead'}", parameters, width, fuse)


def positions(length, width):
    """Section 3.5 of Vaswani et al., counted from the last."""
    out = torch.zeros(length, width, dtype=F64)
    for t in range(length):
        for k in range(0, width, 2):
            angle = (length - 1 - t) / 10000 ** (k / width)
            out[t, k], out[t, k + 1] = math.sin(angle), math.cos(angle)
    return out


def transformer(ordered, width=8, heads=2, hidden=12, layers=2, elapsed=False):
    project = randomise(nn.Linear(WIDTH, width).double())
    time = randomise(nn.Linear(8, width, bias=False).double()) if elapsed else None
    stack = [
        randomise(nn.TransformerEncoderLayer(width, heads, hidden, 0.0, "gelu", batch_first=True).double())
        for _ in range(layers)
    ]
    parameters = linear("project", project)
    for i, layer in enumerate(stack):
        at, attention = f"encoder.layers.{i}", layer.self_attn
        # Views of one parameter: their gradients are cut from its gradient below.
        parameters |= linear(f"{at}.mha.output", attention.out_proj)
        parameters |= linear(f"{at}.pwff.linear_inner", layer.linear1) | linear(f"{at}.pwff.linear_outer", layer.linear2)
        for ours, norm in (("norm_1", layer.norm1), ("norm_2", layer.norm2)):
            parameters |= {f"{at}.{ours}.gamma": norm.weight, f"{at}.{ours}.beta": norm.bias}
    cut = {}
    for i, layer in enumerate(stack):
        attention = layer.self_attn
        for part, name in enumerate(("query", "key", "value")):
            for kind, whole in (("weight", attention.in_proj_weight), ("bias", attention.in_proj_bias)):
                cut[f"encoder.layers.{i}.mha.{name}.{kind}"] = Part(whole, part)

    def fuse(x, days=None):
        x = project(x)
        x = x + positions(len(x), width) if ordered else x
        x = x + time(waves(days)) if elapsed else x
        for layer in stack:
            x = layer(x[None])[0]
        return x.mean(0)

    name = "transformer_visits" if ordered else "transformer_codes"
    if elapsed:
        timed("transformer_elapsed", parameters | linear("time", time) | cut, width, fuse)
    else:
        fusion(name, parameters | cut, width, fuse)


def waves(days):
    """sin(w ln(1 + d)) and cos(w ln(1 + d)) for w = 1, 2, 4, 8."""
    angles = [w * torch.log1p(days) for w in (1, 2, 4, 8)]
    return torch.stack([f(angle) for angle in angles for f in (torch.sin, torch.cos)], 1)


def retain_elapsed(hidden=3):
    """RETAIN with ln(1 + days since the visit before) as one more input of both units."""
    rnn_a, rnn_b = (randomise(nn.GRU(WIDTH + 1, hidden).double()) for _ in range(2))
    fc_alpha = randomise(nn.Linear(hidden, 1, bias=False).double())
    fc_beta = randomise(nn.Linear(hidden, WIDTH).double())

    def fuse(v, days):
        since = torch.cat([days[:1] * 0, days[:-1] - days[1:]])
        x = torch.cat([v, torch.log1p(since)[:, None]], 1)
        g, h = (rnn(x.flip(0))[0].flip(0) for rnn in (rnn_a, rnn_b))
        return (torch.softmax(fc_alpha(g), 0) * torch.tanh(fc_beta(h)) * v).sum(0)

    parameters = gru("alpha", rnn_a) | gru("beta", rnn_b) | linear("fc_alpha", fc_alpha) | linear("fc_beta", fc_beta)
    timed("retain_elapsed", parameters, WIDTH, fuse)


class Part:
    """A third of a joint projection, as if it were a parameter of its own."""

    def __init__(self, whole, part):
        self.whole, self.part = whole, part

    @property
    def grad(self):
        return self.whole.grad.chunk(3)[self.part]

    def detach(self):
        return self.whole.detach().chunk(3)[self.part]


def fusions():
    fusion("mean", {}, WIDTH, lambda x: x.mean(0))
    fusion("sum", {}, WIDTH, lambda x: x.sum(0))
    fusion("sum_tanh", {}, WIDTH, lambda x: torch.tanh(x.sum(0)))
    fusion("max", {}, WIDTH, lambda x: x.amax(0))
    content, gate = (randomise(nn.Linear(WIDTH, 3).double()) for _ in range(2))
    score = randomise(nn.Linear(3, 1, bias=False).double())
    weights = lambda x: torch.softmax(score(torch.tanh(content(x)) * torch.sigmoid(gate(x))), 0)
    parameters = linear("content", content) | linear("gate", gate) | linear("score", score)
    fusion("gated", parameters, WIDTH, lambda x: (weights(x) * x).sum(0))
    retain()
    for kind in ("location", "general", "concat"):
        dipole(kind, True)
    dipole("location", False)
    transformer(True)
    transformer(False)


# --- losses -----------------------------------------------------------------------------------------------------------


def loss(name, of):
    z = (rand(5, 6) * 3).requires_grad_()
    # A row of negatives alone, a row of positives alone.
    y = (torch.rand(5, 6) < 0.4).double()
    y[1], y[3] = 0, 1
    write(f"loss_{name}", {"x": z, "targets": y}, {}, of(z, y).reshape(1), z, {})


def losses():
    sigmoid, ln = torch.sigmoid, torch.log

    def focal(alpha, gamma):
        """As torchvision.ops.sigmoid_focal_loss with the reduction "mean"."""

        def of(z, y):
            p = sigmoid(z)
            ce = nn.functional.binary_cross_entropy_with_logits(z, y, reduction="none")
            p_t, a_t = p * y + (1 - p) * (1 - y), alpha * y + (1 - alpha) * (1 - y)
            return (a_t * (1 - p_t) ** gamma * ce).mean()

        return of

    loss("focal", focal(0.25, 2.0))
    loss("focal_other", focal(0.6, 1.5))

    def asymmetric(z, y, positive=1.0, negative=4.0, clip=0.05):
        """As the published AsymmetricLoss, with a mean in place of its sum and the focusing terms differentiated."""
        p = sigmoid(z)
        q = (1 - p + clip).clamp(max=1)
        terms = y * ln(p.clamp(min=1e-8)) + (1 - y) * ln(q.clamp(min=1e-8))
        p_t, gamma = p * y + q * (1 - y), positive * y + negative * (1 - y)
        return -(terms * (1 - p_t) ** gamma).mean()

    loss("asymmetric", asymmetric)

    def label_weighted(z, y):
        """W-CEL of ChestX-ray8, as a mean."""
        total, ones = y.numel(), y.sum()
        weight = y * total / ones + (1 - y) * total / (total - ones)
        return nn.functional.binary_cross_entropy_with_logits(z, y, weight=weight)

    loss("label_weighted", label_weighted)

    def ranking(z, y):
        """LSEP, pair by pair."""
        rows = []
        for logits, marks in zip(z, y.bool()):
            pairs = (logits[~marks][:, None] - logits[marks][None]).exp()
            rows.append(torch.log1p(pairs.sum()))
        return torch.stack(rows).mean()

    loss("ranking", ranking)


if __name__ == "__main__":
    torch.manual_seed(20)
    encoders()
    gram()
    fusions()
    losses()
    # Last, so that the numbers of the others stay.
    transformer(True, elapsed=True)
    retain_elapsed()
    # Seeds of their own: what was here before stays as it is.
    torch.manual_seed(21)
    encoder("gat_residual", lambda i, o: GATConv(i, o // 2, 2, residual=True), gat_paths)
    torch.manual_seed(22)
    normalised_gin()
    torch.manual_seed(23)
    sgc()
    torch.manual_seed(24)
    pooled_sage()
    print(len(list(HERE.glob("*.safetensors"))), "files")
