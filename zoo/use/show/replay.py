"""What `zoo replay` prints: then and now, the clips, and the way of the worst one."""

from typing import Any

from rich.markup import escape
from rich.table import Table

from zoo.use.console import Console

_CLIPS_SHOWN = 12


def show_replay(console: Console, report: dict[str, Any]) -> None:
    """Tables, one sentence on the cause, and what to do."""
    title = f"step {report['step']:,} of {report['name']}, epoch {report['epoch']}, {report['precision']}"
    table = Table("", "loss", "gradient norm", "device", title=escape(title), title_justify="left")
    for name in ("then", "now"):
        device = report["device_then" if name == "then" else "device"]
        table.add_row(name, _number(report[name]["loss"]), _number(report[name]["grad_norm"]), escape(device))
    console.out.print(table)
    console.say(
        "reproduced: the step is not finite again" if report["reproduced"] else "NOT reproduced: it is finite now"
    )
    _clips(console, report)
    if report["worst"] is not None:
        _way(console, report["worst"])
    for line in report["advice"]:
        console.say(f"• {line}")


def _clips(console: Console, report: dict[str, Any]) -> None:
    order = sorted(report["clips"], key=lambda clip: clip["finite"])
    table = Table("clip alone", "loss", "gradient norm", "", title=f"{len(order)} clips", title_justify="left")
    for clip in order[:_CLIPS_SHOWN]:
        mark = "" if clip["finite"] else "[red]not finite[/red]"
        table.add_row(escape(clip["name"]), _number(clip["loss"]), _number(clip["grad_norm"]), mark)
    console.out.print(table)
    if len(order) > _CLIPS_SHOWN:
        console.say(f"and {len(order) - _CLIPS_SHOWN} more (--json has all)")


def _way(console: Console, worst: dict[str, Any]) -> None:
    about = [*(worst["labels"] or []), *([f"{worst['seconds']} s"] if worst["seconds"] is not None else [])]
    title = f"the way of {worst['name']}" + (f" ({', '.join(about)})" if about else "")
    table = Table("stage", "shape", title=escape(title), title_justify="left")
    for column in ("min", "max", "|max|", "NaN", "Inf"):
        table.add_column(column, justify="right")
    for stage in worst["stages"]:
        cells = [_number(stage[key]) for key in ("min", "max", "abs_max")]
        counts = [f"[red]{stage[key]:,}[/red]" if stage[key] else "" for key in ("nan", "inf")]
        is_first = stage["stage"] == worst["first_not_finite"]
        name = f"[red]{escape(stage['stage'])}[/red]" if is_first else escape(stage["stage"])
        table.add_row(name, "×".join(map(str, stage["shape"])), *cells, *counts)
    console.out.print(table)
    gradients = worst["gradients"]
    if worst["first_not_finite"] is not None:
        exactly = worst["first_module"]
        inside = f" ({exactly})" if exactly != worst["first_not_finite"] else ""
        console.say(f"first not finite: {worst['first_not_finite']}{inside}")
    elif gradients["not_finite"]:
        console.say(
            f"the loss is finite; of the gradients {gradients['not_finite']} are not, "
            f"in the backward pass {gradients['first_not_finite']} first"
        )
    else:
        console.say(
            f"all of it is finite; the largest gradient is that of {gradients['largest']} "
            f"({_number(gradients['largest_norm'])})"
        )
    if worst["partners"]:
        console.say(f"mixed with: {', '.join(worst['partners'])}")
    for oddity in worst["oddities"]:
        console.say(f"odd audio: {oddity}")


def _number(value: float | str | None) -> str:
    return "–" if value is None else value if isinstance(value, str) else f"{value:.4g}"
