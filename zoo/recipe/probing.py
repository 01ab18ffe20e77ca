"""`evaluate.probe`: labelled clips on which a model's frozen features are tried while it pretrains."""

from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator, model_validator

from zoo.config import Config
from zoo.data.config import Sources, as_sources
from zoo.data.labels import Task
from zoo.data.manifest import SourceConfig
from zoo.data.table import unknown_columns

Labels = Annotated[
    tuple[str, ...] | str | None,
    BeforeValidator(
        lambda value: tuple(value) if isinstance(value, list) else value,
        json_schema_input_type=list[str] | str | None,
    ),
]
SomeSources = Annotated[
    Annotated[tuple[SourceConfig, ...], Field(min_length=1, max_length=10_000)],
    BeforeValidator(as_sources, json_schema_input_type=str | SourceConfig | list[str | SourceConfig]),
]


class ProbeConfig(Config):
    """A kNN and a linear probe on the mean of the patch tokens. Nothing of it reaches the training: no label, and no
    random number."""

    train: SomeSources
    """Labelled clips that the probes learn from: like `data.train`."""
    test: Sources = None
    """Labelled clips on which they are measured. null: `share` of the training clips is set aside for it."""
    share: Annotated[float, Field(ge=0.001, le=0.5)] | None = None
    """Without `test`: the share of the clips on which the probes are measured; whole groups where every clip has one,
    else its share of every label."""
    task: Task = "single-label"
    """Of the labels; the probes are measured by accuracy, or of multi-label by mAP."""
    labels: Labels = None
    """Class names, or a file that has them; null takes the names of the training clips."""
    columns: dict[str, str] = Field(default_factory=dict)
    """As `data.columns`, of these manifests."""
    every_clips: Annotated[int, Field(ge=1, le=10**12)] | None = None
    """Probe at the first evaluation after so many more clips were seen, and at the end; null: at every evaluation."""
    max_clips: Annotated[int, Field(ge=2, le=1_000_000)] = 2_000
    """Of more clips on either side, so many are taken, spread evenly over the classes."""

    @field_validator("columns")
    @classmethod
    def _known_columns(cls, columns: dict[str, str]) -> dict[str, str]:
        if unknown := unknown_columns(columns):
            raise ValueError("; ".join(unknown))
        return columns

    @model_validator(mode="after")
    def _one_test(self) -> "ProbeConfig":
        if self.test is None and self.share is None:
            raise ValueError(
                "test: found nothing - expected labelled clips to measure the probes on - give test, or share: 0.25"
            )
        if self.test is not None and self.share is not None:
            raise ValueError("share: found beside test - expected at most one - keep one")
        return self
