"""A proof as a YAML file: what is pretrained, on which tasks it is judged, how settings are chosen, and the tables."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from zoo.compare.config import Name, Seeds, as_names, as_tuple
from zoo.config import Config
from zoo.errors import RecipeError
from zoo.proof.results import Domain, Form, Kind, Role
from zoo.recipe import PROOF, recipes_folder
from zoo.recipe.document import did_you_mean
from zoo.recipe.plain_words import checked
from zoo.recipe.sections import Clips
from zoo.recipe.strict_yaml import read_document


def _without_length(values: dict[str, Any]) -> dict[str, Any]:
    """Raises ValueError for what the proof itself sets."""
    for key in values:
        if key in ("train.epochs", "train.steps", "init.from", "data.train", "data.eval", "data.test", "seed"):
            raise ValueError(f"found {key} - expected none, for a proof sets it - leave it out")
    return values


Text = Annotated[str, Field(min_length=1)]
Names = Annotated[tuple[str, ...] | None, BeforeValidator(as_names, json_schema_input_type=list[str | int] | None)]
Overrides = Annotated[dict[str, Any], AfterValidator(_without_length)]


class PretrainingConfig(Config):
    """One pretraining without labels."""

    name: Name
    """By which rows name it, and of its folder."""
    title: Text
    what: str = ""
    """In words."""
    form: Form
    role: Role = "pretrained"
    recipe: Text
    set: Overrides = Field(default_factory=dict)
    """Overrides of its recipe; `train.clips` is its length."""
    equal_time_to: str | None = None
    """Of another pretraining: this one sees as many clips as it gets through in the time of that one, by rates that are
    measured on this machine; `train.clips` does not matter then."""


class TaskConfig(Config):
    """A labelled task: a folder in DATA/tasks."""

    name: Name
    domain: Domain
    clips: Clips
    """Seen by every fine-tuning at the equal budget."""
    seeds: Seeds = 1
    folds: Names = None
    """Only these; null is all."""
    set: Overrides = Field(default_factory=dict)
    """Overrides of every recipe on this task, and of no pretraining."""


class WatchConfig(Config):
    """A probe while models pretrain (`evaluate.probe`); nothing of it reaches the training."""

    task: Name
    """On whose clips."""
    fold: str | int
    """It is measured on this fold, and learns from the others."""
    every_clips: Clips | None = None
    """Seen between two probes; null: at every evaluation."""


class ChoiceConfig(Config):
    """Settings of fine-tuning, tried on models from scratch, on clips set aside within the training folds.

    The setting with the best mean accuracy over the folds is then used in every row of `recipes`, pretrained or not. No
    pretrained model and no test fold is looked at.
    """

    recipe: Text
    """That is tried, from scratch."""
    recipes: Names = None
    """Whose rows get the setting; null: of `recipe`."""
    settings: Annotated[tuple[Overrides, ...], Field(min_length=1), BeforeValidator(as_tuple)]
    """Overrides each, such as `{optim.lr: 1e-3}`. Of equally good ones the first is taken."""
    tasks: Names = None
    """null: all."""
    folds: Names = None
    """On which it is tried; null: all."""
    seeds: Seeds = 1
    clips: Clips | None = None
    """Seen by each; null: the task's."""
    share: Annotated[float, Field(ge=0.001, le=0.5)] = 0.2
    """Of the training clips, set aside; whole groups where the clips have them."""


class RowConfig(Config):
    """One row of a table: a recipe that is fine-tuned, or a probe on frozen features."""

    name: Name
    what: str = ""
    """In words."""
    role: Role = "other"
    form: Form | None = None
    recipe: str | None = None
    """That is trained. Exactly one of recipe and probe is set."""
    probe: Literal["linear", "knn"] | None = None
    start: str | None = None
    """A pretraining, whose weights it begins with; null: from scratch. Of a probe: whose features, or whose model."""
    untrained: bool = False
    """Of a probe: the model of `start` with fresh weights."""
    length: Literal["equal", "total-compute", "converged"] = "equal"
    """`equal`: the budget of the table. `total-compute`: as long as the operations of the pretraining `of` and of
    fine-tuning from it, together, last. `converged`: until clips set aside are judged no better (`evaluate.patience`
    in `set`), the best of them chosen, for at most `clips`."""
    of: str | None = None
    """The pretraining of `total-compute`."""
    clips: Clips | None = None
    """null: those of the task. Of `converged` the most."""
    seeds: Seeds | None = None
    """null: those of the task."""
    set: Overrides = Field(default_factory=dict)
    """Overrides of its recipe; they go before the chosen setting."""
    against: str | None = None
    """The row that it is tested against; null: the table's reference."""
    tasks: Names = None
    """Only of these; null: of all tasks of the table."""

    @model_validator(mode="after")
    def _one_source(self) -> "RowConfig":
        if (self.recipe is None) == (self.probe is None):
            raise ValueError("found recipe and probe both or neither - expected exactly one of the two - set one")
        if self.probe is not None and self.start is None:
            raise ValueError("start: found none - expected the pretraining whose model is probed - name it")
        if self.untrained and self.probe is None:
            raise ValueError("untrained: found without probe - expected it of a probe alone - leave it out")
        if (self.length == "total-compute") != (self.of is not None):
            raise ValueError("of: expected the pretraining whose operations count, with length total-compute alone")
        return self


