"""YAML text to plain values that remember their lines, with every mistake located.

PyYAML splits the text; what a scalar means is decided here, because YAML 1.1 reads `1e-4` as text, `no` and `on` as
booleans (they are labels of Speech Commands), `010` as 8, `1:30` as 90 and a date as a date. Here only `true` and
`false` are booleans, only `null`, `~` and nothing are null, and a number is a decimal number; all else is text.
What could hide something from the reader of a file (duplicate keys, anchors, aliases, tags, a second document,
NaN and infinity) is refused. Nothing stops at the first mistake except bad syntax.
"""

import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from zoo.recipe.document import Document, KeyPath, Problem, key_text, shortened

MAX_BYTES = 500_000
MAX_DEPTH = 16
MAX_DIGITS = 300  # more would overflow a float; no quantity of ours comes near

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def plain_value(text: str) -> Any:
    """What an unquoted scalar means: None, a boolean, an int, a float, or the text itself.

    Raises:
        ValueError: NaN, infinity, a number too large to hold, or half a character; the message says which.
    """
    _refuse_half_characters(text)
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} is no finite number - write a finite one (or quote it, if text is meant)")
    is_integer = _INTEGER.fullmatch(text) is not None
    if not is_integer and not _NUMBER.fullmatch(text):
        return text
    if is_integer and len(text) <= MAX_DIGITS:
        return int(text)
    number = math.inf if is_integer else float(text)
    if math.isinf(number):
        raise ValueError(f"a number too large to hold ({shortened(text)})")
    return number


def parse_value(text: str) -> Any:
    """The value in `KEY=VALUE`: a list, mapping or quoted text in YAML's flow style, else one scalar to the very end.

    So a path may hold ` #` or `: `, which would begin a comment or a mapping in a file.

    Raises:
        ValueError: the value cannot be read; a line of text for every mistake.
    """
    text = text.strip()
    if not text.startswith(("[", "{", '"', "'")):
        return plain_value(text)
    document = parse_document(text, "")
    if document.problems:
        raise ValueError("\n".join(": ".join(filter(None, (p.key, p.text))) for p in document.problems))
    return document.value


def split_pair(text: str, given: Mapping[str, Any], example: str) -> tuple[str, Any]:
    """(key, value) of `KEY=VALUE`, where KEY is one name or several with dots between them; see `parse_value`.

    Args:
        given: what the pairs before it gave; the same key may come again with the same value.
        example: a pair of those that are meant, for the message.

    Raises:
        ValueError: a line of text for every mistake, with the key where there is one.
    """
    key, equals, value_text = (part.strip() for part in text.partition("="))
    path = key.split(".")
    if not equals or not all(path) or len(path) > MAX_DEPTH:
        shown = shortened(text if text.isprintable() else ascii(text))
        raise ValueError(f"'{shown}' - expected KEY=VALUE, as in {example}")
    name = key if key.isprintable() else ascii(key)
    if not value_text:
        raise ValueError(f"{name}: no value after '=' - write {name}=null for none, or {name}=\"''\" for empty text")
    try:
        value = parse_value(value_text)
    except ValueError as error:
        raise ValueError("\n".join(f"{name}: {line}" for line in str(error).splitlines())) from None
    if key in given and given[key] != value:
        raise ValueError(f"{name}: given twice, with different values - keep one")
    return key, value


def _refuse_half_characters(text: str) -> None:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"half a character in {shortened(ascii(text))} - expected text that UTF-8 can hold")


class _StopReadingError(Exception):
    """The text cannot be read further; the problem is noted."""


def read_document(path: Path | str) -> Document:
    """The document in a file, whose mistakes are named by the path as the user knows it.

    A file that cannot be opened, is too large, or is not UTF-8 gives a document without a value and with one problem.
    """
    where = shown_path(path)
    document = Document(where, is_whole=False)
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except IsADirectoryError:
        document.problems.append(Problem(0, "", "a folder - expected a YAML file"))
    except FileNotFoundError:
        document.problems.append(Problem(0, "", "no such file"))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        document.problems.append(Problem(0, "", f"cannot be read ({reason})"))
    else:
        if len(content) > MAX_BYTES:
            document.problems.append(Problem(0, "", f"more than {MAX_BYTES} bytes - expected a short YAML file"))
            return document
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            byte = content[error.start]
            document.problems.append(Problem(line, "", f"not UTF-8 (byte 0x{byte:02x}) - save the file as UTF-8"))
        else:
            return parse_document(text, where)
    return document


def shown_path(path: Path | str) -> str:
    """The path as in error messages: relative when it lies below the working folder, and on one line."""
    text = os.fspath(path)
    if os.path.isabs(text):
        try:
            relative = os.path.relpath(text)
        except (ValueError, OSError):  # another drive, or the working folder is gone
            relative = text
        text = text if relative.startswith("..") else relative
    return text if text.isprintable() else ascii(text)


