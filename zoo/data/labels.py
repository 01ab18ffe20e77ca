"""Label names and their places in a target."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from zoo.data.clip import Clip, clean_label
from zoo.data.manifest import Manifest
from zoo.data.problems import Problems, did_you_mean, listed
from zoo.errors import DataError

Task = Literal["single-label", "multi-label"]

_NAME_COLUMNS = ("display_name", "name", "label")


@dataclass(frozen=True)
class LabelTable:
    """The classes of a task in the order of the model's outputs.

    `aliases` are other words for a class (the `/m/…` of AudioSet) with the class name. Raises `DataError` for a table
    without names or with a name given twice.
    """

    names: tuple[str, ...]
    task: Task
    aliases: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.names:
            raise DataError("labels: no names - expected at least one class - give data.labels, or label the clips")
        twins = sorted(name for name, count in Counter(self.names).items() if count > 1)
        if twins:
            raise DataError(f"labels: {listed(twins)} given twice - expected every name once - take one out")

    def __len__(self) -> int:
        return len(self.names)

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
        order; without it the order of the rows), and `mid` another word that clips may use for it.
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
            if row.get("mid"):
                aliases[row["mid"].strip()] = name
        if sorted(index for index, _ in rows) != list(range(len(rows))) and not problems.count:
            problems.add(path, f"{len(rows)} rows - expected indices 0 to {len(rows) - 1}, each once - renumber them")
        problems.raise_if_any()
        return cls(tuple(name for _, name in sorted(rows)), task, aliases)

    @cached_property
    def _places(self) -> dict[str, int]:
        places = {name: place for place, name in enumerate(self.names)}
        return {alias: places[name] for alias, name in self.aliases.items() if name in places} | places

    def places(self, clip: Clip) -> tuple[int, ...]:
        """Which outputs are 1 for a clip.

        Raises: `DataError` for a name that is not in the table and, in a single-label task, for no or several labels.
        A multi-label clip without a label is one with none of the classes.
        """
        try:
            return self._look_up(clip.labels)
        except ValueError as error:
            raise DataError(f"{clip.where}: {error}") from None

    def target(self, clip: Clip) -> Float[Tensor, "cls"]:
        """1 for the clip's classes, else 0. Raises as `places`."""
        return multi_hot(self.places(clip), len(self.names))

    def all_places(self, manifest: Manifest) -> list[tuple[int, ...]]:
        """`places` of every clip. Raises `DataError` with all the problems of the manifest, 10 of them shown."""
        problems = Problems(manifest.source)
        known: dict[tuple[str, ...], tuple[int, ...]] = {}
        found: list[tuple[int, ...]] = []
        for clip in manifest.clips:
            if clip.labels not in known:
                try:
                    known[clip.labels] = self._look_up(clip.labels)
                except ValueError as error:
                    problems.add(clip.where, str(error))
                    continue
            found.append(known[clip.labels])
        problems.raise_if_any()
        return found

    def _look_up(self, labels: tuple[str, ...]) -> tuple[int, ...]:
        if self.task == "single-label" and len(labels) != 1:
            found = f"{len(labels)} labels ({listed(list(labels))})" if labels else "no label"
            raise ValueError(
                f"{found} - expected one label (data.task: single-label) - "
                "put the row right, or state data.task: multi-label"
            )
        places = self._places
        for name in labels:
            if name not in places:
                raise ValueError(
                    f"label {name!r}{did_you_mean(name, list(self.names))} - "
                    f"expected one of {listed(list(self.names))} - put the label right, or add it to data.labels"
                )
        return tuple(sorted({places[name] for name in labels}))


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
