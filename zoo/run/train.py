"""Recipe -> built objects -> fit(): the only place where the parts meet."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from zoo import provenance
from zoo.data.bad_audio import BadAudioLog
from zoo.errors import RecipeError
from zoo.evaluate.during_training import ClassifierEvaluation, PretextEvaluation, Setting
from zoo.models.registry import build_model
from zoo.objectives.classification import ClassificationConfig
from zoo.recipe import Recipe, dump_recipe
from zoo.run.balance import class_weights
from zoo.run.data import RunData, clips_per_epoch, clips_per_step, plan_clips, prepare_data
from zoo.run.evaluation_data import example_batches
from zoo.run.folder import (
    check_folder,
    check_same_data,
    checkpoint_config,
    start_from,
    with_absolute_paths,
    write_labels,
    write_recipe,
)
from zoo.run.summary import choices, describe_run, final_metrics, write_summary
from zoo.train.checkpoint import Checkpoints, load_checkpoint, load_trainer
from zoo.train.length import Length
from zoo.train.logbook import Logbook
from zoo.train.loop import fit
from zoo.train.plan import Plan, Report

OBJECTIVE_OF = {"pretrain": "masked-patch", "finetune": "classification"}


def train(
    recipe: Recipe,
    out: Path,
    *,
    command: str,
    resume: bool = False,
    on_progress: Callable[[Report], None] | None = None,
) -> dict[str, Any]:
    """Trains what the recipe says into a run folder, and returns the content of its `summary.json`.

    Args:
        command: `pretrain` or `finetune`; must fit the recipe's objective.
        resume: go on from the folder's last checkpoint when there is one; without it the folder must be empty.

    Raises:
        ZooError: anything the user can put right, before any time is spent where possible.
        Interrupted: SIGINT or SIGTERM, after a checkpoint was written.
    """
    if recipe.objective.kind != OBJECTIVE_OF[command]:
        other = "finetune" if command == "pretrain" else "pretrain"
        raise RecipeError(
            f"objective.kind: '{recipe.objective.kind}' - expected '{OBJECTIVE_OF[command]}' for zoo {command} - "
            f"run zoo {other} with this recipe"
        )
    recipe = with_absolute_paths(recipe)
    device = provenance.pick_device(recipe.train.device)
    with joined(device) as group:
        return _train_in(group, device, recipe, out, command, resume, on_progress)


def _train_in(
    group: Group,
    device: torch.device,
    recipe: Recipe,
    out: Path,
    command: str,
    resume: bool,
    on_progress: Callable[[Report], None] | None,
) -> dict[str, Any]:
    """`train`, as one of the processes of a group."""
    resume_from = check_folder(recipe, out, resume)
    if recipe.train.compile and device.type == "cpu":
        raise RecipeError(
            "train.compile: found true on a CPU, for which torch's compiler fails on hidden padding - "
            "expected a GPU - leave it out"
        )
    torch.manual_seed(recipe.seed)
    data = prepare_data(recipe, device)
    assert data.train_loader is not None
    model = build_model(data.found.model_config, pretraining=command == "pretrain")
    started_from, state = None, None
    if resume_from is not None:
        weights, config = load_checkpoint(resume_from)
        check_same_data(config, recipe, data.found, out)
        model.load_state_dict(weights)
        started_from, state = config["init"], load_trainer(resume_from)
    elif recipe.init.path is not None:
        started_from = start_from(model, recipe, data)
    model.to(device)
    precision = pick_precision(recipe, device)
    plan = Plan(
        total_clips=plan_clips(recipe, data.found.num_train),
        seed=recipe.seed,
        log_every_clips=recipe.log.every_clips,
        evaluate_every_clips=_evaluation_period(recipe, data.found.num_train),
        checkpoint_every_seconds=60 * recipe.log.checkpoint_minutes,
        precision=precision,
        grad_clip=recipe.optim.grad_clip,
        monitor=f"eval/{recipe.metric}" if data.eval_loader else None,
        monitor_mode="min" if recipe.metric == "loss" else "max",
    )
    num_train = data.found.num_train
    length = Length(plan.total_clips, clips_per_step(recipe, num_train), clips_per_epoch(recipe, num_train))
    schedule = recipe.schedule.build(length)
    optimiser = recipe.optim.build(model)
    loss_weights = class_weights(recipe, data.found.train, data.found.labels)
    if isinstance(recipe.objective, ClassificationConfig):
        objective = recipe.objective.build(recipe.data.task, loss_weights)
    else:
        objective = recipe.objective.build(recipe.data.task)
    write_recipe(recipe, out)
    if data.found.labels is not None:
        write_labels(data.found.labels, out)
    # A run that was killed before its first checkpoint begins again, and its first lines must go.
    resume_at_clips = state["progress"]["clips"] if state is not None else 0 if resume else None
    with contextlib.closing(data), Logbook(out, resume_at_clips) as logbook:
        if started_from is not None:
            logbook.text("init", "\n".join(f"- {note}" for note in started_from.get("notes", [])))
        logbook.text("recipe", "    " + dump_recipe(recipe).replace("\n", "\n    "))
        bad_audio = BadAudioLog(out / "bad_audio.jsonl", recipe.data.max_bad_share, data.found.num_train)
        bad_eval = BadAudioLog(out / "bad_audio.jsonl", recipe.data.max_bad_share, data.found.num_eval, "eval")
        evaluation = _evaluation(recipe, data, model, objective, device, precision, logbook, bad_eval)
        if recipe.train.compile:
            model.compile()
        progress = fit(
            model,
            objective,
            data.make_inputs,
            data.train_loader,
            optimiser,
            schedule,
            plan,
            logbook,
            Checkpoints(out / "checkpoints", checkpoint_config(recipe, data, started_from)),
            evaluate=evaluation,
            bad_audio=bad_audio,
            on_progress=on_progress,
            resume=state,
        )
        summary = describe_run(recipe, command, data, model, progress, device, (bad_audio, bad_eval), started_from)
        summary["class_weights"] = loss_weights.as_report() if loss_weights else None
        summary |= final_metrics(recipe, evaluation, progress)
        logbook.hparams(choices(recipe, summary), (evaluation.results if evaluation else None) or {})
    write_summary(out / "summary.json", summary)
    return summary


def pick_precision(recipe: Recipe, device: torch.device) -> Literal["fp32", "bf16"]:
    """`auto` is bf16 on a GPU that computes in it, else fp32."""
    if recipe.train.precision != "auto":
        return recipe.train.precision
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


def _evaluation_period(recipe: Recipe, num_train: int) -> int | None:
    if recipe.evaluate.every_epochs is not None:
        return recipe.evaluate.every_epochs * clips_per_epoch(recipe, num_train)
    return recipe.evaluate.every_clips


def _evaluation(
    recipe: Recipe,
    data: RunData,
    model: nn.Module,
    objective: Any,
    device: torch.device,
    precision: Literal["fp32", "bf16"],
    logbook: Logbook,
    bad_eval: BadAudioLog,
) -> ClassifierEvaluation | PretextEvaluation | None:
    if data.eval_loader is None:
        return None
    setting = Setting(
        model=model,
        loader=data.eval_loader,
        make_inputs=data.make_inputs,
        front_end=data.front_end.config,
        device=device,
        precision=precision,
        log_image=logbook.image,
        bad_audio=bad_eval,
        examples=example_batches(data.eval_loader, recipe.log.images),
    )
    if data.found.labels is not None:
        return ClassifierEvaluation(setting, data.found.labels)
    return PretextEvaluation(setting, objective, rescale=bool(getattr(recipe.objective, "normalise_targets", False)))
