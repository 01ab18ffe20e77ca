"""What `zoo proof` found, as values and as the JSON file that its pages are written from.

Metrics are shares of 1, times seconds, operations FLOPs of training (forward and backward). Nothing is NaN: what is not
known, or has no meaning (a deviation over one seed, the training of a probe), is None. Folders are relative to the
folder of the proof.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from zoo import disk
from zoo.errors import DataError

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

Form = Literal["patch", "frame"]
Domain = Literal["speech", "sound"]
Kind = Literal["ssast", "comparison", "labels"]
Role = Literal[
    "pretrained",
    "scratch",
    "scratch-compute",
    "scratch-converged",
    "reconstruct",
    "classify",
    "masked-out",
    "probe-random",
    "probe-pretrained",
    "cnn",
    "other",
]
"""What a row is in the argument, by which the pages find it; its name is for people.

- pretrained: joint pretraining, then fine-tuning; the full encoder.
- scratch: the same model and fine-tuning budget, fresh weights: what `pretrained` is held against.
- scratch-compute: scratch trained longer, by as much as pretraining took. scratch-converged: until it stops improving.
- reconstruct, classify: pretrained with one of the two losses alone.
- masked-out: masked tokens left out of the encoder, pretrained for the same time.
- probe-random, probe-pretrained: a linear probe on frozen features.
- cnn, and other: all families of a comparison that are none of these.
"""


@dataclass(frozen=True)
class Corpus:
    """The unlabelled audio."""

    __pydantic_config__ = _STRICT
    clips: int
    hours: float
    hash: str
    """Of its manifest."""


@dataclass(frozen=True)
class TaskData:
    """A labelled task."""

    __pydantic_config__ = _STRICT
    clips: int
    classes: int
    folds: int
    hash: str
    chance: float
    """Of the metric of its tables."""
    domain: Domain = "sound"


@dataclass(frozen=True)
class ProofData:
    """All audio of a proof."""

    __pydantic_config__ = _STRICT
    pretrain: Corpus
    tasks: dict[str, TaskData]


@dataclass(frozen=True)
class Pretraining:
    """One pretraining run.

    `final` and the points of `curve` have the tags of `metrics.jsonl`: `eval/pretext_accuracy`, `eval/pretext_chance`,
    `eval/loss_reconstruct`, `eval/mean_patch_loss`, `eval/probe_linear`, `eval/probe_knn`, `eval/probe_chance`; a point
    also has `clips` (seen).
    """

    __pydantic_config__ = _STRICT
    name: str
    """By which rows of tables name it."""
    title: str
    what: str
    folder: str | None
    """Relative to the folder of the proof."""
    clips: int
    """Seen, not in the corpus."""
    steps: int
    seconds: float
    flops: float
    parameters: int
    clips_per_second: float
    final: dict[str, float] = field(default_factory=dict)
    curve: tuple[dict[str, float], ...] = ()
    form: Form | None = None
    role: Role = "pretrained"
    failed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tried:
    """One setting of fine-tuning, and how well it did on validation clips (None: it failed)."""

    __pydantic_config__ = _STRICT
    setting: str
    validation: float | None
    folds: int
    """On how many it was tried."""
    seeds: int | None = None
    clips: int | None = None
    """Validation clips of a fold, mean."""


@dataclass(frozen=True)
class Choice:
    """How a fine-tuning recipe was chosen."""

    __pydantic_config__ = _STRICT
    task: str
    tried: tuple[Tried, ...]
    chosen: str
    """One of the settings tried."""
    model: str = ""
    """Of which model, in words; scratch's, where it says nothing."""
    others: tuple[str, ...] = ()
    """Recipes that were not tried, and get the setting too."""


@dataclass(frozen=True)
class Value:
    """The metric of one run on the judged clips of its fold."""

    __pydantic_config__ = _STRICT
    seed: int
    fold: str | None
    value: float


