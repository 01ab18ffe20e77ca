"""Commands that look at data before anything is trained on it."""

from pathlib import Path
from typing import Annotated

import typer

from zoo.cli.program import Json, app, print_json

Columns = Annotated[
    list[str] | None, typer.Option("--columns", metavar="OURS=THEIRS", help="e.g. labels=category; may be repeated.")
]


@app.command()
def audit(
    manifests: Annotated[
        list[str], typer.Argument(metavar="MANIFEST...", help="Manifests or folders; several are sides of a split.")
    ],
    columns: Columns = None,
    unlabelled: Annotated[bool, typer.Option("--unlabelled", help="Do not read labels.")] = False,
    labels: Annotated[str | None, typer.Option("--labels", help="A label table that all labels must be in.")] = None,
    front_end: Annotated[
        str, typer.Option("--front-end", help="ast, hf, passt or a checkpoint: too short is too short for this one.")
    ] = "ast",
    duplicates: Annotated[
        bool, typer.Option("--near-duplicates/--no-near-duplicates", help="Without: the same samples only.")
    ] = True,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes; default one a core.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write all findings here, a JSON object a line.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 2 if there is any error.")] = False,
    as_json: Json = False,
) -> None:
    """Look for what spoils a result: bad audio, bad labels, one recording on both sides of a split.

    Example:  zoo audit train.csv eval.csv --strict

    Example:  zoo audit meta.csv --columns labels=category --out findings.jsonl

    Errors are unreadable audio, leaks between splits, folds or manifests, and labels that are not in --labels.
    """
    from zoo.use.audit import audit_manifests
    from zoo.use.console import Console
    from zoo.use.show.audit import bars, show_audit

    console = Console(quiet=as_json)
    with bars(console) as counting:
        report = audit_manifests(
            manifests,
            columns=_mapping(columns),
            unlabelled=unlabelled,
            labels=labels,
            front_end_of=front_end,
            duplicates=duplicates,
            workers=workers,
            out=out,
            counting=counting,
        )
    if as_json:
        print_json(report)
    else:
        show_audit(console, report)
    if strict and any(row["severity"] == "error" for row in report["kinds"]):
        raise typer.Exit(2)


def _mapping(pairs: list[str] | None) -> dict[str, str]:
    """`OURS=THEIRS` as the `data.columns` of a recipe."""
    mapping = {}
    for pair in pairs or []:
        ours, equals, theirs = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"--columns {pair}: expected OURS=THEIRS, as in labels=category")
        mapping[ours] = theirs
    return mapping
