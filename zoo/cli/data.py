"""Commands that make and examine data sets."""

from pathlib import Path
from typing import Annotated

import typer

from zoo.cli.program import Json, app, print_json


@app.command()
def prepare(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A data set; left out: the list of them.")
    ] = None,
    source: Annotated[Path | None, typer.Argument(metavar="[SOURCE]", help="Its folder, as you unpacked it.")] = None,
    options: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="e.g. label=pitch for nsynth")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to write. Default: data/NAME.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Open no audio: hours stay unknown.")] = False,
    as_json: Json = False,
) -> None:
    """Make a manifest and a label table of a known data set, or of any folder.

    Example:  zoo prepare                                       (the data sets that are known)

    Example:  zoo prepare esc50 ~/ESC-50-master        zoo prepare folder my_classes labels=folders

    Writes manifest.csv, labels.csv, missing.txt and prepared.json; audio is neither copied nor changed. Prints clips,
    hours, classes, folds, and the hash that every result on this manifest carries.
    """
    from zoo.use.console import Console
    from zoo.use.prepare import describe_preparer, list_preparers
    from zoo.use.prepare import prepare as run_prepare
    from zoo.use.show.prepared import show_prepared, show_preparer, show_preparers

    console = Console(quiet=as_json)
    if name is None:
        rows = list_preparers()
        return print_json(rows) if as_json else show_preparers(console, rows)
    if source is None:
        row = describe_preparer(name)
        return print_json(row) if as_json else show_preparer(console, row)
    report = run_prepare(name, source, options or [], out, quick, counting=console.counting)
    if as_json:
        print_json(report)
    else:
        show_prepared(console, report)
