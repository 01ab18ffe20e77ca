"""The files that list clips, as rows: CSV, JSON lines, and the JSON of the released AST code.

A row comes out as its line and its cells in the order of `FIELDS`; what is wrong with the file is collected.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.data.clip import FIELDS
from zoo.data.problems import Problems, did_you_mean, listed
from zoo.errors import DataError

Row = tuple[int, list[Any]]
"""(line, cells in the order of `FIELDS`)"""

SYNONYMS = {"path": ("path", "filename"), "labels": ("labels", "label")}
_KNOWN = sorted({*FIELDS, "filename", "label"})


def unknown_columns(columns: Iterable[str]) -> list[str]:
    """One text for every key of `data.columns` that is none of ours."""
    return [
        f"{name!r} is no column of a manifest{did_you_mean(name, _KNOWN)} - expected {', '.join(_KNOWN)} - "
        "write ours first: {labels: their_column}"
        for name in columns
        if name not in _KNOWN
    ]


class Columns:
    """Where each field is found: under its own names, under the name given in `data.columns`, or nowhere.

    `columns` maps our name to theirs; "" means that the field is not to be read although there is such a column
    (the `start` of UrbanSound8K counts in another recording). Labels are needed when `labelled`, read where there are
    any when `welcome`, else not read. Raises `DataError` for a name that is none of ours.
    """

    def __init__(self, columns: Mapping[str, str], labelled: bool, welcome: bool = False) -> None:
        unknown = unknown_columns(columns)
        if unknown:
            raise DataError("\n".join(f"data.columns: {text}" for text in unknown))
        self.mapped: dict[str, str] = {}
        for ours, theirs in columns.items():
            field = next((field for field, names in SYNONYMS.items() if ours in names), ours)
            if field in self.mapped:
                raise DataError(f"data.columns: {field} is mapped twice - expected once - take one out")
            self.mapped[field] = theirs
        self.needed = ("path", "labels") if labelled else ("path",)
        if not labelled and not welcome:
            self.mapped["labels"] = ""

    def names(self, field: str) -> tuple[str, ...]:
        """The columns in which a field may stand."""
        if field in self.mapped:
            return (self.mapped[field],) if self.mapped[field] else ()
        return SYNONYMS.get(field, (field,))

    def both(self, field: str, names: Sequence[str]) -> str:
        return (
            f"there are both {' and '.join(repr(name) for name in names)} - expected one of them - "
            f"say which with data.columns: {{{field}: {names[0]}}}"
        )

    def missing(self, field: str, found: Sequence[str]) -> str:
        wanted = self.names(field)
        hint = "".join({did_you_mean(name, list(found)) for name in wanted[:1]})
        return (
            f"no column {' or '.join(repr(name) for name in wanted)}{hint} - found {listed(list(found)) or 'none'} - "
            f"name it so, or map its name with data.columns: {{{field}: …}}"
        )


def read_csv(path: Path, shown: str, columns: Columns, problems: Problems) -> Iterator[Row]:
    """Rows of a CSV with a header; UTF-8 with or without a byte order mark, any line ends, blank lines allowed."""
    with _open(path, shown) as file:
        # The field limit of csv is what an unclosed quote runs into; a manifest has no cell of 128 kB.
        reader = csv.reader(file, strict=True, skipinitialspace=True)
        line = 1
        try:
            header: list[str] | None = None
            index: list[int] = []
            for row in reader:
                first_line, line = line, reader.line_num + 1
                if not row:
                    continue
                if header is None:
                    header = [name.strip() for name in row]
                    index = _header_index(header, f"{shown}:{first_line}", columns, problems)
                    problems.raise_if_any()
                elif len(row) != len(header):
                    problems.add(
                        f"{shown}:{first_line}",
                        f"{len(row)} cells - expected {len(header)} as in the header - "
                        "put quotes around text that holds a comma",
                    )
                else:
                    yield first_line, [row[i] if i >= 0 else None for i in index]
        except csv.Error as error:
            problems.add(f"{shown}:{line}", f"{error} - expected CSV - look for a quote that is not closed")
        except UnicodeDecodeError:
            problems.add(*_not_utf8(path, shown))


def _header_index(header: list[str], where: str, columns: Columns, problems: Problems) -> list[int]:
    """The position of every field in a row; -1 where there is none."""
    index = []
    for field in FIELDS:
        names = [name for name in columns.names(field) if name in header]
        if len(names) > 1:
            problems.add(where, columns.both(field, names))
        elif not names and columns.names(field) and (field in columns.needed or field in columns.mapped):
            problems.add(where, columns.missing(field, header))
        elif names and header.count(names[0]) > 1:
            problems.add(where, f"two columns {names[0]!r} - expected one - rename the other")
        index.append(header.index(names[0]) if names else -1)
    if problems.count and len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        problems.add(where, "one column only - expected commas between the columns - save the table as CSV with commas")
    return index


def read_jsonl(path: Path, shown: str, columns: Columns, problems: Problems) -> Iterator[Row]:
    """Rows of a file with one JSON object a line; keys that are no field of ours are let be."""
    names = [columns.names(field) for field in FIELDS]
    missing = {field for field in (*columns.needed, *columns.mapped) if columns.names(field)}
    keys: dict[str, None] = {}
    with _open(path, shown) as file:
        line = 0
        try:
            for line, text in enumerate(file, start=1):
                if not text.strip():
                    continue
                record = _json_object(text, f"{shown}:{line}", problems)
                if record is None:
                    continue
                if missing:
                    keys.update(dict.fromkeys(record))
                    missing = {field for field in missing if not any(name in record for name in columns.names(field))}
                cells = []
                for field, candidates in zip(FIELDS, names, strict=True):
                    found = [name for name in candidates if name in record]
                    if len(found) > 1:
                        problems.add(f"{shown}:{line}", columns.both(field, found))
                    cells.append(record[found[0]] if found else None)
                if any(name in record for name in names[0]):
                    yield line, cells
                else:
                    problems.add(f"{shown}:{line}", columns.missing("path", list(record)))
        except UnicodeDecodeError:
            problems.add(*_not_utf8(path, shown))
    if keys and not problems.count:
        for field in sorted(missing):
            problems.add(shown, columns.missing(field, list(keys)))


def _json_object(text: str, where: str, problems: Problems) -> dict[str, Any] | None:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
        problems.add(where, f"no JSON ({reason}) - expected one object a line - put the line right")
        return None
    if not isinstance(record, dict):
        problems.add(where, f'a JSON {type(record).__name__} - expected an object like {{"path": …}} - one a line')
        return None
    return record


def read_official_json(path: Path, shown: str, columns: Columns, problems: Problems) -> Iterator[Row]:
    """Entries of `{"data": [{"wav": …, "labels": "mid,mid"}]}`, as the released AST and SSAST code reads it.

    Labels are machine identifiers (`/m/07rwj00`); a label table read from `class_labels_indices.csv` knows them. Names
    and a list of names are taken as well.
    """
    with _open(path, shown) as file:
        try:
            content = json.load(file)
        except UnicodeDecodeError:
            problems.add(*_not_utf8(path, shown))
            return
        except json.JSONDecodeError as error:
            problems.add(f"{shown}:{error.lineno}", f"no JSON ({error.msg}) - expected JSON - write the file again")
            return
    entries = content.get("data") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        problems.add(
            shown, 'no list "data" - expected {"data": [{"wav": …, "labels": …}]} - name a file of JSON lines *.jsonl'
        )
        return
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict) or "wav" not in entry:
            problems.add(f"{shown}: entry {number}", 'no "wav" - expected {"wav": …, "labels": …} - put it right')
            continue
        labels = entry.get("labels") if columns.names("labels") else None
        if isinstance(labels, str):
            labels = _split_official(labels)
        yield number, [entry["wav"], labels, None, None, None, None, None, None]


def _split_official(labels: str) -> list[str]:
    """Machine identifiers and numbers are split at every comma; names only where no blank follows ("Dog, bark")."""
    pieces = labels.split(",")
    is_codes = all(re.fullmatch(r"(/.*|\d+)?", piece.strip()) for piece in pieces)
    return pieces if is_codes else re.split(r",(?!\s)", labels)


def _open(path: Path, shown: str) -> Any:
    try:
        return path.open(encoding="utf-8-sig", newline="" if path.suffix.lower() == ".csv" else None)
    except OSError as error:
        raise DataError(f"{shown}: {error.strerror} - expected a manifest - check the path") from None


def _not_utf8(path: Path, shown: str) -> tuple[str, str]:
    """Where the first byte lies that is not UTF-8, and what to do about it."""
    with path.open("rb") as file:
        for line, raw in enumerate(file, start=1):
            try:
                raw.decode("utf-8")
            except UnicodeDecodeError as error:
                what = "UTF-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else f"byte 0x{raw[error.start]:02x}"
                return f"{shown}:{line}", f"{what} - expected UTF-8 text - save the file as UTF-8"
    return shown, "not UTF-8 - expected UTF-8 text - save the file as UTF-8"
