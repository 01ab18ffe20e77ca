"""`eval/probe_*`: what the features of a model are worth for labels while it pretrains without them."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from zoo.data.bad_audio import BadAudioLog
from zoo.data.labels import Task
from zoo.evaluate.chance import chance_levels
from zoo.evaluate.evaluation import Features, MakeInputs, extract_features
from zoo.evaluate.metrics import classification_metrics
from zoo.evaluate.probe_choice import INVERSE_REGULARISATIONS, NEIGHBOURS, Kind, Side, run_probe
from zoo.evaluate.shares import Batches
from zoo.group import ALONE, Group
from zoo.precision import Precision

_LOG = logging.getLogger("zoo.run")
_KINDS: tuple[Kind, ...] = ("knn", "linear")


@runtime_checkable
class ClosableBatches(Batches, Protocol):
    """Batches from worker processes."""

    def close(self) -> None:
        """Ends them."""


@dataclass(frozen=True)
class ProbeClips:
    """Labelled clips, those to learn from and those to measure on, in one row."""

    loader: ClosableBatches
    """Gives their targets with them."""
    is_test: Bool[Tensor, "n"]
    """By the place of the clip in the row."""
    task: Task
    about: Mapping[str, Any]
    """Where they come from, for the summary."""


class OnlineProbe:
    """A kNN and a linear probe on the features of frozen weights, as they are in the middle of a run.

    The settings of both are fixed (C 0.1, k 20), so that the points of a curve differ by the features alone;
    `zoo probe` chooses them. Nothing is drawn, and no label leaves this object.

    Args:
        features: (log_mel, num_frames, keys) -> (B, D).
        is_due: clips seen -> whether to probe at this evaluation; the same on all processes.
    """

    def __init__(
        self,
        model: Any,
        clips: ProbeClips,
        features: Callable[..., Float[Tensor, "batch embed"]],
        make_inputs: MakeInputs,
        device: torch.device,
        precision: Precision,
        bad_audio: BadAudioLog,
        is_due: Callable[[int], bool],
        group: Group = ALONE,
    ) -> None:
        self._model, self._clips, self._features, self._make_inputs = model, clips, features, make_inputs
        self._device, self._precision, self._group = device, precision, group
        self._bad_audio, self._is_due = bad_audio, is_due
        self._metric = "accuracy" if clips.task == "single-label" else "mAP"
        self.chance: Mapping[str, float] = {}
        self.report: dict[str, Any] | None = None
        """Of the latest probe, for the summary."""

    def __call__(self, clips: int) -> dict[str, float]:
        """`eval/probe_knn`, `eval/probe_linear` and `eval/probe_chance`; nothing when it is not due. NaN where the
        clips that can be used are too few, or the features not finite."""
        if not self._is_due(clips):
            return {}
        on = self._clips
        found = extract_features(
            self._model,
            on.loader,
            self._make_inputs,
            self._device,
            self._precision,
            self._group,
            self._features,
        )
        self._group.main_first(lambda: self._bad_audio.add(found.bad))
        # By one process for all: in the last bit they could differ between machines.
        values = self._group.main_first(lambda: self._probe(found))
        self.chance = dict.fromkeys(("probe_knn", "probe_linear"), values["chance"])
        is_test = on.is_test[list(found.clips)]
        self.report = {
            "clips": clips,
            "metric": self._metric,
            **{name: None if math.isnan(value) else value for name, value in values.items()},
            "num_train_clips": int((~is_test).sum()),
            "num_test_clips": int(is_test.sum()),
            "k": NEIGHBOURS[0],
            "C": INVERSE_REGULARISATIONS[0],
            **on.about,
        }
        return {f"eval/probe_{name}": value for name, value in values.items()}

    def close(self) -> None:
        """Ends the worker processes."""
        self._clips.loader.close()

    def _probe(self, found: Features) -> dict[str, float]:
        """Of each kind, and of chance."""
        assert found.targets is not None
        is_test = self._clips.is_test[list(found.clips)]
        whole = Side(found.targets, found.features)
        train, test = whole.rows(~is_test), whole.rows(is_test)
        nothing = dict.fromkeys((*_KINDS, "chance"), math.nan)
        classes = int((train.targets.sum(dim=0) > 0).sum())
        if not len(test.targets) or classes < (2 if self._clips.task == "single-label" else 1):
            _LOG.warning(
                "evaluate.probe: found %s usable clips to learn from, of %s classes, and %s to measure on - expected "
                "two classes and a clip - the probe says nothing; see bad_audio.jsonl",
                *(len(train.targets), classes, len(test.targets)),
            )
            return nothing
        chance = chance_levels(test.targets, self._clips.task).get(self._metric, math.nan)
        if not bool(found.features.isfinite().all()):
            return nothing | {"chance": chance}
        measured: dict[str, float] = {}
        for kind in _KINDS:
            scores = run_probe(kind, train, test, self._clips.task).scores
            measured[kind] = float(classification_metrics(scores, test.targets, self._clips.task)[self._metric])
        return {**measured, "chance": chance}
