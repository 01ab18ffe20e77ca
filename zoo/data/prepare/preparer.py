"""What a data set is to `zoo prepare`, and what is found in a copy of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from zoo.data.clip import Clip
from zoo.data.labels import LabelTable, Task


@dataclass(frozen=True)
class Found:
    """What one copy of a data set holds.

    `clips` are those whose audio is there, `missing` those that the metadata lists without audio, `extra` the audio
    that no metadata lists (relative paths). Ids are the same on every machine: the path as distributed, as a rule.
    `labels` is the official table in the official order; None is data without labels.
    """

    clips: tuple[Clip, ...]
    missing: tuple[Clip, ...] = ()
    extra: tuple[str, ...] = ()
    labels: LabelTable | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Preparer:
    """A data set as it is distributed, and the function that reads it."""

    name: str
    title: str
    task: Task | Literal["none", "any"]
    """What its labels mean; "any" follows what is found."""
    page: str
    """Where to get it."""
    licence: str
    layout: str
    """What SOURCE holds, in a line or two."""
    landmarks: tuple[tuple[str, ...], ...]
    """Sets of relative paths; a folder that holds all of one set is the root. No set: SOURCE is, whatever it holds."""
    read: Callable[[Path, Mapping[str, str]], Found]
    """Takes the root and a choice for every option."""
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What can be chosen, with KEY=VALUE; the first is the default."""
    takes_file: bool = False
    """Whether SOURCE may be a file."""
