"""A program for tests/models/test_compile.py: trains and evaluates small models eagerly and compiled, side by side.

In a process of its own, because the run-time checks of annotations in the tests are no part of a user's program. Called
with a backend of torch.compile and names of cases, each with `+lengths` where the clips are of different length; prints
a line of JSON a case. With the backend `widths`, counts the graphs that batches of many widths take instead.
"""

import copy
import json
import sys
from typing import Any

import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters

import zoo
from zoo.data.batch import Inputs
from zoo.draws import clip_keys
from zoo.models.recompute import recompute_activations
from zoo.objectives.classification import ClassificationConfig
from zoo.objectives.masked_patch import MaskedPatchConfig

SMALL: dict[str, Any] = {"embed_dim": 24, "depth": 2, "num_heads": 3, "n_frames": 96, "num_classes": 5}
VISIBLE: dict[str, Any] = {"encode": "visible", "masks_per_clip": 2}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "ast": ("ast-tiny", SMALL),
    "passt": ("passt-tiny", {**SMALL, "patchout_freq": 2, "patchout_time": 3, "patchout_random": 4}),
    "ssast": ("ssast-patch-tiny", SMALL),
    "pretrain": ("ssast-patch-tiny", {**SMALL, "num_masked": 0.4, "pretraining": True}),
    "visible": ("ssast-patch-tiny", {**SMALL, **VISIBLE, "num_masked": 0.4, "pretraining": True}),
    "cnn": ("cnn-baseline", {"num_classes": 5, "channels": (4, 8)}),
    "recompute": ("ast-tiny", SMALL),
}
STEPS, BATCH = 4, 4


def inputs(step: int, with_lengths: bool) -> Inputs:
    """A batch of training: always of one shape."""
    generator = torch.Generator().manual_seed(step)
    log_mel = torch.randn(BATCH, 128, 96, generator=generator)
    num_frames = torch.randint(16, 97, (BATCH,), generator=generator) if with_lengths else None
    target = nn.functional.one_hot(torch.randint(5, (BATCH,), generator=generator), 5).float()
    return Inputs(log_mel, num_frames, target, clip_keys(0, step, torch.arange(BATCH)), ())


def losses(model: nn.Module, case: str, with_lengths: bool) -> list[float]:
    """Of some steps of training, then of an evaluation."""
    objective: Any = MaskedPatchConfig() if case in ("pretrain", "visible") else ClassificationConfig()
    objective = objective.build("single-label")
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    found = []
    model.train()
    for step in range(STEPS):
        loss: Tensor = objective(model, inputs(step, with_lengths))[0]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append(loss.item())
    model.eval()
    with torch.no_grad():
        found.append(objective(model, inputs(STEPS, with_lengths))[0].item())
    return found


def graphs_of_widths(case: str) -> dict[str, Any]:
    """How many graphs a dozen widths of the input take, in training and in evaluation, with the same answers."""
    name, fields = CASES[case]
    model = zoo.build(name, **fields)
    graphs = {}
    for mode in ("training", "evaluation"):
        torch._dynamo.reset()
        counters.clear()
        compiled = copy.deepcopy(model)
        compiled.compile(backend="eager", fullgraph=True)
        with torch.set_grad_enabled(mode == "training"):
            for width in (96, 80, 50, 64, 33, 48, 77, 95, 66, 90, 85, 71):
                log_mel, num_frames = torch.randn(BATCH, 128, width), torch.tensor([width, width // 2, 20, 16])
                answers = [
                    one.train(mode == "training")(log_mel, num_frames, clip_keys(0, 0, torch.arange(BATCH)))
                    for one in (model, compiled)
                ]
                torch.testing.assert_close(*answers)
        graphs[mode] = counters["stats"]["unique_graphs"]
    return {"case": case, "graphs": graphs}


def main() -> None:
    """Prints what every case gave."""
    backend, *cases = sys.argv[1:]
    if backend == "widths":
        for case in cases:
            print(json.dumps(graphs_of_widths(case)), flush=True)
        return
    for wanted in cases:
        case, _, lengths = wanted.partition("+")
        name, fields = CASES[case]
        torch.manual_seed(0)
        model = zoo.build(name, **fields)
        if case == "recompute":
            recompute_activations(model)
        torch._dynamo.reset()
        counters.clear()
        compiled = copy.deepcopy(model)
        compiled.compile(backend=backend, fullgraph=True)
        report = {
            "case": wanted,
            "eager": losses(model, case, bool(lengths)),
            "compiled": losses(compiled, case, bool(lengths)),
            "graphs": counters["stats"]["unique_graphs"],
            "breaks": dict(counters["graph_break"]),
        }
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
