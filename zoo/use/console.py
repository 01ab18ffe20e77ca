"""What the command line prints: tables, progress bars and summaries. Downloads tell theirs in `zoo/weights`."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import rich.console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from zoo.train.plan import Report

_PLAIN_EVERY_SECONDS = 15.0
_FILE_WIDTH = 200
_FEW = 12
_NO_METRIC = "classes_without_"


class Console:
    """Prints for a person. With `quiet`, progress goes to stderr and stdout stays free for JSON. With `silent`, nothing
    is printed: another process of the same run does it."""

    def __init__(self, quiet: bool = False, silent: bool = False) -> None:
        self.quiet = quiet
        self.silent = silent
        stream = sys.stderr if quiet else sys.stdout
        # Into a file or a pipe, lines are as long as they are.
        width = None if stream.isatty() or "COLUMNS" in os.environ else _FILE_WIDTH
        # Silent, it is no terminal, so that no bar is drawn.
        terminal = False if silent else None
        self.out = rich.console.Console(
            stderr=quiet, highlight=False, width=width, quiet=silent, force_terminal=terminal
        )

    def say(self, text: str) -> None:
        """One line."""
        self.out.print(text, markup=False, soft_wrap=True)

    @contextmanager
    def training(self, title: str) -> Iterator[Callable[[Report], None]]:
        """A progress bar with loss, clips per second and time left; plain lines where there is no terminal.

        What is done to the weights that a run starts from is told too, and steps that are not finite.
        """
        weights, run = logging.getLogger("zoo.weights"), logging.getLogger("zoo.run")
        with self._told(weights), self._told(run), self._bar(title) as report:
            yield report

    @contextmanager
    def _told(self, log: logging.Logger) -> Iterator[None]:
        """Prints what a logger is told."""
        handler, level = _Saying(self.say), log.level
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        try:
            yield
        finally:
            log.removeHandler(handler)
            log.setLevel(level)

    @contextmanager
    def _bar(self, title: str) -> Iterator[Callable[[Report], None]]:
        if not self.out.is_terminal:
            yield self._plain_lines(title)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("clips  {task.fields[news]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.out) as progress:
            task = progress.add_task(title, total=None, news="")

            def report(news: Report) -> None:
                progress.update(task, completed=news.clips, total=news.total_clips, news=_news(news))

            yield report

    @contextmanager
    def counting(self, title: str, unit: str = "clips") -> Iterator[Callable[[int, int], None]]:
        """A bar for work that is counted: the callback takes (done, in all). Plain lines where there is no terminal."""
        if not self.out.is_terminal:
            began = last = time.monotonic()

            def tell(done: int, total: int) -> None:
                nonlocal last
                now = time.monotonic()
                if now - last >= _PLAIN_EVERY_SECONDS:
                    last = now
                    self.say(f"{title}: {done:,}/{total:,} {unit}  {_rate(done, total, now - began, unit)}")

            yield tell
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.out) as progress:
            task = progress.add_task(title, total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)

    def _plain_lines(self, title: str) -> Callable[[Report], None]:
        last = [-_PLAIN_EVERY_SECONDS]

        def report(news: Report) -> None:
            finished = news.clips >= news.total_clips
            if finished or news.seconds - last[0] >= _PLAIN_EVERY_SECONDS:
                last[0] = news.seconds
                left = (news.total_clips - news.clips) / max(news.clips_per_second, 1e-9)
                text = f"{title}: {news.clips:,}/{news.total_clips:,} clips  {_news(news)}  {news.seconds:.0f} s"
                self.say(text + ("" if finished else f", {left:.0f} s left"))

        return report

    def presets(self, rows: list[dict[str, Any]]) -> None:
        """The table of `zoo models`."""
        table = Table()
        for index, title in enumerate(("preset", "family", "parameters", "tokens", "GFLOP/clip", "input")):
            table.add_column(title, justify="left" if index < 2 else "right", no_wrap=True)
        for row in rows:
            table.add_row(
                row["name"],
                row["family"],
                f"{row['parameters']:,}",
                str(row["tokens"]),
                f"{row['flops_per_clip'] / 1e9:.2f}",
                f"{row['n_mels']} × {row['n_frames']}",
            )
        self.out.print(table)

    def checkpoints(self, rows: list[dict[str, Any]]) -> None:
        """The table of `zoo checkpoints`."""
        table = Table()
        for title in ("checkpoint", "family", "input", "patch", "stride", "classes", "published", "licence", "here"):
            justify: Literal["left", "right"] = "right" if title in ("input", "classes") else "left"
            table.add_column(title, justify=justify, no_wrap=title != "published")
        for row in rows:
            own, metric = row["own"], row["metric"]
            table.add_row(
                row["name"],
                row["family"],
                f"{own['n_mels']} × {own['n_frames']}",
                _pair(own["patch_size"]),
                _pair(own["stride"]),
                str(own["num_classes"] or "–"),
                f"{metric['name']} {metric['value']:g} {metric['on']}" if metric else "–",
                row["licence"] or "–",
                "yes" if row["cached"] else "",
            )
        self.out.print(table)

    def checkpoint(self, row: dict[str, Any]) -> None:
        """All that is known about a published checkpoint; what is not known is left out."""
        table = Table("field", "value", show_header=False)
        table.columns[1].overflow = "fold"  # an address is of no use with its end cut off
        for key, value in row.items():
            if value in (None, [], {}):
                continue
            if isinstance(value, dict):
                items = ((name, _pair(item) if isinstance(item, list) else item) for name, item in value.items())
                text = "\n".join(f"{name}: {item}" for name, item in items)
            elif key == "labels":
                text = ", ".join(value)
            else:
                text = "\n".join(value) if isinstance(value, list) else plain(value)
            table.add_row(key.replace("_", " "), text)
        self.out.print(table)

    def converted(self, report: dict[str, Any]) -> None:
        """What `zoo convert` assumed, adapted and left out, and where the result is."""
        for note in report["notes"]:
            self.say(f"• {note}")
        self.say(f"wrote {report['path']}: {report['kind']}{', pretraining' if report['pretraining'] else ''}")

    def checks(self, reports: list[dict[str, Any]], traces: list[dict[str, Any]]) -> None:
        """What `zoo check` found, a block a recipe."""
        for index, report in enumerate(reports):
            table = Table(show_header=False, title=report["recipe"], title_justify="left")
            for key, value in report.items():
                if key != "recipe":
                    table.add_row(key.replace("_", " "), plain(value))
            self.out.print(table)
            if traces:
                shapes = Table("stage", "shape", "where")
                for stage in traces[index]["stages"]:
                    shapes.add_row(stage["stage"], stage["shape"], stage["where"])
                self.out.print(shapes)
                self.say(f"picture: {traces[index]['picture']}")

    def summary(self, summary: dict[str, Any], folder: Path) -> None:
        """The end of a training run."""
        known = {name: value for name, value in summary["metrics"].items() if value is not None}
        metrics = ", ".join(f"{name} {value:.4f}" for name, value in known.items() if not name.startswith(_NO_METRIC))
        averaged = " (average of the weights)" if str(summary.get("evaluation")).startswith("average") else ""
        self.say(f"done{averaged}: {metrics or 'no evaluation'}")
        self.say(
            f"{summary['clips']:,} clips in {summary['seconds']:.0f} s ({summary['clips_per_second']:.1f} clips/s), "
            f"{summary['parameters']:,} parameters, {summary['bad_clips']} unusable, {summary['odd_clips']} odd files"
        )
        if summary["stopped_early"]:
            self.say(f"stopped early: {summary['metric']} got no better (evaluate.patience)")
        if summary["skipped_steps"]:
            self.say(f"{summary['skipped_steps']:,} of {summary['steps']:,} steps were not finite and not taken")
        for name, bad in summary["bad_audio"].items():
            counted = [f"{reason} ({count:,})" for kind in ("unusable", "odd") for reason, count in bad[kind].items()]
            if counted:
                self.say(f"bad audio, {name}: {', '.join(counted)}; every file in {folder / 'bad_audio.jsonl'}")
        for warning in summary.get("warnings", []):
            self.say(f"• {warning}")
        self.say(f"run folder: {folder}    look: tensorboard --logdir {folder}")

    def diagnosis(self, report: dict[str, Any]) -> None:
        """What `zoo doctor` found."""
        checks = report.pop("checks", [])
        table = Table(show_header=False)
        for key, value in report.items():
            table.add_row(key.replace("_", " "), _few(value) if key == "labels" else plain(value))
        self.out.print(table)
        for check in checks:
            mark = "[green]ok[/green]  " if check["ok"] else "[red]BAD[/red] "
            self.out.print(mark, end="")
            self.say(f"{check['name']}: {check['found']}" + (f"  →  {check['cure']}" if check["cure"] else ""))


class _Saying(logging.Handler):
    """Hands every message to `say`."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(record.getMessage())


