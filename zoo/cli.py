"""The command line: parsing and printing only. Heavy imports wait until a command needs them."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from zoo.errors import ZooError

app = typer.Typer(
    name="zoo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Pretrain, fine-tune and compare transformers on audio spectrograms.\n\n"
    "First time here:  zoo quickstart   (real audio, a few minutes on a CPU)",
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on stdout.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Run folder. Default: runs/NAME of the recipe.")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="e.g. optim.lr=1e-4")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in the run folder.")]


def _version(value: bool) -> None:
    if value:
        from zoo import __version__

        typer.echo(f"zoo {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of the program itself."""


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

    console = Console(quiet=as_json)
    report = run_quickstart(out, data=data, seed=seed, console=console, overrides=overrides or [])
    if as_json:
        _print_json(report.as_json())
    else:
        console.comparison(report)


@app.command()
def models(as_json: Json = False) -> None:
    """List the presets with their size and cost.

    Example:  zoo models --json
    """
    from zoo.use.console import Console
    from zoo.use.inspect import list_presets

    rows = list_presets()
    if as_json:
        _print_json(rows)
    else:
        Console().presets(rows)


@app.command()
def checkpoints(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show all that is known about this one.")] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch its file; verify it if it is here.")] = False,
    as_json: Json = False,
) -> None:
    """List the published checkpoints, describe one, or download it to the cache.

    Example:  zoo checkpoints        zoo checkpoints ast-base-stride10 --download

    Downloads go to $ZOO_CACHE (default ~/.cache/zoo/checkpoints) and go on where they broke off. Files that you fetch
    by hand are found there and in ./checkpoints. ZOO_OFFLINE=1 never touches the network.
    """
    from zoo.use.checkpoints import describe_known, list_checkpoints
    from zoo.use.console import Console

    if name is None:
        if download:
            raise typer.BadParameter("--download needs the NAME of one checkpoint")
        rows = list_checkpoints()
        return _print_json(rows) if as_json else Console().checkpoints(rows)
    report = describe_known(name, download)
    if as_json:
        _print_json(report)
    elif download:
        Console().say(report["cached"])
    else:
        Console().checkpoint(report)


@app.command()
def convert(
    source: Annotated[str, typer.Argument(help="A run, a folder, a .pth or .safetensors file, or a known name.")],
    out: Annotated[Path, typer.Argument(help="A new folder; a new .pth file with --to official.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Fields of the model; see above.")
    ] = None,
    to: Annotated[str, typer.Option("--to", help="zoo, hf (transformers) or official (the released code).")] = "zoo",
    bare: Annotated[bool, typer.Option("--bare", help="With --to official: no module. before the names.")] = False,
    as_json: Json = False,
) -> None:
    """Write a checkpoint in another format, in another geometry, or both.

    Example:  zoo convert audioset_10_10_0.4593.pth checkpoints/esc n_frames=512 num_classes=50

    Example:  zoo convert runs/mine mine-hf --to hf        zoo convert ssast.pth back.pth --to official

    KEY=VALUE is what the model shall be (n_frames=512, stride=[12,12], kind=passt, num_classes=50, pretraining=false),
    how to bring the weights there (positions=resample, channels=mean, cls=averaged, patches=reinit), or what the
    source is, where its tensors do not tell (own.num_heads=3, own.kind=ssast).
    """
    from zoo.use.console import Console
    from zoo.use.convert import convert_checkpoint

    report = convert_checkpoint(source, out, overrides or [], to, bare)
    if as_json:
        _print_json(report)
    else:
        Console().converted(report)


