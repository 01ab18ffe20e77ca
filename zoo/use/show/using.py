"""What `zoo predict`, `zoo embed` and `zoo probe` print."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from zoo.data.problems import printable
from zoo.use.console import Console

_ROWS = 40
_BAD = 10


def show_predictions(console: Console, report: dict[str, Any], out: str | None) -> None:
    """A line for every answer, of the first ones where they go to a file too."""
    answers = report["predictions"]
    shown = answers if out is None else answers[:_ROWS]
    is_timed = any("start" in one for one in answers)
    table = Table(title=report["evaluation"], title_justify="left")
    table.add_column("clip", overflow="fold")
    if is_timed:
        table.add_column("seconds", justify="right", no_wrap=True)
    table.add_column("classes")
    for one in shown:
        words = ", ".join(f"{label['label']} {label['probability']:.3f}" for label in one["labels"])
        times = [_times(one)] if is_timed else []
        table.add_row(*map(_plain, (printable(one["path"]), *times, words or "–")))
    console.out.print(table)
    if len(shown) < len(answers):
        console.say(f"… and {len(answers) - len(shown):,} more in {out}")
    _show_bad(console, report["bad_audio"])
    if out is not None:
        console.say(f"wrote {out}")


def show_embedded(console: Console, report: dict[str, Any]) -> None:
    """How many vectors of what, and where they are."""
    layers = report["layers"]
    which = f"layer {layers[0]}" if len(layers) == 1 else f"layers {', '.join(map(str, layers))}"
    console.say(
        f"{report['rows']:,} vectors of {report['width']:,} numbers ({report['dtype']}): level {report['level']}, "
        f"{which}, {report['clips']:,} clips; {report['windows']}"
    )
    _show_bad(console, report["bad_audio"])
    console.say(f"wrote {report['out']} ({report['bytes'] / 1e6:.1f} MB)")


def show_probes(console: Console, report: dict[str, Any]) -> None:
    """A row for every layer, a column for every kind of probe; then chance, and where the features are kept."""
    rows, metric, folds = report["rows"], report["metric"], report["folds"]
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    what = f"mean ± deviation over {len(folds)} folds" if len(folds) > 1 else f"fold {folds[0]}"
    what = "the test clips" if report["test"] is not None else what
    table = Table(title=f"{metric} on {report['num_clips']:,} clips: {what}", title_justify="left")
    table.add_column("features")
    for kind in kinds:
        table.add_column(kind, justify="right", no_wrap=True)
    for features, layer in dict.fromkeys((row["features"], row["layer"]) for row in rows):
        of_layer = {row["kind"]: row for row in rows if (row["features"], row["layer"]) == (features, layer)}
        table.add_row(f"{features}, layer {layer}", *(_score(of_layer[kind], metric) for kind in kinds))
    table.add_row("chance", *(f"{report['chance'][metric]:.3f}" for _ in kinds))
    console.out.print(table)
    for note in report["notes"]:
        console.say(f"• {note}")
    for name, sets in report["cache"].items():
        for one in sets:
            how = "read from" if one["was_there"] else "kept in"
            console.say(f"features, {name}: {how} {one['folder']} ({one['bytes'] / 1e6:.1f} MB)")
    _show_bad(console, report["bad_audio"])


def _score(row: dict[str, Any], metric: str) -> str:
    mean = row["metrics"][metric]
    if mean is None:
        return "–"
    deviation = None if row["deviation"] is None else row["deviation"][metric]
    return f"{mean:.3f}" + ("" if deviation is None else f" ± {deviation:.3f}")


def _times(answer: dict[str, Any]) -> str:
    if "start" not in answer:
        return ""
    stop = "end" if answer["stop"] is None else f"{answer['stop']:.2f}"
    return f"{answer['start']:.2f}–{stop}"


def _plain(text: str) -> str:
    """Brackets of a name are no markup."""
    return text.replace("[", "\\[")


def _show_bad(console: Console, bad: Sequence[dict[str, Any]]) -> None:
    for one in bad[:_BAD]:
        console.say(f"left out: {printable(one['path'])}: {one['reason']}")
    if len(bad) > _BAD:
        console.say(f"left out: {len(bad) - _BAD:,} more (--json lists all)")
