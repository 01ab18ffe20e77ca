"""Commands that make and examine data sets."""

from pathlib import Path
from typing import Annotated, Literal

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


@app.command()
def split(
    manifest: Annotated[str, typer.Argument(help="Manifest, or a folder of classes.")],
    out: Annotated[Path, typer.Argument(help="A new .csv or .jsonl.")],
    by: Annotated[
        Literal["group", "label", "clip"],
        typer.Option(help="group: no group in two folds; label: every class in every fold; clip: at random."),
    ],
    folds: Annotated[int, typer.Option(min=2, max=1000, help="How many.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Another number gives other folds.")] = 0,
    column: Annotated[
        list[str] | None, typer.Option(metavar="OURS=THEIRS", help="A column by another name: labels=category.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write folds into a manifest, of equal size and classes, with no group in two of them.

    Example:  zoo split meta.csv folds.csv --folds 5 --by group

    Example:  zoo split esc50.csv folds.csv --by label --column labels=category
    """
    from zoo.use.console import Console
    from zoo.use.show.split import show_split
    from zoo.use.split import split_manifest

    pairs = [pair.partition("=") for pair in column or []]
    if not all(ours and is_pair for ours, is_pair, _ in pairs):
        raise typer.BadParameter("--column takes OURS=THEIRS, such as labels=category")
    report = split_manifest(manifest, out, folds, by, seed, {ours: theirs for ours, _, theirs in pairs})
    if as_json:
        print_json(report)
    else:
        show_split(Console(), report)
