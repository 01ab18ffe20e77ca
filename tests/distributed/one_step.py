"""What one process or each of several makes of the same recipe: the batches, a step's gradients, an evaluation.

Started by torchrun as `one_step.py DATA OUT`, it writes what each process found into OUT/RANK.pt.
"""

import sys
from pathlib import Path
from typing import Any

import torch

from zoo.evaluate.evaluation import evaluate_objective, extract_features, predict_all
from zoo.group import ALONE, Group, joined
from zoo.models.registry import build_model
from zoo.recipe import find_recipe, read_recipe
from zoo.run import prepare_data
from zoo.run.planning import make_plan
from zoo.train.step import Stepper

CPU = torch.device("cpu")
TINY = ["model.n_frames=48", "model.embed_dim=16", "model.depth=1", "model.num_heads=2", "train.device=cpu"]
OBJECTIVES = {"pretrain": "quickstart/pretrain", "finetune": "quickstart/ssast"}
ACCUMULATE = (1, 2)


def found(data: Path, command: str, accumulate: int, group: Group = ALONE) -> dict[str, Any]:
    """`batches` by step and part, `loss` and `gradients` of the first step, and what evaluations give."""
    choices = [f"data.train={data}", f"data.eval={data}", "train.batch_size=7", f"train.accumulate={accumulate}"]
    choices += ["evaluate.batch_size=3", "optim.grad_clip=null", "train.clips=100"]
    if command == "finetune":
        choices += ["objective.label_smoothing=0.1", "augment.log_mel_mixup={probability: 0.5, alpha: 1}"]
    recipe = read_recipe(find_recipe(OBJECTIVES[command]), [*TINY, *choices])
    run = prepare_data(recipe, CPU, group=group)
    assert run.train_loader is not None
    assert run.eval_loader is not None
    torch.manual_seed(0)
    model: Any = build_model(run.found.model_config, pretraining=command == "pretrain")
    objective = recipe.objective.build(recipe.data.task)
    evaluated: dict[str, Any] = {
        "objective": evaluate_objective(model, objective, run.eval_loader, run.make_inputs, CPU, group=group)
    }
    if command == "finetune":
        few = list(run.eval_loader.dealt(group))
        evaluated["scores"] = predict_all(model, run.eval_loader, run.make_inputs, CPU, group=group)
        evaluated["features"] = extract_features(model, run.eval_loader, run.make_inputs, CPU, group=group)
        assert group.world == 1 or len(few) < run.eval_loader._sampler.num_batches()
    batches = list(run.train_loader.epoch(0))
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.0, fused=True)
    plan = make_plan(recipe, run.found, CPU, model)
    stepper = Stepper(model, objective, run.make_inputs, optimiser, plan, lambda is_bad: is_bad, group)
    taken = stepper.take(batches[:accumulate], 0, 0, 1.0)
    return {
        "batches": [batch.names for batch in batches],
        "loss": sum(one["loss/total"] * share for one, share in zip(taken.scalars, taken.shares, strict=True)),
        "counts": [float(share) for share in taken.shares],
        "gradients": {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None},
        "evaluated": evaluated,
    }


if __name__ == "__main__":
    with joined(CPU) as group:
        everything = {
            (command, accumulate): found(Path(sys.argv[1]), command, accumulate, group)
            for command in OBJECTIVES
            for accumulate in ACCUMULATE
        }
        torch.save(everything, Path(sys.argv[2]) / f"{group.rank}.pt")
