"""The stages of a proof, one after the other: rates, pretrainings beside choices, then the rows and probes of tables.

Within a stage everything runs side by side, the longest first. What is done is read, what was cut goes on, and a
training that failed is not tried again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.compare.planned import PlannedRun
from zoo.compare.runs import FAILED, Outcome, as_work, in_words, where
from zoo.compare.workers import Display, Work, Workers
from zoo.proof import probing
from zoo.proof.chosen import resolved_choice
from zoo.proof.parts import Parts, tags_of_pretraining, tags_of_row
from zoo.proof.planned import Planner
from zoo.proof.pretrained import keep_rates, known_rates, rate_work
from zoo.proof.probing import ProbeRun
from zoo.proof.results import Choice
from zoo.proof.rows import PlannedChoice, PlannedRow, PlannedTable
from zoo.proof.tables import Found


@dataclass
class Stages:
    """What is done so far, and what does the rest."""

    planner: Planner
    parts: Parts
    out: Path
    runs: dict[Path, Outcome] = field(default_factory=dict)
    probes: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    settings: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    choices: list[Choice] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    # ---- what there is to do

    def pretrainings(self) -> list[PlannedRun]:
        """Those that are asked for, or were run before."""
        return [
            run
            for run in self.planner.pretrainings()
            if self.parts.has(tags_of_pretraining(run.contender)) or is_over(run)
        ]

    def choices_to_make(self) -> list[PlannedChoice]:
        """Those that a row that is asked for depends on, or that were made before."""
        rows = [(table.task.name, row.row.recipe) for table, row in self._asked(self.planner.tables({}))]
        return [
            one
            for one in self.planner.choices()
            if any((one.task.name, recipe) in rows for recipe in one.recipes)
            or all(is_over(run) for some in one.runs for run in some)
        ]

    def rows_to_run(self, tables: Sequence[PlannedTable]) -> list[tuple[PlannedTable, PlannedRow]]:
        """Rows that are trained, and can be: their pretraining is there."""
        found = []
        for table, row in self._asked(tables):
            if row.row.recipe is None or row.row.start in self.failed_pretrainings:
                continue
            if row.row.start is not None and not self._is_pretrained(row.row.start):
                self._note(f"{row.row.name} on {table.task.name}: left out, for {row.row.start} is not pretrained yet")
            else:
                found.append((table, row))
        return found

    def probes_to_run(self, tables: Sequence[PlannedTable]) -> list[ProbeRun]:
        """One for each task and pretraining, with all kinds that rows ask for."""
        kinds: dict[tuple[str, str], set[str]] = {}
        untrained: set[tuple[str, str]] = set()
        folds, asked = {}, set()
        for table in tables:
            for planned in table.rows:
                row = planned.row
                if row.probe is None or row.start is None or not self._is_pretrained(row.start):
                    continue
                key = table.task.name, row.start
                kinds.setdefault(key, set()).add(row.probe)
                folds[key] = table.task.folds
                untrained |= {key} if row.untrained else set()
                asked |= {key} if self.parts.has(tags_of_row(table.table, row, table.task.name)) else set()
        return [
            ProbeRun(
                *key,
                source=self.planner.pretraining_folder(key[1]),
                manifest=self.planner.audio.tasks[key[0]],
                folds=folds[key],
                kinds=tuple(sorted(some)),
                untrained=key in untrained,
                out=self.out / "probes" / key[0] / f"{key[1]}.json",
            )
            for key, some in kinds.items()
            if key in asked
        ]

    def _asked(self, tables: Sequence[PlannedTable]) -> list[tuple[PlannedTable, PlannedRow]]:
        return [
            (table, row)
            for table in tables
            for row in table.rows
            if self.parts.has(tags_of_row(table.table, row.row, table.task.name))
            or (row.runs and all(is_over(run) for run in row.runs))
        ]

    # ---- doing it

    def measure_rates(self, workers: Workers, console: Display) -> None:
        """Clips of pretrainings that get the time of another, measured once in this folder."""
        known = known_rates(self.out)
        missing = [
            one
            for one in self.planner.config.pretrainings
            if one.equal_time_to is not None and one.name not in known and self.parts.has(tags_of_pretraining(one.name))
        ]
        if missing:
            works = [rate_work(one, self.planner) for one in missing]
            measured = workers.results(works, console, "rates", "rates")
            rates = {one.name: rate for one, rate in zip(missing, measured, strict=True)}
            known = keep_rates(rates, self.planner, self.out, console.say)
        self.planner.equal_time = {name: one["clips"] for name, one in known.items()}

    def pretrain_and_choose(self, workers: Workers, console: Display) -> None:
        """Pretrainings, and beside them the choices, which see none of them."""
        choices = self.choices_to_make()
        runs = [*self.pretrainings(), *(run for one in choices for some in one.runs for run in some)]
        self._train(runs, workers, console, "pretraining and choosing")
        for one in choices:
            found = resolved_choice(one, self.runs)
            if found is not None:
                self.choices.append(found[0])
                self.settings |= {(one.task.name, recipe): found[1] for recipe in one.recipes}
            else:
                self._note(f"{one.choice.recipe} on {one.task.name}: nothing could be chosen, for its runs failed")

    def run_rows(self, tables: Sequence[PlannedTable], workers: Workers, console: Display) -> None:
        """Fine-tunings and probes."""
        runs = {run.folder: run for _, row in self.rows_to_run(tables) for run in row.runs}
        probes = self.probes_to_run(tables)
        works = [one.work for one in probes]
        results = self._train(list(runs.values()), workers, console, "fine-tuning and probing", works)
        self.probes |= {(one.task, one.pretraining): found for one, found in zip(probes, results, strict=True)}

    def _train(
        self,
        runs: Sequence[PlannedRun],
        workers: Workers,
        console: Display,
        title: str,
        others: Sequence[Work] = (),
    ) -> list[Any]:
        """Notes the outcomes of runs; what other work came to."""
        works = [*(as_work(run, self._named(run)) for run in runs), *others]
        results = workers.results(works, console, title, told=_told)
        self.runs |= {run.folder: outcome for run, outcome in zip(runs, results, strict=False)}
        return results[len(runs) :]

    def _named(self, run: PlannedRun) -> str:
        part = run.folder.relative_to(self.out).parts
        return f"{part[1]}: {where(run)}" if part[0] == "tasks" else where(run)

    # ---- what was found

    def found(self) -> Found:
        """For the tables."""
        return Found(self.runs, self.probes, self.failed_pretrainings)

    @property
    def failed_pretrainings(self) -> dict[str, str]:
        """Name -> what ended it."""
        outcomes = {
            one.name: self.runs.get(self.planner.pretraining_folder(one.name))
            for one in self.planner.config.pretrainings
        }
        return {name: str(outcome.failed) for name, outcome in outcomes.items() if outcome and outcome.summary is None}

    def _is_pretrained(self, name: str) -> bool:
        outcome = self.runs.get(self.planner.pretraining_folder(name))
        return outcome is not None and outcome.summary is not None

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def is_over(run: PlannedRun) -> bool:
    """Whether it is in its folder, done or failed."""
    return (run.folder / "summary.json").is_file() or (run.folder / FAILED).is_file()


def _told(result: Any) -> str:
    return in_words(result) if isinstance(result, Outcome) else probing.in_words(result)