class TableConfig(Config):
    """Rows on one budget, for each of some tasks."""

    kind: Kind
    title: Text
    tasks: Names = None
    """null: all."""
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Of the training labels (`data.train_share`)."""
    clips: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """The equal budget, in multiples of the task's clips."""
    flops_like: str | None = None
    """Equal operations instead: those of this row at the equal clips; null: equal clips."""
    most_clips: Annotated[float, Field(ge=1, le=100_000)] = 20.0
    """With equal operations: no row sees more than so many times the clips of `flops_like`; it is told."""
    reference: str
    """The row that others are tested against."""
    rows: Annotated[tuple[RowConfig, ...], Field(min_length=1), BeforeValidator(as_tuple)]

    @model_validator(mode="after")
    def _names_are_rows(self) -> "TableConfig":
        names = [row.name for row in self.rows]
        _once(names, "rows")
        for key, name in (("reference", self.reference), ("flops_like", self.flops_like)):
            if name is not None:
                _known(name, names, key)
        for row in self.rows:
            if row.against is not None:
                _known(row.against, names, f"rows: against of {row.name}")
        if self.flops_like is not None and self.row(self.flops_like).recipe is None:
            raise ValueError(f"flops_like: found '{self.flops_like}', a probe - expected a row that is trained")
        return self

    def row(self, name: str) -> RowConfig:
        """By its name."""
        return next(row for row in self.rows if row.name == name)


class ProofConfig(Config):
    """Pretrainings, tasks, choices and tables."""

    name: Name
    scale: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    """In one word, as every table says it."""
    jobs: Annotated[int, Field(ge=1, le=256)] | None = None
    """Runs side by side; null: one a core on a CPU, 6 on a GPU."""
    threads: Annotated[int, Field(ge=1, le=256)] | None = 1
    """Of each run, whatever `jobs` is, so that results do not depend on it; null: its share of the cores."""
    rate_seconds: Annotated[float, Field(gt=0, le=600)] = 6.0
    """For measuring the rate of a pretraining (`equal_time_to`)."""
    set: Overrides = Field(default_factory=dict)
    """Overrides of every recipe."""
    pretrainings: Annotated[tuple[PretrainingConfig, ...], BeforeValidator(as_tuple)] = ()
    watch: WatchConfig | None = None
    """null: no probe while they train."""
    tasks: Annotated[tuple[TaskConfig, ...], Field(min_length=1), BeforeValidator(as_tuple)]
    choices: Annotated[tuple[ChoiceConfig, ...], BeforeValidator(as_tuple)] = ()
    tables: Annotated[tuple[TableConfig, ...], Field(min_length=1), BeforeValidator(as_tuple)]

    @model_validator(mode="after")
    def _names_are_known(self) -> "ProofConfig":
        pretrainings, tasks = [one.name for one in self.pretrainings], [one.name for one in self.tasks]
        _once(pretrainings, "pretrainings")
        _once(tasks, "tasks")
        for one in self.pretrainings:
            if one.equal_time_to is not None:
                where = f"pretrainings: equal_time_to of {one.name}"
                _known(one.equal_time_to, pretrainings, where)
                if self.pretraining(one.equal_time_to).equal_time_to is not None:
                    raise ValueError(f"{where}: found one that is of equal time itself - expected one with a length")
        if self.watch is not None:
            _known(self.watch.task, tasks, "watch: task")
        for choice in self.choices:
            for task in choice.tasks or ():
                _known(task, tasks, "choices: tasks")
        for table in self.tables:
            for task in table.tasks or ():
                _known(task, tasks, f"tables: tasks of '{table.title}'")
            for row in table.rows:
                for name in filter(None, (row.start, row.of)):
                    _known(name, pretrainings, f"tables: row {row.name} of '{table.title}'")
                for task in row.tasks or ():
                    _known(task, tasks, f"tables: tasks of row {row.name} of '{table.title}'")
        return self

    def pretraining(self, name: str) -> PretrainingConfig:
        """By its name."""
        return next(one for one in self.pretrainings if one.name == name)


def _once(names: list[str], where: str) -> None:
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise ValueError(f"{where}: found {twice[0]!r} twice - expected one name each")


def _known(name: str, names: Iterable[str], where: str) -> None:
    known = list(names)
    if name not in known:
        raise ValueError(f"{where}: found '{name}' - expected one of {', '.join(known) or 'none'} - choose one of them")


def proof_names() -> list[str]:
    """The scales that come with the zoo: cpu, full (a GPU, hours) and minutes (the models of full, a GPU, minutes)."""
    return sorted(path.name.removesuffix(PROOF) for path in (recipes_folder() / "proof").glob(f"*{PROOF}"))


def find_proof(scale_or_path: str) -> Path:
    """The file of a scale, or the path as it is. Raises RecipeError: neither."""
    if scale_or_path in proof_names():
        return recipes_folder() / "proof" / f"{scale_or_path}{PROOF}"
    if Path(scale_or_path).is_file():
        return Path(scale_or_path)
    raise RecipeError(
        f"--scale: found '{scale_or_path}' - expected {' or '.join(proof_names())}, or the file of a plan - "
        "give one of them"
    )


def read_proof(path: str | Path) -> ProofConfig:
    """The plan in a file.

    Raises: RecipeError: one line for every mistake, as `cpu.proof.yaml:12: tasks: ...`.
    """
    document = read_document(path)
    if document.is_whole and not isinstance(document.value, dict):
        document.report((), "found no keys - expected 'pretrainings:', 'tasks:' and the like")
    if not isinstance(document.value, dict):
        document.check()
    known = ProofConfig.model_fields
    for key in document.value:
        if key not in known:
            document.report((key,), f"unknown key{did_you_mean(key, known) or '.'} Known: {', '.join(known)}")
    document.value = {key: value for key, value in document.value.items() if key in known}
    found = checked(ProofConfig, document, ())
    document.check()
    assert isinstance(found, ProofConfig)
    return found
