"""The values of one text with the line of each, and the list of what is wrong with them.

Whoever finds a mistake reports it by the path of keys; in the end all mistakes are told at once, in the order of the
text, as `recipes/x.yaml:12: model.embed_dims: unknown key`.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from zoo.errors import RecipeError

KeyPath = tuple[str | int, ...]
"""Where a value is: keys of mappings and indices of lists, from the top."""

COMMAND_LINE = "<command line>"
MAX_TOLD = 200


def key_text(path: Iterable[str | int]) -> str:
    """`model.patch_size[0]`, on one line whatever the keys hold."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if part.isprintable() and part.strip() == part != "" else ascii(part)
            text += f".{shortened(name)}" if text else shortened(name)
    return text


def shortened(text: str, limit: int = 60) -> str:
    """The text, cut to `limit` characters."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'embed_dim'?` when something known is near, else nothing."""
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower()[:200], by_lower, n=1, cutoff=0.6)
    return f"; did you mean '{by_lower[near[0]]}'?" if near else ""


@dataclass(frozen=True)
class Problem:
    """One mistake of the user; `line` is None on the command line, 0 for the file as a whole."""

    line: int | None
    key: str
    text: str


@dataclass
class Document:
    """The values of one text, the line of every value, and what is wrong so far."""

    where: str
    """What the user calls the text: a path."""
    value: Any = None
    lines: dict[KeyPath, int | None] = field(default_factory=dict)
    """Line of the key (or list item) at this path; None: it was set on the command line."""
    problems: list[Problem] = field(default_factory=list)
    is_whole: bool = True
    """False: the text could be read in part only, so what seems missing may just be unread."""

    def line_of(self, path: KeyPath) -> int | None:
        """The line of this value; of the nearest thing around it, when it is not in the text."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def report(self, path: KeyPath, text: str) -> None:
        """Note a mistake in the value at `path` (or in what should be there)."""
        self.problems.append(Problem(self.line_of(path), key_text(path), text))

    def messages(self) -> list[str]:
        """One line for every mistake, in the order of the text, the command line last."""
        found = sorted(dict.fromkeys(self.problems), key=lambda problem: (problem.line is None, problem.line or 0))
        told = [": ".join(filter(None, (self._place(p.line), p.key, p.text))) for p in found[:MAX_TOLD]]
        return told + [f"{self.where}: {len(found) - MAX_TOLD} more"] * (len(found) > MAX_TOLD)

    def check(self) -> None:
        """Raise what was found, if anything."""
        if self.problems:
            raise RecipeError("\n".join(self.messages()))

    def _place(self, line: int | None) -> str:
        if line is None:
            return COMMAND_LINE
        return f"{self.where}:{line}" if line else self.where

    def at(self, path: KeyPath) -> Any:
        """The value at this path; None when there is none."""
        here = self.value
        for part in path:
            if isinstance(part, int):
                here = here[part] if isinstance(here, list) and part < len(here) else None
            else:
                here = here.get(part) if isinstance(here, dict) else None
        return here

    def put(self, path: KeyPath, value: Any) -> None:
        """Set one value from the command line. A parent that is no mapping gives way to one."""
        if not isinstance(self.value, dict):
            self.value = {}
        here = self.value
        for depth, key in enumerate(path[:-1], start=1):
            if not isinstance(here.get(key), dict):
                here[key] = {}
                self.forget(path[:depth])
                self.lines[path[:depth]] = None
            here = here[key]
        here[path[-1]] = value
        self.forget(path)
        self.lines[path] = None

    def drop(self, path: KeyPath) -> None:
        """Take one value out, if it is there."""
        here = self.at(path[:-1])
        if isinstance(here, dict):
            here.pop(path[-1], None)
        self.forget(path)

    def forget(self, path: KeyPath) -> None:
        """Lose the lines of a value and of all below it."""
        for known in [known for known in self.lines if known[: len(path)] == path]:
            del self.lines[known]
