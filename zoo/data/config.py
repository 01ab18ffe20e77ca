"""The `data` section of a recipe."""

import os
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from zoo.config import Config, Probability
from zoo.data.labels import Task
from zoo.data.manifest import SourceConfig
from zoo.data.sampling import SamplingConfig, ShuffleConfig
from zoo.data.table import unknown_columns
from zoo.data.unknown_labels import OnUnknown
from zoo.data.validation import ValidationConfig
from zoo.torchrun import processes_here

_MAX_AUTO_WORKERS = 8


def as_sources(value: Any) -> Any:
    """For a recipe: a path, a source, or a list of either, as a tuple of sources."""
    if isinstance(value, str | dict | SourceConfig):
        value = [value]
    if not isinstance(value, list | tuple):
        return value
    return tuple({"path": one} if isinstance(one, str) else one for one in value)


def _as_names(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Sources = Annotated[
    Annotated[tuple[SourceConfig, ...], Field(min_length=1, max_length=10_000)] | None,
    BeforeValidator(as_sources, json_schema_input_type=str | SourceConfig | list[str | SourceConfig] | None),
]


class DataConfig(Config):
    """Which clips, which labels, and how a clip becomes an input."""

    train: Sources = None
    """Clips to train on: the path of a manifest or of a folder, a source with `fold` or `split`, or a list of them."""
    eval: Sources = None
    """Clips to watch: evaluated on while training, and what `evaluate.select` chooses by. Without `test`, the metrics
    of the run are theirs. null evaluates nothing."""
    train_share: Annotated[float, Field(gt=0, le=1)] | None = None
    """Train on this share of the training clips alone, each label alike, at least one clip of each: what few labels are
    worth. Of what it leaves, `validation` takes its part. null: all."""
    train_share_seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Another number draws other clips. It is not the recipe's: runs with other seeds train on the same clips, and what
    a smaller share has is in a larger one too."""
    validation: ValidationConfig | None = None
    """In the place of `eval`: a share of the training clips is set aside and watched, `{share: 0.1}`."""
    test: Sources = None
    """Clips to judge the run by, once, at its end; nothing is chosen by them."""
    task: Task | None = None
    """What a clip's labels mean; null is data without labels."""
    labels: Annotated[
        tuple[str, ...] | str | None, BeforeValidator(_as_names, json_schema_input_type=list[str] | str | None)
    ] = None
    """Class names in the order of the outputs, or a file that has them; null takes the names of the training clips."""
    unknown_labels: OnUnknown = "error"
    """Labels that the class names lack. `error` names them all. `ignore` counts them: a single-label clip is left out,
    a multi-label clip keeps its other labels, or none."""
    sampling: SamplingConfig = ShuffleConfig()
    """How often a training clip is drawn: `shuffle`, once an epoch; `balanced`, clips of rare labels more often;
    `weighted`, by weights from a file."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Our name for a column: the name in the manifest; "" when such a column is not to be read."""
    crop: Literal["random", "start"] = "random"
    """Where a training clip longer than the input is cropped."""
    padding: Literal["masked", "as_source"] = "masked"
    """Whether padding is hidden from the model, or seen as in released code."""
    max_bad_share: Probability = 0.5
    """The share of clips that may be unusable; above it the run stops."""
    num_workers: Annotated[int, Field(ge=0, le=1024)] | None = None
    """Processes that decode; null is none on a CPU, else one a core and at most 8. With torchrun, for each of its
    processes, which share the cores."""

    @property
    def is_watched(self) -> bool:
        """Whether there are clips to evaluate on while training."""
        return self.eval is not None or self.validation is not None

    @model_validator(mode="after")
    def _one_set_is_watched(self) -> "DataConfig":
        if self.eval is not None and self.validation is not None:
            raise ValueError("validation: found beside eval - expected at most one - keep one")
        return self

    @field_validator("columns")
    @classmethod
    def _known_columns(cls, columns: dict[str, str]) -> dict[str, str]:
        unknown = unknown_columns(columns)
        if unknown:
            raise ValueError("; ".join(unknown))
        return columns

    def workers(self, device_type: str) -> int:
        """`num_workers`, or what null means on a device of this type ("cpu", "cuda")."""
        if self.num_workers is not None:
            return self.num_workers
        if device_type == "cpu":
            return 0
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(_MAX_AUTO_WORKERS, max(1, cores // processes_here()))
