"""What `zoo crossval` prints."""

from typing import Any

from rich.table import Table

from zoo.compare.crossval_table import crossval_table, remarks, title
from zoo.use.console import Console


def show_crossval(console: Console, report: dict[str, Any]) -> None:
    """The table, what must be known before it is believed, and where the runs are."""
    header, rows = crossval_table(report, shortened=True)
    table = Table(title=title(report), title_justify="left")
    for index, text in enumerate(header):
        table.add_column(text, justify="left" if index == 0 else "right", no_wrap=True)
    for cells in rows:
        table.add_row(*cells)
    console.out.print(table)
    for remark in remarks(report):
        console.say(f"• {remark}")
    console.say(f"runs, crossval.json and crossval.md: {report['out']}")