@dataclass(frozen=True)
class Difference:
    """A row's mean minus another's of the same table, over the seeds and folds that both have, with intervals at 95 %.

    `low … high` is that over folds or seeds (docs/comparing.md); `paired_low … paired_high` the paired bootstrap over
    clips, of these very models on other clips.
    """

    __pydantic_config__ = _STRICT
    reference: str
    """The name of that row."""
    mean: float
    low: float | None = None
    high: float | None = None
    paired_low: float | None = None
    paired_high: float | None = None


@dataclass(frozen=True)
class ResultRow:
    """One way of training on one task."""

    __pydantic_config__ = _STRICT
    name: str
    what: str
    """In words, for who reads the table for the first time."""
    values: tuple[Value, ...]
    mean: float | None
    """Over folds, then seeds; None where every run failed."""
    deviation: float | None
    """Of seeds' means over folds (n - 1); None with one seed."""
    fold_deviation: float | None
    """Of folds' means over seeds (n - 1); None with one fold."""
    difference: Difference | None
    clips: int | None
    """Seen by a run of fine-tuning. None, as the next three, of a probe: it trains no model."""
    flops: float | None
    """Of a run of fine-tuning."""
    total_flops: float | None
    """With pretraining."""
    seconds: float | None
    """Of a run of fine-tuning, mean."""
    parameters: int
    pretraining: str | None = None
    """The name of a `Pretraining`."""
    failed: tuple[str, ...] = ()
    """What ended each run that failed, a line each."""
    form: Form | None = None
    role: Role = "other"
    also: tuple[Difference, ...] = ()
    """Further differences: frames against patches, pretrained against scratch where that is not the reference."""


@dataclass(frozen=True)
class ResultTable:
    """Rows on one task at one budget."""

    __pydantic_config__ = _STRICT
    kind: Kind
    task: str
    title: str
    share: float
    """Of the training labels of each fold; 1.0 is all."""
    budget: str
    """Of fine-tuning, in words: `9,600 clips`."""
    metric: str
    chance: float | None
    seeds: tuple[int, ...]
    folds: tuple[str, ...]
    rows: tuple[ResultRow, ...]


@dataclass(frozen=True)
class ProofResults:
    """All that came out of one `zoo proof`."""

    __pydantic_config__ = _STRICT
    scale: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    """cpu, full, or another word; it names the file."""
    command: str
    date: str
    device: str
    cores: int
    versions: dict[str, str]
    seconds: float
    data: ProofData
    pretraining: tuple[Pretraining, ...]
    choices: tuple[Choice, ...]
    tables: tuple[ResultTable, ...]
    code: str | None = None
    """The commit of the checkout, with `+changes` when it was modified."""
    notes: tuple[str, ...] = ()
    """What a reader needs to know before believing it, a sentence each."""

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)

    def write(self, path: Path) -> None:
        """All of the file or nothing of it.

        Raises:
            DataError: a value that is not finite or not of its type; no file was written.
            CheckpointError: the disk is full or refuses.
        """
        text = json.dumps(self.as_json(), indent=1, ensure_ascii=False) + "\n"
        parsed(text, f"results for {path.name}")
        with disk.written_whole(path) as file:
            file.write_text(text, encoding="utf-8")


def read(path: Path) -> ProofResults:
    """The results in a file that `write` made.

    Raises:
        DataError: no such file, or something else is in it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: found no results to read ({disk.reason(error)}) - expected the results.json of zoo proof"
        ) from error
    return parsed(text, str(path))


def parsed(text: str, where: str) -> ProofResults:
    """JSON -> results. `where` names it in errors.

    Raises:
        DataError: one line, of the first thing that is wrong.
    """
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        first: Mapping[str, Any] = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        message = " ".join(str(first["msg"]).split())
        raise DataError(
            f"{where}: {place}: {message} - expected what zoo proof writes - run zoo proof again"
        ) from error


_ADAPTER = TypeAdapter(ProofResults)
