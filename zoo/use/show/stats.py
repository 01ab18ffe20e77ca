"""What `zoo stats` prints: two numbers, what they would do, and how others came to theirs."""

from typing import Any

from rich.markup import escape
from rich.table import Table

from zoo.use.console import Console

_SHOWN = 5


def show_stats(console: Console, report: dict[str, Any]) -> None:
    """A table, the two lines for a recipe, and the note."""
    front, in_use, normalised, of_clips = (report[key] for key in ("front_end", "in_use", "normalised", "clip_means"))
    table = Table(show_header=False, title=escape(report["manifest"]), title_justify="left")
    table.add_row("front end", f"{front['kind']}, {front['sample_rate']:,} Hz, {front['n_mels']} bands")
    table.add_row("clips", f"{report['clips']:,}, {report['hours']:.3f} hours, {report['frames']:,} frames")
    if report["as_source"]:
        table.add_row(
            "as in the source", f"every clip cut or padded to {report['as_source']:,} frames, padding counted"
        )
    table.add_row("mean", f"{report['mean']:.4f}")
    table.add_row("std", f"{report['std']:.4f}")
    table.add_row("means of clips", f"{of_clips['mean']:.4f} ± {of_clips['std']:.4f}")
    table.add_row("mean, std now set", f"{in_use['mean']:.4f}, {in_use['std']:.4f}")
    table.add_row(
        "normalised with them",
        f"mean {normalised['mean']:+.3f}, std {normalised['std']:.3f} (0 and 0.5 if they were its own)",
    )
    console.out.print(table)
    console.say("for a recipe:  " + "  ".join(report["recipe"]))
    if report["unusable"]:
        console.say(f"{len(report['unusable'])} clips could not be used:")
        for one in report["unusable"][:_SHOWN]:
            console.say(f"  {one['where']}: {one['reason']}")
    if report["without_frame"]:
        console.say(f"{report['without_frame']} clips are shorter than a frame")
    console.say(report["note"])
