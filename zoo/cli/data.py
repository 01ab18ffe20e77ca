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
        raise SystemExit(2)  # of click, which is not its own program here, an Exit would be swallowed


@app.command()
def stats(
    manifest: Annotated[str, typer.Argument(help="A manifest, or a folder of audio.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Fields of the front end, e.g. n_mels=64.")
    ] = None,
    front_end: Annotated[str, typer.Option("--front-end", help="ast, hf, passt, or a checkpoint.")] = "ast",
    fold: Annotated[list[str] | None, typer.Option(help="Only these folds: those that are trained on.")] = None,
    split: Annotated[str | None, typer.Option(help="Only this split.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many clips, evenly spread.")] = None,
    as_source: Annotated[
        int | None,
        typer.Option("--as-source", min=1, max=100_000, metavar="FRAMES", help="Cut or pad clips, and count padding."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that decode; default one a core.")] = None,
    as_json: Json = False,
) -> None:
    """Measure the mean and std that normalise a data set's log-mels.

    Example:  zoo stats train.csv --front-end ast

    Every frame of every clip counts once; nothing is augmented. The result has the lines to put in a recipe.
    """
    from zoo.use.console import Console
    from zoo.use.show.stats import show_stats
    from zoo.use.stats import data_statistics

    console = Console(quiet=as_json)
    with console.counting("measuring") as advance:
        report = data_statistics(
            manifest,
            front_end=front_end,
            overrides=overrides or [],
            fold=fold,
            split=split,
            limit=limit,
            as_source=as_source,
            device=device,
            workers=workers,
            advance=advance,
        )
    if as_json:
        print_json(report)
    else:
        show_stats(console, report)


def _mapping(pairs: list[str] | None) -> dict[str, str]:
    """`OURS=THEIRS` as the `data.columns` of a recipe."""
    mapping = {}
    for pair in pairs or []:
        ours, equals, theirs = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"--columns {pair}: expected OURS=THEIRS, as in labels=category")
        mapping[ours] = theirs
    return mapping
