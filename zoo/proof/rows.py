"""What a proof is made of before any of it is begun: rows of tables, and choices, each with its runs."""

from dataclasses import dataclass

from zoo.compare.config import Seeds
from zoo.compare.planned import PlannedRun
from zoo.proof.config import ChoiceConfig, RowConfig, TableConfig, TaskConfig


@dataclass(frozen=True)
class PlannedRow:
    """One row of a table on one task."""

    row: RowConfig
    runs: tuple[PlannedRun, ...]
    """Seeds × folds; none of a probe."""
    clips: int
    flops_per_clip: int
    """Of training."""
    note: str = ""
    """What is special about its length."""


@dataclass(frozen=True)
class PlannedTable:
    """One table on one task."""

    table: TableConfig
    task: TaskConfig
    rows: tuple[PlannedRow, ...]


@dataclass(frozen=True)
class PlannedChoice:
    """Settings to be tried on one task."""

    choice: ChoiceConfig
    task: TaskConfig
    runs: tuple[tuple[PlannedRun, ...], ...]
    """Of each setting."""

    @property
    def recipes(self) -> tuple[str, ...]:
        """Whose rows get what is chosen."""
        return self.choice.recipes or (self.choice.recipe,)


def seeds_of(seeds: Seeds) -> tuple[int, ...]:
    """Which they are."""
    return tuple(range(seeds)) if isinstance(seeds, int) else tuple(dict.fromkeys(seeds))


def folder_suffix(table: TableConfig, is_equal: bool) -> str:
    """Of the folder of a row: runs at other budgets and shares are other runs; at equal operations those of models that
    cost alike are the same."""
    text = "" if table.share == 1 else f"-share-{table.share:g}"
    text += "" if table.clips == 1 else f"-{table.clips:g}x"
    return text + ("" if table.flops_like is None or is_equal else "-equal-flops")
