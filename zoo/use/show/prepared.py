"""What `zoo prepare` prints: the report of a preparation, a data set's needs, and the list of data sets."""

import textwrap
from typing import Any

from rich.table import Table

from zoo.use.console import Console

_MOST_ROWS = 20
_HASH_SHOWN = 12


def show_prepared(console: Console, report: dict[str, Any]) -> None:
    """The report: a line for the whole, a table of splits and folds, what is missing, the hash, and what next."""
    hours = "" if report["hours"] is None else f", {_time(report['hours'])}"
    classes = f", {report['classes']:,} classes ({report['task']})" if report["classes"] else ", no labels"
    groups = f", {report['groups']:,} groups" if report["groups"] else ""
    console.say(f"{report['name']}: {report['clips']:,} clips{hours}{classes}{groups}")
    if report["splits"] or report["folds"]:
        console.out.print(_parts(report))
    if report["clips_of_class"]:
        console.say(_classes(report["clips_of_class"]))
    _some(console, "missing (listed, no audio)", report["missing"], f"all in {report['out']}/missing.txt")
    _some(
        console, "unreadable", report["unreadable"], f"all in {report['out']}/unreadable.txt; training leaves them out"
    )
    _some(console, "audio that is in no list", report["extra"], "left out")
    for column, count in report["groups_in_several"].items():
        if count:
            console.say(f"• {count:,} groups are in more than one {column}: it measures memory too")
    for note in report["notes"]:
        console.say(f"• {note}")
    console.say(f"wrote {report['manifest']}" + (f" and {report['labels']}" if report["labels"] else ""))
    console.say(f"hash {report['hash']}")
    if report["labels"]:
        console.say(f"     {report['hash_without_labels']} when labels are not read (pretraining)")
    console.say(f"next: {report['next']}")


def _parts(report: dict[str, Any]) -> Table:
    table = Table("split or fold", show_header=True)
    for title in ("clips", "missing", "hours"):
        table.add_column(title, justify="right")
    table.add_column("hash")
    for kind in ("split", "fold"):
        parts = report[f"{kind}s"]
        for name, part in list(parts.items())[:_MOST_ROWS]:
            hours = "–" if part["hours"] is None else _time(part["hours"])
            digest = (part["hash"] or "–")[:_HASH_SHOWN]
            table.add_row(f"{kind} {name}", f"{part['clips']:,}", f"{part['missing']:,}", hours, digest)
        if len(parts) > _MOST_ROWS:
            table.add_row(f"… {len(parts):,} in all", "", "", "", "")
        if parts and report[f"without_{kind}"]:
            table.add_row(f"no {kind}", f"{report[f'without_{kind}']:,}", "", "", "")
    return table


def _classes(counts: dict[str, int]) -> str:
    empty = [name for name, count in counts.items() if not count]
    fewest = min((name for name in counts if counts[name]), key=lambda name: counts[name])
    most = max(counts, key=lambda name: counts[name])
    text = f"clips a class: {counts[fewest]:,} ({fewest}) to {counts[most]:,} ({most})"
    if counts[fewest] == counts[most]:
        text = f"clips a class: {counts[most]:,} each"
    if not empty:
        return text
    return f"{text}; {len(empty):,} without any: {', '.join(empty[:5])}{', …' if len(empty) > 5 else ''}"


def _some(console: Console, what: str, found: dict[str, Any] | None, where: str) -> None:
    if found is None or not found["count"]:
        return
    first = ", ".join(name if name.isprintable() else repr(name) for name in found["first"])
    console.say(
        f"{what}: {found['count']:,} – {first}{', …' if found['count'] > len(found['first']) else ''} ({where})"
    )


def _time(hours: float) -> str:
    if hours >= 1:
        return f"{hours:,.2f} h"
    return f"{60 * hours:.1f} min" if hours >= 1 / 60 else f"{3600 * hours:.0f} s"


def show_preparers(console: Console, rows: list[dict[str, Any]]) -> None:
    """The data sets that are known, one line each."""
    table = Table()
    for title in ("name", "data set", "task", "licence"):
        table.add_column(title, no_wrap=title == "name")
    for row in rows:
        table.add_row(row["name"], row["title"], row["task"], row["licence"])
    console.out.print(table)
    console.say("zoo prepare NAME shows what SOURCE must hold and where to get it; zoo prepare NAME SOURCE prepares it")


def show_preparer(console: Console, row: dict[str, Any]) -> None:
    """All about one data set."""
    console.say(f"{row['name']}: {row['title']}")
    for key in ("task", "licence", "page", "layout"):
        lines = textwrap.wrap(row[key], 100, subsequent_indent=" " * 10, break_long_words=False, break_on_hyphens=False)
        console.say(f"{key:<9} " + "\n".join(lines))
    for key, choices in row["options"].items():
        console.say(f"option    {key}={'|'.join(choices)} (default {choices[0]})")
    console.say(f"then      zoo prepare {row['name']} SOURCE")
