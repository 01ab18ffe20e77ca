"""The command that puts runs on one page."""

from pathlib import Path
from typing import Annotated

import typer

from zoo.cli.program import Json, app, print_json


@app.command()
def report(
    entries: Annotated[list[str], typer.Argument(metavar="RUN-OR-COMPARISON...", help="Folders with runs.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Default: report.html in the folder, or here for several.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Of the page. Default: the names of the models.")] = None,
    clips: Annotated[int, typer.Option(min=0, max=100, help="How many of the hardest clips.")] = 12,
    as_json: Json = False,
) -> None:
    """Write one HTML page about runs: table, curves, cost, classes, hardest clips to listen to, recipes.

    Example:  zoo report runs/compare

    Example:  zoo report runs/ast runs/passt runs/cnn --out report.html

    The page needs no server and no network. Runs of one recipe that differ in seed or fold are one model.
    """
    from zoo.use.console import Console
    from zoo.use.report import make_report
    from zoo.use.show.report import show_report

    made = make_report(entries, out, title, clips)
    if as_json:
        print_json(made)
    else:
        show_report(Console(), made)
