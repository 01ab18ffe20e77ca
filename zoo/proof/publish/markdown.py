"""Pieces of a Markdown page."""

from collections.abc import Iterable, Sequence

NONE = "–"
"""In a cell: there is no such number."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose rows are all as long as its header. A column without a single number is left out."""
    rows = [list(row) for row in rows]
    assert all(len(row) == len(header) for row in rows), (header, [len(row) for row in rows])
    kept = [i for i in range(len(header)) if i == 0 or any(row[i] not in ("", NONE) for row in rows)]
    lines = [_line([header[i] for i in kept]), "|" + "---|" * len(kept)]
    return "\n".join([*lines, *(_line([row[i] for i in kept]) for row in rows)])


def picture(path: str, told: str) -> str:
    """A picture that lies below the page's folder, and what it shows in words."""
    return f"![{one_line(told)}]({path})"


def one_line(text: str) -> str:
    """Any text without line breaks, for a cell or an item of a list."""
    return " ".join(text.split())


def block(command: str) -> str:
    """A command to copy."""
    return f"```sh\n{command.strip()}\n```"


def page(parts: Iterable[str]) -> str:
    """Parts with an empty line between them; empty parts are left out."""
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(one_line(cell).replace("|", "\\|") for cell in cells) + " |"
