"""What `zoo audit` prints: how much there is, what was found, leaks, and how even the classes are."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from rich.markup import escape
from rich.table import Table

from zoo.use.console import Console

_LEAKS, _CLASSES, _VALUES = 20, 30, 6
_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}
_LEAK_KINDS = ("leak", "near-leak", "stretch-leak")


@contextmanager
def bars(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for the clips that are listened to, and then one for the pairs that are compared."""
    with ExitStack() as stack:
        shown = ""
        bar: Callable[[int, int], None] | None = None

        def counting(what: str, done: int, total: int) -> None:
            nonlocal shown, bar
            if what != shown or bar is None:
                stack.close()
                shown = what
                bar = stack.enter_context(console.counting("comparing" if what == "pairs" else "listening", what))
            bar(done, total)

        yield counting


def show_audit(console: Console, report: dict[str, Any]) -> None:
    """Tables for a person; the report of `audit_manifests` has all findings, this the first of each kind."""
    _totals(console, report)
    _balance(console, report["balance"])
    _kinds(console, report["kinds"])
    _leaks(console, [found for found in report["findings"] if found["kind"] in _LEAK_KINDS])
    counts = {
        severity: sum(row["count"] for row in report["kinds"] if row["severity"] == severity) for severity in _COLOURS
    }
    console.say(", ".join(_plural(count, severity) for severity, count in counts.items()))
    if "out" in report:
        console.say(f"all findings: {report['out']}")


def _totals(console: Console, report: dict[str, Any]) -> None:
    totals, compared = report["totals"], report["compared"]
    table = Table(show_header=False, title=", ".join(map(escape, report["manifests"].values())), title_justify="left")
    table.add_row("clips", f"{totals['clips']:,}, {totals['readable']:,} of them readable")
    table.add_row("hours", f"{totals['hours']:.3f}")
    if totals["seconds"]:
        table.add_row("seconds", ", ".join(f"{name} {value:.2f}" for name, value in totals["seconds"].items()))
    for name in ("sample_rates", "channels", "formats"):
        table.add_row(name.replace("_", " "), _shares(totals[name]))
    table.add_row(
        "compared",
        f"{compared['fingerprints']:,} fingerprints, {compared['pairs_correlated']:,} pairs correlated, "
        f"{compared['pairs_found']:,} found to be one recording",
    )
    if compared["crowded_hashes"]:
        table.add_row("", f"{compared['crowded_hashes']:,} hashes are of more clips than each was compared with")
    console.out.print(table)


def _shares(counts: dict[str, int]) -> str:
    shown = [f"{value} ({count:,})" for value, count in list(counts.items())[:_VALUES]]
    return ", ".join(shown) + (f", and {len(counts) - _VALUES} more" if len(counts) > _VALUES else "")


def _balance(console: Console, balance: dict[str, Any] | None) -> None:
    if balance is None:
        return
    classes = balance["classes"]
    splits = {split: list(sides) for split, sides in classes[0]["sides"].items()}
    columns = [(split, side) for split, sides in splits.items() for side in sides]
    title = (
        f"{balance['labels']:,} labels, {balance['labels_a_clip']:g} a clip, largest / smallest "
        f"{balance['ratio']:g}, evenness {balance['evenness']:.3f}"
    )
    table = Table(title=title, title_justify="left")
    for place, name in enumerate(("label", "clips", "hours", *(f"{split} {side}" for split, side in columns[:12]))):
        table.add_column(name, justify="left" if place == 0 else "right")
    few = len(classes) <= _CLASSES
    for row in classes if few else [*classes[: _CLASSES // 2], None, *classes[-_CLASSES // 2 :]]:
        if row is None:
            table.add_row(f"… {len(classes) - _CLASSES:,} more")
            continue
        counts = [f"{row['sides'][split][side]:,}" for split, side in columns[:12]]
        table.add_row(escape(row["label"]), f"{row['clips']:,}", f"{row['hours']:.3f}", *counts)
    console.out.print(table)


def _kinds(console: Console, kinds: list[dict[str, Any]]) -> None:
    if not kinds:
        console.say("nothing was found")
        return
    table = Table(title="findings", title_justify="left")
    for name in ("", "kind", "count", "what, and the first of them"):
        table.add_column(name, justify="right" if name == "count" else "left", no_wrap=name in ("", "kind"))
    for row in kinds:
        colour = _COLOURS[row["severity"]]
        examples = "\n".join(escape(f"  {example}") for example in row["examples"])
        table.add_row(
            f"[{colour}]{row['severity']}[/{colour}]", row["kind"], f"{row['count']:,}", f"{row['means']}\n{examples}"
        )
    console.out.print(table)


def _leaks(console: Console, leaks: list[dict[str, Any]]) -> None:
    if not leaks:
        return
    table = Table(title="one recording on two sides of a split", title_justify="left")
    for name in ("clip", "and", "sides", "offset s", "correlation", "shared s"):
        table.add_column(name, justify="right" if name in ("offset s", "correlation", "shared s") else "left")
    for found in leaks[:_LEAKS]:
        data = found.get("data", {})
        numbers = [
            f"{data[key]:{form}}" if key in data else "–"
            for key, form in (("offset", "+.3f"), ("correlation", ".3f"), ("shared_seconds", ".2f"))
        ]
        names = [
            escape(f"{found[where]} {found.get(clip, '')}")
            for where, clip in (("where", "clip"), ("other", "other_clip"))
        ]
        table.add_row(*names, escape(data.get("across", "")), *numbers)
    console.out.print(table)
    if len(leaks) > _LEAKS:
        console.say(f"… and {len(leaks) - _LEAKS:,} more (--json and --out have all)")


def _plural(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"
