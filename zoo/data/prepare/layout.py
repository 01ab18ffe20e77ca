"""Finds a data set's root, its metadata and its audio in a folder that a user unpacked."""

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from zoo.data.clip import Clip
from zoo.data.folder import AUDIO_SUFFIXES, audio_below
from zoo.data.prepare.preparer import Preparer
from zoo.data.problems import listed, printable
from zoo.errors import DataError

_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".7z", ".rar", ".z01")
_MAX_FOLDERS = 2_000


def find_root(source: Path, preparer: Preparer) -> Path:
    """The folder that holds the landmarks of a data set: `source`, or the only one up to two levels below it.

    Raises: `DataError` - nothing there, an archive, no or several such folders; it says what is there.
    """
    if not source.exists():
        near = _existing(source)
        raise DataError(
            f"{source}: no such folder ({near} is there) - expected {preparer.layout} - "
            f"check the path{_or_get_it(preparer)}"
        )
    if source.is_file() and not preparer.takes_file:
        what = "an archive" if source.suffix.lower() in _ARCHIVES else "a file"
        do = "unpack it and give the folder" if what == "an archive" else "give the folder of the data set"
        raise DataError(f"{source}: {what} - expected a folder with {preparer.layout} - {do}")
    if not preparer.landmarks or _is_root(source, preparer):
        return source
    level = [source]
    for _ in range(2):
        level = [child for folder in level for child in _folders(folder)][:_MAX_FOLDERS]
        roots = [folder for folder in level if _is_root(folder, preparer)]
        if len(roots) > 1:
            names = listed([str(root) for root in roots], 3)
            raise DataError(f"{source}: several copies of {preparer.name}: {names} - expected one - give one of them")
        if roots:
            return roots[0]
    above = next((folder for folder in list(source.absolute().parents)[:3] if _is_root(folder, preparer)), None)
    advice = f"did you mean {_short(above)}?" if above is not None else f"check the path{_or_get_it(preparer)}"
    raise DataError(f"{source}: found {_contents(source)} - expected {preparer.layout} - {advice}")


def _or_get_it(preparer: Preparer) -> str:
    return f", or get it from {preparer.page}" if "://" in preparer.page else ""


def _is_root(folder: Path, preparer: Preparer) -> bool:
    return any(all((folder / mark).exists() for mark in marks) for marks in preparer.landmarks)


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    except OSError:
        return []


def _existing(path: Path) -> Path:
    return next((folder for folder in path.absolute().parents if folder.exists()), Path("/"))


def _short(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") and len(relative) > len(str(path)) else relative


def _contents(folder: Path) -> str:
    names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in folder.iterdir())
    return listed([printable(name) for name in names], 6) if names else "nothing"


def find_file(root: Path, name: str, depth: int = 2) -> Path | None:
    """A file of this name in `root` or up to `depth` levels below it: the highest, then the first by name."""
    level = [root]
    for _ in range(depth + 1):
        for folder in level:
            if (folder / name).is_file():
                return folder / name
        level = [child for folder in level for child in _folders(folder)][:_MAX_FOLDERS]
    return None


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """The rows of a CSV with a header. Raises: `DataError` - unreadable, or without one of the `columns`."""
    with _open(path) as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        try:
            header = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = header
            absent = [name for name in columns if name not in header]
            if absent:
                raise DataError(
                    f"{path}:1: no column {listed(absent)} - found {listed(header) or 'nothing'} - "
                    "expected the file as distributed, fetch it again"
                )
            for row in reader:
                if any(row.get(name) is None for name in columns):
                    raise DataError(
                        f"{path}:{reader.line_num}: fewer cells than the header - expected {listed(list(columns))} - "
                        "fetch the file again"
                    )
                yield row
        except (csv.Error, UnicodeDecodeError) as error:
            raise _unreadable(path, error) from None


def read_cells(path: Path) -> Iterator[list[str]]:
    """The rows of a CSV without a header; empty ones and comments (`#`) are left out. Raises: `DataError`."""
    with _open(path) as file:
        try:
            for row in csv.reader(file, skipinitialspace=True):
                if row and not row[0].startswith("#"):
                    yield [cell.strip() for cell in row]
        except (csv.Error, UnicodeDecodeError) as error:
            raise _unreadable(path, error) from None


def read_names(path: Path) -> list[str]:
    """The lines of a text, without blanks at their ends; empty ones are left out. Raises: `DataError`."""
    with _open(path) as file:
        try:
            return [name for line in file if (name := line.strip())]
        except UnicodeDecodeError as error:
            raise _unreadable(path, error) from None


def whole_number(text: str, where: str) -> int:
    """A number in a cell. Raises: `DataError` - it is none, and `where` says where it stands."""
    try:
        return int(text)
    except ValueError:
        raise DataError(f"{where} is {text!r} - expected a whole number - fetch the file again") from None


def _open(path: Path) -> Any:
    try:
        return path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise DataError(
            f"{path}: {error.strerror} - expected the file as distributed - check that all of it was unpacked"
        ) from None


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: {error} - expected the text as distributed - fetch the file again")


class AudioFiles:
    """The audio in some folders of a root, and which of it was used.

    A copy may hold another format than the distributed one: what is asked for as `a/b.wav` is found as `a/b.flac` too.
    """

    def __init__(self, root: Path, folders: Iterable[str] = ("",)) -> None:
        self.root = root
        self.names: list[str] = []
        for folder in folders:
            if (root / folder).is_dir():
                inside = f"{folder}/" if folder else ""
                self.names += [inside + name for name in audio_below(root / folder, str(root / folder))]
        self._by_stem: dict[str, str] = {}
        for name in self.names:
            self._by_stem.setdefault(_stem(name), name)
        self._known = set(self.names)
        self._used: set[str] = set()

    def find(self, name: str) -> str | None:
        """The relative path of the audio that goes by this name, which then counts as used; None where it is not."""
        found = name if name in self._known else self._by_stem.get(_stem(name))
        if found is not None:
            self._used.add(found)
        return found

    def unused(self) -> tuple[str, ...]:
        """The audio that nothing asked for."""
        return tuple(name for name in self.names if name not in self._used)


class Collector:
    """The clips of a data set as its metadata is gone through: with audio, or missing."""

    def __init__(self, files: AudioFiles) -> None:
        self.files = files
        self.clips: list[Clip] = []
        self.missing: list[Clip] = []

    def add(self, name: str, clip_id: str | None = None, **columns: Any) -> None:
        """A clip that is distributed as `name`, which is its id too unless `clip_id` is given."""
        found = self.files.find(name)
        clip = Clip(path=self.files.root / (found or name), id=clip_id or name, **columns)
        (self.clips if found else self.missing).append(clip)


def _stem(name: str) -> str:
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in AUDIO_SUFFIXES else name
