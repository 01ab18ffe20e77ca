"""The whole zoo in minutes: pretrain, fine-tune and compare small models on real audio."""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from zoo import provenance
from zoo.compare.matrix import REPORT, costs_by_contender, write_comparison
from zoo.compare.report import write_report
from zoo.compare.row import Comparison, Row
from zoo.compare.runs import run_once
from zoo.compare.table import compare_summaries
from zoo.evaluate.evaluation import extract_features
from zoo.evaluate.probes import linear_probe
from zoo.models.cost import flops_per_clip, num_parameters
from zoo.models.registry import build_model
from zoo.recipe import Recipe, find_recipe, read_recipe
from zoo.run import find_data, make_loader, plan_clips, prepare_data
from zoo.use.quickstart_data import QuickstartData, built_in_notes, own_data
from zoo.weights.load import initialise
from zoo.weights.source import read

_FRAMES_PER_SECOND = 100
_DEFAULT_FRAMES = 192


class Display(Protocol):
    """What a quickstart tells the person who waits."""

    def say(self, text: str) -> None:
        """One line."""

    def training(self, title: str) -> AbstractContextManager[Callable[..., None]]:
        """A progress bar."""


def quickstart(
    out: Path, *, data: Path | None, seed: int, console: Display, overrides: Sequence[str] = ()
) -> Comparison:
    """Pretrains SSAST without labels; fine-tunes it, and at the same budget SSAST from scratch, AST, PaSST and a CNN.

    The table also has SSAST from scratch with the compute of pretraining added to its budget, and linear probes on
    random and on pretrained features, so that nobody is misled about what pretraining is worth at this scale.
    Killed and started again, it goes on where it was.

    Args:
        data: a folder of classes or a manifest; None renders the built-in notes.
        overrides: KEY=VALUE for all the recipes, such as `train.device=cpu`.
    """
    began = time.perf_counter()
    found = built_in_notes(out / "data", console.say) if data is None else own_data(data, out / "data")
    console.say(found.remark)
    shared = _merged(_shared_overrides(found, seed), overrides)
    pretrained = out / "pretrain"
    # All recipes are read before any time is spent: what one of them refuses is told at once.
    pretrain = _recipe("pretrain", shared)
    scratch = _recipe("ssast", shared, "name=SSAST scratch")
    labelled = find_data(scratch)
    budget = plan_clips(scratch, labelled.num_train)
    cost = flops_per_clip(find_data(pretrain).model_config, pretraining=True) / flops_per_clip(labelled.model_config)
    longer = budget + round(plan_clips(pretrain, labelled.num_train) * cost)
    plans = {
        "ssast-pretrained": _recipe("ssast", shared, "name=SSAST pretrained", f"init.from={pretrained}"),
        "ssast-scratch": scratch,
        "ssast-scratch-longer": _recipe("ssast", shared, "name=SSAST scratch, equal compute", f"train.clips={longer}"),
        "ast": _recipe("ast", shared, "name=AST"),
        "passt": _recipe("passt", shared, "name=PaSST"),
        "cnn": _recipe("cnn", shared, "name=CNN"),
    }
    pretraining = run_once(pretrain, pretrained, "pretrain", console.training)
    groups = {
        recipe.name: [run_once(recipe, out / folder, "finetune", console.training)] for folder, recipe in plans.items()
    }
    table = compare_summaries(groups, costs=costs_by_contender(groups, out))
    probes = _probe_rows(scratch, pretrained, pretraining, table.metric, console)
    seconds = time.perf_counter() - began
    report = replace(
        table,
        rows=tuple(sorted((*table.rows, *probes), key=lambda row: -row.mean)),
        remarks=(found.remark, *_findings(table, probes), *table.remarks),
        look=(
            f"took {seconds:.0f} s on {provenance.device_name(provenance.pick_device(scratch.train.device))}",
            f"tables: {out / 'comparison.md'} and comparison.json; a run folder for every row in {out}",
            f"curves, hardest clips to listen to, and what the models confuse: {out / REPORT}, a page for any browser",
            f"more of it, and log-mels (input, masked, reconstructed): tensorboard --logdir {out}",
        ),
    )
    write_comparison(report, out)
    folders = {name: [Path(str(run["folder"])) for run in runs] for name, runs in groups.items()}
    write_report(folders, report.as_json(), out / REPORT, title="Quickstart")
    return report


