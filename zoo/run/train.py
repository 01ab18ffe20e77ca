"""Recipe -> built objects -> fit(): the only place where the parts meet."""

import contextlib
import logging
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch

from zoo import provenance
from zoo.data.bad_audio import BadAudioLog
from zoo.errors import RecipeError
from zoo.evaluate.backbone_health import MOST_CLIPS
from zoo.evaluate.predictions import PREDICTIONS, Predictions
from zoo.group import Group, joined
from zoo.models.recompute import recompute_activations
from zoo.models.registry import build_model
from zoo.objectives.classification import ClassificationConfig
from zoo.recipe import Recipe
from zoo.run.balance import class_weights
from zoo.run.black_box import BlackBoxes
from zoo.run.collapse import CollapseWatch
from zoo.run.data import prepare_data
from zoo.run.evaluation import make_evaluation
from zoo.run.folder import (
    check_folder,
    check_same_data,
    checkpoint_config,
    start_from,
    with_absolute_paths,
    write_description,
)
from zoo.run.judge import judge
from zoo.run.memory_cures import evaluation_cures, training_cures
from zoo.run.opening import play_examples, write_opening
from zoo.run.planning import length_of, make_plan, pick_precision
from zoo.run.pretext_probe import find_probe, make_probe
from zoo.run.summary import choices, describe_run, final_scalars, final_tags, write_summary
from zoo.train.checkpoint import Checkpoints, load_checkpoint, load_trainer
from zoo.train.logbook import Book, Logbook, Scalars, SilentLogbook
from zoo.train.loop import fit
from zoo.train.out_of_memory import out_of_memory_told
from zoo.train.plan import Report

_LOG = logging.getLogger("zoo.run")
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
    with joined(device) as group, _memory_told(recipe, device, group):
        return _train_in(group, device, recipe, out, command, resume, on_progress)


def _memory_told(recipe: Recipe, device: torch.device, group: Group) -> AbstractContextManager[None]:
    """What runs out of memory within is told in a line, with what would need less."""
    cures = training_cures(recipe, pick_precision(recipe, device), device.type, group.world)
    at_once = math.ceil(recipe.train.batch_size / (recipe.train.accumulate * group.world))
    return out_of_memory_told(device, "training", at_once, cures)


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
    resume_from = group.main_first(lambda: check_folder(recipe, out, resume))
    found_probe = find_probe(recipe)
    torch.manual_seed(recipe.seed)
    data = prepare_data(recipe, device, group=group)
    assert data.train_loader is not None
    length = length_of(recipe, data.found)
    schedule = recipe.schedule.build(length)
    recipe.train.average.check(length.epochs)
    model = build_model(data.found.model_config, pretraining=command == "pretrain")
    started_from, state = None, None
    if resume_from is not None:
        weights, config = load_checkpoint(resume_from)
        check_same_data(config, recipe, data.found, out)
        model.load_state_dict(weights)
        started_from, state = config["init"], load_trainer(resume_from)
        _LOG.info("resumed at %s clips from %s", f"{state['progress']['clips']:,}", resume_from)
    elif recipe.init.path is not None:
        started_from = start_from(model, recipe, data)
    model.to(device)
    if recipe.train.activation_checkpointing:
        recompute_activations(model)
    optimiser = recipe.optim.build(model)
    plan = make_plan(recipe, data.found, device, model)
    averager = recipe.train.average.build(model)
    loss_weights = class_weights(recipe, data.found.train, data.found.labels)
    if isinstance(recipe.objective, ClassificationConfig):
        objective = recipe.objective.build(recipe.data.task, loss_weights)
    else:
        objective = recipe.objective.build(recipe.data.task)
    group.main_first(lambda: write_description(recipe, data.found.labels, out))
    described = checkpoint_config(recipe, data, started_from)
    # A run that was killed before its first checkpoint begins again, and its first lines must go.
    resume_at_clips = state["progress"]["clips"] if state is not None else 0 if resume else None
    book: Book = Logbook(out, resume_at_clips) if group.is_main else SilentLogbook()
    with contextlib.ExitStack() as closing:
        closing.enter_context(contextlib.closing(data))
        logbook = closing.enter_context(contextlib.closing(book))
        write_opening(logbook, recipe, data.found, model, device, plan.precision, started_from, group)
        sizes = {"train": data.found.num_train, "eval": data.found.num_eval}
        sizes |= {"test": len(data.found.test)} if data.found.test is not None else {}
        sizes |= {"probe": len(found_probe.train) + len(found_probe.test)} if found_probe is not None else {}
        bad_audio = {
            name: BadAudioLog(out / "bad_audio.jsonl", recipe.data.max_bad_share, size, name, writes=group.is_main)
            for name, size in sizes.items()
        }
        measuring = (model, objective, device, plan.precision, logbook)
        probe = make_probe(recipe, found_probe, data, model, device, plan, bad_audio.get("probe"), group)
        if probe is not None:
            closing.callback(probe.close)
        beside = [probe] if probe is not None else []
        evaluation = make_evaluation(recipe, data, "eval", *measuring, bad_audio["eval"], group, beside)
        test = make_evaluation(recipe, data, "test", *measuring, bad_audio.get("test", bad_audio["eval"]), group)
        if evaluation is not None:
            play_examples(logbook, evaluation.setting.examples, data.front_end.sample_rate)
        if recipe.train.compile:
            model.compile()

        measure = evaluation or probe
        collapse = CollapseWatch(min(data.found.num_eval, MOST_CLIPS), _embed_dim(model), group.is_main)

        def evaluate(clips: int) -> Scalars:
            assert measure is not None
            with out_of_memory_told(device, "evaluation", recipe.evaluate.batch_size, evaluation_cures(recipe)):
                results = measure(clips)
            collapse.look(results, clips)
            return results

        progress = fit(
            model,
            objective,
            data.make_inputs,
            data.train_loader,
            optimiser,
            schedule,
            plan,
            logbook,
            Checkpoints(out / "checkpoints", described, recipe.log.keep_last),
            averager=averager,
            evaluate=evaluate if measure is not None else None,
            bad_audio=bad_audio["train"],
            on_incident=BlackBoxes(out, model, recipe, described, optimiser, loss_weights),
            on_progress=on_progress,
            resume=state,
            group=group,
        )
        with out_of_memory_told(device, "evaluation", recipe.evaluate.batch_size, evaluation_cures(recipe)):
            judged = judge(recipe, data.found, model, out / "checkpoints", evaluation, test, progress, averager, group)
        if test is not None:
            at = progress
            logbook.scalars(judged.scalars, clips=at.clips, step=at.step, epoch=at.epoch, seconds=at.seconds)
        summary = describe_run(recipe, command, data, model, progress, device, bad_audio, started_from)
        summary |= {"class_weights": loss_weights.as_report() if loss_weights else None, **judged.report}
        summary |= {"warnings": summary["warnings"] + collapse.told, "probe": probe.report if probe else None}
        logbook.hparams(choices(recipe, summary), final_scalars(judged.scalars), progress.clips, final_tags())
    group.main_first(lambda: _write_results(out, summary, judged.predictions))
    return summary


def _embed_dim(model: Any) -> int:
    """Of the features of a model that pretrains or classifies."""
    return int(getattr(model, "backbone", model).embed_dim)


def _write_results(out: Path, summary: dict[str, Any], predictions: Predictions | None) -> None:
    """The summary last: where it is, the run is complete."""
    if predictions is not None:
        predictions.write(out / PREDICTIONS)
    write_summary(out / "summary.json", summary)
