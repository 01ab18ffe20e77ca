"""What `zoo split` prints."""

from typing import Any

from rich.table import Table

from zoo.use.console import Console

_LABELS_SHOWN = 8


def show_split(console: Console, report: dict[str, Any]) -> None:
    """A row a fold: clips, groups, classes, and the clips of each class, or of the least where there are many."""
    rows = report["folds"]
    names = sorted({name for row in rows for name in row["labels"]})
    has_groups = any(row["groups"] for row in rows)
    few = names if len(names) <= _LABELS_SHOWN else []
    table = Table(title=f"{report['clips']:,} clips in {len(rows)} folds by {report['by']}", title_justify="left")
    titles = ["fold", "clips", *(["groups"] if has_groups else []), *(["classes"] if names else []), *few]
    titles += ["fewest clips of a class"] if names and not few else []
    for title in titles:
        table.add_column(title, justify="right")
    for row in rows:
        cells = [row["fold"], f"{row['clips']:,}"]
        cells += [f"{row['groups']:,}"] if has_groups else []
        cells += [f"{len(row['labels']):,}"] if names else []
        cells += [f"{row['labels'].get(name, 0):,}" for name in few]
        if names and not few:
            cells.append(f"{min(row['labels'].get(name, 0) for name in names):,}")
        table.add_row(*cells)
    console.out.print(table)
    for note in report["notes"]:
        console.say(f"• {note}")
    if report["groups_in_several_folds"]:
        console.say(f"• {report['groups_in_several_folds']:,} groups are in several folds: --by group keeps them whole")
    console.say(f"wrote {report['out']}: train on {{path: {report['out']}, not_fold: 1}}, evaluate on fold: 1")
