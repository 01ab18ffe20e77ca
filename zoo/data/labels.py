"""Label names and their places in a target."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from zoo.data.clip import Clip, clean_label
from zoo.data.manifest import Manifest
from zoo.data.problems import SHOWN, Problems, did_you_mean, listed
from zoo.errors import DataError

Task = Literal["single-label", "multi-label"]

_NAME_COLUMNS = ("display_name", "name", "label")
_IGNORE = "data.unknown_labels: ignore; zoo evaluate --unknown-labels ignore"


class UnknownLabelsError(ValueError):
    """A clip's labels that are in no table."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(f"unknown labels {listed(names)}")
        self.names = names


@dataclass(frozen=True)
class LabelTable:
    """The classes of a task in the order of the model's outputs.

    A clip may say a class by its name; by an alias, another word for it (the `/m/…` of AudioSet); or, `by_index`, by
    its place. A name goes before an alias, and an alias before a place. In a table with a name or alias that is itself
    a whole number, numbers are names alone: "1" never means two things.

    Raises `DataError` for a table without names or with a name given twice.
    """

    names: tuple[str, ...]
    task: Task
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Other words with the class name of each."""
    by_index: bool = False
    """Whether a number stands for the class of that place: true for a file with a column `index`."""

    def __post_init__(self) -> None:
        if not self.names:
            raise DataError("labels: no names - expected at least one class - give data.labels, or label the clips")
        twins = sorted(name for name, count in Counter(self.names).items() if count > 1)
        if twins:
            raise DataError(f"labels: {listed(twins)} given twice - expected every name once - take one out")

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], task: Task) -> "LabelTable":
        """The table of a checkpoint, out of what `as_config` put there. Raises `DataError` for one that is damaged."""
        aliases = config.get("label_aliases") or {}
        is_whole = isinstance(aliases, dict) and all(isinstance(name, str) for name in aliases.values())
        if not is_whole or not all(isinstance(name, str) for name in config["labels"]):
            raise DataError("config.json: labels, label_aliases - expected texts - take an undamaged checkpoint")
        return cls(tuple(config["labels"]), task, aliases, config.get("label_indices") is True)

    def as_config(self) -> dict[str, Any]:
        """What a checkpoint keeps of it, in plain values."""
        return {
            "labels": list(self.names),
            "task": self.task,
            "label_aliases": dict(self.aliases),
            "label_indices": self.by_index,
        }

    @classmethod
    def from_manifest(cls, manifest: Manifest, task: Task) -> "LabelTable":
        """The names that occur, sorted: the same table whatever the order of the rows."""
        names = manifest.labels()
        if not names:
            raise DataError(f"{manifest.source}: no clip has a label - expected labels - add a labels column")
        return cls(names, task)

    @classmethod
    def read(cls, path: str, task: Task) -> "LabelTable":
        """A table from a file: a CSV such as AudioSet's `class_labels_indices.csv`, or a text with one name a line.

        Of the CSV, `display_name` (or `name`, `label`) is the name, `index` the place if there is one (0, 1, … in any
        order; without it the order of the rows), which clips may then use for it, and `mid` another such word.
        """
        file = Path(path).expanduser()
        try:
            text = file.read_bytes().decode("utf-8-sig")
        except OSError as error:
            raise DataError(f"{path}: {error.strerror} - expected a label table - check data.labels") from None
        except UnicodeDecodeError:
            raise DataError(f"{path}: not UTF-8 - expected a label table - save it as UTF-8") from None
        if file.suffix.lower() != ".csv":
            return cls(tuple(name for line in text.splitlines() if (name := clean_label(line))), task)
        return cls._from_csv(text, path, task)

    @classmethod
    def _from_csv(cls, text: str, path: str, task: Task) -> "LabelTable":
        reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
        header = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = header
        column = next((name for name in _NAME_COLUMNS if name in header), None)
        if column is None:
            raise DataError(
                f"{path}:1: no column {' or '.join(map(repr, _NAME_COLUMNS))} - found {listed(header) or 'none'} - "
                "name the column of class names so"
            )
        problems = Problems(path)
        rows: list[tuple[int, str]] = []
        aliases: dict[str, str] = {}
        for place, row in enumerate(reader):
            where = f"{path}:{reader.line_num}"
            name = clean_label(row[column] or "")
            index = (row.get("index") or str(place)).strip()
            if not name:
                problems.add(where, "no name - expected one - fill it in")
            if not index.isdecimal():
                problems.add(where, f"index {index!r} - expected 0, 1, 2, … - put it right")
                continue
            rows.append((int(index), name))
            mid = (row.get("mid") or "").strip()
            if mid and aliases.setdefault(mid, name) != name:
                problems.add(where, f"mid {mid!r} is {aliases[mid]!r} already - expected every mid once - put it right")
        if sorted(index for index, _ in rows) != list(range(len(rows))) and not problems.count:
            problems.add(path, f"{len(rows)} rows - expected indices 0 to {len(rows) - 1}, each once - renumber them")
        problems.raise_if_any()
        return cls(tuple(name for _, name in sorted(rows)), task, aliases, "index" in header)

    @cached_property
    def _places(self) -> dict[str, int]:
        places = {name: place for place, name in enumerate(self.names)}
        return {alias: places[name] for alias, name in self.aliases.items() if name in places} | places

    @cached_property
    def _takes_numbers(self) -> bool:
        return self.by_index and not any(word.removesuffix(".0").isdecimal() for word in self._places)

    def place(self, word: str) -> int | None:
        """The output that a word of a clip's labels means; None for one that is unknown."""
        found = self._places.get(word)
        if found is None and self._takes_numbers:
            number = word.removesuffix(".0")  # as pandas writes a column of numbers with gaps
            if number.isdecimal() and str(int(number[:9])) == number and int(number) < len(self.names):
                return int(number)
        return found

    def places(self, clip: Clip) -> tuple[int, ...]:
        """Which outputs are 1 for a clip.

        Raises: `DataError` for a name that is not in the table and, in a single-label task, for no or several labels.
        A multi-label clip without a label is one with none of the classes.
        """
        try:
            return self.look_up(clip.labels)
        except UnknownLabelsError as error:
            raise DataError(f"{clip.where}: {self._unknown(error.names[0])}") from None
        except ValueError as error:
            raise DataError(f"{clip.where}: {error}") from None

    def target(self, clip: Clip) -> Float[Tensor, "cls"]:
        """1 for the clip's classes, else 0. Raises as `places`."""
        return multi_hot(self.places(clip), len(self.names))

    def all_places(self, manifest: Manifest) -> list[tuple[int, ...]]:
        """`places` of every clip.

        Raises: `DataError` with all the problems of the manifest, one line for every unknown name with the number of
        its clips; 10 lines are shown.
        """
        problems = Problems(manifest.source)
        known: dict[tuple[str, ...], tuple[int, ...]] = {}
        found: list[tuple[int, ...]] = []
        unknown: dict[str, list[Clip]] = {}
        for clip in manifest.clips:
            if clip.labels not in known:
                try:
                    known[clip.labels] = self.look_up(clip.labels)
                except UnknownLabelsError as error:
                    for name in error.names:
                        unknown.setdefault(name, []).append(clip)
                    continue
                except ValueError as error:
                    problems.add(clip.where, str(error))
                    continue
            found.append(known[clip.labels])
        by_count = sorted(unknown.items(), key=lambda item: (-len(item[1]), item[0]))
        for number, (name, clips) in enumerate(by_count):
            count = f"({len(clips):,} clip{'s' if len(clips) > 1 else ''})"
            text = self._unknown(name, f" {count}") if number < SHOWN else ""  # near names take their time
            problems.add(clips[0].where, f"{text}, or ignore it ({_IGNORE})")
        problems.raise_if_any()
        return found

    def counts(self, manifest: Manifest) -> tuple[int, ...]:
        """How many clips have each class. Raises as `all_places`."""
        flat = [place for places in self.all_places(manifest) for place in places]
        return tuple(np.bincount(np.array(flat, dtype=np.int64), minlength=len(self.names)).tolist())

    def look_up(self, labels: tuple[str, ...]) -> tuple[int, ...]:
        """The places of a clip's labels, ascending.

        Raises: `UnknownLabelsError`; `ValueError` with "found - expected - what to do" for a number of labels that does
        not fit the task.
        """
        if self.task == "single-label" and len(labels) != 1:
            found = f"{len(labels)} labels ({listed(list(labels))})" if labels else "no label"
            raise ValueError(
                f"{found} - expected one label (data.task: single-label) - "
                "put the row right, or state data.task: multi-label"
            )
        places = {name: self.place(name) for name in labels}
        unknown = [name for name, place in places.items() if place is None]
        if unknown:
            raise UnknownLabelsError(unknown)
        return tuple(sorted({place for place in places.values() if place is not None}))

    def _unknown(self, name: str, count: str = "") -> str:
        near = did_you_mean(name, list(self.aliases if name.startswith("/") and self.aliases else self.names))
        expected = f"expected one of {listed(list(self.names))}"
        return f"label {name!r}{count}{near} - {expected} - put the label right, or add it to data.labels"


def multi_hot(places: Sequence[int], num_classes: int) -> Float[Tensor, "cls"]:
    """1 at the places, else 0."""
    target = torch.zeros(num_classes)
    target[list(places)] = 1.0
    return target


def build_label_table(labels: Sequence[str] | str | None, task: Task, manifest: Manifest) -> LabelTable:
    """The table of `data.labels`: a list of names, the path of a table, or (None) the names in the training clips."""
    if labels is None:
        return LabelTable.from_manifest(manifest, task)
    if isinstance(labels, str):
        return LabelTable.read(labels, task)
    return LabelTable(tuple(clean_label(name) for name in labels), task)
