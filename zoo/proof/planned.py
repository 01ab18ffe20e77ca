"""The runs of a proof before any is begun: pretrainings, choices, and the rows of every table, each with its recipes.

What is equal in a table is worked out here: equal clips, equal operations, equal operations with those of pretraining,
and equal time.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.compare.costs import trained_on_meta
from zoo.compare.folds import Rule, fold_recipes
from zoo.compare.found_runs import run_folder
from zoo.compare.planned import PlannedRun, merged, pairs
from zoo.data.manifest import Manifest
from zoo.data.validation import ValidationConfig
from zoo.errors import RecipeError
from zoo.models.cost import training_flops_per_clip
from zoo.proof.audio import Audio
from zoo.proof.config import (
    ChoiceConfig,
    PretrainingConfig,
    ProofConfig,
    RowConfig,
    TableConfig,
    TaskConfig,
    WatchConfig,
)
from zoo.proof.equal import equal_compute, equal_operations
from zoo.proof.rows import PlannedChoice, PlannedRow, PlannedTable, folder_suffix, seeds_of
from zoo.recipe import Recipe, find_recipe, read_recipe
from zoo.run import find_data, plan_clips

_SET_BY_THE_PROOF = ("train.clips", "train.steps", "train.epochs", "data.train", "data.eval", "data.test", "init.from")
Settings = Mapping[tuple[str, str], dict[str, Any]]
"""(task, recipe) -> the setting that was chosen for it."""


@dataclass
class Planner:
    """Turns a plan into runs under `out`."""

    config: ProofConfig
    audio: Audio
    out: Path
    overrides: Sequence[str] = ()
    """KEY=VALUE of every recipe."""
    equal_time: Mapping[str, int] = field(default_factory=dict)
    """Pretraining -> its clips, as measured; until then, those that the operations tell."""
    _flops: dict[tuple[str, ...], int] = field(default_factory=dict)
    _clips: dict[str, Manifest] = field(default_factory=dict)
    _tables: dict[str, list[PlannedTable]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for override in self.overrides:
            key = override.split("=", 1)[0].strip()
            if key in _SET_BY_THE_PROOF or key == "seed":
                raise RecipeError(
                    f"<command line>: {key}: found {override} - expected none, for a proof sets it for every run - "
                    "leave it out, or change a copy of the plan (--scale FILE)"
                )

    def check(self) -> None:
        """Reads every recipe with its overrides, and the manifests. Raises ZooError."""
        self.pretrainings()
        self.choices()
        self.tables({})

    def sample_rate(self) -> int:
        """Of the audio that models hear, in hertz. Raises RecipeError: recipes that differ in it."""
        recipes = [run.recipe for run in self.pretrainings()]
        recipes += [run.recipe for table in self.tables({}) for row in table.rows for run in row.runs[:1]]
        rates = {recipe.front_end.sample_rate for recipe in recipes}
        if len(rates) != 1:
            found = ", ".join(map(str, sorted(rates)))
            raise RecipeError(f"front_end.sample_rate: found {found} - expected one for all - set it in the plan")
        return rates.pop()

    # ---- pretraining

    def pretraining_folder(self, name: str) -> Path:
        """Where the run is."""
        return self.out / "pretrain" / name

    def pretraining(self, one: PretrainingConfig) -> PlannedRun:
        """Its run."""
        own = [f"name={json.dumps(one.name)}", f"data.train={json.dumps(self.audio.pretrain)}"]
        if one.equal_time_to is not None:
            own.append(f"train.clips={self._clips_of_equal_time(one)}")
        if self.config.watch is not None:
            own.append(f"evaluate.probe={json.dumps(self._probe(self.config.watch))}")
        recipe = self._read(one.recipe, self.config.set, one.set, *own)
        if recipe.objective.kind != "masked-patch":
            raise RecipeError(f"pretrainings: {one.name}: {one.recipe} is no recipe of pretraining - name another")
        return PlannedRun(one.name, recipe, self.pretraining_folder(one.name), None, recipe.seed)

    def _probe(self, watch: WatchConfig) -> dict[str, Any]:
        path = self.audio.tasks[watch.task]
        sides = {"train": {"path": path, "not_fold": watch.fold}, "test": {"path": path, "fold": watch.fold}}
        return {**sides, "every_clips": watch.every_clips}

    def pretrainings(self) -> list[PlannedRun]:
        """All of them."""
        return [self.pretraining(one) for one in self.config.pretrainings]

    def clips_of_pretraining(self, name: str) -> int:
        """Seen."""
        recipe = self.pretraining(self.config.pretraining(name)).recipe
        return recipe.train.clips or plan_clips(recipe, find_data(recipe).num_train)

    def flops_of_pretraining(self, name: str) -> float:
        """Of training, forward and backward."""
        recipe = self.pretraining(self.config.pretraining(name)).recipe
        return float(self.clips_of_pretraining(name)) * self.flops_per_clip(recipe)

    def _clips_of_equal_time(self, one: PretrainingConfig) -> int:
        if one.name in self.equal_time:
            return self.equal_time[one.name]
        assert one.equal_time_to is not None
        other = self.config.pretraining(one.equal_time_to)
        clips = self.clips_of_pretraining(other.name)
        ours = self._read(one.recipe, self.config.set, one.set, "train.clips=1")
        theirs = self._read(other.recipe, self.config.set, other.set)
        return max(1, round(clips * self.flops_per_clip(theirs) / self.flops_per_clip(ours)))

    # ---- choices

    def choices(self) -> list[PlannedChoice]:
        """Every choice on every one of its tasks."""
        return [
            self._choice(choice, task)
            for choice in self.config.choices
            for task in self.config.tasks
            if choice.tasks is None or task.name in choice.tasks
        ]

    def _choice(self, choice: ChoiceConfig, task: TaskConfig) -> PlannedChoice:
        clips = choice.clips or task.clips
        several = []
        for number, setting in enumerate(choice.settings):
            name = f"{Path(choice.recipe).stem}-{number + 1}"
            length = f"train.clips={clips}"
            recipe = self._task_recipe(choice.recipe, task, name, setting, None, length)
            validation = ValidationConfig(share=choice.share)
            recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"validation": validation})})
            folds = fold_recipes(recipe, "validation", choice.folds or task.folds, self._manifest(task.name))
            several.append(
                tuple(
                    PlannedRun(
                        f"{task.name} choice {name}",
                        _judged_by_validation(one).model_copy(update={"seed": seed}),
                        run_folder(self.out / "choice" / task.name, name, fold, seed),
                        fold,
                        seed,
                    )
                    for seed in seeds_of(choice.seeds)
                    for fold, one in folds.items()
                )
            )
        return PlannedChoice(choice, task, tuple(several))

    # ---- tables

    def tables(self, settings: Settings) -> list[PlannedTable]:
        """Every table on every one of its tasks.

        Raises: RecipeError: two rows of one name on one task that are not the same runs.
        """
        told = [f"{key} {value}" for key, value in sorted(settings.items())]
        key = json.dumps([told, dict(self.equal_time), self.audio.all])
        if key not in self._tables:
            self._tables[key] = self._checked_tables(settings)
        return self._tables[key]

    def _checked_tables(self, settings: Settings) -> list[PlannedTable]:
        found = [
            self._table(table, task, settings)
            for table in self.config.tables
            for task in self.config.tasks
            if table.tasks is None or task.name in table.tasks
        ]
        known: dict[Path, Recipe] = {}
        for table in found:
            for row in table.rows:
                for run in row.runs:
                    if known.setdefault(run.folder, run.recipe) != run.recipe:
                        raise RecipeError(
                            f"tables: two rows '{row.row.name}' on {table.task.name} are not the same - expected other "
                            "names for other rows - rename one"
                        )
        return found

    def _table(self, table: TableConfig, task: TaskConfig, settings: Settings) -> PlannedTable:
        rows = [row for row in table.rows if row.tasks is None or task.name in row.tasks]
        return PlannedTable(table, task, tuple(self._row(table, row, task, settings) for row in rows))

    def _row(self, table: TableConfig, row: RowConfig, task: TaskConfig, settings: Settings) -> PlannedRow:
        if row.recipe is None:
            return PlannedRow(row, (), 0, 0)
        setting = {**row.set, **settings.get((task.name, row.recipe), {})}
        if row.length == "converged":  # it is stopped by clips of the training folds
            setting = {"data.validation": {"share": 0.1}, **setting}
        share = f"data.train_share={table.share if table.share < 1 else 'null'}"
        draft = self._task_recipe(row.recipe, task, row.name, setting, row.start, share, "train.clips=1")
        flops = self.flops_per_clip(draft)
        clips, note = self._length(table, row, task, flops, settings)
        least = draft.train.batch_size
        if clips < least:
            raise RecipeError(
                f"tables: row {row.name} on {task.name} sees {clips:,} clips - expected one step of {least:,} at least "
                "- raise the task's clips"
            )
        recipe = self._task_recipe(row.recipe, task, row.name, setting, row.start, share, f"train.clips={clips}")
        rule: Rule = "validation" if row.length == "converged" else "last"
        folds = fold_recipes(recipe, rule, task.folds, self._manifest(task.name))
        name = row.name + folder_suffix(table, is_equal=clips == self._equal(table, row, task))
        runs = [
            PlannedRun(
                row.name,
                one.model_copy(update={"seed": seed}),
                run_folder(self.out / "tasks" / task.name, name, fold, seed),
                fold,
                seed,
            )
            for seed in seeds_of(task.seeds if row.seeds is None else row.seeds)
            for fold, one in folds.items()
        ]
        return PlannedRow(row, tuple(runs), clips, flops, note)

    @staticmethod
    def _equal(table: TableConfig, row: RowConfig, task: TaskConfig) -> int:
        """Clips of the equal budget."""
        return row.clips or round(task.clips * table.clips)

    def _length(
        self, table: TableConfig, row: RowConfig, task: TaskConfig, flops: int, settings: Settings
    ) -> tuple[int, str]:
        """(clips, what is special about them)."""
        equal = self._equal(table, row, task)
        if row.length == "converged":
            return equal, f"until it stops improving, at most {equal:,} clips"
        if row.length == "total-compute":
            assert row.of is not None
            return equal_compute(equal, flops, self.flops_of_pretraining(row.of)), ""
        if table.flops_like is None or table.flops_like == row.name:
            return equal, ""
        like = table.row(table.flops_like)
        assert like.recipe is not None
        setting = {**like.set, **settings.get((task.name, like.recipe), {})}
        theirs = self._task_recipe(like.recipe, task, like.name, setting, None, "train.clips=1")
        clips = equal_operations(equal, self.flops_per_clip(theirs), flops)
        most = round(table.most_clips * equal)
        if clips > most:
            return most, f"stopped at {most:,} clips, {most / clips:.0%} of the operations"
        return clips, ""

    # ---- recipes

    def _manifest(self, name: str) -> Manifest:
        """Of a task; read once for each place where it lies."""
        path = self.audio.all[name]
        if path not in self._clips:
            self._clips[path] = self.audio.manifest(name)
        return self._clips[path]

    def flops_per_clip(self, recipe: Recipe) -> int:
        """Of training, forward and backward; counted once for each model."""
        assert recipe.data.train is not None
        sections = (recipe.model, recipe.objective, recipe.optim)
        labels = next(name for name, path in self.audio.all.items() if path == recipe.data.train[0].path)
        key = (*(section.model_dump_json() for section in sections), labels)
        if key not in self._flops:
            config = find_data(recipe).model_config
            self._flops[key] = training_flops_per_clip(trained_on_meta(recipe, config))
        return self._flops[key]

    def _task_recipe(
        self,
        source: str,
        task: TaskConfig,
        name: str,
        setting: Mapping[str, Any],
        start: str | None,
        *own: str,
    ) -> Recipe:
        init = "null" if start is None else json.dumps(str(self.pretraining_folder(start)))
        path = json.dumps(self.audio.tasks[task.name])
        forced = [f"name={json.dumps(name)}", f"data.train={path}", f"init.from={init}", *own]
        recipe = self._read(source, self.config.set, task.set, setting, *forced)
        if recipe.objective.kind != "classification":
            raise RecipeError(f"tables: {name}: {source} is no recipe of fine-tuning - name another")
        return recipe

    def _read(self, source: str, *layers: Mapping[str, Any] | str) -> Recipe:
        """A recipe with overrides, later ones before earlier ones, and those of the command line before all but what
        the proof itself sets."""
        overrides: tuple[str, ...] = ()
        for layer in layers:
            if not isinstance(layer, str):
                overrides = merged(overrides, pairs(layer))
        overrides = merged(overrides, self.overrides)
        overrides = merged(overrides, [layer for layer in layers if isinstance(layer, str)])
        overrides = merged(overrides, ["data.eval=null", "data.test=null"])
        if not any(one.startswith("data.train=") for one in overrides):
            overrides = merged(overrides, [f"data.train={json.dumps(self.audio.pretrain)}"])
        return read_recipe(find_recipe(source), list(overrides), for_training=True)


def _judged_by_validation(recipe: Recipe) -> Recipe:
    """The run of a fold that never looks at the fold: its last weights are judged on what is set aside."""
    evaluate = recipe.evaluate.model_copy(update={"select": "last", "every_epochs": None, "every_clips": None})
    evaluate = evaluate.model_copy(update={"patience": None})
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"test": None}), "evaluate": evaluate})
