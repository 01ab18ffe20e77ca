"""The command that compares."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from zoo.cli.program import Json, app, print_json


@app.command()
def compare(
    entries: Annotated[
        list[str],
        typer.Argument(metavar="MATRIX.YAML | RECIPE-OR-RUN... [KEY=VALUE]...", help="KEY=VALUE is for every recipe."),
    ],
    seeds: Annotated[
        str | None, typer.Option(metavar="N|A,B,...", help="How many seeds, counted up, or which. [default: 1]")
    ] = None,
    folds: Annotated[
        str | None, typer.Option(metavar="all|A,B,...", help="A run for each fold of the data, judged on that fold.")
    ] = None,
    rule: Annotated[
        Literal["validation", "last", "official"] | None,
        typer.Option(help="Of folds: how the judged weights are chosen. [default: validation]"),
    ] = None,
    clips: Annotated[int | None, typer.Option(min=1, help="Budget: clips seen by every run.")] = None,
    flops: Annotated[float | None, typer.Option(min=1.0, help="Budget: operations of training, as in 1e15.")] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.001, help="Budget: seconds of training on this device, as measured.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(metavar="NAME", help="What the others are tested against. [default: the first]")
    ] = None,
    own_front_ends: Annotated[
        bool, typer.Option("--own-front-ends", help="Leave each recipe its own, instead of the reference's for all.")
    ] = False,
    allow_unfair: Annotated[
        bool, typer.Option("--allow-unfair", help="Flag runs judged in unequal ways, instead of refusing them.")
    ] = False,
    jobs: Annotated[
        int, typer.Option(min=1, max=256, help="Runs side by side, each in a process with its share of the cores.")
    ] = 1,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where missing runs and the tables go. [default: runs/NAME]")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run what is missing, then put all runs in one table, with intervals and tests.

    Killed and started again, it goes on where it was. Exit code 2 when a run failed; the table is there all the same.

    Example:  zoo compare quickstart/ast quickstart/cnn data.train=a.csv data.eval=b.csv --seeds 3

    Example:  zoo compare matrix.yaml data.train=esc50.csv --folds all --out runs/esc50
    """
    from zoo.compare.asked import comparison_asked
    from zoo.compare.matrix import compare as run_compare
    from zoo.errors import ZooError
    from zoo.use.console import Console
    from zoo.use.show.compare import show_compare

    console = Console(quiet=as_json)
    budget = {key: value for key, value in (("clips", clips), ("flops", flops), ("seconds", seconds)) if value}
    config, overrides = comparison_asked(
        entries,
        seeds=seeds,
        folds=folds,
        rule=rule,
        budget=budget or None,
        reference=reference,
        front_end="own" if own_front_ends else None,
    )
    folder = out or Path("runs") / config.name
    report = run_compare(config, overrides, out=folder, console=console, allow_unfair=allow_unfair, jobs=jobs)
    if as_json:
        print_json(report.as_json())
    else:
        show_compare(console, report)
    if report.failures:
        raise ZooError(
            f"{folder}: {len(report.failures)} runs failed - expected all to end - see the remarks; remove a run's "
            "failed.json to try it again"
        )
