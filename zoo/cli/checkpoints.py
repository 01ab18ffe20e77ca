"""Commands that list, describe and convert models."""

from pathlib import Path
from typing import Annotated

import typer

from zoo.cli.program import Json, app, print_json


@app.command()
def models(as_json: Json = False) -> None:
    """List the presets with their size and cost.

    Example:  zoo models --json
    """
    from zoo.use.console import Console
    from zoo.use.inspect import list_presets

    rows = list_presets()
    if as_json:
        print_json(rows)
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
        return print_json(rows) if as_json else Console().checkpoints(rows)
    report = describe_known(name, download)
    if as_json:
        print_json(report)
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
        print_json(report)
    else:
        Console().converted(report)


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
        print_json(report)
    else:
        Console().diagnosis(report)
