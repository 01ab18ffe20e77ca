"""The progress of a download on stderr: a bar on a terminal, a line now and then elsewhere."""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import rich.console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from zoo.weights.catalogue import Known
from zoo.weights.download import fetch
from zoo.weights.transfer import OnProgress

_LINE_EVERY_SECONDS = 10.0


def fetch_with_bar(known: Known) -> Path:
    """`fetch`, with the progress on stderr. Stdout stays free for JSON. Raises CheckpointError."""
    with download_bar(known.file) as report:
        return fetch(known, on_progress=report)


@contextlib.contextmanager
def download_bar(title: str) -> Iterator[OnProgress]:
    """What `fetch` takes as `on_progress`. Nothing is shown before the first byte: a cached file shows nothing."""
    console = rich.console.Console(file=sys.stderr, highlight=False)
    if not console.is_terminal:
        yield _lines(title)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        tasks: list[TaskID] = []

        def report(done: int, total: int | None) -> None:
            if not tasks:
                tasks.append(progress.add_task(title, completed=done, total=total))
            progress.update(tasks[0], completed=done, total=total)

        yield report


def _lines(title: str) -> OnProgress:
    last = [-_LINE_EVERY_SECONDS]

    def report(done: int, total: int | None) -> None:
        if done == total or time.monotonic() - last[0] >= _LINE_EVERY_SECONDS:
            last[0] = time.monotonic()
            whole = "" if total is None else f" of {total / 1e6:.1f}"
            print(f"{title}: {done / 1e6:.1f}{whole} MB", file=sys.stderr, flush=True)

    return report