def _shared_overrides(found: QuickstartData, seed: int) -> list[str]:
    """What all recipes get: the data, the seed, and an input long enough for a typical clip."""
    overrides = [
        f"data.train={json.dumps(str(found.train))}",
        f"data.eval={json.dumps(str(found.eval))}",
        f"seed={seed}",
    ]
    frames = min(512, max(64, 16 * round(found.seconds * _FRAMES_PER_SECOND / 16)))
    if abs(found.seconds - 2.0) > 0.1:
        overrides.append(f"model.n_frames={frames}")
    return overrides


def _recipe(name: str, shared: list[str], *own: str) -> Recipe:
    return read_recipe(find_recipe(f"quickstart/{name}"), _merged(shared, own))


def _merged(overrides: Sequence[str], later: Sequence[str]) -> list[str]:
    """Both, where a later one replaces an earlier one of the same key, and so does one length of training another."""
    lengths = {"train.clips", "train.steps", "train.epochs"}
    keys = {one.split("=", 1)[0].strip() for one in later}
    gone = keys | lengths if keys & lengths else keys
    return [one for one in overrides if one.split("=", 1)[0].strip() not in gone] + list(later)


def _probe_rows(
    recipe: Recipe, pretrained: Path, pretraining: dict[str, Any], metric: str, console: Display
) -> list[Row]:
    """A linear classifier on the frozen features of the untrained and of the pretrained SSAST."""
    device = provenance.pick_device(recipe.train.device)
    data = prepare_data(recipe, device)
    assert data.found.train is not None
    assert data.found.eval is not None
    loaders = [
        make_loader(recipe, data.found, data.front_end, clips, device, training=False)
        for clips in (data.found.train, data.found.eval)
    ]
    rows = []
    for name, source in (("probe on random features", None), ("probe on pretrained features", pretrained)):
        began = time.perf_counter()
        torch.manual_seed(recipe.seed)
        model: nn.Module = build_model(data.found.model_config)
        if source is not None:
            initialise(model, read(source))
        model.to(device)
        train, held_out = (extract_features(model, loader, data.make_inputs, device) for loader in loaders)
        assert train.targets is not None
        assert held_out.targets is not None
        metrics = linear_probe(train.features, train.targets, held_out.features, held_out.targets)
        seconds = time.perf_counter() - began
        console.say(f"{name}: {metric} {metrics[metric]:.3f} in {seconds:.0f} s")
        rows.append(
            Row(
                name=name,
                kind="probe",
                values=(float(metrics[metric]),),
                parameters=num_parameters(model),
                flops_per_clip=flops_per_clip(data.found.model_config),
                clips=0,
                seconds=seconds,
                clips_per_second=0.0,
                pretraining_clips=pretraining["clips"] if source is not None else 0,
                pretraining_seconds=pretraining["seconds"] if source is not None else 0.0,
            )
        )
    data.close()
    for loader in loaders:
        loader.close()
    return rows


def _findings(table: Comparison, probes: list[Row]) -> list[str]:
    """What this run measured about pretraining, in words, whichever way it went."""
    values = {row.name: row.mean for row in table.rows}
    gain = values["SSAST pretrained"] - values["SSAST scratch"]
    longer = next(v for name, v in values.items() if "equal compute" in name)
    versus = values["SSAST pretrained"] - longer
    # Two standard errors of the difference of two shares of the same clips, taken as independent.
    noise = 2 * (2 * longer * (1 - longer) / table.num_eval_clips) ** 0.5

    def judged(difference: float, better: str, worse: str) -> str:
        if abs(difference) < noise:
            return f"made no clear difference (noise of one run is about ±{noise:.3f})"
        return better if difference > 0 else worse

    random, pretrained = (row.mean for row in probes)
    return [
        f"Pretraining {judged(gain, 'helped', 'harmed')}: {gain:+.3f} against the same fine-tuning from scratch.",
        f"Against its compute spent on training from scratch, which gives {longer:.3f}, pretraining "
        f"{judged(versus, 'was worth more', 'was worth less')}: {versus:+.3f}.",
        f"A linear probe gets {pretrained:.3f} on frozen pretrained features and {random:.3f} on those of an untrained "
        f"model ({pretrained - random:+.3f}).",
    ]
