"""What `zoo proof` prints."""

from pathlib import Path
from typing import Any

from rich.table import Table

from zoo.proof.results import ProofResults, ResultRow
from zoo.use.console import Console


def show_results(console: Console, results: ProofResults, out: Path) -> None:
    """Every table, then where to look."""
    for table in results.tables:
        shown = Table(title=f"{table.title} · {table.task} · {table.budget}", title_justify="left")
        for name in ("row", table.metric, "± seeds", "difference", "95 %", "clips", "PFLOP in all", "seconds"):
            shown.add_column(name, justify="left" if name == "row" else "right")
        for row in table.rows:
            shown.add_row(*_cells(row))
        console.out.print(shown)
        if table.chance is not None:
            console.say(
                f"chance {table.chance:.3f}; a row has up to {len(table.seeds)} seeds, {len(table.folds)} folds"
            )
        for row in table.rows:
            for line in row.failed:
                console.say(f"• failed: {row.name}: {line}")
    for choice in results.choices:
        tried = "; ".join(
            f"{one.setting} {'failed' if one.validation is None else format(one.validation, '.3f')}"
            for one in choice.tried
        )
        console.say(f"chosen on {choice.task} ({choice.model}): {choice.chosen} of {tried}")
    for note in results.notes:
        console.say(f"• {note}")
    console.say(f"took {results.seconds:,.0f} s on {results.device}; results: {out / 'results.json'}")


def show_estimate(console: Console, report: dict[str, Any]) -> None:
    """The runs of a plan, and how long they may take."""
    shown = Table("part", "run", title="runs", title_justify="left")
    for name in ("runs", "clips each", "GFLOP/clip", "seconds each", "seconds"):
        shown.add_column(name, justify="right")
    for row in report["rows"]:
        shown.add_row(
            row["part"],
            row["name"],
            f"{row['runs']:,}",
            f"{row['clips']:,}",
            f"{row['flops_per_clip'] / 1e9:.3f}",
            f"{row['seconds_each']:,.0f}",
            f"{row['seconds']:,.0f}",
        )
    console.out.print(shown)
    console.say(
        f"{report['runs']:,} runs, {report['core_seconds']:,.0f} s one after the other; "
        f"{report['seconds']:,.0f} s ({report['seconds'] / 60:.0f} minutes) with {report['jobs']} side by side"
    )
    for note in report["notes"]:
        console.say(f"• {note}")


def _cells(row: ResultRow) -> tuple[str, ...]:
    difference = row.difference
    interval = "" if difference is None or difference.low is None else f"{difference.low:+.3f} … {difference.high:+.3f}"
    return (
        row.name,
        "–" if row.mean is None else f"{row.mean:.3f}",
        "" if row.deviation is None else f"{row.deviation:.3f}",
        "" if difference is None else f"{difference.mean:+.3f}",
        interval,
        "" if row.clips is None else f"{row.clips:,}",
        "" if row.total_flops is None else f"{row.total_flops / 1e15:.3g}",
        "" if row.seconds is None else f"{row.seconds:,.0f}",
    )