def _news(news: Report) -> str:
    loss = "–" if news.loss is None else f"{news.loss:.4f}"
    return f"loss {loss}  {news.clips_per_second:.0f} clips/s"


def _rate(done: int, total: int, seconds: float, unit: str) -> str:
    """`12 clips/s`; of slow work the seconds of each, and of all that is left."""
    if done >= seconds or not done:
        return f"{done / max(seconds, 1e-9):.0f} {unit}/s"
    return f"{seconds / done:.1f} s each, {(total - done) * seconds / done:,.0f} s left"


def _pair(sizes: list[int]) -> str:
    return "×".join(str(size) for size in sizes)


def _few(names: list[str] | None) -> str:
    """The first few of many names."""
    shown = names[:_FEW] if names else names
    more = len(names) - _FEW if names else 0
    return plain(shown) + (f"\n… and {more:,} more (--json has all)" if more > 0 else "")


def plain(value: Any) -> str:
    """A value as a table has it."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, dict):
        return "\n".join(f"{key}: {plain(item)}" for key, item in value.items())
    if isinstance(value, list) and len(value) == 2 and all(isinstance(item, int) for item in value):
        return f"{value[0]} × {value[1]}"
    if isinstance(value, list):
        return "\n".join(plain(item) for item in value) if value else "–"
    return "–" if value is None else str(value)
