"""One row of a manifest as a clip: what the cells may hold, and where its audio lies."""

import json
import math
import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.audio.byte_range import ByteRange
from zoo.data.problems import printable

FIELDS = ("path", "labels", "fold", "split", "group", "start", "stop", "id")
"""What a row can say; the order of the cells that `ClipMaker` takes."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A piece of one audio file. `start` and `stop` are seconds; None is the beginning and the end of the file.

    `id` is what draws, predictions and reports know the clip by; it is the same on every machine.
    """

    path: Path | ByteRange
    """An audio file, or a member of a shard."""
    id: str
    labels: tuple[str, ...] = ()
    start: float | None = None
    stop: float | None = None
    fold: str | None = None
    split: str | None = None
    group: str | None = None
    origin: str = field(default="", compare=False)
    """What stands before the line in a message: `meta.csv:`."""
    line: int | None = field(default=None, compare=False)

    @property
    def where(self) -> str:
        """`meta.csv:17`, or the path of a clip that comes from a folder."""
        return printable(str(self.path)) if self.line is None else f"{self.origin}{self.line}"


def clean_label(name: str) -> str:
    """One spelling of a name: outer blanks go, and letters with accents are composed (macOS stores them apart)."""
    name = name.strip()
    return name if name.isascii() else unicodedata.normalize("NFC", name)


class Locator:
    """Finds the audio of a manifest beside it, or else in the `audio` folder beside it (the layout of ESC-50).

    A folder is listed once instead of asking for every file, and not at all where there is no `audio` folder. What is
    in neither place keeps the first one: a missing file is bad audio when it is used, not an error of the manifest.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._audio = os.path.join(self._folder, "audio")
        self._has_audio = os.path.isdir(self._audio)
        self._listings: dict[str, frozenset[str]] = {}

    def locate(self, text: str) -> tuple[Path, str]:
        """The file of a path as written, and the path by which the clip is known on every machine."""
        relative = os.path.normpath(text)
        if os.path.isabs(relative):
            inside = os.path.join(self._folder, "")
            known_as = relative[len(inside) :] if os.path.isabs(inside) and relative.startswith(inside) else relative
            return Path(relative), known_as.replace(os.sep, "/")
        folder = self._folder
        if self._has_audio and not self._holds(folder, relative) and self._holds(self._audio, relative):
            folder = self._audio
        return Path(f"{folder}{os.sep}{relative}"), relative.replace(os.sep, "/")

    def _holds(self, folder: str, relative: str) -> bool:
        parent, name = os.path.split(os.path.join(folder, relative))
        if parent not in self._listings:
            try:
                self._listings[parent] = frozenset(os.listdir(parent))
            except OSError:
                self._listings[parent] = frozenset()
        return name in self._listings[parent]


class ClipMaker:
    """Turns the cells of a row, in the order of `FIELDS`, into a `Clip`.

    Cells are text (CSV) or values of JSON; None is a cell that is not there. Raises `ValueError` with
    "found - expected - what to do" for a cell that cannot be used.
    """

    def __init__(self, folder: Path, origin: str) -> None:
        self._locator = Locator(folder)
        self._origin = origin
        self._labels: dict[str, tuple[str, ...]] = {}
        self._words: dict[str, str] = {}

    def make(self, cells: Sequence[Any], line: int) -> Clip:
        path_cell, labels_cell, fold, split, group, start_cell, stop_cell, id_cell = cells
        path, known_as = self._locator.locate(_path_text(path_cell))
        start = _seconds("start", start_cell)
        stop = _seconds("stop", stop_cell)
        if stop is not None and stop <= (start or 0.0):
            raise ValueError(
                f"stop {stop} is not after start {start or 0.0} - expected seconds with start < stop - put them right"
            )
        name = _name("id", id_cell)
        if name is None:
            name = known_as
            if start is not None or stop is not None:
                name = f"{known_as}#{'' if start is None else start}-{'' if stop is None else stop}"
        return Clip(
            path=path,
            id=name,
            labels=self._label_names(labels_cell),
            start=start,
            stop=stop,
            fold=self._shared(_name("fold", fold)),
            split=self._shared(_name("split", split)),
            group=self._shared(_name("group", group)),
            origin=self._origin,
            line=line,
        )

    def _shared(self, word: str | None) -> str | None:
        """The same object for the same word: a column of two million folds needs no two million strings."""
        return None if word is None else self._words.setdefault(word, word)

    def _label_names(self, cell: Any) -> tuple[str, ...]:
        if cell is None:
            return ()
        key = cell if isinstance(cell, str) else json.dumps(cell)
        if key not in self._labels:
            self._labels[key] = parse_labels(cell)
        return self._labels[key]


def parse_labels(cell: Any) -> tuple[str, ...]:
    """The names in a labels cell: text with `;` between names, a JSON list as text, a list, or one whole number.

    Names of a list are taken as they are, so a name may hold `;`. A name given twice counts once.
    """
    names: list[Any]
    if isinstance(cell, str):
        text = cell.strip()
        if text.startswith("[") and text.endswith("]"):
            try:
                names = json.loads(text)
            except ValueError:
                if "'" in text or '"' in text:
                    raise ValueError(
                        f"labels {_short(text)} are no JSON list - expected names with ';' between them, "
                        'or a JSON list like ["dog", "rain"] - use double quotes'
                    ) from None
                names = text.split(";")
        else:
            names = text.split(";")
    elif isinstance(cell, list):
        names = cell
    else:
        names = [cell]
    cleaned: list[str] = []
    for name in names:
        if isinstance(name, bool) or not isinstance(name, str | int):
            raise ValueError(f"label {_short(name)} - expected a name - give labels as text or a list of texts")
        label = clean_label(str(name))
        if label and label not in cleaned:
            cleaned.append(label)
    return tuple(cleaned)


def fold_name(value: int | float | str) -> str:
    """One spelling of a fold: 1, "1" and "1.0" (a table that pandas wrote) are the same."""
    text = str(value).strip()
    return text[:-2] if text.endswith(".0") and text[:-2].isdecimal() else text


def _path_text(cell: Any) -> str:
    if not isinstance(cell, str) or not cell.strip():
        found = "an empty path" if cell is None or cell == "" or isinstance(cell, str) else f"path {_short(cell)}"
        raise ValueError(f"{found} - expected the name of an audio file - fill it in, or take the row out")
    text = cell.strip()
    if "\0" in text or not _is_storable(text):
        raise ValueError(f"path {_short(text)} holds a character no file name can have - expected text - retype it")
    return text


def _is_storable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _name(column: str, cell: Any) -> str | None:
    """Text, or a whole number as text; None when the cell is empty."""
    if cell is None:
        return None
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        raise ValueError(f"{column} {_short(cell)} - expected text or a number - put it right")
    text = fold_name(cell) if column == "fold" else str(cell).strip()
    if not _is_storable(text):
        raise ValueError(f"{column} {_short(text)} is no valid text - expected text - retype it")
    return text or None


def _seconds(column: str, cell: Any) -> float | None:
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return None
    try:
        seconds = math.nan if isinstance(cell, bool) else float(cell)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"{column} {_short(cell)} - expected seconds, 0 or more - write a number like 1.5, or nothing")
    return seconds


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
