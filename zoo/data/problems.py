"""Collects what is wrong with a file, so that one run of a command shows all of it and not the first line alone."""

from difflib import get_close_matches

from zoo.errors import DataError

SHOWN = 10
"""How many problems of one file are printed; the rest is counted."""


class Problems:
    """The problems of one source, one line each.

    Raises `DataError` in `raise_if_any`; a single problem is that line alone.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.count = 0
        self._lines: list[str] = []

    def add(self, where: str, text: str) -> None:
        """`text` is "found - expected - what to do"."""
        self.count += 1
        if len(self._lines) < SHOWN:
            self._lines.append(f"{where}: {text}")

    def raise_if_any(self) -> None:
        if self.count == 0:
            return
        lines = list(self._lines)
        if self.count > len(lines):
            lines.append(f"{self.source}: {self.count} problems in all - the first {SHOWN} are shown")
        raise DataError("\n".join(lines))


def did_you_mean(word: str, known: list[str]) -> str:
    """ "; did you mean 'dog'?" or nothing."""
    near = get_close_matches(word, known, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ""


def printable(path: str) -> str:
    """A file name on one line, whatever is in it."""
    return path if path.isprintable() else repr(path)


def listed(names: list[str], shown: int = SHOWN) -> str:
    """The first names of a list in words."""
    text = ", ".join(names[:shown])
    return f"{text}, … ({len(names)} in all)" if len(names) > shown else text
