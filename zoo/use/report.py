"""A report of run folders, or of what a comparison wrote: one HTML file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.compare.report import write_report
from zoo.compare.report.groups import find_groups
from zoo.errors import DataError

REPORT = "report.html"


def make_report(
    entries: Sequence[str | Path], out: Path | None = None, title: str | None = None, num_clips: int = 12
) -> dict[str, Any]:
    """Writes a report and says what is in it.

    Args:
        entries: run folders, folders that `zoo compare` or `zoo crossval` wrote, or any with runs below.
        out: None writes `report.html` into the folder, or here where several are given.
        title: None makes one from the names of the models.
        num_clips: how many of the hardest clips.

    Raises:
        DataError: no run there, or a file of another kind in the way. CheckpointError: the disk refuses.
    """
    folders = [Path(entry) for entry in entries]
    found = find_groups(folders)
    if out is None:
        out = folders[0] / REPORT if len(folders) == 1 else Path(REPORT)
    if out.suffix.lower() not in (".html", ".htm"):
        raise DataError(f"{out}: found no .html at the end - expected the name of a page - add it")
    path = write_report(found.groups, found.comparison, out, title=title, num_clips=num_clips)
    models = [
        {
            "name": name,
            "runs": [str(folder) for folder in members],
            "unfinished": [str(folder) for folder in members if not (folder / "summary.json").is_file()],
        }
        for name, members in found.groups.items()
    ]
    return {"report": str(path), "bytes": path.stat().st_size, "models": models}