@app.command()
def check(
    recipes: Annotated[list[str], typer.Argument(metavar="RECIPE... [KEY=VALUE]...", help="Recipes to validate.")],
    trace: Annotated[bool, typer.Option("--trace", help="Print the shape at every stage; draw one log-mel.")] = False,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where --trace puts its picture.")] = Path("trace.png"),
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
    reports = [check_recipe(path, overrides) for path in paths]
    if trace and out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise typer.BadParameter(f"--out {out}: the picture of --trace is a .png or .jpg file")
    pictures = [out if i == 0 else out.with_stem(f"{out.stem}-{i + 1}") for i in range(len(paths))]
    traces = [trace_recipe(path, overrides, picture) for path, picture in zip(paths, pictures, strict=True) if trace]
    if as_json:
        _print_json([{**report, "trace": traces[i] if trace else None} for i, report in enumerate(reports)])
    else:
        Console().checks(reports, traces)


def _train(
    command: str, recipe: str, overrides: list[str] | None, out: Path | None, resume: bool, as_json: bool
) -> None:
    from zoo.recipe import read_recipe
    from zoo.run import train
    from zoo.use.console import Console

    console = Console(quiet=as_json)
    parsed = read_recipe(recipe, overrides or [], for_training=True)
    folder = out or Path("runs") / parsed.name
    if resume and not folder.exists():
        console.say(f"{folder}: nothing to resume, starting a new run")
    with console.training(f"{command} {parsed.name}") as report:
        summary = train(parsed, folder, command=command, resume=resume, on_progress=report)
    if as_json:
        _print_json(summary)
    else:
        console.summary(summary, folder)


@app.command()
def pretrain(
    recipe: str, overrides: Overrides = None, out: Out = None, resume: Resume = False, as_json: Json = False
) -> None:
    """Pretrain on audio without labels.

    Example:  zoo pretrain recipes/pretrain/ssast-patch-base.yaml data.train=my_audio --out runs/mine
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
    as_json: Json = False,
) -> None:
    """Metrics of a trained model on labelled clips.

    Example:  zoo evaluate runs/mine data/eval.csv --split test
    """
    from zoo.use.console import Console
    from zoo.use.evaluate import evaluate_checkpoint

    result = evaluate_checkpoint(checkpoint, manifest, folds=fold, split=split, batch_size=batch_size, device=device)
    if as_json:
        _print_json(result)
    else:
        Console().metrics(result)


@app.command()
def compare(
    entries: Annotated[list[str], typer.Argument(metavar="RECIPE-OR-RUN... [KEY=VALUE]...")],
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Runs of every recipe, with seeds counted up.")] = 1,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where missing runs and the tables go.")] = Path(
        "runs/compare"
    ),
    as_json: Json = False,
) -> None:
    """Run what is missing, then put all runs in one table.

    Example:  zoo compare quickstart/ast quickstart/cnn data.train=a.csv data.eval=b.csv --seeds 3
    """
    from zoo.compare.matrix import compare as run_compare
    from zoo.use.console import Console

    console = Console(quiet=as_json)
    paths, overrides = [e for e in entries if "=" not in e], [e for e in entries if "=" in e]
    report = run_compare(paths, overrides=overrides, seeds=seeds, out=out, training=console.training)
    if as_json:
        _print_json(report.as_json())
    else:
        console.comparison(report)


@app.command()
def doctor(
    checkpoint: Annotated[Path | None, typer.Argument(help="What to describe: all that zoo.load takes.")] = None,
    as_json: Json = False,
) -> None:
    """Versions, devices, codecs and broken installs with their cure; or what a checkpoint is.

    Example:  zoo doctor        zoo doctor runs/mine
    """
    from zoo.use.console import Console
    from zoo.use.doctor import describe_checkpoint, diagnose

    report = diagnose() if checkpoint is None else describe_checkpoint(checkpoint)
    if as_json:
        _print_json(report)
    else:
        Console().diagnosis(report)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the program. Exit codes: 0 done, 2 the user's input, 1 our bug, 130/143 interrupted after a checkpoint."""
    try:
        app(args=list(arguments) if arguments is not None else None, prog_name="zoo", standalone_mode=False)
    except ZooError as error:
        for line in str(error).splitlines():
            typer.echo(line, err=True)
        sys.exit(2)
    except OSError as error:
        if error.filename is None:
            raise
        typer.echo(f"{error.filename}: {error.strerror} - expected a path that can be used - choose another", err=True)
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("interrupted", err=True)
        sys.exit(130)
    except Exception as stop:
        # Wrong options (which can show themselves), and `Interrupted`, which lives beside torch and is not imported.
        if not hasattr(stop, "exit_code"):
            raise
        message = getattr(stop, "format_message", lambda: str(stop))()
        if message:
            typer.echo(message + (" - see zoo --help" if stop.exit_code == 2 else ""), err=True)
        sys.exit(stop.exit_code)