def parse_document(text: str, where: str) -> Document:
    """The document in a text; what is wrong with it is in `problems`, and `value` holds all that could be read."""
    document = Document(where)
    try:
        _Reader(text, document).read()
    except _StopReadingError:
        document.is_whole = False
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        character = error.character if isinstance(error.character, str) else chr(error.character)
        document.is_whole = False
        document.problems.append(Problem(line, "", f"the character {character!a} is not allowed in YAML"))
    except yaml.MarkedYAMLError as error:
        document.is_whole = False
        document.problems.append(_syntax_problem(error))
    return document


class _Reader:
    """Builds values from PyYAML's events. (Its own constructor would expand aliases and interpret tags.)"""

    def __init__(self, text: str, document: Document) -> None:
        self.events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.SafeLoader)
        self.document = document

    def read(self) -> None:
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                self.document.value = self.node(next(self.events), ())
                break
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                self.document.problems.append(Problem(_line(event), "", "a second YAML document ('---') - keep one"))
                raise _StopReadingError

    def node(self, event: yaml.Event, path: KeyPath) -> Any:
        document = self.document
        document.lines.setdefault(path, _line(event))
        anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
        if isinstance(event, yaml.AliasEvent):
            document.report(path, f"an alias (*{shortened(str(anchor))}) - write the value out")
            return None
        if anchor is not None:
            document.report(path, f"an anchor (&{shortened(anchor)}) - write the value out where it is needed")
        if tag is not None:
            document.report(path, f"a tag ({shortened(tag)}) - write the value without it")
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event, path)
        if len(path) >= MAX_DEPTH:
            document.report(path, f"nested more than {MAX_DEPTH} deep")
            raise _StopReadingError
        return self.sequence(path) if isinstance(event, yaml.SequenceStartEvent) else self.mapping(path)

    def scalar(self, event: yaml.ScalarEvent, path: KeyPath) -> Any:
        text: str = event.value
        try:
            if event.style is None:
                return plain_value(text)
            _refuse_half_characters(text)  # quoted, or a block: text
            return text
        except ValueError as error:
            self.document.report(path, str(error))
            return None

    def sequence(self, path: KeyPath) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            values.append(self.node(event, (*path, len(values))))
        return values

    def mapping(self, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            line = _line(event)
            key = self.key(event, path, line)
            inside = (*path, key)
            if key in values:
                first = self.document.lines[inside]
                text = f"given twice (first on line {first}) - keep one"
                self.document.problems.append(Problem(line, key_text(inside), text))
                lines_of_first = dict(self.document.lines)
                self.document.lines[inside] = line
                self.node(next(self.events), inside)  # read for its own mistakes, then left out
                self.document.lines = lines_of_first
                continue
            self.document.lines[inside] = line
            values[key] = self.node(next(self.events), inside)
        return values

    def key(self, event: yaml.Event, path: KeyPath, line: int) -> str:
        """A key is its text: `1:` and `true:` are keys like any other."""
        is_missing = isinstance(event, yaml.ScalarEvent) and event.style is None and event.value == ""
        if not isinstance(event, yaml.ScalarEvent) or is_missing:
            found = "nothing" if is_missing else "an alias, a list or a mapping"
            self.document.problems.append(Problem(line, key_text(path), f"{found} before ':' - expected a key"))
            raise _StopReadingError
        if event.anchor is not None or event.tag is not None:
            text = "an anchor or a tag at a key - write the key alone"
            self.document.problems.append(Problem(line, key_text((*path, event.value)), text))
        try:
            _refuse_half_characters(event.value)
        except ValueError as error:
            self.document.problems.append(Problem(line, key_text(path), str(error)))
            return ascii(event.value)
        return str(event.value)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 1


_SYNTAX = (
    # (in PyYAML's message, what it means, whether it began earlier: then that line is the one to look at)
    ("'\\t'", "a tab - YAML wants spaces", False),
    ("mapping values are not allowed", "a ':' too many - check the indentation, and quote text that holds ': '", False),
    ("while scanning a quoted scalar", "a quote that is never closed", True),
    ("<stream end>", "a '[' or a '{' that is never closed", True),
    ("while parsing a flow sequence", "a '[' that is never closed, or a ',' missing in it", True),
    ("while parsing a flow mapping", "a '{' that is never closed, or a ',' missing in it", True),
    ("while scanning a simple key", "neither a key with ':' nor a value that fits here", True),
    ("while parsing a block", "this does not fit what stands above it - check indentation and quotes", False),
    ("cannot start any token", "text that begins with this character has to be quoted", False),
)


def _syntax_problem(error: yaml.MarkedYAMLError) -> Problem:
    message = f"{error.context or ''} {error.problem or ''}"
    meaning, began_earlier = next(((text, early) for part, text, early in _SYNTAX if part in message), ("", False))
    mark = (error.context_mark if began_earlier else None) or error.problem_mark or error.context_mark
    line = mark.line + 1 if mark is not None else 1
    return Problem(line, "", f"not YAML: {meaning or shortened(' '.join(message.split()), 200)}")
