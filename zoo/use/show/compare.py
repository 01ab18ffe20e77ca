"""Prints a comparison."""

from rich.table import Table
from rich.text import Text

from zoo.compare.cells import fitting
from zoo.compare.row import Comparison
from zoo.use.console import Console


def show_compare(console: Console, report: Comparison) -> None:
    """The table of contenders, in two parts where the terminal is narrow, the remarks, and where to look next."""
    title = f"{report.metric} on {report.num_eval_clips:,} clips"
    for number, (header, rows) in enumerate(fitting(report, console.out.width)):
        table = Table(title=Text(title if number == 0 else "what it took"), title_justify="left")
        for index, name in enumerate(header):
            table.add_column(Text(name), justify="left" if index == 0 else "right", no_wrap=index > 0)
        for cells in rows:
            table.add_row(*map(Text, cells))
        console.out.print(table)
    for remark in report.remarks:
        console.say(f"• {remark}")
    for line in report.look:
        console.say(line)
