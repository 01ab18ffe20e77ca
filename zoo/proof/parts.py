"""Which parts of a proof are asked for: `--only pretrain:patch --only esc10`."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from zoo.errors import RecipeError
from zoo.proof.config import ProofConfig, RowConfig, TableConfig


@dataclass(frozen=True)
class Parts:
    """Names of parts; none is all of it."""

    names: tuple[str, ...] = ()

    @classmethod
    def asked(cls, names: Sequence[str], config: ProofConfig) -> "Parts":
        """Raises RecipeError: a part that there is not."""
        known = known_parts(config)
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean '{near[0]}'?" if near else " -"
                shown = ", ".join(one for one in known if ":" not in one)
                raise RecipeError(
                    f"--only: found '{name}' - expected a part of the plan{hint} Known: {shown}, and of these "
                    "pretrain:NAME, TASK:KIND and TASK:ROW"
                )
        return cls(tuple(names))

    def has(self, tags: Iterable[str]) -> bool:
        """Whether something with these tags is asked for."""
        return not self.names or any(tag in self.names for tag in tags)


def tags_of_pretraining(name: str) -> tuple[str, ...]:
    """Of its run."""
    return "pretrain", f"pretrain:{name}"


def tags_of_row(table: TableConfig, row: RowConfig, task: str) -> tuple[str, ...]:
    """Of the runs of a row on a task."""
    probes = ("probe",) if row.probe is not None else ()
    return task, table.kind, f"{task}:{table.kind}", f"{task}:{row.name}", *probes


def known_parts(config: ProofConfig) -> list[str]:
    """Everything that can be asked for."""
    found = [tag for one in config.pretrainings for tag in tags_of_pretraining(one.name)]
    for table in config.tables:
        for task in config.tasks:
            if table.tasks is None or task.name in table.tasks:
                for row in table.rows:
                    if row.tasks is None or task.name in row.tasks:
                        found += tags_of_row(table, row, task.name)
    return list(dict.fromkeys(found))
