"""What a contender gets: as many clips as the others, or as many as equal operations or equal time pay for."""

import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from zoo import disk, provenance
from zoo.compare.config import BudgetConfig
from zoo.compare.costs import trained_on_meta
from zoo.errors import DataError, RecipeError
from zoo.models.cost import training_flops_per_clip
from zoo.recipe import Recipe
from zoo.run import find_data, train
from zoo.run.data import clips_per_step
from zoo.train.plan import Report

BUDGET = "budget.json"
_WARM_UP_STEPS = 3
_FEWEST_STEPS = 5
_MEASURED_SHARE = 0.05
_MEASURED_SECONDS = (2.0, 60.0)
"""Of a budget of seconds, what goes into measuring a contender: a twentieth of it, within these."""


class Budget:
    """Clips of every contender. What depends on a measurement is written down once, so that a resumed comparison does
    the same again."""

    def __init__(self, config: BudgetConfig, out: Path, say: Callable[[str], None]) -> None:
        self.config = config
        self._say = say
        self._path = out / BUDGET
        self._known: dict[str, dict[str, Any]] = {}
        if self._path.is_file():
            self._known = self._read()

    def clips(self, name: str, recipe: Recipe) -> int:
        """How many clips the contender sees.

        Args: `recipe`: of one of its runs, whose length does not matter.

        Raises: RecipeError: the budget does not pay for one step.
        """
        if self.config.clips is not None:
            return self.config.clips
        if name not in self._known:
            self._known[name] = self._rate(name, recipe)
            with disk.written_whole(self._path) as beside:
                disk.write_json(beside, {self.config.kind: self.config.amount, "contenders": self._known})
        clips = int(self.config.amount * self._known[name]["clips_per_unit"])
        least = clips_per_step(recipe, find_data(recipe).num_train)
        if clips < least:
            raise RecipeError(
                f"budget.{self.config.kind}: found {self.config.amount:g}, with which {name} sees {clips:,} clips - "
                f"expected one step of {least:,} at least - raise it"
            )
        return clips

    def _rate(self, name: str, recipe: Recipe) -> dict[str, Any]:
        """Clips that one operation, or one second, pays for."""
        if self.config.flops is not None:
            found = find_data(recipe)
            flops = training_flops_per_clip(trained_on_meta(recipe, found.model_config))
            return {"training_flops_per_clip": flops, "clips_per_unit": 1 / flops}
        assert self.config.seconds is not None
        low, high = _MEASURED_SECONDS
        rate = measured_rate(recipe, min(max(_MEASURED_SHARE * self.config.seconds, low), high))
        device = provenance.device_name(provenance.pick_device(recipe.train.device))
        self._say(f"{name}: trains {rate:,.1f} clips/s on {device}")
        return {"device": device, "clips_per_unit": rate}

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            values = json.loads(self._path.read_text(encoding="utf-8"))
            contenders: Mapping[str, dict[str, Any]] = values["contenders"]
            if values.get(self.config.kind) != self.config.amount:
                raise RecipeError(
                    f"{self._path}: another budget ({', '.join(key for key in values if key != 'contenders')}) - "
                    f"expected {self.config.kind} {self.config.amount:g}, as asked for - choose another --out"
                )
            return dict(contenders)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{self._path}: cannot be read ({disk.reason(error)}) - expected what a comparison wrote - remove it"
            ) from None


class _EnoughError(Exception):
    """The rate is known."""


def measured_rate(recipe: Recipe, seconds: float) -> float:
    """Clips a second of training as it is: from this data, with this recipe, after the first steps.

    A run is begun in a temporary folder and given up after so many seconds. By the median step: what else the machine
    does for a moment does not count. Evaluations are left out, as they are of a budget.
    """
    times: list[float] = []

    def on_progress(report: Report) -> None:
        times.append(time.perf_counter())
        is_enough = len(times) > _WARM_UP_STEPS + _FEWEST_STEPS and times[-1] - times[_WARM_UP_STEPS] > seconds
        if is_enough:
            raise _EnoughError

    changes = {"clips": 10**9, "steps": None, "epochs": None}
    data = recipe.data.model_copy(update={"eval": None, "test": None, "validation": None})
    evaluate = recipe.evaluate.model_copy(update={"patience": None, "select": "last"})
    log = recipe.log.model_copy(update={"every_clips": 10**9, "checkpoint_minutes": 1e4, "images": 0})
    endless = recipe.model_copy(
        update={"data": data, "evaluate": evaluate, "log": log, "train": recipe.train.model_copy(update=changes)}
    )
    command = "pretrain" if recipe.objective.kind == "masked-patch" else "finetune"
    with tempfile.TemporaryDirectory(prefix="zoo-rate-") as folder, contextlib.suppress(_EnoughError):
        train(endless, Path(folder) / "run", command=command, on_progress=on_progress)
    steps = sorted(b - a for a, b in zip(times[_WARM_UP_STEPS:], times[_WARM_UP_STEPS + 1 :], strict=False))
    return clips_per_step(recipe, find_data(endless).num_train) / steps[len(steps) // 2]
