"""Commands that train and measure."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from zoo.cli.program import Json, Out, Overrides, Resume, app, print_json


@app.command()
def quickstart(
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where runs and pictures go.")] = Path("runs/quickstart"),
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Your own folder of classes (or manifest) instead of the built-in notes."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of every run.")] = 0,
    as_json: Json = False,
) -> None:
    """Pretrain, fine-tune and compare small models on real audio, in minutes on a CPU.

    Example:  zoo quickstart --out runs/quickstart
    """
    from zoo.use.console import Console
    from zoo.use.quickstart import quickstart as run_quickstart
    from zoo.use.show.compare import show_compare

    console = Console(quiet=as_json)
    report = run_quickstart(out, data=data, seed=seed, console=console, overrides=overrides or [])
    if as_json:
        print_json(report.as_json())
    else:
        show_compare(console, report)


@app.command()
def check(
    recipes: Annotated[list[str], typer.Argument(metavar="RECIPE... [KEY=VALUE]...", help="Recipes to validate.")],
    trace: Annotated[bool, typer.Option("--trace", help="Print the shape at every stage; draw one log-mel.")] = False,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where --trace puts its picture.")] = Path("trace.png"),
    processes: Annotated[
        int, typer.Option(min=1, max=65_536, help="That torchrun will start: memory is that of one of them.")
    ] = 1,
    as_json: Json = False,
) -> None:
    """Validate recipes without training: model, cost, data found, steps.

    Example:  zoo check recipes/pretrain/ssast-patch-base.yaml data.train=my_audio
    """
    from zoo.use.console import Console
    from zoo.use.inspect import check_recipe, trace_recipe

    paths, overrides = [r for r in recipes if "=" not in r], [r for r in recipes if "=" in r]
    if not paths:
        raise typer.BadParameter("give at least one recipe")
    reports = [check_recipe(path, overrides, processes) for path in paths]
    if trace and out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise typer.BadParameter(f"--out {out}: the picture of --trace is a .png or .jpg file")
    pictures = [out if i == 0 else out.with_stem(f"{out.stem}-{i + 1}") for i in range(len(paths))]
    traces = [trace_recipe(path, overrides, picture) for path, picture in zip(paths, pictures, strict=True) if trace]
    if as_json:
        print_json([{**report, "trace": traces[i] if trace else None} for i, report in enumerate(reports)])
    else:
        Console().checks(reports, traces)


@app.command()
def schema(
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write; without it stdout.")] = None,
    as_json: Json = False,
) -> None:
    """The JSON Schema of recipes, for editors: completion, documentation and checks while you type.

    Example:  zoo schema --out recipe.schema.json

    Begin a recipe with the line  # yaml-language-server: $schema=recipe.schema.json
    """
    from zoo.disk import written_whole
    from zoo.recipe.schema import schema_text

    if out is None:
        typer.echo(schema_text(), nl=False)  # is JSON, asked for or not
        return
    with written_whole(out) as path:
        path.write_text(schema_text(), encoding="utf-8")


def _train(
    command: str, recipe: str, overrides: list[str] | None, out: Path | None, resume: bool, as_json: bool
) -> None:
    from zoo.recipe import read_recipe
    from zoo.run import train
    from zoo.torchrun import goes_on, is_main_process
    from zoo.use.console import Console

    is_main = is_main_process()
    console = Console(quiet=as_json, silent=not is_main)
    parsed = read_recipe(recipe, overrides or [], for_training=True)
    folder = out or Path("runs") / parsed.name
    if resume and not folder.exists():
        console.say(f"{folder}: nothing to resume, starting a new run")
    resume = goes_on(folder, resume)
    with console.training(f"{command} {parsed.name}") as report:
        summary = train(parsed, folder, command=command, resume=resume, on_progress=report)
    if as_json and is_main:
        print_json(summary)
    elif not as_json:
        console.summary(summary, folder)


@app.command()
def pretrain(
    recipe: str, overrides: Overrides = None, out: Out = None, resume: Resume = False, as_json: Json = False
) -> None:
    """Pretrain on audio without labels.

    Example:  zoo pretrain recipes/pretrain/ssast-patch-base.yaml data.train=my_audio --out runs/mine

    Example:  torchrun --nproc-per-node 4 -m zoo pretrain recipes/pretrain/ssast-patch-base.yaml data.train=my_audio
    """
    _train("pretrain", recipe, overrides, out, resume, as_json)


@app.command()
def finetune(
    recipe: str, overrides: Overrides = None, out: Out = None, resume: Resume = False, as_json: Json = False
) -> None:
    """Train a classifier, from nothing or from a pretrained run (init.from=RUN).

    Example:  zoo finetune recipes/finetune/folder/ast-base.yaml data.train=my_classes --out runs/mine
    """
    _train("finetune", recipe, overrides, out, resume, as_json)


@app.command()
def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="All that zoo.load takes, with label names.")],
    manifest: Annotated[str, typer.Argument(help="Manifest, or a folder of classes.")],
    fold: Annotated[list[str] | None, typer.Option(help="Only these folds.")] = None,
    split: Annotated[str | None, typer.Option(help="Only this split.")] = None,
    batch_size: Annotated[int, typer.Option(min=1)] = 32,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    workers: Annotated[
        int | None,
        typer.Option(min=0, max=1024, help="Processes that decode. Default: none on a CPU, else one a core."),
    ] = None,
    max_bad_share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Unusable clips allowed, 0 to 1.")] = 0.5,
    labels: Annotated[str | None, typer.Option(help="Label table, where the checkpoint has none or no mids.")] = None,
    task: Annotated[
        Literal["single-label", "multi-label"] | None, typer.Option(help="Where the checkpoint does not say it.")
    ] = None,
    unknown_labels: Annotated[Literal["error", "ignore"], typer.Option(help="Labels the table lacks.")] = "error",
    long_clips: Annotated[
        str | None,
        typer.Option(
            metavar="windows|whole|beginning",
            help="What of clips longer than the model is looked at. Default: as in the run, else windows.",
        ),
    ] = None,
    overlap: Annotated[
        float | None, typer.Option(help="Share of a window that the next repeats; the run's, else 0.5.")
    ] = None,
    max_seconds: Annotated[
        float | None, typer.Option(help="Of --long-clips whole: longer clips in windows of it; the run's, else 60.")
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option(metavar="FILE.npz", help="Write every clip's scores here, for ensembles and reports.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Metrics of a trained model on labelled clips of any length.

    Example:  zoo evaluate runs/mine data/eval.csv --split test

    Example:  zoo evaluate runs/mine long_clips --long-clips windows --overlap 0.75

    Example:  zoo evaluate runs/mine data/eval.csv --predictions mine.npz

    Example:  zoo evaluate ast-base-stride10 eval.json --labels class_labels_indices.csv --task multi-label
    """
    from zoo.use.console import Console
    from zoo.use.evaluate import evaluate_checkpoint
    from zoo.use.show.evaluated import show_evaluated

    console = Console(quiet=as_json)
    result = evaluate_checkpoint(
        checkpoint,
        manifest,
        folds=fold,
        split=split,
        batch_size=batch_size,
        device=device,
        workers=workers,
        max_bad_share=max_bad_share,
        labels=labels,
        task=task,
        unknown_labels=unknown_labels,
        long_clips=long_clips,
        overlap=overlap,
        max_seconds=max_seconds,
        predictions=predictions,
        counting=console.counting,
    )
    if as_json:
        print_json(result)
    else:
        show_evaluated(console, result)


@app.command()
def replay(
    folder: Annotated[Path, typer.Argument(help="RUN/black_box/step-…, as the run named it.")],
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    as_json: Json = False,
) -> None:
    """Run a step whose loss or gradient was not finite again, and find the clip and the stage.

    The exit code is 0 whether or not the step is not finite again; "reproduced" in the output says it.

    Example:  zoo replay runs/mine/black_box/step-000123
    """
    from zoo.use.console import Console
    from zoo.use.replay import replay as run_replay
    from zoo.use.show.replay import show_replay

    console = Console(quiet=as_json)
    report = run_replay(folder, device, console.counting)
    if as_json:
        print_json(report)
    else:
        show_replay(console, report)
