"""Words about the paths of sources: short names for several, and advice for one that is not there."""

from collections.abc import Sequence
from pathlib import Path

from zoo.data.problems import did_you_mean


def short_names(paths: Sequence[str]) -> list[str]:
    """The shortest ends of the paths that tell different paths apart."""
    parts = [Path(path).expanduser().absolute().with_suffix("").parts for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        ends = ["/".join(part[-length:]) for part in parts]
        if len(set(ends)) == len(set(parts)):
            return ends
    return ["/".join(part) for part in parts]


def beside(path: Path) -> str:
    """What to do about a path that is not there, with near names of the folder where it should be."""
    parent = path.parent
    if not parent.is_dir():
        return f"there is no folder {str(parent)!r} either; relative paths start where the command is run"
    try:
        names = sorted(entry.name for entry in parent.iterdir())
    except OSError:
        names = []
    return f"check the path{did_you_mean(path.name, names)}"
