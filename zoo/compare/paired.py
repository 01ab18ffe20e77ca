"""Contenders against the reference: from what runs said of every clip to differences with intervals and tests."""

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from zoo.compare.finished import written_recipe
from zoo.compare.resampling import is_resampled, resampled_metric
from zoo.compare.row import Versus
from zoo.compare.statistics import (
    RESAMPLES,
    Difference,
    holm,
    over_folds,
    over_runs,
    over_seeds,
    percentile_interval,
    resampled_counts,
)
from zoo.data.manifest import Manifest
from zoo.errors import DataError, ZooError
from zoo.evaluate.predictions import PREDICTIONS, Predictions
from zoo.run import find_data

Summaries = Sequence[Mapping[str, Any]]
_FEWEST_RESAMPLES = 400
_MOST_OPERATIONS = 4e12
"""Of the matrix products of all runs: above it fewer samples are drawn."""
_FEW_GROUPS = 20


@dataclass
class Tests:
    """Every contender against the reference, and what has to be said about how."""

    versus: dict[str, Versus] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def against_reference(groups: Mapping[str, Summaries], reference: str, metric: str) -> Tests:
    """Tests every other contender. What cannot be tested is left out and remarked on.

    Args: `groups`: contender -> its runs' summaries, with `folder`, `seed`, `fold` (or none) and a finite `metric`.
    """
    tests = Tests()
    clips = _JudgedClips(metric, [run for runs in groups.values() for run in runs], groups[reference])
    found: dict[str, tuple[Difference, str, tuple[float, float] | None]] = {}
    untested: dict[str, list[str]] = {}
    for name, runs in groups.items():
        if name == reference or not runs or not groups[reference]:
            continue
        try:
            found[name] = _tested(runs, groups[reference], metric, clips)
        except DataError as error:
            untested.setdefault(str(error), []).append(name)
    for why, names in untested.items():
        tests.remarks.append(f"No interval and no test of {', '.join(names)}: {why}.")
    corrected = holm([difference.p_value for difference, _, _ in found.values()])
    for (name, (difference, method, clips_interval)), p in zip(found.items(), corrected, strict=True):
        tests.versus[name] = Versus(
            difference=difference.value,
            interval=difference.interval,
            p_value=_known(difference.p_value),
            p_corrected=_known(p),
            clips_interval=clips_interval,
            method=method,
        )
    if found:
        methods = dict.fromkeys(method for _, method, _ in found.values())
        tests.remarks += [f"Intervals and tests: {method}." for method in methods]
        several = f", corrected for {len(found)} comparisons (Holm); intervals are not" if len(found) > 1 else ""
        tests.remarks.append(f"p is two-sided{several}. Differences are to {reference}.")
        tests.remarks += clips.remarks
    return tests


def _tested(
    ours: Summaries, theirs: Summaries, metric: str, clips: "_JudgedClips"
) -> tuple[Difference, str, tuple[float, float] | None]:
    """(difference, how, interval over clips alone). Raises DataError: why it cannot be tested."""
    folds = {_fold(run) for run in ours}
    if folds != {_fold(run) for run in theirs}:
        raise DataError("the folds are not those of the reference")
    if len(folds) > 1:
        return _over_folds(ours, theirs, metric, clips)
    (values, resampled) = map(list, zip(*(clips.runs(some) for some in (ours, theirs)), strict=True))
    is_finite = np.isfinite(np.concatenate(resampled, axis=1)).all(axis=1)
    resampled = [some[is_finite] for some in resampled]
    if is_finite.sum() < 2:
        raise DataError(f"{metric} is not defined on resampled clips")
    seeds = [sorted(int(run.get("seed") or 0) for run in some) for some in (ours, theirs)]
    if seeds[0] == seeds[1] and len(set(seeds[0])) == len(seeds[0]):
        order = [np.argsort([int(run.get("seed") or 0) for run in some]) for some in (ours, theirs)]
        a, b = (value[places] for value, places in zip(values, order, strict=True))
        a_resampled, b_resampled = (some[:, places] for some, places in zip(resampled, order, strict=True))
        difference = over_seeds(a - b, a_resampled - b_resampled, clips.num_groups)
        of_seeds = f"{len(a)} seeds, paired" if len(a) > 1 else "one seed, whose luck is not covered"
    else:
        difference = over_runs((values[0], resampled[0]), (values[1], resampled[1]), clips.num_groups)
        alone = " (the luck of a single run is not covered)" if 1 in (len(ours), len(theirs)) else ""
        of_seeds = f"{len(ours)} and {len(theirs)} runs of other seeds{alone}"
    over = percentile_interval(resampled[0].mean(axis=1) - resampled[1].mean(axis=1))
    return difference, f"paired bootstrap over {clips.in_words} and {of_seeds}", over


def _over_folds(
    ours: Summaries, theirs: Summaries, metric: str, clips: "_JudgedClips"
) -> tuple[Difference, str, tuple[float, float] | None]:
    folds = sorted({str(_fold(run)) for run in ours})
    means = [np.array([_mean(runs, metric, fold) for fold in folds]) for runs in (ours, theirs)]
    judged = float(np.mean([run["num_eval_clips"] for run in theirs]))
    trained = float(np.mean([run.get("num_train_clips") or 0 for run in theirs]))
    share = judged / trained if trained else 1 / (len(folds) - 1)
    over = None
    # The predictions of a run are of its last weights, not of the epoch that the folds share.
    if not any(run.get("of_shared_epoch") for run in (*ours, *theirs)):
        with contextlib.suppress(DataError):  # the test over folds needs no predictions
            resampled = [clips.over_folds(runs, folds) for runs in (ours, theirs)]
            over = percentile_interval(resampled[0] - resampled[1])
    method = f"corrected resampled t-test over {len(folds)} folds, seeds averaged"
    return over_folds(means[0] - means[1], share), method, over


