"""A training step of HAKE in PyTorch, as the published code does it, for comparison with `dualk bench kge`.

  python book/bench/kge.py --batch 128 --negatives 256 --dim 500 --entities 40943 --relations 11

Prints a JSON line with `step_s` and `peak_rss_gib`. Scores by broadcasting, gradients by autograd, Adam over all rows.
"""

import argparse
import json
import resource
import statistics
import time

import torch
import torch.nn.functional as F

PI = 3.14159262358979323846  # as the published code has it


def score(head, relation, tail, weights, gamma, scale):
    phase_h, mod_h = torch.chunk(head, 2, dim=2)
    phase_r, mod_r, bias = torch.chunk(relation, 3, dim=2)
    phase_t, mod_t = torch.chunk(tail, 2, dim=2)
    phase = (phase_h + phase_r - phase_t) / (scale / PI)
    mod_r = torch.abs(mod_r)
    bias = torch.clamp(bias, max=1)
    low = bias < -mod_r
    bias = torch.where(low, -mod_r, bias)
    r = mod_h * (mod_r + bias) - mod_t * (1 - bias)
    return gamma - torch.sum(torch.abs(torch.sin(phase / 2)), dim=2) * weights[0] - torch.norm(r, dim=2) * weights[1]


def main():
    parser = argparse.ArgumentParser()
    for name, default in [("batch", 128), ("negatives", 256), ("dim", 500), ("entities", 40943), ("relations", 11),
                          ("steps", 5), ("threads", 0)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", default="cpu")
    a = parser.parse_args()
    torch.set_default_device(a.device)
    settle = torch.cuda.synchronize if a.device.startswith("cuda") else lambda: None
    if a.threads:
        torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    gamma, alpha = 6.0, 0.5
    scale = (gamma + 2.0) / a.dim
    entity = torch.nn.Parameter(torch.empty(a.entities, 2 * a.dim).uniform_(-scale, scale))
    relation = torch.empty(a.relations, 3 * a.dim).uniform_(-scale, scale)
    relation[:, a.dim:2 * a.dim] = 1
    relation[:, 2 * a.dim:] = 0
    relation = torch.nn.Parameter(relation)
    weights = torch.nn.Parameter(torch.tensor([0.5 * scale, 1.0]))
    adam = torch.optim.Adam([entity, relation, weights], lr=5e-5)
    seconds = []
    for step in range(a.steps + 1):
        h = torch.randint(a.entities, (a.batch,))
        r = torch.randint(a.relations, (a.batch,))
        t = torch.randint(a.entities, (a.batch,))
        negative = torch.randint(a.entities, (a.batch, a.negatives))
        weight = torch.rand(a.batch) + 0.1
        settle()
        start = time.perf_counter()
        adam.zero_grad()
        row = lambda table, index: torch.index_select(table, 0, index.reshape(-1)).reshape(a.batch, -1, table.shape[1])
        candidates = row(entity, negative)
        if step % 2 == 0:
            s = score(row(entity, h), row(relation, r), candidates, weights, gamma, scale)
        else:
            s = score(candidates, row(relation, r), row(entity, t), weights, gamma, scale)
        s = (F.softmax(s * alpha, dim=1).detach() * F.logsigmoid(-s)).sum(dim=1)
        p = F.logsigmoid(score(row(entity, h), row(relation, r), row(entity, t), weights, gamma, scale)).squeeze(1)
        loss = (-(weight * p).sum() / weight.sum() - (weight * s).sum() / weight.sum()) / 2
        loss.backward()
        adam.step()
        settle()
        if step:
            seconds.append(time.perf_counter() - start)
    print(json.dumps({
        "bench": "kge", "model": "hake", "device": a.device, "torch": torch.__version__, "threads": torch.get_num_threads(),
        "batch": a.batch, "negatives": a.negatives, "dim": a.dim, "entities": a.entities, "relations": a.relations,
        "step_s": statistics.median(seconds), "step_s_min": min(seconds),
        "peak_rss_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }))


if __name__ == "__main__":
    main()
