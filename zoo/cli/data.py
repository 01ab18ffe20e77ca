"""Commands that look after data."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from zoo.cli.program import Json, app, print_json


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