def _mean(runs: Summaries, metric: str, fold: str) -> float:
    return float(np.mean([run["metrics"][metric] for run in runs if str(_fold(run)) == fold]))


def _fold(run: Mapping[str, Any]) -> str | None:
    fold = run.get("fold")
    return None if fold is None else str(fold)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


class _JudgedClips:
    """Bootstrap samples of the clips that all runs were judged on, fold by fold, and the metrics on them."""

    def __init__(self, metric: str, all_runs: Summaries, reference: Summaries) -> None:
        self.metric = metric
        self.remarks: list[str] = []
        self.num_groups = 0
        self.in_words = "clips"
        self._reference = reference
        self._num_runs = len(all_runs)
        self._of_fold: dict[str | None, tuple[tuple[str, ...], np.ndarray]] = {}
        self._resampled: dict[str, np.ndarray] = {}

    def runs(self, runs: Summaries) -> tuple[Float[np.ndarray, "run"], Float[np.ndarray, "resample run"]]:
        """The metric of each run, and on every bootstrap sample. Raises DataError: a run without its predictions."""
        values = np.array([float(run["metrics"][self.metric]) for run in runs])
        return values, np.stack([self._on_samples(run) for run in runs], axis=1)

    def over_folds(self, runs: Summaries, folds: Sequence[str]) -> Float[np.ndarray, "resample"]:
        """On every bootstrap sample: the mean over folds of the mean over a fold's runs."""
        of_folds = [
            np.mean([self._on_samples(run) for run in runs if str(_fold(run)) == fold], axis=0) for fold in folds
        ]
        num = min(map(len, of_folds))
        return np.mean([one[:num] for one in of_folds], axis=0)

    def _on_samples(self, run: Mapping[str, Any]) -> Float[np.ndarray, "resample"]:
        folder = str(run.get("folder") or "")
        if folder not in self._resampled:
            if not is_resampled(self.metric):
                raise DataError(f"{self.metric} is none that is resampled")
            names, counts = self._samples(_fold(run))
            found = _in_order(_read(folder), names)
            self._resampled[folder] = np.asarray(resampled_metric(self.metric, found, counts), dtype=np.float64)
        return self._resampled[folder]

    def _samples(self, fold: str | None) -> tuple[tuple[str, ...], Float[np.ndarray, "resample clip"]]:
        """The clips of a fold, as the reference has them, and how often each is drawn in every sample."""
        if fold not in self._of_fold:
            run = next(run for run in self._reference if _fold(run) == fold)
            found = _read(str(run.get("folder") or ""))
            groups = self._groups(Path(str(run["folder"])), found.names, fold)
            operations = 2.0 * len(found.names) * float(found.targets.sum()) * self._num_runs
            num = int(np.clip(_MOST_OPERATIONS / max(operations, 1.0), _FEWEST_RESAMPLES, RESAMPLES))
            draws = resampled_counts(groups, num=num, seed=len(self._of_fold))  # of each fold its own
            self._of_fold[fold] = found.names, draws
        return self._of_fold[fold]

    def _groups(self, folder: Path, names: Sequence[str], fold: str | None) -> Int[np.ndarray, "clip"]:
        """The group of each clip: as the manifest has it, else its file, of which it may be one of several cuts."""
        own = np.arange(len(names))
        try:
            judged = _judged_manifest(folder)
        except ZooError:
            judged = None
        if judged is None:
            self.remarks.append(
                "The manifest of the judged clips is gone, so groups (speakers, recordings) are not known."
            )
            self.num_groups = len(own)
            return own
        group_of = {clip.id: clip.group if clip.group is not None else str(clip.path) for clip in judged.clips}
        numbers = {name: i for i, name in enumerate(dict.fromkeys(group_of.get(name, name) for name in names))}
        self.num_groups = len(numbers)
        if len(numbers) < len(names):
            self.in_words = f"{len(numbers):,} groups of clips"
        if len(numbers) < _FEW_GROUPS:
            what = "groups of clips" if len(numbers) < len(names) else "clips"
            remark = f"Fewer than {_FEW_GROUPS} judged {what}{'' if fold is None else ' in a fold'}: intervals over"
            remark += " clips are rough."
            if remark not in self.remarks:
                self.remarks.append(remark)
        return np.array([numbers[group_of.get(name, name)] for name in names])


def _judged_manifest(folder: Path) -> Manifest | None:
    found = find_data(written_recipe(folder), must_exist=False)
    return found.judged


def _read(folder: str) -> Predictions:
    if not folder or not (Path(folder) / PREDICTIONS).is_file():
        raise DataError(f"there is no {PREDICTIONS} of every run")
    return Predictions.read(Path(folder) / PREDICTIONS)


def _in_order(found: Predictions, names: Sequence[str]) -> Predictions:
    """The same predictions, clips in the order of the reference's. Raises DataError: other clips."""
    if found.names == tuple(names):
        return found
    place = {name: i for i, name in enumerate(found.names)}
    if place.keys() != set(names):
        raise DataError("other clips could be used than with the reference")
    rows = torch.tensor([place[name] for name in names])
    return replace(found, names=tuple(names), scores=found.scores[rows], targets=found.targets[rows])
