"""Commands that judge as papers do: cross-validation and ensembles."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from zoo.cli.program import Json, Overrides, app, print_json


@app.command()
def crossval(
    recipe: str,
    overrides: Overrides = None,
    rule: Annotated[
        Literal["validation", "last", "official"],
        typer.Option(help="Judged are the best on clips set aside, the last, or (optimistic) as in ESC-50 papers."),
    ] = "validation",
    fold: Annotated[list[str] | None, typer.Option(help="Run only this fold; may be repeated.")] = None,
    seed: Annotated[list[int] | None, typer.Option(min=0, help="May be repeated. Default: the recipe's.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Default: runs/NAME-folds of the recipe.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Not needed: what is done is kept, and what was cut goes on.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train and judge a recipe once for every fold of its clips; one table of all of them.

    data.train is one manifest with a fold column, or has folds={num: 5, by: label|group|clip}.

    Example:  zoo crossval recipes/finetune/folder/ast-base.yaml data.train=esc50.csv

    Example:  zoo crossval quickstart/cnn data.train=my_classes 'data.train.folds={num: 5, by: label}' --seed 0 --seed 1

    The same command again runs what is missing and repeats nothing.
    """
    from zoo.compare.crossval import crossval as run_crossval
    from zoo.errors import ZooError
    from zoo.use.console import Console
    from zoo.use.show.crossval import show_crossval

    console = Console(quiet=as_json)
    report = run_crossval(
        recipe, overrides or [], rule=rule, folds=fold, seeds=seed, out=out, training=console.training
    )
    if as_json:
        print_json(report)
    else:
        show_crossval(console, report)
    if report["failed"]:
        failed = [f"fold {run['fold']} of seed {run['seed']}" for run in report["failed"]]
        first = str(report["failed"][0]["error"]).splitlines()[0]
        raise ZooError(
            f"{report['out']}: {len(failed)} runs failed ({', '.join(failed[:10])}), the first with: {first}"
        )


@app.command()
def ensemble(
    entries: Annotated[
        list[str],
        typer.Argument(metavar="CHECKPOINT... MANIFEST", help="Two or more of what zoo.load takes; then the clips."),
    ],
    by: Annotated[Literal["probability", "logit"], typer.Option(help="What the mean is of.")] = "probability",
    weights: Annotated[
        bool, typer.Option("--weights", help="Also the model of the mean weights, of checkpoints of one geometry.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write that model here; zoo.load reads it.")] = None,
    predictions: Annotated[
        Path | None, typer.Option(metavar="FILE.npz", help="Write the scores of the ensemble here.")
    ] = None,
    fold: Annotated[list[str] | None, typer.Option(help="Only these folds.")] = None,
    split: Annotated[str | None, typer.Option(help="Only this split.")] = None,
    batch_size: Annotated[int, typer.Option(min=1)] = 32,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    workers: Annotated[int | None, typer.Option(min=0, max=1024, help="Processes that decode.")] = None,
    labels: Annotated[str | None, typer.Option(help="Label table, where a checkpoint has none or no mids.")] = None,
    task: Annotated[
        Literal["single-label", "multi-label"] | None, typer.Option(help="Where a checkpoint does not say it.")
    ] = None,
    unknown_labels: Annotated[Literal["error", "ignore"], typer.Option(help="Labels the table lacks.")] = "error",
    as_json: Json = False,
) -> None:
    """Judge several models as one: the mean of their predictions, or of their weights.

    Example:  zoo ensemble runs/ast runs/passt runs/cnn eval.csv --split test

    Example:  zoo ensemble runs/a runs/b runs/c eval.csv --weights --out checkpoints/soup
    """
    from zoo.use.console import Console
    from zoo.use.ensemble import ensemble as run_ensemble
    from zoo.use.show.ensemble import show_ensemble

    console = Console(quiet=as_json)
    report = run_ensemble(
        entries[:-1],
        entries[-1],
        by=by,
        weights=weights,
        out=out,
        predictions=predictions,
        counting=console.counting,
        folds=fold,
        split=split,
        batch_size=batch_size,
        device=device,
        workers=workers,
        labels=labels,
        task=task,
        unknown_labels=unknown_labels,
    )
    if as_json:
        print_json(report)
    else:
        show_ensemble(console, report)
